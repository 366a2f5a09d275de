//! `server.toml`: raw, then checked. The rest of the program sees only [`ServerConfig`].
//!
//! Relative paths start at the directory of the file. All complaints come at once.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use daemon::config::Complaints;
use daemon::files;
use proof::policy::{MAX_POLICY, Policy};
use serde::Deserialize;

use crate::witnesses;

/// What one process does. All of it on one box, or one part where a city has outgrown that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The embedded MQTT broker.
    Broker,
    /// Takes parcels off the broker, verifies, records, answers.
    Ingester,
    /// Enrols agents.
    Enrolment,
    /// Pages, read-only.
    Portal,
}

impl Part {
    /// All of them, along the road.
    pub const ALL: [Self; 4] = [Self::Broker, Self::Ingester, Self::Enrolment, Self::Portal];

    /// As in `roles`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Ingester => "ingester",
            Self::Enrolment => "enrolment",
            Self::Portal => "portal",
        }
    }
}

/// The checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Keys, certificates and the ledger. Belongs to one server.
    pub data: PathBuf,
    /// `<id>.toml` for each firm.
    pub projects: PathBuf,
    /// Calendars; `None`: those that are built in.
    pub calendars: Option<PathBuf>,
    /// City profiles; `None`: those that are built in.
    pub profiles: Option<PathBuf>,
    /// DNS names and IP addresses agents reach this server by: the server certificate's names. The first is told to
    /// agents as the broker's host.
    pub names: Vec<String>,
    /// What this process does.
    pub roles: BTreeSet<Part>,
    /// Name of the log, first line of its checkpoints.
    pub origin: String,
    /// Who cosigns its checkpoints; `None`: nobody.
    pub witnesses: Option<WitnessFile>,
    /// Where to listen.
    pub listen: Listen,
    /// Which broker.
    pub broker: BrokerChoice,
}

/// Addresses to listen on; port 0 takes one that is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// MQTT over TLS.
    pub broker: SocketAddr,
    /// Enrolment over TLS.
    pub enrolment: SocketAddr,
    /// Pages over plain HTTP: put a proxy with a certificate in front, or keep it on loopback.
    pub portal: SocketAddr,
}

/// A file with a policy, C2SP tlog-policy, and what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessFile {
    /// The file.
    pub path: PathBuf,
    /// Its policy: each witness has an address.
    pub policy: Policy,
}

/// The broker between agents and ingester.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerChoice {
    /// In this process.
    Embedded,
    /// Somebody else's, which trusts our authority and keeps the same rules.
    External(ExternalBroker),
}

/// How the ingester reaches an external broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalBroker {
    /// Host name or address; agents are told the same.
    pub host: String,
    /// TCP port; agents are told the same.
    pub port: u16,
    /// PEM of the authority of the broker's certificate.
    pub ca: PathBuf,
    /// PEM of the ingester's client certificate; `None`: the one this server makes.
    pub client: Option<ClientFiles>,
}

