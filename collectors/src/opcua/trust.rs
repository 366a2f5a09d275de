//! Certificates: our own, and the one that is pinned.
//!
//! The library's store checks that a server's certificate is, byte for byte, in its folder of trusted ones. That
//! folder holds the pinned certificate and nothing else. Its further checks (host name, dates, application URI) are
//! off, because a machine addressed by IP fails them always; what they would add is less than what a pin says.
//!
//! Nothing is renewed by itself: a new pair of ours is a stranger to every server that had been told to trust the old
//! one, and the data would stop at a moment nobody chose. Thirty days before a certificate ends, log and status say so;
//! [`renew_own`] makes the new pair when somebody is there to tell the servers (decision 0016).

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use opcua::crypto::{CertificateStore, X509, X509Data};
use sha2::{Digest as _, Sha256};

use super::client::{Open, Server};
use super::own_folder;
use crate::manifest::{OpcUa, Security, Source, Thumbprint, User};
use crate::{BuildError, CollectError, Notes};

/// What we call ourselves towards servers; stands in our certificate too.
pub(super) const APPLICATION_URI: &str = "urn:inuse:agent";
/// As people see it in a server's list of clients.
pub(super) const APPLICATION_NAME: &str = "inuse-agent";

/// Twenty years: nobody renews the certificate of a gateway in a cabinet, and servers trust it by itself.
const VALID_DAYS: u32 = 20 * 365;
const KEY_BITS: u32 = 2_048;
/// How long before its end a certificate is warned of, ms.
const WARN_MS: i64 = 30 * 86_400_000;

/// What a certificate says, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Distinguished name.
    pub subject: String,
    /// First day, as in `2026-11-22`.
    pub not_before: String,
    /// Last day.
    pub not_after: String,
    /// Its end, Unix ms.
    pub not_after_ms: i64,
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// 40 hexadecimal digits, as many tools show it.
    pub sha1: String,
    /// Length of the key, bits; 0 when it cannot be read.
    pub key_bits: usize,
}

impl Certificate {
    fn of(certificate: &X509, der: &[u8]) -> Result<Self, String> {
        let unreadable = |_| "its certificate cannot be read".to_owned();
        let not_before = certificate.not_before().map_err(unreadable)?;
        let not_after = certificate.not_after().map_err(unreadable)?;
        let day = |text: String| text.get(..10).unwrap_or_default().to_owned();
        Ok(Self {
            subject: certificate.subject_name(),
            not_before: day(not_before.to_rfc3339()),
            not_after: day(not_after.to_rfc3339()),
            not_after_ms: not_after.timestamp_millis(),
            sha256: sha256(der).to_string(),
            sha1: Thumbprint::Sha1(certificate.thumbprint().value().try_into().unwrap_or_default())
                .to_string(),
            key_bits: certificate.key_length().unwrap_or(0),
        })
    }

    /// What to say of its end, when that is near at `now_ms`.
    pub fn ending(&self, whose: &str, now_ms: i64) -> Option<String> {
        let left_ms = self.not_after_ms - now_ms;
        match left_ms {
            ..0 => Some(format!("{whose} certificate ended on {}", self.not_after)),
            0..WARN_MS => Some(format!(
                "{whose} certificate ends on {}, in {} days",
                self.not_after,
                left_ms / 86_400_000
            )),
            _ => None,
        }
    }
}

/// The certificate that the server of a source shows now; `None` where the channel has none.
///
/// # Errors
/// As a collector's run.
pub async fn certificate(
    source: &Source,
    server: &OpcUa,
    state_dir: &Path,
) -> Result<Option<Certificate>, CollectError> {
    if server.security == Security::None {
        return Ok(None);
    }
    let line = Server::new(server, &own_folder(source, state_dir));
    let endpoint = line.discover().await?;
    read(endpoint.server_certificate.as_ref()).map(Some).map_err(|why| line.refused(why))
}

