//! D30: people's actions have nothing to do with what machines did.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D30",
    version: 2,
    family: Family::Coupling,
    name: ("机、账不符", "uncoupled"),
    honest: &[
        (
            "班末集中录入：不是实时，但不是造假",
            "keyed in at the end of the shift: not in real time, and not made up",
        ),
        ("办公室单据与设备启停无关", "office papers have nothing to do with machines"),
        ("连续生产的设备很少启停", "machines of a continuous process hardly ever start or stop"),
    ],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let coupling = &case.coupling;
    let Some(z) = coupling.z else {
        if let Some(look) = never_stops(case) {
            return look;
        }
        return Look::none(
            format!("样本不足：{} 天 {} 个操作分钟（需 8 天 40 个）", coupling.days, coupling.events),
            format!(
                "sample too small: {} minutes with actions on {} days (40 on 8 needed)",
                coupling.events, coupling.days
            ),
        );
    };
    Look::ask(
        z < 3.0,
        format!("{} 天 {} 个操作分钟与设备启停的吻合程度比随机高 {z:.1} 个标准差（时差 {} 分钟）", coupling.days, coupling.events, coupling.lag),
        format!("{} minutes with actions on {} days fit the starts and stops of machines {z:.1} standard deviations better than chance (lag {} min)", coupling.events, coupling.days, coupling.lag),
    )
    .of(coupling.events, z)
}

/// Days of work, with reports of people beside them, from which on machines that never stop are odd.
const DAYS: usize = 20;

/// Machines that say they run, and never start or stop, while people report.
fn never_stops(case: &Case<'_>) -> Option<Look> {
    let working = (case.from..=case.to).filter(|at| case.view.days[*at].plan.working);
    let (mut ran, mut moved) = (0, 0);
    for at in working.filter(|at| !case.view.acted(*at).is_empty()) {
        let (running, edges) = case.view.machines(at);
        ran += usize::from(running.count() >= 600);
        moved += usize::from(!edges.is_empty());
    }
    (ran >= DAYS && moved * 10 < ran).then(|| {
        Look::ask(
            true,
            format!("有人工动作的 {ran} 天里设备一直在运行，其中只有 {moved} 天有启停：动作无从与设备对应"),
            format!("machines ran throughout on {ran} days with people's actions and started or stopped on {moved} of them: there is nothing that actions could belong to"),
        )
        .of(ran as u64, moved as f64)
    })
}
