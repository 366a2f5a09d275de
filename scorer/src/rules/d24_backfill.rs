//! D24: actions that are dated long before they were first seen, on days on which they could have been seen.

use super::{Family, Look, Rule};
use crate::judge::Case;
use crate::metric::day_facts;

pub(super) const RULE: Rule = Rule {
    id: "D24",
    version: 2,
    family: Family::Human,
    name: ("补录", "entered afterwards"),
    honest: &[
        ("每周集中录入：不是实时使用，但不是造假", "entered once a week: not in real time, and not made up"),
        ("现场终端离线后同步", "terminals on the floor that synchronise later"),
        ("期初导入：请登记导入日", "opening data was brought in: declare the import days"),
    ],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let (late, all) = case.records.late;
    if all < 30 {
        return Look::none(
            format!("在线观测当天的关键业务动作不足 30 次（{all} 次）"),
            format!("fewer than 30 key actions dated on days that were watched live ({all})"),
        );
    }
    let share = late as f64 * 100.0 / all as f64;
    let (mut zh, mut en) = (
        format!("{all} 次关键业务动作中 {late} 次在其日期 3 个工作日之后才出现（{share:.1}%）"),
        format!(
            "{late} of {all} key actions appeared more than three working days after their date ({share:.1} %)"
        ),
    );
    let dateless = case.records.dateless;
    if dateless > 0 {
        zh += &format!("；补读的动作中 {dateless} 次只有日期、没有时刻");
        en += &format!("; {dateless} of those read back bear a date and no time of day");
    }
    Look::ask(share > 30.0, zh, en).of(all, share).days(day_facts(
        case,
        |at| case.view.days[at].acts.iter().any(|act| act.lag > 3),
        |at| case.view.days[at].acts.iter().filter(|act| act.lag > 3).map(|act| act.count).sum(),
    ))
}
