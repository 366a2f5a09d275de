//! The whole road in one process: a server, and a gateway for each firm, composed of the shipped libraries.
//!
//! What is different from a city is the clock and that all of them share a process; sockets, TLS, MQTT, files and
//! databases are real.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent::{Agent, AgentConfig, Watched};
use anyhow::{Context as _, ensure};
use daemon::{Clock, Service, Tasks};
use server::commands::{Installing, add_project, confirm_agent, firm_code};
use server::compose::{Addresses, Server};
use server::config::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::plant::firm::Firm;
use crate::plant::{Plant, files};
use crate::process::Program;

/// Time a server or agent gets to stop.
const GRACE: Duration = Duration::from_secs(60);

/// A server at work in this process.
pub struct City {
    config: ServerConfig,
    addresses: Addresses,
    log_vkey: String,
    stop: CancellationToken,
    task: Tasks,
}

/// A gateway at work in this process.
pub struct Gateway {
    folder: PathBuf,
    stop: CancellationToken,
    task: Tasks,
}

/// Writes a `server.toml` for loopback into `folder` and returns it. Addresses are `host:port`, port 0 for any.
///
/// # Errors
/// When files cannot be written, or the configuration is not good.
pub fn server_config(
    folder: &Path,
    broker: &str,
    enrolment: &str,
    portal: &str,
) -> anyhow::Result<ServerConfig> {
    fs::create_dir_all(folder.join("projects"))?;
    let text = format!(
        "data = \"data\"\nprojects = \"projects\"\nnames = [\"127.0.0.1\", \"localhost\"]\n\n\
         [log]\norigin = \"demo.inuse.local/log\"\n\n\
         [listen]\nbroker = \"{broker}\"\nenrolment = \"{enrolment}\"\nportal = \"{portal}\"\n"
    );
    let path = folder.join("server.toml");
    fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
    Ok(ServerConfig::load(&path)?)
}

/// Writes the firm's project file and returns a token for its gateway.
///
/// # Errors
/// When files or the ledger cannot be written.
pub fn begin_project(config: &ServerConfig, firm: &Firm, clock: &dyn Clock) -> anyhow::Result<String> {
    let path = config.projects.join(format!("{}.toml", firm.id));
    fs::create_dir_all(&config.projects)?;
    fs::write(&path, files::project(firm, &[], "jiangmen")?)
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok(add_project(config, firm.id, firm.name, &Installing::default(), clock)?.token.to_string())
}

/// Confirms a gateway of this firm, as its representative and the city do who have read these words off it.
///
/// # Errors
/// When they are not its words, or the ledger cannot be written.
pub fn confirm(
    config: &ServerConfig,
    firm: &str,
    agent: &str,
    words: &str,
    clock: &dyn Clock,
) -> anyhow::Result<()> {
    let code = firm_code(config, firm, clock)?.to_string();
    confirm_agent(config, agent, words, "企业代表", Some(&code), clock)?;
    confirm_agent(config, agent, words, "平台运营", None, clock).map(drop)
}

/// Id and six words out of what `inuse-agent enrol` prints.
///
/// # Errors
/// When they are not there.
pub fn enrolled(printed: &str) -> anyhow::Result<(String, String)> {
    let value = |name: &str| {
        let line = printed.lines().find_map(|line| line.trim().strip_prefix(name));
        line.map(|value| value.trim().to_owned()).with_context(|| format!("no `{name}` in: {printed}"))
    };
    let words = value("words:")?;
    let chinese = words.split(" (").next().unwrap_or_default().to_owned();
    Ok((value("agent:")?, chinese))
}

/// The commands of the server by which a firm and the city confirm the gateway that printed this as it was enrolled.
///
/// # Errors
/// When one does not end well.
pub async fn confirm_by_hand(
    server: &Program,
    config: &Path,
    firm: &str,
    printed: &str,
) -> anyhow::Result<()> {
    let (agent, words) = enrolled(printed)?;
    let code = server.output(&["project", "code", firm], config).await?;
    let by_city = ["agent", "confirm", &agent, "--words", &words, "--name", "平台运营"];
    server.output(&by_city, config).await?;
    let by_firm = [&by_city[..6], &["企业代表", "--firm-code", code.trim()]].concat();
    let said = server.output(&by_firm, config).await?;
    ensure!(said.contains("confirmed by the firm") && !said.contains("waits"), "{said}");
    Ok(())
}

