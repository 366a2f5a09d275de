//! One gateway's day.

use std::collections::BTreeMap;

use proof::observation::is_human;
use proof::wire::{self, ActorClass, DigestCode, Origin};

use super::signals::PointDay;
use super::sources::SourceKey;
use crate::assessment::Span;
use crate::grade::Grade;
use crate::lists::{self, Module};
use crate::minutes::Minutes;

/// What one gateway said of one local day.
#[derive(Debug, Clone, Default)]
pub(crate) struct AgentDay {
    /// Windows that begin on the day: first and last sequence number.
    pub(crate) seqs: Option<(u64, u64)>,
    /// Minutes under a window; grade D left out.
    pub(crate) up: Minutes,
    /// Windows by grade.
    pub(crate) windows: [u64; 4],
    /// Windows whose use rows did not come.
    pub(crate) rows_missing: u32,
    pub(crate) sources: BTreeMap<SourceKey, SourceDay>,
    /// Actions dated on the day.
    pub(crate) uses: BTreeMap<UseKey, Tally>,
    /// First and last minutes of human key-action rows, by actor, where they may decide.
    pub(crate) actor_minutes: BTreeMap<[u8; 8], Minutes>,
    /// The same minutes of what reports production: work orders and production reports.
    pub(crate) production: Minutes,
    /// People's key actions, read back, that bear a date and no time of day (midnight to the minute).
    pub(crate) dateless: u64,
    /// What the gateway computed of the day's documents and their order.
    pub(crate) sums: Option<Box<DaySums>>,
    /// Times that the gateway started anew.
    pub(crate) boots: u32,
}

/// What makes two use rows the same for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UseKey {
    pub(crate) module: Module,
    pub(crate) actor: [u8; 8],
    pub(crate) class: ActorClass,
    /// As on the wire.
    pub(crate) reason: u32,
    /// What kind of key action.
    pub(crate) action: Action,
    /// Whole days between the day it is dated on and the day it was first seen, at most [`MAX_LAG`].
    pub(crate) lag: u8,
    pub(crate) origin: Origin,
    pub(crate) grade: Grade,
}

/// Days of lag told apart.
pub(crate) const MAX_LAG: u8 = 30;

/// A use row's class of action, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    /// No key action: log-in, query, print, change …
    Other,
    /// A log-in.
    Login,
    /// Creates a document.
    Create,
    /// Any other key action.
    Step,
}

impl Action {
    pub(crate) const fn is_key(self) -> bool {
        matches!(self, Self::Create | Self::Step)
    }
}

/// A day's sums of all logs of a gateway: [`proof::digest`].
#[derive(Debug, Clone, Default)]
pub(crate) struct DaySums {
    /// Records more than five minutes earlier than one read before them, and records with a time.
    pub(crate) order: (u64, u64),
    /// Documents by classes of key action on them, 1 to 5.
    pub(crate) steps: [u64; 5],
    /// Documents by accounts on them, 1 to 4 and more.
    pub(crate) hands: [u64; 4],
    /// Some sums are of fewer documents than there were.
    pub(crate) is_cut: bool,
    /// First and last entry that says so.
    pub(crate) entries: (u64, u64),
}

/// How many, and in which entries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// One source on one day; grade D left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceDay {
    /// Minutes with a valid answer in windows of grade A or B.
    pub(crate) prompt: Minutes,
    /// The same of grade C.
    pub(crate) late: Minutes,
    /// A log's minutes that nobody watched and that were read back without a break.
    pub(crate) recovered: Minutes,
    /// Minutes in which a running point said that the machine worked.
    pub(crate) running: Minutes,
    /// Minutes in which a running point started or stopped.
    pub(crate) edges: Minutes,
    /// Devices: response times.
    pub(crate) wire: Wire,
    /// Logs: how people's records follow each other.
    pub(crate) pace: Pace,
    /// Devices: questions due and answered in each ten minutes.
    pub(crate) slots: Option<Box<Slots>>,
    /// Signal points.
    pub(crate) points: BTreeMap<u32, PointDay>,
}

/// Questions of one day by ten-minute slot: due, answered.
#[derive(Debug, Clone)]
pub(crate) struct Slots(pub(crate) [(u16, u16); 144]);

impl Default for Slots {
    fn default() -> Self {
        Self([(0, 0); 144])
    }
}

/// Response times of one device on one day.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wire {
    /// Windows with a response time.
    pub(crate) windows: u32,
    /// Sum of their medians, µs.
    pub(crate) sum_us: u64,
    /// Windows whose spread is under a fiftieth of their median.
    pub(crate) still: u32,
}

/// How people's records of one log follow each other on one day. Records read back or handed in late count too: a
/// script is one whenever it is seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// Records of people, live or not.
    pub(crate) records: u64,
    /// Of these, sharing their second with another of the same account.
    pub(crate) same_second: u64,
    /// Windows with at least ten records of people and gaps between them.
    pub(crate) windows: u32,
    /// Of these, with gaps that vary by less than a fifth of their mean.
    pub(crate) even: u32,
    /// Lines taken, and of these not understood.
    pub(crate) lines: (u64, u64),
    /// Minutes with a key action of a person, seen live.
    pub(crate) live: Minutes,
    /// How late records are first seen.
    pub(crate) lag: Lag,
}

