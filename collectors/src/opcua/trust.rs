//! Certificates: our own, and the one that is pinned.
//!
//! The library's store checks that a server's certificate is, byte for byte, in its folder of trusted ones. That
//! folder holds the pinned certificate and nothing else. Its further checks (host name, dates, application URI) are
//! off, because a machine addressed by IP fails them always; what they would add is less than what a pin says.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use opcua::crypto::{CertificateStore, X509, X509Data};
use sha2::{Digest as _, Sha256};

use crate::BuildError;
use crate::manifest::Thumbprint;

/// What we call ourselves towards servers; stands in our certificate too.
pub(super) const APPLICATION_URI: &str = "urn:inuse:agent";
/// As people see it in a server's list of clients.
pub(super) const APPLICATION_NAME: &str = "inuse-agent";

/// Twenty years: nobody renews the certificate of a gateway in a cabinet, and servers trust it by itself.
const VALID_DAYS: u32 = 20 * 365;
const KEY_BITS: u32 = 2_048;

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
                "its certificate is not pinned; compare {shown} with what its own screen or file says, then set \
                 server_thumbprint = \"{shown}\" for this source in the manifest (`inuse-agent probe` shows it again)"
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
