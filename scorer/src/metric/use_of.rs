//! Metrics of use: M01 to M05, M07 to M09 and M20.

use super::{Case, Interval, Metric, MetricId, Status, Text, Unit, UseLevel};
use super::{accounts_green, blank, day_facts, days_between, shift_pairs, time_in_use};
use crate::profile::Window;
use crate::view::index_of;

pub(super) fn all(case: &Case<'_>) -> Vec<Metric> {
    vec![
        active_days(case),
        shifts(case),
        operators(case),
        concentration(case),
        actions(case),
        first_use(case),
        time(case),
        modules(case),
        burst(case),
    ]
}

fn active_days(case: &Case<'_>) -> Metric {
    let usage = &case.usage;
    let formula = Text::new(
        "有 ≥1 次人工关键业务动作的工作日 ÷ 已观测工作日",
        "working days with at least one human key action / observed working days",
    );
    let mut metric =
        blank(case, MetricId::M01, Text::new("活跃天数率", "active-day rate"), formula, Unit::Percent).share(
            case,
            usage.active_days.into(),
            usage.observed_days.into(),
        );
    metric.interval = Interval::wilson(usage.active_days.into(), usage.observed_days.into());
    metric.days =
        day_facts(case, |at| case.view.is_observed(at, None), |at| case.view.days[at].actions(None));
    metric
}

fn shifts(case: &Case<'_>) -> Metric {
    let pairs = shift_pairs(&case.view, case.from, case.to);
    let hits = pairs.iter().filter(|(_, hit)| *hit).count() as u64;
    let formula = Text::new(
        "有 ≥1 次关键业务动作的（日，班次）÷ 已观测的计划（日，班次）",
        "(day, shift) pairs with a key action / planned pairs observed",
    );
    let mut metric =
        blank(case, MetricId::M02, Text::new("班次覆盖率", "shift coverage"), formula, Unit::Percent)
            .share(case, hits, pairs.len() as u64)
            .remark("未计入设备联动报工", "device-linked reports are not counted yet");
    metric.interval = Interval::wilson(hits, pairs.len() as u64);
    let of_day = |at: usize| pairs.iter().filter(|(day, hit)| *day == at && *hit).count() as u64;
    metric.days = day_facts(case, |at| pairs.iter().any(|(day, _)| *day == at), of_day);
    metric
}

fn operators(case: &Case<'_>) -> Metric {
    let rule = &case.view.profile.first_use;
    let (actions, days) = (rule.account_actions, rule.account_days);
    let formula = Text::new(
        format!("在 ≥{days} 天内有 ≥{actions} 次关键业务动作的人工账号；共用终端按班次计，不超过申报席位"),
        format!(
            "human accounts with at least {actions} key actions on at least {days} days; a shared terminal counts once a shift, up to the declared seats"
        ),
    );
    let mut metric =
        blank(case, MetricId::M03, Text::new("独立操作账号数", "operator accounts"), formula, Unit::Count);
    let count = case.usage.operators(&case.view);
    let green = accounts_green(&case.view);
    metric.value = Some(f64::from(count));
    metric.shown = count.to_string();
    metric.sample = case.usage.accounts.len() as u64;
    metric.numerator = Some(f64::from(count));
    metric.status = match case.view.profile.threshold(MetricId::M03) {
        Some(_) if f64::from(count) >= green => Status::Green,
        Some(threshold) if f64::from(count) >= threshold.amber => Status::Amber,
        Some(_) => Status::Red,
        None => Status::Info,
    };
    if case.usage.accounts.iter().any(|account| account.shifts.is_some()) {
        metric = metric.remark("含共用终端账号", "shared terminals among them");
    }
    metric.days = day_facts(
        case,
        |at| !case.view.days[at].acts.is_empty(),
        |at| {
            case.view.days[at]
                .acts
                .iter()
                .map(|act| act.actor)
                .collect::<std::collections::BTreeSet<_>>()
                .len() as u64
        },
    );
    metric
}