/// Makes a new pair of ours and sets the old one aside, as `*.old`. What stands in the new certificate; each server must
/// be told to trust it. Slow, and blocks.
///
/// # Errors
/// When the files cannot be moved or made.
pub fn renew_own(
    source: &Source,
    server: &OpcUa,
    state_dir: &Path,
) -> Result<(Certificate, PathBuf), BuildError> {
    let own = Server::new(server, &own_folder(source, state_dir)).own;
    for path in [&own.certificate, &own.key] {
        let old = path.with_extension(format!("{}.old", path.extension().unwrap_or_default().display()));
        match fs::rename(path, old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(path, error)),
            _ => {}
        }
    }
    own.ensure()?;
    let der = fs::read(&own.certificate).map_err(|error| file(&own.certificate, error))?;
    let made = read(&der).map_err(|why| BuildError::Certificate { why })?;
    Ok((made, own.certificate))
}

/// A certificate in DER or PEM.
fn read(bytes: &[u8]) -> Result<Certificate, String> {
    let unreadable = || "its certificate cannot be read".to_owned();
    let certificate = X509::from_der(bytes).or_else(|_| X509::from_pem(bytes)).map_err(|_| unreadable())?;
    let der = certificate.to_der().map_err(|_| unreadable())?;
    Certificate::of(&certificate, &der)
}

/// Warns of certificates whose end is near: the server's, ours, and that of the user we say we are.
pub(super) fn warn_of_expiry(server: &Server, open: &Open<'_>, now_ms: i64, notes: &Notes, source: u16) {
    if server.config.security == Security::None {
        return;
    }
    let shown = open.session.endpoint_info().endpoint.server_certificate.clone();
    let own = fs::read(&server.own.certificate).unwrap_or_default();
    let user = match &server.config.user {
        Some(User::Certificate { certificate, .. }) => fs::read(certificate).unwrap_or_default(),
        Some(User::Password { .. }) | None => Vec::new(),
    };
    for (about, whose, bytes) in [
        ("server_certificate", "the server's", shown.as_ref()),
        ("client_certificate", "our client", own.as_slice()),
        ("user_certificate", "our user's", user.as_slice()),
    ] {
        let warning = read(bytes).ok().and_then(|certificate| certificate.ending(whose, now_ms));
        if let Some(text) = &warning {
            tracing::warn!(source, certificate = about, "{text}");
        }
        notes.warn(source, about, warning);
    }
}

/// Our certificate and key, below `folder`.
pub(super) struct OwnFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl OwnFiles {
    pub(super) fn below(folder: &Path) -> Self {
        Self { certificate: folder.join("own/cert.der"), key: folder.join("private/private.pem") }
    }

    /// Makes the pair where there is none. Slow, and blocks.
    pub(super) fn ensure(&self) -> Result<(), BuildError> {
        // One gateway has one pair; its collectors start together.
        static MAKING: Mutex<()> = Mutex::new(());
        let _one = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match (self.certificate.is_file(), self.key.is_file()) {
            (true, true) => return Ok(()),
            (false, false) => {}
            _ => {
                let (certificate, key) = (self.certificate.display(), self.key.display());
                return Err(BuildError::Certificate {
                    why: format!("only one of {certificate} and {key} is there"),
                });
            }
        }
        let folder = self.key.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| file(folder, error))?;
        let alt_host_names = X509Data::alt_host_names(APPLICATION_URI, None, false, true, false);
        let data = X509Data {
            key_size: KEY_BITS,
            common_name: APPLICATION_NAME.into(),
            organization: "inuse".into(),
            organizational_unit: String::new(),
            country: String::new(),
            state: String::new(),
            alt_host_names,
            certificate_duration_days: VALID_DAYS,
        };
        CertificateStore::create_certificate_and_key(&data, false, &self.certificate, &self.key)
            .map_err(|why| BuildError::Certificate { why })?;
        fs::set_permissions(&self.key, fs::Permissions::from_mode(0o600))
            .map_err(|error| file(&self.key, error))
    }
}

fn file(path: &Path, source: io::Error) -> BuildError {
    BuildError::File { path: path.display().to_string(), source }
}

/// SHA-256 of a certificate in DER.
pub(super) fn sha256(der: &[u8]) -> Thumbprint {
    Thumbprint::Sha256(Sha256::digest(der).into())
}

