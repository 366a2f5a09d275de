//! A small Debian with systemd, which tests boot, and the packages they install in it.

use anyhow::ensure;

use crate::command::{Command, find};
use crate::tree;

use super::apt::Apt;
use super::{Found, Wish};

/// The release whose root is made, and what is in it beside the smallest set.
const RELEASE: &str = "bookworm";
const INCLUDE: &str = "--include=systemd,systemd-sysv,dbus,procps,openrc,rpm";

/// What makes the root, boots it and packs the packages: program and Debian package.
const TOOLS: [(&str, &str); 6] = [
    ("debootstrap", "debootstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("script", "bsdutils"),
    ("nsenter", "util-linux"),
    ("rpmbuild", "rpm"),
    ("minisign", "minisign"),
];

/// The root, made once and kept, and the packages that are installed in it. Both are x86-64's.
pub(super) fn nspawn(apt: &mut Apt, wish: Wish) -> Found {
    if wish != Wish::All {
        return Err("packages are built and booted for --require-foreign only".to_owned());
    }
    prepare(apt).map_err(|error| format!("{error:#}"))
}

fn prepare(apt: &mut Apt) -> anyhow::Result<Vec<(&'static str, std::ffi::OsString)>> {
    ensure!(std::env::consts::ARCH == "x86_64", "packages are booted on x86-64 only");
    let missing: Vec<_> = TOOLS.iter().filter(|(tool, _)| find(tool).is_none()).map(|(_, p)| *p).collect();
    if !missing.is_empty() {
        apt.install(&missing)?;
    }
    let root = tree::tools().join("debian");
    let finished = tree::tools().join("debian.made");
    let made = format!("{RELEASE} {INCLUDE}");
    if std::fs::read_to_string(&finished).ok().as_ref() != Some(&made) {
        if root.exists() {
            std::fs::remove_dir_all(&root)?;
        }
        std::fs::create_dir_all(tree::tools())?;
        Command::new("debootstrap").args(["--variant=minbase", INCLUDE, RELEASE]).args([&root]).run()?;
        std::fs::write(&finished, made)?;
    }
    Command::new("cross/build.sh").args(["x86_64"]).run()?;
    // An older version to upgrade from, of the same program (INUSE_PREVIOUS in our environment names the package of a
    // program that is really older), and a newer one whose program does nothing. All signed by a key of the day.
    let packages = tree::tools().join("packages");
    if packages.exists() {
        std::fs::remove_dir_all(&packages)?;
    }
    std::fs::create_dir_all(&packages)?;
    let (key, public) = (packages.join("release.key"), packages.join("release.pub"));
    let make =
        Command::new("minisign").args(["-G", "-W", "-f", "-s"]).args([&key]).args(["-p"]).args([&public]);
    make.run()?;
    let broken = packages.join("does-nothing");
    std::fs::write(&broken, "#!/bin/sh\n[ \"$1\" = --version ]\n")?;
    for (version, folder) in [(None, "new"), (Some("0.0.9"), "old"), (Some("99.0.0"), "broken")] {
        let mut pack =
            Command::new("cross/package.sh").args(["x86_64"]).env("INUSE_OUT", packages.join(folder));
        pack = pack.env("INUSE_RELEASE_KEY", &key);
        if let Some(version) = version {
            pack = pack.env("INUSE_VERSION", version);
        }
        if folder == "broken" {
            pack = pack.env("INUSE_PROGRAM", &broken);
        }
        pack.run()?;
    }
    Ok(vec![("INUSE_DEBIAN", root.into_os_string()), ("INUSE_PACKAGES", packages.into_os_string())])
}
