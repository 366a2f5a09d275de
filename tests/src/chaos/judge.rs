//! Whether what a collector reported is what it may report after what its device did.
//!
//! A point is judged by the last question of the turn that asked for it. A value must be, bit for bit, the one that was
//! served to that question; no value must have the cause that the question's fault states. A point that was not asked
//! for must be one that cannot be: refused before, its unit left alone for what it owes, its line gone. What fits none
//! of this is a violation, unless the machine itself stood still, which is counted apart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use collectors::manifest::{Framing, Kind, Modbus, Source, Table};
use proof::{Cause, Quality, Reading, What};

use super::faults::{Fault, Outcome};
use super::frames;
use super::record::{Asked, Mark, Record};

/// How long a unit on a serial line may be left alone for an answer that it owes, at least (decision 0014).
const OWED: Duration = Duration::from_secs(5);

/// How long after an attempt to connect that failed nobody tries again.
const RETRY: Duration = Duration::from_secs(1);

/// Violations whose text is kept.
const KEPT: usize = 100;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Whose report.
    pub source: u16,
    /// What the question met, where there was one.
    pub fault: Option<Fault>,
    /// What is wrong.
    pub what: String,
}

/// What was found over a run.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Reports judged.
    pub reports: u64,
    /// Values that were compared with what was served.
    pub values: u64,
    /// Points without a value, by the fault that says why; under `None` those that were not asked for.
    pub without: BTreeMap<Option<Fault>, u64>,
    /// Faults whose questions were answered as stated.
    pub as_stated: BTreeMap<Fault, u64>,
    /// Reports excused because the machine itself stood still.
    pub stalled: u64,
    /// Longest time between two reports of one source, and whose.
    pub longest_gap: (Duration, u16),
    /// Longest time from the last cause of a silence to the next value, and whose.
    pub longest_recovery: (Duration, u16),
    /// Violations.
    pub count: u64,
    /// Wrong values among them.
    pub wrong_values: u64,
    /// Violations by fault.
    pub by_fault: BTreeMap<Option<Fault>, u64>,
    /// The first of them.
    pub violations: Vec<Violation>,
}

/// What is known of one source.
pub struct Judged {
    index: u16,
    line: usize,
    device: Modbus,
    /// A source may be this long without a report, and this long without a value after the last cause.
    patience: Duration,
    last: Mark,
    /// Points that a refusal of the place left, with its code.
    refused: BTreeMap<usize, u8>,
    /// Until when the unit may be left alone.
    owes_until: Duration,
    /// When something last happened that may cost a value.
    troubled: Duration,
    silent: bool,
    /// The silence that goes on while its collector waits to be restarted, and when it last had a cause of its own.
    idle: Option<(Cause, Duration)>,
    /// Whether all points were read in the last report but those that are refused.
    well: bool,
    /// The last report: a letter for each point's quality.
    reads: String,
}

impl Judged {
    /// A source on a line.
    ///
    /// # Panics
    /// When it is not a Modbus device's.
    pub fn new(source: &Source, line: usize, patience: Duration) -> Self {
        let Kind::Modbus(device) = &source.kind else { panic!("not a Modbus device") };
        Self {
            index: source.index,
            line,
            device: device.clone(),
            patience,
            last: Mark::default(),
            refused: BTreeMap::new(),
            owes_until: Duration::ZERO,
            troubled: Duration::ZERO,
            silent: false,
            idle: None,
            well: false,
            reads: String::new(),
        }
    }

