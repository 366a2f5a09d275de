//! `witness.toml`: raw, then checked.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use daemon::config::Complaints;
use proof::policy::Policy;
use serde::Deserialize;

/// The checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessConfig {
    /// Key and checkpoints. Belongs to one witness; what is lost with it cannot be made good.
    pub data: PathBuf,
    /// The name it signs by: an address without a scheme, by custom.
    pub name: String,
    /// Where it listens; port 0 takes one that is free.
    pub listen: SocketAddr,
    /// Verifier keys of the logs that it cosigns.
    pub logs: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    data: Option<String>,
    name: Option<String>,
    listen: Option<String>,
    logs: Option<Vec<String>>,
}

const LISTEN: &str = "127.0.0.1:8090";

impl WitnessConfig {
    /// Reads and checks a file; relative paths start at its folder.
    ///
    /// # Errors
    /// All complaints.
    pub fn load(path: &Path) -> Result<Self, Complaints> {
        let (raw, complaints) = daemon::config::read::<Raw>(path)?;
        check(raw, complaints, path.parent().unwrap_or(Path::new("")))
    }

    /// Checks text as if it stood in a file `name` in `directory`.
    ///
    /// # Errors
    /// All complaints.
    pub fn parse(name: &str, text: &str, directory: &Path) -> Result<Self, Complaints> {
        let (raw, complaints) = daemon::config::parse::<Raw>(name, text)?;
        check(raw, complaints, directory)
    }
}

fn check(raw: Raw, mut complaints: Complaints, base: &Path) -> Result<WitnessConfig, Complaints> {
    let c = &mut complaints;
    let data = c.required("data", raw.data).map(|data| base.join(data)).unwrap_or_default();
    let name = c.required("name", raw.name).unwrap_or_default();
    if name.is_empty() || name.len() > 200 || name.chars().any(|x| x.is_whitespace() || x == '+') {
        c.add("name", "must be 1 to 200 bytes without spaces and `+`");
    }
    let listen = raw.listen.unwrap_or_else(|| LISTEN.to_owned());
    let address = listen.parse().unwrap_or_else(|_| {
        c.add("listen", format!("`{listen}` is not an address and port; write it like \"{LISTEN}\""));
        SocketAddr::from(([127, 0, 0, 1], 0))
    });
    let logs = c.required("logs", raw.logs).unwrap_or_default();
    if logs.is_empty() {
        c.add("logs", "is empty: nothing would be cosigned");
    }
    let mut names = Vec::new();
    for (at, log) in logs.iter().enumerate() {
        // A policy of this one log says whether it is one.
        let policy = Policy::parse(&format!("log {log}\nquorum none\n"));
        if policy.is_err() {
            c.add(format!("logs[{at}]"), format!("`{log}` is not the verifier key of a log"));
        }
        let name = log.split('+').next().unwrap_or_default();
        if names.contains(&name) {
            c.add(format!("logs[{at}]"), format!("a second key of `{name}`"));
        }
        names.push(name);
    }
    complaints.or(WitnessConfig { data, name, listen: address, logs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let text = "name = \"a b\"\nlisten = \"here\"\nlogs = [\"x\", \"x\"]\n";
        let complaints = WitnessConfig::parse("w.toml", text, Path::new("")).unwrap_err().to_string();
        for path in ["data", "name", "listen", "logs[0]", "logs[1]"] {
            assert!(complaints.contains(path), "{path}: {complaints}");
        }
        let empty = WitnessConfig::parse("w.toml", "data = \"d\"\nname = \"n\"\nlogs = []\n", Path::new(""));
        assert!(empty.unwrap_err().to_string().contains("empty"));
    }
}
