//! The rows of a window, one kind of row per table, written for people.

use std::collections::BTreeMap;

use ledger::Entry;
use proof::catalogue::{Cause, module_name};
use proof::userows;
use proof::wire::{self, ActionClass, ActorClass, Role, SourceKind};
use scorer::Grade;
use sha2::{Digest as _, Sha256};

use super::entry::answered;
use crate::figures::{clock, hex, minute, minutes, span};
use crate::lang::Lang;
use crate::page::Page;
use crate::source::{About, Said};
use crate::words;

/// What the numbers in a window stand for: out of the manifest it names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names {
    modules: BTreeMap<u32, String>,
    sources: BTreeMap<u32, SourceKind>,
    roles: BTreeMap<(u32, u32), Role>,
}

impl Names {
    /// No names: numbers stand for themselves.
    pub const NONE: Self =
        Self { modules: BTreeMap::new(), sources: BTreeMap::new(), roles: BTreeMap::new() };

    /// Reads the names out of a manifest.
    pub fn of(manifest: &wire::ManifestBody) -> Self {
        Self {
            modules: manifest.modules.iter().map(|module| (module.code, module.name.clone())).collect(),
            sources: manifest.sources.iter().map(|source| (source.index, source.kind())).collect(),
            roles: manifest
                .sources
                .iter()
                .flat_map(|s| s.points.iter().map(|p| ((s.index, p.index), p.role())))
                .collect(),
        }
    }

    /// "2 · Modbus"; the firm's own names never leave the gateway.
    pub(crate) fn source(&self, index: u32) -> String {
        match self.sources.get(&index) {
            Some(kind) => format!("{index} · {}", words::source_kind(*kind)),
            None => index.to_string(),
        }
    }

    pub(crate) fn module(&self, lang: Lang, code: u32) -> String {
        match self.modules.get(&code) {
            Some(name) => module(lang, name).to_owned(),
            None if code == 0 => "—".to_owned(),
            None => code.to_string(),
        }
    }

    fn role(&self, lang: Lang, source: u32, point: u32) -> &'static str {
        words::role(lang, self.roles.get(&(source, point)).copied().unwrap_or(Role::Unspecified))
    }
}

/// A module's name in this language; a code outside the catalogue stands for itself.
pub(crate) fn module(lang: Lang, code: &str) -> &str {
    module_name(code).map_or(code, |name| lang.pick(name.zh, name.en))
}

pub(super) struct SourceLine {
    pub(super) name: String,
    pub(super) expected: String,
    pub(super) ok: String,
    pub(super) err: String,
    pub(super) online: String,
    pub(super) time: String,
    pub(super) rows: String,
}

impl SourceLine {
    pub(super) fn new(row: &wire::SourceRow, names: &Names) -> Self {
        let ms = |us: u32| format!("{:.1}", f64::from(us) / 1000.0);
        let time = if row.rtt_median_us == 0 {
            "—".to_owned()
        } else {
            format!("{} ± {} ms", ms(row.rtt_median_us), ms(row.rtt_spread_us))
        };
        Self {
            name: names.source(row.source),
            expected: row.expected().to_string(),
            ok: format!("{} ({})", row.ok, answered(row.ok, row.expected())),
            err: row.err.to_string(),
            online: minutes(row.online()),
            time,
            rows: row.rows.to_string(),
        }
    }
}

/// The sources a manifest declares, in the same columns.
pub(super) fn declared(page: &Page, body: &wire::ManifestBody) -> Vec<SourceLine> {
    let line = |source: &wire::Source| {
        let roles: Vec<&str> = source.points.iter().map(|p| words::role(page.lang, p.role())).collect();
        let modules: Vec<String> =
            source.modules.iter().map(|code| Names::of(body).module(page.lang, *code)).collect();
        SourceLine {
            name: format!("{} · {}", source.index, words::source_kind(source.kind())),
            expected: format!("{} s", source.cadence_s),
            ok: roles.join(" · "),
            err: modules.join(" · "),
            online: words::share(page.lang, source.share()).to_owned(),
            time: String::new(),
            rows: hex(&source.name_digest),
        }
    };
    body.sources.iter().map(line).collect()
}

