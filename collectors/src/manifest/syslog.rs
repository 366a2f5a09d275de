//! The `syslog` table of a source.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::Complaints;

use super::check::word;
use super::library::Library;
use super::logs::{Before, check_text};
use super::{Form, Kind, LogText, Parser, Source, beside, raw};

const MIN_QUIET: Duration = Duration::from_secs(10);
const MAX_QUIET: Duration = Duration::from_secs(7 * 86_400);
const DEFAULT_QUIET: Duration = Duration::from_secs(30 * 60);
/// Most senders of one port.
const MAX_SENDERS: usize = 64;

/// Names of the fields that every message has before a parser cuts its text: who sent it, and what stands in its
/// header (RFC 5424, section 6.2; RFC 3164, section 4.1), empty where it is not there.
pub const HEADER: [&str; 8] = [
    "syslog_sender",
    "syslog_facility",
    "syslog_severity",
    "syslog_host",
    "syslog_app",
    "syslog_process",
    "syslog_message_id",
    "syslog_data",
];

/// A port to which hosts send their logs.
#[derive(Debug, Clone, PartialEq)]
pub struct Syslog {
    /// Where it is listened on.
    pub listen: SocketAddr,
    /// What carries the messages.
    pub carrier: Carrier,
    /// Whose messages are taken; what others send is counted and not read.
    pub from: BTreeSet<IpAddr>,
    /// How long nothing may come, where no connection says that the sender is there, before that is no answer.
    pub quiet_after: Duration,
    /// How the text of a message becomes a record. Without a parser of its own the whole text is the field `text`.
    pub text: LogText,
}

/// What carries syslog messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carrier {
    /// One datagram a message (RFC 5426): what is lost on the way is lost.
    Udp,
    /// Framed by length or line end (RFC 6587), readable for everybody on the way.
    Tcp,
    /// The same in TLS (RFC 5425).
    Tls {
        /// Our certificate and those it is signed with, PEM.
        certificate_file: PathBuf,
        /// Its key, PEM.
        key_file: PathBuf,
        /// The authority of senders' certificates, PEM; without one, whoever has an address of `from` may send.
        client_ca_file: Option<PathBuf>,
    },
}

#[derive(Clone, Copy)]
enum Transport {
    Udp,
    Tcp,
    Tls,
}

