//! From a count to one of four shades, the same shades for all modules of a firm.

/// Upper bounds of the first three shades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    upper: [u32; 3],
}

impl Scale {
    /// Quartiles of the counts above zero, so that each shade means something at every size of firm.
    pub fn of(counts: impl IntoIterator<Item = u32>) -> Self {
        let mut seen: Vec<u32> = counts.into_iter().filter(|count| *count > 0).collect();
        seen.sort_unstable();
        let at = |quarter: usize| seen.get(seen.len() * quarter / 4).copied().unwrap_or(0);
        let first = at(1).max(1);
        let second = at(2).max(first + 1);
        Self { upper: [first, second, at(3).max(second + 1)] }
    }

    /// 0 (lightest) to 3 (darkest), for a count above zero.
    pub fn level(&self, count: u32) -> usize {
        self.upper.iter().take_while(|upper| count > **upper).count()
    }

    /// What each shade covers, for the legend: "1–4", "5–9", "10–22", "≥23".
    pub fn ranges(&self) -> [String; 4] {
        let [a, b, c] = self.upper;
        let span = |from: u32, to: u32| if from == to { from.to_string() } else { format!("{from}–{to}") };
        [span(1, a), span(a + 1, b), span(b + 1, c), format!("≥{}", c + 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_grow_with_the_count_and_cover_every_count() {
        for counts in [vec![], vec![1], vec![1, 1, 1], vec![3, 9, 40, 2, 2], (0..400).collect()] {
            let scale = Scale::of(counts.iter().copied());
            let levels: Vec<usize> = (1..500).map(|count| scale.level(count)).collect();
            assert!(levels.is_sorted(), "{counts:?}");
            assert_eq!((levels[0], levels[498]), (0, 3), "{counts:?}");
        }
    }

    #[test]
    fn legend_names_the_bounds_the_levels_use() {
        let scale = Scale::of([2, 4, 6, 8]);
        assert_eq!(scale.ranges(), ["1–4", "5–6", "7–8", "≥9"]);
        assert_eq!([4, 5, 6, 7, 8, 9].map(|count| scale.level(count)), [0, 1, 1, 2, 2, 3]);
    }
}
