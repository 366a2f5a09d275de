//! Whether what was reported of a table is what was committed there: each row once, as it was.
//!
//! What was changed of what had been read must be told as a rewrite of one row that covers it, and nothing else may be.
//! A silence needs a session that was cut or a server that was killed, at most [`Terms::tail`] ago, and has no answer as
//! its cause.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proof::wire::RewriteKind;
use proof::{Cause, Record as Reported, Rewrite, What};

use super::super::part::{Found, Part, Row};
use super::super::record::{Mark, Record};
use super::book::{Book, Fault};

/// Rows below the floor that one look reads again (decision 0017).
const ROWS_A_LOOK: u64 = 500;

/// The times that are stated.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long after a fault a source may be silent.
    pub tail: Duration,
    /// How long a committed row or a change may wait to be told, once what lies below the floor was read through: that
    /// takes a look for each 500 rows, and here a look is made each second.
    pub patience: Duration,
}

/// What is known of one source.
pub struct Judged {
    source: u16,
    book: Arc<Book>,
    last: Duration,
    latest: Duration,
    warned: Duration,
    /// Violations, by what had befallen it last.
    by_fault: BTreeMap<Fault, u64>,
}

impl Judged {
    /// A source that reads this table.
    pub fn new(source: u16, book: Arc<Book>) -> Self {
        let (last, latest, warned) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        Self { source, book, last, latest, warned, by_fault: BTreeMap::new() }
    }

    fn judge(&mut self, mark: Mark, what: &What, terms: &Terms, record: &Record, found: &mut Found) {
        found.reports += 1;
        let gap = mark.at.saturating_sub(self.last);
        found.longest_gap = found.longest_gap.max(gap);
        let mut wrong = Vec::new();
        match what {
            What::Records(records) => {
                if records.unparsed > 0 {
                    wrong.push((true, format!("{} rows were not understood", records.unparsed)));
                }
                for reported in &records.records {
                    found.compared += 1;
                    wrong.extend(self.row(reported, mark));
                }
                wrong.extend(records.rewrites.iter().filter_map(|rewrite| self.rewrite(rewrite)));
            }
            What::Silent(cause) => {
                let may = self.book.may_be_silent(self.last, mark.at, terms.tail);
                if *cause != Cause::NoAnswer || !may {
                    wrong.push((false, format!("silent by {cause:?}, which nothing causes")));
                }
            }
            What::Cycle(_) | What::Kept(_) => wrong.push((true, "a report of another kind".to_owned())),
        }
        let through = Duration::from_secs(self.book.state().0 / ROWS_A_LOOK);
        let late = self.book.late(mark.at).saturating_sub(through).max(gap);
        let from = mark.at.saturating_sub(terms.patience + through);
        let silenced = self.book.may_be_silent(from, mark.at, terms.tail);
        if late > terms.patience && !silenced && mark.at >= self.warned {
            self.warned = mark.at + terms.patience;
            wrong.push((false, format!("nothing for {late:?} of {:?}", self.book.state())));
        }
        let stalled = record.was_stalled(self.last, mark.at);
        if stalled && !wrong.is_empty() && !wrong.iter().any(|(is_wrong, _)| *is_wrong) {
            found.stalled += 1;
            wrong.clear();
        }
        for (is_wrong, text) in wrong {
            if let Some(fault) = self.book.last() {
                *self.by_fault.entry(fault).or_default() += 1;
            }
            let at = mark.at.as_secs_f64();
            found.violates(is_wrong, format!("source {} at {at:.3} s: {text}", self.source));
        }
        self.last = mark.at;
    }

    fn row(&mut self, reported: &Reported, mark: Mark) -> Option<(bool, String)> {
        let id = reported.fields.first().and_then(|id| std::str::from_utf8(id).ok()?.parse::<u64>().ok());
        let Some(id) = id else { return Some((true, format!("no number in {reported:?}"))) };
        let Some(waits) = self.book.take(id, reported.position) else {
            return Some((true, format!("row {id} was not committed, or came before")));
        };
        let since = waits.map_or(Duration::ZERO, |waits| mark.at.saturating_sub(waits));
        self.latest = self.latest.max(since);
        let account = format!("wang{:02}", id % 7);
        let minutes = i64::try_from(id % 60).expect("below 60");
        let event_ms = 1_750_204_800_000 + minutes * 60_000 + 45_000;
        let is = (reported.account.as_deref(), reported.event_ms, reported.fields.get(1).map(Vec::as_slice));
        let was = (Some(account.as_str()), Some(event_ms), Some("报工单".as_bytes()));
        (is != was).then(|| (true, format!("row {id} says {is:?} and not {was:?}")))
    }

    fn rewrite(&self, rewrite: &Rewrite) -> Option<(bool, String)> {
        let Rewrite { kind, from, to, rows } = *rewrite;
        let fault = match kind {
            RewriteKind::Edited => Some(Fault::Edit),
            RewriteKind::Removed => Some(Fault::Delete),
            RewriteKind::Cut | RewriteKind::Replaced | RewriteKind::Trimmed | RewriteKind::Unspecified => {
                None
            }
        };
        let told = fault.is_some_and(|fault| self.book.tells(fault, from, to, rows));
        (!told).then(|| (true, format!("{rewrite:?} is told, and it is not so: {:?}", self.book.state().2)))
    }
}

/// Judges all tables' sources.
pub struct Judge {
    sources: Vec<Judged>,
    absent: Vec<String>,
    terms: Terms,
    record: Arc<Record>,
    /// What was found so far.
    pub found: Found,
}

impl Judge {
    /// A judge of these; and what took no part.
    pub fn new(sources: Vec<Judged>, absent: Vec<String>, terms: Terms, record: Arc<Record>) -> Self {
        Self { sources, absent, terms, record, found: Found::default() }
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

    /// Whether everything was written, reported and told.
    pub fn is_well(&self) -> bool {
        self.sources.iter().all(|judged| judged.book.is_done())
    }

    /// What was found, for the report.
    pub fn part(&self) -> Part {
        let count = |fault| self.sources.iter().map(|judged| judged.book.count(fault)).sum();
        let row = |fault: Fault| Row {
            fault: fault.words(),
            injected: count(fault),
            violations: self.sources.iter().filter_map(|judged| judged.by_fault.get(&fault)).sum(),
        };
        let rows = if self.sources.is_empty() { Vec::new() } else { Fault::ALL.map(row).to_vec() };
        let committed: u64 = self.sources.iter().map(|judged| judged.book.state().0).sum();
        let latest = self.sources.iter().map(|judged| judged.latest).max().unwrap_or_default();
        let mut figures = self.absent.clone();
        if !self.sources.is_empty() {
            figures.push(format!(
                "{} tables, {committed} rows committed; longest from commit to report {:.1} s",
                self.sources.len(),
                latest.as_secs_f64()
            ));
        }
        let waits = |judged: &Judged| format!("source {}: {:?}", judged.source, judged.book.state());
        let unwell = self.sources.iter().filter(|judged| !judged.book.is_done()).map(waits).collect();
        Part { title: "tables", rows, figures, found: self.found.clone(), unwell }
    }
}

#[cfg(test)]
mod tests;
