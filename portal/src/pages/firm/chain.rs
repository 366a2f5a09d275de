//! What the evidence stands on: coverage, gaps, gateways, counts, the log, the ladder.

use proof::Cause;
use scorer::assessment::GapLine;

use super::super::rows;
use crate::figures::{hex, minute, percent, span};
use crate::lang::Lang;
use crate::page::Page;
use crate::source::{Firm, Gateway, LogFacts, Said};
use crate::words;

/// Most gaps listed one by one; sums by cause cover all of them.
const MOST_GAPS: usize = 40;

/// Most labels shown beside one gap.
const MOST_OF_GAP: usize = 3;

/// Most labels listed.
const MOST_LABELS: usize = 40;

pub(super) struct GapTable {
    /// Cause, how many, their length, planned time inside.
    pub(super) causes: Vec<(String, String, String, String)>,
    pub(super) rows: Vec<GapRow>,
    pub(super) all: usize,
}

/// What was said of times and places, newest first.
pub(super) struct LabelTable {
    pub(super) rows: Vec<LabelRow>,
    pub(super) all: u64,
}

pub(super) struct LabelRow {
    pub(super) about: String,
    pub(super) source: String,
    pub(super) cause: String,
    pub(super) text: String,
    pub(super) by: &'static str,
    pub(super) name: String,
    pub(super) received: String,
    pub(super) is_late: bool,
    pub(super) link: String,
}

impl LabelTable {
    pub(super) fn new(page: &Page, firm: &Firm) -> Self {
        let rows = firm.chain.said.iter().rev().take(MOST_LABELS).map(|said| label_row(page, firm, said));
        Self { rows: rows.collect(), all: firm.chain.labels }
    }
}

fn label_row(page: &Page, firm: &Firm, said: &Said) -> LabelRow {
    let offset = firm.offset_minutes();
    LabelRow {
        about: rows::about(page, said.about, offset),
        source: match said.source {
            0 => page.w.whole_gateway.to_owned(),
            source => firm.names(said.agent).source(source),
        },
        cause: rows::cause(page.lang, u32::from(said.cause.letter())),
        text: said.text.clone(),
        by: words::speaker(page.lang, said.by),
        name: said.name.clone(),
        received: minute(said.recv_ms, offset),
        is_late: said.is_late,
        link: format!("/firms/{}/windows/{}/{}", firm.id(), said.agent, said.seq),
    }
}

pub(super) struct GapRow {
    /// What was said of it: it stays the gap that it is.
    pub(super) labels: Vec<LabelRow>,
    pub(super) source: String,
    pub(super) cause: String,
    pub(super) undeclared: bool,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) lasted: String,
    pub(super) planned: String,
    pub(super) link: String,
}

impl GapTable {
    pub(super) fn new(page: &Page, firm: &Firm) -> Self {
        let gaps = &firm.assessment.gaps;
        let cause = |cause: Cause| page.lang.pick(cause.zh(), cause.en()).to_owned();
        let mut longest: Vec<_> = gaps.iter().collect();
        longest.sort_by_key(|gap| {
            (std::cmp::Reverse((gap.planned, gap.to_ms.saturating_sub(gap.from_ms))), gap.from_ms)
        });
        let labels = |gap: &GapLine| {
            let said = firm.chain.said.iter().rev().filter(|said| said.concerns(gap));
            said.take(MOST_OF_GAP).map(|said| label_row(page, firm, said)).collect()
        };
        let row = |gap: &&GapLine| GapRow {
            labels: labels(gap),
            source: gap.source.map_or_else(
                || page.w.whole_gateway.to_owned(),
                |source| firm.names(gap.agent).source(source),
            ),
            cause: cause(gap.cause),
            undeclared: gap.undeclared,
            from: minute(gap.from_ms, firm.offset_minutes()),
            to: minute(gap.to_ms, firm.offset_minutes()),
            lasted: span(gap.to_ms.saturating_sub(gap.from_ms)),
            planned: planned(gap.planned.into()),
            link: format!("/firms/{}/windows/{}/{}", firm.id(), gap.agent, gap.span.last),
        };
        let sums = Cause::ALL.into_iter().filter_map(|of| {
            let with = gaps.iter().filter(|gap| gap.cause == of);
            let (count, length, inside) = with.fold((0usize, 0i64, 0u64), |(n, length, inside), gap| {
                let lasted = gap.to_ms.saturating_sub(gap.from_ms);
                (n + 1, length.saturating_add(lasted), inside + u64::from(gap.planned))
            });
            (count > 0).then(|| (cause(of), count.to_string(), span(length), planned(inside)))
        });
        Self {
            causes: sums.collect(),
            rows: longest.iter().take(MOST_GAPS).map(row).collect(),
            all: gaps.len(),
        }
    }
}

fn planned(minutes: u64) -> String {
    if minutes == 0 {
        "—".to_owned()
    } else {
        span(i64::try_from(minutes).unwrap_or(0).saturating_mul(60_000))
    }
}

