//! Asking a source once, by hand: what an installer sees before anything is recorded.

use std::path::Path;

use proof::{Reading, Record};

use crate::CollectError;
use crate::manifest::{Kind, Source};

/// What one question brought. Nothing of it is recorded or sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Probe {
    /// Index of the source.
    pub source: u16,
    /// Of a device: every declared point, in manifest order.
    pub points: Vec<ProbedPoint>,
    /// Of a log: names of a record's fields.
    pub fields: Vec<String>,
    /// Of a log: the records among its last lines, how many lines that were, and how many nobody understood.
    pub records: Option<(Vec<Record>, u32, u32)>,
    /// Of a secured OPC UA server: SHA-256 of the certificate it shows, to be compared with the one on its own screen
    /// and pinned as `server_thumbprint`.
    pub server_thumbprint: Option<String>,
    /// Why there are no points, although the server showed its certificate.
    pub refused: Option<String>,
}

/// One point's reading.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbedPoint {
    /// The operator's name for it.
    pub name: String,
    /// What it reads now.
    pub reading: Reading,
    /// Why it has no value, in the device's words, where it gave any.
    pub why: Option<String>,
}

/// Asks `source` once. `state_dir` as in [`crate::build`].
///
/// # Errors
/// As a collector's run, and [`CollectError::Unreadable`] for a source that this program cannot collect.
#[cfg_attr(not(feature = "opcua"), expect(unused_variables, reason = "only OPC UA keeps keys"))]
pub async fn probe(source: &Source, state_dir: &Path) -> Result<Probe, CollectError> {
    match &source.kind {
        #[cfg(feature = "modbus")]
        Kind::Modbus(device) => crate::modbus::probe(source, device, &crate::modbus::Lines::default()).await,
        #[cfg(feature = "opcua")]
        Kind::OpcUa(server) => crate::opcua::probe(source, server, state_dir).await,
        #[cfg(feature = "log")]
        Kind::Log(file) => crate::log::probe(source, file).await,
        #[cfg(not(all(feature = "modbus", feature = "opcua", feature = "log")))]
        _ => {
            let why = "this program was built without its collector".to_owned();
            Err(CollectError::Unreadable { endpoint: source.address(), why })
        }
    }
}

/// Readings under the names of their points.
#[cfg(any(feature = "modbus", feature = "opcua"))]
pub(crate) fn named(source: &Source, readings: Vec<Reading>) -> Vec<ProbedPoint> {
    let names = source.points().into_iter().map(|point| point.name.clone());
    names.zip(readings).map(|(name, reading)| ProbedPoint { name, reading, why: None }).collect()
}
