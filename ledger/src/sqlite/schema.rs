//! The tables, as numbered migrations that only move forward.

use rusqlite::{Connection, TransactionBehavior};

use crate::LedgerError;
use crate::error::Doing as _;

/// One script a version; `PRAGMA user_version` counts those that ran. Scripts that were released never change.
pub(super) const MIGRATIONS: [&str; 3] = [
    // 1: agents, entries, the tree.
    "CREATE TABLE log (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        verifier TEXT NOT NULL,
        size INTEGER NOT NULL,
        root BLOB NOT NULL,
        made_ms INTEGER NOT NULL,
        note TEXT NOT NULL
    ) STRICT;

    CREATE TABLE tokens (
        hash BLOB PRIMARY KEY,
        project TEXT NOT NULL,
        expires_ms INTEGER NOT NULL,
        taken_ms INTEGER,
        agent BLOB
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE agents (
        id BLOB PRIMARY KEY,
        project TEXT NOT NULL,
        key BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        enrolled_ms INTEGER NOT NULL,
        hostname TEXT NOT NULL,
        revoked_ms INTEGER,
        revoked_reason TEXT,
        online INTEGER,
        presence_ms INTEGER,
        head_seq INTEGER NOT NULL,
        head_entry BLOB NOT NULL,
        forks INTEGER NOT NULL,
        end_ms INTEGER,
        anchor INTEGER NOT NULL
    ) STRICT;

    -- idx is the place in the log. The envelope is as received, log_entry as hashed.
    CREATE TABLE entries (
        idx INTEGER PRIMARY KEY,
        agent BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        entry BLOB NOT NULL UNIQUE,
        prev BLOB NOT NULL,
        kind TEXT NOT NULL,
        recv_ms INTEGER NOT NULL,
        outcome INTEGER NOT NULL,
        findings TEXT NOT NULL,
        end_ms INTEGER,
        log_entry BLOB NOT NULL,
        envelope BLOB NOT NULL
    ) STRICT;
    CREATE INDEX entries_by_agent ON entries (agent);
    CREATE INDEX entries_by_seq ON entries (agent, seq);

    -- Per-actor rows stand apart, so that deleting them rewrites nothing else.
    CREATE TABLE use_rows (
        idx INTEGER PRIMARY KEY,
        recv_ms INTEGER NOT NULL,
        rows BLOB NOT NULL
    ) STRICT;
    CREATE INDEX use_rows_by_time ON use_rows (recv_ms);

    CREATE TABLE manifests (
        agent BLOB NOT NULL,
        digest BLOB NOT NULL,
        idx INTEGER NOT NULL,
        PRIMARY KEY (agent, digest)
    ) STRICT, WITHOUT ROWID;

    -- The tree, by the dense index of Crosby and Wallach (2009), section 3.3.
    CREATE TABLE hashes (
        idx INTEGER PRIMARY KEY,
        hash BLOB NOT NULL
    ) STRICT;

    -- An empty agent counts for all that are not enrolled.
    CREATE TABLE refusals (
        agent BLOB NOT NULL,
        name TEXT NOT NULL,
        count INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (agent, name)
    ) STRICT, WITHOUT ROWID;",
    // 2: acts of the log's owner, and who confirmed a gateway's key.
    "CREATE TABLE acts (
        idx INTEGER PRIMARY KEY,
        agent BLOB
    ) STRICT;
    CREATE INDEX acts_by_agent ON acts (agent) WHERE agent IS NOT NULL;

    ALTER TABLE agents ADD COLUMN firm_ms INTEGER;
    ALTER TABLE agents ADD COLUMN firm_name TEXT;
    ALTER TABLE agents ADD COLUMN city_ms INTEGER;
    ALTER TABLE agents ADD COLUMN city_name TEXT;

    ALTER TABLE tokens ADD COLUMN installer TEXT NOT NULL DEFAULT '';
    ALTER TABLE tokens ADD COLUMN replaces BLOB;
    ALTER TABLE tokens ADD COLUMN reason TEXT NOT NULL DEFAULT '';

    -- The code that a firm's representative was given: the newest one is good.
    CREATE TABLE firm_codes (
        project TEXT PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        expires_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;",
    // 3: keys by epoch. An agent that never rotated has none here: its one key stands with it.
    "CREATE TABLE keys (
        agent BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        key BLOB NOT NULL,
        from_seq INTEGER NOT NULL,
        PRIMARY KEY (agent, epoch)
    ) STRICT, WITHOUT ROWID;",
];

/// Newest format known here.
const KNOWN: u32 = MIGRATIONS.len() as u32;

/// Brings the tables up to this program's format.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    let doing = "bring the ledger's tables up to date";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    let found: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).doing(doing)?;
    if found > KNOWN {
        return Err(LedgerError::Newer { found, known: KNOWN });
    }
    for (script, version) in MIGRATIONS.iter().zip(1_u32..) {
        if version > found {
            transaction.execute_batch(script).doing(doing)?;
            transaction.pragma_update(None, "user_version", version).doing(doing)?;
        }
    }
    transaction.commit().doing(doing)
}

/// Refuses tables of another format than this program's.
pub(super) fn check(connection: &Connection) -> Result<(), LedgerError> {
    let found: u32 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .doing("read the ledger's format")?;
    match found {
        KNOWN => Ok(()),
        0..KNOWN => Err(LedgerError::Damaged(format!("format {found} has not been brought up to date"))),
        _ => Err(LedgerError::Newer { found, known: KNOWN }),
    }
}
