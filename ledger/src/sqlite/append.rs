//! Group commit: a batch of entries, its tree hashes and one signed checkpoint in one transaction.

use std::collections::BTreeMap;

use proof::log::{LogEntry, proof_text};
use proof::{AgentId, wire};
use rusqlite::{Connection, Transaction, TransactionBehavior, named_params, params};
use tlog_tiles::{HashReader, prove_record};

use super::reader::{Reader, StoredHashes, head_of};
use super::{Sqlite, load_tree};
use crate::LedgerError;
use crate::error::Doing as _;
use crate::finding;
use crate::store::{Head, NewEntry, Read as _, Receipted};
use crate::tree::Growth;

impl Sqlite {
    pub(super) fn append_batch(
        &mut self,
        batch: &[NewEntry],
        now_ms: i64,
    ) -> Result<Vec<Receipted>, LedgerError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let recorded = self.grow(
            now_ms,
            |transaction, growth| record(transaction, growth, batch).map(Some),
            |places, growth, note, reader| receipts(batch, places, growth, note, reader),
        )?;
        Ok(recorded.unwrap_or_default())
    }

    /// Grows the log in one transaction: `record` says what of, and `answer` is asked when all of it is durable. Where
    /// `record` has nothing to say, nothing is changed.
    pub(super) fn grow<R, T>(
        &mut self,
        now_ms: i64,
        record: impl FnOnce(&Transaction<'_>, &mut Growth<'_>) -> Result<Option<R>, LedgerError>,
        answer: impl FnOnce(R, &Growth<'_>, &str, &Reader) -> Result<T, LedgerError>,
    ) -> Result<Option<T>, LedgerError> {
        let connection = &self.reader.connection;
        let doing = "begin a batch";
        let transaction =
            Transaction::new_unchecked(connection, TransactionBehavior::Immediate).doing(doing)?;
        // Another program may have appended. Asked only now: from here on nobody else can.
        if self.reader.checkpoint_size()? != self.tree.size() {
            self.tree = load_tree(&self.reader, &self.key)?;
        }
        let mut growth = self.tree.grow();
        let Some(recorded) = record(&transaction, &mut growth)? else { return Ok(None) };
        store_hashes(&transaction, &growth)?;
        let root = growth.root().map_err(bad_math)?;
        let note = self.key.sign(growth.size(), root);
        let sealed = transaction
            .prepare_cached("UPDATE log SET size = ?, root = ?, made_ms = ?, note = ? WHERE size = ?")
            .and_then(|mut update| {
                update.execute(params![growth.size(), root.0, now_ms, note, self.tree.size()])
            })
            .doing("store a checkpoint")?;
        if sealed != 1 {
            return Err(LedgerError::Damaged("the log grew while a batch was recorded".to_owned()));
        }
        transaction.commit().doing("commit a batch")?;

        // From here on the checkpoint is durable, and so is everything a receipt may promise.
        self.reader.remember_root(growth.size(), root);
        self.reader.remember_hashes(growth.new_hashes());
        let answer = answer(recorded, &growth, &note, &self.reader)?;
        let grown = growth.grown().map_err(bad_math)?;
        self.tree = grown;
        Ok(Some(answer))
    }
}

/// Where an entry of a batch stands.
enum Place {
    New { index: u64, log_entry: Vec<u8> },
    Known,
}

/// The receipts of a batch that is durable, in its order.
fn receipts(
    batch: &[NewEntry],
    places: Vec<Place>,
    growth: &Growth<'_>,
    note: &str,
    reader: &Reader,
) -> Result<Vec<Receipted>, LedgerError> {
    let mut receipts = Vec::with_capacity(batch.len());
    for (new, place) in batch.iter().zip(places) {
        receipts.push(match place {
            Place::New { index, log_entry } => Receipted {
                index,
                agent: new.agent,
                entry: new.entry,
                receipt: receipt(index, log_entry, growth.size(), note, growth)?,
            },
            Place::Known => reader
                .find(new.entry)?
                .ok_or_else(|| LedgerError::Damaged(format!("entry {} is gone", new.entry)))?,
        });
    }
    Ok(receipts)
}

/// Writes entries and chain heads.
fn record(
    transaction: &Transaction<'_>,
    growth: &mut Growth<'_>,
    batch: &[NewEntry],
) -> Result<Vec<Place>, LedgerError> {
    let mut places = Vec::with_capacity(batch.len());
    let mut heads: BTreeMap<AgentId, Head> = BTreeMap::new();
    for new in batch {
        let log_entry = log_entry(new);
        if !insert(transaction, growth.size(), new, &log_entry)? {
            places.push(Place::Known);
            continue;
        }
        let index = growth.push(&log_entry).map_err(bad_math)?;
        let head = match heads.get_mut(&new.agent) {
            Some(head) => head,
            None => {
                let stored = head_of(transaction, new.agent)?;
                heads.entry(new.agent).or_insert(stored)
            }
        };
        head.follow(new);
        places.push(Place::New { index, log_entry });
    }
    for (agent, head) in heads {
        store_head(transaction, agent, &head)?;
    }
    Ok(places)
}

