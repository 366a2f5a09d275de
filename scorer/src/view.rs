//! What a history says under one project, day by day: the plan beside what was seen, evidence that may decide apart
//! from the rest.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use proof::wire::{ActorClass, Origin};
use proof::{AgentId, observation};

use crate::assessment::{EvidenceMix, MAX_DAYS, Span, Text};
use crate::calendar::Calendar;
use crate::grade::Grade;
use crate::history::{Action, AgentDay, Chain, History, SourceKey, SourceView, UseKey, local};
use crate::lists::{self, Module};
use crate::minutes::Minutes;
use crate::plan::{DayPlan, plan};
use crate::profile::Profile;
use crate::project::Project;

/// Days without any record within which a log read back afterwards still speaks for the days between: an old log may
/// have lost a stretch without a trace.
const HISTORY_HOLE_DAYS: i64 = 7;

/// A firm's days.
pub(crate) struct View<'a> {
    pub(crate) project: &'a Project,
    pub(crate) profile: &'a Profile,
    pub(crate) history: &'a History,
    pub(crate) days: Vec<Day>,
    /// Logs that carry declared modules.
    pub(crate) logs: Vec<LogCover>,
}

/// One day.
pub(crate) struct Day {
    /// Days since 1970-01-01.
    pub(crate) index: i64,
    pub(crate) date: Date,
    pub(crate) plan: DayPlan,
    /// Human key actions in declared modules that may decide.
    pub(crate) acts: Vec<Act>,
    /// First and last minutes of their rows by actor.
    pub(crate) minutes: BTreeMap<[u8; 8], Minutes>,
    pub(crate) spans: Vec<Span>,
    /// Planned minutes under a window of any gateway.
    pub(crate) gateway: u32,
    /// A gateway ran for half of the day or more, planned or not.
    pub(crate) gateway_up: bool,
}

/// Human key actions of one account in one module, from entries of one grade and origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Act {
    pub(crate) module: Module,
    pub(crate) actor: [u8; 8],
    pub(crate) terminal: bool,
    /// Creates a document.
    pub(crate) creates: bool,
    /// Whole days between its date and the day it was first seen.
    pub(crate) lag: u8,
    pub(crate) count: u64,
    pub(crate) span: Span,
}

/// How well one log was covered, by day of the view.
pub(crate) struct LogCover {
    pub(crate) agent: AgentId,
    pub(crate) source: u32,
    /// Declared modules that it carries.
    pub(crate) modules: BTreeSet<Module>,
    /// First and last day (since 1970-01-01) that it was in the manifest; the last of one that is there is open.
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
    /// Planned minutes observed, and of these the ones an accusation may stand on.
    pub(crate) days: Vec<(u32, u32)>,
    /// Whether somebody read it on the day itself, by day of the view.
    pub(crate) live: Vec<bool>,
}

impl<'a> View<'a> {
    pub(crate) fn new(
        project: &'a Project,
        profile: &'a Profile,
        calendar: &Calendar,
        history: &'a History,
        as_of_ms: i64,
    ) -> Self {
        let (first, last) = range(project, history, as_of_ms);
        let count = usize::try_from(last - first + 1).unwrap_or(1);
        let plans = plan(project, calendar, date_of(first), count);
        let declared: BTreeSet<Module> =
            project.modules.iter().map(|module| Module::of(&module.code)).collect();
        let chains = || project.agents.iter().filter_map(|agent| history.chains().get_key_value(agent));
        let mut days: Vec<Day> = (first..)
            .zip(plans)
            .map(|(index, plan)| Day {
                index,
                date: date_of(index),
                plan,
                acts: Vec::new(),
                minutes: BTreeMap::new(),
                spans: Vec::new(),
                gateway: 0,
                gateway_up: false,
            })
            .collect();
        for (agent, chain) in chains() {
            for day in &mut days {
                if let Some(of_agent) = chain.days.get(&day.index) {
                    day.take(*agent, of_agent, &declared);
                }
            }
        }
        let mut logs = Vec::new();
        for (agent, chain) in chains() {
            for (key, view) in chain.sources.iter().filter(|(_, view)| view.is_log()) {
                let modules: BTreeSet<Module> = view.modules.intersection(&declared).copied().collect();
                if !modules.is_empty() {
                    let last = view.rows.map_or(i64::MIN, |(_, last)| last);
                    logs.push(LogCover {
                        agent: *agent,
                        source: view.index,
                        modules,
                        since: view.rows.map(|(first, _)| first),
                        until: view.taken_out.map(|_| last),
                        days: days.iter().map(|day| log_minutes(chain, key, view, day)).collect(),
                        live: days.iter().map(|day| was_read(chain, key, day.index)).collect(),
                    });
                }
            }
        }
        Self { project, profile, history, days, logs }
    }

