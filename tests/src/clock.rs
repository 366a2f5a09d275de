//! A clock in lock-step: it moves only when nobody has work to do.
//!
//! Promises: time stands still before [`SimClock::start`], and while a [`Hold`] is alive anywhere; it moves to the
//! next due time and nowhere between; a waiter's hold exists before the waiter is woken, and is released when its
//! wait is dropped unseen. Waiters of one instant are woken by priority, the lower number first, and each priority
//! runs to its end before the next is woken.
//!
//! A wait counts from the call of `sleep_until`, not from its first poll. Between dropping one hold and asking for
//! the next wait a task does not lose its turn either: the clock also looks at the runtime and does not move before
//! every worker of it is parked. That look gives up after a few milliseconds of real time ([`Figures::hurried`]);
//! [`Figures::late`] counts waits that were asked for a moment already past. A run with both at zero was lock-step
//! to the letter. Not watched: tasks on other runtimes ([`SimClock::watch`] adds them) and the future given to
//! `block_on`, which runs on no worker; let it keep a hold.
//!
//! The wall clock of one machine can be set ([`SimClock::set_wall`]); the simulated time itself, which every other
//! machine tells, never runs backwards. Waits under way keep their end when the clock they were asked of is set.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use daemon::{Clock, Hold, Sleep, Stamp};
use tokio::runtime::Handle;

mod core;
mod driver;

use self::core::{Core, Key};

/// Real time without a move after which a run is reported as stalled.
pub const STALL_LIMIT: Duration = Duration::from_secs(60);

/// A handle to simulated time. Clones and the `with_` forms share the time.
#[derive(Clone)]
pub struct SimClock {
    core: Arc<Core>,
    boot: Arc<Mutex<Boot>>,
    priority: u8,
    label: Arc<str>,
    /// The driver ends with the last handle.
    _driver: Arc<driver::Driver>,
}

/// The boot of one simulated machine.
struct Boot {
    id: String,
    /// When it booted, Unix milliseconds.
    at_ms: i64,
    /// How far its wall clock is ahead of the simulated time, milliseconds; negative when it is behind.
    ahead_ms: i64,
}

/// What the clock counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Moves of the clock.
    pub moves: u64,
    /// Waiters woken.
    pub woken: u64,
    /// Waits asked for a moment already past, after the start.
    pub late: u64,
    /// Moves made although a worker was still busy after the patience ran out.
    pub hurried: u64,
}

/// The clock did not move for too long in real time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("simulated time stood still at {at_ms} for {} s; {listing}", .stood.as_secs())]
pub struct Stalled {
    /// Where it stands, Unix milliseconds.
    pub at_ms: i64,
    /// How long in real time.
    pub stood: Duration,
    /// Who holds it and who waits.
    pub listing: String,
}

impl SimClock {
    /// A clock that stands at `wall_ms` until [`start`](Self::start). Watches the runtime it is made in, if any.
    ///
    /// # Panics
    /// When the system refuses a thread.
    pub fn new(wall_ms: i64) -> Self {
        Self::with_stall_limit(wall_ms, STALL_LIMIT)
    }

    /// As [`new`](Self::new), with another limit for standing still.
    ///
    /// # Panics
    /// When the system refuses a thread.
    pub fn with_stall_limit(wall_ms: i64, limit: Duration) -> Self {
        let core = Arc::new(Core::new(wall_ms));
        let driver = driver::Driver::start(Arc::clone(&core), limit);
        let boot =
            Arc::new(Mutex::new(Boot { id: "simulated boot 1".to_owned(), at_ms: wall_ms, ahead_ms: 0 }));
        let clock = Self { core, boot, priority: 1, label: "unnamed".into(), _driver: Arc::new(driver) };
        if let Ok(runtime) = Handle::try_current() {
            clock.watch(&runtime);
        }
        clock
    }

    /// A handle whose waiters have this priority. The plant has 0; a new clock has 1.
    pub fn with_priority(&self, priority: u8) -> Self {
        Self { priority, ..self.clone() }
    }

    /// A handle whose waiters and holds are listed under this name.
    pub fn with_label(&self, label: &str) -> Self {
        Self { label: label.into(), ..self.clone() }
    }

    /// A handle for another machine, which booted now under this id. Its clones share the boot.
    pub fn with_boot(&self, id: &str) -> Self {
        let boot = Boot { id: id.to_owned(), at_ms: self.core.now(), ahead_ms: 0 };
        Self { boot: Arc::new(Mutex::new(boot)), ..self.clone() }
    }

    /// This machine restarts now: another boot id, and monotonic time from zero.
    pub fn reboot(&self, id: &str) {
        let mut boot = self.boot();
        *boot = Boot { id: id.to_owned(), at_ms: self.core.now(), ahead_ms: boot.ahead_ms };
    }

    /// Sets this machine's wall clock so far ahead of the simulated time, or behind it. Its monotonic time goes on.
    pub fn set_wall(&self, ahead_ms: i64) {
        self.boot().ahead_ms = ahead_ms;
    }

    /// Also waits for the workers of this runtime before it moves.
    pub fn watch(&self, runtime: &Handle) {
        self.core.lock().runtimes.push(runtime.metrics());
    }

    /// Lets the time run.
    pub fn start(&self) {
        self.core.lock().started = true;
        self.core.nudge();
    }

    /// Resolves when the clock has reached `wall_ms` and everything due by then is done; the clock then stands, and
    /// goes on when asked for a later end. What was asked for last counts. Without an end it runs for ever.
    ///
    /// # Errors
    /// [`Stalled`] when the clock does not move for the limit of real time.
    pub fn end_at(&self, wall_ms: i64) -> impl Future<Output = Result<(), Stalled>> + Send + 'static {
        let outcome = self.core.end_at(wall_ms);
        self.core.nudge();
        async move { outcome.await.unwrap_or(Ok(())) }
    }

    /// What was counted so far.
    pub fn figures(&self) -> Figures {
        self.core.lock().figures
    }

    /// Who holds the clock and who waits for it, for a person to read.
    pub fn listing(&self) -> String {
        self.core.lock().listing()
    }

    fn boot(&self) -> MutexGuard<'_, Boot> {
        self.boot.lock().expect("nothing panics while the boot is locked")
    }
}

impl Clock for SimClock {
    fn stamp(&self) -> Stamp {
        let now_ms = self.core.now();
        let boot = self.boot();
        let since = now_ms.saturating_sub(boot.at_ms);
        let mono_ms = u64::try_from(since).unwrap_or_default();
        Stamp { wall_ms: now_ms.saturating_add(boot.ahead_ms), mono_ms }
    }

    fn boot_id(&self) -> String {
        self.boot().id.clone()
    }

    fn sleep_until(&self, wall_ms: i64) -> Sleep {
        let at_ms = wall_ms.saturating_sub(self.boot().ahead_ms);
        let key = self.core.register(at_ms, self.priority, &self.label);
        Box::pin(Waiting { core: Arc::clone(&self.core), key: Some(key) })
    }

    fn hold(&self) -> Hold {
        Core::hold(&self.core, &self.label)
    }
}

/// A registered wait.
struct Waiting {
    core: Arc<Core>,
    /// `None` once the hold was handed out.
    key: Option<Key>,
}

impl Future for Waiting {
    type Output = Hold;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Hold> {
        let Some(key) = self.key else { return Poll::Ready(Hold::none()) };
        match Core::claim(&self.core, key, context.waker()) {
            Some(hold) => {
                self.key = None;
                Poll::Ready(hold)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.core.forget(key);
        }
    }
}

#[cfg(test)]
mod tests;
