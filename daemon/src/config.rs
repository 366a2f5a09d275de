//! Configuration in two steps: TOML → raw struct → checked struct, with every complaint at once.
//!
//! A raw struct is plain serde in which every key is optional. A value of the wrong type is one complaint and counts as
//! absent, and the rest is still read; unknown keys are complaints too. The program sees only the checked struct.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path as Place, Segment};

/// Most values of a wrong type that one file is told of.
const MOST_WRONG: usize = 100;

/// Everything wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Complaints {
    file: String,
    list: Vec<Complaint>,
    /// Paths that were left out because of a wrong type: what else is said of them is a consequence.
    left_out: Vec<String>,
}

/// One thing wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// `sources[2].interval`; empty for the file as a whole.
    pub path: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl Complaints {
    /// No complaints about `file` yet.
    pub fn about(file: impl Into<String>) -> Self {
        Self { file: file.into(), list: Vec::new(), left_out: Vec::new() }
    }

    /// Adds one. A value that was left out for its wrong type has had its complaint: another about it is dropped.
    pub fn add(&mut self, path: impl Into<String>, problem: impl fmt::Display) {
        let path = path.into();
        if !self.left_out.contains(&path) {
            self.list.push(Complaint { path, problem: problem.to_string() });
        }
    }

    /// Adds all of another file's, keeping that file's name in front of each.
    pub fn join(&mut self, other: Self) {
        for complaint in other.list {
            let problem = if other.file == self.file {
                complaint.problem
            } else {
                format!("in {}: {}", other.file, complaint.problem)
            };
            self.list.push(Complaint { path: complaint.path, problem });
        }
    }

    /// All so far.
    pub fn list(&self) -> &[Complaint] {
        &self.list
    }

    /// `value` when there is nothing to complain about.
    ///
    /// # Errors
    /// All complaints.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.list.is_empty() { Ok(value) } else { Err(self) }
    }

    /// The value of a required key, or `None` with a complaint.
    pub fn required<T>(&mut self, path: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.add(path, "is missing");
        }
        value
    }

    /// A duration such as `"10s"` within bounds; `default` when absent.
    pub fn duration(
        &mut self,
        path: &str,
        text: Option<String>,
        default: Duration,
        bounds: std::ops::RangeInclusive<Duration>,
    ) -> Duration {
        let Some(text) = text else { return default };
        match parse_duration(&text) {
            Some(value) if bounds.contains(&value) => value,
            Some(_) => {
                self.add(path, format!("{text} is outside {:?} to {:?}", bounds.start(), bounds.end()));
                default
            }
            None => {
                self.add(
                    path,
                    format!("`{text}` is not a duration; write it like \"500ms\", \"10s\", \"5m\", \"2h\""),
                );
                default
            }
        }
    }

    /// A number within bounds; `default` when absent.
    pub fn number<T>(
        &mut self,
        path: &str,
        value: Option<T>,
        default: T,
        bounds: std::ops::RangeInclusive<T>,
    ) -> T
    where
        T: PartialOrd + fmt::Display + Copy,
    {
        let Some(value) = value else { return default };
        if bounds.contains(&value) {
            return value;
        }
        self.add(path, format!("{value} is outside {} to {}", bounds.start(), bounds.end()));
        default
    }
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Complaint { path, problem } in &self.list {
            if path.is_empty() {
                writeln!(f, "{}: {problem}", self.file)?;
            } else {
                writeln!(f, "{}: {path}: {problem}", self.file)?;
            }
        }
        Ok(())
    }
}

/// Reads a file into its raw struct. Unknown keys and an unreadable file are complaints.
///
/// # Errors
/// When there is nothing to go on with: the file cannot be read, or is not TOML.
pub fn read<Raw: DeserializeOwned>(path: &Path) -> Result<(Raw, Complaints), Complaints> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&name, &text),
        Err(error) => {
            let mut complaints = Complaints::about(name);
            complaints.add("", format!("cannot be read: {error}"));
            Err(complaints)
        }
    }
}

