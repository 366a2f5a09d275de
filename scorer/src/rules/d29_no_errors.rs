//! D29: not computed on the server; the sentence says where it is.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D29",
    version: 1,
    family: Family::Human,
    name: ("零差错", "no errors"),
    honest: &[("界面不允许修改", "a screen that allows no correction")],
    look,
};

fn look(_: &Case<'_>) -> Look {
    Look::none("需 30 家以上同类企业作比较", "needs 30 firms of the same kind to compare with")
}
