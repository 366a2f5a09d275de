//! The OPC UA collector: what a server's declared nodes read at each turn.
//!
//! `client.rs` is the line, `trust.rs` the certificates, `reader.rs` where points are and what they read,
//! `subscription.rs` what is reported, `history.rs` what was kept, `browse.rs` looking around, `nodes.rs` the pure part.
//!
//! Every turn is one observation in which each point was reported or read since the turn before: a value is never
//! repeated because nothing was heard of it (decision 0016). There is one owner of reconnecting, and it is not the
//! library: one session at a time, closed when its work ends, however it ends. Repair comes in steps: a point or item is
//! looked up and made anew, a silent subscription is made anew, then the session; what helps neither ends the run, and
//! the supervisor begins another with back-off. What cannot be subscribed is polled.
//!
//! Deliberately absent: methods, events, values between two turns, and any way to accept a certificate that is not
//! pinned.

mod browse;
mod client;
pub mod fuzz;
mod history;
mod nodes;
mod reader;
mod subscription;
mod trust;

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::Stopwatch;
use opcua::types::DataValue;
use proof::{Reading, What};
use tokio_util::sync::CancellationToken;

use crate::manifest::{Collect, OpcUa, Security, Source};
use crate::probe::named;
use crate::{CollectError, Collector, Fact, Notes, Probe, Running, SampleSender, Turn};
pub use browse::{Bounds, Browsed, BrowsedNode, browse, browse_url};
use client::{Connection, Open, Server};
use history::History;
use reader::{Again, Reader};
use subscription::Subscription;
pub use trust::{Certificate, certificate, renew_own};

/// Turns without a subscription after one was refused or stayed silent after all repair.
const POLLED_TURNS: u32 = 360;

/// Reads one server.
pub struct OpcUaCollector {
    source: u16,
    cadence: Duration,
    server: Server,
    notes: Notes,
    state: State,
}

/// What is remembered from one session to the next.
#[derive(Default)]
struct State {
    /// The newest turn at which something was read.
    good_ms: Option<i64>,
    history: History,
    /// How often in a row a subscription fell silent.
    silences: u32,
    /// Turns for which nothing is subscribed.
    polled: u32,
}

/// How a session's work ended.
enum Ended {
    /// By request.
    Stopped,
    /// The session or line is gone, after it had brought something; this turn has no outcome yet.
    Gone(Turn),
    /// It cannot go on, and the turn's silence was reported.
    Failed(CollectError),
}

impl OpcUaCollector {
    /// The key pair of the client, where one is needed, is made at the first connection.
    pub fn new(source: &Source, server: &OpcUa, state_dir: &Path, notes: &Notes) -> Self {
        let server = Server::new(server, &own_folder(source, state_dir));
        let (source, cadence) = (source.index, source.cadence);
        Self { source, cadence, server, notes: notes.clone(), state: State::default() }
    }

    async fn collect(&mut self, out: &SampleSender, stop: &CancellationToken) -> Result<(), CollectError> {
        // The first turn is spent on connecting as well: an unreachable server is one silence a turn.
        let Some(mut turn) = out.turn().await else { return Ok(()) };
        loop {
            let (mut connection, open) = match connect(&self.server, stop).await {
                None => return Ok(()),
                Some(Ok(connected)) => connected,
                Some(Err(error)) => {
                    out.send(&turn, None, What::Silent(error.cause())).await?;
                    return Err(error);
                }
            };
            self.notes.count(self.source, "sessions", 1);
            trust::warn_of_expiry(&self.server, &open, turn.due_ms(), &self.notes, self.source);
            self.state.history.new_session();
            let work = Work {
                source: self.source,
                cadence: self.cadence,
                open: &open,
                notes: &self.notes,
                state: &mut self.state,
                out,
            };
            let ended = connection.drive(work.run(turn, stop)).await;
            connection.close(&open).await;
            turn = match ended? {
                Ended::Stopped => return Ok(()),
                Ended::Failed(error) => return Err(error),
                Ended::Gone(turn) => turn,
            };
        }
    }
}

/// Connects; `None` when asked to stop, and then a session that was about to be open is given a moment to be closed.
async fn connect<'a>(
    server: &'a Server,
    stop: &CancellationToken,
) -> Option<Result<(Connection, Open<'a>), CollectError>> {
    let mut connecting = Box::pin(server.connect());
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        connected = &mut connecting => return Some(connected),
    }
    if let Ok(Ok((connection, open))) = tokio::time::timeout(client::LAST_MOMENT, connecting).await {
        connection.close(&open).await;
    }
    None
}

/// What is done over one session.
struct Work<'a> {
    source: u16,
    cadence: Duration,
    open: &'a Open<'a>,
    notes: &'a Notes,
    state: &'a mut State,
    out: &'a SampleSender,
}

