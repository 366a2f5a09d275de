//! One connection to a broker, MQTT 5 or 3.1.1, behind the few words the uplink needs.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{NetworkOptions, QoS, Transport};
use rustls::ClientConfig;

use crate::config::BrokerAddress;

/// Requests that may wait in the client; the uplink keeps fewer in flight.
const QUEUE: usize = 256;

/// Publishes that may wait for the broker's word; the uplink waits for receipts with fewer.
const MOST_UNACKNOWLEDGED: u16 = 128;

const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Largest packet either way.
const MAX_PACKET: u32 = 320 * 1024;

/// The protocol spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Five,
    Four,
}

impl Version {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Five => "5",
            Self::Four => "3.1.1",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Five => Self::Four,
            Self::Four => Self::Five,
        }
    }
}

/// How to connect.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) broker: BrokerAddress,
    pub(crate) client_id: String,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) will_topic: String,
    pub(crate) will: Vec<u8>,
}

/// What the connection brought.
#[derive(Debug)]
pub(crate) enum Happened {
    Connected,
    Subscribed,
    Message {
        topic: String,
        payload: Vec<u8>,
    },
    /// A publish was refused by the broker with this reason (MQTT 5 only).
    Denied(String),
    Nothing,
}

/// Why the connection ended.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub(crate) struct Lost {
    words: String,
    /// The broker may not speak this version: TCP and TLS worked, the MQTT handshake did not.
    pub(crate) try_other_version: bool,
}

impl Lost {
    pub(crate) fn because(words: String) -> Self {
        Self { words, try_other_version: false }
    }
}

/// The client's queue is full or its connection gone.
#[derive(Debug, thiserror::Error)]
#[error("the connection takes no more")]
pub(crate) struct Busy;

pub(crate) enum Line {
    Five(rumqttc::v5::AsyncClient, Box<rumqttc::v5::EventLoop>),
    Four(rumqttc::AsyncClient, Box<rumqttc::EventLoop>),
}

impl Line {
    pub(crate) fn new(options: &Options, version: Version) -> Self {
        let BrokerAddress { host, port } = options.broker.clone();
        let transport =
            Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(Arc::clone(&options.tls)));
        let (id, topic, will) = (options.client_id.clone(), options.will_topic.clone(), options.will.clone());
        match version {
            Version::Five => {
                let mut mqtt = rumqttc::v5::MqttOptions::new(id, host, port);
                let will = rumqttc::v5::mqttbytes::v5::LastWill::new(
                    topic,
                    will,
                    rumqttc::v5::mqttbytes::QoS::AtLeastOnce,
                    true,
                    None,
                );
                mqtt.set_network_options(prompt());
                mqtt.set_transport(transport)
                    .set_keep_alive(KEEP_ALIVE)
                    .set_clean_start(true)
                    .set_max_packet_size(Some(MAX_PACKET))
                    // The client makes room for all of them at once: without a bound 14 MiB.
                    .set_outgoing_inflight_upper_limit(MOST_UNACKNOWLEDGED)
                    .set_last_will(will);
                let (client, events) = rumqttc::v5::AsyncClient::new(mqtt, QUEUE);
                Self::Five(client, Box::new(events))
            }
            Version::Four => {
                let mut mqtt = rumqttc::MqttOptions::new(id, host, port);
                let most = usize::try_from(MAX_PACKET).unwrap_or(usize::MAX);
                mqtt.set_transport(transport)
                    .set_keep_alive(KEEP_ALIVE)
                    .set_clean_session(true)
                    .set_max_packet_size(most, most)
                    .set_last_will(rumqttc::LastWill::new(topic, will, QoS::AtLeastOnce, true));
                let (client, mut events) = rumqttc::AsyncClient::new(mqtt, QUEUE);
                events.set_network_options(prompt());
                Self::Four(client, Box::new(events))
            }
        }
    }

    pub(crate) fn subscribe(&self, topic: &str) -> Result<(), Busy> {
        match self {
            Self::Five(client, _) => {
                client.try_subscribe(topic, rumqttc::v5::mqttbytes::QoS::AtLeastOnce).map_err(|_| Busy)
            }
            Self::Four(client, _) => client.try_subscribe(topic, QoS::AtLeastOnce).map_err(|_| Busy),
        }
    }

    pub(crate) fn publish(&self, topic: &str, retain: bool, payload: Vec<u8>) -> Result<(), Busy> {
        match self {
            Self::Five(client, _) => {
                let qos = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
                client.try_publish(topic, qos, retain, payload).map_err(|_| Busy)
            }
            Self::Four(client, _) => {
                client.try_publish(topic, QoS::AtLeastOnce, retain, payload).map_err(|_| Busy)
            }
        }
    }

    pub(crate) fn disconnect(&self) -> Result<(), Busy> {
        match self {
            Self::Five(client, _) => client.try_disconnect().map_err(|_| Busy),
            Self::Four(client, _) => client.try_disconnect().map_err(|_| Busy),
        }
    }

    /// Moves the connection on. After [`Lost`] this line is done with.
    pub(crate) async fn poll(&mut self) -> Result<Happened, Lost> {
        match self {
            Self::Five(_, events) => five::read(events.poll().await),
            Self::Four(_, events) => four::read(events.poll().await),
        }
    }
}

