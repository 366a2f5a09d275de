//! The firm's plan: which days are worked, and which minutes of them.

use jiff::civil::{Date, Weekday};

use crate::calendar::{Calendar, CalendarDay};
use crate::minutes::Minutes;
use crate::project::{Project, Shift};

/// One day of the plan.
#[derive(Debug, Clone)]
pub(crate) struct DayPlan {
    /// Worked by week and calendar, and not stopped.
    pub(crate) working: bool,
    /// Would be worked, but lies in a declared stop.
    pub(crate) stopped: bool,
    pub(crate) stop: Option<String>,
    pub(crate) calendar: Option<String>,
    /// Indices of the shifts that begin on it.
    pub(crate) shifts: Vec<usize>,
    /// Planned minutes of the calendar day; the morning after a night shift is among them.
    pub(crate) minutes: Minutes,
}

/// Plans `days` consecutive days from `first` on.
pub(crate) fn plan(project: &Project, calendar: &Calendar, first: Date, days: usize) -> Vec<DayPlan> {
    let mut plans: Vec<DayPlan> = Vec::with_capacity(days);
    let mut night = Minutes::default();
    if let Ok(before) = first.yesterday() {
        night = one(project, calendar, before).1;
    }
    let mut date = first;
    for _ in 0..days {
        let (mut day, next) = one(project, calendar, date);
        if day.stop.is_none() {
            day.minutes = day.minutes.or(&night);
        }
        night = next;
        plans.push(day);
        let Ok(tomorrow) = date.tomorrow() else { break };
        date = tomorrow;
    }
    plans
}

/// The plan of one day and its minutes after midnight.
fn one(project: &Project, calendar: &Calendar, date: Date) -> (DayPlan, Minutes) {
    let said = calendar.day(date);
    let worked = match said {
        Some(CalendarDay::Holiday(_)) => false,
        Some(CalendarDay::MakeUp(_)) => true,
        None => project.week.has(date.weekday()),
    };
    let stop = project.stops.iter().find(|stop| stop.from <= date && date <= stop.to);
    let working = worked && stop.is_none();
    let (mut minutes, mut night) = (Minutes::default(), Minutes::default());
    let mut shifts = Vec::new();
    if working {
        // A make-up day is worked as a Monday: the week of a shift seldom names the Sunday it stands on.
        let made_up = matches!(said, Some(CalendarDay::MakeUp(_)));
        for (at, shift) in project.shifts.iter().enumerate() {
            if shift.week.has(date.weekday()) || (made_up && shift.week.has(Weekday::Monday)) {
                shifts.push(at);
                minutes.add(i64::from(shift.from), i64::from(shift.to));
                night.add(0, i64::from(shift.to) - crate::DAY_MINUTES);
            }
        }
    }
    let day = DayPlan {
        working: working && !shifts.is_empty(),
        stopped: worked && stop.is_some(),
        stop: stop.map(|stop| stop.reason.clone()),
        calendar: said.map(|said| match said {
            CalendarDay::Holiday(name) => name.clone(),
            CalendarDay::MakeUp(name) => format!("{name}调休"),
        }),
        shifts,
        minutes,
    };
    (day, night)
}

/// The part of a shift that lies on the day it begins on, and the part on the next.
pub(crate) fn parts(shift: &Shift) -> (Minutes, Minutes) {
    let (mut today, mut tomorrow) = (Minutes::default(), Minutes::default());
    today.add(i64::from(shift.from), i64::from(shift.to));
    tomorrow.add(0, i64::from(shift.to) - crate::DAY_MINUTES);
    (today, tomorrow)
}
