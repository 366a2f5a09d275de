//! Reading connections for pages and rules: a few, shared, never in the writer's way.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::{LedgerError, Read, Reader};

/// A small set of reading connections. Clones share it.
#[derive(Clone)]
pub struct Readers {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Reader>>,
    places: Semaphore,
}

impl Readers {
    /// At most `most` connections (1 to 64) to the ledger at `path`; the first is opened now, to know that it can
    /// be.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn open(path: &Path, most: usize) -> Result<Self, LedgerError> {
        let first = Reader::open(path)?;
        let most = most.clamp(1, 64);
        let shared =
            Shared { path: path.to_owned(), idle: Mutex::new(vec![first]), places: Semaphore::new(most) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Runs `question` on a thread that may block, with a connection that nobody else uses meanwhile.
    ///
    /// # Errors
    /// What the question answers, or [`LedgerError::Closed`] when it panicked.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Read) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let _place = self.shared.places.acquire().await.map_err(|_| LedgerError::Closed)?;
        let shared = Arc::clone(&self.shared);
        let asked = tokio::task::spawn_blocking(move || shared.ask(question));
        asked.await.map_err(|_| LedgerError::Closed)?
    }

    /// The same, on the calling thread.
    ///
    /// # Errors
    /// What the question answers.
    pub fn read_blocking<T>(
        &self,
        question: impl FnOnce(&dyn Read) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        self.shared.ask(question)
    }
}

impl Shared {
    fn ask<T>(&self, question: impl FnOnce(&dyn Read) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = match idle {
            Some(reader) => reader,
            None => Reader::open(&self.path)?,
        };
        let answer = question(&reader);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        answer
    }
}
