//! The metrics as rows: value, sample, interval, thresholds, how to check by hand, and the days behind.

use scorer::assessment::{Assessment, DayFact};
use scorer::{Metric, MetricId, Status};

use super::say;
use crate::page::Page;
use crate::source::Firm;
use crate::words;

/// Most days a row lists; a metric over a year names the rest by number.
const MOST_DAYS: usize = 120;

pub(super) struct MetricRow {
    pub(super) id: &'static str,
    pub(super) name: String,
    pub(super) value: String,
    pub(super) interval: String,
    pub(super) sample: String,
    pub(super) status: (&'static str, &'static str, &'static str),
    pub(super) thresholds: String,
    pub(super) formula: String,
    pub(super) fraction: String,
    pub(super) by_hand: &'static str,
    pub(super) remark: String,
    pub(super) days: Vec<DayLink>,
    pub(super) more: usize,
}

/// A day that a number opens to.
pub(super) struct DayLink {
    pub(super) link: String,
    pub(super) text: String,
    pub(super) hit: bool,
}

impl MetricRow {
    pub(super) fn new(page: &Page, firm: &Firm, metric: &Metric) -> Self {
        let w = page.w;
        let whole =
            |value: f64| if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") };
        Self {
            id: metric.id.code(),
            name: say(page.lang, &metric.name),
            value: metric.shown.clone(),
            interval: metric
                .interval
                .map_or_else(String::new, |i| format!("{} {:.1}–{:.1}%", w.interval, i.low, i.high)),
            sample: if metric.sample == 0 { "—".to_owned() } else { metric.sample.to_string() },
            status: match metric.status {
                Status::Green => ("good", "●", w.green),
                Status::Amber => ("fair", "◐", w.amber),
                Status::Red => ("poor", "○", w.red),
                Status::Info => ("dim", "i", w.info),
                Status::None => ("dim", "—", w.not_computed),
            },
            thresholds: say(page.lang, &metric.thresholds),
            formula: say(page.lang, &metric.formula),
            fraction: match (metric.numerator, metric.denominator) {
                (Some(above), Some(below)) => format!("{} / {}", whole(above), whole(below)),
                (Some(above), None) => whole(above),
                (None, _) => String::new(),
            },
            by_hand: words::by_hand(page.lang, metric.id),
            remark: metric.remark.as_ref().map(|text| say(page.lang, text)).unwrap_or_default(),
            days: day_links(firm.id(), &metric.days),
            more: metric.days.len().saturating_sub(MOST_DAYS),
        }
    }
}

/// The newest days, oldest first.
pub(super) fn day_links(firm: &str, days: &[DayFact]) -> Vec<DayLink> {
    let link = |day: &DayFact| DayLink {
        link: format!("/firms/{firm}/days/{}", day.date),
        text: format!("{} · {}", day.date.strftime("%m-%d"), day.count),
        hit: day.hit,
    };
    days[days.len().saturating_sub(MOST_DAYS)..].iter().map(link).collect()
}

/// What may be said of accounts: how many and how concentrated, never which person most.
pub(super) fn accounts(page: &Page, a: &Assessment) -> Vec<(String, String)> {
    [MetricId::M03, MetricId::M04]
        .into_iter()
        .filter_map(|id| a.metric(id))
        .map(|metric| (say(page.lang, &metric.name), metric.shown.clone()))
        .collect()
}
