//! What a collector saw: the unit everything else is made of.

use crate::catalogue::Cause;
use crate::wire::{ActionClass, ActorClass, ExclusionReason, RewriteKind};

/// One reading or a batch of records of one source, stamped.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Index of the source in the manifest, from 1.
    pub source: u16,
    /// Wall time of the answer (of the question where none came), Unix ms.
    pub at_ms: i64,
    /// Real time between question and answer in microseconds; `None` where nothing was asked over a line.
    pub rtt_us: Option<u32>,
    /// What came back.
    pub what: What,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// One poll cycle: a reading for each declared point, in manifest order.
    Cycle(Vec<Reading>),
    /// Records of a log or table, none included: "looked, nothing new" is an observation too.
    Records(Records),
    /// What a server had kept from a time in which nobody could ask it, oldest first within each point. Committed to
    /// as backfill: it ends no silence and counts for nothing.
    Kept(Vec<Kept>),
    /// Nobody answered, or nothing readable came. Silence must be distinguishable from zero.
    Silent(Cause),
}

/// A reading out of a server's history.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Index of the point within its source, from 0.
    pub point: u16,
    /// The server's time of it, Unix ms.
    pub at_ms: i64,
    /// What it kept.
    pub reading: Reading,
}

/// Something that had been read of a log or table and is not there as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewrite {
    /// What became of it.
    pub kind: RewriteKind,
    /// First position that is not as it was, counted as [`Record::position`].
    pub from: u64,
    /// The position after the last.
    pub to: u64,
    /// Of a table: how many rows. 0 for a log.
    pub rows: u32,
}

/// One decoded value.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// How good it is.
    pub quality: Quality,
    /// As it came from the wire; empty when nothing came.
    pub raw: Vec<u8>,
    /// The decoded value, scale and offset applied; `None` unless the quality is good.
    pub value: Option<f64>,
}

/// The quality letters of HJ 212-2017, table of data flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quality {
    /// N: normal.
    Good,
    /// F: the machine is stopped.
    Stopped,
    /// M: under maintenance.
    Maintenance,
    /// S: set by hand.
    Manual,
    /// D: faulty.
    Fault,
    /// C: checking.
    Checking,
    /// T: over range.
    OverRange,
    /// B: no answer.
    NoAnswer,
}

impl Quality {
    const ALL: [Self; 8] = [
        Self::Good,
        Self::Stopped,
        Self::Maintenance,
        Self::Manual,
        Self::Fault,
        Self::Checking,
        Self::OverRange,
        Self::NoAnswer,
    ];

    /// The quality of a letter; a letter this reader does not know reads as faulty.
    pub fn of_letter(letter: u32) -> Self {
        Self::ALL.into_iter().find(|quality| u32::from(quality.letter()) == letter).unwrap_or(Self::Fault)
    }

    /// The letter.
    pub const fn letter(self) -> u8 {
        match self {
            Self::Good => b'N',
            Self::Stopped => b'F',
            Self::Maintenance => b'M',
            Self::Manual => b'S',
            Self::Fault => b'D',
            Self::Checking => b'C',
            Self::OverRange => b'T',
            Self::NoAnswer => b'B',
        }
    }
}

/// What one look at a log or table brought.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Records {
    /// Position before: bytes read so far over all of the log's files, or the last row id.
    pub from: u64,
    /// Position after.
    pub to: u64,
    /// Lines taken, parsed or not.
    pub lines: u32,
    /// Lines no parser understood: counted, shown locally, never dropped in silence.
    pub unparsed: u32,
    /// The parsed ones, in order.
    pub records: Vec<Record>,
    /// What the collector needs to go on from here; stored in the transaction that stores the records.
    pub bookmark: Vec<u8>,
    /// The agent was running when these were written: the look before this one was within its cadence.
    pub followed: bool,
    /// What this look found rewritten of what earlier ones had read.
    pub rewrites: Vec<Rewrite>,
}

/// One parsed record of a log or table.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where it begins: byte offset as in [`Records::from`], or row id.
    pub position: u64,
    /// Its fields as they came (decoded to UTF-8), in the parser's order. They never leave the gateway.
    pub fields: Vec<Vec<u8>>,
    /// Event time, Unix ms; `None` when the record names none.
    pub event_ms: Option<i64>,
    /// Account as the record names it. Leaves as a keyed pseudonym only.
    pub account: Option<String>,
    /// Number of the business document it is about, as the record has it among its fields: what an expert with a paper
    /// order in hand looks for. Never leaves the gateway but in an opening.
    pub document: Option<String>,
    /// What the manifest's account classes make of it.
    pub actor_class: ActorClass,
    /// Why, for an excluded account.
    pub reason: ExclusionReason,
    /// Module code of the manifest; 0 when none matches.
    pub module: u16,
    /// What was done.
    pub action: ActionClass,
}

impl Record {
    /// Whether this is a key action by a person: verdicts, section 3.1.
    pub fn is_human_key_action(&self) -> bool {
        is_key(self.action) && is_human(self.actor_class)
    }
}

/// Whether the class is a person at a keyboard: an own account, or a shared shop-floor terminal.
pub fn is_human(class: ActorClass) -> bool {
    matches!(class, ActorClass::Human | ActorClass::SharedTerminal)
}

/// Whether the action creates, reports, approves, posts or closes a business document.
pub fn is_key(action: ActionClass) -> bool {
    matches!(
        action,
        ActionClass::Create
            | ActionClass::Report
            | ActionClass::Approve
            | ActionClass::Post
            | ActionClass::Close
    )
}
