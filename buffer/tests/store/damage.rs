//! Known damages: it always starts, knows where the chain stands, and says what was lost.

use std::fs;

use crate::plant::*;
use buffer::{Bookmarks, Bounds, Buffer, BufferError, Damage, Found, Head, NewProof, Part};

const HEAD: Head = Head { seq: 4, entry: EntryId4 };
#[expect(non_upper_case_globals, reason = "reads as the value it is")]
const EntryId4: proof::EntryId = {
    let mut id = [0; 32];
    id[0] = 4;
    id[31] = 1;
    proof::EntryId(id)
};

/// A lived-in store's files, after a cut or after closing.
fn left(closed: bool) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let buffer = lived_in(&path);
    if closed {
        buffer.close().unwrap();
    }
    files(&path)
}

/// Opens these files and appends one entry; the chain must go on after the true head.
fn starts(files: &Files) -> (Buffer, Option<Damage>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    put(&path, files);
    let (mut buffer, opened) = open(&path);
    assert_eq!(buffer.head(), Some(HEAD));
    let mut damage = opened.damage;
    if let Err(error) = buffer.enqueue(&next(&buffer, "outage")) {
        assert!(matches!(error, BufferError::Damaged(_)), "{error:?}");
        drop(buffer);
        let (again, opened) = open(&path);
        buffer = again;
        damage = opened.damage;
        assert!(damage.is_some(), "damage met while running is seen at the next start");
        buffer.enqueue(&next(&buffer, "outage")).unwrap();
    }
    (buffer, damage, folder)
}

#[test]
fn garbage_an_empty_file_and_a_missing_one_lose_the_proofs_and_say_so() {
    let files = left(true);
    for (database, aside) in [(Some(noise(9, 20_000)), true), (Some(Vec::new()), false), (None, false)] {
        let (buffer, damage, _folder) = starts(&[database, None, files[2].clone()]);
        let damage = damage.unwrap();
        assert_eq!(damage.lost_proofs, Some(1..=4));
        assert!(!damage.head_lost);
        assert_eq!(damage.aside.is_some_and(|path| path.exists()), aside);
        assert_eq!(buffer.unsigned().unwrap().len(), 1);
    }
}

#[test]
fn a_lost_log_does_not_turn_the_chain_back() {
    let files = left(false);
    let (_buffer, damage, _folder) = starts(&[files[0].clone(), None, files[2].clone()]);
    assert_eq!(damage.unwrap().lost_proofs, Some(1..=4));
}

#[test]
fn a_shortened_database_starts() {
    let files = left(true);
    let whole = files[0].clone().unwrap();
    for length in [1, 99, 100, 512, 4096, 4097, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        let (_buffer, damage, _folder) = starts(&[Some(whole[..length].to_vec()), None, files[2].clone()]);
        assert!(length + 1 == whole.len() || damage.is_some(), "at {length}");
    }
}

#[test]
fn one_bad_page_costs_what_lies_on_it() {
    let files = left(true);
    let whole = files[0].clone().unwrap();
    let mut seen = 0;
    for page in 0..whole.len() / 4096 {
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].copy_from_slice(&noise(page as u64 + 1, 4096));
        let (buffer, damage, _folder) = starts(&[Some(bytes), None, files[2].clone()]);
        let Some(damage) = damage else { continue };
        seen += 1;
        let proofs_whole = damage.carried.iter().any(|c| c.part == Part::Proofs && c.whole);
        if proofs_whole {
            assert_eq!(buffer.unreceipted(10, 0).unwrap()[0].seq, 3, "page {page}");
        } else {
            assert!(damage.lost_proofs.is_some(), "page {page}: {damage:?}");
        }
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn nothing_waits_behind_a_lost_proof() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let (mut buffer, _) = open(&path);
    for seq in 1..=60 {
        // A page holds one: a bad page is one proof.
        let proof = NewProof { payload: noise(seq, 3_000), ..next(&buffer, "manifest") };
        buffer.enqueue(&proof).unwrap();
        buffer.sign(seq, &noise(seq, 3_000)).unwrap();
    }
    for seq in 1..=10 {
        buffer.receipted(entry(seq), b"receipt", NOW).unwrap();
    }
    buffer.close().unwrap();
    let files = files(&path);
    let whole = files[0].clone().unwrap();
    let mut holes = 0;
    for page in 1..whole.len() / 4096 {
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].copy_from_slice(&noise(page as u64 + 1, 4096));
        put(&path, &[Some(bytes), None, files[2].clone()]);
        let (buffer, opened) = open(&path);
        let waiting: Vec<_> = buffer.unreceipted(100, 0).unwrap().iter().map(|proof| proof.seq).collect();
        let lost = opened.damage.and_then(|damage| damage.lost_proofs);
        let first = lost.as_ref().map_or(61, |lost| *lost.start());
        assert_eq!(waiting, (11..first).collect::<Vec<_>>(), "page {page}: {lost:?} are lost");
        assert!(lost.is_none_or(|lost| *lost.end() == 60));
        holes += u32::from(first > 11 && first <= 60);
    }
    assert!(holes > 30, "{holes} of the pages were in the middle of what waits");
}

