//! The tables, how they came to be, and how a connection is set up.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::BufferError;

/// Each takes the format one step forward; none is ever changed once released.
const MIGRATIONS: [&str; 1] = [FIRST];

/// A chunk's id is its window's local number times 65,536 plus its part: a window's chunks lie together, and sealing
/// does not move them. The partial indexes hold only what is waiting, so they stay within a page or two.
const FIRST: &str = "
CREATE TABLE proofs (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    entry BLOB NOT NULL,
    -- The payload until it is signed; afterwards it is inside the envelope.
    payload BLOB,
    envelope BLOB,
    use_rows BLOB,
    receipt BLOB,
    receipted_ms INTEGER
) STRICT;
CREATE INDEX proofs_waiting ON proofs (seq) WHERE receipt IS NULL;
CREATE UNIQUE INDEX proofs_waiting_entry ON proofs (entry) WHERE receipt IS NULL;
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    start_ms INTEGER NOT NULL,
    mono_start_ms INTEGER NOT NULL,
    flushed_ms INTEGER NOT NULL,
    bookmarks BLOB NOT NULL,
    plain INTEGER NOT NULL,
    packed BLOB NOT NULL
) STRICT;
CREATE TABLE raw (
    seq INTEGER PRIMARY KEY,
    window INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    secret BLOB,
    parts INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    dropped_ms INTEGER,
    cause TEXT
) STRICT;
CREATE INDEX raw_kept ON raw (seq) WHERE dropped_ms IS NULL;
CREATE TABLE bookmarks (source INTEGER PRIMARY KEY, bookmark BLOB NOT NULL) STRICT;
CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE boots (count INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE refusals (
    entry BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;
-- What the store knows of itself.
CREATE TABLE own (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// The newest format.
pub(crate) const FORMAT: i64 = MIGRATIONS.len() as i64;

/// Formats beyond this are not a newer program but a damaged header.
const PLAUSIBLE: i64 = 10_000;

/// Bytes of a page, SQLite's default and the usual page of flash.
pub(crate) const PAGE: u64 = 4096;

/// A connection that has not read anything yet.
pub(crate) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, BufferError> {
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // Until the format is known, closing must leave the files as they are.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Exclusive before the first read: no shared-memory file, and a second process is turned away.
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    Ok(db)
}

/// The format of the database; [`BufferError::Newer`] when it is of a newer program.
pub(crate) fn format(db: &Connection, path: &Path) -> Result<i64, BufferError> {
    let found: i64 = match db.query_row("PRAGMA user_version", [], |row| row.get(0)) {
        Ok(found) => found,
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
            return Err(BufferError::InUse(path.to_owned()));
        }
        Err(error) => return Err(error.into()),
    };
    if !(0..=PLAUSIBLE).contains(&found) {
        let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(corrupt, None).into());
    }
    if found > FORMAT {
        return Err(BufferError::Newer { found, known: FORMAT });
    }
    Ok(found)
}

/// Settings of a connection that will write, then the missing migrations.
pub(crate) fn prepare(db: &mut Connection, path: &Path, file_bytes: u64) -> Result<(), BufferError> {
    let found = format(db, path)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    debug_assert_eq!(mode, "wal");
    db.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -1024;
         PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF;",
    )?;
    for (name, value) in [
        ("wal_autocheckpoint", 2_000),
        ("journal_size_limit", 8 * 1024 * 1024),
        ("max_page_count", crate::bytes::signed(file_bytes / PAGE)),
    ] {
        let _: i64 = db.pragma_update_and_check(None, name, value, |row| row.get(0))?;
    }
    for (at, migration) in (0_i64..).zip(MIGRATIONS).skip_while(|(at, _)| *at < found) {
        let step = db.transaction()?;
        step.execute_batch(migration)?;
        step.pragma_update(None, "user_version", at + 1)?;
        step.commit()?;
    }
    Ok(())
}
