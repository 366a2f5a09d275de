//! D25: much more just before the visit, or nothing before it.

use super::{Family, Look, Rule};
use crate::judge::Case;
use crate::metric::days_between;

pub(super) const RULE: Rule = Rule {
    id: "D25",
    version: 1,
    family: Family::Human,
    name: ("验收前突击", "burst before the visit"),
    honest: &[
        ("订单旺季：对照设备运行时间", "a busy season: compare with machine hours"),
        ("刚上线", "a recent start"),
    ],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let Some((count, index)) = case.burst.as_ref().and_then(|count| Some((count, count.index(&case.view)?)))
    else {
        return Look::none("样本不足，不计算突击使用指数", "sample too small for the burst index");
    };
    let limit = case.view.profile.threshold(crate::MetricId::M20).map_or(3.0, |threshold| threshold.amber);
    Look::ask(
        index > limit,
        format!(
            "末 {} 个工作日 {} 次，此前 {} 个工作日 {} 次（指数 {index:.1}）",
            count.recent_days, count.recent, count.base_days, count.base
        ),
        format!(
            "{} in the last {} working days, {} in the {} before (index {index:.1})",
            count.recent, count.recent_days, count.base, count.base_days
        ),
    )
    .of(count.recent + count.base, index)
    .days(days_between(
        case,
        count.recent_from,
        count.until,
        |at| case.view.days[at].plan.working,
        |at| case.view.days[at].actions(None),
    ))
    .chart(weeks(case, count.base_from, count.until))
}

/// Key actions by week.
fn weeks(case: &Case<'_>, from: usize, to: usize) -> Vec<(String, f64)> {
    let days: Vec<usize> = (from..=to).collect();
    let week = |days: &[usize]| {
        (
            case.date(days[0]).to_string(),
            days.iter().map(|at| case.view.days[*at].actions(None)).sum::<u64>() as f64,
        )
    };
    days.chunks(7).map(week).collect()
}
