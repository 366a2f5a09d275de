//! One firm's entries, folded: the scorer's history, the hours of each source, counts, and where in the log each day
//! lies.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use ledger::Entry;
use proof::wire::{self, Outcome, SourceKind};
use proof::{AgentId, Envelope, Payload};
use prost::Message as _;
use scorer::history::SourceKey;
use scorer::{Content, History};

use crate::chart::Hour;
use crate::figures::date;
use crate::source::{ChainFacts, MOST_LABELS, Names, Said, SourceStrip};

/// Days a source's hours are kept for: as many as an assessment shows.
const MOST_DAYS: usize = scorer::assessment::MAX_DAYS;

/// Days of one gateway that are indexed.
const MOST_INDEXED: usize = 4 * 366;

/// Entries of one gateway that follow each other in the log's order for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Place in the log of the first.
    pub(super) first: u64,
    /// How many of this gateway from there on.
    pub(super) count: u32,
}

/// Where one gateway's entries lie in the log, by local day: of what they claim, or of their receipt where they claim
/// no time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places {
    days: BTreeMap<Date, Vec<Run>>,
    last: Option<Date>,
}

impl Places {
    fn push(&mut self, day: Date, index: u64) {
        let follows = self.last == Some(day);
        self.last = Some(day);
        let runs = self.days.entry(day).or_default();
        match runs.last_mut() {
            Some(run) if follows => run.count = run.count.saturating_add(1),
            Some(_) | None => runs.push(Run { first: index, count: 1 }),
        }
        if self.days.len() > MOST_INDEXED {
            self.days.pop_first();
        }
    }

    pub(super) fn of_day(&self, day: Date) -> &[Run] {
        self.days.get(&day).map_or(&[], Vec::as_slice)
    }
}

/// Whose hours: a source that a manifest named, whatever its index, or a bare index of windows before any manifest.
type Of = Result<SourceKey, u32>;

#[derive(Debug, Clone, Default)]
struct Chain {
    names: Names,
    hours: BTreeMap<Of, BTreeMap<Date, [Hour; 24]>>,
    places: Arc<Places>,
    last_recv_ms: Option<i64>,
}

/// See the module's text.
pub(super) struct Fold {
    offset: i32,
    history: History,
    chains: BTreeMap<AgentId, Chain>,
    counts: ChainFacts,
}

impl Fold {
    pub(super) fn new(offset: i32) -> Self {
        Self { offset, history: History::new(offset), chains: BTreeMap::new(), counts: ChainFacts::default() }
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    pub(super) fn counts(&self) -> &ChainFacts {
        &self.counts
    }

    pub(super) fn last_recv_ms(&self, agent: AgentId) -> Option<i64> {
        self.chains.get(&agent).and_then(|chain| chain.last_recv_ms)
    }

    pub(super) fn names(&self) -> BTreeMap<AgentId, Names> {
        self.chains.iter().map(|(agent, chain)| (*agent, chain.names.clone())).collect()
    }

    pub(super) fn places(&self) -> impl Iterator<Item = (AgentId, Arc<Places>)> + '_ {
        self.chains.iter().map(|(agent, chain)| (*agent, Arc::clone(&chain.places)))
    }

    /// Each source by the index it has, or had before it was taken out. One whose index is another's now has no name
    /// left to be shown under; its days stay in the day pages and, where it was declared, in the assessment.
    pub(super) fn strips(&self) -> Vec<SourceStrip> {
        let mut strips = Vec::new();
        for (agent, chain) in &self.chains {
            for (of, days) in &chain.hours {
                let numbered = match of {
                    Ok(key) => self.history.numbered(*agent, *key),
                    Err(index) => Some((*index, SourceKind::Unspecified)),
                };
                let Some((source, kind)) = numbered else { continue };
                strips.push(SourceStrip { agent: *agent, source, kind, days: days.clone() });
            }
        }
        strips.sort_by_key(|strip| (strip.agent, strip.source));
        strips
    }