    /// The project's gateways that have sent anything.
    pub(crate) fn chains(&self) -> impl Iterator<Item = (AgentId, &'a Chain)> {
        let chains = self.history.chains();
        self.project.agents.iter().filter_map(|agent| chains.get(agent).map(|chain| (*agent, chain)))
    }

    /// Planned minutes of a day observed, and the decisive ones, by the worst-covered log that carries `module` (any
    /// declared one for `None`); zero where no log does.
    ///
    /// A log that was taken out speaks for the days it was in, and one that came later not against the days on which
    /// others carried what it carries.
    pub(crate) fn observed(&self, at: usize, module: Option<Module>) -> (u32, u32) {
        let day = self.days[at].index;
        let logs =
            || self.logs.iter().filter(|log| module.is_none_or(|module| log.modules.contains(&module)));
        let carried = |wanted: &Module| logs().any(|log| log.is_in(day) && log.modules.contains(wanted));
        let replaced = |log: &LogCover| match module {
            Some(module) => carried(&module),
            None => log.modules.iter().all(carried),
        };
        let speaks = |log: &&LogCover| {
            log.is_in(day) || (log.until.is_none_or(|until| day <= until) && !replaced(log))
        };
        let worst = logs().filter(speaks).map(|log| log.days[at]).reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)));
        worst.unwrap_or_default()
    }

    /// A planned working day observed well enough to say whether anything was done.
    pub(crate) fn is_observed(&self, at: usize, module: Option<Module>) -> bool {
        let plan = &self.days[at].plan;
        let planned = f64::from(plan.minutes.count());
        let (observed, _) = self.observed(at, module);
        plan.working
            && observed > 0
            && f64::from(observed) * 100.0 >= planned * self.profile.period.observed_day
    }

    /// Index of the day of a date, where the view holds it.
    pub(crate) fn at(&self, date: Date) -> Option<usize> {
        self.days.binary_search_by(|day| day.date.cmp(&date)).ok()
    }

    /// Minutes of day `at` in which any machine ran, and in which one started or stopped.
    pub(crate) fn machines(&self, at: usize) -> (Minutes, Minutes) {
        let mut both = (Minutes::default(), Minutes::default());
        for day in self.agent_days(at, at) {
            for source in day.sources.values() {
                both = (both.0.or(&source.running), both.1.or(&source.edges));
            }
        }
        both
    }

    /// Minutes of day `at` with a key action of a person, seen live.
    pub(crate) fn live(&self, at: usize) -> Minutes {
        let sources = self.agent_days(at, at).flat_map(|day| day.sources.values());
        sources.fold(Minutes::default(), |live, source| live.or(&source.pace.live))
    }

    /// Minutes of day `at` with a key action of a person: seen live, or first and last ones of what was read back with
    /// a time of day.
    pub(crate) fn acted(&self, at: usize) -> Minutes {
        self.days[at].minutes.values().fold(self.live(at), |all, minutes| all.or(minutes))
    }

    /// Whether some machine says when it runs.
    pub(crate) fn knows_running(&self) -> bool {
        self.chains().any(|(_, chain)| chain.sources.iter().any(|(_, view)| view.tells_running()))
    }

    /// Whether old data was brought in on day `at`, as the project declares.
    pub(crate) fn is_import(&self, at: usize) -> bool {
        let date = self.days[at].date;
        self.project.imports.iter().any(|import| import.from <= date && date <= import.to)
    }

    /// Whether every log that carries `module` was read on day `at` itself, from the day before to the day after: a
    /// record of that day could have been seen then.
    pub(crate) fn was_watched(&self, at: usize, module: Module) -> bool {
        let mut logs = self.logs.iter().filter(|log| log.modules.contains(&module)).peekable();
        let around = at.saturating_sub(1)..=(at + 1).min(self.days.len() - 1);
        logs.peek().is_some() && logs.all(|log| log.live[around.clone()].iter().all(|live| *live))
    }

    /// Windows, key actions and origins of days `from..=to`, all grades.
    pub(crate) fn evidence(&self, from: usize, to: usize) -> EvidenceMix {
        let mut mix = EvidenceMix::default();
        for day in self.agent_days(from, to) {
            for (sum, windows) in mix.windows.iter_mut().zip(day.windows) {
                *sum += windows;
            }
            for (key, tally) in &day.uses {
                if !key.action.is_key() || !observation::is_human(key.class) {
                    continue;
                }
                mix.actions[key.grade.index()] += tally.count;
                match key.origin {
                    Origin::Live => mix.live += tally.count,
                    Origin::Backfill => mix.backfill += tally.count,
                    Origin::Declared => mix.declared += tally.count,
                }
            }
        }
        mix
    }

    /// Key actions of accounts that do not count, by reason.
    pub(crate) fn excluded(&self, from: usize, to: usize) -> BTreeMap<Text, (BTreeSet<[u8; 8]>, u64)> {
        let mut excluded: BTreeMap<Text, (BTreeSet<[u8; 8]>, u64)> = BTreeMap::new();
        for day in self.agent_days(from, to) {
            for (key, tally) in &day.uses {
                if let Some(reason) = lists::exclusion(key.class, key.reason) {
                    let entry = excluded.entry(reason).or_default();
                    entry.0.insert(key.actor);
                    entry.1 += if key.action.is_key() { tally.count } else { 0 };
                }
            }
        }
        excluded
    }

    /// What every gateway said of days `from..=to`.
    pub(crate) fn agent_days(&self, from: usize, to: usize) -> impl Iterator<Item = &'a AgentDay> {
        let (first, last) = (self.days[from].index, self.days[to].index);
        self.chains().flat_map(move |(_, chain)| chain.days.range(first..=last).map(|(_, day)| day))
    }
}

