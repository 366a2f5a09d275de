//! The forge's chance: seeded, the same on every machine and in every version of this program.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Normal, Poisson};

/// A source of chance.
#[derive(Debug, Clone)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Its own source for something else, so that more of one thing does not change the other.
    pub(crate) fn fork(&mut self) -> Self {
        Self(ChaCha8Rng::from_rng(&mut self.0))
    }

    /// `from..to`.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        if to <= from { from } else { self.0.random_range(from..to) }
    }

    /// 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0.random()
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    pub(crate) fn normal(&mut self, mean: f64, spread: f64) -> f64 {
        Normal::new(mean, spread).map_or(mean, |normal| normal.sample(&mut self.0))
    }

    pub(crate) fn poisson(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            return 0;
        }
        Poisson::new(mean).map_or(0, |poisson| poisson.sample(&mut self.0) as u64)
    }

    /// Exponential, at most ten times its mean.
    pub(crate) fn wait(&mut self, mean: f64) -> f64 {
        (-(1.0 - self.unit()).ln() * mean).min(mean * 10.0)
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.between(0, of.len() as i64) as usize]
    }
}
