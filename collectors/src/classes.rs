//! What a record is and who made it: the manifest's rules and account classes, compiled. The first that matches decides.

use std::collections::BTreeMap;

use proof::wire::{ActionClass, ActorClass, ExclusionReason};
use regex::Regex;

use crate::manifest::{AccountClass, DocumentRule, Match, Rule};

/// What is wrong: key below the source's table, and problem.
pub(crate) type Found = Vec<(String, String)>;

/// Longest number of a document in characters. What is longer is a text that happens to stand there, and none.
const MAX_DOCUMENT: usize = 100;

/// Account names whose class is remembered.
const MAX_REMEMBERED: usize = 1_024;

/// Fields by their names, and whose they are.
pub(crate) struct Places<'a> {
    /// `parser` or `map`.
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) of: &'a str,
    pub(crate) names: &'a [String],
}

impl Places<'_> {
    pub(crate) fn find(&self, key: &str, name: &str, found: &mut Found) -> Option<usize> {
        let at = self.names.iter().position(|known| known == name);
        if at.is_none() {
            let (kind, of, known) = (self.kind, self.of, self.names.join(", "));
            found.push((key.to_owned(), format!("{kind} `{of}` has no field `{name}`, only {known}")));
        }
        at
    }
}

/// Rules and account classes.
#[derive(Debug, Clone)]
pub(crate) struct Classes {
    nobody: Vec<String>,
    accounts: Vec<(Test, ActorClass, ExclusionReason)>,
    rules: Vec<(u16, ActionClass, Conditions)>,
}

/// Fields, and what must hold of each.
type Conditions = Vec<(usize, Test)>;

/// How a text is compared.
#[derive(Debug, Clone)]
enum Test {
    Exact(String),
    Prefix(String),
    Finds(Regex),
}

impl Test {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Exact(expected) => text == expected,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Finds(regex) => regex.is_match(text),
        }
    }
}

impl Classes {
    /// Compiles, and adds what is wrong to `found`. `nobody` are account names that stand for none.
    pub(crate) fn compile(
        rules: &[Rule],
        accounts: &[AccountClass],
        nobody: &[String],
        places: &Places<'_>,
        found: &mut Found,
    ) -> Self {
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
        let mut classes = Vec::new();
        for (at, class) in accounts.iter().enumerate() {
            let test = test(&format!("accounts[{at}]"), &class.matches, found);
            classes.extend(test.map(|test| (test, class.class, class.reason)));
        }
        Self { nobody: nobody.to_vec(), accounts: classes, rules: compiled }
    }

    /// Module and action of a record, by its fields.
    pub(crate) fn action<'a>(&self, field: impl Fn(usize) -> &'a str) -> (u16, ActionClass) {
        let holds = |when: &[(usize, Test)]| when.iter().all(|(at, test)| test.holds(field(*at)));
        let rule = self.rules.iter().find(|(_, _, when)| holds(when));
        rule.map_or((0, ActionClass::Other), |(module, action, _)| (*module, *action))
    }

    /// The account of that name, where the name is somebody's.
    pub(crate) fn account<'a>(&self, name: &'a str) -> Option<&'a str> {
        let name = name.trim();
        let is_nobody = name.is_empty() || self.nobody.iter().any(|nobody| nobody == name);
        (!is_nobody).then_some(name)
    }
}

/// Where a record has the number of the business document it is about.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    parts: Vec<usize>,
    pattern: Option<Regex>,
}

impl Document {
    /// Compiles, and adds what is wrong to `found`; `None` where there is no rule, or no good one.
    pub(crate) fn compile(
        rule: Option<&DocumentRule>,
        places: &Places<'_>,
        found: &mut Found,
    ) -> Option<Self> {
        let (rule, kind) = (rule?, places.kind);
        let (before, key) = (found.len(), format!("{kind}: document.pattern"));
        let find = |name: &String| places.find(&format!("{kind}: document.fields"), name, found);
        let parts = rule.fields.iter().filter_map(find).collect();
        let pattern = rule.pattern.as_deref().and_then(|pattern| regex(&key, pattern, found));
        if let Some(groups) = pattern.as_ref().map(Regex::captures_len).filter(|groups| *groups != 2) {
            found.push((key, format!("has {} groups, not one", groups - 1)));
        }
        (found.len() == before).then_some(Self { parts, pattern })
    }

    /// Its number, by the record's fields; `None` where one of its parts is empty.
    pub(crate) fn number<'a>(&self, field: impl Fn(usize) -> &'a str) -> Option<String> {
        let cut = |at: &usize| {
            let text = field(*at);
            let text = match &self.pattern {
                None => text,
                Some(pattern) => pattern.captures(text)?.get(1)?.as_str(),
            };
            Some(text.trim()).filter(|text| !text.is_empty())
        };
        let parts: Vec<_> = self.parts.iter().map(cut).collect::<Option<_>>()?;
        let number = parts.join("-");
        (number.chars().take(MAX_DOCUMENT + 1).count() <= MAX_DOCUMENT).then_some(number)
    }
}

/// Account names that were met, with what they are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Remembered(BTreeMap<String, (ActorClass, ExclusionReason)>);

impl Remembered {
    /// Whom an account stands for.
    pub(crate) fn class(
        &mut self,
        classes: &Classes,
        account: Option<&str>,
    ) -> (ActorClass, ExclusionReason) {
        let Some(name) = account else { return (ActorClass::Excluded, ExclusionReason::NoActor) };
        if let Some(known) = self.0.get(name) {
            return *known;
        }
        let found = classes.accounts.iter().find(|(test, ..)| test.holds(name));
        let class =
            found.map_or((ActorClass::Human, ExclusionReason::None), |(_, class, reason)| (*class, *reason));
        if self.0.len() >= MAX_REMEMBERED {
            self.0.clear();
        }
        self.0.insert(name.to_owned(), class);
        class
    }
}

/// The expression, or why it is none.
pub(crate) fn regex(key: &str, pattern: &str, found: &mut Found) -> Option<Regex> {
    match Regex::new(pattern) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let why = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
            found.push((key.to_owned(), format!("`{pattern}` is not a regular expression: {why}")));
            None
        }
    }
}

fn test(key: &str, test: &Match, found: &mut Found) -> Option<Test> {
    match test {
        Match::Exact(text) => Some(Test::Exact(text.clone())),
        Match::Prefix(text) => Some(Test::Prefix(text.clone())),
        Match::Regex(pattern) => regex(&format!("{key}.regex"), pattern, found).map(Test::Finds),
    }
}
