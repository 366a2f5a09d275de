//! Questions and answers as bytes: the pure part of the line.
//!
//! Two framings. On TCP each answer carries the number of its question. On a serial line it carries none: what is
//! taken for an answer is from the unit that was asked, of the function and length that were asked for, and its CRC
//! holds; everything else is dropped and counted, wherever it stands. Only the reading functions 1 to 4 and the device
//! identity (43/14) are ever put into a question.

use tokio_modbus::Response;
use tokio_modbus::bytes::Bytes;

use crate::manifest::Table;

/// Most bytes of one frame on a serial line (Modbus over serial line 1.02, 2.5.1).
const MOST_RTU: usize = 256;

/// Most bytes after the length field of one frame on TCP (Modbus messaging on TCP/IP 1.0b, 4.1).
const MOST_TCP: usize = 254;

/// Bytes that are kept while an answer is looked for among them.
const MOST_KEPT: usize = 4 * MOST_RTU;

const IDENTITY: u8 = 0x2B;
const IDENTITY_KIND: u8 = 0x0E;
/// Vendor, product and revision (Modbus application protocol 1.1b3, 6.21).
const BASIC: u8 = 1;
const REFUSED: u8 = 0x80;

/// The CRC of serial lines: initial value 0xFFFF, polynomial 0xA001 (Modbus over serial line 1.02, 6.2.2).
const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_MODBUS);

/// What is asked of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// `count` registers or bits of a table, from `first` on.
    Read { table: Table, first: u16, count: u16 },
    /// The device's identity: objects from this one on.
    Identity { object: u8 },
}

/// What one unit answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Bits(Vec<bool>),
    Registers(Vec<u16>),
    /// Numbers and texts of its objects, and the number from which on there are more.
    Identity {
        objects: Vec<(u8, String)>,
        more: Option<u8>,
    },
    /// The unit said no: a code of the standard's table.
    Refused(u8),
    /// It is the answer, and it cannot be read.
    Unreadable(&'static str),
}

/// What came and was no answer to the question that was open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Dropped {
    /// Answers to an earlier question.
    pub(crate) late: u64,
    /// Whole frames of or to another unit, or of another function.
    pub(crate) foreign: u64,
    /// Bytes that are part of no frame.
    pub(crate) noise: u64,
}

impl Question {
    pub(super) fn function(self) -> u8 {
        match self {
            Self::Read { table: Table::Coil, .. } => 1,
            Self::Read { table: Table::Discrete, .. } => 2,
            Self::Read { table: Table::Holding, .. } => 3,
            Self::Read { table: Table::Input, .. } => 4,
            Self::Identity { .. } => IDENTITY,
        }
    }

    /// Function and what belongs to it.
    fn pdu(self) -> Vec<u8> {
        match self {
            Self::Read { first, count, .. } => {
                let ([a, b], [c, d]) = (first.to_be_bytes(), count.to_be_bytes());
                vec![self.function(), a, b, c, d]
            }
            Self::Identity { object } => vec![IDENTITY, IDENTITY_KIND, BASIC, object],
        }
    }

    /// The bytes for TCP, with the question's number.
    pub(super) fn tcp(self, number: u16, unit: u8) -> Vec<u8> {
        let pdu = self.pdu();
        let length = u16::try_from(pdu.len() + 1).expect("a question is short");
        [&number.to_be_bytes(), &[0, 0][..], &length.to_be_bytes(), &[unit], &pdu].concat()
    }

