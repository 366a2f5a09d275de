//! Metrics, rules, profiles, verdicts: from what the ledger holds of one firm to a headline that can be checked by
//! hand.
//!
//! [`assess`] is a pure function of project, profile, calendar, history and a moment. Promised: the same input gives
//! the same output on any machine; every number names the days and ledger entries it stands on; nothing is said about
//! use where nothing was observed; a threshold is always a parameter of a profile and never a published rule.
//!
//! Deliberately absent: a clock, a database, a network, files, hash-map order. The ledger's entries are folded one at
//! a time with [`History::push`], so that a server keeps a firm's [`History`] and folds only what is new. Whoever
//! folds has checked signatures and digests before.

pub mod assessment;
mod before;
pub mod calendar;
pub mod complaint;
mod coupling;
pub mod cross;
mod device;
mod facts;
mod flags;
mod grade;
pub mod history;
mod judge;
mod lists;
mod metric;
mod minutes;
mod plan;
pub mod profile;
pub mod project;
mod records;
mod replay;
pub mod rules;
mod signals;
mod usage;
mod view;
mod wilson;

pub use assessment::{Assessment, Fact, Flag, Headline, Metric, MetricId, Status, Text, UseLevel};
pub use before::Before;
pub use calendar::{Calendar, CalendarFile};
pub use complaint::Complaint;
pub use cross::Cross;
pub use grade::Grade;
pub use history::{Content, Entry, History};
pub use judge::{assess, assess_among};
pub use profile::{Profile, ProfileFile};
pub use project::{Project, ProjectFile};
pub use rules::{Family, Finding, Outcome};
pub use wilson::Interval;

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;

/// Minutes of a day.
const DAY_MINUTES: i64 = 1_440;
