//! Map files: what is in a table, by product.
//!
//! Names of tables and columns come from these files, so each is checked here and quoted later; there is no key that
//! takes SQL.

use std::path::Path;

use daemon::config::Complaints;

use super::accounts::{DocumentRule, Rule, document, rules};
use super::check::word;
use super::library::Library;
use super::{Encoding, raw};

/// Largest map file in bytes.
const MAX_MAP: u64 = 64 * 1024;
/// Most fields of one row.
const MAX_FIELDS: usize = 64;
/// Most columns of a key, and most joined tables.
const MAX_KEYS: usize = 6;
/// Longest name of a table or column: SQL Server's.
const MAX_IDENTIFIER: usize = 128;

/// What is in a table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableMap {
    /// Name of its file without `.toml`.
    pub name: String,
    /// What it reads, for people.
    pub about: String,
    /// Whether its columns were read in public documentation, or are to be checked on a site first.
    pub confirmed: bool,
    /// Parts of the table's name: `[schema, table]`.
    pub table: Vec<String>,
    /// Tables that give names to codes.
    pub joins: Vec<Join>,
    /// The columns that order the rows.
    pub key: Vec<Key>,
    /// No two rows share a key.
    pub unique: bool,
    /// Rows stay as they are: one that changes or goes is a finding. Not so where a row moves each time it is saved.
    pub settled: bool,
    /// What is read of a row, in order.
    pub fields: Vec<Column>,
    /// Where the event's time stands.
    pub time: Option<Moment>,
    /// The field that names the account.
    pub account: Option<String>,
    /// Accounts that mean nobody.
    pub nobody: Vec<String>,
    /// Where the number of the business document stands.
    pub document: Option<DocumentRule>,
    /// What texts are in that the server itself calls Latin-1; it knows of the others.
    pub encoding: Option<Encoding>,
    /// What is what, after the manifest's own rules.
    pub rules: Vec<Rule>,
}

/// A joined table: every row of the main one stays, with or without its partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Parts of its name.
    pub table: Vec<String>,
    /// What its columns are called by: `alias.COLUMN`.
    pub alias: String,
    /// Its column.
    pub column: String,
    /// The main table's column of the same value.
    pub equals: String,
}

/// A column that orders the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name in the main table.
    pub column: String,
    /// What it holds.
    pub kind: KeyKind,
}

/// What a key column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// A whole number.
    Int,
    /// Text of any characters.
    Text,
    /// Text in a column of one byte a character, which is compared as such.
    Ascii,
    /// Date and time as the database's oldest type has it.
    DateTime,
    /// SQL Server's `datetime2`; elsewhere the same as [`KeyKind::DateTime`].
    DateTime2,
}

/// One field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What rules call it.
    pub name: String,
    /// Alias of a joined table, unless it is the main one.
    pub of: Option<String>,
    /// Its name there.
    pub column: String,
    /// May change later without being a finding: a time of logging out.
    pub changes: bool,
}

/// Where the event's time stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// How it is written.
    pub form: MomentForm,
    /// The fields it is made of.
    pub fields: Vec<String>,
    /// It is UTC, not the firm's clock.
    pub utc: bool,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MomentForm {
    /// One field of a date and time type, or text as ISO 8601 has it.
    DateTime,
    /// `YYYYMMDD`, and `HH:MM:SS` or nothing in a second field.
    DateText,
    /// A date, and the time as a whole number HHMMSS without leading zeros.
    DateAndInt,
    /// Milliseconds since 1970, UTC.
    UnixMs,
}

const KEYS: &[(&str, KeyKind)] = &[
    ("int", KeyKind::Int),
    ("text", KeyKind::Text),
    ("ascii", KeyKind::Ascii),
    ("datetime", KeyKind::DateTime),
    ("datetime2", KeyKind::DateTime2),
];
const FORMS: &[(&str, (MomentForm, std::ops::RangeInclusive<usize>))] = &[
    ("datetime", (MomentForm::DateTime, 1..=1)),
    ("yyyymmdd", (MomentForm::DateText, 1..=2)),
    ("date+hhmmss", (MomentForm::DateAndInt, 2..=2)),
    ("unix_ms", (MomentForm::UnixMs, 1..=1)),
];

