//! The thread that moves a clock when it is quiet.

use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use daemon::Stopwatch;
use tokio::runtime::RuntimeMetrics;

use super::Stalled;
use super::core::{Core, Next, State};

/// Real time given to busy workers, beyond the last hold, before the clock moves all the same.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often the driver looks without being told to.
const LOOK: Duration = Duration::from_millis(200);
/// Looks that only yield, before the driver sleeps between looks.
const YIELDS: u32 = 50;
/// Sleep between looks after that.
const NAP: Duration = Duration::from_micros(20);

/// Ends its thread when dropped.
pub(super) struct Driver {
    core: Arc<Core>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    pub(super) fn start(core: Arc<Core>, limit: Duration) -> Self {
        let shared = Arc::clone(&core);
        let thread = std::thread::Builder::new()
            .name("simulated clock".to_owned())
            .spawn(move || drive(&shared, limit))
            .expect("the system has a thread for the clock");
        Self { core, thread: Some(thread) }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.core.lock().closed = true;
        self.core.nudge();
        let Some(thread) = self.thread.take() else { return };
        // The last handle may die on the driver itself, inside a waker.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the simulated clock panicked");
        }
    }
}

fn drive(core: &Core, limit: Duration) {
    let mut stood = Stopwatch::start();
    let mut seen = (i64::MIN, 0);
    let mut state = core.lock();
    while !state.closed {
        if (state.now_ms, state.asked) != seen || !state.awaited() {
            seen = (state.now_ms, state.asked);
            stood = Stopwatch::start();
        } else if stood.elapsed() >= limit {
            let report = Stalled { at_ms: state.now_ms, stood: stood.elapsed(), listing: state.listing() };
            tracing::error!(%report, "stalled");
            state.finish(Err(report));
        }
        if !state.ready() {
            state =
                core.changed().wait_timeout(state, LOOK).expect("nothing panics while the clock is locked").0;
            continue;
        }
        let (quiet, patient) = settle(core, state);
        state = quiet;
        if !state.ready() || state.closed {
            continue;
        }
        if !patient {
            state.figures.hurried += 1;
        }
        if let Next::Woke(wakers) = state.advance() {
            drop(state);
            for waker in wakers {
                waker.wake();
            }
            state = core.lock();
        }
    }
}

/// Waits until all workers are parked and nothing changed hands meanwhile, or patience runs out (`false`), or
/// somebody took a hold.
fn settle<'a>(core: &'a Core, mut state: MutexGuard<'a, State>) -> (MutexGuard<'a, State>, bool) {
    if state.runtimes.is_empty() {
        return (state, true);
    }
    let runtimes = state.runtimes.clone();
    let since = Stopwatch::start();
    let mut looks = 0_u32;
    loop {
        let epoch = state.epoch;
        drop(state);
        let parked = all_parked(&runtimes);
        state = core.lock();
        if !state.ready() || state.closed {
            return (state, true);
        }
        if parked && state.epoch == epoch {
            return (state, true);
        }
        if since.elapsed() >= PATIENCE {
            return (state, false);
        }
        drop(state);
        looks += 1;
        if looks < YIELDS {
            std::thread::yield_now();
        } else {
            std::thread::sleep(NAP);
        }
        state = core.lock();
    }
}

/// True when every worker was parked in two looks in a row, without a move between them.
fn all_parked(runtimes: &[RuntimeMetrics]) -> bool {
    let look = || {
        runtimes.iter().flat_map(|runtime| {
            (0..runtime.num_workers()).map(|worker| runtime.worker_park_unpark_count(worker))
        })
    };
    let first: Vec<u64> = look().collect();
    first.iter().all(|count| count % 2 == 1)
        && look().eq(first)
        && runtimes.iter().all(|runtime| runtime.global_queue_depth() == 0)
}
