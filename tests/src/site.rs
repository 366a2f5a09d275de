//! One firm, its gateway and a city's server in one process and in simulated time, with every part to be taken away
//! and put back while the clock stands.
//!
//! A crash is a gateway whose tasks are dropped where they are: nothing is sealed, flushed or said. What a real
//! `kill -9` adds to that is tested with the shipped programs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use buffer::{Bookmarks, Bounds, Buffer, BufferError, Flushed, OpenWindow};
use futures::future::BoxFuture;
use proof::AgentId;
use tempfile::TempDir;

use crate::chain::{Chain, Own};
use crate::clock::SimClock;
use crate::plant::Plant;
use crate::plant::firm::Firm;
use crate::process::{log_when_asked, until};
use crate::recordings::midnight_ms;
use crate::road::{City, Gateway, begin_project, server_config};

/// Polls of every source, and flushes of every buffer.
pub const MINUTE: Duration = Duration::from_secs(60);

/// The address part of a URL nobody was given yet: the system chooses.
const ANY: &str = "127.0.0.1:0";

/// Seconds from a midnight to this time of day.
pub const fn seconds(hour: i64, minute: i64, second: i64) -> i64 {
    (hour * 60 + minute) * 60 + second
}

/// One firm, its gateway and the server it reports to.
pub struct Site {
    /// The time.
    pub clock: SimClock,
    /// Machines and people.
    pub plant: Plant,
    folder: TempDir,
    start_ms: i64,
    started: bool,
    machine: SimClock,
    agent_config: PathBuf,
    agent: AgentId,
    log_vkey: String,
    city: Option<City>,
    gateway: Option<Gateway>,
}

