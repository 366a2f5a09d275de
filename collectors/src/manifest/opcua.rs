//! The `opcua` table of a source.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::Complaints;
use proof::wire::Share;

use super::check::{distinct, meaning, word};
use super::{Meaning, beside, raw};

mod address;

pub use address::{Namespace, NodeAt, Step};

const MIN_TIMEOUT: Duration = Duration::from_millis(200);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_URL: usize = 1_024;
const MAX_QUEUE: u32 = 1_000;

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
    /// How values come.
    pub collect: Collect,
    /// Whether a silence is filled from what the server has kept meanwhile.
    pub history: bool,
    /// In manifest order.
    pub points: Vec<NodePoint>,
}

/// How values come to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collect {
    /// Every point is asked for at every turn.
    Poll,
    /// The server reports changes; what it did not report is asked for at every turn.
    Subscribe {
        /// How many changes of a point it may hold for one report.
        queue: u32,
    },
}

/// How a channel is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    None,
    /// With the server's certificate pinned. Without a pin the collector refuses to connect and says which thumbprint
    /// the server showed.
    Secured {
        /// The algorithms.
        policy: Policy,
        /// Signed, or signed and encrypted.
        mode: Mode,
        /// What the server's certificate must hash to.
        pin: Option<Thumbprint>,
    },
}

/// Names of algorithms for a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// What nearly every server has.
    Basic256Sha256,
    /// RSA-OAEP, AES-128.
    Aes128Sha256RsaOaep,
    /// RSA-PSS, AES-256.
    Aes256Sha256RsaPss,
    /// SHA-1 and RSA with PKCS#1 padding: broken.
    DeprecatedBasic128Rsa15,
    /// SHA-1: withdrawn in 2017.
    DeprecatedBasic256,
}

const POLICIES: &[(&str, Option<Policy>)] = &[
    ("none", None),
    ("basic256sha256", Some(Policy::Basic256Sha256)),
    ("aes128-sha256-rsaoaep", Some(Policy::Aes128Sha256RsaOaep)),
    ("aes256-sha256-rsapss", Some(Policy::Aes256Sha256RsaPss)),
    ("deprecated-basic128rsa15", Some(Policy::DeprecatedBasic128Rsa15)),
    ("deprecated-basic256", Some(Policy::DeprecatedBasic256)),
];

impl Policy {
    /// As the manifest names it.
    pub fn word(self) -> &'static str {
        let named = POLICIES.iter().find(|(_, policy)| *policy == Some(self));
        named.map_or("", |(word, _)| word)
    }

    /// Whether the standard has withdrawn it.
    pub fn is_deprecated(self) -> bool {
        matches!(self, Self::DeprecatedBasic128Rsa15 | Self::DeprecatedBasic256)
    }
}

/// Message security mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Signed only.
    Sign,
    /// Signed and encrypted.
    SignAndEncrypt,
}

/// Who we say we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// A name, and the file that holds the password.
    Password {
        /// As the server knows it.
        name: String,
        /// Its first line is the password.
        file: PathBuf,
    },
    /// A certificate and its key.
    Certificate {
        /// `.der` or `.pem`.
        certificate: PathBuf,
        /// PKCS#8 in PEM, without a password.
        key: PathBuf,
    },
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
    /// Which one.
    pub node: NodeAt,
    /// A change smaller than this need not be reported by a subscription, in units of the value as read.
    pub dead_band: Option<f64>,
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
    let files = UserFiles {
        name: raw.user,
        password: raw.password_file,
        certificate: raw.user_certificate,
        key: raw.user_key,
    };
    let user = user(complaints, path, files, dir);
    if user.is_some() && security == Some(Security::None) {
        let key = if matches!(user, Some(User::Password { .. })) { "user" } else { "user_certificate" };
        complaints.add(
            format!("{path}.{key}"),
            "who we are would travel unprotected; set policy = \"basic256sha256\"",
        );
    }
    let collect = collect(complaints, path, raw.collect, raw.queue);
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
        points.extend(point(complaints, &format!("{path}.points[{at}]"), raw, share, collect));
    }
    distinct(complaints, &format!("{path}.points"), points.iter().map(|point| &point.meaning));
    let history = raw.history.unwrap_or(false);
    Some(OpcUa {
        endpoint: endpoint?,
        security: security?,
        user,
        client_dir,
        timeout,
        collect,
        history,
        points,
    })
}

