//! What a server has kept of a time in which nobody could ask it.
//!
//! Read after a silence, one page at a time, between turns and never for longer than half a turn. Bounded: a day, 2,000
//! values a point and 20,000 a gap; the oldest of the gap come first. What a server keeps is its word for the past: it
//! is handed on as [`What::Kept`], which ends no silence and counts for nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use daemon::Stopwatch;
use opcua::client::HistoryReadAction;
use opcua::types::{
    ByteString, DataValue, DateTime, HistoryData, HistoryReadValueId, ReadRawModifiedDetails,
    TimestampsToReturn,
};
use proof::{Kept, What};

use super::client::Unanswered;
use super::nodes;
use super::reader::Reader;
use crate::{CollectError, SampleSender, Turn};

/// Longest time that is asked for, ms.
const SPAN_MS: i64 = 24 * 3_600_000;
/// Most values of one point and of one gap.
const MAX_POINT: usize = 2_000;
const MAX_GAP: usize = 20_000;
/// Most answers for one point that say there is more and have nothing of the gap.
const MAX_EMPTY: u32 = 3;
/// Most values of one answer.
const PAGE: u32 = 1_000;
/// Ticks of 100 ns between 1601 and 1970, and in a millisecond (OPC 10000-6, 5.2.2.5).
const EPOCH_TICKS: i64 = 116_444_736_000_000_000;
const MS_TICKS: i64 = 10_000;

/// What is to be filled, of one source.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Points whose server keeps nothing of them.
    without: BTreeSet<usize>,
    gap: Option<Gap>,
}

#[derive(Debug)]
struct Gap {
    from_ms: i64,
    to_ms: i64,
    /// The next point to ask for.
    point: usize,
    /// Where to go on with it.
    continuation: ByteString,
    of_point: usize,
    of_gap: usize,
    /// Answers for this point without a value.
    empty: u32,
}

impl History {
    /// Nobody could ask between these two turns. A gap that was not filled yet gives way to the newer one.
    pub(super) fn gap(&mut self, from_ms: i64, to_ms: i64) {
        let from_ms = from_ms.max(to_ms - SPAN_MS);
        let continuation = ByteString::null();
        self.gap = Some(Gap { from_ms, to_ms, point: 0, continuation, of_point: 0, of_gap: 0, empty: 0 });
    }

    /// Places where reading stood belong to a session that is gone.
    pub(super) fn new_session(&mut self) {
        if let Some(gap) = &mut self.gap {
            gap.continuation = ByteString::null();
            gap.point += usize::from(gap.of_point > 0);
            gap.of_point = 0;
        }
    }

    /// Reads on for at most half a turn; `came` hears how many values each answer brought, at once: a stop in the middle
    /// leaves none uncounted.
    pub(super) async fn fill(
        &mut self,
        reader: &Reader<'_>,
        cadence: Duration,
        out: &SampleSender,
        turn: &Turn,
        came: impl Fn(u64),
    ) -> Result<(), CollectError> {
        let began = Stopwatch::start();
        while let Some(gap) = &mut self.gap {
            let points = reader.open.server.config.points.len();
            if gap.point >= points || gap.of_gap >= MAX_GAP {
                self.gap = None;
                break;
            }
            let left = (cadence / 2).saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            if self.without.contains(&gap.point) || reader.node(gap.point).is_none() {
                gap.next_point();
                continue;
            }
            let kept = match tokio::time::timeout(left, gap.page(reader)).await {
                // It is slow: this point is left out rather than asked for at every turn.
                Err(_) => {
                    gap.next_point();
                    break;
                }
                Ok(Ok(Some(kept))) => kept,
                Ok(Ok(None)) => {
                    self.without.insert(gap.point);
                    gap.next_point();
                    continue;
                }
                Ok(Err(no)) => {
                    tracing::debug!(status = %no.status, "history could not be read");
                    self.gap = None;
                    break;
                }
            };
            gap.of_gap += kept.len();
            gap.of_point += kept.len();
            gap.empty += u32::from(kept.is_empty());
            let is_over = gap.of_point >= MAX_POINT || gap.empty >= MAX_EMPTY;
            if is_over || gap.continuation.is_null_or_empty() {
                gap.release(reader).await;
                gap.next_point();
            }
            came(u64::try_from(kept.len()).unwrap_or(0));
            if !kept.is_empty() {
                out.send(turn, None, What::Kept(kept)).await?;
            }
        }
        Ok(())
    }
}

