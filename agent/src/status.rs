//! What a running agent knows of itself, and the socket on which it tells.
//!
//! Health means: newest good observation per source within its own cadence. "Process up" is not health.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daemon::{Clock, Stopwatch};
use proof::Cause;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::identity::Identity;
use crate::watchdog::SLACK;

/// The name of the socket in the state folder.
pub const SOCKET: &str = "status.sock";

/// A snapshot, as `inuse-agent status --json` prints it. Times are Unix ms, ages seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Status {
    /// The process that tells.
    #[serde(default)]
    pub pid: u32,
    /// Agent id.
    pub agent: String,
    /// The firm's project.
    pub project: String,
    /// The six words of the key, Chinese and English: what firm and city compare.
    #[serde(default)]
    pub words: String,
    /// Whether the hardware is what it was at enrolment; `None` where it said nothing, then or now.
    #[serde(default)]
    pub same_hardware: Option<bool>,
    /// When this was told.
    pub now_ms: i64,
    /// Every source is fresh, the broker is connected, nothing is refused and the disk has room.
    pub healthy: bool,
    /// One per source, in manifest order.
    pub sources: Vec<SourceStatus>,
    /// The line to the broker.
    pub link: LinkStatus,
    /// The store.
    pub buffer: BufferStatus,
    /// Gateway minus server, ms, once compared.
    pub skew_ms: Option<i64>,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct SourceStatus {
    /// Index in the manifest.
    pub index: u16,
    /// The operator's name for it.
    pub name: String,
    /// Host and port, URL or path.
    pub address: String,
    /// "device", "log" or "table".
    pub kind: String,
    /// Cadence, seconds.
    pub cadence_s: u64,
    /// Newest good observation.
    pub good_ms: Option<i64>,
    /// A good observation came within three cadences.
    pub fresh: bool,
    /// Good observations since the start.
    pub good: u64,
    /// Failed ones.
    pub failed: u64,
    /// Records taken from a log, and lines nobody understood.
    pub records: u64,
    /// Lines that no parser understood.
    pub unparsed: u64,
    /// How often what had been read of it was found edited, cut, replaced or removed.
    #[serde(default)]
    pub rewritten: u64,
    /// Why it fails, in English words; `None` while it works.
    pub failing: Option<String>,
    /// When a collector that stopped is started again; `None` while it runs.
    #[serde(default)]
    pub retry_ms: Option<i64>,
    /// How often its collector had to do what, since the start.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
    /// What somebody should look after while it still works.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// The line to the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct LinkStatus {
    /// Host and port.
    pub broker: String,
    /// Connected and subscribed.
    pub connected: bool,
    /// "5" or "3.1.1" once connected.
    pub mqtt: Option<String>,
    /// Why it is not connected.
    pub error: Option<String>,
    /// The newest refusal by the ledger since the last receipt.
    pub refusal: Option<String>,
}

/// The store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct BufferStatus {
    /// Last sequence number of the chain.
    pub head: u64,
    /// Proofs without a receipt.
    pub backlog: u64,
    /// Sequence number of the newest receipt.
    pub receipted: Option<u64>,
    /// When it came.
    pub receipted_ms: Option<i64>,
    /// Raw bytes kept.
    pub raw_bytes: u64,
    /// Bytes on disk.
    pub file_bytes: u64,
    /// Since when the disk has been full.
    pub full_since_ms: Option<i64>,
}

/// What tasks of one agent tell each other: the newest checkpoint, the skew, and the status.
#[derive(Debug)]
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// What the collectors tell of their lines.
    pub(crate) notes: collectors::Notes,
    began: Stopwatch,
}

#[derive(Debug)]
struct Inner {
    sources: Vec<SourceStatus>,
    progress: Progress,
    link: LinkStatus,
    anchor: Option<proof::wire::Anchor>,
    skew_ms: Option<i64>,
}

/// When things last moved, as real time since the start.
#[derive(Debug)]
struct Progress {
    /// When each source was last attempted, and its cadence.
    attempts: Vec<(Duration, Duration)>,
    /// When the store last took what was to be flushed.
    committed: Duration,
    /// How often it is flushed.
    flush: Duration,
}

impl Progress {
    /// What has not moved for longer than it may: three of its intervals and some slack.
    fn stuck(&self, now: Duration) -> Option<String> {
        let late = |since: Duration, interval: Duration| {
            let idle = now.saturating_sub(since);
            (idle > interval.saturating_mul(3).saturating_add(SLACK)).then_some(idle.as_secs())
        };
        if let Some(idle) = late(self.committed, self.flush) {
            return Some(format!("the store has taken nothing for {idle} s"));
        }
        self.attempts.iter().zip(1..).find_map(|((since, cadence), index)| {
            let idle = late(*since, *cadence)?;
            Some(format!("source {index} was not attempted for {idle} s"))
        })
    }
}

