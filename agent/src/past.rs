//! The past on the gateway: which windows are still there, whether they are what was committed to, and openings of
//! their leaves. The running agent tells it on the status socket to whoever may read its files anyway.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use buffer::{Cause, PastRaw, Raw};
use collectors::manifest::Manifest;
use proof::log::{Receipt, check_receipt};
use proof::payload::{Header, manifest_hash};
use proof::{Envelope, Observation, Opening, PastLeaves, Payload, Windows, raw, wire};
use prost::Message as _;
use serde::{Deserialize, Serialize};

use crate::Identity;
use crate::status::exchange;

/// A place in the chain, as the running agent's store has it. Times are Unix ms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Sequence number.
    pub seq: u64,
    /// Its kind; `None` where the proof is gone.
    pub kind: Option<String>,
    /// Its entry id, hex.
    pub entry: Option<String>,
    /// When its receipt came.
    pub receipted_ms: Option<i64>,
    /// Of a window with raw data or a tombstone: its start.
    pub start_ms: Option<i64>,
    /// Raw data that is no longer there.
    pub dropped: Option<Dropped>,
}

/// What the store has of a time, in the order of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// At most [`buffer::MOST_ENTRIES`].
    pub entries: Vec<Entry>,
    /// Numbers among them of which nothing is in the store, first and last of each run.
    pub missing: Vec<(u64, u64)>,
    /// There are more entries of that time.
    pub is_cut: bool,
    /// Up to this number, entries that had their receipt were forgotten in order.
    pub forgotten: u64,
}

/// Raw data that was dropped in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// When, Unix ms.
    pub at_ms: i64,
    /// Why, in English words.
    pub why: String,
}

/// What a window's raw data is, measured by what was committed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The leaves made anew from it give the root that was signed.
    Holds,
    /// They do not, or cannot be made: it is not what was committed to. Why, in English words.
    Altered(String),
    /// It is gone, and the store says when and why.
    Dropped(Dropped),
    /// It is gone, and nothing says so.
    Missing,
}

/// A past window.
#[derive(Debug)]
pub struct Past {
    /// Its signed bytes.
    pub envelope: Envelope,
    /// What they say.
    pub window: wire::Window,
    /// Whether the enrolled key signed them.
    pub is_ours: bool,
    /// Its receipt, checked: `Ok(None)` while it waits for one, `Err` why the one that is there is not its.
    pub receipt: Result<Option<Receipt>, String>,
    /// What its raw data is.
    pub state: State,
    leaves: Option<PastLeaves>,
    observations: Vec<Observation>,
}

/// Something else than a window that is signed.
#[derive(Debug)]
pub struct Signed {
    /// Its signed bytes.
    pub envelope: Envelope,
    /// As [`Past::is_ours`].
    pub is_ours: bool,
    /// As [`Past::receipt`].
    pub receipt: Result<Option<Receipt>, String>,
}

/// What stands at a place of the chain.
#[derive(Debug)]
pub enum Place {
    /// A window.
    Window(Box<Past>),
    /// Something else.
    Other(Box<Signed>),
}

/// A gateway whose agent runs.
#[derive(Debug)]
pub struct Gateway {
    /// The status socket.
    pub socket: PathBuf,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Who it is.
    pub identity: Identity,
}

impl Past {
    /// Sequence number.
    pub fn seq(&self) -> u64 {
        self.window.header.as_ref().map_or(0, |header| header.seq)
    }

    /// Its leaves, where they are those that were committed to.
    pub fn leaves(&self) -> Option<&PastLeaves> {
        self.leaves.as_ref().filter(|_| self.state == State::Holds)
    }

    /// What it took, in order; empty where its raw data is not what was committed to.
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// Whether nothing is wrong with it: raw data that was dropped in order is not wrong.
    pub fn is_well(&self) -> bool {
        self.is_ours && self.receipt.is_ok() && matches!(self.state, State::Holds | State::Dropped(_))
    }
}

impl Gateway {
    /// What the store has of a time: claimed starts of windows from `from_ms` to `to_ms`, Unix ms.
    ///
    /// # Errors
    /// When no agent answers.
    pub async fn entries(&self, from_ms: i64, to_ms: i64) -> anyhow::Result<Listed> {
        let told = exchange(&self.socket, &format!("past {from_ms} {to_ms}"), MAX_LIST).await?;
        match serde_json::from_slice(&told).context("the agent's answer cannot be read")? {
            Told::Done(listed) => Ok(listed),
            Told::Failed { error } => bail!("the agent cannot tell: {error}"),
        }
    }

    /// The window with this sequence number.
    ///
    /// # Errors
    /// When no agent answers, or the entry is no window, is not signed yet, or its signed bytes are gone or unreadable.
    pub async fn window(&self, seq: u64) -> anyhow::Result<Past> {
        match self.place(seq).await? {
            Place::Window(past) => Ok(*past),
            Place::Other(signed) => bail!("entry {seq} is a {}, and no window", signed.envelope.kind()),
        }
    }

