//! Making room: what is dropped when full, in the order that `lib.rs` promises.

use rusqlite::{OptionalExtension as _, Transaction};

use crate::bytes::{count, signed};
use crate::open_window::chunk_id;
use crate::schema::PAGE;
use crate::seal::Cause;
use crate::{Buffer, BufferError, side};

/// Least that one step frees, where there is as much.
const STEP: u64 = 1024 * 1024;

/// Bytes of pages a row of this length takes: its share of a page, or pages of its own.
pub(crate) fn cost(length: usize) -> u64 {
    let length = length as u64 + 64;
    if length <= PAGE - 35 { length } else { length.div_ceil(PAGE - 4) * PAGE }
}

impl Buffer {
    /// One transaction, tried again for as long as something can be dropped for it. The verb is told how many bytes
    /// raw takes at that moment.
    pub(crate) fn write_with_room<T>(
        &mut self,
        verb: impl Fn(&Transaction<'_>, u64) -> Result<T, BufferError>,
    ) -> Result<T, BufferError> {
        let raw_bytes = self.raw_bytes;
        let mut outcome = self.write(|tx| verb(tx, raw_bytes));
        if !matches!(outcome, Err(BufferError::Full)) {
            if outcome.is_ok() {
                self.full_since_ms = None;
            }
            return outcome;
        }
        self.full_since_ms = self.full_since_ms.or(Some(self.told_ms));
        while matches!(outcome, Err(BufferError::Full)) && self.make_room()? {
            let raw_bytes = self.raw_bytes;
            outcome = self.write(|tx| verb(tx, raw_bytes));
        }
        outcome
    }

    /// Takes the reserve again, now and then, once there is space.
    pub(crate) fn retake_reserve(&self, seq: u64) {
        if self.full_since_ms.is_none() && seq.is_multiple_of(16) {
            side::take_reserve(&self.path);
        }
    }

    /// Drops the next thing in order; whether there was one.
    fn make_room(&mut self) -> Result<bool, BufferError> {
        if !self.at_file_bound()? && side::forget_oldest_set_aside(&self.path) {
            return Ok(true);
        }
        match self.drop_oldest() {
            Ok(true) => return Ok(true),
            Ok(false) | Err(BufferError::Full) => {}
            Err(error) => return Err(error),
        }
        // Not even deleting had room, or there is nothing left to delete.
        if !side::release_reserve(&self.path) {
            return Ok(false);
        }
        match self.drop_oldest() {
            Ok(_) | Err(BufferError::Full) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn drop_oldest(&mut self) -> Result<bool, BufferError> {
        let (before, told) = (self.raw_bytes, self.told_ms);
        let after = self.write(|tx| {
            let mut left = before;
            while before - left < STEP
                && let Some(freed) = drop_one(tx, told, Cause::Full)?
            {
                left = left.saturating_sub(freed.max(1));
            }
            Ok(left)
        })?;
        self.raw_bytes = after;
        Ok(after < before)
    }

    fn at_file_bound(&self) -> Result<bool, BufferError> {
        let pages: i64 = self.db.pragma_query_value(None, "page_count", |row| row.get(0))?;
        Ok((count(pages) + 16) * PAGE >= self.bounds.file_bytes)
    }
}

/// Drops raw windows, oldest first, until `bytes` is within `limit`; what is left.
pub(crate) fn drop_beyond(
    tx: &Transaction<'_>,
    mut bytes: u64,
    limit: u64,
    now_ms: i64,
) -> Result<u64, BufferError> {
    while bytes > limit
        && let Some(freed) = drop_one(tx, now_ms, Cause::Bound)?
    {
        bytes = bytes.saturating_sub(freed);
    }
    Ok(bytes)
}

/// Turns the oldest raw window into a tombstone; how many bytes it had.
fn drop_one(tx: &Transaction<'_>, now_ms: i64, cause: Cause) -> Result<Option<u64>, BufferError> {
    let oldest = "SELECT seq, window, bytes FROM raw WHERE dropped_ms IS NULL ORDER BY seq LIMIT 1";
    let oldest: Option<(i64, i64, i64)> =
        tx.query_row(oldest, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((seq, window, bytes)) = oldest else { return Ok(None) };
    tx.execute(
        "DELETE FROM chunks WHERE id BETWEEN ?1 AND ?2",
        (chunk_id(window, 0), chunk_id(window, u16::MAX)),
    )?;
    tx.execute(
        "UPDATE raw SET dropped_ms = ?2, cause = ?3, secret = NULL, parts = 0, bytes = 0 WHERE seq = ?1",
        (signed(count(seq)), now_ms, cause.name()),
    )?;
    Ok(Some(count(bytes)))
}
