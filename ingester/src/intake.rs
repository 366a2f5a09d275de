//! A batch of parcels: accepted one by one, recorded together, answered afterwards.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ledger::{LedgerError, NewEntry, NewRefusal, Read, Store};
use proof::{AgentId, Answer, Consistency, EntryId, RefusalName, wire};

use crate::accept::{Acceptance, Accepted, Checked, Refused, accept, place};
use crate::parking::Parking;
use crate::view::View;

/// A parcel as it came.
#[derive(Debug, Clone)]
pub struct Message {
    /// Whose topic it came on.
    pub topic: AgentId,
    /// The bytes.
    pub parcel: Bytes,
}

/// An answer and whom it goes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Whose topic it goes to.
    pub agent: AgentId,
    /// The answer.
    pub answer: Answer,
}

/// Takes batches. Remembers only what waits behind a hole, and how much of the log each gateway was shown.
#[derive(Debug, Default)]
pub struct Intake {
    parking: Parking,
    /// Entries under the checkpoint of the last receipt.
    shown: BTreeMap<AgentId, u64>,
}

/// What one batch comes to.
#[derive(Default)]
struct Batch {
    new: Vec<NewEntry>,
    known: Vec<(AgentId, EntryId)>,
    refused: Vec<(AgentId, Refused)>,
    /// How much of the log each sender says it has seen.
    seen: BTreeMap<AgentId, u64>,
    /// Agents that sent something while their chain has a hole: the question may have been lost.
    holes: BTreeSet<AgentId>,
    /// Agents whose hole is still open at the end, and how far their chain stands.
    wanting: Vec<(AgentId, u64)>,
}

impl Intake {
    /// Takes a batch: when this returns, all that is answered with a receipt is durable.
    ///
    /// # Errors
    /// When the ledger fails. Nothing of the batch may then be acknowledged; taking it again is harmless.
    pub fn take(
        &mut self,
        store: &mut dyn Store,
        messages: &[Message],
        now_ms: i64,
    ) -> Result<Vec<Reply>, LedgerError> {
        let batch = self.sort(store, messages, now_ms)?;
        let refusals: Vec<_> =
            batch.refused.iter().map(|(agent, refused)| counted(*agent, refused, now_ms)).collect();
        if !refusals.is_empty() {
            store.count_refusals(&refusals)?;
        }
        let mut replies = Vec::with_capacity(messages.len());
        let appended = store.append(&batch.new, now_ms)?;
        let mut receipts: Vec<(AgentId, EntryId, wire::Receipt)> =
            appended.into_iter().map(|new| (new.agent, new.entry, new.receipt)).collect();
        for (agent, entry) in &batch.known {
            let found = store.read().find(*entry)?;
            let found = found.ok_or_else(|| LedgerError::Damaged(format!("entry {entry} is gone")))?;
            receipts.push((*agent, *entry, found.receipt));
        }
        let mut consistency = self.consistency(store.read(), &receipts, &batch.seen)?;
        for (agent, entry, receipt) in receipts {
            // The others of this batch are proved in the same checkpoint.
            let consistency = consistency.remove(&agent).unwrap_or_default();
            let answer = Answer::Receipt { entry, server_ms: now_ms, receipt, consistency };
            replies.push(Reply { agent, answer });
        }
        for (agent, Refused { name, entry, text, .. }) in batch.refused {
            let answer = Answer::Refusal { entry, server_ms: now_ms, name: name.to_string(), text };
            replies.push(Reply { agent, answer });
        }
        for (agent, have) in batch.wanting {
            replies.push(Reply { agent, answer: Answer::Want { server_ms: now_ms, have } });
        }
        Ok(replies)
    }

