//! How a collector keeps its cadence and hands over what it saw.
//!
//! The cadence runs on the program's clock: a turn is due at each multiple of the cadence on the wall clock. A turn
//! that is late by less than one cadence is taken late; turns missed altogether are skipped, never made up for, so
//! that no interval of the cadence has two polls. Each sender remembers its last turn, across restarts of its
//! collector.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daemon::{Clock, Hold};
use proof::{Cause, Observation, What};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::CollectError;

/// An observation on its way to the windows.
#[derive(Debug)]
pub struct Sample {
    /// What was seen, stamped.
    pub observation: Observation,
    /// Keeps a simulated clock where it is until the observation has been dealt with: drop it then.
    pub hold: Hold,
}

/// One due poll. Drop it when the poll's outcome has been sent.
#[derive(Debug)]
#[must_use = "a turn that is dropped is a poll that was not made"]
pub struct Turn {
    due_ms: i64,
    _hold: Hold,
}

impl Turn {
    /// When the poll was due: a multiple of the cadence, Unix ms.
    pub fn due_ms(&self) -> i64 {
        self.due_ms
    }
}

/// Where one source's observations go.
pub struct SampleSender {
    source: u16,
    cadence_ms: i64,
    /// Behind a lock, because old ARM has no 64-bit atomics.
    last_due: Mutex<i64>,
    clock: Arc<dyn Clock>,
    tx: mpsc::Sender<Sample>,
    stop: CancellationToken,
}

impl SampleSender {
    /// A sender for the source with this index (from 1) and cadence (at least 1 ms is assumed of a zero).
    pub fn new(
        source: u16,
        cadence: Duration,
        clock: Arc<dyn Clock>,
        tx: mpsc::Sender<Sample>,
        stop: CancellationToken,
    ) -> Self {
        let cadence_ms = i64::try_from(cadence.as_millis()).unwrap_or(i64::MAX).max(1);
        Self { source, cadence_ms, last_due: Mutex::new(i64::MIN), clock, tx, stop }
    }

    /// Index of the source, from 1.
    pub fn source(&self) -> u16 {
        self.source
    }

    /// The wall clock, Unix ms.
    pub fn now_ms(&self) -> i64 {
        self.clock.stamp().wall_ms
    }

    /// Waits for the next due turn; `None` when asked to stop.
    pub async fn turn(&self) -> Option<Turn> {
        self.turn_before(i64::MAX).await
    }