    /// Folds the next entry of the log.
    pub(super) fn push(&mut self, entry: &Entry) {
        let payload =
            Envelope::parse(&entry.envelope).ok().and_then(|e| Payload::parse(e.kind(), e.payload()).ok());
        let chain = self.chains.entry(entry.agent).or_default();
        chain.last_recv_ms = chain.last_recv_ms.max(Some(entry.recv_ms));
        for finding in &entry.findings {
            *self.counts.findings.entry(*finding).or_default() += 1;
        }
        let uses = entry.use_rows.as_deref().and_then(|bytes| wire::UseRows::decode(bytes).ok());
        let mut claimed = entry.recv_ms;
        let content = match &payload {
            Some(Payload::Window(window)) => {
                self.counts.windows += 1;
                claimed = window.start_ms;
                let history = &self.history;
                chain.hours(window, self.offset, |index| history.source(entry.agent, index).ok_or(index));
                Content::Window { window, use_rows: uses.as_ref() }
            }
            Some(Payload::Manifest(body)) => {
                self.counts.manifests += 1;
                chain.names = Names::of(body);
                Content::Manifest(body)
            }
            Some(Payload::Outage(outage)) => {
                self.counts.outages += 1;
                Content::Outage(outage)
            }
            Some(Payload::Label(label)) => {
                self.counts.say(entry, label);
                Content::Label(label)
            }
            Some(Payload::Digest(digest)) => {
                self.counts.digests += 1;
                Content::Digest(digest)
            }
            Some(Payload::Opened(_)) => {
                self.counts.openings += 1;
                Content::Other
            }
            Some(Payload::Rotate(_)) => {
                self.counts.rotations += 1;
                Content::Other
            }
            Some(Payload::Unknown(_)) | None => {
                self.counts.others += 1;
                Content::Other
            }
        };
        let findings: Vec<String> = entry.findings.iter().map(|finding| finding.name().to_owned()).collect();
        let folded = scorer::Entry {
            seq: entry.seq,
            recv_ms: entry.recv_ms,
            outcome: entry.outcome,
            findings: &findings,
            content,
        };
        self.history.push(entry.agent, &folded);
        if let Some(day) = date(claimed, self.offset).or_else(|| date(entry.recv_ms, self.offset)) {
            Arc::make_mut(&mut chain.places).push(day, entry.index);
        }
    }
}

impl ChainFacts {
    /// Keeps what a label says. One beside another entry of its sequence is under review, like that one, and says
    /// nothing yet.
    fn say(&mut self, entry: &Entry, label: &wire::Label) {
        self.labels += 1;
        let Some(said) = Said::of(entry, label).filter(|_| entry.outcome != Outcome::Conflict) else {
            return;
        };
        if self.said.len() >= MOST_LABELS {
            self.said.remove(0);
        }
        self.said.push(said);
    }
}

impl Chain {
    /// Adds a window's minutes to the hours of its sources. A window lies within one hour: it is aligned to ten
    /// minutes, and one that is not counts where it starts.
    fn hours(&mut self, window: &wire::Window, offset: i32, of: impl Fn(u32) -> Of) {
        let Some(day) = date(window.start_ms, offset) else { return };
        let minute = window.start_ms.div_euclid(60_000) + i64::from(offset);
        let hour = usize::try_from(minute.div_euclid(60).rem_euclid(24)).unwrap_or(0);
        let covered = u8::try_from(window.length_ms.div_ceil(60_000).min(10)).unwrap_or(10);
        for row in window.sources.iter().take(1024) {
            let running = window.shapes.iter().filter(|shape| shape.source == row.source);
            let typed = window.logs.iter().filter(|log| log.source == row.source);
            let active = running.fold(0, |bits, shape| bits | shape.running)
                | typed.fold(0, |bits, log| bits | log.events);
            let days = self.hours.entry(of(row.source)).or_default();
            let at = &mut days.entry(day).or_insert([Hour::default(); 24])[hour];
            at.covered = at.covered.saturating_add(covered).min(60);
            at.online = at.online.saturating_add(ones(row.online())).min(60);
            at.active = at.active.saturating_add(ones(active)).min(60);
            if days.len() > MOST_DAYS {
                days.pop_first();
            }
        }
    }
}

/// How many of the ten minutes are set.
fn ones(bits: u32) -> u8 {
    u8::try_from((bits & 0x3ff).count_ones()).unwrap_or(10)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date as day;

    use super::*;

    #[test]
    fn a_day_is_found_by_its_runs() {
        let mut places = Places::default();
        for (index, of) in [(4, 1), (6, 1), (7, 2), (9, 1), (12, 1)] {
            places.push(day(2026, 3, of), index);
        }
        let first = places.of_day(day(2026, 3, 1));
        assert_eq!(first.iter().map(|run| (run.first, run.count)).collect::<Vec<_>>(), [(4, 2), (9, 2)]);
        assert!(places.of_day(day(2026, 3, 9)).is_empty());
    }

    #[test]
    fn minutes_are_added_to_the_local_hour_and_never_past_sixty() {
        let mut chain = Chain::default();
        let window = wire::Window {
            start_ms: 0,
            length_ms: 600_000,
            sources: vec![wire::SourceRow { source: 1, ..Default::default() }],
            shapes: vec![wire::ShapeRow { source: 1, running: 0b111, ..Default::default() }],
            ..Default::default()
        };
        for _ in 0..9 {
            chain.hours(&window, 480, Err);
        }
        let hour = chain.hours[&Err(1)][&day(1970, 1, 1)][8];
        assert_eq!(hour, Hour { covered: 60, online: 60, active: 27 });
    }
}
