//! Bytes of a line → text, in the encodings that Chinese systems write, and the marks that say which one.

use std::borrow::Cow;

use encoding_rs::{BIG5, GB18030, UTF_8, UTF_16BE, UTF_16LE};

use crate::manifest::Encoding;

/// What UTF-8's replacement character reads as when its bytes are taken for GBK: text that was lost before it came here.
pub(super) const LOST: &str = "锟斤拷";

/// The encoding of a file that begins with these bytes: its mark decides where it has one.
pub(super) fn marked(encoding: Encoding, first: &[u8]) -> Encoding {
    match first {
        [0xEF, 0xBB, 0xBF, ..] => Encoding::Utf8,
        [0xFF, 0xFE, ..] => Encoding::Utf16Le,
        [0xFE, 0xFF, ..] => Encoding::Utf16Be,
        _ => encoding,
    }
}

/// The line as text, without the rest of its line end, a byte order mark and terminal colours.
pub(crate) fn decode(encoding: Encoding, line: &[u8]) -> Cow<'_, str> {
    let text = match encoding {
        Encoding::Utf8 => UTF_8.decode_without_bom_handling(line).0,
        Encoding::Gb18030 => GB18030.decode_without_bom_handling(line).0,
        Encoding::Big5 => BIG5.decode_without_bom_handling(line).0,
        Encoding::Utf16Le => UTF_16LE.decode_without_bom_handling(line).0,
        Encoding::Utf16Be => UTF_16BE.decode_without_bom_handling(line).0,
        Encoding::Mixed => match std::str::from_utf8(line) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => GB18030.decode_without_bom_handling(line).0,
        },
    };
    without_colours(plain(text))
}

/// Without mark and without carriage returns before line ends.
fn plain(text: Cow<'_, str>) -> Cow<'_, str> {
    let has_lines = memchr::memchr(b'\n', text.as_bytes()).is_some();
    if !has_lines && !text.starts_with('\u{feff}') && !text.ends_with('\r') {
        return text;
    }
    let inner = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let inner = inner.strip_suffix('\r').unwrap_or(inner);
    Cow::Owned(inner.replace("\r\n", "\n"))
}

/// Without terminal colours (CSI … m): frameworks leave them inside of lines.
fn without_colours(text: Cow<'_, str>) -> Cow<'_, str> {
    if memchr::memchr(0x1B, text.as_bytes()).is_none() {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut pieces = text.split("\x1b[");
    plain.push_str(pieces.next().unwrap_or(""));
    for piece in pieces {
        let rest = piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match rest.strip_prefix('m') {
            Some(rest) => plain.push_str(rest),
            None => {
                plain.push_str("\x1b[");
                plain.push_str(piece);
            }
        }
    }
    Cow::Owned(plain)
}

/// How many characters of a text were lost, here or before it was written.
pub(super) fn lost(text: &str) -> usize {
    text.matches(LOST).count() + text.matches('\u{fffd}').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoding_is_read_as_it_was_meant() {
        let wide = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        let table: [(Encoding, Vec<u8>, &str); 8] = [
            (Encoding::Utf8, "\u{feff}报工\r".into(), "报工"),
            (Encoding::Gb18030, vec![0xB1, 0xA8, 0xB9, 0xA4, b'\r'], "报工"),
            (Encoding::Gb18030, GB18030.encode("㐀𠀀").0.into_owned(), "㐀𠀀"),
            (Encoding::Big5, vec![0xB3, 0xF8, 0xA4, 0x75], "報工"),
            (Encoding::Utf16Le, wide("\u{feff}登录\r", u16::to_le_bytes), "登录"),
            (Encoding::Utf16Be, wide("登录", u16::to_be_bytes), "登录"),
            (Encoding::Mixed, "报工".into(), "报工"),
            (Encoding::Mixed, vec![0xB1, 0xA8, 0xB9, 0xA4], "报工"),
        ];
        for (encoding, bytes, expected) in table {
            assert_eq!(decode(encoding, &bytes), expected, "{encoding:?}");
        }
        assert_eq!(decode(Encoding::Utf8, b"a\r\n\tb\r"), "a\n\tb");
    }

    #[test]
    fn a_mark_at_the_beginning_decides_and_lost_text_is_seen_as_such() {
        assert_eq!(marked(Encoding::Gb18030, b"\xEF\xBB\xBF2025"), Encoding::Utf8);
        assert_eq!(marked(Encoding::Utf8, b"\xFF\xFE2"), Encoding::Utf16Le);
        assert_eq!(marked(Encoding::Utf16Le, b"\xFE\xFF\0"), Encoding::Utf16Be);
        assert_eq!(marked(Encoding::Mixed, b""), Encoding::Mixed);
        // What was lost in UTF-8 and then read as GBK.
        let twice = decode(Encoding::Gb18030, "\u{fffd}\u{fffd}".as_bytes()).into_owned();
        assert_eq!((twice.as_str(), lost(&twice), lost("a\u{fffd}b")), (LOST, 1, 1));
    }
}