    /// Stamps an outcome and hands it over, waiting for room. `rtt` is how long the answer really took.
    ///
    /// # Errors
    /// [`CollectError::Closed`] when nobody receives any more.
    pub async fn send(&self, _turn: &Turn, rtt: Option<Duration>, what: What) -> Result<(), CollectError> {
        let rtt_us = rtt.map(|rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX));
        self.hand_over(rtt_us, what).await
    }

    async fn hand_over(&self, rtt_us: Option<u32>, what: What) -> Result<(), CollectError> {
        let observation =
            Observation { source: self.source, at_ms: self.clock.stamp().wall_ms, rtt_us, what };
        let sample = Sample { observation, hold: self.clock.hold() };
        self.tx.send(sample).await.map_err(|_| CollectError::Closed)
    }

    /// Hands over what came before the stop and would be lost with the program: there is no turn after it.
    #[cfg_attr(not(feature = "syslog"), expect(dead_code, reason = "only syslog cannot be read again"))]
    pub(crate) async fn send_last(&self, what: What) -> Result<(), CollectError> {
        self.hand_over(None, what).await
    }

    /// For the supervisor, while a collector waits to be restarted: reports silence at each turn due before the wall
    /// clock reads `until_ms`. Returns at `until_ms`, or when asked to stop.
    ///
    /// # Errors
    /// [`CollectError::Closed`] when nobody receives any more.
    pub async fn idle(&self, until_ms: i64, cause: Cause) -> Result<(), CollectError> {
        while let Some(turn) = self.turn_before(until_ms).await {
            self.send(&turn, None, What::Silent(cause)).await?;
        }
        Ok(())
    }

    async fn turn_before(&self, until_ms: i64) -> Option<Turn> {
        let due_ms = self.next_due(self.clock.stamp().wall_ms);
        let wake_ms = due_ms.min(until_ms);
        let hold = tokio::select! {
            biased;
            () = self.stop.cancelled() => return None,
            hold = self.clock.sleep_until(wake_ms) => hold,
        };
        if due_ms >= until_ms {
            return None;
        }
        *self.last_due() = due_ms;
        Some(Turn { due_ms, _hold: hold })
    }

    fn last_due(&self) -> MutexGuard<'_, i64> {
        // A number: a panic elsewhere leaves it usable.
        self.last_due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn to take next at `now`.
    fn next_due(&self, now: i64) -> i64 {
        let last = *self.last_due();
        let current = now.saturating_sub(now.rem_euclid(self.cadence_ms));
        let next = current.saturating_add(self.cadence_ms);
        if last == i64::MIN {
            // The first one is on the mark, not in mid-interval.
            return if current == now { now } else { next };
        }
        // A last turn beyond the next one: the wall clock was set back, its marks count again.
        if current > last || last > next { current } else { last.saturating_add(self.cadence_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daemon::SystemClock;

    fn sender(cadence: Duration) -> (SampleSender, mpsc::Receiver<Sample>, CancellationToken) {
        let (tx, rx) = mpsc::channel(8);
        let stop = CancellationToken::new();
        (SampleSender::new(3, cadence, Arc::new(SystemClock), tx, stop.clone()), rx, stop)
    }

    #[test]
    fn no_interval_has_two_turns_and_missed_ones_are_skipped() {
        let (out, ..) = sender(Duration::from_secs(10));
        // (last turn, now) -> next turn, in seconds
        let table = [
            (None, 20_000, 20_000),
            (None, 20_001, 30_000),
            (Some(20_000), 20_000, 30_000),
            (Some(20_000), 29_999, 30_000),
            (Some(20_000), 30_001, 30_000), // late by less than a cadence: at once
            (Some(20_000), 57_000, 50_000), // 30 and 40 are skipped
            (Some(90_000), 20_000, 20_000), // the clock was set back by far
            (Some(30_000), 29_990, 40_000), // the clock was set back by a little
        ];
        for (last, now, expected) in table {
            *out.last_due() = last.unwrap_or(i64::MIN);
            assert_eq!(out.next_due(now), expected, "last {last:?}, now {now}");
        }
    }

    #[tokio::test]
    async fn a_turn_is_on_the_mark_and_its_outcome_is_stamped() {
        let (out, mut rx, _stop) = sender(Duration::from_millis(20));
        let turn = out.turn().await.unwrap();
        assert_eq!(turn.due_ms() % 20, 0);
        out.send(&turn, Some(Duration::from_micros(7)), What::Silent(Cause::NoAnswer)).await.unwrap();
        let observation = rx.recv().await.unwrap().observation;
        assert_eq!((observation.source, observation.rtt_us), (3, Some(7)));
        assert!(observation.at_ms >= turn.due_ms());
    }

    #[tokio::test]
    async fn a_stopped_sender_gives_no_turn_and_an_idle_one_returns() {
        let (out, _rx, stop) = sender(Duration::from_secs(3600));
        stop.cancel();
        assert!(out.turn().await.is_none());
        out.idle(i64::MAX, Cause::NoAnswer).await.unwrap();
    }

    #[tokio::test]
    async fn idling_reports_each_due_turn_until_the_moment_named() {
        let (out, mut rx, _stop) = sender(Duration::from_millis(10));
        let now = SystemClock.stamp().wall_ms;
        out.idle(now + 45, Cause::Refused).await.unwrap();
        assert!(SystemClock.stamp().wall_ms >= now + 45);
        drop(out);
        let mut seen = 0;
        while let Some(sample) = rx.recv().await {
            assert_eq!(sample.observation.what, What::Silent(Cause::Refused));
            seen += 1;
        }
        assert!((1..=5).contains(&seen), "{seen} turns");
    }

    #[tokio::test]
    async fn a_closed_channel_is_told() {
        let (out, rx, _stop) = sender(Duration::from_millis(5));
        drop(rx);
        let turn = out.turn().await.unwrap();
        let error = out.send(&turn, None, What::Silent(Cause::Fault)).await.unwrap_err();
        assert!(matches!(error, CollectError::Closed));
    }
}
