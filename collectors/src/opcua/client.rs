//! The line to one OPC UA server: discover, connect, close.
//!
//! The library's own reconnecting is off. Its event loop is driven by whoever uses the connection, never in a task of
//! its own, so that nothing outlives a run.
//!
//! Absent: closing a session that could not be activated (the library shuts the channel before anybody can); such a
//! one ends by the server's time-out, which is asked to be short.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opcua::client::{Client, ClientBuilder, IdentityToken, Password, Session};
use opcua::crypto::SecurityPolicy;
use opcua::types::{EndpointDescription, MessageSecurityMode, StatusCode, UserTokenType};
use tokio::time::timeout;

use super::trust::{self, APPLICATION_NAME, APPLICATION_URI, OwnFiles};
use crate::CollectError;
use crate::manifest::{Meaning, Mode, OpcUa, Policy, Security, User};

/// A session is given up by the server after this long without a word, in ms.
const SESSION_MS: u32 = 120_000;
/// Between words of ours that keep it.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Largest answer, bytes, the chunks it may come in, and the longest list in it.
const MAX_MESSAGE: usize = 4 << 20;
const MAX_CHUNKS: usize = 512;
const MAX_ARRAY: usize = 100_000;
/// What a session that was about to be open is given to be closed when the program stops.
pub(super) const LAST_MOMENT: Duration = Duration::from_secs(2);
/// Longest password file in bytes.
const MAX_PASSWORD: u64 = 4_096;

/// One server as the manifest declares it.
pub(super) struct Server {
    pub(super) config: OpcUa,
    /// What each point stands for, for those who hear of it in a callback.
    pub(super) meanings: Arc<[Meaning]>,
    pub(super) own: OwnFiles,
    pki: PathBuf,
    /// Made at the first connection: it reads files.
    client: OnceLock<Client>,
}

type EventLoop = Pin<Box<dyn Future<Output = StatusCode> + Send>>;

/// What drives an open session; `None` once it has ended.
pub(super) struct Connection {
    events: Option<EventLoop>,
}

/// An open session.
pub(super) struct Open<'a> {
    pub(super) server: &'a Server,
    pub(super) session: Arc<Session>,
}

impl Server {
    pub(super) fn new(config: &OpcUa, own_folder: &Path) -> Self {
        let shared = own_folder.parent().unwrap_or(own_folder);
        let own = OwnFiles::below(config.client_dir.as_deref().unwrap_or(shared));
        let meanings = config.points.iter().map(|point| point.meaning.clone()).collect();
        Self { config: config.clone(), meanings, own, pki: own_folder.to_owned(), client: OnceLock::new() }
    }

    /// The endpoint with the declared policy and mode, as the server describes it, under the URL of the manifest (what
    /// servers say of their own address is often of another network).
    pub(super) async fn discover(&self) -> Result<EndpointDescription, CollectError> {
        let found = self.offers().await?;
        let (policy, mode) = self.wanted();
        let offered = offered(&found);
        let wanted = found.into_iter().find(|endpoint| {
            endpoint.security_mode == mode
                && SecurityPolicy::from_uri(endpoint.security_policy_uri.as_ref()) == policy
                && endpoint.endpoint_url.as_ref().starts_with("opc.tcp:")
        });
        let mut endpoint =
            wanted.ok_or_else(|| self.refused(format!("it offers {offered}, and not {policy} {mode:?}")))?;
        endpoint.endpoint_url = self.config.endpoint.as_str().into();
        // No policy of its own means the channel's (OPC 10000-4, 7.42); the library takes it for none at all.
        for token in endpoint.user_identity_tokens.iter_mut().flatten() {
            if token.token_type == UserTokenType::Certificate && token.security_policy_uri.is_empty() {
                token.security_policy_uri = endpoint.security_policy_uri.clone();
            }
        }
        Ok(endpoint)
    }

    /// Every endpoint that the server describes.
    pub(super) async fn offers(&self) -> Result<Vec<EndpointDescription>, CollectError> {
        let client = self.client().await?;
        let url = self.config.endpoint.as_str();
        let found = timeout(self.config.timeout * 2, client.get_server_endpoints_from_url(url)).await;
        let found = found.map_err(|_| self.lost(io::ErrorKind::TimedOut.into()))?;
        found.map_err(|error| self.failed(error.status(), &error.to_string()))
    }

    pub(super) async fn connect(&self) -> Result<(Connection, Open<'_>), CollectError> {
        self.connect_to(self.discover().await?).await
    }

