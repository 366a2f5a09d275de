//! `manifest.toml`: what is watched, and what it stands for.
//!
//! TOML → raw → checked, with every complaint at once. What leaves the factory of it is [`Manifest::public`]: indices,
//! kinds, roles, cadences and module codes; names, addresses and maps stay behind a salted hash.
//!
//! The checked types hold no secret: a password is the name of a file. There is no key that turns the check of a
//! server's certificate off.

mod accounts;
mod check;
mod devices;
pub mod fuzz;
mod library;
mod lines;
mod login;
mod logs;
mod maps;
mod modbus;
mod mqtt;
mod opcua;
mod pin;
mod public;
mod raw;
mod syslog;
mod tables;

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::Complaints;
use proof::wire::{Role, Share};

#[cfg(all(test, feature = "sql"))]
pub(crate) use accounts::module_code;
pub use accounts::{AccountClass, Condition, DocumentRule, Match, Rule};
pub use devices::{DeviceMap, devices};
pub use lines::{Framing, Line, Parity, Serial, Transport};
pub use login::Login;
#[cfg(all(test, feature = "log"))]
pub(crate) use logs::BUILT_IN;
#[cfg(feature = "log")]
pub(crate) use logs::{ENCODINGS, built_in_parsers, parser as parse_parser, parsers_beside};
pub use logs::{Encoding, Extract, Form, LogFile, LogText, Parser, TimeRule, Zone};
#[cfg(all(test, feature = "sql"))]
pub(crate) use maps::BUILT_IN as BUILT_IN_MAPS;
#[cfg(feature = "sql")]
pub(crate) use maps::MAIN;
pub use maps::{Column, Join, Key, KeyKind, Moment, MomentForm, TableMap, table_maps};
pub use modbus::{Modbus, Order, RegisterPoint, Table, Type};
pub use mqtt::{Mqtt, TopicPoint};
pub use opcua::{
    Collect, Mode, Namespace, NodeAt, NodePoint, OpcUa, Policy, Security, Step, Thumbprint, User,
};
pub use pin::{PinError, pin};
pub use syslog::{Carrier, HEADER as SYSLOG_HEADER, Syslog};
pub use tables::{AuditTable, Database, DatabaseKind, Tls};

/// Most sources one manifest may name: what a window has room for, each with a row of its own.
pub const MAX_SOURCES: usize = 1_000;

/// Most logs and tables among them: their rows are longer.
pub const MAX_LOGS: usize = 200;

/// Most points one manifest may name over all its sources.
pub const MAX_POINTS: usize = 30_000;

/// Most points marked `signal` in one manifest.
pub const MAX_SIGNALS: usize = 64;

/// Largest manifest file in bytes.
pub const MAX_FILE: u64 = 8 * 1024 * 1024;

/// A checked manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Minutes east of UTC of the firm's clock: 480 in China.
    pub utc_offset_minutes: i32,
    /// In file order; index = position + 1.
    pub sources: Vec<Source>,
    /// The file as it stands, followed by each log parser, register map and table map that it takes from a file beside
    /// it. This is what the
    /// salted digest in [`Manifest::public`] covers, so that an opening can show names, addresses and maps.
    pub text: String,
}

/// One device, server, log or table.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// From 1, in file order.
    pub index: u16,
    /// The operator's name for it. Never leaves.
    pub name: String,
    /// Time between two looks: whole seconds, 1 s to 10 min.
    pub cadence: Duration,
    /// What windows may say of it unless a point says otherwise.
    pub share: Share,
    /// How it is read.
    pub kind: Kind,
}

/// How a source is read.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A Modbus device.
    Modbus(Modbus),
    /// An OPC UA server.
    OpcUa(OpcUa),
    /// A log file.
    Log(LogFile),
    /// Messages of a broker.
    Mqtt(Mqtt),
    /// A port to which hosts send their logs.
    Syslog(Box<Syslog>),
    /// A table of a business system's database.
    Table(Box<AuditTable>),
}

/// What a point stands for, whatever it is read by.
#[derive(Debug, Clone, PartialEq)]
pub struct Meaning {
    /// The operator's name for it. Never leaves.
    pub name: String,
    /// What its values mean.
    pub role: Role,
    /// Whether windows carry a shape row of it.
    pub signal: bool,
    /// What windows may say of it.
    pub share: Share,
    /// Multiplies the value as read.
    pub scale: f64,
    /// Is added after scaling.
    pub offset: f64,
    /// Values below are over range: a flipped bit arrives as a value.
    pub min: f64,
    /// Values above are over range.
    pub max: f64,
}

