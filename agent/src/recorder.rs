//! Samples in, sealed windows out: the one task that moves the chain.
//!
//! It owns the open window. What it has flushed survives a crash; what it has sealed is in the outbox. A full disk
//! makes it wait, with the samples waiting behind it in their bounded channel; any other failure of the store ends the
//! process, and the next start salvages.

mod grant;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use buffer::{Bookmarks, BufferError, Flushed, Handle, NewProof, OpenWindow, Seal, SealedRaw};
use collectors::Sample;
use daemon::{Clock, Hold, Stamp};
use proof::digest::Tally;
use proof::envelope::{DIGEST, MANIFEST, OUTAGE, WINDOW};
use proof::leaf::WindowSecret;
use proof::payload::encode_manifest;
use proof::raw::{self, Opening};
use proof::window::{LATE_MS, Windows, local_day};
use proof::wire::RewriteKind;
use proof::{Cause, Envelope, Observation, WINDOW_MS, What, wire};
use prost::Message as _;
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use crate::chain::Chain;
use crate::keys::Keys;
use crate::start::with_room;
use crate::status::Shared;

/// Observations that may wait for a flush before one is made ahead of its time.
const MOST_PENDING: usize = 10_000;

/// Bytes they may take in memory.
const MOST_BYTES: usize = 8 << 20;

/// Wall and monotonic clock may drift apart by this much between two looks before it counts as a step.
const STEP_MS: i64 = 5_000;

/// How long a full disk is waited for before trying again.
const FULL_DISK: Duration = Duration::from_secs(10);

pub(crate) struct Recorder {
    pub(crate) windows: Windows,
    pub(crate) chain: Chain,
    pub(crate) keys: Keys,
    pub(crate) buffer: Handle,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shared: Arc<Shared>,
    /// Tells the uplink that something was sealed.
    pub(crate) sealed: mpsc::Sender<Hold>,
    pub(crate) flush: Duration,
    /// Where wishes are left.
    pub(crate) state_dir: PathBuf,
    /// The manifest body in force, encoded.
    pub(crate) body: Vec<u8>,
    pub(crate) pending: Pending,
    /// What the next digest is made of.
    pub(crate) sums: Sums,
    /// Where what was declared at the start ends, Unix ms: the first window begins there.
    pub(crate) since_ms: i64,
}

/// Under which the store has the latest time read of each source: the next sums go on from there.
pub(crate) const LATEST: &str = "latest";

/// Sums of a day on their way.
#[derive(Default)]
pub(crate) struct Sums {
    pub(crate) tally: Tally,
    /// The manifest in force has sources of records: without one there is nothing to sum up.
    pub(crate) has_records: bool,
    /// The local day of the windows in it, days since 1970.
    pub(crate) day: Option<i32>,
    /// Of the manifest in force.
    pub(crate) utc_offset_minutes: i32,
}

/// What the open window has not flushed yet.
#[derive(Default)]
pub(crate) struct Pending {
    opening: Option<Opening>,
    start: Option<(i64, u64, WindowSecret)>,
    part: u16,
    observations: Vec<Observation>,
    /// What the observations take in memory, about.
    bytes: usize,
    /// Observations were given up for want of room: the window's raw data ends with its proof.
    raw_lost: bool,
    bookmarks: Bookmarks,
    flushed_ms: i64,
    last: Option<Stamp>,
}

impl Pending {
    fn keep(&mut self, observation: Observation) {
        if self.raw_lost {
            return;
        }
        self.bytes += weight(&observation);
        self.observations.push(observation);
    }

    fn is_many(&self) -> bool {
        self.observations.len() >= MOST_PENDING || self.bytes >= MOST_BYTES
    }

    /// A full disk is a normal state, and memory is no place to wait for its end: raw goes first, the proof never. Few
    /// observations are kept: there may be room for them at the seal.
    fn give_up_raw_of_many(&mut self) {
        if self.is_many() {
            self.raw_lost = true;
            (self.observations, self.bytes) = (Vec::new(), 0);
        }
    }
}

