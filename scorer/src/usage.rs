//! What people did in the system as a whole or in one module: counts that metrics and levels are made of.

use std::collections::{BTreeMap, BTreeSet};

use crate::lists::Module;
use crate::minutes::Minutes;
use crate::plan::parts;
use crate::profile::Begins;
use crate::view::{Day, View};

/// Counts over days `from..=to` of a view.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usage {
    /// Planned working days.
    pub(crate) working_days: u32,
    /// Of these observed.
    pub(crate) observed_days: u32,
    /// Of these with a key action.
    pub(crate) active_days: u32,
    /// Key actions on any day.
    pub(crate) key_actions: u64,
    /// Key actions on observed working days.
    pub(crate) observed_actions: u64,
    /// Accounts that acted.
    pub(crate) accounts: Vec<Account>,
    /// Planned minutes; observed by the worst-covered log; of these decisive.
    pub(crate) minutes: (u64, u64, u64),
}

/// One account's key actions.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) actions: u64,
    pub(crate) days: u32,
    /// For a shared terminal: shifts in which it was used on enough days.
    pub(crate) shifts: Option<u32>,
}

impl Usage {
    /// Counts days `from..=to`.
    pub(crate) fn count(view: &View<'_>, from: usize, to: usize, module: Option<Module>) -> Self {
        let mut usage = Self::default();
        for (at, day) in view.days.iter().enumerate().take(to + 1).skip(from) {
            let actions = day.actions(module);
            usage.key_actions += actions;
            usage.working_days += u32::from(day.plan.working);
            if view.is_observed(at, module) {
                usage.observed_days += 1;
                usage.active_days += u32::from(actions > 0);
                usage.observed_actions += actions;
            }
            let (observed, decisive) = view.observed(at, module);
            usage.minutes.0 += u64::from(day.plan.minutes.count());
            usage.minutes.1 += u64::from(observed);
            usage.minutes.2 += u64::from(decisive);
        }
        usage.accounts = accounts(view, from, to, module, view.profile.first_use.account_days);
        usage
    }

    /// M01 in percent; `None` where no day was observed.
    pub(crate) fn active_rate(&self) -> Option<f64> {
        (self.observed_days > 0).then(|| f64::from(self.active_days) * 100.0 / f64::from(self.observed_days))
    }

    /// Key actions per observed working day.
    pub(crate) fn per_day(&self) -> f64 {
        if self.observed_days == 0 {
            0.0
        } else {
            self.observed_actions as f64 / f64::from(self.observed_days)
        }
    }

    /// M03: accounts with enough key actions on enough days. A shared terminal used in several shifts is several
    /// people and counts once a shift; all terminals together count for no more than the declared seats (at least
    /// once each).
    pub(crate) fn operators(&self, view: &View<'_>) -> u32 {
        let rule = &view.profile.first_use;
        let enough = |account: &&Account| {
            account.actions >= u64::from(rule.account_actions) && account.days >= rule.account_days
        };
        let (mut own, mut terminals, mut by_shift) = (0, 0, 0);
        for account in self.accounts.iter().filter(enough) {
            match account.shifts {
                None => own += 1,
                Some(shifts) => {
                    terminals += 1;
                    by_shift += shifts.max(1);
                }
            }
        }
        own + by_shift.min(view.project.seats.max(terminals))
    }

    /// M04: key actions of the busiest account and of all. A shared terminal used in two shifts or more is not one
    /// hand and never the busiest account.
    pub(crate) fn top(&self) -> (u64, u64) {
        let one_hand = |account: &&Account| account.shifts.is_none_or(|shifts| shifts < 2);
        let top = self.accounts.iter().filter(one_hand).map(|account| account.actions).max();
        (top.unwrap_or(0), self.accounts.iter().map(|account| account.actions).sum())
    }

    /// Observed share of planned minutes, percent.
    pub(crate) fn coverage(&self) -> f64 {
        crate::assessment::ratio(self.minutes.1, self.minutes.0) * 100.0
    }

    /// Decisive share of planned minutes, percent.
    pub(crate) fn decisive_coverage(&self) -> f64 {
        crate::assessment::ratio(self.minutes.2, self.minutes.0) * 100.0
    }
}

