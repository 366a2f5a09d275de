//! The rules of acceptance, in their order: size, parcel and envelope, suite, agent, topic, epoch, signature,
//! repetition, place in the chain. Pure: the ledger is only looked at.

use std::collections::BTreeSet;

use bytes::Bytes;
use ledger::{Agent, Finding, LedgerError, NewEntry};
use proof::log::Outcome;
use proof::payload::{Header, Payload};
use proof::{AgentId, EntryId, Envelope, EnvelopeError, Parcel, RefusalName, VerifyKey, rotation};

use crate::inspect::inspect;
use crate::view::View;

/// What becomes of a parcel.
#[derive(Debug)]
pub enum Acceptance {
    /// Goes into the log.
    Record(Box<NewEntry>),
    /// Is in the log already: answer with its receipt.
    Known(EntryId),
    /// Comes after a hole: keep it until the missing ones come.
    Ahead(Box<Checked>),
    /// Is not believed or cannot be read.
    Refuse(Refused),
}

/// A refusal, to be counted and answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its name.
    pub name: RefusalName,
    /// The entry, when the envelope could be read.
    pub entry: Option<EntryId>,
    /// Whether an agent of that topic is enrolled.
    pub enrolled: bool,
    /// For people.
    pub text: String,
    /// It is of an epoch that may begin with an entry that has not come yet: the missing ones are asked for.
    pub early: bool,
}

impl Refused {
    fn of(name: RefusalName, entry: Option<EntryId>, enrolled: bool, text: String) -> Self {
        Self { name, entry, enrolled, text, early: false }
    }
}

/// A parcel with a good envelope of its agent: only its place is open.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The envelope.
    pub envelope: Envelope,
    /// Its id.
    pub id: EntryId,
    /// The payload's header.
    pub header: Header,
    /// The key of its epoch, which has signed it.
    pub key: VerifyKey,
    /// The detached rows, unchecked.
    pub use_rows: Bytes,
}

/// A parcel's outcome, and how much of the log its sender has seen.
pub struct Accepted {
    /// What becomes of it.
    pub acceptance: Acceptance,
    /// Entries under the newest checkpoint that the sender has checked, as it says; 0 for none.
    pub seen: u64,
}

impl Checked {
    /// What it takes in memory, in bytes, near enough.
    pub(crate) fn weight(&self) -> usize {
        2 * self.envelope.bytes().len() + self.use_rows.len()
    }
}

/// Says what becomes of a parcel that came on the topic of `topic` at `now_ms`.
///
/// # Errors
/// When the ledger cannot be read. What is wrong with the parcel is an [`Acceptance`].
pub fn accept(
    parcel: &[u8],
    topic: AgentId,
    now_ms: i64,
    view: &mut View<'_>,
) -> Result<Accepted, LedgerError> {
    Ok(match check(parcel, topic, view)? {
        Ok((checked, seen)) => Accepted { acceptance: place(checked, now_ms, view)?, seen },
        Err(refused) => Accepted { acceptance: Acceptance::Refuse(refused), seen: 0 },
    })
}

/// Reads the parcel and checks that its agent signed it.
fn check(
    parcel: &[u8],
    topic: AgentId,
    view: &mut View<'_>,
) -> Result<Result<(Checked, u64), Refused>, LedgerError> {
    let agent = view.agent(topic)?;
    let enrolled = agent.is_some();
    let refused = |name, entry, text: String| Ok(Err(Refused::of(name, entry, enrolled, text)));

    let Parcel { envelope, use_rows, seen } = match Parcel::parse(parcel) {
        Ok(parcel) => parcel,
        Err(error) => return refused(name_of(&error), None, error.to_string()),
    };
    let id = envelope.id();
    let Some(agent) = agent else {
        return refused(RefusalName::UnknownKey, Some(id), format!("no gateway is enrolled as {topic}"));
    };
    if let Some(revoked) = &agent.revoked {
        return refused(RefusalName::RevokedKey, Some(id), revoked.reason.clone());
    }
    let header = match Header::parse(envelope.payload()) {
        Ok(header) => header,
        Err(error) => return refused(RefusalName::Unparsable, Some(id), error.to_string()),
    };
    if header.agent != topic {
        return refused(RefusalName::WrongAgent, Some(id), format!("payload is of {}", header.agent));
    }
    let agent = agent.clone();
    let Some(key) = view.key(&agent, header.epoch)? else {
        let early = header.epoch > agent.epoch && header.seq > agent.head.seq.saturating_add(1);
        let text = wrong_epoch(&header, &agent);
        return Ok(Err(Refused { early, ..Refused::of(RefusalName::WrongEpoch, Some(id), enrolled, text) }));
    };
    if let Err(error) = envelope.verify(&key) {
        return refused(name_of(&error), Some(id), error.to_string());
    }
    Ok(Ok((Checked { envelope, id, header, key, use_rows: use_rows.into() }, seen)))
}

fn wrong_epoch(header: &Header, agent: &Agent) -> String {
    format!("payload is of epoch {}, the key of {}", header.epoch, agent.epoch)
}

fn name_of(error: &EnvelopeError) -> RefusalName {
    match error {
        EnvelopeError::Oversized { .. } => RefusalName::Oversized,
        EnvelopeError::Unparsable(_) => RefusalName::Unparsable,
        EnvelopeError::UnknownSuite(_) => RefusalName::UnknownSuite,
        EnvelopeError::BadSignature => RefusalName::BadSignature,
    }
}

