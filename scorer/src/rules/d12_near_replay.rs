//! D12: days that are nearly another day's, a little noise and a small shift aside.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D12",
    version: 1,
    family: Family::Machine,
    name: ("近似重放", "near replay"),
    honest: &[("严格按节拍运行的产线", "a line that runs strictly by programme")],
    look,
};

/// Beyond this a signal is odd. From seeds that no test uses.
const LIMIT: f64 = 0.8;

fn look(case: &Case<'_>) -> Look {
    let judged: Vec<_> = case.signals.iter().filter_map(|signal| Some((signal, signal.near?))).collect();
    if judged.is_empty() {
        return Look::none("有走势的日子不足 10 天", "fewer than ten days with movement");
    }
    let odd = judged.iter().filter(|(_, value)| *value > LIMIT).count();
    let worst = judged.iter().map(|(_, value)| *value).fold(f64::MIN, f64::max);
    let all = judged.len();
    Look::ask_strongly(
        odd * 2 > all,
        format!("{all} 个测量值中 {odd} 个的各日走势与另一天几乎相同（相关系数中位数最高 {worst:.2}）"),
        format!("{odd} of {all} measured values follow another day's course almost exactly (median of best correlations up to {worst:.2})"),
    )
    .of(all as u64, worst)
    .chart(judged.iter().map(|(signal, value)| (signal.label(), *value)))
}
