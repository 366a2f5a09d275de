//! The reading verbs, over any connection.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use proof::log::Outcome;
use proof::{Act, AgentId, EntryId, VerifyKey};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tlog_tiles::{Hash, HashReader, prove_tree, stored_hash_index};

use super::append::{bad_math, receipt, root_at};
use super::keys::FIRST;
use crate::LedgerError;
use crate::error::Doing as _;
use crate::finding;
use crate::store::{
    Agent, AgentKey, Checkpoint, Confirmed, Entry, Head, ManifestDigest, Presence, Project, Read, Receipted,
    Recorded, RefusalCount, Revoked, TokenHash,
};

/// Roots kept in memory, to know an anchor without reading the tree: 65,536 checkpoints, about 5 MB.
const ROOTS: usize = 65_536;

/// Hashes of the tree kept in memory, to show to every gateway that the log has only grown since it was last answered:
/// 4 MB.
const HASHES: usize = 65_536;

/// Keys, and names of manifests, kept in memory: 20 MB.
const KEPT: usize = 65_536;

/// Most entries returned at once.
const MOST: u32 = 10_000;

/// A connection that reads.
pub struct Reader {
    pub(super) connection: Connection,
    roots: RefCell<BTreeMap<u64, Hash>>,
    /// Of the stored hashes those that were written or needed last.
    hashes: RefCell<BTreeMap<u64, Hash>>,
    /// Keys by their bytes: to make one of bytes is as much as a third of checking a signature by it.
    keys: RefCell<HashMap<[u8; 32], VerifyKey>>,
    /// Manifests that are there: none goes again.
    manifests: RefCell<HashSet<(AgentId, ManifestDigest)>>,
}

impl Reader {
    pub(super) fn of(connection: Connection) -> Self {
        Self {
            connection,
            roots: RefCell::default(),
            hashes: RefCell::default(),
            keys: RefCell::default(),
            manifests: RefCell::default(),
        }
    }

    /// The key of these bytes, which are in this column.
    fn key(&self, bytes: [u8; 32], column: usize) -> rusqlite::Result<VerifyKey> {
        let mut keys = self.keys.borrow_mut();
        if let Some(key) = keys.get(&bytes) {
            return Ok(*key);
        }
        let key = VerifyKey::from_bytes(&bytes).map_err(|error| {
            let kind = rusqlite::types::Type::Blob;
            rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
        })?;
        if keys.len() >= KEPT {
            keys.clear();
        }
        keys.insert(bytes, key);
        Ok(key)
    }

    fn read_agent(&self, row: &Row<'_>) -> rusqlite::Result<Agent> {
        let key = self.key(row.get(2)?, 2)?;
        let enrolled_key = self.key(row.get(19)?, 19)?;
        let revoked: Option<i64> = row.get(6)?;
        let reason: Option<String> = row.get(7)?;
        let online: Option<bool> = row.get(8)?;
        let presence_ms: Option<i64> = row.get(9)?;
        Ok(Agent {
            id: AgentId(row.get(0)?),
            project: row.get(1)?,
            enrolled_key,
            kid: key.kid(),
            key,
            epoch: row.get(3)?,
            enrolled_ms: row.get(4)?,
            hostname: row.get(5)?,
            revoked: revoked.map(|at_ms| Revoked { at_ms, reason: reason.unwrap_or_default() }),
            firm: confirmed(row.get(15)?, row.get(16)?),
            city: confirmed(row.get(17)?, row.get(18)?),
            presence: online.zip(presence_ms).map(|(online, since_ms)| Presence { online, since_ms }),
            head: Head {
                seq: row.get(10)?,
                entry: EntryId(row.get(11)?),
                forks: row.get(12)?,
                end_ms: row.get(13)?,
                anchor: row.get(14)?,
            },
        })
    }

    pub(super) fn remember_root(&self, size: u64, root: Hash) {
        let mut roots = self.roots.borrow_mut();
        roots.insert(size, root);
        if roots.len() > ROOTS {
            roots.pop_first();
        }
    }

