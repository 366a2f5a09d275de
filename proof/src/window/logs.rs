//! What a window says of one log or table: group 11, the use rows and the record leaves.

use std::collections::BTreeMap;

use super::{Open, clamp, local_day};
use crate::features::minute_of;
use crate::observation::{Observation, Record, Records, is_human};
use crate::pseudonym::PseudonymKey;
use crate::userows::{self, RowKey};
use crate::wire::{self, ActionClass, ActorClass, ExclusionReason, Origin};

/// Seen no later than this after its event time while the agent ran: live.
const LIVE_MS: i64 = 15 * 60_000;

/// Most (module, action, actor class) counts of one log in one window; the rest is counted as "other".
const MAX_CLASSES: usize = 64;

/// Most rewrites told one by one in one window.
const MAX_REWRITES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct LogTally {
    span: Option<(u64, u64)>,
    lines: u32,
    unparsed: u32,
    classes: BTreeMap<(u32, i32, i32), u32>,
    by_account: BTreeMap<[u8; 8], Vec<i64>>,
    lags_s: Vec<u32>,
    seconds: BTreeMap<i64, u32>,
    events: u16,
    overflown: bool,
}

impl Open {
    pub(super) fn records(
        &mut self,
        observation: &Observation,
        records: &Records,
        key: &PseudonymKey,
        offset_ms: i64,
        mark_ms: i64,
    ) {
        let rows = u32::try_from(records.records.len()).unwrap_or(u32::MAX);
        let tally = self.tally(observation.source);
        tally.rows = tally.rows.saturating_add(rows);
        self.rewrites.extend(records.rewrites.iter().map(|rewrite| wire::Rewrite {
            source: observation.source.into(),
            kind: rewrite.kind.into(),
            from: rewrite.from,
            to: rewrite.to,
            rows: rewrite.rows,
        }));
        self.logs.entry(observation.source).or_default().looked(records);
        for record in &records.records {
            let account = record.account.as_deref().filter(|account| !account.is_empty());
            let pseudonym = account.map(|account| key.pseudonym(account));
            let actor = self.count_row(observation, record, records.followed, pseudonym, offset_ms);
            self.leaf(observation, record, actor);
            let day_start = mark_ms - crate::WINDOW_MS;
            let log = self.logs.entry(observation.source).or_default();
            log.record(record, pseudonym, observation.at_ms, day_start);
        }
    }

    /// Counts the record into the use rows; returns 1 + its actor's index, or 0.
    fn count_row(
        &mut self,
        observation: &Observation,
        record: &Record,
        followed: bool,
        pseudonym: Option<[u8; 8]>,
        offset_ms: i64,
    ) -> u32 {
        if self.use_table.len() >= userows::MAX_ROWS {
            // Not even its actor is listed: a table has no more actors than rows.
            self.logs.entry(observation.source).or_default().overflown = true;
            return 0;
        }
        let (class, reason) = match pseudonym {
            Some(_) => (record.actor_class, record.reason),
            None => (ActorClass::Excluded, ExclusionReason::NoActor),
        };
        let event_ms = record.event_ms.unwrap_or(observation.at_ms);
        // An event's time is what a device or a table says it is: any number.
        let lag_ms = observation.at_ms.saturating_sub(event_ms);
        let live = followed && (-LIVE_MS..=LIVE_MS).contains(&lag_ms);
        let actor = self.use_table.actor(pseudonym.unwrap_or_default(), class, reason);
        let offset_minutes = i32::try_from(offset_ms / 60_000).unwrap_or(0);
        let key = RowKey {
            source: observation.source,
            module: record.module,
            action: record.action.into(),
            actor,
            origin: if live { Origin::Live } else { Origin::Backfill }.into(),
            day: local_day(event_ms, offset_minutes),
        };
        let minute = event_ms.saturating_add(offset_ms).rem_euclid(86_400_000) / 60_000;
        let minute = u16::try_from(minute).expect("a day has 1440 minutes");
        if !self.use_table.count(key, minute) {
            self.logs.entry(observation.source).or_default().overflown = true;
        }
        if pseudonym.is_some() { actor + 1 } else { 0 }
    }

    fn leaf(&mut self, observation: &Observation, record: &Record, actor: u32) {
        if !self.commits {
            return;
        }
        let commit = |(at, bytes): (u16, &Vec<u8>)| {
            self.secret.field_commitment(observation.source, record.position, at, bytes).to_vec()
        };
        let fields = (0_u16..).zip(&record.fields).map(commit).collect();
        let committed = wire::Record {
            position: record.position,
            fields,
            event_ms: record.event_ms.unwrap_or(0),
            module: record.module.into(),
            action: i32::from(record.action).unsigned_abs(),
            actor,
        };
        let dt_ms = clamp(self.dt(observation.at_ms));
        let what = Some(wire::leaf::What::Record(committed));
        self.came(&wire::Leaf { source: observation.source.into(), dt_ms, what });
        if self.kept.is_none() {
            return;
        }
        let field = |(at, bytes): (u16, &Vec<u8>)| {
            (self.secret.field_blind(observation.source, record.position, at), bytes.clone())
        };
        let fields = (0_u16..).zip(&record.fields).map(field).collect();
        if let Some(past) = self.kept_last() {
            past.fields = fields;
            past.beside.account.clone_from(&record.account);
            past.beside.document.clone_from(&record.document);
        }
    }
}