const TRANSPORTS: &[(&str, Transport)] =
    &[("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)];

pub(super) fn check(
    complaints: &mut Complaints,
    path: &str,
    raw: raw::Syslog,
    from: (&Path, i32),
    parsers: &mut Library,
) -> Option<Syslog> {
    let (dir, offset) = from;
    let listen = listen(complaints, &format!("{path}.listen"), raw.listen);
    let files = Files { certificate: raw.certificate_file, key: raw.key_file, client_ca: raw.client_ca_file };
    let carrier = carrier(complaints, path, raw.transport, files, dir);
    let senders = senders(complaints, &format!("{path}.from"), raw.from);
    let quiet_after = complaints.duration(
        &format!("{path}.quiet_after"),
        raw.quiet_after,
        DEFAULT_QUIET,
        MIN_QUIET..=MAX_QUIET,
    );
    let text = raw::LogText {
        encoding: raw.encoding,
        parser: raw.parser,
        utc_offset_minutes: raw.utc_offset_minutes,
        accounts: raw.accounts,
        rules: raw.rules,
    };
    let before = Before { fields: &HEADER, parser: Some(whole()) };
    let text = check_text(complaints, path, text, offset, before, parsers);
    Some(Syslog { listen: listen?, carrier: carrier?, from: senders, quiet_after, text: text? })
}

/// Complains about sources that would listen on one port.
pub(super) fn one_a_port(complaints: &mut Complaints, sources: &[Source]) {
    let ports = sources.iter().filter_map(|source| match &source.kind {
        Kind::Syslog(port) => Some((source, port)),
        Kind::Modbus(_) | Kind::OpcUa(_) | Kind::Log(_) | Kind::Mqtt(_) | Kind::Table(_) => None,
    });
    let mut taken: Vec<(&Source, &Syslog)> = Vec::new();
    for (source, port) in ports {
        let is_same = |other: &Syslog| {
            let (one, two) = (port.listen, other.listen);
            let overlap = one.ip() == two.ip() || one.ip().is_unspecified() || two.ip().is_unspecified();
            let same_protocol = (port.carrier == Carrier::Udp) == (other.carrier == Carrier::Udp);
            one.port() == two.port() && overlap && same_protocol
        };
        if let Some((other, _)) = taken.iter().find(|(_, other)| is_same(other)) {
            let at = usize::from(source.index) - 1;
            complaints.add(
                format!("sources[{at}].syslog.listen"),
                format!("`{}` is listened on by `{}` already", port.listen, other.name),
            );
        }
        taken.push((source, port));
    }
}

/// The parser where none is named: the text is one field.
fn whole() -> Parser {
    Parser {
        name: "text".to_owned(),
        about: "the whole text of a message".to_owned(),
        form: Form::Pattern("(?s)^(?P<text>.*)$".to_owned()),
        start: None,
        skip: None,
        extract: Vec::new(),
        time: None,
        account: None,
        nobody: Vec::new(),
        document: None,
    }
}

fn listen(complaints: &mut Complaints, path: &str, field: Option<String>) -> Option<SocketAddr> {
    let text = complaints.required(path, field)?;
    let address = text.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
    if address.is_none() {
        complaints.add(path, format!("`{text}` is not an address and port such as `0.0.0.0:6514`"));
    }
    address
}

struct Files {
    certificate: Option<String>,
    key: Option<String>,
    client_ca: Option<String>,
}

fn carrier(
    complaints: &mut Complaints,
    path: &str,
    transport: Option<String>,
    files: Files,
    dir: &Path,
) -> Option<Carrier> {
    let transport_path = format!("{path}.transport");
    let transport =
        word(complaints, &transport_path, transport, TRANSPORTS).required(complaints, &transport_path)?;
    let named = [
        ("certificate_file", &files.certificate),
        ("key_file", &files.key),
        ("client_ca_file", &files.client_ca),
    ];
    match transport {
        Transport::Udp | Transport::Tcp => {
            for (key, _) in named.iter().filter(|(_, file)| file.is_some()) {
                complaints.add(format!("{path}.{key}"), "has a meaning for transport = \"tls\" only");
            }
            Some(if matches!(transport, Transport::Udp) { Carrier::Udp } else { Carrier::Tcp })
        }
        Transport::Tls => {
            let mut file = |key: &str, text: Option<String>, needed: bool| {
                let path = format!("{path}.{key}");
                let text = if needed { complaints.required(&path, text) } else { text };
                text.map(|text| beside(dir, &text)).inspect(|file| {
                    if !file.is_file() {
                        complaints.add(path, format!("no such file `{}`", file.display()));
                    }
                })
            };
            let certificate_file = file("certificate_file", files.certificate, true);
            let key_file = file("key_file", files.key, true);
            let client_ca_file = file("client_ca_file", files.client_ca, false);
            Some(Carrier::Tls { certificate_file: certificate_file?, key_file: key_file?, client_ca_file })
        }
    }
}

fn senders(complaints: &mut Complaints, path: &str, texts: Vec<String>) -> BTreeSet<IpAddr> {
    if texts.is_empty() {
        complaints.add(path, "is missing: the addresses of those who send, such as [\"192.168.1.20\"]");
    }
    if texts.len() > MAX_SENDERS {
        complaints.add(path, format!("has {} entries (at most {MAX_SENDERS})", texts.len()));
    }
    let mut senders = BTreeSet::new();
    for (at, text) in texts.into_iter().enumerate().take(MAX_SENDERS) {
        match text.parse::<IpAddr>() {
            Ok(address) => drop(senders.insert(address.to_canonical())),
            Err(_) => complaints
                .add(format!("{path}[{at}]"), format!("`{text}` is not an address such as `192.168.1.20`")),
        }
    }
    senders
}
