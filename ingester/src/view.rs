//! The ledger as it will be once the batch at hand is recorded.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{Agent, LedgerError, ManifestDigest, NewEntry, Read};
use proof::log::Outcome;
use proof::{AgentId, EntryId, VerifyKey};

/// What the ledger holds, with the entries accepted since on top.
pub struct View<'a> {
    store: &'a dyn Read,
    agents: BTreeMap<AgentId, Option<Agent>>,
    /// Place of each new entry: agent and sequence.
    new: BTreeMap<EntryId, (AgentId, u64)>,
    /// When what each new place is about ended.
    ends: BTreeMap<(AgentId, u64), i64>,
    /// Which entry each new one follows.
    follows: BTreeSet<(AgentId, u64, EntryId)>,
    manifests: BTreeSet<(AgentId, ManifestDigest)>,
    /// Keys that were rotated away since.
    old_keys: BTreeMap<(AgentId, u32), VerifyKey>,
}

impl<'a> View<'a> {
    /// The ledger as it is.
    pub fn of(store: &'a dyn Read) -> Self {
        Self {
            store,
            agents: BTreeMap::new(),
            new: BTreeMap::new(),
            ends: BTreeMap::new(),
            follows: BTreeSet::new(),
            manifests: BTreeSet::new(),
            old_keys: BTreeMap::new(),
        }
    }

    /// Adds an accepted entry, as the ledger will when it records it.
    pub fn add(&mut self, new: &NewEntry) {
        self.new.insert(new.entry, (new.agent, new.seq));
        let end = self.ends.entry((new.agent, new.seq)).or_insert(i64::MIN);
        *end = (*end).max(new.end_ms.unwrap_or(new.recv_ms));
        self.follows.insert((new.agent, new.seq, new.prev));
        self.manifests.extend(new.manifest.map(|digest| (new.agent, digest)));
        if let Some(Some(agent)) = self.agents.get_mut(&new.agent) {
            agent.head.follow(new);
            if let Some(key) = new.rotates {
                self.old_keys.insert((agent.id, agent.epoch), std::mem::replace(&mut agent.key, key));
                (agent.kid, agent.epoch) = (key.kid(), agent.epoch.saturating_add(1));
            }
        }
    }

    /// The agent, with its chain's head moved by what was accepted.
    pub(crate) fn agent(&mut self, id: AgentId) -> Result<Option<&Agent>, LedgerError> {
        use std::collections::btree_map::Entry::{Occupied, Vacant};
        Ok(match self.agents.entry(id) {
            Occupied(known) => known.into_mut().as_ref(),
            Vacant(place) => place.insert(self.store.agent(id)?).as_ref(),
        })
    }

    /// The agent's key of this epoch; `None` where there is none, or none yet.
    pub(crate) fn key(&self, agent: &Agent, epoch: u32) -> Result<Option<VerifyKey>, LedgerError> {
        if epoch >= agent.epoch {
            return Ok((epoch == agent.epoch).then_some(agent.key));
        }
        if let Some(key) = self.old_keys.get(&(agent.id, epoch)) {
            return Ok(Some(*key));
        }
        let keys = self.store.keys(agent.id)?;
        Ok(keys.iter().find(|key| key.epoch == epoch).map(|key| key.key))
    }

    /// Whether a key is one that the agent has or had.
    pub(crate) fn has_had(&self, agent: &Agent, key: VerifyKey) -> Result<bool, LedgerError> {
        let mine = self.old_keys.iter().filter(|((of, _), _)| *of == agent.id).map(|(_, key)| *key);
        Ok(agent.key == key
            || mine.into_iter().any(|old| old == key)
            || self.store.keys(agent.id)?.iter().any(|old| old.key == key))
    }

    /// Whether the entry is held. One past the head cannot be: an id binds its sequence.
    pub(crate) fn holds_entry(&self, agent: &Agent, entry: EntryId, seq: u64) -> Result<bool, LedgerError> {
        Ok(seq <= agent.head.seq && self.seq_of(agent.id, entry)?.is_some())
    }

    /// The sequence of an agent's entry.
    pub(crate) fn seq_of(&self, agent: AgentId, entry: EntryId) -> Result<Option<u64>, LedgerError> {
        match self.new.get(&entry) {
            Some((of, seq)) => Ok((*of == agent).then_some(*seq)),
            None => self.store.seq_of(agent, entry),
        }
    }

    /// Whether an entry at this sequence follows that one.
    pub(crate) fn holds(&self, agent: AgentId, seq: u64, prev: EntryId) -> Result<bool, LedgerError> {
        Ok(self.follows.contains(&(agent, seq, prev)) || self.store.holds(agent, seq, Some(prev))?)
    }

    /// Whether the agent has sent this manifest.
    pub(crate) fn knows_manifest(&self, agent: AgentId, digest: ManifestDigest) -> Result<bool, LedgerError> {
        Ok(self.manifests.contains(&(agent, digest)) || self.store.knows_manifest(agent, digest)?)
    }

    /// Claimed end of the window at this place of a chain; of an entry that claims none, its receipt. The latest, where
    /// the chain forked.
    pub(crate) fn end_of(&self, agent: AgentId, seq: u64) -> Result<Option<i64>, LedgerError> {
        let held = self.store.entries_of(agent, seq)?;
        let held = held.iter().map(|entry| entry.end_ms.unwrap_or(entry.recv_ms)).max();
        Ok(held.max(self.ends.get(&(agent, seq)).copied()))
    }

    /// Root of the log at this size.
    pub(crate) fn root_at(&self, size: u64) -> Result<Option<[u8; 32]>, LedgerError> {
        self.store.root_at(size)
    }
}

/// Whether an outcome lets later windows be compared with this one.
pub(crate) fn continues(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Recorded | Outcome::Finding => true,
        Outcome::Conflict | Outcome::Unspecified => false,
    }
}
