//! Where reading of a table stands, as bytes that are stored with the rows.
//!
//! Nothing of a row stands in it but keyed prints and the keys that bound ranges: who reads a bookmark learns the order
//! of the table, and who changes a row cannot find one that prints alike without the key. It is bounded: 500 rows, 128
//! ranges and the tags of 16 of them, some 30 KB at most; while rows are missing, up to four times as many rows.

use prost::Message;
use sha2::{Digest as _, Sha256};

/// Most rows that are remembered one by one.
pub(super) const MAX_RECENT: usize = 500;
/// Most ranges of rows that are remembered as sums.
pub(super) const MAX_RANGES: usize = 128;
/// Longest key, all columns together, in bytes.
pub(super) const MAX_KEY: usize = 2_048;

const VERSION: u32 = 1;

/// The columns that order the rows, as text.
pub(super) type Key = Vec<String>;

/// Where reading of a table stands.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Position {
    #[prost(uint32, tag = "1")]
    version: u32,
    /// What prints are made with; of this source alone, made at its first look.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) secret: Vec<u8>,
    /// Print of the table's name and keys.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) table: Vec<u8>,
    /// Print of what is read of a row.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) fields: Vec<u8>,
    /// Rows handed over so far: the position of the next.
    #[prost(uint64, tag = "5")]
    pub(super) total: u64,
    /// Rows up to here are in ranges; absent before the first is.
    #[prost(message, optional, tag = "6")]
    pub(super) floor: Option<KeyText>,
    /// Rows above it, in their order.
    #[prost(message, repeated, tag = "7")]
    pub(super) recent: Vec<Recent>,
    /// Rows below it, in their order.
    #[prost(message, repeated, tag = "8")]
    pub(super) ranges: Vec<Range>,
    /// The range that is read again next.
    #[prost(uint32, tag = "9")]
    pub(super) next: u32,
    /// Since when nothing at all is in the table, Unix seconds; 0 while something is.
    #[prost(int64, tag = "10")]
    pub(super) emptied_s: i64,
    /// Rows up to here are not compared any more: they were read in another way.
    #[prost(message, optional, tag = "11")]
    pub(super) base: Option<KeyText>,
    /// The table's name and keys, for messages.
    #[prost(string, tag = "12")]
    pub(super) name: String,
    /// What the texts of keys are read as.
    #[prost(string, tag = "13")]
    pub(super) texts: String,
}

/// A key.
#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyText {
    #[prost(string, repeated, tag = "1")]
    pub(super) columns: Key,
}

/// A row that is remembered by itself.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Recent {
    #[prost(fixed64, tag = "1")]
    pub(super) key: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) row: u64,
    /// When it was first seen, Unix seconds.
    #[prost(int64, tag = "3")]
    pub(super) seen_s: i64,
    /// Its position.
    #[prost(uint64, tag = "4")]
    pub(super) at: u64,
    /// Since when it is missing though newer ones are there, Unix seconds; -1 while none is; 0 while it is there itself.
    #[prost(int64, tag = "5")]
    pub(super) gone_s: i64,
}

/// Rows that are remembered as their number and the sum of their prints.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Range {
    /// Key of the last; the range begins after the one before.
    #[prost(message, required, tag = "1")]
    pub(super) high: KeyText,
    /// Print of the first one's key.
    #[prost(fixed64, tag = "2")]
    pub(super) first: u64,
    #[prost(uint64, tag = "3")]
    pub(super) rows: u64,
    #[prost(fixed64, tag = "4")]
    pub(super) sum: u64,
    /// Lowest position, and the one after the highest.
    #[prost(uint64, tag = "5")]
    pub(super) from: u64,
    #[prost(uint64, tag = "6")]
    pub(super) to: u64,
    /// The lower halves of its rows' prints, in no order; of the newest ranges.
    #[prost(fixed32, repeated, tag = "7")]
    pub(super) tags: Vec<u32>,
    /// It was read otherwise than it is remembered.
    #[prost(message, optional, tag = "8")]
    pub(super) doubt: Option<Doubt>,
}

/// What a range was read as last, when that was not as it is remembered.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Doubt {
    #[prost(uint64, tag = "1")]
    pub(super) rows: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) sum: u64,
    /// When it was first read so, Unix seconds.
    #[prost(int64, tag = "3")]
    pub(super) since_s: i64,
}

