//! Metrics of the records themselves: M06, M10 to M13, M18, M19, M21 to M23.

use super::{Case, Interval, Metric, MetricId, Status, Text, Unit, blank, day_facts, days_between};
use crate::assessment::ratio;
use crate::lists::Module;

pub(super) fn all(case: &Case<'_>) -> Vec<Metric> {
    vec![
        anchor(case),
        provider(case),
        late(case),
        closure(case),
        completeness(case),
        agreement(case),
        automatic(case),
        script(case),
        order(case),
        replay(case),
    ]
}

/// Key actions of each day, of days that have any.
fn actions(case: &Case<'_>) -> Vec<crate::assessment::DayFact> {
    day_facts(case, |at| !case.view.days[at].acts.is_empty(), |at| case.view.days[at].actions(None))
}

fn anchor(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "业务量锚所在模块、同一时段的系统单据 ÷ 业务量锚（有新建动作按新建动作计，没有的按关键业务动作计）",
        "documents in the anchor's module and time / business anchor (counted by creating actions, where there are none by key actions)",
    );
    let metric =
        blank(case, MetricId::M06, Text::new("业务量覆盖率", "business coverage"), formula, Unit::Percent);
    let Some(volume) = &case.volume else {
        let why = match case.view.project.anchors.is_empty() {
            true => ("无业务量锚", "no business anchor"),
            false => ("业务量锚不在已观测的时段内", "no business anchor lies within the observed time"),
        };
        return metric.remark(why.0, why.1);
    };
    let mut metric = metric
        .share(case, volume.documents, volume.declared)
        .remark(format!("锚：{}", volume.names.join("、")), format!("anchors: {}", volume.names.join(", ")));
    metric.days = days_between(
        case,
        volume.from,
        volume.to,
        |at| !case.view.days[at].acts.is_empty(),
        |at| case.view.days[at].actions(None),
    );
    metric
}

fn provider(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "交付后实施方账号的关键业务动作 ÷ 交付后全部关键业务动作（实施方账号由采集清单按账号与网段认定）",
        "key actions of provider's accounts after the hand-over / all after it (which accounts are a provider's is said by the manifest, by name and network)",
    );
    let name = Text::new("实施方代操作占比", "provider-operated share");
    let (part, all) = case.records.provider;
    let mut metric = blank(case, MetricId::M10, name, formula, Unit::Percent).share(case, part, all);
    if all == 0 {
        metric = metric.remark("交付后没有关键业务动作", "no key action after the hand-over");
    }
    metric.days = actions(case);
    metric
}

fn late(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "首次看到时距记录日期超过 3 个工作日的关键业务动作 ÷ 记录日期当天已在线观测的关键业务动作（期初导入日除外）",
        "key actions first seen more than three working days after their date / key actions dated on days that were watched live (import days left out)",
    );
    let (part, all) = case.records.late;
    let mut metric =
        blank(case, MetricId::M11, Text::new("补录率", "late-entry rate"), formula, Unit::Percent)
            .share(case, part, all);
    if all == 0 {
        metric = metric
            .remark("没有在线观测当天的关键业务动作", "no key action dated on a day that was watched live");
    }
    let late =
        |at: usize| case.view.days[at].acts.iter().filter(|act| act.lag > 3).map(|act| act.count).sum();
    metric.days = day_facts(case, |at| !case.view.days[at].acts.is_empty(), late);
    metric
}

fn closure(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "同一日内有两类及以上关键业务动作的单据 ÷ 有关键业务动作的单据（网关日汇总，单据号不出厂）",
        "documents with key actions of two classes or more on one day / documents with any (the gateway's daily sums; numbers do not leave the factory)",
    );
    let steps = case.records.steps;
    documents(case, MetricId::M12, Text::new("单据闭环率", "document closure"), formula, &steps)
}

fn completeness(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "同一日内经两个及以上账号处理的单据 ÷ 有关键业务动作的单据（网关日汇总，单据号不出厂）",
        "documents handled by two accounts or more on one day / documents with any key action (the gateway's daily sums; numbers do not leave the factory)",
    );
    let hands = case.records.hands;
    documents(case, MetricId::M13, Text::new("单据链完整率", "chain completeness"), formula, &hands)
}

