//! For tests: the corpora beside this file, and random changes of their files. A module of each crate that has targets.

use std::path::Path;

use proptest::prelude::*;

/// What to do to a file: where (as a share of its length), how many bytes go, and what comes.
pub(crate) type Changes = Vec<(f64, usize, Vec<u8>)>;

/// The files of one target, in order of their names; there are at least as many.
pub(crate) fn corpus(target: &str, at_least: usize) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("a file").path())
        .collect();
    // Where they come from stands beside some of them.
    files.retain(|file| file.extension().is_none());
    files.sort();
    assert!(files.len() >= at_least, "{target} has {} files", files.len());
    files.into_iter().map(|file| std::fs::read(file).expect("a file")).collect()
}

/// A few changes; `pieces` are what may come beside random bytes.
pub(crate) fn changes(pieces: &'static [&'static str]) -> impl Strategy<Value = Changes> {
    let random = prop::collection::vec(any::<u8>(), 0..8);
    let piece = prop::sample::select(if pieces.is_empty() { &[""] } else { pieces });
    let bytes = prop_oneof![random, piece.prop_map(|piece| piece.as_bytes().to_vec())];
    prop::collection::vec((0.0_f64..1.0, 0_usize..12, bytes), 0..6)
}

/// The file after the changes.
pub(crate) fn changed(mut file: Vec<u8>, changes: &Changes) -> Vec<u8> {
    for (at, gone, come) in changes {
        let at = (file.len() as f64 * at) as usize;
        let end = (at + gone).min(file.len());
        file.splice(at..end, come.iter().copied());
    }
    file
}
