//! A Python of our own, with the packages the foreign servers are made of.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::apt::Apt;
use crate::command::{Command, find};
use crate::tree;

/// What asyncua needs.
const NEW_ENOUGH: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";

/// The interpreter of the virtual environment, which is made anew when the pins have changed.
pub(super) fn prepare(apt: &mut Apt) -> anyhow::Result<PathBuf> {
    let pins = tree::root().join("tests/foreign/requirements.txt");
    let wanted = std::fs::read(&pins).with_context(|| format!("could not read {}", pins.display()))?;
    let folder = tree::target().join("foreign/python");
    let installed = folder.join("installed.txt");
    let python = folder.join("bin/python");
    if std::fs::read(&installed).is_ok_and(|done| done == wanted)
        && Command::new(&python).args(["-c", "import pymodbus, asyncua"]).works()
    {
        return Ok(python);
    }
    let base = interpreter(apt)?;
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("could not remove the old virtual environment")?;
    }
    Command::new(base).args(["-m".as_ref(), "venv".as_ref(), folder.as_os_str()]).run()?;
    Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"])
        .args(["--only-binary".as_ref(), ":all:".as_ref(), "-r".as_ref(), pins.as_os_str()])
        .run()
        .context("its Python packages could not be installed")?;
    std::fs::write(&installed, wanted).context("could not note what is installed")?;
    Ok(python)
}

fn interpreter(apt: &mut Apt) -> anyhow::Result<PathBuf> {
    let good = || {
        let mut candidates = find("python3").into_iter().chain([PathBuf::from("/usr/bin/python3")]);
        candidates.find(|python| Command::new(python).args(["-c", NEW_ENOUGH]).works())
    };
    if let Some(python) = good() {
        return Ok(python);
    }
    apt.install(&["python3", "python3-venv"]).context("no python3 of at least 3.10 with its venv module")?;
    match good() {
        Some(python) => Ok(python),
        None => bail!("no python3 of at least 3.10 with its venv module, even after installing Debian's"),
    }
}
