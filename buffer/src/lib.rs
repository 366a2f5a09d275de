//! What a gateway remembers: raw chunks, sealed windows, the outbox, log positions. One SQLite file, one owner.
//!
//! # Promises
//!
//! **What survives `kill -9` and a power cut.** Everything a verb has returned `Ok` for. Each verb is one transaction,
//! written to the medium (`synchronous=FULL`) before it returns; after a cut the file holds the state before or after
//! it, nothing between. So of the open window what came after the last [`Buffer::flush`] is lost and no more, and a
//! log's position is never ahead of or behind the records stored with it. Every verb may be repeated after a failure
//! that left the outcome open: a part, a proof, a signature or a receipt that is there already is there once.
//!
//! **The chain never forks by our fault.** Its head stands in the database and, 64 checksummed bytes in two slots,
//! in `<file>.head`, written before `seal` and `enqueue` return and thus before anything is signed or sent. A lost
//! write-ahead log, an older copy of the database or garbage in its place is noticed by it: the chain goes on at the
//! higher of both, and the proofs between are named as lost in [`Damage`].
//!
//! **It always starts.** A malformed, shortened or foreign file is set aside as `<file>.damaged-<date>`; head, proofs,
//! bookmarks, the open window's chunks, state and boots are carried over as far as they can be read, and [`Damage`]
//! says what could not. Three things do end [`Buffer::open`]: another process holding the file, a folder that cannot
//! be written, and a database of a newer version of this program, which is left as it is.
//!
//! **What is dropped when full, and in which order.** Full is: raw beyond [`Bounds::raw_bytes`], the file at
//! [`Bounds::file_bytes`], or no space on the disk. Then go (1) databases set aside earlier, oldest first, when it is
//! the disk; (2) raw windows, oldest first, each leaving a [`Tombstone`]; (3) the raw chunks of the
//! window being sealed, with a tombstone. Proofs without a receipt, their use rows, receipts, bookmarks and the head are
//! never dropped to make room. To delete, SQLite needs some space in its log first: `<file>.reserve` (1 MiB of real
//! blocks) is given up for that moment and taken again when there is room. Only when all of that was not enough does a
//! verb answer [`BufferError::Full`] (a flush: [`Flushed::NoSpace`]) and store nothing.
//!
//! **How much disk at most.** The database: [`Bounds::file_bytes`], held by SQLite itself (`max_page_count`). Beside
//! it the log, 8 MiB in normal use (more while a larger chunk is written), the two small files above, and at most two
//! databases that were set aside, each within the same bound.
//! Within the database raw takes at most [`Bounds::raw_bytes`], counted in pages. Receipted proofs with their receipts
//! are kept for [`Bounds::receipted`] sequence numbers (400 days), counted, not timed (a board without a clock battery
//! must not lose them to a wrong date), and for as long as their raw data is there. Proofs *without* a receipt have no bound of their own (1 KiB each, 63 MB a year).
//!
//! **How much is written.** A chunk is written once and never moved: sealing only names the window it belongs to. It is
//! compressed against the chunk before it. The log is checkpointed every 2,000 pages, so that a page rewritten each
//! minute is copied to the file once for many rewrites. Nothing is vacuumed: freed pages are used again.
//!
//! # Deliberately absent
//!
//! Clocks (every time is an argument), keys and signatures (they are given as bytes), networks, retries. Bytes of
//! chunks, payloads and receipts are kept as given and not understood. The file is not encrypted. A flipped bit is found
//! in the head file and in raw chunks (checksums); in a proof the signature or entry id tells, at its reader.

mod boots;
mod bytes;
mod error;
mod handle;
mod head;
mod health;
mod open_window;
mod opening;
mod outbox;
mod pack;
mod past;
mod room;
mod salvage;
mod schema;
mod seal;
mod side;

pub use error::BufferError;
pub use handle::{Gone, Handle, Owner};
pub use head::Head;
pub use health::{Health, LastReceipt, LastRefusal};
pub use open_window::{Flushed, LeftOpen, OpenWindow};
pub use opening::{Bounds, Buffer, Damage, Found, Opened};
pub use outbox::{Outgoing, Receipted, Unsigned};
pub use past::{MOST_ENTRIES, PastEntry, PastList, PastProof, PastRaw};
pub use salvage::{Carried, Part};
pub use seal::{Cause, NewProof, Raw, RawWindow, Seal, SealedRaw, Tombstone};

/// Where reading a source goes on: manifest index of the source, and what its collector needs. At most 64 KiB each.
pub type Bookmarks = std::collections::BTreeMap<u16, Vec<u8>>;
