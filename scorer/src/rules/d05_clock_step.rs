//! D05: the gateway's wall clock moved against its monotonic clock, it started anew too often, or a log's clock is whole
//! hours behind.

use super::{Family, Look, Rule};
use crate::judge::Case;
use crate::metric::days_of;

pub(super) const RULE: Rule = Rule {
    id: "D05",
    version: 2,
    family: Family::Integrity,
    name: ("时钟异常", "clock steps"),
    honest: &[
        (
            "主板时钟电池没电：开机后第一次对时会跳",
            "a dead clock battery: the first comparison after a start steps",
        ),
        ("电源不稳，网关多次重启", "unsteady power restarts the gateway"),
        (
            "日志按 UTC 记时而采集清单未写明时区：请改正清单",
            "a log written in UTC and a manifest that does not say so: correct the manifest",
        ),
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
    let (zone, zone_zh, zone_en) = time_zone(case);
    let (count, back) = (steps.len(), steps.iter().filter(|step| step.by_ms < 0).count());
    Look::ask(
        count >= 2 || back >= 1 || restless >= 3 || zone,
        format!("网关时钟跳变 10 分钟以上 {count} 次，其中向后 {back} 次；{restless} 天重启 3 次以上{zone_zh}"),
        format!("the gateway's clock stepped by ten minutes or more {count} times, {back} of them back; more than three starts on {restless} days{zone_en}"),
    )
    .of((last - first + 1).unsigned_abs(), count as f64)
    .days(days_of(case, steps.iter().map(|step| step.day)))
}

/// Whether the times of people's records lie whole hours behind the moment at which they were first seen, in words.
fn time_zone(case: &Case<'_>) -> (bool, String, String) {
    let days = case.view.agent_days(case.from, case.to).flat_map(|day| day.sources.values());
    let (windows, whole, hours) = days.fold((0_u64, 0_u64, 0_u64), |sum, source| {
        let lag = source.pace.lag;
        (sum.0 + u64::from(lag.windows), sum.1 + u64::from(lag.whole), sum.2.saturating_add(lag.hours))
    });
    if windows < 50 || whole * 10 < windows * 8 {
        return (false, String::new(), String::new());
    }
    let hours = hours as f64 / whole as f64;
    (
        true,
        format!("；{windows} 个有人工记录的窗口中 {whole} 个的日志时间整整落后 {hours:.1} 小时"),
        format!(
            "; in {whole} of {windows} windows with people's records the log's times are behind by whole hours ({hours:.1})"
        ),
    )
}