    pub(super) async fn connect_to(
        &self,
        endpoint: EndpointDescription,
    ) -> Result<(Connection, Open<'_>), CollectError> {
        if let Security::Secured { pin, .. } = &self.config.security {
            let certificate = endpoint.server_certificate.as_ref();
            trust::check_pin(*pin, certificate).map_err(|why| self.refused(why))?;
            trust::trust_only(&self.pki, certificate).map_err(|why| self.refused(why))?;
        }
        let identity = self.identity()?;
        let client = self.client().await?;
        let store = Arc::clone(client.certificate_store());
        let built = client.session_builder().connect_to_endpoint_directly(endpoint);
        let built = built.and_then(|builder| builder.user_identity_token(identity).build(store));
        let (session, events) = built.map_err(|error| self.failed(error.status(), &error.to_string()))?;
        session.disable_reconnects();
        let mut events: EventLoop = Box::pin(events.run());
        let connected = tokio::select! {
            biased;
            status = &mut events => Err(self.failed(status, &status.to_string())),
            connected = timeout(self.config.timeout * 2, session.wait_for_connection()) => match connected {
                Ok(true) => Ok(()),
                Ok(false) => Err(self.lost(io::ErrorKind::ConnectionAborted.into())),
                Err(_) => Err(self.lost(io::ErrorKind::TimedOut.into())),
            },
        };
        connected?;
        Ok((Connection { events: Some(events) }, Open { server: self, session }))
    }

    fn wanted(&self) -> (SecurityPolicy, MessageSecurityMode) {
        let Security::Secured { policy, mode, .. } = &self.config.security else {
            return (SecurityPolicy::None, MessageSecurityMode::None);
        };
        let policy = match policy {
            Policy::Basic256Sha256 => SecurityPolicy::Basic256Sha256,
            Policy::Aes128Sha256RsaOaep => SecurityPolicy::Aes128Sha256RsaOaep,
            Policy::Aes256Sha256RsaPss => SecurityPolicy::Aes256Sha256RsaPss,
            Policy::DeprecatedBasic128Rsa15 => SecurityPolicy::Basic128Rsa15,
            Policy::DeprecatedBasic256 => SecurityPolicy::Basic256,
        };
        let mode = match mode {
            Mode::Sign => MessageSecurityMode::Sign,
            Mode::SignAndEncrypt => MessageSecurityMode::SignAndEncrypt,
        };
        (policy, mode)
    }

    async fn client(&self) -> Result<&Client, CollectError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        if self.config.security != Security::None {
            let own = OwnFiles { certificate: self.own.certificate.clone(), key: self.own.key.clone() };
            let made = tokio::task::spawn_blocking(move || own.ensure()).await;
            let made = made.map_err(|error| self.refused(error.to_string()))?;
            made.map_err(|error| self.refused(daemon::chain(&error)))?;
        }
        let client = ClientBuilder::new()
            .application_name(APPLICATION_NAME)
            .application_uri(APPLICATION_URI)
            .product_uri(APPLICATION_URI)
            .session_name(APPLICATION_NAME)
            .create_sample_keypair(false)
            .certificate_path(&self.own.certificate)
            .private_key_path(&self.own.key)
            .pki_dir(&self.pki)
            // Nothing is trusted that is not in the folder of trusted ones, and trust.rs fills that folder.
            .trust_server_certs(false)
            .verify_server_certs(false)
            .session_retry_limit(0)
            .recreate_subscriptions(false)
            .session_timeout(SESSION_MS)
            .keep_alive_interval(KEEP_ALIVE)
            .request_timeout(self.config.timeout)
            .max_message_size(MAX_MESSAGE)
            .max_chunk_count(MAX_CHUNKS)
            .max_array_length(MAX_ARRAY)
            .ignore_clock_skew(true)
            .client()
            .map_err(|problems| self.refused(problems.join("; ")))?;
        Ok(self.client.get_or_init(|| client))
    }

    fn identity(&self) -> Result<IdentityToken, CollectError> {
        let (name, path) = match &self.config.user {
            None => return Ok(IdentityToken::Anonymous),
            Some(User::Certificate { certificate, key }) => {
                let token = IdentityToken::new_x509_path(certificate, key);
                return token.map_err(|error| {
                    let (certificate, key) = (certificate.display(), key.display());
                    self.refused(format!("cannot use {certificate} with {key} to say who we are: {error}"))
                });
            }
            Some(User::Password { name, file }) => (name, file),
        };
        let unusable = |why: String| self.refused(format!("the password file {} {why}", path.display()));
        let size =
            std::fs::metadata(path).map_err(|error| unusable(format!("cannot be read: {error}")))?.len();
        if size > MAX_PASSWORD {
            return Err(unusable(format!("is longer than {MAX_PASSWORD} bytes")));
        }
        let text =
            std::fs::read_to_string(path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
        let password = text.lines().next().unwrap_or_default();
        Ok(IdentityToken::UserName(name.clone(), Password::new(password)))
    }

    pub(super) fn lost(&self, source: io::Error) -> CollectError {
        CollectError::Lost { endpoint: self.config.endpoint.clone(), source }
    }

    pub(super) fn refused(&self, why: String) -> CollectError {
        CollectError::Refused { endpoint: self.config.endpoint.clone(), why }
    }

    pub(super) fn unreadable(&self, why: String) -> CollectError {
        CollectError::Unreadable { endpoint: self.config.endpoint.clone(), why }
    }

    /// By status: who is refused must not try again soon, what cannot be read is a fault, the rest is a lost line.
    pub(super) fn failed(&self, status: StatusCode, text: &str) -> CollectError {
        let endpoint = self.config.endpoint.clone();
        match status {
            StatusCode::BadUserAccessDenied
            | StatusCode::BadIdentityTokenInvalid
            | StatusCode::BadIdentityTokenRejected
            | StatusCode::BadSecurityChecksFailed
            | StatusCode::BadSecurityPolicyRejected
            | StatusCode::BadSecurityModeRejected
            | StatusCode::BadCertificateUntrusted
            | StatusCode::BadCertificateInvalid
            | StatusCode::BadCertificateTimeInvalid
            | StatusCode::BadCertificateUriInvalid
            | StatusCode::BadCertificateUseNotAllowed
            | StatusCode::BadTooManySessions => CollectError::Refused { endpoint, why: text.to_owned() },
            StatusCode::BadDecodingError
            | StatusCode::BadEncodingError
            | StatusCode::BadUnknownResponse
            | StatusCode::BadTcpMessageTypeInvalid
            | StatusCode::BadTcpMessageTooLarge
            | StatusCode::BadResponseTooLarge => CollectError::Unreadable { endpoint, why: text.to_owned() },
            StatusCode::BadTimeout => self.lost(io::Error::new(io::ErrorKind::TimedOut, text.to_owned())),
            _ => CollectError::Lost { endpoint, source: io::Error::other(text.to_owned()) },
        }
    }
}

