//! A city's parameters. None of them is a published rule: every section carries its origin, printed on each report.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use crate::Text;
use crate::assessment::{MetricId, ProfileStamp, Status};
use crate::complaint::{Complaint, Complaints};

/// A checked profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Name, version, origin.
    pub stamp: ProfileStamp,
    /// Green and amber of the metrics that have them.
    pub thresholds: BTreeMap<MetricId, Threshold>,
    /// Dates between which real use must begin (M07); `None` judges no date.
    pub window: Option<Window>,
    /// The evaluation period and what counts as observed.
    pub period: Period,
    /// When real use began (M07) and what an account is (M03).
    pub first_use: FirstUse,
    /// The burst rule: M20 and R3.
    pub burst: Burst,
    /// What U1 needs.
    pub unused: Unused,
    /// Percentage points that M14 may stand below the declared share.
    pub connection_tolerance: f64,
}

/// Green and amber of one metric, in its unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// Green from (or up to, see `lower_is_better`) this value.
    pub green: f64,
    /// Amber likewise; equal to `green` where there is no amber.
    pub amber: f64,
    /// M04 and M20: small values are good.
    pub lower_is_better: bool,
    /// "proposal", or the city's document.
    pub origin: String,
}

/// The dates of a city's programme, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First day.
    pub from: Date,
    /// Last day.
    pub to: Date,
}

/// The evaluation period W.
#[derive(Debug, Clone, PartialEq)]
pub struct Period {
    /// At most this many calendar days.
    pub days: u32,
    /// At least this many observed working days, or nothing is decided.
    pub minimum_days: u32,
    /// Where W begins.
    pub begins: Begins,
    /// Percent of planned minutes that must be observed.
    pub coverage: f64,
    /// Percent of a day's planned minutes that make it an observed day.
    pub observed_day: f64,
}

/// Where W begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// On the first real-use date, or the completion date where there is none.
    FirstUse,
    /// The same, and not before the completion date.
    Completion,
}

/// When real use began, and what an account is.
#[derive(Debug, Clone, PartialEq)]
pub struct FirstUse {
    /// Working days looked at from a candidate day on.
    pub working_days: u32,
    /// Of these, active at least.
    pub active_days: u32,
    /// Accounts acting in them.
    pub accounts: u32,
    /// Key actions that make an account an operator (M03).
    pub account_actions: u32,
    /// On at least this many days.
    pub account_days: u32,
}

/// The burst rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Burst {
    /// Working days before the visit that count as the last ones.
    pub recent_days: u32,
    /// Calendar days before the visit that the comparison reaches back at most.
    pub baseline_reach: u32,
    /// Observed working days the comparison needs.
    pub baseline_days: u32,
    /// Key actions the last days need.
    pub recent_actions: u32,
    /// R3: share of W's key actions in the last days, percent.
    pub recent_share: f64,
    /// R3: share of the top account, percent.
    pub top_account: f64,
}

/// What 建而不用 needs, all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Unused {
    /// M01 below this percentage.
    pub active: f64,
    /// Key actions per working day below this.
    pub per_day: f64,
}

impl Profile {
    /// The metric's threshold.
    pub fn threshold(&self, id: MetricId) -> Option<&Threshold> {
        self.thresholds.get(&id)
    }
}

impl Threshold {
    /// How `value` stands.
    pub fn status(&self, value: f64) -> Status {
        let reaches = |mark: f64| if self.lower_is_better { value <= mark } else { value >= mark };
        if reaches(self.green) {
            Status::Green
        } else if reaches(self.amber) {
            Status::Amber
        } else {
            Status::Red
        }
    }

    /// In words, with its origin.
    pub fn text(&self, unit: &str) -> Text {
        let sign = if self.lower_is_better { "≤" } else { "≥" };
        let origin_zh = if self.origin == "proposal" { "建议值" } else { &self.origin };
        let (green, amber) = (self.green, self.amber);
        Text::new(
            format!("绿 {sign}{green}{unit}，黄 {sign}{amber}{unit}（{origin_zh}）"),
            format!("green {sign}{green}{unit}, amber {sign}{amber}{unit} ({})", self.origin),
        )
    }
}