    /// The bytes for a serial line.
    pub(super) fn rtu(self, unit: u8) -> Vec<u8> {
        let mut bytes = vec![unit];
        bytes.extend(self.pdu());
        let crc = CRC.checksum(&bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }

    /// Data bytes of the answer; `None` for an identity, which says itself how long it is.
    fn data(self) -> Option<usize> {
        match self {
            Self::Read { table, count, .. } if table.is_bits() => Some(usize::from(count).div_ceil(8)),
            Self::Read { count, .. } => Some(usize::from(count) * 2),
            Self::Identity { .. } => None,
        }
    }

    /// What the bytes after the unit say, function first.
    fn answer(self, pdu: &[u8]) -> Answer {
        if let [function, code] = *pdu
            && function == self.function() | REFUSED
        {
            return Answer::Refused(code);
        }
        let Ok(response) = Response::try_from(Bytes::copy_from_slice(pdu)) else {
            return Answer::Unreadable("not what the function answers");
        };
        let (count, bits) = match self {
            Self::Read { table, count, .. } => (usize::from(count), table.is_bits()),
            Self::Identity { .. } => {
                let Response::ReadDeviceIdentification(identity) = response else {
                    return Answer::Unreadable("not an identity");
                };
                let objects = identity.device_id_objects.into_iter();
                let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
                return Answer::Identity {
                    more: identity.more_follows.then_some(identity.next_object_id),
                    objects: objects.map(|object| (object.id, text(&object.value))).collect(),
                };
            }
        };
        if let Response::ReadCoils(mut found) | Response::ReadDiscreteInputs(mut found) = response {
            // Bits come in whole bytes.
            let fits = bits && found.len() == count.next_multiple_of(8);
            found.truncate(count);
            return if fits { Answer::Bits(found) } else { Answer::Unreadable(OTHER_LENGTH) };
        }
        if let Response::ReadHoldingRegisters(found) | Response::ReadInputRegisters(found) = response {
            let fits = !bits && found.len() == count;
            return if fits { Answer::Registers(found) } else { Answer::Unreadable(OTHER_LENGTH) };
        }
        Answer::Unreadable("another function's answer")
    }
}

const OTHER_LENGTH: &str = "another length than asked for";

/// What a serial line cannot tell apart: answers of one unit to two questions of one shape.
pub(super) fn same_shape(one: Question, other: Question) -> bool {
    // A refusal says which function it refuses, and nothing more.
    one.function() == other.function()
}

/// What has come and was not used yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    pub(super) dropped: Dropped,
}

/// The stream is not in step and cannot be brought into step: TCP loses no bytes, so what came is no Modbus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotModbus;

impl Inbox {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether more has come than any answer has, and nobody looked.
    pub(super) fn is_flooded(&self) -> bool {
        self.bytes.len() > 2 * MOST_KEPT
    }

    /// Whether nothing waits to be used.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether a TCP stream is in step between two questions: whole frames are dropped as late, and nothing is left.
    pub(super) fn in_step(&mut self) -> bool {
        while let Some(&[_, _, 0, 0, c, d]) = self.bytes.first_chunk::<6>() {
            let length = 6 + usize::from(u16::from_be_bytes([c, d]));
            if self.bytes.len() < length {
                return false;
            }
            self.bytes.drain(..length);
            self.dropped.late += 1;
        }
        self.bytes.is_empty()
    }

    /// The connection these came by is gone.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
    }

    /// Takes the answer to question `number` out of a TCP stream; `None` while it has not come.
    pub(super) fn tcp(
        &mut self,
        number: u16,
        unit: u8,
        question: Question,
    ) -> Result<Option<Answer>, NotModbus> {
        loop {
            let Some(&[a, b, 0, 0, c, d]) = self.bytes.first_chunk::<6>() else {
                // Not yet six bytes, or no Modbus.
                return if self.bytes.len() < 6 { Ok(None) } else { Err(NotModbus) };
            };
            let length = usize::from(u16::from_be_bytes([c, d]));
            if !(3..=MOST_TCP).contains(&length) {
                return Err(NotModbus);
            }
            if self.bytes.len() < 6 + length {
                return Ok(None);
            }
            let frame: Vec<u8> = self.bytes.drain(..6 + length).skip(6).collect();
            if u16::from_be_bytes([a, b]) != number {
                self.dropped.late += 1;
            } else if frame[0] != unit || frame[1] & !REFUSED != question.function() {
                self.dropped.foreign += 1;
            } else {
                return Ok(Some(question.answer(&frame[1..])));
            }
        }
    }

    /// Takes the answer of `unit` out of what came on a serial line, wherever it stands; `None` while it is not there.
    pub(super) fn rtu(&mut self, unit: u8, question: Question) -> Option<Answer> {
        for at in 0..self.bytes.len() {
            let Some(length) = answer_length(&self.bytes[at..], unit, question) else { continue };
            let Some(frame) = self.bytes.get(at..at + length) else { continue };
            if !crc_holds(frame) {
                continue;
            }
            let answer = question.answer(&frame[1..length - 2]);
            self.drop_first(at, unit);
            self.bytes.drain(..length);
            return Some(answer);
        }
        if self.bytes.len() > MOST_KEPT {
            self.drop_first(self.bytes.len() - MOST_RTU, unit);
        }
        None
    }

    /// Drops everything, and counts what it was; `unit` is the one that was asked last.
    pub(super) fn clear(&mut self, unit: u8) {
        self.drop_first(self.bytes.len(), unit);
    }

    fn drop_first(&mut self, count: usize, unit: u8) {
        let mut rest = &self.bytes[..count];
        while !rest.is_empty() {
            match frame_length(rest) {
                Some(length) => {
                    if rest[0] == unit {
                        self.dropped.late += 1;
                    } else {
                        self.dropped.foreign += 1;
                    }
                    rest = &rest[length..];
                }
                None => {
                    self.dropped.noise += 1;
                    rest = &rest[1..];
                }
            }
        }
        self.bytes.drain(..count);
    }
}

