//! The line to a database: TCP, and TLS with the server's certificate pinned or of a named authority.
//!
//! Nothing is said of who we are before the certificate is known. There is no way to take any certificate.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::CollectError;
use crate::manifest::{AuditTable, Database, DatabaseKind, Thumbprint, Tls};

/// Longest file of authorities, and longest password file, in bytes.
const MAX_CA: u64 = 1 << 20;

/// What bytes go over.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Io for T {}

/// A line, protected or not.
pub(super) type Stream = Box<dyn Io>;

/// Where a database is and how to come there.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) server: Database,
    pub(super) timeout: Duration,
    /// Minutes east of UTC in which moments are written that a server has as such.
    pub(super) zone_minutes: i32,
    /// SHA-256 of the certificate that the server showed last.
    shown: Arc<Mutex<Option<[u8; 32]>>>,
}

impl Line {
    pub(super) fn new(table: &AuditTable) -> Self {
        let utc = table.map.time.as_ref().is_some_and(|time| time.utc);
        let zone_minutes = if utc { 0 } else { table.utc_offset_minutes };
        Self { server: table.server.clone(), timeout: table.timeout, zone_minutes, shown: Arc::default() }
    }

    /// Host, port and database, for messages.
    pub(super) fn endpoint(&self) -> String {
        format!("{}:{}/{}", self.server.host, self.server.port, self.server.database)
    }

    /// Whether what is said can be heard by others.
    pub(super) fn is_open(&self) -> bool {
        self.server.tls == Tls::None
    }

    /// The certificate that the server showed, as `server_thumbprint` has it.
    pub(super) fn shown(&self) -> Option<String> {
        let shown = *self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.map(|hash| Thumbprint::Sha256(hash).to_string())
    }

    pub(super) async fn tcp(&self) -> Result<TcpStream, CollectError> {
        let stream = TcpStream::connect((self.server.host.as_str(), self.server.port));
        let stream = self.in_time(stream).await?.map_err(|error| self.lost(error))?;
        stream.set_nodelay(true).map_err(|error| self.lost(error))?;
        Ok(stream)
    }

    /// Shakes hands over `stream`.
    pub(super) async fn secure<S: Io + 'static>(
        &self,
        stream: S,
    ) -> Result<tokio_rustls::client::TlsStream<S>, CollectError> {
        let (config, name) = self.tls()?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        self.in_time(connecting).await?.map_err(|error| match error.get_ref() {
            Some(inner) if inner.is::<rustls::Error>() => self.untrusted(inner.to_string()),
            Some(_) | None => self.lost(error),
        })
    }

    fn tls(&self) -> Result<(ClientConfig, ServerName<'static>), CollectError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let host = self.server.host.clone();
        let (how, name) = match &self.server.tls {
            Tls::None => return Err(self.refused("TLS was not asked for".to_owned())),
            Tls::Pinned(pin) => (How::Pinned(*pin), host),
            Tls::Authority { ca_file, server_name } => {
                let unusable = |why: String| self.refused(format!("{}: {why}", ca_file.display()));
                let size = std::fs::metadata(ca_file).map_err(|error| unusable(error.to_string()))?.len();
                if size > MAX_CA {
                    return Err(unusable(format!("is longer than {MAX_CA} bytes")));
                }
                let mut roots = RootCertStore::empty();
                let read =
                    CertificateDer::pem_file_iter(ca_file).map_err(|error| unusable(error.to_string()))?;
                for certificate in read {
                    let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                    roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
                }
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
                let verifier = verifier.build().map_err(|error| unusable(error.to_string()))?;
                (How::Authority(verifier), server_name.clone().unwrap_or(host))
            }
        };
        // Before version 2022 it knows no other, and its way of shaking hands inside of packets fits no other.
        let versions = match self.server.kind {
            DatabaseKind::SqlServer => &[&rustls::version::TLS12][..],
            DatabaseKind::MySql | DatabaseKind::PostgreSql => rustls::DEFAULT_VERSIONS,
        };
        let verifier = Verifier { how, shown: Arc::clone(&self.shown), provider: Arc::clone(&provider) };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| self.refused(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let name = ServerName::try_from(name).map_err(|error| self.refused(error.to_string()))?;
        Ok((config, name))
    }

    /// The password, read when it is needed.
    pub(super) fn password(&self) -> Result<String, CollectError> {
        self.server.user.password().map_err(|why| self.refused(why))
    }

    /// What `future` gives, or that it took too long.
    pub(super) async fn in_time<T>(&self, future: impl Future<Output = T>) -> Result<T, CollectError> {
        tokio::time::timeout(self.timeout, future)
            .await
            .map_err(|_| self.lost(io::Error::from(io::ErrorKind::TimedOut)))
    }

    /// A certificate that is not the one, and what to do about it.
    fn untrusted(&self, why: String) -> CollectError {
        let shown = self.shown().unwrap_or_default();
        match &self.server.tls {
            Tls::Pinned(None) => self.refused(format!(
                "no certificate is pinned; compare what the server showed and set server_thumbprint = \"{shown}\""
            )),
            Tls::Pinned(Some(_)) if why.contains(OTHER) => {
                self.refused(format!("the server showed another certificate than the pinned one: {shown}"))
            }
            Tls::Pinned(Some(_)) | Tls::Authority { .. } | Tls::None => self.refused(why),
        }
    }

    /// A server without TLS, and what to do about it.
    pub(super) fn no_tls(&self) -> CollectError {
        let remedy = match self.server.kind {
            DatabaseKind::SqlServer => "choose a certificate for it in SQL Server Configuration Manager",
            DatabaseKind::MySql => "set ssl_cert and ssl_key in its my.cnf, under [mysqld]",
            DatabaseKind::PostgreSql => "set ssl = on, ssl_cert_file and ssl_key_file in its postgresql.conf",
        };
        self.refused(format!(
            "the server offers no TLS: {remedy}; or set tls = \"none\", with which the password and every row can be \
             read on the way"
        ))
    }

    pub(super) fn lost(&self, source: io::Error) -> CollectError {
        CollectError::Lost { endpoint: self.endpoint(), source }
    }

    pub(super) fn refused(&self, why: String) -> CollectError {
        CollectError::Refused { endpoint: self.endpoint(), why }
    }

    pub(super) fn unreadable(&self, why: impl Into<String>) -> CollectError {
        CollectError::Unreadable { endpoint: self.endpoint(), why: why.into() }
    }
}

const OTHER: &str = "another certificate";

/// Takes the pinned certificate, or those of an authority, and remembers what was shown.
#[derive(Debug)]
struct Verifier {
    how: How,
    shown: Arc<Mutex<Option<[u8; 32]>>>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum How {
    Pinned(Option<[u8; 32]>),
    Authority(Arc<WebPkiServerVerifier>),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let hash: [u8; 32] = Sha256::digest(end_entity).into();
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash);
        match &self.how {
            How::Pinned(pin) if *pin == Some(hash) => Ok(ServerCertVerified::assertion()),
            How::Pinned(_) => Err(rustls::Error::General(OTHER.to_owned())),
            How::Authority(authority) => {
                authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
