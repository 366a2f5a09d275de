//! Lines → records: the pure part.
//!
//! Nothing here reads a file or asks the time. A line that no pattern understands is counted, never dropped in
//! silence; what a record means is decided by the manifest's rules and account classes, first match first.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::Offset;
use proof::Record;
use proof::wire::{ActionClass, ActorClass, ExclusionReason};

use super::rules::{Cut, Rules};
use crate::BuildError;
use crate::manifest::{Encoding, LogFile};

/// Longest line that is kept, in bytes; longer ones are counted as not understood.
pub const MAX_LINE: usize = 64 * 1024;

/// Account names whose class is remembered.
const MAX_REMEMBERED: usize = 1_024;

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
    classes: BTreeMap<String, (ActorClass, ExclusionReason)>,
}

impl Reader {
    /// Compiles a log's parser, rules and account classes.
    ///
    /// # Errors
    /// [`BuildError::Pattern`] for the first thing wrong; a checked manifest has none.
    pub fn new(file: &LogFile) -> Result<Self, BuildError> {
        let rules = Rules::compile(file).map_err(|mut found| {
            let (pattern, why) = found.swap_remove(0);
            BuildError::Pattern { pattern, why }
        })?;
        let (last_time, classes) = ((String::new(), None), BTreeMap::new());
        Ok(Self { rules: Arc::new(rules), encoding: file.encoding, last_time, classes })
    }

    /// Names of a record's fields, in order.
    pub fn fields(&self) -> &[String] {
        &self.rules.names
    }

    /// Reads one line, without its line end. `position` is where it begins.
    pub fn read(&mut self, position: u64, line: &[u8]) -> Line {
        let rules = Arc::clone(&self.rules);
        let text = decode(self.encoding, line);
        let text = without_colours(&text);
        if text.trim().is_empty() {
            return Line::Skipped;
        }
        match self.record(&rules, position, &text) {
            Some(record) => Line::Record(record),
            None if rules.skip.as_ref().is_some_and(|skip| skip.is_match(&text)) => Line::Skipped,
            None => Line::Unparsed,
        }
    }

    fn record(&mut self, rules: &Rules, position: u64, text: &str) -> Option<Record> {
        let mut fields = cut(rules, text)?;
        for (from, pattern) in &rules.extract {
            let found = pattern.captures(&fields[*from]).and_then(|found| found.get(1));
            let found = found.map(|found| found.as_str().to_owned()).unwrap_or_default();
            fields.push(Cow::Owned(found));
        }
        let event_ms = match &rules.time {
            None => None,
            Some((at, format, offset)) => Some(self.time(&fields[*at], format, *offset)?),
        };
        let account = rules.account.map(|at| &*fields[at]).map(str::trim).filter(|name| !name.is_empty());
        let account = account.filter(|name| !rules.nobody.iter().any(|nobody| nobody == name));
        let (actor_class, reason) = match account {
            None => (ActorClass::Excluded, ExclusionReason::NoActor),
            Some(name) => self.class(rules, name),
        };
        let rule =
            rules.rules.iter().find(|(_, _, when)| when.iter().all(|(at, test)| test.holds(&fields[*at])));
        let (module, action) = rule.map_or((0, ActionClass::Other), |(module, action, _)| (*module, *action));
        let account = account.map(str::to_owned);
        let fields = fields.into_iter().map(|field| field.into_owned().into_bytes()).collect();
        Some(Record { position, fields, event_ms, account, actor_class, reason, module, action })
    }

    fn time(&mut self, text: &str, format: &str, offset: Option<Offset>) -> Option<i64> {
        if self.last_time.0 != text {
            self.last_time.1 = event_time(text, format, offset);
            self.last_time.0.clear();
            self.last_time.0.push_str(text);
        }
        self.last_time.1
    }

    fn class(&mut self, rules: &Rules, name: &str) -> (ActorClass, ExclusionReason) {
        if let Some(known) = self.classes.get(name) {
            return *known;
        }
        let found = rules.accounts.iter().find(|(test, ..)| test.holds(name));
        let class =
            found.map_or((ActorClass::Human, ExclusionReason::None), |(_, class, reason)| (*class, *reason));
        if self.classes.len() >= MAX_REMEMBERED {
            self.classes.clear();
        }
        self.classes.insert(name.to_owned(), class);
        class
    }
}

