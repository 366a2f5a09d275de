//! A parser, its rules and account classes, compiled.

use std::ops::Range;

use jiff::tz::Offset;
use regex::Regex;

use crate::classes::{Classes, Document, Found, Places, regex};
use crate::manifest::{Form, LogText, Parser, Zone};

/// Everything that decides what a line of one log is.
pub(super) struct Rules {
    pub(super) cut: Cut,
    /// Of what a line has before it is cut, then of the line's fields, then of the extracted ones.
    pub(super) names: Vec<String>,
    /// Which of them are cut out of the line.
    pub(super) cut_fields: Range<usize>,
    pub(super) skip: Option<Regex>,
    /// What the first line of a record is known by, where records have several.
    pub(super) start: Option<Regex>,
    /// From which field, and how.
    pub(super) extract: Vec<(usize, Regex)>,
    pub(super) time: Option<Time>,
    pub(super) account: Option<usize>,
    pub(super) document: Option<Document>,
    pub(super) classes: Classes,
}

/// Where the event's time stands.
pub(super) struct Time {
    pub(super) at: usize,
    /// A second field that belongs to it.
    pub(super) plus: Option<usize>,
    pub(super) format: String,
    /// The zone, unless the line says it.
    pub(super) offset: Option<Offset>,
}

/// How a line is cut.
pub(super) enum Cut {
    /// The numbers of the named groups, in order.
    Pattern(Regex, Vec<usize>),
    /// Delimiter and quote.
    Delimited(u8, Option<u8>),
    /// The same, with a line that names the columns.
    Headed(u8, Option<u8>),
    W3c,
    Json,
    KeyValue,
}

/// What is wrong with a log's parser, rules and accounts. `before` are fields that a line has before it is cut.
pub(crate) fn complaints(text: &LogText, before: &[&str]) -> Found {
    Rules::compile(text, before).err().unwrap_or_default()
}

impl Rules {
    /// Compiles, or says everything that is wrong (at least one thing).
    pub(super) fn compile(text: &LogText, before: &[&str]) -> Result<Self, Found> {
        let mut found = Found::new();
        let parser = &text.parser;
        let mut own = Vec::new();
        let cut = cut(parser, &mut own, &mut found);
        let mut names: Vec<String> = before.iter().map(|name| (*name).to_owned()).collect();
        names.extend(own);
        let cut_end = names.len();
        let skip = parser.skip.as_deref().and_then(|pattern| regex("parser: skip", pattern, &mut found));
        let start = parser.start.as_deref().and_then(|pattern| regex("parser: start", pattern, &mut found));
        let extract = extract(parser, &mut names, &mut found);
        if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            found.push(("parser".into(), format!("names the field `{twice}` twice")));
        }
        let places = Places { kind: "parser", of: &parser.name, names: &names };
        let time = parser.time.as_ref().and_then(|time| {
            let offset = match time.zone {
                Zone::Local => Some(Offset::from_seconds(text.utc_offset_minutes * 60).ok()?),
                Zone::Utc => Some(Offset::UTC),
                Zone::Line => None,
            };
            let at = places.find("parser: time.field", &time.field, &mut found)?;
            let plus = match &time.plus {
                None => None,
                Some(plus) => Some(places.find("parser: time.plus", plus, &mut found)?),
            };
            Some(Time { at, plus, format: time.format.clone(), offset })
        });
        let account = parser.account.as_ref();
        let account = account.and_then(|field| places.find("parser: account.field", field, &mut found));
        let document = Document::compile(parser.document.as_ref(), &places, &mut found);
        let classes = Classes::compile(&text.rules, &text.accounts, &parser.nobody, &places, &mut found);
        match cut {
            Some(cut) if found.is_empty() => {
                let cut_fields = before.len()..cut_end;
                Ok(Self { cut, names, cut_fields, skip, start, extract, time, account, document, classes })
            }
            _ => Err(found),
        }
    }
}

fn cut(parser: &Parser, names: &mut Vec<String>, found: &mut Found) -> Option<Cut> {
    match &parser.form {
        Form::Delimited { delimiter, quote, fields, header } => {
            names.clone_from(fields);
            let (delimiter, quote) = (*delimiter, *quote);
            Some(if *header { Cut::Headed(delimiter, quote) } else { Cut::Delimited(delimiter, quote) })
        }
        Form::W3c(fields) => {
            names.clone_from(fields);
            Some(Cut::W3c)
        }
        Form::Json(fields) => {
            names.clone_from(fields);
            Some(Cut::Json)
        }
        Form::KeyValue(fields) => {
            names.clone_from(fields);
            Some(Cut::KeyValue)
        }
        Form::Pattern(pattern) => {
            let pattern = regex("parser: pattern", pattern, found)?;
            let mut groups = Vec::new();
            for (at, name) in pattern.capture_names().enumerate() {
                if let Some(name) = name {
                    names.push(name.to_owned());
                    groups.push(at);
                }
            }
            Some(Cut::Pattern(pattern, groups))
        }
    }
}

fn extract(parser: &Parser, names: &mut Vec<String>, found: &mut Found) -> Vec<(usize, Regex)> {
    let mut extract = Vec::new();
    for (at, wanted) in parser.extract.iter().enumerate() {
        let key = format!("parser: extract[{at}]");
        let places = Places { kind: "parser", of: &parser.name, names };
        let from = places.find(&format!("{key}.from"), &wanted.from, found);
        let pattern = regex(&format!("{key}.pattern"), &wanted.pattern, found);
        if let Some(groups) = pattern.as_ref().map(Regex::captures_len).filter(|groups| *groups != 2) {
            found.push((format!("{key}.pattern"), format!("has {} groups, not one", groups - 1)));
        }
        extract.extend(from.zip(pattern));
        names.push(wanted.name.clone());
    }
    extract
}
