//! Acts of the log's owner: each goes into the log in the transaction that does it.

use std::collections::BTreeSet;

use bytes::Bytes;
use proof::log::Outcome;
use proof::{Act, AgentId, Deed, EntryId, Kid};
use rusqlite::{Transaction, params};

use super::Sqlite;
use super::append::{bad_math, insert, log_entry};
use crate::LedgerError;
use crate::error::Doing as _;
use crate::store::NewEntry;
use crate::tree::Growth;

/// Whose entries acts are: no gateway enrols under this id.
pub(super) const NOBODY: AgentId = AgentId([0; 16]);

impl Sqlite {
    /// Does something and puts it into the log, in one transaction; or neither, where there was nothing to do.
    pub(super) fn act(
        &mut self,
        now_ms: i64,
        work: impl FnOnce(&Transaction<'_>) -> Result<Option<(Kid, Deed)>, LedgerError>,
    ) -> Result<(), LedgerError> {
        let record = |transaction: &Transaction<'_>, growth: &mut Growth<'_>| match work(transaction)? {
            Some(done) => record(transaction, growth, done, now_ms).map(Some),
            None => Ok(None),
        };
        self.grow(now_ms, record, |(), _, _, _| Ok(())).map(drop)
    }
}

/// Puts an act into the log.
fn record(
    transaction: &Transaction<'_>,
    growth: &mut Growth<'_>,
    (kid, deed): (Kid, Deed),
    now_ms: i64,
) -> Result<(), LedgerError> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|error| LedgerError::Random(error.to_string()))?;
    let act = Act { salt, at_ms: now_ms, deed };
    let bytes = act.encode();
    Act::parse(act.kind(), &bytes).map_err(|error| LedgerError::Act(error.to_string()))?;
    let new = NewEntry {
        agent: NOBODY,
        epoch: 0,
        kid,
        seq: 0,
        entry: act.id(),
        prev: EntryId::NONE,
        kind: act.kind().to_owned(),
        recv_ms: now_ms,
        outcome: Outcome::Recorded,
        findings: BTreeSet::new(),
        end_ms: None,
        anchor: 0,
        manifest: None,
        rotates: None,
        envelope: Bytes::from(bytes),
        use_rows: None,
    };
    let log_entry = log_entry(&new);
    if !insert(transaction, growth.size(), &new, &log_entry)? {
        return Err(LedgerError::Damaged("an act is there already".to_owned()));
    }
    let index = growth.push(&log_entry).map_err(bad_math)?;
    transaction
        .prepare_cached("INSERT INTO acts (idx, agent) VALUES (?, ?)")
        .and_then(|mut insert| insert.execute(params![index, act.agent().map(|agent| agent.0)]))
        .doing("record an act")
        .map(drop)
}
