//! When a firm works: its week, its shifts, the holidays of its country.

use jiff::civil::Date;
use scorer::calendar::CalendarDay;
use scorer::project::{Shift, Week};
use scorer::{Calendar, CalendarFile};

use crate::dice::Dice;
use crate::machine::DAY;

/// Statutory holidays of the years in which factories are made up.
pub fn calendar() -> Calendar {
    const FILES: [&str; 2] = [
        include_str!("../../config/calendars/cn-2025.toml"),
        include_str!("../../config/calendars/cn-2026.toml"),
    ];
    let mut calendar = Calendar::default();
    for text in FILES {
        let file: CalendarFile = toml::from_str(text).expect("a calendar of this repository reads");
        calendar.join(file.check().expect("a calendar of this repository is complete"));
    }
    calendar
}

/// Days and minutes of work.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) first: Date,
    /// Whether people come, by day.
    pub(crate) works: Vec<bool>,
    pub(crate) shifts: Vec<Shift>,
    pub(crate) week: Week,
}

impl Plan {
    /// `days` from `first` on. Now and then people come on a day off.
    pub(crate) fn new(
        dice: &mut Dice,
        calendar: &Calendar,
        (first, days): (Date, usize),
        week: Week,
        shifts: Vec<Shift>,
    ) -> Self {
        let overtime = if dice.chance(0.3) { 0.15 } else { 0.0 };
        let mut works = Vec::with_capacity(days);
        let mut date = first;
        for _ in 0..days {
            let planned = match calendar.day(date) {
                // Who works through works on holidays too.
                Some(CalendarDay::Holiday(_)) => week == Week::SEVEN,
                Some(CalendarDay::MakeUp(_)) => true,
                None => week.has(date.weekday()),
            };
            let holiday = matches!(calendar.day(date), Some(CalendarDay::Holiday(_)));
            works.push(planned || (!holiday && dice.chance(overtime)));
            date = date.tomorrow().expect("the years of calendars have next days");
        }
        Self { first, works, shifts, week }
    }

    /// Planned minutes of every shift of a day, from the first midnight: `(from, to)`.
    pub(crate) fn shifts(&self, day: usize) -> impl Iterator<Item = (usize, usize)> {
        self.shifts.iter().map(move |shift| {
            let (from, to) = (usize::from(shift.from), usize::from(shift.to));
            let to = if to <= from { to + DAY } else { to };
            (day * DAY + from, day * DAY + to)
        })
    }

    /// Whether the firm works, minute by minute.
    pub(crate) fn minutes(&self) -> Vec<bool> {
        let mut minutes = vec![false; self.works.len() * DAY];
        for day in (0..self.works.len()).filter(|day| self.works[*day]) {
            for (from, to) in self.shifts(day) {
                let to = to.min(minutes.len());
                minutes[from.min(to)..to].fill(true);
            }
        }
        minutes
    }

    /// The day's date.
    pub(crate) fn date(&self, day: usize) -> Date {
        self.first
            .checked_add(jiff::Span::new().days(day as i64))
            .expect("the years of calendars have next days")
    }
}

/// A shift of every day of the firm's week, from and to as minutes of the day.
pub(crate) fn shift(name: &str, from: u16, to: u16, week: Week) -> Shift {
    Shift { name: name.to_owned(), from, to, week }
}
