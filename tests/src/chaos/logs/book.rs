//! What one writer wrote, where it begins among all bytes of its log, and what was changed of it afterwards.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::Kind;
use super::text::Written;

/// What befalls a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Renamed, and another begun under its name.
    Rename,
    /// Copied and emptied.
    CopyTruncate,
    /// A new name.
    DatedNames,
    /// Deleted after it was read, and begun anew.
    Delete,
    /// Emptied in its place after it was read.
    Truncate,
    /// What was read was changed.
    Edit,
    /// Its folder is not there for a while.
    Away,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Rename,
        Self::CopyTruncate,
        Self::DatedNames,
        Self::Delete,
        Self::Truncate,
        Self::Edit,
        Self::Away,
    ];

    /// In words, for the report.
    pub fn words(self) -> &'static str {
        match self {
            Self::Rename => "renamed, a successor begun",
            Self::CopyTruncate => "copied and emptied",
            Self::DatedNames => "a new name by date",
            Self::Delete => "read, deleted and begun anew (rewrite)",
            Self::Truncate => "read and emptied in its place (rewrite)",
            Self::Edit => "committed bytes edited (rewrite)",
            Self::Away => "folder away for a while",
        }
    }
}

/// A record that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 0.
    pub number: u64,
    /// Where it begins among all bytes of its log.
    pub position: u64,
    /// What must be made of it.
    pub message: String,
    /// Who did it.
    pub account: String,
    /// When, Unix ms.
    pub event_ms: i64,
    /// Physical lines.
    pub lines: u32,
    /// Where it ends in its file.
    ends: u64,
    /// When its last byte was written.
    pub whole: Option<Duration>,
}

/// Something that was read and is not there as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What was done.
    pub fault: Fault,
    /// The first position that is not as it was.
    pub from: u64,
    /// The position after the last.
    pub to: u64,
    /// When.
    pub at: Duration,
    /// Whether it was told.
    pub told: bool,
}

/// What one writer wrote.
pub struct Book {
    /// Which log.
    pub kind: Kind,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    written: u64,
    bytes: u64,
    /// Written and not read yet.
    waiting: VecDeque<Entry>,
    seen: u64,
    /// Positions of what was read.
    positions: Vec<u64>,
    changes: Vec<Change>,
    away: Vec<(Duration, Option<Duration>)>,
    injected: BTreeMap<Fault, u64>,
    last: Option<Fault>,
    reused: u64,
    ended: Option<Duration>,
}

impl Book {
    /// An empty one.
    pub fn new(kind: Kind) -> Self {
        Self { kind, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while a book is locked")
    }

    /// Number and position of the next record.
    pub fn next(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.written, inner.bytes)
    }

    /// A record of so many bytes will be written; it begins there in its file.
    pub fn write(&self, position: u64, written: &Written, bytes: u64, from: u64) {
        let mut inner = self.inner();
        let number = inner.written;
        inner.written += 1;
        inner.bytes += bytes;
        inner.positions.push(position);
        inner.waiting.push_back(Entry {
            number,
            position,
            message: written.message.clone(),
            account: written.account.clone(),
            event_ms: written.event_ms,
            lines: written.lines,
            ends: from + bytes,
            whole: None,
        });
    }

    /// So much of the file has been written.
    pub fn flushed(&self, offset: u64, now: Duration) {
        let mut inner = self.inner();
        // Files follow each other: whatever is not whole is of this one.
        for entry in inner.waiting.iter_mut().filter(|entry| entry.whole.is_none()) {
            if entry.ends > offset {
                break;
            }
            entry.whole = Some(now);
        }
    }

    /// What was read of a record was changed, so many bytes of it.
    pub fn edited(&self, number: u64, into: u64, length: u64, now: Duration) {
        let mut inner = self.inner();
        let from = inner.positions[usize::try_from(number).expect("few")] + into;
        inner.changes.push(Change { fault: Fault::Edit, from, to: from + length, at: now, told: false });
        drop(inner);
        self.injected(Fault::Edit);
    }

