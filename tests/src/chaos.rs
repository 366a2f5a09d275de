//! Collectors against bad lines, unruly servers, logs that rotate and databases that are killed: what is injected, what
//! they report, and whether they may.
//!
//! The collectors are the shipped ones on the system's clock, over real sockets and a real serial port (a pty); only the
//! far ends of the lines are simulated, and these misbehave by dice that follow from a seed ([`lines`]). So are servers
//! of OPC UA ([`opcua`]), writers of logs ([`logs`]) and, where a database is at hand, an MES with its tables
//! ([`tables`]); each has a judge of its own. That of the lines ([`judge`]) compares every value with what was served to the very question that asked for it, and every absence with
//! what the faults may cause ([`faults`]). It knows nothing of how the collectors work but the times after which they
//! try again, which are stated.
//!
//! Deliberately absent: the agent's windows and signatures, which have their own tests; a clock that is not the system's,
//! because time-outs on lines are real always.

pub mod faults;
pub mod frames;
pub mod judge;
pub mod lines;
pub mod logs;
pub mod opcua;
pub mod part;
pub mod plan;
pub mod record;
mod report;
pub mod tables;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
use collectors::manifest::{Kind, Manifest, Source};
use collectors::{CollectError, Collector, Sample, SampleSender, Shared};
use daemon::{Backoff, Clock as _, Stopwatch, SystemClock, Tasks};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use judge::{Judge, Judged};
use lines::{FarEnd, Way, Weather};
use part::Part;
use proof::What;
use record::{Marking, Record};
pub use report::Report;

/// How often the machine is looked at for whether it stands still.
const LOOK: Duration = Duration::from_millis(5);

/// A server of OPC UA has so many times as long to answer as a device on a line.
const OPCUA_TIMEOUTS: u32 = 4;

/// Time everything has to end in.
const GRACE: Duration = Duration::from_secs(20);

/// Devices that misbehave, and the shipped collectors that read them.
#[derive(Debug, Clone, Parser)]
#[command(name = "chaos")]
pub struct Chaos {
    /// How long.
    #[arg(long, default_value_t = 30.0)]
    pub minutes: f64,
    /// What all the dice follow from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Time between two looks of a collector, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    pub cadence: u64,
    /// How long an answer is waited for, in milliseconds.
    #[arg(long, default_value_t = 400)]
    pub timeout: u64,
    /// Part of the questions that meet a fault.
    #[arg(long, default_value_t = 0.15)]
    pub share: f64,
}

/// How a run is paced.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time between two looks.
    pub cadence: Duration,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// How long collectors wait to be restarted, from and to.
    pub restart: (Duration, Duration),
    /// How often and how long things go wrong.
    pub weather: Weather,
    /// How long a source may be silent beyond what causes it.
    pub patience: Duration,
    /// How long everything may take to be well when nothing is wrong any more.
    pub calm: Duration,
}

impl Pace {
    /// Time between two looks at a source of this kind: servers are looked at half as often as one may be.
    fn cadence_of(&self, kind: &Kind) -> Duration {
        match kind {
            Kind::OpcUa(_) => self.cadence.max(Duration::from_millis(500)),
            Kind::Modbus(_) | Kind::Log(_) | Kind::Mqtt(_) | Kind::Syslog(_) | Kind::Table(_) => self.cadence,
        }
    }
}

impl Chaos {
    /// Runs, and says what was found.
    ///
    /// # Errors
    /// When something of ours fails; what is found wrong is in the report.
    pub async fn run(&self, stop: CancellationToken) -> anyhow::Result<Report> {
        let restart = (Duration::from_secs(1), Duration::from_secs(10));
        let pace = Pace {
            cadence: Duration::from_millis(self.cadence),
            timeout: Duration::from_millis(self.timeout),
            restart,
            weather: Weather {
                share: self.share,
                apart: (10.0, 30.0),
                lasts: (2.0, 20.0),
                calm_from: Duration::from_secs_f64(self.minutes * 60.0),
            },
            patience: Duration::from_secs(30),
            calm: Duration::from_secs(120),
        };
        run(self.seed, pace, stop).await
    }
}

