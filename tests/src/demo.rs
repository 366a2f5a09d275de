//! `cargo demo`: sixty days of six factories in a few minutes, over the whole road.
//!
//! Machine signals are recordings, served by real Modbus and OPC UA servers; people write real log files; agents,
//! broker, ingester, ledger and portal are the shipped libraries. Only the clock is simulated: it moves to the next
//! due time when everything due before is done.

mod live;
mod progress;
mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use daemon::{Clock, Stopwatch};
use jiff::civil::Date;
use tokio_util::sync::CancellationToken;

use crate::chain::Chain;
use crate::clock::SimClock;
use crate::plant::Plant;
use crate::plant::firm::{Firm, demo_firms};
use crate::recordings::midnight_ms;
use crate::road::{City, Gateway, begin_project, server_config};
use crate::site::agent_of;
use progress::Progress;

/// First day of the demo: a Wednesday, as the recordings' stretches want it.
const START: Date = Date::constant(2026, 7, 22);

/// Polls of every source, and flushes of every buffer.
const MINUTE: Duration = Duration::from_secs(60);

/// Sixty days of six factories over the whole road.
#[derive(Debug, Parser)]
#[command(name = "cargo demo")]
pub struct Demo {
    /// End when the days have passed, instead of keeping the portal up until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Print one JSON object per firm and nothing else on standard output.
    #[arg(long)]
    json: bool,
    /// Run the same plant in real time, with the shipped programs as processes of their own.
    #[arg(long)]
    live: bool,
    /// How many days pass.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=60))]
    days: u16,
    /// Only these firms, by id.
    #[arg(long)]
    firm: Vec<String>,
    /// Keep everything that is written in this folder, which must not exist.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Where the portal listens.
    #[arg(long, default_value = "127.0.0.1:8686")]
    portal: String,
}

impl Demo {
    /// Logs to standard error: what matters in simulated time, more in real time. `INUSE_LOG` says otherwise.
    pub fn log(&self) {
        daemon::log_to_stderr(if self.live { tracing::Level::INFO } else { tracing::Level::ERROR });
    }

    /// Runs it.
    ///
    /// # Errors
    /// The first thing that fails.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let (folder, _temporary) = self.folder()?;
        if self.live {
            return live::run(&self, &folder, stop).await;
        }
        let portal = if self.once { "127.0.0.1:0" } else { self.portal.as_str() };
        let watch = Stopwatch::start();
        let firms = self.firms(START)?;
        let start_ms = midnight_ms(START);
        let end_ms = start_ms + i64::from(self.days) * 86_400_000;
        let clock = SimClock::new(start_ms);
        let progress = Progress::new(self.json, start_ms, end_ms);
        let starting = clock.with_label("demo").hold();
        let config = server_config(&folder, "127.0.0.1:0", "127.0.0.1:0", portal)?;
        let mut tokens = Vec::new();
        for firm in &firms {
            tokens.push(begin_project(&config, firm, &clock)?);
        }
        let city = City::start(config, Arc::new(clock.with_label("server"))).await?;
        let mut factories = Vec::new();
        for (firm, token) in firms.into_iter().zip(tokens) {
            progress.say(&format!("starting {} {}", firm.id, firm.name));
            match Factory::start(firm, &folder, &clock, &city, &token).await {
                Ok(factory) => factories.push(factory),
                Err(error) => return Err(city.blame(error).await),
            }
        }
        clock.start();
        let end = clock.end_at(end_ms);
        drop(starting);
        let passed = tokio::select! {
            passed = end => Some(passed),
            () = stop.cancelled() => None,
            never = progress.follow(&clock) => match never {},
        };
        match passed {
            Some(passed) => passed?,
            None => return Ok(()),
        }
        let took = watch.elapsed();
        let (mut written, mut left) = (0, 0);
        let mut recorded = BTreeMap::new();
        for factory in factories {
            let firm = factory.plant.firm().id.to_owned();
            let agent = agent_of(&factory.plant.folder().join("state"))?;
            let (writes, backlog) = factory.stop().await?;
            written += writes;
            left += backlog;
            // Without a backlog, what the ledger has of a gateway is all there will be.
            recorded.insert(firm, Chain::read(&folder.join("data"), agent)?.windows().count() as u64);
        }
        progress.end();
        anyhow::ensure!(written == 0, "a device got {written} write requests");
        anyhow::ensure!(left == 0, "{left} proofs are without a receipt");
        let figures = clock.figures();
        report::shows(city.portal(), &recorded).await?;
        let reports = report::firms(city.portal()).await?;
        report::print(&reports, self.json)?;
        progress.say(&format!(
            "{} days in {:.0} s; {} clock moves, {} of them hurried",
            self.days,
            took.as_secs_f64(),
            figures.moves,
            figures.hurried
        ));
        if !self.once {
            progress.say(&format!("portal: http://{}/ until Ctrl-C", city.portal()));
            stop.cancelled().await;
        }
        city.stop().await
    }

    fn firms(&self, start: Date) -> anyhow::Result<Vec<Firm>> {
        let acceptance = start.checked_add(jiff::Span::new().days(60))?;
        let mut firms = demo_firms(start, acceptance);
        for id in &self.firm {
            anyhow::ensure!(firms.iter().any(|firm| firm.id == id), "there is no firm `{id}`");
        }
        if !self.firm.is_empty() {
            firms.retain(|firm| self.firm.iter().any(|id| id == firm.id));
        }
        Ok(firms)
    }

    fn folder(&self) -> anyhow::Result<(PathBuf, Option<tempfile::TempDir>)> {
        match &self.keep {
            Some(folder) => {
                std::fs::create_dir(folder)
                    .with_context(|| format!("could not make {}", folder.display()))?;
                Ok((folder.clone(), None))
            }
            None => {
                let mut builder = tempfile::Builder::new();
                let builder = builder.prefix("inuse-demo-");
                // Sixty days sync some 300,000 times: a memory file system, where there is one, spares the disk that.
                let temporary = builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir())?;
                Ok((temporary.path().to_owned(), Some(temporary)))
            }
        }
    }
}

/// One firm: its machines and people, and the gateway that watches them.
struct Factory {
    plant: Plant,
    gateway: Gateway,
}

impl Factory {
    async fn start(
        firm: Firm,
        folder: &Path,
        clock: &SimClock,
        city: &City,
        token: &str,
    ) -> anyhow::Result<Self> {
        let folder = folder.join(firm.id);
        std::fs::create_dir_all(&folder)?;
        let id = firm.id;
        let plant_clock: Arc<dyn Clock> = Arc::new(clock.with_priority(0).with_label(id));
        let plant = Plant::start(firm, &folder, plant_clock, MINUTE).await?;
        let config = Gateway::enrol(&plant, MINUTE, MINUTE, city, token, clock).await?;
        let agent_clock = clock.with_boot(&format!("demo {id}")).with_label(&format!("agent {id}"));
        let gateway = Gateway::start(&config, Arc::new(agent_clock))?;
        Ok(Self { plant, gateway })
    }

    /// Stops it; returns write requests its devices got, and proofs without a receipt.
    async fn stop(self) -> anyhow::Result<(u64, u64)> {
        let state = self.plant.folder().join("state/buffer.db");
        let writes = self.plant.writes();
        self.gateway.stop().await?;
        self.plant.stop().await?;
        let (buffer, _) = buffer::Buffer::open(&state, buffer::Bounds::default(), 0)?;
        let backlog = buffer.health()?.backlog;
        buffer.close()?;
        Ok((writes, backlog))
    }
}
