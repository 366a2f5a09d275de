//! What machines' signals look like over a period: dead registers, generators, and days that are nearly another's.
//!
//! Only measured values are looked at (role *measure*), and only while the machine ran where the manifest has a running
//! point: set points, counters and machines at rest repeat honestly.

use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

use crate::history::{Chain, PointDay, SLOTS, SourceKey, SourceView, Texture, UNKNOWN};
use crate::minutes::Minutes;
use crate::view::View;

/// One measured signal over days of a view.
#[derive(Debug, Clone)]
pub(crate) struct Signal {
    /// Index in its gateway's manifest.
    pub(crate) source: u32,
    pub(crate) point: u32,
    /// Windows in which its machine ran throughout, and of these such in which it had not moved for half an hour: D10.
    pub(crate) busy: (u64, u64),
    /// Days on which it moved while its machine ran.
    pub(crate) active_days: usize,
    /// D12: median over days of the best step correlation with another day, -1 to 1; `None` below ten days.
    pub(crate) near: Option<f64>,
    /// D13: strongest spectral line among periods up to 400 minutes, share of all of them.
    pub(crate) tone: Option<f64>,
    /// D14: how much its texture varies from window to window; small for a generator.
    pub(crate) variety: Option<f64>,
    /// D14: how much of a window's mean level is the one before it, -1 to 1; chance around a constant remembers nothing.
    pub(crate) memory: Option<f64>,
    /// Its texture.
    pub(crate) texture: Texture,
    /// D12: its machine starts and stops at the minutes of one other day, and not at those of most: over days, the
    /// median of by how much the largest share of starts and stops that another day has too (a quarter of an hour of
    /// shift allowed) exceeds the usual share. `None` below ten days with four of them, and where no signal of the
    /// machine is nearly another day's. A machine that is run by the clock has the same minutes on all days.
    pub(crate) retraced: Option<f64>,
    /// Its machine runs as nobody's does - it never stops, or starts and stops at the same minutes every day - and its
    /// device answers with almost no spread. Either alone is honest: ovens run by timers, furnaces for weeks.
    pub(crate) unattended: bool,
}

impl Signal {
    /// Source and point, as a chart names it: the manifest's names do not leave the factory.
    pub(crate) fn label(&self) -> String {
        format!("#{}.{}", self.source, self.point)
    }
}

/// D12: beyond this correlation a day is nearly another.
pub(crate) const NEAR: f64 = 0.8;

/// Days needed for D12 and D13.
const DAYS: usize = 10;

/// Windows needed for D14.
const WINDOWS: u32 = 200;

/// All measured signals of the project's gateways over days `from..=to`.
pub(crate) fn signals(view: &View<'_>, from: usize, to: usize) -> Vec<Signal> {
    let mut signals = Vec::new();
    let mut planner = FftPlanner::new();
    for (_, chain) in view.chains() {
        for (key, source) in chain.sources.iter().filter(|(_, source)| !source.is_log()) {
            let edges = edges(view, chain, (key, source), (from, to));
            let unattended = unattended(&edges) && answers_alike(view, chain, key, (from, to));
            let first = signals.len();
            for point in &source.measures {
                let signal = signal(view, chain, (key, source), *point, (from, to), &mut planner);
                signals.push(Signal { unattended, ..signal });
            }
            let of_source = &mut signals[first..];
            // Comparing every day's minutes with every other's takes its time, and says something only of such.
            if of_source.iter().any(|signal| signal.near.is_some_and(|near| near > NEAR)) {
                let retraced = retraced(&edges);
                of_source.iter_mut().for_each(|signal| signal.retraced = retraced);
            }
        }
    }
    signals
}