impl Position {
    /// Before the first row.
    pub(super) fn new(secret: [u8; 16], table: [u8; 8], fields: [u8; 8]) -> Self {
        Self {
            version: VERSION,
            secret: secret.to_vec(),
            table: table.to_vec(),
            fields: fields.to_vec(),
            ..Self::default()
        }
    }

    /// What is read of a row may be something else than before: then what is remembered of rows cannot be compared.
    pub(super) fn reads(&mut self, fields: [u8; 8]) {
        if self.fields != fields {
            self.fields = fields.to_vec();
            self.ranges.clear();
            self.next = 0;
            self.base = self.floor.clone();
            self.recent.iter_mut().for_each(|recent| recent.row = 0);
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// `None` for anything but a position of this version within its bounds.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let read = <Self as Message>::decode(bytes).ok()?;
        let bounded = read.secret.len() == 16 && read.ranges.len() <= MAX_RANGES;
        (read.version == VERSION && bounded).then_some(read)
    }

    /// Keyed print of some texts; absent ones are told from empty ones.
    pub(super) fn print<'a>(&self, what: u8, texts: impl Iterator<Item = Option<&'a str>>) -> u64 {
        let mut hash = Sha256::new().chain_update(&self.secret).chain_update([what]);
        for text in texts {
            match text {
                None => hash.update([0]),
                Some(text) => {
                    hash.update([1]);
                    hash.update((text.len() as u64).to_be_bytes());
                    hash.update(text);
                }
            }
        }
        let digest = hash.finalize();
        u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }
}

/// The part of a print that is kept of each row of a new range.
#[expect(clippy::cast_possible_truncation, reason = "that is what a tag is")]
pub(super) const fn tag(print: u64) -> u32 {
    print as u32
}

impl Range {
    /// Whether its tags are those of all of its rows.
    pub(super) fn is_tagged(&self) -> bool {
        self.rows > 0 && self.tags.len() as u64 == self.rows
    }

    pub(super) fn key(&self) -> &Key {
        &self.high.columns
    }

    /// Takes in the rows of the range after it. What was read otherwise than remembered adds up, too.
    pub(super) fn join(&mut self, after: Self) {
        if self.doubt.is_some() || after.doubt.is_some() {
            let (mine, others) = (self.last_read(), after.last_read());
            let (rows, sum) = (mine.rows + others.rows, mine.sum.wrapping_add(others.sum));
            self.doubt = Some(Doubt { rows, sum, since_s: mine.since_s.max(others.since_s) });
        }
        self.high = after.high;
        self.rows += after.rows;
        self.sum = self.sum.wrapping_add(after.sum);
        self.tags.extend(after.tags);
        self.from = self.from.min(after.from);
        self.to = self.to.max(after.to);
    }

    fn last_read(&self) -> Doubt {
        let remembered = Doubt { rows: self.rows, sum: self.sum, since_s: i64::MIN };
        self.doubt.clone().unwrap_or(remembered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_position_reads_back_as_written_and_another_version_does_not() {
        let mut position = Position::new([7; 16], [1; 8], [2; 8]);
        position.recent.push(Recent { key: 1, row: 2, seen_s: 3, at: 4, gone_s: 5 });
        let high = KeyText { columns: vec!["20250618".into(), String::new()] };
        position.ranges.push(Range {
            high: high.clone(),
            rows: 5,
            sum: 6,
            from: 7,
            to: 8,
            ..Range::default()
        });
        position.floor = Some(high);
        assert_eq!(Position::decode(&position.encode()), Some(position.clone()));
        position.version = 2;
        assert_eq!(Position::decode(&position.encode()), None);
    }

    #[test]
    fn an_absent_text_prints_unlike_an_empty_one_and_texts_do_not_run_together() {
        let position = Position::new([7; 16], [1; 8], [2; 8]);
        let print = |texts: &[Option<&str>]| position.print(b'r', texts.iter().copied());
        let all = [
            print(&[None, Some("ab")]),
            print(&[Some(""), Some("ab")]),
            print(&[Some("a"), Some("b")]),
            print(&[Some("ab"), Some("")]),
            print(&[Some("ab")]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{at}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_position_or_a_bounded_one(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(position) = Position::decode(&bytes) {
                prop_assert!(position.ranges.len() <= MAX_RANGES);
            }
        }
    }
}