pub(super) struct ShapeLine {
    pub(super) name: String,
    pub(super) point: u32,
    pub(super) role: &'static str,
    pub(super) ok: u32,
    pub(super) changes: u32,
    pub(super) flat: String,
    pub(super) entropy: String,
    pub(super) levels: String,
    pub(super) running: String,
    pub(super) delta: String,
}

impl ShapeLine {
    pub(super) fn new(lang: Lang, row: &wire::ShapeRow, window: &wire::Window, names: &Names) -> Self {
        let source = window.sources.iter().find(|source| source.source == row.source);
        Self {
            name: names.source(row.source),
            point: row.point,
            role: names.role(lang, row.source, row.point),
            ok: source.map_or(0, |source| row.ok(source)),
            changes: row.changes,
            flat: span(i64::from(row.longest_flat_s) * 1000),
            entropy: format!("{:.2}", f64::from(row.entropy_mbit) / 1000.0),
            levels: levels(&row.levels),
            running: minutes(row.running),
            delta: row
                .delta_milli
                .map_or_else(|| "—".to_owned(), |milli| format!("{:.3}", thousandths(milli))),
        }
    }
}

/// Ten mean levels of four bits each as bars; "·" where a minute has none.
fn levels(bytes: &[u8]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let nibbles = bytes.iter().take(5).flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(|level| if level == 15 { '·' } else { BARS[usize::from(level / 2)] }).collect()
}

/// Milliseconds as seconds, thousandths as units.
#[expect(clippy::cast_precision_loss, reason = "written with one to three decimals")]
pub(super) fn thousandths(value: i64) -> f64 {
    value as f64 / 1000.0
}

pub(super) struct LogLine {
    pub(super) name: String,
    pub(super) span: String,
    pub(super) lines: u32,
    pub(super) unparsed: u32,
    pub(super) accounts: u32,
    pub(super) lag: String,
    pub(super) classes: String,
}

impl LogLine {
    pub(super) fn new(page: &Page, row: &wire::LogRow, names: &Names) -> Self {
        let class = |count: &wire::ClassCount| {
            let actor = words::actor_class(page.lang, actor_class(count.actor_class));
            let action = words::action(page.lang, action(count.action));
            format!("{} {action} {actor} {}", names.module(page.lang, count.module), count.count)
        };
        let classes: Vec<String> = row.classes.iter().take(64).map(class).collect();
        Self {
            name: names.source(row.source),
            span: format!("{} → {}", row.from, row.to),
            lines: row.lines,
            unparsed: row.unparsed,
            accounts: row.accounts,
            lag: format!(
                "{} / {}",
                span(i64::from(row.lag_p50_s) * 1000),
                span(i64::from(row.lag_p95_s) * 1000)
            ),
            classes: classes.join("; "),
        }
    }
}

fn action(code: u32) -> ActionClass {
    i32::try_from(code)
        .ok()
        .and_then(|code| ActionClass::try_from(code).ok())
        .unwrap_or(ActionClass::Unspecified)
}

fn actor_class(code: u32) -> ActorClass {
    i32::try_from(code)
        .ok()
        .and_then(|code| ActorClass::try_from(code).ok())
        .unwrap_or(ActorClass::Unspecified)
}

pub(super) struct GapRow {
    pub(super) name: String,
    pub(super) cause: String,
    pub(super) from: String,
}

/// The holes a window declares.
pub(super) fn gaps(page: &Page, raw: &wire::Window, offset: i32, names: &Names) -> Vec<GapRow> {
    let at = |seconds: i32| raw.start_ms.saturating_add(i64::from(seconds) * 1000);
    let row = |gap: &wire::Gap| GapRow {
        name: if gap.source == 0 { page.w.whole_gateway.to_owned() } else { names.source(gap.source) },
        cause: cause(page.lang, gap.cause),
        from: format!("{} – {}", clock(at(gap.from_s), offset), clock(at(gap.to_s), offset)),
    };
    raw.gaps.iter().map(row).collect()
}

