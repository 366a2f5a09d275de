//! What one MES has committed, and what was changed of it afterwards.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::super::faults::Dice;

/// What befalls a table or its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Rows are committed after others with higher numbers.
    LateCommit,
    /// The reader's session is ended.
    SessionCut,
    /// `kill -9`, and up again later.
    Restart,
    /// A row that was read is changed.
    Edit,
    /// A row that was read is deleted.
    Delete,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::LateCommit, Self::SessionCut, Self::Restart, Self::Edit, Self::Delete];

    /// In words, for the report.
    pub fn words(self) -> &'static str {
        match self {
            Self::LateCommit => "rows committed late",
            Self::SessionCut => "session cut",
            Self::Restart => "server killed and started again",
            Self::Edit => "committed row edited (rewrite)",
            Self::Delete => "committed row deleted (rewrite)",
        }
    }
}

/// A row that was read and is not there as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What was done.
    pub fault: Fault,
    /// The row's number.
    pub id: u64,
    /// The position at which it was handed over.
    pub position: u64,
    /// When.
    pub at: Duration,
    /// Whether it was told.
    pub told: bool,
}

/// What one MES has committed.
#[derive(Default)]
pub struct Book {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Rows that may be read and were not: since when they must be.
    waiting: BTreeMap<u64, Option<Duration>>,
    /// Rows that were read and are there as they were, and the position at which each was handed over.
    read: BTreeMap<u64, u64>,
    count: u64,
    changes: Vec<Change>,
    troubles: Vec<(Fault, Duration, Option<Duration>)>,
    injected: BTreeMap<Fault, u64>,
    last: Option<Fault>,
    ended: bool,
}

impl Book {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while a book is locked")
    }

    /// These may be read from now on.
    pub fn commits(&self, ids: &[u64]) {
        let mut inner = self.inner();
        inner.count += ids.len() as u64;
        inner.waiting.extend(ids.iter().map(|id| (*id, None)));
    }

    /// These must be.
    pub fn committed(&self, ids: &[u64], now: Duration) {
        let mut inner = self.inner();
        for id in ids {
            if let Some(waits) = inner.waiting.get_mut(id) {
                *waits = Some(now);
            }
        }
    }

    /// Takes a row that was read; `None` when it may not be, or was before. Since when it should have been.
    pub fn take(&self, id: u64, position: u64) -> Option<Option<Duration>> {
        let mut inner = self.inner();
        let waits = inner.waiting.remove(&id)?;
        inner.read.insert(id, position);
        Some(waits)
    }

    /// Something befell it.
    pub fn injected(&self, fault: Fault) {
        let mut inner = self.inner();
        *inner.injected.entry(fault).or_default() += 1;
        inner.last = Some(fault);
    }

    /// Something befalls it that may silence.
    pub fn begins(&self, fault: Fault, now: Duration) {
        self.injected(fault);
        self.inner().troubles.push((fault, now, None));
    }

    /// It is over.
    pub fn ends(&self, now: Duration) {
        if let Some(last) = self.inner().troubles.last_mut() {
            last.2 = Some(now);
        }
    }

    /// A row that was read is changed.
    pub fn changes(&self, fault: Fault, id: u64, now: Duration) {
        self.injected(fault);
        let mut inner = self.inner();
        let position = inner.read.remove(&id).expect("what was read is changed");
        inner.changes.push(Change { fault, id, position, at: now, told: false });
    }

    /// A stretch is told to be rewritten, so many rows of it: whether one row in it was.
    pub fn tells(&self, fault: Fault, from: u64, to: u64, rows: u32) -> bool {
        let mut inner = self.inner();
        let covered = |change: &&mut Change| {
            change.fault == fault && (from..to).contains(&change.position) && !change.told
        };
        match inner.changes.iter_mut().find(covered) {
            Some(change) if rows == 1 => {
                change.told = true;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Any row that was read, but the lowest.
    pub fn any_but_the_lowest(&self, dice: &mut Dice) -> Option<u64> {
        let inner = self.inner();
        let count = (inner.read.len() as u64).checked_sub(1).filter(|count| *count > 0)?;
        inner.read.keys().nth(usize::try_from(1 + dice.below(count)).ok()?).copied()
    }

    /// Whether all was read.
    pub fn is_read(&self) -> bool {
        self.inner().waiting.is_empty()
    }

    /// Whether all that was changed was told.
    pub fn is_told(&self) -> bool {
        self.inner().changes.iter().all(|change| change.told)
    }

    /// Nothing more will be written.
    pub fn ended(&self) {
        self.inner().ended = true;
    }

    /// Whether all was written, read and told.
    pub fn is_done(&self) -> bool {
        let inner = self.inner();
        let told = inner.changes.iter().all(|change| change.told);
        inner.ended && inner.waiting.is_empty() && told
    }

    /// For how long a row or a change has been there and was not told.
    pub fn late(&self, now: Duration) -> Duration {
        let inner = self.inner();
        let rows = inner.waiting.values().filter_map(|waits| *waits);
        let changes = inner.changes.iter().filter(|change| !change.told).map(|change| change.at);
        rows.chain(changes).min().map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// Whether something that silences befell it in this while, or had ended not longer than `tail` before.
    pub fn may_be_silent(&self, from: Duration, to: Duration, tail: Duration) -> bool {
        let inner = self.inner();
        inner.troubles.iter().any(|(_, begun, ended)| {
            *begun <= to && from <= ended.map_or(Duration::MAX, |ended| ended + tail)
        })
    }

    /// What befell it last.
    pub fn last(&self) -> Option<Fault> {
        self.inner().last
    }

    /// How often something befell it.
    pub fn count(&self, fault: Fault) -> u64 {
        self.inner().injected.get(&fault).copied().unwrap_or(0)
    }

    /// Rows committed, those that wait to be read, and changes that were not told.
    pub fn state(&self) -> (u64, Vec<u64>, Vec<Change>) {
        let inner = self.inner();
        let untold = inner.changes.iter().filter(|change| !change.told).copied().collect();
        (inner.count, inner.waiting.keys().copied().collect(), untold)
    }
}
