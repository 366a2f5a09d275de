//! What a fuzzer feeds: see `tests/fuzz/README.md`.

use jiff::tz::Offset;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::Decoder as _;

use super::frames::Frames;
use super::message::cut;
use crate::log::text::decode;
use crate::manifest::Encoding;

/// 2026-11-22T02:00:00Z.
const NOW_MS: i64 = 1_795_312_800_000;

/// How many bytes come at once, and then a stream of bytes as a connection brings it: cut into messages, and each into
/// its parts.
///
/// # Panics
/// When something does not hold that always should.
pub fn syslog(bytes: &[u8]) {
    let Some((step, bytes)) = bytes.split_first() else { return };
    let (mut frames, mut here, mut cut_out) = (Frames::default(), BytesMut::new(), 0);
    let mut take = |message: Option<Vec<u8>>| {
        let Some(message) = message else { return };
        cut_out += message.len();
        let text = decode(Encoding::Mixed, &message);
        let parts = cut(&text, Offset::UTC, NOW_MS);
        let all = [parts.host, parts.app, parts.process, parts.id, parts.data, parts.text];
        assert!(all.iter().map(|part| part.len()).sum::<usize>() <= text.len(), "nothing is there twice");
        assert!(text.trim_end_matches(['\r', '\n', '\0']).ends_with(parts.text), "the text is the end");
    };
    for piece in bytes.chunks(usize::from(*step).max(1)) {
        here.extend_from_slice(piece);
        while let Some(message) = frames.decode(&mut here).expect("cutting does not fail") {
            take(message);
        }
    }
    while let Some(message) = frames.decode_eof(&mut here).expect("cutting does not fail") {
        take(message);
    }
    assert!(here.is_empty() && cut_out <= bytes.len(), "every byte belongs to one message at most");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::replay::{changed, changes, corpus};

    #[test]
    fn every_stream_is_cut_without_a_contradiction() {
        corpus("syslog", 8).iter().for_each(|bytes| syslog(bytes));
    }

    proptest! {
        #[test]
        fn a_changed_stream_is_cut_without_a_contradiction(
            changes in changes(&["\n", "<13>1 ", "9 <", "[", "\\\"", "]", "Feb 29 ", "\u{feff}", "- - - - -"]),
            pick in any::<prop::sample::Index>(),
        ) {
            syslog(&changed(pick.get(&corpus("syslog", 8)).clone(), &changes));
        }
    }
}