fn signal(
    view: &View<'_>,
    chain: &Chain,
    (key, source): (SourceKey, &SourceView),
    point: u32,
    (from, to): (usize, usize),
    planner: &mut FftPlanner<f32>,
) -> Signal {
    let mut signal = Signal {
        source: source.index,
        point,
        busy: (0, 0),
        active_days: 0,
        near: None,
        tone: None,
        variety: None,
        memory: None,
        texture: Texture::default(),
        retraced: None,
        unattended: false,
    };
    let mut days: Vec<Levels> = Vec::new();
    let mut series = Vec::with_capacity((to - from + 1) * SLOTS);
    for day in &view.days[from..=to] {
        let of_source = chain.days.get(&day.index).and_then(|day| day.sources.get(&key));
        let of_point = of_source.and_then(|of| of.points.get(&point));
        if let Some(of_point) = of_point {
            signal.busy.0 += u64::from(of_point.busy);
            signal.busy.1 += u64::from(of_point.still);
            signal.texture.add(&of_point.texture);
        }
        let runs = of_source.filter(|_| source.tells_running()).map(|of| of.running);
        let levels = of_point.map_or([None; SLOTS], |of| levels(of, runs.as_ref()));
        series.extend_from_slice(&levels);
        if moved(&levels) {
            days.push(levels);
        }
    }
    signal.active_days = days.len();
    if days.len() >= DAYS {
        signal.near = near(&days);
        signal.tone = tone(&series, planner);
        signal.memory = memory(&series);
    }
    signal.variety = variety(&signal.texture);
    signal
}

/// Mean levels of a day's slots; `None` outside of work.
type Levels = [Option<f32>; SLOTS];

fn levels(day: &PointDay, runs: Option<&Minutes>) -> Levels {
    let Some(levels) = &day.levels else { return [None; SLOTS] };
    std::array::from_fn(|slot| {
        let busy = runs.is_none_or(|runs| (0..10).all(|minute| runs.has(slot as i64 * 10 + minute)));
        (levels[slot] != UNKNOWN && busy).then_some(f32::from(levels[slot]))
    })
}

/// A day that says something: four hours of work or more, with levels that differ.
fn moved(levels: &Levels) -> bool {
    let known: Vec<f32> = levels.iter().flatten().copied().collect();
    let mean = known.iter().sum::<f32>() / known.len().max(1) as f32;
    known.len() >= 24 && known.iter().any(|level| (level - mean).abs() >= 2.0)
}

/// Days compared with each other at most; more are thinned out evenly.
const COMPARED: usize = 40;

/// D12: for each day the best correlation of its steps with any other day's, half an hour of shift allowed, and of these
/// the median.
fn near(days: &[Levels]) -> Option<f64> {
    let every = days.len().div_ceil(COMPARED).max(1);
    let steps: Vec<Levels> = days.iter().step_by(every).map(steps).collect();
    let mut best: Vec<f64> = Vec::new();
    for (at, one) in steps.iter().enumerate() {
        let others = steps.iter().enumerate().filter(|(other, _)| *other != at);
        let values =
            others.flat_map(|(_, other)| (-1..=1).filter_map(move |lag| correlation(one, other, lag)));
        best.extend(
            values.fold(None, |best: Option<f64>, value| Some(best.map_or(value, |best| best.max(value)))),
        );
    }
    best.sort_unstable_by(f64::total_cmp);
    best.get(best.len() / 2).copied()
}

fn steps(levels: &Levels) -> Levels {
    std::array::from_fn(|slot| {
        let before = slot.checked_sub(1).and_then(|before| levels[before]);
        Some(levels[slot]? - before?)
    })
}

/// Pearson's correlation of two days' steps, the other moved by `lag` slots; `None` below 24 common steps or where one
/// does not move.
fn correlation(one: &Levels, other: &Levels, lag: i64) -> Option<f64> {
    let (mut n, mut sums, mut squares, mut product) = (0.0_f64, (0.0, 0.0), (0.0, 0.0), 0.0);
    for (slot, x) in one.iter().enumerate() {
        let beside =
            usize::try_from(slot as i64 + lag).ok().and_then(|slot| other.get(slot).copied().flatten());
        let Some((x, y)) = x.zip(beside) else { continue };
        let (x, y) = (f64::from(x), f64::from(y));
        n += 1.0;
        sums = (sums.0 + x, sums.1 + y);
        squares = (squares.0 + x * x, squares.1 + y * y);
        product += x * y;
    }
    let spread = |sum: f64, square: f64| square - sum * sum / n;
    let (x, y) = (spread(sums.0, squares.0), spread(sums.1, squares.1));
    (n >= 24.0 && x > n * 0.25 && y > n * 0.25).then(|| (product - sums.0 * sums.1 / n) / (x * y).sqrt())
}

