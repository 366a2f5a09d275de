//! The outbox: from the payload to the receipt.

use std::collections::BTreeMap;

use proof::EntryId;

use crate::bytes::{self, count, signed};
use crate::{Buffer, BufferError};

/// A payload that has no signature yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// Sequence number.
    pub seq: u64,
    /// Its kind.
    pub kind: String,
    /// The bytes to be signed.
    pub payload: Vec<u8>,
}

/// A signed proof on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Sequence number.
    pub seq: u64,
    /// What its receipt will name.
    pub entry: EntryId,
    /// Encoded envelope, to be sent as it is.
    pub envelope: Vec<u8>,
    /// Detached use rows; empty when there are none.
    pub use_rows: Vec<u8>,
}

/// A proof the ledger has answered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipted {
    /// Encoded envelope, as it was sent.
    pub envelope: Vec<u8>,
    /// The receipt, as it came.
    pub receipt: Vec<u8>,
}

/// Most proofs of one answer.
const MOST: usize = 1_000;

/// Most bytes of one answer, the last proof of it not counted.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Largest receipt.
const MAX_RECEIPT: usize = 64 * 1024;

/// Most characters of a refusal's text.
const MOST_TEXT: usize = 1_000;

/// Most refusals remembered.
const MOST_REFUSALS: i64 = 100;

impl Buffer {
    /// Payloads without a signature, oldest first: all of them after a crash between sealing and signing.
    ///
    /// # Errors
    /// The database's.
    pub fn unsigned(&self) -> Result<Vec<Unsigned>, BufferError> {
        let read = || {
            let mut rows = self.db.prepare(
                "SELECT seq, kind, payload FROM proofs WHERE receipt IS NULL AND envelope IS NULL
                 AND payload IS NOT NULL ORDER BY seq LIMIT 1000",
            )?;
            let rows = rows.query_map([], |row| {
                Ok(Unsigned { seq: count(row.get(0)?), kind: row.get(1)?, payload: row.get(2)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.notice(read())
    }

    /// Puts the signed envelope in place of the payload it contains. May be repeated; a proof that has its receipt or
    /// is not there is left alone.
    ///
    /// # Errors
    /// [`BufferError::TooLarge`], [`BufferError::Full`], or the database's.
    pub fn sign(&mut self, seq: u64, envelope: &[u8]) -> Result<(), BufferError> {
        bytes::bound("an envelope", envelope.len(), proof::MAX_PARCEL)?;
        self.write_with_room(|tx, _| {
            tx.execute(
                "UPDATE proofs SET envelope = ?2, payload = NULL
                 WHERE seq = ?1 AND receipt IS NULL AND envelope IS NOT ?2",
                (signed(seq), envelope),
            )?;
            Ok(())
        })
    }

    /// The oldest proofs after `after_seq` without a receipt, in order, at most `limit` (and 1,000, and some 4 MiB).
    /// Ends before the first that is not signed: order is kept.
    ///
    /// # Errors
    /// The database's.
    pub fn unreceipted(&self, limit: usize, after_seq: u64) -> Result<Vec<Outgoing>, BufferError> {
        let read = || {
            let mut rows = self.db.prepare(
                "SELECT seq, entry, envelope, use_rows FROM proofs WHERE receipt IS NULL AND seq > ?1
                 ORDER BY seq LIMIT ?2",
            )?;
            let mut rows = rows.query((signed(after_seq), signed(limit.min(MOST) as u64)))?;
            let (mut outgoing, mut bytes) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                let Some(envelope) = row.get::<_, Option<Vec<u8>>>(2)? else { break };
                let use_rows = row.get::<_, Option<Vec<u8>>>(3)?.unwrap_or_default();
                bytes += envelope.len() + use_rows.len();
                let (seq, entry) = (count(row.get(0)?), EntryId(row.get(1)?));
                outgoing.push(Outgoing { seq, entry, envelope, use_rows });
                if bytes > MOST_BYTES {
                    break;
                }
            }
            Ok(outgoing)
        };
        self.notice(read())
    }

    /// Takes a proof out of the outbox: its receipt is here. Envelope and receipt stay until their bound, its use rows
    /// go. `false` for an id that is not waiting, which is left alone.
    ///
    /// # Errors
    /// [`BufferError::TooLarge`], [`BufferError::Full`], or the database's.
    pub fn receipted(&mut self, entry: EntryId, receipt: &[u8], now_ms: i64) -> Result<bool, BufferError> {
        let receipts = BTreeMap::from([(entry, receipt.to_vec())]);
        Ok(self.all_receipted(&receipts, now_ms)? == 1)
    }

    /// As [`Buffer::receipted`], for many in one transaction: catching up on a backlog costs one sync, not thousands.
    /// Returns how many were waiting.
    ///
    /// # Errors
    /// As [`Buffer::receipted`].
    pub fn all_receipted(
        &mut self,
        receipts: &BTreeMap<EntryId, Vec<u8>>,
        now_ms: i64,
    ) -> Result<usize, BufferError> {
        self.told(now_ms);
        receipts.values().try_for_each(|receipt| bytes::bound("a receipt", receipt.len(), MAX_RECEIPT))?;
        self.write_with_room(|tx, _| {
            let mut known = 0;
            let mut store = tx.prepare(
                "UPDATE proofs SET receipt = ?2, receipted_ms = ?3, use_rows = NULL
                 WHERE entry = ?1 AND receipt IS NULL",
            )?;
            let mut forgive = tx.prepare("DELETE FROM refusals WHERE entry = ?1")?;
            for (entry, receipt) in receipts {
                known += store.execute((entry.0, receipt, now_ms))?;
                forgive.execute([entry.0])?;
            }
            Ok(known)
        })
    }

    /// Envelope and receipt of an entry that has its receipt.
    ///
    /// # Errors
    /// The database's.
    pub fn receipt(&self, seq: u64) -> Result<Option<Receipted>, BufferError> {
        let proof = self.past_proof(seq)?;
        Ok(proof.and_then(|proof| Some(Receipted { envelope: proof.envelope?, receipt: proof.receipt? })))
    }

    /// Remembers that the ledger refused an entry, for `status`. The proof stays in the outbox: people decide.
    /// The newest 100 are kept; a text is cut at 1,000 characters.
    ///
    /// # Errors
    /// [`BufferError::Full`], or the database's.
    pub fn refused(
        &mut self,
        entry: EntryId,
        name: &str,
        text: &str,
        now_ms: i64,
    ) -> Result<(), BufferError> {
        self.told(now_ms);
        let cut = |text: &str| text.chars().take(MOST_TEXT).collect::<String>();
        let (name, text) = (cut(name), cut(text));
        self.write_with_room(|tx, _| {
            tx.execute(
                "INSERT INTO refusals VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
                 SET name = excluded.name, text = excluded.text, at_ms = excluded.at_ms",
                (entry.0, &name, &text, now_ms),
            )?;
            tx.execute(
                "DELETE FROM refusals WHERE rowid NOT IN (SELECT rowid FROM refusals ORDER BY at_ms DESC LIMIT ?1)",
                [MOST_REFUSALS],
            )?;
            Ok(())
        })
    }
}