/// A client certificate in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// PEM of the certificate and its chain.
    pub cert: PathBuf,
    /// PEM of the key.
    pub key: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    data: Option<String>,
    projects: Option<String>,
    calendars: Option<String>,
    profiles: Option<String>,
    names: Option<Vec<String>>,
    roles: Option<Vec<String>>,
    #[serde(default)]
    log: RawLog,
    #[serde(default)]
    listen: RawListen,
    #[serde(default)]
    broker: RawBroker,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    origin: Option<String>,
    witnesses: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawListen {
    broker: Option<String>,
    enrolment: Option<String>,
    portal: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBroker {
    mode: Option<String>,
    url: Option<String>,
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

const ORIGIN: &str = "inuse.local/log";
const BROKER: &str = "0.0.0.0:8883";
const ENROLMENT: &str = "0.0.0.0:8884";
const PORTAL: &str = "127.0.0.1:8080";

impl ServerConfig {
    /// Reads and checks a file.
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

fn check(raw: Raw, mut complaints: Complaints, base: &Path) -> Result<ServerConfig, Complaints> {
    let c = &mut complaints;
    let place = |text: String| base.join(text);
    let data = c.required("data", raw.data).map(place).unwrap_or_default();
    let projects = c.required("projects", raw.projects).map(place).unwrap_or_default();
    let calendars = raw.calendars.map(place);
    let profiles = raw.profiles.map(place);
    for (path, directory) in [("calendars", &calendars), ("profiles", &profiles)] {
        if let Some(directory) = directory.as_ref().filter(|directory| !directory.is_dir()) {
            c.add(path, format!("no such directory `{}`", directory.display()));
        }
    }
    let names = c.required("names", raw.names).unwrap_or_default();
    check_names(&names, c);
    let roles = raw.roles;
    let roles = check_roles(roles, c);
    let origin = raw.log.origin.unwrap_or_else(|| ORIGIN.to_owned());
    if origin.is_empty() || origin.len() > 200 || origin.chars().any(|x| x.is_whitespace() || x == '+') {
        c.add("log.origin", "must be 1 to 200 bytes without spaces and `+`");
    }
    let witnesses = raw.log.witnesses.and_then(|path| check_witnesses(base.join(path), c));
    let listen = Listen {
        broker: check_address("listen.broker", raw.listen.broker, BROKER, c),
        enrolment: check_address("listen.enrolment", raw.listen.enrolment, ENROLMENT, c),
        portal: check_address("listen.portal", raw.listen.portal, PORTAL, c),
    };
    let broker = check_broker(raw.broker, base, c);
    if matches!(broker, BrokerChoice::External(_)) && roles.contains(&Part::Broker) && roles != all_parts() {
        c.add("roles", "names the broker, and `broker.mode` says it is external");
    }
    if roles.contains(&Part::Ingester) && !roles.contains(&Part::Broker) && broker == BrokerChoice::Embedded {
        c.add("broker.mode", "must be \"external\" for an ingester without the broker");
    }
    complaints.or(ServerConfig {
        data,
        projects,
        calendars,
        profiles,
        names,
        roles,
        origin,
        witnesses,
        listen,
        broker,
    })
}

fn check_witnesses(path: PathBuf, c: &mut Complaints) -> Option<WitnessFile> {
    let text = match files::read_small(&path, MAX_POLICY as u64) {
        Ok(Some(text)) => text,
        Ok(None) => {
            c.add("log.witnesses", format!("no such file `{}`", path.display()));
            return None;
        }
        Err(error) => {
            c.add("log.witnesses", format!("cannot read {}: {error}", path.display()));
            return None;
        }
    };
    match Policy::parse(&text) {
        Ok(policy) => {
            if let Err(error) = witnesses::all_have_addresses(&policy) {
                c.add("log.witnesses", format!("{}: {error:#}", path.display()));
            }
            Some(WitnessFile { path, policy })
        }
        Err(wrong) => {
            for wrong in wrong {
                c.add("log.witnesses", format!("{}, {wrong}", path.display()));
            }
            None
        }
    }
}

fn all_parts() -> BTreeSet<Part> {
    Part::ALL.into_iter().collect()
}

fn check_names(names: &[String], c: &mut Complaints) {
    if names.is_empty() || names.len() > 32 {
        c.add("names", "must have 1 to 32 DNS names or IP addresses");
    }
    for (at, name) in names.iter().enumerate() {
        if name.parse::<IpAddr>().is_err() && rustls::pki_types::DnsName::try_from(name.as_str()).is_err() {
            c.add(format!("names[{at}]"), format!("`{name}` is neither a DNS name nor an IP address"));
        }
    }
}

fn check_roles(roles: Option<Vec<String>>, c: &mut Complaints) -> BTreeSet<Part> {
    let Some(roles) = roles else { return all_parts() };
    if roles.is_empty() {
        c.add("roles", "is empty: nothing would be done");
    }
    let mut parts = BTreeSet::new();
    for (at, role) in roles.iter().enumerate() {
        match Part::ALL.into_iter().find(|part| part.name() == role) {
            Some(part) => drop(parts.insert(part)),
            None => c.add(
                format!("roles[{at}]"),
                format!("`{role}` is none of {}", Part::ALL.map(Part::name).join(", ")),
            ),
        }
    }
    parts
}

fn check_address(path: &str, field: Option<String>, default: &str, c: &mut Complaints) -> SocketAddr {
    let text = field.unwrap_or_else(|| default.to_owned());
    text.parse().unwrap_or_else(|_| {
        c.add(path, format!("`{text}` is not an address and port; write it like \"{default}\""));
        SocketAddr::from(([127, 0, 0, 1], 0))
    })
}

fn check_broker(raw: RawBroker, base: &Path, c: &mut Complaints) -> BrokerChoice {
    let mode = raw.mode.unwrap_or_else(|| "embedded".to_owned());
    let url = raw.url;
    let mut file = |path: &str, field: Option<String>| {
        let file = field.map(|text| base.join(text))?;
        if !file.is_file() {
            c.add(path, format!("no such file `{}`", file.display()));
        }
        Some(file)
    };
    let (ca, cert, key) =
        (file("broker.ca", raw.ca), file("broker.cert", raw.cert), file("broker.key", raw.key));
    match mode.as_str() {
        "embedded" => {
            for (path, set) in [
                ("broker.url", url.is_some()),
                ("broker.ca", ca.is_some()),
                ("broker.cert", cert.is_some()),
                ("broker.key", key.is_some()),
            ] {
                if set {
                    c.add(path, "means something with `mode = \"external\"` only");
                }
            }
            BrokerChoice::Embedded
        }
        "external" => check_external(url, ca, cert, key, c),
        other => {
            c.add("broker.mode", format!("`{other}` is neither \"embedded\" nor \"external\""));
            BrokerChoice::Embedded
        }
    }
}

fn check_external(
    url: Option<String>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    c: &mut Complaints,
) -> BrokerChoice {
    let address = url.as_deref().and_then(host_and_port);
    match (&url, &address) {
        (None, _) => c.add("broker.url", "is missing"),
        (Some(url), None) => {
            c.add(
                "broker.url",
                format!("`{url}` is not a broker; write it like \"mqtts://broker.example:8883\""),
            );
        }
        (Some(_), Some(_)) => {}
    }
    if ca.is_none() {
        c.add("broker.ca", "is missing: the authority of the broker's certificate");
    }
    let client = match (cert, key) {
        (Some(cert), Some(key)) => Some(ClientFiles { cert, key }),
        (None, None) => None,
        (Some(_), None) => {
            c.add("broker.key", "is missing beside `broker.cert`");
            None
        }
        (None, Some(_)) => {
            c.add("broker.cert", "is missing beside `broker.key`");
            None
        }
    };
    let (host, port) = address.unwrap_or_default();
    BrokerChoice::External(ExternalBroker { host, port, ca: ca.unwrap_or_default(), client })
}

/// Of `mqtts://host:port`; the port may be left out, an IPv6 address stands in brackets. Plain MQTT is not offered.
fn host_and_port(url: &str) -> Option<(String, u16)> {
    let rest = url.strip_prefix("mqtts://")?;
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, 8883),
        Some((host, port)) => (host, port.strip_prefix(':')?.parse().ok()?),
        None => match rest.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (rest, 8883),
        },
    };
    rustls::pki_types::ServerName::try_from(host).ok()?;
    (port != 0).then(|| (host.to_owned(), port))
}

