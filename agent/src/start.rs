//! Starting: what the last run left, what it cost, and the tasks of this one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use buffer::{Buffer, Handle, Head, LeftOpen, Owner};
use collectors::SampleSender;
use collectors::manifest::{Kind, Manifest};
use daemon::{Clock, Service, Stamp, Tasks};
use futures::future::BoxFuture;
use proof::digest::Tally;
use proof::features::Range;
use proof::payload::{Header, manifest_hash};
use proof::raw;
use proof::window::Windows;
use proof::window::has_records;
use proof::{Cause, Envelope, wire};
use prost::Message as _;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::chain::{Chain, short_hash};
use crate::collecting::{Unusable, keep_collecting};
use crate::config::AgentConfig;
use crate::identity::{Identity, IdentityError};
use crate::layout::{Layout, PlacedRange};
use crate::recorder::{LATEST, Pending, Recorder, Silence, Sums, decode_latest};
use crate::status::{self, Shared, SourceStatus, Teller, Who};
use crate::uplink::Uplink;
use crate::watchdog;

/// Samples that may wait for the recorder. When it is full, collectors wait: nothing is dropped here.
const SAMPLES: usize = 32;

/// Wake-ups that may wait for the uplink.
const WAKES: usize = 256;

/// Not ready until every source was tried once, but no longer than this.
const READY: Duration = Duration::from_secs(20);

/// What is kept of the grace period for the uplink to say good-bye and the store to be closed; a quarter of a short one.
const FAREWELL: Duration = Duration::from_secs(2);

