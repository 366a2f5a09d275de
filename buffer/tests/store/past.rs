//! What a store tells of the past, also where somebody took something away.

use buffer::{Buffer, Cause, PastRaw, Tombstone};

use crate::plant::*;

#[test]
fn the_past_is_listed_and_what_was_taken_away_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let buffer = lived_in(&path);
    let seqs = |from: u64, to: u64| numbers(&buffer, from, to);
    let nothing = (Vec::new(), Vec::new());
    assert_eq!(seqs(3, 4), (vec![3, 4], vec![]));
    assert_eq!(
        seqs(2, 3),
        (vec![1, 2, 3], vec![]),
        "with the manifest, which stands before the first window"
    );
    assert_eq!((seqs(9, 9), seqs(0, 0)), (nothing.clone(), nothing), "no window is of that time");
    assert!(buffer.past(start_ms(3) + 1, start_ms(4) - 1).unwrap().entries.is_empty(), "between two");
    let past = buffer.past(start_ms(2), start_ms(4)).unwrap().entries;
    let past = &past[1..];
    assert_eq!(past[0].proof, Some(("window".to_owned(), entry(2))));
    assert_eq!((past[0].receipted_ms, past[1].receipted_ms), (Some(NOW), None));
    assert_eq!(past[1].raw, Some(PastRaw::Kept { start_ms: start_ms(3) }));
    let proof = buffer.past_proof(2).unwrap().unwrap();
    assert_eq!((proof.envelope, proof.receipt), (Some(b"envelope 2".to_vec()), Some(b"receipt 2".to_vec())));
    let proof = buffer.past_proof(3).unwrap().unwrap();
    assert_eq!((proof.envelope, proof.receipt), (Some(b"envelope 3".to_vec()), None));
    assert_eq!(buffer.past_proof(4).unwrap().unwrap().envelope, None, "not signed yet");
    assert_eq!(buffer.past_proof(5).unwrap(), None);

    // The store lets nobody else in while it is open.
    buffer.close().unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("DELETE FROM proofs WHERE seq = 3", []).unwrap();
    other.execute("DELETE FROM raw WHERE seq = 2", []).unwrap();
    other.execute("UPDATE raw SET dropped_ms = 5, cause = 'bound' WHERE seq = 4", []).unwrap();
    drop(other);
    let (buffer, _) = open(&path);
    let past = &buffer.past(start_ms(3), start_ms(4)).unwrap().entries[1..];
    let stone = Tombstone { start_ms: start_ms(4), dropped_ms: 5, cause: Cause::Bound };
    assert_eq!((past[0].seq, &past[0].proof, past[0].raw), (2, &Some(("window".to_owned(), entry(2))), None));
    assert_eq!((past[1].seq, &past[1].proof), (3, &None), "raw data without its proof");
    assert_eq!((past[2].seq, past[2].raw), (4, Some(PastRaw::Dropped(stone))));
    buffer.close().unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("DELETE FROM raw WHERE seq = 3", []).unwrap();
    drop(other);
    let (buffer, _) = open(&path);
    let missing = (vec![1, 2, 4], vec![(3, 3)]);
    assert_eq!(numbers(&buffer, 2, 4), missing, "of its number nothing is there");
    assert_eq!(numbers(&buffer, 4, 4), missing, "also beside another time");
    buffer.close().unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("DELETE FROM raw", []).unwrap();
    other.execute("DELETE FROM proofs WHERE seq > 1", []).unwrap();
    drop(other);
    let (buffer, _) = open(&path);
    assert_eq!(numbers(&buffer, 2, 4), (vec![1], vec![(2, 4)]), "all of it, up to the head that is known");
}

/// Windows 1 to 9 by a clock that was right, then four by one that was set back to the third's time.
#[test]
fn windows_of_one_time_are_listed_wherever_a_clock_that_was_set_puts_them_in_the_chain() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 4, 5, 6, 20]);
    let path = folder.path().join("b.db");
    let (mut buffer, _) = open(&path);
    for at in clock {
        buffer.seal(&seal(&buffer, start_ms(at), Vec::new())).unwrap();
    }
    assert_eq!(numbers(&buffer, 3, 4), (vec![3, 4, 10, 11], vec![]), "and nothing that is between");
    assert_eq!(numbers(&buffer, 12, 18), (vec![], vec![]), "a time that was skipped is no hole");
    buffer.close().unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch("DELETE FROM raw WHERE seq IN (4, 11); DELETE FROM proofs WHERE seq IN (4, 11)")
        .unwrap();
    drop(other);
    let (buffer, _) = open(&path);
    assert_eq!(numbers(&buffer, 3, 4), (vec![3, 10], vec![(4, 4), (11, 11)]));
    assert_eq!(numbers(&buffer, 4, 4), (vec![], vec![(4, 4), (11, 11)]), "a time of which nothing is left");
}

#[test]
fn a_list_that_is_cut_says_so_and_calls_nothing_beyond_its_end_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut buffer, _) = open(&folder.path().join("b.db"));
    let most = buffer::MOST_ENTRIES as u64;
    for seq in 1..=most + 1 {
        // All of one time: what is counted is entries.
        buffer.seal(&seal(&buffer, start_ms(seq % 2), Vec::new())).unwrap();
    }
    let past = buffer.past(start_ms(0), start_ms(1)).unwrap();
    assert_eq!((past.entries.len(), past.missing, past.is_cut), (2_000, vec![], true));
    let past = buffer.past(start_ms(1), start_ms(1)).unwrap();
    assert_eq!((past.entries.len(), past.missing, past.is_cut), (1_001, vec![], false));
}

/// Numbers that are there, and runs of those that are missing.
fn numbers(buffer: &Buffer, from: u64, to: u64) -> (Vec<u64>, Vec<(u64, u64)>) {
    let past = buffer.past(start_ms(from), start_ms(to)).unwrap();
    assert!(!past.is_cut);
    (past.entries.into_iter().map(|entry| entry.seq).collect(), past.missing)
}
