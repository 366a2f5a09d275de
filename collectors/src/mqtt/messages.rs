//! Messages → readings: the pure part of MQTT.
//!
//! A message is a JSON text, or a number alone. What is no number, truth value or text of a number where a point's
//! pointer leads is a fault of that point; a message in which the pointer leads nowhere is not about the point. Raw
//! bytes are the value as JSON writes it.

use std::collections::BTreeMap;

use proof::{Kept, Quality, Reading};
use serde_json::Value;

use crate::manifest::{Meaning, Mqtt};

/// Most readings held for one turn that are older than it: what a sender kept comes in bursts.
const MAX_KEPT: usize = 4_096;
/// Longest raw value, bytes.
const MAX_RAW: usize = 64;
/// A message's own time may be this far behind the moment it came, ms, however short the cadence.
const SLACK_MS: i64 = 60_000;
/// A number above this is milliseconds, below it seconds: as seconds it is the year 5138, as milliseconds 1973.
const MOST_SECONDS: f64 = 1e11;

/// What was heard since the last turn.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heard {
    /// The newest of each point, in manifest order; `None` where nothing came.
    pub now: Vec<Option<Reading>>,
    /// What says of itself that it is older.
    pub kept: Vec<Kept>,
}

/// Takes messages and keeps what points make of them.
pub struct Hearing {
    points: Vec<Wanted>,
    time: Option<String>,
    late_ms: i64,
    heard: Heard,
}

struct Wanted {
    meaning: Meaning,
    topic: String,
    value: String,
    only: BTreeMap<String, String>,
}

impl Hearing {
    /// For the points of `config`; what is older than two cadences and a minute is no news.
    pub fn new(config: &Mqtt, cadence_ms: i64) -> Self {
        let points = config.points.iter().map(|point| Wanted {
            meaning: point.meaning.clone(),
            topic: point.topic.clone(),
            value: point.value.clone(),
            only: point.only.clone(),
        });
        let late_ms = cadence_ms.saturating_mul(2).max(SLACK_MS);
        let heard = Heard { now: vec![None; config.points.len()], kept: Vec::new() };
        Self { points: points.collect(), time: config.time.clone(), late_ms, heard }
    }

    /// Takes one message that came at `now_ms`, Unix ms.
    pub fn message(&mut self, topic: &str, payload: &[u8], now_ms: i64) {
        self.take_message(topic, payload, Some(now_ms));
    }

    /// Takes one message whatever it says of its time: for somebody who looks.
    pub fn message_of_any_time(&mut self, topic: &str, payload: &[u8]) {
        self.take_message(topic, payload, None);
    }

    /// What was heard since the last call.
    pub fn take(&mut self) -> Heard {
        let empty = Heard { now: vec![None; self.points.len()], kept: Vec::new() };
        std::mem::replace(&mut self.heard, empty)
    }

    /// Whether every point was heard of.
    pub fn has_all(&self) -> bool {
        self.heard.now.iter().all(Option::is_some)
    }

    fn take_message(&mut self, topic: &str, payload: &[u8], now_ms: Option<i64>) {
        let mut wanted =
            self.points.iter().zip(0_u16..).filter(|(point, _)| matches(&point.topic, topic)).peekable();
        if wanted.peek().is_none() {
            return;
        }
        let Some(message) = parse(payload) else {
            // It came, and nobody can say what it is.
            for (_, at) in wanted {
                self.heard.now[usize::from(at)] = Some(fault(Vec::new()));
            }
            return;
        };
        let own_ms = self.time.as_deref().and_then(|time| moment(message.pointer(time)?));
        let late = own_ms.zip(now_ms).filter(|(own, now)| now.saturating_sub(*own) > self.late_ms);
        for (point, at) in wanted {
            let Some(reading) = point.reading(&message) else { continue };
            match late {
                Some((at_ms, _)) if self.heard.kept.len() < MAX_KEPT => {
                    self.heard.kept.push(Kept { point: at, at_ms, reading });
                }
                Some(_) => {}
                None => self.heard.now[usize::from(at)] = Some(reading),
            }
        }
    }
}

impl Wanted {
    /// What the message says of this point; `None` when it is about something else.
    fn reading(&self, message: &Value) -> Option<Reading> {
        let is = |(at, wanted): (&String, &String)| {
            message.pointer(at).is_some_and(|there| text(there) == *wanted)
        };
        if !self.only.iter().all(is) {
            return None;
        }
        let value = message.pointer(&self.value)?;
        let raw = text(value).into_bytes();
        if raw.len() > MAX_RAW {
            return Some(fault(Vec::new()));
        }
        let Some(read) = number(value) else { return Some(fault(raw)) };
        Some(match self.meaning.judge(read) {
            Ok(value) => Reading { quality: Quality::Good, raw, value: Some(value) },
            Err(quality) => Reading { quality, raw, value: None },
        })
    }
}

fn fault(raw: Vec<u8>) -> Reading {
    Reading { quality: Quality::Fault, raw, value: None }
}

/// Where the numbers of a message stand and how it writes them, at most `most` of them: for somebody who looks.
pub(super) fn numbers(payload: &[u8], most: usize) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if let Some(message) = parse(payload) {
        walk(&message, &mut String::new(), most, &mut found);
    }
    found
}

fn walk(value: &Value, at: &mut String, most: usize, found: &mut Vec<(String, String)>) {
    let below = |step: &str, value: &Value, at: &mut String, found: &mut Vec<_>| {
        let length = at.len();
        // RFC 6901, section 3.
        at.push('/');
        at.push_str(&step.replace('~', "~0").replace('/', "~1"));
        walk(value, at, most, found);
        at.truncate(length);
    };
    match value {
        _ if found.len() >= most => {}
        Value::Object(fields) => fields.iter().for_each(|(name, value)| below(name, value, at, found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(nth, value)| below(&nth.to_string(), value, at, found));
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let written = text(value);
            if number(value).is_some() && written.len() <= MAX_RAW {
                found.push((at.clone(), written));
            }
        }
    }
}

/// JSON, whose depth the library bounds; or a number with blanks around it, which JSON is too.
fn parse(payload: &[u8]) -> Option<Value> {
    serde_json::from_slice(payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload)).ok()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(on) => Some(f64::from(u8::from(*on))),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|read: &f64| read.is_finite()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Unix ms of a message's own time.
fn moment(value: &Value) -> Option<i64> {
    if let Some(written) = value.as_str().and_then(|text| text.trim().parse::<jiff::Timestamp>().ok()) {
        return Some(written.as_millisecond());
    }
    let read = number(value).filter(|read| *read > 0.0 && *read < 1e15)?;
    #[expect(clippy::cast_possible_truncation, reason = "it is below 10^15")]
    Some(if read < MOST_SECONDS { (read * 1000.0) as i64 } else { read as i64 })
}

/// MQTT 3.1.1, 4.7: whether a topic is one of the filter's.
fn matches(filter: &str, topic: &str) -> bool {
    // 4.7.2: what begins with a dollar is the broker's own and not meant by a leading wildcard.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            Some(_) | None => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests;
