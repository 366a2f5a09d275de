//! Who this gateway is: its keys, and what enrolment gave it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::files;
use data_encoding::HEXLOWER;
use proof::pseudonym::PseudonymKey;
use proof::{AgentId, Words};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use crate::config::BrokerAddress;
use crate::hardware;
use crate::keys::Keys;

/// What `enrolment.json` holds: the server's answer, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Enrolled {
    pub(crate) agent: String,
    pub(crate) project: String,
    pub(crate) epoch: u32,
    pub(crate) broker_host: String,
    pub(crate) broker_port: u16,
    pub(crate) log_vkey: String,
    pub(crate) server_ms: i64,
    /// Hash of what the hardware said it was, hex; empty where nothing did.
    #[serde(default)]
    pub(crate) hardware: String,
    /// Hash of the before-baseline that the server said the log has, hex; empty where it has none.
    #[serde(default)]
    pub(crate) baseline: String,
}

/// Keys and certificates of an enrolled gateway.
#[derive(Debug)]
pub struct Identity {
    /// Its id.
    pub agent: AgentId,
    /// The firm's project.
    pub project: String,
    /// Where to publish.
    pub broker: BrokerAddress,
    /// Verifier key of the log, pinned at enrolment.
    pub log_vkey: String,
    /// The six words of the key as it was enrolled, for firm and city to compare.
    pub words: Words,
    /// Hash of the before-baseline that the server said at enrolment the log has, hex; empty where it has none.
    pub baseline: String,
    /// Whether the hardware is what it was at enrolment; `None` where it said nothing, then or now.
    pub same_hardware: Option<bool>,
    /// What it signs with, by epoch.
    pub keys: Keys,
    pub(crate) pseudonyms: PseudonymKey,
    pub(crate) salt: [u8; 32],
    pub(crate) tls: Arc<ClientConfig>,
}

/// Why there is no identity to run with.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// `enrol` was never run, or its answer is gone.
    #[error("not enrolled: run `inuse-agent enrol` with a token of `inuse-server project add` first")]
    NotEnrolled,
    /// A file of the state directory cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The certificates do not make a TLS client.
    #[error("client certificate of {} cannot be used", dir.display())]
    Tls {
        /// The state directory.
        dir: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

impl Identity {
    /// Reads what `enrol` left in the state directory.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn load(state_dir: &Path) -> Result<Self, IdentityError> {
        let path = state_dir.join("enrolment.json");
        let wrong = |path: &Path, source| IdentityError::File { path: path.to_owned(), source };
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(IdentityError::NotEnrolled),
            Err(error) => return Err(wrong(&path, error)),
        };
        let enrolled: Enrolled = serde_json::from_slice(&text).map_err(|error| wrong(&path, error.into()))?;
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let agent = enrolled.agent.parse().map_err(|_| wrong(&path, invalid("no agent id")))?;
        let secret = |name: &str| {
            let path = state_dir.join(name);
            files::secret(&path).map_err(|error| wrong(&path, error))
        };
        let keys = Keys::load(state_dir, enrolled.epoch).map_err(|(path, error)| wrong(&path, error))?;
        let lost = || wrong(&path, invalid("no key of the epoch of enrolment"));
        let first = keys.public(enrolled.epoch).ok_or_else(lost)?;
        let hardware = hardware::of(Path::new("/"), agent).map(|hash| HEXLOWER.encode(&hash));
        let same_hardware =
            hardware.filter(|_| !enrolled.hardware.is_empty()).map(|now| now == enrolled.hardware);
        Ok(Self {
            agent,
            words: Words::of(agent, &first),
            same_hardware,
            baseline: enrolled.baseline,
            keys,
            project: enrolled.project,
            broker: BrokerAddress { host: enrolled.broker_host, port: enrolled.broker_port },
            log_vkey: enrolled.log_vkey,
            pseudonyms: PseudonymKey::new(secret(PROJECT_KEY)?),
            salt: secret(SALT)?,
            tls: tls(state_dir)?,
        })
    }
}

pub(crate) use crate::keys::KEY;

/// Name of the pseudonym key's file. It is the project's: it stays here and with the firm.
pub(crate) const PROJECT_KEY: &str = "project.key";

/// Name of the file with the salt of the manifest's names.
pub(crate) const SALT: &str = "salt";

/// A TLS client that trusts the server's authority alone and shows the gateway's certificate.
fn tls(dir: &Path) -> Result<Arc<ClientConfig>, IdentityError> {
    let file = |name: &str| dir.join(name);
    let pem = |path: PathBuf, error| {
        let source = io::Error::new(io::ErrorKind::InvalidData, format!("{error}"));
        IdentityError::File { path, source }
    };
    let authority =
        CertificateDer::from_pem_file(file("ca.crt")).map_err(|error| pem(file("ca.crt"), error))?;
    let chain: Vec<_> = CertificateDer::pem_file_iter(file("client.crt"))
        .and_then(Iterator::collect)
        .map_err(|error| pem(file("client.crt"), error))?;
    let key =
        PrivateKeyDer::from_pem_file(file("client.key")).map_err(|error| pem(file("client.key"), error))?;
    let wrong = |source| IdentityError::Tls { dir: dir.to_owned(), source };
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(wrong)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(wrong)?;
    Ok(Arc::new(config))
}
