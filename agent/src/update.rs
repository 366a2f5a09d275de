//! Installs a package of a newer version through the system's own package manager, and goes back when the agent does
//! not do afterwards what it did before.
//!
//! A package is believed by its checksum in `SHA256SUMS` beside it, and that by a minisign signature of the release
//! key. What is judged is a running agent: another process answers, its chain goes on where it was, and every source
//! and the line to the broker that worked before work again.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use daemon::Stopwatch;
use data_encoding::HEXLOWER;
use minisign_verify::{PublicKey, Signature};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;
use tracing::{info, warn};

use crate::status::{self, Status};

/// Where installed packages are kept, to go back to.
const KEPT: &str = "/var/lib/inuse-update";

/// The public key that releases are signed with, unless another is named.
pub const RELEASE_KEY: &str = "/etc/inuse/release.pub";

/// Largest package that is read.
const MAX_PACKAGE: u64 = 64 << 20;

/// Time between two looks at the new agent.
const LOOK: Duration = Duration::from_secs(1);

/// How long the same process must do what the old one did: one good second is no success.
const STEADY: Duration = Duration::from_secs(15);

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Deb,
    Rpm,
    Tar,
}

impl Kind {
    fn of(package: &Path) -> anyhow::Result<Self> {
        let name = package.file_name().and_then(OsStr::to_str).unwrap_or_default();
        match name {
            name if name.ends_with(".deb") => Ok(Self::Deb),
            name if name.ends_with(".rpm") => Ok(Self::Rpm),
            name if name.ends_with(".tar.gz") => Ok(Self::Tar),
            _ => bail!("{} is no package: its name ends in .deb, .rpm or .tar.gz", package.display()),
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
            Self::Tar => "tar.gz",
        }
    }

    /// The package of the installed version, as an earlier update kept it.
    fn kept(self) -> PathBuf {
        Path::new(KEPT).join(format!("installed.{}", self.end()))
    }
}

/// Does it. Returns what to tell.
///
/// # Errors
/// When nothing was installed, with the reason; when the new agent did not do what the old one did, after going back.
pub async fn run(update: &Update) -> anyhow::Result<String> {
    let kind = Kind::of(&update.package)?;
    let own = fs::metadata("/proc/self").context("who runs this is not known")?;
    ensure!(own.uid() == 0, "packages are installed by root");
    // A terminal that goes away takes this with it otherwise, between installing and judging.
    let _hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    let before = status::ask(&update.socket)
        .await
        .context("no agent runs, and an update is judged by what the agent did before: start it first")?;
    // Copied to where nobody else writes, and only then looked at: what was checked is what is installed.
    let package = bring(&update.package, "new", kind, &update.key)?;
    let back = way_back(update, kind).await?;
    let program = digest(Path::new(PROGRAM))?;
    info!(package = %update.package.display(), "installing");
    let judged = match install(kind, &package, false).await {
        Ok(()) => judge(update, &before).await,
        Err(error) if digest(Path::new(PROGRAM)).is_ok_and(|now| now == program) => {
            return Err(error.context("nothing was installed, the agent from before still runs"));
        }
        Err(error) => Err(error),
    };
    let Err(why) = judged else {
        fs::rename(&package, kind.kept()).context("the package could not be kept to go back to")?;
        return Ok(format!("{} is installed and does what the one before did\n", update.package.display()));
    };
    warn!(why = %format!("{why:#}"), "going back");
    let went_back = match &back {
        None => command("/usr/share/inuse/install.sh", &["roll-back".as_ref()]).await,
        Some(previous) => install(kind, previous, true).await,
    };
    went_back.with_context(|| format!("the new one failed ({why:#}), and going back failed too"))?;
    judge(update, &before).await.with_context(|| {
        format!("the new one failed ({why:#}); the one before is back and is not well either")
    })?;
    Err(why.context("the new one was taken back, the one before runs again"))
}

/// The package of the version that is installed; `None` for the tar, whose installer keeps the program itself.
async fn way_back(update: &Update, kind: Kind) -> anyhow::Result<Option<PathBuf>> {
    let (ask, installed): (&[&str], &[&str]) = match kind {
        Kind::Tar => return Ok(None),
        Kind::Deb => (
            &["dpkg-deb", "--show", "--showformat=${Version}"],
            &["dpkg-query", "--show", "--showformat=${Version}", "inuse-agent"],
        ),
        Kind::Rpm => (
            &["rpm", "--query", "--queryformat=%{VERSION}", "--package"],
            &["rpm", "--query", "--queryformat=%{VERSION}", "inuse-agent"],
        ),
    };
    let package = match &update.previous {
        Some(previous) => {
            ensure!(Kind::of(previous)? == kind, "{} is of another kind", previous.display());
            bring(previous, "previous", kind, &update.key)?
        }
        None => kind.kept(),
    };
    ensure!(
        package.is_file(),
        "there would be no way back: name the package of the installed version with --previous"
    );
    let installed = said(installed, None).await?;
    let its = said(ask, Some(&package)).await?;
    ensure!(
        installed == its,
        "{installed} is installed, and the package to go back to is {its}: name the right one with --previous"
    );
    Ok(Some(package))
}

