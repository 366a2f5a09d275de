//! Full: raw goes, oldest first; proofs stay.

use std::fs;

use crate::plant::*;
use buffer::{Bounds, Buffer, Cause, Flushed, Raw, Seal, SealedRaw};

fn small(raw_bytes: u64, file_bytes: u64, windows: u64) -> (Buffer, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let bounds = Bounds { raw_bytes, file_bytes, ..Bounds::default() };
    let (mut buffer, _) = Buffer::open(&path, bounds, NOW).unwrap();
    for seq in 1..=windows {
        assert_eq!(buffer.flush(&part(start_ms(seq), 0, noise(seq, 20_000))).unwrap(), Flushed::Stored);
        assert_eq!(
            buffer.seal(&seal(&buffer, start_ms(seq), noise(seq + 1000, 9_000))).unwrap(),
            SealedRaw::Kept
        );
        buffer.sign(seq, b"envelope").unwrap();
    }
    (buffer, folder)
}

fn causes(buffer: &Buffer, windows: u64) -> Vec<Option<Cause>> {
    let cause = |seq| match buffer.window_raw(seq).unwrap().unwrap() {
        Raw::Kept(raw) => {
            assert_eq!(raw.chunks.len(), 2);
            None
        }
        Raw::Dropped(stone) => Some(stone.cause),
    };
    (1..=windows).map(cause).collect()
}

#[test]
fn raw_beyond_its_bound_goes_oldest_first_and_leaves_tombstones() {
    let (buffer, folder) = small(200_000, 1 << 30, 30);
    let causes = causes(&buffer, 30);
    let kept = causes.iter().filter(|cause| cause.is_none()).count();
    assert!((4..=7).contains(&kept), "{kept}");
    assert!(causes[..30 - kept].iter().all(|cause| *cause == Some(Cause::Bound)));
    let health = buffer.health().unwrap();
    assert!(health.raw_bytes <= 200_000);
    assert_eq!((health.backlog, health.raw_windows, health.tombstones), (30, kept as u64, 30 - kept as u64));
    drop(buffer);
    let bounds = Bounds { raw_bytes: 200_000, ..Bounds::default() };
    let (again, _) = Buffer::open(&folder.path().join("b.db"), bounds, NOW).unwrap();
    assert_eq!(again.health().unwrap().raw_bytes, health.raw_bytes, "the tally is what is on the disk");
}

#[test]
fn a_full_file_takes_every_proof_and_never_grows_beyond_its_bound() {
    let (buffer, folder) = small(1 << 30, 600 * 1024, 60);
    assert_eq!(buffer.unreceipted(100, 0).unwrap().len(), 60);
    let causes = causes(&buffer, 60);
    assert_eq!(causes[0], Some(Cause::Full));
    assert_eq!(causes[59], None);
    buffer.close().unwrap();
    let length = fs::metadata(folder.path().join("b.db")).unwrap().len();
    assert!(length <= 600 * 1024, "{length}");
}

#[test]
fn a_window_that_does_not_fit_is_sealed_without_its_raw() {
    let (mut buffer, _folder) = small(1 << 30, 300 * 1024, 5);
    let huge = part(start_ms(6), 0, noise(1, 900_000));
    assert_eq!(buffer.flush(&huge).unwrap(), Flushed::NoSpace);
    assert_eq!(buffer.left_open().unwrap(), None);
    assert!(
        !buffer.bookmarks().unwrap().contains_key(&2)
            || buffer.bookmarks().unwrap()[&2] != huge.bookmarks[&2]
    );
    let sealed = seal(&buffer, start_ms(6), huge.chunk);
    assert_eq!(buffer.seal(&sealed).unwrap(), SealedRaw::NoSpace);
    assert_eq!(buffer.seal(&sealed).unwrap(), SealedRaw::NoSpace, "said again when repeated");
    assert_eq!(buffer.unsigned().unwrap()[0].seq, 6);
    assert!(matches!(buffer.window_raw(6).unwrap(), Some(Raw::Dropped(stone)) if stone.cause == Cause::Full));
}

#[test]
fn receipts_go_by_count_and_proofs_without_receipt_or_with_raw_data_stay() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = Bounds { receipted: 10, ..Bounds::default() };
    let (mut buffer, _) = Buffer::open(&folder.path().join("b.db"), bounds, NOW).unwrap();
    let stays = [30, 40, 60];
    for seq in 1..=64 {
        let raw = stays.contains(&seq).then(|| noise(seq, 9_000));
        let sealed = Seal { last_chunk: raw, ..seal(&buffer, start_ms(seq), Vec::new()) };
        buffer.seal(&sealed).unwrap();
        buffer.sign(seq, b"envelope").unwrap();
        if seq != 3 {
            assert!(buffer.receipted(entry(seq), b"receipt", NOW).unwrap());
        }
    }
    assert_eq!(buffer.receipt(54).unwrap(), None);
    assert!(buffer.receipt(55).unwrap().is_some());
    assert_eq!(buffer.unreceipted(10, 0).unwrap()[0].seq, 3);
    assert!(buffer.receipt(40).unwrap().is_some(), "its raw data is there, and opens only with it");

    // What was forgotten in order is not missing.
    assert_eq!(buffer.forgotten(), 54);
    let past = buffer.past(start_ms(1), start_ms(64)).unwrap();
    let there: Vec<_> = [3, 30, 40].into_iter().chain(55..=64).collect();
    assert_eq!(past.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), there);
    assert_eq!((past.missing, past.is_cut), (Vec::new(), false));
}

#[test]
fn a_window_whose_raw_was_given_up_keeps_its_proof_and_says_so() {
    let (mut buffer, _folder) = small(1 << 30, 1 << 30, 5);
    assert_eq!(buffer.flush(&part(start_ms(6), 0, noise(6, 20_000))).unwrap(), Flushed::Stored);
    let sealed = Seal { last_chunk: None, ..seal(&buffer, start_ms(6), Vec::new()) };
    assert_eq!(buffer.seal(&sealed).unwrap(), SealedRaw::NoSpace);
    assert_eq!(buffer.seal(&sealed).unwrap(), SealedRaw::NoSpace, "said again when repeated");
    assert!(matches!(buffer.window_raw(6).unwrap(), Some(Raw::Dropped(stone)) if stone.cause == Cause::Full));
    assert_eq!((buffer.unsigned().unwrap()[0].seq, buffer.left_open().unwrap()), (6, None));
    assert_eq!(
        buffer.bookmarks().unwrap()[&1],
        sealed.bookmarks[&1],
        "what the proof covers is not read again"
    );
}

#[test]
fn a_refusal_is_remembered_until_the_receipt() {
    let (mut buffer, _folder) = small(1 << 30, 1 << 30, 1);
    buffer.refused(entry(1), "unknown_key", &"x".repeat(5_000), NOW).unwrap();
    let refusal = buffer.health().unwrap().last_refusal.unwrap();
    assert_eq!((refusal.name.as_str(), refusal.text.len()), ("unknown_key", 1_000));
    assert_eq!(buffer.health().unwrap().backlog, 1);
    assert!(buffer.receipted(entry(1), b"receipt", NOW).unwrap());
    assert_eq!(buffer.health().unwrap().last_refusal, None);
}
