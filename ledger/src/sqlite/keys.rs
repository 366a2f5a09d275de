//! Which key signed for an agent from where on.

use proof::{AgentId, VerifyKey};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::LedgerError;
use crate::error::Doing as _;
use crate::store::{AgentKey, NewEntry};

/// SQL of the key that the row of `agents` was enrolled with: that of its first epoch.
pub(super) const FIRST: &str =
    "coalesce((SELECT k.key FROM keys k WHERE k.agent = id ORDER BY k.epoch LIMIT 1), key)";

/// Puts the key that a recorded rotation names in the place of the agent's, and the epoch one up. Inside the caller's
/// transaction: entry and key are there together or not at all.
pub(super) fn rotate(transaction: &Connection, new: &NewEntry, key: &VerifyKey) -> Result<(), LedgerError> {
    let doing = "rotate an agent's key";
    let next = new.epoch.checked_add(1).ok_or_else(|| LedgerError::Damaged("no epoch is left".to_owned()))?;
    // The first key stands with its agent until there is a second.
    transaction
        .execute(
            "INSERT INTO keys (agent, epoch, key, from_seq) SELECT id, epoch, key, 1 FROM agents WHERE id = ?
             ON CONFLICT DO NOTHING",
            params![new.agent.0],
        )
        .doing(doing)?;
    let moved = transaction
        .execute(
            "UPDATE agents SET key = ?, epoch = ? WHERE id = ? AND epoch = ?",
            params![key.to_bytes(), next, new.agent.0, new.epoch],
        )
        .doing(doing)?;
    if moved != 1 {
        return Err(LedgerError::Damaged(format!("a rotation of {} is not of its epoch", new.agent)));
    }
    transaction
        .execute(
            "INSERT INTO keys (agent, epoch, key, from_seq) VALUES (?, ?, ?, ?)",
            params![new.agent.0, next, key.to_bytes(), new.seq.saturating_add(1)],
        )
        .doing(doing)
        .map(drop)
}

/// All keys of an agent, the first one first.
pub(super) fn of(connection: &Connection, agent: AgentId) -> Result<Vec<AgentKey>, LedgerError> {
    let doing = "read an agent's keys";
    let rotated: Vec<AgentKey> = connection
        .prepare_cached("SELECT epoch, key, from_seq FROM keys WHERE agent = ? ORDER BY epoch")
        .and_then(|mut select| select.query_map([agent.0], read)?.collect())
        .doing(doing)?;
    if !rotated.is_empty() {
        return Ok(rotated);
    }
    connection
        .prepare_cached("SELECT epoch, key, 1 FROM agents WHERE id = ?")
        .and_then(|mut select| select.query_row([agent.0], read).optional())
        .doing(doing)
        .map(|key| key.into_iter().collect())
}

fn read(row: &Row<'_>) -> rusqlite::Result<AgentKey> {
    let bytes: [u8; 32] = row.get(1)?;
    let key = VerifyKey::from_bytes(&bytes).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, Box::new(error))
    })?;
    Ok(AgentKey { epoch: row.get(0)?, key, from_seq: row.get(2)? })
}
