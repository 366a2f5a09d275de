//! Statutory holidays and the working days that make up for them (调休), as data with a yearly file.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use crate::complaint::{Complaint, Complaints};

/// What a calendar says of one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CalendarDay {
    /// A statutory holiday, with its name.
    Holiday(String),
    /// A week-end day worked instead (调休), with the holiday's name.
    MakeUp(String),
}

/// Holidays and make-up days of all years loaded. Days it does not name follow the firm's week.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar {
    days: BTreeMap<Date, CalendarDay>,
    /// Origin of each year's file, and whether it waits for the year's 调休.
    years: BTreeMap<i16, (String, bool)>,
}

impl Calendar {
    /// What it says of this day.
    pub fn day(&self, date: Date) -> Option<&CalendarDay> {
        self.days.get(&date)
    }

    /// Whether a file for this year was loaded. Where not, a report says that holidays of the year are unknown.
    pub fn knows(&self, year: i16) -> bool {
        self.years.contains_key(&year)
    }

    /// Whether the file of this year holds the statutory days alone, because 调休 had not been announced.
    pub fn is_provisional(&self, year: i16) -> bool {
        self.years.get(&year).is_some_and(|(_, provisional)| *provisional)
    }

    /// Adds another calendar's days.
    pub fn join(&mut self, other: Self) {
        self.days.extend(other.days);
        self.years.extend(other.years);
    }
}

/// `config/calendars/*.toml` as it stands in the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarFile {
    /// The year it covers.
    pub year: Option<i16>,
    /// Where its days come from.
    pub origin: Option<String>,
    /// Statutory days alone: the year's 调休 is not announced yet.
    #[serde(default)]
    pub provisional: bool,
    /// Holidays, each a name and its days.
    #[serde(default)]
    pub holidays: Vec<HolidayFile>,
}

/// One holiday of a calendar file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HolidayFile {
    /// `国庆节`.
    pub name: Option<String>,
    /// First day off.
    pub from: Option<String>,
    /// Last day off.
    pub to: Option<String>,
    /// Week-end days worked instead.
    #[serde(default)]
    pub make_up: Vec<String>,
}

impl CalendarFile {
    /// The checked calendar.
    ///
    /// # Errors
    /// All complaints.
    pub fn check(self) -> Result<Calendar, Vec<Complaint>> {
        let mut complaints = Complaints::default();
        let mut calendar = Calendar::default();
        let origin = complaints.text("origin", self.origin);
        let year = complaints.need("year", self.year).unwrap_or_default();
        calendar.years.insert(year, (origin, self.provisional));
        for (at, holiday) in self.holidays.into_iter().enumerate() {
            holiday.check(&format!("holidays[{at}]"), year, &mut calendar, &mut complaints);
        }
        complaints.or(Some(calendar))
    }
}

impl HolidayFile {
    fn check(self, path: &str, year: i16, calendar: &mut Calendar, complaints: &mut Complaints) {
        let name = complaints.text(&format!("{path}.name"), self.name);
        let from = complaints.need(&format!("{path}.from"), self.from);
        let from = complaints.date(&format!("{path}.from"), from);
        let to = complaints.need(&format!("{path}.to"), self.to);
        let to = complaints.date(&format!("{path}.to"), to);
        if let (Some(from), Some(to)) = (from, to) {
            if to < from || from.series(jiff::Span::new().days(1)).take_while(|day| *day <= to).count() > 15 {
                complaints.add(format!("{path}.to"), "must be 0 to 14 days after from");
                return;
            }
            for day in from.series(jiff::Span::new().days(1)).take_while(|day| *day <= to) {
                put(calendar, day, CalendarDay::Holiday(name.clone()), path, year, complaints);
            }
        }
        for (at, text) in self.make_up.into_iter().enumerate() {
            let path = format!("{path}.make_up[{at}]");
            if let Some(day) = complaints.date(&path, Some(text)) {
                put(calendar, day, CalendarDay::MakeUp(name.clone()), &path, year, complaints);
            }
        }
    }
}

fn put(
    calendar: &mut Calendar,
    day: Date,
    what: CalendarDay,
    path: &str,
    year: i16,
    complaints: &mut Complaints,
) {
    if (day.year() - year).abs() > 1 {
        complaints.add(path, format!("{day} is not in or beside the year {year}"));
    } else if calendar.days.insert(day, what).is_some() {
        complaints.add(path, format!("{day} is named twice"));
    }
}
