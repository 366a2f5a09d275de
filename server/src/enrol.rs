//! Enrolment: a token, used once, turns a key made on the gateway into an enrolled agent.
//!
//! # The exchange
//!
//! HTTPS on a listener of its own. The server sends its chain *with the authority's certificate*; the agent takes
//! that certificate as its trust anchor when the first 16 bytes of its SHA-256 are the last part of the token
//! `inuse1-<secret>-<authority>` (see [`crate::token`]), and needs nothing else to know the server.
//!
//! `POST /enrol`, a JSON object of at most 64 KiB:
//!
//! | key | |
//! |---|---|
//! | `token` | as printed by `inuse-server project add` |
//! | `agent` | the agent id the agent chose: 26 lower-case base32 letters |
//! | `public_key` | its Ed25519 public key, 32 bytes in hex or base64 |
//! | `csr` | PKCS #10 in PEM over the TLS key (P-256 or Ed25519); only its public key is used |
//! | `pop` | Ed25519 signature, 64 bytes in hex or base64, by that key over `"inuse/v1/enrol\0" token "\0" agent "\0" SHA-256(DER of the CSR)` |
//! | `hostname` | optional, for people |
//! | `hardware`, `baseline` | optional, 32 bytes in hex or base64: see `docs/protocol.md` |
//! | `manifest` | optional, 16 bytes in hex or base64, as windows name it |
//!
//! 200 and a JSON object: `agent`, `project`, `certificate` (PEM), `ca` (PEM), `broker` (`host`, `port`),
//! `log_vkey` (signed-note verifier key), `server_ms`, `epoch` (1), `baseline` (hex, as the log has it). Anything else: a JSON object `name`, `text`,
//! with the status of [`Refusal::status`].
//!
//! # Promises
//!
//! A token enrols one agent. The same agent asking again with the same token and key gets the same answer with a
//! fresh certificate, because the first answer may have been lost. Nothing is recorded before everything else was
//! checked. What the agent will sign with is what the proof of possession was made with.
//!
//! An enrolled gateway may send, and what it sends is recorded; it decides nothing before firm and city have confirmed
//! its key (see [`crate::confirm`]). Each step stands in the log.

mod door;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use daemon::{Clock, SystemClock};
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use ledger::{Ledger, LedgerError, NewAgent, Recorded, Shown, TokenRefused};
use proof::{AgentId, Deed, VerifyKey};
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ca::{Ca, CaError};
use crate::token::Token;
pub use door::router;

/// What an agent asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// One-time token.
    pub token: String,
    /// Agent id.
    pub agent: String,
    /// Ed25519 public key, hex or base64.
    pub public_key: String,
    /// PKCS #10, PEM.
    pub csr: String,
    /// Proof of possession, hex or base64.
    pub pop: String,
    /// What the gateway calls itself.
    #[serde(default)]
    pub hostname: String,
    /// Hash of what its hardware says it is, hex or base64; empty where nothing does.
    #[serde(default)]
    pub hardware: String,
    /// First 16 bytes of the hash of its manifest, hex or base64; empty where there is none yet.
    #[serde(default)]
    pub manifest: String,
    /// Hash of what was found of the time before, hex or base64; empty where nothing was taken.
    #[serde(default)]
    pub baseline: String,
}

/// What it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Agent id.
    pub agent: String,
    /// The project it now belongs to.
    pub project: String,
    /// Its client certificate, PEM.
    pub certificate: String,
    /// The authority's certificate, PEM.
    pub ca: String,
    /// Where to publish.
    pub broker: BrokerAddress,
    /// The log's verifier key.
    pub log_vkey: String,
    /// Server's Unix milliseconds.
    pub server_ms: i64,
    /// Key epoch.
    pub epoch: u32,
    /// Hash of its baseline as it stands in the log, hex; empty where none does.
    pub baseline: String,
}

/// Where agents find the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerAddress {
    /// DNS name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Why not. The text goes to whoever installs the agent.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The request does not parse, or a part of it is of the wrong form.
    #[error("{0}")]
    Unreadable(&'static str),
    /// The request is longer than is read.
    #[error("request is longer than 64 KiB")]
    TooLarge,
    /// The token was made by another server.
    #[error("token belongs to another server")]
    OtherServer,
    /// The token or the agent id was refused by the ledger.
    #[error(transparent)]
    Token(#[from] TokenRefused),
    /// The signature is not by the key over this request.
    #[error("proof of possession does not fit key, token, agent and request")]
    Possession,
    /// The certificate request was refused.
    #[error("certificate request refused: {0}")]
    Csr(String),
    /// Our side failed; worth trying again.
    #[error("server could not enrol")]
    Failed(#[source] Failure),
}

/// What failed on our side.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The authority.
    #[error(transparent)]
    Ca(#[from] CaError),
}

impl Refusal {
    /// A fixed name for programs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::TooLarge => "too_large",
            Self::OtherServer => "token_of_another_server",
            Self::Token(TokenRefused::Unknown) => "token_unknown",
            Self::Token(TokenRefused::Expired) => "token_expired",
            Self::Token(TokenRefused::Taken) => "token_taken",
            Self::Token(TokenRefused::Enrolled) => "agent_enrolled",
            Self::Possession => "bad_possession",
            Self::Csr(_) => "bad_csr",
            Self::Failed(_) => "failed",
        }
    }

    /// HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Unreadable(_) | Self::Csr(_) => 400,
            Self::Token(TokenRefused::Enrolled) => 409,
            Self::OtherServer | Self::Token(_) | Self::Possession => 403,
            Self::TooLarge => 413,
            Self::Failed(_) => 503,
        }
    }
}

