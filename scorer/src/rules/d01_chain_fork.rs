//! D01: two signed entries under one sequence number.

use super::{Family, Look, Rule};
use crate::judge::Case;
use crate::metric::days_of;

pub(super) const RULE: Rule = Rule {
    id: "D01",
    version: 1,
    family: Family::Integrity,
    name: ("链分叉", "forked chain"),
    honest: &[(
        "网关由磁盘映像恢复：仍需说明",
        "the gateway was restored from a disk image: still to be explained",
    )],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let forks: Vec<(i64, u64)> =
        case.view.chains().flat_map(|(_, chain)| chain.forks.iter().copied()).collect();
    let count = forks.len() as u64;
    let days = days_of(case, forks.iter().map(|(day, _)| *day));
    let look = match count {
        0 => Look::ask(false, "没有同序号的两条记录", "no two entries under one sequence number"),
        _ => Look::ask(
            true,
            format!("{count} 条记录与同序号的另一条并存：同一密钥在两处签名"),
            format!(
                "{count} entries stand beside another of their sequence: one key has signed in two places"
            ),
        ),
    };
    look.of(case.view.history.windows(), count as f64).days(days)
}
