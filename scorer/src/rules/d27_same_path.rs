//! D27: an account does the same at the same minutes as on another day.

use super::{Family, Look, Rule};
use crate::judge::Case;
use crate::metric::day_facts;

pub(super) const RULE: Rule = Rule {
    id: "D27",
    version: 1,
    family: Family::Human,
    name: ("路径雷同", "the same path again"),
    honest: &[("定时任务：请按接口账号登记", "scheduled tasks: declare their account as an interface")],
    look,
};

/// Minutes with actions from which on a day of an account may be compared.
const MINUTES: u32 = 5;

fn look(case: &Case<'_>) -> Look {
    use std::collections::BTreeMap;

    let (mut all, mut again) = (0_u64, 0_u64);
    let mut by_day: BTreeMap<usize, u64> = BTreeMap::new();
    let mut seen: BTreeMap<([u8; 8], Vec<i64>), usize> = BTreeMap::new();
    for at in case.from..=case.to {
        for (actor, minutes) in &case.view.days[at].minutes {
            if minutes.count() < MINUTES {
                continue;
            }
            all += 1;
            // From the first minute on: the same path an hour later is the same path.
            let path: Vec<i64> = (0..crate::DAY_MINUTES).filter(|minute| minutes.has(*minute)).collect();
            let path = path.iter().map(|minute| minute - path[0]).collect();
            if seen.insert((*actor, path), at).is_some() {
                again += 1;
                *by_day.entry(at).or_default() += 1;
            }
        }
    }
    if all < 20 {
        return Look::none(
            format!("有 5 个以上操作分钟的账号日不足 20 个（{all} 个）"),
            format!("fewer than 20 days of an account with five minutes of actions ({all})"),
        );
    }
    let share = again as f64 * 100.0 / all as f64;
    Look::ask_strongly(
        share > 20.0,
        format!("{all} 个账号日中 {again} 个与该账号另一天逐分钟相同（{share:.1}%）"),
        format!("{again} of {all} days of an account are minute by minute those of another ({share:.1} %)"),
    )
    .of(all, share)
    .days(day_facts(case, |at| by_day.contains_key(&at), |at| by_day.get(&at).copied().unwrap_or(0)))
}
