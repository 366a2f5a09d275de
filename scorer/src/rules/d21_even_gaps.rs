//! D21: actions that follow each other like a clock.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D21",
    version: 1,
    family: Family::Human,
    name: ("节奏均匀", "even pace"),
    honest: &[("流水线扫码：请按设备账号登记", "scanning on a line: declare it as a device's account")],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let (even, all) = case.records.even;
    if all < 20 {
        return Look::none(
            format!("人工记录足够多的窗口不足 20 个（{all} 个）"),
            format!("fewer than 20 windows with enough records of people ({all})"),
        );
    }
    let share = even as f64 * 100.0 / all as f64;
    Look::ask(
        share > 50.0,
        format!("{all} 个窗口中 {even} 个的人工记录间隔几乎相等（变异系数 < 0.2，{share:.1}%）"),
        format!("in {even} of {all} windows the gaps between people's records are almost equal (variation < 0.2, {share:.1} %)"),
    )
    .of(all, share)
}
