//! The `mqtt` table of a source.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::Complaints;
use proof::wire::Share;

use super::check::{distinct, meaning};
use super::{Login, Meaning, beside, login, raw};

const MIN_TIMEOUT: Duration = Duration::from_millis(200);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest topic filter and longest pointer, bytes.
const MAX_TEXT: usize = 512;
/// Most conditions of one point.
const MAX_CONDITIONS: usize = 8;

/// A broker to which somebody else's gateway or machine sends values.
#[derive(Debug, Clone, PartialEq)]
pub struct Mqtt {
    /// Host and port.
    pub broker: String,
    /// The authority of the broker's certificate, PEM; `None` is a line that anybody on it can read and change, which
    /// the manifest has to say in words.
    pub ca_file: Option<PathBuf>,
    /// Who we say we are; `None` names nobody.
    pub user: Option<Login>,
    /// Where a message says when its values were taken: a pointer to seconds or milliseconds of Unix time, or to a
    /// date and time of RFC 3339. `None` takes the moment of arrival.
    pub time: Option<String>,
    /// Longest wait for the connection, in real time.
    pub timeout: Duration,
    /// In manifest order.
    pub points: Vec<TopicPoint>,
}

/// One value in the messages of a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicPoint {
    /// What it stands for.
    pub meaning: Meaning,
    /// Topic filter: `+` stands for one level, `#` for all that follow.
    pub topic: String,
    /// Where in the message it stands: a JSON pointer (RFC 6901). Empty when the message is the number itself.
    pub value: String,
    /// Only messages in which each pointer leads to this text or number.
    pub only: BTreeMap<String, String>,
}

pub(super) fn check(
    complaints: &mut Complaints,
    path: &str,
    raw: raw::Mqtt,
    share: Share,
    dir: &Path,
) -> Option<Mqtt> {
    let broker = broker(complaints, &format!("{path}.broker"), raw.broker);
    let ca_file = authority(complaints, path, raw.tls, raw.ca_file, dir);
    let user = login::check(complaints, path, raw.user, raw.password_file, dir);
    if user.is_some() && ca_file == Some(None) {
        complaints.add(
            format!("{path}.user"),
            "a password would travel unprotected; name the `ca_file` of the broker instead of tls = \"none\"",
        );
    }
    let time = raw.time.and_then(|text| pointer(complaints, &format!("{path}.time"), text));
    let timeout = complaints.duration(
        &format!("{path}.timeout"),
        raw.timeout,
        DEFAULT_TIMEOUT,
        MIN_TIMEOUT..=MAX_TIMEOUT,
    );
    if raw.points.is_empty() {
        complaints.add(format!("{path}.points"), "is empty; there is nothing to listen for");
    }
    let mut points = Vec::new();
    for (at, raw) in raw.points.into_iter().enumerate() {
        points.extend(point(complaints, &format!("{path}.points[{at}]"), raw, share));
    }
    distinct(complaints, &format!("{path}.points"), points.iter().map(|point| &point.meaning));
    Some(Mqtt { broker: broker?, ca_file: ca_file?, user, time, timeout, points })
}

fn broker(complaints: &mut Complaints, path: &str, field: Option<String>) -> Option<String> {
    let text = complaints.required(path, field)?;
    let parts = text.rsplit_once(':').filter(|(host, port)| {
        !host.is_empty() && !host.contains(['/', '@']) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if parts.is_none() || text.len() > MAX_TEXT || text.contains(char::is_whitespace) {
        complaints.add(path, format!("`{text}` is not a host and port such as `192.168.1.9:8883`"));
        return None;
    }
    Some(text)
}

/// The authority's file; `Some(None)` where the manifest says that there is no TLS.
fn authority(
    complaints: &mut Complaints,
    path: &str,
    tls: Option<String>,
    ca_file: Option<String>,
    dir: &Path,
) -> Option<Option<PathBuf>> {
    let file_path = format!("{path}.ca_file");
    match (tls.as_deref(), ca_file) {
        (None, Some(text)) => {
            let file = beside(dir, &text);
            if !file.is_file() {
                complaints.add(file_path, format!("no such file `{}`", file.display()));
            }
            Some(Some(file))
        }
        (Some("none"), None) => Some(None),
        (Some("none"), Some(_)) => {
            complaints.add(file_path, "contradicts tls = \"none\"");
            None
        }
        (Some(word), _) => {
            complaints
                .add(format!("{path}.tls"), format!("`{word}` is not `none`; TLS is what `ca_file` gives"));
            None
        }
        (None, None) => {
            complaints.add(
                file_path,
                "is missing: the certificate that the broker's is signed with; where it has none, say tls = \"none\"",
            );
            None
        }
    }
}

fn point(complaints: &mut Complaints, path: &str, raw: raw::Topic, share: Share) -> Option<TopicPoint> {
    let topic_path = format!("{path}.topic");
    let topic = complaints.required(&topic_path, raw.topic).filter(|topic| {
        let right = is_filter(topic);
        if !right {
            complaints
                .add(&*topic_path, format!("`{topic}` is not a topic such as `gw/FB2201/up` or `gw/+/up`"));
        }
        right
    });
    let value = match raw.value {
        None => Some(String::new()),
        Some(text) => pointer(complaints, &format!("{path}.value"), text),
    };
    let mut only = BTreeMap::new();
    if raw.only.len() > MAX_CONDITIONS {
        complaints.add(
            format!("{path}.only"),
            format!("has {} entries (at most {MAX_CONDITIONS})", raw.only.len()),
        );
    }
    for (at, wanted) in raw.only {
        let at = pointer(complaints, &format!("{path}.only"), at);
        only.extend(at.map(|at| (at, wanted)));
    }
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
    Some(TopicPoint { meaning: meaning?, topic: topic?, value: value?, only })
}

/// A pointer into a JSON text: RFC 6901, section 3.
fn pointer(complaints: &mut Complaints, path: &str, text: String) -> Option<String> {
    let escapes = text.match_indices('~').all(|(at, _)| text[at + 1..].starts_with(['0', '1']));
    if text.len() > MAX_TEXT || !text.starts_with('/') || !escapes {
        complaints.add(path, format!("`{text}` is not a JSON pointer such as `/v/run`"));
        return None;
    }
    Some(text)
}

/// MQTT 3.1.1, 4.7.1: `+` and `#` are whole levels, `#` is the last.
fn is_filter(text: &str) -> bool {
    let levels: Vec<_> = text.split('/').collect();
    let whole = |level: &&str| !level.contains(['+', '#']) || level.len() == 1;
    let last = levels.iter().position(|level| *level == "#").is_none_or(|at| at + 1 == levels.len());
    !text.is_empty() && text.len() <= MAX_TEXT && !text.contains('\0') && levels.iter().all(whole) && last
}
