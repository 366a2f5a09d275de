//! Whether what was reported of an OPC UA server is what it may report after what was served.
//!
//! A polled value must be, bit for bit, the last one served to this turn. A subscribed one must have been served, not
//! longer ago than [`Terms::oldest`], and never before the one that was reported at an earlier turn: nothing goes back.
//! What has no value has the reason that its node gave: its status, or that it was not there. A silence needs a fault
//! that silences, at most [`Terms::tail`] ago, and has no answer as its cause.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use opcua::types::StatusCode;
use proof::{Cause, Quality, Reading, What};

use super::super::Pace;
use super::super::part::{Found, Part, Row};
use super::super::record::{Mark, Record};
use super::served::{NODES, Served};
use super::{Fault, Way};

/// The times that are stated.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How old a value out of a subscription may be when it is reported: sampled and published each quarter of a
    /// cadence, and carried there.
    pub oldest: Duration,
    /// How long after the end of a fault a source may still be silent: the longest back-off, and what connecting takes.
    pub tail: Duration,
    /// How long a source may be without a report.
    pub patience: Duration,
    /// Time between two turns.
    pub cadence: Duration,
}

impl Terms {
    /// Those of a run at this pace.
    pub fn of(pace: Pace) -> Self {
        let timeout = pace.timeout * super::super::OPCUA_TIMEOUTS;
        Self {
            oldest: Duration::from_secs(3),
            tail: pace.restart.1 + timeout * 4 + pace.cadence,
            patience: pace.patience,
            cadence: pace.cadence.max(Duration::from_millis(500)),
        }
    }
}

/// What is known of one source.
pub struct Judged {
    source: u16,
    way: Way,
    served: Arc<Served>,
    last: Duration,
    /// By node: since when the value was so that was reported last.
    newest: Vec<u64>,
    oldest: Duration,
    silent_since: Option<Duration>,
    longest_silence: Duration,
    reads: String,
    well: bool,
    /// Troubles at which something was found.
    blamed: BTreeSet<usize>,
}

impl Judged {
    /// A source that reads this server.
    pub fn new(source: u16, way: Way, served: Arc<Served>) -> Self {
        Self {
            source,
            way,
            served,
            last: Duration::ZERO,
            newest: vec![0; NODES.len()],
            oldest: Duration::ZERO,
            silent_since: None,
            longest_silence: Duration::ZERO,
            reads: String::new(),
            well: false,
            blamed: BTreeSet::new(),
        }
    }

    fn judge(&mut self, mark: Mark, what: &What, terms: &Terms, record: &Record, found: &mut Found) {
        found.reports += 1;
        let gap = mark.at.saturating_sub(self.last);
        found.longest_gap = found.longest_gap.max(gap);
        let stalled = record.was_stalled(self.last, mark.at);
        let mut wrong = Vec::new();
        if gap > terms.patience {
            wrong.push((false, format!("no report for {gap:?}")));
        }
        match what {
            What::Cycle(readings) if readings.len() == NODES.len() => {
                let silence = self.silent_since.take().map(|since| mark.at.saturating_sub(since));
                self.longest_silence = self.longest_silence.max(silence.unwrap_or_default());
                for (node, reading) in readings.iter().enumerate() {
                    wrong.extend(self.point(node, reading, mark, terms, found));
                }
                self.well = readings.iter().all(|reading| reading.quality == Quality::Good);
            }
            What::Silent(cause) => {
                self.silent_since.get_or_insert(self.last);
                self.well = false;
                wrong.extend(self.silence(*cause, mark, terms));
            }
            What::Cycle(_) | What::Records(_) | What::Kept(_) => {
                wrong.push((true, "a report of another kind".to_owned()));
            }
        }
        // A wrong value is wrong however slow the machine is; only a missing one may be the machine's.
        if stalled && !wrong.is_empty() && !wrong.iter().any(|(is_wrong, _)| *is_wrong) {
            found.stalled += 1;
            wrong.clear();
        }
        for (is_wrong, text) in wrong {
            let near = self.served.troubles(self.last, mark.at, terms.tail);
            let near = near.iter().max_by_key(|(_, trouble)| trouble.from);
            self.blamed.extend(near.map(|(at, _)| *at));
            let fault = near.map_or("no fault", |(_, trouble)| trouble.fault.words());
            let at = mark.at.as_secs_f64();
            found.violates(is_wrong, format!("source {} at {at:.3} s ({fault}): {text}", self.source));
        }
        self.last = mark.at;
        self.reads = match what {
            What::Cycle(readings) => {
                readings.iter().map(|reading| char::from(reading.quality.letter())).collect()
            }
            What::Silent(_) | What::Records(_) | What::Kept(_) => format!("{what:?}"),
        };
    }

    /// Since when a value of this turn may have been served.
    fn since(&self, mark: Mark, terms: &Terms) -> Duration {
        match self.way {
            Way::Polled => self.last,
            Way::Subscribed => mark.at.saturating_sub(terms.oldest),
        }
    }

