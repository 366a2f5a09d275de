//! What is inside an envelope, checked: the header every kind starts with, and the kinds this reader understands.

use prost::Message as _;

use crate::digest::{self, MAX_ROWS, RULES};
use crate::envelope::{DIGEST, LABEL, MANIFEST, OPENING, OUTAGE, ROTATE, WINDOW};
use crate::ids::{AgentId, EntryId};
use crate::{MAX_SEQ, TIMES_MS, WINDOW_MS, wire};

/// The header of any chain payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whose chain.
    pub agent: AgentId,
    /// Key epoch, from 1.
    pub epoch: u32,
    /// Place in the chain, from 1; all kinds share it.
    pub seq: u64,
    /// Entry id of the one before; [`EntryId::NONE`] at 1.
    pub prev: EntryId,
    /// First 8 bytes of SHA-256(kernel boot id).
    pub boot: [u8; 8],
    /// Boots this agent has seen, from 1.
    pub boot_count: u32,
    /// When it was made, by the gateway's wall clock, Unix ms.
    pub wall_ms: i64,
    /// When it was made, ms since boot.
    pub mono_ms: u64,
    /// Gateway minus server in ms, where they were compared since boot.
    pub skew_ms: Option<i64>,
}

/// A payload of a kind this reader understands, or the word that it does not.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// Ten minutes of one gateway.
    Window(Box<wire::Window>),
    /// What is watched, and what it stands for.
    Manifest(Box<wire::ManifestBody>),
    /// A silence, declared.
    Outage(Box<wire::Outage>),
    /// What somebody says that a stretch of time or of the chain was.
    Label(Box<wire::Label>),
    /// Sums of a day: see [`crate::digest`].
    Digest(Box<wire::Digest>),
    /// A past leaf was shown to somebody, by an opening of this digest.
    Opened(Box<wire::Opened>),
    /// Another key signs from the next entry on: see [`crate::rotation`], which says whether it does.
    Rotate(Box<wire::Rotate>),
    /// Of a later version: stored and receipted, not understood.
    Unknown(String),
}

/// Why a payload's bytes are not what its kind promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Not the protobuf message.
    #[error("not a {kind}: {problem}")]
    Unparsable {
        /// The kind.
        kind: String,
        /// What the decoder said.
        problem: String,
    },
    /// No header, or one with a field of the wrong form.
    #[error("header: {0}")]
    Header(&'static str),
    /// A header version this reader does not know.
    #[error("unknown header version {0}")]
    UnknownVersion(u32),
    /// A field outside its bounds.
    #[error("{0}")]
    Bounds(&'static str),
}

impl Header {
    /// Reads the header that starts any payload.
    ///
    /// # Errors
    /// When there is none, or it is not one.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let any = wire::AnyPayload::decode(payload).map_err(|error| PayloadError::Unparsable {
            kind: "payload".to_owned(),
            problem: error.to_string(),
        })?;
        Self::check(any.header.ok_or(PayloadError::Header("missing"))?)
    }

    fn check(raw: wire::Header) -> Result<Self, PayloadError> {
        if raw.version != 1 {
            return Err(PayloadError::UnknownVersion(raw.version));
        }
        let boot = raw.boot.ok_or(PayloadError::Header("no boot"))?;
        let clocks = raw.clocks.ok_or(PayloadError::Header("no clocks"))?;
        let header = Self {
            agent: raw
                .agent
                .as_slice()
                .try_into()
                .map_err(|_| PayloadError::Header("agent is not 16 bytes"))?,
            epoch: raw.epoch,
            seq: raw.seq,
            prev: raw.prev.as_slice().try_into().map_err(|_| PayloadError::Header("prev is not 32 bytes"))?,
            boot: boot
                .id
                .as_slice()
                .try_into()
                .map_err(|_| PayloadError::Header("boot id is not 8 bytes"))?,
            boot_count: boot.count,
            wall_ms: clocks.wall_ms,
            mono_ms: clocks.mono_ms,
            skew_ms: (clocks.trust == i32::from(wire::Trust::Server)).then_some(clocks.skew_ms),
        };
        if header.seq > MAX_SEQ {
            return Err(PayloadError::Header("seq beyond 2^53"));
        }
        if header.seq == 0 || header.epoch == 0 {
            return Err(PayloadError::Header("seq and epoch count from 1"));
        }
        if (header.seq == 1) != (header.prev == EntryId::NONE) {
            return Err(PayloadError::Header("prev is empty at seq 1 and only there"));
        }
        Ok(header)
    }

    /// The wire's form.
    pub fn wire(&self) -> wire::Header {
        wire::Header {
            version: 1,
            agent: self.agent.0.to_vec(),
            epoch: self.epoch,
            seq: self.seq,
            prev: self.prev.0.to_vec(),
            boot: Some(wire::Boot { id: self.boot.to_vec(), count: self.boot_count }),
            clocks: Some(wire::Clocks {
                wall_ms: self.wall_ms,
                mono_ms: self.mono_ms,
                trust: self.skew_ms.map_or(wire::Trust::Unknown, |_| wire::Trust::Server).into(),
                skew_ms: self.skew_ms.unwrap_or(0),
            }),
        }
    }
}

