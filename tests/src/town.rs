//! The shipped programs as processes on loopback, and a firm that works beside them in real time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent::status::Status;
use anyhow::ensure;
use daemon::{Clock as _, SystemClock};
use proof::AgentId;

use crate::chain::{Chain, Own};
use crate::plant::firm::{Firm, one_machine_and_one_log};
use crate::plant::forms::{Deed, Event};
use crate::plant::{Plant, files};
use crate::process::{Process, Program, free_address, until};
use crate::recordings::local_day;
use crate::road::confirm_by_hand;
use crate::site::agent_of;

const SECOND: Duration = Duration::from_secs(1);

/// The shipped programs on loopback, broker and ingester apart, and a firm that works in real time: one machine and one
/// log that many write to.
pub struct Town {
    agent: Program,
    /// Where the agent finds its configuration, as it sees it.
    config: PathBuf,
    /// Where the agent keeps its own, as we see it.
    state: PathBuf,
    folder: tempfile::TempDir,
    /// The firm at work.
    pub plant: Plant,
    broker: String,
    enrolment: String,
    portal: String,
}

impl Town {
    /// Starts the firm; no program runs yet. `agent` is what stands for `inuse-agent`.
    ///
    /// # Errors
    /// When a file or a port cannot be had.
    pub async fn start(agent: Program) -> anyhow::Result<Self> {
        Self::start_with(agent, |_| {}).await
    }

