//! Which rows are new, and which are not as they were: the pure part.
//!
//! Rows are asked for in the order of their key. Above the *floor* each row is remembered by itself for a while, and
//! read again at each look: a row that becomes visible late, or out of order, is handed over when it does, each row
//! once. Rows that have been there long enough go below the floor, into *ranges* of which the number and the sum of
//! keyed prints are kept. One range after the other is read again, a slice each look; a row that appears there after
//! all is found by what it adds to the sum.
//!
//! What was read and is not there as it was is told once: an edited or removed row exactly, while it is remembered by
//! itself, and afterwards as the range it is in.
//!
//! Deliberately absent: SQL, time-outs, the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::ops::Range;

use proof::Rewrite;
use proof::wire::RewriteKind;

use self::again::Check;
use super::position::{Key, KeyText, MAX_RECENT, Position, Recent};
use super::rewrites::{join, one};
use crate::CollectError;

mod again;

/// Rows at the upper end that stay above the floor however old they are: one with a number far ahead of the others would
/// take the floor with it.
const HELD: usize = 32;
/// In place of the time since when a row is missing, while none above it is there.
const UPPERMOST: i64 = -1;
/// With so many rows above the floor it moves, whatever speaks against it.
const TOO_MANY: usize = 4 * MAX_RECENT;
/// Most rows that may share one key.
const MOST_ALIKE: u32 = 20_000;

/// A row as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: Key,
    /// In the map's order.
    pub(super) cells: Vec<Option<String>>,
}

/// Rows after a key, up to one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span<'a> {
    pub(super) after: Option<&'a Key>,
    pub(super) up_to: Option<&'a Key>,
}

/// Something that answers questions for rows.
pub(super) trait Rows {
    /// The first rows of a span in the order of their key, at most `limit`.
    fn rows(
        &mut self,
        span: Span<'_>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Row>, CollectError>> + Send;

    /// Which table it is, for messages.
    fn name(&self) -> String;
}

/// How a table is followed.
#[derive(Debug, Clone)]
pub(super) struct Habits {
    pub(super) overlap_s: i64,
    pub(super) max_rows: u32,
    /// No two rows share a key.
    pub(super) unique: bool,
    /// Rows stay as they are.
    pub(super) settled: bool,
    /// How the first column of the key writes a date, where it is one.
    pub(super) dates: Option<&'static str>,
    /// Of each field, whether it is part of a row's print.
    pub(super) printed: Vec<bool>,
}

/// What one look brought.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// New rows and their positions.
    pub(super) rows: Vec<(u64, Row)>,
    pub(super) rewrites: Vec<Rewrite>,
    /// Rows that came too late to be told from those that were there before: they are counted and not handed over.
    pub(super) lost: u32,
    /// There may be more new ones.
    pub(super) more: bool,
}

/// Follows one table.
#[derive(Debug, Clone)]
pub(super) struct Follower {
    habits: Habits,
    position: Position,
    check: Option<Check>,
}

impl Follower {
    pub(super) fn new(habits: Habits, position: Position) -> Self {
        Self { habits, position, check: None }
    }

    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    /// Asks for what is new, and reads some of the old again. After an error nothing has changed that matters, but the
    /// follower must be made anew from the last position handed over.
    pub(super) async fn look(&mut self, table: &mut impl Rows, now_ms: i64) -> Result<Seen, CollectError> {
        let now_s = now_ms.div_euclid(1000);
        let remembered = u32::try_from(self.position.recent.len()).unwrap_or(u32::MAX);
        let floor = self.position.floor.as_ref().map(|floor| floor.columns.clone());
        let span = Span { after: floor.as_ref(), up_to: None };
        let limit = self.habits.max_rows.saturating_add(remembered);
        let (page, more) = self.page(table, span, limit, self.position.recent.len()).await?;
        let mut seen = Seen { more, ..Seen::default() };
        let mut keys = self.compare(page, more, now_s, &mut seen);
        if self.habits.settled && !more {
            self.judge_gone(table, &mut keys, now_s, &mut seen).await?;
        }
        self.settle(keys, now_s);
        if self.habits.settled && !more {
            self.check_some(table, now_s, &mut seen).await?;
        }
        Ok(seen)
    }

    /// More rows of a span than `known`, or all, and whether there are more. Rows that share a key come all or not at all.
    async fn page(
        &self,
        table: &mut impl Rows,
        span: Span<'_>,
        mut limit: u32,
        known: usize,
    ) -> Result<(Vec<Row>, bool), CollectError> {
        loop {
            let mut rows = table.rows(span, limit).await?;
            if u32::try_from(rows.len()).is_ok_and(|count| count < limit) {
                return Ok((rows, false));
            }
            let cut = match rows.last() {
                Some(last) if !self.habits.unique => rows.iter().rposition(|row| row.key != last.key),
                Some(_) | None => rows.len().checked_sub(1),
            };
            if let Some(last) = cut.filter(|last| *last >= known) {
                rows.truncate(last + 1);
                return Ok((rows, true));
            }
            if limit >= MOST_ALIKE {
                let why = format!(
                    "more than {MOST_ALIKE} rows have the same key; the map's key does not order them"
                );
                return Err(CollectError::Unreadable { endpoint: table.name(), why });
            }
            limit = limit.saturating_mul(4).min(MOST_ALIKE);
        }
    }

