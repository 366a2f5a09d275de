//! Reads machines, logs and tables, read-only, and reports what it saw.
//!
//! A [`manifest::Manifest`] names the sources; [`build`] makes a [`Collector`] of one; the collector runs until it is
//! stopped or its line is lost, and hands every turn's outcome to a [`SampleSender`]. Nothing but what the manifest
//! declares is read, and there is no call that writes to a device in this crate (a test reads the source for one).
//!
//! What is deliberately absent: retrying (the agent's supervisor restarts a collector with back-off and reports
//! silence meanwhile, see [`SampleSender::idle`]), history (the buffer keeps it), discovery of addresses, and any
//! question about the time: the sender stamps.

mod before;
#[cfg(any(feature = "log", feature = "sql"))]
mod classes;
mod error;
mod load;
#[cfg(feature = "log")]
pub mod log;
pub mod manifest;
#[cfg(feature = "modbus")]
pub mod modbus;
#[cfg(feature = "mqtt")]
pub mod mqtt;
mod notes;
#[cfg(feature = "opcua")]
pub mod opcua;
mod probe;
#[cfg(all(test, any(feature = "modbus", feature = "log")))]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;
mod sender;
#[cfg(feature = "sql")]
pub mod sql;
#[cfg(feature = "syslog")]
pub mod syslog;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use tokio_util::sync::CancellationToken;

pub use before::{Fact, before};
pub use error::{BuildError, CollectError};
pub use load::{Load, load};
use manifest::{Kind, Source};
pub use notes::{Note, Notes};
pub use probe::{Probe, ProbedPoint, field_names, probe};
pub use sender::{Sample, SampleSender, Turn};

/// What collectors of one program share: the lines that several devices are asked over, and what they tell of them.
#[derive(Default)]
pub struct Shared {
    #[cfg_attr(
        not(any(feature = "opcua", feature = "syslog")),
        expect(dead_code, reason = "only OPC UA and syslog note anything so far")
    )]
    notes: Notes,
    #[cfg(feature = "modbus")]
    lines: modbus::Lines,
}

impl Shared {
    /// Nothing shared yet; counters and warnings go to `notes`.
    pub fn telling(notes: Notes) -> Self {
        Self {
            notes,
            #[cfg(feature = "modbus")]
            lines: modbus::Lines::default(),
        }
    }
}

/// What [`Collector::run`] returns.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<(), CollectError>> + Send + 'a>>;

/// Reads one source and reports what it saw.
pub trait Collector: Send {
    /// Index of the source in the manifest, from 1.
    fn source(&self) -> u16;

    /// Reads, one turn of the cadence after the other, until `stop` fires; `Ok` means that it was asked to.
    ///
    /// A turn that failed has been reported as silence before the error is returned, and the first thing a new run
    /// does is to wait for a turn: a device that is off costs one attempt per turn, however soon run is called again.
    /// Dropping the future is safe at any point; a session that was open is then closed by its time-out only.
    ///
    /// # Errors
    /// What ended the run, as a [`CollectError`]. Calling `run` again starts over with a new connection.
    fn run<'a>(&'a mut self, out: &'a SampleSender, stop: &'a CancellationToken) -> Running<'a>;
}

/// Makes the collector of a source. `bookmark` is the last one stored with its records
/// ([`proof::observation::Records::bookmark`]) and means nothing to devices; `state_dir` is where a client key that
/// the manifest does not place elsewhere is kept; `shared` is one for all collectors.
///
/// # Errors
/// When the source cannot be collected by this program or its files cannot be used: see [`BuildError`].
#[cfg_attr(
    not(all(any(feature = "log", feature = "sql", feature = "syslog"), feature = "opcua")),
    expect(unused_variables, reason = "only logs and tables have bookmarks, only OPC UA keeps keys")
)]
pub fn build(
    source: &Source,
    bookmark: Option<&[u8]>,
    state_dir: &Path,
    shared: &Shared,
) -> Result<Box<dyn Collector>, BuildError> {
    match &source.kind {
        #[cfg(feature = "modbus")]
        Kind::Modbus(device) => Ok(Box::new(modbus::ModbusCollector::new(source, device, &shared.lines))),
        #[cfg(not(feature = "modbus"))]
        Kind::Modbus(_) => Err(BuildError::NotBuiltIn { kind: "modbus" }),
        #[cfg(feature = "opcua")]
        Kind::OpcUa(server) => {
            Ok(Box::new(opcua::OpcUaCollector::new(source, server, state_dir, &shared.notes)))
        }
        #[cfg(not(feature = "opcua"))]
        Kind::OpcUa(_) => Err(BuildError::NotBuiltIn { kind: "opcua" }),
        #[cfg(feature = "log")]
        Kind::Log(file) => Ok(Box::new(log::LogCollector::new(source, file, bookmark)?)),
        #[cfg(not(feature = "log"))]
        Kind::Log(_) => Err(BuildError::NotBuiltIn { kind: "log" }),
        #[cfg(feature = "mqtt")]
        Kind::Mqtt(broker) => Ok(Box::new(mqtt::MqttCollector::new(source, broker))),
        #[cfg(not(feature = "mqtt"))]
        Kind::Mqtt(_) => Err(BuildError::NotBuiltIn { kind: "mqtt" }),
        #[cfg(feature = "syslog")]
        Kind::Syslog(port) => {
            Ok(Box::new(syslog::SyslogCollector::new(source, port, bookmark, &shared.notes)?))
        }
        #[cfg(not(feature = "syslog"))]
        Kind::Syslog(_) => Err(BuildError::NotBuiltIn { kind: "syslog" }),
        #[cfg(feature = "sql")]
        Kind::Table(table) => Ok(Box::new(sql::TableCollector::new(source, table, bookmark)?)),
        #[cfg(not(feature = "sql"))]
        Kind::Table(_) => Err(BuildError::NotBuiltIn { kind: "table" }),
    }
}
