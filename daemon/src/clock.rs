//! The one place that asks for the time.
//!
//! The only implementation here is the system's clock; a simulated one lives in the tests package, so that a shipped
//! program has no way to be told the time. What moves by this clock: poll cadences, window marks, flushes, sending.
//! What does not: I/O time-outs, TLS and MQTT keep-alives, which are real always.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One moment, by both clocks of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Unix milliseconds as this machine believes them. May jump.
    pub wall_ms: i64,
    /// Milliseconds since boot. Never runs back.
    pub mono_ms: u64,
}

/// Tells the time and waits for it.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn stamp(&self) -> Stamp;

    /// The kernel's id of this boot (any stable text that changes with a restart).
    fn boot_id(&self) -> String;

    /// Resolves when the *wall* clock reads `wall_ms` or later, at once if it does already. A wall clock that is set
    /// back meanwhile does not prolong the wait: it ends when as much time has passed as was left when it began.
    /// The returned [`Hold`] covers the work that is due now; drop it when that work is done.
    fn sleep_until(&self, wall_ms: i64) -> Sleep;

    /// Says that work belonging to this instant is under way. Means nothing to a real clock; a simulated one does
    /// not move while a hold is alive. Attach it to what is handed to another task.
    fn hold(&self) -> Hold;
}

/// Work under way: see [`Clock::hold`].
#[must_use = "dropping it says that the work is done"]
#[derive(Default)]
pub struct Hold(Option<Box<dyn Send + Sync>>);

impl Hold {
    /// A hold that holds nothing.
    pub const fn none() -> Self {
        Self(None)
    }

    /// A hold that drops `keeper` when it is dropped itself.
    pub fn new(keeper: impl Send + Sync + 'static) -> Self {
        Self(Some(Box::new(keeper)))
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Hold" } else { "Hold(none)" })
    }
}

/// A wait for a moment: see [`Clock::sleep_until`].
pub type Sleep = Pin<Box<dyn Future<Output = Hold> + Send>>;

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// Measures how long something really took, whatever clock the program lives by.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may ask")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Real time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Longest single wait: a wall clock that is set forward is noticed within this time.
const LONGEST_NAP: Duration = Duration::from_secs(1);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may ask")]
    fn stamp(&self) -> Stamp {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamp { wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX), mono_ms: since_boot_ms() }
    }

    fn boot_id(&self) -> String {
        static ID: OnceLock<String> = OnceLock::new();
        ID.get_or_init(|| match std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
            Ok(text) => text.trim().to_owned(),
            Err(_) => format!("process {}", std::process::id()),
        })
        .clone()
    }

    fn sleep_until(&self, wall_ms: i64) -> Sleep {
        Box::pin(async move {
            let began = SystemClock.stamp();
            while let Some(left) = left(wall_ms, began, SystemClock.stamp()) {
                tokio::time::sleep(left.min(LONGEST_NAP)).await;
            }
            Hold::none()
        })
    }

    fn hold(&self) -> Hold {
        Hold::none()
    }
}

/// How much of a wait until `wall_ms` that began at `began` is left; `None` when it is over, by either clock.
fn left(wall_ms: i64, began: Stamp, now: Stamp) -> Option<Duration> {
    let by_wall = u64::try_from(wall_ms.saturating_sub(now.wall_ms)).unwrap_or(0);
    let whole = u64::try_from(wall_ms.saturating_sub(began.wall_ms)).unwrap_or(0);
    let by_mono = whole.saturating_sub(now.mono_ms.saturating_sub(began.mono_ms));
    match by_wall.min(by_mono) {
        0 => None,
        left => Some(Duration::from_millis(left)),
    }
}

/// Milliseconds since boot where the kernel says so, else since the first call.
#[expect(clippy::disallowed_methods, reason = "this is the one place that may ask")]
fn since_boot_ms() -> u64 {
    static START: OnceLock<(Instant, u64)> = OnceLock::new();
    let (start, offset) = START.get_or_init(|| {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds: f64 = uptime.split_whitespace().next().and_then(|s| s.parse().ok()).unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an uptime fits")]
        (Instant::now(), (seconds * 1000.0) as u64)
    });
    offset.saturating_add(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_for_the_past_ends_at_once() {
        let clock = SystemClock;
        let now = clock.stamp().wall_ms;
        let _hold = clock.sleep_until(now - 5).await;
        let _hold = clock.sleep_until(now + 20).await;
        assert!(clock.stamp().wall_ms >= now + 20);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_a_wait() {
        let began = Stamp { wall_ms: 1_000_000, mono_ms: 70 };
        let at = |wall_ms, mono_ms| left(1_060_000, began, Stamp { wall_ms, mono_ms });
        assert_eq!(at(1_000_000, 70), Some(Duration::from_secs(60)));
        assert_eq!(at(1_020_000, 20_070), Some(Duration::from_secs(40)));
        // Set back by a day after ten seconds; set forward by a day.
        assert_eq!(at(1_000_000 - 86_400_000, 10_070), Some(Duration::from_secs(50)));
        assert_eq!(at(1_000_000 - 86_400_000, 60_070), None);
        assert_eq!(at(87_400_000, 10_070), None);
        // What is long past is not waited for, whatever the clock does next.
        assert_eq!(left(i64::MIN, began, began), None);
    }

    #[test]
    fn monotonic_time_does_not_run_back() {
        let first = SystemClock.stamp().mono_ms;
        assert!(SystemClock.stamp().mono_ms >= first);
    }
}
