//! The line to the broker: connects, subscribes, listens. One connection, which ends with the value.

use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS,
    SubscribeFilter, SubscribeReasonCode, Transport,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::messages::Hearing;
use crate::CollectError;
use crate::manifest::{Mqtt, Source};

/// Largest message, bytes. The connection to a broker that sends a larger one is lost.
const MAX_PACKET: usize = 256 * 1024;

/// A connection that is subscribed to all topics.
pub(super) struct Listening {
    broker: String,
    events: EventLoop,
    client: AsyncClient,
}

/// Who connects: brokers keep one connection a name.
#[derive(Clone, Copy)]
pub(super) enum Who {
    Collector,
    /// Somebody who looks while the collector runs.
    Probe,
}

/// A name for us that no other gateway has while this one runs.
pub(super) fn id(source: &Source, who: Who) -> String {
    let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digest =
        Sha256::new().chain_update(boot).chain_update(&source.name).chain_update(source.address()).finalize();
    // Brokers need not take more than 23 characters.
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    match who {
        Who::Collector => format!("inuse-{hex}"),
        Who::Probe => format!("probe-{hex}"),
    }
}

impl Listening {
    /// Connects and subscribes, within the configured time.
    pub(super) async fn start(config: &Mqtt, id: &str) -> Result<Self, CollectError> {
        let options = options(config, id)?;
        let mut filters: Vec<&str> = config.points.iter().map(|point| point.topic.as_str()).collect();
        filters.sort_unstable();
        filters.dedup();
        let (client, events) = AsyncClient::new(options, 8);
        let mut listening = Self { broker: config.broker.clone(), events, client };
        let subscribed = timeout(config.timeout, listening.subscribe(&filters)).await;
        subscribed.map_err(|_| listening.lost(io::ErrorKind::TimedOut.into()))??;
        Ok(listening)
    }

    async fn subscribe(&mut self, filters: &[&str]) -> Result<(), CollectError> {
        let mut wanted = filters.chunks(64);
        loop {
            match self.events.poll().await.map_err(|error| self.failed(error))? {
                Event::Incoming(Packet::ConnAck(_)) => {}
                Event::Incoming(Packet::SubAck(answer)) => {
                    let refused = answer.return_codes.contains(&SubscribeReasonCode::Failure);
                    if refused {
                        return Err(
                            self.refused("a subscription: the account may not read that topic".to_owned())
                        );
                    }
                }
                Event::Incoming(_) | Event::Outgoing(_) => continue,
            }
            let Some(chunk) = wanted.next() else { return Ok(()) };
            let filters =
                chunk.iter().map(|filter| SubscribeFilter::new((*filter).to_owned(), QoS::AtMostOnce));
            self.client
                .try_subscribe_many(filters)
                .map_err(|error| self.lost(io::Error::other(error.to_string())))?;
        }
    }

    /// Takes messages until the line is lost. `now_ms` is the wall clock.
    pub(super) async fn listen(
        &mut self,
        hearing: &Mutex<Hearing>,
        now_ms: &(dyn Fn() -> i64 + Sync),
    ) -> CollectError {
        loop {
            match self.events.poll().await {
                Ok(Event::Incoming(Packet::Publish(message))) if !message.retain => hearing
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .message(&message.topic, &message.payload, now_ms()),
                Ok(Event::Incoming(_) | Event::Outgoing(_)) => {}
                Err(error) => return self.failed(error),
            }
        }
    }

    /// Gives every message to `take`, the broker's kept ones too, until the line is lost.
    pub(super) async fn listen_to_all(&mut self, mut take: impl FnMut(&str, &[u8])) -> CollectError {
        loop {
            match self.events.poll().await {
                Ok(Event::Incoming(Packet::Publish(message))) => take(&message.topic, &message.payload),
                Ok(Event::Incoming(_) | Event::Outgoing(_)) => {}
                Err(error) => return self.failed(error),
            }
        }
    }

    /// Takes messages, the broker's kept ones too, until every point was heard of once.
    pub(super) async fn listen_until_all(&mut self, hearing: &Mutex<Hearing>) -> Result<(), CollectError> {
        loop {
            let event = self.events.poll().await.map_err(|error| self.failed(error))?;
            let Event::Incoming(Packet::Publish(message)) = event else { continue };
            let mut hearing = hearing.lock().unwrap_or_else(PoisonError::into_inner);
            hearing.message_of_any_time(&message.topic, &message.payload);
            if hearing.has_all() {
                return Ok(());
            }
        }
    }

    fn lost(&self, source: io::Error) -> CollectError {
        CollectError::Lost { endpoint: self.broker.clone(), source }
    }

    fn refused(&self, why: String) -> CollectError {
        CollectError::Refused { endpoint: self.broker.clone(), why }
    }

    fn failed(&self, error: ConnectionError) -> CollectError {
        match error {
            ConnectionError::Io(error) => self.lost(error),
            ConnectionError::ConnectionRefused(code) => match code {
                ConnectReturnCode::ServiceUnavailable => {
                    self.lost(io::Error::other("the broker is not available"))
                }
                ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                    self.refused("the user or the password".to_owned())
                }
                ConnectReturnCode::Success
                | ConnectReturnCode::RefusedProtocolVersion
                | ConnectReturnCode::BadClientId => self.refused(format!("the connection: {code:?}")),
            },
            ConnectionError::Tls(error) => self.refused(format!("TLS: {}", daemon::chain(&error))),
            ConnectionError::NotConnAck(packet) => CollectError::Unreadable {
                endpoint: self.broker.clone(),
                why: format!("no answer to the connection but {packet:?}"),
            },
            ConnectionError::MqttState(error) => self.lost(io::Error::other(error.to_string())),
            ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
                self.lost(io::ErrorKind::TimedOut.into())
            }
            ConnectionError::RequestsDone => self.lost(io::ErrorKind::NotConnected.into()),
        }
    }
}

fn options(config: &Mqtt, id: &str) -> Result<MqttOptions, CollectError> {
    let (host, port) = config.broker.rsplit_once(':').expect("a checked address has a port");
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut options = MqttOptions::new(id, host, port.parse().expect("a checked port is a number"));
    options.set_clean_session(true).set_max_packet_size(MAX_PACKET, MAX_PACKET);
    let refused = |why: String| CollectError::Refused { endpoint: config.broker.clone(), why };
    if let Some(file) = &config.ca_file {
        let unusable = |why: String| refused(format!("the file {} {why}", file.display()));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))? {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unusable("has no certificate".to_owned()));
        }
        let tls =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| unusable(error.to_string()))?
                .with_root_certificates(roots)
                .with_no_client_auth();
        options.set_transport(Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(Arc::new(tls))));
    }
    if let Some(user) = &config.user {
        options.set_credentials(&user.name, user.password().map_err(refused)?);
    }
    Ok(options)
}