fn crc_holds(frame: &[u8]) -> bool {
    let Some((bytes, crc)) = frame.split_last_chunk::<2>() else { return false };
    CRC.checksum(bytes) == u16::from_le_bytes(*crc)
}

/// Bytes of the frame that these begin with, when they can be the answer to a question: unit, function and length fit.
fn answer_length(bytes: &[u8], unit: u8, question: Question) -> Option<usize> {
    let [from, function, rest @ ..] = bytes else { return None };
    if *from != unit {
        return None;
    }
    if *function == question.function() | REFUSED {
        return Some(5);
    }
    if *function != question.function() {
        return None;
    }
    match question.data() {
        Some(data) => (usize::from(*rest.first()?) == data).then_some(3 + data + 2),
        None => identity_length(bytes),
    }
}

/// Bytes of the whole frame that these begin with: an answer or a question of anybody's, with its CRC.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let [_, function, rest @ ..] = bytes else { return None };
    let data = || Some(3 + usize::from(*rest.first()?) + 2);
    let lengths = match function {
        function if function & REFUSED != 0 => [Some(5), None],
        // An answer, or another master's question.
        1..=4 => [data(), Some(8)],
        // What others write is a frame, too.
        5 | 6 | 15 | 16 => [Some(8), bytes.get(6).map(|data| 9 + usize::from(*data))],
        &IDENTITY => [identity_length(bytes), None],
        _ => [None, None],
    };
    let mut lengths = lengths.into_iter().flatten();
    lengths.find(|length| bytes.get(..*length).is_some_and(crc_holds))
}

