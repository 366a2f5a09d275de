//! A database that cannot be trusted: what can be read of it goes into a new one, the old one is set aside.
//!
//! Each table is read from its front until it cannot be read, then from its end, so that one bad page costs what lies
//! on it. Raw chunks of sealed windows stay behind (they may be gigabytes, and the set-aside file has them): each
//! becomes a tombstone. The new database is finished beside the old one before either is renamed.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use crate::error::file;
use crate::head::sync_folder;
use crate::open_window::chunk_id;
use crate::seal::Cause;
use crate::{Bounds, BufferError, pack, schema, side};

/// A part of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Proofs, envelopes, receipts.
    Proofs,
    /// Log positions of sealed windows.
    Bookmarks,
    /// The agent's values.
    State,
    /// Boots counted.
    Boots,
    /// Refusals.
    Refusals,
    /// Sealed windows' raw chunks, as tombstones.
    Raw,
    /// Chunks and log positions of the open window.
    OpenWindow,
}

/// How much of a part was carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Which part.
    pub part: Part,
    /// Rows that could be read.
    pub rows: u64,
    /// Whether the old table could be read from end to end.
    pub whole: bool,
}

/// Table, key, columns.
const TABLES: [(Part, &str, &str, &str); 6] = [
    (Part::Proofs, "proofs", "seq", "seq, kind, entry, payload, envelope, use_rows, receipt, receipted_ms"),
    (Part::Bookmarks, "bookmarks", "source", "source, bookmark"),
    (Part::State, "state", "key", "key, value"),
    (Part::Boots, "boots", "count", "count, id"),
    (Part::Refusals, "refusals", "rowid", "entry, name, text, at_ms"),
    (Part::Raw, "raw", "seq", "seq, window, start_ms, NULL, 0, 0, dropped_ms, cause"),
];

/// Replaces the database at `path` by one with what can be read of it; where the old one is now, and what was read.
pub(crate) fn replace(
    path: &Path,
    bounds: Bounds,
    now_ms: i64,
) -> Result<(PathBuf, Vec<Carried>), BufferError> {
    let new_path = side::beside(path, ".salvaged");
    for stale in [side::beside(&new_path, "-wal"), new_path.clone()] {
        match fs::remove_file(&stale) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(file(&stale)(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let mut new = schema::connect(&new_path, flags | OpenFlags::SQLITE_OPEN_CREATE)?;
    schema::prepare(&mut new, &new_path, bounds.file_bytes)?;
    let carried = match schema::connect(path, flags) {
        Ok(old) => carry(&old, &mut new, now_ms)?,
        Err(_) => nothing(),
    };
    // Closing checkpoints: the new file is whole without its log.
    new.close().map_err(|(_, error)| BufferError::from(error))?;
    let aside = side::put_aside(path, now_ms)?;
    fs::rename(&new_path, path).map_err(file(path))?;
    sync_folder(path)?;
    Ok((aside, carried))
}

/// A thorough look at the whole file: seconds for gigabytes, so only where there was a sign.
pub(crate) fn check(db: &Connection) -> Result<(), BufferError> {
    let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(corrupt()) }
}

/// Reads what the chain stands on: all rows that wait, and the small tables.
pub(crate) fn read_through(db: &Connection) -> Result<(), BufferError> {
    for (_, table, key, columns) in TABLES {
        let only = match table {
            "proofs" => "WHERE receipt IS NULL",
            "raw" => "WHERE dropped_ms IS NULL",
            _ => "",
        };
        let mut rows = db.prepare(&format!("SELECT {columns} FROM {table} {only} ORDER BY {key}"))?;
        let width = rows.column_count();
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..width {
                row.get_ref(column)?;
            }
        }
    }
    Ok(())
}

fn corrupt() -> BufferError {
    let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(corrupt, None).into()
}

fn nothing() -> Vec<Carried> {
    let parts = TABLES.map(|(part, ..)| part).into_iter().chain([Part::OpenWindow]);
    parts.map(|part| Carried { part, rows: 0, whole: false }).collect()
}

fn carry(old: &Connection, new: &mut Connection, now_ms: i64) -> Result<Vec<Carried>, BufferError> {
    let mut carried = Vec::new();
    let tx = new.transaction()?;
    for (part, table, key, columns) in TABLES {
        let mut rows = 0;
        let mut whole = true;
        for order in ["ASC", "DESC"] {
            whole = true;
            let read = copy(
                old,
                &tx,
                table,
                &format!("SELECT {columns} FROM {table} ORDER BY {key} {order}"),
                &mut rows,
            )?;
            if read {
                break;
            }
            whole = false;
        }
        carried.push(Carried { part, rows, whole });
    }
    leave_behind_a_hole(&tx)?;
    let raw = carried.iter().find(|carried| carried.part == Part::Raw).is_some_and(|raw| raw.whole);
    carried.push(carry_open_window(old, &tx, raw)?);
    tx.execute(
        "UPDATE raw SET dropped_ms = ?1, cause = ?2 WHERE dropped_ms IS NULL",
        (now_ms, Cause::Damaged.name()),
    )?;
    tx.execute("INSERT INTO own (name, value) VALUES ('running', 1)", [])?;
    tx.commit()?;
    Ok(carried)
}

/// Leaves out the proofs that wait behind a lost one: the ledger would never take them. They stay in the set-aside
/// database, and their sequences are lost with those before them.
fn leave_behind_a_hole(new: &Connection) -> Result<(), BufferError> {
    new.execute(
        "DELETE FROM proofs WHERE receipt IS NULL AND seq >= (
             SELECT MIN(seq) FROM proofs AS waiting
             WHERE receipt IS NULL AND seq > 1
               AND seq > (SELECT COALESCE(MAX(seq), 0) FROM proofs WHERE receipt IS NOT NULL)
               AND NOT EXISTS (SELECT 1 FROM proofs AS before WHERE before.seq = waiting.seq - 1))",
        [],
    )?;
    Ok(())
}