impl Work<'_> {
    /// Reads at `turn` and at every turn after it. `Err` when nobody receives any more.
    async fn run(mut self, mut turn: Turn, stop: &CancellationToken) -> Result<Ended, CollectError> {
        let mut reader = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Ended::Stopped),
            reader = Reader::new(self.open) => match reader {
                Ok(reader) => reader,
                Err(error) => return self.failed(&turn, error).await,
            },
        };
        let (mut subscription, mut fruitful, mut again) = (None, false, Again::default());
        loop {
            let asked = Stopwatch::start();
            let seen = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Ended::Stopped),
                seen = self.look(&mut reader, &mut subscription, &mut again) => seen,
            };
            match seen {
                Ok(Seen { readings, asked: true }) => {
                    self.out.send(&turn, Some(asked.elapsed()), What::Cycle(readings)).await?;
                }
                Ok(Seen { readings, .. }) => self.out.send(&turn, None, What::Cycle(readings)).await?,
                Err(Trouble::Line(error)) if fruitful && is_gone(&error) => return Ok(Ended::Gone(turn)),
                Err(Trouble::Line(error)) => return self.failed(&turn, error).await,
                Err(Trouble::Silent) => return Ok(Ended::Gone(turn)),
            }
            fruitful = true;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Ended::Stopped),
                filled = self.fill(&reader, &turn) => filled?,
            }
            // The old turn ends before the wait for the next begins.
            drop(turn);
            turn = match self.out.turn().await {
                Some(next) => next,
                None => return Ok(Ended::Stopped),
            };
        }
    }

    async fn failed(&self, turn: &Turn, error: CollectError) -> Result<Ended, CollectError> {
        self.out.send(turn, None, What::Silent(error.cause())).await?;
        Ok(Ended::Failed(error))
    }

    /// One turn's readings.
    async fn look(
        &mut self,
        reader: &mut Reader<'_>,
        subscription: &mut Option<Subscription>,
        again: &mut Again,
    ) -> Result<Seen, Trouble> {
        self.notes.count(self.source, "nodes_found_again", count(reader.find_missing().await?.len()));
        self.repair(reader, subscription, again).await?;
        let points = self.open.server.meanings.len();
        let (mut readings, reports) = match subscription.as_mut() {
            Some(subscription) => subscription.take(),
            None => (vec![None; points], 0),
        };
        self.notes.count(self.source, "reports", reports);
        let unheard: Vec<_> = (0..points).filter(|point| readings[*point].is_none()).collect();
        let reported: Vec<_> = readings.iter().map(Option::is_some).collect();
        // What the server has sampled for the subscription within this turn is as good as sampled now.
        let max_age_ms = if subscription.is_some() { self.cadence.as_secs_f64() * 1_000.0 } else { 0.0 };
        for (point, value) in unheard.iter().zip(reader.read(&unheard, max_age_ms).await?) {
            readings[*point] = Some(nodes::decode(&self.open.server.meanings[*point], &value));
            if let Some(watching) = subscription.as_mut() {
                watching.was_read(*point, value.source_timestamp);
            }
        }
        self.notes.count(self.source, "reads", count(unheard.len()));
        let readings: Vec<Reading> = readings.into_iter().flatten().collect();
        if let Some(watching) = subscription {
            match watching.check(reader, &readings, &reported).await {
                Ok(renewed) => self.notes.count(self.source, "items_renewed", renewed),
                Err(no) if no.is_an_answer() => {
                    tracing::debug!(status = %no.status, "items could not be made anew")
                }
                Err(no) => return Err(no.error.into()),
            }
        }
        Ok(Seen { readings, asked: !unheard.is_empty() })
    }

    /// Sees to it that there is a subscription that speaks, where one is wanted.
    async fn repair(
        &mut self,
        reader: &Reader<'_>,
        subscription: &mut Option<Subscription>,
        again: &mut Again,
    ) -> Result<(), Trouble> {
        let Collect::Subscribe { queue } = self.open.server.config.collect else { return Ok(()) };
        if self.state.polled > 0 {
            self.state.polled -= 1;
            return Ok(());
        }
        match subscription.take_if(|open| open.is_silent()) {
            Some(silent) => {
                silent.delete(reader).await;
                self.state.silences += 1;
                self.notes.count(self.source, "silent_subscriptions", 1);
                tracing::warn!(source = self.source, times = self.state.silences, "subscription is silent");
                if self.state.silences == 2 {
                    return Err(Trouble::Silent);
                }
                if self.state.silences > 2 {
                    self.polls("the server accepts subscriptions and reports nothing");
                    return Ok(());
                }
            }
            None => {
                if let Some(open) = subscription {
                    if open.is_well() {
                        self.state.silences = 0;
                        self.notes.warn(self.source, "subscription", None);
                    }
                    return Ok(());
                }
            }
        }
        if !again.is_due() {
            return Ok(());
        }
        match Subscription::new(reader, self.cadence, queue).await {
            Ok(made) => {
                self.notes.count(self.source, "subscriptions", 1);
                let (watched, points) = (made.watched(), self.open.server.meanings.len());
                tracing::info!(source = self.source, watched, points, "subscribed");
                *subscription = Some(made);
            }
            Err(no) if no.is_an_answer() => {
                self.polls(&format!("the server refuses subscriptions: {}", no.status));
            }
            Err(no) => return Err(no.error.into()),
        }
        Ok(())
    }

    fn polls(&mut self, why: &str) {
        self.state.polled = POLLED_TURNS;
        self.state.silences = 0;
        if self.notes.warn(self.source, "subscription", Some(format!("{why}; all points are polled"))) {
            tracing::warn!(source = self.source, why, "polling instead of a subscription");
        }
    }

    /// Notes that something was read, and reads what was kept of a silence before it.
    async fn fill(&mut self, reader: &Reader<'_>, turn: &Turn) -> Result<(), CollectError> {
        let cadence_ms = i64::try_from(self.cadence.as_millis()).unwrap_or(i64::MAX);
        let before = self.state.good_ms.replace(turn.due_ms());
        if !self.open.server.config.history {
            return Ok(());
        }
        if let Some(from_ms) = before.filter(|before| turn.due_ms() - before > cadence_ms * 3 / 2) {
            self.state.history.gap(from_ms, turn.due_ms());
        }
        let came = |values| self.notes.count(self.source, "backfilled", values);
        self.state.history.fill(reader, self.cadence, self.out, turn, came).await
    }
}

