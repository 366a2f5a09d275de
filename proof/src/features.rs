//! Unit-less features of one point over one window (group 10 of the window payload).
//!
//! They say how a signal moved, never how much: no value can be computed back from them.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::wire;

const MINUTES: usize = 10;

/// The long-run range of a point, to which its level sketch is scaled. Scaling to the window instead would lose a
/// replay with noise (docs/protocol.md, "level sketch").
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lowest value seen.
    pub low: f64,
    /// Highest value seen.
    pub high: f64,
}

impl Range {
    /// The range that holds this value too.
    pub fn with(range: Option<Self>, value: f64) -> Self {
        match range {
            None => Self { low: value, high: value },
            Some(Self { low, high }) => Self { low: low.min(value), high: high.max(value) },
        }
    }
}

/// Good values of one point in one window: milliseconds from the window's start, and the value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    samples: Vec<(i64, f64)>,
    changes: u32,
    flat_since: Option<i64>,
    longest_flat_ms: i64,
    growth: f64,
    running: u16,
    edges: u16,
}

impl Series {
    /// Takes a good value. `before` is the value before it, of this window or the last one.
    pub(crate) fn push(&mut self, dt_ms: i64, value: f64, before: Option<f64>) {
        #[expect(clippy::float_cmp, reason = "a change of a register is a change of its bits")]
        let changed = before.is_some_and(|before| before != value);
        if changed {
            self.changes += 1;
            self.growth += before.map_or(0.0, |before| (value - before).max(0.0));
            self.flat_since = None;
        }
        let since = *self.flat_since.get_or_insert(dt_ms);
        self.longest_flat_ms = self.longest_flat_ms.max(dt_ms - since);
        self.samples.push((dt_ms, value));
    }

    /// Takes a good value of a point whose role is *running*.
    pub(crate) fn push_running(&mut self, dt_ms: i64, value: f64, before: Option<f64>) {
        let minute = 1 << minute_of(dt_ms);
        let runs = value != 0.0;
        if runs {
            self.running |= minute;
        }
        if before.is_some_and(|before| (before != 0.0) != runs) {
            self.edges |= minute;
        }
    }

    /// The good values, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(|(_, value)| *value)
    }

    /// How many good values.
    pub(crate) fn len(&self) -> u32 {
        len(&self.samples)
    }

    /// The row, but for its place and what was missed. `range` is the long-run range before this window.
    pub(crate) fn row(&self, range: Option<Range>, share_delta: bool) -> wire::ShapeRow {
        let values: Vec<f64> = self.samples.iter().map(|(_, value)| *value).collect();
        wire::ShapeRow {
            source: 0,
            point: 0,
            missed: 0,
            changes: self.changes,
            longest_flat_s: u32::try_from(self.longest_flat_ms / 1000).unwrap_or(0),
            entropy_mbit: entropy_mbit(&values),
            autocorr_permille: autocorr_permille(&values),
            noise_permille: noise_permille(&values),
            tag: tag(&values),
            levels: self.levels(range),
            edges: u32::from(self.edges),
            running: u32::from(self.running),
            delta_milli: share_delta.then(|| round(self.growth * 1000.0)),
        }
    }

    /// Ten one-minute mean levels of 4 bits: 0 to 14 of the range, 15 where no good value came.
    fn levels(&self, range: Option<Range>) -> Vec<u8> {
        let mut sums = [(0.0, 0_u32); MINUTES];
        for (dt_ms, value) in &self.samples {
            let (sum, count) = &mut sums[minute_of(*dt_ms)];
            *sum += value;
            *count += 1;
        }
        let level = |(sum, count): (f64, u32)| match range {
            _ if count == 0 => 15,
            Some(Range { low, high }) if high > low => {
                let place = (sum / f64::from(count) - low) / (high - low);
                u8::try_from(round((place * 14.0).clamp(0.0, 14.0))).unwrap_or(14)
            }
            _ => 0,
        };
        sums.chunks(2).map(|pair| level(pair[0]) << 4 | level(pair[1])).collect()
    }
}

/// Minute of the window, 0 to 9; what is stamped a little outside counts at the edge.
pub(crate) fn minute_of(dt_ms: i64) -> usize {
    usize::try_from(dt_ms / 60_000).unwrap_or(0).min(MINUTES - 1)
}

/// Median of unsorted numbers and their median absolute deviation; zeros for none.
pub(crate) fn median_and_spread(numbers: &[u32]) -> (u32, u32) {
    let Some(median) = median(numbers.to_vec()) else { return (0, 0) };
    let deviations = numbers.iter().map(|number| number.abs_diff(median)).collect();
    (median, self::median(deviations).unwrap_or(0))
}

