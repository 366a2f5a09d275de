//! The certificate authority of one server: made at first start, kept in files, ECDSA P-256.
//!
//! It says who may open a connection and under which name; what an agent *says* is believed for its signature alone.
//! Four kinds of certificate: the authority (ten years), the server (two years, renewed at start when less than
//! thirty days are left or its names changed), the ingester's client certificate (likewise), and one client
//! certificate for each agent (two years), for which only the public key of the request is used.
//! The role stands in the organisation, which the authority alone writes: no agent can be enrolled as the ingester.
//! Certificates live by the system's clock, as the TLS that checks them does.
//! There is no revocation list: the broker asks the ledger at every connection.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::files;
use data_encoding::HEXLOWER;
use proof::AgentId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

const DAY_S: i64 = 86_400;
/// A client whose clock is behind ours must still accept a fresh certificate.
const BACKDATE_S: i64 = DAY_S;
const CA_S: i64 = 3_652 * DAY_S;
const LEAF_S: i64 = 730 * DAY_S;
const RENEW_S: i64 = 30 * DAY_S;
/// Longest file of ours that is read back: a certificate chain of two is below 2 KiB.
const MAX_FILE: u64 = 64 * 1024;

/// Common name of the ingester's client certificate.
pub const INGESTER: &str = "ingester";

/// What a certificate is for. Stands in it as the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A gateway.
    Agent,
    /// The ingester's connection to the broker.
    Ingester,
    /// Our listeners.
    Server,
}

impl Role {
    /// The organisation in the certificate's subject.
    pub const fn organisation(self) -> &'static str {
        match self {
            Self::Agent => "inuse agent",
            Self::Ingester => "inuse ingester",
            Self::Server => "inuse server",
        }
    }
}

/// Why the authority cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file cannot be read or written.
    #[error("could not keep {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is there and does not hold what its name says: restore it from a copy.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In which way.
        problem: String,
    },
    /// The certificate is there, its key is not; enrolled agents trust the certificate, so no new one is made.
    #[error("{} is missing beside its certificate", .0.display())]
    KeyMissing(PathBuf),
    /// The request is not one we sign.
    #[error("certificate request refused: {0}")]
    Request(String),
    /// A configured name cannot stand in a certificate.
    #[error("`{0}` is neither a DNS name nor an IP address")]
    Name(String),
    /// Making a key or certificate failed.
    #[error("could not make a certificate")]
    Make(#[from] rcgen::Error),
    /// The system has no randomness to give.
    #[error("no random bytes for a serial number")]
    Random(#[from] getrandom::Error),
}

/// A certificate with its chain and key: in memory, and the files they came from.
#[derive(Debug)]
pub struct Identity {
    /// The certificate, then the authority's, so that a client can pin the latter.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
    /// PEM of `chain`.
    pub chain_file: PathBuf,
    /// PEM of `key`, mode 0600.
    pub key_file: PathBuf,
}

impl Identity {
    /// TLS as our own listeners speak it: 1.2 and 1.3, the chain with the authority at its end.
    ///
    /// # Errors
    /// When key and certificate are not of each other.
    pub(crate) fn tls(&self) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The authority.
pub struct Ca {
    directory: PathBuf,
    der: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// Opens the authority in `directory`, or makes it at first start. `now_s`: Unix seconds by the system's clock.
    ///
    /// # Errors
    /// When files cannot be read or written, or one of them is damaged or missing.
    pub fn open(directory: &Path, now_s: i64) -> Result<Self, CaError> {
        let (key_file, pem_file) = (directory.join("ca.key"), directory.join("ca.pem"));
        let pem = read(&pem_file)?;
        let key = match (read(&key_file)?, &pem) {
            (Some(text), _) => KeyPair::from_pem(&text).map_err(|error| damaged(&key_file, error))?,
            (None, Some(_)) => return Err(CaError::KeyMissing(key_file)),
            (None, None) => {
                let key = KeyPair::generate()?;
                write(&key_file, &key.serialize_pem(), files::SECRET)?;
                key
            }
        };
        let pem = match pem {
            Some(pem) => pem,
            None => {
                let pem = authority(&key, now_s)?.self_signed(&key)?.pem();
                write(&pem_file, &pem, files::PUBLIC)?;
                tracing::info!(file = %pem_file.display(), "certificate authority made");
                pem
            }
        };
        let der =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| damaged(&pem_file, error))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| damaged(&pem_file, error))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return Err(damaged(&pem_file, "belongs to another key than ca.key"));
        }
        let issuer = Issuer::from_ca_cert_der(&der, key)?;
        Ok(Self { directory: directory.to_owned(), der, pem, issuer })
    }

    /// The authority's certificate.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The authority's certificate as text.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The file that holds [`Ca::pem`].
    pub fn file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// SHA-256 of the certificate: what an enrolment token carries a half of.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// The server's certificate for these DNS names and IP addresses; renewed when it is about to end or the names
    /// have changed.
    ///
    /// # Errors
    /// When a name is none, or files cannot be read or written.
    pub fn server(&self, names: &[String], now_s: i64) -> Result<Identity, CaError> {
        let mut params = leaf(Role::Server, &names.first().cloned().unwrap_or_default(), now_s)?;
        params.subject_alt_names = names.iter().map(|name| alt_name(name)).collect::<Result<_, _>>()?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.kept("server", params, now_s)
    }

    /// The ingester's client certificate; renewed when it is about to end.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn ingester(&self, now_s: i64) -> Result<Identity, CaError> {
        self.kept("ingester", leaf(Role::Ingester, INGESTER, now_s)?, now_s)
    }

    /// A client certificate for `agent` over the public key of the request; whatever else the request asks for is
    /// ignored. Returns PEM.
    ///
    /// # Errors
    /// When the request does not parse, is not signed by its key, or its key is neither P-256 nor Ed25519.
    pub fn agent(
        &self,
        request: &CertificateSigningRequestDer<'_>,
        agent: AgentId,
        now_s: i64,
    ) -> Result<String, CaError> {
        let request = CertificateSigningRequestParams::from_der(request)
            .map_err(|error| CaError::Request(error.to_string()))?;
        let algorithm = request.public_key.algorithm();
        if algorithm != &rcgen::PKCS_ECDSA_P256_SHA256 && algorithm != &rcgen::PKCS_ED25519 {
            return Err(CaError::Request("key is neither P-256 nor Ed25519".to_owned()));
        }
        let params = leaf(Role::Agent, &agent.to_string(), now_s)?;
        Ok(params.signed_by(&request.public_key, &self.issuer)?.pem())
    }

    /// The certificate in `<name>.pem` when it is still good for what `params` asks, else a new one with a new key.
    fn kept(&self, name: &str, params: CertificateParams, now_s: i64) -> Result<Identity, CaError> {
        let chain_file = self.directory.join(format!("{name}.pem"));
        let key_file = self.directory.join(format!("{name}.key"));
        if let (Some(chain), Some(key)) = (read(&chain_file)?, read(&key_file)?) {
            let kept = identity(&chain, &key, chain_file.clone(), key_file.clone());
            if let Some(kept) = kept.filter(|kept| self.still_good(kept, &params, now_s)) {
                return Ok(kept);
            }
        }
        let key = KeyPair::generate()?;
        let chain = format!("{}{}", params.signed_by(&key, &self.issuer)?.pem(), self.pem);
        let key = key.serialize_pem();
        // A crash between the two leaves a pair that does not fit, which `still_good` notices.
        write(&key_file, &key, files::SECRET)?;
        write(&chain_file, &chain, files::PUBLIC)?;
        tracing::info!(file = %chain_file.display(), "certificate made");
        identity(&chain, &key, chain_file.clone(), key_file)
            .ok_or_else(|| damaged(&chain_file, "was not readable just after it was made"))
    }

    fn still_good(&self, kept: &Identity, wanted: &CertificateParams, now_s: i64) -> bool {
        let [certificate, authority] = kept.chain.as_slice() else { return false };
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
        let Ok(key) = KeyPair::try_from(&kept.key) else { return false };
        let mut names: Vec<String> = Vec::new();
        if let Ok(Some(alternative)) = parsed.subject_alternative_name() {
            names.extend(alternative.value.general_names.iter().filter_map(name_of));
        }
        let mut wanted_names: Vec<String> = wanted.subject_alt_names.iter().filter_map(wanted_name).collect();
        names.sort_unstable();
        wanted_names.sort_unstable();
        *authority == self.der
            && names == wanted_names
            && parsed.validity().not_after.timestamp().saturating_sub(now_s) >= RENEW_S
            && parsed.public_key().subject_public_key.data.as_ref() == key.der_bytes()
    }
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca").field("directory", &self.directory).finish_non_exhaustive()
    }
}

