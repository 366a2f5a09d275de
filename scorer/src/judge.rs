//! From counts to a level, flags and a headline: the rules, in the order they are tried.

use jiff::civil::Date;

use crate::assessment::{
    Assessment, Coverage, DayLine, EvaluationPeriod, EvidenceMix, ExcludedAccounts, Flag, GapLine, Headline,
    ModuleUse, SourceCoverage, Span, Text, UseLevel,
};
use crate::calendar::Calendar;
use crate::coupling::{self, Coupling};
use crate::cross::Cross;
use crate::device::{self, Device};
use crate::history::{History, local};
use crate::lists::Module;
use crate::metric::{CarriedOver, Volume};
use crate::profile::Profile;
use crate::project::{DeclaredModule, Project};
use crate::records::Records;
use crate::replay::Replay;
use crate::signals::{self, Signal};
use crate::usage::{self, BurstCount, Usage};
use crate::view::View;
use crate::{facts, flags, metric, rules};

/// What rules and metrics look at: the view, W, and the firm's counts in it.
pub(crate) struct Case<'a> {
    pub(crate) view: View<'a>,
    /// W as indices of the view's days.
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) usage: Usage,
    /// M07.
    pub(crate) first_use: Option<usize>,
    /// Counts since a start that is too young to judge by.
    pub(crate) young: Option<Usage>,
    pub(crate) burst: Option<BurstCount>,
    pub(crate) devices: Vec<Device<'a>>,
    pub(crate) modules: Vec<ModuleUse>,
    pub(crate) evidence: EvidenceMix,
    /// Windows in W whose use rows did not come.
    pub(crate) rows_missing: u64,
    pub(crate) records: Records,
    pub(crate) replay: Replay,
    pub(crate) coupling: Coupling,
    /// M18: shifts with production reports, and whether a machine ran.
    pub(crate) reports: Vec<(usize, bool)>,
    pub(crate) signals: Vec<Signal>,
    pub(crate) carried: CarriedOver,
    /// M06.
    pub(crate) volume: Option<Volume>,
    /// The firm beside the others of its ledger, where they were compared.
    pub(crate) cross: Option<&'a Cross>,
}

/// Judges one firm as of a moment (Unix ms). W ends with the acceptance visit, or with the last whole day before the
/// moment.
pub fn assess(
    project: &Project,
    profile: &Profile,
    calendar: &Calendar,
    history: &History,
    as_of_ms: i64,
) -> Assessment {
    assess_among(project, profile, calendar, history, as_of_ms, None)
}

/// The same for a firm that was compared with the others of its ledger.
pub fn assess_among(
    project: &Project,
    profile: &Profile,
    calendar: &Calendar,
    history: &History,
    as_of_ms: i64,
    cross: Option<&Cross>,
) -> Assessment {
    let case = Case::new(project, profile, calendar, history, as_of_ms).among(cross);
    let (level, level_because) = case.firm_level();
    let metrics = metric::all(&case);
    let findings = rules::look(&case);
    let flags = flags::all(&case, &findings);
    let (facts_for, facts_against) = facts::both(&case, &metrics, &flags);
    Assessment {
        firm: project.id.clone(),
        headline: headline(level, &flags),
        trend: case.trend(level),
        marks: case.marks(),
        window: case.period(),
        coverage: case.coverage(),
        evidence: case.evidence,
        profile: profile.stamp.clone(),
        level,
        level_because,
        modules: case.modules.clone(),
        metrics,
        findings,
        flags,
        facts_for,
        facts_against,
        days: case.day_lines(),
        devices: case.devices.iter().map(Device::page).collect(),
        gaps: case.gaps(),
        excluded: case.excluded(),
        notes: case.notes(calendar),
    }
}

/// R2, else R1, else the level: R3 to R5 are printed under it.
fn headline(level: UseLevel, flags: &[Flag]) -> Headline {
    let raised = |code: &str| flags.iter().any(|flag| flag.code == code);
    match (raised("R2"), raised("R1")) {
        (true, _) => Headline::Fabrication,
        (false, true) => Headline::OldWine,
        (false, false) => level.headline(),
    }
}