impl Shared {
    pub(crate) fn new(sources: Vec<SourceStatus>, broker: String, flush: Duration) -> Self {
        let link = LinkStatus { broker, ..LinkStatus::default() };
        let cadence = |source: &SourceStatus| (Duration::ZERO, Duration::from_secs(source.cadence_s));
        let attempts = sources.iter().map(cadence).collect();
        let progress = Progress { attempts, committed: Duration::ZERO, flush };
        let inner = Mutex::new(Inner { sources, progress, link, anchor: None, skew_ms: None });
        Self { inner, notes: collectors::Notes::default(), began: Stopwatch::start() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Plain data: a panic elsewhere leaves it usable.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn source(&self, index: u16, change: impl FnOnce(&mut SourceStatus)) {
        let mut inner = self.lock();
        if let Some(source) = usize::from(index).checked_sub(1).and_then(|place| inner.sources.get_mut(place))
        {
            change(source);
        }
    }

    /// A source was attempted, with or without an answer.
    pub(crate) fn attempted(&self, index: u16) {
        let mut inner = self.lock();
        let place = usize::from(index).checked_sub(1);
        if let Some((since, _)) = place.and_then(|place| inner.progress.attempts.get_mut(place)) {
            *since = self.began.elapsed();
        }
    }

    /// The store took what was to be flushed, or there was nothing.
    pub(crate) fn committed(&self) {
        self.lock().progress.committed = self.began.elapsed();
    }

    /// The disk is full and what was sealed waits for room: a state, in which samples wait and nobody is attempted.
    pub(crate) fn waits_for_room(&self) {
        let (mut inner, now) = (self.lock(), self.began.elapsed());
        inner.progress.committed = now;
        inner.progress.attempts.iter_mut().for_each(|(since, _)| *since = now);
    }

    /// What has not moved for longer than it may; `None` while all does.
    pub(crate) fn stuck(&self) -> Option<String> {
        self.lock().progress.stuck(self.began.elapsed())
    }

    /// One line for the service manager.
    pub(crate) fn one_line(&self) -> String {
        let inner = self.lock();
        let failing = inner.sources.iter().filter(|source| source.failing.is_some()).count();
        let link = if inner.link.connected { "connected" } else { "not connected" };
        format!("{} sources, {failing} failing; {link}", inner.sources.len())
    }

    /// A good observation came.
    pub(crate) fn good(&self, index: u16, at_ms: i64, records: u64, unparsed: u64) {
        self.source(index, |source| {
            source.good_ms = Some(at_ms);
            source.good += 1;
            source.records += records;
            source.unparsed += unparsed;
            (source.failing, source.retry_ms) = (None, None);
        });
    }

    /// What had been read of this source is not there as it was.
    pub(crate) fn rewritten(&self, index: u16, times: u64) {
        self.source(index, |source| source.rewritten += times);
    }

    /// An observation of silence came.
    pub(crate) fn silent(&self, index: u16, cause: Cause) {
        self.source(index, |source| {
            source.failed += 1;
            source.failing.get_or_insert_with(|| cause.en().to_owned());
        });
    }

    /// The collector of this source failed, and is started again then.
    pub(crate) fn failing(&self, index: u16, cause: Cause, words: &str, retry_ms: i64) {
        self.source(index, |source| {
            source.failing = Some(format!("{}: {words}", cause.en()));
            source.retry_ms = Some(retry_ms);
        });
    }

    /// The collector of this source is started again.
    pub(crate) fn restarts(&self, index: u16) {
        self.source(index, |source| source.retry_ms = None);
    }

    /// How many good observations this source had.
    pub(crate) fn good_since(&self, index: u16) -> u64 {
        let inner = self.lock();
        usize::from(index)
            .checked_sub(1)
            .and_then(|place| inner.sources.get(place))
            .map_or(0, |source| source.good)
    }

    pub(crate) fn link(&self, change: impl FnOnce(&mut LinkStatus)) {
        change(&mut self.lock().link);
    }

    /// The newest checkpoint that was checked, and what the clocks differ by.
    pub(crate) fn compared(&self, anchor: proof::wire::Anchor, skew_ms: Option<i64>) {
        let mut inner = self.lock();
        inner.skew_ms = skew_ms.or(inner.skew_ms);
        if anchor.size > inner.anchor.as_ref().map_or(0, |known| known.size) {
            inner.anchor = Some(anchor);
        }
    }

    /// A checkpoint that an earlier run had checked.
    pub(crate) fn anchored(&self, anchor: proof::wire::Anchor) {
        self.lock().anchor = Some(anchor);
    }

    /// Every source was tried at least once.
    pub(crate) fn all_tried(&self) -> bool {
        self.lock().sources.iter().all(|source| source.good + source.failed > 0)
    }

    pub(crate) fn anchor(&self) -> Option<proof::wire::Anchor> {
        self.lock().anchor.clone()
    }

    pub(crate) fn skew_ms(&self) -> Option<i64> {
        self.lock().skew_ms
    }

    fn snapshot(&self, who: Who, now_ms: i64, buffer: BufferStatus) -> Status {
        let inner = self.lock();
        let mut sources = inner.sources.clone();
        for source in &mut sources {
            let limit_ms = i64::try_from(source.cadence_s.saturating_mul(3_000)).unwrap_or(i64::MAX);
            source.fresh = source.good_ms.is_some_and(|good| now_ms.saturating_sub(good) <= limit_ms);
            let note = self.notes.of(source.index);
            source.counters =
                note.counters.into_iter().map(|(what, times)| (what.to_owned(), times)).collect();
            source.warnings = note.warnings.into_values().collect();
        }
        let link = inner.link.clone();
        let healthy = link.connected
            && link.refusal.is_none()
            && buffer.full_since_ms.is_none()
            && sources.iter().all(|source| source.fresh);
        let (pid, skew_ms) = (std::process::id(), inner.skew_ms);
        Status {
            pid,
            agent: who.agent,
            project: who.project,
            words: who.words,
            same_hardware: who.same_hardware,
            now_ms,
            healthy,
            sources,
            link,
            buffer,
            skew_ms,
        }
    }
}

/// Whose status it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Who {
    agent: String,
    project: String,
    words: String,
    same_hardware: Option<bool>,
}

impl From<&Identity> for Who {
    fn from(identity: &Identity) -> Self {
        Self {
            agent: identity.agent.to_string(),
            project: identity.project.clone(),
            words: identity.words.to_string(),
            same_hardware: identity.same_hardware,
        }
    }
}

/// What the socket needs to answer.
pub(crate) struct Teller {
    pub(crate) who: Who,
    pub(crate) shared: Arc<Shared>,
    pub(crate) buffer: buffer::Handle,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Teller {
    /// The status now.
    pub(crate) async fn status(&self) -> anyhow::Result<Status> {
        let health = self.buffer.ask(|buffer| buffer.health()).await??;
        let buffer = BufferStatus {
            head: health.head.map_or(0, |head| head.seq),
            backlog: health.backlog,
            receipted: health.last_receipt.map(|receipt| receipt.seq),
            receipted_ms: health.last_receipt.map(|receipt| receipt.at_ms),
            raw_bytes: health.raw_bytes,
            file_bytes: health.file_bytes,
            full_since_ms: health.full_since_ms,
        };
        let now_ms = self.clock.stamp().wall_ms;
        Ok(self.shared.snapshot(self.who.clone(), now_ms, buffer))
    }

    /// Answers one request a connection until `stop`: `status` or `log <rules>` with one JSON object, and what
    /// [`crate::past`] asks with what it reads.
    pub(crate) async fn serve(self, listener: UnixListener, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            let Ok((mut stream, _)) = accepted else { continue };
            // Whoever says nothing, went away or does not read is not waited for.
            let asked = tokio::time::timeout(PATIENCE, request(&mut stream)).await;
            let Ok(Ok(asked)) = asked else { continue };
            let (answer, patience) = match asked.split_once(' ') {
                Some((verb @ ("past" | "window"), of)) => {
                    let told = crate::past::tell(&self.buffer, verb, of).await?;
                    (told.map_or_else(not_asked, Ok)?, crate::past::PATIENCE)
                }
                _ => (self.answer(&asked).await?, PATIENCE),
            };
            let told = tokio::time::timeout(patience, stream.write_all(&answer)).await;
            if !matches!(told, Ok(Ok(()))) {
                tracing::debug!("nobody read the answer");
            }
        }
    }

