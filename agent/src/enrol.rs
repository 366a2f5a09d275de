//! Enrolment: a token becomes a client certificate. The exchange is described in `server/src/enrol.rs`.
//!
//! The token alone authenticates the server: it carries the beginning of the authority certificate's SHA-256. The
//! signing key is made here and never leaves; the server gets its public half and a proof of possession.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use collectors::manifest::Manifest;
use daemon::files;
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use proof::payload::manifest_hash;
use proof::{AgentId, SigningKey, Words};
use prost::Message as _;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsConnector;

use crate::baseline::{BaselineError, settle, take};
use crate::hardware;
use crate::identity::{Enrolled, KEY, PROJECT_KEY, SALT};

/// How long the whole exchange may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Largest answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// What a gateway became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Its id.
    pub agent: AgentId,
    /// Hint of its key.
    pub kid: proof::Kid,
    /// The project it belongs to.
    pub project: String,
    /// The six words of its key: firm and city compare them, and only then does what it sends decide anything.
    pub words: Words,
}

/// What is there to be watched when a gateway enrols.
#[derive(Debug, Clone, Copy)]
pub struct Watched<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// Unix ms by the gateway's clock.
    pub now_ms: i64,
}

/// Why enrolment did not happen. Nothing but a made key, and what was asked of the sources, is left behind.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The token is not one.
    #[error("not a token: it looks like inuse1-…-…, as printed by `inuse-server project add`")]
    Token,
    /// This state directory belongs to an enrolled gateway already.
    #[error("{0} holds an enrolled gateway already; a new one needs an empty state directory")]
    AlreadyEnrolled(String),
    /// What there was before cannot be kept.
    #[error("cannot keep what there was before")]
    Baseline(#[from] BaselineError),
    /// A file could not be written or read.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The certificate request could not be made.
    #[error("cannot make a certificate request")]
    Request(#[from] rcgen::Error),
    /// The server cannot be reached, or is not the one of the token.
    #[error("cannot reach {server}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// The exchange broke off or took too long.
    #[error("no answer from {server}: {why}")]
    NoAnswer {
        /// Host and port.
        server: String,
        /// In words.
        why: String,
    },
    /// The server said no.
    #[error("{server} refused: {name}: {text}")]
    Refused {
        /// Host and port.
        server: String,
        /// The refusal's name.
        name: String,
        /// In words.
        text: String,
    },
}

#[derive(Serialize)]
struct Asked<'a> {
    token: &'a str,
    agent: String,
    public_key: String,
    csr: String,
    pop: String,
    hostname: String,
    hardware: String,
    manifest: String,
    baseline: String,
}

#[derive(Deserialize)]
struct Granted {
    agent: String,
    project: String,
    certificate: String,
    ca: String,
    broker: Broker,
    log_vkey: String,
    server_ms: i64,
    epoch: u32,
    baseline: String,
}

#[derive(Deserialize)]
struct Broker {
    host: String,
    port: u16,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    text: String,
}

/// Enrols this gateway with a one-time token at `server` (host:port) and writes what it got into `state_dir`.
///
/// What the hardware says it is goes with it into the log; where there is a manifest already, its hash and that of what
/// its sources say was there before ([`crate::baseline`]), which are asked now: at most five minutes.
///
/// Run again after a lost answer, it asks with the same keys and the same id: they are kept until it succeeds.
///
/// # Errors
/// [`EnrolError`].
pub fn enrol<'a>(
    state_dir: &'a Path,
    server: &'a str,
    token: &'a str,
    watched: Option<Watched<'a>>,
) -> BoxFuture<'a, Result<Enrolment, EnrolError>> {
    Box::pin(ask_and_keep(state_dir, server, token, watched))
}