/// The accounts that acted on days `from..=to`; a shift is a terminal's when it was used in it on `shift_days` days.
fn accounts(
    view: &View<'_>,
    from: usize,
    to: usize,
    module: Option<Module>,
    shift_days: u32,
) -> Vec<Account> {
    let mut actions: BTreeMap<[u8; 8], (u64, BTreeSet<usize>, bool)> = BTreeMap::new();
    for (at, day) in view.days.iter().enumerate().take(to + 1).skip(from) {
        for act in day.acts(module) {
            let account = actions.entry(act.actor).or_default();
            account.0 += act.count;
            account.1.insert(at);
            account.2 |= act.terminal;
        }
    }
    let account = |(actor, (actions, days, terminal)): ([u8; 8], (u64, BTreeSet<usize>, bool))| {
        let shifts = terminal.then(|| {
            let used = |shift: &usize| days.iter().filter(|at| used_in(view, **at, *shift, &actor)).count();
            let often = |shift: &usize| used(shift) >= shift_days as usize;
            (0..view.project.shifts.len()).filter(often).count() as u32
        });
        Account { actions, days: days.len() as u32, shifts }
    };
    actions.into_iter().map(account).collect()
}

/// The part of a shift on the day it begins, and the part on the next.
pub(crate) fn parts_of(view: &View<'_>, shift: usize) -> (Minutes, Minutes) {
    parts(&view.project.shifts[shift])
}

/// Whether `actor` has a key action in the shift that begins on day `at`, before midnight or after.
fn used_in(view: &View<'_>, at: usize, shift: usize, actor: &[u8; 8]) -> bool {
    if !view.days[at].plan.shifts.contains(&shift) {
        return false;
    }
    let (today, tomorrow) = parts(&view.project.shifts[shift]);
    let acted = |at: usize, part| {
        let minutes = view.days.get(at).and_then(|day| day.minutes.get(actor));
        minutes.is_some_and(|minutes| !minutes.and(part).is_empty())
    };
    acted(at, &today) || acted(at + 1, &tomorrow)
}

/// Planned and observed (day, shift) pairs of `from..=to`, and whether each holds a key action: M02.
pub(crate) fn shift_pairs(view: &View<'_>, from: usize, to: usize) -> Vec<(usize, bool)> {
    let mut pairs = Vec::new();
    for at in (from..=to).filter(|at| view.is_observed(*at, None)) {
        for shift in &view.days[at].plan.shifts {
            let hit = view.days[at]
                .minutes
                .keys()
                .chain(view.days.get(at + 1).into_iter().flat_map(|day| day.minutes.keys()));
            let hit = hit.collect::<BTreeSet<_>>().into_iter().any(|actor| used_in(view, at, *shift, actor));
            pairs.push((at, hit));
        }
    }
    pairs
}

/// M07: the first day with a key action such that enough of the working days from it are active and enough accounts
/// act in them. `accounts` = 1 for a module, where one person may be the whole department.
pub(crate) fn first_use(
    view: &View<'_>,
    to: usize,
    module: Option<Module>,
    accounts_needed: u32,
) -> Option<usize> {
    let rule = &view.profile.first_use;
    let start = view.days.iter().position(|day| day.date >= view.project.dates.contract)?;
    let active = |day: &&Day| day.actions(module) > 0;
    (start..=to).find(|from| {
        if !active(&&view.days[*from]) {
            return false;
        }
        let ahead = (*from..=to).filter(|at| view.days[*at].plan.working).take(rule.working_days as usize);
        let ahead: Vec<usize> = ahead.collect();
        let days = ahead.iter().filter(|at| active(&&view.days[**at])).count();
        let Some(last) = ahead.last().filter(|_| days >= rule.active_days as usize) else { return false };
        let acted = accounts(view, *from, *last, module, 2);
        let people: u32 = acted.iter().map(|account| account.shifts.unwrap_or(1).max(1)).sum();
        people >= accounts_needed
    })
}

/// The first day from the contract on with a key action.
pub(crate) fn first_action(view: &View<'_>, to: usize, module: Option<Module>) -> Option<usize> {
    let contract = view.project.dates.contract;
    (0..=to).find(|at| view.days[*at].date >= contract && view.days[*at].actions(module) > 0)
}

/// W as indices of days, first and last.
pub(crate) fn window(view: &View<'_>, to: usize, first_use: Option<usize>) -> usize {
    let completion = view.project.dates.completion;
    let completed = view.days.iter().position(|day| day.date >= completion).unwrap_or(to).min(to);
    let begin = match (first_use, view.profile.period.begins) {
        (None, _) => completed,
        (Some(first), Begins::FirstUse) => first,
        (Some(first), Begins::Completion) => first.max(completed),
    };
    begin.max((to + 1).saturating_sub(view.profile.period.days as usize)).min(to)
}

