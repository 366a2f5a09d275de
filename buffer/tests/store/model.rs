//! Random steps on a store and on a model of it; both must show the same, also across ends of the process.

use proptest::prelude::*;

use crate::plant::*;
use buffer::{Buffer, Found, LeftOpen, Outgoing, SealedRaw, Unsigned};

#[derive(Debug, Clone)]
enum Step {
    Flush(Vec<u8>),
    FlushAgain,
    Seal(Vec<u8>),
    SealAgain,
    Enqueue,
    Sign(u64),
    Receipt(u64),
    SetState(u8),
    Close,
    Cut,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..600);
    prop_oneof![
        4 => bytes().prop_map(Step::Flush),
        1 => Just(Step::FlushAgain),
        3 => bytes().prop_map(Step::Seal),
        1 => Just(Step::SealAgain),
        1 => Just(Step::Enqueue),
        4 => (1..12_u64).prop_map(Step::Sign),
        3 => (1..12_u64).prop_map(Step::Receipt),
        1 => any::<u8>().prop_map(Step::SetState),
        1 => Just(Step::Close),
        2 => Just(Step::Cut),
    ]
}

#[derive(Default)]
struct Model {
    view: View,
    /// The open window's next part, and the last things done.
    parts: u16,
    last_part: Option<buffer::OpenWindow>,
    last_seal: Option<buffer::Seal>,
}

impl Model {
    fn last(&self) -> u64 {
        self.view.head.map_or(0, |(seq, _)| seq)
    }

    fn window_start(&self) -> i64 {
        self.view.left_open.as_ref().map_or_else(|| start_ms(self.last() + 1), |open| open.start_ms)
    }

    fn appended(&mut self, proof: &buffer::NewProof) {
        self.view.head = Some((proof.seq, proof.entry));
        self.view.unsigned.push(Unsigned {
            seq: proof.seq,
            kind: proof.kind.clone(),
            payload: proof.payload.clone(),
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn store_shows_what_its_model_shows(steps in proptest::collection::vec(step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let mut path = folder.path().join("0.db");
        let (mut buffer, _) = open(&path);
        // The model knows no outbox order: signed proofs by sequence number, sent up to the first unsigned.
        let mut model = Model { view: View { head: Some((0, proof::EntryId::NONE)), ..View::default() }, ..Model::default() };
        let mut signed: std::collections::BTreeMap<u64, Outgoing> = std::collections::BTreeMap::new();
        for (turn, step) in steps.into_iter().enumerate() {
            let cut = matches!(step, Step::Cut);
            match step {
                Step::Close => {
                    buffer.close().unwrap();
                    let (again, opened) = open(&path);
                    prop_assert!(opened.found == Found::Clean && opened.damage.is_none(), "{opened:?}");
                    buffer = again;
                }
                Step::Cut => {
                    let left = files(&path);
                    path = folder.path().join(format!("{}.db", turn + 1));
                    put(&path, &left);
                    let (again, opened) = open(&path);
                    prop_assert!(opened.found == Found::Crashed && opened.damage.is_none(), "{opened:?}");
                    buffer = again;
                }
                step @ (Step::Flush(_) | Step::FlushAgain | Step::Seal(_) | Step::SealAgain | Step::Enqueue | Step::Sign(_)
                | Step::Receipt(_) | Step::SetState(_)) => apply(step, &mut buffer, &mut model, &mut signed),
            }
            let first_unsigned = model.view.unsigned.first().map_or(u64::MAX, |unsigned| unsigned.seq);
            model.view.unreceipted =
                signed.values().filter(|sent| sent.seq < first_unsigned).cloned().collect();
            prop_assert_eq!(view(&buffer), model.view.clone(), "after turn {} (cut: {})", turn, cut);
            prop_assert_eq!(buffer.health().unwrap().backlog, (signed.len() + model.view.unsigned.len()) as u64);
        }
    }
}

fn apply(
    step: Step,
    buffer: &mut Buffer,
    model: &mut Model,
    signed: &mut std::collections::BTreeMap<u64, Outgoing>,
) {
    match step {
        Step::Flush(chunk) => {
            let new = part(model.window_start(), model.parts, chunk);
            assert_eq!(buffer.flush(&new).unwrap(), buffer::Flushed::Stored);
            model.parts += 1;
            model.view.bookmarks.extend(new.bookmarks.clone());
            let open = model.view.left_open.get_or_insert(LeftOpen {
                start_ms: new.start_ms,
                mono_start_ms: 77,
                flushed_ms: 0,
                chunks: Vec::new(),
            });
            open.flushed_ms = new.flushed_ms;
            open.chunks.push(new.chunk.clone());
            model.last_part = Some(new);
        }
        Step::FlushAgain => {
            if let Some(last) = &model.last_part {
                assert_eq!(buffer.flush(last).unwrap(), buffer::Flushed::Stored);
            }
        }
        Step::Seal(chunk) => {
            let sealed = seal(buffer, model.window_start(), chunk);
            assert_eq!(buffer.seal(&sealed).unwrap(), SealedRaw::Kept);
            let mut chunks = model.view.left_open.take().map(|open| open.chunks).unwrap_or_default();
            chunks.extend(sealed.last_chunk.clone().filter(|chunk| !chunk.is_empty()));
            model.view.raw.insert(sealed.proof.seq, Ok(chunks));
            model.view.bookmarks.extend(sealed.bookmarks.clone());
            model.appended(&sealed.proof);
            (model.parts, model.last_part) = (0, None);
            model.last_seal = Some(sealed);
        }
        Step::SealAgain => {
            if let Some(last) = &model.last_seal {
                let repeated = buffer.seal(last);
                assert_eq!(repeated.is_ok(), last.proof.seq == model.last());
            }
        }
        Step::Enqueue => {
            let proof = next(buffer, "outage");
            buffer.enqueue(&proof).unwrap();
            buffer.enqueue(&proof).unwrap();
            model.appended(&proof);
        }
        Step::Sign(seq) => {
            let envelope = format!("envelope {seq}").into_bytes();
            buffer.sign(seq, &envelope).unwrap();
            if model.view.unsigned.iter().any(|unsigned| unsigned.seq == seq) {
                let use_rows = format!("rows {seq}").into_bytes();
                signed.insert(seq, Outgoing { seq, entry: entry(seq), envelope, use_rows });
                model.view.unsigned.retain(|unsigned| unsigned.seq != seq);
            }
        }
        Step::Receipt(seq) => {
            if model.view.unsigned.iter().any(|unsigned| unsigned.seq == seq) {
                return;
            }
            let known = signed.remove(&seq).is_some();
            assert_eq!(buffer.receipted(entry(seq), b"receipt", NOW).unwrap(), known);
            if known {
                model.view.receipts.insert(seq, b"receipt".to_vec());
            }
        }
        Step::SetState(value) => {
            buffer.set_state("salt", &[value]).unwrap();
            model.view.state = Some(vec![value]);
        }
        Step::Close | Step::Cut => unreachable!("done by the caller"),
    }
}
