//! `--live`: the same plant in real time, watched by the shipped programs as processes of their own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use daemon::{Clock as _, SystemClock};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::Demo;
use crate::plant::Plant;
use crate::plant::files;
use crate::recordings::local_day;
use crate::road::{confirm, enrolled, server_config, write_agent_config};

/// Polls of every source.
const CADENCE: Duration = Duration::from_secs(5);

/// Flushes of every buffer.
const FLUSH: Duration = Duration::from_secs(10);

/// How long a program gets to stop.
const GRACE: Duration = Duration::from_secs(40);

pub(super) async fn run(demo: &Demo, folder: &Path, stop: CancellationToken) -> anyhow::Result<()> {
    let programs = build().await?;
    let broker = free_address()?;
    let enrolment = free_address()?;
    let portal = if demo.once { free_address()? } else { demo.portal.clone() };
    let config = server_config(folder, &broker, &enrolment, &portal)?;
    let server_toml = folder.join("server.toml");
    let (today, _) = local_day(SystemClock.stamp().wall_ms);
    let mut plants = Vec::new();
    for firm in demo.firms(today)? {
        let place = folder.join(firm.id);
        std::fs::create_dir_all(&place)?;
        std::fs::write(
            config.projects.join(format!("{}.toml", firm.id)),
            files::project(&firm, &[], "jiangmen")?,
        )?;
        plants.push(Plant::start(firm, &place, Arc::new(SystemClock), Duration::from_secs(1)).await?);
    }
    let mut tokens = Vec::new();
    for plant in &plants {
        let added =
            output(&programs.join("inuse-server"), &["project", "add", plant.firm().id], &server_toml)
                .await?;
        let token = added
            .split_whitespace()
            .find(|word| word.starts_with("inuse1-"))
            .context("no token was printed")?;
        tokens.push(token.to_owned());
    }
    let server = start(&programs.join("inuse-server"), &server_toml)?;
    wait_for(&portal).await?;
    let mut agents = Vec::new();
    for (plant, token) in plants.iter().zip(&tokens) {
        files::write_manifest(plant, plant.folder(), CADENCE)?;
        let agent_toml = write_agent_config(plant.folder(), FLUSH)?;
        let enrol = ["enrol", "--yes", "--server", &enrolment, "--token", token];
        let printed = output(&programs.join("inuse-agent"), &enrol, &agent_toml).await?;
        let (agent, words) = enrolled(&printed)?;
        confirm(&config, plant.firm().id, &agent, &words, &SystemClock)?;
        agents.push(start(&programs.join("inuse-agent"), &agent_toml)?);
    }
    tracing::info!(portal = %format!("http://{portal}/"), agents = agents.len(), "running in real time until ctrl-c");
    if demo.once {
        tokio::select! { () = stop.cancelled() => {}, () = tokio::time::sleep(Duration::from_secs(30)) => {} }
    } else {
        stop.cancelled().await;
    }
    // Along the road: agents first, so that the server has what they sealed last.
    for agent in agents {
        end(agent).await?;
    }
    end(server).await?;
    for plant in plants {
        plant.stop().await?;
    }
    Ok(())
}

/// Builds the shipped programs and returns the folder they are in: the one this program is in.
async fn build() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--package",
            "tests",
            "--package",
            "agent",
            "--package",
            "server",
            "--bins",
        ])
        .stdin(Stdio::null())
        .status()
        .await?;
    if !built.success() {
        bail!("the programs could not be built");
    }
    let own = std::env::current_exe()?;
    Ok(own.parent().context("a program is in a folder")?.to_owned())
}

/// An address of loopback that was free a moment ago.
fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Runs a program to its end and returns what it printed.
async fn output(program: &Path, args: &[&str], config: &Path) -> anyhow::Result<String> {
    let ran =
        Command::new(program).args(args).arg("--config").arg(config).stdin(Stdio::null()).output().await?;
    let printed = String::from_utf8_lossy(&ran.stdout).into_owned();
    if !ran.status.success() {
        bail!("{} {}: {}{}", program.display(), args[0], printed, String::from_utf8_lossy(&ran.stderr));
    }
    Ok(printed)
}

/// Starts a program that runs until it is told to stop; its log lines come out under its name.
fn start(program: &Path, config: &Path) -> anyhow::Result<Child> {
    let mut child = Command::new(program)
        .arg("run")
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("could not start {}", program.display()))?;
    let lines = child.stderr.take().context("a piped standard error")?;
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let place = config.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    #[expect(clippy::disallowed_methods, reason = "ends with the child, whose end is waited for")]
    tokio::spawn(async move {
        let mut lines = BufReader::new(lines).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            tracing::info!("{name} {place}: {line}");
        }
    });
    Ok(child)
}

async fn wait_for(address: &str) -> anyhow::Result<()> {
    for _ in 0..300 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("nobody listens on {address} after 30 s")
}

/// SIGTERM, then its end within the grace period.
async fn end(mut child: Child) -> anyhow::Result<()> {
    if let Some(pid) = child.id() {
        let told = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        anyhow::ensure!(told.success(), "could not signal {pid}");
    }
    let ended =
        tokio::time::timeout(GRACE, child.wait()).await.context("a program did not stop in time")??;
    anyhow::ensure!(ended.success(), "a program ended with {ended}");
    Ok(())
}
