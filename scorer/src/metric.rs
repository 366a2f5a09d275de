//! Each metric with its formula in words, its counts, its thresholds and the days behind it.

use crate::assessment::{DayFact, Metric, MetricId, Status, Text, Unit, UseLevel, ratio};
use crate::judge::Case;
use crate::usage::{Usage, shift_pairs};
use crate::view::View;
use crate::wilson::Interval;

mod devices;
mod records;
mod terms;
mod use_of;

pub(crate) use records::{Volume, volume};
pub(crate) use terms::CarriedOver;
pub(crate) use use_of::modules as module_coverage;

/// All metrics, in the order of their ids.
pub(crate) fn all(case: &Case<'_>) -> Vec<Metric> {
    let mut all = use_of::all(case);
    all.extend(devices::all(case));
    all.extend(records::all(case));
    all.extend(terms::all(case));
    all.sort_by_key(|metric| metric.id);
    all
}

/// "60 个工作日中 52 天有关键业务动作（M01 = 86.7%，95% 区间 75.9%–93.1%）".
pub(crate) fn active_text(usage: &Usage) -> Text {
    let (active, days) = (usage.active_days, usage.observed_days);
    let Some((rate, interval)) = usage.active_rate().zip(Interval::wilson(active.into(), days.into())) else {
        return Text::new("没有已观测的工作日", "no working day was observed");
    };
    let Interval { low, high } = interval;
    Text::new(
        format!(
            "{days} 个已观测工作日中 {active} 天有关键业务动作（M01 = {rate:.1}%，95% 区间 {low:.1}%–{high:.1}%）"
        ),
        format!(
            "key actions on {active} of {days} observed working days (M01 = {rate:.1} %, 95 % interval {low:.1}–{high:.1} %)"
        ),
    )
}

/// Accounts that make M03 green: one more than usual for a firm that declared five seats or more.
pub(crate) fn accounts_green(view: &View<'_>) -> f64 {
    let green = view.profile.threshold(MetricId::M03).map_or(2.0, |threshold| threshold.green);
    if view.project.seats >= 5 { green.max(3.0) } else { green }
}

/// M08: planned working days from the first real use to the end of W, stops taken out.
pub(crate) fn time_in_use(view: &View<'_>, first: usize, to: usize) -> u32 {
    view.days[first..=to].iter().map(|day| u32::from(day.plan.working)).sum()
}

/// The days of W with what `count` says of each; `hit` where it is above zero.
pub(crate) fn day_facts(
    case: &Case<'_>,
    keep: impl Fn(usize) -> bool,
    count: impl Fn(usize) -> u64,
) -> Vec<DayFact> {
    days_between(case, case.from, case.to, keep, count)
}

/// The same for other days of the view.
pub(crate) fn days_between(
    case: &Case<'_>,
    from: usize,
    to: usize,
    keep: impl Fn(usize) -> bool,
    count: impl Fn(usize) -> u64,
) -> Vec<DayFact> {
    let fact = |at: usize| {
        let day = &case.view.days[at];
        let count = count(at);
        let mut spans: Vec<_> = day.acts.iter().map(|act| act.span).collect();
        if spans.is_empty() {
            spans.clone_from(&day.spans);
        }
        spans.sort_unstable();
        spans.dedup();
        DayFact { date: day.date, hit: count > 0, count, spans }
    };
    (from..=to).filter(|at| keep(*at)).map(fact).collect()
}

/// Days given by their number since 1970-01-01, as far as the view holds them, each with how often it is named.
pub(crate) fn days_of(case: &Case<'_>, days: impl IntoIterator<Item = i64>) -> Vec<DayFact> {
    let mut counts: std::collections::BTreeMap<i64, u64> = std::collections::BTreeMap::new();
    for day in days {
        *counts.entry(day).or_default() += 1;
    }
    let of = |at: usize| counts.get(&case.view.days[at].index).copied().unwrap_or(0);
    days_between(case, 0, case.view.days.len() - 1, |at| of(at) > 0, of)
}

/// A metric without value yet.
fn blank(case: &Case<'_>, id: MetricId, name: Text, formula: Text, unit: Unit) -> Metric {
    let sign = match unit {
        Unit::Percent => "%",
        Unit::Count | Unit::WorkingDays | Unit::Date | Unit::Ratio | Unit::Hours | Unit::Months => "",
    };
    let threshold = case.view.profile.threshold(id);
    Metric {
        id,
        name,
        value: None,
        unit,
        date: None,
        shown: "—".to_owned(),
        formula,
        numerator: None,
        denominator: None,
        sample: 0,
        interval: None,
        status: Status::None,
        thresholds: threshold.map(|threshold| threshold.text(sign)).unwrap_or_default(),
        remark: None,
        days: Vec::new(),
    }
}

impl Metric {
    /// Fills in a share of counts.
    fn share(mut self, case: &Case<'_>, hits: u64, of: u64) -> Self {
        self.numerator = Some(hits as f64);
        self.denominator = Some(of as f64);
        self.sample = of;
        if of > 0 {
            let value = ratio(hits, of) * 100.0;
            self.value = Some(value);
            self.shown = format!("{value:.1}%");
            self.status = case
                .view
                .profile
                .threshold(self.id)
                .map_or(Status::Info, |threshold| threshold.status(value));
        }
        self
    }

    fn remark(mut self, zh: impl Into<String>, en: impl Into<String>) -> Self {
        self.remark = Some(Text::new(zh, en));
        self
    }
}
