//! What a fuzzer feeds: see `tests/fuzz/README.md`. Each function panics when something does not hold that always should.

use crate::answer::Answer;
use crate::envelope::{Envelope, Parcel, entry_id};
use crate::keys::SigningKey;
use crate::log::{
    Head, LogEntry, check_checkpoint, check_receipt, checkpoint_of, parse_receipt_text, receipt_text,
};
use crate::opening::Opening;
use crate::payload::{Header, Payload};
use crate::policy::Policy;
use crate::{MAX_SEQ, TIMES_MS, rotation, userows, wire};

/// The log whose checkpoints the corpora hold.
const LOG: &str = "test.log+1f05a184+AW56HN0psLeP0Tr0xVmP7/TvKpcWbjym8uT7/M2AUFvx";

/// The seed of the key that has signed the envelopes of the corpora.
const SEED: [u8; 32] = [0x42; 32];

/// What a gateway's topic brings: a parcel, and the envelope in it or alone.
///
/// # Panics
/// See the module.
pub fn envelope(bytes: &[u8]) {
    let parcel = Parcel::parse(bytes);
    if let Ok(parcel) = &parcel {
        let again = Parcel::encode(parcel.envelope.bytes(), &parcel.use_rows, parcel.seen);
        assert_eq!(Parcel::parse(&again).as_ref(), Ok(parcel), "a parcel says the same again");
        // Rows that are none are refused with words.
        drop(userows::parse(&parcel.use_rows));
    }
    let envelope = parcel.map(|parcel| parcel.envelope).or_else(|_| Envelope::parse(bytes));
    let Ok(envelope) = envelope else { return };
    let again = Envelope::parse(envelope.bytes()).expect("its bytes are kept as they came");
    assert_eq!(again, envelope, "and read the same");
    assert_eq!(envelope.id(), entry_id(envelope.kind(), envelope.payload()), "the id is of kind and payload");
    let key = SigningKey::from_seed(&SEED);
    if envelope.verify(&key.verify_key()).is_ok() {
        let ours = Envelope::sign(&key, envelope.kind(), envelope.payload().to_vec());
        assert_eq!(ours.id(), envelope.id(), "what the key has signed is what it would sign");
    }
    payload_of(envelope.kind(), envelope.payload());
}

/// A kind, a line end, and a payload of it.
///
/// # Panics
/// See the module.
pub fn payload(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(kind) = std::str::from_utf8(&bytes[..end]) else { return };
    payload_of(kind, &bytes[end + 1..]);
}

fn payload_of(kind: &str, bytes: &[u8]) {
    if let Ok(header) = Header::parse(bytes) {
        assert!((1..=MAX_SEQ).contains(&header.seq) && header.epoch > 0, "{header:?}");
        let again = wire::AnyPayload { header: Some(header.wire()) };
        let again = prost::Message::encode_to_vec(&again);
        assert_eq!(Header::parse(&again).as_ref(), Ok(&header), "a header says the same again");
    }
    match Payload::parse(kind, bytes) {
        Ok(Payload::Window(window)) => {
            assert!(TIMES_MS.contains(&window.start_ms), "{}", window.start_ms);
            assert!(i64::from(window.length_ms) <= crate::WINDOW_MS, "{}", window.length_ms);
            assert!(window.root.len() == 32, "{} bytes of root", window.root.len());
        }
        Ok(Payload::Outage(outage)) => assert!(outage.from_ms <= outage.to_ms, "{outage:?}"),
        Ok(Payload::Label(label)) => {
            assert!(label.about.is_some() && label.text.chars().count() <= 200, "{label:?}");
            assert!(!label.text.chars().chain(label.name.chars()).any(char::is_control), "{label:?}");
        }
        Ok(Payload::Rotate(rotate)) => {
            assert!(rotate.key.len() == 32 && rotate.possession.len() == 64, "{rotate:?}");
            let (Ok(header), key) = (Header::parse(bytes), SigningKey::from_seed(&SEED)) else { return };
            let envelope = Envelope::sign(&key, kind, bytes.to_vec());
            // It is refused with words, or by a key that has signed for this place.
            if let Ok(Some(new)) = rotation::of(&envelope, &header, &key.verify_key()) {
                let message = rotation::possession(header.agent, header.epoch, &new);
                assert!(new.verifies(&message, &rotate.possession) && new.to_bytes()[..] == rotate.key[..]);
            }
        }
        Ok(Payload::Digest(digest)) => {
            assert!(digest.from_seq >= 1 && digest.rows.iter().all(|row| row.numerator <= row.denominator));
        }
        Ok(Payload::Opened(opened)) => assert!(opened.seq > 0 && opened.digest.len() == 32, "{opened:?}"),
        Ok(Payload::Manifest(_) | Payload::Unknown(_)) | Err(_) => {}
    }
}

