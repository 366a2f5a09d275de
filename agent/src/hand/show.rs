//! `show`: the past, as the gateway still has it, and openings of it.

use std::path::{Path, PathBuf};

use agent::past::{Entry, Gateway, Past};
use agent::wishes::{self, Wish};
use agent::{AgentConfig, Identity};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use daemon::{Clock as _, Exit, SystemClock};
use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use proof::{Opening, PastLeaf, WINDOW_MS, wire};
use qrcode::render::{svg, unicode::Dense1x2};
use qrcode::{EcLevel, QrCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::print;
use crate::print::past::{Printer, Shown, field_name};

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

/// What was asked for, in Unix ms: from, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) is_day: bool,
}

impl Show {
    pub(crate) async fn run(&self, config: &Path) -> anyhow::Result<Exit> {
        let (config, manifest) = AgentConfig::load(config)?;
        if let Some(name) = &self.source {
            ensure!(manifest.source_named(name).is_some(), "the manifest has no source `{name}`");
        }
        let gateway = Gateway {
            identity: Identity::load(&config.state_dir)?,
            socket: config.status_socket(),
            state_dir: config.state_dir.clone(),
        };
        let offset = Offset::from_seconds(manifest.utc_offset_minutes * 60)?;
        let printer = Printer { offset, manifest: &manifest };
        let span = self.when.as_ref().map(|when| span(when, offset)).transpose()?;
        let listed = match span {
            Some(span) => Some(gateway.entries(span.from_ms - WINDOW_MS + 1, span.to_ms - 1).await?),
            None => None,
        };
        if let Some(listed) = listed.as_ref().filter(|_| span.is_some_and(|span| self.lists(span))) {
            print::out(&if self.json { printer.day_json(listed) } else { printer.day(listed) })?;
            return Ok(if listed.missing.is_empty() { Exit::Ok } else { Exit::No });
        }
        let cut = listed.as_ref().is_some_and(|listed| listed.is_cut);
        ensure!(!cut, "there are more than {} entries of that day: name a minute", buffer::MOST_ENTRIES);
        let (entries, missing) = listed.map_or_else(Default::default, |told| (told.entries, told.missing));
        let numbers = self.seq.into_iter().chain(entries.iter().map(|entry| entry.seq));
        let mut windows = Vec::new();
        for seq in numbers {
            let entry = entries.iter().find(|entry| entry.seq == seq);
            if entry.is_some_and(|entry| !may_be_in(entry, span)) {
                continue;
            }
            let past = gateway.window(seq).await.with_context(|| format!("window {seq}"))?;
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
            format!("{}\n", json!({ "windows": windows, "missing": missing }))
        } else if windows.is_empty() && missing.is_empty() {
            "没有 nothing: the store has no window of that time\n".to_owned()
        } else {
            let gone =
                missing.iter().map(|(first, last)| format!("{}\n", print::past::missing(*first, *last)));
            let windows = windows.iter().map(|window| printer.window(window, self.find.is_some()));
            gone.chain(windows).collect()
        };
        print::out(&text)?;
        let is_well = !windows.is_empty() && missing.is_empty() && windows.iter().all(Shown::is_well);
        Ok(if is_well { Exit::Ok } else { Exit::No })
    }

    /// Whether a day is only listed: nothing was asked of its windows.
    fn lists(&self, span: Span) -> bool {
        span.is_day && self.find.is_none()
    }

    fn shown(&self, past: Past, gateway: &Gateway, printer: &Printer<'_>, span: Option<Span>) -> Shown {
        let names_fit = gateway.names_fit(&past, printer.manifest);
        let source = self.source.as_ref().and_then(|name| printer.manifest.source_named(name));
        let source = source.map(|source| u32::from(source.index));
        let source_unknown = source.is_some() && !names_fit;
        let asked = |leaf: &PastLeaf| {
            let at_ms = past.window.start_ms + i64::from(leaf.leaf.dt_ms);
            source.is_none_or(|source| source == leaf.leaf.source)
                && span.is_none_or(|span| span.is_day || (span.from_ms..span.to_ms).contains(&at_ms))
                && self.find.as_ref().is_none_or(|text| has(leaf, text))
        };
        let leaves = past.leaves().filter(|_| !source_unknown).map_or(&[][..], |leaves| leaves.leaves());
        let leaves = (0..).zip(leaves).filter(|(_, leaf)| asked(leaf)).map(|(at, _)| at).collect();
        Shown { past, names_fit, source_unknown, leaves }
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
        name_in_chain(gateway, &opening)?;
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

/// Leaves the word of an opening for the chain. Who may not write there, as with a copy of a gateway's state, opens all
/// the same, and is told.
fn name_in_chain(gateway: &Gateway, opening: &Opening) -> anyhow::Result<()> {
    let digest = Sha256::digest(opening.encode()).to_vec();
    let opened = wire::Opened { header: None, seq: opening.seq, index: opening.index, digest };
    let left = wishes::leave(&gateway.state_dir, &Wish::Opened(opened), SystemClock.stamp().wall_ms);
    match left {
        Ok(()) => Ok(agent::give_to_owner(&gateway.state_dir)?),
        Err(error) => {
            let why = daemon::chain(&error);
            Ok(print::err(&format!("inuse-agent: the chain will not name this opening: {why}\n"))?)
        }
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

fn has(leaf: &PastLeaf, text: &str) -> bool {
    let texts = [&leaf.beside.account, &leaf.beside.document];
    texts.into_iter().flatten().any(|known| known.contains(text))
        || leaf.fields.iter().any(|(_, value)| String::from_utf8_lossy(value).contains(text))
}

pub(super) fn span(when: &str, offset: Offset) -> anyhow::Result<Span> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(when: &str) -> anyhow::Result<Span> {
        span(when, Offset::constant(8))
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