impl Payload {
    /// Reads a payload of this kind, within bounds.
    ///
    /// # Errors
    /// When the bytes are not what a known kind promises. A kind this reader does not know is not an error.
    pub fn parse(kind: &str, bytes: &[u8]) -> Result<Self, PayloadError> {
        let unparsable = |error: prost::DecodeError| PayloadError::Unparsable {
            kind: kind.to_owned(),
            problem: error.to_string(),
        };
        match kind {
            WINDOW => {
                let window = wire::Window::decode(bytes).map_err(unparsable)?;
                check_window(&window)?;
                Ok(Self::Window(Box::new(window)))
            }
            MANIFEST => {
                let manifest = wire::Manifest::decode(bytes).map_err(unparsable)?;
                let body = wire::ManifestBody::decode(manifest.body.as_slice()).map_err(unparsable)?;
                check_manifest(&body)?;
                Ok(Self::Manifest(Box::new(body)))
            }
            OUTAGE => {
                let outage = wire::Outage::decode(bytes).map_err(unparsable)?;
                let bounds = |fine, problem| if fine { Ok(()) } else { Err(PayloadError::Bounds(problem)) };
                bounds(outage.from_ms <= outage.to_ms, "an outage ends before it begins")?;
                bounds(
                    TIMES_MS.contains(&outage.from_ms) && TIMES_MS.contains(&outage.to_ms),
                    "a time outside 1970 to 2100",
                )?;
                bounds(
                    outage.last_seq <= MAX_SEQ && outage.lost_from_seq <= outage.last_seq,
                    "lost sequences beyond the last one",
                )?;
                Ok(Self::Outage(Box::new(outage)))
            }
            LABEL => {
                let label = wire::Label::decode(bytes).map_err(unparsable)?;
                check_label(&label)?;
                Ok(Self::Label(Box::new(label)))
            }
            ROTATE => {
                let rotate = wire::Rotate::decode(bytes).map_err(unparsable)?;
                let bounds = |fine, problem| if fine { Ok(()) } else { Err(PayloadError::Bounds(problem)) };
                bounds(rotate.key.len() == 32, "a key that is not 32 bytes")?;
                bounds(rotate.possession.len() == 64, "a signature that is not 64 bytes")?;
                Ok(Self::Rotate(Box::new(rotate)))
            }
            DIGEST => {
                let digest = wire::Digest::decode(bytes).map_err(unparsable)?;
                check_digest(&digest)?;
                Ok(Self::Digest(Box::new(digest)))
            }
            OPENING => {
                let opened = wire::Opened::decode(bytes).map_err(unparsable)?;
                check_opened(&opened)?;
                Ok(Self::Opened(Box::new(opened)))
            }
            other => Ok(Self::Unknown(other.to_owned())),
        }
    }
}

