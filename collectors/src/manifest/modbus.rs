//! The `modbus` table of a source.

use std::time::Duration;

use daemon::config::Complaints;
use proof::wire::Share;

use super::check::{Word, distinct, meaning, word};
use super::lines::{Framing, Line, Named};
use super::{Meaning, raw};

/// Longest wait for one answer.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);
const MIN_TIMEOUT: Duration = Duration::from_millis(50);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Undeclared registers one request may span at most: 125 is a whole request.
const MAX_HOLE: u16 = 100;

/// A Modbus device.
#[derive(Debug, Clone, PartialEq)]
pub struct Modbus {
    /// What it is asked over, alone or with others.
    pub line: Line,
    /// Unit id, 0 to 255.
    pub unit: u8,
    /// Longest wait for a connection or an answer, in real time.
    pub timeout: Duration,
    /// How often a question without an answer is asked again within its turn.
    pub retries: u8,
    /// Shortest time between its answer and the next question to it, in real time.
    pub pause: Duration,
    /// Most undeclared registers or bits one request may span; they are never decoded or kept.
    pub max_hole: u16,
    /// Most registers one request may ask for: 1 to 125.
    pub max_registers: u16,
    /// Most bits one request may ask for: 1 to 2,000.
    pub max_bits: u16,
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
    /// What the manifest calls it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Holding => "holding",
            Self::Input => "input",
        }
    }

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
    /// IEEE 754, one register.
    F16,
    /// Decimal digits of four bits each, one register: 0 to 9,999.
    Bcd16,
    /// The same in two registers: 0 to 99,999,999.
    Bcd32,
    /// Characters in so many registers, two in each. Its value is a number that stands for the text: equal texts, equal
    /// numbers.
    Text(u16),
}