impl LogCover {
    fn is_in(&self, day: i64) -> bool {
        self.since.is_some_and(|since| since <= day) && self.until.is_none_or(|until| day <= until)
    }
}

impl Day {
    fn take(&mut self, agent: AgentId, of_agent: &AgentDay, declared: &BTreeSet<Module>) {
        self.spans.extend(of_agent.span(agent));
        self.gateway = self.gateway.max(self.plan.minutes.and(&of_agent.up).count());
        self.gateway_up |= of_agent.up.count() * 2 >= crate::DAY_MINUTES as u32;
        for (key, tally) in &of_agent.uses {
            if counts(key) && declared.contains(&key.module) {
                self.acts.push(Act {
                    module: key.module,
                    actor: key.actor,
                    terminal: key.class == ActorClass::SharedTerminal,
                    creates: key.action == Action::Create,
                    lag: key.lag,
                    count: tally.count,
                    span: Span { agent, first: tally.first, last: tally.last },
                });
            }
        }
        for act in &self.acts {
            if let Some(minutes) = of_agent.actor_minutes.get(&act.actor) {
                let known = self.minutes.entry(act.actor).or_default();
                *known = known.or(minutes);
            }
        }
    }

    /// Key actions of `module`, or of all declared ones.
    pub(crate) fn actions(&self, module: Option<Module>) -> u64 {
        self.acts(module).map(|act| act.count).sum()
    }

