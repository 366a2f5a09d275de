//! Where reading stands, as bytes that are stored with the records.
//!
//! Each file is known by device and inode *and* by what it holds: a hash of its first bytes and one of the bytes before
//! the offset. Each alone fails: inodes are used again, files begin alike, and a truncated file grows past the old
//! offset. With them go the hashes of all that was read ([`super::blocks`]). Hashes keep the log's text out of the
//! bookmark.
//!
//! A bookmark stays below [`MAX_BYTES`]: of too many files the oldest go without the hashes of what was read. Version 1,
//! of one file and without those hashes, is still read.

use super::blocks::{Hash, LEAF, Node, leaf};

/// First bytes of a file that identify it.
pub(super) const HEAD: usize = 256;
/// Bytes before the offset that must still be there.
pub(super) const TAIL: usize = 64;
/// Most files one bookmark can hold.
pub(super) const MAX_FILES: usize = 700;
/// Longest bookmark: the buffer takes 64 KiB.
const MAX_BYTES: usize = 60 * 1024;
/// Most nodes of one file.
const MAX_NODES: u64 = 1_024;

const VERSION_1: u8 = 1;
const LENGTH_1: usize = 1 + 8 + 8 + 8 + 8 + 1 + 2 + 16 + 1 + 16;
const VERSION: u8 = 2;

/// Where reading of a log stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Bookmark {
    /// Bytes read over all of the log's files.
    pub(super) total: u64,
    /// How many leaves have been checked again since the beginning.
    pub(super) checked: u64,
    /// Of the files that were let go the one written to last, and when, Unix ms: what is not later is not new.
    pub(super) forgotten: (u64, u64),
    /// Oldest first.
    pub(super) files: Vec<Mark>,
}

/// Where reading of one file stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Hash of the path at which it was written to.
    pub(super) home: u64,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Bytes read of it.
    pub(super) offset: u64,
    /// When it was last written to, Unix ms.
    pub(super) written_ms: u64,
    /// Event times of its first record and of its latest, Unix ms, where records have them.
    pub(super) span_ms: Option<(u64, u64)>,
    /// Where the line stands that names its columns.
    pub(super) header: Option<u64>,
    /// The offset is inside a line that is too long to keep.
    pub(super) in_long_line: bool,
    /// It had been renamed away from its home.
    pub(super) is_away: bool,
    pub(super) head: Hash,
    pub(super) tail: Hash,
    pub(super) read: Covered,
}

/// What had been read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Covered {
    pub(super) start: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) open: Hash,
    /// The open leaf's positions.
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Mark {
    pub(super) fn head_length(&self) -> usize {
        usize::try_from(self.offset).map_or(HEAD, |offset| offset.min(HEAD))
    }

    pub(super) fn tail_length(&self) -> usize {
        usize::try_from(self.offset).map_or(TAIL, |offset| offset.min(TAIL))
    }

    fn encode(&self, bytes: &mut Vec<u8>, with_nodes: bool) {
        bytes.extend(self.home.to_be_bytes());
        let header = self.header.map_or(0, |at| at + 1);
        let (first, latest) = self.span_ms.map_or((0, 0), |(first, latest)| (first + 1, latest - first));
        for number in [self.device, self.inode, self.offset, self.written_ms, header, first, latest] {
            put(bytes, number);
        }
        bytes.push(u8::from(self.in_long_line) | u8::from(self.is_away) << 1);
        bytes.extend(self.head);
        bytes.extend(self.tail);
        let nodes = if with_nodes { self.read.nodes.as_slice() } else { &[] };
        let skipped: u64 = self.read.nodes.iter().map(Node::length).sum();
        put(bytes, if with_nodes { self.read.start } else { self.read.start + skipped });
        put(bytes, nodes.len() as u64);
        let mut last = 0;
        for node in nodes {
            bytes.push(node.level);
            bytes.extend(node.hash);
            put(bytes, node.from.wrapping_sub(last));
            put(bytes, node.to - node.from);
            last = node.to;
        }
        bytes.extend(self.read.open);
        put(bytes, self.read.from);
        put(bytes, self.read.to - self.read.from);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let home = u64::from_be_bytes(take(bytes)?);
        let mut next = || number(bytes);
        let (device, inode, offset, written_ms) = (next()?, next()?, next()?, next()?);
        let header = next()?.checked_sub(1);
        let (first, length) = (next()?.checked_sub(1), next()?);
        let span_ms = match first {
            None => None,
            Some(first) => Some((first, first.checked_add(length).filter(|latest| *latest < u64::MAX)?)),
        };
        let [flags] = take(bytes)?;
        let (in_long_line, is_away) = (flags & 1 != 0, flags & 2 != 0);
        let (head, tail) = (take(bytes)?, take(bytes)?);
        let start = number(bytes)?;
        let mut nodes = Vec::new();
        let (mut last, mut end) = (0_u64, start);
        for _ in 0..Some(number(bytes)?).filter(|count| *count <= MAX_NODES)? {
            let [level] = take(bytes)?;
            let hash = take(bytes)?;
            let from = last.wrapping_add(number(bytes)?);
            let to = from.checked_add(number(bytes)?)?;
            let length = LEAF.checked_shl(level.into()).filter(|length| length >> level == LEAF)?;
            end = end.checked_add(length)?;
            nodes.push(Node { level, hash, from, to });
            last = to;
        }
        let open = take(bytes)?;
        let from = number(bytes)?;
        let to = from.checked_add(number(bytes)?)?;
        let fits = end <= offset && offset - end < LEAF;
        let read = Covered { start, nodes, open, from, to };
        let mark = Self {
            home,
            device,
            inode,
            offset,
            written_ms,
            span_ms,
            header,
            in_long_line,
            is_away,
            head,
            tail,
            read,
        };
        fits.then_some(mark)
    }
}

