//! What can go wrong with the store, by what can be done about it.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

/// A verb that did nothing.
#[derive(Debug, thiserror::Error)]
pub enum BufferError {
    /// Neither the disk nor the file's bound has room, and all that may be dropped was. Worth trying again later.
    #[error("no space left for the buffer")]
    Full,
    /// The database cannot be read. Opening it again sets it aside and carries over what can be read.
    #[error("damaged database")]
    Damaged(#[source] rusqlite::Error),
    /// Another process has it open.
    #[error("{} is held by another process", .0.display())]
    InUse(PathBuf),
    /// Written by a newer version of this program. Nothing was changed.
    #[error("the database has format {found}, this program knows up to {known}")]
    Newer {
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The proof does not follow the chain head: a mistake of the caller, or an older head than it believes in.
    #[error("sequence {given} does not follow the chain head {head}")]
    NotNext {
        /// Of the head.
        head: u64,
        /// Of the proof.
        given: u64,
    },
    /// Right sequence number, other predecessor.
    #[error("the proof names another predecessor than the chain head {head}")]
    OtherPredecessor {
        /// Sequence number of the head.
        head: u64,
    },
    /// Database and head file are both lost: only a person or the ledger can say where the chain stands.
    #[error("the chain head was lost")]
    HeadLost,
    /// The window is not the one that is open.
    #[error("window starting at {given} is not the open one, which starts at {open}")]
    OtherWindow {
        /// Start of the open window, Unix ms.
        open: i64,
        /// Start of the one given, Unix ms.
        given: i64,
    },
    /// A window is open, and what was asked for is only for a store without one.
    #[error("a window is open")]
    WindowOpen,
    /// A part of the open window was skipped.
    #[error("part {given} of the open window does not follow: it has {have}")]
    SkippedPart {
        /// Parts stored.
        have: u16,
        /// Index of the one given.
        given: u16,
    },
    /// Larger than this store takes.
    #[error("{what} of {bytes} bytes is too large")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// The name of a kind is not 1 to 16 of a-z and '_'.
    #[error("not the name of a kind")]
    NotAKind,
    /// A file beside the database.
    #[error("could not use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Compression, or a chunk that does not decompress to what was stored.
    #[error("unreadable chunk")]
    Chunk(#[source] io::Error),
    /// Anything else SQLite has to say.
    #[error("database failed")]
    Database(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for BufferError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error),
            _ => Self::Database(error),
        }
    }
}

impl BufferError {
    /// Whether the database file itself is what failed.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Chunk(_))
    }
}

/// A file error with its path.
pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> BufferError {
    let path = path.to_owned();
    move |source| BufferError::File { path, source }
}
