//! Machines by the minute: when they run, what they draw, how warm they are.

use crate::dice::Dice;

/// Minutes of a day.
pub(crate) const DAY: usize = 1_440;

/// One machine over all days of a factory.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Whether it runs, by minute.
    pub running: Vec<bool>,
    /// Power, kW, with the resolution of its meter.
    pub power: Vec<f32>,
    /// Temperature of its drive, °C.
    pub heat: Vec<f32>,
    /// Minutes in which it does not answer: off, unplugged.
    pub silent: Vec<(usize, usize)>,
    /// Usual response time, µs, and how much it scatters.
    pub answer_us: (f64, f64),
    /// Minutes at which a job ends: something was made.
    pub done: Vec<usize>,
}

/// How a machine works.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habit {
    /// Length of a job, minutes on average.
    pub(crate) job: f64,
    /// Between two jobs, minutes on average.
    pub(crate) change: f64,
    /// Stands at noon.
    pub(crate) rests: bool,
    /// Runs through for weeks.
    pub(crate) through: bool,
    /// Repeats one programme, the same for weeks: injection moulding, presses.
    pub(crate) fixed: bool,
    /// An oven under a timer and a controller.
    pub(crate) oven: bool,
}

impl Machine {
    /// A machine that works in the minutes `planned` says, as machines do.
    pub(crate) fn honest(dice: &mut Dice, planned: &[bool], habit: Habit) -> Self {
        let mut machine = Self::idle(dice, planned.len());
        machine.work(dice, planned, habit);
        if habit.fixed {
            machine.repeat(dice);
        } else {
            machine.draw(dice);
        }
        machine
    }

    fn idle(dice: &mut Dice, minutes: usize) -> Self {
        let usual = 1_500.0 + dice.unit() * 25_000.0;
        Self {
            running: vec![false; minutes],
            power: vec![0.0; minutes],
            heat: vec![0.0; minutes],
            silent: Vec::new(),
            answer_us: (usual, 0.05 + dice.unit() * 0.25),
            done: Vec::new(),
        }
    }

    /// When it runs.
    fn work(&mut self, dice: &mut Dice, planned: &[bool], habit: Habit) {
        let mut at = 0;
        while at < planned.len() {
            if !planned[at] {
                at += 1;
                continue;
            }
            if at == 0 || !planned[at - 1] {
                at += dice.between(2, 25) as usize;
            }
            let job = if habit.through { 3_000.0 + dice.wait(9_000.0) } else { 8.0 + dice.wait(habit.job) };
            let end = (at + job as usize).min(planned.len());
            let mut minute = at;
            while minute < end && planned[minute] {
                let of_day = minute % DAY;
                if habit.rests && (720..770).contains(&of_day) {
                    break;
                }
                self.running[minute] = true;
                minute += 1;
            }
            if minute > at {
                self.done.push(minute - 1);
            }
            let mut pause = 1.0 + dice.wait(habit.change);
            if dice.chance(0.02) {
                pause += dice.wait(70.0);
            }
            at = minute + pause as usize;
            if habit.rests && (720..770).contains(&(minute % DAY)) {
                at = minute - minute % DAY + 770 + dice.between(0, 15) as usize;
            }
        }
    }

    /// What meters show.
    fn draw(&mut self, dice: &mut Dice) {
        let rated = 20.0 + dice.unit() * 120.0;
        let grain = if dice.chance(0.1) { 1.0 } else { 0.1 };
        let warm_grain = if dice.chance(0.15) { 1.0 } else { 0.1 };
        let (mut level, mut swing, mut cycle) = (rated * 0.6, 0.0, (6.0, 0.05));
        let mut heat = 24.0;
        for at in 0..self.running.len() {
            if self.running[at] && (at == 0 || !self.running[at - 1] || dice.chance(0.006)) {
                level = rated * (0.35 + dice.unit() * 0.55);
                cycle = (3.0 + dice.unit() * 14.0, dice.unit() * 0.12);
            }
            swing = swing * 0.75 + dice.normal(0.0, rated * (0.008 + cycle.1 * 0.1));
            let power = if self.running[at] {
                let wave = (at as f64 / cycle.0 * std::f64::consts::TAU).sin() * rated * cycle.1;
                (level + swing + wave + dice.normal(0.0, rated * 0.004)).max(0.5)
            } else {
                0.0
            };
            let outside = 22.0 + 4.0 * ((at % DAY) as f64 / DAY as f64 * std::f64::consts::TAU - 2.3).sin();
            heat += (outside + power / rated * 45.0 - heat) / 25.0 + dice.normal(0.0, 0.06);
            self.power[at] = grained(power, grain);
            self.heat[at] = grained(heat, warm_grain);
        }
    }

