//! The verbs of the ledger, whatever keeps it.
//!
//! [`Read`] is what pages and rules ask, [`Store`] adds what changes it. Each changing verb is one transaction, is
//! durable when it returns, and may be repeated.

use std::collections::BTreeSet;

use bytes::Bytes;
use proof::log::Outcome;
use proof::wire;
use proof::{Act, AgentId, EntryId, Kid, Party, VerifyKey};

use crate::{Finding, LedgerError};

/// SHA-256 of a one-time token. The token itself is never stored.
pub type TokenHash = [u8; 32];

/// First 16 bytes of SHA-256 of a manifest's body, as windows name it.
pub type ManifestDigest = [u8; 16];

/// An agent as it enrols.
#[derive(Debug, Clone)]
pub struct NewAgent {
    /// Its id.
    pub id: AgentId,
    /// The public key that its proofs will be checked with.
    pub key: VerifyKey,
    /// What the gateway calls itself, for people.
    pub hostname: String,
    /// What it shows of itself.
    pub shown: Shown,
}

impl NewAgent {
    /// An agent that shows nothing of itself but its key.
    pub fn of(id: AgentId, key: VerifyKey, hostname: &str) -> Self {
        Self { id, key, hostname: hostname.to_owned(), shown: Shown::default() }
    }
}

/// What a gateway shows of itself as it enrols, as far as it can. All of it goes into the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Hash of what the hardware says it is.
    pub hardware: Option<[u8; 32]>,
    /// Its manifest, where it has one already.
    pub manifest: Option<ManifestDigest>,
    /// Hash of what was found of the time before.
    pub baseline: Option<[u8; 32]>,
}

/// A token as it is given out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewToken {
    /// The project.
    pub project: String,
    /// Good until, server's Unix milliseconds.
    pub expires_ms: i64,
    /// Who is to install the gateway, for people.
    pub installer: String,
    /// The gateway in whose place the new one comes, and why.
    pub replaces: Option<(AgentId, String)>,
}

impl NewToken {
    /// For whoever installs a gateway, in nobody's place.
    pub fn of(project: &str, expires_ms: i64) -> Self {
        Self { project: project.to_owned(), expires_ms, ..Self::default() }
    }
}

/// Somebody who has compared the words of a gateway's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// Server's Unix milliseconds.
    pub at_ms: i64,
    /// The person.
    pub name: String,
}

/// A confirmation to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConfirmation {
    /// The gateway.
    pub agent: AgentId,
    /// The key that it was enrolled with, whose words were compared.
    pub key: VerifyKey,
    /// For whom.
    pub party: Party,
    /// The person.
    pub name: String,
}

/// An act of the log's owner, as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Place in the log, from 0.
    pub index: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it says.
    pub act: Act,
}

/// An enrolled agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// The project it was enrolled for.
    pub project: String,
    /// The public key of the current epoch.
    pub key: VerifyKey,
    /// The public key that it was enrolled with: its six words are those that were compared.
    pub enrolled_key: VerifyKey,
    /// First 8 bytes of SHA-256 of that of the current epoch.
    pub kid: Kid,
    /// Key epoch, from 1.
    pub epoch: u32,
    /// Server's Unix milliseconds of the enrolment: T0 of the first windows.
    pub enrolled_ms: i64,
    /// What the gateway calls itself.
    pub hostname: String,
    /// Who has confirmed its key for the firm.
    pub firm: Option<Confirmed>,
    /// Who has confirmed its key for the city.
    pub city: Option<Confirmed>,
    /// Set when its key is no longer believed.
    pub revoked: Option<Revoked>,
    /// Where its chain stands.
    pub head: Head,
    /// Its last status or last will, where one was seen.
    pub presence: Option<Presence>,
}

impl Agent {
    /// Whether both have confirmed its key. What an unconfirmed gateway sends is recorded and decides nothing.
    pub const fn is_confirmed(&self) -> bool {
        self.firm.is_some() && self.city.is_some()
    }
}

