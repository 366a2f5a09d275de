//! Requests and readings: the pure part of Modbus.
//!
//! Adjacent declared points of one table are asked for together; undeclared registers in between only up to
//! `max_hole`, and what stands in them is neither decoded nor kept. A value that spans registers is always inside one
//! request, so that it cannot be torn between two.

use proof::{Quality, Reading};
use sha2::{Digest as _, Sha256};

use crate::manifest::{Modbus, Order, RegisterPoint, Table, Type};

/// One question: so many registers or bits of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which table.
    pub table: Table,
    /// Protocol address of the first one.
    pub first: u16,
    /// How many: 1 to 125 registers or 2,000 bits.
    pub count: u16,
    /// Places of the points it covers, in the manifest's list.
    pub points: Vec<usize>,
}

/// The requests of one cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan(Vec<Request>);

/// What a request asks for in two, when the device refuses it in one.
pub type Halves = [Request; 2];

/// What a device answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// Of a bit table.
    Bits(Vec<bool>),
    /// Of a register table.
    Registers(Vec<u16>),
}

impl Plan {
    /// Plans the fewest requests that ask for all points, span no more than `max_hole` undeclared units at once, and are
    /// no longer than the device takes.
    pub fn new(device: &Modbus) -> Self {
        let (points, max_hole) = (&device.points, device.max_hole);
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by_key(|at| (points[*at].table, points[*at].address, points[*at].kind.width(), *at));
        let mut requests: Vec<Request> = Vec::new();
        for at in order {
            let point = &points[at];
            let end = u32::from(point.address) + u32::from(point.kind.width());
            if let Some(open) = requests.last_mut().filter(|open| open.table == point.table) {
                let open_end = u32::from(open.first) + u32::from(open.count);
                let reach = u32::from(point.address) <= open_end + u32::from(max_hole);
                let count = open_end.max(end) - u32::from(open.first);
                let most = if point.table.is_bits() { device.max_bits } else { device.max_registers };
                if reach && count <= u32::from(most) {
                    open.count = u16::try_from(count).expect("a request is at most 2,000 units");
                    open.points.push(at);
                    continue;
                }
            }
            let (table, first, count) = (point.table, point.address, point.kind.width());
            requests.push(Request { table, first, count, points: vec![at] });
        }
        Self(requests)
    }

    /// In the order they are made.
    pub fn requests(&self) -> &[Request] {
        &self.0
    }

    /// Asks in two from now on for what this request asks for.
    pub fn split(&mut self, request: &Request, halves: Halves) {
        if let Some(at) = self.0.iter().position(|other| other == request) {
            self.0.splice(at..=at, halves);
        }
    }
}

impl Request {
    /// The request in two, at its widest hole, else in the middle of its points; `None` for one that cannot be cut
    /// without tearing a value.
    pub fn halves(&self, points: &[RegisterPoint]) -> Option<Halves> {
        let first = |at: usize| u32::from(points[at].address);
        let end = |at: usize| first(at) + u32::from(points[at].kind.width());
        let mut order = self.points.clone();
        order.sort_by_key(|at| (first(*at), end(*at)));
        // Every place between two points at which no value is torn, with how wide the hole is there.
        let mut reached = 0;
        let mut cuts = Vec::new();
        for (at, point) in order.iter().enumerate() {
            if at > 0 && first(*point) >= reached {
                cuts.push((first(*point) - reached, at));
            }
            reached = reached.max(end(*point));
        }
        let middle = order.len() / 2;
        let (_, cut) =
            cuts.into_iter().max_by_key(|(hole, at)| (*hole, std::cmp::Reverse(at.abs_diff(middle))))?;
        let part = |points: &[usize]| {
            let from = points.iter().map(|at| first(*at)).min()?;
            let to = points.iter().map(|at| end(*at)).max()?;
            let (first, count) = (u16::try_from(from).ok()?, u16::try_from(to - from).ok()?);
            Some(Self { table: self.table, first, count, points: points.to_vec() })
        };
        Some([part(&order[..cut])?, part(&order[cut..])?])
    }
}

/// A point whose request was refused: the device answers, and faultily.
pub fn no_reading() -> Reading {
    Reading { quality: Quality::Fault, raw: Vec::new(), value: None }
}

/// What an exception says of the points that were asked for: a gateway's 10 and 11 mean that the device behind it does
/// not answer, any other that it answers and cannot or will not.
pub fn refusal(code: u8) -> Quality {
    if matches!(code, 0x0A | 0x0B) { Quality::NoAnswer } else { Quality::Fault }
}

/// An exception's code in words, with what to do (Modbus application protocol 1.1b3, 7).
pub fn exception(code: u8) -> String {
    let words = match code {
        1 => "illegal function: the device has no such table",
        2 => {
            "illegal data address: the device has no such register; does the manual count from 1 (base = 1)?"
        }
        3 => "illegal data value: it takes fewer registers at once (max_registers)",
        4 => "the device failed",
        5 | 6 => "the device is busy",
        8 => "the device's memory is damaged",
        10 => "the gateway has no way to this unit",
        11 => "no answer from the unit behind the gateway",
        _ => "a code of the device's own",
    };
    format!("{words} (exception {code})")
}