/// Bytes of an identity's frame as far as they have come; `None` while its length is not known.
fn identity_length(bytes: &[u8]) -> Option<usize> {
    // Unit, function, kind, code, conformity, more, next, number of objects; then number, length and text of each.
    let [_, IDENTITY, IDENTITY_KIND, _, _, _, _, objects, ..] = *bytes else { return None };
    let mut at = 8;
    for _ in 0..objects {
        at += 2 + usize::from(*bytes.get(at + 1)?);
    }
    (at + 2 <= MOST_RTU).then_some(at + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ASKED: Question = Question::Read { table: Table::Holding, first: 0x10, count: 2 };

    fn sealed(bytes: &[u8]) -> Vec<u8> {
        let crc = CRC.checksum(bytes).to_le_bytes();
        [bytes, &crc].concat()
    }

    fn registers(unit: u8, words: &[u16]) -> Vec<u8> {
        let data: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        sealed(&[&[unit, 3, u8::try_from(data.len()).unwrap()], data.as_slice()].concat())
    }

    #[test]
    fn a_question_is_what_the_standard_prints() {
        // Modbus application protocol 1.1b3, 6.3: read holding registers 108 to 110.
        let question = Question::Read { table: Table::Holding, first: 0x6B, count: 3 };
        assert_eq!(question.tcp(0x1501, 9), [0x15, 1, 0, 0, 0, 6, 9, 3, 0, 0x6B, 0, 3]);
        assert_eq!(question.rtu(0x11), [0x11, 3, 0, 0x6B, 0, 3, 0x76, 0x87]);
        assert_eq!(Question::Identity { object: 0 }.tcp(1, 1)[6..], [1, 0x2B, 0x0E, 1, 0]);
    }

    #[test]
    fn an_answer_is_found_among_noise_late_and_foreign_frames_and_each_is_counted() {
        let mut inbox = Inbox::default();
        inbox.push(&[0xFF, 0x00]);
        inbox.push(&registers(7, &[1, 2]));
        inbox.push(&registers(3, &[9]));
        inbox.push(&sealed(&[3, 3, 0, 0x10, 0, 2]));
        let right = registers(3, &[0x0102, 0x0304]);
        inbox.push(&right[..4]);
        assert_eq!(inbox.rtu(3, ASKED), None);
        inbox.push(&right[4..]);
        inbox.push(&[0x55]);
        assert_eq!(inbox.rtu(3, ASKED), Some(Answer::Registers(vec![0x0102, 0x0304])));
        // The second late one is the echo of a question.
        assert_eq!(inbox.dropped, Dropped { late: 2, foreign: 1, noise: 2 });
        assert_eq!(inbox.bytes, [0x55]);
        inbox.clear(3);
        assert_eq!(inbox.dropped.noise, 3);
    }

    #[test]
    fn an_answer_with_one_wrong_bit_is_noise() {
        let right = registers(3, &[0x0102, 0x0304]);
        for at in 0..right.len() {
            for bit in 0..8 {
                let mut wrong = right.clone();
                wrong[at] ^= 1 << bit;
                let mut inbox = Inbox::default();
                inbox.push(&wrong);
                assert_eq!(inbox.rtu(3, ASKED), None, "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let mut inbox = Inbox::default();
        inbox.push(&sealed(&[3, 0x83, 2]));
        assert_eq!(inbox.rtu(3, ASKED), Some(Answer::Refused(2)));
    }

    #[test]
    fn a_tcp_answer_is_the_one_with_the_questions_number() {
        let frame = |number: u8, unit: u8, pdu: &[u8]| {
            [&[0, number, 0, 0, 0, u8::try_from(pdu.len() + 1).unwrap(), unit], pdu].concat()
        };
        let mut inbox = Inbox::default();
        inbox.push(&frame(6, 3, &[3, 4, 9, 9, 9, 9]));
        inbox.push(&frame(7, 4, &[3, 4, 9, 9, 9, 9]));
        inbox.push(&frame(7, 3, &[4, 4, 9, 9, 9, 9]));
        let right = frame(7, 3, &[3, 4, 0, 1, 0, 2]);
        let (begin, end) = right.split_at(5);
        inbox.push(begin);
        assert_eq!(inbox.tcp(7, 3, ASKED), Ok(None));
        inbox.push(end);
        assert_eq!(inbox.tcp(7, 3, ASKED), Ok(Some(Answer::Registers(vec![1, 2]))));
        assert_eq!(inbox.dropped, Dropped { late: 1, foreign: 2, noise: 0 });
        for (pdu, answer) in [
            (&[0x83, 2][..], Answer::Refused(2)),
            (&[3, 2, 0, 1], Answer::Unreadable(OTHER_LENGTH)),
            (&[3, 5, 0, 1], Answer::Unreadable("not what the function answers")),
        ] {
            inbox.push(&frame(8, 3, pdu));
            assert_eq!(inbox.tcp(8, 3, ASKED), Ok(Some(answer)));
        }
        assert!(inbox.bytes.is_empty());
        inbox.push(b"HTTP/1.1 400 Bad Request\r\n");
        assert_eq!(inbox.tcp(9, 3, ASKED), Err(NotModbus));
    }

    #[test]
    fn an_identity_says_itself_how_long_it_is() {
        let pdu = [0x2B, 0x0E, 1, 1, 0, 0, 2, 0, 3, b'A', b'B', b'C', 1, 2, b'x', b'y'];
        let whole = sealed(&[&[5], &pdu[..]].concat());
        let question = Question::Identity { object: 0 };
        let mut inbox = Inbox::default();
        for byte in &whole[..whole.len() - 1] {
            inbox.push(&[*byte]);
            assert_eq!(inbox.rtu(5, question), None);
        }
        inbox.push(&whole[whole.len() - 1..]);
        let objects = vec![(0, "ABC".to_owned()), (1, "xy".to_owned())];
        assert_eq!(inbox.rtu(5, question), Some(Answer::Identity { objects, more: None }));
    }

    #[test]
    fn endless_noise_takes_no_memory() {
        let mut inbox = Inbox::default();
        for _ in 0..100 {
            inbox.push(&[0xA5; 1_000]);
            assert_eq!(inbox.rtu(3, ASKED), None);
            assert!(inbox.bytes.len() <= MOST_KEPT + 1_000);
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_in_whatever_pieces_nothing_panics_and_the_answer_behind_it_is_found(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12),
            unit: u8,
            words in prop::collection::vec(any::<u16>(), 1..=125),
            identity: bool,
        ) {
            let mut inbox = Inbox::default();
            let count = u16::try_from(words.len()).unwrap();
            let read = Question::Read { table: Table::Holding, first: 0, count };
            let asked = if identity { Question::Identity { object: 0 } } else { read };
            for piece in &pieces {
                inbox.push(piece);
                prop_assert_eq!(inbox.rtu(unit, asked), None);
                prop_assert!(inbox.bytes.len() <= MOST_KEPT + piece.len());
            }
            inbox.push(&registers(unit, &words));
            prop_assert_eq!(inbox.rtu(unit, read), Some(Answer::Registers(words)));

            let mut inbox = Inbox::default();
            for piece in &pieces {
                inbox.push(piece);
                // Out of step is an end; anything else is a wait, or an answer that says it is the one.
                if inbox.tcp(7, unit, asked).is_err() {
                    break;
                }
            }
        }
    }
}