fn authority(key: &KeyPair, now_s: i64) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    // Part of the key in the name: two authorities never look alike in a browser or a log.
    let mark = HEXLOWER.encode(&Sha256::digest(key.der_bytes())[..4]);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("inuse authority {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = moment(now_s - BACKDATE_S);
    params.not_after = moment(now_s + CA_S);
    params.serial_number = Some(serial()?);
    Ok(params)
}

/// What all certificates under the authority share: a client certificate, unless the caller says otherwise.
fn leaf(role: Role, name: &str, now_s: i64) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, role.organisation());
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = moment(now_s - BACKDATE_S);
    params.not_after = moment(now_s + LEAF_S);
    params.serial_number = Some(serial()?);
    Ok(params)
}

/// 16 random bytes, positive (RFC 5280, 4.1.2.2).
fn serial() -> Result<SerialNumber, CaError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)?;
    bytes[0] = (bytes[0] & 0x7f) | 0x01;
    Ok(SerialNumber::from_slice(&bytes))
}

fn moment(unix_s: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix_s).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn alt_name(name: &str) -> Result<SanType, CaError> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => match rustls::pki_types::DnsName::try_from(name) {
            Ok(_) => Ok(SanType::DnsName(name.try_into().map_err(|_| CaError::Name(name.to_owned()))?)),
            Err(_) => Err(CaError::Name(name.to_owned())),
        },
    }
}

fn wanted_name(name: &SanType) -> Option<String> {
    if let SanType::IpAddress(address) = name {
        return Some(address.to_string());
    }
    if let SanType::DnsName(name) = name {
        return Some(name.as_str().to_owned());
    }
    None
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = name {
        return Some((*name).to_owned());
    }
    let GeneralName::IPAddress(bytes) = name else { return None };
    let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
    v4.or(v6).ok().map(|address| address.to_string())
}

fn identity(chain: &str, key: &str, chain_file: PathBuf, key_file: PathBuf) -> Option<Identity> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>().ok()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).ok()?;
    Some(Identity { chain, key, chain_file, key_file })
}

fn read(path: &Path) -> Result<Option<String>, CaError> {
    files::read_small(path, MAX_FILE).map_err(|source| CaError::File { path: path.to_owned(), source })
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), CaError> {
    files::write_whole(path, text.as_bytes(), mode)
        .map_err(|source| CaError::File { path: path.to_owned(), source })
}

fn damaged(path: &Path, problem: impl std::fmt::Display) -> CaError {
    CaError::Damaged { path: path.to_owned(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests;
