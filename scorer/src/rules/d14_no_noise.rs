//! D14: a signal whose texture never changes, as a formula's does not, or that remembers nothing, as a dice does not.

use super::{Family, Look, Rule};
use crate::judge::Case;
use crate::signals::Signal;

pub(super) const RULE: Rule = Rule {
    id: "D14",
    version: 2,
    family: Family::Machine,
    name: ("纹理不变", "unchanging texture"),
    honest: &[
        ("读数很粗的设备", "coarse devices"),
        ("恒速运行的辅机", "an auxiliary that runs at one speed"),
    ],
    look,
};

/// Beyond this a signal is odd. From seeds that no test uses.
const LIMIT: f64 = 0.12;

/// Chance around a constant: a window says nothing of the next, nor a sample.
fn is_dice(signal: &Signal) -> bool {
    let windows = i64::from(signal.texture.windows.max(1));
    let within = signal.texture.autocorr.0 / windows;
    signal.memory.is_some_and(|memory| memory.abs() < 0.15) && within < 50
}

fn look(case: &Case<'_>) -> Look {
    let judged: Vec<_> = case.signals.iter().filter_map(|signal| Some((signal, signal.variety?))).collect();
    if judged.is_empty() {
        return Look::none("可比较的窗口不足 200 个", "fewer than 200 windows that can be compared");
    }
    let is_odd = |signal: &Signal, variety: f64| variety < LIMIT || is_dice(signal);
    let odd: Vec<_> =
        judged.iter().filter(|(signal, value)| is_odd(signal, *value)).map(|(signal, _)| *signal).collect();
    let outcome = super::of_signals(&odd, judged.len());
    let (odd, dice) = (odd.len(), odd.iter().filter(|signal| is_dice(signal)).count());
    let worst = judged.iter().map(|(_, value)| *value).fold(f64::MAX, f64::min);
    let all = judged.len();
    Look::new(
        outcome,
        format!("{all} 个测量值中 {odd} 个的起伏不像设备：各窗口纹理几乎相同（变化最小 {worst:.2}），或前后窗口毫无联系（{dice} 个）"),
        format!("{odd} of {all} measured values do not move as machines do: the same texture in every window (least variation {worst:.2}), or no window has anything to do with the next ({dice})"),
    )
    .of(all as u64, worst)
    .chart(judged.iter().map(|(signal, value)| (signal.label(), *value)))
}
