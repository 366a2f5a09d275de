//! D30: people's actions have nothing to do with what machines did.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D30",
    version: 1,
    family: Family::Coupling,
    name: ("机、账不符", "uncoupled"),
    honest: &[
        (
            "班末集中录入：不是实时，但不是造假",
            "keyed in at the end of the shift: not in real time, and not made up",
        ),
        ("办公室单据与设备启停无关", "office papers have nothing to do with machines"),
    ],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let coupling = &case.coupling;
    let Some(z) = coupling.z else {
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