impl Site {
    /// Starts everything; the clock stands at the midnight the firm's calendar begins with.
    ///
    /// # Errors
    /// When something does not start.
    pub fn start(firm: Firm) -> BoxFuture<'static, anyhow::Result<Self>> {
        Box::pin(Self::start_all(firm))
    }

    async fn start_all(firm: Firm) -> anyhow::Result<Self> {
        log_when_asked();
        let folder = tempfile::tempdir()?;
        let start_ms = midnight_ms(firm.start);
        let clock = SimClock::new(start_ms);
        let config = server_config(folder.path(), ANY, ANY, ANY)?;
        let token = begin_project(&config, &firm, &clock)?;
        let city = City::start(config, Arc::new(clock.with_label("server"))).await?;
        // Found again at the same addresses after a restart.
        let [broker, enrolment, portal] =
            [city.broker(), city.enrolment(), city.portal()].map(|address| address.to_string());
        server_config(folder.path(), &broker, &enrolment, &portal)?;

        let place = folder.path().join(firm.id);
        std::fs::create_dir_all(&place)?;
        let plant_clock = Arc::new(clock.with_priority(0).with_label("plant"));
        let plant = Plant::start(firm, &place, plant_clock, MINUTE).await?;
        let agent_config = Gateway::enrol(&plant, MINUTE, MINUTE, &city, &token, &clock).await?;
        let machine = clock.with_boot("boot 1").with_label("agent");
        let log_vkey = city.log_vkey().to_owned();
        let agent = agent_of(&place.join("state"))?;
        let mut site = Self {
            clock,
            plant,
            folder,
            start_ms,
            started: false,
            machine,
            agent_config,
            agent,
            log_vkey,
            city: Some(city),
            gateway: None,
        };
        site.start_gateway().await?;
        Ok(site)
    }

    /// Lets the time run until so many seconds after the start, and everything due by then be done.
    ///
    /// # Errors
    /// When the clock stalls.
    pub async fn run_to(&mut self, secs: i64) -> anyhow::Result<()> {
        let end = self.clock.end_at(self.moment(secs));
        if !self.started {
            self.started = true;
            self.clock.start();
        }
        Ok(end.await?)
    }

    /// The moment so many seconds after the start, Unix ms.
    pub fn moment(&self, secs: i64) -> i64 {
        self.start_ms + secs * 1000
    }

    /// The server at work.
    ///
    /// # Errors
    /// When it is stopped.
    pub fn city(&self) -> anyhow::Result<&City> {
        self.city.as_ref().context("the server is stopped")
    }

    /// The gateway's id.
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// The log's verifier key.
    pub fn log_vkey(&self) -> &str {
        &self.log_vkey
    }

    /// The server's data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The agent's configuration.
    pub fn agent_config(&self) -> &Path {
        &self.agent_config
    }

    /// The agent's state directory.
    pub fn state(&self) -> PathBuf {
        self.plant.folder().join("state")
    }

    /// Starts the server where it was.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_server(&mut self) -> anyhow::Result<()> {
        let config = server::config::ServerConfig::load(&self.folder.path().join("server.toml"))?;
        self.city = Some(City::start(config, Arc::new(self.clock.with_label("server"))).await?);
        Ok(())
    }

    /// Stops the server, and its broker with it.
    ///
    /// # Errors
    /// When it does not stop well.
    pub async fn stop_server(&mut self) -> anyhow::Result<()> {
        self.city.take().context("the server is stopped already")?.stop().await
    }

    /// Starts the gateway's agent and waits until it answers.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_gateway(&mut self) -> anyhow::Result<()> {
        // After a crash the store's thread needs a moment to let go of the file.
        let gateway = until("the gateway starts", || async {
            let started = Gateway::start(&self.agent_config, Arc::new(self.machine.clone()));
            match started {
                Ok(gateway) => Ok(Some(gateway)),
                Err(error) if format!("{error:#}").contains("buffer") => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await?;
        until("the gateway answers", || async { Ok(gateway.status().await.ok()) }).await?;
        self.gateway = Some(gateway);
        Ok(())
    }

    /// Stops the agent along the road.
    ///
    /// # Errors
    /// When it does not stop well.
    pub async fn stop_gateway(&mut self) -> anyhow::Result<()> {
        self.gateway.take().context("the gateway is stopped already")?.stop().await
    }

    /// Ends the agent where it stands.
    ///
    /// # Errors
    /// When there is none.
    pub fn crash_gateway(&mut self) -> anyhow::Result<()> {
        self.gateway.take().map(drop).context("the gateway is stopped already")
    }

    /// Ends the agent where it stands, and its machine restarts.
    ///
    /// # Errors
    /// When there is none.
    pub fn cut_power(&mut self, boot: &str) -> anyhow::Result<()> {
        self.crash_gateway()?;
        self.machine.reboot(boot);
        Ok(())
    }

    /// Overwrites the agent's database with noise, as a failing disk does. Only while it is stopped.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn spoil_store(&self) -> anyhow::Result<()> {
        self.store().await?.close()?;
        let path = self.state().join("buffer.db");
        let length = std::fs::metadata(&path)?.len();
        let noise: Vec<u8> = (0..length).map(|at| at.wrapping_mul(at).to_le_bytes()[1]).collect();
        Ok(std::fs::write(path, noise)?)
    }

    /// Puts noise behind what the agent has flushed of its open window. Only while it is stopped.
    ///
    /// # Errors
    /// When there is none, or it cannot be written.
    pub async fn spoil_open_window(&self) -> anyhow::Result<()> {
        let mut store = self.store().await?;
        let left = store.left_open()?.context("no window was left open")?;
        let noise = OpenWindow {
            start_ms: left.start_ms,
            mono_start_ms: left.mono_start_ms,
            part: u16::try_from(left.chunks.len())?,
            chunk: b"noise".to_vec(),
            bookmarks: Bookmarks::new(),
            flushed_ms: left.flushed_ms,
        };
        ensure!(store.flush(&noise)? == Flushed::Stored, "there is no room");
        Ok(store.close()?)
    }

    /// The store of an agent that is stopped.
    async fn store(&self) -> anyhow::Result<Buffer> {
        ensure!(self.gateway.is_none(), "the gateway runs");
        let path = self.state().join("buffer.db");
        // After a crash the store's thread needs a moment to let go of the file.
        until("the store is let go of", || async {
            match Buffer::open(&path, Bounds::default(), 0) {
                Ok((store, _)) => Ok(Some(store)),
                Err(BufferError::InUse(_)) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Rewrites the gateway's manifest with its sources in the opposite order. Takes effect at the next start.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn turn_manifest_around(&self) -> anyhow::Result<()> {
        let path = self.plant.folder().join("manifest.toml");
        let mut manifest: toml::Table = std::fs::read_to_string(&path)?.parse()?;
        let sources = manifest.get_mut("sources").and_then(toml::Value::as_array_mut);
        sources.context("a manifest has sources")?.reverse();
        Ok(std::fs::write(&path, manifest.to_string())?)
    }

    /// Sets the gateway's wall clock so many seconds ahead of the true time, or behind it.
    pub fn set_gateway_clock(&self, ahead_secs: i64) {
        self.machine.set_wall(ahead_secs * 1000);
    }

    /// What the agent says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self) -> anyhow::Result<agent::status::Status> {
        self.gateway.as_ref().context("the gateway is stopped")?.status().await
    }

    /// Waits until nothing waits for a receipt.
    ///
    /// # Errors
    /// When it goes on waiting.
    pub async fn outbox_empties(&self) -> anyhow::Result<()> {
        until("the outbox is empty", || async {
            Ok((self.status().await?.buffer.backlog == 0).then_some(()))
        })
        .await
    }

    /// The gateway's chain as the ledger holds it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn chain(&self) -> anyhow::Result<Chain> {
        Chain::read(&self.data(), self.agent)
    }

    /// What the gateway itself keeps. Only while it is stopped.
    ///
    /// # Errors
    /// When its store cannot be read.
    pub fn own(&self) -> anyhow::Result<Own> {
        Own::read(&self.state(), &self.log_vkey)
    }

    /// Every log of the plant with its place in the manifest and the lines written to it, put aside or not.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn lines_written(&self) -> anyhow::Result<Vec<(u32, u64)>> {
        let first = u32::try_from(self.plant.devices().count())? + 1;
        let logs = self.plant.logs().iter().zip(first..);
        logs.map(|(log, source)| Ok((source, lines_of(log.path())?))).collect()
    }

    /// Stops what still runs.
    ///
    /// # Errors
    /// When a device was written to, or something does not stop well.
    pub async fn end(mut self) -> anyhow::Result<()> {
        ensure!(self.plant.writes() == 0, "a device got {} write requests", self.plant.writes());
        if let Some(gateway) = self.gateway.take() {
            gateway.stop().await?;
        }
        if let Some(city) = self.city.take() {
            city.stop().await?;
        }
        self.plant.stop().await
    }
}

/// The id that an enrolled gateway has.
///
/// # Errors
/// When its state directory holds none.
pub fn agent_of(state: &Path) -> anyhow::Result<AgentId> {
    let text = std::fs::read(state.join("enrolment.json")).context("not enrolled")?;
    let enrolled: serde_json::Value = serde_json::from_slice(&text)?;
    Ok(enrolled["agent"].as_str().context("an agent's id")?.parse()?)
}

/// Lines in a log and in those put aside from it.
///
/// # Errors
/// When one cannot be read.
pub fn lines_of(log: &Path) -> anyhow::Result<u64> {
    let name = log.file_name().context("a log has a name")?.to_string_lossy().into_owned();
    let mut lines = 0;
    for entry in std::fs::read_dir(log.parent().context("a log is in a folder")?)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&name) {
            lines += std::fs::read(entry.path())?.iter().filter(|byte| **byte == b'\n').count();
        }
    }
    Ok(u64::try_from(lines)?)
}
