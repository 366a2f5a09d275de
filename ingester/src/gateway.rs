//! A gateway and a ledger for the tests of this crate.

use std::path::PathBuf;

use bytes::Bytes;
use ledger::{LogKey, NewAgent, NewToken, Sqlite, Store as _};
use proof::envelope::{LABEL, MANIFEST, OUTAGE, ROTATE, WINDOW};
use proof::log::check_receipt;
use proof::payload::{Header, encode_manifest, manifest_hash};
use proof::rotation;
use proof::{AgentId, Answer, EntryId, Envelope, Parcel, SigningKey, WINDOW_MS, wire};
use prost::Message as _;
use tempfile::TempDir;

use crate::intake::{Intake, Message, Reply};

/// A ten-minute mark.
pub(crate) const START: i64 = 3_000_000 * WINDOW_MS;

/// A gateway with its chain.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) id: AgentId,
    seed: [u8; 32],
    pub(crate) epoch: u32,
    pub(crate) seq: u64,
    pub(crate) prev: EntryId,
}

impl Gateway {
    pub(crate) fn new(seed: u8) -> Self {
        Self { id: AgentId([seed; 16]), seed: [seed; 32], epoch: 1, seq: 0, prev: EntryId::NONE }
    }

    pub(crate) fn key(&self) -> SigningKey {
        SigningKey::from_seed(&self.seed)
    }

    fn header(&self) -> Header {
        Header {
            agent: self.id,
            epoch: self.epoch,
            seq: self.seq + 1,
            prev: self.prev,
            boot: [1; 8],
            boot_count: 1,
            wall_ms: START,
            mono_ms: 5,
            skew_ms: None,
        }
    }

    /// The window after the last one.
    pub(crate) fn window(&self) -> wire::Window {
        let start_ms = START + i64::try_from(self.seq).unwrap() * WINDOW_MS;
        wire::Window {
            header: Some(self.header().wire()),
            start_ms,
            length_ms: 600_000,
            root: vec![3; 32],
            manifest: manifest_hash(&manifest_body()).to_vec(),
            build: vec![1; 8],
            ..Default::default()
        }
    }

    /// Signs a payload that `window` or another was made into; the chain moves on.
    pub(crate) fn sign(&mut self, kind: &str, payload: Vec<u8>) -> Envelope {
        let envelope = Envelope::sign(&self.key(), kind, payload);
        self.seq += 1;
        self.prev = envelope.id();
        envelope
    }

    pub(crate) fn manifest(&mut self) -> Envelope {
        let payload = encode_manifest(&self.header(), &manifest_body());
        self.sign(MANIFEST, payload)
    }

    pub(crate) fn next(&mut self) -> Envelope {
        let payload = self.window().encode_to_vec();
        self.sign(WINDOW, payload)
    }

    /// An outage that says what was sealed from this sequence on is lost.
    pub(crate) fn lost(&mut self, lost_from_seq: u64) -> Envelope {
        let header = Some(self.header().wire());
        let outage = wire::Outage { header, last_seq: self.seq, lost_from_seq, ..Default::default() };
        self.sign(OUTAGE, outage.encode_to_vec())
    }

    /// What the firm says of a time or of places.
    pub(crate) fn label(&mut self, about: wire::label::About) -> Envelope {
        let label = wire::Label {
            header: Some(self.header().wire()),
            about: Some(about),
            source: 0,
            cause: u32::from(b'H'),
            text: "春节停产".to_owned(),
            by: wire::Speaker::Firm.into(),
            name: String::new(),
        };
        self.sign(LABEL, label.encode_to_vec())
    }

    /// The key of this seed signs from the next entry on.
    pub(crate) fn rotate(&mut self, seed: u8) -> Envelope {
        let new = SigningKey::from_seed(&[seed; 32]);
        let envelope = self.sign(ROTATE, rotation::encode(&self.header(), &new));
        (self.seed, self.epoch) = ([seed; 32], self.epoch + 1);
        envelope
    }

    /// A payload of a kind that nobody knows yet.
    pub(crate) fn other(&mut self, kind: &str) -> Envelope {
        let payload = wire::AnyPayload { header: Some(self.header().wire()) }.encode_to_vec();
        self.sign(kind, payload)
    }

    pub(crate) fn message(&self, envelope: &Envelope) -> Message {
        Message { topic: self.id, parcel: Parcel::encode(envelope.bytes(), &[], 0).into() }
    }
}

pub(crate) fn manifest_body() -> Vec<u8> {
    let source = wire::Source { index: 1, cadence_s: 10, ..Default::default() };
    wire::ManifestBody { version: 1, utc_offset_minutes: 480, sources: vec![source], ..Default::default() }
        .encode_to_vec()
}

/// A ledger in a folder of its own, and an intake before it.
pub(crate) struct City {
    pub(crate) ledger: Sqlite,
    pub(crate) intake: Intake,
    folder: TempDir,
}

impl City {
    pub(crate) fn with(gateways: &[&Gateway]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Sqlite::open(&folder.path().join("ledger.db"), log_key()).unwrap();
        for gateway in gateways {
            let token = [gateway.id.0[0]; 32];
            ledger.add_token(token, &NewToken::of("firm", START + 1)).unwrap();
            let agent = NewAgent::of(gateway.id, gateway.key().verify_key(), "");
            ledger.enrol(token, &agent, START).unwrap().unwrap();
        }
        Self { ledger, intake: Intake::default(), folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    /// Forgets all that is only in memory.
    pub(crate) fn restart(&mut self) {
        self.ledger = Sqlite::open(&self.path(), log_key()).unwrap();
        self.intake = Intake::default();
    }

    /// Time at which the gateway's last window has just ended.
    pub(crate) fn now(gateway: &Gateway) -> i64 {
        START + i64::try_from(gateway.seq).unwrap() * WINDOW_MS
    }

    pub(crate) fn take(&mut self, messages: &[Message], now_ms: i64) -> Vec<Answer> {
        let replies = self.intake.take(&mut self.ledger, messages, now_ms).unwrap();
        replies.into_iter().map(|Reply { answer, .. }| answer).collect()
    }

    /// Takes one envelope on its gateway's topic, at its time.
    pub(crate) fn give(&mut self, gateway: &Gateway, envelope: &Envelope) -> Vec<Answer> {
        self.take(&[gateway.message(envelope)], Self::now(gateway))
    }

    /// The receipt in an answer, checked.
    pub(crate) fn receipt(&self, answer: &Answer) -> proof::log::Receipt {
        let Answer::Receipt { entry, receipt, .. } = answer else { panic!("no receipt: {answer:?}") };
        check_receipt(receipt, *entry, self.ledger.log_verifier()).unwrap()
    }
}

/// The name of a refusal.
pub(crate) fn refusal(answers: &[Answer]) -> &str {
    match answers {
        [Answer::Refusal { name, .. }, ..] => name,
        other => panic!("no refusal: {other:?}"),
    }
}

pub(crate) fn log_key() -> LogKey {
    LogKey::from_seed("test.log", &[5; 32]).unwrap().0
}

pub(crate) fn parcel(envelope: &Envelope, use_rows: &[u8]) -> Bytes {
    Parcel::encode(envelope.bytes(), use_rows, 0).into()
}
