//! D35: what was tried on site failed.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D35",
    version: 1,
    family: Family::Integrity,
    name: ("现场演练失败", "drill failed"),
    honest: &[("操作失误：允许重做一次", "a slip of the hand: repeat once")],
    look,
};

fn look(case: &Case<'_>) -> Look {
    super::drills(
        case,
        |drill| drill.kind != crate::project::DrillKind::Opening,
        "现场演练",
        "drills on site",
    )
}
