//! D13: a signal that is one wave.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D13",
    version: 2,
    family: Family::Machine,
    name: ("仿真波形", "pure tone"),
    honest: &[("加热等周期性过程", "heating and other periodic processes")],
    look,
};

/// Beyond this a signal is odd. From seeds that no test uses.
const LIMIT: f64 = 0.6;

fn look(case: &Case<'_>) -> Look {
    let judged: Vec<_> = case.signals.iter().filter_map(|signal| Some((signal, signal.tone?))).collect();
    if judged.is_empty() {
        return Look::none("有走势的日子不足 10 天", "fewer than ten days with movement");
    }
    let odd: Vec<_> = judged.iter().filter(|(_, value)| *value > LIMIT).map(|(signal, _)| *signal).collect();
    let outcome = super::of_signals(&odd, judged.len());
    let odd = odd.len();
    let worst = judged.iter().map(|(_, value)| *value).fold(f64::MIN, f64::max);
    let all = judged.len();
    Look::new(
        outcome,
        format!("{all} 个测量值中 {odd} 个几乎是单一波形（最强谱线占比最高 {worst:.2}）"),
        format!("{odd} of {all} measured values are almost one wave (strongest line up to {worst:.2})"),
    )
    .of(all as u64, worst)
    .chart(judged.iter().map(|(signal, value)| (signal.label(), *value)))
}
