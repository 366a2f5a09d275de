//! D05: the gateway's wall clock moved against its monotonic clock, or it started anew too often.

use super::{Family, Look, Rule};
use crate::judge::Case;
use crate::metric::days_of;

pub(super) const RULE: Rule = Rule {
    id: "D05",
    version: 1,
    family: Family::Integrity,
    name: ("时钟异常", "clock steps"),
    honest: &[
        (
            "主板时钟电池没电：开机后第一次对时会跳",
            "a dead clock battery: the first comparison after a start steps",
        ),
        ("电源不稳，网关多次重启", "unsteady power restarts the gateway"),
    ],
    look,
};

/// A step of this much is one, ms: smaller ones are how clocks are set right.
const STEP_MS: u64 = 10 * 60_000;

fn look(case: &Case<'_>) -> Look {
    let (first, last) = (case.view.days[case.from].index, case.view.days[case.to].index);
    let steps = case.view.chains().flat_map(|(_, chain)| chain.clock.steps.iter());
    let steps: Vec<_> = steps
        .filter(|step| (first..=last).contains(&step.day) && step.by_ms.unsigned_abs() >= STEP_MS)
        .collect();
    let restless =
        (case.from..=case.to).filter(|at| case.view.agent_days(*at, *at).any(|day| day.boots > 3)).count();
    let (count, back) = (steps.len(), steps.iter().filter(|step| step.by_ms < 0).count());
    Look::ask(
        count >= 2 || back >= 1 || restless >= 3,
        format!("网关时钟跳变 10 分钟以上 {count} 次，其中向后 {back} 次；{restless} 天重启 3 次以上"),
        format!("the gateway's clock stepped by ten minutes or more {count} times, {back} of them back; more than three starts on {restless} days"),
    )
    .of((last - first + 1).unsigned_abs(), count as f64)
    .days(days_of(case, steps.iter().map(|step| step.day)))
}
