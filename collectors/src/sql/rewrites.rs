//! Findings, and what the sum of a range tells of the rows in it.

use std::collections::BTreeMap;

use proof::Rewrite;
use proof::wire::RewriteKind;

use super::position::{Range, tag};

/// Most rows of a range among which rows that appeared late are looked for.
pub(super) const MOST_PRINTS: usize = 65_536;

/// How a range of no fewer rows than are remembered differs from what is remembered of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Difference {
    /// By rows that were not there before, and by nothing else. Their prints.
    Late(Vec<u64>),
    /// By so many of the old rows, at least, which are not as they were.
    Changed(u64),
    /// By more rows than before. Which they are cannot be told, nor whether the old ones are as they were.
    Unclear,
}

/// Compares a range with all that was read of it, in the order of the rows' keys.
///
/// A row adds its print to the sum, so what was added says which rows were: one or two are searched for among all, more
/// by the tags that a new range has of its rows, or as a run of neighbours. Nobody is accused of what was not found.
pub(super) fn difference(range: &Range, prints: &[u64], rows: u64, sum: u64) -> Difference {
    let more = rows - range.rows;
    let read = prints.len() as u64 == rows;
    let sum = sum.wrapping_sub(range.sum);
    if read && range.is_tagged() {
        let (late, missing) = by_tags(&range.tags, prints);
        if missing > 0 {
            return Difference::Changed(missing);
        }
        if total(&late) == sum {
            return Difference::Late(late);
        }
    }
    match more {
        0 => Difference::Changed(1),
        1 | 2 if read => few(prints, more, sum).map_or(Difference::Changed(1), Difference::Late),
        _ if read => run(prints, more, sum).map_or(Difference::Unclear, Difference::Late),
        _ => Difference::Unclear,
    }
}

/// The prints that are of no known row, and how many known rows are missing.
fn by_tags(tags: &[u32], prints: &[u64]) -> (Vec<u64>, u64) {
    let mut known: BTreeMap<u32, u64> = BTreeMap::new();
    for tag in tags {
        *known.entry(*tag).or_default() += 1;
    }
    let is_late = |print: &&u64| match known.get_mut(&tag(**print)) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        Some(_) | None => true,
    };
    let late = prints.iter().filter(is_late).copied().collect();
    (late, known.values().sum())
}

/// One or two prints of that sum.
fn few(prints: &[u64], count: u64, sum: u64) -> Option<Vec<u64>> {
    if count == 1 {
        return prints.contains(&sum).then(|| vec![sum]);
    }
    let places: BTreeMap<u64, usize> = prints.iter().copied().zip(0..).collect();
    prints.iter().enumerate().find_map(|(at, print)| {
        let other = sum.wrapping_sub(*print);
        places.get(&other).filter(|place| **place != at).map(|_| vec![*print, other])
    })
}

/// Neighbours of that sum, as the rows of one transaction are.
fn run(prints: &[u64], count: u64, sum: u64) -> Option<Vec<u64>> {
    let count = usize::try_from(count).ok()?;
    let mut sum_here = total(prints.get(..count)?);
    for at in 0..=prints.len() - count {
        if sum_here == sum {
            return Some(prints[at..at + count].to_vec());
        }
        let next = prints.get(at + count).copied().unwrap_or_default();
        sum_here = sum_here.wrapping_sub(prints[at]).wrapping_add(next);
    }
    None
}

fn total(prints: &[u64]) -> u64 {
    prints.iter().fold(0, |sum, print| sum.wrapping_add(*print))
}

pub(super) fn one(kind: RewriteKind, at: u64) -> Rewrite {
    Rewrite { kind, from: at, to: at + 1, rows: 1 }
}

pub(super) fn of_range(kind: RewriteKind, range: &Range, rows: u64) -> Rewrite {
    Rewrite { kind, from: range.from, to: range.to, rows: u32::try_from(rows).unwrap_or(u32::MAX) }
}

/// Adds a finding, to the last one where it goes on from there.
pub(super) fn join(rewrites: &mut Vec<Rewrite>, next: Rewrite) {
    match rewrites.last_mut() {
        Some(last) if last.kind == next.kind && last.to == next.from => {
            last.to = next.to;
            last.rows = last.rows.saturating_add(next.rows);
        }
        Some(_) | None => rewrites.push(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(known: &[u64], tagged: bool) -> Range {
        let tags = if tagged { known.iter().map(|print| tag(*print)).collect() } else { Vec::new() };
        Range { rows: known.len() as u64, sum: total(known), tags, ..Range::default() }
    }

    fn compared(known: &[u64], tagged: bool, read: &[u64]) -> Difference {
        difference(&range(known, tagged), read, read.len() as u64, total(read))
    }

    proptest! {
        #[test]
        fn rows_that_were_added_are_told_from_the_known_ones_and_accuse_nobody(
            prints in prop::collection::btree_set(any::<u64>(), 2..200),
            late in prop::collection::vec(any::<bool>(), 200),
            tagged in any::<bool>(),
        ) {
            let (mut known, mut added, mut read) = (Vec::new(), Vec::new(), Vec::new());
            // Known ones of the tags' collisions are as good as impossible among so few.
            for (print, late) in prints.iter().map(|print| print.wrapping_mul(0x9e37_79b9_7f4a_7c15)).zip(late) {
                if late { added.push(print) } else { known.push(print) }
                read.push(print);
            }
            prop_assume!(!known.is_empty() && !added.is_empty());
            let told = compared(&known, tagged, &read);
            if tagged || added.len() < 3 {
                prop_assert_eq!(told, Difference::Late(added));
            } else {
                prop_assert!(told == Difference::Late(added) || told == Difference::Unclear);
            }
        }
    }

    #[test]
    fn an_old_row_that_changed_is_told_where_that_is_certain() {
        let known = [11, 22, 33, 44];
        let table: &[(&[u64], bool, Difference)] = &[
            (&[11, 22, 33, 45], true, Difference::Changed(1)),
            (&[12, 22, 33, 45], true, Difference::Changed(2)),
            (&[11, 22, 33, 45], false, Difference::Changed(1)),
            // A row more, which does not explain the sum.
            (&[11, 22, 33, 45, 90], false, Difference::Changed(1)),
            (&[11, 22, 33, 45, 90, 91, 95], true, Difference::Changed(1)),
            // Three more: neighbours that explain it, or a doubt.
            (&[11, 22, 90, 91, 95, 33, 44], false, Difference::Late(vec![90, 91, 95])),
            (&[11, 22, 90, 33, 91, 44, 95], false, Difference::Unclear),
            (&[11, 22, 90, 33, 91, 44, 95], true, Difference::Late(vec![90, 91, 95])),
            (&[11, 22, 33, 45, 90, 91, 95], false, Difference::Unclear),
        ];
        for (read, tagged, expected) in table {
            assert_eq!(compared(&known, *tagged, read), *expected, "{read:?} {tagged}");
        }
    }
}
