//! Metrics about the contract's terms: M24 to M28.

use std::collections::BTreeSet;

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::{Case, Metric, MetricId, Status, Text, Unit, blank, days_between};
use crate::history::Action;
use crate::usage::Usage;

pub(super) fn all(case: &Case<'_>) -> Vec<Metric> {
    vec![subscription(case), carried_over(case), training(case), sign_ins(case), recovery(case)]
}

fn subscription(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "订阅期内活跃天数率不低于黄线的月数 ÷ 订阅开始至评价期末的月数（GZ-51 的核减由专家决定）",
        "months of the term with an active-day rate at amber or better / months since the term began (the deduction of GZ-51 is for the experts)",
    );
    let name = Text::new("订阅使用月数", "subscription months used");
    let metric = blank(case, MetricId::M24, name, formula, Unit::Months);
    let Some((from, term_end)) = case.view.project.subscription else {
        return metric.remark("未申报订阅期", "no subscription is declared");
    };
    let until = term_end.min(case.date(case.to));
    let amber = case.view.profile.threshold(MetricId::M01).map_or(20.0, |threshold| threshold.amber);
    let (mut months, mut used, mut seen) = (0_u32, 0_u32, 0_u32);
    let mut start = from;
    while start <= until && months < 240 {
        months += 1;
        let next = from.saturating_add((i64::from(months)).months());
        let last = next.yesterday().unwrap_or(until).min(until);
        let days = case.view.days.iter().enumerate().filter(|(_, day)| start <= day.date && day.date <= last);
        let span = days.map(|(at, _)| at).fold(None, |span: Option<(usize, usize)>, at| {
            Some(span.map_or((at, at), |(first, _)| (first, at)))
        });
        if let Some((first, last)) = span {
            let usage = Usage::count(&case.view, first, last, None);
            seen += u32::from(usage.observed_days > 0);
            used += u32::from(usage.active_rate().is_some_and(|rate| rate >= amber));
        }
        start = next;
    }
    if months == 0 {
        return metric.remark("订阅尚未开始", "the term has not begun");
    }
    let mut metric = Metric {
        value: Some(f64::from(used)),
        shown: format!("{used} / {months}"),
        numerator: Some(f64::from(used)),
        denominator: Some(f64::from(months)),
        sample: months.into(),
        status: Status::Info,
        ..metric
    };
    if seen < months {
        metric = metric.remark(
            format!("{} 个月没有观测", months - seen),
            format!("{} months were not observed", months - seen),
        );
    }
    metric
}

/// Days before the contract that M25 looks at.
const BEFORE_DAYS: i64 = 90;

/// What was in use before the contract, of what it declares as new.
#[derive(Debug, Clone, Default)]
pub(crate) struct CarriedOver {
    /// Codes of declared modules with people's key actions on three days or more in the 90 days before the contract.
    pub(crate) modules: BTreeSet<String>,
    /// Accounts that acted in them then, and of these the ones that act in W.
    pub(crate) accounts: (u32, u32),
    /// The earliest day with a key action.
    pub(crate) earliest: Option<Date>,
    /// Some log speaks of days before the contract.
    pub(crate) looked: bool,
}

impl CarriedOver {
    pub(crate) fn find(view: &crate::view::View<'_>, from: usize, to: usize) -> Self {
        use crate::view::{counts, date_of, index_of};
        let contract = index_of(view.project.dates.contract);
        let mut carried = Self::default();
        let mut before: BTreeSet<[u8; 8]> = BTreeSet::new();
        for declared in &view.project.modules {
            let module = crate::lists::Module::of(&declared.code);
            let (mut days, mut actions) = (BTreeSet::new(), 0_u64);
            for (_, chain) in view.chains() {
                for (day, of_day) in chain.days.range(contract - BEFORE_DAYS..contract) {
                    for (key, tally) in of_day.uses.iter().filter(|(key, _)| counts(key)) {
                        carried.looked = true;
                        if key.module == module {
                            days.insert(*day);
                            actions += tally.count;
                            before.insert(key.actor);
                        }
                    }
                }
            }
            if days.len() >= 3 && actions >= 5 {
                carried.modules.insert(declared.code.clone());
                let first = days.first().map(|day| date_of(*day));
                carried.earliest = carried.earliest.into_iter().chain(first).min();
            }
        }
        let now: BTreeSet<[u8; 8]> =
            view.days[from..=to].iter().flat_map(|day| day.acts.iter().map(|act| act.actor)).collect();
        carried.accounts = (before.len() as u32, before.intersection(&now).count() as u32);
        carried
    }

    /// M25, percent.
    pub(crate) fn share(&self, declared: usize) -> f64 {
        crate::assessment::ratio(self.modules.len() as u64, declared as u64) * 100.0
    }
}

