//! The serial ports of this gateway, without opening any.

use std::path::{Path, PathBuf};

use super::ask::Console;

const FOLDER: &str = "/sys/class/tty";
const NAMES: [&str; 5] = ["ttyS", "ttyUSB", "ttyACM", "ttyAMA", "ttymxc"];

/// Ports with something behind them, by what the kernel says: `type` 0 is a port without hardware.
pub(super) fn find(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut ports: Vec<_> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = std::fs::read_to_string(entry.path().join("type"));
            NAMES.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(|at| at.parse::<u16>().is_ok()))
                && kind.map_or(true, |kind| kind.trim() != "0")
        })
        .map(|entry| Path::new("/dev").join(entry.file_name()))
        .collect();
    ports.sort();
    ports
}

/// What this machine has.
pub(super) fn here() -> Vec<PathBuf> {
    find(Path::new(FOLDER))
}

pub(super) fn show(console: &Console) -> anyhow::Result<()> {
    let ports: Vec<_> = here().iter().map(|port| port.display().to_string()).collect();
    let list = ports.join("  ");
    match ports.as_slice() {
        [] => console.say("没有发现串口。", "No serial port was found."),
        _ => console.say(&format!("发现串口：{list}"), &format!("Serial ports: {list}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_without_hardware_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for (name, kind) in
            [("ttyS0", Some("4")), ("ttyS1", Some("0")), ("ttyUSB0", None), ("tty1", None), ("ttySx", None)]
        {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            if let Some(kind) = kind {
                std::fs::write(folder.path().join(name).join("type"), kind).unwrap();
            }
        }
        assert_eq!(find(folder.path()), [Path::new("/dev/ttyS0"), Path::new("/dev/ttyUSB0")]);
    }
}
