//! How long to wait before trying again.

use std::time::Duration;

/// Doubling delays with jitter, between a floor and a ceiling.
#[derive(Debug, Clone)]
pub struct Backoff {
    floor: Duration,
    ceiling: Duration,
    tries: u32,
    noise: u64,
}

impl Backoff {
    /// Starts at `floor`, never passes `ceiling`. `seed` spreads the jitter of several waiters.
    pub fn new(floor: Duration, ceiling: Duration, seed: u64) -> Self {
        Self { floor, ceiling, tries: 0, noise: seed | 1 }
    }

    /// Returns the next delay: between half and all of the doubled step.
    pub fn next_delay(&mut self) -> Duration {
        let step = self
            .floor
            .saturating_mul(1_u32.checked_shl(self.tries.min(20)).unwrap_or(u32::MAX))
            .min(self.ceiling);
        self.tries = self.tries.saturating_add(1);
        self.noise =
            self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let half = step / 2;
        half + half.mul_f64((self.noise >> 40) as f64 / f64::from(1_u32 << 24))
    }

    /// Something worked: starts over at the floor.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// How many delays were handed out since the last success.
    pub fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_ceiling_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60), 7);
        let delays: Vec<_> = (0..10).map(|_| backoff.next_delay()).collect();
        assert!(delays[0] >= Duration::from_millis(500) && delays[0] <= Duration::from_secs(1));
        assert!(delays[9] >= Duration::from_secs(30) && delays[9] <= Duration::from_secs(60));
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_secs(1));
    }
}
