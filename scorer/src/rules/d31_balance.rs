//! D31: reports and machines grow apart.

use super::{Family, Look, Rule};
use crate::judge::Case;
use crate::metric::day_facts;

pub(super) const RULE: Rule = Rule {
    id: "D31",
    version: 1,
    family: Family::Coupling,
    name: ("量价不平", "out of balance"),
    honest: &[
        ("产品结构变化", "another mix of products"),
        ("设备空转调试", "machines running idle while they are set up"),
    ],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let pairs = &case.reports;
    if pairs.len() < 20 {
        return Look::none(
            format!("有报工且能看到设备运行的班次不足 20 个（{} 个）", pairs.len()),
            format!("fewer than 20 shifts with reports and machines in view ({})", pairs.len()),
        );
    }
    let without = pairs.iter().filter(|(_, ran)| !*ran).count();
    let share = without as f64 * 100.0 / pairs.len() as f64;
    Look::ask(
        share > 60.0,
        format!("{} 个有报工的班次中 {without} 个没有设备运行（{share:.1}%）", pairs.len()),
        format!(
            "no machine ran in {without} of {} shifts with production reports ({share:.1} %)",
            pairs.len()
        ),
    )
    .of(pairs.len() as u64, share)
    .days(day_facts(
        case,
        |at| pairs.iter().any(|(day, ran)| *day == at && !*ran),
        |at| pairs.iter().filter(|(day, ran)| *day == at && !*ran).count() as u64,
    ))
}