/// Small packets go at once: waiting for more to send would add a delayed acknowledgement, 40 ms, to every proof.
fn prompt() -> NetworkOptions {
    let mut options = NetworkOptions::new();
    options.set_tcp_nodelay(true);
    options
}

/// A TLS 1.3 broker refuses a client certificate after a good handshake, by an alert or by closing; says so.
fn explain(words: String, before_connack: bool) -> String {
    if is_alert(&words) {
        return format!("{words} (the broker does not accept this gateway's certificate)");
    }
    let eof = ["eof", "closed", "reset", "Broken pipe"].iter().any(|sign| words.contains(sign));
    if before_connack && eof {
        return format!(
            "{words} (the broker closed right after the TLS handshake: it may not accept this gateway's certificate)"
        );
    }
    words
}

/// A TLS alert: it has nothing to do with the version of MQTT.
fn is_alert(words: &str) -> bool {
    words.contains("received fatal alert")
}

mod five {
    use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, Packet, PubAckReason, SubscribeReasonCode};
    use rumqttc::v5::{ConnectionError, Event};

    use super::{Happened, Lost, explain, is_alert};

    pub(super) fn read(event: Result<Event, ConnectionError>) -> Result<Happened, Lost> {
        match event {
            Ok(Event::Incoming(packet)) => packet_of(packet),
            Ok(Event::Outgoing(_)) => Ok(Happened::Nothing),
            Err(error) => Err(lost(&error)),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the client answers the other packets itself")]
    fn packet_of(packet: Packet) -> Result<Happened, Lost> {
        match packet {
            Packet::ConnAck(_) => Ok(Happened::Connected),
            Packet::SubAck(ack)
                if ack.return_codes.iter().all(|c| matches!(c, SubscribeReasonCode::Success(_))) =>
            {
                Ok(Happened::Subscribed)
            }
            Packet::SubAck(ack) => {
                let words =
                    format!("broker refused the subscription to our own topic: {:?}", ack.return_codes);
                Err(Lost { words, try_other_version: false })
            }
            Packet::Publish(publish) => Ok(Happened::Message {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload.to_vec(),
            }),
            Packet::PubAck(ack)
                if !matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers) =>
            {
                Ok(Happened::Denied(format!("{:?}", ack.reason)))
            }
            Packet::Disconnect(reason) => {
                let words = format!("broker disconnected us: {:?}", reason.reason_code);
                Err(Lost { words, try_other_version: false })
            }
            _ => Ok(Happened::Nothing),
        }
    }

    fn lost(error: &ConnectionError) -> Lost {
        let version = matches!(
            error,
            ConnectionError::ConnectionRefused(
                ConnectReturnCode::UnsupportedProtocolVersion | ConnectReturnCode::RefusedProtocolVersion
            ) | ConnectionError::NotConnAck(_)
                | ConnectionError::MqttState(_)
        );
        let words = explain(daemon::chain(error), !version);
        Lost { try_other_version: version && !is_alert(&words), words }
    }
}

mod four {
    use rumqttc::{ConnectReturnCode, ConnectionError, Event, Packet, SubscribeReasonCode};

    use super::{Happened, Lost, explain, is_alert};

    pub(super) fn read(event: Result<Event, ConnectionError>) -> Result<Happened, Lost> {
        match event {
            Ok(Event::Incoming(packet)) => packet_of(packet),
            Ok(Event::Outgoing(_)) => Ok(Happened::Nothing),
            Err(error) => Err(lost(&error)),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the client answers the other packets itself")]
    fn packet_of(packet: Packet) -> Result<Happened, Lost> {
        match packet {
            Packet::ConnAck(_) => Ok(Happened::Connected),
            Packet::SubAck(ack)
                if ack.return_codes.iter().all(|c| matches!(c, SubscribeReasonCode::Success(_))) =>
            {
                Ok(Happened::Subscribed)
            }
            Packet::SubAck(_) => {
                let words = "broker refused the subscription to our own topic".to_owned();
                Err(Lost { words, try_other_version: false })
            }
            Packet::Publish(publish) => {
                Ok(Happened::Message { topic: publish.topic, payload: publish.payload.to_vec() })
            }
            _ => Ok(Happened::Nothing),
        }
    }

    fn lost(error: &ConnectionError) -> Lost {
        let version = matches!(
            error,
            ConnectionError::ConnectionRefused(ConnectReturnCode::RefusedProtocolVersion)
                | ConnectionError::NotConnAck(_)
                | ConnectionError::MqttState(_)
        );
        let words = explain(daemon::chain(error), !version);
        Lost { try_other_version: version && !is_alert(&words), words }
    }
}
