//! Sentences for and against real use, strongest first, and how the flag R3 is found. Each can be checked by hand.

use crate::assessment::{DayFact, Fact, Flag, Indicator, Metric, MetricId, Status, Text, UseLevel};
use crate::judge::Case;
use crate::metric::{active_text, day_facts, days_between};

/// Facts shown on each side.
const SHOWN: usize = 3;

/// The strongest facts for and against.
pub(crate) fn both(case: &Case<'_>, metrics: &[Metric], flags: &[Flag]) -> (Vec<Fact>, Vec<Fact>) {
    let (mut for_use, mut against) = (Vec::new(), Vec::new());
    for metric in metrics {
        if let Some((positive, fact)) = of_metric(case, metric) {
            if positive { for_use.push(fact) } else { against.push(fact) }
        }
    }
    against.extend(flags.iter().map(of_flag));
    against.extend(dead_star(case));
    against.extend(idle_run(case));
    against.extend(holes(case));
    for_use.extend(volume(case));
    for side in [&mut for_use, &mut against] {
        side.sort_by(|a, b| b.strength.cmp(&a.strength).then(a.metric.cmp(&b.metric)));
        side.truncate(SHOWN);
    }
    (for_use, against)
}

/// A metric as a fact: whether it speaks for use, and how.
fn of_metric(case: &Case<'_>, metric: &Metric) -> Option<(bool, Fact)> {
    let positive = match metric.status {
        Status::Green => true,
        Status::Amber | Status::Red => false,
        Status::Info | Status::None => return None,
    };
    let value = metric.value?;
    let (weight, distance) = match metric.id {
        MetricId::M01 => (1_000, distance(value, 60.0, 100.0)),
        MetricId::M03 => {
            (800, if positive { (500.0 + 100.0 * value).min(1_000.0) } else { 900.0 - 200.0 * value })
        }
        MetricId::M04 if positive => (500, 500.0),
        MetricId::M04 => (700, (value - 50.0) * 20.0),
        MetricId::M02 => (600, distance(value, 50.0, 100.0)),
        MetricId::M08 if positive => (700, (value * 15.0).min(1_000.0)),
        MetricId::M08 => (600, 900.0 - value * 20.0),
        MetricId::M09 => (700, distance(value, 60.0, 100.0)),
        MetricId::M14 => (500, distance(value, 50.0, 100.0)),
        MetricId::M15 => (800, distance(value, 65.0, 100.0)),
        MetricId::M16 => (500, distance(value, 75.0, 100.0)),
        MetricId::M17 => (600, distance(value, 65.0, 100.0)),
        MetricId::M20 if positive => (400, 500.0),
        MetricId::M20 => (900, (value * 200.0).min(1_000.0)),
        MetricId::M06 => (900, distance(value.min(100.0), 40.0, 100.0)),
        MetricId::M10 | MetricId::M11 => (700, distance(100.0 - value, 65.0, 100.0)),
        MetricId::M18 => (700, distance(value, 55.0, 100.0)),
        MetricId::M22 if !positive => (700, 800.0),
        MetricId::M23 if !positive => (900, 900.0),
        MetricId::M25 if !positive => (800, distance(100.0 - value, 65.0, 100.0)),
        MetricId::M21 if !positive => (600, 600.0 + 150.0 * value),
        MetricId::M26 => (400, distance(value, 35.0, 100.0)),
        MetricId::M05
        | MetricId::M07
        | MetricId::M12
        | MetricId::M13
        | MetricId::M19
        | MetricId::M21
        | MetricId::M22
        | MetricId::M23
        | MetricId::M24
        | MetricId::M25
        | MetricId::M27
        | MetricId::M28 => return None,
    };
    // Machines that answer say nothing for the use of an idle system: they follow what people did.
    let machine = matches!(metric.id, MetricId::M14 | MetricId::M15 | MetricId::M16 | MetricId::M17);
    let weight = if machine { weight * 3 / 4 } else { weight };
    let strength = (distance.clamp(0.0, 1_000.0) * f64::from(weight) / 1_000.0) as u32;
    let text = sentence(case, metric);
    Some((positive, Fact { metric: Some(metric.id), strength, text, days: metric.days.clone() }))
}

