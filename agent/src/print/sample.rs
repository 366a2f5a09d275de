//! What a log looks like, for people and for programs.

use collectors::log::sample::Sample;
use serde_json::json;

use super::{module, of_document, push, record};

/// For people: guesses, records, what was not understood, and what to paste.
pub(crate) fn text(sample: &Sample) -> String {
    let mut text = format!("{}\n  encoding: {}", sample.path, sample.encoding);
    if sample.lost > 0 {
        push(
            &mut text,
            format_args!("; {} characters were lost before this file was written (锟斤拷)", sample.lost),
        );
    }
    match &sample.parser {
        Some(parser) => push(&mut text, format_args!("\n  parser:   {parser}, {}\n", sample.about)),
        None => {
            text.push_str("\n  parser:   none of those built in or beside the manifest understands a line\n")
        }
    }
    if sample.follow != sample.path {
        push(&mut text, format_args!("  follow:   {}, of which this is one file\n", sample.follow));
    }
    for wrong in &sample.wrong {
        push(&mut text, format_args!("  ! {wrong}\n"));
    }
    let share = f64::from(sample.unparsed) * 100.0 / f64::from(sample.lines.max(1));
    push(
        &mut text,
        format_args!("  {} lines, {} of them not understood ({share:.1} %)\n", sample.lines, sample.unparsed),
    );
    if let Some(hours) = sample.hours_off {
        push(
            &mut text,
            format_args!("  its newest time is {hours:+} h from when it was written: is the zone right?\n"),
        );
    }
    for record in &sample.records {
        let fields = sample.fields.iter().zip(&record.fields);
        let fields: Vec<_> =
            fields.map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value))).collect();
        push(
            &mut text,
            format_args!(
                "  {} {} {:?}{} by {}: {}\n",
                record.event_ms.map_or_else(|| "no time".to_owned(), |ms| sample.local_time(ms)),
                module(record.module),
                record.action,
                of_document(record),
                record.account.as_deref().unwrap_or("-"),
                fields.join(" ")
            ),
        );
    }
    for line in &sample.not_understood {
        push(&mut text, format_args!("  not understood: {line}\n"));
    }
    push(&mut text, format_args!("\n{}", sample.manifest));
    text
}

/// For programs: one JSON object.
pub(crate) fn json(sample: &Sample) -> String {
    let records: Vec<_> = sample.records.iter().map(|one| record(&sample.fields, one)).collect();
    let all = json!({
        "path": sample.path,
        "follow": sample.follow,
        "wrong": sample.wrong,
        "encoding": sample.encoding,
        "lost": sample.lost,
        "parser": sample.parser,
        "utc_offset_minutes": sample.utc_offset_minutes,
        "hours_off": sample.hours_off,
        "lines": sample.lines,
        "unparsed": sample.unparsed,
        "records": records,
        "not_understood": sample.not_understood,
        "manifest": sample.manifest,
    });
    format!("{all}\n")
}
