//! One machine: what the recordings say it does at any moment.
//!
//! A pure function of time. Power of a quarter hour is its recorded energy over 0.25 h, held over the quarter; the
//! energy counter accrues evenly between readings, in whole watt hours, and only ever grows. Several machines are
//! made of one recording without noise: each takes its own stretch of weeks, or every n-th reading from its own
//! phase (held n steps), and a fixed share of the works' load. A machine that is switched off for a declared stop
//! draws nothing.

use jiff::civil::Date;

use crate::recordings::{FIVE_MINUTES_MS, QUARTER_MS, Steel, Stretch, Temperature};

/// Recorded energy of a quarter hour, in 1/100 kWh, from which the works runs. Between 10 and 20 kWh lie 323 of the
/// 35,040 readings: the line is drawn through an empty valley.
const RUNNING_FROM: u16 = 1_000;
/// Recorded energy, in 1/100 kWh, from which something stands by.
const STANDBY_FROM: u16 = 500;
/// Wh in one unit of the recording (1/100 kWh).
const UNIT_WH: u64 = 10;

/// Which part of a recording a machine takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Take {
    /// Weeks into the recording.
    pub weeks: u16,
    /// Takes one reading in so many, and holds it as long. 1 takes all.
    pub every: u16,
    /// Which of those.
    pub phase: u16,
}

/// What a machine is made of.
#[derive(Debug, Clone)]
pub struct MachineSpec {
    /// Its part of the steel recording.
    pub power: Take,
    /// It draws one part in so many of the works' load.
    pub share: u16,
    /// What its energy counter reads at the start, Wh.
    pub meter_wh: u64,
    /// Energy drawn while running for one part made, Wh.
    pub part_wh: u32,
    /// Its part of the temperature recording, if it has a sensor.
    pub temperature: Option<Take>,
    /// When it is switched off: from and to, Unix milliseconds, in order and apart.
    pub off: Vec<(i64, i64)>,
}

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Draws next to nothing.
    Off,
    /// Draws, but does not work.
    Standby,
    /// Works.
    Running,
}

impl State {
    /// As OPC UA servers show it: 0 off, 1 standby, 2 running.
    pub const fn code(self) -> i32 {
        match self {
            Self::Off => 0,
            Self::Standby => 1,
            Self::Running => 2,
        }
    }
}

/// What its sensors show at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// What it does.
    pub state: State,
    /// Active power, W.
    pub power_w: u64,
    /// Lagging reactive power, var.
    pub reactive_var: u64,
    /// Energy counter, Wh.
    pub energy_wh: u64,
    /// Parts made since the start.
    pub parts: u64,
    /// Temperature in 1/100 degree.
    pub temperature: Option<i16>,
}

/// A machine that can be asked what it does at any moment from its start on.
#[derive(Debug)]
pub struct Machine {
    spec: MachineSpec,
    start_ms: i64,
    stretch: Stretch,
    heat: Stretch,
    /// Recorded energy of each quarter hour as this machine takes it.
    units: Vec<u16>,
    reactive: Vec<u16>,
    /// Sum of all units before each quarter hour, and of those while running.
    before: Vec<(u64, u64)>,
    /// Sum of all.
    total: (u64, u64),
}

impl Machine {
    /// A machine whose calendar begins on `start`, at 00:00 China Standard Time.
    pub fn new(spec: MachineSpec, start: Date) -> Self {
        let steel = Steel::recorded();
        let stretch = Stretch::new(steel.first(), start, spec.power.weeks);
        let heat_weeks = spec.temperature.map_or(0, |take| take.weeks);
        let heat = Stretch::new(Temperature::recorded().first(), start, heat_weeks);
        let units = taken(steel.usage(), spec.power);
        let mut total = (0, 0);
        let before = units
            .iter()
            .map(|unit| {
                let so_far = total;
                total.0 += u64::from(*unit);
                total.1 += if *unit >= RUNNING_FROM { u64::from(*unit) } else { 0 };
                so_far
            })
            .collect();
        let reactive = taken(steel.reactive(), spec.power);
        let start_ms = crate::recordings::midnight_ms(start);
        Self { spec, start_ms, stretch, heat, units, reactive, before, total }
    }

