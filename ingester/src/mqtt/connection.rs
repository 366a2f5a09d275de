//! Keeps the connection to the broker and queues what comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use daemon::{Backoff, chain};
use proof::AgentId;
use proof::presence::Presence;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, Publish, SubAck, Subscribe, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, EventLoop, Request};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{GRACE, STATUS};
use crate::intake::Message;

/// A delivery in the queue, and the connection it came on: a later one must not be told of it.
pub(super) struct Delivery {
    pub(super) what: Delivered,
    pub(super) publish: Publish,
    pub(super) generation: u64,
}

/// What was delivered.
pub(super) enum Delivered {
    /// On a gateway's `up` topic.
    Parcel(Message),
    /// On a gateway's `status` topic.
    Presence(AgentId, Presence),
}

pub(super) struct Connection {
    client: AsyncClient,
    events: EventLoop,
    connected: bool,
    filter: String,
    queue: Option<mpsc::Sender<Delivery>>,
    generation: Arc<AtomicU64>,
    drained: CancellationToken,
    backoff: Backoff,
    listening: CancellationToken,
}

/// Why a connection that stands is given up.
enum Fault {
    /// The broker will not let us subscribe.
    NotSubscribed,
    /// The broker delivers more than it was told it may.
    Overrun,
}

impl Connection {
    pub(super) fn new(
        client: AsyncClient,
        events: EventLoop,
        filter: String,
        queue: mpsc::Sender<Delivery>,
        generation: Arc<AtomicU64>,
        drained: CancellationToken,
        listening: CancellationToken,
    ) -> Self {
        let seed =
            events.options.client_id().bytes().fold(7, |seed, b| seed * 31 % 0xffff_fffb + u64::from(b));
        let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30), seed);
        let (connected, queue) = (false, Some(queue));
        Self { client, events, connected, filter, queue, generation, drained, backoff, listening }
    }

    /// Keeps trying until `stop`; then queues nothing more, and stays until the recorder is done and everything it
    /// sent has left, within the grace.
    pub(super) async fn run(mut self, stop: &CancellationToken) {
        // A poll that is cut off may leave half a packet on the wire. That is fine once: at the stop, when a
        // connection that is only being made is given up.
        tokio::select! {
            () = self.deliver() => {}
            () = stop.cancelled() => {}
        }
        self.queue = None;
        let drained = self.drained.clone();
        let leave = async {
            tokio::select! {
                () = self.flush() => {}
                () = drained.cancelled() => {}
            }
            self.part().await;
        };
        if tokio::time::timeout(GRACE, leave).await.is_err() {
            warn!("left the broker with answers unsent; gateways will ask again");
        }
    }

    /// Connects and takes deliveries, for ever, or until the recorder has failed.
    async fn deliver(&mut self) {
        while !self.drained.is_cancelled() {
            let outcome = tokio::select! {
                event = self.events.poll() => event,
                () = self.drained.cancelled() => return,
            };
            match outcome {
                Ok(Event::Incoming(packet)) => {
                    if let Err(fault) = self.handle(packet) {
                        self.fail(&fault).await;
                    }
                }
                Ok(Event::Outgoing(_)) => {}
                Err(error) => self.retry(&error).await,
            }
        }
    }

    /// Sends what the recorder still gives, while the connection stands.
    async fn flush(&mut self) {
        while self.connected {
            self.connected = self.events.poll().await.is_ok();
        }
        std::future::pending().await
    }

    /// Sends what is left in the channel and says goodbye, while the connection stands.
    async fn part(&mut self) {
        if !self.connected {
            return;
        }
        let leaving = async {
            while let Ok(event) = self.events.poll().await {
                if event == Event::Outgoing(rumqttc::Outgoing::Disconnect) {
                    info!("disconnected from the broker");
                    return;
                }
            }
        };
        // Behind the answers in the same channel.
        let (_, asked) = tokio::join!(leaving, self.client.disconnect());
        if let Err(error) = asked {
            debug!(%error, "no goodbye to the broker");
        }
    }

    fn handle(&mut self, packet: Packet) -> Result<(), Fault> {
        match packet {
            Packet::ConnAck(_) => {
                self.connected = true;
                // Deliveries of the connection before are answered still, but no longer acknowledged.
                self.generation.fetch_add(1, Ordering::SeqCst);
                // Every time: a broker that was restarted has forgotten us, and repeating it is harmless.
                let filters =
                    [self.filter.as_str(), STATUS].map(|filter| Filter::new(filter, QoS::AtLeastOnce));
                let subscribe = Subscribe { pkid: 0, filters: filters.to_vec(), properties: None };
                self.events.pending.push_front(Request::Subscribe(subscribe));
                Ok(())
            }
            Packet::SubAck(ack) => self.subscribed(&ack),
            Packet::Publish(publish) => self.queue(publish),
            Packet::Auth(_)
            | Packet::Connect(..)
            | Packet::PubAck(_)
            | Packet::PingReq(_)
            | Packet::PingResp(_)
            | Packet::Subscribe(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::Unsubscribe(_)
            | Packet::UnsubAck(_)
            | Packet::Disconnect(_) => Ok(()),
        }
    }

    fn subscribed(&mut self, ack: &SubAck) -> Result<(), Fault> {
        let granted = ack.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_)));
        if !granted {
            return Err(Fault::NotSubscribed);
        }
        self.backoff.reset();
        self.listening.cancel();
        info!(filter = %self.filter, "listening");
        Ok(())
    }

    fn queue(&mut self, publish: Publish) -> Result<(), Fault> {
        let Some((topic, what)) = delivered(&publish) else {
            // The broker's rules should not let this through. Nobody could be answered; it is dropped, and
            // acknowledged with the next delivery's connection.
            warn!("delivery that is no gateway's parcel or status");
            self.events.pending.extend(acknowledgement(&publish));
            return Ok(());
        };
        let Some(queue) = &self.queue else { return Ok(()) };
        let generation = self.generation.load(Ordering::SeqCst);
        let at_most_once = publish.qos == QoS::AtMostOnce;
        match queue.try_send(Delivery { what, publish, generation }) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) if at_most_once => {
                debug!(agent = %topic, "dropped a delivery that asked for no acknowledgement");
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(_)) => Err(Fault::Overrun),
            // The recorder has ended, and so will this.
            Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Gives up a connection that stands.
    async fn fail(&mut self, fault: &Fault) {
        self.connected = false;
        self.events.clean();
        let delay = self.backoff.next_delay();
        match fault {
            Fault::NotSubscribed => {
                warn!(filter = %self.filter, retry_in = ?delay, "broker refused the subscription")
            }
            Fault::Overrun => warn!(retry_in = ?delay, "broker delivered more than it may, connecting again"),
        }
        tokio::time::sleep(delay).await;
    }

    async fn retry(&mut self, error: &rumqttc::v5::ConnectionError) {
        self.connected = false;
        let delay = self.backoff.next_delay();
        warn!(error = %chain(error), retry_in = ?delay, "lost the broker");
        tokio::time::sleep(delay).await;
    }
}

/// What came, and whose it is; `None` for anything that is neither parcel nor status of a gateway.
fn delivered(publish: &Publish) -> Option<(AgentId, Delivered)> {
    let topic = std::str::from_utf8(&publish.topic).ok()?;
    if let Some(agent) = AgentId::of_topic(topic, "up") {
        return Some((agent, Delivered::Parcel(Message { topic: agent, parcel: publish.payload.clone() })));
    }
    let agent = AgentId::of_topic(topic, "status")?;
    Some((agent, Delivered::Presence(agent, Presence::parse(&publish.payload)?)))
}

/// The PUBACK of a delivery, where it wants one.
pub(super) fn acknowledgement(publish: &Publish) -> Option<Request> {
    use rumqttc::v5::mqttbytes::v5::PubAck;
    (publish.qos == QoS::AtLeastOnce).then(|| Request::PubAck(PubAck::new(publish.pkid, None)))
}