/// Checks a day's sums; their header, where they have one yet, must stand behind the windows.
///
/// # Errors
/// [`PayloadError::Bounds`].
pub fn check_digest(digest: &wire::Digest) -> Result<(), PayloadError> {
    let bounds = |fine: bool, problem| if fine { Ok(()) } else { Err(PayloadError::Bounds(problem)) };
    let span = digest.from_seq..=digest.to_seq;
    bounds(digest.from_seq >= 1 && digest.to_seq <= MAX_SEQ && !span.is_empty(), "a digest of no windows")?;
    let behind = digest.header.as_ref().is_none_or(|header| digest.to_seq < header.seq);
    bounds(behind, "a digest of windows behind its own place")?;
    let length = digest.to_seq - digest.from_seq + 1;
    let counts = digest.without_raw <= digest.windows && u64::from(digest.windows) <= length;
    bounds(counts, "a digest of more windows than there are between its ends")?;
    bounds(digest.rules >= 1, "a digest of no version")?;
    bounds(digest.rows.len() <= MAX_ROWS, "a digest of more than 512 rows")?;
    let places: Vec<_> = digest.rows.iter().map(|row| (row.source, row.code)).collect();
    bounds(places.is_sorted_by(|a, b| a < b), "rows of a digest that do not ascend")?;
    for row in &digest.rows {
        bounds((1..=u32::from(u16::MAX)).contains(&row.source), "a digest's source that is none")?;
        bounds(row.code >= 1, "a digest's row of no code")?;
        bounds(row.numerator <= row.denominator, "a part of a digest that is more than the whole")?;
        bounds(row.denominator <= MAX_SEQ, "a count beyond 2^53")?;
        bounds(row.histogram.len() <= 16, "a histogram of more than 16 counts")?;
        bounds(row.histogram.iter().all(|count| *count <= MAX_SEQ), "a count beyond 2^53")?;
        // What other rules make of their counts is theirs.
        let Some((counts, from)) = digest::form(row.code).filter(|_| digest.rules == RULES) else { continue };
        bounds(row.histogram.len() == counts, "a histogram of another length than its code has")?;
        let sums = [&row.histogram[..], &row.histogram[from..]].map(|counts| counts.iter().sum::<u64>());
        bounds(
            sums == [row.denominator, row.numerator],
            "a digest's part or whole that its counts do not give",
        )?;
    }
    Ok(())
}

/// Checks what is said of an opening; its header, where it has one yet, must stand behind the window.
///
/// # Errors
/// [`PayloadError::Bounds`].
pub fn check_opened(opened: &wire::Opened) -> Result<(), PayloadError> {
    let bounds = |fine: bool, problem| if fine { Ok(()) } else { Err(PayloadError::Bounds(problem)) };
    bounds((1..=MAX_SEQ).contains(&opened.seq), "an opening of a window that is none")?;
    bounds(opened.index <= MAX_SEQ, "an opening of a leaf beyond 2^53")?;
    bounds(opened.digest.len() == 32, "an opening's digest is not 32 bytes")?;
    let behind = opened.header.as_ref().is_none_or(|header| opened.seq < header.seq);
    bounds(behind, "an opening of a window behind its own place")
}

/// The encoded manifest payload: the body's bytes are kept as they are, because windows name their hash.
pub fn encode_manifest(header: &Header, body: &[u8]) -> Vec<u8> {
    wire::Manifest { header: Some(header.wire()), body: body.to_vec() }.encode_to_vec()
}

/// First 16 bytes of SHA-256 of the body: what windows call their manifest.
pub fn manifest_hash(body: &[u8]) -> [u8; 16] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(body)[..16].try_into().expect("a SHA-256 has 32 bytes")
}

/// Longest text of a label, in characters.
pub const MAX_LABEL_TEXT: usize = 200;

/// Longest name under a label, in characters.
pub const MAX_LABEL_NAME: usize = 40;

/// Checks what a label says; its header, where it has one yet, must stand behind the places that it is about.
///
/// # Errors
/// [`PayloadError::Bounds`].
pub fn check_label(label: &wire::Label) -> Result<(), PayloadError> {
    use wire::label::About;
    let bounds = |fine: bool, problem| if fine { Ok(()) } else { Err(PayloadError::Bounds(problem)) };
    match &label.about {
        None => return Err(PayloadError::Bounds("a label about nothing")),
        Some(About::Time(time)) => {
            bounds(time.from_ms < time.to_ms, "a label about a time that ends before it begins")?;
            bounds(
                TIMES_MS.contains(&time.from_ms) && TIMES_MS.contains(&time.to_ms),
                "a time outside 1970 to 2100",
            )?;
        }
        Some(About::Seqs(seqs)) => {
            bounds(
                (1..=MAX_SEQ).contains(&seqs.from) && (seqs.from..=MAX_SEQ).contains(&seqs.to),
                "a label about places that are none",
            )?;
            bounds(
                label.header.as_ref().is_none_or(|header| seqs.to < header.seq),
                "a label about places behind its own",
            )?;
        }
    }
    bounds(label.source <= u32::from(u16::MAX), "a source index beyond 65535")?;
    bounds(
        (u32::from(b'A')..=u32::from(b'Z')).contains(&label.cause),
        "a cause that is no letter from A to Z",
    )?;
    let shows = |text: &str| !text.chars().any(hides);
    bounds(label.text.chars().count() <= MAX_LABEL_TEXT, "a text of more than 200 characters")?;
    bounds(label.name.chars().count() <= MAX_LABEL_NAME, "a name of more than 40 characters")?;
    bounds(shows(&label.text) && shows(&label.name), "a character that controls and shows nothing")
}

