//! The window being observed: what of it is on the disk already.

use rusqlite::Connection;

use crate::bytes::{self, count, signed};
use crate::room::cost;
use crate::{Bookmarks, Buffer, BufferError, pack};

/// What is new of the open window since the last flush.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenWindow {
    /// Claimed wall start, Unix ms.
    pub start_ms: i64,
    /// Since boot, ms.
    pub mono_start_ms: u64,
    /// Which flush of this window it is, from 0. One that is stored already is not stored again.
    pub part: u16,
    /// New observations, encoded by the caller. At most 64 MiB.
    pub chunk: Vec<u8>,
    /// Positions up to which that chunk covers its logs.
    pub bookmarks: Bookmarks,
    /// When, Unix ms.
    pub flushed_ms: i64,
}

/// What became of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Flushed {
    /// On the disk.
    Stored,
    /// No space: neither chunk nor bookmarks were stored. Give them again with the next flush, under the same part.
    NoSpace,
}

/// What a run left of its open window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOpen {
    /// Claimed wall start, Unix ms.
    pub start_ms: i64,
    /// Since boot, ms.
    pub mono_start_ms: u64,
    /// The last flush, Unix ms: what came later is lost.
    pub flushed_ms: i64,
    /// The chunks in the order they were flushed.
    pub chunks: Vec<Vec<u8>>,
}

/// The open window as the store keeps it in mind.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub(crate) window: i64,
    pub(crate) start_ms: i64,
    pub(crate) parts: u16,
    /// The last chunk before compression: the next is compressed against it.
    pub(crate) last: Vec<u8>,
    pub(crate) bytes: u64,
}

impl Buffer {
    /// Appends to the open window, together with the log positions the chunk covers.
    ///
    /// # Errors
    /// [`BufferError::OtherWindow`], [`BufferError::SkippedPart`], [`BufferError::TooLarge`], or the database's.
    pub fn flush(&mut self, new: &OpenWindow) -> Result<Flushed, BufferError> {
        self.told(new.flushed_ms);
        bytes::bound("a chunk", new.chunk.len(), pack::MAX_CHUNK)?;
        bytes::bound_bookmarks(&new.bookmarks)?;
        let mut open = match self.open.clone() {
            Some(open) if open.start_ms != new.start_ms => {
                return Err(BufferError::OtherWindow { open: open.start_ms, given: new.start_ms });
            }
            Some(open) => open,
            None => Open {
                window: self.next_window()?,
                start_ms: new.start_ms,
                parts: 0,
                last: Vec::new(),
                bytes: 0,
            },
        };
        if new.part < open.parts {
            return Ok(Flushed::Stored);
        }
        if new.part > open.parts || new.part == u16::MAX {
            return Err(BufferError::SkippedPart { have: open.parts, given: new.part });
        }
        let packed = pack::pack(&new.chunk, &open.last)?;
        let blob = bytes::join(&new.bookmarks);
        let row = (
            chunk_id(open.window, open.parts),
            new.start_ms,
            signed(new.mono_start_ms),
            new.flushed_ms,
            &blob,
            signed(new.chunk.len() as u64),
            &packed,
        );
        let stored = self.write_with_room(|tx, _| {
            tx.execute("INSERT INTO chunks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", row)?;
            Ok(())
        });
        match stored {
            Ok(()) => {}
            Err(BufferError::Full) => return Ok(Flushed::NoSpace),
            Err(error) => return Err(error),
        }
        let taken = cost(packed.len() + blob.len());
        open.parts += 1;
        open.bytes += taken;
        open.last.clone_from(&new.chunk);
        self.raw_bytes += taken;
        self.open = Some(open);
        Ok(Flushed::Stored)
    }