impl Connection {
    /// Drives the session while `work` uses it. A session that ends meanwhile is learnt by the work's next question
    /// failing at once.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let Some(events) = &mut self.events else { return work.await };
            tokio::select! {
                biased;
                outcome = &mut work => return outcome,
                status = events => {
                    tracing::debug!(%status, "session ended");
                    self.events = None;
                }
            }
        }
    }

    /// Closes session and channel in order, within the server's time-out.
    pub(super) async fn close(mut self, open: &Open<'_>) {
        if self.events.is_none() {
            return;
        }
        let closed = timeout(open.server.config.timeout, self.drive(open.session.disconnect())).await;
        if !matches!(closed, Ok(Ok(()))) {
            tracing::debug!(?closed, "session could not be closed; the server will drop it");
        }
    }
}

/// What a server offers, for a message.
pub(super) fn offered(found: &[EndpointDescription]) -> String {
    let mut words: Vec<_> = found
        .iter()
        .take(20)
        .map(|endpoint| {
            let policy = SecurityPolicy::from_uri(endpoint.security_policy_uri.as_ref());
            format!("{policy} {:?}", endpoint.security_mode)
        })
        .collect();
    words.sort_unstable();
    words.dedup();
    if words.is_empty() { "no endpoint at all".to_owned() } else { words.join(", ") }
}

impl Open<'_> {
    /// The answer to one question, within the server's time-out.
    pub(super) async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, opcua::types::Error>>,
    ) -> Result<T, Unanswered> {
        match timeout(self.server.config.timeout, question).await {
            Err(_) => Err(Unanswered {
                status: StatusCode::BadTimeout,
                error: self.server.lost(io::ErrorKind::TimedOut.into()),
            }),
            Ok(Err(error)) => {
                let status = error.status();
                Err(Unanswered { status, error: self.server.failed(status, &error.to_string()) })
            }
            Ok(Ok(answer)) => Ok(answer),
        }
    }
}

/// Why a question has no answer.
#[derive(Debug)]
pub(super) struct Unanswered {
    /// In the server's or the library's terms.
    pub(super) status: StatusCode,
    /// In ours.
    pub(super) error: CollectError,
}

impl Unanswered {
    /// Whether a server's limit was passed, and fewer at once may do.
    pub(super) fn too_many(&self) -> bool {
        matches!(
            self.status,
            StatusCode::BadTooManyOperations
                | StatusCode::BadEncodingLimitsExceeded
                | StatusCode::BadResponseTooLarge
                | StatusCode::BadRequestTooLarge
        )
    }

    /// Whether the server answered at all: the line is as it was.
    pub(super) fn is_an_answer(&self) -> bool {
        matches!(
            self.status,
            StatusCode::BadServiceUnsupported
                | StatusCode::BadNotSupported
                | StatusCode::BadNotImplemented
                | StatusCode::BadTooManySubscriptions
                | StatusCode::BadTooManyMonitoredItems
                | StatusCode::BadTooManyOperations
                | StatusCode::BadSubscriptionIdInvalid
                | StatusCode::BadUserAccessDenied
                | StatusCode::BadOutOfMemory
                | StatusCode::BadResourceUnavailable
                | StatusCode::BadInternalError
                | StatusCode::BadUnexpectedError
                | StatusCode::BadNothingToDo
                | StatusCode::BadInvalidArgument
                | StatusCode::BadHistoryOperationUnsupported
                | StatusCode::BadHistoryOperationInvalid
                | StatusCode::BadMaxAgeInvalid
        )
    }
}
