//! Enrolment, inside the caller's transaction.

use rusqlite::{OptionalExtension as _, Transaction, params};

use crate::LedgerError;
use crate::error::Doing as _;
use crate::store::{NewAgent, TokenHash, TokenRefused};

/// Takes the token and adds the agent. On a refusal nothing has changed.
pub(super) fn enrol(
    transaction: &Transaction<'_>,
    token: TokenHash,
    agent: &NewAgent,
    now_ms: i64,
) -> Result<Result<(), TokenRefused>, LedgerError> {
    let doing = "enrol an agent";
    let found: Option<(String, i64, Option<Vec<u8>>)> = transaction
        .query_row("SELECT project, expires_ms, agent FROM tokens WHERE hash = ?", params![token], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()
        .doing(doing)?;
    let Some((project, expires_ms, taken_by)) = found else { return Ok(Err(TokenRefused::Unknown)) };
    let key = agent.key.to_bytes();
    let enrolled: Option<[u8; 32]> = transaction
        .query_row("SELECT key FROM agents WHERE id = ?", params![agent.id.0], |row| row.get(0))
        .optional()
        .doing(doing)?;
    match (taken_by, enrolled) {
        // The same question again: its answer was lost.
        (Some(by), Some(enrolled)) if by == agent.id.0 && enrolled == key => return Ok(Ok(())),
        (Some(_), _) => return Ok(Err(TokenRefused::Taken)),
        (None, Some(_)) => return Ok(Err(TokenRefused::Enrolled)),
        (None, None) => {}
    }
    if expires_ms <= now_ms {
        return Ok(Err(TokenRefused::Expired));
    }
    transaction
        .execute(
            "UPDATE tokens SET taken_ms = ?, agent = ? WHERE hash = ?",
            params![now_ms, agent.id.0, token],
        )
        .doing(doing)?;
    transaction
        .execute(
            "INSERT INTO agents
             (id, project, key, epoch, enrolled_ms, hostname, head_seq, head_entry, forks, anchor)
             VALUES (?, ?, ?, 1, ?, ?, 0, ?, 0, 0)",
            params![agent.id.0, project, key, now_ms, agent.hostname, [0_u8; 32]],
        )
        .doing(doing)?;
    Ok(Ok(()))
}