async fn ask_and_keep(
    state_dir: &Path,
    server: &str,
    token: &str,
    watched: Option<Watched<'_>>,
) -> Result<Enrolment, EnrolError> {
    let pin = pinned_authority(token).ok_or(EnrolError::Token)?;
    let file = |path: &Path, source| EnrolError::File { path: path.display().to_string(), source };
    std::fs::create_dir_all(state_dir).map_err(|error| file(state_dir, error))?;
    let record = state_dir.join("enrolment.json");
    if record.exists() {
        return Err(EnrolError::AlreadyEnrolled(state_dir.display().to_string()));
    }
    let secret = |name: &str| {
        let path = state_dir.join(name);
        files::secret_or_new(&path).map_err(|error| file(&path, error))
    };
    let key = SigningKey::from_seed(&secret(KEY)?);
    let id = secret("agent.id")?;
    let agent = AgentId(id[..16].try_into().expect("a secret has 32 bytes"));
    secret(PROJECT_KEY)?;
    let salt = secret(SALT)?;
    let hardware = hardware::of(Path::new("/"), agent).map(|hash| HEXLOWER.encode(&hash)).unwrap_or_default();
    let (mut manifest, mut sent) = (String::new(), String::new());
    if let Some(watched) = watched {
        manifest = HEXLOWER.encode(&manifest_hash(&watched.manifest.public(&salt).encode_to_vec()));
        let kept = take(watched.manifest, &salt, state_dir, watched.now_ms).await?;
        sent = HEXLOWER.encode(&kept.digest);
    }
    let client = client_key(&state_dir.join("client.key"))?;
    let csr = rcgen::CertificateParams::default().serialize_request(&client)?;
    let asked = Asked {
        token,
        agent: agent.to_string(),
        public_key: HEXLOWER.encode(&key.verify_key().to_bytes()),
        csr: csr.pem()?,
        pop: HEXLOWER.encode(&key.sign(&possession(token, agent, csr.der()))),
        hostname: hostname(),
        hardware: hardware.clone(),
        manifest,
        baseline: sent,
    };
    let body = serde_json::to_vec(&asked).expect("strings are JSON");
    let granted = tokio::time::timeout(LIMIT, ask(server, pin, body)).await;
    let no_answer = |why: String| EnrolError::NoAnswer { server: server.to_owned(), why };
    let granted = granted.map_err(|_| no_answer(format!("waited {} s", LIMIT.as_secs())))??;
    if granted.agent != agent.to_string() {
        return Err(no_answer("it enrolled another gateway than this one".to_owned()));
    }
    let put = |name: &str, text: &[u8]| {
        let path = state_dir.join(name);
        files::write_whole(&path, text, 0o600).map_err(|error| file(&path, error))
    };
    settle(state_dir, &granted.baseline)?;
    put("client.crt", granted.certificate.as_bytes())?;
    put("ca.crt", granted.ca.as_bytes())?;
    let enrolled = Enrolled {
        agent: granted.agent,
        project: granted.project.clone(),
        epoch: granted.epoch,
        broker_host: granted.broker.host,
        broker_port: granted.broker.port,
        log_vkey: granted.log_vkey,
        server_ms: granted.server_ms,
        hardware,
        baseline: granted.baseline,
    };
    // Last, because it is what says "enrolled".
    put("enrolment.json", &serde_json::to_vec_pretty(&enrolled).expect("strings are JSON"))?;
    let key = key.verify_key();
    Ok(Enrolment { agent, kid: key.kid(), project: granted.project, words: Words::of(agent, &key) })
}

/// Gives what a command made in the state directory to the directory's owner. Root asks and enrols; the service runs
/// as a user of its own, who must be able to read the keys.
///
/// # Errors
/// When something in there cannot be looked at or given away.
pub fn give_to_owner(state_dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let Ok(owner) = std::fs::metadata(state_dir) else { return Ok(()) };
    let mut folders = vec![state_dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let (path, made) = (entry.path(), entry.metadata()?);
            if made.is_dir() {
                folders.push(path.clone());
            }
            // Of another owner only when root made it: others can make nothing here.
            if (made.uid(), made.gid()) != (owner.uid(), owner.gid()) && !made.is_symlink() {
                chown(&path, Some(owner.uid()), Some(owner.gid()))?;
            }
        }
    }
    Ok(())
}

/// What the proof of possession is made over.
fn possession(token: &str, agent: AgentId, csr: &[u8]) -> Vec<u8> {
    let mut message = b"inuse/v1/enrol\0".to_vec();
    message.extend_from_slice(token.as_bytes());
    message.push(0);
    message.extend_from_slice(agent.to_string().as_bytes());
    message.push(0);
    message.extend_from_slice(&Sha256::digest(csr));
    message
}