    /// Judges a report and the questions that led to it.
    pub fn judge(&mut self, mark: Mark, what: &What, asked: &[Asked], record: &Record, found: &mut Findings) {
        let before = found.count;
        found.reports += 1;
        let gap = mark.at.saturating_sub(self.last.at);
        if gap > found.longest_gap.0 {
            found.longest_gap = (gap, self.index);
        }
        // Room for the patience of the machine as well: it may have stood still.
        let from = self.last.at.saturating_sub(RETRY);
        let stalled = record.was_stalled(from, mark.at);
        if gap > self.patience && !stalled {
            self.violates(found, None, format!("no report for {gap:?}"));
        }
        let mut wrong = self.learn(asked, mark, record);
        let silence;
        match what {
            What::Cycle(readings) if readings.len() == self.device.points.len() => {
                self.idle = None;
                for (at, reading) in readings.iter().enumerate() {
                    wrong.extend(self.point(at, reading, asked, mark, record, found));
                }
                // What was refused is left alone for long, and that is as it should be.
                let well = |(at, reading): (usize, &Reading)| {
                    reading.quality == Quality::Good
                        || (reading.quality == Quality::Fault && self.refused.contains_key(&at))
                };
                self.well = readings.iter().enumerate().all(well);
                silence = !readings.iter().any(|reading| reading.quality == Quality::Good);
            }
            What::Silent(cause) => {
                wrong.extend(self.silence(*cause, asked, mark, record, found));
                (self.well, silence) = (false, true);
            }
            What::Cycle(_) | What::Records(_) | What::Kept(_) => {
                wrong.push((None, "a report of another kind".to_owned()));
                silence = true;
            }
        }
        // A wrong value is wrong however slow the machine is; only a missing one may be the machine's.
        let grave = |(_, what): &(Option<Fault>, String)| what.contains("wrong value");
        if stalled && !wrong.is_empty() && !wrong.iter().any(grave) {
            found.stalled += 1;
            wrong.clear();
        }
        for (fault, what) in wrong {
            self.violates(found, fault, what);
        }
        self.neighbours(asked, record, found);
        self.recovery(mark, silence, stalled, found);
        if found.count == before {
            for fault in asked.iter().filter_map(|asked| asked.fault) {
                *found.as_stated.entry(fault).or_default() += 1;
            }
        }
        self.last = mark;
        self.reads = match what {
            What::Cycle(readings) => {
                readings.iter().map(|reading| char::from(reading.quality.letter())).collect()
            }
            What::Silent(_) | What::Records(_) | What::Kept(_) => format!("{what:?}"),
        };
    }

    fn violates(&self, found: &mut Findings, fault: Option<Fault>, what: String) {
        found.count += 1;
        found.wrong_values += u64::from(what.starts_with("wrong value"));
        *found.by_fault.entry(fault).or_default() += 1;
        if found.violations.len() < KEPT {
            found.violations.push(Violation { source: self.index, fault, what });
        }
    }

    /// Remembers what these questions mean for later turns; what is wrong with those that are asked for no point.
    fn learn(&mut self, asked: &[Asked], mark: Mark, record: &Record) -> Vec<(Option<Fault>, String)> {
        let mut wrong = Vec::new();
        for (at, one) in asked.iter().enumerate() {
            let stated = self.stated(one);
            if stated != [Outcome::Value] {
                self.troubled = one.at;
            }
            // Who has heard an identity asks what it was about to ask; who has not asks that unit nothing more.
            let is_last = at + 1 == asked.len();
            let owes = one.question.function == 0x2B && self.device.line.framing == Framing::Rtu && is_last;
            if owes {
                // Two time-outs more: one until it is found to be silent, one for who waits before us.
                let alone = OWED.max(self.device.timeout * 5) + self.device.timeout * 2;
                self.owes_until = self.owes_until.max(one.at + alone);
                if stated == [Outcome::Value] && !self.was_cut_off(one, mark, record) {
                    let later = mark.at.saturating_sub(one.at);
                    let what = format!(
                        "the unit said who it is, and nothing was asked after that in {later:?} of a time-out of {:?}: \
                         {one:?}",
                        self.device.timeout
                    );
                    wrong.push((one.fault, what));
                }
            }
        }
        if let Some(outage) = record.was_down(self.line, self.last.at.saturating_sub(RETRY), mark.at) {
            self.troubled = self.troubled.max((outage.to + RETRY).min(mark.at));
        }
        wrong
    }

