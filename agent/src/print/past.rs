//! The past, for people and for programs.

use agent::past::{Entry, Listed, Past, State};
use collectors::manifest::{Manifest, Source};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use proof::log::Receipt;
use proof::wire::leaf::What;
use proof::{PastLeaf, Quality, wire};
use serde_json::{Value, json};

use super::push;

/// Most leaves that are printed.
const MOST: usize = 2_000;

/// A window with those of its leaves that were asked for.
pub(crate) struct Shown {
    pub(crate) past: Past,
    /// The manifest's names are those of the window.
    pub(crate) names_fit: bool,
    /// The leaves were to be those of one source, which cannot be told: the names are of another manifest.
    pub(crate) source_unknown: bool,
    pub(crate) leaves: Vec<u64>,
}

/// Prints by the gateway's clock and the manifest's names.
pub(crate) struct Printer<'a> {
    pub(crate) offset: Offset,
    pub(crate) manifest: &'a Manifest,
}

impl Printer<'_> {
    fn time(&self, at_ms: i64) -> DateTime {
        let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        self.offset.to_datetime(at)
    }

    fn clock(&self, at_ms: i64) -> String {
        self.time(at_ms).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// A line for each number of a day, or for each run of numbers that are missing.
    pub(crate) fn day(&self, listed: &Listed) -> String {
        let entries = listed.entries.iter().map(|entry| {
            let start = entry.start_ms.map_or_else(|| " ".repeat(19), |at| self.clock(at));
            (entry.seq, format!("{:>8}  {start}  {}", entry.seq, self.entry(entry)))
        });
        let missing = listed.missing.iter().map(|(first, last)| (*first, missing(*first, *last)));
        let mut lines: Vec<_> = entries.chain(missing).collect();
        lines.sort_by_key(|(seq, _)| *seq);
        let mut text = String::new();
        for (_, line) in &lines {
            push(&mut text, format_args!("{line}\n"));
        }
        if lines.is_empty() {
            text.push_str("没有 nothing: the store has no window of that day\n");
            if listed.forgotten > 0 {
                push(
                    &mut text,
                    format_args!(
                        "  up to number {}, what had its receipt was forgotten in order\n",
                        listed.forgotten
                    ),
                );
            }
        }
        if listed.is_cut {
            text.push_str("  … more: name a minute\n");
        }
        text
    }

    fn entry(&self, entry: &Entry) -> String {
        let raw = match (&entry.dropped, entry.start_ms, entry.kind.as_deref()) {
            (Some(dropped), _, _) => {
                format!("原始数据已删除 raw dropped {}: {}", self.clock(dropped.at_ms), dropped.why)
            }
            (None, Some(_), Some(_)) => "原始数据在 raw kept".to_owned(),
            (None, Some(_), None) => "证明缺失 RAW WITHOUT PROOF".to_owned(),
            (None, None, Some("window")) => "原始数据缺失 RAW MISSING, and nothing says why".to_owned(),
            (None, None, _) => String::new(),
        };
        let receipt = match entry.receipted_ms {
            Some(at) => format!("回执 receipt {}", self.clock(at)),
            None => "无回执 no receipt yet".to_owned(),
        };
        format!("{:<9} {receipt}  {raw}", entry.kind.as_deref().unwrap_or("-"))
    }

    pub(crate) fn day_json(&self, listed: &Listed) -> String {
        format!("{}\n", json!(listed))
    }

    /// What a window is, without its leaves.
    pub(crate) fn head(&self, past: &Past) -> String {
        let window = &past.window;
        let end_ms = window.start_ms + i64::from(window.length_ms);
        let mut text = format!(
            "窗口 window {}  {} – {}  {} leaves\n  entry {}\n",
            past.seq(),
            self.clock(window.start_ms),
            self.time(end_ms).strftime("%H:%M:%S"),
            window.leaf_count,
            past.envelope.id()
        );
        if !past.is_ours {
            text.push_str("  签名不符 NOT SIGNED by this gateway's key\n");
        }
        let receipt = match &past.receipt {
            Ok(Some(receipt)) => self.receipt(receipt, end_ms),
            Ok(None) => "无回执 no receipt yet".to_owned(),
            Err(why) => format!("回执不符 RECEIPT IS NOT ITS: {why}"),
        };
        let state = match &past.state {
            State::Holds => "相符 raw data holds: it is what was committed to".to_owned(),
            State::Altered(why) => format!("被改动 ALTERED: {why}"),
            State::Dropped(dropped) => {
                format!("原始数据已删除 raw data dropped {}: {}", self.clock(dropped.at_ms), dropped.why)
            }
            State::Missing => "原始数据缺失 RAW DATA MISSING, and nothing says why".to_owned(),
        };
        push(&mut text, format_args!("  {receipt}\n  {state}\n"));
        text
    }

    fn receipt(&self, receipt: &Receipt, end_ms: i64) -> String {
        let entry = &receipt.entry;
        let late = (entry.recv_ms - end_ms).max(0) / 60_000;
        let conflict = match entry.outcome {
            wire::Outcome::Conflict => "; 冲突 CONFLICT: the log has another entry of this number",
            wire::Outcome::Unspecified | wire::Outcome::Recorded | wire::Outcome::Finding => "",
        };
        let (at, index, log) = (self.clock(entry.recv_ms), receipt.index, &receipt.origin);
        format!("回执 receipt: entry {index} of {log}, received {at}, {late} min after its end{conflict}")
    }

    pub(crate) fn window(&self, window: &Shown, only_found: bool) -> String {
        if only_found && window.leaves.is_empty() && window.is_well() {
            return String::new();
        }
        let mut text = self.head(&window.past);
        if window.source_unknown {
            text.push_str(
                "  made under another manifest: which leaves are of that source cannot be told; ask without --source\n",
            );
        } else if !window.names_fit && !window.leaves.is_empty() {
            text.push_str("  made under another manifest: sources and fields have their numbers\n");
        }
        for leaf in window.leaves.iter().take(MOST) {
            text.push_str(&self.leaf(window, *leaf));
        }
        if let Some(more) = window.leaves.len().checked_sub(MOST).filter(|more| *more > 0) {
            push(
                &mut text,
                format_args!("  … {more} more: name a minute, a --source, or a text to --find\n"),
            );
        }
        text
    }

    pub(crate) fn window_json(&self, window: &Shown) -> Value {
        let past = &window.past;
        let (state, why) = match &past.state {
            State::Holds => ("holds", None),
            State::Altered(why) => ("altered", Some(why.clone())),
            State::Dropped(dropped) => ("dropped", Some(dropped.why.clone())),
            State::Missing => ("missing", None),
        };
        let receipt = match &past.receipt {
            Ok(None) => Value::Null,
            Err(why) => json!({ "error": why }),
            Ok(Some(receipt)) => json!({
                "index": receipt.index, "log": receipt.origin, "recv_ms": receipt.entry.recv_ms,
                "outcome": receipt.entry.outcome.as_str_name(),
            }),
        };
        json!({
            "seq": past.seq(), "entry": past.envelope.id().to_string(), "start_ms": past.window.start_ms,
            "length_ms": past.window.length_ms, "leaf_count": past.window.leaf_count, "signed": past.is_ours,
            "receipt": receipt, "state": state, "why": why, "names_fit": window.names_fit,
            "source_unknown": window.source_unknown,
            "leaves": window.leaves.iter().map(|leaf| self.leaf_json(window, *leaf)).collect::<Vec<_>>(),
        })
    }

    pub(crate) fn leaf(&self, window: &Shown, at: u64) -> String {
        let Some(leaf) = leaf_at(&window.past, at) else { return String::new() };
        let source = self.source(window, leaf);
        let name = source.map_or_else(|| leaf.leaf.source.to_string(), |source| source.name.clone());
        let at_ms = window.past.window.start_ms + i64::from(leaf.leaf.dt_ms);
        let (time, what) = (self.time(at_ms).strftime("%H:%M:%S%.3f"), self.what(window, leaf));
        format!("  leaf {at:<6} {time}  {name}  {what}\n")
    }

    fn what(&self, window: &Shown, leaf: &PastLeaf) -> String {
        let readings = |readings: &[wire::Reading]| {
            let shown = readings.iter().zip(&leaf.beside.values).map(|(reading, (point, value))| {
                let name = self.point_name(window, leaf, *point);
                let value = value.map_or_else(|| "-".to_owned(), |value| value.to_string());
                format!("{name}={value} ({}{})", letter(reading), hex(&reading.raw))
            });
            shown.collect::<Vec<_>>().join(" ")
        };
        match &leaf.leaf.what {
            Some(What::Readings(row)) => readings(&row.points),
            Some(What::Backfill(row)) => format!("kept by the server: {}", readings(&row.readings)),
            Some(What::Range(range)) => {
                let point = self.point_name(window, leaf, usize::try_from(range.point).unwrap_or(usize::MAX));
                format!("long-run range of {point}: {} to {} thousandths", range.low_milli, range.high_milli)
            }
            Some(What::Record(record)) => {
                let names = self.field_names(window, leaf);
                let field = |(at, (_, value)): (usize, &([u8; 16], Vec<u8>))| {
                    format!("{}={}", field_name(&names, at), String::from_utf8_lossy(value).escape_debug())
                };
                let fields: Vec<_> = leaf.fields.iter().enumerate().map(field).collect();
                let document = leaf.beside.document.as_ref();
                let document = document.map_or_else(String::new, |number| format!("[{number}] "));
                let event = match record.event_ms {
                    0 => String::new(),
                    at_ms => format!("{} ", self.clock(at_ms)),
                };
                format!("{event}{document}{}", fields.join(" "))
            }
            None => String::new(),
        }
    }

    pub(crate) fn leaf_json(&self, window: &Shown, at: u64) -> Value {
        let Some(leaf) = leaf_at(&window.past, at) else { return Value::Null };
        let source = self.source(window, leaf).map(|source| source.name.clone());
        let at_ms = window.past.window.start_ms + i64::from(leaf.leaf.dt_ms);
        let readings = |readings: &[wire::Reading], times: &[i64]| {
            let shown = readings.iter().zip(&leaf.beside.values).enumerate();
            let shown = shown.map(|(n, (reading, (point, value)))| {
                json!({
                    "point": self.point_name(window, leaf, *point), "value": value,
                    "quality": letter(reading).to_string(), "raw": hex(&reading.raw), "at_ms": times.get(n),
                })
            });
            shown.collect::<Vec<_>>()
        };
        let names = self.field_names(window, leaf);
        let what = match &leaf.leaf.what {
            Some(What::Readings(row)) => json!({ "readings": readings(&row.points, &[]) }),
            Some(What::Backfill(row)) => json!({ "kept": readings(&row.readings, &row.at_ms) }),
            Some(What::Range(range)) => json!({
                "range": { "point": range.point, "low_milli": range.low_milli, "high_milli": range.high_milli },
            }),
            Some(What::Record(record)) => {
                let field = |(at, (_, value)): (usize, &([u8; 16], Vec<u8>))| {
                    json!([field_name(&names, at), String::from_utf8_lossy(value)])
                };
                json!({
                    "record": {
                        "position": record.position, "event_ms": record.event_ms,
                        "account": leaf.beside.account, "document": leaf.beside.document,
                        "fields": leaf.fields.iter().enumerate().map(field).collect::<Vec<_>>(),
                    },
                })
            }
            None => Value::Null,
        };
        json!({ "leaf": at, "at_ms": at_ms, "source": leaf.leaf.source, "name": source, "what": what })
    }

    /// The source of a leaf, where the manifest's names are those of the window.
    fn source(&self, window: &Shown, leaf: &PastLeaf) -> Option<&Source> {
        let sources = window.names_fit.then_some(&self.manifest.sources)?;
        sources.iter().find(|source| u32::from(source.index) == leaf.leaf.source)
    }

    fn point_name(&self, window: &Shown, leaf: &PastLeaf, point: usize) -> String {
        let source = self.source(window, leaf);
        let name = source.and_then(|source| Some(source.points().get(point)?.name.clone()));
        name.unwrap_or_else(|| point.to_string())
    }

    pub(crate) fn field_names(&self, window: &Shown, leaf: &PastLeaf) -> Vec<String> {
        self.source(window, leaf).map(collectors::field_names).unwrap_or_default()
    }
}