/// A key of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentKey {
    /// Its epoch.
    pub epoch: u32,
    /// Its public half.
    pub key: VerifyKey,
    /// First sequence that it signs.
    pub from_seq: u64,
}

/// Since when and why a key is no longer believed. What was receipted before stays valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Server's Unix milliseconds.
    pub at_ms: i64,
    /// For people.
    pub reason: String,
}

/// Where one agent's chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Highest sequence held; 0 before the first.
    pub seq: u64,
    /// The entry at that sequence, the first to come where there are several.
    pub entry: EntryId,
    /// Entries recorded as conflicts; above 0 the chain is under review.
    pub forks: u32,
    /// Claimed end of the newest window, Unix milliseconds.
    pub end_ms: Option<i64>,
    /// Size of the newest window's anchor; 0 without one.
    pub anchor: u64,
}

impl Head {
    /// Before the first entry.
    pub const NONE: Self = Self { seq: 0, entry: EntryId::NONE, forks: 0, end_ms: None, anchor: 0 };

    /// Moves on by an entry that is recorded. A conflict counts, and takes the head only where it is the longest.
    pub fn follow(&mut self, new: &NewEntry) {
        if new.outcome == Outcome::Conflict {
            self.forks = self.forks.saturating_add(1);
        }
        if new.seq > self.seq {
            self.seq = new.seq;
            self.entry = new.entry;
            self.end_ms = new.end_ms.or(self.end_ms);
            self.anchor = if new.anchor > 0 { new.anchor } else { self.anchor };
        }
    }
}

/// What an agent, or the broker in its place, last said about its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Connected.
    pub online: bool,
    /// Server's Unix milliseconds when that was heard.
    pub since_ms: i64,
}

/// A project and how many agents it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its name, as in the project's file.
    pub name: String,
    /// Agents enrolled for it, revoked ones included.
    pub agents: u32,
    /// Tokens neither taken nor expired.
    pub open_tokens: u32,
}

/// An entry that was checked and is to be recorded.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Whose chain.
    pub agent: AgentId,
    /// Key epoch.
    pub epoch: u32,
    /// Hint of the key that checked it.
    pub kid: Kid,
    /// Place in the chain, from 1.
    pub seq: u64,
    /// Its id.
    pub entry: EntryId,
    /// The entry it follows.
    pub prev: EntryId,
    /// The envelope's kind.
    pub kind: String,
    /// Server's Unix milliseconds: T1.
    pub recv_ms: i64,
    /// What became of it.
    pub outcome: Outcome,
    /// What is odd about it.
    pub findings: BTreeSet<Finding>,
    /// Claimed end, for windows, Unix milliseconds.
    pub end_ms: Option<i64>,
    /// Size of its anchor; 0 without one.
    pub anchor: u64,
    /// The manifest it declares, for kind `manifest`.
    pub manifest: Option<ManifestDigest>,
    /// The key that signs from the next entry on, for a rotation that was checked.
    pub rotates: Option<VerifyKey>,
    /// The envelope exactly as received.
    pub envelope: Bytes,
    /// The detached use rows, when their digest is right.
    pub use_rows: Option<Bytes>,
}

/// A recorded entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Place in the log, from 0.
    pub index: u64,
    /// Whose chain.
    pub agent: AgentId,
    /// Key epoch.
    pub epoch: u32,
    /// Place in the chain, from 1.
    pub seq: u64,
    /// Its id.
    pub entry: EntryId,
    /// The envelope's kind.
    pub kind: String,
    /// Server's Unix milliseconds: T1.
    pub recv_ms: i64,
    /// What became of it.
    pub outcome: Outcome,
    /// What is odd about it.
    pub findings: BTreeSet<Finding>,
    /// Claimed end, for windows, Unix milliseconds.
    pub end_ms: Option<i64>,
    /// The envelope exactly as received.
    pub envelope: Vec<u8>,
    /// The detached use rows: absent when there were none, they did not match, or their time has passed.
    pub use_rows: Option<Vec<u8>>,
    /// The encoded log entry, exactly as it was hashed into the log.
    pub log_entry: Vec<u8>,
}

