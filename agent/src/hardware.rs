//! What the hardware says it is, as far as any user may read it: a hint by which an expert sees on site that a gateway
//! is the box that was enrolled, and not another one that was given its key.
//!
//! SHA-256("inuse/v1/hardware\0" ‖ agent id ‖ lines): a line `<name> <value>` each for the serial number and the model
//! that device tree or DMI tell, and for the address of each network interface that is soldered or plugged in and not
//! of USB. It proves nothing against root, who can make every one of these files say something else.

use std::path::Path;

use proof::AgentId;
use sha2::{Digest as _, Sha256};

/// Files that name a machine and not the day.
const FILES: [&str; 5] = [
    "sys/firmware/devicetree/base/serial-number",
    "sys/firmware/devicetree/base/model",
    "sys/class/dmi/id/sys_vendor",
    "sys/class/dmi/id/product_name",
    "sys/class/dmi/id/board_name",
];

/// Longest value that is read, bytes.
const MOST: usize = 256;

/// The hash of what is found below `root`; `None` where nothing says what it is.
pub(crate) fn of(root: &Path, agent: AgentId) -> Option<[u8; 32]> {
    let mut lines: Vec<String> =
        FILES.iter().filter_map(|file| Some(format!("{file} {}", value(&root.join(file))?))).collect();
    lines.extend(interfaces(&root.join("sys/class/net")));
    if lines.is_empty() {
        return None;
    }
    lines.sort();
    let hash = Sha256::new().chain_update(b"inuse/v1/hardware\0").chain_update(agent.0);
    let hash = lines.iter().fold(hash, |hash, line| hash.chain_update(line).chain_update(b"\n"));
    Some(hash.finalize().into())
}

/// Network interfaces with a device of their own, which is not at the end of a USB cable.
fn interfaces(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let of_entry = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        let device = std::fs::canonicalize(path.join("device")).ok()?;
        if device.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb")) {
            return None;
        }
        let address = value(&path.join("address"))?;
        (address != "00:00:00:00:00:00").then(|| format!("address {address}"))
    };
    entries.take(256).filter_map(of_entry).collect()
}

/// The text of a small file without what stands around it; `None` where there is none.
fn value(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(bytes.get(..MOST).unwrap_or(&bytes));
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const AGENT: AgentId = AgentId([9; 16]);

    fn put(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn interface(root: &Path, name: &str, address: &str, device: &str) {
        put(root, &format!("sys/class/net/{name}/address"), address);
        let device = root.join(device);
        fs::create_dir_all(&device).unwrap();
        std::os::unix::fs::symlink(device, root.join(format!("sys/class/net/{name}/device"))).unwrap();
    }

    #[test]
    fn another_board_another_card_and_another_gateway_are_told_from_this_one_and_a_usb_stick_is_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(of(root, AGENT), None);
        put(root, "sys/firmware/devicetree/base/serial-number", "1000000abc\0");
        let bare = of(root, AGENT).unwrap();
        interface(root, "eth0", "02:00:00:00:00:01\n", "sys/devices/platform/eth");
        let board = of(root, AGENT).unwrap();
        assert_ne!(board, bare);
        interface(root, "eth1", "02:00:00:00:00:02\n", "sys/devices/usb1/1-1");
        put(root, "sys/class/net/lo/address", "00:00:00:00:00:00\n");
        put(root, "sys/class/net/tun0/address", "02:00:00:00:00:03\n");
        assert_eq!(of(root, AGENT), Some(board));
        assert_ne!(of(root, AgentId([8; 16])), Some(board));
        put(root, "sys/firmware/devicetree/base/serial-number", "1000000abd\0");
        assert_ne!(of(root, AGENT), Some(board));
    }
}