/// D13: the power of the strongest line, with its neighbours, among periods of 20 to 400 minutes, as a share of all of
/// them. What is not known is the mean.
fn tone(series: &[Option<f32>], planner: &mut FftPlanner<f32>) -> Option<f64> {
    let known: Vec<f32> = series.iter().flatten().copied().collect();
    let mean = known.iter().sum::<f32>() / known.len().max(1) as f32;
    let length = series.len().next_power_of_two();
    let mut buffer = vec![Complex::new(0.0, 0.0); length];
    for (at, level) in buffer.iter_mut().zip(series) {
        at.re = level.map_or(0.0, |level| level - mean);
    }
    planner.plan_fft_forward(length).process(&mut buffer);
    let slowest = length / 40;
    let power: Vec<f64> =
        buffer.get(slowest..length / 2)?.iter().map(|line| f64::from(line.norm_sqr())).collect();
    let all: f64 = power.iter().sum();
    let line = power.windows(5).map(|around| around.iter().sum::<f64>()).fold(0.0, f64::max);
    (all > 0.0).then(|| line / all)
}

/// Neighbouring windows needed for a signal's memory.
const PAIRS: usize = 500;

/// Correlation of a window's mean level with that of the next.
fn memory(series: &[Option<f32>]) -> Option<f64> {
    let pairs: Vec<(f64, f64)> =
        series.windows(2).filter_map(|pair| Some((f64::from(pair[0]?), f64::from(pair[1]?)))).collect();
    if pairs.len() < PAIRS {
        return None;
    }
    let n = pairs.len() as f64;
    let mean = pairs.iter().fold((0.0, 0.0), |sum, (x, y)| (sum.0 + x / n, sum.1 + y / n));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in &pairs {
        let (x, y) = (x - mean.0, y - mean.1);
        (xx, yy, xy) = (xx + x * x, yy + y * y, xy + x * y);
    }
    // Below a unit of the sketch's scale nothing moves.
    (xx > n && yy > n).then(|| xy / (xx * yy).sqrt())
}

/// Windows with response times needed to say how a device answers.
const ANSWERS: u32 = 500;

/// Whether a device answers with almost no spread in nearly all windows, as a program beside the gateway does: rule D17.
fn answers_alike(view: &View<'_>, chain: &Chain, key: SourceKey, (from, to): (usize, usize)) -> bool {
    let days = view.days[from..=to].iter().filter_map(|day| chain.days.get(&day.index)?.sources.get(&key));
    let (windows, still) = days.fold((0, 0), |sum, day| (sum.0 + day.wire.windows, sum.1 + day.wire.still));
    windows >= ANSWERS && u64::from(still) * 10 > u64::from(windows) * 9
}

/// Starts and stops of a machine on each day on which it ran for an hour; none where it does not say when it runs.
fn edges<'a>(
    view: &View<'a>,
    chain: &'a Chain,
    (key, source): (SourceKey, &SourceView),
    (from, to): (usize, usize),
) -> Vec<&'a Minutes> {
    if !source.tells_running() {
        return Vec::new();
    }
    let days = view.days[from..=to].iter().filter_map(|day| chain.days.get(&day.index)?.sources.get(&key));
    days.filter(|day| day.running.count() >= 60).map(|day| &day.edges).collect()
}

/// Minutes by which a day may lie beside the one it retraces.
const SHIFT: i64 = 15;

/// See [`Signal::retraced`].
fn retraced(edges: &[&Minutes]) -> Option<f64> {
    let every = edges.len().div_ceil(COMPARED).max(1);
    let moved = edges.iter().filter(|day| day.count() >= 4).copied();
    let days: Vec<&Minutes> = moved.step_by(every).collect();
    if days.len() < DAYS {
        return None;
    }
    let near: Vec<Minutes> = days.iter().map(|day| day.around(1)).collect();
    let share = |one: &Minutes, other: &Minutes| {
        let at = |shift: i64| {
            let by = u32::try_from(shift.unsigned_abs()).unwrap_or(0);
            let moved = if shift < 0 { one.earlier(by) } else { one.later(by) };
            moved.and(other).count()
        };
        let most = (-SHIFT..=SHIFT).map(at).max().unwrap_or(0);
        f64::from(most) / f64::from(one.count())
    };
    let contrast = |at: usize| {
        let others = near.iter().enumerate().filter(|(other, _)| *other != at);
        let mut shares: Vec<f64> = others.map(|(_, other)| share(days[at], other)).collect();
        shares.sort_unstable_by(f64::total_cmp);
        shares.last().copied().unwrap_or(0.0) - shares.get(shares.len() / 2).copied().unwrap_or(0.0)
    };
    let mut contrasts: Vec<f64> = (0..days.len()).map(contrast).collect();
    contrasts.sort_unstable_by(f64::total_cmp);
    contrasts.get(contrasts.len() / 2).copied()
}