    /// As [`Town::start`], with a firm that is in some way another.
    ///
    /// # Errors
    /// When a file or a port cannot be had.
    pub async fn start_with(agent: Program, change: impl FnOnce(&mut Firm)) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("factory");
        std::fs::create_dir_all(&place)?;
        let (config, state) = (place.join("agent.toml"), place.join("state"));
        let text = "state_dir = \"state\"\ngrace = \"3s\"\n[buffer]\nflush = \"10s\"\n";
        std::fs::write(&config, text)?;
        let town = Self::around(agent, folder, &place, (config, state), change).await?;
        files::write_manifest(&town.plant, &place, SECOND)?;
        Ok(town)
    }

    /// As [`Town::start`], with an agent that is installed in another root: the firm's log is in there, and so is the
    /// manifest, where the package looks for it.
    ///
    /// # Errors
    /// When a file or a port cannot be had.
    pub async fn start_in(agent: Program, root: &Path) -> anyhow::Result<Self> {
        let place = root.join("srv/factory");
        std::fs::create_dir_all(&place)?;
        let config = PathBuf::from("/etc/inuse/agent.toml");
        let town =
            Self::around(agent, tempfile::tempdir()?, &place, (config, root.join("var/lib/inuse")), |_| {})
                .await?;
        let manifest = files::manifest(&town.plant, SECOND)?;
        let manifest = manifest.replace(&place.display().to_string(), "/srv/factory");
        std::fs::write(root.join("etc/inuse/manifest.toml"), manifest)?;
        Ok(town)
    }

    async fn around(
        agent: Program,
        folder: tempfile::TempDir,
        place: &Path,
        (config, state): (PathBuf, PathBuf),
        change: impl FnOnce(&mut Firm),
    ) -> anyhow::Result<Self> {
        let (today, _) = local_day(SystemClock.stamp().wall_ms);
        std::fs::create_dir_all(folder.path().join("projects"))?;
        let mut firm = one_machine_and_one_log(today);
        change(&mut firm);
        let plant = Plant::start(firm, place, Arc::new(SystemClock), SECOND).await?;
        let project = files::project(plant.firm(), &[], "neutral")?;
        std::fs::write(folder.path().join("projects").join(format!("{}.toml", plant.firm().id)), project)?;
        let (broker, enrolment, portal) = (free_address()?, free_address()?, free_address()?);
        let shared = "data = \"data\"\nprojects = \"projects\"\nnames = [\"127.0.0.1\"]\n";
        let listen =
            format!("[listen]\nbroker = \"{broker}\"\nenrolment = \"{enrolment}\"\nportal = \"{portal}\"\n");
        let parts = [
            ("broker.toml", "roles = [\"broker\", \"enrolment\"]\n", String::new()),
            (
                "server.toml",
                "roles = [\"ingester\", \"portal\"]\n",
                format!("[broker]\nmode = \"external\"\nurl = \"mqtts://{broker}\"\nca = \"data/ca.pem\"\n"),
            ),
        ];
        for (name, roles, outside) in parts {
            std::fs::write(folder.path().join(name), format!("{shared}{roles}{listen}{outside}"))?;
        }
        Ok(Self { agent, config, state, folder, plant, broker, enrolment, portal })
    }

    /// The firm's folder: its logs, and the manifest of an agent that runs here.
    pub fn factory(&self) -> PathBuf {
        self.path("factory")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the broker, with enrolment.
    ///
    /// # Errors
    /// When it does not listen.
    pub async fn start_broker(&self) -> anyhow::Result<Process> {
        let mut process = Program::shipped("inuse-server")?.start(&self.path("broker.toml"))?;
        process.listens(&self.broker).await?;
        Ok(process)
    }

    /// Starts ingester and portal.
    ///
    /// # Errors
    /// When they do not listen.
    pub async fn start_server(&self) -> anyhow::Result<Process> {
        let mut process = Program::shipped("inuse-server")?.start(&self.path("server.toml"))?;
        process.listens(&self.portal).await?;
        Ok(process)
    }

    /// A new token for a gateway of the firm; the broker runs.
    ///
    /// # Errors
    /// When the command does not end well.
    pub async fn token(&self) -> anyhow::Result<String> {
        let server = Program::shipped("inuse-server")?;
        let token =
            server.output(&["project", "add", self.plant.firm().id], &self.path("broker.toml")).await?;
        Ok(token.trim().to_owned())
    }

    /// Where a gateway enrols.
    pub fn enrolment(&self) -> &str {
        &self.enrolment
    }

    /// Enrols the gateway with a new token and checks it; the broker runs.
    ///
    /// # Errors
    /// When one of the commands does not end well.
    pub async fn enrol(&self) -> anyhow::Result<()> {
        let token = self.token().await?;
        let enrol = ["enrol", "--yes", "--server", &self.enrolment, "--token", &token];
        let printed = self.agent.output(&enrol, &self.config).await?;
        let server = Program::shipped("inuse-server")?;
        confirm_by_hand(&server, &self.path("broker.toml"), self.plant.firm().id, &printed).await?;
        self.agent.output(&["check"], &self.config).await.map(drop)
    }

    /// Starts the agent and waits until it has read its machine.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start_agent(&self) -> anyhow::Result<Process> {
        let process = self.agent.start(&self.config)?;
        self.agent_says("the agent has read its machine", |status| status.sources[0].good > 0).await?;
        Ok(process)
    }

    /// Waits until the agent's status is as asked for, and returns it.
    ///
    /// # Errors
    /// When it goes on waiting.
    pub async fn agent_says(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> anyhow::Result<Status> {
        let socket = self.state.join("status.sock");
        until(what, || async { Ok(agent::status::ask(&socket).await.ok().filter(&wanted)) }).await
    }

    /// Waits until the running agent has read so many records.
    ///
    /// # Errors
    /// When it goes on waiting.
    pub async fn agent_reads(&self, records: u64) -> anyhow::Result<Status> {
        self.agent_says("the agent has read the log", |status| status.sources[1].records >= records).await
    }

    /// Everything sealed so far has its receipt, and there is something.
    ///
    /// # Errors
    /// When it goes on waiting.
    pub async fn reported(&self) -> anyhow::Result<Status> {
        let all = |status: &Status| {
            status.buffer.backlog == 0 && status.buffer.receipted == Some(status.buffer.head)
        };
        self.agent_says("all is receipted", all).await
    }

    /// Waits until the agent's store was written to.
    ///
    /// # Errors
    /// When it goes on waiting.
    pub async fn agent_flushes(&self) -> anyhow::Result<()> {
        let log = self.state.join("buffer.db-wal");
        let before = std::fs::metadata(&log)?.modified()?;
        let written = || async { Ok((std::fs::metadata(&log)?.modified()? > before).then_some(())) };
        until("the open window is flushed", written).await
    }

    /// The people report so many pieces of work, beside what they do by themselves.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn people_write(&self, lines: u32) -> anyhow::Result<()> {
        let firm = self.plant.firm();
        let form = firm.logs[0].form;
        let at_ms = SystemClock.stamp().wall_ms;
        for serial in 1..=lines {
            let event = Event { at_ms, account: 0, deed: Deed::Report, serial, quantity: 10 };
            let line = form.line(&event, &firm.accounts[0]).expect("work is reported in every form");
            self.plant.logs()[0].append(&(line + form.line_end()))?;
        }
        Ok(())
    }

    /// What the server has of the gateway.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn chain(&self) -> anyhow::Result<Chain> {
        self.chain_of(&self.state)
    }

    /// What the server has of the gateway that keeps its own in this folder.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn chain_of(&self, state: &Path) -> anyhow::Result<Chain> {
        let agent: AgentId = agent_of(state)?;
        Chain::read(&self.path("data"), agent)
    }

    /// What the stopped agent has of itself.
    ///
    /// # Errors
    /// When its store cannot be read.
    pub fn own(&self) -> anyhow::Result<Own> {
        let enrolled = std::fs::read(self.state.join("enrolment.json"))?;
        let enrolled: serde_json::Value = serde_json::from_slice(&enrolled)?;
        Own::read(&self.state, enrolled["log_vkey"].as_str().unwrap_or_default())
    }

    /// Ends the firm.
    ///
    /// # Errors
    /// When it does not end, or a device was written to.
    pub async fn end(self) -> anyhow::Result<()> {
        ensure!(self.plant.writes() == 0, "{} writes reached a device", self.plant.writes());
        self.plant.stop().await
    }
}