    async fn answer(&self, asked: &str) -> anyhow::Result<Vec<u8>> {
        let answer = match asked.split_once(' ').unwrap_or((asked, "")) {
            ("status", "") => return Ok(serde_json::to_vec(&self.status().await?)?),
            ("log", rules) => match daemon::set_log_rules(rules) {
                Ok(()) => {
                    tracing::info!(rules, "logging by other rules until the next start");
                    Changed { error: None }
                }
                Err(error) => Changed { error: Some(error.to_string()) },
            },
            _ => return Ok(not_asked()?),
        };
        Ok(serde_json::to_vec(&answer)?)
    }
}

/// The answer to what is no request.
fn not_asked() -> serde_json::Result<Vec<u8>> {
    let error = "none of `status`, `log <rules>`, `past <from> <to>` and `window <number>`";
    let mut line = serde_json::to_vec(&Changed { error: Some(error.to_owned()) })?;
    line.push(b'\n');
    Ok(line)
}

/// Opens the status socket, taking the place of a dead agent's.
pub(crate) fn listen(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// How long one side of the socket waits for the other.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest request, bytes.
const MAX_REQUEST: u64 = 2_000;

/// Largest status, bytes.
const MAX_ANSWER: u64 = 16 << 20;

/// The answer to a request that changes something.
#[derive(Debug, Serialize, Deserialize)]
struct Changed {
    error: Option<String>,
}

/// One line.
async fn request(stream: &mut UnixStream) -> std::io::Result<String> {
    let mut line = String::new();
    tokio::io::BufReader::new(stream.take(MAX_REQUEST)).read_line(&mut line).await?;
    Ok(line.trim().to_owned())
}

/// Asks a running agent for its status.
///
/// # Errors
/// When nobody answers on the socket.
pub async fn ask(socket: &Path) -> std::io::Result<Status> {
    Ok(serde_json::from_slice(&exchange(socket, "status", MAX_ANSWER).await?)?)
}

/// Makes a running agent log by these rules until its next start.
///
/// # Errors
/// When nobody answers on the socket, or the rules cannot be read.
pub async fn set_log(socket: &Path, rules: &str) -> std::io::Result<()> {
    let rules = rules.replace('\n', " ");
    let told = exchange(socket, &format!("log {rules}"), MAX_ANSWER).await?;
    let changed: Changed = serde_json::from_slice(&told)?;
    match changed.error {
        None => Ok(()),
        Some(error) => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, error)),
    }
}