/// A start of use that is too young to judge by: the first key action lies fewer observed working days back than the
/// rule needs. A stray action in a system that otherwise stands still is no start: after six observed days with less
/// than 20 % (amber of M01) of them active it no longer protects.
pub(crate) fn too_young(
    view: &View<'_>,
    to: usize,
    module: Option<Module>,
    first_use: Option<usize>,
) -> Option<Usage> {
    /// Observed days after which a stray action is seen to be one.
    const STRAY_AFTER: u32 = 6;
    let minimum = view.profile.period.minimum_days;
    let first = match (first_use, first_action(view, to, module)?) {
        (Some(first), action) if Usage::count(view, first, to, module).observed_days < minimum => {
            first.max(action)
        }
        (_, action) => action,
    };
    let since = Usage::count(view, first, to, module);
    let stray = since.observed_days >= STRAY_AFTER
        && since.active_rate().is_some_and(|rate| rate < view.profile.unused.active);
    (since.observed_days < minimum && !stray).then_some(since)
}

/// The burst rule's counts: M20.
#[derive(Debug, Clone)]
pub(crate) struct BurstCount {
    /// Last of the last working days: the visit, or the day of its notice.
    pub(crate) until: usize,
    /// First day of the last working days.
    pub(crate) recent_from: usize,
    /// First day of the comparison.
    pub(crate) base_from: usize,
    /// Key actions in the last working days.
    pub(crate) recent: u64,
    /// Working days among them.
    pub(crate) recent_days: u32,
    /// Key actions in the comparison.
    pub(crate) base: u64,
    /// Observed working days of the comparison.
    pub(crate) base_days: u32,
}

/// The burst before the visit or, where it is the larger one, before the day its notice was given: who knows when the
/// visit comes stages before it, who is warned stages after. One that holds most of the actions goes before one that
/// does not, so that the choice never hides a flag.
pub(crate) fn burst(view: &View<'_>, to: usize) -> Option<BurstCount> {
    let notice = view.project.dates.notice.and_then(|date| view.at(date)).filter(|at| *at < to);
    let visit = burst_until(view, to)?;
    let Some(earlier) = notice.and_then(|at| burst_until(view, at)) else { return Some(visit) };
    let limit = view.profile.threshold(crate::MetricId::M20).map_or(f64::MAX, |threshold| threshold.amber);
    let size = |count: &BurstCount| {
        let index = count.index(view).unwrap_or(-1.0);
        (index > limit && count.share() > view.profile.burst.recent_share, index)
    };
    Some(if size(&earlier) > size(&visit) { earlier } else { visit })
}

/// Counts the last working days up to `to` and what came before, since the first key action; `None` where there is
/// none, or nothing before the last days.
fn burst_until(view: &View<'_>, to: usize) -> Option<BurstCount> {
    let rule = &view.profile.burst;
    let working = |at: &usize| view.days[*at].plan.working;
    let recent: Vec<usize> = (0..=to).rev().filter(working).take(rule.recent_days as usize).collect();
    let recent_from = *recent.last()?;
    let reach = (to + 1).saturating_sub(rule.baseline_reach as usize);
    let base_from = first_action(view, to, None)?.max(reach).min(recent_from);
    let base = Usage::count(view, base_from, recent_from.saturating_sub(1).max(base_from), None);
    let empty = base_from == recent_from;
    Some(BurstCount {
        until: to,
        recent_from,
        base_from,
        recent: (recent_from..=to).map(|at| view.days[at].actions(None)).sum(),
        recent_days: recent.len() as u32,
        base: if empty { 0 } else { base.key_actions },
        base_days: if empty { 0 } else { base.observed_days },
    })
}

impl BurstCount {
    /// M20, where the guards allow it.
    pub(crate) fn index(&self, view: &View<'_>) -> Option<f64> {
        let rule = &view.profile.burst;
        let enough = self.base_days >= rule.baseline_days && self.recent >= u64::from(rule.recent_actions);
        let rate = |actions: u64, days: u32| (actions as f64 + 1.0) / f64::from(days);
        enough.then(|| rate(self.recent, self.recent_days) / rate(self.base, self.base_days))
    }

    /// Share of the key actions since the comparison began that fall in the last days, percent.
    pub(crate) fn share(&self) -> f64 {
        crate::assessment::ratio(self.recent, self.recent + self.base) * 100.0
    }
}