/// Whether a certificate is the pinned one; if not, what to tell the operator.
pub(super) fn check_pin(pin: Option<Thumbprint>, der: &[u8]) -> Result<(), String> {
    let shown = sha256(der);
    let matches = match pin {
        Some(Thumbprint::Sha256(_)) => pin == Some(shown),
        Some(Thumbprint::Sha1(expected)) => {
            X509::from_der(der).is_ok_and(|certificate| certificate.thumbprint().value() == expected)
        }
        None => {
            return Err(format!(
                "its certificate is not pinned; compare {shown} with what its own screen or file says, then pin it with \
                 `inuse-agent trust`, or by server_thumbprint = \"{shown}\" for this source in the manifest"
            ));
        }
    };
    if matches {
        return Ok(());
    }
    let pin = pin.map(|pin| pin.to_string()).unwrap_or_default();
    Err(format!(
        "its certificate {shown} is not the pinned one, {pin}; was the server replaced, or is this another?"
    ))
}

/// Makes the pinned certificate the only trusted one of a store's folder.
pub(super) fn trust_only(pki: &Path, der: &[u8]) -> Result<(), String> {
    let certificate = X509::from_der(der).map_err(|_| "its certificate cannot be read".to_owned())?;
    let name = CertificateStore::cert_file_name(&certificate);
    for (folder, keep) in [("trusted", Some(name.as_str())), ("rejected", None)] {
        let folder = pki.join(folder);
        let replaced = replace(&folder, keep, der);
        replaced.map_err(|error| format!("cannot keep its certificate in {}: {error}", folder.display()))?;
    }
    Ok(())
}

/// Empties a folder but for the one file named, which gets this content.
fn replace(folder: &Path, keep: Option<&str>, content: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if keep.is_none_or(|keep| entry.file_name() != keep) {
            fs::remove_file(entry.path())?;
        }
    }
    let Some(keep) = keep else { return Ok(()) };
    let path = folder.join(keep);
    if fs::read(&path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    fs::write(path, content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Kind, Manifest};

    fn plant(folder: &Path) -> (Source, OpcUa) {
        let text = "[[sources]]\nname = \"oven\"\n[sources.opcua]\nendpoint = \"opc.tcp://127.0.0.1:4840\"\n\
                    policy = \"basic256sha256\"\npoints = [{ name = \"t\", node = \"ns=2;i=1\" }]\n";
        let mut manifest = Manifest::parse("manifest.toml", text, folder).unwrap();
        let source = manifest.sources.remove(0);
        let Kind::OpcUa(server) = source.kind.clone() else { panic!() };
        (source, server)
    }

    #[test]
    fn the_end_of_a_certificate_is_told_from_thirty_days_before_it_on_and_after_it() {
        let day = 86_400_000;
        let certificate = Certificate {
            subject: "CN=press".to_owned(),
            not_before: "2025-01-01".to_owned(),
            not_after: "2026-01-01".to_owned(),
            not_after_ms: 100 * day,
            sha256: String::new(),
            sha1: String::new(),
            key_bits: 2_048,
        };
        let told = |now_ms| certificate.ending("the server's", now_ms);
        assert_eq!(told(70 * day - 1), None);
        assert_eq!(
            told(70 * day + 1).as_deref(),
            Some("the server's certificate ends on 2026-01-01, in 29 days")
        );
        assert_eq!(told(100 * day + 1).as_deref(), Some("the server's certificate ended on 2026-01-01"));
    }

    #[test]
    fn a_renewed_pair_of_ours_is_another_one_and_the_old_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (source, server) = plant(folder.path());
        let (first, path) = renew_own(&source, &server, folder.path()).unwrap();
        let before = fs::read(&path).unwrap();
        let (second, again) = renew_own(&source, &server, folder.path()).unwrap();
        assert_eq!(path, again);
        assert_ne!(first.sha256, second.sha256);
        let old = path.with_extension("der.old");
        assert_eq!(fs::read(old).unwrap(), before);
        assert_eq!(read(&fs::read(&path).unwrap()).unwrap(), second);
        // For twenty years: nobody has to be warned of it.
        let now_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        assert_eq!(second.ending("our client", now_ms), None);
    }
}