    fn point(
        &mut self,
        node: usize,
        reading: &Reading,
        mark: Mark,
        terms: &Terms,
        found: &mut Found,
    ) -> Option<(bool, String)> {
        let since = self.since(mark, terms);
        let mut served = self.served.between(node, since, mark.at);
        if self.way == Way::Polled {
            // What was served before it to the same turn got lost on its way.
            served = served.split_off(served.len().saturating_sub(1));
        }
        if reading.quality != Quality::Good {
            let why = served.iter().any(|value| letter(value.status) == reading.quality);
            // Two turns: one until it is looked for, one that may be late.
            let absent = self.served.was_absent(node, since, mark.at, terms.cadence * 2);
            let may = why || absent && reading.quality == Quality::Fault;
            let has_value = reading.value.is_some();
            return (!may || has_value).then(|| {
                let name = NODES[node].name;
                (has_value, format!("{name} reads {reading:?}, and was served {served:?}"))
            });
        }
        found.compared += 1;
        let is_it = |value: &&super::served::Value| {
            let (raw, number) = self.served.read(node, value.since);
            value.status == StatusCode::Good && raw == reading.raw && reading.value == Some(number)
        };
        let Some(value) = served.iter().rev().find(is_it) else {
            let all = self.served.between(node, Duration::ZERO, mark.at);
            let when = all.iter().rev().find(is_it).map(|value| mark.at.saturating_sub(value.at));
            let name = NODES[node].name;
            return Some((
                true,
                format!("wrong value: {name} reads {reading:02x?}; last so {when:?} ago, served {served:?}"),
            ));
        };
        self.oldest = self.oldest.max(mark.at.saturating_sub(value.at));
        if value.since < self.newest[node] {
            let back = self.newest[node] - value.since;
            return Some((true, format!("wrong value: {} goes back by {back} ms", NODES[node].name)));
        }
        self.newest[node] = value.since;
        None
    }

    fn silence(&self, cause: Cause, mark: Mark, terms: &Terms) -> Option<(bool, String)> {
        if cause != Cause::NoAnswer {
            return Some((false, format!("a silence by {cause:?}, which no fault causes")));
        }
        let near = self.served.troubles(self.last, mark.at, terms.tail);
        let caused = near.iter().any(|(_, trouble)| trouble.fault.silences());
        (!caused).then(|| (false, "silent, and nothing that befell it causes that".to_owned()))
    }
}

/// The quality that a status stands for, as the protocol says it.
fn letter(status: StatusCode) -> Quality {
    match status {
        StatusCode::Good => Quality::Good,
        StatusCode::BadNotConnected => Quality::NoAnswer,
        StatusCode::BadOutOfService => Quality::Maintenance,
        StatusCode::UncertainEngineeringUnitsExceeded => Quality::OverRange,
        _ => Quality::Fault,
    }
}

/// Judges all servers' sources.
pub struct Judge {
    sources: Vec<Judged>,
    terms: Terms,
    record: Arc<Record>,
    /// What was found so far.
    pub found: Found,
}

impl Judge {
    /// A judge of these.
    pub fn new(sources: Vec<Judged>, terms: Terms, record: Arc<Record>) -> Self {
        Self { sources, terms, record, found: Found::default() }
    }

    /// Judges a report of one of them; whether it is one of them.
    pub fn see(&mut self, source: u16, what: &What) -> bool {
        let Some(judged) = self.sources.iter_mut().find(|judged| judged.source == source) else {
            return false;
        };
        let (mark, _) = self.record.take(source).expect("a report has a mark");
        judged.judge(mark, what, &self.terms, &self.record, &mut self.found);
        true
    }

    /// Whether all points were read in each source's last report.
    pub fn is_well(&self) -> bool {
        self.sources.iter().all(|judged| judged.well)
    }

    /// What was found, for the report.
    pub fn part(&self) -> Part {
        let rows = Fault::ALL.map(|fault| {
            let injected = self.sources.iter().map(|judged| judged.served.count(fault)).sum();
            let blamed = |judged: &Judged| {
                let all = judged.served.troubles(Duration::ZERO, Duration::MAX, Duration::ZERO);
                all.iter().filter(|(at, t)| t.fault == fault && judged.blamed.contains(at)).count() as u64
            };
            Row { fault: fault.words(), injected, violations: self.sources.iter().map(blamed).sum() }
        });
        let longest = self.sources.iter().map(|judged| judged.longest_silence).max().unwrap_or_default();
        let oldest = |way: Way| {
            let those = self.sources.iter().filter(|judged| judged.way == way);
            those.map(|judged| judged.oldest).max().unwrap_or_default().as_secs_f64()
        };
        let figures = vec![
            format!("{} servers, longest silence {:.1} s", self.sources.len(), longest.as_secs_f64()),
            format!(
                "oldest value when it was reported: polled {:.2} s, subscribed {:.2} s",
                oldest(Way::Polled),
                oldest(Way::Subscribed)
            ),
        ];
        let unwell = self.sources.iter().filter(|judged| !judged.well);
        let unwell = unwell.map(|judged| format!("source {}: {}", judged.source, judged.reads)).collect();
        Part { title: "OPC UA", rows: rows.to_vec(), figures, found: self.found.clone(), unwell }
    }
}

#[cfg(test)]
mod tests;