/// First 16 bytes of SHA-256 of the authority's certificate: the token's last part.
fn pinned_authority(token: &str) -> Option<[u8; 16]> {
    let (secret, authority) = token.strip_prefix("inuse1-")?.split_once('-')?;
    let bytes = |half: &str| BASE32_NOPAD.decode(half.to_ascii_uppercase().as_bytes()).ok()?.try_into().ok();
    let _: [u8; 16] = bytes(secret)?;
    bytes(authority)
}

/// The TLS key: P-256, because every broker knows it. Another key than the one that signs proofs.
fn client_key(path: &Path) -> Result<rcgen::KeyPair, EnrolError> {
    let file = |source| EnrolError::File { path: path.display().to_string(), source };
    match std::fs::read_to_string(path) {
        Ok(pem) => Ok(rcgen::KeyPair::from_pem(&pem)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
            files::write_whole(path, key.serialize_pem().as_bytes(), 0o600).map_err(file)?;
            Ok(key)
        }
        Err(error) => Err(file(error)),
    }
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().chars().take(64).collect()
}

async fn ask(server: &str, pin: [u8; 16], body: Vec<u8>) -> Result<Granted, EnrolError> {
    let unreachable = |source| EnrolError::Unreachable { server: server.to_owned(), source };
    let no_answer = |why: String| EnrolError::NoAnswer { server: server.to_owned(), why };
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let (host, _) =
        server.rsplit_once(':').ok_or_else(|| unreachable(invalid("the server is written host:port")))?;
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|_| unreachable(invalid("neither a DNS name nor an IP address")))?;
    let tcp = tokio::net::TcpStream::connect(server).await.map_err(unreachable)?;
    let tls = TlsConnector::from(Arc::new(pinned_tls(pin))).connect(name, tcp).await.map_err(unreachable)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(tls))
        .await
        .map_err(|error| no_answer(error.to_string()))?;
    let request = hyper::Request::post("/enrol")
        .header("host", host)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .expect("a request of fixed parts");
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        Ok::<_, String>((status, body.map_err(|error| error.to_string())?.to_bytes()))
    };
    // The connection drives the exchange; when it ends first, the exchange fails by itself.
    let (exchanged, _) = tokio::join!(exchange, async { connection.await.is_ok() });
    let (status, body) = exchanged.map_err(no_answer)?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| no_answer(format!("unreadable: {error}")));
    }
    let refused: Refused =
        serde_json::from_slice(&body).map_err(|_| no_answer(format!("HTTP status {status}")))?;
    Err(EnrolError::Refused { server: server.to_owned(), name: refused.name, text: refused.text })
}

fn pinned_tls(pin: [u8; 16]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Pinned { pin, provider: Arc::clone(&provider) });
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth()
}

/// Trusts exactly one authority: the one in the shown chain whose hash the token carries. Everything else about the
/// server's certificate is checked as usual.
#[derive(Debug)]
struct Pinned {
    pin: [u8; 16],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_pinned = |cert: &&CertificateDer<'_>| Sha256::digest(cert)[..16] == self.pin;
        let other =
            || rustls::Error::General("the server's authority is not the one of the token".to_owned());
        let authority = intermediates.iter().find(is_pinned).ok_or_else(other)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_pins_its_authority() {
        let half = |byte: u8| BASE32_NOPAD.encode(&[byte; 16]).to_ascii_lowercase();
        let token = format!("inuse1-{}-{}", half(1), half(9));
        assert_eq!(pinned_authority(&token), Some([9; 16]));
        for wrong in ["", "inuse1-", "inuse1-a-b", &token[..token.len() - 1], &token[1..]] {
            assert_eq!(pinned_authority(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn nobody_listening_is_said_with_the_servers_name() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap().to_string();
        drop(listener);
        let dir = tempfile::tempdir().unwrap();
        let half = BASE32_NOPAD.encode(&[1; 16]).to_ascii_lowercase();
        let error = enrol(dir.path(), &server, &format!("inuse1-{half}-{half}"), None).await.unwrap_err();
        assert!(error.to_string().contains(&server), "{error}");
        assert!(!dir.path().join("enrolment.json").exists());
    }
}
