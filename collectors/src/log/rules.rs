//! A parser, its rules and account classes, compiled.

use jiff::tz::Offset;
use proof::wire::{ActionClass, ActorClass, ExclusionReason};
use regex::Regex;

use crate::manifest::{AccountClass, Form, LogFile, Match, Parser, Rule, Zone};

/// What is wrong: key below the `log` table, and problem.
pub(crate) type Found = Vec<(String, String)>;

/// Everything that decides what a line of one log is.
pub(super) struct Rules {
    pub(super) cut: Cut,
    /// Of the line's fields, then of the extracted ones.
    pub(super) names: Vec<String>,
    pub(super) skip: Option<Regex>,
    /// From which field, and how.
    pub(super) extract: Vec<(usize, Regex)>,
    /// Field, format, and the zone unless the line says it.
    pub(super) time: Option<(usize, String, Option<Offset>)>,
    pub(super) account: Option<usize>,
    pub(super) nobody: Vec<String>,
    pub(super) accounts: Vec<(Test, ActorClass, ExclusionReason)>,
    pub(super) rules: Vec<(u16, ActionClass, Conditions)>,
}

/// Fields, and what must hold of each.
pub(super) type Conditions = Vec<(usize, Test)>;

/// How a line is cut.
pub(super) enum Cut {
    /// The numbers of the named groups, in order.
    Pattern(Regex, Vec<usize>),
    /// Delimiter and quote.
    Delimited(u8, Option<u8>),
}

/// How a text is compared.
pub(super) enum Test {
    Exact(String),
    Prefix(String),
    Finds(Regex),
}

impl Test {
    pub(super) fn holds(&self, text: &str) -> bool {
        match self {
            Self::Exact(expected) => text == expected,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Finds(regex) => regex.is_match(text),
        }
    }
}

/// What is wrong with a log's parser, rules and accounts.
pub(crate) fn complaints(file: &LogFile) -> Found {
    Rules::compile(file).err().unwrap_or_default()
}

impl Rules {
    /// Compiles, or says everything that is wrong (at least one thing).
    pub(super) fn compile(file: &LogFile) -> Result<Self, Found> {
        let mut found = Found::new();
        let parser = &file.parser;
        let mut names = Vec::new();
        let cut = cut(parser, &mut names, &mut found);
        let skip = parser.skip.as_deref().and_then(|pattern| regex("parser: skip", pattern, &mut found));
        let extract = extract(parser, &mut names, &mut found);
        if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            found.push(("parser".into(), format!("names the field `{twice}` twice")));
        }
        let places = Places { parser: &parser.name, names: &names };
        let time = parser.time.as_ref().and_then(|time| {
            let offset = match time.zone {
                Zone::Local => Some(Offset::from_seconds(file.utc_offset_minutes * 60).ok()?),
                Zone::Utc => Some(Offset::UTC),
                Zone::Line => None,
            };
            let at = places.find("parser: time.field", &time.field, &mut found)?;
            Some((at, time.format.clone(), offset))
        });
        let account = parser.account.as_ref();
        let account = account.and_then(|field| places.find("parser: account.field", field, &mut found));
        let rules = rules(&file.rules, &places, &mut found);
        let accounts = accounts(&file.accounts, &mut found);
        match cut {
            Some(cut) if found.is_empty() => {
                let nobody = parser.nobody.clone();
                Ok(Self { cut, names, skip, extract, time, account, nobody, accounts, rules })
            }
            _ => Err(found),
        }
    }
}

/// The fields of a parser, by name.
struct Places<'a> {
    parser: &'a str,
    names: &'a [String],
}

impl Places<'_> {
    fn find(&self, key: &str, name: &str, found: &mut Found) -> Option<usize> {
        let at = self.names.iter().position(|known| known == name);
        if at.is_none() {
            let known = self.names.join(", ");
            found.push((
                key.to_owned(),
                format!("parser `{}` has no field `{name}`, only {known}", self.parser),
            ));
        }
        at
    }
}

fn cut(parser: &Parser, names: &mut Vec<String>, found: &mut Found) -> Option<Cut> {
    match &parser.form {
        Form::Delimited { delimiter, quote, fields } => {
            names.clone_from(fields);
            Some(Cut::Delimited(*delimiter, *quote))
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
        let places = Places { parser: &parser.name, names };
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

fn rules(rules: &[Rule], places: &Places<'_>, found: &mut Found) -> Vec<(u16, ActionClass, Conditions)> {
    let mut compiled = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        let mut when = Vec::new();
        for (condition_at, condition) in rule.when.iter().enumerate() {
            let key = format!("rules[{at}].when[{condition_at}]");
            let field = places.find(&format!("{key}.field"), &condition.field, found);
            when.extend(field.zip(test(&key, &condition.test, found)));
        }
        compiled.push((rule.module, rule.action, when));
    }
    compiled
}

fn accounts(classes: &[AccountClass], found: &mut Found) -> Vec<(Test, ActorClass, ExclusionReason)> {
    let mut accounts = Vec::new();
    for (at, class) in classes.iter().enumerate() {
        let test = test(&format!("accounts[{at}]"), &class.matches, found);
        accounts.extend(test.map(|test| (test, class.class, class.reason)));
    }
    accounts
}

fn test(key: &str, test: &Match, found: &mut Found) -> Option<Test> {
    match test {
        Match::Exact(text) => Some(Test::Exact(text.clone())),
        Match::Prefix(text) => Some(Test::Prefix(text.clone())),
        Match::Regex(pattern) => regex(&format!("{key}.regex"), pattern, found).map(Test::Finds),
    }
}

fn regex(key: &str, pattern: &str, found: &mut Found) -> Option<Regex> {
    match Regex::new(pattern) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let why = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
            found.push((key.to_owned(), format!("`{pattern}` is not a regular expression: {why}")));
            None
        }
    }
}
