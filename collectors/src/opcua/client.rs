//! The line to one OPC UA server: discover, connect, read, close.
//!
//! The library's own reconnecting is off. Its event loop is driven by whoever uses the connection, never in a task of
//! its own, so that nothing outlives a run.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opcua::client::{Client, ClientBuilder, IdentityToken, Password, Session};
use opcua::crypto::SecurityPolicy;
use opcua::types::{
    AttributeId, EndpointDescription, MessageSecurityMode, NodeId, ReadValueId, StatusCode,
    TimestampsToReturn,
};
use proof::Reading;
use tokio::time::timeout;

use super::nodes;
use super::trust::{self, APPLICATION_NAME, APPLICATION_URI, OwnFiles};
use crate::manifest::{Mode, OpcUa, Security};
use crate::{BuildError, CollectError};

/// Most nodes of one Read; halved for a server that allows fewer.
const CHUNK: usize = 500;
/// A session is given up by the server after this long without a word, in ms.
const SESSION_MS: u32 = 120_000;
/// Between words of ours that keep it.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Longest password file in bytes.
const MAX_PASSWORD: u64 = 4_096;

/// One server as the manifest declares it.
pub(super) struct Server {
    config: OpcUa,
    nodes: Vec<ReadValueId>,
    own: OwnFiles,
    pki: PathBuf,
    /// Made at the first connection: it reads files.
    client: OnceLock<Client>,
}

type EventLoop = Pin<Box<dyn Future<Output = StatusCode> + Send>>;

/// What drives an open session; `None` once it has ended.
pub(super) struct Connection {
    events: Option<EventLoop>,
}

/// Reads the declared nodes over an open session.
pub(super) struct Reader<'a> {
    server: &'a Server,
    session: Arc<Session>,
    /// Nodes of one Read.
    chunk: AtomicUsize,
}

impl Server {
    pub(super) fn new(config: &OpcUa, own_folder: &Path) -> Result<Self, BuildError> {
        let mut nodes = Vec::with_capacity(config.points.len());
        for point in &config.points {
            let node_id: NodeId = point.node.parse().map_err(|status: StatusCode| BuildError::Pattern {
                pattern: point.node.clone(),
                why: status.to_string(),
            })?;
            nodes.push(ReadValueId {
                node_id,
                attribute_id: AttributeId::Value as u32,
                ..ReadValueId::default()
            });
        }
        let shared = own_folder.parent().unwrap_or(own_folder);
        let own = OwnFiles::below(config.client_dir.as_deref().unwrap_or(shared));
        Ok(Self { config: config.clone(), nodes, own, pki: own_folder.to_owned(), client: OnceLock::new() })
    }

    /// The endpoint with the declared policy and mode, as the server describes it, under the URL of the manifest (what
    /// servers say of their own address is often of another network).
    pub(super) async fn discover(&self) -> Result<EndpointDescription, CollectError> {
        let client = self.client().await?;
        let url = self.config.endpoint.as_str();
        let found = timeout(self.config.timeout * 2, client.get_server_endpoints_from_url(url)).await;
        let found = found.map_err(|_| self.lost(io::ErrorKind::TimedOut.into()))?;
        let found = found.map_err(|error| self.failed(error.status(), &error.to_string()))?;
        let (policy, mode) = self.wanted();
        let wanted = found.into_iter().find(|endpoint| {
            endpoint.security_mode == mode
                && SecurityPolicy::from_uri(endpoint.security_policy_uri.as_ref()) == policy
                && endpoint.endpoint_url.as_ref().starts_with("opc.tcp:")
        });
        let mut endpoint = wanted
            .ok_or_else(|| self.refused(format!("it offers no endpoint with {policy} and {mode:?}")))?;
        endpoint.endpoint_url = url.into();
        Ok(endpoint)
    }

    pub(super) async fn connect(&self) -> Result<(Connection, Reader<'_>), CollectError> {
        self.connect_to(self.discover().await?).await
    }

