//! Recordings of real machines, and how they come onto a plant's own calendar.
//!
//! A recording is moved by whole weeks, so that its week-ends and nights stay week-ends and nights. Nothing is
//! smoothed, filled or invented. Past its end a recording starts over, after a whole number of weeks; sixty days of
//! the steel works never reach that within one year. Origin and licences: `tests/data/*/ORIGIN.md`.

use std::num::ParseIntError;
use std::sync::OnceLock;

use jiff::civil::{Date, DateTime};

/// China Standard Time, milliseconds east of UTC. It has no summer time.
pub const CST_MS: i64 = 8 * 3_600_000;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;
/// Milliseconds of the steel recording's step.
pub const QUARTER_MS: i64 = 15 * 60_000;
/// Milliseconds of the temperature recording's step.
pub const FIVE_MINUTES_MS: i64 = 5 * 60_000;

/// Readings of a day in the steel recording.
const QUARTERS: usize = 96;
/// Days of it that are used: 52 whole weeks.
const STEEL_DAYS: usize = 364;
/// Days of the temperature recording that are used: 11 whole weeks, from its first whole day.
const TEMPERATURE_DAYS: usize = 77;
/// Readings of a day in the temperature recording.
const READINGS: usize = 288;

/// A year of a steel works' electricity meter.
#[derive(Debug)]
pub struct Steel {
    first: Date,
    usage: Vec<u16>,
    reactive: Vec<u16>,
    load: Vec<Load>,
}

/// How the works classed its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Light load.
    Light,
    /// Medium load.
    Medium,
    /// Maximum load.
    Maximum,
}

/// Eleven weeks of a machine's temperature.
#[derive(Debug)]
pub struct Temperature {
    first: Date,
    hundredths: Vec<i16>,
}

/// Why a recording could not be read. The text is compiled in, so this is a damaged checkout.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// A line does not start with its day.
    #[error("line `{line}` has no date")]
    Date {
        /// Its first field.
        line: String,
        /// What is wrong with it.
        source: jiff::Error,
    },
    /// A value is not a number in range.
    #[error("unreadable value on {date}")]
    Value {
        /// The day it stands on.
        date: Date,
        /// What is wrong with it.
        source: ParseIntError,
    },
    /// A load type is none of the three letters.
    #[error("unknown load type `{letter}`")]
    Load {
        /// What stands there.
        letter: char,
    },
    /// A day is missing, or has too many or too few values.
    #[error("{date} does not follow with {expected} values")]
    Shape {
        /// The day.
        date: Date,
        /// How many values it should have.
        expected: usize,
    },
    /// There is not a whole number of weeks to use.
    #[error("recording too short")]
    Short,
}

impl Steel {
    /// The recording in this repository.
    pub fn recorded() -> &'static Self {
        static STEEL: OnceLock<Steel> = OnceLock::new();
        STEEL.get_or_init(|| {
            Self::parse(
                include_str!("../data/steel/usage.csv"),
                include_str!("../data/steel/reactive.csv"),
                include_str!("../data/steel/load.csv"),
            )
            .expect("the recording in the repository is whole")
        })
    }

    /// Reads the three files of the recording: see `tests/data/steel/ORIGIN.md`.
    ///
    /// # Errors
    /// When one of them is not what is written there.
    pub fn parse(usage: &str, reactive: &str, load: &str) -> Result<Self, RecordingError> {
        let (first, usage) = numbers(usage)?;
        let (_, reactive) = numbers(reactive)?;
        let mut letters = Vec::with_capacity(usage.len());
        for (_, text) in days(load, 0)? {
            for letter in text.chars() {
                letters.push(match letter {
                    'L' => Load::Light,
                    'M' => Load::Medium,
                    'X' => Load::Maximum,
                    letter => return Err(RecordingError::Load { letter }),
                });
            }
        }
        if usage.len() < STEEL_DAYS * QUARTERS
            || reactive.len() != usage.len()
            || letters.len() != usage.len()
        {
            return Err(RecordingError::Short);
        }
        Ok(Self { first, usage, reactive, load: letters })
    }

    /// The recording's first day.
    pub fn first(&self) -> Date {
        self.first
    }

    /// Active energy of each quarter hour in 1/100 kWh, 52 weeks of them.
    pub fn usage(&self) -> &[u16] {
        &self.usage[..STEEL_DAYS * QUARTERS]
    }

    /// Lagging reactive energy of each quarter hour in 1/100 kvarh, 52 weeks of them.
    pub fn reactive(&self) -> &[u16] {
        &self.reactive[..STEEL_DAYS * QUARTERS]
    }

    /// Load type of each quarter hour, 52 weeks of them.
    pub fn load(&self) -> &[Load] {
        &self.load[..STEEL_DAYS * QUARTERS]
    }
}

