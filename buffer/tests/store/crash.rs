//! A cut at any write: what lies on the disk is then some of the old bytes and some of the new ones.

use std::path::Path;

use crate::plant::*;
use buffer::Buffer;

/// Bytes of the log's header and of one frame: https://www.sqlite.org/fileformat2.html, section 4.
const WAL_HEADER: usize = 32;
const FRAME: usize = 24 + 4096;

type Verb = Box<dyn Fn(&mut Buffer)>;

fn verbs() -> Vec<Verb> {
    vec![
        Box::new(|b| assert!(b.begin_boot(b"boot one").is_ok())),
        Box::new(|b| b.set_state("salt", b"pepper").unwrap()),
        Box::new(|b| b.enqueue(&next(b, "manifest")).unwrap()),
        Box::new(|b| assert_eq!(b.flush(&part(NOW, 0, noise(1, 9_000))).unwrap(), buffer::Flushed::Stored)),
        Box::new(|b| assert_eq!(b.flush(&part(NOW, 1, noise(2, 100))).unwrap(), buffer::Flushed::Stored)),
        Box::new(|b| assert!(b.seal(&seal(b, NOW, noise(3, 5_000))).is_ok())),
        Box::new(|b| b.sign(1, b"envelope 1").unwrap()),
        Box::new(|b| b.sign(2, b"envelope 2").unwrap()),
        Box::new(|b| assert!(b.receipted(entry(1), b"receipt", NOW).is_ok())),
        Box::new(|b| b.refused(entry(2), "unknown_key", "no", NOW).unwrap()),
        Box::new(|b| assert!(b.seal(&seal(b, NOW + 600_000, Vec::new())).is_ok())),
    ]
}

#[test]
fn a_cut_in_the_middle_of_a_write_leaves_the_state_before_or_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live.db");
    let (mut buffer, _) = open(&live);
    let mut cuts = 0;
    for (at, verb) in verbs().iter().enumerate() {
        let (before, view_before) = (files(&live), view(&buffer));
        verb(&mut buffer);
        let (after, view_after) = (files(&live), view(&buffer));
        assert_eq!(before[0], after[0], "no checkpoint in so short a life");
        for length in torn_lengths(&before, &after) {
            let wal = torn(before[1].as_deref().unwrap_or_default(), after[1].as_deref().unwrap(), length);
            let seen = reopened(folder.path(), &[before[0].clone(), Some(wal), before[2].clone()]);
            assert!(seen == view_before || seen == view_after, "verb {at} cut at {length}: {seen:?}");
            cuts += 1;
        }
        // All of the log written, the head file not yet, or half of it.
        for head in [&before[2], &after[2]] {
            assert_eq!(
                reopened(folder.path(), &[after[0].clone(), after[1].clone(), head.clone()]),
                view_after
            );
        }
    }
    assert!(cuts > 100, "{cuts}");
}

#[test]
fn a_cut_in_the_middle_of_a_checkpoint_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live.db");
    let (mut buffer, _) = open(&live);
    for seq in 1..=60 {
        let before = files(&live);
        buffer.seal(&seal(&buffer, start_ms(seq), noise(seq, 400_000))).unwrap();
        let after = files(&live);
        if before[0] == after[0] {
            continue;
        }
        let view_after = view(&buffer);
        let (old, new) = (before[0].as_deref().unwrap(), after[0].as_deref().unwrap());
        for length in [4096, 4096 * 3 + 100, new.len() / 2, new.len() - 4096, new.len()] {
            let seen =
                reopened(folder.path(), &[Some(torn(old, new, length)), after[1].clone(), after[2].clone()]);
            assert_eq!(seen.head, view_after.head);
            assert!(seen == view_after, "cut at {length}");
        }
        return;
    }
    panic!("no checkpoint in 24 MB of raw");
}

/// The first `length` bytes as written, the rest as it was.
fn torn(old: &[u8], new: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = new[..length.min(new.len())].to_vec();
    bytes.extend_from_slice(old.get(length..).unwrap_or_default());
    bytes
}

/// Frame boundaries, and odd lengths between them.
fn torn_lengths(before: &Files, after: &Files) -> Vec<usize> {
    let old = before[1].as_ref().map_or(0, Vec::len);
    let new = after[1].as_ref().unwrap().len();
    let frames = (0..).map(|frame| WAL_HEADER + frame * FRAME).take_while(|at| *at <= new);
    let mut lengths: Vec<usize> = frames
        .flat_map(|at| [at, at + 1, at + 24, at + 2000])
        .filter(|at| *at >= old && *at <= new)
        .collect();
    lengths.extend([old, new.saturating_sub(1).max(old)]);
    lengths
}

fn reopened(folder: &Path, files: &Files) -> View {
    let path = folder.join("cut.db");
    put(&path, files);
    let (buffer, opened) = open(&path);
    assert_eq!(opened.damage, None);
    view(&buffer)
}
