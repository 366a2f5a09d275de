//! Parcels that came before the ones they follow, kept in memory until the hole is filled.
//!
//! Bounded by number and bytes; what has no room is refused by name and comes again, because its gateway has no
//! receipt. A crash empties it, for the same reason.

use std::collections::BTreeMap;

use proof::{AgentId, EntryId};

use crate::accept::Checked;

/// Most parcels kept for one agent, and how far ahead of its chain.
pub(crate) const MOST: u64 = 64;

/// Most bytes kept for one agent.
const AGENT_BYTES: usize = 2 << 20;

/// Most bytes kept for all agents.
const ALL_BYTES: usize = 128 << 20;

#[derive(Debug, Default)]
pub(crate) struct Parking {
    agents: BTreeMap<AgentId, Row>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Row {
    waiting: BTreeMap<(u64, EntryId), Checked>,
    bytes: usize,
}

impl Parking {
    /// Keeps a parcel that comes after `have`; `false` when there is no room.
    pub(crate) fn park(&mut self, checked: Checked, have: u64) -> bool {
        let weight = checked.weight();
        let row = self.agents.entry(checked.header.agent).or_default();
        let place = (checked.header.seq, checked.id);
        if row.waiting.contains_key(&place) {
            return true;
        }
        let room = checked.header.seq - have <= MOST
            && (row.waiting.len() as u64) < MOST
            && row.bytes + weight <= AGENT_BYTES
            && self.bytes + weight <= ALL_BYTES;
        if room {
            row.bytes += weight;
            self.bytes += weight;
            row.waiting.insert(place, checked);
        }
        room
    }

    /// Whether parcels of this agent wait.
    pub(crate) fn waits(&self, agent: AgentId) -> bool {
        self.agents.get(&agent).is_some_and(|row| !row.waiting.is_empty())
    }

    /// Takes the next parcel of an agent whose turn has come, now that its chain stands at `have`.
    pub(crate) fn next(&mut self, agent: AgentId, have: u64) -> Option<Checked> {
        let row = self.agents.get_mut(&agent)?;
        let first = row.waiting.first_entry()?;
        if first.key().0 > have.saturating_add(1) {
            return None;
        }
        let checked = first.remove();
        row.bytes -= checked.weight();
        self.bytes -= checked.weight();
        if row.waiting.is_empty() {
            self.agents.remove(&agent);
        }
        Some(checked)
    }
}