/// Waits until an agent does what `before` did.
async fn judge(update: &Update, before: &Status) -> anyhow::Result<()> {
    let mut missing = "no agent answers".to_owned();
    let mut well: Option<(u32, Stopwatch)> = None;
    let looking = async {
        loop {
            let (pid, shortfall) = match status::ask(&update.socket).await {
                Ok(now) => (now.pid, shortfall(before, &now)),
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
    let judged = tokio::time::timeout(update.patience, looking).await;
    judged.map_err(|_| anyhow::anyhow!("after {} s {missing}", update.patience.as_secs()))
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

/// Copies a package to a folder of root's and checks there that it is what the release key's owner signed.
fn bring(package: &Path, name: &str, kind: Kind, key: &Path) -> anyhow::Result<PathBuf> {
    let listed_as = package.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let folder = package.parent().unwrap_or(Path::new(""));
    let (sums, signature) = (folder.join("SHA256SUMS"), folder.join("SHA256SUMS.minisig"));
    let text = read(&sums)?;
    signed(&text, &sums, &signature, key)?;
    let bytes = read(package)?;
    let digest = HEXLOWER.encode(&Sha256::digest(&bytes));
    let listed = String::from_utf8_lossy(&text).lines().any(|line| {
        line.split_once("  ").is_some_and(|(sum, name)| sum == digest && name.trim_end() == listed_as)
    });
    ensure!(listed, "{} is not the package that {} lists", package.display(), sums.display());
    let place = Path::new(KEPT).join(format!("{name}.{}", kind.end()));
    let store = || -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(KEPT)?;
        fs::set_permissions(KEPT, fs::Permissions::from_mode(0o700))?;
        crate::files::write(&place, &bytes, 0o600)
    };
    store().with_context(|| format!("could not keep {}", place.display()))?;
    Ok(place)
}

/// That the checksums are signed with the release key.
fn signed(text: &[u8], sums: &Path, signature: &Path, key: &Path) -> anyhow::Result<()> {
    let wrong = |what: &str, path: &Path, error: minisign_verify::Error| {
        anyhow::anyhow!("{} is not {what}: {error}", path.display())
    };
    let key_of = PublicKey::from_file(key)
        .map_err(|error| wrong("minisign's public key of the releases (--key names another)", key, error))?;
    let signed = Signature::from_file(signature).map_err(|error| wrong("a signature", signature, error))?;
    key_of.verify(text, &signed, false).map_err(|error| wrong("signed with the release key", sums, error))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).with_context(|| format!("could not open {}", path.display()))?;
    file.take(MAX_PACKAGE + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("could not read {}", path.display()))?;
    ensure!(bytes.len() as u64 <= MAX_PACKAGE, "{} is larger than a package", path.display());
    Ok(bytes)
}

fn digest(path: &Path) -> anyhow::Result<[u8; 32]> {
    Ok(Sha256::digest(read(path)?).into())
}

async fn install(kind: Kind, package: &Path, back: bool) -> anyhow::Result<()> {
    let path = package.as_os_str();
    match kind {
        Kind::Deb => {
            // On the way back the store is safe: the buffer refuses a newer format before it touches it. A file that
            // somebody edited stays as it is: there is nobody to ask.
            let choice = if back { "INUSE_DOWNGRADE=yes" } else { "INUSE_DOWNGRADE=no" };
            let words = [choice, "dpkg", "--force-confdef", "--force-confold", "--install"].map(OsStr::new);
            command("env", &[&words[..], &[path]].concat()).await
        }
        Kind::Rpm if back => {
            let words = ["--upgrade", "--oldpackage", "--replacepkgs"].map(OsStr::new);
            command("rpm", &[&words[..], &[path]].concat()).await
        }
        Kind::Rpm => command("rpm", &["--upgrade".as_ref(), path]).await,
        Kind::Tar => {
            let folder = Path::new(KEPT).join("unpacked");
            if folder.exists() {
                fs::remove_dir_all(&folder).context("the last unpacked package is in the way")?;
            }
            fs::create_dir_all(&folder).context("no folder to unpack in")?;
            let into = folder.as_os_str();
            command("tar", &["-x".as_ref(), "-z".as_ref(), "-C".as_ref(), into, "-f".as_ref(), path]).await?;
            let top = fs::read_dir(&folder)?.next().context("an empty archive")??.path();
            let installed = command(top.join("install.sh"), &[]).await;
            fs::remove_dir_all(&folder).context("could not remove the unpacked package")?;
            installed
        }
    }
}

/// Runs a program of the system; what it says goes where ours goes.
async fn command(program: impl AsRef<OsStr>, args: &[&OsStr]) -> anyhow::Result<()> {
    let name = program.as_ref().to_string_lossy().into_owned();
    let status = Command::new(program.as_ref())
        .args(args)
        .stdin(Stdio::null())
        .status()
        .await
        .with_context(|| format!("could not start {name}"))?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

/// What a program of the system prints, asked of a package where one is given.
async fn said(words: &[&str], package: Option<&Path>) -> anyhow::Result<String> {
    let asked = Command::new(words[0]).args(&words[1..]).args(package).stdin(Stdio::null()).output().await;
    let asked = asked.with_context(|| format!("could not start {}", words[0]))?;
    let complaint = String::from_utf8_lossy(&asked.stderr).into_owned();
    ensure!(asked.status.success(), "{} ended with {}: {complaint}", words[0], asked.status);
    Ok(String::from_utf8_lossy(&asked.stdout).trim().to_owned())
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

    #[test]
    fn a_package_is_known_by_its_name() {
        for (name, kind) in [("a_1_arm64.deb", Kind::Deb), ("a-1.rpm", Kind::Rpm), ("a.tar.gz", Kind::Tar)] {
            assert_eq!(Kind::of(Path::new(name)).unwrap(), kind);
        }
        assert!(Kind::of(Path::new("a.ipk")).is_err());
    }
}
