//! All firms: risk first, with reasons; filtered by name, district, headline; a hundred to a page.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use scorer::MetricId;

use super::rank::{Badge, Tier, reasons};
use super::totals::{Cell, Totals, up};
use crate::figures::{minute, percent};
use crate::http::Wishes;
use crate::page::Page;
use crate::source::Firm;

/// Firms to a page.
const PAGE: usize = 100;

/// Longest filter text that is looked for.
const LONGEST: usize = 64;

#[derive(Template)]
#[template(path = "list.html")]
pub(crate) struct ListPage {
    page: Page,
    rows: Vec<Row>,
    totals: Vec<(&'static str, String)>,
    headlines: Vec<(Badge, String)>,
    name: String,
    district: String,
    headline: String,
    districts: BTreeSet<String>,
    filtered: bool,
    shown: String,
    previous: Option<String>,
    next: Option<String>,
}

struct Row {
    id: String,
    name: String,
    about: String,
    badge: Badge,
    trend: String,
    flags: Vec<String>,
    coverage: String,
    active: String,
    last: String,
    gateway: (&'static str, &'static str),
    reasons: Vec<String>,
}

impl ListPage {
    pub(crate) fn new(page: Page, firms: &[Arc<Firm>], wishes: &Wishes) -> Self {
        let (picked, asked) = pick(firms, wishes);
        let pages = picked.len().div_ceil(PAGE).max(1);
        let at = wishes.page.as_deref().and_then(|p| p.parse::<usize>().ok()).unwrap_or(1).clamp(1, pages);
        let link = |to: usize| {
            let pairs = [("name", &asked.name), ("district", &asked.district), ("headline", &asked.headline)];
            let mut query = format!("/?page={to}");
            for (key, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
                query.push_str(&format!("&{key}={}", encoded(value)));
            }
            query
        };
        let from = (at - 1) * PAGE;
        let rows: Vec<Row> = picked.iter().skip(from).take(PAGE).map(|firm| Row::new(&page, firm)).collect();
        Self {
            shown: format!("{}–{} / {}", (from + 1).min(picked.len()), from + rows.len(), picked.len()),
            previous: (at > 1).then(|| link(at - 1)),
            next: (at < pages).then(|| link(at + 1)),
            totals: totals(&page, firms),
            headlines: headlines(&page, firms),
            districts: firms
                .iter()
                .map(|firm| firm.project.district.clone())
                .filter(|d| !d.is_empty())
                .take(10_000)
                .collect(),
            filtered: !(asked.name.is_empty() && asked.district.is_empty() && asked.headline.is_empty()),
            name: asked.name,
            district: asked.district,
            headline: asked.headline,
            rows,
            page,
        }
    }
}

/// What was asked for, cut to a bounded length.
pub(crate) struct Asked {
    name: String,
    district: String,
    headline: String,
}

/// The firms that match, risk first.
pub(crate) fn pick<'a>(firms: &'a [Arc<Firm>], wishes: &Wishes) -> (Vec<&'a Firm>, Asked) {
    let cut = |text: &Option<String>| -> String {
        text.as_deref().unwrap_or_default().trim().chars().take(LONGEST).collect()
    };
    let asked =
        Asked { name: cut(&wishes.name), district: cut(&wishes.district), headline: cut(&wishes.headline) };
    let name = asked.name.to_lowercase();
    let names = |firm: &Firm| {
        [&firm.project.name_zh, &firm.project.name_en, &firm.project.id].map(String::clone).into_iter()
    };
    let matches = |firm: &&Firm| {
        let badge = Badge::of(firm.assessment.headline, crate::lang::Lang::Zh);
        (name.is_empty() || names(firm).any(|text| text.to_lowercase().contains(&name)))
            && (asked.district.is_empty() || firm.project.district == asked.district)
            && (asked.headline.is_empty() || badge.code == asked.headline)
    };
    let mut picked: Vec<&Firm> = firms.iter().map(|firm| &**firm).filter(matches).collect();
    picked.sort_by_cached_key(|firm| {
        (
            Tier::of(firm),
            std::cmp::Reverse(firm.assessment.flags.len()),
            firm.project.name_zh.clone(),
            firm.project.id.clone(),
        )
    });
    (picked, asked)
}

impl Row {
    fn new(page: &Page, firm: &Firm) -> Self {
        let (lang, w) = (page.lang, page.w);
        let assessment = &firm.assessment;
        let (online, all) = up(firm);
        Self {
            id: firm.id().to_owned(),
            name: firm.name(lang).to_owned(),
            about: [firm.project.city.as_str(), firm.project.district.as_str()]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" · "),
            badge: Badge::of(assessment.headline, lang),
            trend: assessment.trend.as_ref().map(|t| lang.pick(&t.zh, &t.en).to_owned()).unwrap_or_default(),
            flags: assessment
                .flags
                .iter()
                .map(|flag| format!("{} {}", flag.code, lang.pick(&flag.name.zh, &flag.name.en)))
                .collect(),
            coverage: percent(assessment.coverage.share()),
            active: assessment.metric(MetricId::M01).map_or_else(|| "—".to_owned(), |m| m.shown.clone()),
            last: firm
                .last_recv_ms()
                .map_or_else(|| w.never.to_owned(), |ms| minute(ms, firm.offset_minutes())),
            gateway: match (online, all) {
                (_, 0) => ("○", w.unheard),
                (on, all) if on == all => ("●", w.online),
                _ if firm.gateways.iter().any(|g| g.online == Some(false)) => ("○", w.offline),
                _ => ("◌", w.unheard),
            },
            reasons: reasons(firm, lang),
        }
    }
}

fn cell(page: &Page, cell: Cell) -> String {
    match cell {
        Cell::Shown(count) => count.to_string(),
        Cell::Withheld => page.w.withheld.to_owned(),
    }
}

fn totals(page: &Page, firms: &[Arc<Firm>]) -> Vec<(&'static str, String)> {
    let w = page.w;
    let totals = Totals::of(firms.iter().map(|firm| &**firm));
    let firms = match totals.firms {
        Cell::Shown(count) => count.to_string(),
        Cell::Withheld => w.fewer.to_owned(),
    };
    vec![
        (w.firms_total, firms),
        (w.gateways_online, cell(page, totals.online)),
        (w.windows_total, cell(page, totals.windows)),
    ]
}

fn headlines(page: &Page, firms: &[Arc<Firm>]) -> Vec<(Badge, String)> {
    let totals = Totals::of(firms.iter().map(|firm| &**firm));
    totals
        .headlines
        .into_iter()
        .map(|(headline, count)| (Badge::of(headline, page.lang), cell(page, count)))
        .collect()
}

/// Percent-encoding of everything but letters and digits.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
        out
    })
}