/// What comes on a gateway's `down`.
///
/// # Panics
/// See the module.
pub fn answer(bytes: &[u8]) {
    let Ok(answer) = Answer::parse(bytes) else { return };
    let again = Answer::parse(&answer.encode());
    assert_eq!(again.as_ref(), Ok(&answer), "an answer says the same again");
    if let Answer::Receipt { entry, receipt, .. } = &answer {
        // It may be of any log: it is refused with words, or holds.
        drop(check_receipt(receipt, *entry, LOG));
    }
}

/// A checkpoint.
///
/// # Panics
/// See the module.
pub fn note(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(Head { origin, size, root }) = check_checkpoint(text, LOG) else { return };
    // What is believed is what stands in its first three lines.
    let first = format!("{origin}\n{size}\n{}\n", data_encoding::BASE64.encode(&root));
    assert!(text.starts_with(&first), "{first} of {text}");
    let policy = Policy::without_witnesses(LOG);
    let checked = policy.check(text).expect("a policy of that log believes it too");
    assert!(checked.is_quorum && checked.head.size == size);
}

/// A receipt as a text.
///
/// # Panics
/// See the module.
pub fn proof(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(receipt) = parse_receipt_text(text) else { return };
    assert_eq!(parse_receipt_text(&receipt_text(&receipt)).as_ref(), Ok(&receipt), "it says the same again");
    let Ok(entry) = LogEntry::parse(&receipt.entry) else { return };
    let Ok(checked) = check_receipt(&receipt, entry.entry, LOG) else { return };
    assert!(checked.index < checked.size && checked.entry == entry, "{checked:?}");
    let head = check_checkpoint(checkpoint_of(&receipt).expect("it was found there"), LOG);
    assert_eq!(head.map(|head| (head.size, head.root)), Ok((checked.size, checked.root)));
}

/// A policy.
///
/// # Panics
/// See the module.
pub fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Policy::parse(text) {
        Err(wrong) => assert!(!wrong.is_empty(), "it is refused with words"),
        Ok(policy) => {
            let again = Policy::parse(&policy.text()).expect("its text is a policy");
            assert_eq!(again.text(), policy.text(), "which has one form");
            assert_eq!((again.logs, again.witnesses.len()), (policy.logs, policy.witnesses.len()));
        }
    }
}

/// An opening, as bytes or as text.
///
/// # Panics
/// See the module.
pub fn opening(bytes: &[u8]) {
    let Ok(opening) = Opening::read(bytes) else { return };
    let encoded = opening.encode();
    assert_eq!(Opening::parse(&encoded).as_ref(), Ok(&opening), "an opening says the same again");
    assert_eq!(Opening::read(opening.text().as_bytes()).as_ref(), Ok(&opening), "and as text");
}