/// An agent that is ready to run.
pub struct Agent {
    config: AgentConfig,
    manifest: Manifest,
    identity: Arc<Identity>,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    buffer: Handle,
    owner: Owner,
    socket: UnixListener,
    opened: buffer::Opened,
}

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No keys, no certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store cannot be opened: see [`buffer::Buffer::open`] for the three reasons.
    #[error("cannot open the buffer")]
    Buffer(#[from] buffer::BufferError),
    /// The chain's head is lost in database and head file: nothing may be signed until somebody says where it stands.
    #[error("where the chain stands was lost with {}: enrol again as a replacement, with an empty state directory", .0.display())]
    HeadLost(PathBuf),
    /// A file, socket or thread could not be made.
    #[error("cannot make {what}")]
    Io {
        /// What.
        what: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Agent {
    /// Opens the store and reads the keys. Nothing is collected or sent yet.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(config: AgentConfig, manifest: Manifest, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let mut identity = Identity::load(&config.state_dir)?;
        let path = config.buffer_path();
        let (mut buffer, opened) = Buffer::open(&path, config.bounds, clock.stamp().wall_ms)?;
        if buffer.head().is_none() {
            return Err(BuildError::HeadLost(path));
        }
        let lost = opened.damage.as_ref().and_then(|damage| damage.lost_proofs.as_ref());
        let followed = identity.keys.follow(&mut buffer, lost)?;
        followed.map_err(|(path, source)| IdentityError::File { path, source })?;
        let identity = Arc::new(identity);
        let io = |what: &str| {
            let what = what.to_owned();
            move |source| BuildError::Io { what, source }
        };
        let socket = status::listen(&config.status_socket()).map_err(io("the status socket"))?;
        let (buffer, owner) = Handle::start(buffer).map_err(io("the buffer's thread"))?;
        let broker = config.broker.as_ref().unwrap_or(&identity.broker);
        let broker = format!("{}:{}", broker.host, broker.port);
        let shared =
            Arc::new(Shared::new(manifest.sources.iter().map(source_status).collect(), broker, config.flush));
        Ok(Self { config, manifest, identity, clock, shared, buffer, owner, socket, opened })
    }

    /// Who this agent is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Runs until `stop`, then along the road: collectors, open window, outbox, store. The service manager is told of
    /// readiness when every source has been tried or 20 s have passed, and of life from then on.
    ///
    /// # Errors
    /// When the store or the status socket fails; never because of a source or the broker.
    pub fn run(self, stop: CancellationToken, service: Service) -> BoxFuture<'static, anyhow::Result<()>> {
        Box::pin(self.run_all(stop, service))
    }

    async fn run_all(self, stop: CancellationToken, service: Service) -> anyhow::Result<()> {
        let salt = self.identity.salt;
        let body = self.manifest.public(&salt).encode_to_vec();
        // Until every task has registered its first wait, a simulated clock must not move.
        let starting = self.clock.hold();
        let (wakes, woken) = mpsc::channel(WAKES);
        let recorder = self.start_recorder(body, wakes).await.context("could not start the recorder")?;
        let bookmarks = self.buffer.ask(|buffer| buffer.bookmarks()).await??;

        let mut tasks = Tasks::new();
        let (samples, recorded) = mpsc::channel(SAMPLES);
        let shared = collectors::Shared::telling(self.shared.notes.clone());
        for source in &self.manifest.sources {
            let bookmark = bookmarks.get(&source.index).map(Vec::as_slice);
            let collector = collectors::build(source, bookmark, &self.config.state_dir, &shared);
            let collector = collector.unwrap_or_else(|error| Box::new(Unusable::new(source, &error)));
            let out = SampleSender::new(
                source.index,
                source.cadence,
                Arc::clone(&self.clock),
                samples.clone(),
                stop.clone(),
            );
            let (clock, shared) = (Arc::clone(&self.clock), Arc::clone(&self.shared));
            let task = keep_collecting(collector, out, clock, shared, stop.clone());
            tasks.spawn(format!("source {}", source.index), task);
        }
        drop(samples);
        tasks.spawn("recorder", recorder.run(recorded));
        let leave = CancellationToken::new();
        let uplink = Uplink::new(
            Arc::clone(&self.identity),
            self.config.broker.clone(),
            self.buffer.clone(),
            Arc::clone(&self.clock),
            Arc::clone(&self.shared),
            leave.clone(),
        );
        tasks.spawn("uplink", uplink.run(woken));
        let ended = CancellationToken::new();
        let teller = Teller {
            who: Who::from(&*self.identity),
            shared: Arc::clone(&self.shared),
            buffer: self.buffer.clone(),
            clock: Arc::clone(&self.clock),
        };
        tasks.spawn("status", teller.serve(self.socket, ended.clone()));
        tasks.spawn("readiness", tell_ready(Arc::clone(&self.shared), stop.clone(), service.clone()));
        tasks.spawn("watchdog", watchdog::feed(service, Arc::clone(&self.shared), ended.clone()));
        info!(agent = %self.identity.agent, sources = self.manifest.sources.len(), "running");
        drop(starting);

        let outcome = watch(tasks, stop, leave, ended, self.config.grace).await;
        drop(self.buffer);
        let closed = tokio::task::spawn_blocking(move || self.owner.join()).await;
        outcome?;
        closed.context("the buffer's thread panicked")?.context("could not close the buffer")
    }

    /// Signs what a crash left unsigned, seals what it left open, declares what it cost, declares the manifest.
    async fn start_recorder(
        &self,
        body: Vec<u8>,
        sealed: mpsc::Sender<daemon::Hold>,
    ) -> anyhow::Result<Recorder> {
        let boot_id = self.clock.boot_id();
        let now = self.clock.stamp();
        let left = self.buffer.ask(move |buffer| read_left(buffer, &boot_id)).await??;
        self.sign_unsigned().await?;
        if let Some(anchor) =
            left.last_receipt.and_then(|receipt| anchor_of(&receipt, &self.identity.log_vkey))
        {
            self.shared.anchored(anchor);
        }
        let keys =
            self.identity.keys.again().map_err(|(path, source)| IdentityError::File { path, source })?;
        let boot = short_hash(&self.clock.boot_id());
        let decoded = wire::ManifestBody::decode(body.as_slice()).context("the manifest does not encode")?;
        let new_windows = |body: wire::ManifestBody| {
            Windows::new(body, short_hash(crate::BUILD), self.identity.pseudonyms.clone())
        };
        let latest = self.buffer.ask(|buffer| buffer.state(LATEST)).await??.unwrap_or_default();
        let mut recorder = Recorder {
            windows: new_windows(decoded.clone()),
            chain: Chain {
                agent: self.identity.agent,
                epoch: keys.epoch(),
                boot,
                boot_count: left.boot_count,
                head: left.head,
            },
            keys,
            buffer: self.buffer.clone(),
            clock: Arc::clone(&self.clock),
            shared: Arc::clone(&self.shared),
            sealed,
            flush: self.config.flush,
            state_dir: self.config.state_dir.clone(),
            body: body.clone(),
            pending: Pending::default(),
            sums: Sums {
                tally: Tally::after(decode_latest(&latest)),
                has_records: decoded.sources.iter().any(has_records),
                utc_offset_minutes: decoded.utc_offset_minutes,
                day: None,
            },
            since_ms: now.wall_ms,
        };
        if let Some(damage) = &self.opened.damage {
            warn!(?damage, "the buffer was damaged");
            if let Some(lost) = &damage.lost_proofs {
                // First of all: only right after what it declares does the ledger take it in the place of the lost.
                let covered_ms = left.sealed_ms.unwrap_or(now.wall_ms);
                let silence = Silence::since(covered_ms, Cause::Overflow);
                recorder.declare(Silence { lost_from_seq: *lost.start(), ..silence }, now).await?;
            }
        }
        let mut ranges = left.ranges;
        if let Some(open) = left.open {
            let devices = device_sources(&decoded);
            ranges = seal_left_open(&mut recorder, &open, &new_windows, now, devices).await?;
            recorder.windows = new_windows(decoded);
        } else if let Some(from_ms) = left.stopped_ms.or(left.sealed_ms) {
            // Nothing was open: between seal and first flush, or after an orderly stop.
            let cause = match (left.stopped_ms, left.sealed_boot) {
                (Some(_), _) => Cause::Stopped,
                (None, Some(before)) if before != boot => Cause::Power,
                (None, _) => Cause::Killed,
            };
            recorder.declare(Silence::since(from_ms, cause), now).await?;
        }
        let layout = Layout::of(&self.manifest);
        if left.layout.as_ref() != Some(&layout) {
            let old = left.layout.unwrap_or_else(|| layout.clone());
            ranges = old.move_ranges(&layout, ranges);
            self.buffer
                .ask(move |buffer| {
                    let moved = old.move_bookmarks(&layout, &buffer.bookmarks()?);
                    buffer.replace_bookmarks(&moved, "layout", &layout.encode())
                })
                .await??;
        }
        recorder.windows.remember(ranges);
        let hash = manifest_hash(&body).to_vec();
        if left.manifest.as_ref() != Some(&hash) {
            recorder.declare_manifest(now).await?;
            self.buffer.ask(move |buffer| with_room(buffer.set_state("manifest", &hash))).await??;
        }
        self.buffer.ask(|buffer| with_room(buffer.set_state("stopped", &[]))).await??;
        recorder.grant(now).await?;
        Ok(recorder)
    }

    async fn sign_unsigned(&self) -> anyhow::Result<()> {
        for unsigned in self.buffer.ask(|buffer| buffer.unsigned()).await?? {
            // The last entry of an epoch may still have to be signed by the key that ended with it.
            let epoch = Header::parse(&unsigned.payload)?.epoch;
            let key = self.identity.keys.of(epoch);
            let key = key.with_context(|| {
                format!("entry {} is of key epoch {epoch}, whose key is gone", unsigned.seq)
            })?;
            let envelope = Envelope::sign(key, &unsigned.kind, unsigned.payload);
            self.buffer.ask(move |buffer| buffer.sign(unsigned.seq, envelope.bytes())).await??;
        }
        Ok(())
    }
}