fn concentration(case: &Case<'_>) -> Metric {
    let (top, all) = case.usage.top();
    let formula = Text::new(
        "最忙账号的关键业务动作 ÷ 全部关键业务动作；两个以上班次使用的共用终端不算一个人",
        "key actions of the busiest account / all; a shared terminal used in two shifts or more is not one person",
    );
    let mut metric =
        blank(case, MetricId::M04, Text::new("账号集中度", "account concentration"), formula, Unit::Percent)
            .share(case, top, all);
    if all == 0 {
        metric = metric.remark("评价期内没有关键业务动作", "no key action in the period");
    }
    metric.days =
        day_facts(case, |at| !case.view.days[at].acts.is_empty(), |at| case.view.days[at].actions(None));
    metric
}

fn actions(case: &Case<'_>) -> Metric {
    let usage = &case.usage;
    let formula = Text::new(
        "评价期内人工账号在申报模块中的关键业务动作次数",
        "human key actions in declared modules in the period",
    );
    let mut metric =
        blank(case, MetricId::M05, Text::new("关键业务动作数", "key actions"), formula, Unit::Count).remark(
            format!("每工作日 {:.1} 次；次数本身不作判断", usage.per_day()),
            format!("{:.1} a working day; the count alone decides nothing", usage.per_day()),
        );
    metric.value = Some(usage.key_actions as f64);
    metric.shown = usage.key_actions.to_string();
    metric.numerator = Some(usage.observed_actions as f64);
    metric.denominator = Some(f64::from(usage.observed_days));
    metric.sample = usage.key_actions;
    metric.status = Status::Info;
    metric.days =
        day_facts(case, |at| !case.view.days[at].acts.is_empty(), |at| case.view.days[at].actions(None));
    metric
}

fn first_use(case: &Case<'_>) -> Metric {
    let rule = &case.view.profile.first_use;
    let formula = Text::new(
        format!(
            "首个有关键业务动作、且自该日起 {} 个工作日内至少 {} 天活跃、至少 {} 个人工账号操作的日期",
            rule.working_days, rule.active_days, rule.accounts
        ),
        format!(
            "first day with a key action such that of {} working days from it at least {} are active and {} accounts act",
            rule.working_days, rule.active_days, rule.accounts
        ),
    );
    let name = Text::new("首次真实使用日期", "first real-use date");
    let metric = blank(case, MetricId::M07, name, formula, Unit::Date);
    let Some(first) = case.first_use else {
        return metric.remark("尚无符合条件的日期", "no day meets the condition yet");
    };
    let until =
        (first..=case.to).filter(|at| case.view.days[*at].plan.working).nth(rule.working_days as usize - 1);
    let date = case.date(first);
    let contract = case.view.project.dates.contract;
    let window = case.view.profile.window;
    let (status, thresholds, remark) = match window {
        Some(Window { from, to }) => {
            let inside = (from..=to).contains(&date) && date >= contract;
            let text = Text::new(
                format!("绿：{from} 至 {to}，且不早于合同日 {contract}（建议值）"),
                format!("green: {from} to {to}, and not before the contract of {contract} (proposal)"),
            );
            let outside = Text::new("不在城市参数的日期窗口内", "outside the profile's window");
            (if inside { Status::Green } else { Status::Amber }, text, (!inside).then_some(outside))
        }
        None => {
            let text = Text::new("不评定：城市参数没有日期窗口", "not judged (no window in the profile)");
            (Status::Info, Text::default(), Some(text))
        }
    };
    Metric {
        value: Some(index_of(date) as f64),
        date: Some(date),
        shown: date.to_string(),
        sample: u64::from(rule.working_days),
        status,
        thresholds,
        remark,
        days: days_between(
            case,
            first,
            until.unwrap_or(case.to),
            |at| case.view.days[at].plan.working,
            |at| case.view.days[at].actions(None),
        ),
        ..metric
    }
}

