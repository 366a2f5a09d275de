//! A small Debian with systemd, which tests boot, and the packages they install in it.

use crate::command::{Command, find};
use crate::tree;

use super::apt::Apt;
use super::{Found, Wish};

/// The release whose root is made, and what is in it beside the smallest set.
const RELEASE: &str = "bookworm";
const INCLUDE: &str = "--include=systemd,systemd-sysv,dbus,ca-certificates";

/// What makes the root, boots it and packs the packages: program and Debian package.
const TOOLS: [(&str, &str); 6] = [
    ("debootstrap", "debootstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("script", "bsdutils"),
    ("nsenter", "util-linux"),
    ("rpmbuild", "rpm"),
    ("minisign", "minisign"),
];

/// The root, made once and kept, and the packages of this machine's architecture.
pub(super) fn nspawn(apt: &mut Apt, wish: Wish) -> Found {
    if wish != Wish::All {
        return Err("packages are built and booted for --require-foreign only".to_owned());
    }
    prepare(apt).map_err(|error| format!("{error:#}"))
}

fn prepare(apt: &mut Apt) -> anyhow::Result<Vec<(&'static str, std::ffi::OsString)>> {
    let missing: Vec<_> = TOOLS.iter().filter(|(tool, _)| find(tool).is_none()).map(|(_, p)| *p).collect();
    if !missing.is_empty() {
        apt.install(&missing)?;
    }
    let root = tree::tools().join("debian");
    let finished = tree::tools().join("debian.made");
    if !finished.exists() {
        if root.exists() {
            std::fs::remove_dir_all(&root)?;
        }
        std::fs::create_dir_all(tree::tools())?;
        Command::new("debootstrap").args(["--variant=minbase", INCLUDE, RELEASE]).args([&root]).run()?;
        std::fs::write(&finished, RELEASE)?;
    }
    Command::new("cross/build.sh").args(["x86_64"]).run()?;
    // An older version to upgrade from, of the same program; INUSE_PREVIOUS in our environment names the package of a
    // program that is really older.
    let packages = tree::tools().join("packages");
    if packages.exists() {
        std::fs::remove_dir_all(&packages)?;
    }
    for (version, folder) in [(None, "new"), (Some("0.0.9"), "old")] {
        let pack = Command::new("cross/package.sh").args(["x86_64"]).env("INUSE_OUT", packages.join(folder));
        version.into_iter().fold(pack, |pack, version| pack.env("INUSE_VERSION", version)).run()?;
    }
    Ok(vec![("INUSE_DEBIAN", root.into_os_string()), ("INUSE_PACKAGES", packages.into_os_string())])
}