impl<'a> Case<'a> {
    fn new(
        project: &'a Project,
        profile: &'a Profile,
        calendar: &Calendar,
        history: &'a History,
        as_of_ms: i64,
    ) -> Self {
        let view = View::new(project, profile, calendar, history, as_of_ms);
        let end = view.days.len() - 1;
        let visit = project.dates.acceptance.and_then(|date| view.at(date));
        let to = visit.unwrap_or(end);
        let first_use = usage::first_use(&view, to, None, profile.first_use.accounts);
        let from = usage::window(&view, to, first_use);
        let usage = Usage::count(&view, from, to, None);
        let young = usage::too_young(&view, to, None, first_use);
        let burst = usage::burst(&view, to);
        let devices = device::devices(&view, from, to);
        let modules = project.modules.iter().map(|module| module_use(&view, module, from, to)).collect();
        let evidence = view.evidence(from, to);
        let rows_missing = view.agent_days(from, to).map(|day| u64::from(day.rows_missing)).sum();
        let records = Records::count(&view, from, to);
        let replay = Replay::find(&view, from, to);
        let coupling = Coupling::of(&view, from, to);
        let reports = coupling::reports_beside_machines(&view, from, to);
        let signals = signals::signals(&view, from, to);
        let carried = CarriedOver::find(&view, from, to);
        let volume = metric::volume(&view, to);
        Self {
            view,
            from,
            to,
            usage,
            first_use,
            young,
            burst,
            devices,
            modules,
            evidence,
            rows_missing,
            records,
            replay,
            coupling,
            reports,
            signals,
            carried,
            volume,
            cross: None,
        }
    }

    fn among(self, cross: Option<&'a Cross>) -> Self {
        Self { cross, ..self }
    }

    /// The level of the system as a whole, and why.
    fn pooled_level(&self) -> (UseLevel, Vec<Text>) {
        let in_view = !self.view.logs.is_empty();
        let windows: u64 = self.evidence.windows.iter().sum();
        if self.rows_missing * 20 > windows {
            let text = Text::new(
                format!("评价期内 {} 个窗口的使用明细未收到", self.rows_missing),
                format!("use rows of {} windows in the period did not come", self.rows_missing),
            );
            return (UseLevel::U0, vec![text]);
        }
        if let Some(because) = too_little(&self.view, &self.usage, in_view, self.young.as_ref()) {
            return (UseLevel::U0, vec![because]);
        }
        let mut because = vec![metric::active_text(&self.usage)];
        let operators = self.usage.operators(&self.view);
        let needed = metric::accounts_green(&self.view);
        let in_use = self.first_use.map_or(0, |first| metric::time_in_use(&self.view, first, self.to));
        let machines = device::half_online(&self.devices, self.from, self.to);
        because.push(Text::new(
            format!("独立操作账号 {operators} 个（需 {needed} 个）"),
            format!("{operators} operator accounts ({needed} needed)"),
        ));
        because.push(Text::new(
            format!("在用 {in_use} 个工作日（需 20 个）"),
            format!("{in_use} working days in use (20 needed)"),
        ));
        let covered = self.volume.as_ref().map(Volume::percent);
        because.push(match covered {
            Some(share) => Text::new(
                format!("业务量覆盖率 {share:.1}%（需 60%）"),
                format!("business coverage {share:.1} % (60 % needed)"),
            ),
            None => Text::new(
                "无业务量锚，业务量由专家判断",
                "no business anchor: volume is for the expert to judge",
            ),
        });
        if !machines {
            because.push(Text::new(
                "申报联网设备在线率低于 50%",
                "declared devices online less than 50 % of planned time",
            ));
        }
        let active = self.usage.active_rate().unwrap_or(0.0);
        let green =
            self.view.profile.threshold(crate::MetricId::M01).map_or(60.0, |threshold| threshold.green);
        let limit = self.view.profile.threshold(crate::MetricId::M06);
        let enough = |mark: fn(&crate::profile::Threshold) -> f64| {
            covered.is_none_or(|share| limit.is_none_or(|limit| share >= mark(limit)))
        };
        let little = covered.is_none_or(|share| limit.is_none_or(|limit| share < limit.amber));
        if active >= green
            && f64::from(operators) >= needed
            && in_use >= 20
            && enough(|limit| limit.green)
            && machines
        {
            (UseLevel::U3, because)
        } else if unused(&self.view, &self.usage) && little {
            (UseLevel::U1, because)
        } else {
            (UseLevel::U2, because)
        }
    }

