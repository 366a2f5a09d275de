//! A first window with its receipt: made here in a minute, or waited for.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use buffer::Buffer;
use daemon::{Clock, Service, Stopwatch};
use tokio_util::sync::CancellationToken;

use super::ask::{Console, Ended};
use crate::status::{self, Status};
use crate::{Agent, AgentConfig};

/// How long a trial looks at its sources at least, and at most.
const TRIAL: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];

/// How long a running service is waited for: a window, and what may pass until it is sent.
const WAIT: Duration = Duration::from_secs(15 * 60);

const LOOK: Duration = Duration::from_millis(500);

/// A window that the server has recorded.
#[derive(Debug, Clone)]
pub(super) struct Proved {
    pub(super) seq: u64,
    pub(super) server: String,
    /// Names of sources that were read, and of those that were not.
    pub(super) read: Vec<String>,
    pub(super) unread: Vec<String>,
}

/// Runs the agent until every source was tried and the broker has it, stops it as a service manager would, and sees that
/// the short window which that makes has its receipt.
pub(super) async fn run(
    console: &Console,
    path: &Path,
    clock: &Arc<dyn Clock>,
    stop: &CancellationToken,
) -> anyhow::Result<Proved> {
    let (config, manifest) = AgentConfig::load(path)?;
    let agent =
        Agent::build(config.clone(), manifest, Arc::clone(clock)).context("the agent does not start")?;
    console.say("试运行……", "Trying it out …")?;
    let (end, began, socket) = (CancellationToken::new(), Stopwatch::start(), config.status_socket());
    let mut last = Status::default();
    let running = agent.run(end.clone(), Service::none());
    let mut running = std::pin::pin!(running);
    let watching = async {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Ok(status) = status::ask(&socket).await {
                last = status;
            }
            let tried =
                last.sources.iter().all(|source| source.good + source.failed > 0) && !last.sources.is_empty();
            let done = tried && last.link.connected && began.elapsed() > TRIAL[0];
            if done || began.elapsed() > TRIAL[1] {
                return;
            }
        }
    };
    tokio::select! {
        ended = &mut running => {
            ended.context("the agent has ended by itself")?;
            bail!("the agent has ended by itself");
        }
        () = watching => {}
    }
    end.cancel();
    running.await?;
    if stop.is_cancelled() {
        return Err(Ended::Stopped.into());
    }
    if let Some(why) = last.link.error.as_ref().filter(|_| !last.link.connected) {
        bail!("no connection to the broker {}: {why}", last.link.broker);
    }
    let (buffer, _) = Buffer::open(&config.buffer_path(), config.bounds, clock.stamp().wall_ms)?;
    let health = buffer.health()?;
    buffer.close()?;
    let receipt = health.last_receipt.context("the server has sent no receipt")?;
    if health.backlog > 0 {
        bail!("{} proofs have no receipt yet", health.backlog);
    }
    Ok(proved(receipt.seq, last))
}

/// Waits for a running service's next receipt.
pub(super) async fn wait(
    console: &Console,
    config: &AgentConfig,
    stop: &CancellationToken,
) -> anyhow::Result<Proved> {
    let socket = config.status_socket();
    let first = status::ask(&socket).await.with_context(|| {
        format!(
            "no agent answers on {}: start the service (systemctl enable --now inuse-agent)",
            socket.display()
        )
    })?;
    console.say(
        "窗口在每个整十分钟封存，之后两分钟内发出。等待……",
        "A window is sealed at each ten minutes and sent within two more. Waiting …",
    )?;
    let began = Stopwatch::start();
    while began.elapsed() < WAIT {
        tokio::select! {
            () = stop.cancelled() => return Err(Ended::Stopped.into()),
            () = tokio::time::sleep(LOOK * 4) => {}
        }
        let status = status::ask(&socket).await?;
        // The first entry of a chain declares the manifest; a window comes after it.
        let newest = status.buffer.receipted.filter(|seq| *seq >= 2 && Some(*seq) > first.buffer.receipted);
        if let Some(seq) = newest {
            return Ok(proved(seq, status));
        }
    }
    bail!("no window had its receipt within {} minutes", WAIT.as_secs() / 60)
}

fn proved(seq: u64, status: Status) -> Proved {
    let (read, unread): (Vec<_>, Vec<_>) = status.sources.into_iter().partition(|source| source.good > 0);
    let names = |sources: Vec<status::SourceStatus>| sources.into_iter().map(|source| source.name).collect();
    Proved { seq, server: status.link.broker, read: names(read), unread: names(unread) }
}