impl Type {
    /// What the manifest calls it. A bit of a register and a text say further keys beside it.
    pub fn word(self) -> &'static str {
        let plain = match self {
            Self::BitOf(_) => Self::Bit,
            Self::Text(_) => Self::Text(0),
            kind @ (Self::Bit
            | Self::U16
            | Self::I16
            | Self::U32
            | Self::I32
            | Self::F32
            | Self::U64
            | Self::I64
            | Self::F64
            | Self::F16
            | Self::Bcd16
            | Self::Bcd32) => kind,
        };
        TYPES.iter().find(|(_, kind)| *kind == plain).map(|(word, _)| *word).expect("every type has a word")
    }

    /// Registers, or bits of a bit table.
    pub const fn width(self) -> u16 {
        match self {
            Self::Bit | Self::BitOf(_) | Self::U16 | Self::I16 | Self::F16 | Self::Bcd16 => 1,
            Self::U32 | Self::I32 | Self::F32 | Self::Bcd32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
            Self::Text(registers) => registers,
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
    /// Of a value of eight bytes, any other: which byte of the value, 0 the highest, stands at each place.
    Eight([u8; 8]),
    /// Of a value of four bytes, any other.
    Four([u8; 4]),
}

impl Order {
    /// The order that these letters name: A is the highest byte, and they stand as the bytes do.
    pub fn named(letters: &str) -> Option<Self> {
        match letters {
            "ABCD" | "AB" => return Some(Self::Abcd),
            "CDAB" => return Some(Self::Cdab),
            "BADC" | "BA" => return Some(Self::Badc),
            "DCBA" => return Some(Self::Dcba),
            _ => {}
        }
        let places: Vec<u8> = letters.bytes().map(|letter| letter.wrapping_sub(b'A')).collect();
        let mut sorted = places.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq((0..8).take(sorted.len())) {
            return None;
        }
        if let Ok(eight) = <[u8; 8]>::try_from(places.as_slice()) {
            return Some(Self::Eight(eight));
        }
        <[u8; 4]>::try_from(places).ok().map(Self::Four)
    }

    /// The letters that name it.
    pub fn letters(self) -> String {
        let places: &[u8] = match &self {
            Self::Abcd => return "ABCD".to_owned(),
            Self::Cdab => return "CDAB".to_owned(),
            Self::Badc => return "BADC".to_owned(),
            Self::Dcba => return "DCBA".to_owned(),
            Self::Eight(places) => places,
            Self::Four(places) => places,
        };
        places.iter().map(|place| char::from(b'A' + place)).collect()
    }

    /// Whether values of so many registers can have it.
    const fn is_of(self, registers: u16) -> bool {
        match self {
            Self::Abcd | Self::Cdab | Self::Badc | Self::Dcba => true,
            Self::Eight(_) => registers == 4,
            Self::Four(_) => registers == 2,
        }
    }
}

pub(super) const TABLES: &[(&str, Table)] = &[
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
    ("f16", Type::F16),
    ("bcd16", Type::Bcd16),
    ("bcd32", Type::Bcd32),
    ("text", Type::Text(0)),
];
const MAX_TEXT: u16 = 64;

pub(super) fn check(
    complaints: &mut Complaints,
    path: &str,
    raw: raw::Modbus,
    share: Share,
    lines: &Named,
) -> Option<Modbus> {
    let line = line(complaints, path, raw.endpoint, raw.line, lines);
    let serial = line.as_ref().is_some_and(|line| line.framing == Framing::Rtu);
    // Noise costs an answer now and then; on TCP nothing is lost but the connection.
    let retries = complaints.number(&format!("{path}.retries"), raw.retries, u8::from(serial), 0..=3);
    let max_registers = complaints.number(
        &format!("{path}.max_registers"),
        raw.max_registers,
        Table::Holding.most(),
        1..=Table::Holding.most(),
    );
    let max_bits = complaints.number(
        &format!("{path}.max_bits"),
        raw.max_bits,
        Table::Coil.most(),
        1..=Table::Coil.most(),
    );
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
    let order = order(complaints, &format!("{path}.order"), raw.order).unwrap_or(Order::Abcd);
    if raw.points.is_empty() {
        complaints.add(format!("{path}.points"), "is empty; there is nothing to read");
    }
    let mut points = Vec::new();
    for (at, raw) in raw.points.into_iter().enumerate() {
        points.extend(point(complaints, &format!("{path}.points[{at}]"), raw, base, order, share));
    }
    for point in &points {
        let most = if point.table.is_bits() { max_bits } else { max_registers };
        if point.kind.width() > most {
            let wide = format!("{} registers of `{}` in one request", point.kind.width(), point.meaning.name);
            complaints.add(format!("{path}.max_registers"), format!("{most} leaves no room for {wide}"));
        }
    }
    distinct(complaints, &format!("{path}.points"), points.iter().map(|point| &point.meaning));
    let line = line?;
    Some(Modbus { line, unit, timeout, retries, pause, max_hole, max_registers, max_bits, points })
}

/// The line of the manifest that is named, or one to this device's own address.
fn line(
    complaints: &mut Complaints,
    path: &str,
    own: Option<String>,
    named: Option<String>,
    lines: &Named,
) -> Option<Line> {
    match (own, named) {
        (own, None) => {
            let own = endpoint(complaints, &format!("{path}.endpoint"), own)?;
            let named = lines.iter().find(|(_, line)| line.connects_to(&own));
            if let Some((name, _)) = named {
                complaints.add(
                    format!("{path}.endpoint"),
                    format!("is that of the line `{name}`: say line = \"{name}\""),
                );
            }
            Some(Line::to(own))
        }
        (None, Some(name)) => {
            let found = lines.get(&name).cloned();
            if found.is_none() {
                complaints.add(format!("{path}.line"), format!("`{name}` is not the name of one of `lines`"));
            }
            found
        }
        (Some(_), Some(_)) => {
            complaints.add(path, "has both `endpoint` and `line`: which one is it asked over?");
            None
        }
    }
}

fn order(complaints: &mut Complaints, path: &str, field: Option<String>) -> Option<Order> {
    let letters = field?;
    let order = Order::named(&letters);
    if order.is_none() {
        let words =
            "ABCD, CDAB, BADC, DCBA, another order of these letters, or one of ABCDEFGH for four registers";
        complaints.add(path, format!("`{letters}` is not {words}"));
    }
    order
}

fn point(
    complaints: &mut Complaints,
    path: &str,
    raw: raw::Register,
    base: u16,
    common_order: Order,
    share: Share,
) -> Option<RegisterPoint> {
    let table = word(complaints, &format!("{path}.table"), raw.table, TABLES).flatten_or(Table::Holding);
    let kind = kind(complaints, path, raw.kind, raw.bit, raw.registers, table);
    let base = complaints.number(&format!("{path}.base"), raw.base, base, 0..=1);
    let own_order = order(complaints, &format!("{path}.order"), raw.order);
    let width = kind.map_or(1, Type::width);
    if own_order.is_some_and(|order| !order.is_of(width)) {
        complaints.add(format!("{path}.order"), format!("is not one of a value in {width} registers"));
    }
    // One for eight bytes says nothing of the device's shorter values.
    let order = own_order.unwrap_or(if common_order.is_of(width) { common_order } else { Order::Abcd });
    let address_path = format!("{path}.address");
    let address = complaints.required(&address_path, raw.address).and_then(|written| {
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
    registers: Option<u16>,
    table: Table,
) -> Option<Type> {
    let type_path = format!("{path}.type");
    let bit = match bit {
        None => None,
        bit => Some(complaints.number(&format!("{path}.bit"), bit, 0, 0..=15)),
    };
    let registers_path = format!("{path}.registers");
    let kind = match word(complaints, &type_path, written, TYPES) {
        Word::One(Type::Text(_)) => {
            let registers = complaints.required(&registers_path, registers);
            Type::Text(complaints.number(&registers_path, registers, 1, 1..=MAX_TEXT))
        }
        Word::One(kind) => kind,
        Word::Wrong => return None,
        Word::Absent if table.is_bits() => Type::Bit,
        Word::Absent => Type::U16,
    };
    if registers.is_some() && !matches!(kind, Type::Text(_)) {
        complaints.add(registers_path, "has a meaning only for type = \"text\"");
    }
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
pub(super) fn endpoint(complaints: &mut Complaints, path: &str, field: Option<String>) -> Option<String> {
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
