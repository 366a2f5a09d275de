//! The `log` table of a source, and the parser files it names.

use std::path::{Path, PathBuf};

use daemon::config::Complaints;

use super::accounts::{AccountClass, DocumentRule, Rule, classes, document, rules};
use super::check::word;
use super::library::Library;
use super::{beside, raw};

const OFFSETS: std::ops::RangeInclusive<i32> = -14 * 60..=14 * 60;
/// Largest parser file in bytes.
const MAX_PARSER: u64 = 64 * 1024;
/// Most fields one record can have.
const MAX_FIELDS: usize = 64;

/// A log file.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFile {
    /// The file that grows, or with `*` or `?` a pattern of several. When one is renamed away, the rest of it is read
    /// before its successor.
    pub path: PathBuf,
    /// Names of files, with `*` and `?`, that a pattern leaves out.
    pub exclude: Vec<String>,
    /// How its lines become records.
    pub text: LogText,
}

/// How lines of text become records, however they come here.
#[derive(Debug, Clone, PartialEq)]
pub struct LogText {
    /// How bytes become text.
    pub encoding: Encoding,
    /// How a line becomes fields.
    pub parser: Box<Parser>,
    /// Minutes east of UTC of times that name no zone.
    pub utc_offset_minutes: i32,
    /// Who is who; the first that matches decides.
    pub accounts: Vec<AccountClass>,
    /// What is what; the first that matches decides.
    pub rules: Vec<Rule>,
}

/// How bytes become text. A byte order mark at a file's beginning decides for that file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8; what is not is replaced by U+FFFD.
    Utf8,
    /// GB 18030-2005, of which GBK and GB 2312 are parts.
    Gb18030,
    /// Big5, as Taiwanese systems write it.
    Big5,
    /// UTF-16, low byte first, as Windows writes it.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
    /// Each line in UTF-8 if it can be, else in GB 18030.
    Mixed,
}

impl LogFile {
    /// Whether it names several files.
    pub fn is_pattern(&self) -> bool {
        self.path.to_string_lossy().contains(['*', '?'])
    }
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
    /// A record begins with a line it finds something in, and goes on with those it does not. Each line is one without it.
    pub start: Option<String>,
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
    /// Where the number of the business document stands.
    pub document: Option<DocumentRule>,
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
        /// A line of the file names the columns; those that are no field are passed over.
        header: bool,
    },
    /// W3C extended log file format, as IIS writes it: a line `#Fields:` names the columns.
    W3c(Vec<String>),
    /// One JSON object a line; a field is a member, or with points a member of members.
    Json(Vec<String>),
    /// Pairs `key=value`.
    KeyValue(Vec<String>),
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
    /// A second field that is read with it, after one blank: a time of day beside a date.
    pub plus: Option<String>,
    /// As strptime(3) names it, with `%.f` for a fraction of a second (after a point or a comma) and `%p`
    /// for 上午 and 下午 too; `unix` and `unix_ms` for seconds and milliseconds since 1970.
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

pub(crate) const ENCODINGS: &[(&str, Encoding)] = &[
    ("utf-8", Encoding::Utf8),
    ("gb18030", Encoding::Gb18030),
    ("big5", Encoding::Big5),
    ("utf-16le", Encoding::Utf16Le),
    ("utf-16be", Encoding::Utf16Be),
    ("auto-mixed", Encoding::Mixed),
];
type OfFields = fn(Vec<String>) -> Form;

const FORMS: &[(&str, OfFields)] = &[("w3c", Form::W3c), ("json", Form::Json), ("key_value", Form::KeyValue)];
const ZONES: &[(&str, Zone)] = &[("local", Zone::Local), ("utc", Zone::Utc), ("line", Zone::Line)];