/// `config/profiles/*.toml` as it stands in the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct ProfileFile {
    pub title_zh: Option<String>,
    pub title_en: Option<String>,
    pub version: Option<String>,
    pub origin: Option<String>,
    #[serde(default)]
    pub thresholds: BTreeMap<String, ThresholdFile>,
    pub window: Option<WindowFile>,
    #[serde(default)]
    pub period: PeriodFile,
    #[serde(default)]
    pub first_use: FirstUseFile,
    #[serde(default)]
    pub burst: BurstFile,
    #[serde(default)]
    pub unused: UnusedFile,
    pub connection_tolerance: Option<f64>,
}

/// `[thresholds.M01]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct ThresholdFile {
    pub green: Option<f64>,
    pub amber: Option<f64>,
    pub origin: Option<String>,
}

/// `[window]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct WindowFile {
    pub from: Option<String>,
    pub to: Option<String>,
}

/// `[period]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct PeriodFile {
    pub days: Option<u32>,
    pub minimum_days: Option<u32>,
    pub begins: Option<String>,
    pub coverage: Option<f64>,
    pub observed_day: Option<f64>,
}

/// `[first_use]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct FirstUseFile {
    pub working_days: Option<u32>,
    pub active_days: Option<u32>,
    pub accounts: Option<u32>,
    pub account_actions: Option<u32>,
    pub account_days: Option<u32>,
}

/// `[burst]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct BurstFile {
    pub recent_days: Option<u32>,
    pub baseline_reach: Option<u32>,
    pub baseline_days: Option<u32>,
    pub recent_actions: Option<u32>,
    pub recent_share: Option<f64>,
    pub top_account: Option<f64>,
}

/// `[unused]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct UnusedFile {
    pub active: Option<f64>,
    pub per_day: Option<f64>,
}

/// Metrics that must have a threshold: whether small values are good, and the highest value.
const WITH_THRESHOLD: [(MetricId, bool, f64); 18] = [
    (MetricId::M01, false, 100.0),
    (MetricId::M02, false, 100.0),
    (MetricId::M03, false, 1_000.0),
    (MetricId::M04, true, 100.0),
    (MetricId::M06, false, 100.0),
    (MetricId::M09, false, 100.0),
    (MetricId::M10, true, 100.0),
    (MetricId::M11, true, 100.0),
    (MetricId::M15, false, 100.0),
    (MetricId::M16, false, 100.0),
    (MetricId::M17, false, 100.0),
    (MetricId::M18, false, 100.0),
    (MetricId::M20, true, 1_000.0),
    (MetricId::M21, true, 3.0),
    (MetricId::M22, true, 100.0),
    (MetricId::M23, true, 100.0),
    (MetricId::M25, true, 100.0),
    (MetricId::M26, false, 100.0),
];

impl ProfileFile {
    /// The checked profile `name` (its file's name without the ending).
    ///
    /// # Errors
    /// All complaints.
    pub fn check(mut self, name: &str) -> Result<Profile, Vec<Complaint>> {
        let mut complaints = Complaints::default();
        let c = &mut complaints;
        let stamp = ProfileStamp {
            name: name.to_owned(),
            title: Text::new(
                c.text("title_zh", self.title_zh.take()),
                c.text("title_en", self.title_en.take()),
            ),
            version: c.text("version", self.version.take()),
            origin: c.text("origin", self.origin.take()),
        };
        let mut thresholds = BTreeMap::new();
        for (id, lower_is_better, top) in WITH_THRESHOLD {
            let file = self.thresholds.remove(id.code()).unwrap_or_default();
            if let Some(threshold) = file.check(&format!("thresholds.{}", id.code()), lower_is_better, top, c)
            {
                thresholds.insert(id, threshold);
            }
        }
        for id in self.thresholds.keys() {
            c.add(format!("thresholds.{id}"), "is not a metric with thresholds");
        }
        let profile = Profile {
            stamp,
            thresholds,
            window: self.window.and_then(|window| window.check(c)),
            period: self.period.check(c),
            first_use: self.first_use.check(c),
            burst: self.burst.check(c),
            unused: Unused {
                active: c.number("unused.active", self.unused.active, 20.0, 0.0, 100.0),
                per_day: c.number("unused.per_day", self.unused.per_day, 0.5, 0.0, 100.0),
            },
            connection_tolerance: c.number(
                "connection_tolerance",
                self.connection_tolerance,
                10.0,
                0.0,
                100.0,
            ),
        };
        complaints.or(Some(profile))
    }
}

