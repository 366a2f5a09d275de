//! One message → header and text → record: the pure part. RFC 5424, RFC 3164, and what is sent under their name.
//!
//! A header that is not to be understood is text: nothing of a message is left out, and an own time is taken only where
//! the message has one. The library there is for this was tried and not taken: see docs/decisions.

use std::borrow::Cow;
use std::net::IpAddr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::BuildError;
use crate::log::lines::{Columns, Line, Reader};
use crate::log::text::decode;
use crate::manifest::{LogText, SYSLOG_HEADER};

/// Longest tag of RFC 3164 that is taken for one, bytes: the standard says 32.
const MAX_TAG: usize = 64;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads messages of one port.
pub(super) struct Messages {
    reader: Reader,
    offset: Offset,
    columns: Columns,
}

/// A message cut in parts; empty where it has none.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Parts<'a> {
    /// Facility and severity as numbers.
    pub(super) priority: Option<(u8, u8)>,
    pub(super) event_ms: Option<i64>,
    pub(super) host: &'a str,
    pub(super) app: &'a str,
    pub(super) process: &'a str,
    pub(super) id: &'a str,
    /// Structured data, as written.
    pub(super) data: &'a str,
    pub(super) text: &'a str,
}

impl Messages {
    pub(super) fn new(text: &LogText) -> Result<Self, BuildError> {
        let offset = Offset::from_seconds(text.utc_offset_minutes * 60).unwrap_or(Offset::UTC);
        Ok(Self { reader: Reader::after(text, &SYSLOG_HEADER)?, offset, columns: Columns::default() })
    }

    /// Names of a record's fields, in order.
    pub(super) fn fields(&self) -> &[String] {
        self.reader.fields()
    }

    /// Reads the message with this number, which came at `now_ms`, Unix ms.
    pub(super) fn read(&mut self, number: u64, sender: IpAddr, message: &[u8], now_ms: i64) -> Line {
        let whole = decode(self.reader.encoding(), message);
        let parts = cut(&whole, self.offset, now_ms);
        if parts.text.trim().is_empty() {
            return Line::Skipped;
        }
        let number_of = |part: Option<u8>| Cow::Owned(part.map(|part| part.to_string()).unwrap_or_default());
        let before = vec![
            Cow::Owned(sender.to_canonical().to_string()),
            number_of(parts.priority.map(|(facility, _)| facility)),
            number_of(parts.priority.map(|(_, severity)| severity)),
            Cow::Borrowed(parts.host),
            Cow::Borrowed(parts.app),
            Cow::Borrowed(parts.process),
            Cow::Borrowed(parts.id),
            Cow::Borrowed(parts.data),
        ];
        self.reader.read_rest(number, (before, parts.event_ms), parts.text, &mut self.columns)
    }
}

/// Cuts a message. Times without a zone are `offset`'s, and those without a year of the year nearest to `now_ms`.
pub(super) fn cut(message: &str, offset: Offset, now_ms: i64) -> Parts<'_> {
    let message = message.trim_end_matches(['\r', '\n', '\0']);
    let Some((priority, rest)) = priority(message) else {
        return Parts { text: message, ..Parts::default() };
    };
    let priority = Some(priority);
    let cut = rfc5424(rest).or_else(|| rfc3164(rest, offset, now_ms));
    Parts { priority, ..cut.unwrap_or(Parts { text: rest, ..Parts::default() }) }
}

/// `<PRI>`: facility times eight and severity, at most 191.
fn priority(message: &str) -> Option<((u8, u8), &str)> {
    let (number, rest) = message.strip_prefix('<')?.split_once('>')?;
    let is_number = (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u8 = number.parse().ok().filter(|number| is_number && *number <= 191)?;
    Some(((number / 8, number % 8), rest))
}

/// RFC 5424, section 6, after the priority.
fn rfc5424(rest: &str) -> Option<Parts<'_>> {
    let mut words = rest.splitn(7, ' ');
    let mut word = || words.next();
    let version = word()?;
    if !matches!(version.as_bytes(), [b'1'..=b'9'] | [b'1'..=b'9', b'0'..=b'9']) {
        return None;
    }
    let event_ms = match word()? {
        "-" => None,
        time => Some(time.parse::<Timestamp>().ok()?.as_millisecond()),
    };
    let [host, app, process, id] = [word()?, word()?, word()?, word()?].map(or_nothing);
    let rest = word()?;
    let data_end = match rest.strip_prefix('-') {
        Some(_) => 1,
        None => data_end(rest)?,
    };
    let (data, text) = rest.split_at(data_end);
    let text = if text.is_empty() { text } else { text.strip_prefix(' ')? };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Relays leave the blank there that stood after a tag of RFC 3164.
    let text = text.trim_start_matches(' ');
    Some(Parts { priority: None, event_ms, host, app, process, id, data: or_nothing(data), text })
}