/// A point's reading out of the answer to the request that begins at `first`. Raw are the registers' bytes as they came
/// from the wire, or one byte 0 or 1 for a bit of a bit table.
pub fn decode(point: &RegisterPoint, first: u16, words: &Words) -> Reading {
    let from = usize::from(point.address.wrapping_sub(first));
    let span = from..from + usize::from(point.kind.width());
    let (raw, read) = match words {
        Words::Bits(bits) => match bits.get(span) {
            Some([bit]) => (vec![u8::from(*bit)], f64::from(u8::from(*bit))),
            _ => return no_reading(),
        },
        Words::Registers(words) => {
            let Some(words) = words.get(span) else { return no_reading() };
            let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            match number(point.kind, point.order, words) {
                Some(read) => (raw, read),
                None => return no_reading(),
            }
        }
    };
    match point.meaning.judge(read) {
        Ok(value) => Reading { quality: Quality::Good, raw, value: Some(value) },
        Err(quality) => Reading { quality, raw, value: None },
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a counter past 2^53 is read to 16 digits; the raw bytes keep the rest"
)]
pub(super) fn number(kind: Type, order: Order, words: &[u16]) -> Option<f64> {
    let word = || ordered::<2>(order, words).map(u16::from_be_bytes);
    Some(match kind {
        Type::Bit => return None,
        Type::BitOf(bit) => f64::from(word()? >> bit & 1),
        Type::U16 => f64::from(word()?),
        Type::I16 => f64::from(i16::from_be_bytes(ordered(order, words)?)),
        Type::U32 => f64::from(u32::from_be_bytes(ordered(order, words)?)),
        Type::I32 => f64::from(i32::from_be_bytes(ordered(order, words)?)),
        Type::F32 => f64::from(f32::from_be_bytes(ordered(order, words)?)),
        Type::U64 => u64::from_be_bytes(ordered(order, words)?) as f64,
        Type::I64 => i64::from_be_bytes(ordered(order, words)?) as f64,
        Type::F64 => f64::from_be_bytes(ordered(order, words)?),
        Type::F16 => half(word()?),
        Type::Bcd16 => f64::from(decimal(u32::from(word()?))?),
        Type::Bcd32 => f64::from(decimal(u32::from_be_bytes(ordered(order, words)?))?),
        Type::Text(_) => text(&characters(order, words)),
    })
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

/// A number of decimal digits, four bits each; `None` when one is none.
fn decimal(bits: u32) -> Option<u32> {
    (0..8).rev().try_fold(0_u32, |number, digit| {
        let digit = bits >> (digit * 4) & 0xF;
        (digit < 10).then(|| number * 10 + digit)
    })
}

/// The bytes of a text, without what fills it up at its end.
pub fn characters(order: Order, words: &[u16]) -> Vec<u8> {
    let turned = matches!(order, Order::Badc | Order::Dcba);
    let word = |word: &u16| if turned { word.to_le_bytes() } else { word.to_be_bytes() };
    let mut bytes: Vec<u8> = words.iter().flat_map(word).collect();
    let ends = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(ends);
    bytes.truncate(bytes.trim_ascii_end().len());
    bytes
}

/// What a text point says: UTF-8, or else GBK, as devices made for China have it.
pub fn said(point: &RegisterPoint, reading: &Reading) -> Option<String> {
    if !matches!(point.kind, Type::Text(_)) || reading.value.is_none() {
        return None;
    }
    let words: Vec<_> =
        reading.raw.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]])).collect();
    let bytes = characters(point.order, &words);
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| encoding_rs::GBK.decode(error.as_bytes()).0.into_owned());
    Some(text.chars().filter(|character| !character.is_control()).collect())
}

/// The number that stands for a text: 48 bits of its SHA-256; 0 for none.
fn text(characters: &[u8]) -> f64 {
    if characters.is_empty() {
        return 0.0;
    }
    let digest = Sha256::digest(characters);
    digest[..6].iter().fold(0.0, |number, byte| number * 256.0 + f64::from(*byte))
}

/// The bytes of a value, highest first.
fn ordered<const N: usize>(order: Order, words: &[u16]) -> Option<[u8; N]> {
    let places = |places: &[u8]| {
        let wire = words.iter().flat_map(|word| word.to_be_bytes());
        let mut bytes = [0; N];
        for (place, byte) in places.iter().zip(wire) {
            *bytes.get_mut(usize::from(*place))? = byte;
        }
        (places.len() == N && words.len() * 2 == N).then_some(bytes)
    };
    let (words_turned, bytes_turned) = match order {
        Order::Eight(order) => return places(&order),
        Order::Four(order) => return places(&order),
        Order::Abcd => (false, false),
        Order::Cdab => (true, false),
        Order::Badc => (false, true),
        Order::Dcba => (true, true),
    };
    if words.len() * 2 != N {
        return None;
    }
    let mut bytes = [0; N];
    for (at, pair) in bytes.chunks_exact_mut(2).enumerate() {
        let word = words[if words_turned { words.len() - 1 - at } else { at }];
        let word = if bytes_turned { word.swap_bytes() } else { word };
        pair.copy_from_slice(&word.to_be_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