    /// What it shows at this Unix millisecond.
    pub fn at(&self, wall_ms: i64) -> Reading {
        let (quarter, _, _) = self.place(wall_ms);
        let share = u64::from(self.spec.share.max(1));
        let temperature = self.temperature(wall_ms);
        let (energy, running) = self.drawn(wall_ms);
        let parts = running / u64::from(self.spec.part_wh.max(1));
        let energy_wh = self.spec.meter_wh + energy;
        if self.is_off(wall_ms) {
            return Reading { state: State::Off, power_w: 0, reactive_var: 0, energy_wh, parts, temperature };
        }
        Reading {
            state: state(self.units[quarter]),
            power_w: u64::from(self.units[quarter]) * UNIT_WH * 4 / share,
            reactive_var: u64::from(self.reactive[quarter]) * UNIT_WH * 4 / share,
            energy_wh,
            parts,
            temperature,
        }
    }

    /// True when it has a temperature sensor.
    pub fn has_temperature(&self) -> bool {
        self.spec.temperature.is_some()
    }

    /// True while the machine works at this Unix millisecond.
    pub fn runs_at(&self, wall_ms: i64) -> bool {
        !self.is_off(wall_ms) && state(self.units[self.place(wall_ms).0]) == State::Running
    }

    /// Minutes of a span in which it works.
    pub fn running_minutes(&self, from_ms: i64, to_ms: i64) -> usize {
        (from_ms..to_ms).step_by(60_000).filter(|at| self.runs_at(*at)).count()
    }

    fn is_off(&self, wall_ms: i64) -> bool {
        self.spec.off.iter().any(|(from, to)| (*from..*to).contains(&wall_ms))
    }

    /// The quarter hour within the recording, the milliseconds into it, and how often the recording started over.
    fn place(&self, wall_ms: i64) -> (usize, u64, u64) {
        let since = self.stretch.at(wall_ms);
        let quarters = since.div_euclid(QUARTER_MS);
        let length = i64::try_from(self.units.len()).expect("a year has 34,944 quarters");
        let quarter = usize::try_from(quarters.rem_euclid(length)).expect("a remainder is not negative");
        let into = u64::try_from(since.rem_euclid(QUARTER_MS)).expect("a remainder is not negative");
        (quarter, into, u64::try_from(quarters.div_euclid(length)).unwrap_or_default())
    }

    /// Wh drawn from the start to this moment: in all, and while running. Declared stops draw nothing.
    fn drawn(&self, wall_ms: i64) -> (u64, u64) {
        let mut sum = (0, 0);
        let mut add = |from: i64, to: i64| {
            if from < to {
                let (low, high) = (self.raw(from), self.raw(to));
                sum.0 += high.0 - low.0;
                sum.1 += high.1 - low.1;
            }
        };
        let mut from = self.start_ms;
        for (off, on) in &self.spec.off {
            add(from, wall_ms.min(*off));
            from = from.max(*on);
        }
        add(from, wall_ms);
        let scale = u64::from(self.spec.share.max(1)) * QUARTER_MS.unsigned_abs();
        (sum.0 / scale, sum.1 / scale)
    }

    /// Running sums since the recording began: in all, and while running; in Wh times share times [`QUARTER_MS`].
    fn raw(&self, wall_ms: i64) -> (u64, u64) {
        let (quarter, into, rounds) = self.place(wall_ms);
        let before = self.before[quarter];
        let unit = u64::from(self.units[quarter]);
        let working = if self.units[quarter] >= RUNNING_FROM { unit } else { 0 };
        let sum = |rounds_sum: u64, before: u64, unit: u64| {
            UNIT_WH * ((rounds * rounds_sum + before) * QUARTER_MS.unsigned_abs() + unit * into)
        };
        (sum(self.total.0, before.0, unit), sum(self.total.1, before.1, working))
    }

    fn temperature(&self, wall_ms: i64) -> Option<i16> {
        let take = self.spec.temperature?;
        let readings = Temperature::recorded().hundredths();
        let steps = self.heat.at(wall_ms).div_euclid(FIVE_MINUTES_MS);
        let length = i64::try_from(readings.len()).expect("eleven weeks have 22,176 readings");
        let step = usize::try_from(steps.rem_euclid(length)).expect("a remainder is not negative");
        Some(readings[chosen(step, take, readings.len())])
    }
}

