//! A line named on the command line, and whether somebody uses it already.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::{AgentConfig, line_use};
use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use collectors::manifest::{Framing, Line, Parity, Serial, Source, Transport};
use collectors::modbus::hand::{Hand, SHORTEST_GAP};

/// Which line to ask on.
#[derive(Debug, Args)]
pub(crate) struct LineArgs {
    /// A device or converter, host:port.
    #[arg(long, conflicts_with = "serial")]
    pub(crate) connect: Option<String>,
    /// A serial port of this gateway.
    #[arg(long)]
    serial: Option<PathBuf>,
    /// How frames look: tcp unless it is a serial port; rtu for a converter that passes bytes on.
    #[arg(long)]
    framing: Option<Frames>,
    /// Bits a second of the serial line, here or behind the converter.
    #[arg(long, default_value_t = 9_600, value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    baud: u32,
    /// Of a serial port.
    #[arg(long, default_value = "none")]
    parity: Bits,
    /// Of a serial port.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    stop_bits: u8,
    /// Longest wait for an answer.
    #[arg(long, default_value = "500ms", value_parser = duration)]
    timeout: Duration,
    /// Time between an answer and the next question: 50ms at least.
    #[arg(long, default_value = "200ms", value_parser = duration)]
    gap: Duration,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Frames {
    Tcp,
    Rtu,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Bits {
    None,
    Even,
    Odd,
}

/// A duration as it is written in the files.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let length = daemon::config::parse_duration(text).ok_or("write it like \"500ms\" or \"2s\"")?;
    if length > Duration::from_secs(60) { Err("at most 60s".to_owned()) } else { Ok(length) }
}

/// `7` or `1-247`.
pub(crate) fn range<T: std::str::FromStr + PartialOrd + Copy>(text: &str) -> Result<(T, T), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number =
        |text: &str| text.trim().parse::<T>().map_err(|_| format!("`{text}` is not a number in range"));
    let (first, last) = (number(first)?, number(last)?);
    if first > last { Err("the first is above the last".to_owned()) } else { Ok((first, last)) }
}

impl LineArgs {
    /// The line.
    pub(crate) fn line(&self) -> anyhow::Result<Line> {
        let (transport, usual) = match (&self.connect, &self.serial) {
            (Some(endpoint), None) => {
                let port = endpoint.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
                ensure!(port.is_some(), "--connect `{endpoint}` is not host:port (the usual port is 502)");
                (Transport::Connect { endpoint: endpoint.clone() }, Framing::Tcp)
            }
            (None, Some(path)) => {
                let parity = match self.parity {
                    Bits::None => Parity::None,
                    Bits::Even => Parity::Even,
                    Bits::Odd => Parity::Odd,
                };
                let serial = Serial { path: path.clone(), parity, stop_bits: self.stop_bits };
                (Transport::Serial(serial), Framing::Rtu)
            }
            (Some(_), Some(_)) | (None, None) => anyhow::bail!("say --connect host:port or --serial /dev/…"),
        };
        let framing = match self.framing {
            None => usual,
            Some(Frames::Rtu) => Framing::Rtu,
            Some(Frames::Tcp) => {
                ensure!(usual == Framing::Tcp, "frames on a serial port are rtu");
                Framing::Tcp
            }
        };
        Ok(Line { transport, framing, baud: self.baud, pause: Duration::ZERO })
    }

    /// A hand on the line, unless the running agent has it.
    pub(crate) async fn hand(&self, config: &Path) -> anyhow::Result<Hand> {
        ensure!(
            self.gap >= SHORTEST_GAP,
            "--gap is at least {SHORTEST_GAP:?}: others speak on this line, too"
        );
        let line = self.line()?;
        if let Some(socket) = socket(config) {
            line_use::ensure_free(&socket, &line).await?;
        }
        Ok(Hand::new(&line, self.timeout, self.gap))
    }
}

/// Refuses a source whose line the running agent asks on.
pub(crate) async fn ensure_free_for(config: &Path, source: &Source) -> anyhow::Result<()> {
    match socket(config) {
        Some(socket) => line_use::ensure_free_for(&socket, source).await,
        None => Ok(()),
    }
}

/// Where the agent with this configuration tells its status; without one there is no agent of ours to disturb.
fn socket(config: &Path) -> Option<PathBuf> {
    AgentConfig::load(config).ok().map(|(config, _)| config.status_socket())
}

/// Says what to do about a line that is not there, where that is known.
pub(crate) fn not_there(hand: &Hand, error: collectors::CollectError) -> anyhow::Error {
    let text = daemon::chain(&error).to_lowercase();
    let remedy = if text.contains("busy") || text.contains("lock") || text.contains("temporarily unavailable")
    {
        Some("another program has the port open")
    } else if text.contains("permission") {
        Some("this user may not open it: the group is often dialout")
    } else {
        None
    };
    let asked = Err::<(), _>(error);
    match remedy {
        Some(remedy) => asked.context(format!("{}: {remedy}", hand.address())),
        None => asked.with_context(|| format!("{} is not there", hand.address())),
    }
    .expect_err("an error stays one")
}
