//! M23 and rule D11: stretches of a signal that were there before, to the last bit.
//!
//! A window's content tag is compared only where the window moved enough (`history::signals`), and only runs of windows
//! that repeat another run in order are counted: a single equal window is chance, an hour of them is not.

use std::collections::HashMap;

use proof::AgentId;

use crate::history::SourceKey;
use crate::view::View;

/// Windows in a row from which on a repetition counts: half an hour.
const RUN: u32 = 3;

/// Repetitions found in the signals of a firm.
#[derive(Debug, Clone, Default)]
pub(crate) struct Replay {
    /// Windows that could be compared.
    pub(crate) windows: u64,
    /// Of these, windows within runs that repeat an earlier stretch of the same point.
    pub(crate) repeated: u64,
    /// The longest run.
    pub(crate) longest: Option<Run>,
    /// Windows repeated by day of the view.
    pub(crate) days: Vec<u32>,
}

/// One stretch that repeats another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) agent: AgentId,
    /// Index in the gateway's manifest.
    pub(crate) source: u32,
    pub(crate) point: u32,
    /// Windows of ten minutes.
    pub(crate) windows: u32,
    /// Day of the view on which it lies, and on which what it repeats does.
    pub(crate) at: usize,
    pub(crate) of: usize,
}

impl Replay {
    /// Looks through days `from..=to`.
    pub(crate) fn find(view: &View<'_>, from: usize, to: usize) -> Self {
        let mut replay = Self { days: vec![0; view.days.len()], ..Self::default() };
        for (agent, chain) in view.chains() {
            for (key, source) in chain.sources.iter().filter(|(_, source)| !source.is_log()) {
                for point in &source.measures {
                    let tags = tags(view, chain, key, *point, from, to);
                    replay.of_point((agent, source.index, *point), &tags);
                }
            }
        }
        replay
    }

    /// `tags` are slots counted from the view's first day, ascending, each with its content tag.
    fn of_point(&mut self, point: (AgentId, u32, u32), tags: &[(u32, u32)]) {
        const DAY: u32 = crate::history::SLOTS as u32;
        self.windows += tags.len() as u64;
        let mut first: HashMap<u32, u32> = HashMap::with_capacity(tags.len());
        // The stretch that goes on: length, and slot of what it repeats.
        let (mut run, mut last): (u32, Option<(u32, u32)>) = (0, None);
        for (slot, tag) in tags {
            let of = *first.entry(*tag).or_insert(*slot);
            let repeats = (of != *slot).then_some((*slot, of));
            let goes_on = repeats.zip(last).is_some_and(|(now, before)| {
                now.0 - before.0 == now.1.wrapping_sub(before.1) && now.0 - before.0 <= 2
            });
            run = match (repeats, goes_on) {
                (Some(_), true) => run + 1,
                (Some(_), false) => 1,
                (None, _) => 0,
            };
            last = repeats;
            let Some((slot, of)) = repeats.filter(|_| run >= RUN) else { continue };
            // When a run begins to count, the windows before it in the run do too.
            let counts = if run == RUN { RUN } else { 1 };
            self.repeated += u64::from(counts);
            if let Some(day) = self.days.get_mut((slot / DAY) as usize) {
                *day += counts;
            }
            if self.longest.is_none_or(|longest| longest.windows < run) {
                let (agent, source, point) = point;
                let (at, of) = ((slot / DAY) as usize, (of / DAY) as usize);
                self.longest = Some(Run { agent, source, point, windows: run, at, of });
            }
        }
    }

    /// Repeated share of the windows that could be compared, percent.
    pub(crate) fn share(&self) -> f64 {
        crate::assessment::ratio(self.repeated, self.windows) * 100.0
    }
}

fn tags(
    view: &View<'_>,
    chain: &crate::history::Chain,
    key: SourceKey,
    point: u32,
    from: usize,
    to: usize,
) -> Vec<(u32, u32)> {
    let mut all = Vec::new();
    for at in from..=to {
        let of_day = chain.days.get(&view.days[at].index).and_then(|day| day.sources.get(&key));
        let Some(point) = of_day.and_then(|day| day.points.get(&point)) else { continue };
        let base = at as u32 * crate::history::SLOTS as u32;
        all.extend(point.tags.iter().map(|(slot, tag)| (base + u32::from(*slot), *tag)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(tags: &[(u32, u32)]) -> Replay {
        let mut replay = Replay { days: vec![0; 20], ..Replay::default() };
        replay.of_point((AgentId([1; 16]), 1, 0), tags);
        replay
    }

    fn day(of: u32, first: u32, tags: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
        (of * 144 + first..).zip(tags).collect()
    }

    #[test]
    fn a_day_played_again_is_found_whole_and_a_chance_equal_is_not() {
        let honest = [day(0, 48, 100..150), day(1, 48, 200..250)].concat();
        assert_eq!(find(&honest).repeated, 0);
        let chance = [honest.clone(), day(2, 48, [100, 300, 101, 301, 102])].concat();
        assert_eq!(find(&chance).repeated, 0, "single windows that are equal are chance");
        let replayed = [honest, day(7, 50, 100..150)].concat();
        let found = find(&replayed);
        assert_eq!((found.windows, found.repeated, found.days[7]), (150, 50, 50));
        assert_eq!(found.longest.map(|run| (run.windows, run.at, run.of)), Some((50, 7, 0)));
    }

    #[test]
    fn a_signal_that_repeats_itself_within_its_day_is_no_replay_of_order() {
        let periodic: Vec<u32> = (0..48).map(|at| 500 + at % 2).collect();
        let found = find(&day(0, 48, periodic));
        assert!(found.repeated < 48);
    }
}
