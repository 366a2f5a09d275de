//! D06: the gateway was away just on days on which nothing was done.

use super::{Family, Look, Rule};
use crate::judge::Case;
use crate::metric::days_between;

pub(super) const RULE: Rule = Rule {
    id: "D06",
    version: 1,
    family: Family::Integrity,
    name: ("巧合缺口", "convenient gaps"),
    honest: &[
        (
            "停产日关灯断电：请登记为停产",
            "lights and power go off on days without work: declare them as stops",
        ),
        ("夜间节能", "power saving at night"),
    ],
    look,
};

/// Planned minutes lost, of all of a day's, that make it a day with a gap: a quarter.
const LOST: u32 = 4;

fn look(case: &Case<'_>) -> Look {
    let (mut gaps, mut idle_gaps, mut days, mut idle) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut of_gap = Vec::new();
    for at in (case.from..=case.to).filter(|at| case.view.is_observed(*at, None)) {
        let day = &case.view.days[at];
        let planned = day.plan.minutes.count();
        let is_idle = day.actions(None) == 0;
        days += 1;
        idle += u64::from(is_idle);
        if (planned - day.gateway.min(planned)) * LOST > planned {
            gaps += 1;
            idle_gaps += u64::from(is_idle);
            of_gap.push(at);
        }
    }
    if gaps < 4 || days < 20 {
        return Look::none(
            format!("网关缺席且日志可补读的工作日不足 4 天（{gaps} 天）"),
            format!(
                "fewer than four working days without the gateway on which the log could be read afterwards ({gaps})"
            ),
        );
    }
    let p = tail(gaps, idle_gaps, days, idle);
    Look::ask(
        p < 0.001,
        format!("网关缺席的 {gaps} 个工作日中 {idle_gaps} 天没有关键业务动作，全部 {days} 天中为 {idle} 天（p = {p:.4}）"),
        format!("no key action on {idle_gaps} of {gaps} working days without the gateway, on {idle} of all {days} (p = {p:.4})"),
    )
    .of(gaps, p)
    .days(days_between(case, case.from, case.to, |at| of_gap.contains(&at), |at| case.view.days[at].actions(None)))
}

/// Chance of at least `hits` idle days among `drawn` days, drawn from `all` of which `idle` are (hypergeometric).
fn tail(drawn: u64, hits: u64, all: u64, idle: u64) -> f64 {
    let choose =
        |n: u64, k: u64| -> f64 { (0..k.min(n)).map(|at| ((n - at) as f64 / (at + 1) as f64).ln()).sum() };
    let possible = |k: u64| k <= idle && drawn - k <= all - idle;
    let of = |k: u64| (choose(idle, k) + choose(all - idle, drawn - k) - choose(all, drawn)).exp();
    (hits..=drawn).filter(|k| possible(*k)).map(of).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_hypergeometric_one() {
        // Ten cards of which four are red, three drawn: all red 4/120, two or more 40/120.
        assert!((tail(3, 3, 10, 4) - 4.0 / 120.0).abs() < 1e-9);
        assert!((tail(3, 2, 10, 4) - 40.0 / 120.0).abs() < 1e-9);
        assert!((tail(3, 0, 10, 4) - 1.0).abs() < 1e-9);
    }
}