/// The effective configuration, as `server.toml` would say it.
impl fmt::Display for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let path = |path: &Path| quoted(&path.display().to_string());
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        writeln!(f, "data = {}", path(&self.data))?;
        writeln!(f, "projects = {}", path(&self.projects))?;
        for (key, directory) in [("calendars", &self.calendars), ("profiles", &self.profiles)] {
            match directory {
                Some(directory) => writeln!(f, "{key} = {}", path(directory))?,
                None => writeln!(f, "# {key}: those built in")?,
            }
        }
        writeln!(f, "names = {}", list(self.names.iter().map(|name| quoted(name)).collect()))?;
        writeln!(f, "roles = {}", list(self.roles.iter().map(|part| quoted(part.name())).collect()))?;
        writeln!(f, "\n[log]\norigin = {}", quoted(&self.origin))?;
        match &self.witnesses {
            Some(file) => writeln!(f, "witnesses = {}", path(&file.path))?,
            None => writeln!(f, "# witnesses: none")?,
        }
        writeln!(f, "\n[listen]")?;
        writeln!(f, "broker = {}", quoted(&self.listen.broker.to_string()))?;
        writeln!(f, "enrolment = {}", quoted(&self.listen.enrolment.to_string()))?;
        writeln!(f, "portal = {}", quoted(&self.listen.portal.to_string()))?;
        writeln!(f, "\n[broker]")?;
        let BrokerChoice::External(broker) = &self.broker else {
            return writeln!(f, "mode = \"embedded\"");
        };
        writeln!(f, "mode = \"external\"")?;
        let host = if broker.host.contains(':') { format!("[{}]", broker.host) } else { broker.host.clone() };
        writeln!(f, "url = {}", quoted(&format!("mqtts://{host}:{}", broker.port)))?;
        writeln!(f, "ca = {}", path(&broker.ca))?;
        match &broker.client {
            Some(client) => writeln!(f, "cert = {}\nkey = {}", path(&client.cert), path(&client.key)),
            None => writeln!(f, "# cert, key: the ones in the data directory"),
        }
    }
}

#[cfg(test)]
mod tests;
