//! `show`: the past, as the gateway still has it, and openings of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use agent::past::{Entry, Gateway, Past, State};
use agent::{AgentConfig, Identity};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use collectors::manifest::{Manifest, Source};
use daemon::Exit;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan as _};
use proof::log::Receipt;
use proof::wire::leaf::What;
use proof::{Opening, PastLeaf, Quality, WINDOW_MS, wire};
use qrcode::render::{svg, unicode::Dense1x2};
use qrcode::{EcLevel, QrCode};
use serde_json::{Value, json};

use crate::print;

/// Arguments of `show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A day, or a minute of it, by the gateway's time: 2026-05-03, or 2026-05-03T14:25.
    #[arg(required_unless_present = "seq", conflicts_with = "seq")]
    when: Option<String>,
    /// The window with this number in the chain.
    #[arg(long)]
    seq: Option<u64>,
    /// Of this source only, by its name in the manifest.
    #[arg(long)]
    source: Option<String>,
    /// Only records with this text in a field, as their account or as the number of their document.
    #[arg(long, value_name = "TEXT")]
    find: Option<String>,
    /// Open this leaf of the window.
    #[arg(long, value_name = "NUMBER")]
    leaf: Option<u64>,
    /// Fields of the record that the opening shows, by their names, or `all`; none when absent.
    #[arg(long, value_delimiter = ',', requires = "leaf")]
    fields: Vec<String>,
    /// Write the opening to this file.
    #[arg(long, value_name = "FILE", requires = "leaf")]
    out: Option<PathBuf>,
    /// Show the opening as a QR code.
    #[arg(long, requires = "leaf")]
    qr: bool,
    /// Write the QR code to this file, as SVG.
    #[arg(long, value_name = "FILE", requires = "leaf")]
    svg: Option<PathBuf>,
    /// Address of the city's pages, with its scheme: the code is then a link to the page that checks it.
    #[arg(long, value_name = "URL", requires = "leaf")]
    portal: Option<String>,
    /// As one JSON object.
    #[arg(long, conflicts_with = "qr")]
    json: bool,
}

/// Most leaves that are printed.
const MOST: usize = 2_000;

/// What was asked for, in Unix ms: from, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    from_ms: i64,
    to_ms: i64,
    is_day: bool,
}

/// A window with those of its leaves that were asked for.
struct Shown {
    past: Past,
    /// The manifest's names are those of the window.
    names_fit: bool,
    leaves: Vec<u64>,
}

struct Printer<'a> {
    offset: Offset,
    manifest: &'a Manifest,
}

impl Show {
    pub(crate) async fn run(&self, config: &Path) -> anyhow::Result<Exit> {
        let (config, manifest) = AgentConfig::load(config)?;
        if let Some(name) = &self.source {
            ensure!(manifest.source_named(name).is_some(), "the manifest has no source `{name}`");
        }
        let gateway =
            Gateway { identity: Identity::load(&config.state_dir)?, socket: config.status_socket() };
        let offset = Offset::from_seconds(manifest.utc_offset_minutes * 60)?;
        let printer = Printer { offset, manifest: &manifest };
        let (span, entries) = match (&self.when, self.seq) {
            (Some(when), _) => {
                let span = span(when, offset)?;
                let entries = gateway.entries(span.from_ms - WINDOW_MS + 1, span.to_ms - 1).await?;
                (Some(span), entries)
            }
            (None, Some(_)) | (None, None) => (None, Vec::new()),
        };
        if let Some(span) = span.filter(|span| span.is_day && self.find.is_none()) {
            let listed = of_day(&entries, span);
            let holes = listed.iter().any(|row| row.is_err());
            print::out(&if self.json { printer.day_json(&listed) } else { printer.day(&listed) })?;
            return Ok(if holes { Exit::No } else { Exit::Ok });
        }
        let numbers = self.seq.into_iter().chain(entries.iter().map(|entry| entry.seq));
        let mut windows = Vec::new();
        for seq in numbers {
            let entry = entries.iter().find(|entry| entry.seq == seq);
            if entry.is_some_and(|entry| !may_be_in(entry, span)) {
                continue;
            }
            let past = gateway.window(seq).await.with_context(|| format!("window {seq}"))?;
            let past = past.with_context(|| {
                format!(
                    "nothing of number {seq} is in the store: it was never there, or somebody took it away"
                )
            })?;
            if span.is_none_or(|span| overlaps(&past.window, span)) {
                windows.push(self.shown(past, &gateway, &printer, span));
            }
        }
        if let Some(leaf) = self.leaf {
            let [window] = windows.as_slice() else {
                let numbers: Vec<_> = windows.iter().map(|window| window.past.seq().to_string()).collect();
                bail!(
                    "{} windows are of that time, numbers {}: name one with --seq",
                    numbers.len(),
                    numbers.join(" ")
                )
            };
            return self.open(&gateway, &printer, window, leaf);
        }
        let text = if self.json {
            let windows: Vec<_> = windows.iter().map(|window| printer.window_json(window)).collect();
            format!("{}\n", json!({ "windows": windows }))
        } else if windows.is_empty() {
            "没有 nothing: the store has no window of that time\n".to_owned()
        } else {
            windows.iter().map(|window| printer.window(window, self.find.is_some())).collect()
        };
        print::out(&text)?;
        let is_well = !windows.is_empty() && windows.iter().all(|window| window.past.is_well());
        Ok(if is_well { Exit::Ok } else { Exit::No })
    }