/// A share of documents out of daily sums: a lower bound, since a document that goes on the next day is counted again,
/// so it is shown and not judged.
fn documents(case: &Case<'_>, id: MetricId, name: Text, formula: Text, counts: &[u64]) -> Metric {
    let (part, all) = (counts[1..].iter().sum(), counts.iter().sum());
    let mut metric = blank(case, id, name, formula, Unit::Percent).share(case, part, all);
    metric.thresholds = Text::default();
    if all == 0 {
        return metric.remark("没有单据的日汇总", "no daily sums of documents");
    }
    metric.status = Status::Info;
    let (mut zh, mut en) = (
        "跨日单据按日各计一次，为下限，不评定".to_owned(),
        "a document that goes on the next day counts anew: a lower bound, not judged".to_owned(),
    );
    if case.records.is_cut {
        zh.push_str("；部分日期单据过多，只计前 50000 个");
        en.push_str("; on some days only the first 50,000 documents are counted");
    }
    metric = metric.remark(zh, en);
    metric.days = day_facts(case, |at| sums_of(case, at) > 0, |at| sums_of(case, at));
    metric
}

fn sums_of(case: &Case<'_>, at: usize) -> u64 {
    let of_day = |day: &crate::history::AgentDay| day.sums.as_ref().map_or(0, |sums| sums.steps.iter().sum());
    case.view.agent_days(at, at).map(of_day).sum::<u64>()
}

fn agreement(case: &Case<'_>) -> Metric {
    let pairs = &case.reports;
    let hits = pairs.iter().filter(|(_, ran)| *ran).count() as u64;
    let formula = Text::new(
        "有报工、且班内（或班前一小时）有设备运行 ≥10 分钟的（日，班次）÷ 有报工的（日，班次）",
        "(day, shift) pairs with production reports in which a machine ran ten minutes or more (or in the hour before) / pairs with production reports",
    );
    let name = Text::new("机单一致率", "machine–document agreement");
    let mut metric = blank(case, MetricId::M18, name, formula, Unit::Percent);
    if pairs.len() < 10 {
        let why = match case.view.knows_running() {
            true => (
                format!("样本不足：有报工的班次 {} 个（需 10 个）", pairs.len()),
                format!("sample too small: {} shifts with reports (10 needed)", pairs.len()),
            ),
            false => ("没有设备的运行信号".to_owned(), "no machine says when it runs".to_owned()),
        };
        return metric.remark(why.0, why.1);
    }
    metric = metric.share(case, hits, pairs.len() as u64);
    metric.interval = Interval::wilson(hits, pairs.len() as u64);
    let of_day = |at: usize| pairs.iter().filter(|(day, ran)| *day == at && *ran).count() as u64;
    metric.days = day_facts(case, |at| pairs.iter().any(|(day, _)| *day == at), of_day);
    metric
}

fn automatic(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "接口或设备账号的关键业务动作 ÷ 接口账号与人工账号的关键业务动作之和",
        "key actions of interface or device accounts / those and the ones of people",
    );
    let (part, all) = case.records.interface;
    let name = Text::new("自动采集占比", "auto-collected share");
    let mut metric = blank(case, MetricId::M19, name, formula, Unit::Percent).share(case, part, all);
    if all == 0 {
        metric = metric.remark("评价期内没有关键业务动作", "no key action in the period");
    }
    metric.days = actions(case);
    metric
}

fn script(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "下列迹象的个数：同秒成批（≥200 条中 >30%）；间隔均匀（≥20 个窗口中 >50% 变异系数 < 0.2）；班外操作且无设备运行（≥60 分钟中 >40%）",
        "how many of: same-second batches (>30 % of ≥200 records); even gaps (variation < 0.2 in >50 % of ≥20 windows); actions outside shifts while no machine ran (>40 % of ≥60 minutes)",
    );
    let name = Text::new("脚本化迹象", "scripted-activity signs");
    let signs = case.records.signs();
    let found: Vec<_> = signs.iter().filter(|(is, _)| *is).map(|(_, text)| text).collect();
    let mut metric = blank(case, MetricId::M21, name, formula, Unit::Count);
    metric.sample = case.records.same_second.1;
    if metric.sample == 0 {
        return metric.remark("评价期内没有人工记录", "no record of a person in the period");
    }
    let value = found.len() as f64;
    metric.value = Some(value);
    metric.shown = found.len().to_string();
    metric.numerator = Some(value);
    metric.status =
        case.view.profile.threshold(MetricId::M21).map_or(Status::Info, |limit| limit.status(value));
    if !found.is_empty() {
        let join = |pick: fn(&Text) -> &str, by: &str| {
            found.iter().map(|text| pick(text)).collect::<Vec<_>>().join(by)
        };
        metric = metric.remark(join(|text| &text.zh, "；"), join(|text| &text.en, "; "));
    }
    metric.days = actions(case);
    metric
}

