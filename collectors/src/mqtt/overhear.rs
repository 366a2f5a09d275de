//! Listening to a broker by hand: what an installer hears before there is a point.
//!
//! Bounded in topics, bytes and time. Nothing of it is recorded.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::client::{self, Listening};
use super::messages;
use crate::CollectError;
use crate::manifest::{Mqtt, Source};

/// Most topics of one look.
const MAX_TOPICS: usize = 500;
/// Most numbers that are shown of one message.
const MAX_NUMBERS: usize = 64;

/// What one look has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Overheard {
    /// Number of topics; with 500 there may be more.
    pub topics: usize,
    /// Numbers in the newest message of each topic, by topic.
    pub numbers: Vec<Number>,
}

/// A number in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Number {
    /// The topic of the message, as `topic` of a manifest takes it.
    pub topic: String,
    /// Where it stands, as `value` of a manifest takes it; empty where the message is the number.
    pub pointer: String,
    /// As the message writes it.
    pub value: String,
}

/// Listens for `time` to the topics of the source's points, the broker's kept messages too.
///
/// # Errors
/// As a collector's run.
pub async fn overhear(source: &Source, broker: &Mqtt, time: Duration) -> Result<Overheard, CollectError> {
    let mut listening = Listening::start(broker, &client::id(source, client::Who::Probe)).await?;
    let mut heard = BTreeMap::new();
    let all = listening.listen_to_all(|topic, payload| {
        if heard.len() < MAX_TOPICS || heard.contains_key(topic) {
            heard.insert(topic.to_owned(), messages::numbers(payload, MAX_NUMBERS));
        }
    });
    if let Ok(lost) = tokio::time::timeout(time, all).await {
        return Err(lost);
    }
    let topics = heard.len();
    let of_topic = |(topic, numbers): (String, Vec<(String, String)>)| {
        let number = move |(pointer, value)| Number { topic: topic.clone(), pointer, value };
        numbers.into_iter().map(number).collect::<Vec<_>>()
    };
    Ok(Overheard { topics, numbers: heard.into_iter().flat_map(of_topic).collect() })
}
