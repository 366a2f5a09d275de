//! The daemon on the gateway: supervises collectors, fills and seals windows, signs, publishes, forgets on receipt.
//!
//! # The road inside
//!
//! ```text
//! collectors -> samples -> recorder (windows, buffer) -> outbox -> uplink <-> broker
//! ```
//!
//! Stopping follows it: the collectors stop, their channel closes, the open window is sealed, the uplink sends what is
//! left of the grace period, the buffer is closed.
//!
//! # Promises
//!
//! A proof leaves the outbox on a receipt that was checked against the pinned log key, and on nothing else. What a
//! crash costs of the open window is declared by the next run as an `outage`. One collector's failure or panic is a
//! state of its source and a gap in the chain, nothing more.
//!
//! Deliberately absent: any call that writes to a device, any way to be told the time, and retries of anything that a
//! restart by the service manager would do better.

pub mod baseline;
mod chain;
mod collecting;
pub mod config;
pub mod diag;
mod enrol;
mod hardware;
mod identity;
pub mod keys;
mod layout;
pub mod line_use;
mod mqtt;
mod owner;
pub mod past;
mod recorder;
#[cfg(feature = "setup")]
pub mod setup;
mod start;
pub mod status;
pub mod update;
mod uplink;
mod watchdog;
pub mod wishes;

pub use config::AgentConfig;
pub use enrol::{EnrolError, Enrolment, Watched, enrol, give_to_owner};
pub use identity::{Identity, IdentityError};
pub use owner::read_as_owner;
pub use start::{Agent, BuildError};

/// What this program calls itself in windows: its version. The build's hash joins it with reproducible builds.
pub const BUILD: &str = concat!("inuse-agent ", env!("CARGO_PKG_VERSION"));
