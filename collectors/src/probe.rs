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
    /// Of a log or table: names of a record's fields.
    pub fields: Vec<String>,
    /// Of a log or table: the records among its last lines or rows, how many lines that were, and how many nobody
    /// understood.
    pub records: Option<(Vec<Record>, u32, u32)>,
    /// Of a log: those lines.
    pub not_understood: Vec<String>,
    /// Of a secured OPC UA server or database: SHA-256 of the certificate it shows, to be compared with the one on its own
    /// screen and pinned as `server_thumbprint`.
    pub server_thumbprint: Option<String>,
    /// What the installer should know beside: an account that may write, a line that others can hear.
    pub warnings: Vec<String>,
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
    /// What it says, where it is a text: its value is but a number that stands for it.
    pub text: Option<String>,
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
        #[cfg(feature = "mqtt")]
        Kind::Mqtt(broker) => crate::mqtt::probe(source, broker).await,
        #[cfg(feature = "syslog")]
        Kind::Syslog(port) => crate::syslog::probe(source, port).await,
        #[cfg(feature = "sql")]
        Kind::Table(table) => crate::sql::probe(source, table).await,
        #[cfg(not(all(
            feature = "modbus",
            feature = "opcua",
            feature = "log",
            feature = "mqtt",
            feature = "syslog",
            feature = "sql"
        )))]
        _ => Err(left_out(source)),
    }
}

/// This program was built without the collector that `source` needs.
#[cfg(not(all(
    feature = "modbus",
    feature = "opcua",
    feature = "log",
    feature = "mqtt",
    feature = "syslog",
    feature = "sql"
)))]
pub(crate) fn left_out(source: &Source) -> CollectError {
    let why = "this program was built without its collector".to_owned();
    CollectError::Unreadable { endpoint: source.address(), why }
}

/// Readings under the names of their points.
#[cfg(any(feature = "modbus", feature = "opcua", feature = "mqtt"))]
pub(crate) fn named(source: &Source, readings: Vec<Reading>) -> Vec<ProbedPoint> {
    let names = source.points().into_iter().map(|point| point.name.clone());
    names.zip(readings).map(|(name, reading)| ProbedPoint { name, reading, text: None, why: None }).collect()
}

/// Names of the fields of a record of this source, in order; none for a device, and none where this program was built
/// without its collector.
pub fn field_names(source: &Source) -> Vec<String> {
    let names: Option<Vec<String>> = match &source.kind {
        #[cfg(feature = "log")]
        Kind::Log(file) => crate::log::field_names(&file.text),
        #[cfg(feature = "syslog")]
        Kind::Syslog(port) => crate::syslog::field_names(&port.text),
        #[cfg(feature = "sql")]
        Kind::Table(table) => crate::sql::field_names(table),
        _ => None,
    };
    names.unwrap_or_default()
}
