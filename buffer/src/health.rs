//! What `status` prints of the store.

use std::fs;

use proof::EntryId;
use rusqlite::OptionalExtension as _;

use crate::bytes::count;
use crate::{Buffer, BufferError, Head, side};

/// The store's state in figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Where the chain stands; `None` when that was lost.
    pub head: Option<Head>,
    /// Proofs without a receipt.
    pub backlog: u64,
    /// The oldest of them.
    pub oldest_unreceipted: Option<u64>,
    /// Bytes of pages that raw takes.
    pub raw_bytes: u64,
    /// Windows whose raw chunks are kept.
    pub raw_windows: u64,
    /// Start of the oldest of them, Unix ms.
    pub raw_since_ms: Option<i64>,
    /// Windows whose raw chunks were dropped and are remembered by a tombstone.
    pub tombstones: u64,
    /// Bytes of the database, its log and what lies beside it.
    pub file_bytes: u64,
    /// The receipt of the highest sequence number.
    pub last_receipt: Option<LastReceipt>,
    /// The newest refusal whose entry has no receipt since.
    pub last_refusal: Option<LastRefusal>,
    /// Since when the disk or the file has been full, Unix ms.
    pub full_since_ms: Option<i64>,
    /// Whether the space for the moment of a full disk is held.
    pub reserve: bool,
}

/// The receipt of the highest sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastReceipt {
    /// Its sequence number.
    pub seq: u64,
    /// When it came, Unix ms.
    pub at_ms: i64,
}

/// A refusal by the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRefusal {
    /// What was refused.
    pub entry: EntryId,
    /// Its name.
    pub name: String,
    /// In words.
    pub text: String,
    /// When it came, Unix ms.
    pub at_ms: i64,
}

impl Buffer {
    /// The store's state in figures. Counts what is kept: for `status`, not for every second.
    ///
    /// # Errors
    /// The database's.
    pub fn health(&self) -> Result<Health, BufferError> {
        self.notice(self.read_health())
    }

    fn read_health(&self) -> Result<Health, BufferError> {
        let waiting = "SELECT COUNT(*), MIN(seq) FROM proofs WHERE receipt IS NULL";
        let (backlog, oldest): (i64, Option<i64>) =
            self.db.query_row(waiting, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let raw = "SELECT COUNT(*) FILTER (WHERE dropped_ms IS NULL), COUNT(*),
                          (SELECT start_ms FROM raw WHERE dropped_ms IS NULL ORDER BY seq LIMIT 1) FROM raw";
        let (kept, all, since): (i64, i64, Option<i64>) =
            self.db.query_row(raw, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let receipt =
            "SELECT seq, receipted_ms FROM proofs WHERE receipt IS NOT NULL ORDER BY seq DESC LIMIT 1";
        let last_receipt = self
            .db
            .query_row(receipt, [], |row| Ok(LastReceipt { seq: count(row.get(0)?), at_ms: row.get(1)? }))
            .optional()?;
        let refusal = "SELECT entry, name, text, at_ms FROM refusals ORDER BY at_ms DESC LIMIT 1";
        let last_refusal = self.db.query_row(refusal, [], |row| {
            let entry = EntryId(row.get(0)?);
            Ok(LastRefusal { entry, name: row.get(1)?, text: row.get(2)?, at_ms: row.get(3)? })
        });
        Ok(Health {
            head: self.head,
            backlog: count(backlog),
            oldest_unreceipted: oldest.map(count),
            raw_bytes: self.raw_bytes,
            raw_windows: count(kept),
            raw_since_ms: since,
            tombstones: count(all - kept),
            file_bytes: self.file_bytes(),
            last_receipt,
            last_refusal: last_refusal.optional()?,
            full_since_ms: self.full_since_ms,
            reserve: side::reserve_held(&self.path),
        })
    }

    fn file_bytes(&self) -> u64 {
        let aside = side::set_aside(&self.path);
        let beside = ["", "-wal", ".head", ".reserve"].map(|suffix| side::beside(&self.path, suffix));
        let logs = aside.iter().map(|aside| side::beside(aside, "-wal"));
        let all = beside.into_iter().chain(logs).chain(aside.iter().cloned());
        all.filter_map(|path| fs::metadata(path).ok()).map(|meta| meta.len()).sum()
    }
}
