//! Configuration in two steps: TOML → raw struct → checked struct, with every complaint at once.
//!
//! A raw struct is plain serde in which every key is optional and unknown ones are denied. A value of the wrong type and
//! an unknown key are one complaint each and count as absent, and the rest is still read. The program sees only the
//! checked struct.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most values of a wrong type, and most places that are not TOML, that one file is told of.
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
    let (mut table, unreadable) = DeTable::parse_recoverable(text);
    for error in unreadable.iter().take(MOST_WRONG) {
        complaints.add("", format!("is not readable as configuration: {}", error.to_string().trim_end()));
    }
    if !unreadable.is_empty() {
        return Err(complaints);
    }
    for _ in 0..MOST_WRONG {
        match Raw::deserialize(toml::de::Deserializer::from(table.clone())) {
            Ok(raw) => return Ok((raw, complaints)),
            Err(error) => {
                let place = error.span().and_then(|span| place_of(table.get_ref(), &span));
                let path = place.as_deref().map(written).unwrap_or_default();
                complaints.add(path, in_our_words(error.message()));
                match place.and_then(|place| leave_out(table.get_mut(), &place)) {
                    Some(path) => complaints.left_out.push(path),
                    None => return Err(complaints),
                }
            }
        }
    }
    Err(complaints)
}

/// One step from the root of a file to a value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

/// Where the value stands that was written at `span`, or whose key was.
fn place_of(table: &DeTable<'_>, span: &Range<usize>) -> Option<Vec<Step>> {
    table.iter().find_map(|(key, value)| {
        let step = Step::Key(key.get_ref().to_string());
        if key.span() == *span { Some(vec![step]) } else { place_in(step, value, span) }
    })
}

fn place_in(step: Step, value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<Vec<Step>> {
    // The innermost: a list of one item may be written at the same place as the item.
    let inner = match value.get_ref() {
        DeValue::Table(table) => place_of(table, span),
        DeValue::Array(items) => {
            (0..).zip(items.iter()).find_map(|(index, item)| place_in(Step::Item(index), item, span))
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    };
    match inner {
        Some(mut rest) => {
            rest.insert(0, step);
            Some(rest)
        }
        None => (value.span() == *span).then(|| vec![step]),
    }
}

/// `sources[2].x`.
fn written(place: &[Step]) -> String {
    place.iter().fold(String::new(), |path, step| match step {
        Step::Key(key) if path.is_empty() => key.clone(),
        Step::Key(key) => format!("{path}.{key}"),
        Step::Item(index) => format!("{path}[{index}]"),
    })
}

/// Takes the value of a wrong type out of the table, with the whole list where it is an item of one. Returns the path
/// of what was taken; `None` when there is no such thing.
fn leave_out(table: &mut DeTable<'_>, place: &[Step]) -> Option<String> {
    let last = place.iter().rposition(|step| matches!(step, Step::Key(_)))?;
    let (Step::Key(first), rest) = place[..=last].split_first()? else { return None };
    if rest.is_empty() {
        return table.remove(first.as_str()).map(|_| first.clone());
    }
    let (last, between) = rest.split_last()?;
    let mut at = table.get_mut(first.as_str())?.get_mut();
    for step in between {
        at = match (step, at) {
            (Step::Key(key), DeValue::Table(table)) => table.get_mut(key.as_str())?.get_mut(),
            (Step::Item(index), DeValue::Array(items)) => items.get_mut(*index)?.get_mut(),
            _ => return None,
        };
    }
    let (Step::Key(key), DeValue::Table(table)) = (last, at) else { return None };
    table.remove(key.as_str()).map(|_| written(&place[..=rest.len()]))
}

/// What serde says of an unknown key, with the key left to the path.
fn in_our_words(message: &str) -> String {
    let message = message.trim_end().replace('\n', " ");
    match message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        Some((_, known)) => format!("is not a known key{}", known.replacen(',', ";", 1)),
        None => message,
    }
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
    #[serde(deny_unknown_fields)]
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
    #[serde(deny_unknown_fields)]
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
        let wrong = ["inner[1].foo", "inner[1].unit", "names[1]", "odd", "port"];
        assert_eq!(paths, [&wrong[..], &["name", "every", "inner[0].unit"]].concat());
        let known =
            "a.toml: odd: is not a known key; expected one of `name`, `port`, `every`, `names`, `inner`\n";
        assert!(complaints.to_string().contains(known), "{complaints}");
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
            assert!(!parse::<Raw>("a.toml", text).unwrap_err().list().is_empty());
        }
    }

    #[test]
    fn every_line_that_is_no_toml_is_told_of_at_once() {
        let complaints = parse::<Raw>("a.toml", "port = \nname = \"a\nevery = \"1s\"\n").unwrap_err();
        let text = complaints.to_string();
        assert!(text.contains("line 1") && text.contains("line 2") && !text.contains("line 3"), "{text}");
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
