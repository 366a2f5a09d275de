//! D15: not computed on the server; the sentence says where it is.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D15",
    version: 1,
    family: Family::Machine,
    name: ("物理矛盾", "contradicts physics"),
    honest: &[("更换电表", "a meter was replaced")],
    look,
};

fn look(_: &Case<'_>) -> Look {
    Look::none(
        "数值不出厂：在网关现场开示后核对",
        "values do not leave the factory: they are opened and compared on site",
    )
}
