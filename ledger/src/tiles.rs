//! The log as anybody may fetch, mirror and check it: the resources of C2SP tlog-tiles
//! (<https://c2sp.org/tlog-tiles>), by their paths below the log's address.
//!
//! They hold hashes and log entries: who sent what is in them by key and number, and nothing else.

use tlog_tiles::Tile;

use crate::{LedgerError, Read};

/// Levels of a tree that fit below one tile.
const HEIGHT: u8 = 8;
/// Hashes or entries of a whole tile.
const WIDTH: u16 = 1 << HEIGHT;
/// The log has at most 2^53 entries: no level above this one has a hash.
const LEVELS: u8 = 53_u8.div_ceil(HEIGHT);
/// Longest path: of a log with 2^53 entries.
const MAX_PATH: usize = 48;

/// One resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// `checkpoint`: the newest signed head of the log.
    Checkpoint,
    /// `tile/<level>/<index>[.p/<width>]`: hashes of the tree, 32 bytes each.
    Hashes {
        /// In steps of eight levels of the tree, from 0.
        level: u8,
        /// Which of its level, from 0.
        index: u64,
        /// How many hashes, 1 to 256.
        width: u16,
    },
    /// `tile/entries/<index>[.p/<width>]`: log entries, each after its length in two bytes, big-endian.
    Entries {
        /// Which, from 0.
        index: u64,
        /// How many entries, 1 to 256.
        width: u16,
    },
}

impl Resource {
    /// The resource at this path; `None` where none can be. There is one way to write each.
    pub fn at(path: &str) -> Option<Self> {
        if path == "checkpoint" {
            return Some(Self::Checkpoint);
        }
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, WIDTH),
            Some((index, width)) => (index, decimal(width).filter(|width| (1..WIDTH).contains(width))?),
        };
        let mut number = 0_u64;
        for part in index.split('/') {
            let digits = part.strip_prefix('x').unwrap_or(part);
            let digits = Some(digits).filter(|digits| digits.len() == 3)?;
            number = number.checked_mul(1_000)?.checked_add(u64::from(decimal_of_three(digits)?))?;
        }
        let resource = match level {
            "entries" => Self::Entries { index: number, width },
            level => {
                Self::Hashes { level: decimal(level).filter(|level| *level < LEVELS)?, index: number, width }
            }
        };
        (path.len() <= MAX_PATH && resource.path() == path).then_some(resource)
    }

    /// Its path.
    pub fn path(&self) -> String {
        let (level, index, width) = match *self {
            Self::Checkpoint => return "checkpoint".to_owned(),
            Self::Hashes { level, index, width } => (level.to_string(), index, width),
            Self::Entries { index, width } => ("entries".to_owned(), index, width),
        };
        let tile = Tile::new(HEIGHT, 0, index, u32::from(width), false).path();
        let number = tile.strip_prefix("tile/8/0/").unwrap_or(&tile);
        format!("tile/{level}/{number}")
    }

    /// Whether it is the same for ever.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Hashes { width: WIDTH, .. } | Self::Entries { width: WIDTH, .. })
    }

    /// Its bytes; `None` while the log is not that long.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn read(&self, ledger: &dyn Read) -> Result<Option<Vec<u8>>, LedgerError> {
        let checkpoint = ledger.checkpoint()?;
        let (level, index, width) = match *self {
            Self::Checkpoint => {
                return Ok(Some(checkpoint.note.into_bytes()).filter(|note| !note.is_empty()));
            }
            Self::Hashes { level, index, width } => (level, index, width),
            Self::Entries { index, width } => (0, index, width),
        };
        let there = checkpoint.size >> (level * HEIGHT);
        let first = index.checked_mul(u64::from(WIDTH));
        let Some(first) = first.filter(|first| first.saturating_add(u64::from(width)) <= there) else {
            return Ok(None);
        };
        if let Self::Hashes { .. } = self {
            return ledger.hashes(level * HEIGHT, first, width).map(|hashes| Some(hashes.concat()));
        }
        let mut bytes = Vec::new();
        for entry in ledger.log_entries(first, width)? {
            let length = u16::try_from(entry.len())
                .map_err(|_| LedgerError::Damaged(format!("a log entry of {} bytes", entry.len())))?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&entry);
        }
        Ok(Some(bytes))
    }
}

fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn decimal_of_three(text: &str) -> Option<u16> {
    decimal(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_resource_has_one_path_and_nothing_else_is_one() {
        let table = [
            ("checkpoint", Resource::Checkpoint),
            ("tile/0/000", Resource::Hashes { level: 0, index: 0, width: 256 }),
            ("tile/1/067.p/8", Resource::Hashes { level: 1, index: 67, width: 8 }),
            ("tile/0/x001/x234/067", Resource::Hashes { level: 0, index: 1_234_067, width: 256 }),
            ("tile/entries/x012/345.p/255", Resource::Entries { index: 12_345, width: 255 }),
        ];
        for (path, resource) in table {
            assert_eq!(Resource::at(path), Some(resource), "{path}");
            assert_eq!(resource.path(), path);
        }
        for path in [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/7/000",
            "tile/200/000",
            "tile/-1/000",
            "tile/+1/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/",
            "tile/0/000.p/08",
            "tile/0/x000/000",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/0/000/",
            "tile/data/000",
            "tile/8/0/000",
            "tile/0/+01",
            "tile/0/x999/x999/x999/x999/x999/x999/999",
            "checkpoint/",
            "/checkpoint",
        ] {
            assert_eq!(Resource::at(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_a_panic_and_what_is_read_is_written_the_same(path in "(tile/)?[0-9a-x/.+-]{0,60}") {
            if let Some(resource) = Resource::at(&path) {
                prop_assert_eq!(resource.path(), path);
            }
        }
    }
}