/// A full disk is a normal state: what could not be remembered costs one record more at the next start.
pub(crate) fn with_room(stored: Result<(), buffer::BufferError>) -> Result<(), buffer::BufferError> {
    match stored {
        Err(buffer::BufferError::Full) => {
            warn!("no space to remember what the next start would know");
            Ok(())
        }
        stored => stored,
    }
}

/// What the store says of the last run.
struct Left {
    head: Head,
    boot_count: u32,
    open: Option<LeftOpen>,
    stopped_ms: Option<i64>,
    sealed_ms: Option<i64>,
    sealed_boot: Option<[u8; 8]>,
    manifest: Option<Vec<u8>>,
    ranges: Vec<PlacedRange>,
    /// What bookmarks and ranges belong to; `None` before the first start.
    layout: Option<Layout>,
    last_receipt: Option<Vec<u8>>,
}

fn read_left(buffer: &mut Buffer, boot_id: &str) -> Result<Left, buffer::BufferError> {
    let head = buffer.head().unwrap_or(Head::NONE);
    let stopped = buffer.state("stopped")?.and_then(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?)));
    let receipted = buffer.health()?.last_receipt.map(|receipt| receipt.seq);
    let last_receipt = match receipted {
        Some(seq) => buffer.receipt(seq)?.map(|kept| kept.receipt),
        None => None,
    };
    let sealed = last_sealed(buffer, buffer.stored_seq()?)?;
    Ok(Left {
        head,
        boot_count: buffer.begin_boot(boot_id.as_bytes())?,
        open: buffer.left_open()?,
        stopped_ms: stopped,
        sealed_ms: sealed.as_ref().map(|header| header.wall_ms),
        sealed_boot: sealed.as_ref().map(|header| header.boot),
        manifest: buffer.state("manifest")?,
        ranges: decode_ranges(&buffer.state("ranges")?.unwrap_or_default()),
        layout: buffer.state("layout")?.and_then(|bytes| Layout::decode(&bytes)),
        last_receipt,
    })
}