fn median(mut numbers: Vec<u32>) -> Option<u32> {
    if numbers.is_empty() {
        return None;
    }
    let middle = numbers.len() / 2;
    Some(*numbers.select_nth_unstable(middle).1)
}

fn entropy_mbit(values: &[f64]) -> u32 {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    for value in values {
        *counts.entry(value.to_bits()).or_default() += 1;
    }
    let total = f64::from(len(values));
    let bits: f64 =
        counts.values().map(|count| f64::from(*count) / total).map(|share| -share * share.log2()).sum();
    u32::try_from(round(bits * 1000.0)).unwrap_or(0)
}

fn autocorr_permille(values: &[f64]) -> i32 {
    let mean = values.iter().sum::<f64>() / f64::from(len(values).max(1));
    let variance: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if values.len() < 3 || variance <= f64::EPSILON * mean.abs() {
        return 0;
    }
    let covariance: f64 = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    i32::try_from(round(covariance / variance * 1000.0)).unwrap_or(0)
}

/// Median absolute step over the window's range.
fn noise_permille(values: &[f64]) -> u32 {
    let range = values.iter().fold(None, |range, value| Some(Range::with(range, *value)));
    let Some(Range { low, high }) = range.filter(|range| range.high > range.low) else { return 0 };
    let mut steps: Vec<f64> = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    let middle = steps.len() / 2;
    let (_, median, _) = steps.select_nth_unstable_by(middle, f64::total_cmp);
    u32::try_from(round(*median / (high - low) * 1000.0)).unwrap_or(0)
}

/// SHA-256(0x04 || the values in single precision)[..8]: equal tags mean equal content.
fn tag(values: &[f64]) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update([0x04]);
    for value in values {
        #[expect(clippy::cast_possible_truncation, reason = "quantising is the point")]
        hash.update((*value as f32).to_be_bytes());
    }
    hash.finalize()[..8].to_vec()
}

fn len<T>(values: &[T]) -> u32 {
    u32::try_from(values.len()).unwrap_or(u32::MAX)
}

fn round(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let rounded = value.round() as i64;
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        let mut series = Series::default();
        let mut before = None;
        for (at, value) in (0..).zip(values) {
            series.push(at * 10_000, *value, before);
            before = Some(*value);
        }
        series
    }

    #[test]
    fn a_flat_signal_has_no_features_but_its_flatness() {
        let row = series(&[5.0; 60]).row(Some(Range { low: 0.0, high: 10.0 }), false);
        assert_eq!((row.changes, row.longest_flat_s, row.entropy_mbit), (0, 590, 0));
        assert_eq!((row.autocorr_permille, row.noise_permille), (0, 0));
        assert_eq!(row.levels, [0x77; 5]);
    }

    #[test]
    fn an_alternating_signal_is_anticorrelated_and_all_noise() {
        let values: Vec<f64> = (0..60).map(|at| f64::from(at % 2)).collect();
        let row = series(&values).row(Some(Range { low: 0.0, high: 1.0 }), false);
        assert_eq!((row.changes, row.entropy_mbit, row.noise_permille), (59, 1000, 1000));
        assert!(row.autocorr_permille < -900);
    }

    #[test]
    fn growth_counts_increases_only_and_leaves_only_when_shared() {
        let counter = series(&[100.0, 101.0, 0.0, 2.0]);
        assert_eq!(counter.row(None, true).delta_milli, Some(3000));
        assert_eq!(counter.row(None, false).delta_milli, None);
    }

    #[test]
    fn equal_content_has_equal_tags() {
        assert_eq!(tag(&[1.0, 2.0]), tag(&[1.0, 2.0]));
        assert_ne!(tag(&[1.0, 2.0]), tag(&[2.0, 1.0]));
    }

    #[test]
    fn minutes_without_a_value_have_level_15() {
        let mut series = Series::default();
        series.push(0, 14.0, None);
        series.push(590_000, 0.0, None);
        let row = series.row(Some(Range { low: 0.0, high: 14.0 }), false);
        assert_eq!(row.levels, [0xef, 0xff, 0xff, 0xff, 0xf0]);
    }

    #[test]
    fn edges_and_running_minutes_follow_the_machine() {
        let mut series = Series::default();
        for (dt_ms, value, before) in
            [(0, 0.0, None), (60_000, 1.0, Some(0.0)), (120_000, 1.0, Some(1.0)), (180_000, 0.0, Some(1.0))]
        {
            series.push_running(dt_ms, value, before);
        }
        let row = series.row(None, false);
        assert_eq!((row.running, row.edges), (0b0110, 0b1010));
    }
}
