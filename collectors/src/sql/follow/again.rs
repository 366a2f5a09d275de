//! What lies below the floor: it is remembered as ranges, and read again, a slice each look.
//!
//! Rows that were added to a range are handed over, each adding its print to the sum as it goes. Whatever else differs
//! is told when the range was read so twice, an overlap apart.

use std::collections::BTreeSet;

use proof::wire::RewriteKind;

use super::super::position::{Doubt, Key, KeyText, MAX_RANGES, Range, Recent, tag};
use super::super::rewrites::{Difference, MOST_PRINTS, difference, join, of_range};
use super::{Follower, Row, Rows, Seen, Span};
use crate::CollectError;

/// Rows of a range before the next is begun.
const RANGE: u64 = 100;
/// Most rows of a range of which tags are kept.
const TAGGED: u64 = 3 * RANGE;
/// Ranges at the upper end that are not joined, and have tags.
pub(super) const FINE: usize = 16;
/// Rows below the floor that one look reads again, and in how many questions.
const CHECKED_ROWS: u32 = 500;
pub(super) const CHECKED_RANGES: usize = 4;

/// A range that is being read again.
#[derive(Debug, Clone, Default)]
pub(super) struct Check {
    high: Key,
    /// It is its turn, and not that it was read otherwise than it is remembered.
    in_turn: bool,
    /// The last row read.
    after: Option<Key>,
    rows: u64,
    sum: u64,
    first: Option<u64>,
    /// Of each row, while they are few enough.
    prints: Vec<u64>,
    /// Second reading: the prints of rows that were not there before.
    wanted: Option<BTreeSet<u64>>,
}

impl Follower {
    pub(super) fn add(&mut self, recent: &Recent, key: &Key) {
        let high = KeyText { columns: key.clone() };
        let (from, to) = (recent.at, recent.at + 1);
        let tags = vec![tag(recent.row)];
        let range = Range { high, first: recent.key, rows: 1, sum: recent.row, from, to, tags, doubt: None };
        match self.position.ranges.last_mut() {
            Some(last) if last.rows < RANGE || last.key() == key => last.join(range),
            Some(_) | None => self.position.ranges.push(range),
        }
    }

    /// Joins neighbours, those of the fewest rows first and not the newest.
    pub(super) fn bound_ranges(&mut self) {
        let ranges = &mut self.position.ranges;
        let coarse = ranges.len().saturating_sub(FINE);
        for (at, range) in ranges.iter_mut().enumerate() {
            if at < coarse || range.rows > TAGGED {
                range.tags = Vec::new();
            }
        }
        while ranges.len() > MAX_RANGES {
            let coarse = ranges.len() - FINE;
            let smallest = (0..coarse - 1).min_by_key(|at| ranges[*at].rows + ranges[at + 1].rows);
            let at = smallest.expect("there are more than a few ranges");
            let after = ranges.remove(at + 1);
            ranges[at].join(after);
        }
    }

    /// Forgets the lowest ranges, whose rows are all gone.
    pub(super) fn drop_ranges(&mut self, count: usize, kind: RewriteKind, seen: &mut Seen) {
        for range in self.position.ranges.drain(..count) {
            join(&mut seen.rewrites, of_range(kind, &range, range.rows));
        }
        self.position.next = self.position.next.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        self.check = None;
    }