/// Enrols agents.
pub struct Enrolment {
    /// Signs client certificates.
    pub ca: Arc<Ca>,
    /// Takes tokens and keeps agents.
    pub ledger: Ledger,
    /// What agents are told.
    pub broker: BrokerAddress,
    /// What agents are told.
    pub log_vkey: String,
    /// For the ledger and the answer. Certificates live by the system's clock.
    pub clock: Arc<dyn Clock>,
}

impl Enrolment {
    /// Checks a request, records the agent and answers.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was recorded then, but for a failure after the ledger had it, where asking again helps.
    pub async fn enrol(&self, request: Request) -> Result<Granted, Refusal> {
        let token = Token::parse(&request.token).ok_or(Refusal::Token(TokenRefused::Unknown))?;
        if !token.is_for(&self.ca.fingerprint()) {
            return Err(Refusal::OtherServer);
        }
        let agent: AgentId = request
            .agent
            .parse()
            .map_err(|_| Refusal::Unreadable("`agent` is not 26 lower-case base32 letters"))?;
        let key = bytes(&request.public_key, 32)
            .and_then(|bytes| VerifyKey::from_bytes(&bytes).ok())
            .ok_or(Refusal::Unreadable("`public_key` is not an Ed25519 public key in hex or base64"))?;
        let csr = CertificateSigningRequestDer::from_pem_slice(request.csr.as_bytes())
            .map_err(|_| Refusal::Unreadable("`csr` is not a certificate request in PEM"))?;
        let pop =
            bytes(&request.pop, 64).ok_or(Refusal::Unreadable("`pop` is not 64 bytes in hex or base64"))?;
        if !key.verifies(&possession(&request.token, agent, &csr), &pop) {
            return Err(Refusal::Possession);
        }
        let system_s = SystemClock.stamp().wall_ms / 1000;
        let certificate = self.ca.agent(&csr, agent, system_s).map_err(|error| match error {
            CaError::Request(why) => Refusal::Csr(why),
            error @ (CaError::File { .. }
            | CaError::Damaged { .. }
            | CaError::KeyMissing(_)
            | CaError::Name(_)
            | CaError::Make(_)
            | CaError::Random(_)) => Refusal::Failed(error.into()),
        })?;
        let shown = Shown {
            hardware: optional(&request.hardware)?,
            manifest: optional(&request.manifest)?,
            baseline: optional(&request.baseline)?,
        };
        let new = NewAgent { shown, ..NewAgent::of(agent, key, &plain(&request.hostname)) };
        let (hash, now_ms) = (token.hash(), self.clock.stamp().wall_ms);
        let recorded = self.ledger.run(move |store| {
            Ok(match store.enrol(hash, &new, now_ms)? {
                // Of a question that was asked before, the log has what it said the first time.
                Ok(enrolled) => Ok((enrolled, baseline(&store.read().acts(agent)?))),
                Err(refused) => Err(refused),
            })
        });
        let recorded = recorded.await.map_err(|error| Refusal::Failed(error.into()))?;
        let (enrolled, baseline) = recorded?;
        tracing::info!(%agent, project = enrolled.project, "agent enrolled");
        Ok(Granted {
            agent: agent.to_string(),
            project: enrolled.project,
            certificate,
            ca: self.ca.pem().to_owned(),
            broker: self.broker.clone(),
            log_vkey: self.log_vkey.clone(),
            server_ms: now_ms,
            epoch: enrolled.epoch,
            baseline,
        })
    }
}

/// The baseline as the log has it, in hex; empty where it has none.
fn baseline(acts: &[Recorded]) -> String {
    let mut baselines = acts.iter().filter_map(|recorded| match &recorded.act.deed {
        Deed::Enrol(_, enrol) => Some(HEXLOWER.encode(&enrol.baseline)),
        Deed::Confirm(..) | Deed::Revoke(..) | Deed::Beacon => None,
    });
    baselines.next().unwrap_or_default()
}

/// What the proof of possession signs.
pub fn possession(token: &str, agent: AgentId, csr: &CertificateSigningRequestDer<'_>) -> Vec<u8> {
    let mut message = format!("inuse/v1/enrol\0{token}\0{agent}\0").into_bytes();
    message.extend_from_slice(&Sha256::digest(csr));
    message
}

/// `length` bytes out of hex or base64, padded or not.
fn bytes(text: &str, length: usize) -> Option<Vec<u8>> {
    let text = text.trim();
    let decoded = if text.len() == 2 * length {
        HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
    } else if text.ends_with('=') {
        BASE64.decode(text.as_bytes()).ok()
    } else {
        BASE64_NOPAD.decode(text.as_bytes()).ok()
    };
    decoded.filter(|bytes| bytes.len() == length)
}

/// A hash that may be left out.
fn optional<const N: usize>(text: &str) -> Result<Option<[u8; N]>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let hash = bytes(text, N).and_then(|bytes| bytes.try_into().ok());
    hash.map(Some).ok_or(Refusal::Unreadable("a hash of the gateway is not of its length in hex or base64"))
}

/// At most 64 printable characters: it will stand on pages and in logs.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}
