//! `cargo deny`, which may have to be built first, lightly: a minute or two of two cores, kept under the target directory.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::command::{Command, find};
use crate::tree;

/// The version `deny.toml` is written for.
const VERSION: &str = "0.20.2";

/// Licences, bans and origins of everything we stand on, after `deny.toml`.
pub(crate) fn run() -> anyhow::Result<()> {
    let program = program()?;
    Command::new(program).args(["deny", "--all-features", "check", "bans", "licenses", "sources"]).run()
}

fn program() -> anyhow::Result<PathBuf> {
    let ours = tree::tools().join("bin/cargo-deny");
    let candidates = [Some(ours.clone()), find("cargo-deny")];
    if let Some(found) = candidates.into_iter().flatten().find(is_right) {
        return Ok(found);
    }
    let build = tree::tools().join("build");
    Command::cargo()
        .args(["install", "--quiet", "--locked", "--force", "--debug", "cargo-deny", "--version"])
        .args([format!("={VERSION}").as_ref(), "--root".as_ref(), tree::tools().as_os_str()])
        .args(["--target-dir".as_ref(), build.as_os_str()])
        .run()?;
    std::fs::remove_dir_all(&build).context("could not clear away what building cargo-deny left")?;
    Ok(ours)
}

fn is_right(program: &PathBuf) -> bool {
    program.is_file()
        && Command::new(program).args(["--version"]).output().is_ok_and(|said| said.trim().ends_with(VERSION))
}