/// How far a value is from the middle of its scale, 0 to 1000.
fn distance(value: f64, middle: f64, top: f64) -> f64 {
    let reach = if value >= middle { top - middle } else { middle };
    ((value - middle) / reach).abs() * 500.0 + 500.0
}

fn sentence(case: &Case<'_>, metric: &Metric) -> Text {
    let code = metric.id.code();
    let top = metric.numerator.unwrap_or(0.0);
    let of = metric.denominator.unwrap_or(0.0);
    let shown = &metric.shown;
    let rule = &case.view.profile.first_use;
    let (actions, days) = (rule.account_actions, rule.account_days);
    match metric.id {
        MetricId::M01 => active_text(&case.usage),
        MetricId::M02 => Text::new(
            format!("{of} 个计划班次中 {top} 个班次有关键业务动作（{code} = {shown}）"),
            format!("key actions in {top} of {of} planned shifts ({code} = {shown})"),
        ),
        MetricId::M03 => Text::new(
            format!(
                "{} 个人工账号中 {shown} 个在 {days} 天以上有 {actions} 次以上关键业务动作（{code} = {shown}）",
                metric.sample
            ),
            format!(
                "{shown} of {} human accounts have at least {actions} key actions on at least {days} days ({code} = {shown})",
                metric.sample
            ),
        ),
        MetricId::M04 => Text::new(
            format!("{of} 次关键业务动作中 {top} 次出自同一账号（{code} = {shown}）"),
            format!("{top} of {of} key actions come from one account ({code} = {shown})"),
        ),
        MetricId::M08 => Text::new(
            format!("自首次真实使用日期 {} 起已用 {shown} 个工作日（{code} = {shown}）", first_date(case)),
            format!("in use for {shown} working days since {} ({code} = {shown})", first_date(case)),
        ),
        MetricId::M09 => Text::new(
            format!("{of} 个申报模块中 {top} 个有使用（U2 及以上，{code} = {shown}）"),
            format!("{top} of {of} declared modules are used (U2 or better, {code} = {shown})"),
        ),
        MetricId::M14 => Text::new(
            format!("{of} 台申报设备中 {top} 台实测联网（{code} = {shown}）"),
            format!("{top} of {of} declared devices measured as connected ({code} = {shown})"),
        ),
        MetricId::M15 => Text::new(
            format!(
                "申报联网设备计划时间 {:.0} 小时中在线 {:.0} 小时（{code} = {shown}）",
                of / 60.0,
                top / 60.0
            ),
            format!(
                "declared devices online {:.0} of {:.0} planned hours ({code} = {shown})",
                top / 60.0,
                of / 60.0
            ),
        ),
        MetricId::M16 => Text::new(
            format!("应采 {of} 个数据点，实采 {top} 个（{code} = {shown}）"),
            format!("{top} of {of} samples due were taken ({code} = {shown})"),
        ),
        MetricId::M17 => Text::new(
            format!("{of} 条信号序列中 {top} 条随生产变化（{code} = {shown}）"),
            format!("{top} of {of} signal series vary as the machine works ({code} = {shown})"),
        ),
        MetricId::M20 => burst_text(case).unwrap_or_default(),
        MetricId::M06 => Text::new(
            format!("业务量锚 {of} 单中系统内有 {top} 单（{code} = {shown}）"),
            format!("{top} of {of} documents of the business anchor are in the system ({code} = {shown})"),
        ),
        MetricId::M18 => Text::new(
            format!("有报工的 {of} 个班次中 {top} 个有设备运行（{code} = {shown}）"),
            format!("machines ran in {top} of {of} shifts with production reports ({code} = {shown})"),
        ),
        MetricId::M05
        | MetricId::M07
        | MetricId::M10
        | MetricId::M11
        | MetricId::M12
        | MetricId::M13
        | MetricId::M19
        | MetricId::M21
        | MetricId::M22
        | MetricId::M23
        | MetricId::M24
        | MetricId::M25
        | MetricId::M26
        | MetricId::M27
        | MetricId::M28 => Text::new(
            format!("{}：{shown}（{code}）", metric.name.zh),
            format!("{}: {shown} ({code})", metric.name.en),
        ),
    }
}

