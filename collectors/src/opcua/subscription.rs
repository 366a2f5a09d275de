//! One subscription over one session: what the server has reported since the last turn, and whether it still does.
//!
//! A report counts for one turn. What was not reported since the turn before is read, so nothing is ever repeated; what
//! is read and differs although nothing was reported shows an item that is deaf, and it is made anew. What was sampled
//! before the point's last reading, by the server's own time, was underway meanwhile and counts for nothing, and so does
//! what may have been, because servers date a sample up to one sampling interval ahead: a value never goes back. A
//! subscription from which nothing came for three of its keep-alives is silent.
//!
//! Bounded: one reading a point is kept, however much is reported.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daemon::Stopwatch;
use opcua::client::{MonitoredItemMap, OnSubscriptionNotificationCore};
use opcua::types::{
    AttributeId, DataChangeFilter, DataChangeNotification, DataChangeTrigger, DateTime, DeadbandType,
    ExtensionObject, MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NotificationMessage,
    ReadValueId, StatusChangeNotification, TimestampsToReturn,
};
use proof::Reading;

use super::client::Unanswered;
use super::nodes;
use super::reader::{Again, Reader};
use crate::manifest::Meaning;

/// Shortest and longest time between two reports: a reading is at most this old when its turn comes.
const FASTEST: Duration = Duration::from_millis(250);
const SLOWEST: Duration = Duration::from_secs(5);
/// Keep-alives without which a subscription is silent.
const KEEP_ALIVES: u32 = 3;
/// Longest silence that a server may ask for.
const LONGEST: Duration = Duration::from_secs(600);
/// Turns in a row at which a value has moved and was not reported.
const DEAF: u32 = 3;

/// Ticks of a server's time, 100 ns each, in a millisecond.
const TICKS_A_MS: f64 = 10_000.0;

/// What the server has reported.
struct Reports {
    meanings: Arc<[Meaning]>,
    inner: Mutex<Inner>,
}

struct Inner {
    /// By point: the newest since the last turn, and when it was sampled.
    newest: Vec<Option<(Reading, Option<DateTime>)>>,
    /// Since the last turn.
    reports: u64,
    /// Since anything came, keep-alives included.
    silent: Stopwatch,
    /// Since it was made.
    born: Stopwatch,
    /// For how long after that it has spoken.
    spoken: Duration,
    /// The server has said that it is over.
    ended: bool,
}

