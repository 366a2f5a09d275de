//! Sealing: a window becomes an entry of the chain, its raw chunks become an opening's evidence.

use proof::EntryId;
use rusqlite::{Connection, OptionalExtension as _, Transaction};

use crate::bytes::{self, count, signed};
use crate::open_window::{Open, chunk_id, chunks, flushed_bookmarks, last_window};
use crate::past::{FORGETS_EACH, forgotten};
use crate::room::{cost, drop_beyond};
use crate::{Bookmarks, Buffer, BufferError, Head, pack};

/// The next entry of the chain, of any kind, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProof {
    /// 1 to 16 of a-z and '_'.
    pub kind: String,
    /// One more than the head's.
    pub seq: u64,
    /// The head's entry id.
    pub prev: EntryId,
    /// Its own.
    pub entry: EntryId,
    /// The bytes that will be signed. With the use rows at most [`proof::MAX_PARCEL`].
    pub payload: Vec<u8>,
    /// Detached use rows; empty when there are none.
    pub use_rows: Vec<u8>,
}

/// A window at its end.
#[derive(Clone, PartialEq, Eq)]
pub struct Seal {
    /// Its entry.
    pub proof: NewProof,
    /// Claimed wall start, Unix ms; that of the open window where one was flushed.
    pub start_ms: i64,
    /// What its leaves are blinded with. Never leaves the gateway but in openings.
    pub secret: [u8; 32],
    /// Observations since the last flush, empty when there are none. `None` when some were given up for want of room:
    /// then nothing raw of this window is kept.
    pub last_chunk: Option<Vec<u8>>,
    /// Positions up to which the window covers its logs.
    pub bookmarks: Bookmarks,
    /// When, Unix ms.
    pub now_ms: i64,
}

/// What became of a sealed window's raw chunks. The proof is stored in each case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedRaw {
    /// Kept, until the bound takes them.
    Kept,
    /// There was no space: dropped, with a tombstone.
    NoSpace,
}

/// What is left of a window's raw chunks.
#[derive(Clone, PartialEq, Eq)]
pub enum Raw {
    /// All of it.
    Kept(RawWindow),
    /// The fact that it was there.
    Dropped(Tombstone),
}

/// A window's raw chunks, as given.
#[derive(Clone, PartialEq, Eq)]
pub struct RawWindow {
    /// Claimed wall start, Unix ms.
    pub start_ms: i64,
    /// What its leaves are blinded with.
    pub secret: [u8; 32],
    /// In the order they were given.
    pub chunks: Vec<Vec<u8>>,
}

/// What an opening past the bound is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// Claimed wall start, Unix ms.
    pub start_ms: i64,
    /// When it was dropped, Unix ms.
    pub dropped_ms: i64,
    /// Why.
    pub cause: Cause,
}

/// Why raw was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Raw had reached its bound.
    Bound,
    /// The disk or the file was full.
    Full,
    /// It was in a database that had to be set aside, or cannot be read.
    Damaged,
}

impl Cause {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Full => "full",
            Self::Damaged => "damaged",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        match name {
            "bound" => Self::Bound,
            "full" => Self::Full,
            _ => Self::Damaged,
        }
    }
}

impl Buffer {
    /// Stores a sealed window, its last chunk and its log positions, closes the open window and moves the chain head,
    /// or does nothing. Repeated with the entry that is the head already, it does nothing.
    ///
    /// # Errors
    /// [`BufferError::NotNext`], [`BufferError::OtherPredecessor`], [`BufferError::HeadLost`],
    /// [`BufferError::OtherWindow`], [`BufferError::TooLarge`], [`BufferError::Full`], or the database's.
    pub fn seal(&mut self, seal: &Seal) -> Result<SealedRaw, BufferError> {
        self.told(seal.now_ms);
        bytes::bound("a chunk", seal.last_chunk.as_ref().map_or(0, Vec::len), pack::MAX_CHUNK)?;
        bytes::bound_bookmarks(&seal.bookmarks)?;
        if self.follows(&seal.proof)?.is_none() {
            self.moved_to(&seal.proof)?;
            let dropped = "SELECT dropped_ms IS NOT NULL FROM raw WHERE seq = ?1";
            let dropped =
                self.db.query_row(dropped, [signed(seal.proof.seq)], |row| row.get(0)).optional()?;
            return Ok(if dropped == Some(true) { SealedRaw::NoSpace } else { SealedRaw::Kept });
        }
        if let Some(open) = self.open.as_ref().filter(|open| open.start_ms != seal.start_ms) {
            return Err(BufferError::OtherWindow { open: open.start_ms, given: seal.start_ms });
        }
        let packed = match seal.last_chunk.as_deref() {
            None | Some([]) => None,
            Some(chunk) => Some(pack::pack(chunk, self.open.as_ref().map_or(&[][..], |open| &open.last))?),
        };
        let open = self.open.clone();
        let limit = self.bounds.raw_bytes;
        let (told, keep) = (self.told_ms, self.bounds.receipted);
        let mut kept = SealedRaw::Kept;
        let closing = Closing { seal, open: open.as_ref(), packed: packed.as_deref() };
        let mut stored = match seal.last_chunk {
            Some(_) => self.write_with_room(|tx, before| {
                let taken = closing.store(tx)?;
                prune(tx, seal.proof.seq, keep)?;
                drop_beyond(tx, before + taken, limit, told)
            }),
            None => Err(BufferError::Full),
        };
        if matches!(stored, Err(BufferError::Full)) {
            kept = SealedRaw::NoSpace;
            let flushed = open.as_ref().map_or(0, |open| open.bytes);
            stored = self.write_with_room(|tx, before| {
                closing.store_without_raw(tx)?;
                prune(tx, seal.proof.seq, keep)?;
                Ok(before.saturating_sub(flushed))
            });
        }
        self.raw_bytes = stored?;
        self.open = None;
        self.moved_to(&seal.proof)?;
        self.retake_reserve(seal.proof.seq);
        Ok(kept)
    }

