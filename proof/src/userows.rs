//! Use rows: who (by pseudonym) did what, when, in one window. A detached part: it can be deleted after its time and
//! the window stays verifiable by its digest.

use std::collections::BTreeMap;

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::wire::{self, ActionClass, ActorClass, ExclusionReason, Origin};

/// Most rows in one window; what is beyond is declared as a gap.
pub const MAX_ROWS: usize = 8192;

/// With this many rows a window is sealed early: what is left has room for one more look at a log.
pub const FULL_ROWS: usize = 3000;

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UseRow {
    /// Source index in the manifest.
    pub source: u16,
    /// Module code of the manifest, 0 for none.
    pub module: u16,
    /// What was done.
    pub action: ActionClass,
    /// Whose pseudonym.
    pub actor: [u8; 8],
    /// What the account is.
    pub actor_class: ActorClass,
    /// Why it is excluded, where it is.
    pub reason: ExclusionReason,
    /// Seen as it happened, or read later.
    pub origin: Origin,
    /// Local event date, days since 1970-01-01.
    pub day: i32,
    /// First minute of that day, 0..1440.
    pub first_minute: u16,
    /// Last minute of that day, 0..1440.
    pub last_minute: u16,
    /// How many.
    pub count: u32,
}

/// Bytes that are not use rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not use rows: {0}")]
pub struct NotUseRows(&'static str);

/// What tells one row from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    /// Source index.
    pub source: u16,
    /// Module code.
    pub module: u16,
    /// Action class code.
    pub action: i32,
    /// Index into the table's actors.
    pub actor: u32,
    /// Origin code.
    pub origin: i32,
    /// Local event date.
    pub day: i32,
}

/// Gathers the rows of one window.
#[derive(Debug, Clone, Default)]
pub struct UseTable {
    actors: Vec<wire::Actor>,
    index: BTreeMap<([u8; 8], i32, i32), u32>,
    rows: BTreeMap<RowKey, (u16, u16, u32)>,
}

impl UseTable {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Index of an actor, in order of first appearance.
    pub fn actor(&mut self, pseudonym: [u8; 8], class: ActorClass, reason: ExclusionReason) -> u32 {
        let actors = &mut self.actors;
        *self.index.entry((pseudonym, class.into(), reason.into())).or_insert_with(|| {
            actors.push(wire::Actor {
                pseudonym: pseudonym.to_vec(),
                class: code(class),
                reason: code(reason),
            });
            u32::try_from(actors.len() - 1).expect("fewer actors than rows")
        })
    }

    /// Counts one record; `false` when the table is full and it was not counted.
    pub fn count(&mut self, key: RowKey, minute: u16) -> bool {
        let full = self.rows.len() >= MAX_ROWS;
        match self.rows.get_mut(&key) {
            Some((first, last, count)) => {
                *first = (*first).min(minute);
                *last = (*last).max(minute);
                *count = count.saturating_add(1);
            }
            None if full => return false,
            None => drop(self.rows.insert(key, (minute, minute, 1))),
        }
        true
    }

    /// The encoded rows; empty when there are none.
    pub fn encode(&self, base_day: i32) -> Vec<u8> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let mut table = wire::UseRows {
            actors: self.actors.clone(),
            base_day: u32::try_from(base_day).unwrap_or(0),
            ..Default::default()
        };
        for (key, (first, last, count)) in &self.rows {
            table.source.push(u32::from(key.source));
            table.module.push(u32::from(key.module));
            table.action.push(key.action.unsigned_abs());
            table.actor.push(key.actor);
            table.origin.push(key.origin.unsigned_abs());
            table.day.push(key.day.saturating_sub(base_day.max(0)));
            table.first_minute.push(u32::from(*first));
            table.span_minutes.push(u32::from(last - first));
            table.count.push(*count);
        }
        table.encode_to_vec()
    }
}

/// What stands in a window's `use_digest` for these bytes: nothing for none.
pub fn digest(encoded: &[u8]) -> Vec<u8> {
    if encoded.is_empty() { Vec::new() } else { Sha256::digest(encoded).to_vec() }
}

/// Reads use rows, within bounds.
///
/// # Errors
/// When the columns differ in length or a value is outside its range.
pub fn parse(encoded: &[u8]) -> Result<Vec<UseRow>, NotUseRows> {
    let table = wire::UseRows::decode(encoded).map_err(|_| NotUseRows("not the protobuf message"))?;
    let rows = table.count.len();
    let columns = [
        table.source.len(),
        table.module.len(),
        table.action.len(),
        table.actor.len(),
        table.origin.len(),
        table.day.len(),
        table.first_minute.len(),
        table.span_minutes.len(),
    ];
    if rows > MAX_ROWS || table.actors.len() > rows {
        return Err(NotUseRows("too many rows or actors"));
    }
    if columns.iter().any(|len| *len != rows) {
        return Err(NotUseRows("columns of different lengths"));
    }
    (0..rows).map(|at| row(&table, at)).collect()
}