impl Reports {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Plain data: a panic elsewhere leaves it usable.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Handed to the library.
struct Listener(Arc<Reports>);

impl OnSubscriptionNotificationCore for Listener {
    fn on_subscription_notification(&mut self, message: NotificationMessage, _: MonitoredItemMap<'_>) {
        let mut inner = self.0.lock();
        inner.silent = Stopwatch::start();
        inner.spoken = inner.born.elapsed();
        for data in message.notification_data.iter().flatten() {
            if let Some(change) = data.inner_as::<DataChangeNotification>() {
                for item in change.monitored_items.iter().flatten() {
                    // Our handle of a point is its place, from 1.
                    let point = usize::try_from(item.client_handle).unwrap_or(0).wrapping_sub(1);
                    if let (Some(meaning), Some(slot)) =
                        (self.0.meanings.get(point), inner.newest.get_mut(point))
                    {
                        *slot = Some((nodes::decode(meaning, &item.value), item.value.source_timestamp));
                        inner.reports += 1;
                    }
                }
            }
            if let Some(change) = data.inner_as::<StatusChangeNotification>() {
                inner.ended |= change.status.is_bad();
            }
        }
    }
}

/// One point's item.
#[derive(Debug, Default)]
struct Item {
    /// The server's id of it; `None` while nobody watches the point.
    id: Option<u32>,
    /// The value when it was last reported or read.
    value: Option<f64>,
    /// Reports that were sampled before this moment tell nothing new; in the server's ticks.
    known: Option<i64>,
    /// Turns in a row at which the value had moved unreported.
    missed: u32,
    again: Again,
}

/// A subscription with an item for each point that the server lets us watch.
pub(super) struct Subscription {
    id: u32,
    sampling_ms: f64,
    queue: u32,
    limit: Duration,
    reports: Arc<Reports>,
    items: Vec<Item>,
}

impl Subscription {
    /// Makes one, with all points that are there.
    pub(super) async fn new(reader: &Reader<'_>, cadence: Duration, queue: u32) -> Result<Self, Unanswered> {
        let server = reader.open.server;
        let interval = (cadence / 4).clamp(FASTEST, SLOWEST);
        // A word at least once a cadence, and at least every ten seconds.
        let word = cadence.clamp(Duration::from_secs(1), Duration::from_secs(10));
        let keep_alives = u32::try_from(word.as_millis().div_ceil(interval.as_millis())).unwrap_or(1);
        let inner = Inner {
            newest: vec![None; server.meanings.len()],
            reports: 0,
            silent: Stopwatch::start(),
            born: Stopwatch::start(),
            spoken: Duration::ZERO,
            ended: false,
        };
        let reports = Arc::new(Reports { meanings: Arc::clone(&server.meanings), inner: Mutex::new(inner) });
        let session = &reader.open.session;
        let made = session.create_subscription(
            interval,
            keep_alives * 10,
            keep_alives,
            0,
            0,
            true,
            Listener(Arc::clone(&reports)),
        );
        let id = reader.open.ask(made).await?;
        let revised = session
            .subscription_state()
            .lock()
            .get(id)
            .map(|made| made.publishing_interval().saturating_mul(made.max_keep_alive_count()));
        let limit =
            revised.unwrap_or(word).saturating_mul(KEEP_ALIVES).clamp(Duration::from_secs(1), LONGEST);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let sampling_ms = interval.as_millis() as f64;
        let items = server.meanings.iter().map(|_| Item::default()).collect();
        let mut subscription = Self { id, sampling_ms, queue, limit, reports, items };
        let all: Vec<_> = (0..subscription.items.len()).collect();
        if let Err(refused) = subscription.watch(reader, &all).await {
            // A server keeps few: one that watches nothing must not stay.
            subscription.delete(reader).await;
            return Err(refused);
        }
        Ok(subscription)
    }

    /// Takes what was reported since the last turn; `None` for each point of which nothing new was.
    pub(super) fn take(&mut self) -> (Vec<Option<Reading>>, u64) {
        let (newest, reports) = {
            let mut inner = self.reports.lock();
            let empty = vec![None; inner.newest.len()];
            (std::mem::replace(&mut inner.newest, empty), std::mem::take(&mut inner.reports))
        };
        let news = |(item, report): (&mut Item, Option<(Reading, Option<DateTime>)>)| {
            let (reading, sampled) = report.filter(|(_, sampled)| is_news(item.known, *sampled))?;
            item.known = sampled.map(|sampled| sampled.ticks());
            Some(reading)
        };
        (self.items.iter_mut().zip(newest).map(news).collect(), reports)
    }

    /// A point was read instead.
    pub(super) fn was_read(&mut self, point: usize, sampled: Option<DateTime>) {
        #[expect(clippy::cast_possible_truncation, reason = "some seconds")]
        let ahead = (self.sampling_ms * TICKS_A_MS) as i64;
        self.items[point].known = sampled.map(|sampled| sampled.ticks().saturating_add(ahead));
    }

    /// Whether nothing comes of it any more.
    pub(super) fn is_silent(&self) -> bool {
        let inner = self.reports.lock();
        inner.ended || inner.silent.elapsed() > self.limit
    }

    /// Whether it has gone on speaking for longer than a silent one would have been borne.
    pub(super) fn is_well(&self) -> bool {
        self.reports.lock().spoken > self.limit
    }

    /// Points that the server watches for us.
    pub(super) fn watched(&self) -> usize {
        self.items.iter().filter(|item| item.id.is_some()).count()
    }