/// Coverage per source: name, observed, planned, share.
pub(super) fn coverage(page: &Page, firm: &Firm) -> Vec<(String, String, String, String)> {
    let hours = |minutes: u64| format!("{} h", minutes / 60);
    firm.assessment
        .coverage
        .sources
        .iter()
        .map(|source| {
            let device = firm
                .assessment
                .devices
                .iter()
                .find(|d| d.agent == Some(source.agent) && d.source == Some(source.source))
                .map(|d| d.name.as_str())
                .or(source.is_log.then_some(page.w.business_log));
            let number = firm.names(source.agent).source(source.source);
            let name = device.map_or_else(|| number.clone(), |name| format!("{name} · {number}"));
            let share =
                u32::try_from((source.observed * 1000).checked_div(source.planned).unwrap_or(0)).unwrap_or(0);
            (name, hours(source.observed), hours(source.planned), percent(f64::from(share) / 1000.0))
        })
        .collect()
}

pub(super) struct ChainPart {
    pub(super) counts: Vec<(&'static str, u64)>,
    pub(super) gateways: Vec<GatewayPart>,
    pub(super) findings: Vec<(&'static str, &'static str, u64)>,
    pub(super) refusals: Vec<(String, u64, String, String)>,
    pub(super) log: Vec<(&'static str, String)>,
    pub(super) checkpoint: String,
    pub(super) witnessed: Option<String>,
    /// Step, its words, reached, what it stands on.
    pub(super) ladder: Vec<(&'static str, &'static str, bool, String)>,
}

pub(super) struct GatewayPart {
    pub(super) id: String,
    pub(super) about: String,
    pub(super) state: (&'static str, &'static str),
    pub(super) last: String,
    pub(super) seq: u64,
    pub(super) revoked: Option<String>,
    pub(super) confirmed: bool,
    /// Who has confirmed its key, and who not yet.
    pub(super) confirmations: String,
    /// Hash of what its sources said was there before.
    pub(super) baseline: Option<String>,
    /// Shown when both have: whoever is to compare them reads them off the gateway.
    pub(super) words: Option<String>,
}

impl ChainPart {
    pub(super) fn new(page: &Page, firm: &Firm, log: &LogFacts) -> Self {
        let (w, chain) = (page.w, &firm.chain);
        Self {
            counts: vec![
                (w.windows, chain.windows),
                (w.outages, chain.outages),
                (w.labels, chain.labels),
                (w.digests, chain.digests),
                (w.openings_shown, chain.openings),
                (w.rotations, chain.rotations),
                (w.manifests, chain.manifests),
                (w.others, chain.others),
                (w.conflicts, u64::from(firm.forks())),
            ],
            gateways: firm.gateways.iter().map(|gateway| gateway_part(page, firm, gateway)).collect(),
            findings: chain
                .findings
                .iter()
                .map(|(finding, count)| (finding.name(), words::finding(page.lang, *finding), *count))
                .collect(),
            refusals: chain
                .refusals
                .iter()
                .take(20)
                .map(|r| (r.name.clone(), r.count, minute(r.last_ms, firm.offset_minutes()), r.text.clone()))
                .collect(),
            log: vec![(w.tree_size, log.size.to_string()), (w.log_key, log.verifier_key.clone())],
            checkpoint: log.checkpoint.clone(),
            witnessed: super::super::witnesses(page, log, None, firm.offset_minutes()),
            ladder: ladder(page, firm),
        }
    }
}

fn gateway_part(page: &Page, firm: &Firm, gateway: &Gateway) -> GatewayPart {
    let w = page.w;
    GatewayPart {
        id: gateway.agent.to_string(),
        about: format!(
            "{} · kid {} · {} {} · {} {}",
            gateway.hostname,
            gateway.kid,
            w.epoch,
            gateway.epoch,
            w.enrolled,
            minute(gateway.enrolled_ms, firm.offset_minutes())
        ),
        state: match gateway.online {
            Some(true) => ("●", w.online),
            Some(false) => ("○", w.offline),
            None => ("◌", w.unheard),
        },
        last: gateway.last_recv_ms.map_or_else(|| w.never.to_owned(), |ms| minute(ms, firm.offset_minutes())),
        seq: gateway.seq,
        revoked: gateway.revoked.clone(),
        confirmed: gateway.is_confirmed(),
        confirmations: {
            let by = |party: &str, by: &Option<(String, i64)>| match by {
                Some((name, at_ms)) => format!("{party} {name} {}", minute(*at_ms, firm.offset_minutes())),
                None => format!("{party} {}", w.not_yet),
            };
            format!("{} · {}", by(w.by_firm, &gateway.firm), by(w.by_city, &gateway.city))
        },
        baseline: gateway.baseline.map(|hash| hex(&hash)),
        words: gateway.is_confirmed().then(|| match page.lang {
            Lang::Zh => gateway.words.to_string(),
            Lang::En => gateway.words.en(),
        }),
    }
}

fn ladder(page: &Page, firm: &Firm) -> Vec<(&'static str, &'static str, bool, String)> {
    let w = page.w;
    let [a, b, c, d] = firm.assessment.evidence.windows;
    let declared = firm.project.modules.len() + firm.project.devices.len();
    vec![
        (
            "E0",
            w.e0,
            declared > 0,
            format!(
                "{} {} · {} {}",
                w.modules,
                firm.project.modules.len(),
                w.device,
                firm.project.devices.len()
            ),
        ),
        ("E1", w.e1, firm.chain.windows > 0, format!("{} {}", w.windows, firm.chain.windows)),
        ("E2", w.e2, a + b > 0, format!("A+B {} / {}", a + b, a + b + c + d)),
        ("E3", w.e3, false, w.later.to_owned()),
        ("E4", w.e4, false, w.later.to_owned()),
    ]
}
