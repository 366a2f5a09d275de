//! One gateway's chain: whether each entry follows the one before, and what is in it.

use std::collections::{BTreeMap, BTreeSet};

use proof::log::{Outcome, Receipt};
use proof::payload::{Header, Payload};
use proof::{AgentId, EntryId, Envelope};

use super::{Checking, Mark, clock};

/// What was found of one gateway's chain.
#[derive(Default)]
pub(super) struct Chain {
    /// By sequence: entry id and the one before it.
    entries: BTreeMap<u64, BTreeMap<EntryId, EntryId>>,
    windows: usize,
    outages: usize,
    labels: usize,
    /// Days' sums: the entry, first and last window, and how many windows it says there are between.
    digests: Vec<(u64, u64, u64, u32)>,
    /// Sequences of its windows.
    sealed: BTreeSet<u64>,
    /// Openings that it names.
    opened: usize,
    rotations: usize,
    others: usize,
    conflicts: usize,
    findings: usize,
    /// Windows by how late they were received: 30 minutes, 48 hours, 7 days, later.
    grades: [usize; 4],
    from_ms: Option<i64>,
    to_ms: Option<i64>,
}

impl Chain {
    pub(super) fn take(&mut self, envelope: &Envelope, header: &Header, receipt: Option<&Receipt>) {
        self.entries.entry(header.seq).or_default().insert(envelope.id(), header.prev);
        match receipt.map(|receipt| receipt.entry.outcome) {
            Some(Outcome::Finding) => self.findings += 1,
            Some(Outcome::Conflict) => self.conflicts += 1,
            Some(Outcome::Recorded | Outcome::Unspecified) | None => {}
        }
        match Payload::parse(envelope.kind(), envelope.payload()) {
            Ok(Payload::Window(window)) => {
                self.windows += 1;
                self.sealed.insert(header.seq);
                let end_ms = window.start_ms.saturating_add(window.length_ms.into());
                self.from_ms = Some(self.from_ms.map_or(window.start_ms, |from| from.min(window.start_ms)));
                self.to_ms = Some(self.to_ms.map_or(end_ms, |to| to.max(end_ms)));
                if let Some(receipt) = receipt {
                    let late_ms = receipt.entry.recv_ms.saturating_sub(end_ms);
                    let limits = [30 * 60_000, 48 * 3_600_000, 7 * 86_400_000];
                    let in_doubt = receipt.entry.outcome == Outcome::Conflict || late_ms < -15 * 60_000;
                    let grade = limits.iter().position(|limit| late_ms <= *limit && !in_doubt).unwrap_or(3);
                    self.grades[grade] += 1;
                }
            }
            Ok(Payload::Outage(_)) => self.outages += 1,
            Ok(Payload::Label(_)) => self.labels += 1,
            Ok(Payload::Digest(digest)) => {
                self.digests.push((header.seq, digest.from_seq, digest.to_seq, digest.windows));
            }
            Ok(Payload::Opened(_)) => self.opened += 1,
            Ok(Payload::Rotate(_)) => self.rotations += 1,
            Ok(Payload::Manifest(_) | Payload::Unknown(_)) | Err(_) => self.others += 1,
        }
    }
}

impl Chain {
    /// Digests that say another number of windows than there are between their ends, digests of windows that one before
    /// them is of, and windows before the last digest's end that none is of. What is not at hand is no contradiction.
    fn sums(&self) -> (Vec<u64>, Vec<u64>, usize) {
        let (mut wrong, mut twice, mut of) = (Vec::new(), Vec::new(), BTreeSet::<u64>::new());
        let mut summed_to = 0;
        for (seq, from, to, windows) in &self.digests {
            let within = self.sealed.range(from..=to);
            let all = self.entries.range(from..=to).count() as u64 == to - from + 1;
            if all && within.clone().count() != *windows as usize {
                wrong.push(*seq);
            }
            if *from <= summed_to {
                twice.push(*seq);
            }
            summed_to = summed_to.max(*to);
            of.extend(within);
        }
        let in_none = self.sealed.range(..=summed_to).count() - of.len();
        (wrong, twice, in_none)
    }
}

