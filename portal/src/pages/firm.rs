//! The expert's page: the picture in two minutes on top, every number open underneath.

mod chain;
mod drawings;
mod measures;

use askama::Template;
use scorer::{Assessment, Text};

use self::chain::{ChainPart, GapTable, LabelTable};
use self::drawings::{Drawings, ModulePart};
use self::measures::{DayLink, MetricRow, day_links};
use super::rank::Badge;
use crate::figures::percent;
use crate::lang::Lang;
use crate::page::Page;
use crate::source::{Firm, LogFacts};

#[derive(Template)]
#[template(path = "firm.html")]
pub(crate) struct FirmPage {
    page: Page,
    id: String,
    name: String,
    place: String,
    badge: Badge,
    level: &'static str,
    disclaimer: &'static str,
    trend: Option<String>,
    marks: Vec<String>,
    flags: Vec<FlagPart>,
    summary: Vec<(&'static str, String)>,
    facts_for: Vec<FactPart>,
    facts_against: Vec<FactPart>,
    because: Vec<String>,
    notes: Vec<String>,
    metrics: Vec<MetricRow>,
    modules: Vec<ModulePart>,
    drawings: Drawings,
    coverage: Vec<(String, String, String, String)>,
    gaps: GapTable,
    labels: LabelTable,
    excluded: Vec<(String, String, String)>,
    accounts: Vec<(String, String)>,
    chain: ChainPart,
}

struct FlagPart {
    code: &'static str,
    name: String,
    advice: String,
    indicators: Vec<FactPart>,
}

/// A sentence that opens to its metric and its days.
struct FactPart {
    text: String,
    origin: String,
    metric: &'static str,
    days: Vec<DayLink>,
}

impl FirmPage {
    pub(crate) fn new(page: Page, firm: &Firm, log: &LogFacts) -> Self {
        let (lang, a) = (page.lang, &firm.assessment);
        let texts = |texts: &[Text]| texts.iter().map(|text| say(lang, text)).collect();
        Self {
            id: firm.id().to_owned(),
            name: firm.name(lang).to_owned(),
            place: [firm.project.city.as_str(), firm.project.district.as_str(), firm.id()]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" · "),
            badge: Badge::of(a.headline, lang),
            level: a.level.code(),
            disclaimer: page.w.notice,
            trend: a.trend.as_ref().map(|text| say(lang, text)),
            marks: texts(&a.marks),
            flags: flags(firm, lang),
            summary: summary(&page, a),
            facts_for: facts(firm, lang, &a.facts_for),
            facts_against: facts(firm, lang, &a.facts_against),
            because: texts(&a.level_because),
            notes: texts(&a.notes),
            metrics: a.metrics.iter().map(|metric| MetricRow::new(&page, firm, metric)).collect(),
            modules: drawings::modules(&page, firm),
            drawings: Drawings::new(&page, firm),
            coverage: chain::coverage(&page, firm),
            gaps: GapTable::new(&page, firm),
            labels: LabelTable::new(&page, firm),
            excluded: a
                .excluded
                .iter()
                .map(|e| (say(lang, &e.reason), e.accounts.to_string(), e.key_actions.to_string()))
                .collect(),
            accounts: measures::accounts(&page, a),
            chain: ChainPart::new(&page, firm, log),
            page,
        }
    }
}

/// The text in this language.
fn say(lang: Lang, text: &Text) -> String {
    lang.pick(&text.zh, &text.en).to_owned()
}

fn facts(firm: &Firm, lang: Lang, facts: &[scorer::Fact]) -> Vec<FactPart> {
    let part = |fact: &scorer::Fact| FactPart {
        text: say(lang, &fact.text),
        origin: String::new(),
        metric: fact.metric.map_or("", |id| id.code()),
        days: day_links(firm.id(), &fact.days),
    };
    facts.iter().map(part).collect()
}

fn flags(firm: &Firm, lang: Lang) -> Vec<FlagPart> {
    let indicator = |i: &scorer::assessment::Indicator| FactPart {
        text: say(lang, &i.text),
        origin: say(lang, &i.source),
        metric: i.metric.map_or("", |id| id.code()),
        days: day_links(firm.id(), &i.days),
    };
    firm.assessment
        .flags
        .iter()
        .map(|flag| FlagPart {
            code: flag.code,
            name: say(lang, &flag.name),
            advice: say(lang, &flag.advice),
            indicators: flag.indicators.iter().map(indicator).collect(),
        })
        .collect()
}

/// What is always printed with the headline.
fn summary(page: &Page, a: &Assessment) -> Vec<(&'static str, String)> {
    let w = page.w;
    let window = &a.window;
    let mut period = format!(
        "{} – {}（{} {}，{} {}",
        window.from, window.to, window.working_days, w.working_days, window.observed_days, w.observed_days
    );
    if window.stopped_days > 0 {
        period.push_str(&format!("，{} {}", window.stopped_days, w.stopped_days));
    }
    period.push('）');
    let [a_, b, c, d] = a.evidence.windows;
    let origin = if a.profile.origin.trim().eq_ignore_ascii_case("proposal") {
        w.proposal.to_owned()
    } else {
        a.profile.origin.clone()
    };
    vec![
        (w.period, tidy(page.lang, &period)),
        ("", say(page.lang, &window.begins)),
        (
            w.coverage,
            tidy(
                page.lang,
                &format!(
                    "{}（{} {}）",
                    percent(a.coverage.share()),
                    w.decisive,
                    percent(a.coverage.decisive_share())
                ),
            ),
        ),
        (w.grades, format!("A {a_} · B {b} · C {c} · D {d}")),
        (
            w.origins,
            format!(
                "{} {} · {} {} · {} {}",
                w.live, a.evidence.live, w.backfill, a.evidence.backfill, w.declared, a.evidence.declared
            ),
        ),
        (
            w.profile,
            tidy(
                page.lang,
                &format!(
                    "{} · {} {}（{origin}）",
                    say(page.lang, &a.profile.title),
                    w.version,
                    a.profile.version
                ),
            ),
        ),
        (w.reply, w.no_reply.to_owned()),
    ]
    .into_iter()
    .filter(|(_, text)| !text.is_empty())
    .collect()
}

/// Full-width punctuation is for Chinese only.
fn tidy(lang: Lang, text: &str) -> String {
    match lang {
        Lang::Zh => text.to_owned(),
        Lang::En => text.replace('（', " (").replace('）', ")").replace('，', ", "),
    }
}