    /// What was flushed of the window that is open: after a crash, what there is to be sealed.
    ///
    /// # Errors
    /// The database's.
    pub fn left_open(&self) -> Result<Option<LeftOpen>, BufferError> {
        let Some(open) = &self.open else { return Ok(None) };
        let first = "SELECT start_ms, mono_start_ms FROM chunks WHERE id = ?1";
        let last = "SELECT flushed_ms FROM chunks WHERE id = ?1";
        let read = || {
            let (start_ms, mono): (i64, i64) =
                self.db.query_row(first, [chunk_id(open.window, 0)], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let flushed_ms =
                self.db.query_row(last, [chunk_id(open.window, open.parts - 1)], |row| row.get(0))?;
            let chunks = chunks(&self.db, open.window)?;
            Ok(Some(LeftOpen { start_ms, mono_start_ms: count(mono), flushed_ms, chunks }))
        };
        self.notice(read())
    }

    /// Gives up what was flushed of the open window, log positions included: for what a crash left and nobody can read.
    ///
    /// # Errors
    /// [`BufferError::Full`], or the database's.
    pub fn drop_open(&mut self) -> Result<(), BufferError> {
        let Some(open) = self.open.clone() else { return Ok(()) };
        self.write_with_room(|tx, _| {
            tx.execute("DELETE FROM chunks WHERE id >= ?1", [chunk_id(open.window, 0)])?;
            Ok(())
        })?;
        self.raw_bytes = self.raw_bytes.saturating_sub(open.bytes);
        self.open = None;
        Ok(())
    }

    /// Where each log or table goes on, flushed parts of the open window included.
    ///
    /// # Errors
    /// The database's.
    pub fn bookmarks(&self) -> Result<Bookmarks, BufferError> {
        let mut rows = self.db.prepare("SELECT source, bookmark FROM bookmarks")?;
        let mut bookmarks: Bookmarks =
            rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        if let Some(open) = &self.open {
            bookmarks.extend(flushed_bookmarks(&self.db, open.window)?);
        }
        Ok(bookmarks)
    }

    /// Replaces all bookmarks, and stores under `key` what they belong to, in one transaction. Not while a window is open,
    /// whose parts carry bookmarks of their own.
    ///
    /// # Errors
    /// [`BufferError::WindowOpen`], [`BufferError::TooLarge`], [`BufferError::Full`], or the database's.
    pub fn replace_bookmarks(
        &mut self,
        bookmarks: &Bookmarks,
        key: &str,
        value: &[u8],
    ) -> Result<(), BufferError> {
        if self.open.is_some() {
            return Err(BufferError::WindowOpen);
        }
        bytes::bound_bookmarks(bookmarks)?;
        bytes::bound("a key", key.len(), crate::boots::MAX_KEY)?;
        bytes::bound("a value", value.len(), crate::boots::MAX_VALUE)?;
        self.write_with_room(|tx, _| {
            tx.execute("DELETE FROM bookmarks", [])?;
            for bookmark in bookmarks {
                tx.execute("INSERT INTO bookmarks VALUES (?1, ?2)", bookmark)?;
            }
            tx.execute("INSERT OR REPLACE INTO state VALUES (?1, ?2)", (key, value))?;
            Ok(())
        })
    }

    fn next_window(&self) -> Result<i64, BufferError> {
        Ok(last_window(&self.db)? + 1)
    }
}

impl Open {
    /// The window after the last sealed one, if chunks of it are there.
    pub(crate) fn read(db: &Connection) -> Result<Option<Self>, BufferError> {
        let window = last_window(db)? + 1;
        let mut rows =
            db.prepare("SELECT start_ms, length(packed) + length(bookmarks) FROM chunks WHERE id >= ?1")?;
        let rows: Vec<(i64, i64)> = rows
            .query_map([chunk_id(window, 0)], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let Some((start_ms, _)) = rows.first() else { return Ok(None) };
        let parts = u16::try_from(rows.len()).unwrap_or(u16::MAX);
        let bytes = rows.iter().map(|(_, length)| cost(usize::try_from(*length).unwrap_or(0))).sum();
        let last = chunks(db, window)?.pop().unwrap_or_default();
        Ok(Some(Self { window, start_ms: *start_ms, parts, last, bytes }))
    }
}

/// The local number of the last sealed window; 0 when there is none.
pub(crate) fn last_window(db: &Connection) -> Result<i64, BufferError> {
    let last = "SELECT COALESCE((SELECT window FROM raw ORDER BY seq DESC LIMIT 1), 0)";
    Ok(db.query_row(last, [], |row| row.get(0))?)
}

/// The row of a part.
pub(crate) fn chunk_id(window: i64, part: u16) -> i64 {
    (window << 16) | i64::from(part)
}

/// All chunks of a window, in order, decompressed.
pub(crate) fn chunks(db: &Connection, window: i64) -> Result<Vec<Vec<u8>>, BufferError> {
    let mut rows = db.prepare("SELECT plain, packed FROM chunks WHERE id BETWEEN ?1 AND ?2 ORDER BY id")?;
    let mut rows = rows.query((chunk_id(window, 0), chunk_id(window, u16::MAX)))?;
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    while let Some(row) = rows.next()? {
        let before = chunks.last().map_or(&[][..], Vec::as_slice);
        let chunk = pack::unpack(row.get_ref(1)?.as_blob().unwrap_or_default(), before, count(row.get(0)?))?;
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// The bookmarks flushed with a window's parts: the last of each source.
pub(crate) fn flushed_bookmarks(db: &Connection, window: i64) -> Result<Bookmarks, BufferError> {
    let mut rows = db.prepare("SELECT bookmarks FROM chunks WHERE id BETWEEN ?1 AND ?2 ORDER BY id")?;
    let mut rows = rows.query((chunk_id(window, 0), chunk_id(window, u16::MAX)))?;
    let mut bookmarks = Bookmarks::new();
    while let Some(row) = rows.next()? {
        bookmarks.extend(bytes::split(row.get_ref(0)?.as_blob().unwrap_or_default()));
    }
    Ok(bookmarks)
}
