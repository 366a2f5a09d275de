//! The ledger in one SQLite file: WAL, `synchronous=FULL`, one transaction a verb.

mod acts;
mod agents;
mod append;
mod keys;
mod reader;
mod schema;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, named_params, params};
use tlog_tiles::Hash;

pub use self::reader::Reader;

use self::reader::StoredHashes;
use crate::error::Doing as _;
use crate::store::{
    Agent, NewAgent, NewConfirmation, NewEntry, NewRefusal, NewToken, Presence, Read, Receipted, Store,
    TokenHash, TokenRefused,
};
use crate::tree::Tree;
use crate::{LedgerError, LogKey};
use proof::{AgentId, Deed, Kid, wire};

/// Longest wait for another process that writes.
const BUSY: Duration = Duration::from_secs(10);

/// Pages of the write-ahead log that are carried over at once: 16 MiB.
const WAL_PAGES: u32 = 4096;

/// Longest text kept of a refusal, in characters.
const MAX_TEXT: usize = 200;

/// The writing end of the ledger.
pub struct Sqlite {
    reader: Reader,
    key: LogKey,
    tree: Tree,
    path: PathBuf,
}

impl Sqlite {
    /// Opens or makes the ledger, brings its tables up to date and checks that the tree's edge gives the hash of
    /// the signed checkpoint.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`], [`LedgerError::Newer`] and [`LedgerError::OtherLog`] need a person.
    pub fn open(path: &Path, key: LogKey) -> Result<Self, LedgerError> {
        let doing = "open the ledger";
        let mut connection = Connection::open(path).doing(doing)?;
        prepare(&connection)?;
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).doing(doing)?;
        if mode != "wal" {
            return Err(LedgerError::Damaged(format!(
                "no write-ahead log on this file system, but `{mode}`"
            )));
        }
        connection.pragma_update(None, "synchronous", "FULL").doing(doing)?;
        connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES).doing(doing)?;
        // Deleted per-actor rows are overwritten, not only unlinked.
        connection.pragma_update(None, "secure_delete", true).doing(doing)?;
        schema::migrate(&mut connection)?;
        begin_log(&connection, &key)?;
        let reader = Reader::of(connection);
        let tree = load_tree(&reader, &key)?;
        Ok(Self { reader, key, tree, path: path.to_owned() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The verifier key that agents pin.
    pub fn log_verifier(&self) -> &str {
        self.key.verifier()
    }

    fn transaction(&mut self, doing: &'static str) -> Result<Transaction<'_>, LedgerError> {
        self.reader.connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)
    }
}

/// What every connection needs.
fn prepare(connection: &Connection) -> Result<(), LedgerError> {
    connection.busy_timeout(BUSY).doing("open the ledger")?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "cache_size", -32_768).doing("open the ledger")
}

impl Reader {
    /// Opens the ledger for reading; it must exist.
    ///
    /// # Errors
    /// When it does not, or is of another format.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).doing("open the ledger for reading")?;
        prepare(&connection)?;
        schema::check(&connection)?;
        Ok(Self::of(connection))
    }
}

/// Signs the empty tree of a new ledger; refuses a ledger of another log.
fn begin_log(connection: &Connection, key: &LogKey) -> Result<(), LedgerError> {
    let root = tlog_tiles::EMPTY_HASH;
    connection
        .execute(
            "INSERT INTO log (one, verifier, size, root, made_ms, note) VALUES (1, ?, 0, ?, 0, ?)
             ON CONFLICT DO NOTHING",
            params![key.verifier(), root.0, key.sign(0, root)],
        )
        .doing("begin the log")?;
    let found: String =
        connection.query_row("SELECT verifier FROM log", [], |row| row.get(0)).doing("read the log's key")?;
    if found == key.verifier() {
        Ok(())
    } else {
        Err(LedgerError::OtherLog { found, given: key.verifier().to_owned() })
    }
}

