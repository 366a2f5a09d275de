//! What the broker keeps: one status of each agent, and short queues. In memory only.
//!
//! Nothing here is a promise: a proof leaves the agent's outbox on a receipt, so what a restart forgets is sent
//! again.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rmqtt::context::ServerContext;
use rmqtt::fitter::{DefaultFitter, FitterManager};
use rmqtt::net::Builder;
use rmqtt::retain::{DefaultRetainStorage, RetainStorage};
use rmqtt::subscribe::SharedSubscription;
use rmqtt::types::{
    ClientId, ConnectInfo, FitterType, Id, IsOnline, ListenerConfig, NodeId, Retain, SharedGroup,
    SubscriptionIdentifier, SubscriptionOptions, TopicFilter, TopicName,
};
use rmqtt::utils::StatsMergeMode;

use super::access::Party;

/// Messages queued for one ingester at most.
const INGESTER_QUEUE: usize = 20_000;
/// Unanswered messages towards one ingester at most: it answers when the ledger has committed.
const INGESTER_INFLIGHT: NonZeroU16 = NonZeroU16::new(1024).expect("is not zero");

/// Puts the parts into the broker.
pub(super) async fn install(context: &ServerContext) {
    *context.extends.retain_mut().await = Box::new(Statuses(DefaultRetainStorage::new()));
    *context.extends.shared_subscription_mut().await = Box::new(ByTopic);
    *context.extends.fitter_mgr_mut().await = Box::new(Queues);
}

/// Retained messages. The access rules let through nothing but statuses, one topic for each agent.
struct Statuses(DefaultRetainStorage);

#[async_trait]
impl RetainStorage for Statuses {
    fn enable(&self) -> bool {
        true
    }

    /// A status stays until the next one: the broker's default expiry, meant for queues, is not applied to it.
    async fn set(&self, topic: &TopicName, retain: Retain, _: Option<Duration>) -> rmqtt::Result<()> {
        let asked =
            retain.publish.properties.as_ref().and_then(|properties| properties.message_expiry_interval);
        let expiry = asked.map(|seconds| Duration::from_secs(u64::from(seconds.get())));
        self.0.set_with_timeout(topic, retain, expiry).await
    }

    async fn get(&self, filter: &TopicFilter) -> rmqtt::Result<Vec<(TopicName, Retain)>> {
        self.0.get_message(filter).await
    }

    async fn count(&self) -> isize {
        self.0.count().await
    }

    async fn max(&self) -> isize {
        self.0.max().await
    }

    fn stats_merge_mode(&self) -> StatsMergeMode {
        StatsMergeMode::None
    }
}

/// Shares a group's load by topic: one agent's parcels go to one ingester as long as the group stays the same, so
/// they arrive in order.
struct ByTopic;

#[async_trait]
impl SharedSubscription for ByTopic {
    fn is_supported(&self) -> bool {
        true
    }

    async fn choice(
        &self,
        _: &ServerContext,
        _: &SharedGroup,
        _: &Id,
        topic: &TopicName,
        members: &[(
            NodeId,
            ClientId,
            SubscriptionOptions,
            Option<Vec<SubscriptionIdentifier>>,
            Option<IsOnline>,
        )],
    ) -> Option<(usize, IsOnline)> {
        // Rendezvous hashing: a member that comes or goes moves only its own share.
        let weight = |member: &ClientId| {
            let mut hasher = DefaultHasher::new();
            (&**topic, &**member).hash(&mut hasher);
            hasher.finish()
        };
        let online = |at: usize| members[at].4.unwrap_or(false);
        (0..members.len()).max_by_key(|&at| (online(at), weight(&members[at].1))).map(|at| (at, online(at)))
    }
}

/// Longer queues for the ingester than for an agent.
struct Queues;

impl FitterManager for Queues {
    fn create(&self, client: Arc<ConnectInfo>, id: Id, listener: ListenerConfig) -> FitterType {
        let ingester = client.username().and_then(|name| Party::of_user(name)) == Some(Party::Ingester);
        let listener = if ingester {
            let roomier: Builder = (*listener).clone();
            Arc::new(roomier.max_mqueue_len(INGESTER_QUEUE).max_inflight(INGESTER_INFLIGHT))
        } else {
            listener
        };
        Arc::new(DefaultFitter::new(client, id, listener))
    }
}
