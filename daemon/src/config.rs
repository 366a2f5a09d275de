//! Configuration in two steps: TOML → raw struct → checked struct, with every complaint at once.
//!
//! A raw struct is plain serde with a [`Field`] for every value; a wrong type in one place is then one complaint and
//! the rest is still read. Unknown keys are complaints too. The program sees only the checked struct.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// Everything wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Complaints {
    file: String,
    list: Vec<Complaint>,
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
        Self { file: file.into(), list: Vec::new() }
    }

    /// Adds one.
    pub fn add(&mut self, path: impl Into<String>, problem: impl fmt::Display) {
        self.list.push(Complaint { path: path.into(), problem: problem.to_string() });
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

    /// The value of a required field, or `None` with a complaint.
    pub fn required<T>(&mut self, path: &str, field: Option<Field<T>>) -> Option<T> {
        match field {
            None => {
                self.add(path, "is missing");
                None
            }
            field => self.optional(path, field),
        }
    }

    /// The value of an optional field; a wrong type is a complaint.
    pub fn optional<T>(&mut self, path: &str, field: Option<Field<T>>) -> Option<T> {
        match field? {
            Field::Right(value) => Some(value),
            Field::Wrong(problem) => {
                self.add(path, problem);
                None
            }
        }
    }

    /// A duration such as `"10s"` within bounds; `default` when absent.
    pub fn duration(
        &mut self,
        path: &str,
        field: Option<Field<String>>,
        default: Duration,
        bounds: std::ops::RangeInclusive<Duration>,
    ) -> Duration {
        let Some(text) = self.optional(path, field) else { return default };
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
        field: Option<Field<T>>,
        default: T,
        bounds: std::ops::RangeInclusive<T>,
    ) -> T
    where
        T: PartialOrd + fmt::Display + Copy,
    {
        let Some(value) = self.optional(path, field) else { return default };
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

/// A value that was right, or what was wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub enum Field<T> {
    /// The value.
    Right(T),
    /// What stood there instead, in words.
    Wrong(String),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        Ok(match T::deserialize(value) {
            Ok(value) => Self::Right(value),
            Err(error) => Self::Wrong(error.to_string().trim_end().replace('\n', " ")),
        })
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
    let parsed = toml::Deserializer::parse(text).and_then(|deserializer| {
        serde_ignored::deserialize(deserializer, |path| {
            complaints.add(tidy(&path.to_string()), "is not a known key")
        })
    });
    match parsed {
        Ok(raw) => Ok((raw, complaints)),
        Err(error) => {
            complaints.add("", format!("is not readable as configuration: {}", error.to_string().trim_end()));
            Err(complaints)
        }
    }
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
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Raw {
        name: Option<Field<String>>,
        port: Option<Field<u16>>,
        every: Option<Field<String>>,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        unit: Option<Field<u8>>,
    }

    #[test]
    fn all_complaints_come_at_once_each_with_its_path() {
        let text = "port = \"many\"\nevery = \"soon\"\nodd = 1\n[[inner]]\nunit = 300\nfoo = 2\n";
        let (raw, mut complaints) = parse::<Raw>("a.toml", text).unwrap();
        complaints.required("name", raw.name);
        complaints.required("port", raw.port);
        let second = Duration::from_secs(1);
        complaints.duration("every", raw.every, second, second..=second * 60);
        for (at, inner) in raw.inner.into_iter().enumerate() {
            complaints.required(&format!("inner[{at}].unit"), inner.unit);
        }
        let paths: Vec<_> = complaints.list().iter().map(|c| c.path.as_str()).collect();
        assert_eq!(paths, ["inner[0].foo", "odd", "name", "port", "every", "inner[0].unit"]);
        assert!(complaints.to_string().contains("a.toml: odd: is not a known key\n"));
        assert!(complaints.or(()).is_err());
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