    fn stated(&self, asked: &Asked) -> &'static [Outcome] {
        asked.fault.map_or(&[Outcome::Value], |fault| fault.stated(self.device.line.framing))
    }

    /// What is wrong with a point's reading.
    fn point(
        &mut self,
        at: usize,
        reading: &Reading,
        all: &[Asked],
        mark: Mark,
        record: &Record,
        found: &mut Findings,
    ) -> Option<(Option<Fault>, String)> {
        let (function, address, width) = self.place(at);
        let covers = |asked: &&Asked| asked.question.asks_for(function, address);
        let last = all.iter().rev().find(covers);
        let refused = self.refused.get(&at).copied();
        if let Some(asked) = last {
            match asked.fault {
                Some(Fault::Exception(code @ 1..=3)) => drop(self.refused.insert(at, code)),
                Some(Fault::RefusedBlock) => drop(self.refused.insert(at, 2)),
                _ if reading.quality == Quality::Good => drop(self.refused.remove(&at)),
                _ => {}
            }
        }
        let outcome = match reading.quality {
            Quality::Good => Outcome::Value,
            Quality::NoAnswer => Outcome::NoAnswer,
            Quality::Fault => Outcome::Fault,
            Quality::Stopped
            | Quality::Maintenance
            | Quality::Manual
            | Quality::Checking
            | Quality::OverRange => {
                return Some((None, format!("point {at} reads {:?}", reading.quality)));
            }
        };
        let Some(asked) = last else {
            if outcome == Outcome::Value {
                return Some((
                    None,
                    format!("wrong value: point {at} was not asked for and reads {reading:?}"),
                ));
            }
            *found.without.entry(None).or_default() += 1;
            let may = match outcome {
                Outcome::Fault => refused.is_some(),
                Outcome::NoAnswer | Outcome::Value => self.may_be_unasked(all, mark, record),
            };
            return (!may)
                .then(|| (None, format!("point {at} reads {outcome:?}, was not asked for, and could be")));
        };
        if outcome == Outcome::Value {
            found.values += 1;
            let serial = u32::try_from(asked.order & 0x7FFF_FFFF).expect("31 bits fit");
            let served = frames::raw(asked.question.unit, function, address, width, serial);
            if served != reading.raw {
                let (raw, order) = (&reading.raw, asked.order);
                let what = format!(
                    "wrong value: point {at} reads {raw:02x?}, question {order} was served {served:02x?}"
                );
                return Some((asked.fault, what));
            }
        } else {
            *found.without.entry(asked.fault).or_default() += 1;
        }
        let stated = self.stated(asked);
        let cut_off = outcome == Outcome::NoAnswer && self.was_cut_off(asked, mark, record);
        // What was refused is asked for in two, and what was doubtful once more: the unit may be silent before that.
        let later = asked_after(all, asked);
        let halved = outcome == Outcome::NoAnswer
            && (matches!(asked.fault, Some(Fault::RefusedBlock | Fault::Exception(1..=3)))
                || self.stated(asked).contains(&Outcome::Fault))
            && self.may_be_unasked(later, mark, record);
        (!stated.contains(&outcome) && !cut_off && !halved).then(|| {
            (
                asked.fault,
                format!(
                    "point {at} reads {outcome:?} and not {stated:?} after {:?}, then {later:?}",
                    asked.fault
                ),
            )
        })
    }

    fn place(&self, at: usize) -> (u8, u16, u16) {
        let point = &self.device.points[at];
        let function = match point.table {
            Table::Coil => 1,
            Table::Discrete => 2,
            Table::Holding => 3,
            Table::Input => 4,
        };
        (function, point.address, point.kind.width())
    }

    /// Whether the line went down before the answer was out.
    fn was_cut_off(&self, asked: &Asked, mark: Mark, record: &Record) -> bool {
        record.was_down(self.line, asked.at, mark.at).is_some()
    }

    /// Whether there was a reason not to ask.
    fn may_be_unasked(&self, asked: &[Asked], mark: Mark, record: &Record) -> bool {
        let troubles = asked.iter().filter(|asked| self.stated(asked) != [Outcome::Value]).count();
        let down = record.was_down(self.line, self.last.at.saturating_sub(RETRY), mark.at).is_some();
        // Two silences in a row end a turn, and so does one that cost the connection.
        troubles >= 1 || down || self.last.at <= self.owes_until
    }

    /// What is wrong with a silence.
    fn silence(
        &mut self,
        cause: Cause,
        asked: &[Asked],
        mark: Mark,
        record: &Record,
        found: &mut Findings,
    ) -> Option<(Option<Fault>, String)> {
        let outcome = if cause == Cause::NoAnswer { Outcome::NoAnswer } else { Outcome::Fault };
        if !matches!(cause, Cause::NoAnswer | Cause::Fault) {
            return Some((None, format!("a silence by {cause:?}, which no fault causes")));
        }
        let fault = asked.iter().rev().find_map(|asked| asked.fault);
        *found.without.entry(fault).or_default() += self.device.points.len() as u64;
        // Nothing of it was answered: no last question for any point may have been.
        for at in 0..self.device.points.len() {
            let (function, address, _) = self.place(at);
            let covers = |asked: &&Asked| asked.question.asks_for(function, address);
            let last = asked.iter().rev().find(covers);
            let answered = |last: &&Asked| {
                self.stated(last) == [Outcome::Value] && !self.was_cut_off(last, mark, record)
            };
            if let Some(last) = last.filter(answered) {
                return Some((last.fault, format!("silent ({cause:?}), and point {at} was answered")));
            }
        }
        let states = asked.iter().any(|asked| self.stated(asked).contains(&outcome));
        let may = states || (outcome == Outcome::NoAnswer && self.may_be_unasked(asked, mark, record));
        let goes_on = self.idle.is_some_and(|(before, since)| {
            asked.is_empty() && before == cause && mark.at.saturating_sub(since) < self.patience
        });
        if may || !goes_on {
            self.idle = Some((cause, mark.at));
        }
        (!may && !goes_on).then(|| {
            let (from, to, before, owes) = (self.last.at, mark.at, &self.reads, self.owes_until);
            let since = format!("from {from:?} to {to:?}, after {before}; trouble at {:?}", self.troubled);
            let why = format!("which nothing that was met causes: {asked:?}; {since}, owes until {owes:?}");
            (fault, format!("silent by {cause:?}, {why}"))
        })
    }

    /// Between two of its questions in one turn, a neighbour may have been waited for once (and asked once more on a new
    /// connection).
    fn neighbours(&self, asked: &[Asked], record: &Record, found: &mut Findings) {
        for pair in asked.windows(2) {
            let waited = record.unanswered_between(self.line, self.index, pair[0].order, pair[1].order);
            for (other, times) in waited.into_iter().filter(|(_, times)| *times > 2) {
                let what = format!("waited for {times} silences of source {other} between two questions");
                self.violates(found, None, what);
            }
        }
    }

    fn recovery(&mut self, mark: Mark, silence: bool, stalled: bool, found: &mut Findings) {
        if self.silent && !silence {
            let recovery = mark.at.saturating_sub(self.troubled.max(self.owes_until.min(mark.at)));
            if recovery > found.longest_recovery.0 {
                found.longest_recovery = (recovery, self.index);
            }
            if recovery > self.patience && !stalled {
                self.violates(found, None, format!("silent for {recovery:?} after the last cause"));
            }
        }
        let lasts = mark.at.saturating_sub(self.troubled.max(self.owes_until));
        if silence && lasts > self.patience && !stalled {
            self.violates(found, None, format!("silent for {lasts:?} and nothing is wrong"));
            // Said once for each such while.
            self.troubled = mark.at;
        }
        self.silent = silence;
    }
}