/// A run of numbers that are missing.
pub(crate) fn missing(first: u64, last: u64) -> String {
    let numbers = if first == last { format!("{first:>8}") } else { format!("{first:>8} – {last}") };
    format!("{numbers}  缺失 MISSING: of {} numbers nothing is in the store", last - first + 1)
}

impl Shown {
    /// Whether nothing is wrong with it, and it could be asked what was asked.
    pub(crate) fn is_well(&self) -> bool {
        self.past.is_well() && !self.source_unknown
    }
}

/// The name of a record's field, or its number.
pub(crate) fn field_name(names: &[String], at: usize) -> String {
    names.get(at).cloned().unwrap_or_else(|| at.to_string())
}

fn leaf_at(past: &Past, at: u64) -> Option<&PastLeaf> {
    past.leaves()?.leaves().get(usize::try_from(at).ok()?)
}

fn letter(reading: &wire::Reading) -> char {
    char::from_u32(reading.quality)
        .filter(char::is_ascii_uppercase)
        .unwrap_or(char::from(Quality::Good.letter()))
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_gone_stand_in_the_list_where_they_were() {
        let manifest = Manifest { utc_offset_minutes: 0, sources: Vec::new(), text: String::new() };
        let printer = Printer { offset: Offset::UTC, manifest: &manifest };
        let entry = |seq, kind: Option<&str>| {
            let kind = kind.map(str::to_owned);
            Entry { seq, kind, entry: None, receipted_ms: Some(0), start_ms: Some(60_000), dropped: None }
        };
        let entries = vec![entry(9, Some("window")), entry(12, None)];
        let mut listed = Listed { entries, missing: vec![(8, 8), (10, 11)], is_cut: true, forgotten: 4 };
        let text = printer.day(&listed);
        let starts = [
            "       8  缺失",
            "       9  1970",
            "      10 – 11  缺失 MISSING: of 2",
            "      12  1970",
            "  … more",
        ];
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), starts.len(), "{text}");
        assert!(lines.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{text}");
        assert!(lines[3].contains("RAW WITHOUT PROOF"), "{text}");
        listed = Listed { entries: Vec::new(), missing: Vec::new(), is_cut: false, forgotten: 4 };
        let text = printer.day(&listed);
        assert!(text.contains("nothing") && text.contains("up to number 4"), "{text}");
    }
}
