//! The `log` table of a source, and the parser files it names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use daemon::config::Complaints;

use super::accounts::{AccountClass, Rule, classes, rules};
use super::check::word;
use super::{beside, raw};

const OFFSETS: std::ops::RangeInclusive<i32> = -14 * 60..=14 * 60;
/// Largest parser file in bytes.
const MAX_PARSER: u64 = 64 * 1024;
/// Most fields one record can have.
const MAX_FIELDS: usize = 64;

/// A log file.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFile {
    /// The file that grows. When it is renamed away, the rest of it is read before its successor.
    pub path: PathBuf,
    /// How its bytes become text.
    pub encoding: Encoding,
    /// How a line becomes fields.
    pub parser: Parser,
    /// Minutes east of UTC of times that name no zone.
    pub utc_offset_minutes: i32,
    /// Who is who; the first that matches decides.
    pub accounts: Vec<AccountClass>,
    /// What is what; the first that matches decides.
    pub rules: Vec<Rule>,
}

/// How bytes become text. Both keep the byte 0x0A for the end of a line alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8; what is not is replaced by U+FFFD.
    Utf8,
    /// GB 18030-2005, of which GBK and GB 2312 are parts.
    Gb18030,
}

/// How a line becomes fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Parser {
    /// Name of its file without `.toml`.
    pub name: String,
    /// What it reads, for people.
    pub about: String,
    /// How the line is cut.
    pub form: Form,
    /// Lines it finds something in are no records and no failures: headers, traces.
    pub skip: Option<String>,
    /// Further fields, cut out of the first ones.
    pub extract: Vec<Extract>,
    /// Where the event's time stands.
    pub time: Option<TimeRule>,
    /// The field that names the account.
    pub account: Option<String>,
    /// Accounts that mean nobody.
    pub nobody: Vec<String>,
}

/// How a line is cut.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// By a regular expression whose named groups are the fields.
    Pattern(String),
    /// At a delimiter.
    Delimited {
        /// One ASCII character.
        delimiter: u8,
        /// One ASCII character that may enclose a field; doubled inside it stands for itself.
        quote: Option<u8>,
        /// Names of the fields; a line with another number of them is not understood.
        fields: Vec<String>,
    },
}

/// A field cut out of another one. Empty where the pattern finds nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extract {
    /// Its name.
    pub name: String,
    /// The field it is cut from.
    pub from: String,
    /// A regular expression with one group.
    pub pattern: String,
}

/// Where the event's time stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeRule {
    /// The field.
    pub field: String,
    /// As strptime(3) names it, with `%.f` for a fraction of a second (after a point or a comma).
    pub format: String,
    /// What zone it is in.
    pub zone: Zone,
}

/// What zone a time is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// The source's own, or the manifest's.
    Local,
    /// UTC.
    Utc,
    /// The line says (`%z` in the format).
    Line,
}

const ENCODINGS: &[(&str, Encoding)] = &[("utf-8", Encoding::Utf8), ("gb18030", Encoding::Gb18030)];
const ZONES: &[(&str, Zone)] = &[("local", Zone::Local), ("utc", Zone::Utc), ("line", Zone::Line)];

/// The parsers that are built in: the files of `config/parsers`.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[
    ("kingdee_pipe", include_str!("../../../config/parsers/kingdee_pipe.toml")),
    ("nginx_combined", include_str!("../../../config/parsers/nginx_combined.toml")),
    ("odoo", include_str!("../../../config/parsers/odoo.toml")),
    ("ruoyi_csv", include_str!("../../../config/parsers/ruoyi_csv.toml")),
    ("spring", include_str!("../../../config/parsers/spring.toml")),
    ("tomcat_access", include_str!("../../../config/parsers/tomcat_access.toml")),
];

/// The parsers a manifest can name: those built in, and files beside it.
pub(super) struct Parsers {
    dir: PathBuf,
    /// Text of those that came from files, by name.
    local: BTreeMap<String, String>,
}

impl Parsers {
    pub(super) fn beside(dir: &Path) -> Self {
        Self { dir: dir.join("parsers"), local: BTreeMap::new() }
    }

    /// Adds the parser files used to a manifest's text, so that its digest covers them.
    pub(super) fn append_local(&self, text: &mut String) {
        for (name, parser) in &self.local {
            text.push_str(&format!("\n# parsers/{name}.toml\n{parser}"));
        }
    }

    fn find(&mut self, complaints: &mut Complaints, path: &str, name: &str) -> Option<Parser> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            return parser(name, text).map_err(|wrong| complaints.join(wrong)).ok();
        }
        let plain =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let file = self.dir.join(format!("{name}.toml"));
        let read = if plain { std::fs::metadata(&file).ok() } else { None };
        let text = match read {
            Some(meta) if meta.len() > MAX_PARSER => {
                complaints.add(path, format!("`{}` is longer than {MAX_PARSER} bytes", file.display()));
                return None;
            }
            Some(_) => std::fs::read_to_string(&file)
                .map_err(|error| {
                    complaints.add(path, format!("`{}` cannot be read: {error}", file.display()))
                })
                .ok()?,
            None => {
                let known: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                let known = known.join(", ");
                complaints.add(path, format!("no parser `{name}`: neither {known} nor `{}`", file.display()));
                return None;
            }
        };
        let parser = parser(name, &text).map_err(|wrong| complaints.join(wrong)).ok();
        self.local.insert(name.to_owned(), text);
        parser
    }
}

