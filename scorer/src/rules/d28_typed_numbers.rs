//! D28: not computed on the server; the sentence says where it is.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D28",
    version: 1,
    family: Family::Human,
    name: ("编造数字", "made-up numbers"),
    honest: &[("按箱规报数", "quantities follow the size of a box")],
    look,
};

fn look(_: &Case<'_>) -> Look {
    Look::none(
        "数量不出厂：在网关现场开示后核对",
        "quantities do not leave the factory: they are opened and compared on site",
    )
}
