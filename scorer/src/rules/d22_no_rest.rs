//! D22: people who never rest.

use super::{Family, Look, Rule};
use crate::judge::Case;
use crate::metric::day_facts;

pub(super) const RULE: Rule = Rule {
    id: "D22",
    version: 1,
    family: Family::Human,
    name: ("无休", "no rest"),
    honest: &[(
        "连续生产、轮班的企业：请按实际登记班次",
        "continuous production in shifts: declare the shifts as they are",
    )],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let (mut off, mut on) = ((0_u64, 0_u32), (0_u64, 0_u32));
    for at in case.from..=case.to {
        let day = &case.view.days[at];
        let side = if day.plan.working { &mut on } else { &mut off };
        if day.plan.stop.is_none() && day.gateway_up {
            side.0 += day.actions(None);
            side.1 += 1;
        }
    }
    if off.1 < 8 || on.1 < 30 || on.0 < 100 {
        return Look::none(
            format!("样本不足：已观测休息日 {} 天（需 8 天）、工作日 {} 天（需 30 天）", off.1, on.1),
            format!(
                "sample too small: {} days off observed (8 needed), {} working days (30 needed)",
                off.1, on.1
            ),
        );
    }
    let rate = |side: (u64, u32)| side.0 as f64 / f64::from(side.1);
    let ratio = rate(off) / rate(on);
    Look::ask(
        ratio > 0.9,
        format!(
            "休息日每天 {:.1} 次关键业务动作，工作日每天 {:.1} 次（比值 {ratio:.2}）",
            rate(off),
            rate(on)
        ),
        format!(
            "{:.1} key actions on a day off, {:.1} on a working day (ratio {ratio:.2})",
            rate(off),
            rate(on)
        ),
    )
    .of(off.0 + on.0, ratio)
    .days(day_facts(case, |at| !case.view.days[at].plan.working, |at| case.view.days[at].actions(None)))
}