impl Checking<'_> {
    fn sums(&mut self, agent: AgentId, chain: &Chain) {
        let (wrong, twice, in_none) = chain.sums();
        if !wrong.is_empty() {
            self.report.say(
                Mark::Says,
                format!("网关 {agent} 的日汇总 {wrong:?} 所称窗口数与链上不符"),
                format!("gateway {agent}: the days' sums {wrong:?} say another number of windows than the chain has"),
            );
        }
        if !twice.is_empty() {
            self.report.say(
                Mark::Says,
                format!("网关 {agent} 的日汇总 {twice:?} 包含此前已汇总的窗口"),
                format!(
                    "gateway {agent}: the days' sums {twice:?} are of windows that were summed up before"
                ),
            );
        }
        if in_none > 0 {
            self.report.say(
                Mark::Says,
                format!("网关 {agent} 有 {in_none} 个窗口不在任何日汇总内（汇总前程序异常退出）"),
                format!(
                    "gateway {agent}: {in_none} windows are in no day's sums (the agent was killed before)"
                ),
            );
        }
    }

    /// Each follows the one before it, and none is missing between the first and the last.
    pub(super) fn chain(&mut self, agent: AgentId, chain: &Chain) {
        let (Some((first, _)), Some((last, _))) =
            (chain.entries.first_key_value(), chain.entries.last_key_value())
        else {
            self.report.say(
                Mark::Missing,
                format!("网关 {agent} 没有任何信封"),
                format!("gateway {agent} has no envelope"),
            );
            return;
        };
        let mut links_hold = true;
        let mut missing = Vec::new();
        let mut before: Option<(u64, &BTreeMap<EntryId, EntryId>)> = None;
        for (seq, entries) in &chain.entries {
            match before {
                Some((known, ids)) if known + 1 == *seq => {
                    for prev in entries.values().filter(|prev| !ids.contains_key(*prev)) {
                        links_hold = false;
                        self.report.wrong(
                            format!("网关 {agent} 序号 {seq} 所接的前一记录 {prev} 不是序号 {known} 的记录"),
                            format!("entry {seq} of gateway {agent} follows {prev}, which is not its entry {known}"),
                        );
                    }
                }
                Some((known, _)) => missing.push((known + 1, seq - 1)),
                None => {}
            }
            if entries.len() > 1 {
                self.report.say(
                    Mark::Missing,
                    format!(
                        "网关 {agent} 序号 {seq} 有 {} 条不同记录（分叉），任何一条都不单独作为依据",
                        entries.len()
                    ),
                    format!(
                        "gateway {agent} has {} entries of sequence {seq} (a fork): none decides alone",
                        entries.len()
                    ),
                );
            }
            before = Some((*seq, entries));
        }
        for (from, to) in missing {
            self.report.say(
                Mark::Missing,
                format!("网关 {agent} 缺少序号 {from} 至 {to}"),
                format!("gateway {agent} lacks sequences {from} to {to}"),
            );
        }
        if links_hold {
            self.report.say(
                Mark::Holds,
                format!("网关 {agent}：序号 {first} 至 {last} 前后相接"),
                format!("gateway {agent}: sequences {first} to {last} follow each other"),
            );
        }
        if *first > 1 {
            self.report.say(
                Mark::Says,
                format!("网关 {agent} 的证据从序号 {first} 开始，此前的不在包内"),
                format!(
                    "the evidence of gateway {agent} begins at sequence {first}; what was before is not in it"
                ),
            );
        }
        let [a, b, c, d] = chain.grades;
        let Chain {
            windows, outages, labels, digests, opened, rotations, others, conflicts, findings, ..
        } = chain;
        self.sums(agent, chain);
        let digests = digests.len();
        let span = match (chain.from_ms, chain.to_ms) {
            (Some(from), Some(to)) => format!("{} – {}", clock(from), clock(to)),
            _ => "—".to_owned(),
        };
        self.report.say(
            Mark::Says,
            format!(
                "网关 {agent}：窗口 {windows}（A {a}、B {b}、C {c}、D {d}），中断声明 {outages}，说明 {labels}，日汇总 {digests}，开示 {opened}，换钥 {rotations}，其他 {others}；\
                 台账有发现 {findings}、冲突 {conflicts}；声称时间（北京时间）{span}"
            ),
            format!(
                "gateway {agent}: {windows} windows (A {a}, B {b}, C {c}, D {d}), {outages} outages, {labels} labels, {digests} days' sums, {opened} openings, {rotations} rotations of its key, {others} others; \
                 the ledger found something in {findings} and a conflict in {conflicts}; claimed time (UTC+8) {span}"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_other_windows_than_there_are_of_some_twice_and_of_some_never_are_told() {
        let entries = (1..=20).map(|seq| (seq, BTreeMap::new())).collect();
        let of = |digests: &[(u64, u64, u64, u32)]| {
            let sealed = (1..=18).filter(|seq| ![5, 10].contains(seq)).collect();
            Chain {
                entries: BTreeMap::clone(&entries),
                sealed,
                digests: digests.to_vec(),
                ..Chain::default()
            }
            .sums()
        };
        assert_eq!(of(&[]), (vec![], vec![], 0));
        assert_eq!(of(&[(5, 1, 4, 4), (10, 6, 9, 4)]), (vec![], vec![], 0));
        assert_eq!(of(&[(5, 2, 4, 3), (10, 6, 9, 3)]), (vec![10], vec![], 1));
        assert_eq!(of(&[(5, 1, 4, 4), (10, 3, 9, 6)]), (vec![], vec![10], 0));
        // Not all of them are at hand.
        assert_eq!(of(&[(30, 15, 29, 12)]), (vec![], vec![], 12));
    }
}
