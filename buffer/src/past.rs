//! What is still there of the past: which entries, and of windows what can be opened.

use proof::EntryId;
use rusqlite::OptionalExtension as _;

use crate::bytes::{count, signed};
use crate::seal::Cause;
use crate::{Buffer, BufferError, Tombstone};

/// Most entries of one answer.
pub const MOST_ENTRIES: usize = 2_000;

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
    /// Encoded envelope.
    pub envelope: Vec<u8>,
    /// The receipt, as it came; `None` while it waits for one.
    pub receipt: Option<Vec<u8>>,
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
    /// The entries from the window before `from_ms` to the window after `to_ms` (claimed starts, Unix ms), by sequence
    /// number, all kinds, at most [`MOST_ENTRIES`]. A number that is not among them is nowhere in the store.
    ///
    /// # Errors
    /// The database's.
    pub fn past(&self, from_ms: i64, to_ms: i64) -> Result<Vec<PastEntry>, BufferError> {
        self.notice(self.read_past(from_ms, to_ms))
    }

    fn read_past(&self, from_ms: i64, to_ms: i64) -> Result<Vec<PastEntry>, BufferError> {
        // By sequence, not by time: a clock that was set puts a window's neighbours in the chain far from it in time.
        let (first, last): (Option<i64>, Option<i64>) = self.db.query_row(
            "SELECT min(seq), max(seq) FROM raw WHERE start_ms BETWEEN ?1 AND ?2",
            (from_ms, to_ms),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let before = "SELECT max(seq) FROM raw WHERE start_ms < ?1 AND seq < ?2";
        let after = "SELECT min(seq) FROM raw WHERE start_ms > ?1 AND seq > ?2";
        let next = |sql: &str, at_ms: i64, seq: i64| {
            self.db.query_row(sql, (at_ms, seq), |row| row.get::<_, Option<i64>>(0))
        };
        let before = next(before, from_ms, first.unwrap_or(i64::MAX))?.or(first);
        let after = next(after, to_ms, last.or(before).unwrap_or(0))?.or(last);
        let mut rows = self.db.prepare(
            "WITH places AS (
                SELECT seq FROM proofs WHERE seq BETWEEN ?1 AND ?2
                UNION SELECT seq FROM raw WHERE seq BETWEEN ?1 AND ?2
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
        let bounds = (before.or(after), after.or(before), signed(MOST_ENTRIES as u64));
        Ok(rows.query_map(bounds, found)?.collect::<Result<_, _>>()?)
    }

    /// Envelope and receipt of an entry; `None` where it is gone, or was never signed.
    ///
    /// # Errors
    /// The database's.
    pub fn past_proof(&self, seq: u64) -> Result<Option<PastProof>, BufferError> {
        let columns = "SELECT envelope, receipt FROM proofs WHERE seq = ?1 AND envelope IS NOT NULL";
        let found = |row: &rusqlite::Row<'_>| Ok(PastProof { envelope: row.get(0)?, receipt: row.get(1)? });
        let read = || Ok(self.db.query_row(columns, [signed(seq)], found).optional()?);
        self.notice(read())
    }
}
