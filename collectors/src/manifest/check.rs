//! Raw → checked: what all kinds of source share.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use daemon::config::Complaints;
use proof::wire::{Role, Share};

use super::library::Library;
use super::{
    Kind, MAX_LOGS, MAX_POINTS, MAX_SIGNALS, MAX_SOURCES, Manifest, Meaning, Source, devices, lines, logs,
    maps, modbus, mqtt, opcua, raw, syslog, tables,
};

/// Shortest cadence: a device is asked at most once a second.
const MIN_CADENCE: Duration = Duration::from_secs(1);
/// Longest cadence: a window has at least one turn.
const MAX_CADENCE: Duration = Duration::from_secs(600);
const DEFAULT_CADENCE: Duration = Duration::from_secs(10);
/// China has no summer time; other firms' clocks are whole minutes from UTC too.
const DEFAULT_OFFSET: i32 = 480;
const OFFSETS: std::ops::RangeInclusive<i32> = -14 * 60..=14 * 60;
const MAX_NAME: usize = 64;

pub(super) const SHARES: &[(&str, Share)] =
    &[("shape", Share::Shape), ("delta", Share::Delta), ("none", Share::None)];
const ROLES: &[(&str, Role)] = &[
    ("running", Role::Running),
    ("counter", Role::Counter),
    ("energy", Role::Energy),
    ("state", Role::State),
    ("measure", Role::Measure),
];

pub(super) fn manifest(
    raw: raw::Manifest,
    mut complaints: Complaints,
    text: &str,
    dir: &Path,
) -> Result<Manifest, Complaints> {
    let utc_offset_minutes =
        complaints.number("utc_offset_minutes", raw.utc_offset_minutes, DEFAULT_OFFSET, OFFSETS);
    if raw.sources.is_empty() {
        complaints.add("sources", "is empty; there is nothing to watch");
    }
    if raw.sources.len() > MAX_SOURCES {
        complaints.add("sources", format!("has {} entries (at most {MAX_SOURCES})", raw.sources.len()));
    }
    let lines = lines::check(&mut complaints, raw.lines, dir);
    let mut parsers = logs::library(dir);
    let mut maps = maps::library(dir);
    let mut devices = devices::library(dir);
    let mut names = BTreeSet::new();
    let mut sources = Vec::new();
    for (at, mut raw) in raw.sources.into_iter().enumerate().take(MAX_SOURCES) {
        let path = format!("sources[{at}]");
        if let Some(device) = &mut raw.modbus {
            devices::apply(&mut devices, &mut complaints, &format!("{path}.modbus"), device);
        }
        let index = u16::try_from(at + 1).expect("sources are bounded");
        if let Some(source) = source(
            &mut complaints,
            &path,
            index,
            raw,
            (dir, utc_offset_minutes),
            (&mut parsers, &mut maps),
            &lines,
        ) {
            if !names.insert(source.name.clone()) {
                complaints
                    .add(format!("{path}.name"), format!("`{}` is taken by another source", source.name));
            }
            sources.push(source);
        }
    }
    let points = sources.iter().map(|source| source.points().len()).sum::<usize>();
    if points > MAX_POINTS {
        complaints.add("sources", format!("name {points} points (at most {MAX_POINTS})"));
    }
    let is_log = |source: &&Source| matches!(source.kind, Kind::Log(_) | Kind::Syslog(_) | Kind::Table(_));
    let logs = sources.iter().filter(is_log).count();
    if logs > MAX_LOGS {
        complaints.add("sources", format!("name {logs} logs, syslog ports and tables (at most {MAX_LOGS})"));
    }
    let signals = sources.iter().flat_map(Source::points).filter(|point| point.signal).count();
    if signals > MAX_SIGNALS {
        complaints
            .add("sources", format!("mark {signals} points as signal (at most {MAX_SIGNALS} a gateway)"));
    }
    syslog::one_a_port(&mut complaints, &sources);
    let mut text = text.to_owned();
    parsers.append_local(&mut text);
    maps.append_local(&mut text);
    devices.append_local(&mut text);
    let manifest = complaints.or(Manifest { utc_offset_minutes, sources, text })?;
    manifest.fits()?;
    Ok(manifest)
}

