//! A firm's ledger entries, folded one at a time into day-sized tallies.
//!
//! Folding is cheap and never looks back: a server keeps the [`History`] and pushes what is new, in chain order for
//! each gateway. What an entry claims is kept apart by grade, so that assessing can leave out what must not decide.
//! The tallies know nothing of the project but its clock: editing shifts, stops or dates needs no new folding.
//!
//! Bounds: window lengths, minute bits, source and point indices and dates come from outside and are cut or left out
//! (and counted) where they make no sense.

use std::collections::BTreeMap;

use proof::wire::{self, Outcome, SourceKind};
use proof::{AgentId, Cause};

use crate::before::Before;
use crate::grade::Grade;

mod chain;
mod clock;
mod day;
mod said;
mod signals;
mod sources;

pub(crate) use chain::Chain;
pub(crate) use day::{Action, AgentDay, Slots, UseKey};
pub(crate) use said::{Change, Said};
pub(crate) use signals::{PointDay, SLOTS, Texture, UNKNOWN};
pub use sources::SourceKey;
pub(crate) use sources::SourceView;

/// One entry of the ledger.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Sequence number in the gateway's chain.
    pub seq: u64,
    /// When the server received it, Unix ms.
    pub recv_ms: i64,
    /// How the ledger recorded it.
    pub outcome: Outcome,
    /// Names of the ledger's findings: `clock_ahead`, `anchor_unknown` …
    pub findings: &'a [String],
    /// What it says.
    pub content: Content<'a>,
}

/// What an entry says.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// A window and, where they came and their digest held, its use rows.
    Window {
        /// The window.
        window: &'a wire::Window,
        /// Its use rows.
        use_rows: Option<&'a wire::UseRows>,
    },
    /// A new manifest.
    Manifest(&'a wire::ManifestBody),
    /// The first record after a silence.
    Outage(&'a wire::Outage),
    /// A day's sums.
    Digest(&'a wire::Digest),
    /// What somebody says of a silence or a stretch of time.
    Label(&'a wire::Label),
    /// A kind the scorer does not look into.
    Other,
}

/// All that was folded of one firm.
#[derive(Debug, Clone, Default)]
pub struct History {
    offset_minutes: i32,
    chains: BTreeMap<AgentId, Chain>,
}

impl History {
    /// Nothing yet. `utc_offset_minutes` is the project's.
    pub fn new(utc_offset_minutes: i32) -> Self {
        Self { offset_minutes: utc_offset_minutes.clamp(-1_440, 1_440), chains: BTreeMap::new() }
    }

    /// Folds the next entry of `agent`'s chain. Entries of one gateway come in order of their sequence numbers; one
    /// that was folded already is ignored, so a server may start again from an entry it is not sure of.
    pub fn push(&mut self, agent: AgentId, entry: &Entry<'_>) {
        self.chains.entry(agent).or_default().fold(entry, self.offset_minutes);
    }

    /// The last sequence number folded of this gateway, 0 where there is none.
    pub fn last_seq(&self, agent: AgentId) -> u64 {
        self.chains.get(&agent).map_or(0, |chain| chain.last_seq)
    }

    /// Windows folded so far.
    pub fn windows(&self) -> u64 {
        self.chains.values().map(|chain| chain.windows).sum()
    }

    /// What stays of the source that a gateway's newest manifest gives this index, whatever the next one numbers it.
    pub fn source(&self, agent: AgentId, index: u32) -> Option<SourceKey> {
        self.chains.get(&agent)?.sources.in_force(index)
    }

    /// The index and kind that a source has, or had before it was taken out; `None` where the index is another's now.
    pub fn numbered(&self, agent: AgentId, source: SourceKey) -> Option<(u32, SourceKind)> {
        let sources = &self.chains.get(&agent)?.sources;
        let index = sources.get(source)?.index;
        sources.meant(index).filter(|(key, _)| *key == source).map(|(_, view)| (index, view.kind))
    }

    /// Puts what the gateway's baseline says beside its chain. Whoever calls has checked it against the log's hash.
    pub fn set_before(&mut self, agent: AgentId, before: Before) {
        self.chains.entry(agent).or_default().before = Some(before);
    }

    pub(crate) fn chains(&self) -> &BTreeMap<AgentId, Chain> {
        &self.chains
    }

    pub(crate) fn offset_ms(&self) -> i64 {
        i64::from(self.offset_minutes) * crate::MINUTE_MS
    }
}

/// The local day (days since 1970-01-01) and minute of a moment.
pub(crate) fn local(at_ms: i64, offset_minutes: i32) -> (i64, i64) {
    let minute = at_ms.div_euclid(crate::MINUTE_MS).saturating_add(i64::from(offset_minutes));
    (minute.div_euclid(crate::DAY_MINUTES), minute.rem_euclid(crate::DAY_MINUTES))
}

/// Calls `put` with day and minutes `from..to` of each local day that `from_ms..to_ms` touches, at most 60 days.
fn each_day(from_ms: i64, to_ms: i64, offset_minutes: i32, mut put: impl FnMut(i64, i64, i64)) {
    let (first, from) = local(from_ms, offset_minutes);
    let (last, to) = local(to_ms, offset_minutes);
    for day in first..=last.min(first.saturating_add(60)) {
        let start = if day == first { from } else { 0 };
        let end = if day == last { to } else { crate::DAY_MINUTES };
        if start < end {
            put(day, start, end);
        }
    }
}

/// The letter's cause.
pub(crate) fn cause(letter: u32) -> Cause {
    Cause::of_letter(letter)
}

/// The grade of a window's entry.
pub(crate) fn grade(entry: &Entry<'_>, window: &wire::Window) -> Grade {
    let end = window.start_ms.saturating_add(i64::from(window.length_ms));
    Grade::of(entry.recv_ms, end, entry.outcome, entry.findings)
}
