//! D14: a signal whose texture never changes, as a formula's does not.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D14",
    version: 1,
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

fn look(case: &Case<'_>) -> Look {
    let judged: Vec<_> = case.signals.iter().filter_map(|signal| Some((signal, signal.variety?))).collect();
    if judged.is_empty() {
        return Look::none("可比较的窗口不足 200 个", "fewer than 200 windows that can be compared");
    }
    let odd = judged.iter().filter(|(_, value)| *value < LIMIT).count();
    let worst = judged.iter().map(|(_, value)| *value).fold(f64::MAX, f64::min);
    let all = judged.len();
    Look::ask_strongly(
        odd * 2 > all,
        format!("{all} 个测量值中 {odd} 个的噪声与起伏在各窗口几乎相同（变化最小 {worst:.2}）"),
        format!("noise and movement of {odd} of {all} measured values are almost the same in every window (least variation {worst:.2})"),
    )
    .of(all as u64, worst)
    .chart(judged.iter().map(|(signal, value)| (signal.label(), *value)))
}
