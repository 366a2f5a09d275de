//! Bytes → lines and records of several lines, in any encoding. Pure.
//!
//! In UTF-8, GB18030 and Big5 the byte 0x0A is the end of a line and nothing else; in UTF-16 a line ends at that
//! character at an even place, and at no other byte 0x0A.

use super::lines::{MAX_LINE, Reader};
use crate::manifest::Encoding;

/// Most lines of one record; what follows is counted with it as not understood.
pub(super) const MAX_RECORD_LINES: u32 = 500;

/// A line or record at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// Where it ends, without its line end.
    pub(super) end: usize,
    /// Where the next one begins.
    pub(super) next: usize,
    pub(super) lines: u32,
}

impl Cut {
    /// All of it is one line.
    pub(super) fn all(bytes: &[u8]) -> Self {
        Self { end: bytes.len(), next: bytes.len(), lines: 1 }
    }
}

/// The first line, when its end is there.
pub(super) fn next(bytes: &[u8], encoding: Encoding) -> Option<Cut> {
    let (width, other) = match encoding {
        Encoding::Utf16Le => (2, 1),
        Encoding::Utf16Be => (2, 0),
        Encoding::Utf8 | Encoding::Gb18030 | Encoding::Big5 | Encoding::Mixed => {
            return memchr::memchr(b'\n', bytes).map(|end| Cut { end, next: end + 1, lines: 1 });
        }
    };
    // The place of 0x0A within the two bytes of a line end; its neighbour is zero.
    let end = memchr::memchr_iter(b'\n', bytes)
        .map(|at| (at, at & !1))
        .find(|(at, start)| at % width != other && bytes.get(start + other) == Some(&0))
        .map(|(_, start)| start)?;
    Some(Cut { end, next: end + width, lines: 1 })
}

/// The first record: the line that begins it and those after it that begin none. One whose end is not seen is there
/// only when `is_quiet`: nobody has added to it for a while.
pub(super) fn record(bytes: &[u8], reader: &Reader, encoding: Encoding, is_quiet: bool) -> Option<Cut> {
    let mut record = next(bytes, encoding)?;
    while record.lines < MAX_RECORD_LINES {
        let Some(line) = next(&bytes[record.next..], encoding) else {
            // A next line that is too long to be part of it has begun, or nothing has.
            let rest = bytes.len() - record.next;
            return (rest > MAX_LINE || is_quiet && rest == 0).then_some(record);
        };
        let text = &bytes[record.next..record.next + line.end];
        if record.next + line.end > MAX_LINE || reader.begins_record(text, encoding) {
            return Some(record);
        }
        record = Cut { end: record.next + line.end, next: record.next + line.next, lines: record.lines + 1 };
    }
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_two_byte_characters_ends_at_the_character_and_not_at_a_byte_of_another() {
        // U+010A and U+0A00 hold the byte 0x0A; so does a pair of 0x00 0x0A that stands across two characters.
        let text: Vec<u16> = "Ċ\u{a00}\u{a}报\n".encode_utf16().collect();
        let little: Vec<u8> = text.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = text.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for (bytes, encoding) in [(little, Encoding::Utf16Le), (big, Encoding::Utf16Be)] {
            assert_eq!(next(&bytes, encoding), Some(Cut { end: 4, next: 6, lines: 1 }));
            assert_eq!(next(&bytes[6..], encoding), Some(Cut { end: 2, next: 4, lines: 1 }));
            assert_eq!(next(&bytes[6..9], encoding), None, "half of a line end is none");
        }
        assert_eq!(next("报\n".as_bytes(), Encoding::Utf8), Some(Cut { end: 3, next: 4, lines: 1 }));
    }
}