/// A bundle.
///
/// # Panics
/// See the module.
#[cfg(feature = "bundle")]
pub fn bundle(bytes: &[u8]) {
    use crate::bundle::{DIGESTS, Files, Writer};
    let Ok(files) = Files::read(bytes) else { return };
    let mut writer = Writer::new(Vec::new());
    for name in files.names() {
        let file = files.get(bytes, name).expect("a file that is named is there");
        writer.add(name, file).expect("and may be in a bundle");
    }
    let again = writer.end(|_| files.note(bytes).to_owned()).expect("memory takes all");
    assert!(again == bytes, "files and list make the bundle, and nothing else is in it ({DIGESTS})");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;
    use prost::Message as _;
    use signed_note::{Note, StandardSigner};
    use tlog_tiles::{Checkpoint, node_hash, record_hash};

    use super::*;
    use crate::answer::Consistency;
    use crate::envelope::{DIGEST, LABEL, OPENING, ROTATE};
    use crate::ids::{AgentId, EntryId, Kid};
    use crate::log::{Outcome, proof_text, test_key};
    use crate::opening::OpenField;
    use crate::policy::Cosigner;
    use crate::replay::{changed, changes, corpus};

    /// Name, function, and the least number of its files.
    type Target = (&'static str, fn(&[u8]), usize);

    const TARGETS: [Target; 8] = [
        ("envelope", envelope, 4),
        ("payload", payload, 4),
        ("answer", answer, 3),
        ("note", note, 2),
        ("proof", proof, 1),
        ("policy", policy, 3),
        ("opening", opening, 2),
        #[cfg(feature = "bundle")]
        ("bundle", bundle, 1),
        #[cfg(not(feature = "bundle"))]
        ("bundle", |_| {}, 0),
    ];

    #[test]
    fn every_corpus_is_read_without_a_contradiction() {
        for (name, target, least) in TARGETS {
            corpus(name, least).iter().for_each(|bytes| target(bytes));
        }
    }

    #[test]
    fn what_the_corpora_hold_is_believed_so_that_changing_it_says_something() {
        let holds = |name: &str, good: fn(&[u8]) -> bool| {
            assert!(corpus(name, 1).iter().any(|bytes| good(bytes)), "{name}");
        };
        holds("envelope", |bytes| Parcel::parse(bytes).is_ok());
        holds("answer", |bytes| matches!(Answer::parse(bytes), Ok(Answer::Receipt { .. })));
        holds("note", |bytes| check_checkpoint(std::str::from_utf8(bytes).unwrap_or(""), LOG).is_ok());
        holds("policy", |bytes| Policy::parse(std::str::from_utf8(bytes).unwrap_or("")).is_ok());
        holds("opening", |bytes| Opening::read(bytes).is_ok());
        holds("proof", |bytes| {
            let receipt = parse_receipt_text(std::str::from_utf8(bytes).unwrap_or(""));
            receipt.is_ok_and(|receipt| {
                let entry = LogEntry::parse(&receipt.entry).map(|entry| entry.entry);
                entry.is_ok_and(|entry| check_receipt(&receipt, entry, LOG).is_ok())
            })
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn a_changed_corpus_is_read_without_a_contradiction(
            changes in changes(&["\n", "\n\n", "window", "— ", "test.log", "quorum none\n", "index 0", "\u{0}", "\u{ff}"]),
            which in 0..TARGETS.len(), pick in any::<prop::sample::Index>(),
        ) {
            let (name, target, least) = TARGETS[which];
            let files = corpus(name, least);
            if !files.is_empty() {
                target(&changed(pick.get(&files).clone(), &changes));
            }
        }
    }

    fn log_entry(seq: u64) -> LogEntry {
        LogEntry {
            kind: "window".to_owned(),
            kid: Kid([1; 8]),
            epoch: 1,
            seq,
            entry: EntryId([u8::try_from(seq).unwrap(); 32]),
            recv_ms: 1_784_650_260_000,
            outcome: Outcome::Recorded,
        }
    }

    /// Three entries, their checkpoint, and the receipt of the second.
    fn receipt() -> (String, wire::Receipt) {
        let leaves: Vec<_> = (1..=3).map(|seq| record_hash(&log_entry(seq).encode())).collect();
        let root = node_hash(node_hash(leaves[0], leaves[1]), leaves[2]);
        let text = Checkpoint::new("test.log", 3, root, "").unwrap().to_bytes();
        let note = signed(&text);
        let proof = proof_text(1, &[leaves[0].0, leaves[2].0], &note);
        (note, wire::Receipt { entry: log_entry(2).encode(), proof })
    }

    fn signed(text: &[u8]) -> String {
        let mut note = Note::new(text, &[]).unwrap();
        note.add_sigs(&[&StandardSigner::new(&test_key().0).unwrap()]).unwrap();
        String::from_utf8(note.to_bytes()).unwrap()
    }

    /// Name, kind and payload.
    fn more_kinds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
        use wire::label::About;
        let header = Header {
            agent: AgentId([0x11; 16]),
            epoch: 1,
            seq: 9,
            prev: EntryId([7; 32]),
            boot: [1; 8],
            boot_count: 3,
            wall_ms: 1_784_650_260_000,
            mono_ms: 77_000,
            skew_ms: Some(-4),
        };
        let label = |about, text: &str| wire::Label {
            header: Some(header.wire()),
            about: Some(about),
            source: 2,
            cause: u32::from(b'H'),
            text: text.to_owned(),
            by: wire::Speaker::Firm.into(),
            name: "王工".to_owned(),
        };
        let time = wire::TimeSpan { from_ms: 1_784_500_000_000, to_ms: 1_784_600_000_000 };
        let seqs = wire::SeqSpan { from: 3, to: 8 };
        let opened = wire::Opened { header: Some(header.wire()), seq: 3, index: 17, digest: vec![0x2a; 32] };
        let row = wire::DigestRow {
            source: 2,
            code: wire::DigestCode::TimeOrder.into(),
            numerator: 1,
            denominator: 5,
            histogram: vec![3, 1, 1, 0, 0, 0],
            is_cut: false,
            before_ms: 1_784_500_000_000,
        };
        let digest = wire::Digest {
            header: Some(header.wire()),
            from_seq: 1,
            to_seq: 8,
            rules: 1,
            windows: 7,
            without_raw: 0,
            rows: vec![row],
            sources_left_out: 0,
        };
        vec![
            ("digest", DIGEST, digest.encode_to_vec()),
            ("label", LABEL, label(About::Time(time), "春节停产").encode_to_vec()),
            ("rotate", ROTATE, rotation::encode(&header, &SigningKey::from_seed(&[0x43; 32]))),
            ("opening", OPENING, opened.encode_to_vec()),
            ("label_seqs", LABEL, label(About::Seqs(seqs), "").encode_to_vec()),
        ]
    }

    /// Never writes over a file.
    #[test]
    #[ignore = "makes files of the corpora that are not there"]
    fn make_missing() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let write = |target: &str, name: &str, bytes: &[u8]| {
            let folder: PathBuf = here.join("../tests/fuzz/corpus").join(target);
            fs::create_dir_all(&folder).unwrap();
            if !folder.join(name).exists() {
                fs::write(folder.join(name), bytes).unwrap();
            }
        };
        let rows = fs::read(here.join("vectors/window.rows")).unwrap();
        for kind in ["window", "manifest", "outage"] {
            let made = fs::read(here.join("vectors").join(kind).with_extension("env")).unwrap();
            let payload = Envelope::parse(&made).unwrap().payload().to_vec();
            write("envelope", kind, &made);
            write("payload", kind, &[format!("{kind}\n").as_bytes(), &payload].concat());
            write("payload", "other_kind", &[&b"later_kind\n"[..], &payload].concat());
            let rows = if kind == "window" { &rows[..] } else { &[] };
            write("envelope", &format!("parcel_{kind}"), &Parcel::encode(&made, rows, 12));
        }
        for (name, kind, payload) in more_kinds() {
            write("payload", name, &[format!("{kind}\n").as_bytes(), &payload].concat());
            let key = SigningKey::from_seed(&SEED);
            write("envelope", name, Envelope::sign(&key, kind, payload).bytes());
        }
        let (note, receipt) = receipt();
        write("note", "checkpoint", note.as_bytes());
        let witness =
            |number| Cosigner::new(&format!("w{number}"), SigningKey::from_seed(&[number; 32])).unwrap();
        let line = witness(1).cosign(&note, 1_784_650_300).unwrap();
        write("note", "cosigned", (note.clone() + &line).as_bytes());
        write("proof", "receipt", receipt_text(&receipt).as_bytes());
        let keys = [1, 2, 3].map(|number| format!("witness w{number} {}\n", witness(number).public().text()));
        let witnesses = keys.concat();
        write("policy", "none", format!("log {LOG}\nquorum none\n").as_bytes());
        write(
            "policy",
            "two_of_three",
            format!("# two\nlog {LOG} https://log.example\n{witnesses}group g 2 w1 w2 w3\nquorum g\n")
                .as_bytes(),
        );
        write(
            "policy",
            "groups",
            format!("log {LOG}\n{witnesses}group a any w1 w2\ngroup b all a w3\nquorum b\n").as_bytes(),
        );
        write("policy", "wrong", b"log x\nwitness\ngroup a 0 b\nquorum c\nhello\n");
        let entry = EntryId([2; 32]);
        let server_ms = 1_784_650_260_000;
        let consistency = vec![Consistency { from: 2, path: vec![[7; 32]] }];
        for (name, answer) in [
            ("receipt", Answer::Receipt { entry, server_ms, receipt, consistency }),
            (
                "refusal",
                Answer::Refusal { entry: None, server_ms, name: "bad_signature".into(), text: "x".into() },
            ),
            ("want", Answer::Want { server_ms, have: 7 }),
        ] {
            write("answer", name, &answer.encode());
        }
        let opening = Opening {
            agent: AgentId([0x11; 16]),
            seq: 7,
            entry,
            index: 3,
            leaf: wire::Leaf { source: 2, dt_ms: 61_000, ..Default::default() },
            blind: [9; 16],
            path: vec![[1; 32], [2; 32]],
            fields: vec![OpenField { at: 0, blind: [3; 16], value: b"WO-2026-0017".to_vec() }],
        };
        write("opening", "record", &opening.encode());
        write("opening", "text", opening.text().as_bytes());
        #[cfg(feature = "bundle")]
        {
            let mut bundle = crate::bundle::Writer::new(Vec::new());
            bundle.add("README.txt", "说明\n".as_bytes()).unwrap();
            bundle.add("policy", format!("log {LOG}\nquorum none\n").as_bytes()).unwrap();
            write("bundle", "small", &bundle.end(|list| signed(list.as_bytes())).unwrap());
        }
    }
}
