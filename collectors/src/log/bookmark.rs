//! Where reading stands, as bytes that are stored with the records.
//!
//! A file is known by device and inode *and* by what it holds: a hash of its first bytes and one of the bytes before
//! the offset. Each alone fails: inodes are used again, files begin alike, and a truncated file grows past the old
//! offset. The hashes keep the log's text out of the bookmark.

use sha2::{Digest as _, Sha256};

/// First bytes of a file that identify it.
pub(super) const HEAD: usize = 256;
/// Bytes before the offset that must still be there.
pub(super) const TAIL: usize = 64;

const VERSION: u8 = 1;
const LENGTH: usize = 1 + 8 + 8 + 8 + 8 + 1 + 2 + 16 + 1 + 16;

/// Where reading stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bookmark {
    /// Bytes read over all of the log's files.
    pub(super) total: u64,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Bytes read of this file.
    pub(super) offset: u64,
    /// The offset is inside a line that is too long to keep.
    pub(super) in_long_line: bool,
    pub(super) head: Print,
    pub(super) tail: Print,
}

/// Length and hash of some bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Print {
    pub(super) length: u16,
    pub(super) hash: [u8; 16],
}

impl Print {
    /// Of at most 65,535 bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let length = u16::try_from(bytes.len()).expect("prints are of short pieces");
        let digest = Sha256::digest(bytes);
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        Self { length, hash }
    }
}

impl Bookmark {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(VERSION);
        for number in [self.total, self.device, self.inode, self.offset] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.push(u8::from(self.in_long_line));
        bytes.extend(self.head.length.to_be_bytes());
        bytes.extend(self.head.hash);
        bytes.push(u8::try_from(self.tail.length).expect("tails are at most 64 bytes"));
        bytes.extend(self.tail.hash);
        bytes
    }

    /// `None` for anything but a bookmark of this version with lengths that fit its offset.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != LENGTH || bytes[0] != VERSION {
            return None;
        }
        let number = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let hash = |at: usize| bytes.get(at..at + 16)?.try_into().ok();
        let read = Self {
            total: number(1)?,
            device: number(9)?,
            inode: number(17)?,
            offset: number(25)?,
            in_long_line: bytes[33] != 0,
            head: Print { length: u16::from_be_bytes([bytes[34], bytes[35]]), hash: hash(36)? },
            tail: Print { length: u16::from(bytes[52]), hash: hash(53)? },
        };
        let head = u64::from(read.head.length);
        let tail = u64::from(read.tail.length);
        let fits = head == read.offset.min(HEAD as u64) && tail == read.offset.min(TAIL as u64);
        (fits && read.total >= read.offset).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bookmark_reads_back_as_written() {
        let mark = Bookmark {
            total: 9_000,
            device: 1,
            inode: 2,
            offset: 300,
            in_long_line: true,
            head: Print::of(&[7; HEAD]),
            tail: Print::of(&[8; TAIL]),
        };
        assert_eq!(Bookmark::decode(&mark.encode()), Some(mark));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_bookmark_or_a_consistent_one(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(mark) = Bookmark::decode(&bytes) {
                prop_assert!(mark.total >= mark.offset);
            }
        }
    }
}
