//! The store itself, and how it comes up: whatever lies on the disk, or a named refusal.

use std::fs::{self, OpenOptions};
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior};

use crate::bytes::count;
use crate::error::file;
use crate::head::{Head, HeadFile, sync_folder};
use crate::open_window::Open;
use crate::salvage::{self, Carried};
use crate::{BufferError, schema, side};

/// How much may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most bytes of raw chunks, compressed, counted in pages. 4 GiB unless said otherwise.
    pub raw_bytes: u64,
    /// Most bytes of the database file, never passed. 5 GiB unless said otherwise; should leave 1 GiB beside raw.
    pub file_bytes: u64,
    /// Receipted proofs, receipts and tombstones are kept for this many sequence numbers, and the proof of a window for as
    /// long as its raw data: 57,600 are 400 days.
    pub receipted: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { raw_bytes: 4 << 30, file_bytes: 5 << 30, receipted: 57_600 }
    }
}

/// What opening came upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What the last run left.
    pub found: Found,
    /// Present when something could not be read or is missing.
    pub damage: Option<Damage>,
}

/// What the last run left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing: a new store.
    Fresh,
    /// A store that was closed.
    Clean,
    /// A store that was not closed. [`Buffer::left_open`] has what was flushed of its window.
    Crashed,
}

/// What could not be read, and what was carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where the old database lies now; `None` when there was none to set aside.
    pub aside: Option<PathBuf>,
    /// What was carried over, part by part; empty when the database itself was readable.
    pub carried: Vec<Carried>,
    /// Sequence numbers the head file knows of and the database does not. Some may have had their receipts.
    pub lost_proofs: Option<RangeInclusive<u64>>,
    /// Neither database nor head file say where the chain stands: `seal` and `enqueue` refuse until
    /// [`Buffer::adopt_head`].
    pub head_lost: bool,
}

/// The gateway's store. One thread owns it: see [`crate::Handle`].
#[derive(Debug)]
pub struct Buffer {
    pub(crate) db: Connection,
    pub(crate) path: PathBuf,
    pub(crate) bounds: Bounds,
    /// `None` when it was lost.
    pub(crate) head: Option<Head>,
    pub(crate) head_file: HeadFile,
    pub(crate) open: Option<Open>,
    /// Pages of raw chunks in bytes, the open window's included.
    pub(crate) raw_bytes: u64,
    /// The newest time this store was told.
    pub(crate) told_ms: i64,
    /// Since when there has been no space.
    pub(crate) full_since_ms: Option<i64>,
}

impl Buffer {
    /// Opens or makes the store at `path`; `now_ms` dates what has to be set aside.
    ///
    /// # Errors
    /// [`BufferError::Newer`], [`BufferError::InUse`], and failures of the file system. Damage is no error.
    pub fn open(path: &Path, bounds: Bounds, now_ms: i64) -> Result<(Self, Opened), BufferError> {
        let salvaged = side::beside(path, ".salvaged");
        if !path.exists() && salvaged.exists() {
            // The last start was cut between setting the old one aside and putting this one in its place.
            fs::rename(&salvaged, path).map_err(file(path))?;
        }
        let (head_file, filed) = HeadFile::open(side::beside(path, ".head"))?;
        sync_folder(path)?;
        let was_there = fs::metadata(path).is_ok_and(|meta| meta.len() > 0);
        let mut damage = None;
        let came_up = Self::come_up(path, bounds, now_ms, (head_file, filed), &mut damage);
        let (buffer, crashed) = match came_up {
            Err(error) if error.is_damage() => {
                let (aside, carried) = salvage::replace(path, bounds, now_ms)?;
                let (head_file, _) = HeadFile::open(side::beside(path, ".head"))?;
                let chain_whole =
                    carried.iter().any(|c| c.part == salvage::Part::Proofs && c.whole && c.rows > 0);
                damage =
                    Some(Damage { aside: Some(aside), carried, lost_proofs: None, head_lost: !chain_whole });
                Self::come_up(path, bounds, now_ms, (head_file, filed), &mut damage)?
            }
            came_up => came_up?,
        };
        side::take_reserve(path);
        let found = match (was_there || filed.is_some(), crashed) {
            (false, _) => Found::Fresh,
            (true, false) if damage.is_none() => Found::Clean,
            (true, _) => Found::Crashed,
        };
        Ok((buffer, Opened { found, damage }))
    }

    /// Closes it in order: the next start finds [`Found::Clean`]. An open window stays as flushed.
    ///
    /// # Errors
    /// When that could not be written; the next start then finds a crash, and loses nothing by it.
    pub fn close(mut self) -> Result<(), BufferError> {
        self.tell_own("running", 0)?;
        self.db.close().map_err(|(_, error)| error.into())
    }

    /// Where the chain stands; `None` when that was lost.
    pub fn head(&self) -> Option<Head> {
        self.head
    }

    /// The last sequence whose proof is in the store; behind [`Buffer::head`] when proofs were lost, 0 without any.
    ///
    /// # Errors
    /// The database's.
    pub fn stored_seq(&self) -> Result<u64, BufferError> {
        Ok(self.stored_head()?.map_or(0, |head| head.seq))
    }

