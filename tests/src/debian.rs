//! A Debian of its own, booted with its systemd by systemd-nspawn: packages are installed in it as on a gateway.
//!
//! The base is the folder named by `INUSE_DEBIAN`, made by `cargo xtask test`; each test works on a copy. It shares the
//! network of this machine, so that an agent inside reaches a broker outside. It ends with the test.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::{Child, Command};

use crate::foreign::needed;
use crate::process::{Ended, PATIENCE, Program, until};

/// What starts and supervises the services of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// systemd, as Debian has it.
    Systemd,
    /// OpenRC's own first process, with `supervise-daemon`.
    OpenRc,
}

/// A booted system.
#[derive(Debug)]
pub struct Debian {
    folder: tempfile::TempDir,
    init: Init,
    nspawn: Child,
    leader: u32,
}

impl Debian {
    /// Copies the base and boots it.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn boot(init: Init) -> anyhow::Result<Self> {
        let base = needed("INUSE_DEBIAN")?;
        let folder = tempfile::tempdir()?;
        let root = folder.path().join("root");
        let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(&base).arg(&root).status().await?;
        ensure!(copied.success(), "could not copy {}", base.display());
        let (nspawn, leader) = start(folder.path(), init).await?;
        let debian = Self { folder, init, nspawn, leader };
        debian.up().await?;
        Ok(debian)
    }

    /// Ends every process at once, as a power cut does, and boots again. What was written and not synced is kept,
    /// unlike there.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn cut_power(&mut self) -> anyhow::Result<()> {
        let killed = Command::new("kill").args(["-KILL", &self.leader.to_string()]).status().await?;
        ensure!(killed.success(), "the first process of the Debian cannot be killed");
        tokio::time::timeout(PATIENCE, self.nspawn.wait()).await.context("the Debian does not end")??;
        (self.nspawn, self.leader) = start(self.folder.path(), self.init).await?;
        self.up().await
    }

    async fn up(&self) -> anyhow::Result<()> {
        let up = || async {
            let up = match self.init {
                Init::Systemd => {
                    let state = self.run(&["systemctl", "is-system-running"]).await?.out;
                    ["running", "degraded"].contains(&state.trim())
                }
                Init::OpenRc => self.run(&["rc-status", "--runlevel"]).await?.out.trim() == "default",
            };
            Ok(up.then_some(()))
        };
        until("the Debian is up", up).await.with_context(|| self.console())
    }

    /// Its root, seen from here.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// What its console has said.
    pub fn console(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("console")).unwrap_or_default()
    }

    /// A program inside.
    pub fn program(&self, path: &str) -> Program {
        let target = self.leader.to_string();
        let words = ["nsenter", "--target", &target, "--all", "--", path];
        Program::of(path, words.map(OsString::from).into())
    }

    /// Runs a command inside to its end.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub async fn run(&self, command: &[&str]) -> anyhow::Result<Ended> {
        let mut inside = Command::new("nsenter");
        inside.args(["--target", &self.leader.to_string(), "--all", "--"]).args(command);
        let ran = tokio::time::timeout(PATIENCE, inside.stdin(Stdio::null()).kill_on_drop(true).output());
        let ran = ran.await.with_context(|| format!("{command:?} does not end"))??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ended { code: ran.status.code(), out: text(&ran.stdout), err: text(&ran.stderr) })
    }

    /// As [`Debian::run`], for a command that must end well; returns what it printed.
    ///
    /// # Errors
    /// As [`Debian::run`], and when it ends in another way.
    pub async fn output(&self, command: &[&str]) -> anyhow::Result<String> {
        let ended = self.run(command).await?;
        ensure!(
            ended.code == Some(0),
            "{command:?} ended with {:?}: {}{}\n{}",
            ended.code,
            ended.out,
            ended.err,
            self.journal().await
        );
        Ok(ended.out)
    }

    /// What a property of a unit is.
    ///
    /// # Errors
    /// When systemd does not say.
    pub async fn unit(&self, unit: &str, property: &str) -> anyhow::Result<String> {
        let shown = self.output(&["systemctl", "show", "--value", "--property", property, unit]).await?;
        Ok(shown.trim().to_owned())
    }

    /// Copies a file to the same name under `/root` inside, and returns its path there.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn bring(&self, file: &Path) -> anyhow::Result<String> {
        let name = file.file_name().context("a file has a name")?.to_string_lossy().into_owned();
        std::fs::copy(file, self.root().join("root").join(&name))
            .with_context(|| format!("could not copy {}", file.display()))?;
        Ok(format!("/root/{name}"))
    }

    /// Copies the files of a folder to a folder of the same name under `/root` inside.
    ///
    /// # Errors
    /// When one cannot be copied.
    pub fn bring_folder(&self, folder: &Path) -> anyhow::Result<()> {
        let to = self.root().join("root").join(folder.file_name().context("a folder has a name")?);
        std::fs::create_dir_all(&to)?;
        for entry in std::fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))? {
            let path = entry?.path();
            std::fs::copy(&path, to.join(path.file_name().context("a file has a name")?))
                .with_context(|| format!("could not copy {}", path.display()))?;
        }
        Ok(())
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn power_off(mut self) -> anyhow::Result<()> {
        match self.init {
            Init::Systemd => self.run(&["systemctl", "poweroff", "--no-block"]).await?,
            Init::OpenRc => self.run(&["openrc-shutdown", "--poweroff", "now"]).await?,
        };
        tokio::time::timeout(PATIENCE, self.nspawn.wait()).await.context("the Debian does not go down")??;
        Ok(())
    }

    async fn journal(&self) -> String {
        let said = self.run(&["journalctl", "--no-pager", "--lines=40", "--output=short-monotonic"]).await;
        said.map_or_else(|error| error.to_string(), |said| said.out)
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        // Killing nspawn's terminal does not always take the system inside with it; killing its first process does.
        let ours = self
            .nspawn
            .id()
            .is_some_and(|script| matches!(leader(script), Ok(Some(pid)) if pid == self.leader));
        if ours {
            drop(std::process::Command::new("kill").args(["-KILL", &self.leader.to_string()]).status());
        }
    }
}

