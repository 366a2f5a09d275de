//! D20: not computed on the server; the sentence says where it is.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D20",
    version: 1,
    family: Family::Human,
    name: ("整秒点击", "clicks on the second"),
    honest: &[("平板成批同步", "tablets that synchronise in batches")],
    look,
};

fn look(_: &Case<'_>) -> Look {
    Look::none("秒级时间不出厂", "seconds do not leave the factory")
}