/// Those after this one.
fn asked_after<'a>(all: &'a [Asked], one: &Asked) -> &'a [Asked] {
    &all[all.partition_point(|asked| asked.order <= one.order)..]
}

/// Judges everything as it comes.
pub struct Judge {
    sources: BTreeMap<u16, Judged>,
    record: Arc<Record>,
    /// What was found so far.
    pub found: Findings,
}

impl Judge {
    /// A judge of these sources.
    pub fn new(sources: impl IntoIterator<Item = Judged>, record: Arc<Record>) -> Self {
        let sources = sources.into_iter().map(|judged| (judged.index, judged)).collect();
        Self { sources, record, found: Findings::default() }
    }

    /// One more source.
    pub fn add(&mut self, judged: Judged) {
        self.sources.insert(judged.index, judged);
    }

    /// A source reported; its reports must be given in their order.
    ///
    /// # Panics
    /// When there is no such source, or it did not report.
    pub fn see(&mut self, source: u16, what: &What) {
        let (mark, asked) = self.record.take(source).expect("a report has a mark");
        let judged = self.sources.get_mut(&source).expect("all sources are known");
        judged.judge(mark, what, &asked, &self.record, &mut self.found);
    }

    /// Whether all sources have read all their points in their last report, but those that are refused.
    pub fn is_well(&self) -> bool {
        self.sources.values().all(|judged| judged.well)
    }

    /// The others, each with its last report.
    pub fn unwell(&self) -> Vec<(u16, String)> {
        let unwell = self.sources.values().filter(|judged| !judged.well);
        unwell.map(|judged| (judged.index, judged.reads.clone())).collect()
    }
}

#[cfg(test)]
mod tests;
