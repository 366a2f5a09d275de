//! D26: of what was promised little is used from week to week.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D26",
    version: 1,
    family: Family::Human,
    name: ("浅用", "shallow use"),
    honest: &[("分阶段上线计划", "a plan to go live in stages")],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let days: Vec<usize> = (case.from..=case.to).collect();
    let weeks: Vec<&[usize]> = days.chunks_exact(7).collect();
    if weeks.len() < 4 || case.modules.len() < 3 {
        return Look::none("不足 4 周或申报模块不足 3 个", "fewer than four weeks or three declared modules");
    }
    let live = |code: &str| {
        let module = crate::lists::Module::of(code);
        let used = |week: &&&[usize]| week.iter().any(|at| case.view.days[*at].actions(Some(module)) > 0);
        weeks.iter().filter(used).count() * 2 >= weeks.len()
    };
    let seen: Vec<_> = case.modules.iter().filter(|module| module.in_view).collect();
    if seen.is_empty() {
        return Look::none("没有一个申报模块可观测", "no declared module is in view");
    }
    let (used, all) = (seen.iter().filter(|module| live(&module.code)).count(), seen.len());
    let share = used as f64 * 100.0 / all as f64;
    Look::ask(
        share < 20.0,
        format!("可观测的 {all} 个申报模块中 {used} 个在半数以上的周有关键业务动作（{share:.1}%）"),
        format!("{used} of {all} declared modules in view have key actions in at least half of the weeks ({share:.1} %)"),
    )
    .of(weeks.len() as u64, share)
}