fn store_hashes(transaction: &Transaction<'_>, growth: &Growth<'_>) -> Result<(), LedgerError> {
    let doing = "store the tree's hashes";
    let mut insert =
        transaction.prepare_cached("INSERT INTO hashes (idx, hash) VALUES (?, ?)").doing(doing)?;
    for (index, hash) in growth.new_hashes() {
        insert.execute(params![index, hash.0]).doing(doing)?;
    }
    Ok(())
}

pub(super) fn log_entry(new: &NewEntry) -> Vec<u8> {
    LogEntry {
        kind: new.kind.clone(),
        kid: new.kid,
        epoch: new.epoch,
        seq: new.seq,
        entry: new.entry,
        recv_ms: new.recv_ms,
        outcome: new.outcome,
    }
    .encode()
}

/// Inserts one entry with what belongs to it; `false` when it is held already.
pub(super) fn insert(
    transaction: &Connection,
    index: u64,
    new: &NewEntry,
    log_entry: &[u8],
) -> Result<bool, LedgerError> {
    let doing = "record an entry";
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO entries
             (idx, agent, epoch, seq, entry, prev, kind, recv_ms, outcome, findings, end_ms, log_entry, envelope)
             VALUES (:idx, :agent, :epoch, :seq, :entry, :prev, :kind, :recv_ms, :outcome, :findings, :end_ms,
                     :log_entry, :envelope)
             ON CONFLICT (entry) DO NOTHING",
        )
        .and_then(|mut insert| {
            insert.execute(named_params! {
                ":idx": index,
                ":agent": new.agent.0,
                ":epoch": new.epoch,
                ":seq": new.seq,
                ":entry": new.entry.0,
                ":prev": new.prev.0,
                ":kind": new.kind,
                ":recv_ms": new.recv_ms,
                ":outcome": i32::from(new.outcome),
                ":findings": finding::join(&new.findings),
                ":end_ms": new.end_ms,
                ":log_entry": log_entry,
                ":envelope": &new.envelope[..],
            })
        })
        .doing(doing)?;
    if inserted == 0 {
        return Ok(false);
    }
    if let Some(rows) = &new.use_rows {
        transaction
            .prepare_cached("INSERT INTO use_rows (idx, recv_ms, rows) VALUES (?, ?, ?)")
            .and_then(|mut insert| insert.execute(params![index, new.recv_ms, &rows[..]]))
            .doing(doing)?;
    }
    if let Some(digest) = new.manifest {
        transaction
            .prepare_cached(
                "INSERT INTO manifests (agent, digest, idx) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            )
            .and_then(|mut insert| insert.execute(params![new.agent.0, digest, index]))
            .doing(doing)?;
    }
    if let Some(key) = &new.rotates {
        super::keys::rotate(transaction, new, key)?;
    }
    Ok(true)
}

fn store_head(transaction: &Connection, agent: AgentId, head: &Head) -> Result<(), LedgerError> {
    transaction
        .prepare_cached(
            "UPDATE agents SET head_seq = ?, head_entry = ?, forks = ?, end_ms = ?, anchor = ? WHERE id = ?",
        )
        .and_then(|mut update| {
            update.execute(params![head.seq, head.entry.0, head.forks, head.end_ms, head.anchor, agent.0])
        })
        .doing("move a chain's head")
        .map(drop)
}

/// The receipt of the entry at `index`, proved in a checkpoint of `size` entries.
pub(super) fn receipt(
    index: u64,
    log_entry: Vec<u8>,
    size: u64,
    note: &str,
    hashes: &impl HashReader,
) -> Result<wire::Receipt, LedgerError> {
    let path: Vec<[u8; 32]> =
        prove_record(size, index, hashes).map_err(bad_math)?.into_iter().map(|hash| hash.0).collect();
    Ok(wire::Receipt { entry: log_entry, proof: proof_text(index, &path, note) })
}

pub(super) fn bad_math(error: tlog_tiles::Error) -> LedgerError {
    LedgerError::Damaged(format!("tree: {error}"))
}

/// The root of the tree at a size it once had.
pub(super) fn root_at(connection: &Connection, size: u64) -> Result<tlog_tiles::Hash, LedgerError> {
    tlog_tiles::tree_hash(size, &StoredHashes(connection)).map_err(bad_math)
}
