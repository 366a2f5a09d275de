//! What other agents' stores on disk did to their users, re-enacted: each test names the report it answers.

use std::fs;
use std::time::Duration;

use crate::plant::*;
use buffer::{Bounds, Buffer, Flushed};

/// influxdata/telegraf 802 and 6925: what was in memory was gone after a power loss.
#[test]
fn telegraf_6925_what_was_sealed_or_flushed_is_there_after_a_power_loss() {
    let folder = tempfile::tempdir().unwrap();
    let buffer = lived_in(&folder.path().join("live.db"));
    let shown = view(&buffer);
    assert_eq!((shown.unreceipted.len(), shown.unsigned.len(), shown.left_open.is_some()), (1, 1, true));
    // Never closed, and no program had a moment to write anything more.
    let copy = folder.path().join("after.db");
    put(&copy, &files(&folder.path().join("live.db")));
    let (again, opened) = open(&copy);
    assert_eq!(opened.damage.map(|damage| damage.lost_proofs), None);
    assert_eq!(view(&again), shown);
}

/// influxdata/telegraf 18528: "log corrupt", and a panic at every start from then on.
#[test]
fn telegraf_18528_a_log_that_ends_in_garbage_is_no_reason_not_to_start() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live.db");
    let buffer = lived_in(&live);
    let (head, left) = (buffer.head().unwrap(), files(&live));
    let log = left[1].as_deref().unwrap();
    let path = folder.path().join("again.db");
    for length in (0..log.len()).step_by(log.len() / 60) {
        let torn = [&log[..length], noise(7, log.len() - length).as_slice()].concat();
        put(&path, &[left[0].clone(), Some(torn), left[2].clone()]);
        let (mut again, opened) = open(&path);
        assert_eq!(again.head(), Some(head), "cut at {length}");
        // What the log held is said to be lost, or is there.
        let told = opened.damage.and_then(|damage| damage.lost_proofs).map_or(0, Iterator::count);
        let there = again.unsigned().unwrap().len() + again.unreceipted(9, 0).unwrap().len();
        let receipts = (1..=head.seq).filter(|seq| again.receipt(*seq).unwrap().is_some()).count();
        assert_eq!(told + there + receipts, 4, "cut at {length}");
        again.enqueue(&next(&again, "outage")).unwrap();
        assert_eq!(again.head().unwrap().seq, head.seq + 1);
    }
}

/// influxdata/telegraf 16696 and 16314: the log was never truncated, and grew until the disk was full.
#[test]
fn telegraf_16696_what_has_its_receipt_takes_no_more_room_with_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let bounds = Bounds { raw_bytes: 300_000, receipted: 20, ..Bounds::default() };
    let (mut buffer, _) = Buffer::open(&path, bounds, NOW).unwrap();
    let mut taken = Vec::new();
    for seq in 1..=600 {
        assert_eq!(buffer.flush(&part(start_ms(seq), 0, noise(seq, 9_000))).unwrap(), Flushed::Stored);
        buffer.seal(&seal(&buffer, start_ms(seq), noise(seq, 3_000))).unwrap();
        buffer.sign(seq, b"envelope").unwrap();
        assert!(buffer.receipted(entry(seq), b"receipt", NOW).unwrap());
        if seq % 100 == 0 {
            let length = |suffix| fs::metadata(beside(&path, suffix)).map_or(0, |meta| meta.len());
            taken.push(length("") + length("-wal"));
        }
    }
    let (early, late) = (taken[1], taken[5]);
    assert!(late < early + early / 4, "{taken:?} bytes after each hundred windows");
}

/// influxdata/telegraf 16500: all of the past was sent again at every start.
#[test]
fn telegraf_16500_a_start_sends_nothing_that_has_its_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    lived_in(&path).close().unwrap();
    let (again, _) = open(&path);
    let waiting: Vec<_> = again.unreceipted(9, 0).unwrap().iter().map(|proof| proof.seq).collect();
    let unsigned: Vec<_> = again.unsigned().unwrap().iter().map(|proof| proof.seq).collect();
    assert_eq!((waiting, unsigned), (vec![3], vec![4]));
}

/// influxdata/telegraf 18283: with another configuration another store was begun, and nobody sent what was in the old.
#[test]
fn telegraf_18283_other_bounds_go_on_with_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let buffer = lived_in(&path);
    let shown = view(&buffer);
    buffer.close().unwrap();
    let bounds = Bounds { receipted: 500, raw_bytes: 1 << 20, file_bytes: 1 << 28 };
    let (again, _) = Buffer::open(&path, bounds, NOW).unwrap();
    assert_eq!(view(&again), shown);
}

/// fluent/fluent-bit 11416: while another program looked into the database positions were not saved, and nobody said so.
#[test]
fn fluent_bit_11416_nobody_who_looks_into_the_store_keeps_a_position_from_being_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.db");
    let mut buffer = lived_in(&path);
    let other = rusqlite::Connection::open(&path).unwrap();
    other.busy_timeout(Duration::ZERO).unwrap();
    assert!(other.execute_batch("BEGIN IMMEDIATE; SELECT count(*) FROM sqlite_schema;").is_err());
    let open = part(start_ms(5), 2, noise(8, 300));
    assert_eq!(buffer.flush(&open).unwrap(), Flushed::Stored);
    assert_eq!(buffer.bookmarks().unwrap()[&1], open.bookmarks[&1]);
    drop(other);
    drop(buffer);
    let (again, _) = self::open(&path);
    assert_eq!(again.bookmarks().unwrap()[&1], open.bookmarks[&1]);
}