    /// The acts in `module`, or in all declared ones.
    pub(crate) fn acts(&self, module: Option<Module>) -> impl Iterator<Item = &Act> {
        self.acts.iter().filter(move |act| module.is_none_or(|module| act.module == module))
    }
}

/// Whether a row is a person's key action that may decide.
pub(crate) fn counts(key: &UseKey) -> bool {
    key.action.is_key()
        && observation::is_human(key.class)
        && key.grade != Grade::D
        && key.origin != Origin::Declared
        && key.actor != [0; 8]
}

/// Whether a log answered on the day itself, in time.
fn was_read(chain: &Chain, source: SourceKey, day: i64) -> bool {
    let of_source = chain.days.get(&day).and_then(|day| day.sources.get(&source));
    of_source.is_some_and(|day| !day.prompt.is_empty())
}

/// Planned minutes of a day in which a log was readable: live within three cadences, read back without a break, or
/// before the agent came where the log itself speaks. The second figure leaves out grade C.
fn log_minutes(chain: &Chain, source: SourceKey, view: &SourceView, day: &Day) -> (u32, u32) {
    let planned = &day.plan.minutes;
    if planned.is_empty() {
        return (0, 0);
    }
    if view.first_day.is_some_and(|first| day.index < first) {
        let near = |from, to| view.spoken.range(from..=to).next().is_some();
        let before = near(day.index - HISTORY_HOLE_DAYS, day.index);
        let after = near(day.index, day.index + HISTORY_HOLE_DAYS)
            || view.first_day.is_some_and(|first| first <= day.index + HISTORY_HOLE_DAYS);
        let minutes = if before && after { planned.count() } else { 0 };
        return (minutes, minutes);
    }
    let Some(of_source) = chain.days.get(&day.index).and_then(|day| day.sources.get(&source)) else {
        return (0, 0);
    };
    let back = &of_source.recovered;
    let all = planned.and(&of_source.seen().held(view.hold_minutes).or(back));
    let prompt = planned.and(&of_source.prompt.held(view.hold_minutes).or(back));
    (all.count(), prompt.count())
}

/// Days before the contract from which windows may still lengthen the range: a gateway set up early.
const EARLY_DAYS: i64 = 30;

/// First and last day to look at: from the completion date or the first entry, whichever is earlier, to the last
/// whole day before the assessment. A clock that was never set dates no first entry.
fn range(project: &Project, history: &History, as_of_ms: i64) -> (i64, i64) {
    let last = local(as_of_ms, (history.offset_ms() / crate::MINUTE_MS) as i32).0.saturating_sub(1);
    let last = last.clamp(index_of(Date::constant(2000, 1, 1)), index_of(Date::constant(2100, 1, 1)));
    let early = (index_of(project.dates.contract) - EARLY_DAYS).max(index_of(Date::constant(2020, 1, 1)));
    let first_of = |chain: &Chain| chain.days.range(early..).next().map(|(day, _)| *day);
    let seen = history.chains().values().filter_map(first_of).min();
    let completion = index_of(project.dates.completion);
    let first = seen.unwrap_or(completion).min(completion).min(last);
    (first.max(last - MAX_DAYS as i64 + 1), last)
}

/// Days since 1970-01-01.
pub(crate) fn index_of(date: Date) -> i64 {
    let epoch = Date::constant(1970, 1, 1);
    date.since((jiff::Unit::Day, epoch)).map_or(0, |span| i64::from(span.get_days()))
}

/// The date of a day index between 2000 and 2100.
pub(crate) fn date_of(index: i64) -> Date {
    let epoch = Date::constant(1970, 1, 1);
    epoch.checked_add(jiff::Span::new().days(index)).expect("the view's range is clamped to 2000 to 2100")
}