/// The reading that stands at `step` when one in `every` is taken.
fn chosen(step: usize, take: Take, length: usize) -> usize {
    let every = usize::from(take.every.max(1));
    (step / every * every + usize::from(take.phase) % every).min(length - 1)
}

fn taken(values: &[u16], take: Take) -> Vec<u16> {
    (0..values.len()).map(|step| values[chosen(step, take, values.len())]).collect()
}

fn state(unit: u16) -> State {
    match unit {
        RUNNING_FROM.. => State::Running,
        STANDBY_FROM.. => State::Standby,
        _ => State::Off,
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::recordings::{DAY_MS, midnight_ms};

    const START: Date = date(2026, 7, 22);

    fn spec() -> MachineSpec {
        let power = Take { weeks: 9, every: 1, phase: 0 };
        MachineSpec { power, share: 8, meter_wh: 5_000, part_wh: 900, temperature: None, off: Vec::new() }
    }

    #[test]
    fn the_counter_is_the_integral_of_the_power() {
        let machine = Machine::new(spec(), START);
        let start = midnight_ms(START);
        assert_eq!(machine.at(start).energy_wh, 5_000);
        let mut integral = 0.0;
        let mut before = 5_000;
        for minute in 0..60 * 1_440 {
            let at = machine.at(start + minute * 60_000);
            assert!(at.energy_wh >= before);
            assert!((at.energy_wh as f64 - 5_000.0 - integral).abs() < 60.0, "minute {minute}");
            integral += at.power_w as f64 / 60.0;
            before = at.energy_wh;
        }
        assert!(integral > 1_000_000.0);
    }

    #[test]
    fn nights_and_most_sundays_stand_and_weekdays_run() {
        let machine = Machine::new(spec(), START);
        let mut hours = [0; 7];
        for day in 0..56 {
            let midnight = midnight_ms(START) + day * DAY_MS;
            let (date, _) = crate::recordings::local_day(midnight);
            let weekday = usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
            hours[weekday] += machine.running_minutes(midnight, midnight + DAY_MS) / 60;
        }
        // Eight weeks; some Sundays were worked, as they were in the recording.
        assert!(hours[..5].iter().all(|sum| *sum > 2 * hours[6]), "{hours:?}");
        let night = midnight_ms(date(2026, 7, 24)) + 3 * 3_600_000;
        assert_eq!(machine.running_minutes(night, night + 3_600_000), 0);
    }

    #[test]
    fn a_machine_switched_off_draws_and_makes_nothing() {
        let (from, to) = (midnight_ms(date(2026, 7, 23)), midnight_ms(date(2026, 7, 25)));
        let machine = Machine::new(MachineSpec { off: vec![(from, to)], ..spec() }, START);
        assert_eq!(machine.running_minutes(from, to), 0);
        let (first, last) = (machine.at(from), machine.at(to - 1));
        assert_eq!((first.energy_wh, first.parts, first.power_w), (last.energy_wh, last.parts, 0));
        assert!(machine.at(to + DAY_MS).energy_wh >= last.energy_wh);
    }

    #[test]
    fn machines_of_one_stretch_differ_when_their_phases_do() {
        let phase = |phase| {
            let power = Take { weeks: 9, every: 2, phase };
            Machine::new(MachineSpec { power, ..spec() }, START)
        };
        let (one, two) = (phase(0), phase(1));
        let start = midnight_ms(START);
        let same = (0..2_880).filter(|half| {
            let at = start + half * 2 * QUARTER_MS;
            one.at(at).power_w == two.at(at).power_w
        });
        assert!(same.count() < 400);
    }

    #[test]
    fn a_machine_past_the_end_of_its_recording_counts_on() {
        let machine = Machine::new(spec(), START);
        let start = midnight_ms(START);
        let year = machine.at(start + 364 * DAY_MS).energy_wh;
        let two = machine.at(start + 2 * 364 * DAY_MS).energy_wh;
        assert_eq!((two - 5_000) / 10, (year - 5_000) * 2 / 10);
    }
}