/// Finds the place of a checked parcel in its agent's chain. Called again when a hole before it was filled.
pub(crate) fn place(checked: Checked, now_ms: i64, view: &mut View<'_>) -> Result<Acceptance, LedgerError> {
    let Some(agent) = view.agent(checked.header.agent)?.cloned() else {
        let text = "no longer enrolled".to_owned();
        let entry = Some(checked.id);
        return Ok(Acceptance::Refuse(Refused::of(RefusalName::UnknownKey, entry, false, text)));
    };
    if view.holds_entry(&agent, checked.id, checked.header.seq)? {
        return Ok(Acceptance::Known(checked.id));
    }
    let refuse = |name, text| Ok(Acceptance::Refuse(Refused::of(name, Some(checked.id), true, text)));
    // What an older key has signed is answered where it is held, and nothing is added to it: it may be in other hands.
    if checked.header.epoch != agent.epoch {
        return refuse(RefusalName::WrongEpoch, wrong_epoch(&checked.header, &agent));
    }
    let rotates = match rotation::of(&checked.envelope, &checked.header, &checked.key) {
        Ok(Some(new)) if view.has_had(&agent, new)? => {
            return refuse(
                RefusalName::BadRotation,
                "the new key is one of this gateway's before".to_owned(),
            );
        }
        Ok(rotates) => rotates,
        Err(error) => return refuse(RefusalName::BadRotation, error.to_string()),
    };
    let next = agent.head.seq.saturating_add(1);
    if checked.header.seq > next && !declares_loss(&checked, next) {
        return Ok(Acceptance::Ahead(Box::new(checked)));
    }
    let mut new = entry(&checked, &agent, now_ms);
    chain(&mut new, &agent, view)?;
    inspect(&mut new, &checked, &agent, view)?;
    rotate(&mut new, rotates, &agent);
    new.outcome = match new.outcome {
        Outcome::Conflict => Outcome::Conflict,
        Outcome::Unspecified | Outcome::Recorded | Outcome::Finding if new.findings.is_empty() => {
            Outcome::Recorded
        }
        Outcome::Unspecified | Outcome::Recorded | Outcome::Finding => Outcome::Finding,
    };
    Ok(Acceptance::Record(Box::new(new)))
}

/// Most entries that a gateway may declare as lost at once: nineteen years of windows.
const MOST_LOST: u64 = 1_000_000;

/// Whether this is an outage by which the gateway says that the entry wanted next is lost, and all up to this one.
fn declares_loss(checked: &Checked, next: u64) -> bool {
    let Ok(Payload::Outage(outage)) = Payload::parse(checked.envelope.kind(), checked.envelope.payload())
    else {
        return false;
    };
    let lost = checked.header.seq - next;
    lost <= MOST_LOST
        && (1..=next).contains(&outage.lost_from_seq)
        && outage.last_seq.checked_add(1) == Some(checked.header.seq)
}

fn entry(checked: &Checked, agent: &Agent, now_ms: i64) -> NewEntry {
    let Checked { envelope, id, header, .. } = checked;
    NewEntry {
        agent: agent.id,
        epoch: header.epoch,
        kid: agent.kid,
        seq: header.seq,
        entry: *id,
        prev: header.prev,
        kind: envelope.kind().to_owned(),
        recv_ms: now_ms,
        outcome: Outcome::Recorded,
        findings: BTreeSet::new(),
        end_ms: None,
        anchor: 0,
        manifest: None,
        rotates: None,
        envelope: Bytes::copy_from_slice(envelope.bytes()),
        use_rows: None,
    }
}

/// The key changes where the chain goes on, and nowhere else: of a branch nobody knows yet whose it is.
fn rotate(new: &mut NewEntry, rotates: Option<VerifyKey>, agent: &Agent) {
    let follows = new.outcome != Outcome::Conflict && new.prev == agent.head.entry;
    if rotates.is_some() && !follows {
        new.findings.insert(Finding::RotationAside);
    }
    new.rotates = rotates.filter(|_| follows);
}

/// Compares with what the chain holds. A gateway that was restored from an image forks its chain without any ill
/// will, so both branches are kept, and people decide.
fn chain(new: &mut NewEntry, agent: &Agent, view: &View<'_>) -> Result<(), LedgerError> {
    let head = agent.head;
    let next = new.seq == head.seq + 1;
    if next && new.prev == head.entry {
        if head.forks > 0 {
            new.findings.insert(Finding::ForkBranch);
        }
        return Ok(());
    }
    if new.seq > head.seq + 1 {
        // Only an outage that declares the loss gets here: what it follows is in no ledger.
        new.findings.insert(Finding::ProofsLost);
        if head.forks > 0 {
            new.findings.insert(Finding::ForkBranch);
        }
        return Ok(());
    }
    let follows = match new.seq {
        1 => new.prev == EntryId::NONE,
        seq => view.seq_of(new.agent, new.prev)? == Some(seq - 1),
    };
    if !follows {
        new.outcome = Outcome::Conflict;
        new.findings.insert(Finding::ChainBreak);
    } else if view.holds(new.agent, new.seq, new.prev)? {
        new.outcome = Outcome::Conflict;
        new.findings.insert(Finding::Fork);
    } else {
        new.findings.insert(Finding::ForkBranch);
    }
    Ok(())
}
