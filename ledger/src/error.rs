//! Why the ledger did not do what it was asked.

/// A failure of the ledger itself. What is wrong with a proof is never one of these.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The disk is full. Nothing was recorded; what was receipted before is safe.
    #[error("no room on the ledger's disk")]
    Full,
    /// The database did not do it. Nothing was recorded.
    #[error("could not {doing}")]
    Database {
        /// What was attempted.
        doing: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// What is stored contradicts itself. A person must look before anything is written.
    #[error("ledger is damaged: {0}")]
    Damaged(String),
    /// A newer program has written this ledger.
    #[error("ledger has format {found}, this program knows up to {known}")]
    Newer {
        /// Format of the file.
        found: u32,
        /// Newest format known here.
        known: u32,
    },
    /// The ledger was made with another log key or origin.
    #[error("ledger belongs to the log {found}, not to {given}")]
    OtherLog {
        /// Verifier key in the ledger.
        found: String,
        /// Verifier key of the configured log key.
        given: String,
    },
    /// What was to be put into the log is outside its bounds.
    #[error("cannot stand in the log: {0}")]
    Act(String),
    /// The operating system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
    /// The thread that owns the ledger has ended.
    #[error("ledger is closed")]
    Closed,
}

/// Says what was attempted when SQLite fails.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, LedgerError>;
}

impl<T> Doing<T> for rusqlite::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T, LedgerError> {
        self.map_err(|source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => LedgerError::Full,
            _ => LedgerError::Database { doing, source },
        })
    }
}
