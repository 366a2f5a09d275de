//! Golden vectors: an old proof verifies for ever.
//!
//! `proof/vectors/<name>.env` are envelopes as they were first made, `<name>.txt` what was known of them then. They are
//! never made again: when this test fails, the code is wrong, not the file. `make_missing` writes only what is not there.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use proof::leaf::{Tree, WindowSecret, leaf_hash};
use proof::observation::Records;
use proof::payload::{Header, Payload, encode_manifest};
use proof::pseudonym::PseudonymKey;
use proof::wire::{self, ActionClass, ActorClass, ExclusionReason, Role, Share, SourceKind};
use proof::{
    AgentId, Cause, EntryId, Envelope, Observation, Quality, Reading, Record, SigningKey, What, Windows,
    userows,
};
use prost::Message as _;

const START: i64 = 1_784_649_600_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[0x42; 32])
}

fn header(seq: u64, prev: EntryId) -> Header {
    Header {
        agent: AgentId([0x11; 16]),
        epoch: 1,
        seq,
        prev,
        boot: [0x22; 8],
        boot_count: 3,
        wall_ms: START + 600_000,
        mono_ms: 1_234_567,
        skew_ms: Some(-17),
    }
}

fn body() -> wire::ManifestBody {
    let point = |index, role: Role| wire::Point {
        index,
        role: role.into(),
        signal: true,
        share: if role == Role::Energy { Share::Delta } else { Share::Shape }.into(),
    };
    wire::ManifestBody {
        version: 1,
        utc_offset_minutes: 480,
        sources: vec![
            wire::Source {
                index: 1,
                kind: SourceKind::Modbus.into(),
                cadence_s: 60,
                name_digest: vec![0x33; 16],
                points: vec![point(0, Role::Running), point(1, Role::Energy)],
                ..Default::default()
            },
            wire::Source {
                index: 2,
                kind: SourceKind::Log.into(),
                cadence_s: 60,
                name_digest: vec![0x44; 16],
                modules: vec![7],
                ..Default::default()
            },
        ],
        hidden_digest: vec![0x55; 32],
        modules: vec![wire::Module { code: 7, name: "production_report".to_owned() }],
    }
}

fn sealed() -> proof::Sealed {
    let mut windows = Windows::new(body(), [0x66; 8], PseudonymKey::new([0x77; 32]));
    windows.open(START, 634_567, WindowSecret([0x88; 32]));
    for minute in 0..10_i64 {
        let running = f64::from(u8::from(minute >= 3));
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let energy = 1_000.0 + 2.5 * minute as f64;
        let reading = |value: f64| Reading {
            quality: Quality::Good,
            raw: value.to_be_bytes().to_vec(),
            value: Some(value),
        };
        let what = if minute == 5 {
            What::Silent(Cause::NoAnswer)
        } else {
            What::Cycle(vec![reading(running), reading(energy)])
        };
        let at_ms = START + minute * 60_000;
        windows.observe(&Observation { source: 1, at_ms, rtt_us: Some(900), what }).unwrap();
        let records = if minute == 4 { vec![record(at_ms - 20_000)] } else { Vec::new() };
        let lines = u32::try_from(records.len()).unwrap();
        let what =
            What::Records(Records { from: 0, to: 90, lines, records, followed: true, ..Default::default() });
        windows.observe(&Observation { source: 2, at_ms, rtt_us: None, what }).unwrap();
    }
    windows.seal(START + 600_000, 1_234_567, wire::End::Mark).unwrap()
}

fn record(event_ms: i64) -> Record {
    Record {
        position: 0,
        fields: vec!["报工".as_bytes().to_vec(), b"wang01".to_vec()],
        event_ms: Some(event_ms),
        account: Some("wang01".to_owned()),
        document: None,
        actor_class: ActorClass::Human,
        reason: ExclusionReason::None,
        module: 7,
        action: ActionClass::Report,
    }
}