impl Temperature {
    /// The recording in this repository.
    pub fn recorded() -> &'static Self {
        static TEMPERATURE: OnceLock<Temperature> = OnceLock::new();
        TEMPERATURE.get_or_init(|| {
            Self::parse(include_str!("../data/nab/machine_temperature.csv"))
                .expect("the recording in the repository is whole")
        })
    }

    /// Reads the recording: see `tests/data/nab/ORIGIN.md`. Its first, incomplete day is left out.
    ///
    /// # Errors
    /// When the file is not what is written there.
    pub fn parse(text: &str) -> Result<Self, RecordingError> {
        let mut first = None;
        let mut hundredths = Vec::with_capacity(TEMPERATURE_DAYS * READINGS);
        for line in lines(text) {
            let (at, values) = line.split_once(',').unwrap_or((line, ""));
            let at: DateTime =
                at.parse().map_err(|source| RecordingError::Date { line: at.to_owned(), source })?;
            if first.is_none() && at.hour() != 0 {
                continue;
            }
            let date = at.date();
            first = first.or(Some(date));
            let before = hundredths.len();
            for value in values.split(',') {
                hundredths.push(value.parse().map_err(|source| RecordingError::Value { date, source })?);
            }
            if hundredths.len() >= TEMPERATURE_DAYS * READINGS {
                break;
            }
            if hundredths.len() - before != READINGS {
                return Err(RecordingError::Shape { date, expected: READINGS });
            }
        }
        match first {
            Some(first) if hundredths.len() >= TEMPERATURE_DAYS * READINGS => {
                hundredths.truncate(TEMPERATURE_DAYS * READINGS);
                Ok(Self { first, hundredths })
            }
            _ => Err(RecordingError::Short),
        }
    }

    /// The first whole day.
    pub fn first(&self) -> Date {
        self.first
    }

    /// Readings every 5 minutes in 1/100 degree, 11 weeks of them.
    pub fn hundredths(&self) -> &[i16] {
        &self.hundredths
    }
}

/// A firm's own stretch of a recording, moved by whole weeks onto the firm's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// To be added to Unix milliseconds: gives milliseconds since the recording's first midnight.
    offset_ms: i64,
}

impl Stretch {
    /// Lays the recording that begins on `recorded` so that the firm's day `start` (China Standard Time) is the
    /// recording's first day of the same weekday, and then `weeks` weeks further into it.
    pub fn new(recorded: Date, start: Date, weeks: u16) -> Self {
        let weekday = recorded.weekday().until(start.weekday());
        let into_days = i64::from(weekday) + 7 * i64::from(weeks);
        Self { offset_ms: into_days * DAY_MS - midnight_ms(start) }
    }

    /// Milliseconds since the recording's first midnight at this Unix millisecond; may be past its end.
    pub fn at(self, wall_ms: i64) -> i64 {
        wall_ms.saturating_add(self.offset_ms)
    }
}

/// Unix milliseconds of 00:00 China Standard Time on this day.
pub fn midnight_ms(date: Date) -> i64 {
    let epoch = Date::constant(1970, 1, 1);
    let days = date.since(epoch).map_or(0, |span| i64::from(span.get_days()));
    days * DAY_MS - CST_MS
}

/// The day in China Standard Time at this Unix millisecond, and the milliseconds into it.
pub fn local_day(wall_ms: i64) -> (Date, i64) {
    let local = wall_ms.saturating_add(CST_MS);
    let days = i32::try_from(local.div_euclid(DAY_MS)).unwrap_or(i32::MAX);
    let date = Date::constant(1970, 1, 1).saturating_add(jiff::Span::new().days(days.clamp(0, 2_000_000)));
    (date, local.rem_euclid(DAY_MS))
}

/// Lines that are not comments.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