/// By how much the times in a log lie behind the moment at which its records are first seen, by window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lag {
    /// Windows with a record of a person.
    pub(crate) windows: u32,
    /// Of these, such in which half of the records and nearly all of them lie behind by the same whole hours: a clock
    /// that is read in another time zone than it is written in.
    pub(crate) whole: u32,
    /// Sum of those hours.
    pub(crate) hours: u64,
}

impl Lag {
    /// Records may lie this far from the whole hour, s.
    const NEAR_S: u32 = 300;

    fn take(&mut self, log: &wire::LogRow) {
        self.windows = self.windows.saturating_add(1);
        let hours = log.lag_p50_s.saturating_add(1_800) / 3_600;
        let near = log.lag_p50_s.abs_diff(hours.saturating_mul(3_600)) <= Self::NEAR_S;
        let together = log.lag_p95_s.abs_diff(log.lag_p50_s) <= 2 * Self::NEAR_S;
        if (1..=24).contains(&hours) && near && together {
            self.whole = self.whole.saturating_add(1);
            self.hours = self.hours.saturating_add(hours.into());
        }
    }
}

impl Wire {
    /// Takes one window's row of a device.
    pub(super) fn take(&mut self, row: &wire::SourceRow) {
        if row.ok > 1 && row.rtt_median_us > 0 {
            self.windows = self.windows.saturating_add(1);
            self.sum_us = self.sum_us.saturating_add(u64::from(row.rtt_median_us));
            let still = u64::from(row.rtt_spread_us) * 50 < u64::from(row.rtt_median_us);
            self.still = self.still.saturating_add(u32::from(still));
        }
    }
}

impl Pace {
    /// Records of people in one window from which on their gaps say something.
    const ENOUGH: u64 = 10;

    /// Takes one window's row of a log; `minute` is that of the window's mark.
    pub(super) fn take(&mut self, minute: i64, log: &wire::LogRow) {
        let of_people = |class: &&wire::ClassCount| is_human(lists::actor_class(class.actor_class));
        let records = log.classes.iter().filter(of_people).map(|class| u64::from(class.count)).sum();
        self.records = self.records.saturating_add(records);
        self.same_second = self.same_second.saturating_add(u64::from(log.same_second).min(records));
        if records > 0 {
            self.lag.take(log);
        }
        if records >= Self::ENOUGH && log.gap_mean_ms > 0 {
            self.windows = self.windows.saturating_add(1);
            self.even = self.even.saturating_add(u32::from(log.gap_cv_permille < 200));
        }
        self.lines.0 = self.lines.0.saturating_add(log.lines.into());
        self.lines.1 = self.lines.1.saturating_add(log.unparsed.min(log.lines).into());
        self.live.add_ten(minute, log.events);
    }
}

impl DaySums {
    /// Adds what one digest says. What does not have its code's form says nothing.
    pub(super) fn add(&mut self, seq: u64, digest: &wire::Digest) {
        if self.entries.0 == 0 {
            self.entries.0 = seq;
        }
        self.entries.1 = seq;
        for row in digest.rows.iter().take(proof::digest::MAX_ROWS) {
            self.is_cut |= row.is_cut;
            match row.code() {
                DigestCode::TimeOrder => {
                    add_each(&mut [&mut self.order.0, &mut self.order.1], &[row.numerator, row.denominator]);
                }
                DigestCode::DocumentSteps => add_each(&mut self.steps.each_mut(), &row.histogram),
                DigestCode::DocumentHands => add_each(&mut self.hands.each_mut(), &row.histogram),
                DigestCode::Unspecified => {}
            }
        }
    }
}

/// Most that one day's sums may claim of anything: sums over years of such days stay far from the end of 64 bits.
const MOST_A_DAY: u64 = 1 << 40;

fn add_each(sums: &mut [&mut u64], counts: &[u64]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        **sum = sum.saturating_add(*count).min(MOST_A_DAY);
    }
}

impl SourceDay {
    /// Minutes with an answer that may count.
    pub(crate) fn seen(&self) -> Minutes {
        self.prompt.or(&self.late)
    }
}

impl AgentDay {
    /// The entries of the day's windows.
    pub(crate) fn span(&self, agent: proof::AgentId) -> Option<Span> {
        self.seqs.map(|(first, last)| Span { agent, first, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_claims_no_more_than_can_be_added_up() {
        let row = |code: DigestCode| wire::DigestRow {
            code: code.into(),
            numerator: u64::MAX,
            denominator: u64::MAX,
            histogram: vec![u64::MAX; 9],
            ..Default::default()
        };
        let rows =
            vec![row(DigestCode::TimeOrder), row(DigestCode::DocumentSteps), row(DigestCode::DocumentHands)];
        let digest = wire::Digest { rows, ..Default::default() };
        let mut sums = DaySums::default();
        sums.add(7, &digest);
        sums.add(9, &digest);
        assert_eq!((sums.order.1, sums.entries), (MOST_A_DAY, (7, 9)));
        assert_eq!(sums.steps.iter().chain(&sums.hands).sum::<u64>(), 9 * MOST_A_DAY);
    }
}
