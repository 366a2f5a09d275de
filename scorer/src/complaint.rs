//! One thing wrong with a file people edit. Whoever reads the file puts its name in front.

use std::fmt;

/// One thing wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// `shifts[1].from`; empty for the file as a whole.
    pub path: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "{}: {}", self.path, self.problem)
        }
    }
}

/// Complaints of one file, gathered while it is checked.
#[derive(Debug, Default)]
pub(crate) struct Complaints(pub(crate) Vec<Complaint>);

impl Complaints {
    pub(crate) fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Complaint { path: path.into(), problem: problem.into() });
    }

    /// The value of a required key.
    pub(crate) fn need<T>(&mut self, path: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.add(path, "is missing");
        }
        value
    }

    /// A text of 1 to 200 characters.
    pub(crate) fn text(&mut self, path: &str, value: Option<String>) -> String {
        let text = self.need(path, value).unwrap_or_default();
        let wrong = text.trim().is_empty() || text.chars().count() > 200;
        if wrong && !self.0.iter().any(|complaint| complaint.path == path) {
            self.add(path, "must have 1 to 200 characters");
        }
        text
    }

    /// A date written `2025-09-01`, between 2020 and 2060.
    pub(crate) fn date(&mut self, path: &str, value: Option<String>) -> Option<jiff::civil::Date> {
        let text = value?;
        match text.parse::<jiff::civil::Date>() {
            Ok(date) if (2020..=2060).contains(&date.year()) => Some(date),
            Ok(_) => {
                self.add(path, format!("{text} is outside 2020 to 2060"));
                None
            }
            Err(_) => {
                self.add(path, format!("`{text}` is not a date; write it like \"2025-09-01\""));
                None
            }
        }
    }

    /// A number within bounds; `default` when absent.
    pub(crate) fn number<T>(&mut self, path: &str, value: Option<T>, default: T, low: T, high: T) -> T
    where
        T: PartialOrd + fmt::Display + Copy,
    {
        let Some(number) = value else { return default };
        if number >= low && number <= high {
            return number;
        }
        self.add(path, format!("{number} is outside {low} to {high}"));
        default
    }

    /// `value` when there is nothing to complain about.
    pub(crate) fn or<T>(self, value: Option<T>) -> Result<T, Vec<Complaint>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            Some(_) | None => Err(self.0),
        }
    }
}