/// Boots the system in `folder`; returns what runs it, and its first process.
async fn start(folder: &Path, init: Init) -> anyhow::Result<(Child, u32)> {
    let boot = match init {
        Init::Systemd => "--boot -D root",
        Init::OpenRc => "-D root /sbin/openrc-init",
    };
    // It wants a terminal. What its console says is for whoever looks at a test that failed.
    let boot =
        format!("exec systemd-nspawn --quiet --register=no --keep-unit --kill-signal=SIGRTMIN+3 {boot}");
    let mut nspawn = Command::new("script")
        .args(["--quiet", "--return", "--command", &boot, "console"])
        .current_dir(folder)
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("could not start systemd-nspawn under script")?;
    let console = folder.join("console");
    let script = nspawn.id().context("it runs")?;
    let leader = until("the first process of the Debian runs", || {
        let (ended, leader) = (nspawn.try_wait(), leader(script));
        let said = || std::fs::read_to_string(&console).unwrap_or_default();
        let seen = match ended {
            Ok(None) => leader,
            Ok(Some(ended)) => Err(anyhow::anyhow!("systemd-nspawn ended, {ended}: {}", said())),
            Err(error) => Err(error.into()),
        };
        async { seen }
    })
    .await?;
    Ok((nspawn, leader))
}

/// The process that is number one of a system of its own and descends from `ancestor`.
fn leader(ancestor: u32) -> anyhow::Result<Option<u32>> {
    for entry in std::fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let ids = status(pid, "NSpid:");
        if ids.len() > 1 && ids.last() == Some(&1) && descends(pid, ancestor) {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}

fn descends(mut pid: u32, ancestor: u32) -> bool {
    while pid > 1 && pid != ancestor {
        pid = status(pid, "PPid:").first().copied().unwrap_or(0);
    }
    pid == ancestor
}

/// The numbers on one line of a process's status; none when it has ended.
fn status(pid: u32, line: &str) -> Vec<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|text| text.strip_prefix(line)).unwrap_or_default();
    numbers.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}
