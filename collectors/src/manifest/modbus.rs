//! The `modbus` table of a source.

use std::time::Duration;

use daemon::config::Complaints;
use proof::wire::Share;

use super::check::{Word, distinct, meaning, word};
use super::{Meaning, raw};

/// Longest wait for one answer.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);
const MIN_TIMEOUT: Duration = Duration::from_millis(50);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Undeclared registers one request may span at most: 125 is a whole request.
const MAX_HOLE: u16 = 100;

/// A Modbus TCP device.
#[derive(Debug, Clone, PartialEq)]
pub struct Modbus {
    /// `host:port`.
    pub endpoint: String,
    /// Unit id, 0 to 255.
    pub unit: u8,
    /// Longest wait for a connection or an answer, in real time.
    pub timeout: Duration,
    /// Shortest time between an answer and the next question, in real time.
    pub pause: Duration,
    /// Most undeclared registers or bits one request may span; they are never decoded or kept.
    pub max_hole: u16,
    /// In manifest order.
    pub points: Vec<RegisterPoint>,
}

/// One declared value of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct RegisterPoint {
    /// What it stands for.
    pub meaning: Meaning,
    /// Where it is.
    pub table: Table,
    /// Protocol address of its first register or bit, from 0.
    pub address: u16,
    /// How it is read.
    pub kind: Type,
    /// How its bytes are laid out.
    pub order: Order,
}

/// The four tables of Modbus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Bits that can be written; function 1.
    Coil,
    /// Bits that cannot; function 2.
    Discrete,
    /// Registers that can be written; function 3.
    Holding,
    /// Registers that cannot; function 4.
    Input,
}

impl Table {
    /// Whether its unit is the bit.
    pub const fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    /// Most units one request may ask for: 2,000 bits or 125 registers (Modbus application protocol 1.1b3, 6.1-6.4).
    pub const fn most(self) -> u16 {
        if self.is_bits() { 2_000 } else { 125 }
    }
}

/// How registers become a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A coil or discrete input.
    Bit,
    /// One bit of a register, 0 the lowest.
    BitOf(u8),
    /// Unsigned, one register.
    U16,
    /// Signed, one register.
    I16,
    /// Unsigned, two registers.
    U32,
    /// Signed, two registers.
    I32,
    /// IEEE 754, two registers.
    F32,
    /// Unsigned, four registers.
    U64,
    /// Signed, four registers.
    I64,
    /// IEEE 754, four registers.
    F64,
}

impl Type {
    /// Registers, or bits of a bit table.
    pub const fn width(self) -> u16 {
        match self {
            Self::Bit | Self::BitOf(_) | Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }
}

/// Order of bytes, named by where the highest (A) to the lowest (D) stand in two registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Highest word first, highest byte first: what the standard says.
    Abcd,
    /// Lowest word first.
    Cdab,
    /// Bytes swapped within each word.
    Badc,
    /// Lowest byte first.
    Dcba,
}

const TABLES: &[(&str, Table)] = &[
    ("holding", Table::Holding),
    ("input", Table::Input),
    ("coil", Table::Coil),
    ("discrete", Table::Discrete),
];
const TYPES: &[(&str, Type)] = &[
    ("bit", Type::Bit),
    ("u16", Type::U16),
    ("i16", Type::I16),
    ("u32", Type::U32),
    ("i32", Type::I32),
    ("f32", Type::F32),
    ("u64", Type::U64),
    ("i64", Type::I64),
    ("f64", Type::F64),
];
const ORDERS: &[(&str, Order)] =
    &[("ABCD", Order::Abcd), ("CDAB", Order::Cdab), ("BADC", Order::Badc), ("DCBA", Order::Dcba)];

