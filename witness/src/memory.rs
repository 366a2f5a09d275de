//! What a witness remembers: the newest checkpoint of each log, and proofs that a log has lied.

use std::io;
use std::path::{Path, PathBuf};

use daemon::files;
use data_encoding::HEXLOWER;
use proof::log::{Head, ReceiptError, check_checkpoint, check_consistency};
use sha2::{Digest as _, Sha256};

/// Largest checkpoint that is kept, bytes.
const MAX_NOTE: u64 = 16 * 1024;

/// Most pairs of checkpoints that show a lie; more say nothing new.
const MOST_LIES: usize = 100;

/// The folder of a witness. One process owns it.
#[derive(Debug)]
pub struct Memory {
    folder: PathBuf,
}

/// Why a checkpoint is not remembered, and thus not cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The proof begins with more entries than the checkpoint has.
    Backwards,
    /// The proof does not begin where the last cosigned checkpoint ended.
    Other {
        /// Entries under that one; 0 for none.
        latest: u64,
    },
    /// It is of the size of the last one, with another root: the log has lied.
    Lie {
        /// Entries under both.
        latest: u64,
    },
    /// Nothing shows that it goes on from the last one.
    NotShown,
}

/// Why nothing can be remembered.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// A file cannot be read or written.
    #[error("could not keep {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was kept is no checkpoint of the log any more. Somebody changed it: begun anew, it would cosign anything.
    #[error("{} is damaged: restore it from a copy", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ReceiptError,
    },
}

impl Memory {
    /// In this folder, which is made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, MemoryError> {
        let file = |source| MemoryError::File { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(file)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The newest checkpoint of the log with this verifier key.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn latest(&self, origin: &str, vkey: &str) -> Result<Option<(Head, String)>, MemoryError> {
        let path = self.path(origin, "checkpoint");
        let read = files::read_small(&path, MAX_NOTE);
        let Some(note) = read.map_err(|source| MemoryError::File { path: path.clone(), source })? else {
            return Ok(None);
        };
        let head = check_checkpoint(&note, vkey).map_err(|source| MemoryError::Damaged { path, source })?;
        Ok(Some((head, note)))
    }

    /// Takes a checkpoint that the log has signed as its newest, when it goes on from the last one. Two at a time for one
    /// log must not happen: the caller sees to it.
    ///
    /// # Errors
    /// [`MemoryError`]; a refusal is no error.
    pub fn take(
        &self,
        (head, note): (&Head, &str),
        (old, path): (u64, &[[u8; 32]]),
        vkey: &str,
    ) -> Result<Result<(), Refused>, MemoryError> {
        if old > head.size {
            return Ok(Err(Refused::Backwards));
        }
        let known = self.latest(&head.origin, vkey)?;
        let latest = known.as_ref().map_or(0, |(known, _)| known.size);
        if let Some((known, known_note)) = &known
            && known.size == head.size
            && known.root != head.root
        {
            self.keep_lie(head, &format!("{known_note}\n{note}"))?;
            return Ok(Err(Refused::Lie { latest }));
        }
        if old != latest {
            return Ok(Err(Refused::Other { latest }));
        }
        let goes_on = match &known {
            Some((known, _)) => check_consistency(known, head, path).is_ok(),
            None => path.is_empty(),
        };
        if !goes_on {
            return Ok(Err(Refused::NotShown));
        }
        let place = self.path(&head.origin, "checkpoint");
        self.write(place, note)?;
        Ok(Ok(()))
    }

    /// Texts that show a lie: two checkpoints each, of one size and with different roots.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn lies(&self) -> Result<Vec<PathBuf>, MemoryError> {
        let file = |source| MemoryError::File { path: self.folder.clone(), source };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(file)? {
            let path = entry.map_err(file)?.path();
            if path.extension().is_some_and(|end| end == "lie") {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    fn keep_lie(&self, head: &Head, both: &str) -> Result<(), MemoryError> {
        // The same lie told again is one file.
        let path =
            self.path(&head.origin, &format!("{}.{}.lie", head.size, HEXLOWER.encode(&head.root[..8])));
        if path.exists() || self.lies()?.len() >= MOST_LIES {
            return Ok(());
        }
        self.write(path, both)
    }

    fn write(&self, path: PathBuf, text: &str) -> Result<(), MemoryError> {
        files::write_whole(&path, text.as_bytes(), files::PUBLIC)
            .map_err(|source| MemoryError::File { path, source })
    }

    /// Names of logs are addresses with slashes: their hash names the file.
    fn path(&self, origin: &str, end: &str) -> PathBuf {
        let name = HEXLOWER.encode(&Sha256::digest(origin)[..16]);
        self.folder.join(format!("{name}.{end}"))
    }
}