    fn print(&self, row: &Row) -> u64 {
        let cells = row.cells.iter().zip(&self.habits.printed).filter(|(_, printed)| **printed);
        self.position.print(b'r', cells.map(|(cell, _)| cell.as_deref()))
    }

    fn key_print(&self, row: &Row) -> u64 {
        self.position.print(b'k', row.key.iter().map(|column| Some(column.as_str())))
    }

    /// Which remembered row each row of a page is: the same one first, then, where keys are unique, another one in its
    /// place.
    fn matched(&self, before: &[Recent], prints: &[(u64, u64)]) -> Vec<Option<usize>> {
        let mut by_key: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (at, recent) in before.iter().enumerate() {
            by_key.entry(recent.key).or_default().push(at);
        }
        let mut matched: Vec<Option<usize>> = vec![None; prints.len()];
        for edited in [false, true] {
            if edited && !self.habits.unique {
                break;
            }
            for (at, (key, row)) in prints.iter().enumerate() {
                let Some(places) = by_key.get_mut(key).filter(|_| matched[at].is_none()) else { continue };
                let same = |place: &usize| edited || before[*place].row == *row || before[*place].row == 0;
                if let Some(found) = places.iter().position(same) {
                    matched[at] = Some(places.remove(found));
                }
            }
        }
        matched
    }

    /// Tells new rows from remembered ones. Returns the keys of the rows that are remembered now, in their order; one
    /// that is missing stays in its place, without a key.
    fn compare(&mut self, page: Vec<Row>, more: bool, now_s: i64, seen: &mut Seen) -> Vec<Option<Key>> {
        let before = std::mem::take(&mut self.position.recent);
        let prints: Vec<_> = page.iter().map(|row| (self.key_print(row), self.print(row))).collect();
        let matched = self.matched(&before, &prints);
        let there: BTreeSet<usize> = matched.iter().flatten().copied().collect();
        // Of a page that is not the last one, nobody can say what comes after it.
        let known = if more { there.last().map_or(0, |last| last + 1) } else { before.len() };
        let mut now = Remembered::default();
        let mut next = now.missing(&before, &there, 0..known);
        for ((row, (key, print)), place) in page.into_iter().zip(prints).zip(&matched) {
            let Some(place) = *place else {
                let (at, key_text) = (self.position.total, row.key.clone());
                self.position.total += 1;
                seen.rows.push((at, row));
                now.push(Recent { key, row: print, seen_s: now_s, at, gone_s: 0 }, Some(key_text));
                continue;
            };
            // Rows that share a key come in any order.
            while next < place {
                next = now.missing(&before, &there, next..place) + 1;
            }
            next = next.max(place + 1);
            let was = &before[place];
            if was.row != print && was.row != 0 && self.habits.settled {
                seen.rewrites.push(one(RewriteKind::Edited, was.at));
            }
            if was.gone_s != 0 {
                self.position.emptied_s = 0;
            }
            let recent = Recent { row: print, seen_s: was.seen_s.min(now_s), gone_s: 0, ..was.clone() };
            now.push(recent, Some(row.key));
            // Missing ones follow the row that they came after: what is new may be above them.
            next = now.missing(&before, &there, next..known);
        }
        if self.habits.settled {
            now.date_missing(now_s);
        } else {
            now.forget_missing();
        }
        for recent in before.into_iter().skip(known) {
            now.push(recent, None);
        }
        self.position.recent = now.recent;
        now.keys
    }

    /// Remembered rows that are missing: the oldest of all, as a retention does it, or from among others.
    async fn judge_gone(
        &mut self,
        table: &mut impl Rows,
        keys: &mut Vec<Option<Key>>,
        now_s: i64,
        seen: &mut Seen,
    ) -> Result<(), CollectError> {
        let leading = self.position.recent.iter().take_while(|recent| recent.gone_s != 0).count();
        let mut lowest = false;
        if leading > 0 || self.position.emptied_s != 0 {
            let floor = self.position.floor.as_ref().map(|floor| floor.columns.clone());
            lowest = match &floor {
                Some(floor) => table.rows(Span { after: None, up_to: Some(floor) }, 1).await?.is_empty(),
                None => true,
            };
            if !lowest {
                self.position.emptied_s = 0;
            } else if leading == keys.len() {
                self.emptied(now_s);
            }
        }
        let (emptied_s, overlap_s) = (self.position.emptied_s, self.habits.overlap_s);
        let emptied = emptied_s != 0 && now_s.saturating_sub(emptied_s) >= overlap_s;
        let still = |recent: &Recent| recent.gone_s > 0 && now_s.saturating_sub(recent.gone_s) >= overlap_s;
        let oldest = match lowest {
            true if emptied => leading,
            true if emptied_s == 0 => self.position.recent.iter().take_while(|recent| still(recent)).count(),
            true | false => 0,
        };
        let kind = if emptied { RewriteKind::Removed } else { RewriteKind::Trimmed };
        if oldest > 0 || emptied {
            self.drop_ranges(self.position.ranges.len(), kind, seen);
            self.position.emptied_s = 0;
        }
        let waits = if lowest { leading } else { 0 };
        let recent = std::mem::take(&mut self.position.recent);
        for (at, (recent, key)) in recent.into_iter().zip(std::mem::take(keys)).enumerate() {
            let kind = if at < oldest { kind } else { RewriteKind::Removed };
            if at < oldest || (at >= waits && still(&recent)) {
                join(&mut seen.rewrites, one(kind, recent.at));
            } else {
                self.position.recent.push(recent);
                keys.push(key);
            }
        }
        Ok(())
    }

