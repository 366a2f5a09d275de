//! One gateway's day.

use std::collections::BTreeMap;

use proof::wire::{ActorClass, Origin};

use super::sources::SourceKey;
use crate::assessment::Span;
use crate::grade::Grade;
use crate::lists::Module;
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
}

/// What makes two use rows the same for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UseKey {
    pub(crate) module: Module,
    pub(crate) actor: [u8; 8],
    pub(crate) class: ActorClass,
    /// As on the wire.
    pub(crate) reason: u32,
    pub(crate) key_action: bool,
    pub(crate) origin: Origin,
    pub(crate) grade: Grade,
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

/// One signal point on one day.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PointDay {
    /// Good samples.
    pub(crate) ok: u64,
    /// Samples that differ from the one before.
    pub(crate) changes: u64,
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
