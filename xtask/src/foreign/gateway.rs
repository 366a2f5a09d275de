//! The program for other processors, and what runs it here: emulators.

use crate::command::{Command, find};
use crate::tree;

use super::apt::Apt;
use super::{Found, Wish};

/// Architectures that are tried whole, and what emulates them. The one that rustup may not have is first: both are then
/// built by the toolchain that it takes.
const EMULATED: [(&str, &str, &str); 2] = [
    ("armv7", "qemu-arm-static", "INUSE_QEMU_ARM"),
    ("aarch64", "qemu-aarch64-static", "INUSE_QEMU_AARCH64"),
];

/// What of the program is tried there: devices, logs, windows, buffer and uplink. The OPC UA client would add minutes.
const SET: &str = "small";

/// qemu, and the programs it runs: compiled lightly, because what is looked for is what another processor does otherwise.
/// That takes minutes, so it is done only when all is wished.
pub(super) fn qemu(apt: &mut Apt, wish: Wish) -> Found {
    if wish != Wish::All {
        return Err("the programs for gateways are built for --require-foreign only".to_owned());
    }
    let said = |error: anyhow::Error| format!("{error:#}");
    if EMULATED.iter().any(|(_, qemu, _)| find(qemu).is_none()) {
        apt.install(&["qemu-user-static"]).map_err(said)?;
    }
    let names = EMULATED.map(|(name, ..)| name);
    Command::new("cross/build.sh").args(names).args(["--set", SET, "--light"]).run().map_err(said)?;
    let mut found = vec![("INUSE_DIST", tree::target().join("cross/light/dist").into_os_string())];
    for (_, qemu, variable) in EMULATED {
        let path = find(qemu).ok_or("it was installed and cannot be found")?;
        found.push((variable, path.into_os_string()));
    }
    Ok(found)
}
