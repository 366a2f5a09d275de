//! Small things the agent remembers: boots, and values under keys.

use rusqlite::OptionalExtension as _;

use crate::bytes::bound;
use crate::{Buffer, BufferError};

/// Boot ids that are still recognised.
const MOST_BOOTS: i64 = 1_000;

/// Longest key, and longest value.
pub(crate) const MAX_KEY: usize = 100;
pub(crate) const MAX_VALUE: usize = 1024 * 1024;

impl Buffer {
    /// Counts distinct boots, from 1. The same id has the same count, as long as it is among the last 1,000. On a full
    /// disk it is counted and not remembered.
    ///
    /// # Errors
    /// [`BufferError::TooLarge`], or the database's.
    pub fn begin_boot(&mut self, id: &[u8]) -> Result<u32, BufferError> {
        bound("a boot id", id.len(), MAX_KEY)?;
        let found: Option<i64> =
            self.db.query_row("SELECT count FROM boots WHERE id = ?1", [id], |row| row.get(0)).optional()?;
        let count = match found {
            Some(count) => count,
            None => {
                let counted = self.write_with_room(|tx, _| {
                    let next =
                        "INSERT INTO boots SELECT COALESCE(MAX(count), 0) + 1, ?1 FROM boots RETURNING count";
                    let count: i64 = tx.query_row(next, [id], |row| row.get(0))?;
                    tx.execute("DELETE FROM boots WHERE count <= ?1", [count - MOST_BOOTS])?;
                    Ok(count)
                });
                match counted {
                    Err(BufferError::Full) => {
                        let next = "SELECT COALESCE(MAX(count), 0) + 1 FROM boots";
                        self.db.query_row(next, [], |row| row.get(0))?
                    }
                    counted => counted?,
                }
            }
        };
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// The value under a key.
    ///
    /// # Errors
    /// The database's.
    pub fn state(&self, key: &str) -> Result<Option<Vec<u8>>, BufferError> {
        let value = "SELECT value FROM state WHERE key = ?1";
        let read = || Ok(self.db.query_row(value, [key], |row| row.get(0)).optional()?);
        self.notice(read())
    }

    /// Stores a value under a key. The same value again writes nothing.
    ///
    /// # Errors
    /// [`BufferError::TooLarge`], [`BufferError::Full`], or the database's.
    pub fn set_state(&mut self, key: &str, value: &[u8]) -> Result<(), BufferError> {
        bound("a key", key.len(), MAX_KEY)?;
        bound("a value", value.len(), MAX_VALUE)?;
        self.write_with_room(|tx, _| {
            tx.execute(
                "INSERT INTO state VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value
                 WHERE value IS NOT excluded.value",
                (key, value),
            )?;
            Ok(())
        })
    }
}
