//! The forms of a line: cut at delimiters, W3C extended, JSON, pairs of key and value. Pure.
//!
//! In some forms a line of the file names the columns of those that follow. Which columns are in force belongs to the
//! file, not to the parser: see [`Columns`].

use std::borrow::Cow;
use std::sync::Arc;

/// Most columns a header can name.
const MAX_COLUMNS: usize = 256;

/// What the last header of a file said.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// Of each column, which field it is.
    order: Option<Arc<[Option<usize>]>>,
    /// A header has been read since [`Columns::take_fresh`].
    is_fresh: bool,
}

impl Columns {
    /// Whether a header has been read since this was asked last.
    pub(super) fn take_fresh(&mut self) -> bool {
        std::mem::take(&mut self.is_fresh)
    }

    /// Takes a header's names; those that are no field are passed over.
    pub(super) fn set<'a>(&mut self, names: impl Iterator<Item = &'a str>, fields: &[String]) {
        let place = |name: &str| fields.iter().position(|field| field.eq_ignore_ascii_case(name.trim()));
        self.order = Some(names.take(MAX_COLUMNS).map(place).collect());
        self.is_fresh = true;
    }

    /// Puts a line's values in the order of the fields. `None` when there are more or fewer than columns.
    fn arrange<'a>(&self, values: Vec<Cow<'a, str>>, fields: usize) -> Option<Vec<Cow<'a, str>>> {
        let Some(order) = &self.order else { return (values.len() == fields).then_some(values) };
        if order.len() != values.len() {
            return None;
        }
        let mut arranged = vec![Cow::Borrowed(""); fields];
        for (value, place) in values.into_iter().zip(order.iter()) {
            if let Some(place) = place {
                arranged[*place] = value;
            }
        }
        Some(arranged)
    }
}

/// Whether a line of a delimited file is its header: at least two of its cells, and half of them, are names of fields,
/// and none twice.
pub(super) fn is_header(cells: &[Cow<'_, str>], fields: &[String]) -> bool {
    let names: Vec<_> = cells.iter().map(|cell| cell.trim()).collect();
    let is_field = |name: &&&str| fields.iter().any(|field| field.eq_ignore_ascii_case(name));
    let known = names.iter().filter(is_field).count();
    let is_twice = |(at, name): (usize, &&str)| names[..at].contains(name);
    known >= 2.min(fields.len()) && known * 2 >= names.len() && !names.iter().enumerate().any(is_twice)
}

/// Cuts a line at a delimiter and takes it for the header, if it is one (`None`), or for values of the columns.
pub(super) fn with_header<'a>(
    text: &'a str,
    (delimiter, quote): (u8, Option<u8>),
    fields: &[String],
    columns: &mut Columns,
) -> Line<'a> {
    let Some(cells) = delimited(text, delimiter, quote, MAX_COLUMNS) else { return Line::Other };
    if is_header(&cells, fields) {
        columns.set(cells.iter().map(|cell| &**cell), fields);
        return Line::Header;
    }
    columns.arrange(cells, fields.len()).map_or(Line::Other, Line::Fields)
}

/// What a line is to its form.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// Its values, in the order of the fields.
    Fields(Vec<Cow<'a, str>>),
    /// It says something about the lines to come.
    Header,
    Other,
}

/// A line of W3C's extended log file format: directives begin with `#`, values are separated by blanks.
pub(super) fn w3c<'a>(text: &'a str, fields: &[String], columns: &mut Columns) -> Line<'a> {
    if let Some(directive) = text.strip_prefix('#') {
        if let Some(names) = directive.strip_prefix("Fields:") {
            columns.set(names.split_ascii_whitespace(), fields);
        }
        return Line::Header;
    }
    if columns.order.is_none() {
        // Without that line nobody knows what stands where.
        return Line::Other;
    }
    let values: Vec<_> = text.split(' ').take(MAX_COLUMNS + 1).map(Cow::Borrowed).collect();
    columns.arrange(values, fields.len()).map_or(Line::Other, Line::Fields)
}

/// An object on one line; a field is a member, or with points a member of members. `None` when it has none of them.
pub(super) fn json(text: &str, fields: &[String]) -> Option<Vec<Cow<'static, str>>> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text.trim()).ok()?;
    let mut any = false;
    let values = fields.iter().map(|field| {
        let mut found = object.get(field);
        if found.is_none() {
            let mut names = field.split('.');
            found = names.next().and_then(|name| object.get(name));
            for name in names {
                found = found.and_then(|value| value.get(name));
            }
        }
        any |= found.is_some();
        Cow::Owned(match found {
            None | Some(serde_json::Value::Null) => String::new(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(
                other @ (serde_json::Value::Bool(_)
                | serde_json::Value::Number(_)
                | serde_json::Value::Array(_)
                | serde_json::Value::Object(_)),
            ) => other.to_string(),
        })
    });
    let values = values.collect();
    any.then_some(values)
}

/// `key=value` pairs between blanks; a value in double quotes may hold blanks, and a backslash stands before what is
/// meant as it is. `None` when no field is among them.
pub(super) fn key_value<'a>(text: &'a str, fields: &[String]) -> Option<Vec<Cow<'a, str>>> {
    let mut values = vec![Cow::Borrowed(""); fields.len()];
    let (mut any, mut rest) = (false, text);
    while let Some(equals) = rest.find('=') {
        let key = rest[..equals].rsplit(char::is_whitespace).next().unwrap_or_default();
        let after = &rest[equals + 1..];
        let (value, length) = match after.strip_prefix('"') {
            Some(quoted) => unescaped(quoted),
            None => {
                let length = after.find(char::is_whitespace).unwrap_or(after.len());
                (Cow::Borrowed(&after[..length]), length)
            }
        };
        if let Some(place) = fields.iter().position(|field| field == key) {
            values[place] = value;
            any = true;
        }
        rest = &after[length.min(after.len())..];
    }
    any.then_some(values)
}

