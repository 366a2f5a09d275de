//! Where things are: the checkout and cargo's target directory.

use std::path::PathBuf;

/// The root of the checkout: the parent of this crate's folder. Cargo says at run time which checkout called us; two
/// may share a target directory.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.parent().expect("xtask is a folder of the workspace").to_owned()
}

/// Cargo's target directory; what is fetched or made for tests goes under it and never into the tree.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Where tools made by us live; kept from run to run.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}
