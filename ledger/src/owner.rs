//! The thread that owns the writing end, and the handle that async code awaits it by.

use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use crate::{LedgerError, Store};

/// Work waiting for the ledger; whoever has more waits.
const QUEUE: usize = 64;

type Work = Box<dyn FnOnce(&mut dyn Store) + Send>;

/// A handle on the ledger's owner. Clones speak to the same owner; it ends when the last of them is dropped.
#[derive(Clone)]
pub struct Ledger {
    work: mpsc::Sender<Work>,
}

/// A handle that does not keep the owner alive.
#[derive(Clone)]
pub struct WeakLedger {
    work: mpsc::WeakSender<Work>,
}

/// The owning thread, to be joined at the end.
pub struct Owner(JoinHandle<()>);

impl Ledger {
    /// Gives the store to a thread of its own.
    ///
    /// # Errors
    /// When the operating system has no thread to give.
    pub fn start(store: impl Store + 'static) -> std::io::Result<(Self, Owner)> {
        let (work, queue) = mpsc::channel(QUEUE);
        let thread =
            std::thread::Builder::new().name("ledger".to_owned()).spawn(move || own(store, queue))?;
        Ok((Self { work }, Owner(thread)))
    }

    /// Runs `verb` on the owning thread, after what was asked before, and returns its answer. Dropping the future
    /// does not undo what was asked.
    ///
    /// # Errors
    /// What the verb answers, or [`LedgerError::Closed`] when the thread has ended.
    pub async fn run<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&mut dyn Store) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (work, answered) = asked(verb);
        self.work.send(work).await.map_err(|_| LedgerError::Closed)?;
        answered.await.map_err(|_| LedgerError::Closed)?
    }

    /// A handle for who may be there longer than the ledger.
    pub fn weak(&self) -> WeakLedger {
        WeakLedger { work: self.work.downgrade() }
    }
}

impl WeakLedger {
    /// As [`Ledger::run`], from a thread that may block.
    ///
    /// # Errors
    /// What the verb answers, or [`LedgerError::Closed`] when the ledger is closed.
    pub fn run_blocking<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&mut dyn Store) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let queue = self.work.upgrade().ok_or(LedgerError::Closed)?;
        let (work, answered) = asked(verb);
        queue.blocking_send(work).map_err(|_| LedgerError::Closed)?;
        drop(queue);
        answered.blocking_recv().map_err(|_| LedgerError::Closed)?
    }
}

impl Owner {
    /// Waits for the thread, once all handles are dropped.
    ///
    /// # Errors
    /// [`LedgerError::Closed`] when it panicked.
    pub fn join(self) -> Result<(), LedgerError> {
        self.0.join().map_err(|_| LedgerError::Closed)
    }
}

/// A verb as work, and where its answer comes.
fn asked<T: Send + 'static>(
    verb: impl FnOnce(&mut dyn Store) -> Result<T, LedgerError> + Send + 'static,
) -> (Work, oneshot::Receiver<Result<T, LedgerError>>) {
    let (answer, answered) = oneshot::channel();
    let work: Work = Box::new(move |store| {
        // Nobody may be waiting any more; what was asked is done all the same.
        drop(answer.send(verb(store)));
    });
    (work, answered)
}

fn own(mut store: impl Store, mut queue: mpsc::Receiver<Work>) {
    while let Some(work) = queue.blocking_recv() {
        work(&mut store);
    }
}