    fn shown(&self, past: Past, gateway: &Gateway, printer: &Printer<'_>, span: Option<Span>) -> Shown {
        let names_fit = gateway.names_fit(&past, printer.manifest);
        let source = self.source.as_ref().and_then(|name| printer.manifest.source_named(name));
        let source = source.map(|source| u32::from(source.index));
        let asked = |leaf: &PastLeaf| {
            let at_ms = past.window.start_ms + i64::from(leaf.leaf.dt_ms);
            source.is_none_or(|source| source == leaf.leaf.source)
                && span.is_none_or(|span| span.is_day || (span.from_ms..span.to_ms).contains(&at_ms))
                && self.find.as_ref().is_none_or(|text| has(leaf, text))
        };
        let leaves = past.leaves().map_or(&[][..], |leaves| leaves.leaves());
        let leaves = (0..).zip(leaves).filter(|(_, leaf)| asked(leaf)).map(|(at, _)| at).collect();
        Shown { past, names_fit, leaves }
    }

    fn open(
        &self,
        gateway: &Gateway,
        printer: &Printer<'_>,
        window: &Shown,
        leaf: u64,
    ) -> anyhow::Result<Exit> {
        let past = &window.past;
        let seq = past.seq();
        let Some(leaves) = past.leaves() else {
            print::out(&printer.window(window, false))?;
            print::err("inuse-agent: nothing of this window can be opened\n")?;
            return Ok(Exit::No);
        };
        let count = leaves.leaves().len();
        let at = usize::try_from(leaf)?;
        let of =
            leaves.leaves().get(at).with_context(|| format!("window {seq} has {count} leaves, from 0"))?;
        let names = printer.field_names(window, of);
        let fields = fields(&self.fields, &names, of.fields.len())?;
        let opening = gateway.opening(past, leaf, &fields).context("the leaf cannot be opened")?;
        let text = match &self.portal {
            None => opening.text(),
            Some(portal) => link(portal, &opening),
        };
        if let Some(path) = &self.out {
            new_file(path, &opening.encode())?;
        }
        if let Some(path) = &self.svg {
            let drawing = code(&text)?.render::<svg::Color<'_>>().min_dimensions(400, 400).build();
            new_file(path, drawing.as_bytes())?;
        }
        if self.json {
            let opened = json!({
                "opening": text, "entry": opening.entry.to_string(), "leaf": printer.leaf_json(window, leaf),
            });
            print::out(&format!("{opened}\n"))?;
        } else {
            print::out(&format!("{}{}{text}\n", printer.head(past), printer.leaf(window, leaf)))?;
        }
        if self.qr {
            // Terminals are dark: what is printed is the light part.
            let code = code(&text)?;
            let mut drawing = code.render::<Dense1x2>();
            let drawing = drawing.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
            print::out(&format!("{drawing}\n"))?;
        }
        Ok(if past.is_well() { Exit::Ok } else { Exit::No })
    }
}

/// A link whose letters all fit a code's alphanumeric mode.
fn link(portal: &str, opening: &Opening) -> String {
    let text = opening.text();
    let text = text.split_once(':').map_or(text.as_str(), |(_, text)| text);
    let portal = portal.trim_end_matches('/');
    // Scheme and host mean the same in capitals; a path does not.
    let host = portal.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let path = &portal[host.len()..];
    format!("{}{path}/OPENING/{text}", host.to_uppercase())
}

fn code(text: &str) -> anyhow::Result<QrCode> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L);
    code.with_context(|| {
        format!("{} characters do not fit a QR code: show fewer fields, or take the file (--out)", text.len())
    })
}

/// Writes a file that does not exist yet.
fn new_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    written.with_context(|| format!("could not write {}", path.display()))
}

