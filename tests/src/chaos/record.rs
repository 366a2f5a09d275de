//! What the simulators saw and did, in one order with what the collectors reported.
//!
//! Every question and every report takes the next number of one count, so that it is known which questions belong to a
//! report, however close together they are.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use daemon::{Clock, Hold, Sleep, Stamp, Stopwatch};

use super::faults::Fault;
use super::frames::Question;

/// Questions of a line that are remembered for who waited for whom.
const REMEMBERED: usize = 4_096;

/// A question as the simulator saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its number, which its true answer's values follow from.
    pub order: u64,
    /// When it came, since the run began.
    pub at: Duration,
    /// What was asked.
    pub question: Question,
    /// What became of it.
    pub fault: Option<Fault>,
}

/// When a report was made: the number of the moment, and the time since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// All questions before it have smaller numbers.
    pub order: u64,
    /// Since the run began.
    pub at: Duration,
}

/// A while in which a line could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// Which line.
    pub line: usize,
    /// From.
    pub from: Duration,
    /// To.
    pub to: Duration,
}

/// One for all simulators and the judge.
pub struct Record {
    since: Stopwatch,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    order: u64,
    /// By source.
    asked: BTreeMap<u16, VecDeque<Asked>>,
    marks: BTreeMap<u16, VecDeque<Mark>>,
    /// By line: number, source, and whether it was left without an answer.
    lines: BTreeMap<usize, VecDeque<(u64, u16, bool)>>,
    outages: Vec<Outage>,
    injected: BTreeMap<Fault, u64>,
    questions: u64,
    connections: u64,
    problems: Vec<String>,
    stalls: VecDeque<(Duration, Duration)>,
}

impl Record {
    /// An empty one; time begins.
    pub fn begin() -> Arc<Self> {
        Arc::new(Self { since: Stopwatch::start(), inner: Mutex::default() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while the record is locked")
    }

    /// Time since the run began.
    pub fn now(&self) -> Duration {
        self.since.elapsed()
    }

    /// The number of a question that has just come.
    pub(super) fn next(&self) -> u64 {
        let mut inner = self.inner();
        inner.order += 1;
        inner.order
    }

    /// A question came and this becomes of it; `silent` when it gets no answer in time.
    pub(super) fn asked(&self, line: usize, source: u16, asked: Asked, silent: bool) {
        let mut inner = self.inner();
        inner.questions += 1;
        if let Some(fault) = asked.fault {
            *inner.injected.entry(fault).or_default() += 1;
        }
        let of_line = inner.lines.entry(line).or_default();
        of_line.push_back((asked.order, source, silent));
        if of_line.len() > REMEMBERED {
            of_line.pop_front();
        }
        inner.asked.entry(source).or_default().push_back(asked);
    }

    /// A line cannot be reached from now on for so long.
    pub(super) fn outage(&self, line: usize, fault: Fault, from: Duration, to: Duration) {
        let mut inner = self.inner();
        *inner.injected.entry(fault).or_default() += 1;
        inner.outages.push(Outage { line, from, to });
    }

    /// A connection was made.
    pub(super) fn connected(&self) {
        self.inner().connections += 1;
    }

    /// Something that a collector must never do.
    pub(super) fn problem(&self, what: String) {
        self.inner().problems.push(what);
    }

    /// The machine itself stood still: no answer can be expected to be in time.
    pub(super) fn stalled(&self, from: Duration, to: Duration) {
        let mut inner = self.inner();
        inner.stalls.push_back((from, to));
        if inner.stalls.len() > REMEMBERED {
            inner.stalls.pop_front();
        }
    }

    /// The mark of a source's oldest report that was not taken yet, and its questions up to there.
    pub fn take(&self, source: u16) -> Option<(Mark, Vec<Asked>)> {
        let mut inner = self.inner();
        let mark = inner.marks.get_mut(&source)?.pop_front()?;
        let asked = inner.asked.entry(source).or_default();
        let count = asked.partition_point(|asked| asked.order < mark.order);
        Some((mark, asked.drain(..count).collect()))
    }

    /// How many questions of each other source were left without an answer between two questions on a line.
    pub fn unanswered_between(&self, line: usize, source: u16, from: u64, to: u64) -> BTreeMap<u16, usize> {
        let inner = self.inner();
        let mut counts = BTreeMap::new();
        let between = |(order, ..): &&(u64, u16, bool)| (from + 1..to).contains(order);
        for (_, other, silent) in inner.lines.get(&line).into_iter().flatten().filter(between) {
            if *silent && *other != source {
                *counts.entry(*other).or_default() += 1;
            }
        }
        counts
    }

    /// Whether the line could not be reached at some moment of this while.
    pub fn was_down(&self, line: usize, from: Duration, to: Duration) -> Option<Outage> {
        let inner = self.inner();
        inner
            .outages
            .iter()
            .rev()
            .find(|outage| outage.line == line && outage.from <= to && from <= outage.to)
            .copied()
    }

    /// Whether the machine itself stood still within this while.
    pub fn was_stalled(&self, from: Duration, to: Duration) -> bool {
        self.inner().stalls.iter().any(|stall| stall.0 <= to && from <= stall.1)
    }

    /// How often each fault was injected.
    pub fn injected(&self) -> BTreeMap<Fault, u64> {
        self.inner().injected.clone()
    }

    /// Questions and connections so far.
    pub fn counts(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.questions, inner.connections)
    }

    /// What collectors did that they must never do.
    pub fn problems(&self) -> Vec<String> {
        self.inner().problems.clone()
    }

    fn mark(&self, source: u16) {
        let at = self.now();
        let mut inner = self.inner();
        inner.order += 1;
        let mark = Mark { order: inner.order, at };
        inner.marks.entry(source).or_default().push_back(mark);
    }
}

/// The clock of one source's sender: the one within, and a mark in the record for each report.
pub(super) struct Marking<C> {
    pub(super) within: C,
    pub(super) source: u16,
    pub(super) record: Arc<Record>,
}

impl<C: Clock> Clock for Marking<C> {
    fn stamp(&self) -> Stamp {
        self.within.stamp()
    }

    fn boot_id(&self) -> String {
        self.within.boot_id()
    }

    fn sleep_until(&self, wall_ms: i64) -> Sleep {
        self.within.sleep_until(wall_ms)
    }

    /// A sender takes one for each report, and for nothing else.
    fn hold(&self) -> Hold {
        self.record.mark(self.source);
        self.within.hold()
    }
}