/// The header of the last proof that is still in the store: when it was made, and in which boot.
fn last_sealed(buffer: &Buffer, seq: u64) -> Result<Option<Header>, buffer::BufferError> {
    if seq == 0 {
        return Ok(None);
    }
    let waiting = buffer.unreceipted(1, seq - 1)?.pop().map(|proof| proof.envelope);
    let bytes = match waiting {
        Some(bytes) => Some(bytes),
        None => buffer.receipt(seq)?.map(|kept| kept.envelope),
    };
    Ok(bytes.and_then(|bytes| Header::parse(Envelope::parse(&bytes).ok()?.payload()).ok()))
}

/// The last checkpoint whose receipt was checked before.
fn anchor_of(receipt: &[u8], log_vkey: &str) -> Option<wire::Anchor> {
    let receipt = wire::Receipt::decode(receipt).ok()?;
    let entry = proof::log::LogEntry::parse(&receipt.entry).ok()?.entry;
    let checked = proof::log::check_receipt(&receipt, entry, log_vkey).ok()?;
    Some(wire::Anchor { hash: checked.root.to_vec(), size: checked.size })
}

/// Seals what a crash left open and declares what it cost. Returns the long-run ranges.
async fn seal_left_open(
    recorder: &mut Recorder,
    open: &LeftOpen,
    new_windows: &(dyn Fn(wire::ManifestBody) -> Windows + Sync),
    now: Stamp,
    devices: Vec<u32>,
) -> anyhow::Result<Vec<((u16, usize), Range)>> {
    let chunks = match raw::decode(&open.chunks) {
        Ok(chunks) => chunks,
        Err(error) => {
            warn!(%error, "the window a crash left open cannot be read");
            recorder.buffer.ask(|buffer| buffer.drop_open()).await??;
            let silence = Silence::since(open.start_ms, Cause::Killed);
            recorder.declare(Silence { lost_sources: devices, ..silence }, now).await?;
            return Ok(Vec::new());
        }
    };
    let opening = chunks.opening;
    let body = wire::ManifestBody::decode(opening.body.as_slice()).context("the left window's manifest")?;
    // The outage stands in the chain before a new manifest does: its indices are the old one's.
    let devices = device_sources(&body);
    let mut windows = new_windows(body);
    windows.remember(opening.ranges.iter().copied());
    windows.open(opening.wall_ms, opening.mono_ms, opening.secret.clone());
    for observation in &chunks.observations {
        if let Err(error) = windows.observe(observation) {
            warn!(%error, "a flushed observation does not belong to its window");
        }
    }
    let same_boot = opening.boot == recorder.chain.boot;
    let flushed = u64::try_from(open.flushed_ms - opening.wall_ms).unwrap_or(0);
    let end = Stamp { mono_ms: opening.mono_ms.saturating_add(flushed), ..now };
    recorder.windows = windows;
    recorder.seal_left(open.flushed_ms, end).await?;
    let ranges = recorder.windows.ranges().collect();
    let cause = if same_boot { Cause::Killed } else { Cause::Power };
    let count = recorder.chain.boot_count;
    let before = wire::Boot {
        id: opening.boot.to_vec(),
        count: if same_boot { count } else { count.saturating_sub(1).max(1) },
    };
    let silence = Silence::since(open.flushed_ms, cause);
    recorder.declare(Silence { before: Some(before), lost_sources: devices, ..silence }, now).await?;
    Ok(ranges)
}

/// Sources whose samples a crash loses; logs are read again from their position.
fn device_sources(body: &wire::ManifestBody) -> Vec<u32> {
    use wire::SourceKind::{Log, Modbus, Mqtt, Opcua, Syslog, Table, Unspecified};
    let is_device = |source: &&wire::Source| match source.kind() {
        Modbus | Opcua | Mqtt | Syslog => true,
        Log | Table | Unspecified => false,
    };
    body.sources.iter().filter(is_device).map(|source| source.index).collect()
}

