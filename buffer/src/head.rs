//! The head file: where the chain stands, outside of the database.
//!
//! Two slots of 56 bytes, 4,096 apart, written in turn and synced, so that a torn write spoils one of them at most. It
//! is written after the database's commit and before the verb returns: what was signed or sent is never ahead of it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use proof::EntryId;

use crate::BufferError;
use crate::error::file;

/// Where the chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Sequence number of the last entry; 0 when there is none.
    pub seq: u64,
    /// Its entry id; [`EntryId::NONE`] when there is none.
    pub entry: EntryId,
}

impl Head {
    /// Of a chain without entries.
    pub const NONE: Self = Self { seq: 0, entry: EntryId::NONE };
}

const MAGIC: [u8; 8] = *b"inusehd1";
const SLOT: usize = 56;
const APART: u64 = 4096;

/// The head file, open.
#[derive(Debug)]
pub(crate) struct HeadFile {
    path: PathBuf,
    file: File,
}

impl HeadFile {
    /// Opens or makes it; the newest head a slot holds, if any does.
    pub(crate) fn open(path: PathBuf) -> Result<(Self, Option<Head>), BufferError> {
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let head_file = Self { file: opened.map_err(file(&path))?, path };
        let head = [0, APART].into_iter().filter_map(|at| head_file.slot(at)).max_by_key(|head| head.seq);
        Ok((head_file, head))
    }

    /// Stores a head.
    pub(crate) fn write(&self, head: Head) -> Result<(), BufferError> {
        let mut slot = [0; SLOT];
        slot[..8].copy_from_slice(&MAGIC);
        slot[8..16].copy_from_slice(&head.seq.to_le_bytes());
        slot[16..48].copy_from_slice(&head.entry.0);
        let sum = checksum(&slot[..48]).to_le_bytes();
        slot[48..].copy_from_slice(&sum);
        self.file
            .write_all_at(&slot, (head.seq % 2) * APART)
            .and_then(|()| self.file.sync_data())
            .map_err(file(&self.path))
    }

    fn slot(&self, at: u64) -> Option<Head> {
        let mut slot = [0; SLOT];
        self.file.read_exact_at(&mut slot, at).ok()?;
        let sum = u64::from_le_bytes(slot[48..].try_into().expect("eight bytes"));
        if slot[..8] != MAGIC || checksum(&slot[..48]) != sum {
            return None;
        }
        let seq = u64::from_le_bytes(slot[8..16].try_into().expect("eight bytes"));
        Some(Head { seq, entry: EntryId(slot[16..48].try_into().expect("thirty-two bytes")) })
    }
}

/// FNV-1a, 64 bits: against torn writes and flipped bits, not against people.
fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), BufferError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(file(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_slot_leaves_the_head_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head");
        let (head_file, none) = HeadFile::open(path.clone()).unwrap();
        assert_eq!(none, None);
        let heads = [1, 2, 3].map(|seq| Head { seq, entry: EntryId([seq as u8; 32]) });
        for head in heads {
            head_file.write(head).unwrap();
        }
        assert_eq!(HeadFile::open(path.clone()).unwrap().1, Some(heads[2]));
        head_file.file.write_all_at(&[0xff], APART + 20).unwrap();
        assert_eq!(HeadFile::open(path).unwrap().1, Some(heads[1]));
    }
}
