//! Observation, window, proof, envelope, receipt: bytes, hashes, signatures, Merkle trees.
//!
//! A proof claims one narrow thing: the key enrolled for this gateway committed to exactly these observations, in
//! this order. `docs/protocol.md` is the text, `proto/inuse.proto` the tags; this crate is both, as code.
//!
//! What is deliberately absent: tokio, clocks, files, network. Time and randomness come in as arguments.
//! Everything read from outside is bounded before it is allocated, and what was signed is never encoded again.

pub mod act;
pub mod answer;
#[cfg(feature = "bundle")]
pub mod bundle;
pub mod catalogue;
pub mod digest;
pub mod envelope;
pub mod features;
pub mod fuzz;
pub mod ids;
pub mod keys;
pub mod leaf;
pub mod log;
pub mod observation;
pub mod opening;
pub mod payload;
pub mod policy;
pub mod presence;
pub mod pseudonym;
pub mod raw;
#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;
pub mod rotation;
pub mod userows;
/// The wire's messages, as `proto/inuse.proto` lists them.
pub mod wire {
    #![allow(
        missing_docs,
        clippy::all,
        clippy::pedantic,
        clippy::wildcard_enum_match_arm,
        reason = "generated"
    )]
    include!(concat!(env!("OUT_DIR"), "/inuse.v1.rs"));
}
pub mod window;
pub mod words;

pub use act::{Act, Deed, Party};
pub use answer::{Answer, Consistency, RefusalName};
pub use catalogue::Cause;
pub use envelope::{Envelope, EnvelopeError, Parcel};
pub use ids::{AgentId, EntryId, Kid};
pub use keys::{SigningKey, VerifyKey};
pub use observation::{Kept, Observation, Quality, Reading, Record, Records, Rewrite, What};
pub use opening::{Beside, OpenField, Opening, OpeningError, PastLeaf, PastLeaves};
pub use payload::Payload;
pub use window::{Sealed, Windows};
pub use words::Words;

/// Length of a window: ten minutes, a constant of inuse/v1.
pub const WINDOW_MS: i64 = 600_000;

/// Largest window payload in bytes: a gateway of 1,000 sources, 200 of them logs, fits.
pub const MAX_WINDOW: usize = 64 * 1024;

/// Highest sequence number, and highest size of a log: what a database and a JSON number hold exactly.
pub const MAX_SEQ: u64 = 1 << 53;

/// Times that a payload may claim, Unix ms: a gateway without a battery clock starts in 1970, and none runs in 2100.
pub const TIMES_MS: std::ops::RangeInclusive<i64> = 0..=4_102_444_800_000;

/// Largest manifest payload in bytes.
pub const MAX_MANIFEST: usize = 256 * 1024;

/// Largest parcel in bytes: the largest payload, its envelope, and the use rows of a very busy window.
pub const MAX_PARCEL: usize = 300 * 1024;
