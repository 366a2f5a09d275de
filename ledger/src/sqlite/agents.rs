//! Enrolment, inside the caller's transaction.

use proof::{Party, wire};
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::acts::NOBODY;
use super::keys::FIRST;
use crate::LedgerError;
use crate::error::Doing as _;
use crate::store::{NewAgent, NewConfirmation, Shown, TokenHash, TokenRefused};

/// Takes the token and adds the agent. On a refusal nothing has changed.
pub(super) fn enrol(
    transaction: &Transaction<'_>,
    token: TokenHash,
    agent: &NewAgent,
    now_ms: i64,
) -> Result<Result<Option<wire::Enrol>, TokenRefused>, LedgerError> {
    let doing = "enrol an agent";
    let found = transaction
        .query_row(
            "SELECT project, expires_ms, agent, installer, replaces, reason FROM tokens WHERE hash = ?",
            params![token],
            |row| {
                let project: String = row.get(0)?;
                let (expires_ms, taken_by): (i64, Option<Vec<u8>>) = (row.get(1)?, row.get(2)?);
                let (installer, replaces): (String, Option<Vec<u8>>) = (row.get(3)?, row.get(4)?);
                let reason: String = row.get(5)?;
                Ok((project, expires_ms, taken_by, installer, replaces, reason))
            },
        )
        .optional()
        .doing(doing)?;
    let Some((project, expires_ms, taken_by, installer, replaces, reason)) = found else {
        return Ok(Err(TokenRefused::Unknown));
    };
    let key = agent.key.to_bytes();
    let enrolled: Option<[u8; 32]> = transaction
        .query_row(&format!("SELECT {FIRST} FROM agents WHERE id = ?"), params![agent.id.0], |row| row.get(0))
        .optional()
        .doing(doing)?;
    match (taken_by, enrolled) {
        // The same question again: its answer was lost.
        (Some(by), Some(enrolled)) if by == agent.id.0 && enrolled == key => return Ok(Ok(None)),
        (Some(_), _) => return Ok(Err(TokenRefused::Taken)),
        (None, Some(_)) => return Ok(Err(TokenRefused::Enrolled)),
        (None, None) => {}
    }
    if agent.id == NOBODY {
        return Ok(Err(TokenRefused::Enrolled));
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
    let Shown { hardware, manifest, baseline } = &agent.shown;
    Ok(Ok(Some(wire::Enrol {
        key: key.to_vec(),
        epoch: 1,
        project,
        hostname: agent.hostname.clone(),
        // Every agent there is has its key in a file.
        custody: 0,
        hardware: hardware.map(Vec::from).unwrap_or_default(),
        manifest: manifest.map(Vec::from).unwrap_or_default(),
        baseline: baseline.map(Vec::from).unwrap_or_default(),
        installer,
        replaces: replaces.unwrap_or_default(),
        reason,
    })))
}

/// Notes who confirmed; whether that is new. `None` when no agent has this id and key.
pub(super) fn confirm(
    transaction: &Transaction<'_>,
    new: &NewConfirmation,
    now_ms: i64,
) -> Result<Option<bool>, LedgerError> {
    let doing = "confirm an agent";
    let (at, name) = match new.party {
        Party::Firm => ("firm_ms", "firm_name"),
        Party::City => ("city_ms", "city_name"),
        Party::Unspecified => return Err(LedgerError::Act("an unknown party".to_owned())),
    };
    let known: Option<Option<i64>> = transaction
        .query_row(
            &format!("SELECT {at} FROM agents WHERE id = ? AND {FIRST} = ?"),
            params![new.agent.0, new.key.to_bytes()],
            |row| row.get(0),
        )
        .optional()
        .doing(doing)?;
    let Some(before) = known else { return Ok(None) };
    if before.is_some() {
        return Ok(Some(false));
    }
    transaction
        .execute(
            &format!("UPDATE agents SET {at} = ?, {name} = ? WHERE id = ?"),
            params![now_ms, new.name, new.agent.0],
        )
        .doing(doing)?;
    Ok(Some(true))
}