    /// Reads a slice of what is below the floor again.
    pub(super) async fn check_some(
        &mut self,
        table: &mut impl Rows,
        now_s: i64,
        seen: &mut Seen,
    ) -> Result<(), CollectError> {
        let mut rows_left = CHECKED_ROWS;
        for _ in 0..CHECKED_RANGES {
            let Some((at, mut check)) = self.checked(now_s) else { return Ok(()) };
            let low = self.low(at);
            let span = Span { after: check.after.as_ref().or(low.as_ref()), up_to: Some(&check.high) };
            let (page, more) = self.page(table, span, rows_left, 0).await?;
            rows_left = rows_left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
            for row in page {
                self.check_row(at, &mut check, row, seen);
            }
            if more {
                self.check = Some(check);
            } else {
                if check.in_turn {
                    self.position.next = u32::try_from(at + 1).unwrap_or(0);
                }
                self.judge(table, at, check, now_s, seen).await?;
            }
            if rows_left == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The key after which a range begins; `None` for the beginning of the table.
    fn low(&self, at: usize) -> Option<Key> {
        match at.checked_sub(1) {
            Some(before) => Some(self.position.ranges[before].key().clone()),
            None => self.position.base.as_ref().map(|base| base.columns.clone()),
        }
    }

    /// The range that is being read again, or one that was read otherwise an overlap ago, or the next one.
    fn checked(&mut self, now_s: i64) -> Option<(usize, Check)> {
        let ranges = &self.position.ranges;
        if let Some(check) = self.check.take()
            && let Some(at) = ranges.iter().position(|range| *range.key() == check.high)
        {
            return Some((at, check));
        }
        let is_due = |doubt: &Doubt| now_s.saturating_sub(doubt.since_s) >= self.habits.overlap_s;
        let due = ranges.iter().position(|range| range.doubt.as_ref().is_some_and(is_due));
        let next = usize::try_from(self.position.next).unwrap_or(0);
        let at = due.unwrap_or(if next < ranges.len() { next } else { 0 });
        let high = ranges.get(at)?.key().clone();
        Some((at, Check { high, in_turn: due.is_none(), ..Check::default() }))
    }

    fn check_row(&mut self, at: usize, check: &mut Check, row: Row, seen: &mut Seen) {
        let print = self.print(&row);
        check.first.get_or_insert(self.key_print(&row));
        check.rows += 1;
        check.sum = check.sum.wrapping_add(print);
        if check.prints.len() <= MOST_PRINTS {
            check.prints.push(print);
        }
        check.after = Some(row.key.clone());
        if check.wanted.as_mut().is_some_and(|wanted| wanted.remove(&print)) {
            let range = &mut self.position.ranges[at];
            if range.is_tagged() {
                range.tags.push(tag(print));
            }
            range.rows += 1;
            range.sum = range.sum.wrapping_add(print);
            seen.rows.push((self.position.total, row));
            self.position.total += 1;
        }
    }

    /// A range has been read to its end.
    async fn judge(
        &mut self,
        table: &mut impl Rows,
        at: usize,
        check: Check,
        now_s: i64,
        seen: &mut Seen,
    ) -> Result<(), CollectError> {
        if check.rows > 0 {
            self.position.emptied_s = 0;
        }
        let range = &self.position.ranges[at];
        if (check.rows, check.sum) == (range.rows, range.sum) {
            self.take_as_read(at, &check);
            return Ok(());
        }
        // It changed while it was read the second time: at its next turn.
        if check.wanted.is_some() {
            return Ok(());
        }
        if check.rows < range.rows {
            return self.judge_fewer(table, at, check, now_s, seen).await;
        }
        let more = check.rows - range.rows;
        match difference(range, &check.prints, check.rows, check.sum) {
            Difference::Late(prints) => {
                self.position.ranges[at].doubt = None;
                let (high, wanted) = (check.high, Some(prints.into_iter().collect()));
                self.check = Some(Check { high, wanted, ..Check::default() });
            }
            Difference::Unclear => {
                self.lose(more, seen);
                self.take_as_read(at, &check);
            }
            Difference::Changed(rows) => {
                if self.is_confirmed(at, &check, now_s) {
                    let range = &self.position.ranges[at];
                    join(&mut seen.rewrites, of_range(RewriteKind::Edited, range, rows));
                    self.lose(more, seen);
                    self.take_as_read(at, &check);
                }
            }
        }
        Ok(())
    }

    /// Counts rows that were not handed over.
    fn lose(&mut self, rows: u64, seen: &mut Seen) {
        seen.lost = seen.lost.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        self.position.total += rows;
    }

    /// From now on a range is as it was read.
    fn take_as_read(&mut self, at: usize, check: &Check) {
        let is_fine = at + FINE >= self.position.ranges.len();
        let range = &mut self.position.ranges[at];
        (range.rows, range.sum, range.doubt) = (check.rows, check.sum, None);
        range.first = check.first.unwrap_or(range.first);
        let tagged = is_fine && check.rows <= TAGGED && check.prints.len() as u64 == check.rows;
        range.tags = if tagged { check.prints.iter().copied().map(tag).collect() } else { Vec::new() };
    }

    /// Whether a range was read so an overlap ago already.
    fn is_confirmed(&mut self, at: usize, check: &Check, now_s: i64) -> bool {
        let doubt = &mut self.position.ranges[at].doubt;
        let (rows, sum) = (check.rows, check.sum);
        match doubt {
            Some(doubt) if (doubt.rows, doubt.sum) == (rows, sum) => {
                doubt.since_s = doubt.since_s.min(now_s);
                now_s.saturating_sub(doubt.since_s) >= self.habits.overlap_s
            }
            Some(_) | None => {
                *doubt = Some(Doubt { rows, sum, since_s: now_s });
                false
            }
        }
    }

    /// Rows of a range are gone.
    async fn judge_fewer(
        &mut self,
        table: &mut impl Rows,
        mut at: usize,
        check: Check,
        now_s: i64,
        seen: &mut Seen,
    ) -> Result<(), CollectError> {
        let lowest = match &self.low(at) {
            None => true,
            Some(low) => table.rows(Span { after: None, up_to: Some(low) }, 1).await?.is_empty(),
        };
        let newer = table.rows(Span { after: Some(&check.high), up_to: None }, 1).await?;
        if check.rows == 0 && lowest && newer.is_empty() {
            self.emptied(now_s);
        }
        let waits = check.rows == 0 && lowest && self.position.emptied_s != 0;
        if newer.is_empty() || waits {
            // A copy that is behind, or a table that was emptied, which the next looks will tell.
            self.position.ranges[at].doubt = None;
            return Ok(());
        }
        if !self.is_confirmed(at, &check, now_s) {
            return Ok(());
        }
        let trimmed = lowest && check.first != Some(self.position.ranges[at].first);
        let kind = if trimmed { RewriteKind::Trimmed } else { RewriteKind::Removed };
        if lowest && at > 0 {
            self.drop_ranges(at, RewriteKind::Trimmed, seen);
            at = 0;
        }
        let range = &self.position.ranges[at];
        join(&mut seen.rewrites, of_range(kind, range, range.rows - check.rows));
        self.take_as_read(at, &check);
        if check.rows == 0 {
            self.position.ranges.remove(at);
            if usize::try_from(self.position.next).is_ok_and(|next| next > at) {
                self.position.next -= 1;
            }
        }
        Ok(())
    }
}