    pub(super) async fn connect_to(
        &self,
        endpoint: EndpointDescription,
    ) -> Result<(Connection, Reader<'_>), CollectError> {
        if let Security::Basic256Sha256 { pin, .. } = &self.config.security {
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
        let reader = Reader { server: self, session, chunk: AtomicUsize::new(CHUNK) };
        Ok((Connection { events: Some(events) }, reader))
    }

    fn wanted(&self) -> (SecurityPolicy, MessageSecurityMode) {
        match &self.config.security {
            Security::None => (SecurityPolicy::None, MessageSecurityMode::None),
            Security::Basic256Sha256 { mode: Mode::Sign, .. } => {
                (SecurityPolicy::Basic256Sha256, MessageSecurityMode::Sign)
            }
            Security::Basic256Sha256 { mode: Mode::SignAndEncrypt, .. } => {
                (SecurityPolicy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt)
            }
        }
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
            .ignore_clock_skew(true)
            .client()
            .map_err(|problems| self.refused(problems.join("; ")))?;
        Ok(self.client.get_or_init(|| client))
    }

    fn identity(&self) -> Result<IdentityToken, CollectError> {
        let Some(user) = &self.config.user else { return Ok(IdentityToken::Anonymous) };
        let path = &user.password_file;
        let unusable = |why: String| self.refused(format!("the password file {} {why}", path.display()));
        let size =
            std::fs::metadata(path).map_err(|error| unusable(format!("cannot be read: {error}")))?.len();
        if size > MAX_PASSWORD {
            return Err(unusable(format!("is longer than {MAX_PASSWORD} bytes")));
        }
        let text =
            std::fs::read_to_string(path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
        let password = text.lines().next().unwrap_or_default();
        Ok(IdentityToken::UserName(user.name.clone(), Password::new(password)))
    }

    fn lost(&self, source: io::Error) -> CollectError {
        CollectError::Lost { endpoint: self.config.endpoint.clone(), source }
    }

    fn refused(&self, why: String) -> CollectError {
        CollectError::Refused { endpoint: self.config.endpoint.clone(), why }
    }

    /// By status: who is refused must not try again soon, what cannot be read is a fault, the rest is a lost line.
    fn failed(&self, status: StatusCode, text: &str) -> CollectError {
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
    pub(super) async fn close(mut self, session: &Reader<'_>) {
        if self.events.is_none() {
            return;
        }
        let closed = timeout(session.server.config.timeout, self.drive(session.session.disconnect())).await;
        if !matches!(closed, Ok(Ok(()))) {
            tracing::debug!(?closed, "session could not be closed; the server will drop it");
        }
    }
}

impl Reader<'_> {
    /// Reads every declared node: the readings in manifest order.
    pub(super) async fn read(&self) -> Result<Vec<Reading>, CollectError> {
        let server = self.server;
        let mut readings = Vec::with_capacity(server.nodes.len());
        while readings.len() < server.nodes.len() {
            let from = readings.len();
            let chunk = self.chunk.load(Ordering::Relaxed);
            let nodes = &server.nodes[from..server.nodes.len().min(from + chunk)];
            let read =
                timeout(server.config.timeout, self.session.read(nodes, TimestampsToReturn::Neither, 0.0))
                    .await;
            let values = match read {
                Err(_) => return Err(server.lost(io::ErrorKind::TimedOut.into())),
                Ok(Err(error)) if too_many(error.status()) && chunk > 1 => {
                    self.chunk.store(chunk / 2, Ordering::Relaxed);
                    continue;
                }
                Ok(Err(error)) => return Err(server.failed(error.status(), &error.to_string())),
                Ok(Ok(values)) => values,
            };
            if values.len() != nodes.len() {
                let (endpoint, came) = (server.config.endpoint.clone(), values.len());
                let why = format!("{came} values for {} nodes", nodes.len());
                return Err(CollectError::Unreadable { endpoint, why });
            }
            let points = &server.config.points[from..];
            readings.extend(
                points.iter().zip(&values).map(|(point, value)| nodes::decode(&point.meaning, value)),
            );
        }
        Ok(readings)
    }
}

/// Whether a server's limit was passed, and fewer nodes at once may do.
fn too_many(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadTooManyOperations
            | StatusCode::BadEncodingLimitsExceeded
            | StatusCode::BadResponseTooLarge
            | StatusCode::BadRequestTooLarge
    )
}
