//! Mutual TLS from PEM texts, with the ring provider named, not taken from the process.

use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::BuildError;

/// PEM texts for mutual TLS.
#[derive(Clone)]
pub struct Tls {
    /// Certificates of the authority that signed the broker's.
    pub ca: Vec<u8>,
    /// The ingester's certificate, with its chain.
    pub cert: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(..)")
    }
}

/// What is wrong with a PEM text.
#[derive(Debug, thiserror::Error)]
pub enum TlsProblem {
    /// Not PEM, or not what it should hold.
    #[error("not the PEM text it should be")]
    Pem(#[source] pem::Error),
    /// Nothing in it.
    #[error("no certificate in it")]
    Empty,
    /// Refused by rustls.
    #[error("refused")]
    Refused(#[source] rustls::Error),
}

impl Tls {
    pub(super) fn client_config(&self) -> Result<ClientConfig, BuildError> {
        let wrong = |what| move |source| BuildError::Tls { what, source };
        let ca = certificates(&self.ca).map_err(wrong("the authority's certificate"))?;
        let cert = certificates(&self.cert).map_err(wrong("the ingester's certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(TlsProblem::Pem)
            .map_err(wrong("the ingester's key"))?;
        let mut roots = RootCertStore::empty();
        for certificate in ca {
            roots
                .add(certificate)
                .map_err(TlsProblem::Refused)
                .map_err(wrong("the authority's certificate"))?;
        }
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_client_auth_cert(cert, key)
            .map_err(TlsProblem::Refused)
            .map_err(wrong("the ingester's certificate and key"))
    }
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(TlsProblem::Pem)?;
    if found.is_empty() { Err(TlsProblem::Empty) } else { Ok(found) }
}