    /// What stands at this sequence number.
    ///
    /// # Errors
    /// When no agent answers, or the entry is not signed yet, or its signed bytes are gone or unreadable.
    pub async fn place(&self, seq: u64) -> anyhow::Result<Place> {
        let told = exchange(&self.socket, &format!("window {seq}"), MAX_WINDOW).await?;
        let line = told.iter().position(|byte| *byte == b'\n').context("the agent's answer is cut short")?;
        let (head, mut rest) = told.split_at(line);
        rest = rest.get(1..).unwrap_or_default();
        let head = match serde_json::from_slice(head).context("the agent's answer cannot be read")? {
            Told::Done(head) => head,
            Told::Failed { error } => bail!("the agent cannot tell: {error}"),
        };
        let Head { envelope, receipt, raw, is_unsigned, forgotten } = head;
        let mut take = |length: usize| {
            ensure!(length <= rest.len(), "the agent's answer is cut short");
            let (part, after) = rest.split_at(length);
            rest = after;
            Ok(part)
        };
        let Some(envelope) = envelope else {
            ensure!(!is_unsigned, "entry {seq} is not signed yet: ask again in a moment");
            ensure!(
                matches!(raw, RawHead::Missing),
                "of window {seq} there is raw data, but its signed bytes are gone"
            );
            ensure!(
                seq > forgotten,
                "nothing of number {seq} is in the store any more: what had its receipt was forgotten in order up to {forgotten}"
            );
            bail!("nothing of number {seq} is in the store: it was never there, or somebody took it away")
        };
        let envelope = take(envelope)?;
        let receipt = receipt.map(&mut take).transpose()?;
        let raw = match raw {
            RawHead::Kept { chunks } => {
                let chunks: Result<Vec<_>, _> =
                    chunks.into_iter().map(|chunk| take(chunk).map(<[u8]>::to_vec)).collect();
                Found::Kept(chunks?)
            }
            RawHead::Unreadable { why } => Found::Not(State::Altered(why)),
            RawHead::Dropped { dropped } => Found::Not(State::Dropped(dropped)),
            RawHead::Missing => Found::Not(State::Missing),
        };
        judge(&self.identity, seq, envelope, receipt, raw)
    }

    /// Whether the names of this manifest are those of the window: it was made under the same one.
    pub fn names_fit(&self, past: &Past, manifest: &Manifest) -> bool {
        let body = manifest.public(&self.identity.salt).encode_to_vec();
        past.window.manifest == manifest_hash(&body)
    }

    /// The opening of a leaf of a past window, with these fields of its record. `None` past the last leaf, or where the
    /// leaves are not those that were committed to.
    pub fn opening(&self, past: &Past, leaf: u64, fields: &[u32]) -> Option<Opening> {
        past.leaves()?.opening(&past.envelope, (self.identity.agent, past.seq()), leaf, fields)
    }
}

enum Found {
    Kept(Vec<Vec<u8>>),
    Not(State),
}

fn judge(
    identity: &Identity,
    seq: u64,
    envelope: &[u8],
    receipt: Option<&[u8]>,
    raw: Found,
) -> anyhow::Result<Place> {
    let envelope = Envelope::parse(envelope).with_context(|| format!("entry {seq} is no envelope"))?;
    let header = Header::parse(envelope.payload()).with_context(|| format!("entry {seq} has no header"))?;
    let place = (header.agent, header.seq);
    ensure!(
        place == (identity.agent, seq),
        "number {seq} of the store is entry {} of gateway {}: somebody put it there",
        header.seq,
        header.agent
    );
    let is_ours = identity.keys.public(header.epoch).is_some_and(|key| envelope.verify(&key).is_ok());
    let receipt = receipt.map(|bytes| {
        let receipt =
            wire::Receipt::decode(bytes).map_err(|_| "the receipt that is kept cannot be read".to_owned())?;
        check_receipt(&receipt, envelope.id(), &identity.log_vkey).map_err(|error| error.to_string())
    });
    let receipt = receipt.transpose();
    let window = match Payload::parse(envelope.kind(), envelope.payload()) {
        Ok(Payload::Window(window)) => *window,
        Ok(_) => return Ok(Place::Other(Box::new(Signed { envelope, is_ours, receipt }))),
        Err(error) => return Err(error).with_context(|| format!("entry {seq} cannot be read")),
    };
    let altered = |why: String| (State::Altered(why), None, Vec::new());
    let (state, leaves, observations) = match raw {
        Found::Not(state) => (state, None, Vec::new()),
        Found::Kept(chunks) => match remade(identity, &chunks) {
            Err(why) => altered(why),
            Ok((leaves, _)) if leaves.root()[..] != window.root[..] => {
                altered("its leaves give another root than the one that was signed".to_owned())
            }
            Ok((leaves, _)) if leaves.use_digest() != window.use_digest => {
                altered("its accounts give other use rows than those that were signed".to_owned())
            }
            Ok((leaves, observations)) => (State::Holds, Some(leaves), observations),
        },
    };
    Ok(Place::Window(Box::new(Past { envelope, window, is_ours, receipt, state, leaves, observations })))
}