    /// Stores an entry that is not a window (manifest, outage, ...) and moves the chain head, or does neither.
    /// Repeated with the entry that is the head already, it does nothing.
    ///
    /// # Errors
    /// As [`Buffer::seal`].
    pub fn enqueue(&mut self, proof: &NewProof) -> Result<(), BufferError> {
        self.enqueue_with(proof, &[])
    }

    /// As [`Buffer::enqueue`], and stores values under keys in the same transaction: what was done is remembered if and
    /// only if it was.
    ///
    /// # Errors
    /// As [`Buffer::seal`].
    pub fn enqueue_with(&mut self, proof: &NewProof, state: &[(&str, &[u8])]) -> Result<(), BufferError> {
        for (key, value) in state {
            bytes::bound("a key", key.len(), crate::boots::MAX_KEY)?;
            bytes::bound("a value", value.len(), crate::boots::MAX_VALUE)?;
        }
        if self.follows(proof)?.is_none() {
            return self.moved_to(proof);
        }
        self.write_with_room(|tx, _| {
            for (key, value) in state {
                tx.execute("INSERT OR REPLACE INTO state VALUES (?1, ?2)", (key, value))?;
            }
            insert(tx, proof)
        })?;
        self.moved_to(proof)
    }

    /// What is left of the raw chunks of the window with this sequence number; `None` for a number that is no window's.
    ///
    /// # Errors
    /// The database's; [`BufferError::Chunk`] when a checksum does not fit.
    pub fn window_raw(&self, seq: u64) -> Result<Option<Raw>, BufferError> {
        self.notice(read_raw(&self.db, seq))
    }

    /// The head when `proof` is next, `None` when it is the head itself.
    fn follows(&self, proof: &NewProof) -> Result<Option<Head>, BufferError> {
        let known = !proof.kind.is_empty()
            && proof.kind.len() <= 16
            && proof.kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if !known {
            return Err(BufferError::NotAKind);
        }
        bytes::bound("a proof", proof.payload.len() + proof.use_rows.len(), proof::MAX_PARCEL)?;
        let head = self.head.ok_or(BufferError::HeadLost)?;
        if head.seq == proof.seq && head.entry == proof.entry {
            return Ok(None);
        }
        if head.seq.checked_add(1) != Some(proof.seq) {
            return Err(BufferError::NotNext { head: head.seq, given: proof.seq });
        }
        if head.entry != proof.prev {
            return Err(BufferError::OtherPredecessor { head: head.seq });
        }
        Ok(Some(head))
    }

    /// The commit is done: the head file follows. When that fails the head in mind is the new one all the same, and the
    /// verb repeated writes the file again.
    fn moved_to(&mut self, proof: &NewProof) -> Result<(), BufferError> {
        let head = Head { seq: proof.seq, entry: proof.entry };
        self.head = Some(head);
        self.head_file.write(head)
    }
}

/// A seal with what it needs from the open window.
struct Closing<'a> {
    seal: &'a Seal,
    open: Option<&'a Open>,
    packed: Option<&'a [u8]>,
}

