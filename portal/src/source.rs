//! Where pages get what they show.
//!
//! A page asks a [`Source`] and draws the answer; it reads no store and scores nothing. [`crate::Board`] is the
//! source of a running server; tests and examples bring their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use ledger::{Entry, Finding, Receipted, RefusalCount, Resource};
use proof::wire::{self, SourceKind, Speaker};
use proof::{AgentId, Cause, EntryId, Kid, Words};
use scorer::assessment::GapLine;
use scorer::{Assessment, Project};
use serde::Deserialize;

use crate::chart::Hour;
use crate::lang::Lang;
pub use crate::pages::Names;

/// Answers what the pages ask. Called on threads that may block; every answer is for now, and cheap: what is dear is
/// kept ready.
pub trait Source: Send + Sync + 'static {
    /// Server's Unix milliseconds, for "made at" and nothing else.
    fn now_ms(&self) -> i64;

    /// All firms, in any order.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn firms(&self) -> Result<Vec<Arc<Firm>>, SourceError>;

    /// The firm of this project id.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn firm(&self, id: &str) -> Result<Option<Arc<Firm>>, SourceError>;

    /// All entries that belong to this local day of a firm, in the order of gateway and sequence; at most
    /// [`MAX_DAY`].
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn day(&self, firm: &str, date: Date) -> Result<Vec<Entry>, SourceError>;

    /// The entries at this place of a chain of this firm: none, one, or several where the chain forked.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn entries(&self, firm: &str, agent: AgentId, seq: u64) -> Result<Vec<Entry>, SourceError>;

    /// The receipt of an entry.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn receipt(&self, entry: EntryId) -> Result<Option<Receipted>, SourceError>;

    /// Where the log stands.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn log(&self) -> Result<LogFacts, SourceError>;

    /// Confirms, for the firm whose code was typed, the gateway whose words were typed. The one answer that changes
    /// something; a source that only shows has none.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    fn confirm(&self, _typed: &Typed) -> Result<Confirming, SourceError> {
        Ok(Confirming::NotHere)
    }

    /// A resource of the log as anybody may fetch it; `None` while the log is not that long.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn resource(&self, resource: Resource) -> Result<Option<Vec<u8>>, SourceError>;
}

/// What a firm's representative types to confirm a gateway; unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Typed {
    /// The firm's code.
    pub code: String,
    /// The six words that the gateway shows.
    pub words: String,
    /// Who has compared them.
    pub name: String,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirming {
    /// The firm has confirmed this gateway, now or before.
    Done {
        /// The gateway.
        agent: AgentId,
        /// The firm's project id.
        firm: String,
    },
    /// No name, or one that is none.
    Name,
    /// Unknown code, or one whose time has passed.
    Code,
    /// The words of none of the firm's gateways.
    Words,
    /// The gateway's key is believed no longer.
    Revoked,
    /// Nothing is confirmed here.
    NotHere,
}

/// Most entries a day's page lists: three gateways that seal at every mark, and some.
pub const MAX_DAY: usize = 600;

/// Why a source has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The ledger does not answer. Worth trying again.
    #[error("ledger cannot be read")]
    Ledger(#[from] ledger::LedgerError),
    /// The source is not ready: it still reads what the ledger holds.
    #[error("still reading the ledger")]
    NotReady,
}

/// The log, as every page about a chain names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFacts {
    /// Entries under the newest checkpoint.
    pub size: u64,
    /// That checkpoint, a C2SP signed note; empty before the first.
    pub checkpoint: String,
    /// The log's verifier key, as `inuse-verify` takes it.
    pub verifier_key: String,
    /// The newest checkpoint that enough independent witnesses have cosigned; `None` where none have.
    pub cosigned: Option<Cosigned>,
}

/// A checkpoint that enough independent witnesses have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// Entries under it.
    pub size: u64,
    /// The signed note with all signatures.
    pub note: String,
    /// Who has cosigned it, by the policy's names, and when, Unix seconds.
    pub by: Vec<(String, u64)>,
}

/// One gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its id.
    pub agent: AgentId,
    /// What it calls itself.
    pub hostname: String,
    /// The public key that signs now, 32 bytes.
    pub key: [u8; 32],
    /// Its epoch, from 1.
    pub epoch: u32,
    /// Keys that signed before, by their epochs.
    pub earlier: BTreeMap<u32, [u8; 32]>,
    /// Hint of its key.
    pub kid: Kid,
    /// When it was enrolled, Unix ms.
    pub enrolled_ms: i64,
    /// Hash of what its sources said was there before, as it stands in the log; `None` where none was taken.
    pub baseline: Option<[u8; 32]>,
    /// The six words of the key that it was enrolled with.
    pub words: Words,
    /// Who has confirmed its key for the firm, and when, Unix ms.
    pub firm: Option<(String, i64)>,
    /// Who has confirmed its key for the city, and when, Unix ms.
    pub city: Option<(String, i64)>,
    /// Connected, by its last status or last will; `None` before the first.
    pub online: Option<bool>,
    /// When its newest entry was received, Unix ms.
    pub last_recv_ms: Option<i64>,
    /// Highest sequence held.
    pub seq: u64,
    /// Entries recorded as conflicts.
    pub forks: u32,
    /// Why its key is no longer believed.
    pub revoked: Option<String>,
}

