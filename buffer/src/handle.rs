//! The thread that owns the store, and how tasks ask it.
//!
//! The queue is bounded: a task that asks waits while 64 others do. A verb that was taken from the queue is done even
//! when nobody waits for its answer any more. When the last handle is gone the thread does what is queued and closes
//! the store in order.

use std::io;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use crate::{Buffer, BufferError};

/// Questions that may wait.
const QUEUE: usize = 64;

type Verb = Box<dyn FnOnce(&mut Buffer) + Send>;

/// Asks the thread that owns the store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    verbs: mpsc::Sender<Verb>,
}

/// The thread that owns the store.
#[derive(Debug)]
pub struct Owner {
    thread: JoinHandle<Result<(), BufferError>>,
}

/// The owning thread has ended: a verb panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the buffer's thread has ended")]
pub struct Gone;

impl Handle {
    /// Gives the store to a thread of its own.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(mut buffer: Buffer) -> io::Result<(Self, Owner)> {
        let (verbs, mut asked) = mpsc::channel::<Verb>(QUEUE);
        let thread = std::thread::Builder::new().name("buffer".to_owned()).spawn(move || {
            while let Some(verb) = asked.blocking_recv() {
                verb(&mut buffer);
            }
            buffer.close()
        })?;
        Ok((Self { verbs }, Owner { thread }))
    }

    /// Does something with the store and returns its answer.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn ask<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&mut Buffer) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        let verb: Verb = Box::new(move |buffer| {
            // Nobody waiting any more is no reason not to have done it.
            drop(answer.send(verb(buffer)));
        });
        self.verbs.send(verb).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }
}

impl Owner {
    /// Waits until the store is closed: all handles must be gone, or this never returns. Blocks the thread it is called
    /// on.
    ///
    /// # Errors
    /// When closing failed; [`Gone`]'s cause, a panic, goes on here.
    pub fn join(self) -> Result<(), BufferError> {
        match self.thread.join() {
            Ok(closed) => closed,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake};

    use super::*;
    use crate::Bounds;

    #[test]
    fn what_was_asked_is_done_before_the_store_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.db");
        let (buffer, _) = Buffer::open(&path, Bounds::default(), 0).unwrap();
        let (handle, owner) = Handle::start(buffer).unwrap();
        wait(handle.ask(|buffer| buffer.set_state("key", b"value"))).unwrap().unwrap();
        drop(handle);
        owner.join().unwrap();
        let (buffer, opened) = Buffer::open(&path, Bounds::default(), 0).unwrap();
        assert_eq!(opened.found, crate::Found::Clean);
        assert_eq!(buffer.state("key").unwrap().as_deref(), Some(&b"value"[..]));
    }

    struct Unpark(std::thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let waker = Arc::new(Unpark(std::thread::current())).into();
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(done) => return done,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}
