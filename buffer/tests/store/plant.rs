//! What the tests share: proofs that follow each other, everything a store shows, and copies of its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use buffer::{
    Bookmarks, Bounds, Buffer, Head, LeftOpen, NewProof, OpenWindow, Opened, Outgoing, Raw, Seal, Unsigned,
};
use proof::EntryId;

pub(crate) const NOW: i64 = 1_767_323_045_000;
pub(crate) const SUFFIXES: [&str; 3] = ["", "-wal", ".head"];

/// Everything a store shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct View {
    pub(crate) head: Option<(u64, EntryId)>,
    pub(crate) unsigned: Vec<Unsigned>,
    pub(crate) unreceipted: Vec<Outgoing>,
    pub(crate) receipts: BTreeMap<u64, Vec<u8>>,
    pub(crate) left_open: Option<LeftOpen>,
    pub(crate) bookmarks: Bookmarks,
    pub(crate) raw: BTreeMap<u64, Result<Vec<Vec<u8>>, i64>>,
    pub(crate) state: Option<Vec<u8>>,
}

pub(crate) fn view(buffer: &Buffer) -> View {
    let head = buffer.head();
    let last = head.map_or(0, |head| head.seq);
    let raw = |seq| match buffer.window_raw(seq).unwrap()? {
        Raw::Kept(raw) => Some((seq, Ok(raw.chunks))),
        Raw::Dropped(stone) => Some((seq, Err(stone.start_ms))),
    };
    View {
        head: head.map(|head| (head.seq, head.entry)),
        unsigned: buffer.unsigned().unwrap(),
        unreceipted: buffer.unreceipted(1000, 0).unwrap(),
        receipts: (1..=last).filter_map(|seq| Some((seq, buffer.receipt(seq).unwrap()?.receipt))).collect(),
        left_open: buffer.left_open().unwrap(),
        bookmarks: buffer.bookmarks().unwrap(),
        raw: (1..=last).filter_map(raw).collect(),
        state: buffer.state("salt").unwrap(),
    }
}

/// Entry id of a sequence number in these tests.
pub(crate) fn entry(seq: u64) -> EntryId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&seq.to_le_bytes());
    id[31] = u8::from(seq > 0);
    EntryId(id)
}

pub(crate) fn next(buffer: &Buffer, kind: &str) -> NewProof {
    let head = buffer.head().unwrap_or(Head::NONE);
    let seq = head.seq + 1;
    let (payload, use_rows) = (format!("payload {seq}").into_bytes(), format!("rows {seq}").into_bytes());
    NewProof { kind: kind.to_owned(), seq, prev: head.entry, entry: entry(seq), payload, use_rows }
}

pub(crate) fn start_ms(seq: u64) -> i64 {
    NOW + i64::try_from(seq).unwrap() * 600_000
}

/// The flush after `part - 1` of the window that will be the next entry.
pub(crate) fn part(start_ms: i64, part: u16, chunk: Vec<u8>) -> OpenWindow {
    let bookmarks = Bookmarks::from([
        (1, vec![u8::try_from(part % 250).unwrap(); 3]),
        (part % 5 + 2, chunk.len().to_le_bytes().to_vec()),
    ]);
    OpenWindow {
        start_ms,
        mono_start_ms: 77,
        part,
        chunk,
        bookmarks,
        flushed_ms: start_ms + i64::from(part) * 60_000,
    }
}

pub(crate) fn seal(buffer: &Buffer, start_ms: i64, last_chunk: Vec<u8>) -> Seal {
    let proof = next(buffer, "window");
    let bookmarks = Bookmarks::from([(1, proof.seq.to_le_bytes().to_vec())]);
    Seal {
        proof,
        start_ms,
        secret: [7; 32],
        last_chunk: Some(last_chunk),
        bookmarks,
        now_ms: start_ms + 600_000,
    }
}

/// Bytes that do not compress.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// The store's files at this moment, as a power cut would leave them.
pub(crate) type Files = [Option<Vec<u8>>; 3];

pub(crate) fn files(path: &Path) -> Files {
    SUFFIXES.map(|suffix| fs::read(beside(path, suffix)).ok())
}

pub(crate) fn put(path: &Path, files: &Files) {
    for (suffix, bytes) in SUFFIXES.iter().zip(files) {
        let path = beside(path, suffix);
        match bytes {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => drop(fs::remove_file(path)),
        }
    }
}

pub(crate) fn open(path: &Path) -> (Buffer, Opened) {
    Buffer::open(path, Bounds::default(), NOW).unwrap()
}

/// Three windows (the first receipted, the second signed), a manifest, and two parts of an open window.
pub(crate) fn lived_in(path: &Path) -> Buffer {
    let (mut buffer, _) = open(path);
    buffer.begin_boot(b"boot one").unwrap();
    buffer.set_state("salt", b"pepper").unwrap();
    buffer.enqueue(&next(&buffer, "manifest")).unwrap();
    for seq in 2..=4 {
        let _stored = buffer.flush(&part(start_ms(seq), 0, noise(seq, 9_000))).unwrap();
        buffer.seal(&seal(&buffer, start_ms(seq), noise(seq + 100, 300))).unwrap();
    }
    for seq in 1..=3 {
        buffer.sign(seq, format!("envelope {seq}").as_bytes()).unwrap();
    }
    buffer.receipted(entry(1), b"receipt 1", NOW).unwrap();
    buffer.receipted(entry(2), b"receipt 2", NOW).unwrap();
    let _stored = buffer.flush(&part(start_ms(5), 0, noise(5, 500))).unwrap();
    let _stored = buffer.flush(&part(start_ms(5), 1, noise(6, 500))).unwrap();
    buffer
}
