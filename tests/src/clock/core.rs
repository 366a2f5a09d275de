//! What the handles and the driver of a clock share.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::Waker;

use daemon::Hold;
use tokio::runtime::RuntimeMetrics;
use tokio::sync::oneshot;

use super::{Figures, Stalled};

/// When a waiter is due, its priority, and a number of its own.
pub(super) type Key = (i64, u8, u64);

/// At most this many names stand in a listing.
const LISTED: usize = 40;

pub(super) struct Core {
    state: Mutex<State>,
    changed: Condvar,
}

pub(super) struct State {
    pub(super) now_ms: i64,
    pub(super) started: bool,
    /// The last handle is gone.
    pub(super) closed: bool,
    end: Option<(i64, oneshot::Sender<Result<(), Stalled>>)>,
    /// How often an end was asked for.
    pub(super) asked: u64,
    /// The last end was answered; the clock stands.
    ended: bool,
    next_id: u64,
    waiters: BTreeMap<Key, Waiter>,
    /// Woken, and not yet polled: each has its hold already.
    woken: BTreeMap<Key, u64>,
    holds: BTreeMap<u64, Arc<str>>,
    /// Moments at which something changed hands; lets the driver see that nothing did.
    pub(super) epoch: u64,
    pub(super) runtimes: Vec<RuntimeMetrics>,
    pub(super) figures: Figures,
}

struct Waiter {
    waker: Option<Waker>,
    label: Arc<str>,
}

/// What the clock does next when it is quiet.
pub(super) enum Next {
    /// Somebody works, or there is nothing to move to.
    Stand,
    /// The wakers to call, with no lock held.
    Woke(Vec<Waker>),
}

/// Releases its hold when dropped.
struct Keeper {
    core: Arc<Core>,
    id: u64,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.core.release(self.id);
    }
}

impl Core {
    pub(super) fn new(now_ms: i64) -> Self {
        let state = State {
            now_ms,
            started: false,
            closed: false,
            end: None,
            asked: 0,
            ended: false,
            next_id: 0,
            waiters: BTreeMap::new(),
            woken: BTreeMap::new(),
            holds: BTreeMap::new(),
            epoch: 0,
            runtimes: Vec::new(),
            figures: Figures::default(),
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while the clock is locked")
    }

    pub(super) fn now(&self) -> i64 {
        self.lock().now_ms
    }

    /// Tells the driver to look.
    pub(super) fn nudge(&self) {
        self.changed.notify_all();
    }

    pub(super) fn changed(&self) -> &Condvar {
        &self.changed
    }

    pub(super) fn hold(core: &Arc<Self>, label: &Arc<str>) -> Hold {
        let id = core.lock().take_hold(label);
        Hold::new(Keeper { core: Arc::clone(core), id })
    }

    fn release(&self, id: u64) {
        let mut state = self.lock();
        state.holds.remove(&id);
        state.epoch += 1;
        if state.holds.is_empty() {
            drop(state);
            self.nudge();
        }
    }

    pub(super) fn register(&self, wall_ms: i64, priority: u8, label: &Arc<str>) -> Key {
        let mut state = self.lock();
        let id = state.fresh_id();
        let key = (wall_ms, priority, id);
        state.epoch += 1;
        if wall_ms <= state.now_ms {
            if state.started && wall_ms < state.now_ms {
                state.figures.late += 1;
                tracing::debug!(
                    label = &**label,
                    due = wall_ms,
                    now = state.now_ms,
                    "wait asked for the past"
                );
            }
            let hold = state.take_hold(label);
            state.woken.insert(key, hold);
            return key;
        }
        state.waiters.insert(key, Waiter { waker: None, label: Arc::clone(label) });
        let idle = state.holds.is_empty();
        drop(state);
        if idle {
            self.nudge();
        }
        key
    }

    /// Hands out the hold of a woken waiter, or leaves the waker with it.
    pub(super) fn claim(core: &Arc<Self>, key: Key, waker: &Waker) -> Option<Hold> {
        let mut state = core.lock();
        if let Some(id) = state.woken.remove(&key) {
            return Some(Hold::new(Keeper { core: Arc::clone(core), id }));
        }
        let waiter = state.waiters.get_mut(&key).expect("a wait is registered or woken until it is claimed");
        match &mut waiter.waker {
            Some(known) => known.clone_from(waker),
            None => waiter.waker = Some(waker.clone()),
        }
        None
    }

    /// Forgets a wait that nobody waits for any more.
    pub(super) fn forget(&self, key: Key) {
        let mut state = self.lock();
        state.epoch += 1;
        state.waiters.remove(&key);
        if let Some(id) = state.woken.remove(&key) {
            drop(state);
            self.release(id);
        }
    }

    pub(super) fn end_at(
        &self,
        wall_ms: i64,
    ) -> impl Future<Output = Result<Result<(), Stalled>, oneshot::error::RecvError>> + Send + 'static {
        let (tell, told) = oneshot::channel();
        let mut state = self.lock();
        state.ended = false;
        state.asked += 1;
        state.end = Some((wall_ms, tell));
        told
    }
}

