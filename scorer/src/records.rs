//! Counts about records themselves rather than about use: who wrote them, when they came, in which order, at what pace.

use proof::wire::{ActorClass, Origin};

use crate::history::UseKey;
use crate::lists::Module;
use crate::view::View;

/// Minutes around planned time, and around the work of machines, in which a person's action needs no other reason.
const AROUND: u32 = 60;

/// Working days after which a record came late: M11.
const LATE_AFTER: u32 = 3;

/// Counts over days `from..=to` of a view. A pair is part and whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records {
    /// M10: key actions of provider's accounts, and with those of people, from the hand-over on.
    pub(crate) provider: (u64, u64),
    /// M11: key actions first seen more than three working days after their date, of those whose day was watched.
    pub(crate) late: (u64, u64),
    /// Key actions that were read back with a date and no time of day.
    pub(crate) dateless: u64,
    /// M12: documents by classes of key action on them.
    pub(crate) steps: [u64; 5],
    /// M13: documents by accounts on them.
    pub(crate) hands: [u64; 4],
    /// Some of these are of fewer documents than there were.
    pub(crate) is_cut: bool,
    /// M19: key actions of interface accounts, and with those of people.
    pub(crate) interface: (u64, u64),
    /// M22: records out of order, and records with a time.
    pub(crate) order: (u64, u64),
    /// M21: records of people that share their second with another of the same account, and all.
    pub(crate) same_second: (u64, u64),
    /// M21: windows in which people's records follow each other evenly, and windows with enough of them.
    pub(crate) even: (u64, u64),
    /// M21: minutes with an action seen live outside planned time while no machine ran, and all such minutes.
    pub(crate) off_hours: (u64, u64),
    /// Days that were taken out as import days.
    pub(crate) imports: u32,
}

impl Records {
    pub(crate) fn count(view: &View<'_>, from: usize, to: usize) -> Self {
        let mut records = Self::default();
        let handed = view.project.dates.hand_over.unwrap_or(view.project.dates.completion);
        let declared =
            |module: Module| view.project.modules.iter().any(|declared| Module::of(&declared.code) == module);
        for at in from..=to {
            let day = &view.days[at];
            records.imports += u32::from(view.is_import(at));
            for of_agent in view.agent_days(at, at) {
                for (key, tally) in of_agent.uses.iter().filter(|(key, _)| counts(key)) {
                    if !declared(key.module) {
                        continue;
                    }
                    match key.class {
                        ActorClass::Human | ActorClass::SharedTerminal => {
                            records.interface.1 += tally.count;
                            records.provider.1 += if day.date >= handed { tally.count } else { 0 };
                        }
                        ActorClass::Interface => {
                            records.interface.0 += tally.count;
                            records.interface.1 += tally.count;
                        }
                        ActorClass::Provider if day.date >= handed => {
                            records.provider.0 += tally.count;
                            records.provider.1 += tally.count;
                        }
                        ActorClass::Provider | ActorClass::Excluded | ActorClass::Unspecified => {}
                    }
                }
                if !view.is_import(at) {
                    records.dateless = records.dateless.saturating_add(of_agent.dateless);
                    records.day(of_agent);
                }
            }
            records.late_of(view, at);
            records.off_hours_of(view, at);
        }
        records
    }

    fn day(&mut self, day: &crate::history::AgentDay) {
        for source in day.sources.values() {
            let pace = &source.pace;
            self.same_second.0 += pace.same_second;
            self.same_second.1 += pace.records;
            self.even.0 += u64::from(pace.even);
            self.even.1 += u64::from(pace.windows);
        }
        if let Some(sums) = &day.sums {
            self.order.0 = self.order.0.saturating_add(sums.order.0);
            self.order.1 = self.order.1.saturating_add(sums.order.1);
            for (sum, count) in self.steps.iter_mut().zip(sums.steps) {
                *sum = sum.saturating_add(count);
            }
            for (sum, count) in self.hands.iter_mut().zip(sums.hands) {
                *sum = sum.saturating_add(count);
            }
            self.is_cut |= sums.is_cut;
        }
    }

    fn late_of(&mut self, view: &View<'_>, at: usize) {
        for act in view.days[at].acts.iter().filter(|act| view.was_watched(at, act.module)) {
            let seen = (at + usize::from(act.lag)).min(view.days.len() - 1);
            if view.is_import(seen) {
                continue;
            }
            let between = &view.days[at + 1..=seen.max(at)];
            let working = between.iter().map(|day| u32::from(day.plan.working)).sum::<u32>();
            self.late.1 += act.count;
            self.late.0 += if working > LATE_AFTER { act.count } else { 0 };
        }
    }

    fn off_hours_of(&mut self, view: &View<'_>, at: usize) {
        let live = view.live(at);
        if live.is_empty() || view.is_import(at) {
            return;
        }
        let mut usual = view.days[at].plan.minutes.around(AROUND);
        // What is keyed in after a shift that ends at midnight is the next day's.
        if at > 0 && view.days[at - 1].plan.minutes.has(1_439) {
            usual.add(0, i64::from(AROUND));
        }
        usual = usual.or(&view.machines(at).0.around(AROUND));
        self.off_hours.0 += u64::from(live.without(&usual).count());
        self.off_hours.1 += u64::from(live.count());
    }

    /// M21: what looks like a script, by name.
    pub(crate) fn signs(&self) -> [(bool, crate::Text); 3] {
        use crate::assessment::ratio;
        let percent = |pair: (u64, u64)| ratio(pair.0, pair.1) * 100.0;
        let (same, even, off) = (percent(self.same_second), percent(self.even), percent(self.off_hours));
        [
            (
                self.same_second.1 >= 200 && same > 30.0,
                crate::Text::new(
                    format!("{} 条人工记录中 {:.1}% 与同账号另一条同秒", self.same_second.1, same),
                    format!(
                        "{same:.1} % of {} records of people share their second with another of the same account",
                        self.same_second.1
                    ),
                ),
            ),
            (
                self.even.1 >= 20 && even > 50.0,
                crate::Text::new(
                    format!("{} 个窗口中 {:.1}% 的人工记录间隔均匀（变异系数 < 0.2）", self.even.1, even),
                    format!(
                        "people's records follow each other evenly (variation < 0.2) in {even:.1} % of {} windows",
                        self.even.1
                    ),
                ),
            ),
            (
                self.off_hours.1 >= 60 && off > 40.0,
                crate::Text::new(
                    format!("{} 个有人工动作的分钟中 {:.1}% 在班外且没有设备运行", self.off_hours.1, off),
                    format!(
                        "{off:.1} % of {} minutes with actions lie outside the shifts while no machine ran",
                        self.off_hours.1
                    ),
                ),
            ),
        ]
    }
}

/// Whether a row is a key action that may decide, of whomever.
fn counts(key: &UseKey) -> bool {
    key.action.is_key() && key.grade.decides() && key.origin != Origin::Declared
}
