//! The `opcua` table of a source.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::Complaints;
use proof::wire::Share;

use super::check::{distinct, meaning, word};
use super::{Meaning, beside, raw};

const MIN_TIMEOUT: Duration = Duration::from_millis(200);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_NODE: usize = 1_024;

/// An OPC UA server.
#[derive(Debug, Clone, PartialEq)]
pub struct OpcUa {
    /// `opc.tcp://host:port/path`.
    pub endpoint: String,
    /// How the channel is protected.
    pub security: Security,
    /// Who we say we are; `None` is anonymous.
    pub user: Option<User>,
    /// Where our own certificate and key are; a shared folder in the agent's state when absent.
    pub client_dir: Option<PathBuf>,
    /// Longest wait for a connection or an answer, in real time.
    pub timeout: Duration,
    /// In manifest order.
    pub points: Vec<NodePoint>,
}

/// How a channel is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    None,
    /// Basic256Sha256 with the server's certificate pinned. Without a pin the collector refuses to connect and says
    /// which thumbprint the server showed.
    Basic256Sha256 {
        /// Signed, or signed and encrypted.
        mode: Mode,
        /// What the server's certificate must hash to.
        pin: Option<Thumbprint>,
    },
}

/// Message security mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Signed only.
    Sign,
    /// Signed and encrypted.
    SignAndEncrypt,
}

/// A user name, and the file that holds the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// As the server knows it.
    pub name: String,
    /// Its first line is the password.
    pub password_file: PathBuf,
}

/// Hash of a certificate in DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thumbprint {
    /// 20 bytes, as most OPC UA tools print it.
    Sha1([u8; 20]),
    /// 32 bytes, as `probe` prints it.
    Sha256([u8; 32]),
}

impl Thumbprint {
    /// Reads 40 or 64 hexadecimal digits; colons and blanks between them are ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.bytes().filter(|b| !matches!(b, b':' | b' ')).collect();
        let mut bytes = Vec::with_capacity(digits.len() / 2);
        for pair in digits.chunks(2) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            if !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(pair, 16).ok()?);
        }
        if let Ok(sha1) = <[u8; 20]>::try_from(bytes.as_slice()) {
            return Some(Self::Sha1(sha1));
        }
        <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Self::Sha256)
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: &[u8] = match self {
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        };
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One declared value of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct NodePoint {
    /// What it stands for.
    pub meaning: Meaning,
    /// Node id as text: `ns=2;s=Press.Running`, `i=2258`.
    pub node: String,
}

pub(super) fn check(
    complaints: &mut Complaints,
    path: &str,
    raw: raw::OpcUa,
    share: Share,
    dir: &Path,
) -> Option<OpcUa> {
    let endpoint = endpoint(complaints, &format!("{path}.endpoint"), raw.endpoint);
    let security = security(complaints, path, raw.policy, raw.mode, raw.server_thumbprint);
    let user = user(complaints, path, raw.user, raw.password_file, dir);
    if user.is_some() && security == Some(Security::None) {
        complaints.add(
            format!("{path}.user"),
            "a password would travel unprotected; set policy = \"basic256sha256\"",
        );
    }
    let client_dir = raw.client_dir.map(|text| beside(dir, &text));
    let timeout = complaints.duration(
        &format!("{path}.timeout"),
        raw.timeout,
        DEFAULT_TIMEOUT,
        MIN_TIMEOUT..=MAX_TIMEOUT,
    );
    if raw.points.is_empty() {
        complaints.add(format!("{path}.points"), "is empty; there is nothing to read");
    }
    let mut points = Vec::new();
    for (at, raw) in raw.points.into_iter().enumerate() {
        points.extend(point(complaints, &format!("{path}.points[{at}]"), raw, share));
    }
    distinct(complaints, &format!("{path}.points"), points.iter().map(|point| &point.meaning));
    Some(OpcUa { endpoint: endpoint?, security: security?, user, client_dir, timeout, points })
}