/// One request and its answer of at most `most` bytes.
pub(crate) async fn exchange(socket: &Path, request: &str, most: u64) -> std::io::Result<Vec<u8>> {
    let told = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{request}\n").as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.take(most).read_to_end(&mut bytes).await?;
        Ok(bytes)
    };
    tokio::time::timeout(crate::past::PATIENCE, told).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn life_is_that_each_source_is_attempted_and_the_store_takes_what_is_flushed() {
        let secs = Duration::from_secs;
        let progress = |fast, slow, committed| Progress {
            attempts: vec![(secs(fast), secs(1)), (secs(slow), secs(600))],
            committed: secs(committed),
            flush: secs(60),
        };
        let now = secs(10_000);
        assert_eq!(
            progress(9_937, 8_140, 9_760).stuck(now),
            None,
            "each within three intervals and a minute"
        );
        let stuck = |progress: Progress| progress.stuck(now).unwrap();
        assert_eq!(stuck(progress(9_936, 8_140, 9_760)), "source 1 was not attempted for 64 s");
        assert_eq!(stuck(progress(9_937, 8_139, 9_760)), "source 2 was not attempted for 1861 s");
        assert_eq!(stuck(progress(9_937, 8_140, 9_759)), "the store has taken nothing for 241 s");
    }

    #[test]
    fn who_asks_is_told_when_a_source_that_failed_is_tried_again_and_no_longer_once_it_was() {
        let source = SourceStatus { index: 1, name: "oven".to_owned(), ..SourceStatus::default() };
        let shared = Shared::new(vec![source], "broker:8883".to_owned(), Duration::from_secs(60));
        let told = || {
            let status = shared.snapshot(Who::default(), 10_000, BufferStatus::default());
            let source = &status.sources[0];
            (source.failing.clone(), source.retry_ms)
        };
        let words = Some(format!("{}: nobody there", Cause::NoAnswer.en()));
        shared.failing(1, Cause::NoAnswer, "nobody there", 22_400);
        assert_eq!(told(), (words.clone(), Some(22_400)));
        shared.restarts(1);
        assert_eq!(told(), (words, None));
        shared.failing(1, Cause::NoAnswer, "nobody there", 22_400);
        shared.good(1, 9_000, 0, 0);
        assert_eq!(told(), (None, None));
    }
}
