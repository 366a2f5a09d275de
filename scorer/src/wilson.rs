//! The Wilson score interval: honest for small samples and for shares near 0 and 100 %.

/// A 95 % interval of a share, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end, 0 to 100.
    pub low: f64,
    /// Upper end, 0 to 100.
    pub high: f64,
}

/// 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

impl Interval {
    /// The interval of `hits` in `n` (Wilson 1927, without continuity correction); `None` for `n` = 0.
    pub fn wilson(hits: u64, n: u64) -> Option<Self> {
        if n == 0 {
            return None;
        }
        let (count, share) = (n as f64, hits.min(n) as f64 / n as f64);
        let scale = 1.0 + Z * Z / count;
        let middle = share + Z * Z / (2.0 * count);
        let half = Z * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
        let percent = |value: f64| (value / scale * 100.0).clamp(0.0, 100.0);
        Some(Self { low: percent(middle - half), high: percent(middle + half) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_agrees_with_published_values() {
        // Newcombe 1998, table I, method 3: 81/263, 15/148, 0/20, 1/29.
        for (hits, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let interval = Interval::wilson(hits, n).unwrap();
            assert!((interval.low / 100.0 - low).abs() < 5e-5, "{hits}/{n}: {interval:?}");
            assert!((interval.high / 100.0 - high).abs() < 5e-5, "{hits}/{n}: {interval:?}");
        }
        assert_eq!(Interval::wilson(0, 0), None);
    }
}
