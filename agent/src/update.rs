//! Installs a package of a newer version through the system's own package manager, and goes back when the agent does
//! not do afterwards what it did before.
//!
//! A package is believed by its checksum in `SHA256SUMS` beside it, and that by a minisign signature of the release
//! key. What is judged is a running agent: another process answers, its chain goes on where it was, and every source
//! and the line to the broker that worked before work again.
//!
//! What a power cut interrupts is finished at the next start, by the program that began it: the new one may not run.

mod packages;

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use daemon::Stopwatch;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::status::{self, Status};
use packages::{FOLDERS, Kind, digest, make};

/// The public key that releases are signed with, unless another is named.
pub const RELEASE_KEY: &str = "/etc/inuse/release.pub";

/// Time between two looks at the new agent.
const LOOK: Duration = Duration::from_secs(1);

/// How long the same process must do what the old one did: one good second is no success.
const STEADY: Duration = Duration::from_secs(15);

/// How long the new agent may take until it does what the old one did, when nothing else is said.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The same after a start: devices and networks start as well.
pub const AFTER_START: Duration = Duration::from_secs(600);

/// Where packages put the program.
const PROGRAM: &str = "/usr/bin/inuse-agent";

/// An update, as it was asked for.
#[derive(Debug, Clone)]
pub struct Update {
    /// The package: `.deb`, `.rpm` or `.tar.gz`, with `SHA256SUMS` and `SHA256SUMS.minisig` beside it.
    pub package: PathBuf,
    /// The package of the version that is installed, where an earlier update has not kept it; signed as the other.
    pub previous: Option<PathBuf>,
    /// File with the release key.
    pub key: PathBuf,
    /// How long the new agent may take until it does what the old one did.
    pub patience: Duration,
    /// Where the agent tells its status.
    pub socket: PathBuf,
}

/// Does it. Returns what to tell.
///
/// # Errors
/// When nothing was installed, with the reason; when the new agent did not do what the old one did, after going back.
pub async fn run(update: &Update) -> anyhow::Result<String> {
    let kind = Kind::of(&update.package)?;
    let _alone = Alone::in_folder(kind.folder())?;
    if let Some(path) = interrupted() {
        bail!("{} is of an update that was interrupted: `inuse-agent update --resume` first", path.display());
    }
    // A terminal that goes away takes this with it otherwise, between installing and judging.
    let _hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    let before = status::ask(&update.socket)
        .await
        .context("no agent runs, and an update is judged by what the agent did before: start it first")?;
    // Copied to where nobody else writes, and only then looked at: what was checked is what is installed.
    let package = kind.bring(&update.package, "new", &update.key)?;
    let back = kind.way_back(update.previous.as_deref(), &update.key).await?;
    let mut underway = Underway {
        kind,
        phase: Phase::Installing,
        named: update.package.clone(),
        package,
        back,
        program: digest(Path::new(PROGRAM))?,
        patience: update.patience,
        socket: update.socket.clone(),
        before,
    };
    underway.begin()?;
    info!(package = %update.package.display(), "installing");
    let judged = match kind.install(&underway.package).await {
        Ok(()) => match underway.enter(Phase::Judging) {
            Ok(()) => underway.judge().await,
            Err(error) => Err(error),
        },
        Err(error) if underway.program_is_as_before() => {
            underway.end()?;
            return Err(error.context("nothing was installed, the agent from before still runs"));
        }
        Err(error) => Err(error),
    };
    underway.finish(judged).await
}

