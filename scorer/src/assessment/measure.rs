//! A metric as it is shown: value, formula, counts, thresholds and the days behind it.

use jiff::civil::Date;

use super::{Span, Text};
use crate::wilson::Interval;

/// A metric's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the ids of the metrics' table; their names are in Metric::name")]
pub enum MetricId {
    M01,
    M02,
    M03,
    M04,
    M05,
    M06,
    M07,
    M08,
    M09,
    M10,
    M11,
    M12,
    M13,
    M14,
    M15,
    M16,
    M17,
    M18,
    M19,
    M20,
    M21,
    M22,
    M23,
    M24,
    M25,
    M26,
    M27,
    M28,
}

impl MetricId {
    /// All of them, in order.
    pub const ALL: [Self; 28] = [
        Self::M01,
        Self::M02,
        Self::M03,
        Self::M04,
        Self::M05,
        Self::M06,
        Self::M07,
        Self::M08,
        Self::M09,
        Self::M10,
        Self::M11,
        Self::M12,
        Self::M13,
        Self::M14,
        Self::M15,
        Self::M16,
        Self::M17,
        Self::M18,
        Self::M19,
        Self::M20,
        Self::M21,
        Self::M22,
        Self::M23,
        Self::M24,
        Self::M25,
        Self::M26,
        Self::M27,
        Self::M28,
    ];

    /// `M01`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::M01 => "M01",
            Self::M02 => "M02",
            Self::M03 => "M03",
            Self::M04 => "M04",
            Self::M05 => "M05",
            Self::M06 => "M06",
            Self::M07 => "M07",
            Self::M08 => "M08",
            Self::M09 => "M09",
            Self::M10 => "M10",
            Self::M11 => "M11",
            Self::M12 => "M12",
            Self::M13 => "M13",
            Self::M14 => "M14",
            Self::M15 => "M15",
            Self::M16 => "M16",
            Self::M17 => "M17",
            Self::M18 => "M18",
            Self::M19 => "M19",
            Self::M20 => "M20",
            Self::M21 => "M21",
            Self::M22 => "M22",
            Self::M23 => "M23",
            Self::M24 => "M24",
            Self::M25 => "M25",
            Self::M26 => "M26",
            Self::M27 => "M27",
            Self::M28 => "M28",
        }
    }
}

/// How a value stands against the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// At or better than the green threshold.
    Green,
    /// Between.
    Amber,
    /// Worse than amber.
    Red,
    /// Shown for information: no threshold decides.
    Info,
    /// Not computable; `Metric::remark` says why.
    None,
}

/// What a value is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A share; the value is 0 to 100.
    Percent,
    /// A count, see the metric's name.
    Count,
    /// Working days.
    WorkingDays,
    /// A date: the value is days since 1970-01-01, [`Metric::date`] the date.
    Date,
    /// A quotient of two rates.
    Ratio,
    /// Hours.
    Hours,
    /// Months.
    Months,
}

/// One metric with all it stands on.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Id.
    pub id: MetricId,
    /// Name.
    pub name: Text,
    /// The value, in `unit`; `None` where it cannot be computed.
    pub value: Option<f64>,
    /// What the value is counted in.
    pub unit: Unit,
    /// For [`Unit::Date`].
    pub date: Option<Date>,
    /// The value as printed: `86.7%`, `3`, `2025-09-01`, `—`.
    pub shown: String,
    /// How it is computed, in words.
    pub formula: Text,
    /// Above the line, where it is a quotient.
    pub numerator: Option<f64>,
    /// Below the line.
    pub denominator: Option<f64>,
    /// Sample size: what was counted over (days, pairs, accounts, actions, devices, minutes).
    pub sample: u64,
    /// Wilson 95 % interval in percent, for shares of independent days or pairs.
    pub interval: Option<Interval>,
    /// Against the profile.
    pub status: Status,
    /// Thresholds as used, with their origin: "绿 ≥60%，黄 ≥20%（建议值）".
    pub thresholds: Text,
    /// Why there is no value, or what to keep in mind.
    pub remark: Option<Text>,
    /// The days behind it, oldest first.
    pub days: Vec<DayFact>,
}

/// One day (or day and shift) that a metric counted.
#[derive(Debug, Clone, PartialEq)]
pub struct DayFact {
    /// The day.
    pub date: Date,
    /// Counted on the numerator's side.
    pub hit: bool,
    /// What was counted that day: key actions, minutes, slots.
    pub count: u64,
    /// Ledger entries behind it.
    pub spans: Vec<Span>,
}