/// Copies rows until one cannot be read; whether all could. Failures of the new database are errors.
fn copy(
    old: &Connection,
    new: &Connection,
    table: &str,
    select: &str,
    copied: &mut u64,
) -> Result<bool, BufferError> {
    let Ok(mut select) = old.prepare(select) else { return Ok(false) };
    let width = select.column_count();
    let marks = vec!["?"; width].join(", ");
    let mut insert = new.prepare(&format!("INSERT OR IGNORE INTO {table} VALUES ({marks})"))?;
    let Ok(mut rows) = select.query([]) else { return Ok(false) };
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        };
        let values: Result<Vec<Value>, _> = (0..width).map(|column| row.get(column)).collect();
        let Ok(values) = values else { return Ok(false) };
        match insert.execute(params_from_iter(values)) {
            Ok(rows) => *copied += rows as u64,
            // A row that is not what the table takes is a damaged row.
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Chunks of the open window, until the first that cannot be read.
fn carry_open_window(old: &Connection, new: &Connection, raw_known: bool) -> Result<Carried, BufferError> {
    let mut carried = Carried { part: Part::OpenWindow, rows: 0, whole: false };
    // Without knowing which windows were sealed, an old window's chunks could be taken for open ones.
    if !raw_known {
        return Ok(carried);
    }
    let window = crate::open_window::last_window(new)? + 1;
    let Ok(mut rows) = old.prepare("SELECT * FROM chunks WHERE id >= ?1 ORDER BY id") else {
        return Ok(carried);
    };
    let Ok(mut rows) = rows.query([chunk_id(window, 0)]) else { return Ok(carried) };
    let mut before = Vec::new();
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => {
                carried.whole = true;
                return Ok(carried);
            }
            Err(_) => return Ok(carried),
        };
        let values: Result<Vec<Value>, _> = (0..7).map(|column| row.get(column)).collect();
        let Ok(values) = values else { return Ok(carried) };
        let next = chunk_id(window, u16::try_from(carried.rows).unwrap_or(u16::MAX));
        let [Value::Integer(id), .., Value::Integer(plain), Value::Blob(packed)] = values.as_slice() else {
            return Ok(carried);
        };
        let Ok(chunk) = pack::unpack(packed, &before, crate::bytes::count(*plain)) else {
            return Ok(carried);
        };
        if *id != next {
            return Ok(carried);
        }
        new.execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?)", params_from_iter(values))?;
        before = chunk;
        carried.rows += 1;
    }
}
