//! The far end's side of Modbus: questions out of bytes, true values, and answers with whatever is wrong with them.
//!
//! A value is a function of unit, table, address and the number of the question that it answers, so that any value that
//! is read can be told to be that of one point at one moment. Written for this simulator alone and from the standard,
//! not from the collector's code: one mistake in both would look like none.

use std::time::Duration;

use collectors::manifest::Framing;

use super::faults::{Dice, Fault, mixed};

/// Values with this bit in their number were never true.
const NEVER: u32 = 1 << 31;

/// From this address on registers are all noise; below, each four tell unit and table, address, and number.
const TELLING: u16 = 1_000;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Of whom.
    pub unit: u8,
    /// 1 to 4, or 43.
    pub function: u8,
    /// First address; 0 for an identity.
    pub first: u16,
    /// How many registers or bits.
    pub count: u16,
    /// The transaction's number on TCP.
    pub number: u16,
}

/// What was found at the beginning of the bytes that came.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A question, and how many bytes it took.
    Question(Question, usize),
    /// A question of a function that does not read.
    Forbidden(u8),
    /// More must come.
    Nothing,
}

/// Something the device does, so long after the question.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// After the question.
    pub after: Duration,
    /// What it says; `None` resets the connection.
    pub says: Option<Vec<u8>>,
}

/// A register's value in the answer to question `serial`.
pub fn register(unit: u8, function: u8, address: u16, serial: u32) -> u16 {
    let halves = || [(serial >> 16) as u16, (serial & 0xFFFF) as u16];
    match address % 4 {
        0 if address < TELLING => u16::from(unit) << 8 | u16::from(function),
        1 if address < TELLING => address - 1,
        2 if address < TELLING => halves()[0],
        3 if address < TELLING => halves()[1],
        _ => (noise(unit, function, address, serial) & 0xFFFF) as u16,
    }
}

/// A bit's value in the answer to question `serial`.
pub fn bit(unit: u8, function: u8, address: u16, serial: u32) -> bool {
    noise(unit, function, address, serial) & 1 == 1
}

fn noise(unit: u8, function: u8, address: u16, serial: u32) -> u64 {
    let place = u64::from(unit) << 24 | u64::from(function) << 16 | u64::from(address);
    mixed(place << 32 | u64::from(serial))
}

/// The bytes a point of this place and width must have read from the answer to question `serial`.
pub fn raw(unit: u8, function: u8, address: u16, width: u16, serial: u32) -> Vec<u8> {
    if function <= 2 {
        return vec![u8::from(bit(unit, function, address, serial))];
    }
    (address..address + width).flat_map(|at| register(unit, function, at, serial).to_be_bytes()).collect()
}

/// What the bytes begin with.
pub fn hear(framing: Framing, bytes: &[u8]) -> Heard {
    let (body, number, whole) = match framing {
        Framing::Tcp => {
            let [a, b, 0, 0, c, d, ..] = *bytes else { return Heard::Nothing };
            let length = usize::from(u16::from_be_bytes([c, d]));
            let Some(body) = bytes.get(6..6 + length) else { return Heard::Nothing };
            (body, u16::from_be_bytes([a, b]), 6 + length)
        }
        Framing::Rtu => {
            let Some(function) = bytes.get(1) else { return Heard::Nothing };
            let whole = match function {
                1..=4 => 8,
                0x2B => 7,
                other => return Heard::Forbidden(*other),
            };
            let Some(frame) = bytes.get(..whole) else { return Heard::Nothing };
            if crc(&frame[..whole - 2]) != [frame[whole - 2], frame[whole - 1]] {
                // A master's question is never damaged here: what is not one is not allowed either.
                return Heard::Forbidden(0);
            }
            (&frame[..whole - 2], 0, whole)
        }
    };
    match *body {
        [unit, function @ 1..=4, a, b, c, d] => {
            let (first, count) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            Heard::Question(Question { unit, function, first, count, number }, whole)
        }
        [unit, 0x2B, 0x0E, 1, _] => {
            Heard::Question(Question { unit, function: 0x2B, first: 0, count: 0, number }, whole)
        }
        [_, function, ..] => Heard::Forbidden(function),
        _ => Heard::Forbidden(0),
    }
}