/// The line as text, without the rest of its line end and without a byte order mark.
fn decode(encoding: Encoding, line: &[u8]) -> Cow<'_, str> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match encoding {
        Encoding::Utf8 => encoding_rs::UTF_8.decode_with_bom_removal(line).0,
        Encoding::Gb18030 => encoding_rs::GB18030.decode_without_bom_handling(line).0,
    }
}

/// Without terminal colours (CSI … m): frameworks leave them inside of lines.
fn without_colours(text: &str) -> Cow<'_, str> {
    if !text.contains('\x1b') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut pieces = text.split("\x1b[");
    plain.push_str(pieces.next().unwrap_or(""));
    for piece in pieces {
        let rest = piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match rest.strip_prefix('m') {
            Some(rest) => plain.push_str(rest),
            None => {
                plain.push_str("\x1b[");
                plain.push_str(piece);
            }
        }
    }
    Cow::Owned(plain)
}

fn cut<'a>(rules: &Rules, text: &'a str) -> Option<Vec<Cow<'a, str>>> {
    match &rules.cut {
        Cut::Pattern(pattern, groups) => {
            let found = pattern.captures(text)?;
            let field = |group: &usize| Cow::Borrowed(found.get(*group).map_or("", |m| m.as_str()));
            Some(groups.iter().map(field).collect())
        }
        Cut::Delimited(delimiter, quote) => {
            let expected = rules.names.len() - rules.extract.len();
            let fields = delimited(text, *delimiter, *quote, expected)?;
            (fields.len() == expected).then_some(fields)
        }
    }
}

/// Cuts at a delimiter outside of quotes; a doubled quote inside of them stands for itself (RFC 4180, 2.5-2.7).
/// `None` when a quote does not close, something follows it, or there are more than `most` fields.
fn delimited(text: &str, delimiter: u8, quote: Option<u8>, most: usize) -> Option<Vec<Cow<'_, str>>> {
    let bytes = text.as_bytes();
    let mut fields = Vec::with_capacity(most);
    let mut at = 0;
    loop {
        if fields.len() == most {
            return None;
        }
        let end = match quote {
            Some(quote) if bytes.get(at) == Some(&quote) => {
                let (field, end) = quoted(text, at + 1, quote)?;
                fields.push(field);
                end
            }
            _ => {
                let length = bytes[at..].iter().position(|b| *b == delimiter).unwrap_or(bytes.len() - at);
                fields.push(Cow::Borrowed(&text[at..at + length]));
                at + length
            }
        };
        match bytes.get(end) {
            None => return Some(fields),
            Some(byte) if *byte == delimiter => at = end + 1,
            Some(_) => return None,
        }
    }
}

/// The field whose opening quote is before `from`, and where the text goes on after the closing one.
fn quoted(text: &str, from: usize, quote: u8) -> Option<(Cow<'_, str>, usize)> {
    let bytes = text.as_bytes();
    let mut field = Cow::Borrowed("");
    let mut at = from;
    loop {
        let end = at + bytes.get(at..)?.iter().position(|b| *b == quote)?;
        if field.is_empty() {
            field = Cow::Borrowed(&text[at..end]);
        } else {
            field.to_mut().push_str(&text[at..end]);
        }
        if bytes.get(end + 1) != Some(&quote) {
            return Some((field, end + 1));
        }
        field.to_mut().push(char::from(quote));
        at = end + 2;
    }
}

/// Unix ms, or `None` when the text is not of that form. A fraction may follow a comma as well (ISO 8601, 5.3.1.3).
fn event_time(text: &str, format: &str, offset: Option<Offset>) -> Option<i64> {
    let with_point;
    let text = match text.contains(',') && format.contains("%.f") {
        true => {
            with_point = text.replace(',', ".");
            with_point.as_str()
        }
        false => text,
    };
    let time = BrokenDownTime::parse(format, text).ok()?;
    let timestamp = match offset {
        Some(offset) => offset.to_timestamp(time.to_datetime().ok()?).ok()?,
        None => time.to_timestamp().ok()?,
    };
    Some(timestamp.as_millisecond())
}

#[cfg(test)]
mod tests;