    /// The firm's level: the pooled one, and no better than the worst ★ module. One dead ★ module beside others in
    /// use reads 低频使用, not 建而不用: that accusation needs the whole system to stand still.
    fn firm_level(&self) -> (UseLevel, Vec<Text>) {
        let (pooled, mut because) = self.pooled_level();
        if pooled <= UseLevel::U1 {
            return (pooled, because);
        }
        let stars = self.modules.iter().filter(|module| module.star);
        let Some(worst) = stars.min_by_key(|module| (module.level == UseLevel::U0, module.level)) else {
            return (pooled, because);
        };
        let capped = match worst.level {
            UseLevel::U0 => UseLevel::U0,
            UseLevel::U1 | UseLevel::U2 => UseLevel::U2,
            UseLevel::U3 => pooled,
        };
        if capped != pooled {
            because.push(Text::new(
                format!("★ 模块“{}”为 {}：{}", worst.name.zh, worst.level.code(), worst.because.zh),
                format!("★ module \"{}\" is {}: {}", worst.name.en, worst.level.code(), worst.because.en),
            ));
        }
        (capped.min(pooled), because)
    }

    fn trend(&self, level: UseLevel) -> Option<Text> {
        let young = self.young.as_ref().filter(|_| level == UseLevel::U0)?;
        let green =
            self.view.profile.threshold(crate::MetricId::M01).map_or(60.0, |threshold| threshold.green);
        let good = young.observed_days >= 3 && young.active_rate().is_some_and(|rate| rate >= green);
        good.then(|| Text::new("上线时间短，趋势良好", "went live recently, trend good"))
    }

    fn marks(&self) -> Vec<Text> {
        let mix = &self.evidence;
        let mut marks = Vec::new();
        let decisive: u64 = mix.actions[..3].iter().sum();
        if mix.backfill * 10 > decisive {
            marks.push(Text::new("历史回采", "read back from logs"));
        }
        if mix.actions[2] * 10 > decisive || mix.windows[2] * 10 > mix.windows.iter().sum() {
            marks.push(Text::new("迟交", "handed in late"));
        }
        if self.view.chains().any(|(_, chain)| chain.conflicts > 0) {
            marks.push(Text::new("分叉待查", "forked chain under review"));
        }
        marks
    }

    fn period(&self) -> EvaluationPeriod {
        let days = &self.view.days[self.from..=self.to];
        let completion = self.view.project.dates.completion;
        let begins = match self.first_use {
            Some(first) if first == self.from => Text::new("首次真实使用日", "first real-use date"),
            _ if days[0].date == completion => Text::new("项目完工日", "completion date"),
            _ => Text::new(
                format!("截止日前 {} 个日历日", days.len()),
                format!("{} calendar days before its end", days.len()),
            ),
        };
        EvaluationPeriod {
            from: days[0].date,
            to: self.view.days[self.to].date,
            begins,
            working_days: self.usage.working_days,
            observed_days: self.usage.observed_days,
            stopped_days: days.iter().map(|day| u32::from(day.plan.stopped)).sum(),
        }
    }

    fn coverage(&self) -> Coverage {
        let planned = self.usage.minutes.0;
        let logs = self.view.logs.iter().map(|log| SourceCoverage {
            agent: log.agent,
            source: log.source,
            is_log: true,
            planned,
            observed: log.days[self.from..=self.to].iter().map(|day| u64::from(day.0)).sum(),
        });
        let devices = self.devices.iter().filter_map(|device| {
            let (agent, source) = device.declared.source?;
            let online = device.strip[self.from..=self.to].iter().map(|day| u64::from(day.online)).sum();
            Some(SourceCoverage { agent, source, is_log: false, planned, observed: online })
        });
        Coverage {
            planned,
            observed: self.usage.minutes.1,
            decisive: self.usage.minutes.2,
            sources: logs.chain(devices).collect(),
        }
    }

    fn day_lines(&self) -> Vec<DayLine> {
        let line = |(at, day): (usize, &crate::view::Day)| DayLine {
            date: day.date,
            in_window: (self.from..=self.to).contains(&at),
            working: day.plan.working,
            stop: day.plan.stop.clone(),
            calendar: day.plan.calendar.clone(),
            planned: day.plan.minutes.count(),
            observed: self.view.observed(at, None).0,
            gateway: day.gateway,
            key_actions: u32::try_from(day.actions(None)).unwrap_or(u32::MAX),
            spans: day.spans.clone(),
        };
        self.view.days.iter().enumerate().map(line).collect()
    }