    /// The oldest go first, which are those of the smallest index; the great subtrees among them are read again.
    pub(super) fn remember_hashes<'a>(&self, new: impl Iterator<Item = (u64, &'a Hash)>) {
        let mut hashes = self.hashes.borrow_mut();
        hashes.extend(new.map(|(index, hash)| (index, *hash)));
        while hashes.len() > HASHES {
            hashes.pop_first();
        }
    }

    /// Asks several questions of one state of the ledger, whatever is recorded meanwhile. While it lasts, the write-ahead
    /// log cannot be carried over: seconds, not hours.
    ///
    /// # Errors
    /// What the questions answer.
    pub fn at_once<T, E: From<LedgerError>>(
        &self,
        questions: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        // Never committed: nothing is written.
        let state = self.connection.unchecked_transaction().doing("begin to read")?;
        let answer = questions(self);
        drop(state);
        answer
    }

    /// The receipt of a recorded entry, proved in an older checkpoint: of `size` entries, with this note. `None` for an
    /// entry that is not there, or not under it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn receipt_under(
        &self,
        entry: EntryId,
        (size, note): (u64, &str),
    ) -> Result<Option<Receipted>, LedgerError> {
        let found: Option<(u64, [u8; 16], Vec<u8>)> = self
            .connection
            .prepare_cached("SELECT idx, agent, log_entry FROM entries WHERE entry = ?")
            .and_then(|mut select| {
                select.query_row([entry.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
            })
            .doing("find an entry")?;
        let Some((index, agent, log_entry)) = found.filter(|(index, ..)| *index < size) else {
            return Ok(None);
        };
        let receipt = receipt(index, log_entry, size, note, &StoredHashes(&self.connection))?;
        Ok(Some(Receipted { index, agent: AgentId(agent), entry, receipt }))
    }

    pub(super) fn checkpoint_size(&self) -> Result<u64, LedgerError> {
        self.connection
            .prepare_cached("SELECT size FROM log")
            .and_then(|mut select| select.query_row([], |row| row.get(0)))
            .doing("read the log's size")
    }
}

/// The tree as stored.
pub(super) struct StoredHashes<'a>(pub(super) &'a Connection);

impl HashReader for StoredHashes<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let unread = |error: rusqlite::Error| tlog_tiles::Error::InvalidInput(error.to_string());
        let mut select = self.0.prepare_cached("SELECT hash FROM hashes WHERE idx = ?").map_err(unread)?;
        indexes
            .iter()
            .map(|index| select.query_row([index], |row| row.get(0)).map(Hash).map_err(unread))
            .collect()
    }
}

/// The same, from memory where it can be. A hash of the tree never changes.
struct Recently<'a>(&'a Reader);

impl HashReader for Recently<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let stored = StoredHashes(&self.0.connection);
        let hash = |index: &u64| {
            if let Some(known) = self.0.hashes.borrow().get(index) {
                return Ok(*known);
            }
            let hash = stored.read_hashes(&[*index])?[0];
            self.0.remember_hashes(std::iter::once((*index, &hash)));
            Ok(hash)
        };
        indexes.iter().map(hash).collect()
    }
}

/// Selects agents, as [`Reader::read_agent`] takes them.
fn agents_that(condition: &str) -> String {
    format!(
        "SELECT id, project, key, epoch, enrolled_ms, hostname, revoked_ms, revoked_reason, online,
                presence_ms, head_seq, head_entry, forks, end_ms, anchor, firm_ms, firm_name, city_ms,
                city_name, {FIRST}
         FROM agents WHERE {condition}"
    )
}

const ENTRY: &str =
    "SELECT e.idx, e.agent, e.epoch, e.seq, e.entry, e.kind, e.recv_ms, e.outcome, e.findings,
                            e.end_ms, e.envelope, e.log_entry, u.rows
                     FROM entries e LEFT JOIN use_rows u ON u.idx = e.idx";

impl Read for Reader {
    fn agent(&self, id: AgentId) -> Result<Option<Agent>, LedgerError> {
        self.connection
            .prepare_cached(&agents_that("id = ?"))
            .and_then(|mut select| select.query_row([id.0], |row| self.read_agent(row)).optional())
            .doing("read an agent")
    }

    fn agents(&self, project: Option<&str>) -> Result<Vec<Agent>, LedgerError> {
        self.connection
            .prepare_cached(&agents_that("?1 IS NULL OR project = ?1 ORDER BY enrolled_ms, id"))
            .and_then(|mut select| select.query_map([project], |row| self.read_agent(row))?.collect())
            .doing("list agents")
    }

    fn keys(&self, agent: AgentId) -> Result<Vec<AgentKey>, LedgerError> {
        super::keys::of(&self.connection, agent)
    }