/// Loads the right edge and checks it against the signed checkpoint and the entries.
fn load_tree(reader: &Reader, key: &LogKey) -> Result<Tree, LedgerError> {
    let checkpoint = reader.checkpoint()?;
    let size = checkpoint.size;
    let (entries, hashes): (u64, u64) = reader
        .connection
        .query_row(
            "SELECT (SELECT coalesce(max(idx) + 1, 0) FROM entries),
                    (SELECT coalesce(max(idx) + 1, 0) FROM hashes)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .doing("measure the log")?;
    if entries != size || hashes != tlog_tiles::stored_hash_count(size) {
        return Err(LedgerError::Damaged(format!(
            "checkpoint of {size} entries, but {entries} entries and {hashes} hashes"
        )));
    }
    let damaged = |error| LedgerError::Damaged(format!("right edge of the tree: {error}"));
    let tree = Tree::load(size, &StoredHashes(&reader.connection)).map_err(damaged)?;
    let root = tree.root().map_err(damaged)?;
    if root != Hash(checkpoint.hash) || key.sign(size, root) != checkpoint.note {
        return Err(LedgerError::Damaged(format!(
            "the tree of {size} entries is not the one that was signed"
        )));
    }
    Ok(tree)
}

impl Store for Sqlite {
    fn read(&self) -> &dyn Read {
        &self.reader
    }

    fn add_token(&mut self, token: TokenHash, new: &NewToken) -> Result<(), LedgerError> {
        let replaces = new.replaces.as_ref();
        self.reader
            .connection
            .execute(
                "INSERT INTO tokens (hash, project, expires_ms, installer, replaces, reason)
                 VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                params![
                    token,
                    new.project,
                    new.expires_ms,
                    new.installer,
                    replaces.map(|(agent, _)| agent.0),
                    replaces.map_or("", |(_, reason)| reason),
                ],
            )
            .doing("store a token")
            .map(drop)
    }

    fn set_firm_code(&mut self, code: TokenHash, project: &str, expires_ms: i64) -> Result<(), LedgerError> {
        self.reader
            .connection
            .execute(
                "INSERT INTO firm_codes (project, hash, expires_ms) VALUES (?, ?, ?)
                 ON CONFLICT (project) DO UPDATE SET hash = excluded.hash, expires_ms = excluded.expires_ms",
                params![project, code, expires_ms],
            )
            .doing("store a firm's code")
            .map(drop)
    }

    fn enrol(
        &mut self,
        token: TokenHash,
        agent: &NewAgent,
        now_ms: i64,
    ) -> Result<Result<Agent, TokenRefused>, LedgerError> {
        let mut refused = None;
        self.act(now_ms, |transaction| match agents::enrol(transaction, token, agent, now_ms)? {
            Ok(None) => Ok(None),
            Ok(Some(enrol)) => {
                let deed = (agent.key.kid(), Deed::Enrol(agent.id, enrol));
                Ok(Some(deed))
            }
            Err(why) => {
                refused = Some(why);
                Ok(None)
            }
        })?;
        if let Some(refused) = refused {
            return Ok(Err(refused));
        }
        let enrolled = self.reader.agent(agent.id)?;
        Ok(Ok(enrolled.ok_or_else(|| LedgerError::Damaged("an enrolled agent is gone".to_owned()))?))
    }

    fn revoke(&mut self, agent: AgentId, reason: &str, now_ms: i64) -> Result<bool, LedgerError> {
        let Some(known) = self.reader.agent(agent)? else { return Ok(false) };
        let (kid, key) = (known.kid, known.key.to_bytes().to_vec());
        self.act(now_ms, |transaction| {
            let revoke = "UPDATE agents SET revoked_ms = ?, revoked_reason = ?
                          WHERE id = ? AND revoked_ms IS NULL";
            let changed =
                transaction.execute(revoke, params![now_ms, reason, agent.0]).doing("revoke an agent")?;
            if changed == 0 {
                return Ok(None);
            }
            let from_seq = reader::head_of(transaction, agent)?.seq + 1;
            let revoke = wire::Revoke { key, from_seq, reason: reason.to_owned() };
            Ok(Some((kid, Deed::Revoke(agent, revoke))))
        })?;
        Ok(true)
    }

    fn confirm(&mut self, new: &NewConfirmation, now_ms: i64) -> Result<bool, LedgerError> {
        let mut known = false;
        self.act(now_ms, |transaction| {
            let confirmed = agents::confirm(transaction, new, now_ms)?;
            known = confirmed.is_some();
            if confirmed != Some(true) {
                return Ok(None);
            }
            let (key, party) = (new.key.to_bytes().to_vec(), new.party.into());
            let deed = Deed::Confirm(new.agent, wire::Confirm { key, party, name: new.name.clone() });
            Ok(Some((new.key.kid(), deed)))
        })?;
        Ok(known)
    }

    fn beacon(&mut self, now_ms: i64) -> Result<(), LedgerError> {
        self.act(now_ms, |_| Ok(Some((Kid([0; 8]), Deed::Beacon))))
    }

    fn append(&mut self, batch: &[NewEntry], now_ms: i64) -> Result<Vec<Receipted>, LedgerError> {
        self.append_batch(batch, now_ms)
    }

    fn count_refusals(&mut self, refusals: &[NewRefusal]) -> Result<(), LedgerError> {
        let doing = "count refusals";
        let transaction = self.transaction(doing)?;
        for refusal in refusals {
            let text: String = refusal.text.chars().take(MAX_TEXT).collect();
            let agent: &[u8] = refusal.agent.as_ref().map_or(&[], |agent| &agent.0);
            transaction
                .prepare_cached(
                    "INSERT INTO refusals (agent, name, count, last_ms, text) VALUES (:agent, :name, 1, :at, :text)
                     ON CONFLICT DO UPDATE SET count = count + 1, last_ms = :at, text = :text",
                )
                .and_then(|mut insert| {
                    insert.execute(named_params! {
                        ":agent": agent, ":name": refusal.name, ":at": refusal.at_ms, ":text": text,
                    })
                })
                .doing(doing)?;
        }
        transaction.commit().doing(doing)
    }

    fn set_presence(&mut self, agent: AgentId, presence: &Presence) -> Result<(), LedgerError> {
        self.reader
            .connection
            .execute(
                "UPDATE agents SET online = ?, presence_ms = ? WHERE id = ?",
                params![presence.online, presence.since_ms, agent.0],
            )
            .doing("store an agent's presence")
            .map(drop)
    }

    fn delete_use_rows(&mut self, before_ms: i64) -> Result<u64, LedgerError> {
        let doing = "delete use rows";
        let deleted = self
            .reader
            .connection
            .execute("DELETE FROM use_rows WHERE recv_ms < ?", params![before_ms])
            .doing(doing)?;
        if deleted > 0 {
            // The write-ahead log still holds them until it is carried over and cut. A reader in the way delays
            // that to the next call, which is no failure.
            self.reader
                .connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
                .doing(doing)?;
        }
        Ok(deleted as u64)
    }
}
