//! Lets systemd read our units, where there is a systemd: unknown keys, missing programs, bad ordering.

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::command::{Command, find};
use crate::tree;

/// Units and what they start. The last one installs packages: it cannot be confined.
const UNITS: [(&str, &str); 4] = [
    ("inuse-agent.service", "usr/bin/inuse-agent"),
    ("inuse-server.service", "usr/bin/inuse-server"),
    ("inuse-witness.service", "usr/bin/inuse-witness"),
    ("inuse-update.service", "var/lib/inuse-update/inuse-agent"),
];
const CONFINED: usize = 3;

/// What `systemd-analyze security` may say at most, in its tenths: 10 is fully exposed.
const EXPOSURE: &str = "20";

/// Verifies the units in a root of their own, in which the programs exist.
pub(crate) fn run() -> anyhow::Result<()> {
    let Some(analyze) = find("systemd-analyze") else {
        println!("skipped: no systemd-analyze here");
        return Ok(());
    };
    let folder = tree::target().join("units");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("could not remove the last run's root")?;
    }
    furnish(&folder)?;
    let root = format!("--root={}", folder.display());
    let said = Command::new(&analyze)
        .args([root.as_str(), "verify"])
        .args(UNITS.map(|(unit, _)| unit))
        .complaints()?;
    // It ends well in spite of unknown keys, which it ignores: any word is a complaint.
    ensure!(said.trim().is_empty(), "systemd complains:\n{said}");
    for (unit, _) in &UNITS[..CONFINED] {
        let path = format!("systemd/{unit}");
        let limit = format!("--threshold={EXPOSURE}");
        let table = Command::new(&analyze)
            .args(["security", "--offline=true", "--no-pager", &limit, &path])
            .output()?;
        println!("{}", table.trim_end().lines().last().unwrap_or("systemd said nothing of its exposure"));
    }
    Ok(())
}

/// A root with our units, the system's own (they name `sysinit.target` and the like) and empty programs.
fn furnish(folder: &Path) -> anyhow::Result<()> {
    let units = folder.join("etc/systemd/system");
    for made in [&units, &folder.join("usr/lib/systemd")] {
        std::fs::create_dir_all(made).with_context(|| format!("could not make {}", made.display()))?;
    }
    for (unit, program) in UNITS {
        std::fs::copy(tree::root().join("systemd").join(unit), units.join(unit)).context(unit)?;
        let program = folder.join(program);
        std::fs::create_dir_all(program.parent().context("a program is in a folder")?)?;
        std::fs::copy("/bin/true", program).context("could not place a program")?;
    }
    // Copied and not linked: some of its links are relative.
    for system in ["/usr/lib/systemd/system", "/lib/systemd/system"] {
        if Path::new(system).is_dir() {
            let here = folder.join("usr/lib/systemd");
            Command::new("cp").args(["-a".as_ref(), system.as_ref(), here.as_os_str()]).output()?;
            break;
        }
    }
    std::os::unix::fs::symlink("usr/lib", folder.join("lib"))?;
    Ok(())
}
