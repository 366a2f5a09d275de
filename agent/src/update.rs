//! Installs a package of a newer version through the system's own package manager, and goes back when the agent does
//! not do afterwards what it did before.
//!
//! A package is believed by its checksum in `SHA256SUMS` beside it, and that by a minisign signature of the release
//! key. What is judged is a running agent: another process answers, its chain goes on where it was, and every source
//! and the line to the broker that worked before work again.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
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

/// An update, as it was asked for.
#[derive(Debug, Clone)]
pub struct Update {
    /// The package: `.deb`, `.rpm` or `.tar.gz`, with `SHA256SUMS` and `SHA256SUMS.minisig` beside it.
    pub package: PathBuf,
    /// The package of the version that is installed, where an earlier update has not kept it.
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

    fn kept(self) -> PathBuf {
        let end = match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
            Self::Tar => "tar.gz",
        };
        Path::new(KEPT).join(format!("installed.{end}"))
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
    verify(&update.package, &update.key)?;
    let before = status::ask(&update.socket)
        .await
        .context("no agent runs, and an update is judged by what the agent did before: start it first")?;
    // Kept aside before anything is touched.
    let back = match (kind, &update.previous) {
        (Kind::Tar, _) => None,
        (_, Some(previous)) => {
            ensure!(Kind::of(previous)? == kind, "{} is of another kind", previous.display());
            Some(keep(previous, "previous", kind)?)
        }
        (_, None) => {
            ensure!(
                kind.kept().is_file(),
                "there would be no way back: name the package of the installed version with --previous"
            );
            Some(kind.kept())
        }
    };
    info!(package = %update.package.display(), "installing");
    let installed = install(kind, &update.package, false).await;
    let judged = match installed {
        Ok(()) => judge(update, &before).await,
        Err(error) => Err(error),
    };
    let Err(why) = judged else {
        keep(&update.package, "installed", kind)?;
        return Ok(format!("{} is installed and does what the one before did\n", update.package.display()));
    };
    warn!(why = %format!("{why:#}"), "going back");
    let went_back = match (kind, &back) {
        (Kind::Tar, _) => command("/usr/share/inuse/install.sh", &["roll-back".as_ref()]).await,
        (_, Some(previous)) => install(kind, previous, true).await,
        (_, None) => Err(anyhow::anyhow!("there is no package before this one")),
    };
    went_back.with_context(|| format!("the new one failed ({why:#}), and going back failed too"))?;
    judge(update, &before).await.with_context(|| {
        format!("the new one failed ({why:#}); the one before is back and is not well either")
    })?;
    Err(why.context("the new one was taken back, the one before runs again"))
}

/// Waits until an agent does what `before` did.
async fn judge(update: &Update, before: &Status) -> anyhow::Result<()> {
    let mut missing = "no agent answers".to_owned();
    let looking = async {
        loop {
            match status::ask(&update.socket).await {
                Ok(now) => match shortfall(before, &now) {
                    None => return,
                    Some(shortfall) => missing = shortfall,
                },
                Err(error) => missing = format!("no agent answers: {error}"),
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

/// That the package is what the release key's owner signed.
fn verify(package: &Path, key: &Path) -> anyhow::Result<()> {
    let folder = package.parent().unwrap_or(Path::new(""));
    let (sums, signature) = (folder.join("SHA256SUMS"), folder.join("SHA256SUMS.minisig"));
    let read = |path: &Path| fs::read(path).with_context(|| format!("could not read {}", path.display()));
    let wrong = |what: &str, path: &Path, error: minisign_verify::Error| {
        anyhow::anyhow!("{} is not {what}: {error}", path.display())
    };
    let key_of = PublicKey::from_file(key)
        .map_err(|error| wrong("minisign's public key of the releases (--key names another)", key, error))?;
    let text = read(&sums)?;
    let signed = Signature::from_file(&signature).map_err(|error| wrong("a signature", &signature, error))?;
    key_of
        .verify(&text, &signed, false)
        .map_err(|error| wrong("signed with the release key", &sums, error))?;
    let length = fs::metadata(package).with_context(|| format!("no {}", package.display()))?.len();
    ensure!(length <= MAX_PACKAGE, "{} has {length} bytes, more than a package", package.display());
    let digest = HEXLOWER.encode(&Sha256::digest(read(package)?));
    let name = package.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let listed = String::from_utf8_lossy(&text).lines().any(|line| {
        line.split_once("  ").is_some_and(|(sum, listed)| sum == digest && listed.trim_end() == name)
    });
    ensure!(listed, "{} is not the package that {} lists", package.display(), sums.display());
    Ok(())
}

/// Copies a package to where the next update finds it.
fn keep(package: &Path, as_name: &str, kind: Kind) -> anyhow::Result<PathBuf> {
    let kept = kind.kept();
    let place = kept.with_file_name(kept.file_name().and_then(OsStr::to_str).unwrap_or_default().replacen(
        "installed",
        as_name,
        1,
    ));
    let copy = || -> io::Result<()> {
        fs::create_dir_all(KEPT)?;
        let beside = place.with_extension("new");
        fs::copy(package, &beside)?;
        fs::File::open(&beside)?.sync_all()?;
        fs::rename(&beside, &place)
    };
    copy().with_context(|| format!("could not keep {}", place.display()))?;
    Ok(place)
}

async fn install(kind: Kind, package: &Path, back: bool) -> anyhow::Result<()> {
    let path = fs::canonicalize(package).with_context(|| format!("no {}", package.display()))?;
    let path = path.as_os_str();
    match kind {
        Kind::Deb => {
            // On the way back the store is safe: the buffer refuses a newer format before it touches it.
            let choice = if back { "INUSE_DOWNGRADE=yes" } else { "INUSE_DOWNGRADE=no" };
            command("env", &[choice.as_ref(), "dpkg".as_ref(), "--install".as_ref(), path]).await
        }
        Kind::Rpm if back => command("rpm", &["--upgrade".as_ref(), "--oldpackage".as_ref(), path]).await,
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