/// Days on which a machine ran for an hour, needed to say how it is run.
const RUN_DAYS: usize = 20;

/// Whether a machine never stops, or nearly all of its starts and stops come at minutes of the day at which it does so
/// on more than half of all days.
fn unattended(edges: &[&Minutes]) -> bool {
    if edges.len() < RUN_DAYS {
        return false;
    }
    let moved = edges.iter().filter(|day| !day.is_empty()).count();
    if moved * 10 < edges.len() {
        return true;
    }
    let (mut all, mut by_the_clock) = (0, 0);
    for minute in 0..crate::DAY_MINUTES {
        let count = edges.iter().filter(|day| day.has(minute)).count();
        all += count;
        by_the_clock += if count * 2 > edges.len() { count } else { 0 };
    }
    by_the_clock * 10 > all * 8
}

/// D14: how much entropy, noise and smoothness vary between windows, each against its usual size, the largest of the
/// three. A machine under work changes; a formula does not.
fn variety(texture: &Texture) -> Option<f64> {
    if texture.windows < WINDOWS {
        return None;
    }
    let n = f64::from(texture.windows);
    let spread = |sum: f64, square: f64| ((square - sum * sum / n).max(0.0) / n).sqrt();
    let noise = spread(texture.noise.0 as f64, texture.noise.1 as f64) / 250.0;
    let entropy = spread(texture.entropy.0 as f64, texture.entropy.1 as f64) / 1_000.0;
    let smooth = spread(texture.autocorr.0 as f64, texture.autocorr.1 as f64) / 500.0;
    Some(noise.max(entropy).max(smooth))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: &mut u64) -> f32 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 40) as f32 / (1_u64 << 24) as f32
    }

    fn day(mut level: impl FnMut(usize) -> f32) -> Levels {
        std::array::from_fn(|slot| (48..108).contains(&slot).then(|| level(slot)))
    }

    #[test]
    fn a_day_played_again_with_noise_and_a_shift_is_near_and_honest_days_are_not() {
        let mut seed = 3;
        let mut walk = 70.0;
        let mut honest = || {
            day(|_| {
                walk = (walk + (noise(&mut seed) - 0.5) * 30.0).clamp(20.0, 130.0);
                walk
            })
        };
        let days: Vec<Levels> = (0..20).map(|_| honest()).collect();
        assert!(near(&days).unwrap() < 0.6, "{:?}", near(&days));
        let mut seed = 9;
        let first = days[0];
        let replayed: Vec<Levels> = (0..20)
            .map(|at| {
                let shift = at % 2;
                std::array::from_fn(|slot| {
                    let level = first.get(slot + shift).copied().flatten();
                    level.map(|level| level + (noise(&mut seed) - 0.5) * 4.0)
                })
            })
            .collect();
        assert!(near(&replayed).unwrap() > 0.85, "{:?}", near(&replayed));
    }

    #[test]
    fn a_sine_is_one_line_and_noise_is_none() {
        let mut planner = FftPlanner::new();
        let sine: Vec<_> = (0..4_000).map(|at| Some(70.0 + 50.0 * (at as f32 * 0.4).sin())).collect();
        assert!(tone(&sine, &mut planner).unwrap() > 0.9);
        let mut seed = 5;
        let mixed: Vec<_> = (0..4_000).map(|_| Some(noise(&mut seed) * 140.0)).collect();
        assert!(tone(&mixed, &mut planner).unwrap() < 0.2);
    }
}