/// "考勤系统 内容被修改，位置 70 – 75": what had been read and is not there as it was.
pub(super) fn rewrites(page: &Page, raw: &wire::Window, names: &Names) -> Vec<String> {
    let row = |rewrite: &wire::Rewrite| {
        let (name, what) = (names.source(rewrite.source), words::rewrite(page.lang, rewrite.kind()));
        let place = page.lang.pick("位置", "position");
        let sep = page.lang.pick("，", ", ");
        let rows = match rewrite.rows {
            0 => String::new(),
            rows => format!("{sep}{rows} {}", page.lang.pick("行", "rows")),
        };
        format!("{name} {what}{sep}{place} {} – {}{rows}", rewrite.from, rewrite.to)
    };
    raw.rewrites.iter().map(row).collect()
}

/// "人工停止 (H) 春节停产".
pub(super) fn said(lang: Lang, said: &Said) -> String {
    let cause = cause(lang, u32::from(said.cause.letter()));
    if said.text.is_empty() { cause } else { format!("{cause} {}", said.text) }
}

/// "企业（王工）".
pub(super) fn speaker(lang: Lang, said: &Said) -> String {
    let by = words::speaker(lang, said.by);
    match said.name.as_str() {
        "" => by.to_owned(),
        name => format!("{by}{}{name}{}", lang.pick("（", " ("), lang.pick("）", ")")),
    }
}

/// The time or the places that a label is about.
pub(super) fn about(page: &Page, about: About, offset: i32) -> String {
    match about {
        About::Time { from_ms, to_ms } => stretch(from_ms, to_ms, offset),
        About::Seqs { from, to } => format!("{} {from} – {to}", page.w.seq),
    }
}

/// "设备无应答 (B)".
pub(super) fn cause(lang: Lang, letter: u32) -> String {
    let cause = Cause::of_letter(letter);
    format!("{} ({})", lang.pick(cause.zh(), cause.en()), char::from(cause.letter()))
}

pub(super) struct UseLine {
    pub(super) source: String,
    pub(super) module: String,
    pub(super) action: &'static str,
    pub(super) actor: String,
    pub(super) class: String,
    pub(super) origin: &'static str,
    pub(super) day: String,
    pub(super) span: String,
    pub(super) count: u32,
}

/// The detached rows, in the order of the pseudonym: no ranking of persons. Unreadable rows are no rows; the ingester
/// has recorded the finding.
pub(super) fn uses(page: &Page, encoded: &[u8], names: &Names) -> Vec<UseLine> {
    let mut rows = userows::parse(encoded).unwrap_or_default();
    rows.sort_by_key(|row| (row.actor, row.day, row.first_minute, row.module, i32::from(row.action)));
    rows.iter().map(|row| use_line(page, row, names)).collect()
}

fn use_line(page: &Page, row: &userows::UseRow, names: &Names) -> UseLine {
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let (class, reason) =
        (words::actor_class(page.lang, row.actor_class), words::exclusion(page.lang, row.reason));
    UseLine {
        source: names.source(u32::from(row.source)),
        module: names.module(page.lang, u32::from(row.module)),
        action: words::action(page.lang, row.action),
        actor: hex(&row.actor),
        class: if reason.is_empty() { class.to_owned() } else { format!("{class} · {reason}") },
        origin: words::origin(page.lang, row.origin),
        day: jiff::civil::date(1970, 1, 1)
            .checked_add(jiff::Span::new().try_days(row.day).unwrap_or_default())
            .map_or_else(|_| row.day.to_string(), |date| date.to_string()),
        span: format!("{} – {}", clock(row.first_minute), clock(row.last_minute)),
        count: row.count,
    }
}

/// "2026-03-02 08:00 – 08:10", or with both dates where they differ.
pub(super) fn stretch(from_ms: i64, to_ms: i64, offset: i32) -> String {
    let same_day = crate::figures::date(from_ms, offset) == crate::figures::date(to_ms, offset);
    let to = if same_day { clock(to_ms, offset) } else { minute(to_ms, offset) };
    format!("{} – {to} ({})", minute(from_ms, offset), span(to_ms.saturating_sub(from_ms)))
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The letter of the grade of an entry.
pub(super) fn grade(entry: &Entry, end_ms: i64) -> char {
    let findings: Vec<String> = entry.findings.iter().map(|finding| finding.name().to_owned()).collect();
    Grade::of(entry.recv_ms, end_ms, entry.outcome, &findings).letter()
}