/// Bytes that an observation takes in memory, about: values are small, and texts are what they are.
fn weight(observation: &Observation) -> usize {
    match &observation.what {
        What::Cycle(readings) => 80 * readings.len(),
        What::Records(records) => {
            let fields =
                |record: &proof::Record| record.fields.iter().map(|field| 32 + field.len()).sum::<usize>();
            records.records.iter().map(|record| 160 + fields(record)).sum()
        }
        What::Kept(kept) => 80 * kept.len(),
        What::Silent(_) => 100,
    }
}

/// What an `outage` declares, as far as it differs from one to the next.
pub(crate) struct Silence {
    /// Last moment known to be covered; the moment of declaring, where that is earlier.
    pub(crate) from_ms: i64,
    pub(crate) cause: Cause,
    /// The boot before, after a crash.
    pub(crate) before: Option<wire::Boot>,
    /// Devices whose samples of the open window are lost.
    pub(crate) lost_sources: Vec<u32>,
    /// First sequence that was sealed and lost with the store; 0 for none.
    pub(crate) lost_from_seq: u64,
}

impl Silence {
    /// A silence of which nothing more is known.
    pub(crate) fn since(from_ms: i64, cause: Cause) -> Self {
        Self { from_ms, cause, before: None, lost_sources: Vec::new(), lost_from_seq: 0 }
    }
}

impl Recorder {
    /// Records until the samples' channel closes, then seals what is open.
    pub(crate) async fn run(mut self, mut samples: mpsc::Receiver<Sample>) -> anyhow::Result<()> {
        let now = self.clock.stamp();
        // Not now: putting the declarations on a slow disk took time that nothing else accounts for.
        self.open(self.since_ms.min(now.wall_ms), now).await?;
        let mut due = self.next_due();
        let mut wake = self.clock.sleep_until(due);
        loop {
            tokio::select! {
                biased;
                sample = samples.recv() => match sample {
                    Some(sample) => self.take(sample.observation).await?,
                    None => break,
                },
                turn = &mut wake => {
                    self.tick().await?;
                    due = i64::MIN;
                    drop(turn);
                }
            }
            if due != self.next_due() {
                due = self.next_due();
                wake = self.clock.sleep_until(due);
            }
        }
        self.stop().await
    }

    fn next_due(&self) -> i64 {
        let flush_ms = i64::try_from(self.flush.as_millis()).unwrap_or(i64::MAX);
        let flush = self.pending.flushed_ms.saturating_add(flush_ms);
        self.windows.mark().map_or(flush, |mark| mark.min(flush))
    }

    async fn tick(&mut self) -> anyhow::Result<()> {
        let now = self.clock.stamp();
        self.notice_step(now).await?;
        if self.windows.mark().is_some_and(|mark| now.wall_ms >= mark) {
            self.roll(now).await?;
        } else {
            self.flush(now).await?;
        }
        self.forget_old_key().await?;
        self.grant(now).await
    }

    async fn take(&mut self, mut observation: Observation) -> anyhow::Result<()> {
        let now = self.clock.stamp();
        self.shared.attempted(observation.source);
        self.notice_step(now).await?;
        // Stamped before the clock was set back by a little.
        if (1..=STEP_MS).contains(&(observation.at_ms - now.wall_ms)) {
            observation.at_ms = now.wall_ms;
        }
        if self.windows.mark().is_some_and(|mark| (mark..=now.wall_ms).contains(&observation.at_ms)) {
            self.roll(now).await?;
        }
        match taken_at(&observation, self.windows.open_since(), now.wall_ms) {
            Some(at_ms) => observation.at_ms = at_ms,
            None => {
                debug!(source = observation.source, "a reading of a time that was declared as not watched");
                return Ok(());
            }
        }
        if let Err(error) = self.windows.observe(&observation) {
            error!(source = observation.source, %error, "observation not taken");
            return Ok(());
        }
        self.tell(&observation);
        if let What::Records(records) = &observation.what {
            self.pending.bookmarks.insert(observation.source, records.bookmark.clone());
        }
        self.sums.tally.take(&observation);
        self.pending.keep(observation);
        if self.windows.is_full() {
            self.seal(wire::End::Full, now).await?;
            return self.open(now.wall_ms, now).await;
        }
        if self.pending.is_many() {
            self.flush(now).await?;
        }
        Ok(())
    }

