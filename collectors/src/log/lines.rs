//! Lines → records: the pure part.
//!
//! Nothing here reads a file or asks the time. A line that no pattern understands is counted, never dropped in
//! silence; what a record means is decided by the manifest's rules and account classes, first match first.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::tz::Offset;
use proof::Record;

pub use super::forms::Columns;
use super::rules::{Cut, Rules};
use super::time::event_time;
use super::{forms, text};
use crate::BuildError;
use crate::classes::Remembered;
use crate::manifest::{Encoding, LogText};

/// Longest line that is kept, in bytes; longer ones are counted as not understood.
pub const MAX_LINE: usize = 64 * 1024;

/// What one line is.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A record.
    Record(Record),
    /// A header, a trace, an empty line: known, and no record.
    Skipped,
    /// Not understood.
    Unparsed,
}

/// Turns lines of one log into records. Cloning is cheap but for what it remembers.
#[derive(Clone)]
pub struct Reader {
    rules: Arc<Rules>,
    encoding: Encoding,
    /// The last event time, as text and read: neighbours share it.
    last_time: (String, Option<i64>),
    remembered: Remembered,
}

impl Reader {
    /// Compiles a log's parser, rules and account classes.
    ///
    /// # Errors
    /// [`BuildError::Pattern`] for the first thing wrong; a checked manifest has none.
    pub fn new(text: &LogText) -> Result<Self, BuildError> {
        Self::after(text, &[])
    }

    /// The same for lines that have fields of these names before the parser cuts them: see [`Reader::read_rest`].
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub fn after(text: &LogText, before: &[&str]) -> Result<Self, BuildError> {
        let rules = Rules::compile(text, before).map_err(|mut found| {
            let (pattern, why) = found.swap_remove(0);
            BuildError::Pattern { pattern, why }
        })?;
        let (last_time, remembered) = ((String::new(), None), Remembered::default());
        Ok(Self { rules: Arc::new(rules), encoding: text.encoding, last_time, remembered })
    }

    /// Names of a record's fields, in order.
    pub fn fields(&self) -> &[String] {
        &self.rules.names
    }

    /// What the manifest says of the encoding.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether a record can have several lines.
    pub fn has_records_of_several_lines(&self) -> bool {
        self.rules.start.is_some()
    }

    /// Whether a line begins a record, where records can have several.
    pub(super) fn begins_record(&self, line: &[u8], encoding: Encoding) -> bool {
        self.rules.start.as_ref().is_none_or(|start| start.is_match(&text::decode(encoding, line)))
    }

    /// Reads one line or record, without its line end. `position` is where it begins; `columns` are the file's.
    pub fn read(&mut self, position: u64, line: &[u8], encoding: Encoding, columns: &mut Columns) -> Line {
        let rules = Arc::clone(&self.rules);
        let text = text::decode(encoding, line);
        if text.trim().is_empty() {
            return Line::Skipped;
        }
        self.cut(&rules, position, (Vec::new(), None), &text, columns)
    }

    /// Reads what is left of a line that has fields already, and where it has one an event time, Unix ms, which counts
    /// where the parser names none.
    pub fn read_rest(
        &mut self,
        position: u64,
        before: (Vec<Cow<'_, str>>, Option<i64>),
        rest: &str,
        columns: &mut Columns,
    ) -> Line {
        let rules = Arc::clone(&self.rules);
        debug_assert_eq!(before.0.len(), rules.cut_fields.start, "as many as were named");
        self.cut(&rules, position, before, rest, columns)
    }

    fn cut(
        &mut self,
        rules: &Rules,
        position: u64,
        before: (Vec<Cow<'_, str>>, Option<i64>),
        text: &str,
        columns: &mut Columns,
    ) -> Line {
        let (mut all, event_ms) = before;
        let record = match cut(rules, text, columns) {
            forms::Line::Header => return Line::Skipped,
            forms::Line::Fields(fields) => {
                all.extend(fields);
                self.record(rules, position, all, event_ms)
            }
            forms::Line::Other => None,
        };
        match record {
            Some(record) => Line::Record(record),
            None if rules.skip.as_ref().is_some_and(|skip| skip.is_match(text)) => Line::Skipped,
            None => Line::Unparsed,
        }
    }

    fn record(
        &mut self,
        rules: &Rules,
        position: u64,
        mut fields: Vec<Cow<'_, str>>,
        event_ms: Option<i64>,
    ) -> Option<Record> {
        for (from, pattern) in &rules.extract {
            let found = pattern.captures(&fields[*from]).and_then(|found| found.get(1));
            let found = found.map(|found| found.as_str().to_owned()).unwrap_or_default();
            fields.push(Cow::Owned(found));
        }
        let event_ms = match &rules.time {
            None => event_ms,
            Some(time) => Some(match time.plus {
                None => self.time(&fields[time.at], &time.format, time.offset)?,
                Some(plus) => {
                    let joined = format!("{} {}", fields[time.at], fields[plus]);
                    self.time(&joined, &time.format, time.offset)?
                }
            }),
        };
        let account = rules.account.and_then(|at| rules.classes.account(&fields[at]));
        let (actor_class, reason) = self.remembered.class(&rules.classes, account);
        let (module, action) = rules.classes.action(|at| &fields[at]);
        let document = rules.document.as_ref().and_then(|document| document.number(|at| &fields[at]));
        let account = account.map(str::to_owned);
        let fields = fields.into_iter().map(|field| field.into_owned().into_bytes()).collect();
        Some(Record { position, fields, event_ms, account, document, actor_class, reason, module, action })
    }

    fn time(&mut self, text: &str, format: &str, offset: Option<Offset>) -> Option<i64> {
        if self.last_time.0 != text {
            self.last_time.1 = event_time(text, format, offset);
            self.last_time.0.clear();
            self.last_time.0.push_str(text);
        }
        self.last_time.1
    }
}

fn cut<'a>(rules: &Rules, text: &'a str, columns: &mut Columns) -> forms::Line<'a> {
    let names = &rules.names[rules.cut_fields.clone()];
    let fields = match &rules.cut {
        Cut::Pattern(pattern, groups) => pattern.captures(text).map(|found| {
            let field = |group: &usize| Cow::Borrowed(found.get(*group).map_or("", |m| m.as_str()));
            groups.iter().map(field).collect()
        }),
        Cut::Delimited(delimiter, quote) => {
            let fields = forms::delimited(text, *delimiter, *quote, names.len());
            fields.filter(|fields| fields.len() == names.len())
        }
        Cut::Headed(delimiter, quote) => {
            return forms::with_header(text, (*delimiter, *quote), names, columns);
        }
        Cut::W3c => return forms::w3c(text, names, columns),
        Cut::Json => forms::json(text, names),
        Cut::KeyValue => forms::key_value(text, names),
    };
    fields.map_or(forms::Line::Other, forms::Line::Fields)
}

#[cfg(test)]
mod tests;
