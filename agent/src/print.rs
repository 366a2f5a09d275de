//! What the commands print for people.

pub(crate) mod past;
#[cfg(feature = "log")]
pub(crate) mod sample;

use std::fmt::Write as _;
use std::io::Write as _;

use agent::status::{SourceStatus, Status};
use agent::{AgentConfig, Identity};
use collectors::manifest::{Kind, Manifest, Source};
use collectors::{CollectError, Probe};
use proof::{Quality, Record, catalogue};
use serde_json::{Value, json};

/// Prints to standard output.
pub(crate) fn out(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Prints to standard error: what is no part of the answer.
pub(crate) fn err(text: &str) -> std::io::Result<()> {
    std::io::stderr().lock().write_all(text.as_bytes())
}

/// What `check` found to be right.
pub(crate) fn checked(config: &AgentConfig, manifest: &Manifest, identity: &Identity) -> String {
    let broker = config.broker.as_ref().unwrap_or(&identity.broker);
    let mut text = format!(
        "agent:    {}\nwords:    {}\nproject:  {}\nbroker:   {}:{}\nstate:    {}\nraw kept: up to {} MiB\n",
        identity.agent,
        identity.words,
        identity.project,
        broker.host,
        broker.port,
        config.state_dir.display(),
        config.bounds.raw_bytes >> 20,
    );
    for source in &manifest.sources {
        let points = source.points().len();
        let what = if points == 0 { "records".to_owned() } else { format!("{points} points") };
        push(
            &mut text,
            format_args!(
                "source {:>3}: {}, {what} every {:?}, {}\n",
                source.index,
                source.name,
                source.cadence,
                source.address()
            ),
        );
    }
    for warning in manifest.warnings() {
        push(&mut text, format_args!("warning: {warning}\n"));
    }
    text.push_str("the configuration is good\n");
    text
}

/// A running agent's status.
pub(crate) fn status(status: &Status) -> String {
    let mut text = format!(
        "agent {} of {}: {}\n",
        status.agent,
        status.project,
        if status.healthy { "healthy" } else { "NOT healthy" }
    );
    if !status.words.is_empty() {
        push(&mut text, format_args!("  words {}\n", status.words));
    }
    if status.same_hardware == Some(false) {
        text.push_str("  the hardware is NOT what it was at enrolment\n");
    }
    for source in &status.sources {
        push(&mut text, format_args!("  {}\n", source_line(source, status.now_ms)));
    }
    let link = &status.link;
    let state = match (&link.mqtt, link.connected) {
        (Some(version), true) => format!("connected, MQTT {version}"),
        _ => "not connected".to_owned(),
    };
    push(&mut text, format_args!("  broker {}: {state}\n", link.broker));
    for (name, words) in [("error", &link.error), ("refusal", &link.refusal)] {
        if let Some(words) = words {
            push(&mut text, format_args!("    {name}: {words}\n"));
        }
    }
    let buffer = &status.buffer;
    push(&mut text, format_args!("  chain at {}, {} without receipt", buffer.head, buffer.backlog));
    if let (Some(seq), Some(at)) = (buffer.receipted, buffer.receipted_ms) {
        push(&mut text, format_args!(", newest receipt {seq}, {} ago", age(status.now_ms - at)));
    }
    push(
        &mut text,
        format_args!("\n  disk: {} KiB, raw {} KiB", buffer.file_bytes >> 10, buffer.raw_bytes >> 10),
    );
    if let Some(since) = buffer.full_since_ms {
        push(&mut text, format_args!(", FULL for {}", age(status.now_ms - since)));
    }
    match status.skew_ms {
        Some(skew) => push(&mut text, format_args!("\n  clock: {skew} ms against the server\n")),
        None => text.push_str("\n  clock: never compared with the server since boot\n"),
    }
    text
}

fn source_line(source: &SourceStatus, now_ms: i64) -> String {
    let seen = match source.good_ms {
        Some(at) => format!("seen {} ago", age(now_ms - at)),
        None => "never seen".to_owned(),
    };
    let state = if source.fresh { "fresh" } else { "STALE" };
    let mut line = format!(
        "{:>3} {state} {}: {seen}, {} good, {} failed",
        source.index, source.name, source.good, source.failed
    );
    if source.kind != "device" {
        push(&mut line, format_args!(", {} records, {} unparsed", source.records, source.unparsed));
    }
    if source.rewritten > 0 {
        push(&mut line, format_args!(", REWRITTEN below what was read ({} times)", source.rewritten));
    }
    if let Some(why) = &source.failing {
        push(&mut line, format_args!("; {why}"));
        if let Some(at) = source.retry_ms {
            push(&mut line, format_args!("; tried again in {}", age((at - now_ms).max(0))));
        }
    }
    if !source.counters.is_empty() {
        let counters: Vec<_> =
            source.counters.iter().map(|(what, times)| format!("{what} {times}")).collect();
        push(&mut line, format_args!("\n      {}", counters.join(", ")));
    }
    for warning in &source.warnings {
        push(&mut line, format_args!("\n      warning: {warning}"));
    }
    line
}

fn age(ms: i64) -> String {
    match ms / 1000 {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// A record for programs.
fn record(names: &[String], record: &Record) -> Value {
    let value = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
    let fields = names.iter().cloned().zip(record.fields.iter().map(value));
    json!({
        "position": record.position,
        "event_ms": record.event_ms,
        "account": record.account,
        "document": record.document,
        "module": module(record.module),
        "action": record.action.as_str_name(),
        "fields": fields.collect::<std::collections::BTreeMap<_, _>>(),
    })
}

/// What one question to a source brought, for programs.
pub(crate) fn probe_json(source: &Source, probed: &Result<Probe, CollectError>) -> Value {
    let probe = match probed {
        Ok(probe) => probe,
        Err(error) => {
            return json!({
                "source": source.name,
                "address": source.address(),
                "error": daemon::chain(error),
                "cause": error.cause().to_string(),
            });
        }
    };
    let point = |point: &collectors::ProbedPoint| {
        json!({
            "name": point.name,
            "value": point.reading.value,
            "text": point.text,
            "quality": char::from(point.reading.quality.letter()).to_string(),
            "why": point.why,
        })
    };
    let (records, lines, unparsed) = match &probe.records {
        Some((records, lines, unparsed)) => (records.as_slice(), *lines, *unparsed),
        None => (&[][..], 0, 0),
    };
    json!({
        "source": source.name,
        "address": source.address(),
        "server_thumbprint": probe.server_thumbprint,
        "warnings": probe.warnings,
        "refused": probe.refused,
        "points": probe.points.iter().map(point).collect::<Vec<_>>(),
        "lines": lines,
        "unparsed": unparsed,
        "records": records.iter().map(|record| self::record(&probe.fields, record)).collect::<Vec<_>>(),
        "not_understood": probe.not_understood,
    })
}

/// What one question to a source brought.
pub(crate) fn probe(source: &Source, probed: &Result<Probe, CollectError>) -> String {
    let mut text = format!("{} ({})\n", source.name, source.address());
    let probe = match probed {
        Ok(probe) => probe,
        Err(error) => {
            push(&mut text, format_args!("  {}: {}\n", error.cause(), daemon::chain(error)));
            return text;
        }
    };
    if let Some(thumbprint) = &probe.server_thumbprint {
        push(&mut text, format_args!("  server certificate: server_thumbprint = \"{thumbprint}\"\n"));
    }
    for warning in &probe.warnings {
        push(&mut text, format_args!("  warning: {warning}\n"));
    }
    if let Some(refused) = &probe.refused {
        push(&mut text, format_args!("  refused: {refused}\n"));
    }
    for (at, point) in probe.points.iter().enumerate() {
        let what = asked(source, at);
        match point.reading.value {
            Some(value) => {
                let value =
                    point.text.as_ref().map_or_else(|| value.to_string(), |text| format!("\"{text}\""));
                push(&mut text, format_args!("  {:<24} {value:<16} {what}\n", point.name));
            }
            None => {
                let why = point.why.clone().unwrap_or_else(|| no_value(point.reading.quality));
                push(&mut text, format_args!("  {:<24} no value: {why}; {what}\n", point.name));
            }
        }
    }
    if let Some((records, lines, unparsed)) = &probe.records {
        push(&mut text, format_args!("  {lines} lines, {unparsed} of them not understood\n"));
        for record in records {
            let fields: Vec<_> = probe
                .fields
                .iter()
                .zip(&record.fields)
                .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
                .collect();
            push(
                &mut text,
                format_args!(
                    "  {} {:?}{} by {} ({:?}): {}\n",
                    module(record.module),
                    record.action,
                    of_document(record),
                    record.account.as_deref().unwrap_or("-"),
                    record.actor_class,
                    fields.join(" ")
                ),
            );
        }
        for line in &probe.not_understood {
            push(&mut text, format_args!("  not understood: {line}\n"));
        }
        if !records.is_empty() && records.iter().all(|record| record.module == 0) {
            text.push_str("  none of these belongs to a module: no rule of the manifest matches them\n");
        }
    }
    text
}

/// Which document a record is about, where it says so.
fn of_document(record: &Record) -> String {
    record.document.as_ref().map_or_else(String::new, |number| format!(" of {number}"))
}

/// What was asked for a point, so that a value of a wrong place is seen to be one.
fn asked(source: &Source, at: usize) -> String {
    match &source.kind {
        Kind::Modbus(device) => device.points.get(at).map_or_else(String::new, |point| {
            let (table, kind) = (format!("{:?}", point.table), format!("{:?}", point.kind));
            format!("{} {} (counted from 0), {}", table.to_lowercase(), point.address, kind.to_lowercase())
        }),
        Kind::OpcUa(server) => server.points.get(at).map_or_else(String::new, |point| point.node.to_string()),
        Kind::Mqtt(broker) => broker.points.get(at).map_or_else(String::new, |point| {
            let (topic, value) = (&point.topic, &point.value);
            if value.is_empty() { format!("{topic}, the whole message") } else { format!("{topic} {value}") }
        }),
        Kind::Log(_) | Kind::Syslog(_) | Kind::Table(_) => String::new(),
    }
}

/// Why there is no value, in words, with the letter that windows carry.
fn no_value(quality: Quality) -> String {
    let words = match quality {
        Quality::Fault => "the device refuses this address or type",
        Quality::OverRange => "outside of min and max",
        Quality::NoAnswer => "no answer from the device behind the gateway that was asked",
        Quality::Good | Quality::Stopped | Quality::Maintenance | Quality::Manual | Quality::Checking => {
            "the device says that it is not good"
        }
    };
    format!("{words} (quality {})", char::from(quality.letter()))
}

fn module(code: u16) -> &'static str {
    let at = usize::from(code).checked_sub(1);
    at.and_then(|at| catalogue::MODULES.get(at)).map_or("(no module)", |module| module.code)
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_failed_says_when_it_is_tried_again() {
        let failing = Some("no answer: nobody there".to_owned());
        let source = SourceStatus { failing, retry_ms: Some(22_400), ..SourceStatus::default() };
        assert!(source_line(&source, 10_000).ends_with("nobody there; tried again in 12 s"));
        let source = SourceStatus { retry_ms: None, ..source };
        assert!(source_line(&source, 10_000).ends_with("nobody there"));
    }
}
