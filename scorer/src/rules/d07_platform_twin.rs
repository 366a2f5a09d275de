//! D07: gateways of two firms on one machine. It needs the whole ledger: `crate::cross`.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D07",
    version: 1,
    family: Family::CrossSite,
    name: ("同机异厂", "one machine, two firms"),
    honest: &[("两家企业共用一个机房", "two firms share a server room")],
    look,
};

fn look(_: &Case<'_>) -> Look {
    Look::none("需与台账中其他企业比对", "needs the other firms of the ledger")
}
