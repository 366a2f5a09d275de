//! Where one message ends and the next begins on a connection: RFC 6587, by length (3.4.1) or by line end (3.4.2),
//! decided anew for each message. What is longer than a line may be is passed over and told.

use std::io;

use tokio_util::bytes::{Buf as _, BytesMut};
use tokio_util::codec::Decoder;

use super::MAX_LINE;

/// Most digits of a length.
const MAX_DIGITS: usize = 7;

/// Cuts a stream of bytes into messages: `None` for one that was too long, or ended in its middle.
#[derive(Debug, Default)]
pub(super) struct Frames {
    passing: Passing,
}

/// What is left of a message that is too long.
#[derive(Debug, Default)]
enum Passing {
    #[default]
    Nothing,
    Bytes(usize),
    Line,
}

/// What the first bytes of a message say of its end.
enum End {
    /// They may still say either.
    Unknown,
    /// After the digits and this many bytes.
    Length(usize, usize),
    Line,
}

impl Decoder for Frames {
    type Item = Option<Vec<u8>>;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        if !self.pass(bytes) {
            return Ok(None);
        }
        // Between messages: line ends of those framed by length, and of empty lines.
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n' | 0)).count();
        bytes.advance(blank);
        match end(bytes) {
            End::Unknown => Ok(None),
            End::Length(digits, length) if length > MAX_LINE => {
                bytes.advance(digits);
                self.passing = Passing::Bytes(length);
                self.pass(bytes);
                Ok(Some(None))
            }
            End::Length(digits, length) if bytes.len() >= digits + length => {
                bytes.advance(digits);
                Ok(Some(Some(bytes.split_to(length).to_vec())))
            }
            End::Length(..) => Ok(None),
            End::Line => Ok(self.line(bytes)),
        }
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        if let Some(message) = self.decode(bytes)? {
            return Ok(Some(message));
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        // The last line of somebody who closed need not have an end; half of a message that had a length is none.
        let is_line = matches!(end(bytes), End::Line);
        let rest = bytes.split().to_vec();
        Ok(Some(is_line.then_some(rest)))
    }
}

impl Frames {
    fn line(&mut self, bytes: &mut BytesMut) -> Option<Option<Vec<u8>>> {
        match bytes.iter().take(MAX_LINE + 1).position(|byte| matches!(byte, b'\n' | 0)) {
            Some(at) => {
                let message = bytes.split_to(at).to_vec();
                bytes.advance(1);
                Some(Some(message))
            }
            None if bytes.len() > MAX_LINE => {
                self.passing = Passing::Line;
                self.pass(bytes);
                Some(None)
            }
            None => None,
        }
    }

    /// Passes over what is left of a message that was too long; whether that is over.
    fn pass(&mut self, bytes: &mut BytesMut) -> bool {
        match self.passing {
            Passing::Nothing => return true,
            Passing::Bytes(left) => {
                let here = left.min(bytes.len());
                bytes.advance(here);
                if here < left {
                    self.passing = Passing::Bytes(left - here);
                    return false;
                }
            }
            Passing::Line => match bytes.iter().position(|byte| matches!(byte, b'\n' | 0)) {
                Some(at) => bytes.advance(at + 1),
                None => {
                    bytes.clear();
                    return false;
                }
            },
        }
        self.passing = Passing::Nothing;
        true
    }
}

/// A length is digits, a blank and what a message begins with; everything else is a line.
fn end(bytes: &[u8]) -> End {
    let digits = bytes.iter().take(MAX_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let starts_as_length = matches!(bytes.first(), Some(b'1'..=b'9')) && digits <= MAX_DIGITS;
    if bytes.is_empty() {
        return End::Unknown;
    }
    if !starts_as_length {
        return End::Line;
    }
    match (bytes.get(digits), bytes.get(digits + 1)) {
        (None, _) | (Some(b' '), None) => End::Unknown,
        (Some(b' '), Some(b'<')) => {
            let length = bytes[..digits].iter().fold(0, |all, digit| all * 10 + usize::from(digit - b'0'));
            End::Length(digits + 1, length)
        }
        (Some(_), _) => End::Line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(stream: &[u8], step: usize) -> Vec<Option<String>> {
        let (mut frames, mut bytes, mut found) = (Frames::default(), BytesMut::new(), Vec::new());
        let text = |message: Option<Vec<u8>>| message.map(|bytes| String::from_utf8(bytes).unwrap());
        for piece in stream.chunks(step) {
            bytes.extend_from_slice(piece);
            while let Some(message) = frames.decode(&mut bytes).unwrap() {
                found.push(text(message));
            }
        }
        while let Some(message) = frames.decode_eof(&mut bytes).unwrap() {
            found.push(text(message));
        }
        found
    }

    fn some(texts: &[&str]) -> Vec<Option<String>> {
        texts.iter().map(|text| Some((*text).to_owned())).collect()
    }

    #[test]
    fn messages_end_where_their_length_or_their_line_does_however_the_bytes_come() {
        let table: &[(&[u8], &[&str])] = &[
            (b"11 <13>1 a b\nc11 <13>1 a b c", &["<13>1 a b\nc", "<13>1 a b c"]),
            (b"<13>one\n<13>two\r\n<13>three", &["<13>one", "<13>two\r", "<13>three"]),
            (b"<13>one\n6 <13>ab\n<13>two\n", &["<13>one", "<13>ab", "<13>two"]),
            (b"<13>one\0<13>two\0", &["<13>one", "<13>two"]),
            // A line that begins with a number has no length.
            (b"2026 was a year\n12 of them\n", &["2026 was a year", "12 of them"]),
            (b"12345678 <13>x\n\n\r\n<13>y\n", &["12345678 <13>x", "<13>y"]),
            (b"", &[]),
        ];
        for (stream, expected) in table {
            for step in [1, 2, 3, 1_000] {
                assert_eq!(all(stream, step), some(expected), "{} by {step}", stream.escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_too_long_or_cut_short_is_told_once_and_the_next_message_is_whole() {
        let long = "x".repeat(MAX_LINE * 2);
        let by_length = format!("{} <13>{long}6 <13>ab", long.len() + 4);
        let by_line = format!("<13>{long}\n<13>ab\n");
        for stream in [by_length, by_line] {
            for step in [1_000, 70_000, usize::MAX] {
                assert_eq!(all(stream.as_bytes(), step), [None, Some("<13>ab".to_owned())], "by {step}");
            }
        }
        assert_eq!(all(b"50 <13>half", 3), [None]);
    }
}
