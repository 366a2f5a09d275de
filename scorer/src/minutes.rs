//! A set of minutes of one local day. Overlaps do not count twice, however often a minute is seen.

const WORDS: usize = 23;

/// Bits of the last word: 1440 = 22 * 64 + 32.
const LAST_WORD: u64 = u64::MAX >> 32;

/// A set of minutes 0 to 1439.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Minutes([u64; WORDS]);

impl Minutes {
    /// Adds minutes `from..to`, cut to the day.
    pub(crate) fn add(&mut self, from: i64, to: i64) {
        let (from, to) = (from.clamp(0, crate::DAY_MINUTES), to.clamp(0, crate::DAY_MINUTES));
        let mut at = from;
        while at < to {
            let (word, bit) = (at / 64, at % 64);
            let until = to.min((word + 1) * 64);
            let length = until - at;
            let mask = if length == 64 { u64::MAX } else { ((1u64 << length) - 1) << bit };
            self.0[word as usize] |= mask;
            at = until;
        }
    }

    /// Adds minute `from + m` for each bit m of ten; what lies past the day is left out.
    pub(crate) fn add_ten(&mut self, from: i64, bits: u32) {
        if !(0..crate::DAY_MINUTES).contains(&from) {
            return;
        }
        let (word, bit) = ((from / 64) as usize, from % 64);
        let bits = u128::from(bits & 0x3ff) << bit;
        self.0[word] |= bits as u64;
        if let Some(next) = self.0.get_mut(word + 1) {
            *next |= (bits >> 64) as u64;
        }
        self.0[WORDS - 1] &= LAST_WORD;
    }

    /// Whether it holds this minute.
    pub(crate) fn has(&self, minute: i64) -> bool {
        (0..crate::DAY_MINUTES).contains(&minute)
            && self.0[(minute / 64) as usize] & (1 << (minute % 64)) != 0
    }

    /// Its bits.
    pub(crate) const fn words(&self) -> [u64; WORDS] {
        self.0
    }

    /// How many minutes.
    pub(crate) fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// In both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & other.0[at]))
    }

    /// In either.
    pub(crate) fn or(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }

    /// In this and not in `other`.
    pub(crate) fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & !other.0[at]))
    }

    /// With each minute holding for `length` minutes: an answer counts for three cadences.
    pub(crate) fn held(&self, length: u32) -> Self {
        let mut held = *self;
        let mut reach = 1;
        while reach < length {
            let step = reach.min(length - reach);
            held = held.or(&held.later(step));
            reach += step;
        }
        held
    }

    /// With the minutes up to `by` before and after each.
    pub(crate) fn around(&self, by: u32) -> Self {
        let mut around = self.held(by + 1);
        let mut reach = 1;
        while reach < by + 1 {
            let step = reach.min(by + 1 - reach);
            around = around.or(&around.earlier(step));
            reach += step;
        }
        around
    }

    /// Each minute `by` earlier; what falls before the day is left out.
    pub(crate) fn earlier(&self, by: u32) -> Self {
        let (words, bits) = ((by / 64) as usize, by % 64);
        let word = |at: usize| self.0.get(at + words).copied().unwrap_or(0);
        Self(std::array::from_fn(|at| {
            let carry = if bits > 0 { word(at + 1) << (64 - bits) } else { 0 };
            (word(at) >> bits) | carry
        }))
    }

    /// Each minute `by` later; what falls behind the day is left out.
    pub(crate) fn later(&self, by: u32) -> Self {
        let (words, bits) = ((by / 64) as usize, by % 64);
        let word = |at: usize| at.checked_sub(words).map_or(0, |from| self.0[from]);
        let mut later = Self(std::array::from_fn(|at| {
            let carry = if bits > 0 && at > 0 { word(at - 1) >> (64 - bits) } else { 0 };
            (word(at) << bits) | carry
        }));
        later.0[WORDS - 1] &= LAST_WORD;
        later
    }
}

impl std::fmt::Debug for Minutes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Minutes({})", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_counts_once_and_only_within_its_day() {
        let mut minutes = Minutes::default();
        minutes.add(-5, 3);
        minutes.add(1, 70);
        minutes.add(1430, 2000);
        assert_eq!(minutes.count(), 80);
        assert!(minutes.has(69) && !minutes.has(70) && minutes.has(1439) && !minutes.has(1440));
    }

    #[test]
    fn around_reaches_to_both_sides_and_not_over_the_day() {
        let mut one = Minutes::default();
        one.add(10, 11);
        one.add(700, 701);
        one.add(1439, 1440);
        for by in [1, 30, 63, 64, 65] {
            let mut expected = Minutes::default();
            for at in [10, 700, 1439] {
                expected.add(at - i64::from(by), at + i64::from(by) + 1);
            }
            assert_eq!(one.around(by), expected, "{by}");
            assert_eq!(one.earlier(by).later(by).count(), if by > 10 { 2 } else { 3 });
        }
    }

    #[test]
    fn an_answer_holds_for_as_long_as_asked() {
        for length in [1, 2, 3, 63, 64, 65, 180] {
            let mut one = Minutes::default();
            one.add(60, 61);
            one.add(1439, 1440);
            let mut expected = Minutes::default();
            expected.add(60, 60 + i64::from(length));
            expected.add(1439, 1440);
            assert_eq!(one.held(length), expected, "{length}");
        }
    }
}