impl City {
    /// Starts a server.
    ///
    /// # Errors
    /// When it cannot be built.
    pub async fn start(config: ServerConfig, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let server = Server::build(config.clone(), clock).await.context("could not build the server")?;
        let addresses = server.addresses();
        let log_vkey = server.log_vkey().to_owned();
        let stop = CancellationToken::new();
        let mut task = Tasks::new();
        task.spawn("server", server.run(stop.clone()));
        Ok(Self { config, addresses, log_vkey, stop, task })
    }

    /// Its configuration.
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// The log's verifier key.
    pub fn log_vkey(&self) -> &str {
        &self.log_vkey
    }

    /// Where agents enrol.
    ///
    /// # Panics
    /// When it does not play that part.
    pub fn enrolment(&self) -> SocketAddr {
        self.addresses.enrolment.expect("this server enrols")
    }

    /// Where the broker listens.
    ///
    /// # Panics
    /// When it does not play that part.
    pub fn broker(&self) -> SocketAddr {
        self.addresses.broker.expect("this server has a broker")
    }

    /// Where the pages are.
    ///
    /// # Panics
    /// When it does not play that part.
    pub fn portal(&self) -> SocketAddr {
        self.addresses.portal.expect("this server has a portal")
    }

    /// Stops it along the road.
    ///
    /// # Errors
    /// Its first failure.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.finish(GRACE).await
    }

    /// What went wrong with somebody who needs this server: where it had failed itself, that as well.
    pub async fn blame(self, error: anyhow::Error) -> anyhow::Error {
        match self.stop().await {
            Ok(()) => error,
            Err(own) => error.context(format!("the server had failed: {own:#}")),
        }
    }
}

/// Writes `agent.toml` into `folder`; `manifest.toml` is expected beside it.
///
/// # Errors
/// When it cannot be written.
pub fn write_agent_config(folder: &Path, flush: Duration) -> anyhow::Result<PathBuf> {
    let path = folder.join("agent.toml");
    let text = format!(
        "state_dir = \"state\"\nmanifest = \"manifest.toml\"\n\n[buffer]\nflush = \"{}s\"\n",
        flush.as_secs()
    );
    fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
    Ok(path)
}

impl Gateway {
    /// Writes what a provider would write about `plant` into its folder, enrols, and is confirmed by firm and city.
    ///
    /// # Errors
    /// When files cannot be written or enrolment fails.
    pub async fn enrol(
        plant: &Plant,
        cadence: Duration,
        flush: Duration,
        city: &City,
        token: &str,
        clock: &dyn Clock,
    ) -> anyhow::Result<PathBuf> {
        let folder = plant.folder();
        files::write_manifest(plant, folder, cadence)?;
        let config = write_agent_config(folder, flush)?;
        let (_, manifest) = AgentConfig::load(&config)?;
        let watched = Watched { manifest: &manifest, now_ms: clock.stamp().wall_ms };
        let (state, server) = (folder.join("state"), city.enrolment().to_string());
        let enrolled = agent::enrol(&state, &server, token, Some(watched)).await?;
        let agent = enrolled.agent.to_string();
        confirm(city.config(), plant.firm().id, &agent, &enrolled.words.zh(), clock)?;
        Ok(config)
    }

    /// Starts the agent of this configuration in this process.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn start(config: &Path, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let (checked, manifest) = AgentConfig::load(config)?;
        let agent = Agent::build(checked, manifest, clock).context("could not build the agent")?;
        let stop = CancellationToken::new();
        let mut task = Tasks::new();
        task.spawn("agent", agent.run(stop.clone(), Service::none()));
        let folder = config.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Self { folder, stop, task })
    }

    /// What it knows of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self) -> anyhow::Result<agent::status::Status> {
        Ok(agent::status::ask(&self.folder.join("state/status.sock")).await?)
    }

    /// Stops it along the road.
    ///
    /// # Errors
    /// Its first failure.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.finish(GRACE).await
    }
}
