//! What anybody may have written into a log or a parser file, given to all that reads it: targets for fuzzing, and the
//! replay of their corpora (`tests/fuzz`).

use crate::manifest::{ENCODINGS, Encoding, LogText, Parser, built_in_parsers};

use super::lines::{Columns, Line, Reader};
use super::{split, text};

/// Lines or records of a file: the parser's name and the encoding's before the first line end, then the file.
///
/// # Panics
/// When something does not hold that always should.
pub fn log_line(bytes: &[u8]) {
    let (head, file) = match memchr::memchr(b'\n', bytes) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &b""[..]),
    };
    let head = String::from_utf8_lossy(head);
    let (parser, encoding) = head.split_once(' ').unwrap_or((&head, ""));
    let encoding = ENCODINGS.iter().find(|(name, _)| *name == encoding).map_or(Encoding::Mixed, |(_, e)| *e);
    let mut parsers: Vec<_> = built_in_parsers().collect();
    let at = parsers.iter().position(|known| known.name == parser).unwrap_or(0);
    if let Ok(reader) = Reader::new(&log_text(parsers.swap_remove(at), encoding)) {
        read_all(reader, file);
    }
}

/// A parser file, and if it is one, some lines.
///
/// # Panics
/// When something does not hold that always should.
pub fn log_parser(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(parser) = crate::manifest::parse_parser("fuzzed", text) else { return };
    let file = log_text(parser, Encoding::Utf8);
    let complaints = super::complaints(&file, &[]);
    match Reader::new(&file) {
        Ok(reader) => {
            assert!(complaints.is_empty(), "{complaints:?}");
            read_all(reader, text.as_bytes());
        }
        Err(_) => assert!(!complaints.is_empty()),
    }
}

fn log_text(parser: Parser, encoding: Encoding) -> LogText {
    let (accounts, rules) = (Vec::new(), Vec::new());
    LogText { encoding, parser: Box::new(parser), utc_offset_minutes: 480, accounts, rules }
}

/// Every byte belongs to one line, and every record has the fields that were promised.
fn read_all(mut reader: Reader, bytes: &[u8]) {
    let encoding = text::marked(reader.encoding(), bytes);
    let (mut columns, mut at) = (Columns::default(), 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let cut = match reader.has_records_of_several_lines() {
            true => split::record(rest, &reader, encoding, true),
            false => split::next(rest, encoding),
        };
        let cut = cut.unwrap_or_else(|| split::Cut::all(rest));
        assert!(cut.end <= cut.next && cut.next <= rest.len() && cut.next > 0 && cut.lines > 0);
        if let Line::Record(record) = reader.read(at as u64, &rest[..cut.end], encoding, &mut columns) {
            assert_eq!((record.fields.len(), record.position), (reader.fields().len(), at as u64));
            assert!(record.fields.iter().all(|field| std::str::from_utf8(field).is_ok()));
        }
        at += cut.next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::replay::{changed, changes, corpus};

    #[test]
    fn every_corpus_is_read_without_a_contradiction() {
        corpus("log_line", 11).iter().for_each(|bytes| log_line(bytes));
        corpus("log_parser", 11).iter().for_each(|bytes| log_parser(bytes));
    }

    proptest! {
        #[test]
        fn a_changed_corpus_is_read_without_a_contradiction(
            changes in changes(&["\n", "\"", "锟斤拷"]), pick in any::<prop::sample::Index>(),
        ) {
            log_line(&changed(pick.get(&corpus("log_line", 11)).clone(), &changes));
            log_parser(&changed(pick.get(&corpus("log_parser", 11)).clone(), &changes));
        }
    }
}