/// Finishes an update that was interrupted: judges what was installed, or goes back when installing had not ended.
/// `patience` is as in [`Update`].
///
/// # Errors
/// When it went back, with the reason; when that failed, which the next start tries again.
pub async fn resume(patience: Duration) -> anyhow::Result<String> {
    let Some(path) = interrupted() else { return Ok("no update was interrupted\n".to_owned()) };
    let folder = path.parent().context("a file is in a folder")?;
    let _alone = Alone::in_folder(folder)?;
    let mut underway = Underway::read(&path)?;
    // Numbers of processes begin anew with a boot.
    underway.before.pid = 0;
    underway.patience = patience;
    warn!(package = %underway.named.display(), phase = ?underway.phase, "an update was interrupted here");
    let judged = match underway.phase {
        Phase::Judging => underway.judge().await,
        // The tar's installer changes the program first, and goes back to it last.
        Phase::Installing | Phase::GoingBack
            if underway.kind == Kind::Tar && underway.program_is_as_before() =>
        {
            underway.end()?;
            return Ok("the agent from before is installed\n".to_owned());
        }
        Phase::Installing => Err(anyhow::anyhow!("installing it was interrupted")),
        Phase::GoingBack => Err(anyhow::anyhow!("it did not do what the one before did")),
    };
    underway.finish(judged).await
}

/// The file of an update that has begun and not ended.
fn interrupted() -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(Underway::FILE)).find(|path| path.exists())
}

/// Root, and the only one who installs something.
#[derive(Debug)]
struct Alone {
    _lock: File,
}