impl State {
    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn take_hold(&mut self, label: &Arc<str>) -> u64 {
        let id = self.fresh_id();
        self.epoch += 1;
        self.holds.insert(id, Arc::clone(label));
        id
    }

    /// True when the clock may move as far as its own book-keeping goes.
    pub(super) fn ready(&self) -> bool {
        self.started
            && !self.ended
            && self.holds.is_empty()
            && (self.end.is_some() || !self.waiters.is_empty())
    }

    /// True when a run that somebody waits for is under way.
    pub(super) fn awaited(&self) -> bool {
        self.started && !self.ended && self.end.is_some()
    }

    /// Moves to the next due time: wakes its first priority, or ends the run.
    pub(super) fn advance(&mut self) -> Next {
        let next = self.waiters.first_key_value().map(|(key, _)| *key);
        if let Some((end_ms, _)) = &self.end {
            let end_ms = *end_ms;
            if next.is_none_or(|(due, _, _)| due > end_ms) {
                self.now_ms = self.now_ms.max(end_ms);
                self.finish(Ok(()));
                return Next::Stand;
            }
        }
        let Some((due, priority, _)) = next else { return Next::Stand };
        if due > self.now_ms {
            self.now_ms = due;
            self.figures.moves += 1;
        }
        self.epoch += 1;
        let mut wakers = Vec::new();
        while let Some(entry) = self.waiters.first_entry() {
            let key = *entry.key();
            if (key.0, key.1) != (due, priority) {
                break;
            }
            let waiter = entry.remove();
            let hold = self.take_hold(&waiter.label);
            self.woken.insert(key, hold);
            self.figures.woken += 1;
            wakers.extend(waiter.waker);
        }
        Next::Woke(wakers)
    }

    /// Answers whoever waits for the end; the clock stands from here.
    pub(super) fn finish(&mut self, outcome: Result<(), Stalled>) {
        self.ended = true;
        if let Some((_, tell)) = self.end.take() {
            // Whoever asked may have gone.
            drop(tell.send(outcome));
        }
    }

    pub(super) fn listing(&self) -> String {
        let mut text = format!("{} holds:", self.holds.len());
        for (label, count) in counted(self.holds.values()) {
            text += &format!(" {label} x{count}");
        }
        text += &format!("; {} waiters:", self.waiters.len());
        for ((due, priority, _), waiter) in self.waiters.iter().take(LISTED) {
            text += &format!(" {} at {due} (priority {priority})", waiter.label);
        }
        text
    }
}

/// How often each name stands there, at most [`LISTED`] names.
fn counted<'a>(labels: impl Iterator<Item = &'a Arc<str>>) -> Vec<(Arc<str>, usize)> {
    let mut counts = BTreeMap::new();
    for label in labels {
        *counts.entry(Arc::clone(label)).or_insert(0) += 1;
    }
    counts.into_iter().take(LISTED).collect()
}