fn time(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "首次真实使用日至评价期末的工作日，扣除已申报停产",
        "working days from the first real use to the end of the period, stops taken out",
    );
    let metric = blank(case, MetricId::M08, Text::new("在用时长", "time in use"), formula, Unit::WorkingDays);
    let Some(first) = case.first_use else {
        return metric.remark("尚无首次真实使用日期", "there is no first real-use date yet");
    };
    let days = time_in_use(&case.view, first, case.to);
    Metric {
        value: Some(f64::from(days)),
        shown: days.to_string(),
        sample: days.into(),
        status: if days >= 20 { Status::Green } else { Status::Amber },
        thresholds: Text::new("绿 ≥20（建议值）", "green ≥20 (proposal)"),
        days: days_between(
            case,
            first,
            case.to,
            |at| case.view.days[at].plan.working,
            |at| case.view.days[at].actions(None),
        ),
        ..metric
    }
}

pub(crate) fn modules(case: &Case<'_>) -> Metric {
    let used = case.modules.iter().filter(|module| module.level >= UseLevel::U2).count() as u64;
    let formula = Text::new(
        "达到 U2 及以上的申报模块 ÷ 申报模块",
        "declared modules at U2 or better / declared modules",
    );
    let mut metric =
        blank(case, MetricId::M09, Text::new("模块使用覆盖率", "module coverage"), formula, Unit::Percent)
            .share(case, used, case.modules.len() as u64);
    metric.days =
        day_facts(case, |at| !case.view.days[at].acts.is_empty(), |at| case.view.days[at].actions(None));
    let idle: Vec<_> = case.modules.iter().filter(|module| module.key_actions == 0).collect();
    if !idle.is_empty() {
        let zh: Vec<_> = idle.iter().map(|module| module.name.zh.as_str()).collect();
        let en: Vec<_> = idle.iter().map(|module| module.name.en.as_str()).collect();
        metric = metric.remark(
            format!("评价期内无关键业务动作的模块：{}", zh.join("、")),
            format!("modules without a key action in the period: {}", en.join(", ")),
        );
    }
    metric
}

fn burst(case: &Case<'_>) -> Metric {
    let rule = &case.view.profile.burst;
    let formula = Text::new(
        "((末 10 个工作日动作数 + 1) ÷ 10) ÷ ((此前动作数 + 1) ÷ 此前已观测工作日数)，此前自首次关键业务动作起算；末 10 个工作日止于到访日或验收通知日，取较大者",
        "((key actions of the last 10 working days + 1) / 10) / ((key actions before + 1) / observed working days before), before = since the first key action; the last days end with the visit or with the day of its notice, whichever gives more",
    );
    let metric = blank(
        case,
        MetricId::M20,
        Text::new("突击使用指数", "last-minute burst index"),
        formula,
        Unit::Ratio,
    );
    let Some(count) = &case.burst else {
        return metric.remark("没有关键业务动作，不计算", "no key action: not computed");
    };
    let (base_days, recent) = (count.base_days, count.recent);
    let days = days_between(
        case,
        count.base_from,
        count.until,
        |at| case.view.days[at].plan.working,
        |at| case.view.days[at].actions(None),
    );
    let metric = Metric {
        numerator: Some((recent as f64 + 1.0) / f64::from(count.recent_days.max(1))),
        denominator: (base_days > 0).then(|| (count.base as f64 + 1.0) / f64::from(base_days)),
        sample: recent + count.base,
        days,
        ..metric
    };
    let Some(index) = count.index(&case.view) else {
        let (need_days, need) = (rule.baseline_days, rule.recent_actions);
        return metric.remark(
            format!("样本不足，不计算：此前已观测 {base_days} 个工作日（需 {need_days}），末期动作 {recent} 次（需 {need}）"),
            format!("sample too small: {base_days} observed working days before ({need_days} needed), {recent} recent actions ({need} needed)"),
        );
    };
    let status =
        case.view.profile.threshold(MetricId::M20).map_or(Status::Info, |threshold| threshold.status(index));
    Metric { value: Some(index), shown: format!("{index:.1}"), status, ..metric }
}