/// The parsers that are built in: the files of `config/parsers`.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[
    ("aoi_csv", include_str!("../../../config/parsers/aoi_csv.toml")),
    ("iis", include_str!("../../../config/parsers/iis.toml")),
    ("json_access", include_str!("../../../config/parsers/json_access.toml")),
    ("key_value", include_str!("../../../config/parsers/key_value.toml")),
    ("kingdee_pipe", include_str!("../../../config/parsers/kingdee_pipe.toml")),
    ("log4j", include_str!("../../../config/parsers/log4j.toml")),
    ("nginx_combined", include_str!("../../../config/parsers/nginx_combined.toml")),
    ("odoo", include_str!("../../../config/parsers/odoo.toml")),
    ("ruoyi_csv", include_str!("../../../config/parsers/ruoyi_csv.toml")),
    ("spring", include_str!("../../../config/parsers/spring.toml")),
    ("spring3", include_str!("../../../config/parsers/spring3.toml")),
    ("sqlserver_errorlog", include_str!("../../../config/parsers/sqlserver_errorlog.toml")),
    ("tomcat_access", include_str!("../../../config/parsers/tomcat_access.toml")),
];

/// The parsers that are built in, checked.
#[cfg(feature = "log")]
pub(crate) fn built_in_parsers() -> impl Iterator<Item = Parser> {
    let parse =
        |(name, text): &(&str, &str)| parser(name, text).expect("each built-in parser is read by a test");
    BUILT_IN.iter().map(parse)
}

/// The parsers beside a manifest in this folder, and what is wrong with those that cannot be used.
#[cfg(feature = "log")]
pub(crate) fn parsers_beside(dir: &Path) -> (Vec<Parser>, Vec<String>) {
    let (mut library, mut parsers, mut wrong) = (library(dir), Vec::new(), Vec::new());
    for name in library.files() {
        if BUILT_IN.iter().any(|(built_in, _)| *built_in == name) {
            wrong.push(format!(
                "parsers/{name}.toml: one of that name is built in and used instead; rename it"
            ));
            continue;
        }
        let mut complaints = Complaints::about(format!("parsers/{name}.toml"));
        parsers.extend(library.find(&mut complaints, "", &name, parser));
        wrong.extend(complaints.to_string().lines().map(str::to_owned));
    }
    (parsers, wrong)
}

/// The parsers a manifest can name.
pub(super) fn library(dir: &Path) -> Library {
    Library::beside(dir, ("parser", "parsers"), BUILT_IN, MAX_PARSER)
}

pub(super) fn check(
    complaints: &mut Complaints,
    path: &str,
    raw: raw::Log,
    from: (&Path, i32),
    parsers: &mut Library,
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
    let exclude = raw.exclude.unwrap_or_default();
    if exclude.len() > MAX_FIELDS {
        complaints
            .add(format!("{path}.exclude"), format!("has {} entries (at most {MAX_FIELDS})", exclude.len()));
    }
    if !exclude.is_empty() && file.as_ref().is_some_and(|file| !file.to_string_lossy().contains(['*', '?'])) {
        complaints.add(format!("{path}.exclude"), "has a meaning for a `path` with `*` or `?` only");
    }
    let text = raw::LogText {
        encoding: raw.encoding,
        parser: raw.parser,
        utc_offset_minutes: raw.utc_offset_minutes,
        accounts: raw.accounts,
        rules: raw.rules,
    };
    let text = check_text(complaints, path, text, offset, Before::default(), parsers);
    Some(LogFile { path: file?, exclude, text: text? })
}

/// What is there before a parser is named.
#[derive(Default)]
pub(super) struct Before<'a> {
    /// Names of fields that each line has already when the parser gets it.
    pub(super) fields: &'a [&'a str],
    /// What reads the rest where no parser is named; `None` where one must be.
    pub(super) parser: Option<Parser>,
}