fn or_nothing(word: &str) -> &str {
    if word == "-" { "" } else { word }
}

/// Where structured data ends: elements in brackets, whose values are in quotes, in which a backslash escapes.
fn data_end(text: &str) -> Option<usize> {
    let (mut end, mut inside, mut quoted, mut escaped) = (0, false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match (inside, quoted, byte) {
            (false, _, b'[') => inside = true,
            (false, ..) => break,
            (true, true, _) if escaped => escaped = false,
            (true, true, b'\\') => escaped = true,
            (true, _, b'"') => quoted = !quoted,
            (true, false, b']') => (inside, end) = (false, at + 1),
            (true, ..) => {}
        }
    }
    (end > 0 && !inside).then_some(end)
}

/// RFC 3164, section 4.1, after the priority; with the times that RFC 5424 brought, and with or without a host and tag.
fn rfc3164(rest: &str, offset: Offset, now_ms: i64) -> Option<Parts<'_>> {
    let (event_ms, rest) = own_time(rest.trim_start_matches(' '), offset, now_ms)?;
    let rest = rest.strip_prefix(": ").or_else(|| rest.strip_prefix(' ')).unwrap_or(rest);
    let mut parts = Parts { event_ms: Some(event_ms), text: rest, ..Parts::default() };
    // A first word that is a tag has no host before it.
    if tag(rest).is_none()
        && let Some((host, rest)) = rest.split_once(' ')
    {
        (parts.host, parts.text) = (host, rest);
    }
    if let Some((app, process, text)) = tag(parts.text) {
        (parts.app, parts.process, parts.text) = (app, process, text);
    }
    Some(parts)
}

/// `app: text`, `app[7]: text` or `app[7] text`.
fn tag(text: &str) -> Option<(&str, &str, &str)> {
    let is_of_name = |c: char| !c.is_whitespace() && !matches!(c, ':' | '[' | ']' | '"');
    let end = text.find(|c: char| !is_of_name(c)).filter(|end| (1..=MAX_TAG).contains(end))?;
    let (app, rest) = text.split_at(end);
    let (process, rest) = match rest.strip_prefix('[') {
        Some(inner) => {
            let (process, rest) = inner.split_once(']')?;
            if process.is_empty() || process.len() > MAX_TAG || process.contains(char::is_whitespace) {
                return None;
            }
            (process, rest.strip_prefix(':').unwrap_or(rest))
        }
        None => ("", rest.strip_prefix(':')?),
    };
    // `10:20:30` and `C:\x` are no tags.
    let blank = rest.is_empty() || rest.starts_with(' ');
    blank.then(|| (app, process, rest.trim_start_matches(' ')))
}

/// `Nov 22 10:00:00`, `Nov  2 2026 10:00:00`, or a time of RFC 3339.
fn own_time(text: &str, offset: Offset, now_ms: i64) -> Option<(i64, &str)> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let Some(month) = MONTHS.iter().position(|month| *month == word) else {
        return Some((word.parse::<Timestamp>().ok()?.as_millisecond(), rest));
    };
    let month = i8::try_from(month + 1).ok()?;
    let (day, rest) = number(rest.trim_start_matches(' '), 2)?;
    let rest = rest.strip_prefix(' ')?;
    let with_year = number(rest, 4).and_then(|(year, after)| Some((year, after.strip_prefix(' ')?)));
    let (year, rest) = with_year.map_or((None, rest), |(year, after)| (Some(year), after));
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 2)?;
    let small = |part: i16| i8::try_from(part).ok();
    let (day, hour, minute, second) = (small(day)?, small(hour)?, small(minute)?, small(second)?);
    let at = |year: i16| {
        let local = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        Some(offset.to_timestamp(local).ok()?.as_millisecond())
    };
    let now = offset.to_datetime(Timestamp::from_millisecond(now_ms).ok()?).year();
    let event_ms = match year {
        Some(year) => at(year)?,
        None => (now - 1..=now + 1).filter_map(at).min_by_key(|at| at.abs_diff(now_ms))?,
    };
    Some((event_ms, rest))
}

/// A number of at most `digits` digits, and what follows.
fn number(text: &str, digits: usize) -> Option<(i16, &str)> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(end);
    (1..=digits).contains(&end).then(|| Some((number.parse().ok()?, rest)))?
}

#[cfg(test)]
mod tests;
