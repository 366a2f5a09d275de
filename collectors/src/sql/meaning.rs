//! Rows → records: what a row means is decided by the manifest's rules and account classes, first match first.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use proof::Record;

use super::follow::Row;
use crate::classes::{Classes, Document, Found, Places, Remembered};
use crate::manifest::{AuditTable, MomentForm};

/// Everything that decides what a row is.
#[derive(Clone)]
pub(super) struct Meaning {
    names: Vec<String>,
    time: Option<(MomentForm, Vec<usize>, Offset)>,
    account: Option<usize>,
    document: Option<Document>,
    classes: Classes,
    remembered: Remembered,
}

impl Meaning {
    /// Compiles, or says everything that is wrong (at least one thing).
    pub(super) fn compile(table: &AuditTable) -> Result<Self, Found> {
        let map = &table.map;
        let names: Vec<_> = map.fields.iter().map(|field| field.name.clone()).collect();
        let place = |name: &str| names.iter().position(|known| known == name);
        let mut found = Found::new();
        let places = Places { kind: "map", of: &map.name, names: &names };
        let document = Document::compile(map.document.as_ref(), &places, &mut found);
        let classes = Classes::compile(&table.rules, &table.accounts, &map.nobody, &places, &mut found);
        if !found.is_empty() {
            return Err(found);
        }
        let local = Offset::from_seconds(table.utc_offset_minutes * 60).unwrap_or(Offset::UTC);
        let time = map.time.as_ref().map(|time| {
            let fields = time.fields.iter().filter_map(|name| place(name)).collect();
            (time.form, fields, if time.utc { Offset::UTC } else { local })
        });
        let account = map.account.as_deref().and_then(place);
        Ok(Self { names, time, account, document, classes, remembered: Remembered::default() })
    }

    /// Names of a record's fields, in order.
    pub(super) fn fields(&self) -> &[String] {
        &self.names
    }

    /// The record of a row; `None` when its time cannot be read.
    pub(super) fn record(&mut self, position: u64, row: Row) -> Option<Record> {
        let cells: Vec<String> = row.cells.into_iter().map(Option::unwrap_or_default).collect();
        let event_ms = match &self.time {
            None => None,
            Some((form, fields, offset)) => {
                let texts: Vec<_> = fields.iter().map(|at| cells[*at].trim()).collect();
                event_time(*form, &texts, *offset)?
            }
        };
        let account = self.account.and_then(|at| self.classes.account(&cells[at]));
        let (actor_class, reason) = self.remembered.class(&self.classes, account);
        let (module, action) = self.classes.action(|at| cells[at].trim_end());
        let document = self.document.as_ref().and_then(|document| document.number(|at| &cells[at]));
        let account = account.map(str::to_owned);
        let fields = cells.into_iter().map(String::into_bytes).collect();
        Some(Record { position, fields, event_ms, account, document, actor_class, reason, module, action })
    }
}

/// Unix ms; `None` when the texts are not of that form, and no time where only the day is said.
#[expect(clippy::option_option, reason = "not understood is something else than not said")]
fn event_time(form: MomentForm, texts: &[&str], offset: Offset) -> Option<Option<i64>> {
    let civil = match form {
        MomentForm::UnixMs => {
            let moment = jiff::Timestamp::from_millisecond(texts.first()?.parse().ok()?).ok()?;
            return Some(Some(moment.as_millisecond()));
        }
        MomentForm::DateTime => {
            let text = texts.first()?;
            // With an offset after the time, it says itself what zone it is in.
            let with_offset = text.get(10..).is_some_and(|time| time.contains(['+', '-', 'Z']));
            if with_offset {
                return Some(Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()));
            }
            text.parse::<DateTime>().ok()?
        }
        MomentForm::DateText => {
            let date = digits(texts.first()?).filter(|digits| digits.len() == 8)?;
            let date = day(date.parse().ok()?)?;
            match texts.get(1).copied().unwrap_or_default() {
                "" => return Some(None),
                time => date.to_datetime(time_of_day(time)?),
            }
        }
        MomentForm::DateAndInt => {
            let date: DateTime = texts.first()?.parse().ok()?;
            date.date().to_datetime(clock(texts.get(1)?)?)
        }
    };
    Some(Some(offset.to_timestamp(civil).ok()?.as_millisecond()))
}

fn digits(text: &str) -> Option<String> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.to_owned())
}

fn day(number: i32) -> Option<Date> {
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// HHMM or HHMMSS, with colons or not, and with parts of a second or not.
fn time_of_day(text: &str) -> Option<Time> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let parts: Vec<&str> = whole.split(':').collect();
    let joined = match parts.as_slice() {
        [whole] => digits(whole)?,
        [hour, rest @ ..] => digits(&format!("{hour:0>2}{}", rest.concat()))?,
        [] => return None,
    };
    match joined.len() {
        // Hours and minutes.
        4 => clock(&format!("{joined}00")),
        _ => clock(joined.get(..6).unwrap_or(&joined)),
    }
}

/// HHMMSS as a number, leading zeros or not; nothing is midnight.
fn clock(text: &str) -> Option<Time> {
    let number: i32 = if text.is_empty() { 0 } else { text.parse().ok()? };
    let part = |by: i32| i8::try_from(number / by % 100).ok();
    if number >= 1_000_000 {
        return None;
    }
    Time::new(part(10_000)?, part(100)?, part(1)?, 0).ok()
}

#[cfg(test)]
mod tests;