impl Gap {
    fn next_point(&mut self) {
        self.point += 1;
        (self.of_point, self.empty) = (0, 0);
        self.continuation = ByteString::null();
    }

    fn details(&self) -> HistoryReadAction {
        HistoryReadAction::ReadRawModifiedDetails(ReadRawModifiedDetails {
            is_read_modified: false,
            start_time: ticks(self.from_ms),
            end_time: ticks(self.to_ms),
            num_values_per_node: PAGE,
            return_bounds: false,
        })
    }

    fn value_id(&self, reader: &Reader<'_>) -> HistoryReadValueId {
        HistoryReadValueId {
            node_id: reader.node(self.point).cloned().unwrap_or_default(),
            continuation_point: self.continuation.clone(),
            ..HistoryReadValueId::default()
        }
    }

    /// The next page of the point; `None` where nothing is kept of it.
    async fn page(&mut self, reader: &Reader<'_>) -> Result<Option<Vec<Kept>>, Unanswered> {
        let node = [self.value_id(reader)];
        let asked = reader.open.session.history_read(self.details(), TimestampsToReturn::Both, false, &node);
        let Some(answer) = reader.open.ask(asked).await?.into_iter().next() else { return Ok(None) };
        if answer.status_code.is_bad() {
            return Ok(None);
        }
        self.continuation = answer.continuation_point;
        let data = answer.history_data.into_inner_as::<HistoryData>();
        let values = data.and_then(|data| data.data_values).unwrap_or_default();
        let meaning = &reader.open.server.config.points[self.point].meaning;
        let point = u16::try_from(self.point).unwrap_or(u16::MAX);
        let within = |value: &DataValue| {
            let at_ms = ms(value.source_timestamp.or(value.server_timestamp)?);
            let reading = nodes::decode(meaning, value);
            (self.from_ms < at_ms && at_ms < self.to_ms).then_some(Kept { point, at_ms, reading })
        };
        let most = (MAX_POINT - self.of_point).min(MAX_GAP - self.of_gap);
        let mut kept: Vec<_> = values.iter().filter_map(within).take(most).collect();
        kept.sort_by_key(|kept| kept.at_ms);
        Ok(Some(kept))
    }

    /// Tells the server that nobody will go on from here.
    async fn release(&self, reader: &Reader<'_>) {
        if self.continuation.is_null_or_empty() {
            return;
        }
        let node = [self.value_id(reader)];
        let asked =
            reader.open.session.history_read(self.details(), TimestampsToReturn::Neither, true, &node);
        if let Err(no) = reader.open.ask(asked).await {
            tracing::debug!(status = %no.status, "a place in the history could not be given back");
        }
    }
}

fn ticks(wall_ms: i64) -> DateTime {
    DateTime::from(wall_ms.saturating_mul(MS_TICKS).saturating_add(EPOCH_TICKS))
}

fn ms(at: DateTime) -> i64 {
    (at.ticks() - EPOCH_TICKS).div_euclid(MS_TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_same_on_both_calendars() {
        assert_eq!(ms(ticks(1_800_000_000_123)), 1_800_000_000_123);
        assert_eq!(ticks(0), DateTime::from((1970, 1, 1, 0, 0, 0)));
    }

    #[test]
    fn no_more_than_a_day_is_asked_for() {
        let mut history = History::default();
        history.gap(0, 10 * SPAN_MS);
        assert_eq!(history.gap.unwrap().from_ms, 9 * SPAN_MS);
    }
}
