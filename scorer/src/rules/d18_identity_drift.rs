//! D18: not computed on the server; the sentence says where it is.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D18",
    version: 1,
    family: Family::Machine,
    name: ("设备身份变化", "identity of a device changed"),
    honest: &[("固件升级", "a firmware update")],
    look,
};

fn look(_: &Case<'_>) -> Look {
    Look::none(
        "设备身份留在网关：现场用 inuse-agent baseline --now 核对",
        "identities stay on the gateway: compare on site with inuse-agent baseline --now",
    )
}