pub(super) fn check(
    complaints: &mut Complaints,
    path: &str,
    raw: raw::Log,
    from: (&Path, i32),
    parsers: &mut Parsers,
) -> Option<LogFile> {
    let (dir, offset) = from;
    let file_path = format!("{path}.path");
    let file = complaints.required(&file_path, raw.path).and_then(|text| {
        let file = beside(dir, &text);
        if file.file_name().is_none() || text.ends_with('/') {
            complaints.add(&*file_path, format!("`{text}` does not name a file"));
            return None;
        }
        Some(file)
    });
    let encoding =
        word(complaints, &format!("{path}.encoding"), raw.encoding, ENCODINGS).flatten_or(Encoding::Utf8);
    let parser_path = format!("{path}.parser");
    let parser = complaints
        .required(&parser_path, raw.parser)
        .and_then(|name| parsers.find(complaints, &parser_path, &name));
    let utc_offset_minutes =
        complaints.number(&format!("{path}.utc_offset_minutes"), raw.utc_offset_minutes, offset, OFFSETS);
    let accounts = classes(complaints, &format!("{path}.accounts"), raw.accounts);
    let rules = rules(complaints, &format!("{path}.rules"), raw.rules);
    let file = LogFile { path: file?, encoding, parser: parser?, utc_offset_minutes, accounts, rules };
    #[cfg(feature = "log")]
    for (key, problem) in crate::log::complaints(&file) {
        complaints.add(format!("{path}.{key}"), problem);
    }
    Some(file)
}

/// Reads one parser file.
pub(crate) fn parser(name: &str, text: &str) -> Result<Parser, Complaints> {
    let (raw, mut complaints) = daemon::config::parse::<raw::Parser>(&format!("{name}.toml"), text)?;
    let about = complaints.required("about", raw.about).unwrap_or_default();
    let form = form(&mut complaints, raw.pattern, raw.delimiter, raw.quote, raw.fields);
    let skip = raw.skip;
    let time = raw.time.and_then(|raw| {
        let field = complaints.required("time.field", raw.field);
        let format = complaints.required("time.format", raw.format);
        let zone = word(&mut complaints, "time.zone", raw.zone, ZONES).required(&mut complaints, "time.zone");
        Some(TimeRule { field: field?, format: format?, zone: zone? })
    });
    let (account, nobody) = match raw.account {
        None => (None, Vec::new()),
        Some(raw) => (complaints.required("account.field", raw.field), raw.nobody.unwrap_or_default()),
    };
    let mut extract = Vec::new();
    for (at, raw) in raw.extract.into_iter().enumerate() {
        let name = complaints.required(&format!("extract[{at}].name"), raw.name);
        let from = complaints.required(&format!("extract[{at}].from"), raw.from);
        let pattern = complaints.required(&format!("extract[{at}].pattern"), raw.pattern);
        if let (Some(name), Some(from), Some(pattern)) = (name, from, pattern) {
            extract.push(Extract { name, from, pattern });
        }
    }
    if extract.len() > MAX_FIELDS {
        complaints.add("extract", format!("has {} entries (at most {MAX_FIELDS})", extract.len()));
    }
    let parser =
        form.map(|form| Parser { name: name.to_owned(), about, form, skip, extract, time, account, nobody });
    complaints.or(parser).map(|parser| parser.expect("a parser without form has been complained of"))
}

fn form(
    complaints: &mut Complaints,
    pattern: Option<String>,
    delimiter: Option<String>,
    quote: Option<String>,
    fields: Option<Vec<String>>,
) -> Option<Form> {
    let cut = delimiter.is_some() || quote.is_some() || fields.is_some();
    if pattern.is_some() == cut {
        complaints.add("pattern", "either `pattern`, or `delimiter` and `fields`");
        return None;
    }
    if !cut {
        return complaints.required("pattern", pattern).map(Form::Pattern);
    }
    let delimiter = match complaints.required("delimiter", delimiter) {
        Some(text) => ascii(complaints, "delimiter", &text),
        None => None,
    };
    let quote = match quote {
        Some(text) => ascii(complaints, "quote", &text),
        None => None,
    };
    let fields = complaints.required("fields", fields)?;
    if fields.is_empty() || fields.len() > MAX_FIELDS {
        complaints.add("fields", format!("has {} entries (1 to {MAX_FIELDS})", fields.len()));
    }
    Some(Form::Delimited { delimiter: delimiter?, quote, fields })
}

/// A text of one ASCII character, as its byte.
fn ascii(complaints: &mut Complaints, key: &str, text: &str) -> Option<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && *byte != b'\n' => Some(*byte),
        _ => {
            complaints.add(key, format!("`{text}` is not one ASCII character"));
            None
        }
    }
}
