//! D04: evidence that came more than two days after what it claims.

use super::{Family, Look, Rule};
use crate::judge::Case;
use crate::metric::days_between;

pub(super) const RULE: Rule = Rule {
    id: "D04",
    version: 1,
    family: Family::Integrity,
    name: ("迟交", "handed in late"),
    honest: &[
        ("农村 4G 等弱网", "weak mobile network"),
        ("网关离线后一次补报", "a gateway that was off line and reported at once"),
    ],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let of = |at: usize| {
        let days = case.view.agent_days(at, at);
        days.fold((0, 0), |sum, day| {
            (sum.0 + day.windows[2] + day.windows[3], sum.1 + day.windows.iter().sum::<u64>())
        })
    };
    let days: Vec<(usize, (u64, u64))> = (case.from..=case.to).map(|at| (at, of(at))).collect();
    let all = days.iter().filter(|(_, (_, all))| *all > 0).count();
    let late = days.iter().filter(|(_, (late, all))| *late * 2 > *all).count();
    if all < 20 {
        return Look::none(
            format!("有窗口的日子不足 20 天（{all} 天）"),
            format!("fewer than 20 days with windows ({all})"),
        );
    }
    let share = late as f64 * 100.0 / all as f64;
    Look::ask(
        share > 10.0,
        format!("{all} 天中 {late} 天的证据多数在 48 小时以后收到（{share:.1}%）"),
        format!("on {late} of {all} days most of the evidence was received after more than 48 hours ({share:.1} %)"),
    )
    .of(all as u64, share)
    .days(days_between(case, case.from, case.to, |at| of(at).0 > 0, |at| of(at).0))
}
