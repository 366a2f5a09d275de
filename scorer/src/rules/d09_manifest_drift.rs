//! D09: what is watched was changed and nobody said why.

use super::{Family, Look, Rule};
use crate::history::Change;
use crate::judge::Case;
use crate::metric::days_of;

pub(super) const RULE: Rule = Rule {
    id: "D09",
    version: 1,
    family: Family::Integrity,
    name: ("监测点变更", "changed what is watched"),
    honest: &[("产线调整、设备更换：请登记说明", "a line was changed or a machine replaced: put a label")],
    look,
};

/// Days around a change within which a label explains it.
const NEAR_MS: i64 = 3 * 86_400_000;

fn look(case: &Case<'_>) -> Look {
    let (first, last) = (case.view.days[case.from].index, case.view.days[case.to].index);
    let offset = case.view.history.offset_ms();
    let mut odd = Vec::new();
    for (_, chain) in case.view.chains() {
        for change in chain.changes.iter().filter(|change| (first..=last).contains(&change.day)) {
            let ms = change.day * 86_400_000 - offset;
            let near = |label: &&crate::history::Said| {
                let (from, to) = label.time.unwrap_or((label.recv_ms, label.recv_ms));
                from <= ms + NEAR_MS + 86_400_000 && to >= ms - NEAR_MS
            };
            if !chain.labels.iter().any(|label| near(&label)) {
                odd.push(*change);
            }
        }
    }
    let removed = odd.iter().filter(|change| matches!(change.what, Change::Removed(_))).count();
    let moved = odd.len() - removed;
    let names: std::collections::BTreeSet<u32> = odd
        .iter()
        .map(|change| match change.what {
            Change::Removed(source) | Change::Renamed(source) | Change::Points(source) => source,
        })
        .collect();
    let list = names.iter().map(|source| format!("#{source}")).collect::<Vec<_>>().join(" ");
    Look::ask(
        !odd.is_empty(),
        format!("评价期内采集清单去掉来源 {removed} 次、改动地址或测点 {moved} 次，前后三天没有说明 {list}"),
        format!("the manifest dropped sources {removed} times and changed addresses or points {moved} times, with no label within three days {list}"),
    )
    .of(odd.len() as u64, odd.len() as f64)
    .days(days_of(case, odd.iter().map(|change| change.day)))
}