    /// Says where the chain stands, after it was lost. Does nothing when it is known.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn adopt_head(&mut self, head: Head) -> Result<(), BufferError> {
        if self.head.is_some() {
            return Ok(());
        }
        self.head_file.write(head)?;
        self.tell_own("head_lost", 0)?;
        self.head = Some(head);
        Ok(())
    }

    /// Reads and writes all that a start reads and writes; whether the last run was not closed.
    fn come_up(
        path: &Path,
        bounds: Bounds,
        now_ms: i64,
        (head_file, filed): (HeadFile, Option<Head>),
        damage: &mut Option<Damage>,
    ) -> Result<(Self, bool), BufferError> {
        let mut buffer = Self::try_open(path, bounds, now_ms, head_file)?;
        buffer.settle_head(filed, damage)?;
        let crashed = buffer.own("running")? == Some(1);
        buffer.tell_own("running", 1)?;
        Ok((buffer, crashed))
    }

    fn try_open(path: &Path, bounds: Bounds, told_ms: i64, head_file: HeadFile) -> Result<Self, BufferError> {
        // Made here for its mode; SQLite gives its log the same.
        OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(file(path))?;
        let mut db = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::prepare(&mut db, path, bounds.file_bytes)?;
        if side::beside(path, ".suspect").exists() {
            salvage::check(&db)?;
        }
        salvage::read_through(&db)?;
        let raw_bytes: i64 =
            db.query_row("SELECT COALESCE(SUM(bytes), 0) FROM raw WHERE dropped_ms IS NULL", [], |row| {
                row.get(0)
            })?;
        let open = Open::read(&db)?;
        let raw_bytes = count(raw_bytes) + open.as_ref().map_or(0, |open| open.bytes);
        match fs::remove_file(side::beside(path, ".suspect")) {
            Ok(()) | Err(_) => {}
        }
        let path = path.to_owned();
        Ok(Self { db, path, bounds, head: None, head_file, open, raw_bytes, told_ms, full_since_ms: None })
    }

    /// Takes the higher of the database's head and the filed one; says what is missing between.
    fn settle_head(&mut self, filed: Option<Head>, damage: &mut Option<Damage>) -> Result<(), BufferError> {
        let stored = self.stored_head()?;
        let known = stored.or_else(|| damage.is_none().then_some(Head::NONE));
        let lost_before = self.own("head_lost")? == Some(1);
        if let Some(filed) = filed
            && stored.is_none_or(|stored| filed.seq > stored.seq)
            && filed.seq > 0
        {
            let from = stored.map_or(1, |stored| stored.seq + 1);
            let damage = damage.get_or_insert(Damage {
                aside: None,
                carried: Vec::new(),
                lost_proofs: None,
                head_lost: false,
            });
            damage.lost_proofs = Some(from..=filed.seq);
        }
        let filed_wins = filed.filter(|filed| stored.is_none_or(|stored| filed.seq >= stored.seq));
        let head_lost = filed_wins.is_none() && (lost_before || damage.as_ref().is_some_and(|d| d.head_lost));
        if let Some(damage) = damage {
            damage.head_lost = head_lost;
        }
        if head_lost {
            self.tell_own("head_lost", 1)?;
            self.head = None;
            return Ok(());
        }
        self.head = filed_wins.or(known);
        if let Some(head) = self.head.filter(|head| Some(*head) != filed) {
            self.head_file.write(head)?;
        }
        Ok(())
    }

    fn stored_head(&self) -> Result<Option<Head>, BufferError> {
        let last = "SELECT seq, entry FROM proofs ORDER BY seq DESC LIMIT 1";
        let found: Option<(i64, [u8; 32])> =
            self.db.query_row(last, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(found.map(|(seq, entry)| Head { seq: count(seq), entry: proof::EntryId(entry) }))
    }

    pub(crate) fn own(&self, name: &str) -> Result<Option<i64>, BufferError> {
        Ok(self.db.query_row("SELECT value FROM own WHERE name = ?1", [name], |row| row.get(0)).optional()?)
    }

    fn tell_own(&mut self, name: &str, value: i64) -> Result<(), BufferError> {
        let stored = self.write_with_room(|tx, _| {
            tx.execute("INSERT OR REPLACE INTO own (name, value) VALUES (?1, ?2)", (name, value))?;
            Ok(())
        });
        // A full disk must not keep a store from coming up.
        if matches!(stored, Err(BufferError::Full)) { Ok(()) } else { stored }
    }

    /// One transaction. Damage met in it is noted, so that the next start looks closely.
    pub(crate) fn write<T>(
        &mut self,
        verb: impl FnOnce(&Transaction<'_>) -> Result<T, BufferError>,
    ) -> Result<T, BufferError> {
        let begun = self.db.transaction_with_behavior(TransactionBehavior::Immediate);
        let outcome = begun.map_err(BufferError::from).and_then(|tx| {
            let done = verb(&tx)?;
            tx.commit()?;
            Ok(done)
        });
        self.notice(outcome)
    }

    /// Passes an outcome on; damage is noted for the next start.
    pub(crate) fn notice<T>(&self, outcome: Result<T, BufferError>) -> Result<T, BufferError> {
        if outcome.as_ref().err().is_some_and(BufferError::is_damage) {
            match fs::write(side::beside(&self.path, ".suspect"), b"") {
                // Without the note the next start finds the damage only where it reads; nothing more can be done here.
                Ok(()) | Err(_) => {}
            }
        }
        outcome
    }

    /// Remembers the newest time given.
    pub(crate) fn told(&mut self, now_ms: i64) {
        self.told_ms = now_ms;
    }
}
