//! The MQTT side: one connection that keeps trying, one recorder that groups what is queued into one commit.
//!
//! The connection never waits for the recorder: the broker may have at most [`RECEIVE_MAX`] deliveries without a
//! PUBACK under way, and the queue holds more than that. The recorder takes whatever is queued, up to
//! [`MOST_AT_ONCE`], commits it, answers and acknowledges; while it commits, the next batch gathers by itself, so
//! nothing waits for a batch to fill.
//!
//! Broker gone: tries again with a growing delay, for ever, and subscribes again after each connection. Ledger
//! failing: ends, with what was not recorded left unacknowledged; the broker or the gateways will send it again.

mod connection;
mod recorder;
mod tls;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use daemon::Clock;
use ledger::{Ledger, LedgerError};
use rumqttc::v5::{AsyncClient, EventLoop, MqttOptions};
use rumqttc::{TlsConfiguration, Transport};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use tls::Tls;

use connection::Connection;
use recorder::Recorder;

/// Deliveries without PUBACK that the broker may have under way (MQTT 5, receive maximum).
const RECEIVE_MAX: u16 = 256;

/// Places in the queue: one connection's deliveries, and those of the one before it that come again.
const QUEUE: usize = 2 * RECEIVE_MAX as usize;

/// Most parcels in one commit.
const MOST_AT_ONCE: usize = 256;

/// Largest MQTT packet either way: the largest parcel and its wrapping.
const MAX_PACKET: u32 = 320 * 1024;

/// How long the broker keeps deliveries for an ingester that is away.
const SESSION_SECS: u32 = 3600;

/// How long after the stop the last batch may take to be answered.
const GRACE: Duration = Duration::from_secs(10);

const _: () = assert!(MAX_PACKET as usize > proof::MAX_PARCEL + 1024);

/// Where the broker is and who the ingester is there.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name or address; with TLS the broker's certificate must be for it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Mutual TLS. `None` only towards a loopback address.
    pub tls: Option<Tls>,
    /// MQTT client id: its own for each ingester, and the same after a restart.
    pub client_id: String,
    /// Name of the shared subscription, when several ingesters share the work.
    pub group: Option<String>,
}

/// Why an ingester cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Without TLS anybody on the wire reads and writes.
    #[error("broker {0} is not on this machine and no TLS is configured")]
    Plain(String),
    /// Certificates or key.
    #[error("{what} for the broker cannot be used")]
    Tls {
        /// Which file.
        what: &'static str,
        /// What rustls said.
        source: tls::TlsProblem,
    },
    /// Not a name for a shared subscription.
    #[error("`{0}` cannot be the name of a shared subscription")]
    Group(String),
}

/// Why an ingester ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The ledger could not record. Nothing unrecorded was acknowledged.
    #[error("ledger failed")]
    Ledger(#[from] LedgerError),
}

/// Takes parcels off the broker until it is told to stop.
pub struct Ingester {
    client: AsyncClient,
    events: EventLoop,
    filter: String,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    listening: CancellationToken,
}

impl Ingester {
    /// Prepares an ingester; nothing is connected yet. `listening` fires when the broker has granted the
    /// subscriptions for the first time: what is published from then on is heard.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn build(
        config: Config,
        ledger: Ledger,
        clock: Arc<dyn Clock>,
        listening: CancellationToken,
    ) -> Result<Self, BuildError> {
        let mut options = MqttOptions::new(config.client_id, config.host.clone(), config.port);
        match &config.tls {
            Some(tls) => {
                let config = Arc::new(tls.client_config()?);
                options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config)));
            }
            None if is_loopback(&config.host) => {}
            None => return Err(BuildError::Plain(config.host)),
        }
        options
            .set_clean_start(false)
            .set_session_expiry_interval(Some(SESSION_SECS))
            .set_receive_maximum(Some(RECEIVE_MAX))
            .set_max_packet_size(Some(MAX_PACKET))
            .set_manual_acks(true)
            .set_keep_alive(Duration::from_secs(30))
            .set_connection_timeout(10)
            .set_outgoing_inflight_upper_limit(RECEIVE_MAX);
        // Small packets go at once: waiting for more would add a delayed acknowledgement, 40 ms, to every receipt.
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let filter = match config.group {
            None => UP.to_owned(),
            Some(group) if group.is_empty() || group.contains(['/', '+', '#']) => {
                return Err(BuildError::Group(group));
            }
            Some(group) => format!("$share/{group}/{UP}"),
        };
        let (client, events) = AsyncClient::new(options, QUEUE);
        Ok(Self { client, events, filter, ledger, clock, listening })
    }

    /// Runs until `stop` fires: then takes nothing more, records and answers what is queued, and disconnects.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn run(self, stop: CancellationToken) -> Result<(), IngestError> {
        let (queue, queued) = mpsc::channel(QUEUE);
        let generation = Arc::new(AtomicU64::new(0));
        let drained = CancellationToken::new();
        let connection = Connection::new(
            self.client.clone(),
            self.events,
            self.filter,
            queue,
            Arc::clone(&generation),
            drained.clone(),
            self.listening,
        );
        let recorder = Recorder::new(self.client, queued, self.ledger, self.clock, generation);
        let recording = async {
            // However recording ends, there is nothing left that the connection should stay for.
            let _guard = drained.drop_guard();
            recorder.run(&stop).await
        };
        let (recorded, ()) = tokio::join!(recording, connection.run(&stop));
        recorded
    }
}

/// Every gateway's parcels.
const UP: &str = "inuse/v1/+/up";

/// Every gateway's presence. Not shared: it is retained, and each ingester may note it.
const STATUS: &str = "inuse/v1/+/status";

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