/// The maps that are built in: the files of `config/maps`.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[
    ("digiwin_sfctc", include_str!("../../../config/maps/digiwin_sfctc.toml")),
    ("k3wise_log", include_str!("../../../config/maps/k3wise_log.toml")),
    ("kingdee_operatelog", include_str!("../../../config/maps/kingdee_operatelog.toml")),
    ("odoo_production", include_str!("../../../config/maps/odoo_production.toml")),
    ("odoo_users_log", include_str!("../../../config/maps/odoo_users_log.toml")),
    ("ruoyi_logininfor", include_str!("../../../config/maps/ruoyi_logininfor.toml")),
    ("ruoyi_oper_log", include_str!("../../../config/maps/ruoyi_oper_log.toml")),
    ("sapb1_usr5", include_str!("../../../config/maps/sapb1_usr5.toml")),
    ("u8_ua_log", include_str!("../../../config/maps/u8_ua_log.toml")),
];

/// The maps that are built in, by name.
pub fn table_maps() -> Vec<TableMap> {
    BUILT_IN.iter().map(|(name, text)| map(name, text).expect("a test reads every map")).collect()
}

/// The maps a manifest can name.
pub(super) fn library(dir: &Path) -> Library {
    Library::beside(dir, ("map", "maps"), BUILT_IN, MAX_MAP)
}

/// Reads one map file.
pub(crate) fn map(name: &str, text: &str) -> Result<TableMap, Complaints> {
    let (raw, mut complaints) = daemon::config::parse::<raw::Map>(&format!("{name}.toml"), text)?;
    let c = &mut complaints;
    let about = c.required("about", raw.about).unwrap_or_default();
    let confirmed = word(c, "evidence", raw.evidence, &[("documented", true), ("unconfirmed", false)])
        .required(c, "evidence");
    let table = c.required("table", raw.table).and_then(|text| parts(c, "table", &text));
    let joins = joins(c, raw.joins);
    let key = keys(c, raw.key);
    let fields = fields(c, raw.fields, &joins);
    let time = raw.time.and_then(|raw| moment(c, raw, &fields));
    let (account, nobody) = match raw.account {
        None => (None, Vec::new()),
        Some(raw) => (c.required("account.field", raw.field), raw.nobody.unwrap_or_default()),
    };
    if let Some(account) =
        account.as_ref().filter(|account| !fields.iter().any(|field| field.name == **account))
    {
        c.add("account.field", format!("`{account}` is not one of `fields`"));
    }
    let document = document(c, raw.document);
    for part in document.iter().flat_map(|document| &document.fields) {
        if !fields.iter().any(|field| field.name == *part) {
            c.add("document.fields", format!("`{part}` is not one of `fields`"));
        }
    }
    let encodings = [("gb18030", Some(Encoding::Gb18030)), ("utf-8", Some(Encoding::Utf8))];
    let encoding = word(c, "encoding", raw.encoding, &encodings).flatten_or(None);
    let rules = rules(c, "rules", raw.rules);
    let map = table.zip(confirmed).map(|(table, confirmed)| TableMap {
        name: name.to_owned(),
        about,
        confirmed,
        table,
        joins,
        key,
        unique: raw.unique.unwrap_or(true),
        settled: raw.settled.unwrap_or(true),
        fields,
        time,
        account,
        nobody,
        document,
        encoding,
        rules,
    });
    complaints.or(map).map(|map| map.expect("a map without table or evidence has been complained of"))
}

fn joins(complaints: &mut Complaints, raw: Vec<raw::Join>) -> Vec<Join> {
    if raw.len() > MAX_KEYS {
        complaints.add("joins", format!("has {} entries (at most {MAX_KEYS})", raw.len()));
    }
    let mut joins: Vec<Join> = Vec::new();
    for (at, raw) in raw.into_iter().enumerate().take(MAX_KEYS) {
        let mut key = |name: &str, value: Option<String>| {
            let path = format!("joins[{at}].{name}");
            complaints.required(&path, value).filter(|text| identifier(complaints, &path, text))
        };
        let (alias, column, equals) =
            (key("alias", raw.alias), key("column", raw.column), key("equals", raw.equals));
        let path = format!("joins[{at}].table");
        let table = complaints.required(&path, raw.table).and_then(|text| parts(complaints, &path, &text));
        if let (Some(table), Some(alias), Some(column), Some(equals)) = (table, alias, column, equals) {
            if alias == MAIN || joins.iter().any(|join| join.alias == alias) {
                complaints.add(format!("joins[{at}].alias"), format!("`{alias}` is taken"));
            }
            joins.push(Join { table, alias, column, equals });
        }
    }
    joins
}