impl Manifest {
    /// Reads and checks a file. Relative paths in it are relative to its folder; a parser it names is one of the
    /// built-in ones or a file `parsers/<name>.toml` beside it, a device one or a file `devices/<name>.toml`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Complaints> {
        let name = path.display().to_string();
        let refuse = |problem: String| {
            let mut complaints = Complaints::about(name.as_str());
            complaints.add("", problem);
            complaints
        };
        let size = std::fs::metadata(path).map_err(|error| refuse(format!("cannot be read: {error}")))?.len();
        if size > MAX_FILE {
            return Err(refuse(format!("is {size} bytes long (at most {MAX_FILE})")));
        }
        let text =
            std::fs::read_to_string(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        Self::parse(&name, &text, path.parent().unwrap_or(Path::new("")))
    }

    /// Checks a manifest's text. `name` stands before each complaint, `dir` is what relative paths start from.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(name: &str, text: &str, dir: &Path) -> Result<Self, Complaints> {
        let (raw, complaints) = daemon::config::parse(name, text)?;
        check::manifest(raw, complaints, text, dir)
    }

    /// What is allowed and not good: each with its path, for `check` to print.
    pub fn warnings(&self) -> Vec<String> {
        let warn = |source: &Source| {
            let Kind::OpcUa(server) = &source.kind else { return None };
            let Security::Secured { policy, .. } = server.security else { return None };
            policy.is_deprecated().then(|| {
                let (at, word) = (source.index - 1, policy.word());
                format!(
                    "sources[{at}].opcua.policy: `{word}` is withdrawn and protects little; switch on Basic256Sha256 \
                     at the server"
                )
            })
        };
        self.sources.iter().filter_map(warn).collect()
    }

    /// The source with this name.
    pub fn source_named(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == name)
    }
}

impl Source {
    /// Most undeclared registers one request may span. Zero where nothing is coalesced.
    pub fn max_hole(&self) -> u16 {
        match &self.kind {
            Kind::Modbus(device) => device.max_hole,
            Kind::OpcUa(_) | Kind::Log(_) | Kind::Mqtt(_) | Kind::Syslog(_) | Kind::Table(_) => 0,
        }
    }

    /// Host and port, URL or path, for messages.
    pub fn address(&self) -> String {
        match &self.kind {
            Kind::Modbus(device) => format!("{} unit {}", device.line.address(), device.unit),
            Kind::OpcUa(server) => server.endpoint.clone(),
            Kind::Log(file) => file.path.display().to_string(),
            Kind::Mqtt(broker) => format!("mqtt://{}", broker.broker),
            Kind::Syslog(port) => format!("syslog://{}", port.listen),
            Kind::Table(table) => {
                let Database { host, port, database, .. } = &table.server;
                format!("{host}:{port}/{database} {}", table.map.table.join("."))
            }
        }
    }

    /// What its points stand for, in manifest order; none for a log or table.
    pub fn points(&self) -> Vec<&Meaning> {
        match &self.kind {
            Kind::Modbus(device) => device.points.iter().map(|point| &point.meaning).collect(),
            Kind::OpcUa(server) => server.points.iter().map(|point| &point.meaning).collect(),
            Kind::Mqtt(broker) => broker.points.iter().map(|point| &point.meaning).collect(),
            Kind::Log(_) | Kind::Syslog(_) | Kind::Table(_) => Vec::new(),
        }
    }
}

impl Meaning {
    /// Applies scale and offset: the value, or the letter that says why there is none.
    pub fn judge(&self, read: f64) -> Result<f64, proof::Quality> {
        let value = read * self.scale + self.offset;
        if !value.is_finite() {
            return Err(proof::Quality::Fault);
        }
        if value < self.min || value > self.max { Err(proof::Quality::OverRange) } else { Ok(value) }
    }
}

/// A built-in map of this name.
#[cfg(all(test, feature = "sql"))]
pub(crate) fn built_in_map(name: &str) -> TableMap {
    let text = BUILT_IN_MAPS.iter().find(|(built_in, _)| *built_in == name).expect("the map is built in").1;
    maps::map(name, text).expect("a built-in map is right")
}

/// `path` as seen from `dir`.
fn beside(dir: &Path, path: &str) -> PathBuf {
    dir.join(path)
}

#[cfg(all(test, feature = "modbus", feature = "opcua", feature = "log"))]
mod tests;
