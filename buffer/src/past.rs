//! What is still there of the past: which entries, and of windows what can be opened.

use proof::EntryId;
use rusqlite::OptionalExtension as _;

use crate::bytes::{count, signed};
use crate::seal::Cause;
use crate::{Buffer, BufferError, Tombstone};

/// Most entries of one answer.
pub const MOST_ENTRIES: usize = 2_000;

/// What is there of a time, in the order of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastList {
    /// At most [`MOST_ENTRIES`].
    pub entries: Vec<PastEntry>,
    /// Numbers among them of which nothing is in the store, first and last of each run. Not those that the store forgot
    /// in order ([`Buffer::forgotten`]).
    pub missing: Vec<(u64, u64)>,
    /// There are more entries of that time.
    pub is_cut: bool,
}

/// A place in the chain of which something is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastEntry {
    /// Sequence number.
    pub seq: u64,
    /// Kind and entry id; `None` where the proof itself is gone, and only its raw data or their tombstone is there.
    pub proof: Option<(String, EntryId)>,
    /// When its receipt came, Unix ms.
    pub receipted_ms: Option<i64>,
    /// Of a window: what is left of its raw data. A window always has one of the two; where it has neither, somebody else
    /// took them away.
    pub raw: Option<PastRaw>,
}

/// What is left of a past window's raw data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastRaw {
    /// All of it.
    Kept {
        /// Claimed wall start, Unix ms.
        start_ms: i64,
    },
    /// The fact that it was there.
    Dropped(Tombstone),
}

/// Signed bytes and the receipt of an entry, as far as they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastProof {
    /// Encoded envelope; `None` until it is signed.
    pub envelope: Option<Vec<u8>>,
    /// The receipt, as it came; `None` while it waits for one.
    pub receipt: Option<Vec<u8>>,
}

/// Part of the chain between two numbers, neither of them in it.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: u64,
    /// `None`: the end of the chain is not known.
    end: Option<u64>,
    has_windows: bool,
}

/// Up to which number a chain with this head has forgotten what it may.
pub(crate) fn forgotten(head: u64, keep: u64) -> u64 {
    (head / FORGETS_EACH * FORGETS_EACH).saturating_sub(keep)
}

/// Each so many entries the store forgets.
pub(crate) const FORGETS_EACH: u64 = 64;

/// Runs of numbers that are not listed, after `start` and before `end`.
fn missing(start: u64, listed: &[PastEntry], end: Option<u64>) -> Vec<(u64, u64)> {
    let ends = listed.iter().map(|entry| entry.seq).chain(end);
    let mut last = start;
    let run = |seq: u64| {
        let before = last;
        last = last.max(seq);
        (before + 1 < seq).then(|| (before + 1, seq - 1))
    };
    ends.filter_map(run).collect()
}

impl PastEntry {
    fn is_window(&self) -> bool {
        self.raw.is_some() || self.proof.as_ref().is_some_and(|(kind, _)| kind == "window")
    }
}

impl PastRaw {
    /// Claimed wall start of the window, Unix ms.
    pub fn start_ms(&self) -> i64 {
        match self {
            Self::Kept { start_ms } | Self::Dropped(Tombstone { start_ms, .. }) => *start_ms,
        }
    }
}

impl Buffer {
    /// What is there of a time (claimed starts of windows from `from_ms` to `to_ms`, Unix ms, both included): its windows,
    /// and what stands between them in the chain up to the window before and the window after. A clock that was set puts
    /// windows of one time into several places of the chain: each is listed.
    ///
    /// # Errors
    /// The database's.
    pub fn past(&self, from_ms: i64, to_ms: i64) -> Result<PastList, BufferError> {
        self.notice(self.read_past(from_ms, to_ms))
    }

    /// Up to this number, entries that have their receipt were forgotten in order, see [`Bounds::receipted`].
    ///
    /// [`Bounds::receipted`]: crate::Bounds::receipted
    pub fn forgotten(&self) -> u64 {
        self.head.map_or(0, |head| forgotten(head.seq, self.bounds.receipted))
    }