pub(super) fn check(
    complaints: &mut Complaints,
    path: &str,
    raw: raw::Modbus,
    share: Share,
) -> Option<Modbus> {
    let endpoint = endpoint(complaints, &format!("{path}.endpoint"), raw.endpoint);
    let unit = complaints.number(&format!("{path}.unit"), raw.unit, 1, 0..=255);
    let timeout = complaints.duration(
        &format!("{path}.timeout"),
        raw.timeout,
        DEFAULT_TIMEOUT,
        MIN_TIMEOUT..=MAX_TIMEOUT,
    );
    let pause =
        complaints.duration(&format!("{path}.pause"), raw.pause, Duration::ZERO, Duration::ZERO..=MAX_PAUSE);
    let max_hole = complaints.number(&format!("{path}.max_hole"), raw.max_hole, 0, 0..=MAX_HOLE);
    let base = complaints.number(&format!("{path}.base"), raw.base, 0, 0..=1);
    let order = word(complaints, &format!("{path}.order"), raw.order, ORDERS).flatten_or(Order::Abcd);
    if raw.points.is_empty() {
        complaints.add(format!("{path}.points"), "is empty; there is nothing to read");
    }
    let mut points = Vec::new();
    for (at, raw) in raw.points.into_iter().enumerate() {
        points.extend(point(complaints, &format!("{path}.points[{at}]"), raw, base, order, share));
    }
    distinct(complaints, &format!("{path}.points"), points.iter().map(|point| &point.meaning));
    Some(Modbus { endpoint: endpoint?, unit, timeout, pause, max_hole, points })
}

fn point(
    complaints: &mut Complaints,
    path: &str,
    raw: raw::Register,
    base: u16,
    order: Order,
    share: Share,
) -> Option<RegisterPoint> {
    let table = word(complaints, &format!("{path}.table"), raw.table, TABLES).flatten_or(Table::Holding);
    let kind = kind(complaints, path, raw.kind, raw.bit, table);
    let base = complaints.number(&format!("{path}.base"), raw.base, base, 0..=1);
    let order = word(complaints, &format!("{path}.order"), raw.order, ORDERS).flatten_or(order);
    let address_path = format!("{path}.address");
    let address = complaints.required(&address_path, raw.address).and_then(|written| {
        let width = kind.map_or(1, Type::width);
        let first = written.checked_sub(u32::from(base)).and_then(|first| u16::try_from(first).ok());
        let first = first.filter(|first| first.checked_add(width - 1).is_some());
        if first.is_none() {
            complaints.add(address_path, format!("{written} (base {base}) is outside the table of 65,536"));
        }
        first
    });
    let common = raw::Point {
        name: raw.name,
        scale: raw.scale,
        offset: raw.offset,
        min: raw.min,
        max: raw.max,
        role: raw.role,
        signal: raw.signal,
        share: raw.share,
    };
    let meaning = meaning(complaints, path, common, share);
    Some(RegisterPoint { meaning: meaning?, table, address: address?, kind: kind?, order })
}

fn kind(
    complaints: &mut Complaints,
    path: &str,
    written: Option<String>,
    bit: Option<u8>,
    table: Table,
) -> Option<Type> {
    let type_path = format!("{path}.type");
    let bit = match bit {
        None => None,
        bit => Some(complaints.number(&format!("{path}.bit"), bit, 0, 0..=15)),
    };
    let kind = match word(complaints, &type_path, written, TYPES) {
        Word::One(kind) => kind,
        Word::Wrong => return None,
        Word::Absent if table.is_bits() => Type::Bit,
        Word::Absent => Type::U16,
    };
    match (kind, bit, table.is_bits()) {
        (Type::Bit, None, true) => Some(Type::Bit),
        (Type::Bit, Some(bit), false) => Some(Type::BitOf(bit)),
        (Type::Bit, None, false) => {
            complaints.add(format!("{path}.bit"), "is missing: which bit of the register, 0 to 15?");
            None
        }
        (_, None, false) => Some(kind),
        (_, Some(_), _) => {
            complaints.add(format!("{path}.bit"), "has a meaning only for type = \"bit\" in a register");
            None
        }
        (_, None, true) => {
            complaints.add(type_path, "a coil or discrete input is a `bit`");
            None
        }
    }
}

/// `host:port`, the host a name, an IPv4 address or an IPv6 address in brackets.
fn endpoint(complaints: &mut Complaints, path: &str, field: Option<String>) -> Option<String> {
    let text = complaints.required(path, field)?;
    let right = text.rsplit_once(':').is_some_and(|(host, port)| {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let fits = !host.is_empty() && host.len() <= 253;
        fits && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if !right {
        complaints.add(path, format!("`{text}` is not `host:port` (the usual port is 502)"));
        return None;
    }
    Some(text)
}