    /// An oven that a timer switches: it runs when it is planned to, to the minute, and a controller keeps it warm.
    pub(crate) fn oven(dice: &mut Dice, planned: &[bool]) -> Self {
        let mut machine = Self::idle(dice, planned.len());
        let (target, reach) = (90.0 + dice.unit() * 150.0, 2.0 + dice.unit() * 4.0);
        let (rated, inertia) = (6.0 + dice.unit() * 30.0, 15.0 + dice.unit() * 40.0);
        let grain = *dice.pick(&[0.1, 0.5, 1.0]);
        let (mut heat, mut on) = (24.0, false);
        // A batch is in it for an hour or two.
        let batch = dice.between(45, 150) as usize;
        for (at, planned) in planned.iter().enumerate() {
            machine.running[at] = *planned;
            on = *planned && if on { heat < target + reach } else { heat < target - reach };
            let aim = if on { target * 1.6 } else { 24.0 };
            heat += (aim - heat) / inertia + dice.normal(0.0, 0.08);
            machine.heat[at] = grained(heat, grain);
            let drawn = if on { rated + dice.normal(0.0, 0.05) } else { 0.4 };
            machine.power[at] = if *planned { grained(drawn, 0.1) } else { 0.0 };
            if *planned && at % batch == 0 {
                machine.done.push(at);
            }
        }
        machine
    }

    /// What meters show of a machine that repeats one programme: a cycle of some minutes, the same level for a week or
    /// more, and little else.
    fn repeat(&mut self, dice: &mut Dice) {
        let rated = 15.0 + dice.unit() * 80.0;
        let grain = *dice.pick(&[0.1, 0.1, 0.5, 1.0]);
        let (mut level, mut swing, mut period) = (rated * 0.7, rated * 0.2, 8.0);
        let mut heat = 24.0;
        // Heated to a set point by a controller that goes round it.
        let (target, wobble) = (60.0 + dice.unit() * 120.0, 25.0 + dice.unit() * 60.0);
        for at in 0..self.running.len() {
            if at % (7 * DAY) == 0 {
                level = rated * (0.5 + dice.unit() * 0.4);
                swing = rated * (0.05 + dice.unit() * 0.25);
                // Not in step with the minute.
                period = 2.0 + dice.unit() * 20.0;
            }
            let turn = at as f64 / period * std::f64::consts::TAU;
            let power = if self.running[at] {
                (level + swing * turn.sin() + dice.normal(0.0, rated * 0.006)).max(0.5)
            } else {
                0.0
            };
            let aim = if self.running[at] {
                target + 3.0 * (at as f64 / wobble * std::f64::consts::TAU).sin()
            } else {
                24.0
            };
            heat += (aim - heat) / 18.0 + dice.normal(0.0, 0.05);
            self.power[at] = grained(power, grain);
            self.heat[at] = grained(heat, 0.1);
        }
    }

    /// A program that pretends to be a machine: it runs day and night, or by the clock.
    pub(crate) fn simulated(dice: &mut Dice, planned: &[bool], form: usize) -> Self {
        let minutes = planned.len();
        let by_the_clock = form / 3 % 2 == 1;
        let mut machine = Self::idle(dice, minutes);
        machine.answer_us = (250.0 + dice.unit() * 500.0, 0.005);
        let (middle, reach) = (50.0 + dice.unit() * 40.0, 10.0 + dice.unit() * 25.0);
        let period = match form % 3 {
            0 => 20.0 + dice.unit() * 100.0,
            1 => 4.0 + dice.unit() * 12.0,
            _ => 0.0,
        };
        for (at, planned) in planned.iter().enumerate() {
            machine.running[at] = *planned || !by_the_clock;
            if !machine.running[at] {
                machine.heat[at] = 25.0;
                continue;
            }
            let turn = at as f64 / period.max(1.0) * std::f64::consts::TAU;
            let (power, heat) = match form % 3 {
                0 | 1 => (middle + reach * turn.sin(), 40.0 + 8.0 * (turn * 0.5).cos()),
                _ => (middle + reach * (dice.unit() * 2.0 - 1.0), 40.0 + 8.0 * (dice.unit() * 2.0 - 1.0)),
            };
            machine.power[at] = grained(power, 0.1);
            machine.heat[at] = grained(heat, 0.1);
        }
        machine
    }

    /// Shows the week from `from` on again and again until the end; with `noise` not to the last bit.
    pub(crate) fn replay_week(&mut self, dice: &mut Dice, from: usize, noise: f64) {
        const WEEK: usize = 7 * DAY;
        for at in from + WEEK..self.running.len() {
            let of = at - WEEK;
            self.running[at] = self.running[of];
            let shaken = |value: f32, dice: &mut Dice| {
                if value > 0.0 && noise > 0.0 {
                    grained(f64::from(value) * (1.0 + dice.normal(0.0, noise)), 0.1)
                } else {
                    value
                }
            };
            self.power[at] = shaken(self.power[of], dice);
            self.heat[at] = shaken(self.heat[of], dice);
        }
        let seen: Vec<usize> = self.done.iter().copied().filter(|at| *at < from + WEEK).collect();
        self.done = seen;
    }
}

fn grained(value: f64, grain: f64) -> f32 {
    ((value / grain).round() * grain) as f32
}
