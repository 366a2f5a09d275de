//! D32: what is declared as new was there before the contract.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D32",
    version: 1,
    family: Family::Integrity,
    name: ("新瓶旧酒", "old wine"),
    honest: &[
        ("正当升级：对照承诺的新模块", "a legitimate upgrade: compare the modules that were promised"),
        ("旧系统日志仍在原目录", "the old system's logs lie in the same folder"),
    ],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let contract = case.view.project.dates.contract;
    let mut told = 0;
    let mut earliest = None;
    for (_, chain) in case.view.chains() {
        let Some(before) = &chain.before else { continue };
        for (_, date) in before.logs.iter().chain(&before.builds) {
            told += 1;
            earliest = earliest.into_iter().chain(Some(*date)).min();
        }
    }
    let Some(earliest) = earliest else {
        return Look::none(
            "没有出示改造前基线，或其中没有日期",
            "no baseline was handed in, or it holds no date",
        );
    };
    let days = earliest.until((jiff::Unit::Day, contract)).map_or(0, |span| span.get_days());
    Look::ask(
        days > 30,
        format!("改造前基线：最早的日志记录或程序版本在 {earliest}，合同签订于 {contract}（相差 {days} 天）"),
        format!("baseline: the earliest log record or program build is of {earliest}, the contract of {contract} ({days} days between)"),
    )
    .of(told, f64::from(days))
}
