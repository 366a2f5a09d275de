//! One entry of a chain, decoded, with what a reader needs to check it without us.

use askama::Template;
use ledger::{Entry, Receipted};
use proof::payload::Header;
use proof::wire::DigestCode;
use proof::{AgentId, Envelope, Payload, wire};

use super::rows::{self, GapRow, LogLine, ShapeLine, SourceLine, UseLine};
use crate::figures::{hex, percent, second, short, span};
use crate::page::Page;
use crate::source::{Firm, LogFacts, Names, Said};
use crate::words;

/// Everything the page needs; read by whoever answers the request.
pub(crate) struct Asked<'a> {
    pub(crate) firm: &'a Firm,
    pub(crate) agent: AgentId,
    /// All entries of this sequence: more than one where the chain forked.
    pub(crate) entries: &'a [Entry],
    /// Which of them is shown.
    pub(crate) shown: &'a Entry,
    pub(crate) receipt: Option<&'a Receipted>,
    pub(crate) log: &'a LogFacts,
}

#[derive(Template)]
#[template(path = "entry.html")]
pub(crate) struct EntryPage {
    page: Page,
    firm_id: String,
    firm_name: String,
    agent: String,
    seq: u64,
    date: Option<String>,
    kind: String,
    facts: Vec<(&'static str, String)>,
    findings: Vec<(String, &'static str)>,
    siblings: Vec<(String, String)>,
    problem: Option<String>,
    window: Option<WindowPart>,
    manifest: Vec<SourceLine>,
    receipt: Option<ReceiptPart>,
    command: String,
    entry: String,
    witnessed: Option<String>,
}

struct WindowPart {
    sources: Vec<SourceLine>,
    shapes: Vec<ShapeLine>,
    logs: Vec<LogLine>,
    gaps: Vec<GapRow>,
    rewrites: Vec<String>,
    uses: Vec<UseLine>,
    uses_state: &'static str,
}

struct ReceiptPart {
    facts: Vec<(&'static str, String)>,
    text: String,
    holds: bool,
    problem: String,
}

impl EntryPage {
    pub(crate) fn new(page: Page, asked: &Asked<'_>) -> Self {
        let entry = asked.shown;
        let w = page.w;
        let envelope = Envelope::parse(&entry.envelope).map_err(|error| error.to_string());
        let header = envelope.as_ref().ok().and_then(|e| Header::parse(e.payload()).ok());
        let payload =
            envelope.and_then(|e| Payload::parse(e.kind(), e.payload()).map_err(|error| error.to_string()));
        let offset = asked.firm.offset_minutes();
        let mut facts = chain_facts(&page, entry, header.as_ref(), offset);
        let (mut window, mut manifest, mut problem, mut date) = (None, Vec::new(), None, None);
        match &payload {
            Ok(Payload::Window(raw)) => {
                date = crate::figures::date(raw.start_ms, offset).map(|d| d.to_string());
                facts.extend(window_facts(&page, entry, raw, offset));
                window = Some(WindowPart::new(&page, raw, entry, asked.firm));
            }
            Ok(Payload::Manifest(body)) => manifest = rows::declared(&page, body),
            Ok(Payload::Outage(outage)) => {
                facts.push((w.silence, rows::stretch(outage.from_ms, outage.to_ms, offset)));
                facts.push((w.cause, rows::cause(page.lang, outage.cause)));
            }
            Ok(Payload::Digest(digest)) => facts.extend(sums(&page, asked.firm.names(entry.agent), digest)),
            Ok(Payload::Opened(opened)) => {
                facts.push((w.opened_leaf, format!("{} · {}", opened.seq, opened.index)));
                facts.push((w.opened_digest, hex(&opened.digest)));
            }
            Ok(Payload::Rotate(rotate)) => facts.push((w.new_key, hex(&rotate.key))),
            Ok(Payload::Label(label)) => {
                facts.extend(
                    Said::of(entry, label)
                        .map_or_else(Vec::new, |said| label_facts(&page, &said, asked.firm)),
                );
            }
            Ok(Payload::Unknown(_)) => problem = Some(w.kind_unknown.to_owned()),
            Err(error) => problem = Some(format!("{}: {error}", w.unreadable)),
        }
        Self {
            firm_id: asked.firm.id().to_owned(),
            firm_name: asked.firm.name(page.lang).to_owned(),
            agent: asked.agent.to_string(),
            seq: entry.seq,
            date,
            kind: words::kind(page.lang, &entry.kind),
            facts,
            findings: entry
                .findings
                .iter()
                .map(|f| (f.name().to_owned(), words::finding(page.lang, *f)))
                .collect(),
            siblings: siblings(asked),
            problem,
            window,
            manifest,
            receipt: asked.receipt.map(|receipt| ReceiptPart::new(&page, receipt, asked.log, offset)),
            command: command(asked),
            entry: entry.entry.to_string(),
            witnessed: super::witnesses(&page, asked.log, Some(asked.shown.index), offset),
            page,
        }
    }
}

/// How the two downloads are checked on any machine.
fn command(asked: &Asked<'_>) -> String {
    let log_key = &asked.log.verifier_key;
    let gateway = asked.firm.gateways.iter().find(|gateway| gateway.agent == asked.agent);
    let key = gateway
        .map(|gateway| hex(gateway.earlier.get(&asked.shown.epoch).unwrap_or(&gateway.key)))
        .unwrap_or_default();
    format!("inuse-verify envelope.bin --receipt receipt.bin --key {key} --log-key '{log_key}'")
}

fn siblings(asked: &Asked<'_>) -> Vec<(String, String)> {
    if asked.entries.len() < 2 {
        return Vec::new();
    }
    asked
        .entries
        .iter()
        .map(|e| {
            let id = e.entry.to_string();
            (
                format!("/firms/{}/windows/{}/{}?entry={id}", asked.firm.id(), asked.agent, e.seq),
                short(&id, 16),
            )
        })
        .collect()
}

/// What a day's sums say, source by source.
fn sums(page: &Page, names: &Names, digest: &wire::Digest) -> Vec<(&'static str, String)> {
    let w = page.w;
    let mut facts = vec![
        (w.digest_of, format!("{} – {}", digest.from_seq, digest.to_seq)),
        (w.digest_windows, format!("{} · {}", digest.windows, digest.without_raw)),
    ];
    for row in &digest.rows {
        let what = match DigestCode::try_from(row.code) {
            Ok(DigestCode::TimeOrder) => w.time_order,
            Ok(DigestCode::DocumentSteps) => w.document_steps,
            Ok(DigestCode::DocumentHands) => w.document_hands,
            Ok(DigestCode::Unspecified) | Err(_) => w.kind_unknown,
        };
        let cut = if row.is_cut { "…" } else { "" };
        let source = names.source(row.source);
        facts.push((
            what,
            format!("{source}: {} / {}{cut} {:?}", row.numerator, row.denominator, row.histogram),
        ));
    }
    facts
}

fn chain_facts(
    page: &Page,
    entry: &Entry,
    header: Option<&Header>,
    offset: i32,
) -> Vec<(&'static str, String)> {
    let w = page.w;
    let mut facts = vec![
        (w.entry_id, entry.entry.to_string()),
        (w.envelope_hash, hex(&rows::sha256(&entry.envelope))),
        (w.received, second(entry.recv_ms, offset)),
        (w.outcome, words::outcome(page.lang, entry.outcome).to_owned()),
        (w.log_index, entry.index.to_string()),
        (w.epoch, entry.epoch.to_string()),
    ];
    if let Some(header) = header {
        let skew = header.skew_ms.map_or_else(
            || w.never_compared.to_owned(),
            |skew| {
                format!(
                    "{}{:.1} s",
                    if skew < 0 { "−" } else { "+" },
                    rows::thousandths(skew.saturating_abs())
                )
            },
        );
        facts.push((w.previous, header.prev.to_string()));
        facts.push((w.gateway_clock, format!("{} · {} {skew}", second(header.wall_ms, offset), w.skew)));
        facts.push((w.boot, format!("{} · #{}", hex(&header.boot), header.boot_count)));
    }
    facts
}

fn label_facts(page: &Page, said: &Said, firm: &Firm) -> Vec<(&'static str, String)> {
    let w = page.w;
    let source = match said.source {
        0 => w.whole_gateway.to_owned(),
        source => firm.names(said.agent).source(source),
    };
    let by = rows::speaker(page.lang, said);
    vec![
        (w.about, rows::about(page, said.about, firm.offset_minutes())),
        (w.source, source),
        (w.says, rows::said(page.lang, said)),
        (w.by, format!("{by} · {}", w.a_statement)),
    ]
}

fn window_facts(page: &Page, entry: &Entry, raw: &wire::Window, offset: i32) -> Vec<(&'static str, String)> {
    let w = page.w;
    let end = raw.start_ms.saturating_add(i64::from(raw.length_ms));
    let anchor = raw
        .anchor
        .as_ref()
        .map_or_else(|| w.no_anchor.to_owned(), |anchor| format!("{} · {}", anchor.size, hex(&anchor.hash)));
    vec![
        (w.claimed, rows::stretch(raw.start_ms, end, offset)),
        (
            w.grade,
            format!(
                "{} · {} {}",
                rows::grade(entry, end),
                w.lateness,
                span(entry.recv_ms.saturating_sub(end))
            ),
        ),
        (w.real_length, span(i64::from(raw.mono_length_ms))),
        (w.ended_by, words::end(page.lang, raw.end()).to_owned()),
        (w.anchor, anchor),
        (w.leaves, raw.leaf_count.to_string()),
        (w.root, hex(&raw.root)),
        (w.manifest, hex(&raw.manifest)),
        (w.build, hex(&raw.build)),
    ]
}

impl WindowPart {
    fn new(page: &Page, raw: &wire::Window, entry: &Entry, firm: &Firm) -> Self {
        let names = firm.names(entry.agent);
        let uses = entry.use_rows.as_deref().map(|bytes| rows::uses(page, bytes, names));
        let uses_state = match (&uses, raw.use_digest.is_empty()) {
            (Some(_), _) => "",
            (None, true) => page.w.no_use_rows,
            (None, false) => page.w.use_rows_gone,
        };
        Self {
            sources: raw.sources.iter().map(|row| SourceLine::new(row, names)).collect(),
            shapes: raw.shapes.iter().map(|row| ShapeLine::new(page.lang, row, raw, names)).collect(),
            logs: raw.logs.iter().map(|row| LogLine::new(page, row, names)).collect(),
            gaps: rows::gaps(page, raw, firm.offset_minutes(), names),
            rewrites: rows::rewrites(page, raw, names),
            uses: uses.unwrap_or_default(),
            uses_state,
        }
    }
}

impl ReceiptPart {
    fn new(page: &Page, receipt: &Receipted, log: &LogFacts, offset: i32) -> Self {
        let w = page.w;
        let checked = proof::log::check_receipt(&receipt.receipt, receipt.entry, &log.verifier_key);
        let facts = match &checked {
            Ok(checked) => vec![
                (w.log_name, checked.origin.clone()),
                (w.log_index, checked.index.to_string()),
                (w.tree_size, checked.size.to_string()),
                (w.tree_root, hex(&checked.root)),
                (w.received, second(checked.entry.recv_ms, offset)),
            ],
            Err(_) => Vec::new(),
        };
        Self {
            facts,
            text: receipt.receipt.proof.clone(),
            holds: checked.is_ok(),
            problem: checked.err().map(|error| error.to_string()).unwrap_or_default(),
        }
    }
}

/// Share of answered questions, for tables.
pub(super) fn answered(ok: u32, expected: u32) -> String {
    if expected == 0 { "—".to_owned() } else { percent(f64::from(ok.min(expected)) / f64::from(expected)) }
}