fn row(table: &wire::UseRows, at: usize) -> Result<UseRow, NotUseRows> {
    let wrong = NotUseRows;
    let actor = usize::try_from(table.actor[at]).ok().and_then(|index| table.actors.get(index));
    let actor = actor.ok_or(wrong("an actor that is not listed"))?;
    let (first, last) =
        (table.first_minute[at], table.first_minute[at].saturating_add(table.span_minutes[at]));
    if last >= 1440 {
        return Err(wrong("a minute outside the day"));
    }
    let day = i64::from(table.base_day) + i64::from(table.day[at]);
    Ok(UseRow {
        source: u16::try_from(table.source[at]).map_err(|_| wrong("a source out of range"))?,
        module: u16::try_from(table.module[at]).map_err(|_| wrong("a module out of range"))?,
        action: ActionClass::try_from(to_code(table.action[at])?).unwrap_or(ActionClass::Other),
        actor: actor.pseudonym.as_slice().try_into().map_err(|_| wrong("a pseudonym is not 8 bytes"))?,
        actor_class: ActorClass::try_from(to_code(actor.class)?).unwrap_or(ActorClass::Unspecified),
        reason: ExclusionReason::try_from(to_code(actor.reason)?).unwrap_or(ExclusionReason::None),
        origin: Origin::try_from(to_code(table.origin[at])?).map_err(|_| wrong("an unknown origin"))?,
        day: i32::try_from(day).map_err(|_| wrong("a day out of range"))?,
        first_minute: u16::try_from(first).map_err(|_| wrong("a minute outside the day"))?,
        last_minute: u16::try_from(last).map_err(|_| wrong("a minute outside the day"))?,
        count: table.count[at],
    })
}

/// The code of a wire enumeration in a column.
fn code(value: impl Into<i32>) -> u32 {
    value.into().unsigned_abs()
}

fn to_code(value: u32) -> Result<i32, NotUseRows> {
    i32::try_from(value).map_err(|_| NotUseRows("a code out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(actor: u32, day: i32) -> RowKey {
        RowKey {
            source: 1,
            module: 7,
            action: ActionClass::Report.into(),
            actor,
            origin: Origin::Live.into(),
            day,
        }
    }

    #[test]
    fn rows_are_gathered_and_read_back() {
        let mut table = UseTable::default();
        let wang = table.actor([1; 8], ActorClass::Human, ExclusionReason::None);
        let admin = table.actor([2; 8], ActorClass::Excluded, ExclusionReason::Admin);
        for minute in [500, 481, 482] {
            assert!(table.count(key(wang, 20_000), minute));
        }
        assert!(table.count(key(admin, 19_998), 3));
        let rows = parse(&table.encode(20_000)).unwrap();
        let seen: Vec<_> =
            rows.iter().map(|r| (r.actor, r.day, r.first_minute, r.last_minute, r.count)).collect();
        assert_eq!(seen, [([1; 8], 20_000, 481, 500, 3), ([2; 8], 19_998, 3, 3, 1)]);
        assert_eq!(rows[1].reason, ExclusionReason::Admin);
    }

    #[test]
    fn a_row_costs_at_most_24_bytes_even_with_an_actor_each() {
        let (mut few, mut many) = (UseTable::default(), UseTable::default());
        for (table, actors) in [(&mut few, 1_u8), (&mut many, 41)] {
            for at in 0..actors {
                let actor = table.actor([at; 8], ActorClass::Human, ExclusionReason::None);
                assert!(table.count(key(actor, 20_000), 1430));
            }
        }
        let per_row = (many.encode(20_000).len() - few.encode(20_000).len()).div_ceil(40);
        assert!(per_row <= 24, "{per_row} bytes");
    }

    #[test]
    fn a_full_table_says_so() {
        let mut table = UseTable::default();
        let actor = table.actor([1; 8], ActorClass::Human, ExclusionReason::None);
        let full = i32::try_from(MAX_ROWS).unwrap();
        assert!((0..full).all(|day| table.count(key(actor, day), 0)));
        assert!(!table.count(key(actor, full), 0));
        assert!(table.count(key(actor, 0), 0));
        assert_eq!(parse(&table.encode(0)).unwrap().len(), MAX_ROWS);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&bytes));
        }
    }
}
