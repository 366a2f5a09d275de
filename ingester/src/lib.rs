//! Takes parcels off MQTT, verifies them, records them once and in order, answers with receipts.
//!
//! Promises
//! - Ingest never blocks a chain: what carries the enrolled key's signature and a place in the chain is recorded and
//!   receipted, whatever it says about clocks, anchors or forks. What is odd stands beside it as a finding.
//! - Refused is only what cannot be believed to come from the gateway or cannot be read. Each refusal has a name, is
//!   counted, and is answered on the gateway's own topic; none of it reaches the log.
//! - The broker gets its PUBACK after the batch is durable, and the gateway its receipt after that. A crash between
//!   any two steps costs a repetition: the same entry gets the same log entry again.
//! - Everything from outside is bounded: parcel size, the queue, what is parked ahead of a hole.
//!
//! [`accept`] is the pure core: bytes, topic, time and a view of the ledger in, what to do out. [`Intake`] runs it
//! over a batch, [`Ingester`] is the MQTT side. What it deliberately does not do: score, decrypt, or wait on the
//! clock; times of receipt are stamped, nothing else is timed by it.

mod accept;
#[cfg(test)]
mod gateway;
mod inspect;
mod intake;
mod mqtt;
mod parking;
mod view;

pub use accept::{Acceptance, Accepted, Checked, Refused, accept};
pub use intake::{Intake, Message, Reply};
pub use mqtt::{BuildError, Config, IngestError, Ingester, Tls};
pub use view::View;