impl ThresholdFile {
    fn check(self, path: &str, lower_is_better: bool, top: f64, c: &mut Complaints) -> Option<Threshold> {
        let green = c.need(&format!("{path}.green"), self.green);
        let amber = c.need(&format!("{path}.amber"), self.amber);
        let origin = c.text(&format!("{path}.origin"), self.origin);
        let (green, amber) = (green?, amber?);
        let green = c.number(&format!("{path}.green"), Some(green), 0.0, 0.0, top);
        let amber = c.number(&format!("{path}.amber"), Some(amber), 0.0, 0.0, top);
        if (lower_is_better && amber < green) || (!lower_is_better && amber > green) {
            c.add(format!("{path}.amber"), "is stricter than green");
        }
        Some(Threshold { green, amber, lower_is_better, origin })
    }
}

impl WindowFile {
    fn check(self, c: &mut Complaints) -> Option<Window> {
        let from = c.need("window.from", self.from);
        let from = c.date("window.from", from);
        let to = c.need("window.to", self.to);
        let to = c.date("window.to", to);
        let (from, to) = (from?, to?);
        if to < from {
            c.add("window.to", "lies before from");
        }
        Some(Window { from, to })
    }
}

impl PeriodFile {
    fn check(self, c: &mut Complaints) -> Period {
        let begins = match self.begins.as_deref() {
            None | Some("first_use") => Begins::FirstUse,
            Some("completion") => Begins::Completion,
            Some(other) => {
                c.add("period.begins", format!("`{other}` is neither \"first_use\" nor \"completion\""));
                Begins::FirstUse
            }
        };
        Period {
            days: c.number("period.days", self.days, 60, 30, 366),
            minimum_days: c.number("period.minimum_days", self.minimum_days, 20, 10, 200),
            begins,
            coverage: c.number("period.coverage", self.coverage, 70.0, 1.0, 100.0),
            observed_day: c.number("period.observed_day", self.observed_day, 50.0, 1.0, 100.0),
        }
    }
}

impl FirstUseFile {
    fn check(self, c: &mut Complaints) -> FirstUse {
        let working_days = c.number("first_use.working_days", self.working_days, 10, 2, 60);
        FirstUse {
            working_days,
            active_days: c.number("first_use.active_days", self.active_days, 6, 1, working_days),
            accounts: c.number("first_use.accounts", self.accounts, 2, 1, 100),
            account_actions: c.number("first_use.account_actions", self.account_actions, 5, 1, 1_000),
            account_days: c.number("first_use.account_days", self.account_days, 3, 1, 60),
        }
    }
}

impl BurstFile {
    fn check(self, c: &mut Complaints) -> Burst {
        Burst {
            recent_days: c.number("burst.recent_days", self.recent_days, 10, 3, 60),
            baseline_reach: c.number("burst.baseline_reach", self.baseline_reach, 90, 30, 366),
            baseline_days: c.number("burst.baseline_days", self.baseline_days, 20, 5, 200),
            recent_actions: c.number("burst.recent_actions", self.recent_actions, 30, 1, 10_000),
            recent_share: c.number("burst.recent_share", self.recent_share, 60.0, 1.0, 100.0),
            top_account: c.number("burst.top_account", self.top_account, 90.0, 1.0, 100.0),
        }
    }
}
