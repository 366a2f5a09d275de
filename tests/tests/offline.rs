//! What the verifier answers offline, of receipts that a real ledger gave.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;

use ledger::{LogKey, NewAgent, NewEntry, NewToken, Sqlite, Store as _};
use proof::log::Outcome;
use proof::payload::Header;
use proof::userows::{RowKey, UseTable};
use proof::{AgentId, EntryId, Envelope, Kid, SigningKey, userows, wire};
use prost::Message as _;
use verifier::{Evidence, Verdict, verify};

const NOW: i64 = 1_784_678_400_000;
const AGENT: AgentId = AgentId([7; 16]);

/// A ledger of its own with one gateway, and that gateway's key.
struct Bench {
    ledger: Sqlite,
    key: SigningKey,
    _folder: tempfile::TempDir,
}

/// An entry with all that is handed to the verifier.
struct Handed {
    envelope: Envelope,
    receipt: Vec<u8>,
    rows: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (log_key, _) = LogKey::from_seed("city.log", &[5; 32]).unwrap();
        let mut ledger = Sqlite::open(&folder.path().join("ledger.sqlite"), log_key).unwrap();
        let key = SigningKey::from_seed(&[3; 32]);
        ledger.add_token([1; 32], &NewToken::of("firm", NOW + 1)).unwrap();
        let agent = NewAgent::of(AGENT, key.verify_key(), "");
        ledger.enrol([1; 32], &agent, NOW).unwrap().unwrap();
        Self { ledger, key, _folder: folder }
    }

    /// A window at this place, recorded with this outcome under this key hint.
    fn window(&mut self, seq: u64, leaves: u32, outcome: Outcome, kid: Option<Kid>) -> Handed {
        let prev = if seq == 1 { EntryId::NONE } else { EntryId([1; 32]) };
        let (boot, mono_ms) = ([2; 8], 5);
        let header = Header {
            agent: AGENT,
            epoch: 1,
            seq,
            prev,
            boot,
            boot_count: 1,
            wall_ms: NOW,
            mono_ms,
            skew_ms: None,
        };
        let mut table = UseTable::default();
        let actor = table.actor([1; 8], wire::ActorClass::Human, wire::ExclusionReason::None);
        table.count(RowKey { source: 1, module: 1, action: 2, actor, origin: 0, day: 20_000 }, 5);
        let rows = table.encode(20_000);
        let window = wire::Window {
            header: Some(header.wire()),
            start_ms: NOW,
            length_ms: 600_000,
            leaf_count: leaves,
            root: vec![3; 32],
            manifest: vec![4; 16],
            use_digest: userows::digest(&rows),
            ..Default::default()
        };
        let envelope = Envelope::sign(&self.key, "window", window.encode_to_vec());
        let entry = NewEntry {
            agent: AGENT,
            epoch: 1,
            kid: kid.unwrap_or(envelope.kid()),
            seq,
            entry: envelope.id(),
            prev,
            kind: "window".to_owned(),
            recv_ms: NOW,
            outcome,
            findings: BTreeSet::new(),
            end_ms: None,
            anchor: 0,
            manifest: None,
            rotates: None,
            envelope: envelope.bytes().to_vec().into(),
            use_rows: None,
        };
        let receipt = self.ledger.append(&[entry], NOW).unwrap().remove(0).receipt.encode_to_vec();
        Handed { envelope, receipt, rows }
    }

    fn answers(&self, envelope: &[u8], receipt: &[u8], rows: Option<&[u8]>) -> Verdict {
        let key = self.key.verify_key().to_bytes();
        let log_key = Some(self.ledger.log_verifier());
        verify(&Evidence {
            envelope,
            receipt: Some(receipt),
            key: Some(&key),
            log_key,
            use_rows: rows,
            opening: None,
        })
        .verdict
    }
}

#[test]
fn what_was_recorded_is_valid_and_anything_that_differs_from_it_is_not() {
    let mut bench = Bench::new();
    let first = bench.window(1, 1, Outcome::Recorded, None);
    let second = bench.window(2, 1, Outcome::Finding, None);
    let (envelope, receipt) = (first.envelope.bytes(), &first.receipt);
    assert_eq!(bench.answers(envelope, receipt, None), Verdict::Valid);
    assert_eq!(bench.answers(envelope, receipt, Some(&first.rows)), Verdict::Valid);
    assert_eq!(bench.answers(second.envelope.bytes(), &second.receipt, None), Verdict::Valid);

    assert_eq!(bench.answers(envelope, &second.receipt, None), Verdict::Invalid, "the receipt of another");
    assert_eq!(bench.answers(envelope, receipt, Some(b"")), Verdict::Invalid, "no rows are not these rows");
    let mut rows = first.rows.clone();
    *rows.last_mut().unwrap() ^= 1;
    assert_eq!(bench.answers(envelope, receipt, Some(&rows)), Verdict::Invalid);
    for place in 0..envelope.len() {
        let mut flipped = envelope.to_vec();
        flipped[place] ^= 1;
        assert_eq!(bench.answers(&flipped, receipt, None), Verdict::Invalid, "byte {place} of the envelope");
    }
    for place in 0..receipt.len() {
        let mut flipped = receipt.clone();
        flipped[place] ^= 1;
        assert_eq!(bench.answers(envelope, &flipped, None), Verdict::Invalid, "byte {place} of the receipt");
    }
}

#[test]
fn another_key_of_gateway_or_log_is_invalid() {
    let mut bench = Bench::new();
    let handed = bench.window(1, 1, Outcome::Recorded, None);
    let (envelope, receipt) = (handed.envelope.bytes(), Some(handed.receipt.as_slice()));
    let key = bench.key.verify_key().to_bytes();
    let other = SigningKey::from_seed(&[9; 32]).verify_key().to_bytes();
    let log_key = Some(bench.ledger.log_verifier());
    let evidence = Evidence { envelope, receipt, key: Some(&other), log_key, use_rows: None, opening: None };
    assert_eq!(verify(&evidence).verdict, Verdict::Invalid);
    let (elsewhere, _) = LogKey::from_seed("city.log", &[6; 32]).unwrap();
    let log_key = Some(elsewhere.verifier());
    let evidence = Evidence { envelope, receipt, key: Some(&key), log_key, use_rows: None, opening: None };
    assert_eq!(verify(&evidence).verdict, Verdict::Invalid);
}

#[test]
fn a_branch_of_a_fork_is_not_called_valid() {
    let mut bench = Bench::new();
    bench.window(1, 1, Outcome::Recorded, None);
    let branch = bench.window(1, 2, Outcome::Conflict, None);
    assert_eq!(bench.answers(branch.envelope.bytes(), &branch.receipt, None), Verdict::Invalid);
}

#[test]
fn a_log_entry_that_names_another_key_is_not_this_envelopes() {
    let mut bench = Bench::new();
    let handed = bench.window(1, 1, Outcome::Recorded, Some(Kid([9; 8])));
    assert_eq!(bench.answers(handed.envelope.bytes(), &handed.receipt, None), Verdict::Invalid);
}
