//! The `lines` of a manifest: what several devices are asked over, and the line of a device that has one of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::Complaints;

use super::check::{name, word};
use super::raw;

/// Most lines one manifest may name.
pub(super) const MAX_LINES: usize = 200;

const MAX_PAUSE: Duration = Duration::from_secs(5);
const MAX_REGISTRATION: usize = 64;
const DEFAULT_BAUD: u32 = 9_600;

/// What devices are asked over. Devices with the same line are asked one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Line {
    /// How it is reached.
    pub transport: Transport,
    /// How frames look on it.
    pub framing: Framing,
    /// Bits a second of the serial line, here or behind a converter: what the silence between frames follows from.
    pub baud: u32,
    /// Shortest time between an answer and the next question, whoever is asked.
    pub pause: Duration,
}

/// How a line is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Transport {
    /// By a connection to a device or converter.
    Connect {
        /// `host:port`.
        endpoint: String,
    },
    /// By the connection of a unit that dials.
    Listen {
        /// Where it dials to.
        address: SocketAddr,
        /// What it says first; empty when it is the only one there.
        registration: Vec<u8>,
    },
    /// By a serial port of the gateway.
    Serial(Serial),
}

/// A serial port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Serial {
    /// Its device file.
    pub path: PathBuf,
    /// Parity.
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
}

/// Parity of a serial port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parity {
    /// None.
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// How frames look on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// With a header that numbers them: Modbus TCP.
    Tcp,
    /// With a CRC, as on a serial line, whatever carries them.
    Rtu,
}

const FRAMINGS: &[(&str, Framing)] = &[("tcp", Framing::Tcp), ("rtu", Framing::Rtu)];
const PARITIES: &[(&str, Parity)] = &[("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];

impl Line {
    /// The line of a device that is reached by Modbus TCP at an address of its own.
    pub fn to(endpoint: String) -> Self {
        Self {
            transport: Transport::Connect { endpoint },
            framing: Framing::Tcp,
            baud: DEFAULT_BAUD,
            pause: Duration::ZERO,
        }
    }

    /// Whether it is a connection to this `host:port`.
    pub(super) fn connects_to(&self, other: &str) -> bool {
        matches!(&self.transport, Transport::Connect { endpoint } if endpoint == other)
    }

    /// Host and port, or the serial port's file, for messages.
    pub fn address(&self) -> String {
        match &self.transport {
            Transport::Connect { endpoint } => endpoint.clone(),
            Transport::Listen { address, registration } if registration.is_empty() => {
                format!("units that dial {address}")
            }
            Transport::Listen { address, registration } => {
                format!("`{}` that dials {address}", String::from_utf8_lossy(registration).escape_debug())
            }
            Transport::Serial(serial) => serial.path.display().to_string(),
        }
    }
}

/// The lines by name.
pub(super) type Named = BTreeMap<String, Line>;

pub(super) fn check(complaints: &mut Complaints, raw: Vec<raw::Line>, dir: &Path) -> Named {
    if raw.len() > MAX_LINES {
        complaints.add("lines", format!("has {} entries (at most {MAX_LINES})", raw.len()));
    }
    let mut named = Named::new();
    for (at, raw) in raw.into_iter().enumerate().take(MAX_LINES) {
        let path = format!("lines[{at}]");
        let name = name(complaints, &format!("{path}.name"), raw.name.clone());
        let line = line(complaints, &path, raw, dir);
        let (Some(name), Some(line)) = (name, line) else { continue };
        if let Some((other, _)) = named.iter().find(|(_, other)| contradicts(other, &line)) {
            complaints.add(
                &*path,
                format!("and the line `{other}` cannot both be there: they would share one port"),
            );
        }
        if named.insert(name.clone(), line).is_some() {
            complaints.add(format!("{path}.name"), format!("`{name}` is taken by another line"));
        }
    }
    named
}

/// Whether both would open one port, or one unit that dials would fit both.
fn contradicts(one: &Line, other: &Line) -> bool {
    match (&one.transport, &other.transport) {
        (Transport::Connect { endpoint: a }, Transport::Connect { endpoint: b }) => a == b,
        (Transport::Serial(a), Transport::Serial(b)) => a.path == b.path,
        (
            Transport::Listen { address: a, registration: x },
            Transport::Listen { address: b, registration: y },
        ) => a == b && (x.starts_with(y) || y.starts_with(x)),
        _ => false,
    }
}

fn line(complaints: &mut Complaints, path: &str, raw: raw::Line, dir: &Path) -> Option<Line> {
    let baud = complaints.number(&format!("{path}.baud"), raw.baud, DEFAULT_BAUD, 300..=4_000_000);
    let pause_path = format!("{path}.pause");
    let pause = complaints.duration(&pause_path, raw.pause, Duration::ZERO, Duration::ZERO..=MAX_PAUSE);
    let framing_path = format!("{path}.framing");
    let framing = word(complaints, &framing_path, raw.framing, FRAMINGS);
    let parity = word(complaints, &format!("{path}.parity"), raw.parity.clone(), PARITIES);
    let parity = parity.flatten_or(Parity::None);
    let stop_bits = complaints.number(&format!("{path}.stop_bits"), raw.stop_bits, 1, 1..=2);
    let only = |complaints: &mut Complaints, given: bool, key: &str, of: &str| {
        if given {
            complaints.add(format!("{path}.{key}"), format!("has a meaning for `{of}` only"));
        }
    };
    if raw.serial.is_none() {
        only(complaints, raw.parity.is_some(), "parity", "serial");
        only(complaints, raw.stop_bits.is_some(), "stop_bits", "serial");
    }
    only(complaints, raw.listen.is_none() && raw.registration.is_some(), "registration", "listen");
    let (transport, framing) = match (raw.connect, raw.listen, raw.serial) {
        (Some(endpoint), None, None) => {
            let endpoint = super::modbus::endpoint(complaints, &format!("{path}.connect"), Some(endpoint))?;
            (Transport::Connect { endpoint }, framing.flatten_or(Framing::Tcp))
        }
        (None, Some(address), None) => {
            let registration = raw.registration.unwrap_or_default().into_bytes();
            if registration.len() > MAX_REGISTRATION {
                let long = format!("is {} bytes long (at most {MAX_REGISTRATION})", registration.len());
                complaints.add(format!("{path}.registration"), long);
            }
            let Ok(address) = address.parse() else {
                let problem =
                    format!("`{address}` is not an address of this gateway and a port, as in 0.0.0.0:5020");
                complaints.add(format!("{path}.listen"), problem);
                return None;
            };
            (Transport::Listen { address, registration }, framing.flatten_or(Framing::Rtu))
        }
        (None, None, Some(file)) => {
            let framing = framing.flatten_or(Framing::Rtu);
            if framing == Framing::Tcp {
                complaints.add(framing_path, "is `rtu` on a serial port");
            }
            let serial = Serial { path: dir.join(file), parity, stop_bits };
            (Transport::Serial(serial), framing)
        }
        _ => {
            complaints.add(path, "needs exactly one of `connect`, `listen`, `serial`");
            return None;
        }
    };
    Some(Line { transport, framing, baud, pause })
}