impl Alone {
    fn in_folder(folder: &Path) -> anyhow::Result<Self> {
        let own = fs::metadata("/proc/self").context("who runs this is not known")?;
        ensure!(own.uid() == 0, "packages are installed by root");
        make(folder)?;
        let path = folder.join("lock");
        let lock = File::create(&path).with_context(|| format!("could not open {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!("an update is under way"),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("could not lock {}", path.display()))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Installing,
    Judging,
    GoingBack,
}

/// An update that has begun: what is needed to finish it, also by another process after a power cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Underway {
    kind: Kind,
    phase: Phase,
    /// The package as it was named.
    named: PathBuf,
    /// Our copy of it.
    package: PathBuf,
    back: Option<PathBuf>,
    /// SHA-256 of the program before.
    program: String,
    #[serde(skip)]
    patience: Duration,
    socket: PathBuf,
    before: Status,
}

impl Underway {
    const FILE: &str = "underway.json";

    fn read(path: &Path) -> anyhow::Result<Self> {
        let read = || Ok::<_, anyhow::Error>(serde_json::from_slice(&fs::read(path)?)?);
        read().with_context(|| format!("could not read {}", path.display()))
    }

    /// Keeps the program that can finish this, and says that there is something to finish.
    fn begin(&mut self) -> anyhow::Result<()> {
        let own = fs::read("/proc/self/exe").context("could not read the running program")?;
        let copy = self.kind.folder().join("inuse-agent");
        daemon::files::write_whole(&copy, &own, 0o700)
            .with_context(|| format!("could not keep {}", copy.display()))?;
        self.enter(Phase::Installing)
    }

    fn enter(&mut self, phase: Phase) -> anyhow::Result<()> {
        self.phase = phase;
        let path = self.kind.folder().join(Self::FILE);
        let text = serde_json::to_vec(self)?;
        daemon::files::write_whole(&path, &text, 0o600)
            .with_context(|| format!("could not write {}", path.display()))
    }

    /// There is nothing to finish any more.
    fn end(&self) -> anyhow::Result<()> {
        let path = self.kind.folder().join(Self::FILE);
        fs::remove_file(&path).with_context(|| format!("could not remove {}", path.display()))?;
        File::open(self.kind.folder())?.sync_all()?;
        // The program kept for a power cut is of no more use; where it stays, the next update writes over it.
        fs::remove_file(self.kind.folder().join("inuse-agent")).ok();
        Ok(())
    }

    fn program_is_as_before(&self) -> bool {
        digest(Path::new(PROGRAM)).is_ok_and(|now| now == self.program)
    }

    /// Keeps the package when it was judged well, and goes back when not.
    async fn finish(mut self, judged: anyhow::Result<()>) -> anyhow::Result<String> {
        let Err(why) = judged else {
            // It was kept already when the power went between this line and the next.
            if self.package.exists() {
                fs::rename(&self.package, self.kind.kept())
                    .context("the package could not be kept to go back to")?;
            }
            self.end()?;
            return Ok(format!("{} is installed and does what the one before did\n", self.named.display()));
        };
        warn!(why = %format!("{why:#}"), "going back");
        if let Err(error) = self.enter(Phase::GoingBack) {
            // A power cut now would find it judged as it was before; going back is what matters.
            warn!(error = %format!("{error:#}"), "this could not be noted");
        }
        let went_back = self.kind.go_back(self.back.as_deref()).await;
        went_back.with_context(|| {
            format!("the new one failed ({why:#}), and going back failed too; the next start tries again")
        })?;
        let judged = self.judge().await;
        self.end()?;
        judged.with_context(|| {
            format!("the new one failed ({why:#}); the one before is back and is not well either")
        })?;
        Err(why.context("the new one was taken back, the one before runs again"))
    }

    /// Waits until an agent does what the one before did.
    async fn judge(&self) -> anyhow::Result<()> {
        let mut missing = "no agent answers".to_owned();
        let mut well: Option<(u32, Stopwatch)> = None;
        let looking = async {
            loop {
                let (pid, shortfall) = match status::ask(&self.socket).await {
                    Ok(now) => (now.pid, shortfall(&self.before, &now)),
                    Err(error) => (0, Some(format!("no agent answers: {error}"))),
                };
                match (shortfall, &well) {
                    (None, Some((same, since))) if *same == pid && since.elapsed() >= STEADY => return,
                    (None, Some((same, _))) if *same == pid => {}
                    (None, _) => {
                        well = Some((pid, Stopwatch::start()));
                        missing = "the agent has not been well for long enough".to_owned();
                    }
                    (Some(shortfall), _) => {
                        well = None;
                        missing = shortfall;
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let judged = tokio::time::timeout(self.patience, looking).await;
        judged.map_err(|_| anyhow::anyhow!("after {} s {missing}", self.patience.as_secs()))
    }
}

/// What an agent does not do that one before it did; `None` when it does all.
fn shortfall(before: &Status, now: &Status) -> Option<String> {
    if now.pid == before.pid {
        return Some("the agent from before still runs".to_owned());
    }
    if now.buffer.head <= before.buffer.head {
        return Some(format!("its chain is at {}, it was at {}", now.buffer.head, before.buffer.head));
    }
    for source in before.sources.iter().filter(|source| source.fresh) {
        let again = now.sources.iter().find(|other| other.name == source.name);
        if !again.is_some_and(|again| again.fresh) {
            return Some(format!("{} is not read, and it was before", source.name));
        }
    }
    (before.link.connected && !now.link.connected)
        .then(|| format!("the broker is not reached: {}", now.link.error.as_deref().unwrap_or("not yet")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::SourceStatus;

    fn status(pid: u32, head: u64, fresh: bool, connected: bool) -> Status {
        let source = SourceStatus { name: "oven".to_owned(), fresh, ..SourceStatus::default() };
        let mut status = Status { pid, sources: vec![source], ..Status::default() };
        status.buffer.head = head;
        status.link.connected = connected;
        status
    }

    #[test]
    fn an_agent_that_does_less_than_the_one_before_falls_short() {
        let before = status(1, 7, true, true);
        let words = [
            (status(1, 9, true, true), "still runs"),
            (status(2, 7, true, true), "its chain is at 7"),
            (status(2, 9, false, true), "oven is not read"),
            (status(2, 9, true, false), "the broker is not reached"),
        ];
        for (now, word) in words {
            let said = shortfall(&before, &now).unwrap();
            assert!(said.contains(word), "{said}");
        }
        assert_eq!(shortfall(&before, &status(2, 9, true, true)), None);
        assert_eq!(
            shortfall(&status(1, 7, false, false), &status(2, 9, false, false)),
            None,
            "as bad as before"
        );
    }
}