/// Control characters, and those that turn the direction of a line or take no room: what is read must be what is there.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn check_window(window: &wire::Window) -> Result<(), PayloadError> {
    let bounds = |fine: bool, problem| if fine { Ok(()) } else { Err(PayloadError::Bounds(problem)) };
    bounds(i64::from(window.length_ms) <= WINDOW_MS, "a window is longer than ten minutes")?;
    bounds(TIMES_MS.contains(&window.start_ms), "a time outside 1970 to 2100")?;
    bounds(window.anchor.as_ref().is_none_or(|anchor| anchor.size <= MAX_SEQ), "an anchor beyond 2^53")?;
    bounds(window.root.len() == 32, "root is not 32 bytes")?;
    bounds(window.manifest.len() == 16, "manifest is not 16 bytes")?;
    bounds(window.use_digest.is_empty() || window.use_digest.len() == 32, "use digest is not 32 bytes")?;
    bounds(window.shapes.len() <= 64, "more than 64 shapes")?;
    bounds(
        window.shapes.iter().all(|s| s.levels.len() == 5 && s.tag.len() == 8),
        "a shape of the wrong form",
    )?;
    bounds(
        window.sources.iter().all(|s| s.source > 0 && s.source <= u32::from(u16::MAX)),
        "a source index outside 1 to 65535",
    )?;
    bounds(window.gaps.iter().all(|g| g.from_s <= g.to_s), "a gap ends before it begins")
}