/// Splits each line into its day and the rest; the days must follow each other. `expected` only for the complaint.
fn days(text: &str, expected: usize) -> Result<Vec<(Date, &str)>, RecordingError> {
    let mut days: Vec<(Date, &str)> = Vec::new();
    for line in lines(text) {
        let (date, rest) = line.split_once(',').unwrap_or((line, ""));
        let date: Date =
            date.parse().map_err(|source| RecordingError::Date { line: date.to_owned(), source })?;
        if days.last().is_some_and(|(before, _)| before.tomorrow().ok() != Some(date)) {
            return Err(RecordingError::Shape { date, expected });
        }
        days.push((date, rest));
    }
    Ok(days)
}

/// A day's date and 96 numbers on each line.
fn numbers(text: &str) -> Result<(Date, Vec<u16>), RecordingError> {
    let days = days(text, QUARTERS)?;
    let mut all = Vec::with_capacity(days.len() * QUARTERS);
    for (date, rest) in &days {
        let before = all.len();
        for value in rest.split(',') {
            all.push(value.parse().map_err(|source| RecordingError::Value { date: *date, source })?);
        }
        if all.len() - before != QUARTERS {
            return Err(RecordingError::Shape { date: *date, expected: QUARTERS });
        }
    }
    let (first, _) = days.first().ok_or(RecordingError::Short)?;
    Ok((*first, all))
}

#[cfg(test)]
mod tests {
    use jiff::civil::{Weekday, date};

    use super::*;

    #[test]
    fn the_steel_recording_is_the_original_to_the_last_digit() {
        let steel = Steel::recorded();
        let sum = |values: &[u16]| values.iter().map(|value| u64::from(*value)).sum::<u64>();
        assert_eq!(
            (steel.usage.len(), sum(&steel.usage), sum(&steel.reactive)),
            (35_040, 95_963_671, 45_675_984)
        );
        let count = |load| steel.load.iter().filter(|one| **one == load).count();
        assert_eq!([count(Load::Light), count(Load::Medium), count(Load::Maximum)], [18_072, 9_696, 7_272]);
        assert_eq!(steel.usage()[..4], [317, 400, 324, 331]);
    }

    #[test]
    fn the_temperature_recording_has_eleven_whole_weeks() {
        let temperature = Temperature::recorded();
        assert_eq!(temperature.first(), date(2013, 12, 3));
        assert_eq!(temperature.hundredths().len(), 77 * 288);
        assert_eq!(temperature.hundredths().iter().min(), Some(&208));
    }

    #[test]
    fn a_damaged_recording_is_refused() {
        let line = |date: &str, values: usize| format!("{date}{}\n", ",1".repeat(values));
        let short = line("2018-01-01", 96);
        assert!(matches!(Steel::parse(&short, &short, ""), Err(RecordingError::Short)));
        let few = line("2018-01-01", 95);
        assert!(matches!(Steel::parse(&few, &few, ""), Err(RecordingError::Shape { expected: 96, .. })));
        let hole = line("2018-01-01", 96) + &line("2018-01-03", 96);
        assert!(matches!(Steel::parse(&hole, &hole, ""), Err(RecordingError::Shape { .. })));
        assert!(matches!(Steel::parse("2018-01-01,x", "", ""), Err(RecordingError::Value { .. })));
        assert!(matches!(Steel::parse("yesterday,1", "", ""), Err(RecordingError::Date { .. })));
    }

    #[test]
    fn a_stretch_keeps_weekdays_and_hours() {
        let recorded = date(2018, 1, 1);
        for start in [date(2026, 7, 22), date(2026, 7, 27), date(2026, 9, 20)] {
            for weeks in [0, 9, 45] {
                let stretch = Stretch::new(recorded, start, weeks);
                let at = stretch.at(midnight_ms(start) + 3_600_000);
                assert_eq!(at.rem_euclid(DAY_MS), 3_600_000);
                let day = recorded + jiff::Span::new().days(at.div_euclid(DAY_MS));
                assert_eq!(day.weekday(), start.weekday());
                assert_eq!(at.div_euclid(7 * DAY_MS), i64::from(weeks));
            }
        }
    }

    #[test]
    fn local_days_are_chinese_days() {
        // 2026-07-21T16:30Z is half past midnight of the 22nd, a Wednesday.
        let (day, into) = local_day(1_784_651_400_000);
        assert_eq!((day, into, day.weekday()), (date(2026, 7, 22), 1_800_000, Weekday::Wednesday));
        assert_eq!(midnight_ms(day) + into, 1_784_651_400_000);
    }
}