fn first_date(case: &Case<'_>) -> String {
    case.first_use.map_or_else(|| "—".to_owned(), |first| case.date(first).to_string())
}

/// M05 as a fact for use, where the days show it: counts alone decide nothing.
fn volume(case: &Case<'_>) -> Option<Fact> {
    let usage = &case.usage;
    let often = usage.per_day() >= 1.0;
    often.then(|| Fact {
        metric: Some(MetricId::M05),
        strength: (300.0 + usage.per_day() * 10.0).min(600.0) as u32,
        text: Text::new(
            format!(
                "评价期内 {} 次人工关键业务动作，每工作日 {:.1} 次（M05）",
                usage.key_actions,
                usage.per_day()
            ),
            format!(
                "{} human key actions in the period, {:.1} a working day (M05)",
                usage.key_actions,
                usage.per_day()
            ),
        ),
        days: day_facts(
            case,
            |at| !case.view.days[at].acts.is_empty(),
            |at| case.view.days[at].actions(None),
        ),
    })
}

fn of_flag(flag: &Flag) -> Fact {
    let join = |pick: fn(&Text) -> &str, by: &str| {
        flag.indicators.iter().map(|indicator| pick(&indicator.text)).collect::<Vec<_>>().join(by)
    };
    Fact {
        metric: None,
        strength: 950,
        text: Text::new(
            format!("{}：{}", flag.name.zh, join(|text| &text.zh, "；")),
            format!("{}: {}", flag.name.en, join(|text| &text.en, "; ")),
        ),
        days: flag.indicators.first().map(|indicator| indicator.days.clone()).unwrap_or_default(),
    }
}

/// A ★ module that pulls the firm down.
fn dead_star(case: &Case<'_>) -> Option<Fact> {
    let worst = case
        .modules
        .iter()
        .filter(|module| module.star && module.level < UseLevel::U3)
        .min_by_key(|module| module.level)?;
    let strength = match worst.level {
        UseLevel::U0 => 600,
        UseLevel::U1 => 850,
        UseLevel::U2 => 550,
        UseLevel::U3 => 0,
    };
    Some(Fact {
        metric: Some(MetricId::M09),
        strength,
        text: Text::new(
            format!("★ 模块“{}”为 {}：{}", worst.name.zh, worst.level.headline().zh(), worst.because.zh),
            format!(
                "★ module \"{}\" is {}: {}",
                worst.name.en,
                worst.level.headline().en(),
                worst.because.en
            ),
        ),
        days: day_facts(
            case,
            |at| case.view.days[at].plan.working,
            |at| case.view.days[at].actions(Some(crate::lists::Module::of(&worst.code))),
        ),
    })
}

/// The longest run of observed working days without a key action, from two days on.
fn idle_run(case: &Case<'_>) -> Option<Fact> {
    let observed = (case.from..=case.to).filter(|at| case.view.is_observed(*at, None));
    let (mut longest, mut run): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    for at in observed {
        if case.view.days[at].actions(None) > 0 {
            run.clear();
        } else {
            run.push(at);
            if run.len() > longest.len() {
                longest.clone_from(&run);
            }
        }
    }
    let (first, last) = (*longest.first()?, *longest.last()?);
    let days = longest.len();
    (days >= 2).then(|| Fact {
        metric: Some(MetricId::M01),
        strength: (150 + days as u32 * 25).min(800),
        text: Text::new(
            format!(
                "最长连续 {days} 个已观测工作日没有关键业务动作（{} 至 {}）",
                case.date(first),
                case.date(last)
            ),
            format!(
                "longest run without a key action: {days} observed working days ({} to {})",
                case.date(first),
                case.date(last)
            ),
        ),
        days: days_between(case, first, last, |at| longest.contains(&at), |_| 0),
    })
}