/// Runs everything once at this pace.
///
/// # Errors
/// When something of ours fails; what is found wrong is in the report.
pub async fn run(seed: u64, pace: Pace, stop: CancellationToken) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let plan = plan::lines(folder.path()).await?;
    let record = Record::begin();
    let watch = Stopwatch::start();
    let servers =
        opcua::start(folder.path(), pace.weather, pace.timeout * OPCUA_TIMEOUTS, seed, &record).await?;
    let writers = logs::start(folder.path(), pace.weather, seed, &record)?;
    let (those, absent) = tables::start(pace.weather, seed, &record).await?;
    let mut text = plan::manifest(&plan, pace.timeout);
    text.extend(servers.iter().map(opcua::Server::manifest));
    text.extend(writers.iter().map(logs::Writer::manifest));
    for mes in &those {
        text.push_str(&mes.manifest(folder.path())?);
    }
    let manifest = Manifest::parse("manifest.toml", &text, folder.path())
        .map_err(|wrong| anyhow::anyhow!("the run's own manifest: {wrong}"))?;
    let (ends, quit) = (CancellationToken::new(), CancellationToken::new());
    let (mut far, mut near) = (Tasks::new(), Tasks::new());
    let (tx, mut rx) = mpsc::channel::<Sample>(64);
    let shared = Shared::default();
    let mut judges = Judges::of(&manifest, pace, (&servers, &writers, &those, absent), &record)?;
    for (number, line) in plan.into_iter().enumerate() {
        let units = line.units(&manifest, pace.timeout);
        for unit in units.values() {
            judges.lines.add(Judged::new(source(&manifest, unit.source)?, number, pace.patience));
        }
        let end = FarEnd::new(number, line.framing, line.way, units, pace.weather, seed, Arc::clone(&record));
        far.spawn(format!("line {number}"), end.run(line.listener, ends.clone()));
    }
    for source in &manifest.sources {
        let clock = Marking { within: SystemClock, source: source.index, record: Arc::clone(&record) };
        let cadence = pace.cadence_of(&source.kind);
        let out = SampleSender::new(source.index, cadence, Arc::new(clock), tx.clone(), quit.clone());
        let collector = collectors::build(source, None, folder.path(), &shared)?;
        near.spawn(format!("source {}", source.index), keep(collector, out, pace.restart, quit.clone()));
    }
    drop(tx);
    opcua::spawn(servers, &mut far, &ends);
    logs::spawn(writers, &mut far, &ends);
    tables::spawn(those, &mut far, &ends);
    far.spawn("look at the machine", look(Arc::clone(&record), pace.timeout / 4, ends.clone()));
    let latest = pace.weather.calm_from + pace.calm;
    while let Some(sample) = tokio::select! {
        sample = rx.recv() => sample,
        () = stop.cancelled() => None,
    } {
        judges.see(sample.observation.source, &sample.observation.what);
        drop(sample);
        let now = record.now();
        if now >= pace.weather.calm_from && (judges.is_well() || now >= latest) {
            break;
        }
    }
    quit.cancel();
    // Whoever hands something over must not wait for us.
    drop(rx);
    near.finish(GRACE).await.context("a collector")?;
    ends.cancel();
    far.finish(GRACE).await.context("a line")?;
    ensure!(!stop.is_cancelled() || record.now() >= pace.weather.calm_from, "stopped before its end");
    let devices = manifest.sources.iter().filter(|source| matches!(source.kind, Kind::Modbus(_))).count();
    let (unwell, parts) = (judges.lines.unwell(), judges.parts());
    Ok(Report::new(seed, watch.elapsed(), devices, unwell, judges.lines.found, &record, parts))
}

/// Who judges what.
struct Judges {
    lines: Judge,
    opcua: opcua::judge::Judge,
    logs: logs::judge::Judge,
    tables: tables::judge::Judge,
}