#[test]
fn without_database_and_head_file_nothing_is_sealed_until_the_head_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    fs::write(&path, noise(1, 9_000)).unwrap();
    for _ in 0..2 {
        let (mut buffer, opened) = open(&path);
        assert!(opened.damage.is_none_or(|damage| damage.head_lost));
        assert_eq!(buffer.head(), None);
        assert!(matches!(buffer.enqueue(&next(&buffer, "outage")), Err(BufferError::HeadLost)));
    }
    let (mut buffer, _) = open(&path);
    buffer.adopt_head(HEAD).unwrap();
    buffer.enqueue(&next(&buffer, "outage")).unwrap();
    drop(buffer);
    assert_eq!(open(&path).0.head().unwrap().seq, 5);
}

#[test]
fn an_open_window_that_is_given_up_makes_room_for_the_next_and_takes_its_positions_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut buffer = lived_in(&folder.path().join("b.db"));
    let before = buffer.bookmarks().unwrap();
    buffer.drop_open().unwrap();
    assert_eq!(buffer.left_open().unwrap(), None);
    assert_ne!(buffer.bookmarks().unwrap(), before, "what was not sealed is read again");
    let _stored = buffer.flush(&part(start_ms(9), 0, noise(1, 500))).unwrap();
    buffer.seal(&seal(&buffer, start_ms(9), Vec::new())).unwrap();
    buffer.drop_open().unwrap();
    assert_eq!(buffer.head().unwrap().seq, 5);
}

#[test]
fn replaced_bookmarks_stay_with_what_they_belong_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let mut buffer = lived_in(&path);
    let new = Bookmarks::from([(2, b"elsewhere".to_vec())]);
    assert!(matches!(buffer.replace_bookmarks(&new, "layout", b"x"), Err(BufferError::WindowOpen)));
    buffer.drop_open().unwrap();
    buffer.replace_bookmarks(&new, "layout", b"two").unwrap();
    drop(buffer);
    let (buffer, _) = open(&path);
    assert_eq!(buffer.bookmarks().unwrap(), new);
    assert_eq!(buffer.state("layout").unwrap(), Some(b"two".to_vec()));
}

#[test]
fn a_spoilt_head_file_alone_is_no_damage() {
    let mut files = left(true);
    files[2] = Some(noise(3, 8192));
    let (_buffer, damage, _folder) = starts(&files);
    assert_eq!(damage, None);
}

#[test]
fn a_database_of_a_newer_program_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    lived_in(&path).close().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&path, &bytes).unwrap();
    let refused = Buffer::open(&path, Bounds::default(), NOW).unwrap_err();
    assert!(matches!(refused, BufferError::Newer { found: 99, .. }), "{refused:?}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_second_owner_is_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let first = lived_in(&path);
    let refused = Buffer::open(&path, Bounds::default(), NOW).unwrap_err();
    assert!(matches!(refused, BufferError::InUse(_)), "{refused:?}");
    first.close().unwrap();
    assert_eq!(open(&path).1.found, Found::Clean);
}

#[test]
fn what_does_not_follow_the_head_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let mut buffer = lived_in(&path);
    let right = next(&buffer, "outage");
    let mut wrong = right.clone();
    wrong.seq += 1;
    assert!(matches!(buffer.enqueue(&wrong), Err(BufferError::NotNext { head: 4, given: 6 })));
    wrong = buffer::NewProof { prev: entry(3), ..right.clone() };
    assert!(matches!(buffer.enqueue(&wrong), Err(BufferError::OtherPredecessor { head: 4 })));
    wrong = buffer::NewProof { kind: "Window".into(), ..right.clone() };
    assert!(matches!(buffer.enqueue(&wrong), Err(BufferError::NotAKind)));
    wrong = buffer::NewProof { payload: vec![0; 400_000], ..right };
    assert!(matches!(buffer.enqueue(&wrong), Err(BufferError::TooLarge { .. })));
    let other = buffer.seal(&seal(&buffer, NOW, Vec::new()));
    assert!(matches!(other, Err(BufferError::OtherWindow { .. })));
    let skipped = buffer.flush(&part(start_ms(5), 3, Vec::new()));
    assert!(matches!(skipped, Err(BufferError::SkippedPart { have: 2, given: 3 })));
    assert_eq!(buffer.head(), Some(HEAD));
}

#[test]
fn boots_are_counted_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let mut buffer = lived_in(&path);
    assert_eq!(buffer.begin_boot(b"boot two").unwrap(), 2);
    assert_eq!(buffer.begin_boot(b"boot one").unwrap(), 1);
    drop(buffer);
    assert_eq!(open(&path).0.begin_boot(b"boot three").unwrap(), 3);
}