    fn projects(&self, now_ms: i64) -> Result<Vec<Project>, LedgerError> {
        self.connection
            .prepare_cached(
                "SELECT project, sum(agent), sum(open) FROM (
                    SELECT project, 1 AS agent, 0 AS open FROM agents
                    UNION ALL
                    SELECT project, 0, agent IS NULL AND expires_ms > ? FROM tokens
                 ) GROUP BY project ORDER BY project",
            )
            .and_then(|mut select| {
                let row = |row: &Row<'_>| {
                    Ok(Project { name: row.get(0)?, agents: row.get(1)?, open_tokens: row.get(2)? })
                };
                select.query_map([now_ms], row)?.collect()
            })
            .doing("list projects")
    }

    fn head(&self, agent: AgentId) -> Result<Head, LedgerError> {
        head_of(&self.connection, agent)
    }

    fn find(&self, entry: EntryId) -> Result<Option<Receipted>, LedgerError> {
        let Checkpoint { size, note, .. } = self.checkpoint()?;
        match self.receipt_under(entry, (size, &note))? {
            Some(found) => Ok(Some(found)),
            // Recorded since, perhaps: a checkpoint that is read after an entry covers it.
            None => {
                let Checkpoint { size, note, .. } = self.checkpoint()?;
                self.receipt_under(entry, (size, &note))
            }
        }
    }

    fn seq_of(&self, agent: AgentId, entry: EntryId) -> Result<Option<u64>, LedgerError> {
        self.connection
            .prepare_cached("SELECT seq FROM entries WHERE entry = ? AND agent = ?")
            .and_then(|mut select| select.query_row(params![entry.0, agent.0], |row| row.get(0)).optional())
            .doing("find an entry's sequence")
    }

    fn holds(&self, agent: AgentId, seq: u64, prev: Option<EntryId>) -> Result<bool, LedgerError> {
        self.connection
            .prepare_cached(
                "SELECT 1 FROM entries WHERE agent = ?1 AND seq = ?2 AND (?3 IS NULL OR prev = ?3) LIMIT 1",
            )
            .and_then(|mut select| select.exists(params![agent.0, seq, prev.map(|prev| prev.0)]))
            .doing("look for a place in a chain")
    }

    fn knows_manifest(&self, agent: AgentId, manifest: ManifestDigest) -> Result<bool, LedgerError> {
        if self.manifests.borrow().contains(&(agent, manifest)) {
            return Ok(true);
        }
        let known = self
            .connection
            .prepare_cached("SELECT 1 FROM manifests WHERE agent = ? AND digest = ?")
            .and_then(|mut select| select.exists(params![agent.0, manifest]))
            .doing("look for a manifest")?;
        if known {
            let mut manifests = self.manifests.borrow_mut();
            if manifests.len() >= KEPT {
                manifests.clear();
            }
            manifests.insert((agent, manifest));
        }
        Ok(known)
    }

    fn entries(&self, agent: Option<AgentId>, from: u64, limit: u32) -> Result<Vec<Entry>, LedgerError> {
        let limit = limit.min(MOST);
        match agent {
            Some(agent) => self
                .connection
                .prepare_cached(&format!("{ENTRY} WHERE e.agent = ? AND e.idx >= ? ORDER BY e.idx LIMIT ?"))
                .and_then(|mut select| {
                    select.query_map(params![agent.0, from, limit], read_entry)?.collect()
                }),
            None => self
                .connection
                .prepare_cached(&format!("{ENTRY} WHERE e.idx >= ? AND e.seq > 0 ORDER BY e.idx LIMIT ?"))
                .and_then(|mut select| select.query_map(params![from, limit], read_entry)?.collect()),
        }
        .doing("read entries")
    }

    fn entry(&self, index: u64) -> Result<Option<Entry>, LedgerError> {
        self.connection
            .prepare_cached(&format!("{ENTRY} WHERE e.idx = ? AND e.seq > 0"))
            .and_then(|mut select| select.query_row([index], read_entry).optional())
            .doing("read an entry")
    }

    fn entries_of(&self, agent: AgentId, seq: u64) -> Result<Vec<Entry>, LedgerError> {
        self.connection
            .prepare_cached(&format!("{ENTRY} WHERE e.agent = ? AND e.seq = ? ORDER BY e.idx LIMIT 100"))
            .and_then(|mut select| select.query_map(params![agent.0, seq], read_entry)?.collect())
            .doing("read the entries of a sequence")
    }

    fn checkpoint(&self) -> Result<Checkpoint, LedgerError> {
        self.connection
            .prepare_cached("SELECT size, root, made_ms, note FROM log")
            .and_then(|mut select| {
                select.query_row([], |row| {
                    Ok(Checkpoint {
                        size: row.get(0)?,
                        hash: row.get(1)?,
                        made_ms: row.get(2)?,
                        note: row.get(3)?,
                    })
                })
            })
            .doing("read the checkpoint")
    }

    fn root_at(&self, size: u64) -> Result<Option<[u8; 32]>, LedgerError> {
        if let Some(root) = self.roots.borrow().get(&size) {
            return Ok(Some(root.0));
        }
        if size > self.checkpoint_size()? {
            return Ok(None);
        }
        let root = root_at(&self.connection, size)?;
        self.remember_root(size, root);
        Ok(Some(root.0))
    }

    fn hashes(&self, level: u8, first: u64, count: u16) -> Result<Vec<[u8; 32]>, LedgerError> {
        let indexes: Vec<_> =
            (first..first.saturating_add(count.into())).map(|at| stored_hash_index(level, at)).collect();
        let hashes = StoredHashes(&self.connection).read_hashes(&indexes).map_err(bad_math)?;
        Ok(hashes.into_iter().map(|hash| hash.0).collect())
    }

    fn consistency(&self, from: u64, size: u64) -> Result<Option<Vec<[u8; 32]>>, LedgerError> {
        if from > size {
            return Ok(None);
        }
        if from == size || from == 0 {
            return Ok(Some(Vec::new()));
        }
        let path = prove_tree(size, from, &Recently(self)).map_err(bad_math)?;
        Ok(Some(path.into_iter().map(|hash| hash.0).collect()))
    }

    fn log_entries(&self, first: u64, count: u16) -> Result<Vec<Vec<u8>>, LedgerError> {
        self.connection
            .prepare_cached("SELECT log_entry FROM entries WHERE idx >= ? ORDER BY idx LIMIT ?")
            .and_then(|mut select| select.query_map(params![first, count], |row| row.get(0))?.collect())
            .doing("read log entries")
    }

    fn acts(&self, agent: AgentId) -> Result<Vec<Recorded>, LedgerError> {
        let found: Vec<(u64, String, Vec<u8>)> = self
            .connection
            .prepare_cached(
                "SELECT e.idx, e.kind, e.envelope FROM acts a JOIN entries e ON e.idx = a.idx
                 WHERE a.agent = ? ORDER BY e.idx",
            )
            .and_then(|mut select| {
                select.query_map([agent.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
            })
            .doing("read acts")?;
        let read = |(index, kind, bytes): (u64, String, Vec<u8>)| {
            let act = Act::parse(&kind, &bytes).map_err(|error| LedgerError::Damaged(error.to_string()))?;
            Ok(Recorded { index, bytes, act })
        };
        found.into_iter().map(read).collect()
    }

    fn project_of(&self, code: TokenHash, now_ms: i64) -> Result<Option<String>, LedgerError> {
        self.connection
            .prepare_cached("SELECT project FROM firm_codes WHERE hash = ? AND expires_ms > ?")
            .and_then(|mut select| select.query_row(params![code, now_ms], |row| row.get(0)).optional())
            .doing("look for a firm's code")
    }

    fn refusals(&self) -> Result<Vec<RefusalCount>, LedgerError> {
        self.connection
            .prepare_cached(
                "SELECT agent, name, count, last_ms, text FROM refusals ORDER BY last_ms DESC, agent, name",
            )
            .and_then(|mut select| {
                let row = |row: &Row<'_>| {
                    let agent: Vec<u8> = row.get(0)?;
                    Ok(RefusalCount {
                        agent: AgentId::try_from(agent.as_slice()).ok(),
                        name: row.get(1)?,
                        count: row.get(2)?,
                        last_ms: row.get(3)?,
                        text: row.get(4)?,
                    })
                };
                select.query_map([], row)?.collect()
            })
            .doing("list refusals")
    }
}

