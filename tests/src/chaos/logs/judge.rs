//! Whether what was reported of a log is what was written there: each record once, in order, at its place, as it was.
//!
//! What was changed of what had been read must be told as a rewrite that covers it, and nothing else may be. A silence
//! needs a folder that is away, and has that as its cause. A record that was whole for longer than
//! [`Terms::patience`] and was not reported is a collector that is stuck.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proof::observation::{Records, Rewrite};
use proof::wire::RewriteKind;
use proof::{Cause, Record as Reported, What};

use super::super::part::{Found, Part, Row};
use super::super::record::{Mark, Record};
use super::book::{Book, Entry, Fault};

/// The times that are stated.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long a record may be whole and a change made before it is reported, beyond what the folder was away.
    pub patience: Duration,
}

/// What is known of one source.
pub struct Judged {
    source: u16,
    book: Arc<Book>,
    last: Duration,
    /// Where the last look ended.
    position: u64,
    /// By how much places are off since one was wrong, so that it is said once.
    off: i64,
    /// Numbers of records that were passed over.
    missed: BTreeSet<u64>,
    latest: Duration,
    /// Until when it is not said again that it is late.
    warned: Duration,
    silences: u64,
    /// Violations, by what had befallen it last.
    by_fault: BTreeMap<Fault, u64>,
}

impl Judged {
    /// A source that reads this log.
    pub fn new(source: u16, book: Arc<Book>) -> Self {
        let (last, latest, warned) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let (position, off, silences, missed, by_fault) = (0, 0, 0, BTreeSet::new(), BTreeMap::new());
        Self { source, book, last, position, off, missed, latest, warned, silences, by_fault }
    }

    fn judge(&mut self, mark: Mark, what: &What, terms: &Terms, record: &Record, found: &mut Found) {
        found.reports += 1;
        let gap = mark.at.saturating_sub(self.last);
        found.longest_gap = found.longest_gap.max(gap);
        let mut wrong = Vec::new();
        match what {
            What::Records(records) => self.records(records, mark, terms, found, &mut wrong),
            What::Silent(cause) => {
                self.silences += 1;
                let away = self.book.was_away(self.last, mark.at);
                if *cause != Cause::Missing || !away {
                    wrong.push((false, format!("silent by {cause:?}, away: {away}")));
                }
            }
            What::Cycle(_) | What::Kept(_) => wrong.push((true, "a report of another kind".to_owned())),
        }
        wrong.extend(self.late(gap, mark, terms, record, found));
        for (is_wrong, text) in wrong {
            if let Some(fault) = self.book.last() {
                *self.by_fault.entry(fault).or_default() += 1;
            }
            let at = mark.at.as_secs_f64();
            let kind = self.book.kind;
            let whose = format!("{:?} {:?} {:?}", kind.rotation, kind.encoding, kind.form);
            found.violates(is_wrong, format!("source {} ({whose}) at {at:.3} s: {text}", self.source));
        }
        self.last = mark.at;
    }

    fn records(
        &mut self,
        records: &Records,
        mark: Mark,
        terms: &Terms,
        found: &mut Found,
        wrong: &mut Vec<(bool, String)>,
    ) {
        if records.from != self.position || records.to < records.from {
            wrong.push((true, format!("reads {}..{} after {}", records.from, records.to, self.position)));
        }
        self.position = records.to;
        if records.unparsed > 0 {
            wrong.push((true, format!("{} lines were not understood", records.unparsed)));
        }
        let mut lines = 0;
        for reported in &records.records {
            found.compared += 1;
            lines += self.record(reported, mark, wrong);
        }
        if records.lines != lines && wrong.is_empty() {
            wrong.push((true, format!("{} lines counted, {lines} were written", records.lines)));
        }
        let oldest = mark.at.saturating_sub(terms.patience);
        for rewrite in &records.rewrites {
            wrong.extend(self.rewrite(rewrite, oldest));
        }
    }

    /// Compares a record with the next that was written; how many lines that has.
    fn record(&mut self, reported: &Reported, mark: Mark, wrong: &mut Vec<(bool, String)>) -> u32 {
        let Some(mut entry) = self.book.take() else {
            wrong.push((true, format!("{} was never written, or before", said(self.message(reported)))));
            return 0;
        };
        if self.message(reported) != entry.message.as_bytes() {
            let again = self.missed.iter().find(|number| {
                super::text::record(self.book.kind.form, **number).message.as_bytes()
                    == self.message(reported)
            });
            let told = match again {
                Some(number) => format!("record {number} comes out of order"),
                None => {
                    format!("{} instead of {}", said(self.message(reported)), said(entry.message.as_bytes()))
                }
            };
            wrong.push((true, told));
            // Goes on at the one that came, if it is still to come.
            let ahead =
                self.book.waiting().iter().position(|next| next.message.as_bytes() == self.message(reported));
            for _ in 0..ahead.map_or(0, |ahead| ahead + 1) {
                self.missed.insert(entry.number);
                let Some(next) = self.book.take() else { break };
                entry = next;
            }
            return entry.lines;
        }
        let Some(whole) = entry.whole else {
            wrong.push((true, format!("record {} was reported before it was whole", entry.number)));
            return entry.lines;
        };
        self.latest = self.latest.max(mark.at.saturating_sub(whole));
        wrong.extend(differs(reported, &entry, self.off).map(|what| (true, what)));
        self.off = i64::try_from(reported.position).unwrap_or(0) - i64::try_from(entry.position).unwrap_or(0);
        entry.lines
    }