/// Rewrites as a window has room for them: when there are more, one for each source, which spans all of its own under
/// the first of their kinds, in the order of the kinds.
pub(super) fn bounded(rewrites: Vec<wire::Rewrite>) -> Vec<wire::Rewrite> {
    if rewrites.len() <= MAX_REWRITES {
        return rewrites;
    }
    let mut spans: BTreeMap<u32, wire::Rewrite> = BTreeMap::new();
    for rewrite in rewrites {
        spans
            .entry(rewrite.source)
            .and_modify(|span| {
                span.kind = span.kind.min(rewrite.kind);
                span.from = span.from.min(rewrite.from);
                span.to = span.to.max(rewrite.to);
                span.rows = span.rows.saturating_add(rewrite.rows);
            })
            .or_insert(rewrite);
    }
    spans.into_values().collect()
}

impl LogTally {
    pub(super) fn overflown(&self) -> bool {
        self.overflown
    }

    fn looked(&mut self, records: &Records) {
        let from = self.span.map_or(records.from, |(from, _)| from);
        self.span = Some((from, records.to));
        self.lines = self.lines.saturating_add(records.lines);
        self.unparsed = self.unparsed.saturating_add(records.unparsed);
    }

    fn record(&mut self, record: &Record, pseudonym: Option<[u8; 8]>, seen_ms: i64, window_ms: i64) {
        let class = if pseudonym.is_some() { record.actor_class } else { ActorClass::Excluded };
        let mut place = (u32::from(record.module), i32::from(record.action), i32::from(class));
        if self.classes.len() >= MAX_CLASSES && !self.classes.contains_key(&place) {
            place = (0, ActionClass::Other.into(), ActorClass::Unspecified.into());
        }
        *self.classes.entry(place).or_default() += 1;
        let Some(event_ms) = record.event_ms else { return };
        *self.seconds.entry(event_ms.div_euclid(1000)).or_default() += 1;
        let lag = seen_ms.saturating_sub(event_ms).max(0) / 1000;
        self.lags_s.push(u32::try_from(lag).unwrap_or(u32::MAX));
        let Some(pseudonym) = pseudonym.filter(|_| is_human(class)) else { return };
        self.by_account.entry(pseudonym).or_default().push(event_ms);
        let dt_ms = event_ms.saturating_sub(window_ms);
        if record.is_human_key_action() && (0..crate::WINDOW_MS).contains(&dt_ms) {
            self.events |= 1 << minute_of(dt_ms);
        }
    }

    pub(super) fn row(&self, source: u16) -> wire::LogRow {
        let total: usize = self.by_account.values().map(Vec::len).sum();
        let top = self.by_account.values().map(Vec::len).max().unwrap_or(0);
        let (gap_mean_ms, gap_cv_permille) = self.gaps();
        let (from, to) = self.span.unwrap_or_default();
        wire::LogRow {
            source: source.into(),
            from,
            to,
            lines: self.lines,
            unparsed: self.unparsed,
            classes: self
                .classes
                .iter()
                .map(|((module, action, actor_class), count)| wire::ClassCount {
                    module: *module,
                    action: action.unsigned_abs(),
                    actor_class: actor_class.unsigned_abs(),
                    count: *count,
                })
                .collect(),
            accounts: u32::try_from(self.by_account.len()).unwrap_or(u32::MAX),
            top_share_permille: u32::try_from(top * 1000 / total.max(1)).unwrap_or(0),
            same_second: self.same_second(),
            gap_mean_ms,
            gap_cv_permille,
            lag_p50_s: percentile(&self.lags_s, 50),
            lag_p95_s: percentile(&self.lags_s, 95),
            biggest_batch: self.seconds.values().max().copied().unwrap_or(0),
            events: self.events.into(),
        }
    }

    /// Human events that share their second with another of the same account.
    fn same_second(&self) -> u32 {
        let shared = |events: &Vec<i64>| {
            let mut seconds: BTreeMap<i64, usize> = BTreeMap::new();
            for ms in events {
                *seconds.entry(ms.div_euclid(1000)).or_default() += 1;
            }
            seconds.values().filter(|count| **count > 1).sum::<usize>()
        };
        u32::try_from(self.by_account.values().map(shared).sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// Mean and coefficient of variation (per mille) of the gaps between an account's events.
    fn gaps(&self) -> (u32, u32) {
        let mut gaps = Vec::new();
        for events in self.by_account.values() {
            let mut sorted = events.clone();
            sorted.sort_unstable();
            #[expect(clippy::cast_precision_loss, reason = "gaps of a window are small")]
            gaps.extend(sorted.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64));
        }
        if gaps.is_empty() {
            return (0, 0);
        }
        #[expect(clippy::cast_precision_loss, reason = "so are their counts")]
        let count = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / count;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let whole = |value: f64| value.round() as u32;
        (whole(mean), if mean > 0.0 { whole(variance.sqrt() / mean * 1000.0) } else { 0 })
    }
}

fn percentile(numbers: &[u32], percent: usize) -> u32 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(0)
}