/// Where an agent's chain stands.
pub(super) fn head_of(connection: &Connection, agent: AgentId) -> Result<Head, LedgerError> {
    let head = connection
        .prepare_cached("SELECT head_seq, head_entry, forks, end_ms, anchor FROM agents WHERE id = ?")
        .and_then(|mut select| {
            select
                .query_row([agent.0], |row| {
                    Ok(Head {
                        seq: row.get(0)?,
                        entry: EntryId(row.get(1)?),
                        forks: row.get(2)?,
                        end_ms: row.get(3)?,
                        anchor: row.get(4)?,
                    })
                })
                .optional()
        })
        .doing("read a chain's head")?;
    Ok(head.unwrap_or(Head::NONE))
}

fn confirmed(at_ms: Option<i64>, name: Option<String>) -> Option<Confirmed> {
    at_ms.map(|at_ms| Confirmed { at_ms, name: name.unwrap_or_default() })
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let outcome: i32 = row.get(7)?;
    let findings: String = row.get(8)?;
    Ok(Entry {
        index: row.get(0)?,
        agent: AgentId(row.get(1)?),
        epoch: row.get(2)?,
        seq: row.get(3)?,
        entry: EntryId(row.get(4)?),
        kind: row.get(5)?,
        recv_ms: row.get(6)?,
        outcome: Outcome::try_from(outcome).unwrap_or(Outcome::Unspecified),
        findings: finding::split(&findings),
        end_ms: row.get(9)?,
        envelope: row.get(10)?,
        log_entry: row.get(11)?,
        use_rows: row.get(12)?,
    })
}
