//! What stands in a ledger and in a gateway's own store, read back as tests of the whole road ask for it.
//!
//! Both are read from their files, as anybody who comes afterwards could: the ledger also while its server runs, a
//! gateway's store only when its agent has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use buffer::{Bounds, Buffer, Raw};
use ledger::{Entry, Finding, Readers, RefusalCount};
use proof::log::{Outcome, check_receipt};
use proof::payload::Header;
use proof::{AgentId, Cause, EntryId, Envelope, Payload, Record, What, raw, wire};
use prost::Message as _;

/// Entries asked of the ledger at once.
const PAGE: u32 = 1_000;

/// One gateway's entries in the order of the log.
pub struct Chain {
    /// As they were recorded.
    pub entries: Vec<Entry>,
    /// What they say, each at its entry's place.
    pub payloads: Vec<Payload>,
}

impl Chain {
    /// Reads the chain of a gateway from the ledger in a server's data directory.
    ///
    /// # Errors
    /// When the ledger cannot be read or holds an envelope that cannot.
    pub fn read(data: &Path, agent: AgentId) -> anyhow::Result<Self> {
        let readers = Readers::open(&data.join("ledger.sqlite"), 1)?;
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let from = entries.last().map_or(0, |entry| entry.index + 1);
            let more = readers.read_blocking(|ledger| ledger.entries(Some(agent), from, PAGE))?;
            if more.is_empty() {
                break;
            }
            entries.extend(more);
        }
        let read = |entry: &Entry| {
            let envelope = Envelope::parse(&entry.envelope)?;
            anyhow::Ok(Payload::parse(envelope.kind(), envelope.payload())?)
        };
        let payloads = entries.iter().map(read).collect::<anyhow::Result<_>>()?;
        Ok(Self { entries, payloads })
    }

    /// Its windows, in order.
    pub fn windows(&self) -> impl Iterator<Item = &wire::Window> {
        self.payloads.iter().filter_map(|payload| match payload {
            Payload::Window(window) => Some(&**window),
            Payload::Manifest(_)
            | Payload::Outage(_)
            | Payload::Label(_)
            | Payload::Digest(_)
            | Payload::Opened(_)
            | Payload::Rotate(_)
            | Payload::Unknown(_) => None,
        })
    }

    /// Its declared outages, in order.
    pub fn outages(&self) -> impl Iterator<Item = &wire::Outage> {
        self.payloads.iter().filter_map(|payload| match payload {
            Payload::Outage(outage) => Some(&**outage),
            Payload::Window(_)
            | Payload::Manifest(_)
            | Payload::Label(_)
            | Payload::Digest(_)
            | Payload::Opened(_)
            | Payload::Rotate(_)
            | Payload::Unknown(_) => None,
        })
    }

    /// Its declared outages of this cause.
    pub fn outages_by(&self, cause: Cause) -> Vec<&wire::Outage> {
        self.outages().filter(|outage| Cause::of_letter(outage.cause) == cause).collect()
    }

    /// Lines that its windows say they took from this log.
    pub fn lines(&self, source: u32) -> u64 {
        let of_source = |window: &wire::Window| -> u64 {
            window.logs.iter().filter(|row| row.source == source).map(|row| u64::from(row.lines)).sum()
        };
        self.windows().map(of_source).sum()
    }

    /// Causes of the gaps of this source.
    pub fn gap_causes(&self, source: u32) -> BTreeSet<Cause> {
        let gaps = self.windows().flat_map(|window| &window.gaps);
        gaps.filter(|gap| gap.source == source).map(|gap| Cause::of_letter(gap.cause)).collect()
    }

    /// Every sequence from 1 is there once, each entry names the one before it, and nothing is odd about any.
    ///
    /// # Errors
    /// The first entry that is out of place, by its sequence.
    pub fn ensure_unbroken(&self) -> anyhow::Result<()> {
        self.ensure_followed(&[])
    }

    /// Each entry follows the one before it, and nothing is found in them but these.
    ///
    /// # Errors
    /// The first entry that does not follow, was not recorded, or in which something else was found.
    pub fn ensure_followed(&self, found: &[Finding]) -> anyhow::Result<()> {
        let mut before = EntryId::NONE;
        for (entry, seq) in self.entries.iter().zip(1..) {
            ensure!(entry.seq == seq, "entry {} is at the place of sequence {seq}", entry.seq);
            let header = Header::parse(Envelope::parse(&entry.envelope)?.payload())?;
            ensure!(header.prev == before, "entry {seq} does not follow the one before it");
            ensure!(
                entry.outcome == Outcome::Recorded
                    || entry.outcome == Outcome::Finding
                        && entry.findings.iter().all(|one| found.contains(one)),
                "entry {seq}: {:?} {:?}",
                entry.outcome,
                entry.findings
            );
            before = entry.entry;
        }
        Ok(())
    }

    /// Windows neither overlap nor leave time between them that no outage declares.
    ///
    /// # Errors
    /// The first moment that is covered twice or not at all.
    pub fn ensure_covered(&self) -> anyhow::Result<()> {
        let mut end: Option<i64> = None;
        for (payload, entry) in self.payloads.iter().zip(&self.entries) {
            let (from, to) = match payload {
                Payload::Window(window) => (window.start_ms, window.start_ms + i64::from(window.length_ms)),
                Payload::Outage(outage) => (outage.from_ms, outage.to_ms),
                Payload::Manifest(_)
                | Payload::Label(_)
                | Payload::Digest(_)
                | Payload::Opened(_)
                | Payload::Rotate(_) => {
                    continue;
                }
                Payload::Unknown(kind) => bail!("entry {} is of kind {kind}", entry.seq),
            };
            if let Some(end) = end {
                ensure!(from == end, "entry {}: starts {} ms after the one before", entry.seq, from - end);
            }
            end = Some(to);
        }
        Ok(())
    }
}