    fn gaps(&self) -> Vec<GapLine> {
        let offset_ms = self.view.history.offset_ms();
        let days = &self.view.days;
        let from_ms = days[0].index * 86_400_000 - offset_ms;
        let mut lines: Vec<GapLine> = Vec::new();
        for (agent, chain) in self.view.chains() {
            for gap in chain.gaps.iter().filter(|gap| gap.to_ms > from_ms) {
                // What lies before the first day shown is nobody's, and may be years of a clock that was not set.
                let from = gap.from_ms.max(from_ms);
                let planned = self.planned_between(from, gap.to_ms);
                lines.push(GapLine {
                    agent,
                    source: (gap.source != 0).then(|| {
                        let of = gap.key.and_then(|key| chain.sources.get(key));
                        of.map_or(gap.source, |view| view.index)
                    }),
                    from_ms: from,
                    to_ms: gap.to_ms,
                    cause: gap.cause,
                    undeclared: gap.undeclared,
                    planned,
                    span: Span { agent, first: gap.first, last: gap.last },
                });
            }
        }
        lines.sort_by_key(|line| (line.from_ms, line.agent, line.source));
        lines
    }

    /// Planned minutes of the view between two moments.
    fn planned_between(&self, from_ms: i64, to_ms: i64) -> u32 {
        let offset = (self.view.history.offset_ms() / crate::MINUTE_MS) as i32;
        let (first, last) = (local(from_ms, offset), local(to_ms, offset));
        let of_day = |day: &crate::view::Day| {
            let from = if day.index == first.0 { first.1 } else { 0 };
            let to = if day.index == last.0 { last.1 } else { crate::DAY_MINUTES };
            let mut minutes = crate::minutes::Minutes::default();
            minutes.add(from, to);
            day.plan.minutes.and(&minutes).count()
        };
        let inside = |day: &&crate::view::Day| (first.0..=last.0).contains(&day.index);
        self.view.days.iter().filter(inside).map(of_day).sum()
    }

    fn excluded(&self) -> Vec<ExcludedAccounts> {
        let excluded = self.view.excluded(self.from, self.to).into_iter();
        let line = |(reason, (accounts, key_actions)): (_, (std::collections::BTreeSet<_>, _))| {
            ExcludedAccounts { reason, accounts: accounts.len() as u32, key_actions }
        };
        excluded.map(line).collect()
    }

    fn notes(&self, calendar: &Calendar) -> Vec<Text> {
        let sum = |count: fn(&crate::history::Chain) -> u64| {
            self.view.chains().map(|(_, chain)| count(chain)).sum::<u64>()
        };
        let mut notes = Vec::new();
        let mut note = |count: u64, zh: &str, en: &str| {
            if count > 0 {
                notes.push(Text::new(
                    zh.replace("{}", &count.to_string()),
                    en.replace("{}", &count.to_string()),
                ));
            }
        };
        note(sum(|chain| chain.missing), "链中缺少 {} 条记录", "{} entries of the chain are missing");
        note(
            sum(|chain| chain.conflicts),
            "{} 条记录与同序号记录冲突，未计入",
            "{} entries conflict with another of their sequence and do not count",
        );
        note(
            sum(|chain| chain.mistimed),
            "{} 条记录的时间不合理，未计入",
            "{} entries with impossible times do not count",
        );
        note(
            sum(|chain| chain.misdated),
            "{} 行使用明细日期不合理，未计入",
            "{} use rows with impossible dates do not count",
        );
        note(
            sum(|chain| chain.unmapped),
            "{} 次关键业务动作不属于目录中的模块，未计入",
            "{} key actions belong to no module of the catalogue and do not count",
        );
        note(
            self.rows_missing,
            "评价期内 {} 个窗口的使用明细未收到",
            "use rows of {} windows in the period did not come",
        );
        note(
            self.evidence.actions[3],
            "{} 次关键业务动作提交过迟（D 级），不作依据",
            "{} key actions came too late (grade D) to decide",
        );
        note(
            self.evidence.declared,
            "{} 次关键业务动作为人工申报，不作依据",
            "{} declared key actions do not decide",
        );
        if self.view.chains().any(|(_, chain)| chain.other_clock) {
            notes.push(Text::new("采集清单的时区与项目不一致", "the manifest's clock is not the project's"));
        }
        let years: std::collections::BTreeSet<i16> =
            self.view.days[self.from..=self.to].iter().map(|day| day.date.year()).collect();
        for year in years {
            if !calendar.knows(year) {
                notes.push(Text::new(
                    format!("缺少 {year} 年节假日数据，按每周工作日计算"),
                    format!("no calendar of holidays for {year}: the firm's week was used"),
                ));
            } else if calendar.is_provisional(year) {
                notes.push(Text::new(
                    format!("{year} 年调休安排未录入，只按法定节假日计算"),
                    format!("the calendar of {year} holds statutory days alone: week-end days that are worked instead (调休) are not in it"),
                ));
            }
        }
        notes
    }

