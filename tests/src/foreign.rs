//! Software that is not ours, started for a test: devices in Python and JavaScript, Mosquitto.
//!
//! Where it is stands in variables that `cargo xtask test` sets (`INUSE_FOREIGN_PYTHON`, `INUSE_FOREIGN_NODE`,
//! `INUSE_MOSQUITTO`); nothing is looked for or installed here. Everything listens on loopback and ends with the test.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::process::{PATIENCE, Process, Program};

/// What this variable names.
///
/// # Errors
/// When it is not set.
pub fn needed(variable: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os(variable)
        .with_context(|| format!("{variable} is not set: run `cargo xtask test`"))?;
    Ok(path.into())
}

/// Runs a program, gives it this text on its standard input, and waits for its end. It may end before it has read all.
///
/// # Errors
/// When it cannot be started, or does not end.
pub async fn fed(command: &mut Command, text: &str) -> anyhow::Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("could not start {command:?}"))?;
    let mut stdin = child.stdin.take().context("a piped standard input")?;
    let said = async move {
        drop(stdin.write_all(text.as_bytes()).await);
    };
    let ran = async { tokio::join!(child.wait_with_output(), said) };
    let (ended, ()) = tokio::time::timeout(PATIENCE, ran).await.context("it does not end")?;
    Ok(ended?)
}

/// The gateway's program for another machine (`<target>/<name>`), run by the emulator that `qemu` names.
///
/// # Errors
/// When one of the two is not there.
pub fn emulated_agent(program: &str, qemu: &str) -> anyhow::Result<Program> {
    emulated_agent_with(program, qemu, &[])
}

/// As [`emulated_agent`], with options of the emulator.
///
/// # Errors
/// When one of the two is not there.
pub fn emulated_agent_with(program: &str, qemu: &str, options: &[&str]) -> anyhow::Result<Program> {
    Program::emulated(needed(qemu)?, options, needed("INUSE_DIST")?.join(program))
}

/// A file of `tests/foreign`.
pub fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign").join(name)
}

/// A device that a library in Python or JavaScript serves: it says where it is, and afterwards what happened to it.
pub struct Device {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Held so that the device ends when the test does.
    _stdin: ChildStdin,
    /// `host`, `port`, and whatever else it says at its start.
    pub listening: Value,
}

impl Device {
    /// Starts a script of `tests/foreign` and waits until it says where it listens.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(script: &str, args: &[&str]) -> anyhow::Result<Self> {
        let interpreter = if script.ends_with(".js") { "INUSE_FOREIGN_NODE" } else { "INUSE_FOREIGN_PYTHON" };
        let mut child = Command::new(needed(interpreter)?)
            .arg(asset(script))
            .args(args)
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start {script}"))?;
        let stdin = child.stdin.take().context("a piped standard input")?;
        let mut lines = BufReader::new(child.stdout.take().context("a piped standard output")?).lines();
        let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.context("it says nothing")??;
        let first = first.with_context(|| format!("{script} ended without a word"))?;
        let mut said: Value = serde_json::from_str(&first)?;
        let listening = said["listening"].take();
        ensure!(listening["port"].is_u64(), "{script} does not say where it listens: {first}");
        Ok(Self { child, lines, _stdin: stdin, listening })
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.text("host"), self.listening["port"])
    }

    /// A text of what it said at its start.
    pub fn text(&self, key: &str) -> &str {
        self.listening[key].as_str().unwrap_or_default()
    }

    /// Ends it and returns what it has said since its start: a line for each attempt to write, and what else its script tells.
    ///
    /// # Errors
    /// When it does not end well.
    pub async fn end(mut self) -> anyhow::Result<Vec<String>> {
        drop(self._stdin);
        let mut said = Vec::new();
        let reading = async {
            while let Some(line) = self.lines.next_line().await? {
                said.push(line);
            }
            self.child.wait().await
        };
        let ended = tokio::time::timeout(PATIENCE, reading).await.context("a device does not end")??;
        ensure!(ended.success(), "a device ended with {ended}");
        Ok(said)
    }
}

/// Mosquitto as a city would run it, in a folder of its own.
pub struct Mosquitto {
    folder: PathBuf,
    address: String,
}

impl Mosquitto {
    /// Prepares the folder: configuration, rules, and the certificates given. `address` is `127.0.0.1:<port>`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn prepare(
        folder: &Path,
        address: &str,
        ca: &Path,
        chain: &Path,
        key: &Path,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        for (from, to) in [
            (ca, "ca.pem"),
            (chain, "broker.pem"),
            (key, "broker.key"),
            (&asset("mosquitto.acl"), "mosquitto.acl"),
        ] {
            std::fs::copy(from, folder.join(to))
                .with_context(|| format!("could not copy {}", from.display()))?;
        }
        // It warns of rules that others may read.
        restrict(&folder.join("mosquitto.acl"))?;
        let port = address.rsplit(':').next().context("an address has a port")?;
        let directory = folder.to_str().context("a path that is text")?;
        let text = std::fs::read_to_string(asset("mosquitto.conf"))?;
        std::fs::write(
            folder.join("mosquitto.conf"),
            text.replace("@PORT@", port).replace("@DIR@", directory),
        )?;
        Ok(Self { folder: folder.to_owned(), address: address.to_owned() })
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(&self) -> anyhow::Result<Process> {
        let mut command = Command::new(needed("INUSE_MOSQUITTO")?);
        command.arg("-c").arg(self.folder.join("mosquitto.conf"));
        let mut process = Process::spawn("mosquitto", command, &self.folder.join("mosquitto.log"))?;
        process.listens(&self.address).await?;
        Ok(process)
    }

    /// Its version, as in `2.0.21`.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn version() -> anyhow::Result<String> {
        let mut command = Command::new(needed("INUSE_MOSQUITTO")?);
        command.arg("-h").stdin(Stdio::null()).kill_on_drop(true);
        let said = tokio::time::timeout(Duration::from_secs(10), command.output()).await??;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = said.lines().next().and_then(|line| line.strip_prefix("mosquitto version "));
        match version {
            Some(version) => Ok(version.trim().to_owned()),
            None => bail!("no version in {said:?}"),
        }
    }
}

fn restrict(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?)
}
