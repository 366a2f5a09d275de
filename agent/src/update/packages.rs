//! Packages: what kind one is, who signed it, and how the system's own programs install it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use data_encoding::HEXLOWER;
use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

/// Where packages are kept, to go back to: what a package manager installed, and what the tar's installer did. On
/// systems that need the latter `/var` is often in memory.
pub(super) const FOLDERS: [&str; 2] = ["/var/lib/inuse-update", "/usr/share/inuse/update"];

/// What the tar leaves behind to go back with.
const INSTALLER: &str = "/usr/share/inuse/install.sh";

/// Largest package that is read.
const MAX_PACKAGE: u64 = 64 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Deb,
    Rpm,
    Tar,
}

impl Kind {
    pub(super) fn of(package: &Path) -> anyhow::Result<Self> {
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

    /// Where packages of this kind are kept.
    pub(super) fn folder(self) -> &'static Path {
        Path::new(match self {
            Self::Deb | Self::Rpm => FOLDERS[0],
            Self::Tar => FOLDERS[1],
        })
    }

    fn place(self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}.{}", self.end()))
    }

    /// The package of the installed version, as an earlier update kept it.
    pub(super) fn kept(self) -> PathBuf {
        self.place("installed")
    }

    /// The package of the version that is installed; `None` for the tar, whose installer keeps what was before itself.
    pub(super) async fn way_back(
        self,
        previous: Option<&Path>,
        key: &Path,
    ) -> anyhow::Result<Option<PathBuf>> {
        let (ask, installed): (&[&str], &[&str]) = match self {
            Self::Tar => return Ok(None),
            Self::Deb => (
                &["dpkg-deb", "--show", "--showformat=${Version}"],
                &["dpkg-query", "--show", "--showformat=${Version}", "inuse-agent"],
            ),
            Self::Rpm => (
                &["rpm", "--query", "--queryformat=%{VERSION}", "--package"],
                &["rpm", "--query", "--queryformat=%{VERSION}", "inuse-agent"],
            ),
        };
        let package = match previous {
            Some(previous) => {
                ensure!(Self::of(previous)? == self, "{} is of another kind", previous.display());
                self.bring(previous, "previous", key)?
            }
            None => self.kept(),
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

    /// Copies a package to a folder of root's and checks there that it is what the release key's owner signed.
    pub(super) fn bring(self, package: &Path, name: &str, key: &Path) -> anyhow::Result<PathBuf> {
        let listed_as = package.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let beside = package.parent().unwrap_or(Path::new(""));
        let (sums, signature) = (beside.join("SHA256SUMS"), beside.join("SHA256SUMS.minisig"));
        let text = read(&sums)?;
        signed(&text, &sums, &signature, key)?;
        let bytes = read(package)?;
        let digest = HEXLOWER.encode(&Sha256::digest(&bytes));
        let listed = String::from_utf8_lossy(&text).lines().any(|line| {
            line.split_once("  ").is_some_and(|(sum, name)| sum == digest && name.trim_end() == listed_as)
        });
        ensure!(listed, "{} is not the package that {} lists", package.display(), sums.display());
        let place = self.place(name);
        daemon::files::write_whole(&place, &bytes, 0o600)
            .with_context(|| format!("could not keep {}", place.display()))?;
        Ok(place)
    }

    pub(super) async fn install(self, package: &Path) -> anyhow::Result<()> {
        let path = package.as_os_str();
        match self {
            Self::Deb => dpkg("INUSE_DOWNGRADE=no", path).await,
            Self::Rpm => command("rpm", &["--upgrade".as_ref(), path]).await,
            Self::Tar => {
                let folder = self.folder().join("unpacked");
                if folder.exists() {
                    fs::remove_dir_all(&folder).context("the last unpacked package is in the way")?;
                }
                fs::create_dir_all(&folder).context("no folder to unpack in")?;
                let into = folder.as_os_str();
                command("tar", &["-x".as_ref(), "-z".as_ref(), "-C".as_ref(), into, "-f".as_ref(), path])
                    .await?;
                let top = fs::read_dir(&folder)?.next().context("an empty archive")??.path();
                let installed = command(top.join("install.sh"), &[]).await;
                fs::remove_dir_all(&folder).context("could not remove the unpacked package")?;
                installed
            }
        }
    }

    /// Installs the package of the version before, `None` for what the tar's installer kept of it.
    pub(super) async fn go_back(self, previous: Option<&Path>) -> anyhow::Result<()> {
        match previous.map(Path::as_os_str) {
            None => command(INSTALLER, &["roll-back".as_ref()]).await,
            // The store is safe: the buffer refuses a newer format before it touches it.
            Some(path) if self == Self::Deb => dpkg("INUSE_DOWNGRADE=yes", path).await,
            Some(path) => {
                let words = ["--upgrade", "--oldpackage", "--replacepkgs"].map(OsStr::new);
                command("rpm", &[&words[..], &[path]].concat()).await
            }
        }
    }
}

/// Makes the folder of a kind of packages: root's alone.
pub(super) fn make(folder: &Path) -> anyhow::Result<()> {
    let make = || {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
    };
    make().with_context(|| format!("could not make {}", folder.display()))
}

/// A file's SHA-256, in hex.
pub(super) fn digest(path: &Path) -> anyhow::Result<String> {
    Ok(HEXLOWER.encode(&Sha256::digest(&read(path)?)))
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
    let read = || {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(MAX_PACKAGE + 1).read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    let bytes = read().with_context(|| format!("could not read {}", path.display()))?;
    ensure!(bytes.len() as u64 <= MAX_PACKAGE, "{} is larger than a package", path.display());
    Ok(bytes)
}

/// Installs a deb. A file that somebody edited stays as it is: there is nobody to ask.
async fn dpkg(downgrade: &str, path: &OsStr) -> anyhow::Result<()> {
    let words = [downgrade, "dpkg", "--force-confdef", "--force-confold", "--install"].map(OsStr::new);
    command("env", &[&words[..], &[path]].concat()).await
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

    #[test]
    fn a_package_is_known_by_its_name() {
        for (name, kind) in [("a_1_arm64.deb", Kind::Deb), ("a-1.rpm", Kind::Rpm), ("a.tar.gz", Kind::Tar)] {
            assert_eq!(Kind::of(Path::new(name)).unwrap(), kind);
        }
        assert!(Kind::of(Path::new("a.ipk")).is_err());
    }
}