fn check_manifest(body: &wire::ManifestBody) -> Result<(), PayloadError> {
    let bounds = |fine: bool, problem| if fine { Ok(()) } else { Err(PayloadError::Bounds(problem)) };
    bounds(body.version == 1, "unknown manifest version")?;
    bounds((-14 * 60..=14 * 60).contains(&body.utc_offset_minutes), "a clock offset of more than 14 hours")?;
    bounds(body.sources.len() <= 1024, "more than 1024 sources")?;
    bounds(
        body.sources.iter().zip(1..).all(|(source, index)| source.index == index),
        "sources are not numbered from 1 in order",
    )?;
    bounds(body.sources.iter().all(|s| s.cadence_s > 0), "a source without cadence")?;
    bounds(body.modules.len() <= 256, "more than 256 modules")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            agent: AgentId([9; 16]),
            epoch: 1,
            seq: 1,
            prev: EntryId::NONE,
            boot: [1; 8],
            boot_count: 3,
            wall_ms: 1_750_000_000_000,
            mono_ms: 77,
            skew_ms: Some(-4),
        }
    }

    #[test]
    fn a_header_is_read_from_any_kind() {
        let payload = wire::Outage { header: Some(header().wire()), ..Default::default() }.encode_to_vec();
        assert_eq!(Header::parse(&payload), Ok(header()));
        assert_eq!(Payload::parse("later_kind", &payload), Ok(Payload::Unknown("later_kind".to_owned())));
    }

    fn label() -> wire::Label {
        let time = wire::TimeSpan { from_ms: 1_770_652_800_000, to_ms: 1_771_948_800_000 };
        wire::Label {
            header: Some(Header { seq: 9, prev: EntryId([7; 32]), ..header() }.wire()),
            about: Some(wire::label::About::Time(time)),
            source: 0,
            cause: u32::from(b'H'),
            text: "春节停产".to_owned(),
            by: wire::Speaker::Firm.into(),
            name: "王工".to_owned(),
        }
    }

    #[test]
    fn a_digest_is_of_windows_before_it_and_its_parts_and_wholes_are_what_its_counts_give() {
        let row = |source, code| wire::DigestRow {
            source,
            code,
            numerator: 2,
            denominator: 3,
            histogram: match code {
                1 => vec![0, 1, 2, 0, 0, 0],
                2 => vec![1, 2, 0, 0, 0],
                _ => vec![1, 2, 0, 0],
            },
            is_cut: false,
            before_ms: -5,
        };
        let digest = wire::Digest {
            header: Some(Header { seq: 9, prev: EntryId([1; 32]), ..header() }.wire()),
            from_seq: 2,
            to_seq: 8,
            rules: 1,
            windows: 6,
            without_raw: 1,
            rows: vec![row(1, 1), row(1, 2), row(4, 3), row(4, 99)],
            sources_left_out: 0,
        };
        let read = |digest: &wire::Digest| Payload::parse(DIGEST, &digest.encode_to_vec());
        assert_eq!(read(&digest), Ok(Payload::Digest(Box::new(digest.clone()))));
        let rows = |rows| wire::Digest { rows, ..digest.clone() };
        for wrong in [
            wire::Digest { from_seq: 0, ..digest.clone() },
            wire::Digest { from_seq: 9, ..digest.clone() },
            wire::Digest { to_seq: 9, ..digest.clone() },
            wire::Digest { windows: 8, ..digest.clone() },
            wire::Digest { without_raw: 7, ..digest.clone() },
            wire::Digest { rules: 0, ..digest.clone() },
            rows(vec![row(1, 1), row(1, 1)]),
            rows(vec![row(2, 1), row(1, 1)]),
            rows(vec![row(0, 1)]),
            rows(vec![row(1, 0)]),
            rows(vec![wire::DigestRow { numerator: 4, ..row(1, 1) }]),
            rows(vec![wire::DigestRow { denominator: u64::MAX, ..row(1, 1) }]),
            rows(vec![wire::DigestRow { histogram: vec![0; 17], ..row(1, 99) }]),
            rows(vec![wire::DigestRow { histogram: vec![0, 1, 2, 0, 0], ..row(1, 1) }]),
            rows(vec![wire::DigestRow { histogram: vec![0, 2, 1, 0, 0, 0], ..row(1, 1) }]),
            rows(vec![wire::DigestRow { denominator: 4, ..row(1, 2) }]),
            rows((0..513).map(|source| row(source + 1, 1)).collect()),
        ] {
            assert!(matches!(read(&wrong), Err(PayloadError::Bounds(_))), "{wrong:?}");
        }
    }

    #[test]
    fn what_was_opened_stands_before_the_word_of_it() {
        let opened = wire::Opened {
            header: Some(Header { seq: 9, prev: EntryId([1; 32]), ..header() }.wire()),
            seq: 8,
            index: 3,
            digest: vec![5; 32],
        };
        let read = |opened: &wire::Opened| Payload::parse(OPENING, &opened.encode_to_vec());
        assert_eq!(read(&opened), Ok(Payload::Opened(Box::new(opened.clone()))));
        for wrong in [
            wire::Opened { seq: 0, ..opened.clone() },
            wire::Opened { seq: 9, ..opened.clone() },
            wire::Opened { index: u64::MAX, ..opened.clone() },
            wire::Opened { digest: vec![5; 31], ..opened },
        ] {
            assert!(matches!(read(&wrong), Err(PayloadError::Bounds(_))), "{wrong:?}");
        }
    }

    #[test]
    fn a_label_is_read_as_it_was_said() {
        let said = Payload::parse(LABEL, &label().encode_to_vec());
        assert_eq!(said, Ok(Payload::Label(Box::new(label()))));
    }

    #[test]
    fn a_label_of_the_wrong_form_is_no_label() {
        use wire::label::About;
        let seqs = |from, to| Some(About::Seqs(wire::SeqSpan { from, to }));
        let time = |from_ms, to_ms| Some(About::Time(wire::TimeSpan { from_ms, to_ms }));
        let reads = |change: &dyn Fn(&mut wire::Label)| {
            let mut label = label();
            change(&mut label);
            Payload::parse(LABEL, &label.encode_to_vec()).is_ok()
        };
        assert!(reads(&|label| label.about = seqs(3, 8)));
        assert!(reads(&|label| label.text = "停".repeat(200)));
        assert!(
            reads(&|label| label.cause = u32::from(b'Y')),
            "a letter of a later version reads as unknown"
        );
        assert!(reads(&|label| (label.text, label.name) = (String::new(), String::new())));
        for about in [None, seqs(0, 3), seqs(4, 3), seqs(3, 9), seqs(1, u64::MAX), time(5, 5), time(5, 4)] {
            assert!(!reads(&|label| label.about = about), "{about:?}");
        }
        for about in [time(i64::MIN, 5), time(5, i64::MAX)] {
            assert!(!reads(&|label| label.about = about), "{about:?}");
        }
        for text in
            ["停".repeat(201), "a\nb".into(), "a\u{202e}b".into(), "a\u{0}".into(), "a\u{200b}b".into()]
        {
            assert!(!reads(&|label| label.text.clone_from(&text)), "{text:?}");
        }
        assert!(!reads(&|label| label.name = "a".repeat(41)));
        assert!(!reads(&|label| label.name = "a\u{7f}".to_owned()));
        assert!(!reads(&|label| label.source = 65_536));
        for cause in [0, u32::from(b'h'), u32::from(b'Z') + 1, u32::MAX] {
            assert!(!reads(&|label| label.cause = cause), "{cause}");
        }
    }

    #[test]
    fn headers_of_the_wrong_form_are_refused() {
        let refused = |change: fn(&mut wire::Header)| {
            let mut raw = header().wire();
            change(&mut raw);
            Header::parse(&wire::AnyPayload { header: Some(raw) }.encode_to_vec()).unwrap_err()
        };
        assert_eq!(refused(|raw| raw.version = 2), PayloadError::UnknownVersion(2));
        assert!(matches!(refused(|raw| raw.seq = 0), PayloadError::Header(_)));
        assert!(matches!(refused(|raw| raw.seq = 2), PayloadError::Header(_)));
        assert!(matches!(refused(|raw| raw.prev = vec![1; 31]), PayloadError::Header(_)));
        assert!(matches!(refused(|raw| raw.agent.clear()), PayloadError::Header(_)));
        assert!(matches!(refused(|raw| raw.seq = MAX_SEQ + 1), PayloadError::Header(_)));
        assert!(matches!(refused(|raw| raw.seq = u64::MAX), PayloadError::Header(_)));
        assert!(matches!(Header::parse(b""), Err(PayloadError::Header("missing"))));
    }

    #[test]
    fn numbers_at_the_ends_of_their_types_are_out_of_bounds_and_no_panic() {
        let window = |change: &dyn Fn(&mut wire::Window)| {
            let mut window =
                wire::Window { root: vec![1; 32], manifest: vec![1; 16], start_ms: 5, ..Default::default() };
            change(&mut window);
            Payload::parse(WINDOW, &window.encode_to_vec())
        };
        window(&|_| {}).unwrap();
        window(&|window| window.start_ms = i64::MAX).unwrap_err();
        window(&|window| window.start_ms = i64::MIN).unwrap_err();
        let anchor = |size| Some(wire::Anchor { hash: vec![1; 32], size });
        window(&|window| window.anchor = anchor(MAX_SEQ)).unwrap();
        window(&|window| window.anchor = anchor(u64::MAX)).unwrap_err();
        for (from_ms, to_ms) in [(i64::MIN, i64::MAX), (0, i64::MAX), (-1, 0), (5, 4)] {
            let outage = wire::Outage { from_ms, to_ms, ..Default::default() };
            Payload::parse(OUTAGE, &outage.encode_to_vec()).unwrap_err();
        }
        for (last_seq, lost_from_seq) in [(u64::MAX, 1), (5, 6)] {
            let outage = wire::Outage { last_seq, lost_from_seq, ..Default::default() };
            Payload::parse(OUTAGE, &outage.encode_to_vec()).unwrap_err();
        }
        for utc_offset_minutes in [i32::MIN, i32::MAX, -841, 841] {
            let body = wire::ManifestBody { version: 1, utc_offset_minutes, ..Default::default() };
            let manifest = wire::Manifest { header: None, body: body.encode_to_vec() };
            Payload::parse(MANIFEST, &manifest.encode_to_vec()).unwrap_err();
        }
    }
}
