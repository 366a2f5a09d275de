//! D33: firms of one provider whose use has one pattern. It needs the whole ledger: `crate::cross`.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D33",
    version: 1,
    family: Family::CrossSite,
    name: ("同商模板", "template twin"),
    honest: &[("同行业同节奏", "the same trade has the same rhythm")],
    look,
};

fn look(_: &Case<'_>) -> Look {
    Look::none("需与台账中其他企业比对", "needs the other firms of the ledger")
}
