//! A gateway's clock against itself: what its wall clock and its monotonic clock say between two windows of one boot.

use proof::wire;

/// Wall clock and monotonic clock may drift apart by this much between two windows, ms: a clock that is disciplined
/// slews; one that is set steps.
const STEP_MS: i64 = 5_000;

/// Steps kept; the oldest go first.
const MAX_STEPS: usize = 1_000;

/// What was seen of the clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    before: Option<Before>,
    /// Steps, oldest first.
    pub(crate) steps: Vec<Step>,
    /// How far it stands ahead of what it showed when the gateway started, ms; negative: it was set back.
    ahead_ms: i64,
    /// People's key actions that bear the time of a clock that had been set back, as if they were just done.
    pub(crate) set_back: Vec<SetBack>,
}

/// Key actions in one window under a clock that had been set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetBack {
    /// The local day on which the log received them.
    pub(crate) received: i64,
    /// How many.
    pub(crate) count: u64,
}

/// A clock set back by less is one that was set right, ms.
const SET_BACK_MS: i64 = 10 * 60_000;

#[derive(Debug, Clone)]
struct Before {
    boot: Vec<u8>,
    end_ms: i64,
    mono_end_ms: u64,
}

/// The wall clock was set between two windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Local day of the window after it.
    pub(crate) day: i64,
    /// Its sequence number.
    pub(crate) seq: u64,
    /// By how much, ms; negative where it was set back.
    pub(crate) by_ms: i64,
}

impl Clock {
    /// Follows one window; whether the gateway has started anew before it.
    pub(super) fn follow(&mut self, seq: u64, day: i64, window: &wire::Window) -> bool {
        let boot = window.header.as_ref().and_then(|header| header.boot.as_ref());
        let Some(boot) = boot.map(|boot| boot.id.clone()).filter(|id| id.len() == 8) else { return false };
        let now = Before {
            boot,
            end_ms: window.start_ms.saturating_add(window.length_ms.into()),
            mono_end_ms: window.mono_start_ms.saturating_add(window.mono_length_ms.into()),
        };
        let Some(before) = self.before.replace(now) else { return false };
        let Some(now) = self.before.as_ref().filter(|now| now.boot == before.boot) else {
            self.ahead_ms = 0;
            return true;
        };
        let wall = now.end_ms.saturating_sub(before.end_ms);
        let mono = i64::try_from(now.mono_end_ms)
            .unwrap_or(i64::MAX)
            .saturating_sub(i64::try_from(before.mono_end_ms).unwrap_or(i64::MAX));
        let by_ms = wall.saturating_sub(mono);
        // A monotonic clock that runs back within a boot is no clock: nothing is said.
        if mono >= 0 && by_ms.unsigned_abs() > STEP_MS.unsigned_abs() {
            if self.steps.len() >= MAX_STEPS {
                self.steps.remove(0);
            }
            self.steps.push(Step { day, seq, by_ms });
            self.ahead_ms = self.ahead_ms.saturating_add(by_ms);
        }
        false
    }

    /// Counts actions that were seen live, in the window that was followed last.
    pub(super) fn acted(&mut self, received: i64, count: u64) {
        if self.ahead_ms < -SET_BACK_MS && count > 0 && self.set_back.len() < MAX_STEPS {
            self.set_back.push(SetBack { received, count });
        }
    }
}

#[cfg(test)]
mod tests {
    use proof::wire::{Boot, Header, Window};

    use super::*;

    fn window(boot: u8, start_ms: i64, mono_start_ms: u64) -> Window {
        let boot = Some(Boot { id: vec![boot; 8], count: 1 });
        Window {
            header: Some(Header { boot, ..Default::default() }),
            start_ms,
            length_ms: 600_000,
            mono_start_ms,
            mono_length_ms: 600_000,
            ..Default::default()
        }
    }

    #[test]
    fn a_clock_that_is_set_steps_and_one_that_is_started_anew_does_not() {
        let mut clock = Clock::default();
        assert!(!clock.follow(1, 1, &window(1, 0, 0)));
        assert!(!clock.follow(2, 1, &window(1, 604_000, 600_000)), "slewing is no step");
        assert!(!clock.follow(3, 1, &window(1, -86_400_000, 1_200_000)));
        assert!(clock.follow(4, 1, &window(2, 9_000_000, 0)), "another boot");
        assert_eq!(clock.steps.iter().map(|step| step.seq).collect::<Vec<_>>(), [3]);
        assert!(clock.steps[0].by_ms < -86_000_000);
    }

    #[test]
    fn actions_count_as_dated_back_only_while_the_clock_stands_back() {
        let mut clock = Clock::default();
        clock.follow(1, 1, &window(1, 86_400_000, 0));
        clock.acted(1, 5);
        clock.follow(2, 0, &window(1, 600_000, 600_000));
        clock.acted(1, 7);
        clock.follow(3, 1, &window(1, 87_600_000, 1_200_000));
        clock.acted(1, 9);
        clock.follow(4, 0, &window(1, 1_800_000, 1_800_000));
        clock.follow(5, 0, &window(2, 2_400_000, 0));
        clock.acted(1, 11);
        assert_eq!(clock.set_back, [SetBack { received: 1, count: 7 }], "a new boot begins anew");
    }
}