    fn read_past(&self, from_ms: i64, to_ms: i64) -> Result<PastList, BufferError> {
        let mut list = PastList { entries: Vec::new(), missing: Vec::new(), is_cut: false };
        for place in self.places(from_ms, to_ms)? {
            let left = MOST_ENTRIES - list.entries.len();
            let mut entries = self.between(place, left)?;
            list.is_cut = entries.len() > left;
            entries.truncate(left);
            // What is beyond the last that is listed was not looked at.
            let end = if list.is_cut { entries.last().map(|entry| entry.seq) } else { place.end };
            let missing = missing(place.start.max(self.forgotten()), &entries, end);
            if place.has_windows || !missing.is_empty() || entries.iter().any(PastEntry::is_window) {
                list.entries.extend(entries);
                list.missing.extend(missing);
            }
            if list.is_cut {
                break;
            }
        }
        Ok(list)
    }

    /// Where in the chain windows of that time stand, or would stand: in the order of the chain.
    fn places(&self, from_ms: i64, to_ms: i64) -> Result<Vec<Place>, BufferError> {
        let mut rows = self.db.prepare("SELECT seq, start_ms FROM raw ORDER BY seq")?;
        let mut rows = rows.query([])?;
        let (mut places, mut before) = (Vec::new(), (0, i64::MIN));
        let mut open: Option<u64> = None;
        while let Some(row) = rows.next()? {
            let (seq, start_ms) = (count(row.get(0)?), row.get(1)?);
            let (last, last_ms) = std::mem::replace(&mut before, (seq, start_ms));
            if (from_ms..=to_ms).contains(&start_ms) {
                open.get_or_insert(last);
            } else if let Some(start) = open.take() {
                places.push(Place { start, end: Some(seq), has_windows: true });
            } else if last_ms < from_ms && start_ms > to_ms {
                places.push(Place { start: last, end: Some(seq), has_windows: false });
            }
        }
        // After the last one that is there, the chain ends at its head.
        let end = self.head.and_then(|head| head.seq.checked_add(1));
        match open {
            Some(start) => places.push(Place { start, end, has_windows: true }),
            None if before.1 < from_ms => places.push(Place { start: before.0, end, has_windows: false }),
            None => {}
        }
        Ok(places)
    }

    /// The entries of a place, one more than `most` where there are more.
    fn between(&self, place: Place, most: usize) -> Result<Vec<PastEntry>, BufferError> {
        let mut rows = self.db.prepare(
            "WITH places AS (
                SELECT seq FROM proofs WHERE seq > ?1 AND seq < ?2
                UNION SELECT seq FROM raw WHERE seq > ?1 AND seq < ?2
             )
             SELECT seq, kind, entry, receipted_ms, start_ms, dropped_ms, cause
             FROM places LEFT JOIN proofs USING (seq) LEFT JOIN raw USING (seq) ORDER BY seq LIMIT ?3",
        )?;
        let found = |row: &rusqlite::Row<'_>| {
            let kind: Option<String> = row.get(1)?;
            let entry: Option<[u8; 32]> = row.get(2)?;
            let (start_ms, dropped_ms): (Option<i64>, Option<i64>) = (row.get(4)?, row.get(5)?);
            let cause: Option<String> = row.get(6)?;
            let raw = start_ms.map(|start_ms| match dropped_ms {
                None => PastRaw::Kept { start_ms },
                Some(dropped_ms) => {
                    let cause = Cause::named(&cause.unwrap_or_default());
                    PastRaw::Dropped(Tombstone { start_ms, dropped_ms, cause })
                }
            });
            let proof = kind.zip(entry.map(EntryId));
            Ok(PastEntry { seq: count(row.get(0)?), proof, receipted_ms: row.get(3)?, raw })
        };
        let end = place.end.map_or(i64::MAX, signed);
        let bounds = (signed(place.start), end, signed(most as u64).saturating_add(1));
        Ok(rows.query_map(bounds, found)?.collect::<Result<_, _>>()?)
    }

    /// Envelope and receipt of an entry; `None` where it is gone.
    ///
    /// # Errors
    /// The database's.
    pub fn past_proof(&self, seq: u64) -> Result<Option<PastProof>, BufferError> {
        let columns = "SELECT envelope, receipt FROM proofs WHERE seq = ?1";
        let found = |row: &rusqlite::Row<'_>| Ok(PastProof { envelope: row.get(0)?, receipt: row.get(1)? });
        let read = || Ok(self.db.query_row(columns, [signed(seq)], found).optional()?);
        self.notice(read())
    }
}
