//! `agent.toml`: raw → checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use buffer::Bounds;
use daemon::config::Complaints;
use serde::Deserialize;

/// The checked configuration of one agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentConfig {
    /// Where keys, certificates and the buffer live. Nobody else writes there.
    pub state_dir: PathBuf,
    /// What to watch.
    pub manifest: PathBuf,
    /// Another broker than the one named at enrolment.
    pub broker: Option<BrokerAddress>,
    /// How long observations of the open window may stay in memory.
    pub flush: Duration,
    /// How much the buffer may keep.
    pub bounds: Bounds,
    /// How long a stop may take before what is left waits for the next start.
    pub grace: Duration,
}

/// Host and port of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    /// DNS name or IP address; the broker's certificate must name it.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    state_dir: Option<PathBuf>,
    manifest: Option<PathBuf>,
    grace: Option<String>,
    #[serde(default)]
    broker: RawBroker,
    #[serde(default)]
    buffer: RawBuffer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBroker {
    host: Option<String>,
    port: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBuffer {
    flush: Option<String>,
    raw_mib: Option<u64>,
    file_mib: Option<u64>,
}

/// Where packages put the state directory.
#[cfg(feature = "setup")]
pub(crate) const STATE_DIR: &str = "/var/lib/inuse";

const MIB: u64 = 1 << 20;

impl AgentConfig {
    /// Loads the file and the manifest it names; paths in it are relative to the file.
    ///
    /// # Errors
    /// All complaints about both files at once.
    pub fn load(path: &Path) -> Result<(Self, collectors::manifest::Manifest), Complaints> {
        let (config, mut complaints) = Self::alone(path)?;
        let manifest = match &config {
            Some(config) => collectors::manifest::Manifest::load(&config.manifest).map_or_else(
                |wrong| {
                    complaints.join(wrong);
                    None
                },
                Some,
            ),
            None => None,
        };
        match (config, manifest) {
            (Some(config), Some(manifest)) => complaints.or((config, manifest)),
            _ => Err(complaints),
        }
    }

    /// What the file alone says, as far as it can be understood, and what is wrong in it.
    pub(crate) fn alone(path: &Path) -> Result<(Option<Self>, Complaints), Complaints> {
        let (raw, mut complaints) = daemon::config::read::<Raw>(path)?;
        let dir = path.parent().unwrap_or(Path::new("."));
        Ok((Self::check(raw, dir, &mut complaints), complaints))
    }

    fn check(raw: Raw, dir: &Path, complaints: &mut Complaints) -> Option<Self> {
        let state_dir = complaints.required("state_dir", raw.state_dir);
        let manifest = raw.manifest.unwrap_or_else(|| "manifest.toml".into());
        let seconds = Duration::from_secs;
        let grace = complaints.duration("grace", raw.grace, seconds(20), seconds(1)..=seconds(300));
        let flush =
            complaints.duration("buffer.flush", raw.buffer.flush, seconds(60), seconds(10)..=seconds(600));
        let raw_mib = complaints.number("buffer.raw_mib", raw.buffer.raw_mib, 4096, 16..=1 << 20);
        let file_mib =
            complaints.number("buffer.file_mib", raw.buffer.file_mib, raw_mib + 1024, 64..=1 << 20);
        if file_mib <= raw_mib {
            complaints.add(
                "buffer.file_mib",
                format!("{file_mib} leaves no room for proofs beside raw_mib = {raw_mib}"),
            );
        }
        let host = raw.broker.host;
        let port = raw.broker.port;
        let broker = match (host, port) {
            (Some(host), port) if !host.is_empty() => {
                Some(BrokerAddress { host, port: port.unwrap_or(8883) })
            }
            (Some(_), _) => {
                complaints.add("broker.host", "is empty");
                None
            }
            (None, Some(_)) => {
                complaints.add("broker.host", "is missing, although broker.port is given");
                None
            }
            (None, None) => None,
        };
        Some(Self {
            state_dir: dir.join(state_dir?),
            manifest: dir.join(manifest),
            broker,
            flush,
            bounds: Bounds { raw_bytes: raw_mib * MIB, file_bytes: file_mib * MIB, ..Bounds::default() },
            grace,
        })
    }

    /// The buffer's file.
    pub fn buffer_path(&self) -> PathBuf {
        self.state_dir.join("buffer.db")
    }

    /// The socket on which a running agent tells its status.
    pub fn status_socket(&self) -> PathBuf {
        self.state_dir.join(crate::status::SOCKET)
    }

    /// The whole effective configuration as TOML.
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "state_dir = {:?}\nmanifest = {:?}\ngrace = \"{}s\"\n",
            self.state_dir,
            self.manifest,
            self.grace.as_secs()
        );
        if let Some(BrokerAddress { host, port }) = &self.broker {
            text.push_str(&format!("\n[broker]\nhost = {host:?}\nport = {port}\n"));
        }
        text.push_str(&format!(
            "\n[buffer]\nflush = \"{}s\"\nraw_mib = {}\nfile_mib = {}\n",
            self.flush.as_secs(),
            self.bounds.raw_bytes / MIB,
            self.bounds.file_bytes / MIB
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<AgentConfig, String> {
        let (raw, mut complaints) =
            daemon::config::parse::<Raw>("agent.toml", text).map_err(|wrong| wrong.to_string())?;
        let config = AgentConfig::check(raw, Path::new("/etc/inuse"), &mut complaints);
        let list = complaints.list().iter().map(|c| format!("{}: {}", c.path, c.problem)).collect::<Vec<_>>();
        if list.is_empty() { Ok(config.unwrap()) } else { Err(list.join("\n")) }
    }

    #[test]
    fn a_state_dir_is_all_that_is_needed() {
        let config = load("state_dir = \"/var/lib/inuse\"").unwrap();
        assert_eq!(config.state_dir, Path::new("/var/lib/inuse"));
        assert_eq!((config.flush, config.broker), (Duration::from_secs(60), None));
    }

    #[test]
    fn the_commented_example_says_what_the_defaults_are() {
        let example = include_str!("../../config/agent.toml");
        assert_eq!(
            load(example).unwrap(),
            load("state_dir = \"/var/lib/inuse\"\nmanifest = \"manifest.toml\"").unwrap()
        );
    }

    #[test]
    fn all_complaints_come_at_once() {
        let wrong = load(
            "grace = \"1h\"\nodd = 1\n[broker]\nport = 70000\n[buffer]\nflush = \"1s\"\nfile_mib = 64\n",
        );
        let wrong = wrong.unwrap_err();
        for path in ["odd", "state_dir", "grace", "broker.port", "buffer.flush", "buffer.file_mib"] {
            assert!(wrong.lines().any(|line| line.starts_with(&format!("{path}: "))), "{path} in\n{wrong}");
        }
    }

    #[test]
    fn the_printed_configuration_reads_back_the_same() {
        let config =
            load("state_dir = \"/var/lib/inuse\"\nmanifest = \"/etc/inuse/m.toml\"\n[broker]\nhost = \"b\"")
                .unwrap();
        let again = load(&config.to_toml()).unwrap();
        assert_eq!(again, config);
    }
}