/// What the main table is called in questions.
pub(crate) const MAIN: &str = "t";

fn keys(complaints: &mut Complaints, raw: Vec<raw::Key>) -> Vec<Key> {
    if raw.is_empty() || raw.len() > MAX_KEYS {
        complaints.add("key", format!("has {} entries (1 to {MAX_KEYS}); rows need an order", raw.len()));
    }
    let mut keys = Vec::new();
    for (at, raw) in raw.into_iter().enumerate().take(MAX_KEYS) {
        let (column, kind) = (format!("key[{at}].column"), format!("key[{at}].type"));
        let name =
            complaints.required(&column, raw.column).filter(|text| identifier(complaints, &column, text));
        let kind = word(complaints, &kind, raw.kind, KEYS).required(complaints, &kind);
        keys.extend(name.zip(kind).map(|(column, kind)| Key { column, kind }));
    }
    keys
}

fn fields(complaints: &mut Complaints, raw: Vec<raw::Field>, joins: &[Join]) -> Vec<Column> {
    if raw.is_empty() || raw.len() > MAX_FIELDS {
        complaints.add("fields", format!("has {} entries (1 to {MAX_FIELDS})", raw.len()));
    }
    let mut fields: Vec<Column> = Vec::new();
    for (at, raw) in raw.into_iter().enumerate().take(MAX_FIELDS) {
        let path = format!("fields[{at}].column");
        let Some(text) = complaints.required(&path, raw.column) else { continue };
        let (of, column) = match text.split_once('.') {
            None => (None, text.clone()),
            Some((alias, column)) => (Some(alias.to_owned()), column.to_owned()),
        };
        if let Some(alias) = of.as_ref().filter(|alias| !joins.iter().any(|join| join.alias == **alias)) {
            complaints.add(&*path, format!("`{alias}` is no alias of `joins`"));
        }
        if !identifier(complaints, &path, &column) {
            continue;
        }
        let name = raw.name.unwrap_or_else(|| column.clone());
        if fields.iter().any(|field| field.name == name) {
            complaints.add(format!("fields[{at}].name"), format!("`{name}` is taken by another field"));
        }
        fields.push(Column { name, of, column, changes: raw.changes.unwrap_or(false) });
    }
    fields
}

fn moment(complaints: &mut Complaints, raw: raw::Moment, fields: &[Column]) -> Option<Moment> {
    let names: Vec<_> = FORMS.iter().map(|(name, _)| (*name, *name)).collect();
    let form = word(complaints, "time.form", raw.form, &names).required(complaints, "time.form");
    let named = complaints.required("time.fields", raw.fields)?;
    for name in named.iter().filter(|name| !fields.iter().any(|field| field.name == **name)) {
        complaints.add("time.fields", format!("`{name}` is not one of `fields`"));
    }
    let (_, (form, count)) = FORMS.iter().find(|(name, _)| Some(*name) == form)?;
    if !count.contains(&named.len()) {
        complaints.add(
            "time.fields",
            format!("has {} entries ({} to {})", named.len(), count.start(), count.end()),
        );
    }
    let utc = word(complaints, "time.zone", raw.zone, &[("local", false), ("utc", true)])
        .required(complaints, "time.zone")?;
    Some(Moment { form: *form, fields: named, utc })
}

/// `table`, `schema.table` or `database.schema.table`; SQL Server lets the schema be empty.
fn parts(complaints: &mut Complaints, path: &str, text: &str) -> Option<Vec<String>> {
    let parts: Vec<_> = text.split('.').map(str::to_owned).collect();
    if parts.len() > 3 {
        complaints.add(path, format!("`{text}` has {} parts (at most 3)", parts.len()));
        return None;
    }
    let last = parts.len() - 1;
    let good = parts.iter().enumerate().all(|(at, part)| {
        let may_be_empty = parts.len() == 3 && at == 1;
        (part.is_empty() && may_be_empty && at != last) || identifier(complaints, path, part)
    });
    good.then_some(parts)
}

/// A name that needs no escaping in any dialect: letters (Chinese ones too), digits, `_`, `$` and `#`.
fn identifier(complaints: &mut Complaints, path: &str, text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '#');
    let good = !text.is_empty() && text.chars().count() <= MAX_IDENTIFIER && text.chars().all(plain);
    if !good {
        complaints.add(path, format!("`{text}` is not the name of a table or column"));
    }
    good
}
