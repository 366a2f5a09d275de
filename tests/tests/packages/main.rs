//! The packages on a real Debian, booted with its systemd and with OpenRC: installed, killed, updated, taken away.

mod deb;
mod sandbox;
mod tar;
mod update;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tests::debian::Debian;
use tests::foreign::needed;

const UNIT: &str = "inuse-agent.service";
const PROGRAM: &str = "/usr/bin/inuse-agent";

/// A package of this kind in a folder of `INUSE_PACKAGES`.
fn package(folder: &str, end: &str) -> anyhow::Result<PathBuf> {
    let folder = needed("INUSE_PACKAGES")?.join(folder);
    let mut found = std::fs::read_dir(&folder)
        .with_context(|| format!("no packages in {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(end));
    found.next().with_context(|| format!("no {end} in {}", folder.display()))
}

async fn version(debian: &Debian) -> anyhow::Result<String> {
    debian.output(&["dpkg-query", "--show", "--showformat=${Version}", "inuse-agent"]).await
}

async fn install(debian: &Debian, package: &Path) -> anyhow::Result<String> {
    let path = debian.bring(package)?;
    debian.output(&["dpkg", "--install", &path]).await
}

/// Puts the old, the new and the broken package of a kind into the Debian with their signed checksums, and the key they
/// are signed with where the agent looks for it. Returns their paths inside.
fn bring_signed(debian: &Debian, end: &str) -> anyhow::Result<[String; 3]> {
    let packages = needed("INUSE_PACKAGES")?;
    let etc = debian.root().join("etc/inuse");
    std::fs::create_dir_all(&etc)?;
    std::fs::copy(packages.join("release.pub"), etc.join("release.pub"))?;
    let bring = |folder: &str| {
        debian.bring_folder(&packages.join(folder))?;
        let path = package(folder, end)?;
        anyhow::Ok(format!("/root/{folder}/{}", path.file_name().context("a name")?.to_string_lossy()))
    };
    Ok([bring("old")?, bring("new")?, bring("broken")?])
}