impl Judges {
    fn of(
        manifest: &Manifest,
        pace: Pace,
        far: (&[opcua::Server], &[logs::Writer], &[tables::Mes], Vec<String>),
        record: &Arc<Record>,
    ) -> anyhow::Result<Self> {
        let (servers, writers, those, absent) = far;
        let servers = servers.iter().zip(opcua::SERVERS).enumerate().map(|(number, (server, way))| {
            let source = named(manifest, &opcua::name(number))?;
            Ok(opcua::judge::Judged::new(source.index, way, server.served()))
        });
        let writers = writers.iter().enumerate().map(|(number, writer)| {
            let source = named(manifest, &logs::name(number))?;
            Ok(logs::judge::Judged::new(source.index, writer.book()))
        });
        let those = those.iter().map(|mes| {
            let source = named(manifest, &mes.name())?;
            Ok(tables::judge::Judged::new(source.index, mes.book()))
        });
        let terms = opcua::judge::Terms::of(pace);
        let late = logs::judge::Terms { patience: pace.patience };
        let tail = pace.restart.1 * 2 + pace.cadence * 2;
        let cut = tables::judge::Terms { tail, patience: pace.patience };
        Ok(Self {
            lines: Judge::new([], Arc::clone(record)),
            opcua: opcua::judge::Judge::new(
                servers.collect::<anyhow::Result<_>>()?,
                terms,
                Arc::clone(record),
            ),
            logs: logs::judge::Judge::new(writers.collect::<anyhow::Result<_>>()?, late, Arc::clone(record)),
            tables: tables::judge::Judge::new(
                those.collect::<anyhow::Result<_>>()?,
                absent,
                cut,
                Arc::clone(record),
            ),
        })
    }

    fn see(&mut self, source: u16, what: &What) {
        let seen = self.opcua.see(source, what) || self.logs.see(source, what);
        if !seen && !self.tables.see(source, what) {
            self.lines.see(source, what);
        }
    }

    fn is_well(&self) -> bool {
        self.lines.is_well() && self.opcua.is_well() && self.logs.is_well() && self.tables.is_well()
    }

    fn parts(&self) -> Vec<Part> {
        vec![self.opcua.part(), self.logs.part(), self.tables.part()]
    }
}

fn source(manifest: &Manifest, index: u16) -> anyhow::Result<&Source> {
    manifest.sources.iter().find(|source| source.index == index).context("a source of the manifest")
}

fn named<'a>(manifest: &'a Manifest, name: &str) -> anyhow::Result<&'a Source> {
    manifest.sources.iter().find(|source| source.name == name).context("a source of the manifest")
}

/// Keeps a collector going as the agent does: silence at each turn until it is restarted, later each time.
async fn keep(
    mut collector: Box<dyn Collector>,
    out: SampleSender,
    restart: (Duration, Duration),
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(restart.0, restart.1, u64::from(collector.source()));
    loop {
        let began = Stopwatch::start();
        let cause = match collector.run(&out, &stop).await {
            Ok(()) | Err(CollectError::Closed) => return Ok(()),
            Err(error) => error.cause(),
        };
        if began.elapsed() > restart.1 {
            backoff.reset();
        }
        let delay = i64::try_from(backoff.next_delay().as_millis()).unwrap_or(i64::MAX);
        if out.idle(SystemClock.stamp().wall_ms.saturating_add(delay), cause).await.is_err()
            || stop.is_cancelled()
        {
            return Ok(());
        }
    }
}

/// Notes when this program did not run for so long: an answer that was in time is then late by no fault of anybody's.
async fn look(record: Arc<Record>, long: Duration, stop: CancellationToken) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        let from = record.now();
        tokio::time::sleep(LOOK).await;
        let to = record.now();
        if to.saturating_sub(from) > long {
            record.stalled(from, to);
        }
    }
    Ok(())
}

/// The folder's file of this name.
pub(crate) fn beside(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.join(name)
}

/// A listener at a port that the system chooses, and the way to it.
pub(crate) async fn listener() -> anyhow::Result<(TcpListener, Way)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, Way::Listens(address)))
}

/// Prints a report on standard output.
#[expect(clippy::print_stdout, reason = "the report is what the program is for")]
pub fn print(report: &Report) {
    println!("{report}");
}