    fn tell(&self, observation: &Observation) {
        match &observation.what {
            What::Cycle(readings) if readings.iter().all(|reading| reading.value.is_none()) => {
                self.shared.silent(observation.source, Cause::Fault);
            }
            What::Cycle(_) => self.shared.good(observation.source, observation.at_ms, 0, 0),
            What::Records(records) => {
                let count = u64::try_from(records.records.len()).unwrap_or(u64::MAX);
                self.shared.good(observation.source, observation.at_ms, count, u64::from(records.unparsed));
                let told = records.rewrites.iter().filter(|rewrite| rewrite.kind != RewriteKind::Trimmed);
                for rewrite in told.clone() {
                    tracing::warn!(
                        source = observation.source,
                        ?rewrite,
                        "what had been read is not there as it was"
                    );
                }
                self.shared.rewritten(observation.source, u64::try_from(told.count()).unwrap_or(u64::MAX));
            }
            // News of the past: it says nothing of how the source is now.
            What::Kept(_) => {}
            What::Silent(cause) => self.shared.silent(observation.source, *cause),
        }
    }

    /// Puts the sums of the windows since the last ones into the chain, also where they had no record: windows in none
    /// are windows whose sums were lost.
    async fn sum_up(&mut self, now: Stamp) -> anyhow::Result<()> {
        let Some(digest) = self.sums.tally.digest().filter(|_| self.sums.has_records) else { return Ok(()) };
        let latest: Vec<_> = self.sums.tally.latest().collect();
        self.sums.tally = Tally::after(latest.iter().copied());
        let header = self.chain.header(now, self.shared.skew_ms());
        let digest = wire::Digest { header: Some(header.wire()), ..digest };
        info!(from = digest.from_seq, to = digest.to_seq, "sums of a day");
        let proof = self.chain.next(DIGEST, digest.encode_to_vec(), Vec::new());
        let (stored, latest) = (proof.clone(), encode_latest(&latest));
        self.store(stored, move |buffer| buffer.enqueue_with(&proof, &[(LATEST, &latest)])).await
    }

    /// A wall clock that moved against the monotonic one ends the window; the step stands in the chain.
    async fn notice_step(&mut self, now: Stamp) -> anyhow::Result<()> {
        let Some(last) = self.pending.last.replace(now) else { return Ok(()) };
        let went = i64::try_from(now.mono_ms.saturating_sub(last.mono_ms)).unwrap_or(i64::MAX);
        let expected = last.wall_ms.saturating_add(went);
        let step_ms = now.wall_ms.saturating_sub(expected);
        if step_ms.abs() <= STEP_MS {
            return Ok(());
        }
        warn!(step_ms, "wall clock was moved");
        self.seal(wire::End::Stop, Stamp { wall_ms: expected, ..now }).await?;
        self.declare(Silence::since(expected, Cause::Clock), now).await?;
        self.open(now.wall_ms, now).await
    }

    /// The mark is reached: seals the window and opens the next; a silence of a window or more is declared.
    async fn roll(&mut self, now: Stamp) -> anyhow::Result<()> {
        let Some(mark) = self.windows.mark() else { return Ok(()) };
        self.seal(wire::End::Mark, now).await?;
        if now.wall_ms - mark < WINDOW_MS {
            return self.open(mark, now).await;
        }
        self.declare(Silence::since(mark, Cause::Unknown), now).await?;
        self.open(now.wall_ms, now).await
    }