    fn message<'a>(&self, reported: &'a Reported) -> &'a [u8] {
        reported.fields.get(self.book.kind.form.message_at()).map_or(&[], Vec::as_slice)
    }

    fn rewrite(&mut self, rewrite: &Rewrite, oldest: Duration) -> Option<(bool, String)> {
        let fits = |fault: Fault| match fault {
            Fault::Edit => rewrite.kind == RewriteKind::Edited,
            // What begins in its place goes on in time.
            Fault::Delete => rewrite.kind == RewriteKind::Trimmed,
            // A file that was not held open may be another one.
            Fault::Truncate => matches!(rewrite.kind, RewriteKind::Cut | RewriteKind::Trimmed),
            Fault::Rename | Fault::CopyTruncate | Fault::DatedNames | Fault::Away => false,
        };
        if self.book.tells(rewrite.from, rewrite.to, fits, oldest) {
            return None;
        }
        let near = self.book.changes().last().copied();
        Some((true, format!("{rewrite:?} is told, and it is not so; changed last: {near:?}")))
    }

    fn late(
        &mut self,
        gap: Duration,
        mark: Mark,
        terms: &Terms,
        record: &Record,
        found: &mut Found,
    ) -> Option<(bool, String)> {
        let (whole, change) = self.book.late(mark.at);
        let late = gap.max(whole).max(change);
        let away = self.book.was_away(mark.at.saturating_sub(terms.patience), mark.at);
        if late <= terms.patience || away || mark.at < self.warned {
            return None;
        }
        if record.was_stalled(mark.at.saturating_sub(late), mark.at) {
            found.stalled += 1;
            return None;
        }
        self.warned = mark.at + terms.patience;
        let fault = self.book.changes().into_iter().find(|change| !change.told).map(|change| change.fault);
        if let Some(fault) = fault.filter(|_| change > terms.patience) {
            return Some((true, format!("{} was not told for {change:?}", fault.words())));
        }
        Some((false, format!("no report for {gap:?}, a whole record waits for {whole:?}")))
    }
}

/// What is wrong with a record that is the right one.
fn differs(reported: &Reported, entry: &Entry, off: i64) -> Option<String> {
    let said = (reported.position, reported.account.as_deref(), reported.event_ms);
    let was = (entry.position.saturating_add_signed(off), Some(entry.account.as_str()), Some(entry.event_ms));
    (said != was).then(|| format!("record {} says {said:?} and not {was:?}", entry.number))
}

fn said(message: &[u8]) -> String {
    format!("`{}`", String::from_utf8_lossy(message))
}

/// Judges all logs' sources.
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

    /// Whether everything was written, reported and told.
    pub fn is_well(&self) -> bool {
        self.sources.iter().all(|judged| judged.book.is_done())
    }

    /// What was found, for the report.
    pub fn part(&self) -> Part {
        let books = || self.sources.iter().map(|judged| &judged.book);
        let row = |fault: Fault| Row {
            fault: fault.words(),
            injected: books().map(|book| book.count(fault)).sum(),
            violations: self.sources.iter().filter_map(|judged| judged.by_fault.get(&fault)).sum(),
        };
        let (written, bytes): (u64, u64) =
            (books().map(|book| book.written()).sum(), books().map(|book| book.totals().0).sum());
        let reused: u64 = books().map(|book| book.totals().1).sum();
        let latest = self.sources.iter().map(|judged| judged.latest).max().unwrap_or_default();
        let silences: u64 = self.sources.iter().map(|judged| judged.silences).sum();
        let figures = vec![
            format!("{} logs, {written} records in {bytes} bytes written", self.sources.len()),
            format!(
                "longest from whole to reported: {:.1} s; {silences} looks at what was away; {reused} new files had \
                 the inode of an old one",
                latest.as_secs_f64()
            ),
        ];
        let waits = |judged: &Judged| {
            let (book, source) = (&judged.book, judged.source);
            let changes: Vec<_> = book.changes().into_iter().filter(|change| !change.told).collect();
            let next = book.waiting().into_iter().next();
            format!(
                "source {source}: {} of {} read, next {next:?}, not told {changes:?}",
                book.seen(),
                book.written()
            )
        };
        let unwell = self.sources.iter().filter(|judged| !judged.book.is_done()).map(waits).collect();
        Part { title: "logs", rows: Fault::ALL.map(row).to_vec(), figures, found: self.found.clone(), unwell }
    }
}

#[cfg(test)]
mod tests;