    /// The date of day `at`.
    pub(crate) fn date(&self, at: usize) -> Date {
        self.view.days[at].date
    }
}

/// Why nothing can be decided, if so.
fn too_little(view: &View<'_>, usage: &Usage, in_view: bool, young: Option<&Usage>) -> Option<Text> {
    let period = &view.profile.period;
    if !in_view {
        return Some(Text::new(
            "没有可读取的业务日志，看不到系统",
            "no readable log: the system is out of view",
        ));
    }
    if usage.coverage() < period.coverage {
        let share = usage.coverage();
        return Some(Text::new(
            format!("观测覆盖率 {share:.1}%，低于 {}%", period.coverage),
            format!("observation coverage {share:.1} % is below {} %", period.coverage),
        ));
    }
    let days = young.unwrap_or(usage).observed_days;
    (young.is_some() || days < period.minimum_days).then(|| {
        let (zh, en) = if young.is_some() {
            ("首次关键业务动作以来", "since the first key action")
        } else {
            ("评价期内", "in the period")
        };
        Text::new(
            format!("{zh}仅有 {days} 个已观测工作日，不足 {} 个", period.minimum_days),
            format!("only {days} observed working days {en}, {} are needed", period.minimum_days),
        )
    })
}

/// U1: hardly a day with use, hardly an action, and evidence good enough to say so.
fn unused(view: &View<'_>, usage: &Usage) -> bool {
    let rule = &view.profile.unused;
    usage.active_rate().is_some_and(|rate| rate < rule.active)
        && usage.per_day() < rule.per_day
        && usage.decisive_coverage() >= view.profile.period.coverage
}

/// One declared module: the same rule, except that one account may be the whole department and that only its own
/// logs count for coverage.
fn module_use(view: &View<'_>, declared: &DeclaredModule, from: usize, to: usize) -> ModuleUse {
    let module = Module::of(&declared.code);
    let usage = Usage::count(view, from, to, Some(module));
    let in_view = view.logs.iter().any(|log| log.modules.contains(&module));
    let first_use = usage::first_use(view, to, Some(module), 1);
    let young = usage::too_young(view, to, Some(module), first_use);
    let (level, because) = module_level(view, &usage, in_view, young.as_ref(), first_use, to);
    let english = proof::catalogue::module_name(&declared.code).map_or("", |name| name.en);
    ModuleUse {
        code: declared.code.clone(),
        name: Text::new(declared.zh.clone(), english),
        star: declared.star,
        level,
        because,
        in_view,
        coverage: usage.coverage() / 100.0,
        key_actions: usage.key_actions,
        active_days: usage.active_days,
        observed_days: usage.observed_days,
        accounts: usage.accounts.len() as u32,
        daily: view
            .days
            .iter()
            .map(|day| u32::try_from(day.actions(Some(module))).unwrap_or(u32::MAX))
            .collect(),
    }
}

fn module_level(
    view: &View<'_>,
    usage: &Usage,
    in_view: bool,
    young: Option<&Usage>,
    first_use: Option<usize>,
    to: usize,
) -> (UseLevel, Text) {
    if let Some(because) = too_little(view, usage, in_view, young) {
        return (UseLevel::U0, because);
    }
    let green = view.profile.threshold(crate::MetricId::M01).map_or(60.0, |threshold| threshold.green);
    let operators = usage.operators(view);
    let in_use = first_use.map_or(0, |first| metric::time_in_use(view, first, to));
    let because = metric::active_text(usage);
    if usage.active_rate().is_some_and(|rate| rate >= green) && operators >= 1 && in_use >= 20 {
        (UseLevel::U3, because)
    } else if unused(view, usage) {
        (UseLevel::U1, because)
    } else {
        (UseLevel::U2, because)
    }
}
