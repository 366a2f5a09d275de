//! D12: days that are nearly another day's, a little noise and a small shift aside.

use super::{Family, Look, Outcome, Rule};
use crate::judge::Case;
use crate::signals::NEAR;

pub(super) const RULE: Rule = Rule {
    id: "D12",
    version: 2,
    family: Family::Machine,
    name: ("近似重放", "near replay"),
    honest: &[(
        "严格按节拍运行的产线：看启停是否也与另一天相同",
        "a line that runs strictly by programme: see whether starts and stops are another day's too",
    )],
    look,
};

/// One other day has so much more of its machine's starts and stops than days usually have. From seeds that no test uses,
/// and from recordings, whose days are like each other by their quarter-hours.
const RETRACED: f64 = 0.35;

fn look(case: &Case<'_>) -> Look {
    let judged: Vec<_> = case.signals.iter().filter_map(|signal| Some((signal, signal.near?))).collect();
    if judged.is_empty() {
        return Look::none("有走势的日子不足 10 天", "fewer than ten days with movement");
    }
    let near: Vec<_> = judged.iter().filter(|(_, value)| *value > NEAR).map(|(signal, _)| *signal).collect();
    let retraced = near.iter().filter(|signal| signal.retraced.is_some_and(|share| share > RETRACED)).count();
    let odd = near.len();
    let worst = judged.iter().map(|(_, value)| *value).fold(f64::MIN, f64::max);
    let all = judged.len();
    let outcome = match odd * 2 > all {
        true if retraced * 2 > all => Outcome::AskStrongly,
        true => Outcome::Ask,
        false => Outcome::Clear,
    };
    Look::new(
        outcome,
        format!("{all} 个测量值中 {odd} 个的各日走势与另一天几乎相同（相关系数中位数最高 {worst:.2}），其中 {retraced} 个的设备启停时刻也只与那一天相同"),
        format!("{odd} of {all} measured values follow another day's course almost exactly (median of best correlations up to {worst:.2}), the machines of {retraced} of them start and stop at another day's minutes"),
    )
    .of(all as u64, worst)
    .chart(judged.iter().map(|(signal, value)| (signal.label(), *value)))
}
