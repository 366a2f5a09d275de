//! Reading rows whose usual values take no room on the wire.

use super::ALL_MINUTES;
use crate::wire::{ShapeRow, SourceRow};

impl SourceRow {
    /// Questions that were due by the cadence.
    pub fn expected(&self) -> u32 {
        let due = i64::from(self.ok) + i64::from(self.err) + i64::from(self.unasked);
        u32::try_from(due.max(0)).unwrap_or(u32::MAX)
    }

    /// Bit m: at least one valid answer in minute m, counted from the ten-minute mark.
    pub fn online(&self) -> u32 {
        !self.offline & u32::from(ALL_MINUTES)
    }
}

impl ShapeRow {
    /// Good values of the point, given its source's row of the same window.
    pub fn ok(&self, source: &SourceRow) -> u32 {
        source.ok.saturating_sub(self.missed)
    }
}
