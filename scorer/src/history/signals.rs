//! What a signal point showed on one day, without any value: what replays, generators and dead registers are told by.

use proof::wire;

/// Entropy a window needs before its content may be compared with another's, 1/1000 bit: five values or more. On and
/// off bits, set points and counters at rest repeat honestly.
const INFORMATIVE_MBIT: u32 = 2_300;

/// Changes it needs besides.
const INFORMATIVE_CHANGES: u32 = 6;

/// Ten-minute slots of a day.
pub(crate) const SLOTS: usize = 144;

/// A slot of which nothing is known.
pub(crate) const UNKNOWN: u8 = u8::MAX;

/// One signal point on one day.
#[derive(Debug, Clone, Default)]
pub(crate) struct PointDay {
    /// Good samples.
    pub(crate) ok: u64,
    /// Samples that differ from the one before.
    pub(crate) changes: u64,
    /// Windows in which its machine ran throughout.
    pub(crate) busy: u16,
    /// Of these, windows in which it did not move at all, nor in the window before.
    pub(crate) still: u16,
    last_flat: Option<u8>,
    /// Windows that moved enough to be compared, and their content tags.
    pub(crate) tags: Vec<(u8, u32)>,
    /// Features of those windows.
    pub(crate) texture: Texture,
    /// Mean level of each slot in 140ths of the point's range, [`UNKNOWN`] where there is none; absent on a day on
    /// which it never moved.
    pub(crate) levels: Option<Box<[u8; SLOTS]>>,
}

/// Sums over informative windows of a day: what noise a signal carries.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Texture {
    pub(crate) windows: u32,
    /// Of [`wire::ShapeRow::noise_permille`] and its square.
    pub(crate) noise: (u64, u64),
    /// Of [`wire::ShapeRow::entropy_mbit`] and its square.
    pub(crate) entropy: (u64, u64),
    /// Of [`wire::ShapeRow::autocorr_permille`] and its square.
    pub(crate) autocorr: (i64, u64),
}

impl PointDay {
    /// Takes one window's row. `slot` is the window's ten minutes of the day; `busy` where its machine ran throughout.
    pub(super) fn take(&mut self, slot: u8, shape: &wire::ShapeRow, ok: u64, busy: bool) {
        self.ok = self.ok.saturating_add(ok);
        self.changes = self.changes.saturating_add(u64::from(shape.changes));
        let flat = shape.changes == 0 && ok > 1;
        if busy {
            self.busy = self.busy.saturating_add(1);
            let before = slot.checked_sub(1).is_some_and(|before| self.last_flat == Some(before));
            self.still = self.still.saturating_add(u16::from(flat && before));
        }
        if flat {
            self.last_flat = Some(slot);
        }
        let first = self.tags.last().is_none_or(|(last, _)| *last < slot);
        let moved = shape.entropy_mbit >= INFORMATIVE_MBIT && shape.changes >= INFORMATIVE_CHANGES;
        if moved
            && first
            && let Some(tag) = shape.tag.first_chunk::<4>()
        {
            self.tags.push((slot, u32::from_be_bytes(*tag)));
            self.texture.take(shape);
        }
        if shape.changes > 0 || self.levels.is_some() {
            let level = mean_level(&shape.levels);
            let levels = self.levels.get_or_insert_with(|| Box::new([UNKNOWN; SLOTS]));
            if let Some(at) = levels.get_mut(usize::from(slot)) {
                *at = level;
            }
        }
    }
}

impl Texture {
    fn take(&mut self, shape: &wire::ShapeRow) {
        /// More than a window can show; a claim above it is cut.
        const TOP: u32 = 64_000;
        let square = |value: u32| u64::from(value) * u64::from(value);
        let (noise, entropy) = (shape.noise_permille.min(TOP), shape.entropy_mbit.min(TOP));
        let autocorr = shape.autocorr_permille.clamp(-1_000, 1_000);
        self.windows = self.windows.saturating_add(1);
        self.noise = (self.noise.0 + u64::from(noise), self.noise.1 + square(noise));
        self.entropy = (self.entropy.0 + u64::from(entropy), self.entropy.1 + square(entropy));
        self.autocorr =
            (self.autocorr.0 + i64::from(autocorr), self.autocorr.1 + square(autocorr.unsigned_abs()));
    }

    /// Adds another day's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.windows = self.windows.saturating_add(other.windows);
        self.noise = (self.noise.0 + other.noise.0, self.noise.1 + other.noise.1);
        self.entropy = (self.entropy.0 + other.entropy.0, self.entropy.1 + other.entropy.1);
        self.autocorr = (self.autocorr.0 + other.autocorr.0, self.autocorr.1 + other.autocorr.1);
    }
}

/// The mean of a level sketch in 140ths: ten levels of 0 to 14.
fn mean_level(sketch: &[u8]) -> u8 {
    let levels = sketch.iter().take(5).flat_map(|pair| [pair >> 4, pair & 0xf]).filter(|level| *level < 15);
    let (sum, count) = levels.fold((0_u32, 0_u32), |(sum, count), level| (sum + u32::from(level), count + 1));
    (sum * 10).checked_div(count).and_then(|mean| u8::try_from(mean).ok()).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(changes: u32, entropy_mbit: u32, tag: u8) -> wire::ShapeRow {
        let levels = vec![0x7f, 0x7e, 0xff, 0xff, 0xff];
        wire::ShapeRow { changes, entropy_mbit, tag: vec![tag; 8], levels, ..Default::default() }
    }

    #[test]
    fn only_windows_that_moved_enough_are_compared() {
        let mut day = PointDay::default();
        for (slot, shape) in
            [row(10, 3_000, 1), row(10, 1_000, 2), row(3, 3_000, 3), row(9, 2_300, 4)].iter().enumerate()
        {
            day.take(slot as u8, shape, 10, false);
        }
        assert_eq!(day.tags, [(0, 0x0101_0101), (3, 0x0404_0404)]);
        assert_eq!(day.texture.windows, 2);
    }

    #[test]
    fn a_level_is_the_mean_of_the_minutes_that_are_known() {
        assert_eq!(mean_level(&[0x7f, 0x7e, 0xff, 0xff, 0xff]), 93);
        assert_eq!(mean_level(&[0xff; 5]), UNKNOWN);
        assert_eq!(mean_level(&[]), UNKNOWN);
    }

    #[test]
    fn a_register_is_still_where_it_stood_two_windows_in_a_row_while_its_machine_ran() {
        let mut day = PointDay::default();
        let flat = row(0, 0, 0);
        for (slot, busy) in [(0, true), (1, true), (2, true), (4, true), (5, false)] {
            day.take(slot, &flat, 10, busy);
        }
        assert_eq!((day.busy, day.still), (4, 2));
        assert!(day.levels.is_none(), "a register that never moved needs no room for levels");
    }
}