/// What the log answers for one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipted {
    /// Place in the log, from 0.
    pub index: u64,
    /// Whose chain.
    pub agent: AgentId,
    /// The entry.
    pub entry: EntryId,
    /// The log entry and its proof of inclusion in a signed checkpoint.
    pub receipt: wire::Receipt,
}

/// The newest signed head of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Entries in the log.
    pub size: u64,
    /// Root hash.
    pub hash: [u8; 32],
    /// Server's Unix milliseconds.
    pub made_ms: i64,
    /// C2SP signed note.
    pub note: String,
}

/// A refusal to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRefusal {
    /// Whose topic, when that agent is enrolled.
    pub agent: Option<AgentId>,
    /// Its name.
    pub name: &'static str,
    /// Server's Unix milliseconds.
    pub at_ms: i64,
    /// For people; cut to 200 characters.
    pub text: String,
}

/// How often one thing was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalCount {
    /// Whose topic; `None` for all that are not enrolled.
    pub agent: Option<AgentId>,
    /// Name of the refusal.
    pub name: String,
    /// How often.
    pub count: u64,
    /// When last, server's Unix milliseconds.
    pub last_ms: i64,
    /// Its text then.
    pub text: String,
}

/// Why a token did not open the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// No such token was given out.
    #[error("unknown token")]
    Unknown,
    /// Its time has passed.
    #[error("expired token")]
    Expired,
    /// Another agent has used it.
    #[error("token already used")]
    Taken,
    /// The agent id is enrolled already, with another key or by another token.
    #[error("agent id already enrolled")]
    Enrolled,
}

/// What is asked of a ledger.
pub trait Read {
    /// Returns an agent.
    fn agent(&self, id: AgentId) -> Result<Option<Agent>, LedgerError>;

    /// Returns all agents, of one project where it is named, in the order of their enrolment.
    fn agents(&self, project: Option<&str>) -> Result<Vec<Agent>, LedgerError>;

    /// Returns all keys that an agent has had, the first one first.
    fn keys(&self, agent: AgentId) -> Result<Vec<AgentKey>, LedgerError>;

    /// Returns the projects that have an agent or a token, by name.
    fn projects(&self, now_ms: i64) -> Result<Vec<Project>, LedgerError>;

    /// Returns where an agent's chain stands; [`Head::NONE`] before its first entry.
    fn head(&self, agent: AgentId) -> Result<Head, LedgerError>;

    /// Returns the receipt of a recorded entry: always the same log entry, proved in the newest checkpoint.
    fn find(&self, entry: EntryId) -> Result<Option<Receipted>, LedgerError>;

    /// Returns the sequence of an agent's entry.
    fn seq_of(&self, agent: AgentId, entry: EntryId) -> Result<Option<u64>, LedgerError>;

    /// Says whether an agent has an entry at this sequence, following `prev` where that is named.
    fn holds(&self, agent: AgentId, seq: u64, prev: Option<EntryId>) -> Result<bool, LedgerError>;

    /// Says whether an agent has sent this manifest.
    fn knows_manifest(&self, agent: AgentId, manifest: ManifestDigest) -> Result<bool, LedgerError>;

    /// Returns at most `limit` entries from this place in the log on, of one agent where it is named.
    fn entries(&self, agent: Option<AgentId>, from: u64, limit: u32) -> Result<Vec<Entry>, LedgerError>;

    /// Returns the entry at this place in the log.
    fn entry(&self, index: u64) -> Result<Option<Entry>, LedgerError>;

    /// Returns an agent's entries of this sequence in the order of the log, at most 100: more than one after a fork.
    fn entries_of(&self, agent: AgentId, seq: u64) -> Result<Vec<Entry>, LedgerError>;