impl Bookmark {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.encoded(0);
        let mut without = self.files.len() / 2;
        while bytes.len() > MAX_BYTES && without < self.files.len() {
            without += (self.files.len() - without).div_ceil(2);
            bytes = self.encoded(without);
        }
        bytes
    }

    fn encoded(&self, without_nodes: usize) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for number in [self.total, self.checked, self.forgotten.0, self.forgotten.1, self.files.len() as u64]
        {
            put(&mut bytes, number);
        }
        for (at, file) in self.files.iter().enumerate() {
            file.encode(&mut bytes, at >= without_nodes);
        }
        bytes
    }

    /// `None` for anything but a bookmark of a known version with lengths that fit its offsets.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [VERSION, rest @ ..] => {
                let mut rest = rest;
                let mut next = || number(&mut rest);
                let (total, checked, forgotten) = (next()?, next()?, (next()?, next()?));
                let count = number(&mut rest)?;
                let mut files = Vec::new();
                for _ in 0..Some(count).filter(|count| *count <= MAX_FILES as u64)? {
                    files.push(Mark::decode(&mut rest)?);
                }
                let fits = rest.is_empty() && files.iter().all(|file| file.read.to <= total);
                fits.then_some(Self { total, checked, forgotten, files })
            }
            [VERSION_1, ..] => Self::decode_1(bytes),
            _ => None,
        }
    }

    fn decode_1(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != LENGTH_1 {
            return None;
        }
        let number = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let hash = |at: usize| bytes.get(at..at + 12)?.try_into().ok();
        let (total, offset) = (number(1)?, number(25)?);
        let read = Covered { start: offset, nodes: Vec::new(), open: leaf(&[]), from: total, to: total };
        let mark = Mark {
            home: 0,
            device: number(9)?,
            inode: number(17)?,
            offset,
            written_ms: 0,
            span_ms: None,
            header: None,
            in_long_line: bytes[33] != 0,
            is_away: false,
            head: hash(36)?,
            tail: hash(53)?,
            read,
        };
        let head = usize::from(u16::from_be_bytes([bytes[34], bytes[35]]));
        let fits = head == mark.head_length() && usize::from(bytes[52]) == mark.tail_length();
        (fits && total >= offset).then(|| Self { total, checked: 0, forgotten: (0, 0), files: vec![mark] })
    }
}

/// Seven bits a byte, the lowest first.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = (number & 0x7F) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(bytes)?;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_at_checked(N)?;
    *bytes = rest;
    taken.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark(inode: u64, leaves: u64) -> Mark {
        let node = |at: u64| Node { level: 0, hash: [7; 12], from: at * LEAF, to: (at + 1) * LEAF };
        let (nodes, open) = ((0..leaves).map(node).collect(), leaf(b"open"));
        let read = Covered { start: 0, nodes, open, from: leaves * LEAF, to: leaves * LEAF + 300 };
        Mark {
            home: 5,
            device: 1,
            inode,
            offset: leaves * LEAF + 300,
            written_ms: 1_750_206_105_000,
            span_ms: Some((1_750_206_000_000, 1_750_206_104_000)),
            header: Some(0),
            in_long_line: true,
            is_away: true,
            head: leaf(&[7; HEAD]),
            tail: leaf(&[8; TAIL]),
            read,
        }
    }

    #[test]
    fn a_bookmark_reads_back_as_written() {
        let files = vec![mark(2, 0), mark(3, 12)];
        let bookmark = Bookmark { total: 9_000_000, checked: 70, forgotten: (5, u64::MAX), files };
        assert_eq!(Bookmark::decode(&bookmark.encode()), Some(bookmark));
    }

    #[test]
    fn a_bookmark_of_as_many_files_as_may_be_known_fits_the_buffer() {
        let files = (0..MAX_FILES as u64).map(|inode| mark(inode << 20, 8)).collect();
        let bytes = Bookmark { total: u64::MAX / 2, checked: 0, forgotten: (0, 0), files }.encode();
        assert!(bytes.len() < 64 * 1024, "{}", bytes.len());
        assert_eq!(Bookmark::decode(&bytes).unwrap().files.len(), MAX_FILES);
    }

    #[test]
    fn a_bookmark_of_version_1_is_read_and_claims_to_know_nothing_of_what_came_before() {
        let mut bytes = vec![1_u8];
        for number in [9_000_u64, 1, 2, 300] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.push(0);
        bytes.extend(256_u16.to_be_bytes());
        bytes.extend([3; 16]);
        bytes.push(64);
        bytes.extend([4; 16]);
        let bookmark = Bookmark::decode(&bytes).unwrap();
        let file = &bookmark.files[0];
        assert_eq!((bookmark.total, file.inode, file.offset, file.read.start), (9_000, 2, 300, 300));
        assert_eq!((file.head, file.tail), ([3; 12], [4; 12]));
        assert_eq!(Bookmark::decode(&bookmark.encode()), Some(bookmark));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_bookmark_or_a_consistent_one(
            version in 1_u8..4, bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Some(mark) = Bookmark::decode(&[&[version], bytes.as_slice()].concat()) {
                prop_assert!(mark.files.iter().all(|file| file.read.start <= file.offset));
            }
        }
    }
}
