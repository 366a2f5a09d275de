//! What a store tells of the past, also where somebody took something away.

use buffer::{Buffer, Cause, PastRaw, Tombstone};

use crate::plant::*;

#[test]
fn the_past_is_listed_with_its_neighbours_and_what_was_taken_away_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let buffer = lived_in(&path);
    let seqs = |from: u64, to: u64| numbers(&buffer, from, to);
    assert_eq!(seqs(2, 4), [2, 3, 4]);
    assert_eq!(seqs(3, 3), [2, 3, 4], "a window and its neighbours");
    assert_eq!(seqs(9, 9), [4], "nothing is after the last");
    assert_eq!(seqs(0, 0), [2], "nothing is before the first");
    assert_eq!(buffer.past(start_ms(3) + 1, start_ms(4) - 1).unwrap().len(), 2, "between two: both");
    let past = buffer.past(start_ms(2), start_ms(4)).unwrap();
    assert_eq!(past[0].proof, Some(("window".to_owned(), entry(2))));
    assert_eq!((past[0].receipted_ms, past[1].receipted_ms), (Some(NOW), None));
    assert_eq!(past[1].raw, Some(PastRaw::Kept { start_ms: start_ms(3) }));
    let proof = buffer.past_proof(2).unwrap().unwrap();
    assert_eq!((proof.envelope, proof.receipt), (b"envelope 2".to_vec(), Some(b"receipt 2".to_vec())));
    let proof = buffer.past_proof(3).unwrap().unwrap();
    assert_eq!((proof.envelope, proof.receipt), (b"envelope 3".to_vec(), None));
    assert_eq!(buffer.past_proof(4).unwrap(), None, "never signed");

    // The store lets nobody else in while it is open.
    buffer.close().unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("DELETE FROM proofs WHERE seq = 3", []).unwrap();
    other.execute("DELETE FROM raw WHERE seq = 2", []).unwrap();
    other.execute("UPDATE raw SET dropped_ms = 5, cause = 'bound' WHERE seq = 4", []).unwrap();
    drop(other);
    let (buffer, _) = open(&path);
    let past = buffer.past(start_ms(3), start_ms(4)).unwrap();
    let stone = Tombstone { start_ms: start_ms(4), dropped_ms: 5, cause: Cause::Bound };
    assert_eq!((past[0].seq, &past[0].proof), (3, &None), "raw data without its proof");
    assert_eq!((past[1].seq, past[1].raw), (4, Some(PastRaw::Dropped(stone))));
    buffer.close().unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("DELETE FROM raw WHERE seq = 3", []).unwrap();
    drop(other);
    let (buffer, _) = open(&path);
    assert_eq!(numbers(&buffer, 2, 4), [4], "of its number nothing is there");
}

fn numbers(buffer: &Buffer, from: u64, to: u64) -> Vec<u64> {
    buffer.past(start_ms(from), start_ms(to)).unwrap().into_iter().map(|entry| entry.seq).collect()
}