/// Places of the fields that were named.
fn fields(asked: &[String], names: &[String], count: usize) -> anyhow::Result<Vec<u32>> {
    let all = 0..u32::try_from(count)?;
    if asked.iter().any(|name| name == "all") {
        return Ok(all.collect());
    }
    let place = |name: &String| {
        let by_name = all.clone().zip(names).find(|(_, known)| *known == name).map(|(at, _)| at);
        by_name.or_else(|| name.parse().ok().filter(|at| all.contains(at)))
    };
    let unknown: Vec<_> = asked.iter().filter(|name| place(name).is_none()).map(String::as_str).collect();
    ensure!(
        unknown.is_empty(),
        "the record has no field {}; it has {}",
        unknown.join(", "),
        (0..count).map(|at| field_name(names, at)).collect::<Vec<_>>().join(", ")
    );
    Ok(asked.iter().filter_map(place).collect())
}

fn field_name(names: &[String], at: usize) -> String {
    names.get(at).cloned().unwrap_or_else(|| at.to_string())
}

fn has(leaf: &PastLeaf, text: &str) -> bool {
    let texts = [&leaf.beside.account, &leaf.beside.document];
    texts.into_iter().flatten().any(|known| known.contains(text))
        || leaf.fields.iter().any(|(_, value)| String::from_utf8_lossy(value).contains(text))
}

fn span(when: &str, offset: Offset) -> anyhow::Result<Span> {
    let ms = |at: DateTime| anyhow::Ok(offset.to_timestamp(at)?.as_millisecond());
    // A moment would be taken for its day as well.
    if let (10, Ok(day)) = (when.len(), when.parse::<Date>()) {
        let (from, to) = (day.to_datetime(jiff::civil::time(0, 0, 0, 0)), day.tomorrow()?);
        let to = to.to_datetime(jiff::civil::time(0, 0, 0, 0));
        return Ok(Span { from_ms: ms(from)?, to_ms: ms(to)?, is_day: true });
    }
    let at: DateTime = when.parse().with_context(|| {
        format!("`{when}` is neither a day as 2026-05-03 nor a minute as 2026-05-03T14:25")
    })?;
    let from = at.with().second(0).subsec_nanosecond(0).build()?;
    Ok(Span { from_ms: ms(from)?, to_ms: ms(from.checked_add(1.minute())?)?, is_day: false })
}

/// Whether the entry may be a window of that time. What has no start to go by is looked at.
fn may_be_in(entry: &Entry, span: Option<Span>) -> bool {
    let is_window = entry.kind.as_deref().is_none_or(|kind| kind == "window");
    let in_time =
        |start_ms: i64| span.is_none_or(|span| start_ms < span.to_ms && start_ms > span.from_ms - WINDOW_MS);
    is_window && entry.start_ms.is_none_or(in_time)
}

fn overlaps(window: &wire::Window, span: Span) -> bool {
    let end_ms = window.start_ms + i64::from(window.length_ms).max(1);
    window.start_ms < span.to_ms && end_ms > span.from_ms
}

/// The entries of a day, and between them numbers of which nothing is there.
fn of_day(entries: &[Entry], span: Span) -> Vec<Result<&Entry, u64>> {
    let is_of = |entry: &&Entry| {
        entry.start_ms.is_some_and(|start| start < span.to_ms && start > span.from_ms - WINDOW_MS)
    };
    let (first, last) = (entries.iter().find(is_of), entries.iter().rfind(is_of));
    // What lies between the day's first and last window, and what is missing beside them.
    let before = |seq: u64| entries.iter().rev().map(|entry| entry.seq).find(|known| *known < seq);
    let after = |seq: u64| entries.iter().map(|entry| entry.seq).find(|known| *known > seq);
    let (from, to) = match (first, last) {
        (Some(first), Some(last)) => (
            before(first.seq).map_or(first.seq, |seq| seq + 1),
            after(last.seq).map_or(last.seq, |seq| seq - 1),
        ),
        _ => match (entries.first(), entries.last()) {
            (Some(first), Some(last)) if first.seq < last.seq => (first.seq + 1, last.seq - 1),
            _ => return Vec::new(),
        },
    };
    (from..=to).map(|seq| entries.iter().find(|entry| entry.seq == seq).ok_or(seq)).collect()
}