impl Gateway {
    /// Whether firm and city have both confirmed its key: before, what it sends decides nothing.
    pub const fn is_confirmed(&self) -> bool {
        self.firm.is_some() && self.city.is_some()
    }
}

/// What the ledger counts for one firm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainFacts {
    /// Windows recorded.
    pub windows: u64,
    /// Outages declared.
    pub outages: u64,
    /// Manifests recorded.
    pub manifests: u64,
    /// Labels recorded.
    pub labels: u64,
    /// Days' sums recorded.
    pub digests: u64,
    /// Openings of past leaves that chains name.
    pub openings: u64,
    /// Rotations of a key recorded.
    pub rotations: u64,
    /// Entries of kinds this version does not understand.
    pub others: u64,
    /// Odd things, each with how often.
    pub findings: BTreeMap<Finding, u64>,
    /// What was refused on this firm's topics.
    pub refusals: Vec<RefusalCount>,
    /// The newest labels, oldest first, at most 500.
    pub said: Vec<Said>,
}

/// Most labels of a firm that are kept ready for pages.
pub(crate) const MOST_LABELS: usize = 500;

/// What a label says: a statement of somebody, which changes no record, no gap and no verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// In whose chain.
    pub agent: AgentId,
    /// Its place there.
    pub seq: u64,
    /// When the server received it, Unix ms.
    pub recv_ms: i64,
    /// Received more than a day after the end of what it is about.
    pub is_late: bool,
    /// What it is about.
    pub about: About,
    /// Index in the manifest; 0 for the whole gateway.
    pub source: u32,
    /// What it is said to have been.
    pub cause: Cause,
    /// In words.
    pub text: String,
    /// Who says so.
    pub by: Speaker,
    /// Their name, where they gave one.
    pub name: String,
}

/// What a label is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A time, Unix ms.
    Time {
        /// From.
        from_ms: i64,
        /// To.
        to_ms: i64,
    },
    /// Places of the chain.
    Seqs {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
}

impl Said {
    /// What the label recorded as this entry says; `None` for one that is about nothing.
    pub fn of(entry: &Entry, label: &wire::Label) -> Option<Self> {
        let about = match label.about.as_ref()? {
            wire::label::About::Time(time) => About::Time { from_ms: time.from_ms, to_ms: time.to_ms },
            wire::label::About::Seqs(seqs) => About::Seqs { from: seqs.from, to: seqs.to },
        };
        Some(Self {
            agent: entry.agent,
            seq: entry.seq,
            recv_ms: entry.recv_ms,
            is_late: entry.findings.contains(&Finding::LateLabel),
            about,
            source: label.source,
            cause: Cause::of_letter(label.cause),
            text: label.text.clone(),
            by: label.by(),
            name: label.name.clone(),
        })
    }

    /// Whether it is about something of this gap.
    pub fn concerns(&self, gap: &GapLine) -> bool {
        let of_source = self.source == 0 || gap.source.is_none_or(|source| source == self.source);
        let overlaps = match self.about {
            About::Time { from_ms, to_ms } => from_ms < gap.to_ms && to_ms > gap.from_ms,
            About::Seqs { from, to } => from <= gap.span.last && to >= gap.span.first,
        };
        self.agent == gap.agent && of_source && overlaps
    }
}

/// One source, hour by hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStrip {
    /// Which gateway.
    pub agent: AgentId,
    /// Index in its manifest.
    pub source: u32,
    /// What kind of thing it is.
    pub kind: SourceKind,
    /// Each day that has a window.
    pub days: BTreeMap<Date, [Hour; 24]>,
}

/// One firm with all its page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Firm {
    /// What was declared.
    pub project: Project,
    /// What the scorer says.
    pub assessment: Assessment,
    /// Its gateways, in the order of their enrolment.
    pub gateways: Vec<Gateway>,
    /// What its numbers stand for, by gateway.
    pub names: BTreeMap<AgentId, Names>,
    /// What the ledger counts.
    pub chain: ChainFacts,
    /// Its sources.
    pub strips: Vec<SourceStrip>,
}

impl Firm {
    /// Project id.
    pub fn id(&self) -> &str {
        &self.project.id
    }

    /// Its name in this language; the Chinese one where there is no English.
    pub fn name(&self, lang: Lang) -> &str {
        match lang {
            Lang::En if !self.project.name_en.is_empty() => &self.project.name_en,
            Lang::En | Lang::Zh => &self.project.name_zh,
        }
    }

    /// Minutes east of UTC that its times are written in.
    pub fn offset_minutes(&self) -> i32 {
        self.project.utc_offset_minutes
    }

    /// What a gateway's numbers stand for; numbers alone before its first manifest.
    pub fn names(&self, agent: AgentId) -> &Names {
        static NONE: Names = Names::NONE;
        self.names.get(&agent).unwrap_or(&NONE)
    }

    /// When its newest entry was received.
    pub fn last_recv_ms(&self) -> Option<i64> {
        self.gateways.iter().filter_map(|gateway| gateway.last_recv_ms).max()
    }

    /// Entries recorded as conflicts.
    pub fn forks(&self) -> u32 {
        self.gateways.iter().fold(0, |sum, gateway| sum.saturating_add(gateway.forks))
    }
}
