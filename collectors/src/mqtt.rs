//! The MQTT collector: listens to a broker to which somebody else's gateway or machine sends values.
//!
//! A turn of the cadence reports what was heard since the turn before: of each point the newest value, and of a point
//! nothing was heard of, no answer. A value is counted once, in the turn after it came; what the broker had kept
//! (retained messages) says nothing about now and is left out. Where messages carry their own time, what was held back
//! by its sender is committed to as backfill.
//!
//! `client.rs` is the line, `messages.rs` the pure part. It only subscribes. Deliberately absent: sessions that the
//! broker keeps for us (their messages would come in a burst under the wrong time), and reconnecting: a lost line ends
//! the run.

mod client;
pub mod messages;
mod overhear;

use std::sync::{Mutex, PoisonError};

use proof::{Cause, Quality, Reading, What};
use tokio_util::sync::CancellationToken;

use crate::manifest::{Mqtt, Source};
use crate::probe::named;
use crate::{CollectError, Collector, Probe, Running, SampleSender, Turn};
use client::{Listening, Who};
use messages::{Heard, Hearing};
pub use overhear::{Number, Overheard, overhear};

/// Listens to one broker.
pub struct MqttCollector {
    source: u16,
    config: Mqtt,
    client_id: String,
    cadence_ms: i64,
}

impl MqttCollector {
    /// Nothing is opened before the first turn; what is wrong with files is told by the run that needs them.
    pub fn new(source: &Source, config: &Mqtt) -> Self {
        let cadence_ms = i64::try_from(source.cadence.as_millis()).unwrap_or(i64::MAX);
        Self {
            source: source.index,
            config: config.clone(),
            client_id: client::id(source, Who::Collector),
            cadence_ms,
        }
    }

    async fn collect(&self, out: &SampleSender, stop: &CancellationToken) -> Result<(), CollectError> {
        // The first turn is spent on connecting: an unreachable broker is one silence a turn.
        let Some(turn) = out.turn().await else { return Ok(()) };
        let connected = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            connected = Listening::start(&self.config, &self.client_id) => connected,
        };
        let mut listening = match connected {
            Ok(listening) => listening,
            Err(error) => {
                out.send(&turn, None, What::Silent(error.cause())).await?;
                return Err(error);
            }
        };
        drop(turn);
        let hearing = Mutex::new(Hearing::new(&self.config, self.cadence_ms));
        let now_ms = || out.now_ms();
        let lost = tokio::select! {
            biased;
            reported = self.report(&hearing, out) => return reported,
            lost = listening.listen(&hearing, &now_ms) => lost,
        };
        // What was heard before the line broke was heard.
        let Some(turn) = out.turn().await else { return Ok(()) };
        if !self.tell(&hearing, &turn, out).await? {
            out.send(&turn, None, What::Silent(lost.cause())).await?;
        }
        Err(lost)
    }

    /// Reports at every turn, until asked to stop.
    async fn report(&self, hearing: &Mutex<Hearing>, out: &SampleSender) -> Result<(), CollectError> {
        while let Some(turn) = out.turn().await {
            if !self.tell(hearing, &turn, out).await? {
                out.send(&turn, None, What::Silent(Cause::NoAnswer)).await?;
            }
        }
        Ok(())
    }

    /// Hands over what was heard since the last time; `false` when that was nothing.
    async fn tell(
        &self,
        hearing: &Mutex<Hearing>,
        turn: &Turn,
        out: &SampleSender,
    ) -> Result<bool, CollectError> {
        let Heard { now, kept } = hearing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if !kept.is_empty() {
            out.send(turn, None, What::Kept(kept)).await?;
        }
        if now.iter().all(Option::is_none) {
            return Ok(false);
        }
        out.send(turn, None, What::Cycle(now.into_iter().map(or_silent).collect())).await?;
        Ok(true)
    }
}

impl Collector for MqttCollector {
    fn source(&self) -> u16 {
        self.source
    }

    fn run<'a>(&'a mut self, out: &'a SampleSender, stop: &'a CancellationToken) -> Running<'a> {
        Box::pin(self.collect(out, stop))
    }
}

fn or_silent(heard: Option<Reading>) -> Reading {
    heard.unwrap_or(Reading { quality: Quality::NoAnswer, raw: Vec::new(), value: None })
}

/// Listens until every point was heard of, or for two cadences.
pub(crate) async fn probe(source: &Source, config: &Mqtt) -> Result<Probe, CollectError> {
    let mut listening = Listening::start(config, &client::id(source, Who::Probe)).await?;
    let cadence_ms = i64::try_from(source.cadence.as_millis()).unwrap_or(i64::MAX);
    let hearing = Mutex::new(Hearing::new(config, cadence_ms));
    let all = listening.listen_until_all(&hearing);
    let waited = tokio::time::timeout(source.cadence.saturating_mul(2), all).await;
    if let Ok(Err(lost)) = waited {
        return Err(lost);
    }
    let now = hearing.lock().unwrap_or_else(PoisonError::into_inner).take().now;
    let mut points = named(source, now.iter().cloned().map(or_silent).collect());
    for (point, heard) in points.iter_mut().zip(now) {
        if heard.is_none() {
            point.why =
                Some(format!("no message for it in {} s", source.cadence.as_secs().saturating_mul(2)));
        }
    }
    Ok(Probe { source: source.index, points, ..Probe::default() })
}