fn source(
    complaints: &mut Complaints,
    path: &str,
    index: u16,
    raw: raw::Source,
    from: (&Path, i32),
    files: (&mut Library, &mut Library),
    lines: &lines::Named,
) -> Option<Source> {
    let name = name(complaints, &format!("{path}.name"), raw.name);
    let cadence_path = format!("{path}.cadence");
    let cadence = complaints.duration(&cadence_path, raw.cadence, DEFAULT_CADENCE, MIN_CADENCE..=MAX_CADENCE);
    if cadence.subsec_millis() != 0 {
        complaints.add(cadence_path, "is not a whole number of seconds");
    }
    let share = word(complaints, &format!("{path}.share"), raw.share, SHARES).flatten_or(Share::Shape);
    let kind = match (raw.modbus, raw.opcua, raw.log, raw.table, raw.mqtt, raw.syslog) {
        (Some(device), None, None, None, None, None) => {
            available(complaints, path, "modbus", cfg!(feature = "modbus"));
            modbus::check(complaints, &format!("{path}.modbus"), device, share, lines).map(Kind::Modbus)
        }
        (None, Some(server), None, None, None, None) => {
            available(complaints, path, "opcua", cfg!(feature = "opcua"));
            opcua::check(complaints, &format!("{path}.opcua"), server, share, from.0).map(Kind::OpcUa)
        }
        (None, None, Some(file), None, None, None) => {
            available(complaints, path, "log", cfg!(feature = "log"));
            logs::check(complaints, &format!("{path}.log"), file, from, files.0).map(Kind::Log)
        }
        (None, None, None, Some(table), None, None) => {
            available(complaints, path, "table", cfg!(feature = "sql"));
            tables::check(complaints, &format!("{path}.table"), table, from, files.1)
                .map(|table| Kind::Table(Box::new(table)))
        }
        (None, None, None, None, Some(broker), None) => {
            available(complaints, path, "mqtt", cfg!(feature = "mqtt"));
            mqtt::check(complaints, &format!("{path}.mqtt"), broker, share, from.0).map(Kind::Mqtt)
        }
        (None, None, None, None, None, Some(port)) => {
            available(complaints, path, "syslog", cfg!(feature = "syslog"));
            syslog::check(complaints, &format!("{path}.syslog"), port, from, files.0)
                .map(|port| Kind::Syslog(Box::new(port)))
        }
        _ => {
            complaints.add(
                path,
                "needs exactly one of the tables `modbus`, `opcua`, `log`, `table`, `mqtt`, `syslog`",
            );
            None
        }
    };
    Some(Source { index, name: name?, cadence, share, kind: kind? })
}

fn available(complaints: &mut Complaints, path: &str, kind: &str, built_in: bool) {
    if !built_in {
        complaints
            .add(format!("{path}.{kind}"), format!("this program was built without the `{kind}` collector"));
    }
}

/// A name of 1 to 64 characters without control characters.
pub(super) fn name(complaints: &mut Complaints, path: &str, field: Option<String>) -> Option<String> {
    let name = complaints.required(path, field)?;
    let length = name.chars().count();
    if length == 0 || length > MAX_NAME || name.chars().any(char::is_control) || name.trim() != name {
        complaints.add(path, format!("is not a name of 1 to {MAX_NAME} printable characters"));
        return None;
    }
    Some(name)
}

/// What became of an optional word: absent, wrong (complained of), or one of the table.
pub(super) enum Word<T> {
    Absent,
    Wrong,
    One(T),
}

impl<T> Word<T> {
    /// The value, or the default where the word is absent or wrong; a wrong one has been complained of.
    pub(super) fn flatten_or(self, default: T) -> T {
        match self {
            Self::One(value) => value,
            Self::Absent | Self::Wrong => default,
        }
    }

    /// The value; an absent word is a complaint too.
    pub(super) fn required(self, complaints: &mut Complaints, path: &str) -> Option<T> {
        match self {
            Self::One(value) => Some(value),
            Self::Wrong => None,
            Self::Absent => {
                complaints.add(path, "is missing");
                None
            }
        }
    }
}

/// Looks an optional word up in its table.
pub(super) fn word<T: Copy>(
    complaints: &mut Complaints,
    path: &str,
    field: Option<String>,
    table: &[(&str, T)],
) -> Word<T> {
    let Some(text) = field else { return Word::Absent };
    match table.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Word::One(*value),
        None => {
            let words: Vec<_> = table.iter().map(|(word, _)| format!("`{word}`")).collect();
            complaints.add(path, format!("`{text}` is not one of {}", words.join(", ")));
            Word::Wrong
        }
    }
}

/// What a point stands for.
pub(super) fn meaning(
    complaints: &mut Complaints,
    path: &str,
    raw: raw::Point,
    share: Share,
) -> Option<Meaning> {
    let name = name(complaints, &format!("{path}.name"), raw.name);
    let role = word(complaints, &format!("{path}.role"), raw.role, ROLES).flatten_or(Role::Measure);
    let share = word(complaints, &format!("{path}.share"), raw.share, SHARES).flatten_or(share);
    let signal = raw.signal.unwrap_or(false);
    let mut number = |key: &str, field: Option<f64>, default: f64| {
        let path = format!("{path}.{key}");
        let value = field.unwrap_or(default);
        if value.is_nan() || (value.is_infinite() && value != default) {
            complaints.add(path, "is not a finite number");
        }
        value
    };
    let scale = number("scale", raw.scale, 1.0);
    let offset = number("offset", raw.offset, 0.0);
    let min = number("min", raw.min, f64::NEG_INFINITY);
    let max = number("max", raw.max, f64::INFINITY);
    if scale == 0.0 {
        complaints.add(format!("{path}.scale"), "is zero; every value would be the same");
    }
    if min > max {
        complaints.add(format!("{path}.min"), format!("{min} is above max, {max}"));
    }
    if signal && share == Share::None {
        complaints.add(format!("{path}.signal"), "contradicts share = \"none\"");
    }
    Some(Meaning { name: name?, role, signal, share, scale, offset, min, max })
}

/// Complains about points that share a name, and about there being none.
pub(super) fn distinct<'a>(
    complaints: &mut Complaints,
    path: &str,
    points: impl Iterator<Item = &'a Meaning>,
) {
    let mut names = BTreeSet::new();
    for (at, point) in points.enumerate() {
        if !names.insert(point.name.as_str()) {
            complaints
                .add(format!("{path}[{at}].name"), format!("`{}` is taken by another point", point.name));
        }
    }
}
