//! The embedded MQTT broker: rmqtt as a library, TLS with client certificates, MQTT 3.1.1 and 5.
//!
//! Promises: nobody connects without a certificate of our authority; nobody speaks or hears outside of what
//! [`access`] says; no agent can close another's connection; a revoked agent is refused.
//! Deliberately absent: persistence (see `memory`), clustering, plain TCP, web sockets. A city that outgrows one
//! box runs a broker of its own with the same rules (`[broker] mode = "external"`).
//! The broker's word for who a device is binds nobody: the ingester goes by signatures.

pub mod access;
mod gate;
mod memory;

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proof::AgentId;
use rmqtt::codec::types::QoS;
use rmqtt::context::ServerContext;
use rmqtt::net::Builder;
use rmqtt::server::MqttServer;
use rmqtt::types::Id;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::ca::{Ca, Identity};
pub use gate::{Admit, Answer};

/// Largest MQTT packet in bytes: the largest parcel, its topic and header.
pub const MAX_PACKET: u32 = 301 * 1024;
const _: () = assert!(MAX_PACKET as usize > proof::MAX_PARCEL);

/// Connections and sessions at most.
const MAX_SESSIONS: usize = 20_000;
/// Messages queued for one agent at most; answers it misses come again with what it sends again.
const AGENT_QUEUE: usize = 256;
const AGENT_INFLIGHT: NonZeroU16 = NonZeroU16::new(32).expect("is not zero");
/// A session of an absent client and the messages queued for it are forgotten after this time.
const FORGET: Duration = Duration::from_secs(3600);

/// How often a stopping broker looks for clients that are still there, and how long it waits between.
const LOOKS: u32 = 40;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Why the broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The address cannot be listened on, or the certificate files cannot be used.
    #[error("could not listen on {address}: {problem}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The broker's words.
        problem: String,
    },
    /// The broker's library takes file names as text only.
    #[error("{} is not UTF-8", .0.display())]
    Path(PathBuf),
}

/// A broker that is bound and not yet running.
pub struct Broker {
    server: MqttServer,
    context: ServerContext,
    address: SocketAddr,
    /// Fires when nobody is let in any more.
    closing: CancellationToken,
}

/// Reaches a running broker.
#[derive(Clone)]
pub struct BrokerHandle(ServerContext);

impl Broker {
    /// Listens on `address` (port 0: one that is free) and takes nobody yet.
    ///
    /// # Errors
    /// When the address or the certificate files cannot be used.
    pub async fn bind(
        address: SocketAddr,
        ca: &Ca,
        identity: &Identity,
        admit: Admit,
    ) -> Result<Self, BrokerError> {
        // Its overload check refuses clients by the machine's load, which a busy neighbour can cause.
        let context = ServerContext::new()
            .busy_check_enable(false)
            .mqtt_max_sessions(isize::try_from(MAX_SESSIONS).unwrap_or(isize::MAX))
            .task_exec_workers(256)
            .task_exec_queue_max(20_000)
            .build()
            .await;
        let closing = CancellationToken::new();
        gate::install(&context, admit, &closing).await;
        memory::install(&context).await;
        let failed = |error: rmqtt::Error| BrokerError::Listen { address, problem: format!("{error:#}") };
        let listener =
            settings(address, &ca.file(), identity)?.bind().map_err(failed)?.tls().map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let server = MqttServer::new(context.clone()).listener_by_id(listener, address.port()).build();
        Ok(Self { server, context, address, closing })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reaches the broker while it runs.
    pub fn handle(&self) -> BrokerHandle {
        BrokerHandle(self.context.clone())
    }

    /// Serves until `stop` fires; then takes nobody new, waits until what it passed on is `drained`, and closes every
    /// connection.
    pub async fn run(self, stop: CancellationToken, drained: CancellationToken) {
        info!(address = %self.address, "broker listening");
        let handle = self.handle();
        tokio::select! {
            ended = self.server.run() => {
                if let Err(error) = ended {
                    warn!(error = format!("{error:#}"), "broker ended");
                }
            }
            () = stop.cancelled() => {}
        }
        self.closing.cancel();
        drained.cancelled().await;
        handle.disconnect_all().await;
        info!("broker stopped");
    }
}

impl BrokerHandle {
    /// Closes the connection of a revoked agent and forgets its session.
    pub async fn disconnect(&self, agent: AgentId) {
        let context = &self.0;
        let id = Id::new(context.node.id(), 0, None, None, agent.to_string().into(), None);
        self.kick(id).await;
    }

    /// Closes every connection. One that was let in a moment before the stop shows up a moment after it, so it looks
    /// until nobody is there and nobody is at the door.
    async fn disconnect_all(&self) {
        for _ in 0..LOOKS {
            let ids: Vec<Id> = self.0.extends.shared().await.iter().map(|entry| entry.id()).collect();
            if ids.is_empty() && self.0.handshake_exec.active_count() == 0 {
                return;
            }
            for id in ids {
                self.kick(id).await;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        warn!("stopped with clients in mid-handshake");
    }

    async fn kick(&self, id: Id) {
        let entry = self.0.extends.shared().await.entry(id.clone());
        let kicked = match entry.try_lock().await {
            Ok(mut entry) => entry.kick(true, true, true).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = kicked {
            warn!(client = %id.client_id, error = format!("{error:#}"), "client could not be disconnected");
        }
    }
}

fn settings(address: SocketAddr, ca: &Path, identity: &Identity) -> Result<Builder, BrokerError> {
    let text =
        |path: &Path| path.to_str().map(str::to_owned).ok_or_else(|| BrokerError::Path(path.to_owned()));
    Ok(Builder::new()
        .name("inuse")
        .laddr(address)
        .reuseaddr(Some(true))
        .nodelay(true)
        .max_connections(MAX_SESSIONS)
        .max_handshaking_limit(512)
        .handshake_timeout(Duration::from_secs(15))
        .send_timeout(Duration::from_secs(15))
        .max_packet_size(MAX_PACKET)
        .max_clientid_len(64)
        .max_qos_allowed(QoS::AtLeastOnce)
        .max_topic_levels(4)
        .max_subscriptions(8)
        .max_inflight(AGENT_INFLIGHT)
        .max_mqueue_len(AGENT_QUEUE)
        .session_expiry_interval(FORGET)
        .max_session_expiry_interval(FORGET)
        .message_expiry_interval(FORGET)
        .allow_zero_keepalive(false)
        .max_keepalive(600)
        .allow_anonymous(false)
        .tls_cross_certificate(true)
        .tls_client_ca_certs(Some(text(ca)?))
        .tls_cert(Some(text(&identity.chain_file)?))
        .tls_key(Some(text(&identity.key_file)?))
        .cert_cn_as_username(true)
        .collect_cert_info(true))
}

#[cfg(test)]
mod tests;