    /// The last so many bytes are gone.
    pub fn lost(&self, fault: Fault, length: u64, now: Duration) {
        let mut inner = self.inner();
        let to = inner.bytes;
        inner.changes.push(Change { fault, from: to.saturating_sub(length), to, at: now, told: false });
        drop(inner);
        self.injected(fault);
    }

    /// A rotation.
    pub fn injected(&self, fault: Fault) {
        let mut inner = self.inner();
        *inner.injected.entry(fault).or_default() += 1;
        inner.last = Some(fault);
    }

    /// A new file has an inode that another had.
    pub fn inode_reused(&self) {
        self.inner().reused += 1;
    }

    /// It is not there from now on.
    pub fn goes(&self, fault: Option<Fault>, now: Duration) {
        self.inner().away.push((now, None));
        if let Some(fault) = fault {
            self.injected(fault);
        }
    }

    /// It is there again.
    pub fn comes(&self, now: Duration) {
        if let Some(last) = self.inner().away.last_mut() {
            last.1 = Some(now);
        }
    }

    /// Nothing more will be written.
    pub fn ended(&self, now: Duration) {
        self.inner().ended = Some(now);
    }

    /// Records written, or about to be.
    pub fn written(&self) -> u64 {
        self.inner().written
    }

    /// Records read.
    pub fn seen(&self) -> u64 {
        self.inner().seen
    }

    /// Whether all that was changed was told.
    pub fn is_told(&self) -> bool {
        self.inner().changes.iter().all(|change| change.told)
    }

    /// Whether all was written, read and told.
    pub fn is_done(&self) -> bool {
        let inner = self.inner();
        inner.ended.is_some() && inner.waiting.is_empty() && inner.changes.iter().all(|change| change.told)
    }

    /// Takes the next record that should be read.
    pub fn take(&self) -> Option<Entry> {
        let mut inner = self.inner();
        let entry = inner.waiting.pop_front()?;
        inner.seen = entry.number + 1;
        Some(entry)
    }

    /// The records that should be read next.
    pub fn waiting(&self) -> Vec<Entry> {
        self.inner().waiting.iter().cloned().collect()
    }

    /// For how long the next record has been whole, and the oldest change not told.
    pub fn late(&self, now: Duration) -> (Duration, Duration) {
        let inner = self.inner();
        let whole = inner.waiting.front().and_then(|entry| entry.whole);
        let change = inner.changes.iter().find(|change| !change.told).map(|change| change.at);
        let since = |at: Option<Duration>| at.map_or(Duration::ZERO, |at| now.saturating_sub(at));
        (since(whole), since(change))
    }

    /// A stretch is told to be rewritten: whether something in it was, not longer ago than `patience`.
    pub fn tells(&self, from: u64, to: u64, fits: impl Fn(Fault) -> bool, oldest: Duration) -> bool {
        let mut inner = self.inner();
        let covered = |change: &&mut Change| {
            from <= change.from && change.to <= to && fits(change.fault) && change.at >= oldest
        };
        let mut any = false;
        for change in inner.changes.iter_mut().filter(covered) {
            (change.told, any) = (true, true);
        }
        any
    }

    /// What was changed.
    pub fn changes(&self) -> Vec<Change> {
        self.inner().changes.clone()
    }

    /// Whether it was not there at some moment of this while.
    pub fn was_away(&self, from: Duration, to: Duration) -> bool {
        self.inner().away.iter().any(|(gone, back)| *gone <= to && from <= back.unwrap_or(Duration::MAX))
    }

    /// What befell it last.
    pub fn last(&self) -> Option<Fault> {
        self.inner().last
    }

    /// How often something befell it.
    pub fn count(&self, fault: Fault) -> u64 {
        self.inner().injected.get(&fault).copied().unwrap_or(0)
    }

    /// Bytes written, and how often a new file had the inode of another.
    pub fn totals(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.bytes, inner.reused)
    }
}