    /// Compares what was reported with what had to be read, and makes items anew that are deaf or were refused.
    pub(super) async fn check(
        &mut self,
        reader: &Reader<'_>,
        readings: &[Reading],
        reported: &[bool],
    ) -> Result<u64, Unanswered> {
        let mut anew = Vec::new();
        for (point, (item, reading)) in self.items.iter_mut().zip(readings).enumerate() {
            let declared = &reader.open.server.config.points[point];
            let band = declared.dead_band.unwrap_or(0.0) * declared.meaning.scale.abs();
            let moved = match (item.value, reading.value) {
                (Some(before), Some(now)) => (now - before).abs() > band,
                _ => false,
            };
            if reported[point] {
                item.missed = 0;
                item.again.reset();
            } else if moved {
                item.missed += 1;
            }
            // Within the dead band the value is the one of the last report, so that a slow drift is seen.
            if reported[point] || moved || item.value.is_none() {
                item.value = reading.value;
            }
            let unwatched = item.id.is_none() && reading.value.is_some();
            if (unwatched || item.missed >= DEAF) && item.again.is_due() {
                item.missed = 0;
                anew.push(point);
            }
        }
        if anew.is_empty() {
            return Ok(0);
        }
        let old: Vec<u32> = anew.iter().filter_map(|point| self.items[*point].id.take()).collect();
        for chunk in old.chunks(reader.limits.monitor.max(1)) {
            reader.open.ask(reader.open.session.delete_monitored_items(self.id, chunk)).await?;
        }
        self.watch(reader, &anew).await
    }

    /// Ends it at the server, so that nothing is left behind.
    pub(super) async fn delete(self, reader: &Reader<'_>) {
        let deleted = reader.open.ask(reader.open.session.delete_subscription(self.id)).await;
        if let Err(no) = deleted {
            tracing::debug!(status = %no.status, "subscription could not be deleted");
        }
    }

    /// Makes items for these points. How many there are now.
    async fn watch(&mut self, reader: &Reader<'_>, points: &[usize]) -> Result<u64, Unanswered> {
        let there: Vec<_> = points.iter().filter(|point| reader.node(**point).is_some()).copied().collect();
        let (mut from, mut most, mut made) = (0, reader.limits.monitor.max(1), 0);
        while from < there.len() {
            let chunk = &there[from..there.len().min(from + most)];
            let items = chunk.iter().map(|point| self.item(reader, *point)).collect();
            let asked =
                reader.open.session.create_monitored_items(self.id, TimestampsToReturn::Source, items);
            let results = match reader.open.ask(asked).await {
                Err(no) if no.too_many() && most > 1 => {
                    most = (chunk.len() / 2).max(1);
                    continue;
                }
                Err(no) => return Err(no),
                Ok(results) => results,
            };
            from += chunk.len();
            for (point, created) in chunk.iter().zip(results) {
                let good = created.result.status_code.is_good();
                self.items[*point].id = good.then_some(created.result.monitored_item_id);
                made += u64::from(good);
            }
        }
        Ok(made)
    }

    fn item(&self, reader: &Reader<'_>, point: usize) -> MonitoredItemCreateRequest {
        let filter = match reader.open.server.config.points[point].dead_band {
            None => ExtensionObject::null(),
            Some(band) => ExtensionObject::from_message(DataChangeFilter {
                trigger: DataChangeTrigger::StatusValue,
                deadband_type: DeadbandType::Absolute as u32,
                deadband_value: band,
            }),
        };
        MonitoredItemCreateRequest {
            item_to_monitor: ReadValueId {
                node_id: reader.node(point).cloned().unwrap_or_default(),
                attribute_id: AttributeId::Value as u32,
                ..ReadValueId::default()
            },
            monitoring_mode: MonitoringMode::Reporting,
            requested_parameters: MonitoringParameters {
                client_handle: u32::try_from(point + 1).expect("points are bounded"),
                sampling_interval: self.sampling_ms,
                filter,
                queue_size: self.queue,
                discard_oldest: true,
            },
        }
    }
}

/// Whether a report tells more than what is known. A server that does not say when it sampled is believed, and one whose
/// clock was set back is read until it reports again: what is known is what was read last, not the highest time.
fn is_news(known: Option<i64>, sampled: Option<DateTime>) -> bool {
    !matches!((known, sampled), (Some(known), Some(sampled)) if sampled.ticks() < known)
}
