//! D23: one account does it all, or several accounts never act at the same time.

use super::{Family, Look, Rule};
use crate::judge::Case;
use crate::metric::day_facts;

pub(super) const RULE: Rule = Rule {
    id: "D23",
    version: 2,
    family: Family::Human,
    name: ("一人包办", "one hand"),
    honest: &[
        ("五人以下的小企业", "a firm of five people or fewer"),
        ("各岗位分班工作", "the posts work in different shifts"),
    ],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let (top, all) = case.usage.top();
    if all < 100 {
        return Look::none(
            format!("关键业务动作不足 100 次（{all} 次）"),
            format!("fewer than 100 key actions ({all})"),
        );
    }
    let share = top as f64 * 100.0 / all as f64;
    let alone = share > 80.0 && case.view.project.seats >= 5;
    let turns = Turns::count(case);
    let one_person = turns.expected >= 15.0 && turns.seen * 5.0 < turns.expected;
    let (mut zh, mut en) = (
        format!("最忙账号占 {share:.1}%（申报席位 {}）", case.view.project.seats),
        format!("the busiest account has {share:.1} % (seats declared: {})", case.view.project.seats),
    );
    if turns.expected >= 15.0 {
        zh += &format!(
            "；不同账号在相邻两分钟内都有动作 {:.0} 次，若各自独立应有 {:.0} 次",
            turns.seen, turns.expected
        );
        en += &format!(
            "; different accounts acted within two minutes of each other {:.0} times, {:.0} would be expected of several people",
            turns.seen, turns.expected
        );
    }
    let (relays, crowded) = relays(case);
    let in_turns = relays >= 10 && relays * 2 > crowded;
    if crowded > 0 {
        zh +=
            &format!("；{crowded} 天有 4 个以上账号各自多次动作，其中 {relays} 天所有账号依次进行、互不交错");
        en += &format!(
            "; on {crowded} days four accounts or more acted repeatedly, on {relays} of them one after the other, never at the same time"
        );
    }
    Look::ask(alone || one_person || in_turns, zh, en)
        .of(all, if one_person { turns.seen / turns.expected } else { share })
        .days(day_facts(
            case,
            |at| !case.view.days[at].acts.is_empty(),
            |at| case.view.days[at].minutes.len() as u64,
        ))
}

/// Days on which four accounts or more had several minutes with actions, all within four hours, and of these the days on
/// which no two of them overlap.
fn relays(case: &Case<'_>) -> (u32, u32) {
    const ACCOUNTS: usize = 4;
    const HOURS: i64 = 4;
    let (mut relays, mut crowded) = (0, 0);
    for day in &case.view.days[case.from..=case.to] {
        let mut spans: Vec<(i64, i64)> = day
            .minutes
            .values()
            .filter(|minutes| minutes.count() >= 2)
            .filter_map(|minutes| {
                let has = |minute: &i64| minutes.has(*minute);
                Some(((0..crate::DAY_MINUTES).find(has)?, (0..crate::DAY_MINUTES).rev().find(has)?))
            })
            .collect();
        spans.sort_unstable();
        let (Some((first, _)), Some(last)) = (spans.first(), spans.iter().map(|(_, last)| *last).max())
        else {
            continue;
        };
        if spans.len() < ACCOUNTS || last - first > HOURS * 60 {
            continue;
        }
        crowded += 1;
        relays += u32::from(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0));
    }
    (relays, crowded)
}

/// How often two accounts act within two minutes of each other, on the same days and with days exchanged.
struct Turns {
    seen: f64,
    expected: f64,
}

impl Turns {
    /// Days exchanged for the comparison.
    const SHIFTS: usize = 10;

    fn count(case: &Case<'_>) -> Self {
        use std::collections::BTreeMap;

        use crate::minutes::Minutes;

        let working = (case.from..=case.to).filter(|at| case.view.days[*at].plan.working);
        let days: Vec<&BTreeMap<[u8; 8], Minutes>> = working.map(|at| &case.view.days[at].minutes).collect();
        let mut turns = Self { seen: 0.0, expected: 0.0 };
        if days.len() < 20 {
            return turns;
        }
        let around: Vec<Vec<([u8; 8], Minutes)>> = days
            .iter()
            .map(|day| day.iter().map(|(actor, minutes)| (*actor, minutes.around(1))).collect())
            .collect();
        let meet = |shift: usize| -> u32 {
            let day = |(at, day): (usize, &&BTreeMap<[u8; 8], Minutes>)| -> u32 {
                let other = &around[(at + shift) % days.len()];
                let pairs = day.iter().flat_map(|(actor, minutes)| {
                    other
                        .iter()
                        .filter(move |(other, _)| other > actor)
                        .map(move |(_, near)| minutes.and(near).count())
                });
                pairs.sum()
            };
            days.iter().enumerate().map(day).sum()
        };
        turns.seen = f64::from(meet(0));
        let others: u32 = (1..=Self::SHIFTS).map(meet).sum();
        turns.expected = f64::from(others) / Self::SHIFTS as f64;
        turns
    }
}
