//! D08: what was opened on site does not match what was committed.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D08",
    version: 1,
    family: Family::Integrity,
    name: ("抽检不符", "opening does not match"),
    honest: &[("采集程序版本缺陷：请保留版本", "a fault of the program's version: keep the version")],
    look,
};

fn look(case: &Case<'_>) -> Look {
    super::drills(
        case,
        |drill| drill.kind == crate::project::DrillKind::Opening,
        "现场开示",
        "openings on site",
    )
}