    /// Opens a window claimed to start at `start_ms`, and puts its opening on the disk.
    async fn open(&mut self, start_ms: i64, now: Stamp) -> anyhow::Result<()> {
        let day = local_day(start_ms, self.sums.utc_offset_minutes);
        if self.sums.day.replace(day).is_some_and(|before| before != day) {
            self.sum_up(now).await?;
        }
        let secret = WindowSecret(daemon::files::random()?);
        let late = u64::try_from(now.wall_ms - start_ms).unwrap_or(0);
        let mono_ms = now.mono_ms.saturating_sub(late);
        let ranges = self.windows.ranges().collect();
        self.windows.open(start_ms, mono_ms, secret.clone());
        let boot = self.chain.boot;
        let opening = Opening {
            secret: secret.clone(),
            wall_ms: start_ms,
            mono_ms,
            boot,
            body: self.body.clone(),
            ranges,
        };
        self.pending = Pending {
            opening: Some(opening),
            start: Some((start_ms, mono_ms, secret)),
            flushed_ms: now.wall_ms,
            last: Some(now),
            ..Pending::default()
        };
        self.flush(now).await
    }

    async fn flush(&mut self, now: Stamp) -> anyhow::Result<()> {
        self.pending.flushed_ms = now.wall_ms;
        let pending = &mut self.pending;
        let Some((start_ms, mono_start_ms, _)) = pending.start else { return Ok(()) };
        if pending.raw_lost || (pending.observations.is_empty() && pending.opening.is_none()) {
            self.shared.committed();
            return Ok(());
        }
        let new = OpenWindow {
            start_ms,
            mono_start_ms,
            part: pending.part,
            chunk: raw::encode(pending.opening.as_ref(), start_ms, &pending.observations),
            bookmarks: pending.bookmarks.clone(),
            flushed_ms: now.wall_ms,
        };
        match self.buffer.ask(move |buffer| buffer.flush(&new)).await? {
            Ok(Flushed::Stored) => {
                let pending = &mut self.pending;
                pending.part += 1;
                pending.opening = None;
                pending.observations.clear();
                pending.bytes = 0;
                pending.bookmarks.clear();
            }
            Ok(Flushed::NoSpace) | Err(BufferError::Full) => {
                warn!("no space to flush the open window");
                self.pending.give_up_raw_of_many();
            }
            Err(error) => return Err(error.into()),
        }
        self.shared.committed();
        Ok(())
    }

    async fn seal(&mut self, end: wire::End, now: Stamp) -> anyhow::Result<()> {
        let Some(sealed) = self.windows.seal(now.wall_ms, now.mono_ms, end) else { return Ok(()) };
        let header = self.chain.header(now, self.shared.skew_ms());
        let payload = sealed.payload(&header, self.shared.anchor());
        let pending = std::mem::take(&mut self.pending);
        let (start_ms, raw_lost) = (sealed.window.start_ms, pending.raw_lost);
        let seal = Seal {
            proof: self.chain.next(WINDOW, payload, sealed.use_rows.clone()),
            start_ms,
            secret: sealed.secret.0,
            last_chunk: if raw_lost {
                None
            } else if pending.observations.is_empty() && pending.opening.is_none() {
                Some(Vec::new())
            } else {
                Some(raw::encode(pending.opening.as_ref(), start_ms, &pending.observations))
            },
            bookmarks: pending.bookmarks,
            now_ms: now.wall_ms,
        };
        self.pending.last = Some(now);
        let seq = seal.proof.seq;
        debug!(seq, leaves = sealed.window.leaf_count, "sealed");
        let stored = seal.proof.clone();
        let kept = self.store(stored, move |buffer| buffer.seal(&seal)).await?;
        self.sums.tally.sealed(seq, !raw_lost && kept == SealedRaw::Kept);
        Ok(())
    }

    /// Puts an entry of another kind into the chain.
    async fn enqueue(&mut self, kind: &str, payload: Vec<u8>) -> anyhow::Result<()> {
        let proof = self.chain.next(kind, payload, Vec::new());
        let stored = proof.clone();
        self.store(stored, move |buffer| buffer.enqueue(&proof)).await
    }