impl Question {
    /// Whether it asks for this register or bit.
    pub fn asks_for(&self, function: u8, address: u16) -> bool {
        let end = u32::from(self.first) + u32::from(self.count);
        self.function == function && (u32::from(self.first)..end).contains(&u32::from(address))
    }

    /// Function and data of the true answer.
    fn answer(&self, serial: u32) -> Vec<u8> {
        let Self { unit, function, first, count, .. } = *self;
        match function {
            1 | 2 => {
                let mut data = vec![0_u8; usize::from(count).div_ceil(8)];
                for at in (0..count).filter(|at| bit(unit, function, first + at, serial)) {
                    data[usize::from(at / 8)] |= 1 << (at % 8);
                }
                counted(function, &data)
            }
            3 | 4 => counted(function, &raw(unit, function, first, count, serial)),
            // Some have an identity, others refuse the question.
            _ if unit.is_multiple_of(2) => [&[0x2B, 0x0E, 1, 1, 0, 0, 1, 0, 5][..], b"chaos"].concat(),
            _ => vec![0xAB, 1],
        }
    }

    fn framed(&self, framing: Framing, number: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
        match framing {
            Framing::Tcp => {
                let length = u16::try_from(pdu.len() + 1).expect("an answer is short");
                [&number.to_be_bytes(), &[0, 0][..], &length.to_be_bytes(), &[unit], pdu].concat()
            }
            Framing::Rtu => {
                let body = [&[unit], pdu].concat();
                [&body[..], &crc(&body)].concat()
            }
        }
    }

    /// The true answer to it.
    pub fn served(&self, framing: Framing, serial: u32) -> Vec<u8> {
        self.framed(framing, self.number, self.unit, &self.answer(serial))
    }

    /// A refusal.
    pub fn refused(&self, framing: Framing, code: u8) -> Vec<u8> {
        self.framed(framing, self.number, self.unit, &[self.function | 0x80, code])
    }
}

fn counted(function: u8, data: &[u8]) -> Vec<u8> {
    [&[function, u8::try_from(data.len()).expect("an answer is short")], data].concat()
}

/// What a device does with a question that meets `fault`. `last` is what it said to the question before of this shape.
pub fn steps(
    dice: &mut Dice,
    framing: Framing,
    timeout: Duration,
    question: &Question,
    fault: Option<Fault>,
    serial: u32,
    last: Option<&[u8]>,
) -> Vec<Step> {
    use Fault as F;
    let right = question.served(framing, serial);
    let never = question.answer(serial | NEVER);
    let other = |number, unit, pdu: &[u8]| question.framed(framing, number, unit, pdu);
    let at_once = |says: Vec<u8>| vec![Step { after: Duration::ZERO, says: Some(says) }];
    let after = |part: f64, says: Vec<u8>| vec![Step { after: timeout.mul_f64(part), says: Some(says) }];
    let Some(fault) = fault else { return at_once(right) };
    let half = 1 + usize::try_from(dice.below(u64::try_from(right.len() - 1).unwrap_or(1))).unwrap_or(0);
    // Nobody on a line has such a number.
    let nobody = question.unit | 0x40;
    let stray = match framing {
        Framing::Tcp => other(question.number.wrapping_sub(1), question.unit, &never),
        Framing::Rtu => other(0, nobody, &never),
    };
    match fault {
        F::Slow => after(dice.within(0.1..0.5), right),
        F::AboutTimeout => after(dice.within(0.9..1.1), right),
        F::Late => after(dice.within(1.2..2.5), right),
        F::Split => pieces(dice, timeout, &right),
        F::Stray => match (framing, dice.below(2)) {
            (Framing::Rtu, 0) => at_once([right, stray].concat()),
            (Framing::Rtu | Framing::Tcp, _) => at_once([stray, right].concat()),
        },
        F::Repeated => at_once([last.unwrap_or_default(), &right].concat()),
        F::Doubled => at_once([&right[..], &right].concat()),
        F::OtherNumber => at_once(other(question.number ^ 0x55, question.unit, &never)),
        F::OtherUnit => at_once(other(question.number, nobody, &never)),
        F::OtherFunction => {
            let function = if question.function == 0x2B { 3 } else { 5 - question.function };
            at_once(other(question.number, question.unit, &[&[function], &never[1..]].concat()))
        }
        F::NoiseBefore => at_once([noisy(dice, 3..12), right].concat()),
        F::NoiseAfter => at_once([right, noisy(dice, 3..12)].concat()),
        F::NoiseWithin => at_once(spoilt_within(dice, framing, &right)),
        F::BadCrc => at_once(flipped(dice, &right)),
        F::BadLength => {
            let mut frame = right;
            // The length is below 256, so its low byte says it all.
            frame[5] = if dice.below(2) == 0 { frame[5] + 9 } else { frame[5] - 1 };
            at_once(frame)
        }
        F::OtherCount => at_once(fewer(question, framing, &never)),
        F::Half => at_once(right[..half].to_vec()),
        F::Reset => {
            let mut steps = at_once(right[..half].to_vec());
            steps.push(Step { after: Duration::from_millis(1), says: None });
            steps
        }
        F::Dead | F::HalfOpen | F::Down => Vec::new(),
        F::Babble => babble(dice, timeout),
        F::RefusedBlock => at_once(question.refused(framing, 2)),
        F::Exception(code) => at_once(question.refused(framing, code)),
    }
}