/// What a gateway's own store says once its agent has ended.
pub struct Own {
    /// The last sequence of its chain.
    pub head: u64,
    /// Proofs without a receipt.
    pub backlog: u64,
    /// Each receipted envelope, by sequence from 1, checked against the log's key.
    pub envelopes: Vec<Vec<u8>>,
    /// Records of all windows whose raw is kept, by source, in their order.
    pub records: BTreeMap<u16, Vec<Record>>,
}

impl Own {
    /// Reads the store in an agent's state directory.
    ///
    /// # Errors
    /// When it cannot be opened, or a kept receipt does not show what it should.
    pub fn read(state: &Path, log_vkey: &str) -> anyhow::Result<Self> {
        let (store, opened) = Buffer::open(&state.join("buffer.db"), Bounds::default(), 0)?;
        ensure!(opened.damage.is_none(), "the store was damaged: {:?}", opened.damage);
        let health = store.health()?;
        let head = health.head.context("the store lost its head")?.seq;
        let (mut envelopes, mut records) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
        for seq in 1..=head {
            if let Some(Raw::Kept(kept)) = store.window_raw(seq)? {
                for observation in raw::decode(&kept.chunks)?.observations {
                    if let What::Records(taken) = observation.what {
                        records.entry(observation.source).or_default().extend(taken.records);
                    }
                }
            }
            let Some(kept) = store.receipt(seq)? else { continue };
            let receipt = wire::Receipt::decode(kept.receipt.as_slice())?;
            check_receipt(&receipt, Envelope::parse(&kept.envelope)?.id(), log_vkey)?;
            envelopes.push(kept.envelope);
        }
        store.close()?;
        Ok(Self { head, backlog: health.backlog, envelopes, records })
    }

    /// Everything this gateway sealed is in the ledger: once, in order, byte for byte; nothing waits and nothing else
    /// is there.
    ///
    /// # Errors
    /// What is missing, doubled or different.
    pub fn ensure_recorded(&self, chain: &Chain) -> anyhow::Result<()> {
        chain.ensure_unbroken()?;
        self.ensure_same(chain)
    }

    /// Everything this gateway sealed is in the ledger, byte for byte, whatever was found in it.
    ///
    /// # Errors
    /// What is missing or different.
    pub fn ensure_same(&self, chain: &Chain) -> anyhow::Result<()> {
        ensure!(self.backlog == 0, "{} proofs are without a receipt", self.backlog);
        ensure!(
            chain.entries.len() as u64 == self.head,
            "the gateway sealed {} entries, the ledger holds {}",
            self.head,
            chain.entries.len()
        );
        let same = chain.entries.iter().map(|entry| &entry.envelope).eq(&self.envelopes);
        ensure!(same, "ledger and gateway hold different bytes");
        Ok(())
    }
}

/// What the server refused, by name.
///
/// # Errors
/// When the ledger cannot be read.
pub fn refusals(data: &Path) -> anyhow::Result<Vec<RefusalCount>> {
    Ok(Readers::open(&data.join("ledger.sqlite"), 1)?.read_blocking(|ledger| ledger.refusals())?)
}

/// How many entries of gateways the log has, at most 1,000.
///
/// # Errors
/// When the ledger cannot be read.
pub fn entries_held(data: &Path) -> anyhow::Result<usize> {
    let readers = Readers::open(&data.join("ledger.sqlite"), 1)?;
    Ok(readers.read_blocking(|ledger| ledger.entries(None, 0, 1_000))?.len())
}