    /// What shows to each gateway that gets a receipt that the log has only grown since it was shown to it: from what
    /// it says it has seen, and from what it was answered last, which it may not have got.
    fn consistency(
        &mut self,
        ledger: &dyn Read,
        receipts: &[(AgentId, EntryId, wire::Receipt)],
        seen: &BTreeMap<AgentId, u64>,
    ) -> Result<BTreeMap<AgentId, Vec<Consistency>>, LedgerError> {
        let size = ledger.checkpoint()?.size;
        let agents: BTreeSet<AgentId> = receipts.iter().map(|(agent, ..)| *agent).collect();
        let mut all = BTreeMap::new();
        for agent in agents {
            let shown = self.shown.insert(agent, size);
            let mut from: Vec<u64> = shown.into_iter().chain(seen.get(&agent).copied()).collect();
            // Whoever has seen nothing has nothing to compare, and whoever has seen all of it compares the root.
            from.retain(|from| (1..size).contains(from));
            from.dedup();
            for from in from {
                if let Some(path) = ledger.consistency(from, size)? {
                    all.entry(agent).or_insert_with(Vec::new).push(Consistency { from, path });
                }
            }
        }
        Ok(all)
    }

    /// Accepts each parcel, and after each what it makes room for.
    fn sort(&mut self, store: &dyn Store, messages: &[Message], now_ms: i64) -> Result<Batch, LedgerError> {
        let mut view = View::of(store.read());
        let mut batch = Batch::default();
        for Message { topic, parcel } in messages {
            let Accepted { mut acceptance, seen } = accept(parcel, *topic, now_ms, &mut view)?;
            batch.seen.insert(*topic, seen);
            loop {
                self.settle(*topic, acceptance, &mut batch, &mut view)?;
                let have = view.agent(*topic)?.map_or(0, |agent| agent.head.seq);
                let Some(waiting) = self.parking.next(*topic, have) else { break };
                acceptance = place(waiting, now_ms, &mut view)?;
            }
            if self.parking.waits(*topic) {
                batch.holes.insert(*topic);
            }
        }
        // Asked once a batch, and not at all when the batch itself filled the hole.
        for agent in std::mem::take(&mut batch.holes) {
            let have = view.agent(agent)?.map_or(0, |agent| agent.head.seq);
            let asks = |why: &Refused| why.early || why.name == RefusalName::TooFarAhead;
            let refused = batch.refused.iter().any(|(of, why)| *of == agent && asks(why));
            if refused || self.parking.waits(agent) {
                batch.wanting.push((agent, have));
            }
        }
        Ok(batch)
    }

    fn settle(
        &mut self,
        topic: AgentId,
        acceptance: Acceptance,
        batch: &mut Batch,
        view: &mut View<'_>,
    ) -> Result<(), LedgerError> {
        match acceptance {
            Acceptance::Record(new) => {
                view.add(&new);
                batch.new.push(*new);
            }
            Acceptance::Known(entry) => batch.known.push((topic, entry)),
            Acceptance::Refuse(refused) => {
                if refused.early {
                    batch.holes.insert(topic);
                }
                batch.refused.push((topic, refused));
            }
            Acceptance::Ahead(checked) => {
                let have = view.agent(topic)?.map_or(0, |agent| agent.head.seq);
                batch.holes.insert(topic);
                let refused = too_far(&checked, have);
                if !self.parking.park(*checked, have) {
                    batch.refused.push((topic, refused));
                }
            }
        }
        Ok(())
    }
}

fn too_far(checked: &Checked, have: u64) -> Refused {
    Refused {
        name: RefusalName::TooFarAhead,
        entry: Some(checked.id),
        enrolled: true,
        text: format!("sequence {} while the ledger holds up to {have}", checked.header.seq),
        early: false,
    }
}

fn counted(agent: AgentId, refused: &Refused, now_ms: i64) -> NewRefusal {
    NewRefusal {
        agent: refused.enrolled.then_some(agent),
        name: refused.name.name(),
        at_ms: now_ms,
        text: refused.text.clone(),
    }
}

#[cfg(test)]
mod tests;
