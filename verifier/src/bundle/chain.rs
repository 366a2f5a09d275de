//! One gateway's chain: whether each entry follows the one before, and what is in it.

use std::collections::BTreeMap;

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
    /// Days' sums.
    digests: usize,
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
            Ok(Payload::Digest(_)) => self.digests += 1,
            Ok(Payload::Opened(_)) => self.opened += 1,
            Ok(Payload::Rotate(_)) => self.rotations += 1,
            Ok(Payload::Manifest(_) | Payload::Unknown(_)) | Err(_) => self.others += 1,
        }
    }
}

impl Checking<'_> {
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
