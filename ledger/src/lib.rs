//! What the server remembers: agents, proofs, receipts, the Merkle log.
//!
//! Promises
//! - A receipt is given only for an entry that is durable, together with the checkpoint that proves it: one
//!   transaction stores a batch, its tree hashes and the signed checkpoint; then the receipts are returned.
//! - Envelopes are kept exactly as received, and log entries exactly as they were hashed.
//! - The log only grows. An entry is recorded once; whoever asks again gets the same log entry, proved in the newest
//!   checkpoint.
//! - Nothing that was recorded is changed or deleted, but for the detached per-actor rows: after their time they go,
//!   and window, chain and receipt stay verifiable without them.
//! - After a crash at any moment the ledger opens with everything that was receipted. When the tree does not give
//!   the hash of the signed checkpoint, it refuses to open and says so.
//! - Appending costs no reading of the tree: its right edge is in memory.
//!
//! What it deliberately does not do: judge. It checks no signature and no chain; that is the ingester's work, and
//! [`Finding`] and outcome are stored as they are given. It reads no clock: every time is an argument.
//!
//! One thread owns the writing connection ([`Ledger`]); pages and rules read through connections of their own
//! ([`Readers`]) and never hold it up.

mod error;
mod finding;
mod log_key;
mod owner;
mod readers;
mod sqlite;
mod store;
mod tiles;
mod tree;

pub use error::LedgerError;
pub use finding::Finding;
pub use log_key::{LogKey, LogKeyError};
pub use owner::{Ledger, Owner, WeakLedger};
pub use readers::Readers;
pub use sqlite::{Reader, Sqlite};
pub use store::{
    Agent, AgentKey, Checkpoint, Confirmed, Entry, Head, ManifestDigest, NewAgent, NewConfirmation, NewEntry,
    NewRefusal, NewToken, Presence, Project, Read, Receipted, Recorded, RefusalCount, Revoked, Shown, Store,
    TokenHash, TokenRefused,
};
pub use tiles::Resource;
