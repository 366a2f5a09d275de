//! A witness of transparency logs (C2SP tlog-witness): it remembers the newest checkpoint of each log it knows, and
//! cosigns another one only when that goes on from it.
//!
//! So a log that shows two histories, or takes something back, gets no cosignature for the second. Whoever asks for
//! cosignatures of enough witnesses that do not stand under the log's roof has seen the one history there is.
//!
//! Promises
//! - What was cosigned is on the medium before the cosignature is given: after a crash at any moment nothing is signed
//!   that does not go on from it.
//! - One request at a time decides about a log.
//! - Two checkpoints of one size with different roots, both signed by the log, are kept: they show anybody that the log
//!   has lied. Nothing else that is sent is kept.
//!
//! What it does not do: read the log, or judge what stands in it.

mod config;
mod memory;
mod request;
mod route;

pub use config::WitnessConfig;
pub use memory::{Memory, MemoryError, Refused};
pub use request::{BadRequest, Request};
pub use route::{Witness, router};
