//! What anybody may say on a line, given to all that reads it: a target for fuzzing, and the replay of its corpus
//! (`tests/fuzz/corpus/modbus`).

use super::frame::{Answer, Inbox, Question};
use crate::manifest::Table;

/// A question, and what is heard after it: one byte that says whether the line is a serial one, unit, function, first
/// address, count and number of the question (two bytes each), the size of the pieces in which it comes (0 for one
/// piece), and then what comes.
///
/// # Panics
/// When something is taken for an answer that does not stand in what came as the answer to this very question, or more
/// is kept than any answer needs.
pub fn reply(bytes: &[u8]) {
    let [serial, unit, function, a, b, c, d, e, f, piece, heard @ ..] = bytes else { return };
    let (serial, number) = (serial & 1 == 1, u16::from_be_bytes([*e, *f]));
    let table = match function {
        1 => Some(Table::Coil),
        2 => Some(Table::Discrete),
        3 => Some(Table::Holding),
        4 => Some(Table::Input),
        _ => None,
    };
    let question = match table {
        Some(table) => {
            let count = u16::from_be_bytes([*c, *d]).clamp(1, table.most());
            Question::Read { table, first: u16::from_be_bytes([*a, *b]), count }
        }
        None => Question::Identity { object: 0 },
    };
    let mut inbox = Inbox::default();
    let piece = if *piece == 0 { heard.len().max(1) } else { usize::from(*piece) };
    let mut came = 0;
    for piece in heard.chunks(piece) {
        inbox.push(piece);
        came += piece.len();
        if inbox.is_flooded() {
            // The line gives the connection up.
            return;
        }
        loop {
            let found = if serial {
                inbox.rtu(*unit, question)
            } else {
                match inbox.tcp(number, *unit, question) {
                    Ok(found) => found,
                    Err(_) => return,
                }
            };
            let Some(answer) = found else { break };
            let head = if serial { Head::Serial } else { Head::Tcp(number) };
            assert!(stands(&heard[..came], head, *unit, question, &answer), "{question:?}: {answer:?}");
        }
    }
    inbox.clear(*unit);
    assert!(inbox.is_empty());
    assert!(inbox.dropped.noise <= came as u64, "more was dropped than came");
}

#[derive(Clone, Copy)]
enum Head {
    Serial,
    Tcp(u16),
}

/// Whether such an answer to such a question stands anywhere in these bytes, whole and guarded. Not by the code that
/// found it.
fn stands(heard: &[u8], head: Head, unit: u8, question: Question, answer: &Answer) -> bool {
    let function = question.function();
    let begins = match answer {
        Answer::Unreadable(_) => return true,
        Answer::Refused(code) => vec![unit, function | 0x80, *code],
        Answer::Registers(words) => {
            let Question::Read { count, .. } = question else { return false };
            let data: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            if words.len() != usize::from(count) || data.len() > 250 {
                return false;
            }
            [&[unit, function, (data.len() & 0xFF) as u8], data.as_slice()].concat()
        }
        Answer::Bits(bits) => {
            let Question::Read { count, .. } = question else { return false };
            if bits.len() != usize::from(count) {
                return false;
            }
            // What fills the last byte up is not looked at.
            let bytes = usize::from(count).div_ceil(8);
            let same = |data: &[u8]| {
                bits.iter().enumerate().all(|(at, bit)| (data[at / 8] >> (at % 8) & 1 == 1) == *bit)
            };
            return frames(heard, head, 3 + bytes).any(|frame| {
                frame[..2] == [unit, function] && usize::from(frame[2]) == bytes && same(&frame[3..])
            });
        }
        Answer::Identity { .. } => {
            return (4..=252)
                .any(|length| frames(heard, head, length).any(|frame| frame[..3] == [unit, 0x2B, 0x0E]));
        }
    };
    frames(heard, head, begins.len()).any(|frame| frame == begins)
}

/// All places at which so many bytes are what a header announces, or a check guards.
fn frames(heard: &[u8], head: Head, length: usize) -> impl Iterator<Item = &[u8]> {
    let (before, after) = if matches!(head, Head::Serial) { (0, 2) } else { (6, 0) };
    heard.windows(before + length + after).filter_map(move |place| {
        let frame = &place[before..before + length];
        let right = match head {
            Head::Serial => crc(frame) == place[length..],
            Head::Tcp(number) => {
                let [a, b] = number.to_be_bytes();
                let [c, d] = u16::try_from(length).ok()?.to_be_bytes();
                place[..6] == [a, b, 0, 0, c, d]
            }
        };
        right.then_some(frame)
    })
}

/// The check of a serial frame bit by bit, as the standard's appendix has it.
fn crc(bytes: &[u8]) -> [u8; 2] {
    let sum = bytes.iter().fold(0xFFFF_u16, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xA001 } else { sum >> 1 })
    });
    sum.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::replay::{changed, changes, corpus};

    #[test]
    fn every_recorded_answer_is_taken_for_what_it_is() {
        corpus("modbus", 51).iter().for_each(|bytes| reply(bytes));
    }

    #[test]
    fn an_answer_that_does_not_stand_there_is_found_out() {
        let question = Question::Read { table: Table::Holding, first: 0, count: 2 };
        let body = [7, 3, 4, 0, 1, 0, 2];
        let heard = [&body[..], &crc(&body)].concat();
        let stands = |answer| stands(&heard, Head::Serial, 7, question, &answer);
        assert!(stands(Answer::Registers(vec![1, 2])));
        assert!(!stands(Answer::Registers(vec![2, 1])));
        assert!(!stands(Answer::Registers(vec![1])));
        assert!(!stands(Answer::Refused(2)));
        assert!(!super::stands(&heard, Head::Tcp(1), 7, question, &Answer::Registers(vec![1, 2])));
    }

    proptest! {
        #[test]
        fn changed_and_joined_answers_are_never_taken_for_others(
            changes in changes(&[]), one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(), cut: u8,
        ) {
            let files = corpus("modbus", 51);
            // Another answer right behind, or before.
            let (one, other) = (one.get(&files), other.get(&files));
            let mut file = [&one[..], &other[10.min(other.len())..]].concat();
            file[9] = cut;
            reply(&changed(file, &changes));
        }
    }
}
