//! The key that signs checkpoints, made at first start and kept in `log.key`.
//!
//! Losing it means a new log, because agents pin its verifier key at enrolment: it is never replaced silently.

use std::path::{Path, PathBuf};

use daemon::files;
use ledger::LogKey;

/// Name of the file in the data directory.
const FILE: &str = "log.key";

/// Why there is no log key.
#[derive(Debug, thiserror::Error)]
pub enum LogKeyError {
    /// The file cannot be read or written.
    #[error("could not keep the log key in {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file does not hold a key: restore it from a copy.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ledger::LogKeyError,
    },
    /// No key can be made.
    #[error("could not make a log key")]
    Make(#[source] ledger::LogKeyError),
    /// The configured origin and the key's differ: the origin of a running log cannot be changed.
    #[error("log origin is `{configured}`, but the log key was made for `{made}`")]
    OtherOrigin {
        /// From the configuration.
        configured: String,
        /// From the file.
        made: String,
    },
}

/// Reads the key in `directory`, or makes one named `origin` when there is none.
///
/// # Errors
/// When the file cannot be read or written, is damaged, or belongs to another origin.
pub fn open(directory: &Path, origin: &str) -> Result<LogKey, LogKeyError> {
    let path = directory.join(FILE);
    let file_error = |source| LogKeyError::File { path: path.clone(), source };
    if let Some(text) = files::read_small(&path, 4096).map_err(file_error)? {
        let key =
            LogKey::parse(&text).map_err(|source| LogKeyError::Damaged { path: path.clone(), source })?;
        if key.origin() != origin {
            let made = key.origin().to_owned();
            return Err(LogKeyError::OtherOrigin { configured: origin.to_owned(), made });
        }
        return Ok(key);
    }
    let (key, secret) = LogKey::generate(origin).map_err(LogKeyError::Make)?;
    files::write_whole(&path, format!("{secret}\n").as_bytes(), files::SECRET).map_err(file_error)?;
    tracing::info!(origin, "log key made");
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let made = open(directory.path(), "inuse.local/log").unwrap();
        let found = open(directory.path(), "inuse.local/log").unwrap();
        assert_eq!(made.verifier(), found.verifier());
        assert_eq!(found.origin(), "inuse.local/log");
    }

    #[test]
    fn another_origin_and_a_damaged_file_are_errors_not_new_keys() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path(), "a.example/log").unwrap();
        assert!(matches!(open(directory.path(), "b.example/log"), Err(LogKeyError::OtherOrigin { .. })));
        std::fs::write(directory.path().join(FILE), "").unwrap();
        assert!(matches!(open(directory.path(), "a.example/log"), Err(LogKeyError::Damaged { .. })));
    }
}