fn order(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "记录时间比先读到的记录早 5 分钟以上的记录 ÷ 有时间的记录（网关日汇总，期初导入日除外）",
        "records more than five minutes earlier than one that stands before them / records with a time (the gateway's daily sums, import days left out)",
    );
    let (part, all) = case.records.order;
    let name = Text::new("时序异常率", "time-order anomaly rate");
    let mut metric = blank(case, MetricId::M22, name, formula, Unit::Percent).share(case, part, all);
    if all == 0 {
        return metric.remark("没有记录顺序的日汇总", "no daily sums of the order of records");
    }
    metric.shown = format!("{:.2}%", ratio(part, all) * 100.0);
    if all < 200 {
        metric.status = Status::Info;
        metric = metric.remark(
            format!("样本不足，不评定：有时间的记录 {all} 条（需 200 条）"),
            format!("too few to judge: {all} records with a time (200 needed)"),
        );
    }
    let of_order = |at: usize| -> u64 {
        let of = |day: &crate::history::AgentDay| day.sums.as_ref().map_or(0, |sums| sums.order.0);
        case.view.agent_days(at, at).map(of).sum()
    };
    metric.days = day_facts(case, |at| of_order(at) > 0, of_order);
    metric
}

fn replay(case: &Case<'_>) -> Metric {
    let replay = &case.replay;
    let formula = Text::new(
        "与本测点先前某段逐值相同、且连续 ≥3 个窗口的窗口 ÷ 可比较的窗口（变化足够多的测量值窗口）",
        "windows within runs of three or more that equal an earlier stretch of their point value by value / windows that could be compared (of measured values that moved enough)",
    );
    let name = Text::new("重放相似度", "replay similarity");
    let mut metric = blank(case, MetricId::M23, name, formula, Unit::Percent);
    if replay.windows < 100 {
        return metric.remark(
            format!("样本不足：可比较的窗口 {} 个（需 100 个）", replay.windows),
            format!("sample too small: {} windows that can be compared (100 needed)", replay.windows),
        );
    }
    metric = metric.share(case, replay.repeated, replay.windows);
    if let Some(run) = replay.longest {
        let (hours, of) = (f64::from(run.windows) / 6.0, case.date(run.of));
        metric = metric.remark(
            format!("最长 {hours:.1} 小时：{} 重复 {of}", case.date(run.at)),
            format!("longest {hours:.1} h: {} repeats {of}", case.date(run.at)),
        );
    }
    let of_day = |at: usize| u64::from(replay.days[at]);
    metric.days = day_facts(case, |at| of_day(at) > 0, of_day);
    metric
}

/// How M06 was counted.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub(crate) documents: u64,
    pub(crate) declared: u64,
    pub(crate) names: Vec<String>,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl Volume {
    /// M06, percent.
    pub(crate) fn percent(&self) -> f64 {
        ratio(self.documents, self.declared) * 100.0
    }
}

/// Counts the documents beside the anchors that lie wholly in the view, up to day `to`; `None` where none does.
pub(crate) fn volume(view: &crate::view::View<'_>, to: usize) -> Option<Volume> {
    let mut volume: Option<Volume> = None;
    for anchor in &view.project.anchors {
        let Some((first, last)) = view.at(anchor.from).zip(view.at(anchor.to)) else { continue };
        if last > to {
            continue;
        }
        let module = Module::of(&anchor.module);
        let observed = (first..=last).filter(|at| view.days[*at].plan.working);
        let (seen, all) = observed
            .fold((0, 0), |(seen, all), at| (seen + u32::from(view.is_observed(at, Some(module))), all + 1));
        if seen * 2 < all {
            continue;
        }
        let acts = || view.days[first..=last].iter().flat_map(|day| day.acts(Some(module)));
        let created: u64 = acts().filter(|act| act.creates).map(|act| act.count).sum();
        let documents = if created > 0 { created } else { acts().map(|act| act.count).sum() };
        let known = volume.get_or_insert(Volume {
            documents: 0,
            declared: 0,
            names: Vec::new(),
            from: first,
            to: last,
        });
        known.documents += documents;
        known.declared += anchor.count;
        known.names.push(anchor.of.clone());
        known.from = known.from.min(first);
        known.to = known.to.max(last);
    }
    volume
}