/// The three envelopes of a short chain, made anew.
fn chain() -> Vec<(&'static str, Envelope)> {
    let manifest = Envelope::sign(
        &key(),
        "manifest",
        encode_manifest(&header(1, EntryId::NONE), &body().encode_to_vec()),
    );
    let anchor = wire::Anchor { hash: vec![0x99; 32], size: 1_000 };
    let window = Envelope::sign(&key(), "window", sealed().payload(&header(2, manifest.id()), Some(anchor)));
    let outage = wire::Outage {
        header: Some(header(3, window.id()).wire()),
        from_ms: START + 600_000,
        to_ms: START + 900_000,
        cause: Cause::Power.letter().into(),
        last_seq: 2,
        before: Some(wire::Boot { id: vec![0x21; 8], count: 2 }),
        lost_sources: vec![1],
        lost_from_seq: 0,
    };
    let outage = Envelope::sign(&key(), "outage", outage.encode_to_vec());
    vec![("manifest", manifest), ("window", window), ("outage", outage)]
}

fn known(envelope: &Envelope) -> String {
    let key = data_encoding::HEXLOWER.encode(&key().verify_key().to_bytes());
    format!("key {key}\nkid {}\nentry {}\n", envelope.kid(), envelope.id())
}

/// The root over leaves that stand as they came.
fn root_of(leaves: &[wire::Leaf]) -> [u8; 32] {
    let secret = WindowSecret([0x88; 32]);
    Tree::of((0_u32..).zip(leaves).map(|(came, leaf)| leaf_hash(leaf, &secret.leaf_blind(came)))).root()
}

#[test]
fn old_envelopes_verify_and_are_called_what_they_were() {
    for name in ["manifest", "window", "outage"] {
        let bytes = fs::read(folder().join(format!("{name}.env"))).unwrap();
        let envelope = Envelope::parse(&bytes).unwrap();
        envelope.verify(&key().verify_key()).unwrap();
        assert_eq!(
            known(&envelope),
            fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap(),
            "{name}"
        );
        assert!(!matches!(Payload::parse(envelope.kind(), envelope.payload()).unwrap(), Payload::Unknown(_)));
    }
}

#[test]
fn the_same_observations_still_make_the_same_bytes() {
    for (name, envelope) in chain() {
        assert_eq!(envelope.bytes(), fs::read(folder().join(format!("{name}.env"))).unwrap(), "{name}");
    }
    let rows = fs::read(folder().join("window.rows")).unwrap();
    assert_eq!(sealed().use_rows, rows);
    assert_eq!(userows::parse(&rows).unwrap().len(), 1);
}

#[test]
fn a_root_is_that_of_its_leaves() {
    let leaves =
        [wire::Leaf { source: 1, dt_ms: 5, what: None }, wire::Leaf { source: 2, dt_ms: 6, what: None }];
    let root = data_encoding::HEXLOWER.encode(&root_of(&leaves));
    assert_eq!(root, fs::read_to_string(folder().join("root.txt")).unwrap().trim());
}

#[test]
#[ignore = "makes vectors that are not there yet: `cargo test -p proof --test vectors -- --ignored`, when a kind is added"]
fn make_missing() {
    let put = |name: String, bytes: &[u8]| {
        let path = folder().join(name);
        if !path.exists() {
            fs::write(path, bytes).unwrap();
        }
    };
    for (name, envelope) in chain() {
        put(format!("{name}.env"), envelope.bytes());
        put(format!("{name}.txt"), known(&envelope).as_bytes());
    }
    put("window.rows".to_owned(), &sealed().use_rows);
    let leaves =
        [wire::Leaf { source: 1, dt_ms: 5, what: None }, wire::Leaf { source: 2, dt_ms: 6, what: None }];
    let root = data_encoding::HEXLOWER.encode(&root_of(&leaves));
    put("root.txt".to_owned(), format!("{root}\n").as_bytes());
}
