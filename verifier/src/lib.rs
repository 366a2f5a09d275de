//! Checks one envelope with its receipt, offline: yes, no or incomplete.
//!
//! It depends on the proof library alone: no network, no clock, no database. What it answers "yes" to is exactly this:
//! the key enrolled for a gateway committed to these bytes, and the log whose key is given had them at the place and
//! time the receipt says. It says nothing about whether a factory used its systems.

pub mod bundle;

use proof::log::{Outcome, Receipt, ReceiptError, check_receipt};
use proof::payload::{Header, Payload};
use proof::wire::label::About;
use proof::wire::leaf::What;
use proof::wire::{DigestCode, Speaker};
use proof::{Cause, Envelope, EnvelopeError, Opening, VerifyKey, rotation, userows, wire};
use prost::Message as _;

/// What is to be checked. Bytes as they were downloaded.
#[derive(Debug, Clone, Default)]
pub struct Evidence<'a> {
    /// The envelope.
    pub envelope: &'a [u8],
    /// Its receipt.
    pub receipt: Option<&'a [u8]>,
    /// The gateway's public key as enrolled, 32 bytes.
    pub key: Option<&'a [u8]>,
    /// The log's verifier key text.
    pub log_key: Option<&'a str>,
    /// The window's detached use rows.
    pub use_rows: Option<&'a [u8]>,
    /// A past leaf that the gateway opened.
    pub opening: Option<&'a [u8]>,
}

/// The answer, and every step that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Yes, no or incomplete.
    pub verdict: Verdict,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// What the envelope says of itself, line by line; empty when it cannot be read.
    pub contents: Vec<(&'static str, String)>,
}

/// Yes, no or incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was there and holds.
    Valid,
    /// Everything that was there holds, and something needed was not there.
    Incomplete,
    /// Something does not hold.
    Invalid,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was checked.
    pub what: &'static str,
    /// `Ok` what it showed, `Err` what does not hold; `None` when something needed was not given.
    pub outcome: Option<Result<String, String>>,
}

impl Verdict {
    /// The program's exit code: 0 valid, 1 invalid, 2 incomplete.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Incomplete => 2,
        }
    }

    /// One word in Chinese.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Valid => "有效",
            Self::Invalid => "无效",
            Self::Incomplete => "不完整",
        }
    }

    /// One word in English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::Invalid => "INVALID",
            Self::Incomplete => "INCOMPLETE",
        }
    }
}

/// Both words.
impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.zh(), self.en())
    }
}

/// Checks everything that can be checked with what is given.
pub fn verify(evidence: &Evidence<'_>) -> Answer {
    let mut steps = Vec::new();
    let mut contents = Vec::new();
    let envelope = Envelope::parse(evidence.envelope);
    let read =
        envelope.as_ref().map(|read| format!("{} {}", read.kind(), read.id())).map_err(ToString::to_string);
    steps.push(Step { what: "envelope", outcome: Some(read) });
    if let Ok(envelope) = &envelope {
        steps.push(Step { what: "signature", outcome: evidence.key.map(|key| signature(envelope, key)) });
        steps.push(Step { what: "payload", outcome: Some(payload(envelope, &mut contents)) });
        let given = evidence.receipt.zip(evidence.log_key);
        let logged = given.map(|(receipt, log_key)| check_log(envelope, receipt, log_key, &mut contents));
        let place =
            logged.as_ref().and_then(|logged| logged.as_ref().ok()).map(|entry| place(entry, envelope));
        let said = logged.map(|logged| logged.map(|entry| format!("entry {} of its log", entry.index)));
        steps.push(Step { what: "receipt", outcome: said });
        if let Some(outcome) = place {
            steps.push(Step { what: "place in the chain", outcome: Some(outcome) });
        }
        if let Some(step) = rows(envelope, evidence.use_rows) {
            steps.push(step);
        }
        if let Some(opening) = evidence.opening {
            steps.push(Step { what: "opening", outcome: Some(opened(envelope, opening, &mut contents)) });
        }
    }
    let any = |wanted: fn(&Step) -> bool| steps.iter().any(wanted);
    let verdict = if any(|step| matches!(step.outcome, Some(Err(_)))) {
        Verdict::Invalid
    } else if any(|step| step.outcome.is_none()) {
        Verdict::Incomplete
    } else {
        Verdict::Valid
    };
    Answer { verdict, steps, contents }
}