/// Planned time that nobody observed.
fn holes(case: &Case<'_>) -> Option<Fact> {
    let (planned, observed, _) = case.usage.minutes;
    let (missed, share) = (planned - observed.min(planned), case.usage.coverage());
    (missed * 100 > planned).then(|| Fact {
        metric: None,
        strength: (250.0 + (100.0 - share) * 10.0).min(950.0) as u32,
        text: Text::new(
            format!(
                "计划时间 {:.0} 小时中有 {:.1} 小时未能观测（观测覆盖率 {share:.1}%）",
                planned as f64 / 60.0,
                missed as f64 / 60.0
            ),
            format!(
                "{:.1} of {:.0} planned hours were not observed (coverage {share:.1} %)",
                missed as f64 / 60.0,
                planned as f64 / 60.0
            ),
        ),
        days: days_between(
            case,
            case.from,
            case.to,
            |at| case.view.days[at].plan.working,
            |at| case.view.observed(at, None).0.into(),
        ),
    })
}

/// R3: a red M20 alone is scatter (up to 1.9 % of steady firms); it needs a second indicator of another kind.
pub(crate) fn burst_flag(case: &Case<'_>) -> Option<Flag> {
    let rule = &case.view.profile.burst;
    let count = case.burst.as_ref()?;
    let index = count.index(&case.view)?;
    let limit = case.view.profile.threshold(MetricId::M20)?.amber;
    if index <= limit {
        return None;
    }
    let recent = || -> Vec<DayFact> {
        days_between(
            case,
            count.recent_from,
            count.until,
            |at| case.view.days[at].plan.working,
            |at| case.view.days[at].actions(None),
        )
    };
    let mut indicators = vec![Indicator {
        metric: Some(MetricId::M20),
        text: burst_text(case)?,
        source: Text::new("动作频次", "rate of actions"),
        days: recent(),
    }];
    let (top, all) = case.usage.top();
    let top_share = crate::assessment::ratio(top, all) * 100.0;
    if top_share > rule.top_account {
        indicators.push(Indicator {
            metric: Some(MetricId::M04),
            text: Text::new(
                format!("{all} 次关键业务动作中 {top} 次出自同一账号（M04 = {top_share:.1}%）"),
                format!("{top} of {all} key actions come from one account (M04 = {top_share:.1} %)"),
            ),
            source: Text::new("账号", "accounts"),
            days: recent(),
        });
    }
    if count.share() > rule.recent_share {
        let (share, sum) = (count.share(), count.recent + count.base);
        indicators.push(Indicator {
            metric: None,
            text: Text::new(
                format!(
                    "自 {} 以来 {sum} 次关键业务动作中 {} 次在最后 {} 个工作日（{share:.1}%）",
                    case.date(count.base_from),
                    count.recent,
                    count.recent_days
                ),
                format!(
                    "{} of {sum} key actions since {} fall in the last {} working days ({share:.1} %)",
                    count.recent,
                    case.date(count.base_from),
                    count.recent_days
                ),
            ),
            source: Text::new("动作日期分布", "dates of actions"),
            days: recent(),
        });
    }
    (indicators.len() >= 2).then(|| Flag {
        code: "R3",
        name: Text::new("突击使用嫌疑", "suspected last-minute burst"),
        indicators,
        advice: Text::new(
            "请企业说明（如近期刚上线、订单集中、数据迁移）；该标识不改变使用等级，由专家核实",
            "the firm may explain (recent go-live, orders bunched, data migration); the flag does not change the use level and is for the experts to check",
        ),
    })
}

fn burst_text(case: &Case<'_>) -> Option<Text> {
    let count = case.burst.as_ref()?;
    let index = count.index(&case.view)?;
    let (recent, days, base, base_days) = (count.recent, count.recent_days, count.base, count.base_days);
    let until = case.date(count.until);
    let (zh, en) = if count.until == case.to {
        (String::new(), String::new())
    } else {
        (format!("（验收通知日 {until} 为止）"), format!(" up to the notice of {until}"))
    };
    Some(Text::new(
        format!(
            "最后 {days} 个工作日{zh} {recent} 次关键业务动作，此前 {base_days} 个工作日 {base} 次（M20 = {index:.1}）"
        ),
        format!(
            "{recent} key actions in the last {days} working days{en}, {base} in the {base_days} before (M20 = {index:.1})"
        ),
    ))
}