/// Waits for the end: first the stop, then the tasks along the road, at most `grace`. Told to `leave`, the uplink
/// ends with proofs in the outbox: a server that is away is no failure of this agent.
async fn watch(
    mut tasks: Tasks,
    stop: CancellationToken,
    leave: CancellationToken,
    ended: CancellationToken,
    grace: Duration,
) -> anyhow::Result<()> {
    let mut failed = None;
    loop {
        let ending = tokio::select! {
            () = stop.cancelled() => break,
            ending = tasks.next() => ending,
        };
        match ending {
            Some((task, Err(error))) => {
                failed = Some(error.context(format!("{task} failed")));
                break;
            }
            // A source's task ends only when asked to; readiness ends when it told.
            Some((_, Ok(()))) => {}
            None => break,
        }
    }
    stop.cancel();
    if failed.is_some() {
        // What failed may be the uplink itself: the socket must not wait for its end.
        ended.cancel();
    }
    let road = async {
        // The uplink is the last on the road; when it has ended the socket may close.
        let mut first = Ok(());
        while let Some((task, outcome)) = tasks.next().await {
            if let Err(error) = outcome {
                first = first.and(Err(error.context(format!("{task} failed while stopping"))));
            }
            if task == "uplink" {
                ended.cancel();
            }
        }
        first
    };
    let farewell = FAREWELL.min(grace / 4);
    let limit = async {
        tokio::time::sleep(grace - farewell).await;
        leave.cancel();
        tokio::time::sleep(farewell).await;
    };
    let in_time = tokio::select! {
        outcome = road => Some(outcome),
        () = limit => None,
    };
    match in_time {
        Some(outcome) => failed.map_or(outcome, Err),
        None => {
            ended.cancel();
            let unfinished = tasks.finish(Duration::from_secs(1)).await;
            failed.map_or(unfinished, Err)
        }
    }
}

async fn tell_ready(shared: Arc<Shared>, stop: CancellationToken, service: Service) -> anyhow::Result<()> {
    let tried = async {
        while !shared.all_tried() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        _ = tokio::time::timeout(READY, tried) => {}
    }
    service.ready(&shared.one_line());
    Ok(())
}

fn source_status(source: &collectors::manifest::Source) -> SourceStatus {
    let kind = match source.kind {
        Kind::Modbus(_) | Kind::OpcUa(_) | Kind::Mqtt(_) => "device",
        Kind::Log(_) | Kind::Syslog(_) => "log",
        Kind::Table(_) => "table",
    };
    SourceStatus {
        index: source.index,
        name: source.name.clone(),
        address: source.address(),
        kind: kind.to_owned(),
        cadence_s: source.cadence.as_secs(),
        good_ms: None,
        fresh: false,
        good: 0,
        failed: 0,
        records: 0,
        unparsed: 0,
        ..SourceStatus::default()
    }
}

/// Ranges as bytes of the state table: source, point, low, high; big-endian.
pub(crate) fn encode_ranges(ranges: impl Iterator<Item = ((u16, usize), Range)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for ((source, point), range) in ranges {
        bytes.extend(source.to_be_bytes());
        bytes.extend(u16::try_from(point).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(range.low.to_be_bytes());
        bytes.extend(range.high.to_be_bytes());
    }
    bytes
}

fn decode_ranges(bytes: &[u8]) -> Vec<((u16, usize), Range)> {
    let read = |row: &[u8]| {
        let place = |at: usize| Some(u16::from_be_bytes(row.get(at..at + 2)?.try_into().ok()?));
        let value = |at: usize| Some(f64::from_be_bytes(row.get(at..at + 8)?.try_into().ok()?));
        Some(((place(0)?, usize::from(place(2)?)), Range { low: value(4)?, high: value(12)? }))
    };
    bytes.chunks_exact(20).filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_survive_a_restart() {
        let ranges =
            vec![((1, 0), Range { low: -2.5, high: 1e9 }), ((700, 12), Range { low: 0.0, high: 0.0 })];
        assert_eq!(decode_ranges(&encode_ranges(ranges.iter().copied())), ranges);
        assert_eq!(decode_ranges(b"short"), []);
    }
}
