//! Who an account is, what a record means and which document it is about: what an expert will ask about.

use daemon::config::Complaints;
use proof::catalogue::MODULES;
use proof::wire::{ActionClass, ActorClass, ExclusionReason};

use super::check::word;
use super::raw;

/// Most account classes or rules of one source.
const MAX_RULES: usize = 1_000;

/// Most fields that make a document's number.
const MAX_PARTS: usize = 4;

/// What an account's name is compared with. The first class that matches decides; an account that matches none is a
/// person, and a record that names nobody is excluded as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountClass {
    /// Which names.
    pub matches: Match,
    /// What they are.
    pub class: ActorClass,
    /// Why, for the class excluded.
    pub reason: ExclusionReason,
}

/// How a text is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// Byte for byte.
    Exact(String),
    /// By its beginning.
    Prefix(String),
    /// By a regular expression that finds something in it.
    Regex(String),
}

/// Which records are which module and action. The first rule whose conditions all hold decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Module code, as `module_code` gives it; 0 for records of no module, such as log-ins.
    pub module: u16,
    /// What was done.
    pub action: ActionClass,
    /// All must hold; at least one.
    pub when: Vec<Condition>,
}

/// One condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Field of the parser.
    pub field: String,
    /// What it is compared with.
    pub test: Match,
}

/// Where a record has the number of the business document it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRule {
    /// The fields whose values make it, joined by hyphens: kind and number of an order.
    pub fields: Vec<String>,
    /// What it is cut by out of the one field, where that says more: a regular expression with one group.
    pub pattern: Option<String>,
}

const CLASSES: &[(&str, ActorClass)] = &[
    ("human", ActorClass::Human),
    ("shared_terminal", ActorClass::SharedTerminal),
    ("provider", ActorClass::Provider),
    ("interface", ActorClass::Interface),
    ("excluded", ActorClass::Excluded),
];
const REASONS: &[(&str, ExclusionReason)] = &[
    ("admin", ExclusionReason::Admin),
    ("test", ExclusionReason::Test),
    ("system", ExclusionReason::System),
];
const ACTIONS: &[(&str, ActionClass)] = &[
    ("create", ActionClass::Create),
    ("report", ActionClass::Report),
    ("approve", ActionClass::Approve),
    ("post", ActionClass::Post),
    ("close", ActionClass::Close),
    ("change", ActionClass::Change),
    ("login", ActionClass::Login),
    ("logout", ActionClass::Logout),
    ("query", ActionClass::Query),
    ("print", ActionClass::Print),
    ("other", ActionClass::Other),
];

/// Code of a module on the wire: its place in the catalogue, from 1. `None` for a name outside of it.
pub(crate) fn module_code(name: &str) -> Option<u16> {
    let at = MODULES.iter().position(|module| module.code == name)?;
    u16::try_from(at + 1).ok()
}

pub(super) fn classes(complaints: &mut Complaints, path: &str, raw: Vec<raw::Account>) -> Vec<AccountClass> {
    bounded(complaints, path, raw.len());
    let mut classes = Vec::new();
    for (at, raw) in raw.into_iter().enumerate().take(MAX_RULES) {
        let path = format!("{path}[{at}]");
        let given = [("exact", raw.exact), ("prefix", raw.prefix), ("regex", raw.regex)];
        let matches = test(complaints, &path, given);
        let class_path = format!("{path}.class");
        let class = word(complaints, &class_path, raw.class, CLASSES).required(complaints, &class_path);
        let reason_path = format!("{path}.reason");
        let reason_given = raw.reason.is_some();
        let reason = word(complaints, &reason_path, raw.reason, REASONS).flatten_or(ExclusionReason::None);
        match class {
            Some(ActorClass::Excluded) if !reason_given => {
                complaints.add(reason_path, "is missing; an excluded account says why");
            }
            Some(ActorClass::Excluded) | None => {}
            Some(_) if reason_given => {
                complaints.add(reason_path, "has a meaning only for class = \"excluded\"")
            }
            Some(_) => {}
        }
        if let (Some(matches), Some(class)) = (matches, class) {
            classes.push(AccountClass { matches, class, reason });
        }
    }
    classes
}

/// The `document` table of a parser or a map; what its fields and its pattern are is seen when they are compiled.
pub(super) fn document(complaints: &mut Complaints, raw: Option<raw::Document>) -> Option<DocumentRule> {
    let raw = raw?;
    let fields = complaints.required("document.fields", raw.fields)?;
    if fields.is_empty() || fields.len() > MAX_PARTS {
        complaints.add("document.fields", format!("has {} entries (1 to {MAX_PARTS})", fields.len()));
    }
    if raw.pattern.is_some() && fields.len() > 1 {
        complaints.add("document.pattern", "has a meaning for one field only");
    }
    Some(DocumentRule { fields, pattern: raw.pattern })
}

pub(super) fn rules(complaints: &mut Complaints, path: &str, raw: Vec<raw::Rule>) -> Vec<Rule> {
    bounded(complaints, path, raw.len());
    let mut rules = Vec::new();
    for (at, raw) in raw.into_iter().enumerate().take(MAX_RULES) {
        let path = format!("{path}[{at}]");
        let action_path = format!("{path}.action");
        let action = word(complaints, &action_path, raw.action, ACTIONS).required(complaints, &action_path);
        let module = module(complaints, &format!("{path}.module"), raw.module, action);
        if raw.when.is_empty() {
            complaints.add(format!("{path}.when"), "is empty; it would match every record");
        }
        let mut when = Vec::new();
        for (at, raw) in raw.when.into_iter().enumerate() {
            let path = format!("{path}.when[{at}]");
            let field = complaints.required(&format!("{path}.field"), raw.field);
            let test =
                test(complaints, &path, [("equals", raw.equals), ("prefix", None), ("regex", raw.regex)]);
            if let (Some(field), Some(test)) = (field, test) {
                when.push(Condition { field, test });
            }
        }
        if let (Some(module), Some(action)) = (module, action) {
            rules.push(Rule { module, action, when });
        }
    }
    rules
}

fn bounded(complaints: &mut Complaints, path: &str, length: usize) {
    if length > MAX_RULES {
        complaints.add(path, format!("has {length} entries (at most {MAX_RULES})"));
    }
}

fn module(
    complaints: &mut Complaints,
    path: &str,
    field: Option<String>,
    action: Option<ActionClass>,
) -> Option<u16> {
    let Some(name) = field else {
        if let Some(action) = action.filter(|action| proof::observation::is_key(*action)) {
            complaints
                .add(path, format!("is missing; {} is a key action of some module", action.as_str_name()));
        }
        return Some(0);
    };
    let code = module_code(&name);
    if code.is_none() {
        let known: Vec<_> = MODULES.iter().map(|module| module.code).collect();
        complaints.add(path, format!("`{name}` is not in the catalogue: {}", known.join(", ")));
    }
    code
}

/// Exactly one of an exact text, a prefix and a regular expression.
fn test(complaints: &mut Complaints, path: &str, given: [(&str, Option<String>); 3]) -> Option<Match> {
    let keys: Vec<_> = given.iter().map(|(key, _)| format!("`{key}`")).collect();
    let makers = [Match::Exact, Match::Prefix, Match::Regex];
    let mut found = Vec::new();
    for ((_, text), make) in given.into_iter().zip(makers) {
        found.extend(text.map(make));
    }
    if found.len() == 1 {
        return found.pop();
    }
    complaints.add(path, format!("needs exactly one of {}", keys.join(", ")));
    None
}