/// What one turn has shown.
struct Seen {
    readings: Vec<Reading>,
    /// Whether anything had to be asked for.
    asked: bool,
}

/// Why a turn has no readings.
enum Trouble {
    /// No answer, or none that can be used.
    Line(CollectError),
    /// All answers come, and reports never.
    Silent,
}

impl From<CollectError> for Trouble {
    fn from(error: CollectError) -> Self {
        Self::Line(error)
    }
}

/// Whether a new session may do at once; not when nobody has answered in time.
fn is_gone(error: &CollectError) -> bool {
    matches!(error, CollectError::Lost { source, .. } if source.kind() != std::io::ErrorKind::TimedOut)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Collector for OpcUaCollector {
    fn source(&self) -> u16 {
        self.source
    }

    fn run<'a>(&'a mut self, out: &'a SampleSender, stop: &'a CancellationToken) -> Running<'a> {
        Box::pin(self.collect(out, stop))
    }
}

/// Where what belongs to this source alone is kept: by name, because an index moves when the manifest changes.
fn own_folder(source: &Source, state_dir: &Path) -> PathBuf {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(source.name.as_bytes());
    let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    state_dir.join("opcua").join(name)
}

/// Asks a server once. The certificate of a secured server is shown whether or not it is the pinned one.
pub(crate) async fn probe(source: &Source, server: &OpcUa, state_dir: &Path) -> Result<Probe, CollectError> {
    let line = Server::new(server, &own_folder(source, state_dir));
    let endpoint = line.discover().await?;
    let secured = server.security != Security::None;
    let server_thumbprint = secured.then(|| trust::sha256(endpoint.server_certificate.as_ref()).to_string());
    let mut probe = Probe { source: source.index, server_thumbprint, ..Probe::default() };
    match line.connect_to(endpoint).await {
        Ok((mut connection, open)) => {
            let read = connection.drive(read_once(&open)).await;
            connection.close(&open).await;
            let values = read?;
            let readings = server.points.iter().zip(&values);
            probe.points =
                named(source, readings.map(|(point, value)| nodes::decode(&point.meaning, value)).collect());
            for (point, value) in probe.points.iter_mut().zip(&values) {
                point.why = value.status.filter(|status| !status.is_good()).map(|status| status.to_string());
            }
        }
        Err(CollectError::Refused { why, .. }) if secured => probe.refused = Some(why),
        Err(error) => return Err(error),
    }
    Ok(probe)
}

/// What a server says it is: its application, its build, and since when it runs.
pub(crate) async fn before(
    source: &Source,
    server: &OpcUa,
    state_dir: &Path,
) -> Result<Vec<Fact>, CollectError> {
    let line = Server::new(server, &own_folder(source, state_dir));
    let endpoint = line.discover().await?;
    let mut facts = vec![
        Fact::new("application", &endpoint.server.application_uri),
        Fact::new("product", &endpoint.server.product_uri),
    ];
    if server.security != Security::None {
        facts.push(Fact::new("certificate", trust::sha256(endpoint.server_certificate.as_ref())));
    }
    let (mut connection, open) = line.connect_to(endpoint).await?;
    let said = connection.drive(reader::of_itself(&open)).await;
    connection.close(&open).await;
    facts.extend(said?);
    Ok(facts)
}

async fn read_once(open: &Open<'_>) -> Result<Vec<DataValue>, CollectError> {
    let mut reader = Reader::new(open).await?;
    let all: Vec<_> = (0..open.server.meanings.len()).collect();
    reader.read(&all, 0.0).await
}

#[cfg(test)]
mod tests;