/// Parses text into its raw struct: see [`read`]. `name` stands before each complaint.
///
/// # Errors
/// As [`read`].
pub fn parse<Raw: DeserializeOwned>(name: &str, text: &str) -> Result<(Raw, Complaints), Complaints> {
    let mut complaints = Complaints::about(name);
    let mut table = match text.parse::<toml::Table>() {
        Ok(table) => toml::Value::Table(table),
        Err(error) => {
            complaints.add("", format!("is not readable as configuration: {}", error.to_string().trim_end()));
            return Err(complaints);
        }
    };
    for _ in 0..MOST_WRONG {
        let mut unknown = Vec::new();
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(table.clone(), &mut track);
        let note = |path: serde_ignored::Path<'_>| unknown.push(tidy(&path.to_string()));
        match serde_ignored::deserialize(tracked, note) {
            Ok(raw) => {
                for path in unknown {
                    complaints.add(path, "is not a known key");
                }
                return Ok((raw, complaints));
            }
            Err(error) => {
                let place = track.path();
                let problem = toml::de::Error::to_string(&error);
                complaints.add(tidy(&place.to_string()), problem.trim_end().replace('\n', " "));
                match leave_out(&mut table, &place) {
                    Some(path) => complaints.left_out.push(path),
                    None => return Err(complaints),
                }
            }
        }
    }
    Err(complaints)
}

/// Takes the value of a wrong type out of the table, with the whole list where it is an item of one. Returns the path
/// of what was taken; `None` when there is no such thing.
fn leave_out(table: &mut toml::Value, place: &Place) -> Option<String> {
    let segments: Vec<_> = place.iter().collect();
    let last = segments.iter().rposition(|segment| matches!(segment, Segment::Map { .. }))?;
    let (mut path, mut at) = (String::new(), table);
    for (depth, segment) in segments.iter().enumerate().take(last + 1) {
        match segment {
            Segment::Map { key } => {
                path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let table = at.as_table_mut()?;
                if depth == last {
                    return table.remove(key).map(|_| path);
                }
                at = table.get_mut(key)?;
            }
            Segment::Seq { index } => {
                path.push_str(&format!("[{index}]"));
                at = at.as_array_mut()?.get_mut(*index)?;
            }
            Segment::Enum { .. } | Segment::Unknown => return None,
        }
    }
    None
}

/// `sources.2.?.x` as `sources[2].x`.
fn tidy(path: &str) -> String {
    let mut tidy = String::new();
    for part in path.split('.').filter(|part| *part != "?") {
        if part.bytes().all(|b| b.is_ascii_digit()) {
            tidy.push_str(&format!("[{part}]"));
        } else {
            if !tidy.is_empty() {
                tidy.push('.');
            }
            tidy.push_str(part);
        }
    }
    tidy
}

/// Parses `"500ms"`, `"10s"`, `"5m"`, `"2h"`, `"7d"`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Raw {
        name: Option<String>,
        port: Option<u16>,
        every: Option<String>,
        #[serde(default)]
        names: Vec<String>,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        unit: Option<u8>,
    }

    #[test]
    fn all_complaints_come_at_once_each_with_its_path() {
        let text = "port = \"many\"\nevery = \"soon\"\nodd = 1\nnames = [\"a\", 2, 3]\n\
            [[inner]]\n[[inner]]\nunit = 300\nfoo = 2\n";
        let (raw, mut complaints) = parse::<Raw>("a.toml", text).unwrap();
        complaints.required("name", raw.name);
        complaints.required("port", raw.port);
        let second = Duration::from_secs(1);
        complaints.duration("every", raw.every, second, second..=second * 60);
        assert!(raw.names.is_empty());
        complaints.add("names", "is empty");
        for (at, inner) in raw.inner.into_iter().enumerate() {
            complaints.required(&format!("inner[{at}].unit"), inner.unit);
        }
        let paths: Vec<_> = complaints.list().iter().map(|c| c.path.as_str()).collect();
        let wrong = ["inner[1].unit", "names[1]", "port"];
        assert_eq!(paths, [&wrong[..], &["inner[1].foo", "odd", "name", "every", "inner[0].unit"]].concat());
        assert!(complaints.to_string().contains("a.toml: odd: is not a known key\n"));
        assert!(complaints.or(()).is_err());
    }

    #[test]
    fn a_file_that_is_another_thing_altogether_is_one_complaint() {
        for text in ["inner = 3\n", "inner = [1]\n"] {
            let (raw, complaints) = parse::<Raw>("a.toml", text).unwrap();
            assert!(raw.inner.is_empty());
            assert_eq!(complaints.list().len(), 1, "{complaints}");
        }
        for text in ["port = ", "= 3", "\u{0}"] {
            assert_eq!(parse::<Raw>("a.toml", text).unwrap_err().list().len(), 1);
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("10s"), Some(Duration::from_secs(10)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        for wrong in ["10", "s", "", "-1s", "1.5s", "99999999999999999999d"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }
}