    /// Returns the newest checkpoint.
    fn checkpoint(&self) -> Result<Checkpoint, LedgerError>;

    /// Returns the root hash the log had at this size; `None` when it is not that long yet.
    fn root_at(&self, size: u64) -> Result<Option<[u8; 32]>, LedgerError>;

    /// Returns `count` hashes of this level of the tree, of the subtrees of 2^`level` entries, from the one at `first`
    /// on. All of them must be under the newest checkpoint.
    fn hashes(&self, level: u8, first: u64, count: u16) -> Result<Vec<[u8; 32]>, LedgerError>;

    /// Returns the proof that the log of `size` entries begins with the `from` entries that it had before (RFC 6962,
    /// 2.1.2); `None` where it was never so long. `size` must be under the newest checkpoint.
    fn consistency(&self, from: u64, size: u64) -> Result<Option<Vec<[u8; 32]>>, LedgerError>;

    /// Returns `count` log entries as they were hashed, from this place in the log on; fewer at its end.
    fn log_entries(&self, first: u64, count: u16) -> Result<Vec<Vec<u8>>, LedgerError>;

    /// Returns the acts about an agent, in the order of the log.
    fn acts(&self, agent: AgentId) -> Result<Vec<Recorded>, LedgerError>;

    /// Returns the project that a firm's code is of, while it is good.
    fn project_of(&self, code: TokenHash, now_ms: i64) -> Result<Option<String>, LedgerError>;

    /// Returns what was refused, and how often.
    fn refusals(&self) -> Result<Vec<RefusalCount>, LedgerError>;
}

/// A ledger that can be written to.
pub trait Store: Send {
    /// The reading verbs, seeing all that was written.
    fn read(&self) -> &dyn Read;

    /// Gives out a one-time token for a project.
    fn add_token(&mut self, token: TokenHash, new: &NewToken) -> Result<(), LedgerError>;

    /// Gives out the code by which a firm confirms its gateways; an older one is good no longer.
    fn set_firm_code(&mut self, code: TokenHash, project: &str, expires_ms: i64) -> Result<(), LedgerError>;

    /// Takes the token, enrols the agent and says so in the log, or does nothing of it. Asking again for the same agent, key and token
    /// returns the same agent: the answer may have been lost.
    fn enrol(
        &mut self,
        token: TokenHash,
        agent: &NewAgent,
        now_ms: i64,
    ) -> Result<Result<Agent, TokenRefused>, LedgerError>;

    /// Says in the log who has confirmed an agent's key. Returns whether the agent is known by that key; the first
    /// confirmation of a party stays.
    fn confirm(&mut self, new: &NewConfirmation, now_ms: i64) -> Result<bool, LedgerError>;

    /// Puts something into the log that nobody could foretell.
    fn beacon(&mut self, now_ms: i64) -> Result<(), LedgerError>;

    /// No longer believes an agent's key, and says so in the log. Returns whether the agent is known; the first reason
    /// stays.
    fn revoke(&mut self, agent: AgentId, reason: &str, now_ms: i64) -> Result<bool, LedgerError>;

    /// Records a batch, signs one checkpoint over it and returns the receipts, in the order given. An entry that is
    /// held already is not recorded again.
    fn append(&mut self, batch: &[NewEntry], now_ms: i64) -> Result<Vec<Receipted>, LedgerError>;

    /// Counts refusals.
    fn count_refusals(&mut self, refusals: &[NewRefusal]) -> Result<(), LedgerError>;

    /// Remembers what was last heard about an agent's connection. Unknown agents are ignored.
    fn set_presence(&mut self, agent: AgentId, presence: &Presence) -> Result<(), LedgerError>;

    /// Deletes per-actor rows received before this time and returns of how many windows. Window, chain and receipt
    /// stay verifiable: they only hold the digest.
    fn delete_use_rows(&mut self, before_ms: i64) -> Result<u64, LedgerError>;
}