impl Closing<'_> {
    /// Stores everything; how many bytes of pages that took.
    fn store(&self, tx: &Transaction<'_>) -> Result<u64, BufferError> {
        let window = self.window(tx)?;
        let mut parts = self.open.map_or(0, |open| open.parts);
        let mut taken = 0;
        if let Some(packed) = self.packed {
            tx.execute(
                "INSERT INTO chunks VALUES (?1, ?2, 0, ?3, x'', ?4, ?5)",
                (
                    chunk_id(window, parts),
                    self.seal.start_ms,
                    self.seal.now_ms,
                    signed(self.seal.last_chunk.as_ref().map_or(0, Vec::len) as u64),
                    packed,
                ),
            )?;
            parts = parts.saturating_add(1);
            taken = cost(packed.len());
        }
        self.bookmarks(tx, window)?;
        tx.execute(
            "INSERT INTO raw (seq, window, start_ms, secret, parts, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                signed(self.seal.proof.seq),
                window,
                self.seal.start_ms,
                self.seal.secret,
                parts,
                signed(taken + self.open.map_or(0, |open| open.bytes)),
            ),
        )?;
        insert(tx, &self.seal.proof)?;
        Ok(taken)
    }

    /// Gives the window's raw chunks up for its proof.
    fn store_without_raw(&self, tx: &Transaction<'_>) -> Result<(), BufferError> {
        let window = self.window(tx)?;
        self.bookmarks(tx, window)?;
        tx.execute("DELETE FROM chunks WHERE id >= ?1", [chunk_id(window, 0)])?;
        tx.execute(
            "INSERT INTO raw (seq, window, start_ms, parts, bytes, dropped_ms, cause)
             VALUES (?1, ?2, ?3, 0, 0, ?4, ?5)",
            (signed(self.seal.proof.seq), window, self.seal.start_ms, self.seal.now_ms, Cause::Full.name()),
        )?;
        insert(tx, &self.seal.proof)
    }

    fn window(&self, tx: &Transaction<'_>) -> Result<i64, BufferError> {
        self.open.map_or_else(|| Ok(last_window(tx)? + 1), |open| Ok(open.window))
    }

    fn bookmarks(&self, tx: &Transaction<'_>, window: i64) -> Result<(), BufferError> {
        let mut bookmarks = flushed_bookmarks(tx, window)?;
        bookmarks.extend(self.seal.bookmarks.clone());
        let mut store = tx.prepare(
            "INSERT INTO bookmarks VALUES (?1, ?2) ON CONFLICT DO UPDATE SET bookmark = excluded.bookmark
             WHERE bookmark IS NOT excluded.bookmark",
        )?;
        for bookmark in bookmarks {
            store.execute(bookmark)?;
        }
        Ok(())
    }
}

fn insert(tx: &Transaction<'_>, proof: &NewProof) -> Result<(), BufferError> {
    tx.execute(
        "INSERT INTO proofs (seq, kind, entry, payload, use_rows) VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            signed(proof.seq),
            &proof.kind,
            proof.entry.0,
            &proof.payload,
            Some(&proof.use_rows).filter(|rows| !rows.is_empty()),
        ),
    )?;
    Ok(())
}

/// Forgets receipted proofs and tombstones beyond their bound; what still has its raw data can be opened, and stays. Now
/// and then: it has to pass over what stays.
fn prune(tx: &Transaction<'_>, head: u64, keep: u64) -> Result<(), BufferError> {
    let until = signed(forgotten(head, keep));
    if !head.is_multiple_of(FORGETS_EACH) || until == 0 {
        return Ok(());
    }
    tx.execute(
        "DELETE FROM proofs WHERE seq <= ?1 AND receipt IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM raw WHERE raw.seq = proofs.seq AND dropped_ms IS NULL)",
        [until],
    )?;
    tx.execute("DELETE FROM raw WHERE seq <= ?1 AND dropped_ms IS NOT NULL", [until])?;
    Ok(())
}

fn read_raw(db: &Connection, seq: u64) -> Result<Option<Raw>, BufferError> {
    type Row = (i64, i64, Option<[u8; 32]>, Option<i64>, Option<String>, i64);
    let columns = "SELECT window, start_ms, secret, dropped_ms, cause, parts FROM raw WHERE seq = ?1";
    let row: Option<Row> = db
        .query_row(columns, [signed(seq)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })
        .optional()?;
    let Some((window, start_ms, secret, dropped_ms, cause, parts)) = row else { return Ok(None) };
    if let Some(dropped_ms) = dropped_ms {
        let cause = Cause::named(&cause.unwrap_or_default());
        return Ok(Some(Raw::Dropped(Tombstone { start_ms, dropped_ms, cause })));
    }
    let chunks = chunks(db, window)?;
    let missing = || BufferError::Chunk(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
    let secret = secret.filter(|_| chunks.len() as u64 == count(parts)).ok_or_else(missing)?;
    Ok(Some(Raw::Kept(RawWindow { start_ms, secret, chunks })))
}
