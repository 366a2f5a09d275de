//! A small Debian with systemd, which tests boot, and the packages they install in it.

use anyhow::{Context as _, ensure};

use crate::command::{Command, find};
use crate::tree;

use super::apt::Apt;
use super::{Found, Wish};

/// What is in the root beside the smallest set.
const INCLUDE: &str = "--include=systemd,systemd-sysv,dbus,procps,openrc,rpm";

/// What makes the root, boots it and packs the packages: program and Debian package.
const TOOLS: [(&str, &str); 7] = [
    ("debootstrap", "debootstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("script", "bsdutils"),
    ("nsenter", "util-linux"),
    ("rpmbuild", "rpm"),
    ("minisign", "minisign"),
    ("strip", "binutils"),
];

/// The root, made once and kept, and the packages that are installed in it. Both are this machine's: what is packed is
/// the program that all tests run, not one that is built once more, so the root is of this machine's own release.
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
    let release = release(&std::fs::read_to_string("/etc/os-release").context("/etc/os-release")?)?;
    let root = tree::tools().join("debian");
    let finished = tree::tools().join("debian.made");
    let made = format!("{release} {INCLUDE}");
    if std::fs::read_to_string(&finished).ok().as_ref() != Some(&made) {
        if root.exists() {
            std::fs::remove_dir_all(&root)?;
        }
        std::fs::create_dir_all(tree::tools())?;
        Command::new("debootstrap").args(["--variant=minbase", INCLUDE, &release]).args([&root]).run()?;
        std::fs::write(&finished, made)?;
    }
    // An older version to upgrade from, of the same program (INUSE_PREVIOUS in our environment names the package of a
    // program that is really older), and a newer one whose program does nothing. All signed by a key of the day.
    let packages = tree::tools().join("packages");
    if packages.exists() {
        std::fs::remove_dir_all(&packages)?;
    }
    std::fs::create_dir_all(&packages)?;
    let program = packages.join("inuse-agent");
    let built = tree::target().join("debug/inuse-agent");
    Command::new("strip").args(["-o"]).args([&program, &built]).run()?;
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
        pack = pack.env("INUSE_PROGRAM", if folder == "broken" { &broken } else { &program });
        pack.run()?;
    }
    Ok(vec![("INUSE_DEBIAN", root.into_os_string()), ("INUSE_PACKAGES", packages.into_os_string())])
}

/// The code name of the Debian that this `/etc/os-release` is of.
fn release(text: &str) -> anyhow::Result<String> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let id = value("ID").unwrap_or_default();
    ensure!(id == "debian", "packages are booted on Debian only, this is `{id}`");
    value("VERSION_CODENAME").context("/etc/os-release names no release of Debian")
}

#[cfg(test)]
mod tests {
    use super::release;

    #[test]
    fn the_root_is_of_this_machines_release_and_no_other_system_is_taken_for_debian() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(release(debian).unwrap(), "bookworm");
        release("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n").unwrap_err();
        release("ID=debian\n").unwrap_err();
    }
}