/// What stands before the closing quote, and how long that is with both quotes.
fn unescaped(text: &str) -> (Cow<'_, str>, usize) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' if value.len() == at => return (Cow::Borrowed(&text[..at]), at + 2),
            '"' => return (Cow::Owned(value), at + 2),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            plain => value.push(plain),
        }
    }
    (Cow::Owned(value), text.len() + 1)
}

/// Cuts at a delimiter outside of quotes; a doubled quote inside of them stands for itself (RFC 4180, 2.5-2.7).
/// `None` when a quote does not close, something follows it, or there are more than `most` fields.
pub(super) fn delimited(
    text: &str,
    delimiter: u8,
    quote: Option<u8>,
    most: usize,
) -> Option<Vec<Cow<'_, str>>> {
    let bytes = text.as_bytes();
    let mut fields = Vec::with_capacity(most.min(64));
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
                let length = memchr::memchr(delimiter, &bytes[at..]).unwrap_or(bytes.len() - at);
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
        let end = at + memchr::memchr(quote, bytes.get(at..)?)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn quoted_fields_keep_delimiters_and_doubled_quotes() {
        let cut = |text| delimited(text, b',', Some(b'"'), 4).map(|fields| fields.join("|"));
        let table = [
            ("a,b", Some("a|b")),
            (r#""a,b",c"#, Some("a,b|c")),
            (r#""a ""b"" c","#, Some(r#"a "b" c|"#)),
            (r#""""#, Some("")),
            (r#""""""#, Some(r#"""#)),
            (r#"x"y,z"#, Some(r#"x"y|z"#)),
            (r#""open,z"#, None),
            (r#""a"b,c"#, None),
            ("1,2,3,4,5", None),
            ("", Some("")),
        ];
        for (text, expected) in table {
            assert_eq!(cut(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_fields_line_of_a_w3c_log_names_the_columns_and_may_change() {
        let (fields, mut columns) = (names("date time cs-username c-ip"), Columns::default());
        let mut cut = |text: &str| match w3c(text, &fields, &mut columns) {
            Line::Fields(values) => values.join("|"),
            other @ (Line::Header | Line::Other) => format!("{other:?}"),
        };
        assert_eq!(cut("2025-06-18 00:21:44 wang01 ::1"), "Other", "no columns named yet");
        assert_eq!(cut("#Software: Microsoft Internet Information Services 10.0"), "Header");
        assert_eq!(cut("#Fields: date time c-ip sc-status cs-username"), "Header");
        assert_eq!(cut("2025-06-18 00:21:44 ::1 200 wang01"), "2025-06-18|00:21:44|wang01|::1");
        assert_eq!(cut("2025-06-18 00:21:44 ::1 200"), "Other");
        assert_eq!(cut("#Fields: date time"), "Header");
        assert_eq!(cut("2025-06-18 00:21:45"), "2025-06-18|00:21:45||");
    }

    #[test]
    fn a_header_of_a_csv_file_is_never_a_row_wherever_it_stands() {
        let (fields, mut columns) = (names("SN RESULT OPERATOR"), Columns::default());
        let mut cut = |text: &str| match with_header(text, (b',', Some(b'"')), &fields, &mut columns) {
            Line::Fields(values) => values.join("|"),
            other @ (Line::Header | Line::Other) => format!("{other:?}"),
        };
        assert_eq!(cut("PCB01,PASS,li03"), "PCB01|PASS|li03", "no header seen yet");
        assert_eq!(cut("OPERATOR,SN,STATION,RESULT"), "Header");
        assert_eq!(cut("li03,PCB02,AOI-2,PASS"), "PCB02|PASS|li03");
        assert_eq!(cut("operator,sn,station,result"), "Header", "again after a rotation");
        assert_eq!(cut("li03,PCB03,AOI-2"), "Other");
    }

    #[test]
    fn members_of_json_and_pairs_are_found_by_their_names() {
        let fields = names("time user.name qty a.b none");
        let text = r#"{"time":"t","user":{"name":"王"},"qty":48,"a.b":[1,"x"],"other":{}}"#;
        assert_eq!(json(text, &fields).unwrap().join("|"), r#"t|王|48|[1,"x"]|"#);
        for other in ["{}", r#"{"x":1}"#, "[1]", "{", "plain"] {
            assert_eq!(json(other, &fields), None, "{other}");
        }
        let fields = names("level user msg qty");
        let text = r#"08:21 level=info msg="报工 \"成功\"" 工单=MO1 user=wang01 qty="#;
        assert_eq!(key_value(text, &fields).unwrap().join("|"), r#"info|wang01|报工 "成功"|"#);
        assert_eq!(key_value("a=1 b=2", &fields), None);
        assert_eq!(key_value(r#"msg="open"#, &fields).unwrap()[2], "open");
    }

    proptest! {
        #[test]
        fn quoting_is_undone_exactly(fields in prop::collection::vec("[a-z,\"|\u{4e00}-\u{4e10}]{0,6}", 1..6)) {
            let line: Vec<_> =
                fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            let line = line.join(",");
            let cut = delimited(&line, b',', Some(b'"'), fields.len()).unwrap();
            prop_assert_eq!(cut, fields);
        }

        #[test]
        fn no_text_makes_a_form_panic(text in "[a-c=\" \\\\,.{}:#\u{4e00}-\u{4e03}]{0,40}") {
            let fields = names("a b c");
            key_value(&text, &fields);
            json(&text, &fields);
            w3c(&text, &fields, &mut Columns::default());
            with_header(&text, (b',', Some(b'"')), &fields, &mut Columns::default());
        }
    }
}