    /// Nothing at all is there, of a table of which something is known.
    fn emptied(&mut self, now_s: i64) {
        let since_s = self.position.emptied_s;
        if !self.position.recent.is_empty() || !self.position.ranges.is_empty() {
            self.position.emptied_s = if since_s == 0 { now_s } else { since_s.min(now_s) };
        }
    }

    /// Moves rows that have been there long enough, or are too many, below the floor: not past one that is missing and
    /// may come back, and not the uppermost.
    fn settle(&mut self, mut keys: Vec<Option<Key>>, now_s: i64) {
        let recent = &self.position.recent;
        let full = recent.len() > TOO_MANY;
        // A row dated far ahead would take the floor with it, and what comes tomorrow would lie below.
        let ceiling = self.habits.dates.and_then(|form| {
            let tomorrow = jiff::Timestamp::from_second(now_s.saturating_add(86_400)).ok()?;
            Some(tomorrow.strftime(form).to_string())
        });
        let may_settle = |key: &&Option<Key>| match key {
            Some(key) => full || ceiling.as_ref().is_none_or(|ceiling| key[0] <= *ceiling),
            None => full,
        };
        let held = if full { 0 } else { HELD };
        let end = keys.iter().take_while(may_settle).count().min(recent.len().saturating_sub(held));
        let too_many = recent.len().saturating_sub(MAX_RECENT).min(end);
        let old = |recent: &Recent| now_s.saturating_sub(recent.seen_s) >= self.habits.overlap_s;
        let count = too_many + recent[too_many..end].iter().take_while(|recent| old(recent)).count();
        // Rows that share a key stay together.
        let apart = |at: &usize| *at == 0 || *at == recent.len() || recent[at - 1].key != recent[*at].key;
        let lower = (0..=count).rev().find(apart).unwrap_or(0);
        let count = if lower < too_many { (count..=end).find(apart).unwrap_or(lower) } else { lower };
        let Some(last) = keys[..count].iter().rposition(Option::is_some) else { return };
        keys.truncate(last + 1);
        self.position.floor = keys[last].clone().map(|columns| KeyText { columns });
        let settled: Vec<_> = self.position.recent.drain(..=last).collect();
        if self.habits.settled {
            let mut missing = Vec::new();
            for (recent, key) in settled.into_iter().zip(keys) {
                missing.push(recent);
                if let Some(key) = key {
                    missing.drain(..).for_each(|recent| self.add(&recent, &key));
                }
            }
            self.bound_ranges();
        }
    }
}

/// The rows above the floor, while they are put in order.
#[derive(Default)]
struct Remembered {
    recent: Vec<Recent>,
    keys: Vec<Option<Key>>,
}

impl Remembered {
    fn push(&mut self, recent: Recent, key: Option<Key>) {
        self.recent.push(recent);
        self.keys.push(key);
    }

    /// Takes over those that were there before, up to the first that is there now. Returns the place of that one.
    fn missing(&mut self, before: &[Recent], there: &BTreeSet<usize>, places: Range<usize>) -> usize {
        let end = there.range(places.clone()).next().copied().unwrap_or(places.end);
        before[places.start..end].iter().for_each(|recent| self.push(recent.clone(), None));
        end
    }

    /// Says since when rows are missing. It does not count for the uppermost: a copy that is behind has no newer ones.
    fn date_missing(&mut self, now_s: i64) {
        let below = self.keys.iter().rposition(Option::is_some).unwrap_or(0);
        for (at, recent) in self.recent.iter_mut().enumerate().filter(|(at, _)| self.keys[*at].is_none()) {
            let since_s = if recent.gone_s <= 0 { now_s } else { recent.gone_s.min(now_s) };
            recent.gone_s = if at < below { since_s } else { UPPERMOST };
        }
    }

    fn forget_missing(&mut self) {
        let mut keys = self.keys.iter();
        self.recent.retain(|_| keys.next().is_some_and(Option::is_some));
        self.keys.retain(Option::is_some);
    }
}

#[cfg(test)]
mod tests;