fn collect(complaints: &mut Complaints, path: &str, way: Option<String>, queue: Option<u32>) -> Collect {
    let given = queue.is_some();
    let queue = complaints.number(&format!("{path}.queue"), queue, 1, 1..=MAX_QUEUE);
    let ways = [("poll", Collect::Poll), ("subscribe", Collect::Subscribe { queue })];
    let collect = word(complaints, &format!("{path}.collect"), way, &ways).flatten_or(Collect::Poll);
    if given && collect == Collect::Poll {
        complaints.add(format!("{path}.queue"), "has no meaning without collect = \"subscribe\"");
    }
    collect
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
    let deprecated = policy.as_deref().map(|name| format!("deprecated-{name}"));
    let policy = match deprecated.filter(|name| POLICIES.iter().any(|(word, _)| word == name)) {
        Some(name) => {
            let remedy = format!(
                "is broken and withdrawn; set \"basic256sha256\" here and switch it on at the server, or write \
                 \"{name}\" where it has nothing better"
            );
            complaints.add(&*policy_path, remedy);
            None
        }
        None => word(complaints, &policy_path, policy, POLICIES).required(complaints, &policy_path),
    };
    let modes = [("sign", Mode::Sign), ("sign_and_encrypt", Mode::SignAndEncrypt)];
    let mode_given = mode.is_some();
    let mode = word(complaints, &format!("{path}.mode"), mode, &modes).flatten_or(Mode::SignAndEncrypt);
    if let Some(policy) = policy? {
        let pin = thumbprint.as_deref().and_then(Thumbprint::parse);
        if thumbprint.is_some() && pin.is_none() {
            complaints.add(pin_path, "is not a thumbprint: 64 (SHA-256) or 40 (SHA-1) hexadecimal digits");
        }
        return Some(Security::Secured { policy, mode, pin });
    }
    if thumbprint.is_some() {
        complaints.add(pin_path, "has no meaning with policy = \"none\"");
    }
    if mode_given {
        complaints.add(format!("{path}.mode"), "has no meaning with policy = \"none\"");
    }
    Some(Security::None)
}

/// The keys that say who we are.
struct UserFiles {
    name: Option<String>,
    password: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

fn user(complaints: &mut Complaints, path: &str, files: UserFiles, dir: &Path) -> Option<User> {
    let UserFiles { name, password, certificate, key } = files;
    let by_name = name.is_some() || password.is_some();
    let by_certificate = certificate.is_some() || key.is_some();
    if by_name && by_certificate {
        complaints
            .add(format!("{path}.user_certificate"), "contradicts `user`: one of the two says who we are");
    }
    let mut file = |key: &str, text: Option<String>| {
        let path = format!("{path}.{key}");
        let file = beside(dir, &complaints.required(&path, text)?);
        if !file.is_file() {
            complaints.add(path, format!("no such file `{}`", file.display()));
        }
        Some(file)
    };
    if by_certificate {
        let (certificate, key) = (file("user_certificate", certificate), file("user_key", key));
        return Some(User::Certificate { certificate: certificate?, key: key? });
    }
    if !by_name {
        return None;
    }
    let file = file("password_file", password);
    let name = complaints.required(&format!("{path}.user"), name);
    Some(User::Password { name: name?, file: file? })
}

fn point(
    complaints: &mut Complaints,
    path: &str,
    raw: raw::Node,
    share: Share,
    collect: Collect,
) -> Option<NodePoint> {
    let node = node(complaints, path, raw.node, raw.path);
    let band_path = format!("{path}.dead_band");
    if raw.dead_band.is_some_and(|band| !band.is_finite() || band <= 0.0) {
        complaints.add(&*band_path, "is not a number above zero");
    } else if raw.dead_band.is_some() && collect == Collect::Poll {
        complaints.add(band_path, "has no meaning without collect = \"subscribe\" of the source");
    }
    let dead_band = raw.dead_band;
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
    Some(NodePoint { meaning: meaning?, node: node?, dead_band })
}

/// Exactly one of `node` and `path`.
fn node(
    complaints: &mut Complaints,
    path: &str,
    node: Option<String>,
    names: Option<String>,
) -> Option<NodeAt> {
    let node_path = format!("{path}.node");
    if node.is_some() && names.is_some() {
        complaints.add(&*node_path, "contradicts `path`: one of the two says which node");
        return None;
    }
    if let Some(names) = names {
        let read = NodeAt::path(&names);
        if read.is_none() {
            complaints.add(
                format!("{path}.path"),
                format!("`{names}` is not a path such as `0:Objects/2:Machine/2:Count`"),
            );
        }
        return read;
    }
    let node = complaints.required(&node_path, node)?;
    let read = NodeAt::id(&node);
    if read.is_none() {
        complaints.add(
            node_path,
            format!(
                "`{node}` is not a node id such as `ns=2;s=Press.Running`, `nsu=urn:plant;s=Press.Running` or `i=2258`"
            ),
        );
    }
    read
}

fn endpoint(complaints: &mut Complaints, path: &str, field: Option<String>) -> Option<String> {
    let text = complaints.required(path, field)?;
    let host = text.strip_prefix("opc.tcp://").unwrap_or("");
    if host.is_empty() || text.len() > MAX_URL || text.contains(char::is_whitespace) {
        complaints.add(path, format!("`{text}` is not a URL such as `opc.tcp://192.168.1.30:4840`"));
        return None;
    }
    if host.split('/').next().is_some_and(|authority| authority.contains('@')) {
        complaints.add(path, "has a user before the host: name it under `user`, with its `password_file`");
        return None;
    }
    Some(text)
}