impl Printer<'_> {
    fn time(&self, at_ms: i64) -> DateTime {
        let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        self.offset.to_datetime(at)
    }

    fn clock(&self, at_ms: i64) -> String {
        self.time(at_ms).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    fn day(&self, listed: &[Result<&Entry, u64>]) -> String {
        let mut text = String::new();
        for row in listed {
            let line = match row {
                Err(seq) => format!("{seq:>8}  缺失 MISSING: nothing of this number is in the store"),
                Ok(entry) => {
                    let start = entry.start_ms.map_or_else(|| " ".repeat(19), |at| self.clock(at));
                    format!("{:>8}  {start}  {}", entry.seq, self.entry(entry))
                }
            };
            push(&mut text, format_args!("{line}\n"));
        }
        if text.is_empty() {
            text.push_str("没有 nothing: the store has no window of that day\n");
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

    fn day_json(&self, listed: &[Result<&Entry, u64>]) -> String {
        let entries: Vec<_> = listed.iter().filter_map(|row| row.as_ref().ok()).collect();
        let missing: Vec<_> = listed.iter().filter_map(|row| row.as_ref().err()).collect();
        format!("{}\n", json!({ "entries": entries, "missing": missing }))
    }

    /// What a window is, without its leaves.
    fn head(&self, past: &Past) -> String {
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

    fn window(&self, window: &Shown, only_found: bool) -> String {
        if only_found && window.leaves.is_empty() && window.past.is_well() {
            return String::new();
        }
        let mut text = self.head(&window.past);
        if !window.names_fit && !window.leaves.is_empty() {
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

    fn window_json(&self, window: &Shown) -> Value {
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
            "leaves": window.leaves.iter().map(|leaf| self.leaf_json(window, *leaf)).collect::<Vec<_>>(),
        })
    }

    fn leaf(&self, window: &Shown, at: u64) -> String {
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

    fn leaf_json(&self, window: &Shown, at: u64) -> Value {
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

    fn field_names(&self, window: &Shown, leaf: &PastLeaf) -> Vec<String> {
        self.source(window, leaf).map(collectors::field_names).unwrap_or_default()
    }
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

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(when: &str) -> anyhow::Result<Span> {
        span(when, Offset::constant(8))
    }

    fn window(seq: u64, start_ms: i64) -> Entry {
        let (kind, entry) = (Some("window".to_owned()), Some(String::new()));
        Entry { seq, kind, entry, receipted_ms: None, start_ms: Some(start_ms), dropped: None }
    }

    #[test]
    fn a_day_and_a_minute_are_those_of_the_gateways_zone_and_nothing_else_is_a_moment() {
        let from_ms = 1_777_737_600_000;
        let day = Span { from_ms, to_ms: from_ms + 86_400_000, is_day: true };
        assert_eq!(at("2026-05-03").unwrap(), day);
        let minute_ms = from_ms + (14 * 60 + 25) * 60_000;
        let minute = Span { from_ms: minute_ms, to_ms: minute_ms + 60_000, is_day: false };
        assert_eq!(at("2026-05-03T14:25").unwrap(), minute);
        assert_eq!(at("2026-05-03 14:25:31").unwrap(), minute);
        assert!(at("yesterday").unwrap_err().to_string().contains("2026-05-03T14:25"));
        at("2026-02-30").unwrap_err();
    }

    #[test]
    fn a_number_that_is_gone_is_listed_with_its_day_also_at_its_edges() {
        let day = at("2026-05-03").unwrap();
        let start = |n: i64| day.from_ms + n * WINDOW_MS;
        let entries =
            [window(9, start(-1)), window(11, start(1)), window(14, start(3)), window(16, start(144))];
        let numbers = |listed: Vec<Result<&Entry, u64>>| {
            listed.into_iter().map(|row| row.map(|entry| entry.seq)).collect::<Vec<_>>()
        };
        let listed = numbers(of_day(&entries, day));
        assert_eq!(listed, [Err(10), Ok(11), Err(12), Err(13), Ok(14), Err(15)]);
        // A whole day that is gone.
        let listed = numbers(of_day(&[entries[0].clone(), entries[3].clone()], day));
        assert_eq!(listed, (10..16).map(Err).collect::<Vec<_>>());
    }

    #[test]
    fn a_field_that_a_record_does_not_have_is_named_with_those_it_has() {
        let names = ["user".to_owned(), "what".to_owned()];
        let asked = |asked: &[&str]| {
            let asked: Vec<_> = asked.iter().map(|name| (*name).to_owned()).collect();
            fields(&asked, &names, 3)
        };
        assert_eq!(asked(&["what", "2"]).unwrap(), [1, 2]);
        assert_eq!(asked(&["all"]).unwrap(), [0, 1, 2]);
        let refused = asked(&["user", "price", "3"]).unwrap_err().to_string();
        assert_eq!(refused, "the record has no field price, 3; it has user, what, 2");
    }
}
