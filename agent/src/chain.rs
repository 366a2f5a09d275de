//! The next entry of this gateway's chain: header, entry id, and the signature that can be made again.

use buffer::{Head, NewProof};
use daemon::Stamp;
use proof::payload::Header;
use proof::{AgentId, EntryId};

/// Knows where the chain stands.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) agent: AgentId,
    pub(crate) epoch: u32,
    pub(crate) boot: [u8; 8],
    pub(crate) boot_count: u32,
    pub(crate) head: Head,
}

impl Chain {
    /// The header of the next entry.
    pub(crate) fn header(&self, now: Stamp, skew_ms: Option<i64>) -> Header {
        Header {
            agent: self.agent,
            epoch: self.epoch,
            seq: self.head.seq + 1,
            prev: self.head.entry,
            boot: self.boot,
            boot_count: self.boot_count,
            wall_ms: now.wall_ms,
            mono_ms: now.mono_ms,
            skew_ms,
        }
    }

    /// The next entry with this payload, made with [`Chain::header`].
    pub(crate) fn next(&self, kind: &str, payload: Vec<u8>, use_rows: Vec<u8>) -> NewProof {
        NewProof {
            kind: kind.to_owned(),
            seq: self.head.seq + 1,
            prev: self.head.entry,
            entry: proof::envelope::entry_id(kind, &payload),
            payload,
            use_rows,
        }
    }

    /// The entry is stored: the chain stands there now.
    pub(crate) fn moved(&mut self, seq: u64, entry: EntryId) {
        self.head = Head { seq, entry };
    }
}

/// First 8 bytes of SHA-256 of a text: boot ids and builds travel like this.
pub(crate) fn short_hash(text: &str) -> [u8; 8] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(text)[..8].try_into().expect("a SHA-256 has 32 bytes")
}