fn carried_over(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "合同签订前 90 天内已有人工关键业务动作（≥3 天、≥5 次）的申报模块 ÷ 申报模块",
        "declared modules with people's key actions (≥5 on ≥3 days) in the 90 days before the contract / declared modules",
    );
    let name = Text::new("旧系统延续度", "carry-over degree");
    let (carried, declared) = (&case.carried, &case.view.project.modules);
    let metric = blank(case, MetricId::M25, name, formula, Unit::Percent);
    if !carried.looked {
        return metric.remark(
            "日志中没有合同签订前的记录：旧日志可能已清除，也可能本来没有",
            "logs hold nothing from before the contract: it may have been removed, or never have been there",
        );
    }
    let metric = metric.share(case, carried.modules.len() as u64, declared.len() as u64);
    match carried.earliest {
        Some(date) => metric.remark(
            format!(
                "最早一天 {date}；当时的账号 {} 个，其中 {} 个现在仍在用",
                carried.accounts.0, carried.accounts.1
            ),
            format!(
                "earliest {date}; {} accounts then, {} of them still act",
                carried.accounts.0, carried.accounts.1
            ),
        ),
        None => metric,
    }
}

fn training(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "培训后 30 天内有 ≥5 次关键业务动作的人工账号 ÷ 培训人数（多次培训取人数最多的一次；账号为假名，不与名单逐人对应）",
        "human accounts with at least five key actions within 30 days after a training / people trained (of several trainings the largest; accounts are pseudonyms and are not matched to names)",
    );
    let name = Text::new("培训转化率", "training conversion");
    let metric = blank(case, MetricId::M26, name, formula, Unit::Percent);
    let trainings = &case.view.project.trainings;
    let Some(people) = trainings.iter().map(|training| training.people).max() else {
        return metric.remark("未登记培训", "no training is on record");
    };
    let spans = trainings.iter().filter_map(|training| {
        let first = case.view.days.iter().position(|day| day.date >= training.date)?;
        (first <= case.to).then(|| (first, (first + 30).min(case.to)))
    });
    let spans: Vec<_> = spans.collect();
    if spans.is_empty() {
        return metric.remark("培训日之后没有观测", "nothing was observed after the training");
    }
    let acted = spans.iter().map(|(first, last)| {
        let usage = Usage::count(&case.view, *first, *last, None);
        usage.accounts.iter().filter(|account| account.actions >= 5).count() as u64
    });
    let acted = acted.max().unwrap_or(0).min(people.into());
    let (first, last) = spans[0];
    let mut metric = metric.share(case, acted, people.into());
    metric.days = days_between(
        case,
        first,
        last,
        |at| !case.view.days[at].acts.is_empty(),
        |at| case.view.days[at].actions(None),
    );
    metric
}

fn sign_ins(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "每周登录的人工账号数的中位数 ÷ 申报席位",
        "median of the distinct human accounts that signed in each week / declared seats",
    );
    let name = Text::new("登录粘性", "sign-in regularity");
    let metric = blank(case, MetricId::M27, name, formula, Unit::Percent);
    let weeks = (case.from..=case.to).collect::<Vec<_>>();
    let mut counts: Vec<u64> = weeks
        .chunks_exact(7)
        .map(|week| {
            let days = case.view.agent_days(week[0], week[6]);
            let signed = days.flat_map(|day| day.uses.keys()).filter(|key| {
                key.action == Action::Login && key.grade.decides() && proof::observation::is_human(key.class)
            });
            signed.map(|key| key.actor).collect::<BTreeSet<_>>().len() as u64
        })
        .collect();
    counts.sort_unstable();
    let seats = u64::from(case.view.project.seats);
    match counts.get(counts.len() / 2) {
        _ if counts.iter().all(|count| *count == 0) => {
            metric.remark("日志中没有登录记录", "logs hold no sign-ins")
        }
        Some(_) if seats == 0 => metric.remark("未申报席位", "no seats are declared"),
        Some(median) => {
            let mut metric = metric.share(case, *median, seats);
            metric.sample = counts.len() as u64;
            metric.status = Status::Info;
            metric
        }
        None => metric.remark("不足一周", "less than a week"),
    }
}

fn recovery(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "评价期内各次中断（网关、设备、日志）从发生到恢复的时间的中位数",
        "median time from loss to return of gateway, devices and logs in the period",
    );
    let name = Text::new("恢复时间", "recovery time");
    let metric = blank(case, MetricId::M28, name, formula, Unit::Hours);
    let offset = case.view.history.offset_ms();
    let (from, to) = (case.view.days[case.from].index, case.view.days[case.to].index + 1);
    let inside = |ms: i64| (from * 86_400_000..to * 86_400_000).contains(&(ms + offset));
    let mut lengths: Vec<i64> = case
        .view
        .chains()
        .flat_map(|(_, chain)| chain.gaps.iter())
        .filter(|gap| inside(gap.from_ms) && inside(gap.to_ms) && gap.cause != proof::Cause::Stopped)
        .map(|gap| gap.to_ms - gap.from_ms)
        .collect();
    lengths.sort_unstable();
    let Some(median) = lengths.get(lengths.len() / 2) else {
        return metric.remark("评价期内没有中断", "nothing was lost in the period");
    };
    let hours = *median as f64 / 3_600_000.0;
    Metric {
        value: Some(hours),
        shown: if hours < 1.0 { format!("{:.0} min", hours * 60.0) } else { format!("{hours:.1} h") },
        sample: lengths.len() as u64,
        status: Status::Info,
        ..metric
    }
}
