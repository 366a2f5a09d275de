//! D34: accounts act without having signed in, where others do sign in.

use super::{Family, Look, Rule};
use crate::judge::Case;
use crate::metric::day_facts;

pub(super) const RULE: Rule = Rule {
    id: "D34",
    version: 1,
    family: Family::Coupling,
    name: ("绕过界面", "back door"),
    honest: &[
        ("客户端常驻不退出、登录跨日有效", "clients that stay signed in over days"),
        ("系统接口：请按接口账号登记", "interfaces: declare their accounts"),
    ],
    look,
};

fn look(case: &Case<'_>) -> Look {
    use std::collections::BTreeSet;

    use crate::history::Action;

    let mut signed: BTreeSet<(i64, [u8; 8])> = BTreeSet::new();
    let mut acted: BTreeSet<(usize, i64, [u8; 8])> = BTreeSet::new();
    for at in case.from..=case.to {
        let index = case.view.days[at].index;
        for day in case.view.agent_days(at, at) {
            let logins = day.uses.keys().filter(|key| key.action == Action::Login);
            signed.extend(logins.map(|key| (index, key.actor)));
        }
        acted.extend(case.view.days[at].acts.iter().map(|act| (at, index, act.actor)));
    }
    let known: BTreeSet<[u8; 8]> = signed.iter().map(|(_, actor)| *actor).collect();
    let judged: Vec<_> = acted.iter().filter(|(_, _, actor)| known.contains(actor)).collect();
    // An account that stays signed in over days is no back door: it never signs in daily.
    let daily = signed.len() * 3 >= judged.len();
    if judged.len() < 40 || !daily {
        return Look::none("日志中没有足够的登录记录", "logs do not hold enough sign-ins");
    }
    let without: BTreeSet<usize> = judged
        .iter()
        .filter(|(_, index, actor)| !signed.contains(&(*index, *actor)))
        .map(|(at, ..)| *at)
        .collect();
    let count = judged.iter().filter(|(_, index, actor)| !signed.contains(&(*index, *actor))).count();
    let share = count as f64 * 100.0 / judged.len() as f64;
    Look::ask(
        share > 50.0,
        format!("{} 个账号日中 {count} 个有关键业务动作而当天没有登录（{share:.1}%）", judged.len()),
        format!(
            "on {count} of {} days of an account there are key actions and no sign-in ({share:.1} %)",
            judged.len()
        ),
    )
    .of(judged.len() as u64, share)
    .days(day_facts(case, |at| without.contains(&at), |at| case.view.days[at].actions(None)))
}
