//! D02: silence that no record declares, and planned time that nobody observed.

use super::{Family, Look, Rule};
use crate::history::local;
use crate::judge::Case;
use crate::metric::days_of;

pub(super) const RULE: Rule = Rule {
    id: "D02",
    version: 1,
    family: Family::Integrity,
    name: ("静默缺口", "silent gap"),
    honest: &[
        (
            "断网或断电：网关恢复后会补报原因",
            "network or power was away: the gateway declares the cause when it returns",
        ),
        ("网关当天在检修", "the gateway was under repair that day"),
    ],
    look,
};

/// An undeclared silence shorter than this is a restart, ms.
const SILENCE_MS: i64 = 30 * 60_000;

fn look(case: &Case<'_>) -> Look {
    let offset = (case.view.history.offset_ms() / crate::MINUTE_MS) as i32;
    let (first, last) = (case.view.days[case.from].index, case.view.days[case.to].index);
    let gaps = case.view.chains().flat_map(|(_, chain)| chain.gaps.iter());
    let silent = gaps.filter(|gap| gap.undeclared && gap.to_ms - gap.from_ms > SILENCE_MS);
    let days: Vec<i64> =
        silent.map(|gap| local(gap.from_ms, offset).0).filter(|day| (first..=last).contains(day)).collect();
    let (planned, watched) = case.view.days[case.from..=case.to].iter().fold((0, 0), |sum, day| {
        (sum.0 + u64::from(day.plan.minutes.count()), sum.1 + u64::from(day.gateway))
    });
    if planned == 0 {
        return Look::none("评价期内没有计划工时", "no planned time in the period");
    }
    let share = crate::assessment::ratio(watched, planned) * 100.0;
    let count = days.len();
    Look::ask(
        count > 0 || share < 90.0,
        format!("未申报的静默 {count} 次；网关在计划工时的 {share:.1}% 内运行"),
        format!("{count} silences that no record declares; the gateway ran in {share:.1} % of planned time"),
    )
    .of(planned, share)
    .days(days_of(case, days))
}