fn pieces(dice: &mut Dice, timeout: Duration, frame: &[u8]) -> Vec<Step> {
    let gap = timeout.mul_f64(0.4) / u32::try_from(frame.len()).expect("a frame is short");
    let mut steps = Vec::new();
    let (mut from, mut at) = (0, Duration::ZERO);
    while from < frame.len() {
        let most = u64::try_from(frame.len() - from).expect("a frame is short");
        let to = from + 1 + usize::try_from(dice.below(most)).expect("a frame is short");
        steps.push(Step { after: at, says: Some(frame[from..to].to_vec()) });
        (from, at) = (to, at + gap);
    }
    steps
}

/// Bytes, none of them 0.
fn noisy(dice: &mut Dice, many: std::ops::Range<u64>) -> Vec<u8> {
    let many = many.start + dice.below(many.end - many.start);
    (0..many).map(|_| 1 + (dice.below(255) & 0xFF) as u8).collect()
}

/// The frame with noise in it that a reader can tell: on TCP in the header, because nothing guards the data there.
fn spoilt_within(dice: &mut Dice, framing: Framing, frame: &[u8]) -> Vec<u8> {
    loop {
        let at = match framing {
            Framing::Tcp => 2,
            Framing::Rtu => 3 + usize::try_from(dice.below(frame.len() as u64 - 5)).unwrap_or(0),
        };
        let spoilt = [&frame[..at], &noisy(dice, 3..6), &frame[at..]].concat();
        let looks_right = framing == Framing::Rtu
            && spoilt.windows(frame.len()).any(|part| crc(&part[..part.len() - 2]) == part[part.len() - 2..]);
        if !looks_right {
            return spoilt;
        }
    }
}

/// One to three wrong bits: what a CRC of 16 bits always finds in a frame.
fn flipped(dice: &mut Dice, frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    for _ in 0..=dice.below(2) {
        let at = usize::try_from(dice.below(frame.len() as u64)).unwrap_or(0);
        frame[at] ^= 1 << dice.below(8);
    }
    let turned_back = crc(&frame[..frame.len() - 2]) == frame[frame.len() - 2..];
    if turned_back {
        frame[0] ^= 1;
    }
    frame
}

/// A whole frame with less data than was asked for.
fn fewer(question: &Question, framing: Framing, never: &[u8]) -> Vec<u8> {
    let less = if question.function <= 2 { 1 } else { 2 };
    let data = &never[2..never.len() - less];
    let pdu = counted(question.function, data);
    question.framed(framing, question.number, question.unit, &pdu)
}

/// Noise for twice the time-out, as fast as a slow line is.
fn babble(dice: &mut Dice, timeout: Duration) -> Vec<Step> {
    let gap = Duration::from_millis(2);
    let many = u32::try_from(timeout.as_millis() * 2 / gap.as_millis()).unwrap_or(100);
    (0..many).map(|at| Step { after: gap * at, says: Some(noisy(dice, 2..3)) }).collect()
}

/// The check of a serial frame, lower byte first.
pub fn crc(bytes: &[u8]) -> [u8; 2] {
    let sum = bytes.iter().fold(0xFFFF_u16, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xA001 } else { sum >> 1 })
    });
    sum.to_le_bytes()
}
