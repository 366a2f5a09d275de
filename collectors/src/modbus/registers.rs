//! Requests and readings: the pure part of Modbus.
//!
//! Adjacent declared points of one table are asked for together; undeclared registers in between only up to
//! `max_hole`, and what stands in them is neither decoded nor kept. A value that spans registers is always inside one
//! request, so that it cannot be torn between two.

use proof::{Quality, Reading};

use crate::manifest::{Order, RegisterPoint, Table, Type};

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

/// What a device answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// Of a bit table.
    Bits(Vec<bool>),
    /// Of a register table.
    Registers(Vec<u16>),
}

impl Plan {
    /// Plans the fewest requests that ask for all points and span no more than `max_hole` undeclared units at once.
    pub fn new(points: &[RegisterPoint], max_hole: u16) -> Self {
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
                if reach && count <= u32::from(point.table.most()) {
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
fn number(kind: Type, order: Order, words: &[u16]) -> Option<f64> {
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
    })
}

/// The bytes of a value, highest first.
fn ordered<const N: usize>(order: Order, words: &[u16]) -> Option<[u8; N]> {
    let (words_turned, bytes_turned) = match order {
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