fn signature(envelope: &Envelope, key: &[u8]) -> Result<String, String> {
    let key = VerifyKey::from_bytes(key).map_err(|error| error.to_string())?;
    envelope.verify(&key).map_err(|error: EnvelopeError| error.to_string())?;
    Ok(format!("by key {}", key.kid()))
}

/// What a day's sums say.
fn summed(digest: &wire::Digest) -> Vec<(&'static str, String)> {
    let mut contents = vec![(
        "sums of windows",
        format!(
            "{} to {}: {} of them, {} without raw data",
            digest.from_seq, digest.to_seq, digest.windows, digest.without_raw
        ),
    )];
    for row in &digest.rows {
        let code =
            DigestCode::try_from(row.code).map_or_else(|_| row.code.to_string(), |code| format!("{code:?}"));
        let cut = if row.is_cut { ", cut" } else { "" };
        contents.push((
            "source, sum",
            format!(
                "{} {code}: {} of {} {:?}{cut}",
                row.source, row.numerator, row.denominator, row.histogram
            ),
        ));
    }
    contents
}

fn payload(envelope: &Envelope, contents: &mut Vec<(&'static str, String)>) -> Result<String, String> {
    let header = Header::parse(envelope.payload()).map_err(|error| error.to_string())?;
    contents.push(("gateway", header.agent.to_string()));
    contents.push(("sequence", header.seq.to_string()));
    contents.push(("previous entry", header.prev.to_string()));
    contents.push(("made at, gateway's clock (Unix ms)", header.wall_ms.to_string()));
    match Payload::parse(envelope.kind(), envelope.payload()).map_err(|error| error.to_string())? {
        Payload::Window(window) => {
            contents.push(("window start (Unix ms)", window.start_ms.to_string()));
            contents.push(("window length (ms)", window.length_ms.to_string()));
            contents.push(("leaves", window.leaf_count.to_string()));
            contents.push(("root", hex(&window.root)));
            contents.push(("gaps", window.gaps.len().to_string()));
            contents.push(("rewrites of logs and tables", window.rewrites.len().to_string()));
        }
        Payload::Manifest(body) => contents.push(("sources", body.sources.len().to_string())),
        Payload::Outage(outage) => {
            contents.push(("outage (Unix ms)", format!("{} to {}", outage.from_ms, outage.to_ms)))
        }
        Payload::Digest(digest) => contents.extend(summed(&digest)),
        Payload::Opened(opened) => {
            contents.push(("leaf that was shown", format!("{} of window {}", opened.index, opened.seq)));
            contents.push(("SHA-256 of what was shown", hex(&opened.digest)));
        }
        Payload::Rotate(rotate) => contents.push(("key from the next entry on", new_key(&header, &rotate)?)),
        Payload::Label(label) => contents.extend(said(&label)),
        Payload::Unknown(kind) => contents.push(("kind not understood by this version", kind)),
    }
    Ok(format!("sequence {} of {}", header.seq, header.agent))
}

/// The key that takes over by a rotation, which it must have agreed to itself.
fn new_key(header: &Header, rotate: &wire::Rotate) -> Result<String, String> {
    let new = VerifyKey::from_bytes(&rotate.key).map_err(|error| error.to_string())?;
    let message = rotation::possession(header.agent, header.epoch, &new);
    if !new.verifies(&message, &rotate.possession) {
        return Err("the key that is to take over has not signed for this gateway and epoch".to_owned());
    }
    Ok(format!("{} (epoch {})", hex(&rotate.key), header.epoch.saturating_add(1)))
}

/// What a label says, as it says it.
fn said(label: &wire::Label) -> Vec<(&'static str, String)> {
    let about = match &label.about {
        Some(About::Time(time)) => ("label about (Unix ms)", format!("{} to {}", time.from_ms, time.to_ms)),
        Some(About::Seqs(seqs)) => ("label about sequences", format!("{} to {}", seqs.from, seqs.to)),
        None => ("label about", "nothing".to_owned()),
    };
    let cause = Cause::of_letter(label.cause);
    let by = match label.by() {
        Speaker::Unspecified => "nobody named",
        Speaker::Firm => "the firm",
        Speaker::Provider => "the provider",
        Speaker::Operator => "the operator",
    };
    let name = if label.name.is_empty() { String::new() } else { format!(" ({})", label.name) };
    vec![
        about,
        ("source", if label.source == 0 { "the whole gateway".to_owned() } else { label.source.to_string() }),
        ("label says", format!("{} {} {}", char::from(cause.letter()), cause.en(), label.text)),
        ("said by", format!("{by}{name}: a statement, which changes no record")),
    ]
}

fn check_log(
    envelope: &Envelope,
    receipt: &[u8],
    log_key: &str,
    contents: &mut Vec<(&'static str, String)>,
) -> Result<Receipt, String> {
    let receipt = wire::Receipt::decode(receipt).map_err(|error| format!("unreadable receipt: {error}"))?;
    let checked = check_receipt(&receipt, envelope.id(), log_key.trim())
        .map_err(|error: ReceiptError| error.to_string())?;
    let header = Header::parse(envelope.payload()).map_err(|error| error.to_string())?;
    let entry = &checked.entry;
    if (entry.seq, entry.epoch, entry.kind.as_str()) != (header.seq, header.epoch, envelope.kind()) {
        return Err("the log entry names another sequence, epoch or kind than the envelope".to_owned());
    }
    if entry.kid != envelope.kid() {
        return Err(format!("the log entry names key {}, the envelope {}", entry.kid, envelope.kid()));
    }
    contents.push(("received, server's clock (Unix ms)", entry.recv_ms.to_string()));
    contents.push(("log", format!("{} entry {} of {}", checked.origin, checked.index, checked.size)));
    let outcome = match entry.outcome {
        Outcome::Recorded => "recorded",
        Outcome::Finding => "recorded with findings",
        Outcome::Conflict => "recorded as a conflict: another entry has the same place",
        Outcome::Unspecified => "recorded with an unknown outcome",
    };
    contents.push(("outcome", outcome.to_owned()));
    Ok(checked)
}

/// The only one in its place, or one of several: an envelope that the log took as a conflict proves what was signed, not
/// what happened.
fn place(receipt: &Receipt, envelope: &Envelope) -> Result<String, String> {
    let seq = receipt.entry.seq;
    match receipt.entry.outcome {
        Outcome::Recorded | Outcome::Finding => Ok(format!("sequence {seq} of kind {}", envelope.kind())),
        Outcome::Conflict => Err(format!(
            "the log holds another entry of sequence {seq}: the chain has forked, and neither branch decides alone"
        )),
        Outcome::Unspecified => Err("an outcome that this version does not know".to_owned()),
    }
}

/// Use rows, where they are given, must be those of the window's digest. Not giving them is not incomplete: they are
/// deleted in time, and the window stays valid.
fn rows(envelope: &Envelope, given: Option<&[u8]>) -> Option<Step> {
    let given = given?;
    let outcome = match Payload::parse(envelope.kind(), envelope.payload()) {
        Ok(Payload::Window(window)) if window.use_digest == userows::digest(given) => userows::parse(given)
            .map(|rows| format!("{} rows", rows.len()))
            .map_err(|error| error.to_string()),
        _ => Err("not the use rows of this window".to_owned()),
    };
    Some(Step { what: "use rows", outcome: Some(outcome) })
}

/// What an opening shows stands in the window, whose own signature and receipt are other steps.
fn opened(
    envelope: &Envelope,
    opening: &[u8],
    contents: &mut Vec<(&'static str, String)>,
) -> Result<String, String> {
    let opening = Opening::read(opening).map_err(|error| error.to_string())?;
    let window = opening.check(envelope).map_err(|error| error.to_string())?;
    let leaf = &opening.leaf;
    let at_ms = window.start_ms.saturating_add(leaf.dt_ms.into());
    contents.push(("opened: seen at, gateway's clock (Unix ms)", at_ms.to_string()));
    contents.push(("opened: source", leaf.source.to_string()));
    match &leaf.what {
        Some(What::Readings(readings)) => {
            let readings = readings.points.iter().map(reading).collect::<Vec<_>>();
            contents.push(("opened: readings, as they came", readings.join(" ")));
        }
        Some(What::Record(record)) => {
            contents.push(("opened: position of the record", record.position.to_string()));
            if record.event_ms != 0 {
                contents.push(("opened: its own time (Unix ms)", record.event_ms.to_string()));
            }
            for field in &opening.fields {
                let value = String::from_utf8_lossy(&field.value).escape_debug().to_string();
                contents.push(("opened: field", format!("{} = {value}", field.at)));
            }
            let hidden = record.fields.len().saturating_sub(opening.fields.len());
            contents.push(("opened: fields that are not shown", hidden.to_string()));
        }
        Some(What::Range(range)) => {
            let (point, low, high) = (range.point, range.low_milli, range.high_milli);
            contents.push(("opened: long-run range, 1/1000", format!("point {point}: {low} to {high}")));
        }
        Some(What::Backfill(kept)) => {
            let readings = kept.readings.iter().map(reading).collect::<Vec<_>>().join(" ");
            contents.push(("opened: kept by the server", format!("point {}: {readings}", kept.point)));
        }
        None => {}
    }
    Ok(format!("leaf {} of {} stands under the root", opening.index, window.leaf_count))
}

/// A reading's quality letter and its bytes.
fn reading(reading: &wire::Reading) -> String {
    let letter = match reading.quality {
        0 => 'N',
        quality => char::from_u32(quality).filter(char::is_ascii_uppercase).unwrap_or('?'),
    };
    format!("{letter}:{}", hex(&reading.raw))
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::{AgentId, EntryId, SigningKey};

    fn envelope() -> (SigningKey, Envelope) {
        let key = SigningKey::from_seed(&[1; 32]);
        let header = Header {
            agent: AgentId([1; 16]),
            epoch: 1,
            seq: 1,
            prev: EntryId::NONE,
            boot: [0; 8],
            boot_count: 1,
            wall_ms: 5,
            mono_ms: 5,
            skew_ms: None,
        };
        let outage = wire::Outage { header: Some(header.wire()), from_ms: 1, to_ms: 2, ..Default::default() };
        let envelope = Envelope::sign(&key, "outage", outage.encode_to_vec());
        (key, envelope)
    }

    #[test]
    fn without_receipt_or_key_the_answer_is_incomplete() {
        let (key, envelope) = envelope();
        let key = key.verify_key().to_bytes();
        let evidence = Evidence { envelope: envelope.bytes(), key: Some(&key), ..Evidence::default() };
        assert_eq!(verify(&evidence).verdict, Verdict::Incomplete);
    }

    #[test]
    fn another_key_or_a_flipped_byte_is_invalid() {
        let (_, envelope) = envelope();
        let other = SigningKey::from_seed(&[2; 32]).verify_key().to_bytes();
        let evidence = Evidence { envelope: envelope.bytes(), key: Some(&other), ..Evidence::default() };
        assert_eq!(verify(&evidence).verdict, Verdict::Invalid);
        assert_eq!(
            verify(&Evidence { envelope: b"nonsense", ..Evidence::default() }).verdict,
            Verdict::Invalid
        );
    }
}