/// How lines become records.
pub(super) fn check_text(
    complaints: &mut Complaints,
    path: &str,
    raw: raw::LogText,
    offset: i32,
    before: Before<'_>,
    parsers: &mut Library,
) -> Option<LogText> {
    let encoding =
        word(complaints, &format!("{path}.encoding"), raw.encoding, ENCODINGS).flatten_or(Encoding::Utf8);
    let parser_path = format!("{path}.parser");
    let parser = match (raw.parser, before.parser) {
        (None, Some(parser)) => Some(parser),
        (named, _) => complaints
            .required(&parser_path, named)
            .and_then(|name| parsers.find(complaints, &parser_path, &name, parser)),
    };
    let parser = parser.map(Box::new);
    let utc_offset_minutes =
        complaints.number(&format!("{path}.utc_offset_minutes"), raw.utc_offset_minutes, offset, OFFSETS);
    let accounts = classes(complaints, &format!("{path}.accounts"), raw.accounts);
    let rules = rules(complaints, &format!("{path}.rules"), raw.rules);
    let text = LogText { encoding, parser: parser?, utc_offset_minutes, accounts, rules };
    #[cfg(feature = "log")]
    for (key, problem) in crate::log::complaints(&text, before.fields) {
        complaints.add(format!("{path}.{key}"), problem);
    }
    #[cfg(not(feature = "log"))]
    let _ = before.fields;
    Some(text)
}

/// Reads one parser file.
pub(crate) fn parser(name: &str, text: &str) -> Result<Parser, Complaints> {
    let (raw, mut complaints) = daemon::config::parse::<raw::Parser>(&format!("{name}.toml"), text)?;
    let about = complaints.required("about", raw.about.clone()).unwrap_or_default();
    let (start, skip) = (raw.start.clone(), raw.skip.clone());
    let form = form(&mut complaints, &raw);
    let time = raw.time.and_then(|raw| {
        let field = complaints.required("time.field", raw.field);
        let format = complaints.required("time.format", raw.format);
        let zone = word(&mut complaints, "time.zone", raw.zone, ZONES).required(&mut complaints, "time.zone");
        Some(TimeRule { field: field?, plus: raw.plus, format: format?, zone: zone? })
    });
    let (account, nobody) = match raw.account {
        None => (None, Vec::new()),
        Some(raw) => (complaints.required("account.field", raw.field), raw.nobody.unwrap_or_default()),
    };
    let document = document(&mut complaints, raw.document);
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
    let parser = form.map(|form| Parser {
        name: name.to_owned(),
        about,
        form,
        start,
        skip,
        extract,
        time,
        account,
        nobody,
        document,
    });
    complaints.or(parser).map(|parser| parser.expect("a parser without form has been complained of"))
}

fn form(complaints: &mut Complaints, raw: &raw::Parser) -> Option<Form> {
    let cut = raw.delimiter.is_some() || raw.quote.is_some() || raw.header.is_some();
    let given = [raw.pattern.is_some(), cut, raw.form.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        complaints.add("pattern", "either `pattern`, or `delimiter` and `fields`, or `form` and `fields`");
        return None;
    }
    if let Some(pattern) = &raw.pattern {
        if raw.fields.is_some() {
            complaints.add("fields", "are the named groups of `pattern`");
        }
        return Some(Form::Pattern(pattern.clone()));
    }
    let fields = complaints.required("fields", raw.fields.clone());
    if let Some(fields) = fields.as_ref().filter(|fields| fields.is_empty() || fields.len() > MAX_FIELDS) {
        complaints.add("fields", format!("has {} entries (1 to {MAX_FIELDS})", fields.len()));
    }
    if raw.form.is_some() {
        let form = word(complaints, "form", raw.form.clone(), FORMS).required(complaints, "form");
        return Some(form?(fields?));
    }
    let delimiter = complaints.required("delimiter", raw.delimiter.clone());
    let delimiter = delimiter.and_then(|text| ascii(complaints, "delimiter", &text));
    let quote = raw.quote.as_ref().and_then(|text| ascii(complaints, "quote", text));
    Some(Form::Delimited {
        delimiter: delimiter?,
        quote,
        fields: fields?,
        header: raw.header.unwrap_or(false),
    })
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
