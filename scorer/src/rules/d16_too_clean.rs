//! D16: not computed on the server; the sentence says where it is.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D16",
    version: 1,
    family: Family::Machine,
    name: ("过于干净", "too clean"),
    honest: &[("全新的产线", "a very new line")],
    look,
};

fn look(_: &Case<'_>) -> Look {
    Look::none("需 30 家以上同类企业作比较", "needs 30 firms of the same kind to compare with")
}