fn security(
    complaints: &mut Complaints,
    path: &str,
    policy: Option<String>,
    mode: Option<String>,
    thumbprint: Option<String>,
) -> Option<Security> {
    let pin_path = format!("{path}.server_thumbprint");
    let policy_path = format!("{path}.policy");
    let secured = word(complaints, &policy_path, policy, &[("none", false), ("basic256sha256", true)])
        .required(complaints, &policy_path);
    let modes = [("sign", Mode::Sign), ("sign_and_encrypt", Mode::SignAndEncrypt)];
    let mode_given = mode.is_some();
    let mode = word(complaints, &format!("{path}.mode"), mode, &modes).flatten_or(Mode::SignAndEncrypt);
    let pin_given = thumbprint.is_some();
    let pin = thumbprint;
    if secured? {
        let read = pin.as_deref().and_then(Thumbprint::parse);
        if pin.is_some() && read.is_none() {
            complaints.add(pin_path, "is not a thumbprint: 64 (SHA-256) or 40 (SHA-1) hexadecimal digits");
        }
        return Some(Security::Basic256Sha256 { mode, pin: read });
    }
    if pin_given {
        complaints.add(pin_path, "has no meaning with policy = \"none\"");
    }
    if mode_given {
        complaints.add(format!("{path}.mode"), "has no meaning with policy = \"none\"");
    }
    Some(Security::None)
}

fn user(
    complaints: &mut Complaints,
    path: &str,
    name: Option<String>,
    file: Option<String>,
    dir: &Path,
) -> Option<User> {
    let file_path = format!("{path}.password_file");
    if name.is_none() && file.is_none() {
        return None;
    }
    let name = complaints.required(&format!("{path}.user"), name);
    let password_file = complaints.required(&file_path, file).map(|text| beside(dir, &text));
    if let Some(file) = password_file.as_ref().filter(|file| !file.is_file()) {
        complaints.add(file_path, format!("no such file `{}`", file.display()));
    }
    Some(User { name: name?, password_file: password_file? })
}

fn point(complaints: &mut Complaints, path: &str, raw: raw::Node, share: Share) -> Option<NodePoint> {
    let node_path = format!("{path}.node");
    let node = complaints.required(&node_path, raw.node).filter(|node| {
        let right = is_node_id(node);
        if !right {
            complaints.add(
                &*node_path,
                format!("`{node}` is not a node id such as `ns=2;s=Press.Running` or `i=2258`"),
            );
        }
        right
    });
    let common = raw::Point {
        name: raw.name,
        scale: raw.scale,
        offset: raw.offset,
        min: raw.min,
        max: raw.max,
        role: raw.role,
        signal: raw.signal,
        share: raw.share,
    };
    let meaning = meaning(complaints, path, common, share);
    Some(NodePoint { meaning: meaning?, node: node? })
}

/// The text form of OPC 10000-6, 5.3.1.10, without a namespace URI.
fn is_node_id(text: &str) -> bool {
    if text.len() > MAX_NODE {
        return false;
    }
    let id = match text.strip_prefix("ns=") {
        None => text,
        Some(rest) => match rest.split_once(';') {
            Some((namespace, id)) if namespace.parse::<u16>().is_ok() => id,
            _ => return false,
        },
    };
    match id.split_at_checked(2) {
        Some(("i=", number)) => number.parse::<u32>().is_ok(),
        Some(("s=" | "g=" | "b=", rest)) => !rest.is_empty(),
        _ => false,
    }
}

fn endpoint(complaints: &mut Complaints, path: &str, field: Option<String>) -> Option<String> {
    let text = complaints.required(path, field)?;
    let host = text.strip_prefix("opc.tcp://").unwrap_or("");
    if host.is_empty() || text.len() > MAX_NODE || text.contains(char::is_whitespace) {
        complaints.add(path, format!("`{text}` is not a URL such as `opc.tcp://192.168.1.30:4840`"));
        return None;
    }
    if host.split('/').next().is_some_and(|authority| authority.contains('@')) {
        complaints.add(path, "has a user before the host: name it under `user`, with its `password_file`");
        return None;
    }
    Some(text)
}