fn remade(identity: &Identity, chunks: &[Vec<u8>]) -> Result<(PastLeaves, Vec<Observation>), String> {
    let chunks = raw::decode(chunks).map_err(|error| error.to_string())?;
    let leaves = Windows::past(&chunks, identity.pseudonyms.clone())
        .ok_or_else(|| "it names a manifest that cannot be read".to_owned())?;
    Ok((leaves, chunks.observations))
}

/// Largest list, bytes.
const MAX_LIST: u64 = 4 << 20;

/// Largest window with its raw data, bytes: ten minutes of 30,000 points a second are some 200 MB.
const MAX_WINDOW: u64 = 512 << 20;

/// How long whoever asked may take to read a window.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Told<T> {
    Failed { error: String },
    Done(T),
}

/// The line before a window's bytes: how long its parts are, in their order.
#[derive(Serialize, Deserialize)]
struct Head {
    envelope: Option<usize>,
    receipt: Option<usize>,
    raw: RawHead,
    is_unsigned: bool,
    forgotten: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawHead {
    Kept { chunks: Vec<usize> },
    Dropped { dropped: Dropped },
    Unreadable { why: String },
    Missing,
}

/// Answers `past <from> <to>` and `window <seq>`; `None` for what is neither.
pub(crate) async fn tell(buffer: &buffer::Handle, verb: &str, of: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let failed = |error: buffer::BufferError| {
        let told = Told::<()>::Failed { error: daemon::chain(&error) };
        serde_json::to_vec(&told).map(|mut line| {
            line.push(b'\n');
            Some(line)
        })
    };
    match (verb, of.split_once(' ')) {
        ("past", Some((from, to))) => {
            let (Ok(from), Ok(to)) = (from.parse(), to.parse()) else { return Ok(None) };
            let read = buffer.ask(move |buffer| Ok((buffer.past(from, to)?, buffer.forgotten())));
            match read.await? {
                Err(error) => Ok(failed(error)?),
                Ok((past, forgotten)) => {
                    let entries = past.entries.into_iter().map(entry).collect();
                    let listed = Listed { entries, missing: past.missing, is_cut: past.is_cut, forgotten };
                    Ok(Some(serde_json::to_vec(&Told::Done(listed))?))
                }
            }
        }
        ("window", None) => {
            let Ok(seq) = of.parse() else { return Ok(None) };
            let read = buffer.ask(move |buffer| {
                let proof = buffer.past_proof(seq)?;
                Ok::<_, buffer::BufferError>((proof, buffer.window_raw(seq), buffer.forgotten()))
            });
            let (proof, raw, forgotten) = match read.await? {
                Err(error) => return Ok(failed(error)?),
                Ok(read) => read,
            };
            let is_unsigned = proof.as_ref().is_some_and(|proof| proof.envelope.is_none());
            let (envelope, receipt) = proof.map_or((None, None), |proof| (proof.envelope, proof.receipt));
            let (raw, chunks) = match raw {
                Err(error) => (RawHead::Unreadable { why: daemon::chain(&error) }, Vec::new()),
                Ok(None) => (RawHead::Missing, Vec::new()),
                Ok(Some(Raw::Dropped(stone))) => {
                    (RawHead::Dropped { dropped: dropped(stone.dropped_ms, stone.cause) }, Vec::new())
                }
                Ok(Some(Raw::Kept(raw))) => {
                    (RawHead::Kept { chunks: raw.chunks.iter().map(Vec::len).collect() }, raw.chunks)
                }
            };
            let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(Vec::len);
            let (envelope_length, receipt_length) = (length(&envelope), length(&receipt));
            let head =
                Head { envelope: envelope_length, receipt: receipt_length, raw, is_unsigned, forgotten };
            let mut told = serde_json::to_vec(&Told::Done(head))?;
            told.push(b'\n');
            for part in envelope.into_iter().chain(receipt).chain(chunks) {
                told.extend(part);
            }
            Ok(Some(told))
        }
        _ => Ok(None),
    }
}

fn entry(past: buffer::PastEntry) -> Entry {
    let (kind, entry) =
        past.proof.map_or((None, None), |(kind, entry)| (Some(kind), Some(entry.to_string())));
    let dropped = match past.raw {
        Some(PastRaw::Dropped(stone)) => Some(dropped(stone.dropped_ms, stone.cause)),
        Some(PastRaw::Kept { .. }) | None => None,
    };
    let start_ms = past.raw.map(|raw| raw.start_ms());
    Entry { seq: past.seq, kind, entry, receipted_ms: past.receipted_ms, start_ms, dropped }
}

fn dropped(at_ms: i64, cause: Cause) -> Dropped {
    let why = match cause {
        Cause::Bound => "raw data had reached its bound",
        Cause::Full => "the disk was full",
        Cause::Damaged => "the store was damaged",
    };
    Dropped { at_ms, why: why.to_owned() }
}