    /// Stores an entry by `verb`, signs it, moves the chain and tells the uplink. Waits while the disk is full. What the
    /// verb says.
    async fn store<V, T>(&mut self, proof: NewProof, verb: V) -> anyhow::Result<T>
    where
        V: Fn(&mut buffer::Buffer) -> Result<T, BufferError> + Send + Sync + 'static,
        T: Send + 'static,
    {
        let envelope = Envelope::sign(self.keys.current(), &proof.kind, proof.payload);
        let (seq, entry) = (proof.seq, proof.entry);
        let verb = Arc::new(verb);
        let said = loop {
            let (verb, bytes) = (Arc::clone(&verb), envelope.bytes().to_vec());
            let stored = self
                .buffer
                .ask(move |buffer| {
                    let said = verb(buffer)?;
                    buffer.sign(seq, &bytes).map(|()| said)
                })
                .await?;
            match stored {
                Ok(said) => break said,
                Err(BufferError::Full) => {
                    warn!(seq, "no space to seal: waiting");
                    self.shared.waits_for_room();
                    tokio::time::sleep(FULL_DISK).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.shared.committed();
        self.chain.moved(seq, entry);
        // A full or closed channel loses nothing: the uplink reads the outbox, this only wakes it.
        drop(self.sealed.try_send(self.clock.hold()));
        Ok(said)
    }

    /// Puts an `outage` into the chain.
    pub(crate) async fn declare(&mut self, silence: Silence, now: Stamp) -> anyhow::Result<()> {
        let Silence { from_ms, cause, before, lost_sources, lost_from_seq } = silence;
        let from_ms = from_ms.min(now.wall_ms);
        let header = self.chain.header(now, self.shared.skew_ms());
        let outage = wire::Outage {
            header: Some(header.wire()),
            from_ms,
            to_ms: now.wall_ms,
            cause: cause.letter().into(),
            last_seq: self.chain.head.seq,
            before,
            lost_sources,
            lost_from_seq,
        };
        info!(from_ms, to_ms = outage.to_ms, %cause, "outage declared");
        self.enqueue(OUTAGE, outage.encode_to_vec()).await
    }

    /// Puts the manifest in force into the chain.
    pub(crate) async fn declare_manifest(&mut self, now: Stamp) -> anyhow::Result<()> {
        let header = self.chain.header(now, self.shared.skew_ms());
        let payload = encode_manifest(&header, &self.body);
        self.enqueue(MANIFEST, payload).await
    }

    /// Seals the window a crash left open, from what had been flushed. `windows` holds it.
    pub(crate) async fn seal_left(&mut self, flushed_ms: i64, now: Stamp) -> anyhow::Result<()> {
        let Some(start_ms) = self.windows.open_since() else { return Ok(()) };
        let Some(sealed) = self.windows.seal(flushed_ms, now.mono_ms, wire::End::Crash) else {
            return Ok(());
        };
        let header = self.chain.header(now, None);
        let payload = sealed.payload(&header, self.shared.anchor());
        let seal = Seal {
            proof: self.chain.next(WINDOW, payload, sealed.use_rows.clone()),
            start_ms,
            secret: sealed.secret.0,
            last_chunk: Some(Vec::new()),
            bookmarks: Bookmarks::new(),
            now_ms: now.wall_ms,
        };
        let stored = seal.proof.clone();
        self.store(stored, move |buffer| buffer.seal(&seal)).await.map(drop)
    }

    /// An orderly stop: a short window, and the moment from which nothing was watched.
    async fn stop(mut self) -> anyhow::Result<()> {
        let now = self.clock.stamp();
        self.seal(wire::End::Stop, now).await?;
        self.sum_up(now).await?;
        self.grant(now).await?;
        let ranges = crate::start::encode_ranges(self.windows.ranges());
        self.buffer
            .ask(move |buffer| {
                with_room(buffer.set_state("ranges", &ranges))?;
                with_room(buffer.set_state("stopped", &now.wall_ms.to_be_bytes()))
            })
            .await??;
        info!("stopped in order");
        Ok(())
    }
}

/// Latest times by source as the store keeps them: two and eight bytes each.
fn encode_latest(latest: &[(u16, i64)]) -> Vec<u8> {
    latest.iter().flat_map(|(source, ms)| [&source.to_be_bytes()[..], &ms.to_be_bytes()].concat()).collect()
}

/// What [`encode_latest`] made; nothing of what it did not.
pub(crate) fn decode_latest(bytes: &[u8]) -> Vec<(u16, i64)> {
    let (places, rest) = bytes.as_chunks::<10>();
    let place = |[a, b, ms @ ..]: &[u8; 10]| (u16::from_be_bytes([*a, *b]), i64::from_be_bytes(*ms));
    if rest.is_empty() { places.iter().map(place).collect() } else { Vec::new() }
}

/// When an observation counts in the window that is open since `open_ms`, Unix ms; `None` when it does not.
///
/// One that was stamped before the clock was set, or before a long silence, belongs to no window: the time it was made
/// in is declared as an outage, and a device's reading of that time goes with it. A log's records are read once, and
/// carry their own times, so they count from the moment they are taken.
fn taken_at(observation: &Observation, open_ms: Option<i64>, now_ms: i64) -> Option<i64> {
    let open_ms = open_ms.unwrap_or(now_ms);
    match &observation.what {
        _ if (open_ms - LATE_MS..=now_ms).contains(&observation.at_ms) => Some(observation.at_ms),
        // So do a server's kept readings.
        What::Records(_) | What::Kept(_) => Some(now_ms),
        What::Cycle(_) | What::Silent(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proof::observation::{Quality, Reading, Records};

    use super::*;

    #[test]
    fn a_log_keeps_its_records_whatever_was_done_to_the_clock_and_a_reading_its_time() {
        let (open, now) = (1_800_000_000_000, 1_800_000_300_000);
        let records = What::Records(Records::default());
        let silent = What::Silent(Cause::NoAnswer);
        let hour = 3_600_000;
        let table = [
            (now, Some(now), Some(now)),
            (open, Some(open), Some(open)),
            (open - LATE_MS, Some(open - LATE_MS), Some(open - LATE_MS)), // waited for the seal
            (open - LATE_MS - 1, Some(now), None),
            (now - hour, Some(now), None), // the clock was set forward
            (now + hour, Some(now), None), // the clock was set back
        ];
        for (at_ms, of_records, of_device) in table {
            let seen = |what: &What| Observation { source: 1, at_ms, rtt_us: None, what: what.clone() };
            assert_eq!(taken_at(&seen(&records), Some(open), now), of_records, "records of {at_ms}");
            assert_eq!(taken_at(&seen(&silent), Some(open), now), of_device, "a reading of {at_ms}");
        }
    }

    fn cycle(readings: usize) -> Observation {
        let reading = Reading { quality: Quality::Good, raw: vec![0, 1], value: Some(1.0) };
        Observation { source: 1, at_ms: 0, rtt_us: None, what: What::Cycle(vec![reading; readings]) }
    }

    #[test]
    fn what_waits_for_room_on_a_full_disk_is_bounded() {
        let line = proof::Record {
            position: 0,
            fields: vec![vec![b'x'; 800]],
            event_ms: None,
            account: None,
            document: None,
            actor_class: wire::ActorClass::Human,
            reason: wire::ExclusionReason::None,
            module: 0,
            action: wire::ActionClass::Other,
        };
        let batch = What::Records(Records { records: vec![line; 500], ..Records::default() });
        for what in [cycle(500).what, batch] {
            let observation = Observation { what, ..cycle(0) };
            let mut pending = Pending::default();
            pending.keep(observation.clone());
            pending.give_up_raw_of_many();
            assert_eq!(
                (pending.observations.len(), pending.raw_lost),
                (1, false),
                "a little waits for the seal"
            );
            while !pending.is_many() {
                pending.keep(observation.clone());
            }
            assert!(pending.bytes < MOST_BYTES + weight(&observation) && pending.observations.len() > 10);
            pending.give_up_raw_of_many();
            pending.keep(observation);
            assert_eq!((pending.observations.len(), pending.bytes, pending.raw_lost), (0, 0, true));
        }
    }
}
