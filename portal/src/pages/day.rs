//! One day of one firm: every entry of every gateway, with what each window says of its sources.

use askama::Template;
use jiff::civil::Date;
use ledger::Entry;
use proof::{AgentId, Envelope, Payload, userows, wire};

use super::rows;
use crate::figures::{clock, hex, minute, short};
use crate::page::Page;
use crate::source::{Firm, Said};
use crate::words;

#[derive(Template)]
#[template(path = "day.html")]
pub(crate) struct DayPage {
    page: Page,
    firm_id: String,
    firm_name: String,
    date: Date,
    before: Option<Date>,
    after: Option<Date>,
    chains: Vec<Chain>,
    entries: usize,
}

struct Chain {
    agent: String,
    rows: Vec<Row>,
}

struct Row {
    seq: u64,
    link: String,
    kind: String,
    claimed: String,
    received: String,
    grade: String,
    leaves: String,
    root: String,
    sources: String,
    errors: u32,
    gaps: Vec<String>,
    uses: Vec<String>,
    findings: Vec<(String, &'static str)>,
}

impl DayPage {
    /// `entries` in the order of gateway and sequence.
    pub(crate) fn new(page: Page, firm: &Firm, date: Date, entries: &[Entry]) -> Self {
        let mut chains: Vec<(AgentId, Chain)> = Vec::new();
        for entry in entries {
            let row = row(&page, firm, entry);
            match chains.last_mut() {
                Some((agent, chain)) if *agent == entry.agent => chain.rows.push(row),
                _ => chains.push((entry.agent, Chain { agent: entry.agent.to_string(), rows: vec![row] })),
            }
        }
        Self {
            firm_id: firm.id().to_owned(),
            firm_name: firm.name(page.lang).to_owned(),
            date,
            before: date.yesterday().ok(),
            after: date.tomorrow().ok(),
            chains: chains.into_iter().map(|(_, chain)| chain).collect(),
            entries: entries.len(),
            page,
        }
    }
}

fn row(page: &Page, firm: &Firm, entry: &Entry) -> Row {
    let offset = firm.offset_minutes();
    let payload =
        Envelope::parse(&entry.envelope).ok().and_then(|e| Payload::parse(e.kind(), e.payload()).ok());
    let mut row = Row {
        seq: entry.seq,
        link: format!("/firms/{}/windows/{}/{}?entry={}", firm.id(), entry.agent, entry.seq, entry.entry),
        kind: words::kind(page.lang, &entry.kind),
        claimed: "—".to_owned(),
        received: minute(entry.recv_ms, offset),
        grade: "—".to_owned(),
        leaves: "—".to_owned(),
        root: String::new(),
        sources: "—".to_owned(),
        errors: 0,
        gaps: Vec::new(),
        uses: Vec::new(),
        findings: entry
            .findings
            .iter()
            .map(|f| (f.name().to_owned(), words::finding(page.lang, *f)))
            .collect(),
    };
    match payload {
        Some(Payload::Window(window)) => fill(&mut row, page, firm, entry, &window),
        Some(Payload::Outage(outage)) => {
            row.claimed = rows::stretch(outage.from_ms, outage.to_ms, offset);
            row.gaps.push(rows::cause(page.lang, outage.cause));
        }
        Some(Payload::Label(label)) => {
            if let Some(said) = Said::of(entry, &label) {
                row.claimed = rows::about(page, said.about, offset);
                row.gaps.push(format!(
                    "{}: {}",
                    rows::speaker(page.lang, &said),
                    rows::said(page.lang, &said)
                ));
            }
        }
        Some(
            Payload::Manifest(_)
            | Payload::Digest(_)
            | Payload::Opened(_)
            | Payload::Rotate(_)
            | Payload::Unknown(_),
        )
        | None => {}
    }
    row
}

fn fill(row: &mut Row, page: &Page, firm: &Firm, entry: &Entry, window: &wire::Window) {
    let offset = firm.offset_minutes();
    let end = window.start_ms.saturating_add(i64::from(window.length_ms));
    row.claimed = format!("{} – {}", clock(window.start_ms, offset), clock(end, offset));
    if crate::figures::date(entry.recv_ms, offset) == crate::figures::date(end, offset) {
        row.received = clock(entry.recv_ms, offset);
    }
    row.grade = rows::grade(entry, end).to_string();
    row.leaves = window.leaf_count.to_string();
    row.root = short(&hex(&window.root), 8);
    let answering = window.sources.iter().filter(|source| source.ok > 0).count();
    row.sources = format!("{answering}/{}", window.sources.len());
    row.errors = window.sources.iter().fold(0, |sum, source| sum.saturating_add(source.err));
    row.gaps = rows::gaps(page, window, offset, firm.names(entry.agent))
        .into_iter()
        .map(|gap| format!("{} {} {}", gap.name, gap.cause, gap.from))
        .chain(rows::rewrites(page, window, firm.names(entry.agent)))
        .collect();
    row.uses = uses(page, firm, entry);
}

/// "生产报工 上报 3": per module and action, actors left out.
fn uses(page: &Page, firm: &Firm, entry: &Entry) -> Vec<String> {
    let mut sums = std::collections::BTreeMap::<(u16, i32), (&str, u32)>::new();
    for row in entry.use_rows.as_deref().and_then(|bytes| userows::parse(bytes).ok()).unwrap_or_default() {
        let sum = sums
            .entry((row.module, i32::from(row.action)))
            .or_insert((words::action(page.lang, row.action), 0));
        sum.1 = sum.1.saturating_add(row.count);
    }
    let text = |((module, _), (action, count)): ((u16, i32), (&str, u32))| {
        format!("{} {action} {count}", firm.names(entry.agent).module(page.lang, u32::from(module)))
    };
    sums.into_iter().map(text).collect()
}
