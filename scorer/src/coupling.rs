//! Whether people's actions and machines belong together: rule D30 and M18.
//!
//! D30 asks how many minutes with an action lie beside a minute in which a machine started or stopped, at the lag (up to
//! half an hour either way) at which most do; and how many would if each day's actions stood beside another day's
//! machines. Days are exchanged whole: lunch, shifts and a clock that is off belong to both sides and prove nothing.

use crate::minutes::Minutes;
use crate::usage::parts_of;
use crate::view::View;

/// Lags tried, minutes either way.
const LAG: i64 = 30;

/// A step between two lags tried; minutes within it count as the same.
const STEP: usize = 3;

/// Minutes with an action, and days that hold them, from which on the comparison says something.
pub(crate) const EVENTS: u64 = 40;
/// See [`EVENTS`].
pub(crate) const DAYS: usize = 8;

/// How well actions and machines go together.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Coupling {
    /// Minutes with an action of a person, on days with any start or stop of a machine.
    pub(crate) events: u64,
    /// Days with both.
    pub(crate) days: usize,
    /// Standard deviations above what exchanged days give; `None` where the sample is too small.
    pub(crate) z: Option<f64>,
    /// The lag at which most actions lie beside a machine's start or stop, minutes.
    pub(crate) lag: i64,
}

impl Coupling {
    /// Over the observed working days of `from..=to`.
    pub(crate) fn of(view: &View<'_>, from: usize, to: usize) -> Self {
        let mut pairs: Vec<(Minutes, Minutes)> = Vec::new();
        for at in (from..=to).filter(|at| view.days[*at].plan.working && !view.is_import(*at)) {
            let (live, edges) = (view.acted(at), view.machines(at).1);
            if !live.is_empty() && !edges.is_empty() {
                pairs.push((live, edges));
            }
        }
        Self::of_days(&pairs)
    }

    fn of_days(pairs: &[(Minutes, Minutes)]) -> Self {
        let events = pairs.iter().map(|(live, _)| u64::from(live.count())).sum();
        let days = pairs.len();
        let mut coupling = Self { events, days, z: None, lag: 0 };
        if events < EVENTS || days < DAYS {
            return coupling;
        }
        // Each day's starts and stops, at each lag.
        let lags: Vec<i64> = (-LAG..=LAG).step_by(STEP).collect();
        let moved: Vec<Vec<Minutes>> =
            pairs.iter().map(|(_, edges)| lags.iter().map(|lag| moved(edges, *lag)).collect()).collect();
        let peak = |shift: usize| {
            let at = |lag: usize| -> u32 {
                let day = |of: usize| pairs[of].0.and(&moved[(of + shift) % days][lag]).count();
                (0..days).map(day).sum()
            };
            (0..lags.len()).map(|lag| (at(lag), lag)).max_by_key(|(hits, lag)| (*hits, lags.len() - *lag))
        };
        let Some((hits, lag)) = peak(0) else { return coupling };
        let others: Vec<f64> = (1..days).filter_map(peak).map(|(hits, _)| f64::from(hits)).collect();
        let count = others.len() as f64;
        let mean = others.iter().sum::<f64>() / count;
        let variance = others.iter().map(|hits| (hits - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
        // Counts scatter at least as chance does.
        let spread = variance.max(mean).max(1.0).sqrt();
        coupling.z = Some((f64::from(hits) - mean) / spread);
        coupling.lag = lags[lag];
        coupling
    }
}

/// Minutes `lag` later (earlier where negative), each with the one before and after.
fn moved(edges: &Minutes, lag: i64) -> Minutes {
    let by = u32::try_from(lag.unsigned_abs()).unwrap_or(0);
    let edges = edges.around(1);
    if lag < 0 { edges.earlier(by) } else { edges.later(by) }
}

/// M18: observed (day, shift) pairs in which production was reported, and whether any machine ran in the shift or the
/// hour before it. Empty where no machine says when it runs.
pub(crate) fn reports_beside_machines(view: &View<'_>, from: usize, to: usize) -> Vec<(usize, bool)> {
    /// Minutes of work that make a shift one in which machines ran.
    const WORKED: u32 = 10;
    let mut pairs = Vec::new();
    if !view.knows_running() {
        return pairs;
    }
    for at in (from..=to).filter(|at| view.is_observed(*at, None)) {
        let reported = |at: usize| {
            let days = view.agent_days(at, at);
            days.fold(Minutes::default(), |all, day| all.or(&day.production))
        };
        let next = at + 1;
        let tomorrow = if next < view.days.len() { next } else { at };
        for shift in &view.days[at].plan.shifts {
            let (today, later) = parts_of(view, *shift);
            let later = if tomorrow == at { Minutes::default() } else { later };
            let some = |minutes: Minutes, part: &Minutes| !minutes.and(part).is_empty();
            if !some(reported(at), &today) && !some(reported(tomorrow), &later) {
                continue;
            }
            let watched = view.agent_days(at, at).any(|day| !day.up.and(&today).is_empty());
            if !watched {
                continue;
            }
            let before = today.or(&today.earlier(60));
            let ran =
                view.machines(at).0.and(&before).count() + view.machines(tomorrow).0.and(&later).count();
            pairs.push((at, ran >= WORKED));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Days with machines that start and stop at other minutes each day.
    fn days(actions: impl Fn(i64, i64) -> i64) -> Vec<(Minutes, Minutes)> {
        let mut dice: u64 = 7;
        let mut next = |below: i64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) as i64 % below
        };
        (0..40)
            .map(|day| {
                let (mut live, mut edges) = (Minutes::default(), Minutes::default());
                for _ in 0..12 {
                    let edge = 480 + next(600);
                    edges.add(edge, edge + 1);
                    let action = actions(edge, next(600));
                    live.add(action, action + 1);
                }
                let _ = day;
                (live, edges)
            })
            .collect()
    }

    #[test]
    fn actions_beside_machines_stand_out_at_any_offset_of_a_clock_and_others_do_not() {
        let beside = Coupling::of_days(&days(|edge, _| edge + 4));
        assert!(beside.z.unwrap() > 8.0, "{beside:?}");
        let clock_off = Coupling::of_days(&days(|edge, _| edge - 20));
        assert!(clock_off.z.unwrap() > 8.0, "{clock_off:?}");
        assert!((clock_off.lag + 20).abs() <= 3, "{clock_off:?}");
        let anyhow = Coupling::of_days(&days(|_, other| 480 + other));
        assert!(anyhow.z.unwrap().abs() < 3.0, "{anyhow:?}");
        let at_the_end = Coupling::of_days(&days(|_, other| 1_070 + other % 10));
        assert!(at_the_end.z.unwrap() < 3.0, "shift-end keying is not real-time: {at_the_end:?}");
    }

    #[test]
    fn too_few_days_say_nothing() {
        let few = days(|edge, _| edge);
        assert_eq!(Coupling::of_days(&few[..7]).z, None);
    }
}
