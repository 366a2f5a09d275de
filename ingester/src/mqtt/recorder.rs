//! Takes what is queued, records it in one commit, answers, acknowledges.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use daemon::Clock;
use ledger::{Ledger, Presence};
use proof::AgentId;
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::connection::{Delivered, Delivery};
use super::{GRACE, IngestError, MOST_AT_ONCE};
use crate::intake::{Intake, Message, Reply};

pub(super) struct Recorder {
    client: AsyncClient,
    queue: mpsc::Receiver<Delivery>,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    generation: Arc<AtomicU64>,
}

impl Recorder {
    pub(super) fn new(
        client: AsyncClient,
        queue: mpsc::Receiver<Delivery>,
        ledger: Ledger,
        clock: Arc<dyn Clock>,
        generation: Arc<AtomicU64>,
    ) -> Self {
        Self { client, queue, ledger, clock, generation }
    }

    /// Records until the connection has closed the queue and it is empty.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Result<(), IngestError> {
        let mut intake = Intake::default();
        loop {
            let mut batch = Vec::with_capacity(MOST_AT_ONCE);
            if self.queue.recv_many(&mut batch, MOST_AT_ONCE).await == 0 {
                return Ok(());
            }
            let now_ms = self.clock.stamp().wall_ms;
            let mut messages: Vec<Message> = Vec::new();
            let mut seen: BTreeMap<AgentId, Presence> = BTreeMap::new();
            for delivery in &batch {
                match &delivery.what {
                    Delivered::Parcel(message) => messages.push(message.clone()),
                    Delivered::Presence(agent, presence) => {
                        let online = *presence == proof::presence::Presence::Online;
                        seen.insert(*agent, Presence { online, since_ms: now_ms });
                    }
                }
            }
            let taken = self
                .ledger
                .run(move |store| {
                    for (agent, presence) in &seen {
                        store.set_presence(*agent, presence)?;
                    }
                    let replies = if messages.is_empty() {
                        Vec::new()
                    } else {
                        intake.take(store, &messages, now_ms)?
                    };
                    Ok((intake, replies))
                })
                .await?;
            let (back, replies) = taken;
            intake = back;
            debug!(parcels = batch.len(), replies = replies.len(), "recorded");
            let told = self.tell(replies, batch);
            tokio::select! {
                () = told => {}
                () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => {
                    warn!("broker takes no answers, stopping without");
                    return Ok(());
                }
            }
        }
    }

    /// Answers the gateways, then lets the broker forget the deliveries.
    async fn tell(&self, replies: Vec<Reply>, batch: Vec<Delivery>) {
        for Reply { agent, answer } in replies {
            if let Err(error) =
                self.client.publish(agent.topic_down(), QoS::AtLeastOnce, false, answer.encode()).await
            {
                // Only when the connection has ended for good; the gateway will ask again.
                debug!(%agent, %error, "answer not sent");
                return;
            }
        }
        for delivery in batch {
            if delivery.generation == self.generation.load(Ordering::SeqCst)
                && let Err(error) = self.client.ack(&delivery.publish).await
            {
                debug!(%error, "delivery not acknowledged");
                return;
            }
        }
    }
}
