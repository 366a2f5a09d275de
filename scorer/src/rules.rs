//! Detection rules D01 to D35, one file each: what is asked, from which sample on, what would be odd, and which honest
//! explanations come first.
//!
//! A rule that finds something asks a question. It is no accusation: a flag (`crate::flags`) needs findings of two
//! families. Rules have versions; whoever keeps a finding keeps its version with it.

use crate::assessment::{DayFact, Text};
use crate::judge::Case;

mod d01_chain_fork;
mod d02_silent_gap;
mod d03_late_label;
mod d04_wide_bracket;
mod d05_clock_step;
mod d06_convenient_gap;
mod d07_platform_twin;
mod d08_opening_mismatch;
mod d09_manifest_drift;
mod d10_flatline;
mod d11_exact_replay;
mod d12_near_replay;
mod d13_pure_tone;
mod d14_no_noise;
mod d15_physics;
mod d16_too_clean;
mod d17_wire_profile;
mod d18_identity_drift;
mod d20_tick_clicks;
mod d21_even_gaps;
mod d22_no_rest;
mod d23_one_hand;
mod d24_backfill;
mod d25_exam_burst;
mod d26_shallow_use;
mod d27_same_path;
mod d28_typed_numbers;
mod d29_no_errors;
mod d30_uncoupled;
mod d31_balance;
mod d32_old_wine;
mod d33_template_twin;
mod d34_back_door;
mod d35_drill_fail;

/// Version of the set of rules as a whole: it grows with any rule's.
pub const RULES: u32 = 1;

/// What kind of observation a rule stands on. Two rules of one family are one witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// The chain itself: order, completeness, clocks, what was committed.
    Integrity,
    /// Machines' signals.
    Machine,
    /// People's actions.
    Human,
    /// Whether people, machines and papers fit together.
    Coupling,
    /// Several firms side by side.
    CrossSite,
}

impl Family {
    /// `I`, `M`, `H`, `C`, `X`.
    pub const fn letter(self) -> char {
        match self {
            Self::Integrity => 'I',
            Self::Machine => 'M',
            Self::Human => 'H',
            Self::Coupling => 'C',
            Self::CrossSite => 'X',
        }
    }

    /// In words.
    pub fn name(self) -> Text {
        match self {
            Self::Integrity => Text::new("链条完整性", "integrity of the chain"),
            Self::Machine => Text::new("设备信号", "machines' signals"),
            Self::Human => Text::new("人工操作", "people's actions"),
            Self::Coupling => Text::new("机、账对应", "machines and papers together"),
            Self::CrossSite => Text::new("跨企业比对", "several firms compared"),
        }
    }
}

/// What a rule came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It cannot be computed; the sentence says why.
    NotComputable,
    /// Nothing odd.
    Clear,
    /// Odd: a question to the firm (请说明).
    Ask,
    /// Odd, and much: a question that weighs as much as a proof would with one more of another family.
    AskStrongly,
    /// A proven mismatch: it needs no second family.
    Proven,
}

/// One bar of a rule's chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What it is of: a day, a signal, an account's place.
    pub label: String,
    /// Its height, in the unit of the rule's effect.
    pub value: f64,
}

/// What one rule says of one firm.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// `D11`.
    pub id: &'static str,
    /// Of the rule.
    pub version: u32,
    /// What kind of observation.
    pub family: Family,
    /// 整段重复.
    pub name: Text,
    /// What came out.
    pub outcome: Outcome,
    /// In one sentence, with its numbers.
    pub text: Text,
    /// How many were looked at; what of is in the sentence.
    pub sample: u64,
    /// The effect, where it is a number: a share in percent, a correlation, a count, z.
    pub effect: Option<f64>,
    /// Honest explanations to check first.
    pub honest: Vec<Text>,
    /// The days behind it.
    pub days: Vec<DayFact>,
    /// What to draw.
    pub chart: Vec<Bar>,
}

/// A rule as its file gives it.
pub(crate) struct Rule {
    pub(crate) id: &'static str,
    pub(crate) version: u32,
    pub(crate) family: Family,
    pub(crate) name: (&'static str, &'static str),
    /// Each in Chinese and English.
    pub(crate) honest: &'static [(&'static str, &'static str)],
    pub(crate) look: fn(&Case<'_>) -> Look,
}

/// What a rule saw.
pub(crate) struct Look {
    outcome: Outcome,
    text: Text,
    sample: u64,
    effect: Option<f64>,
    days: Vec<DayFact>,
    chart: Vec<Bar>,
}

impl Look {
    pub(crate) fn new(outcome: Outcome, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            outcome,
            text: Text::new(zh, en),
            sample: 0,
            effect: None,
            days: Vec::new(),
            chart: Vec::new(),
        }
    }

    /// Why it cannot be computed.
    pub(crate) fn none(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self::new(Outcome::NotComputable, zh, en)
    }

    /// Odd or not.
    pub(crate) fn ask(odd: bool, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self::new(if odd { Outcome::Ask } else { Outcome::Clear }, zh, en)
    }

    /// Odd or not, and much where it is.
    pub(crate) fn ask_strongly(odd: bool, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self::new(if odd { Outcome::AskStrongly } else { Outcome::Clear }, zh, en)
    }

    pub(crate) fn of(self, sample: u64, effect: f64) -> Self {
        Self { sample, effect: Some(effect), ..self }
    }

    pub(crate) fn days(self, days: Vec<DayFact>) -> Self {
        Self { days, ..self }
    }

    pub(crate) fn chart(self, chart: impl IntoIterator<Item = (String, f64)>) -> Self {
        /// Bars of a chart at most.
        const BARS: usize = 120;
        let chart = chart.into_iter().take(BARS).map(|(label, value)| Bar { label, value }).collect();
        Self { chart, ..self }
    }
}

/// Rules that look at one firm, in the order of their ids.
pub(crate) const ALL: [&Rule; 34] = [
    &d01_chain_fork::RULE,
    &d02_silent_gap::RULE,
    &d03_late_label::RULE,
    &d04_wide_bracket::RULE,
    &d05_clock_step::RULE,
    &d06_convenient_gap::RULE,
    &d07_platform_twin::RULE,
    &d08_opening_mismatch::RULE,
    &d09_manifest_drift::RULE,
    &d10_flatline::RULE,
    &d11_exact_replay::RULE,
    &d12_near_replay::RULE,
    &d13_pure_tone::RULE,
    &d14_no_noise::RULE,
    &d15_physics::RULE,
    &d16_too_clean::RULE,
    &d17_wire_profile::RULE,
    &d18_identity_drift::RULE,
    &d20_tick_clicks::RULE,
    &d21_even_gaps::RULE,
    &d22_no_rest::RULE,
    &d23_one_hand::RULE,
    &d24_backfill::RULE,
    &d25_exam_burst::RULE,
    &d26_shallow_use::RULE,
    &d27_same_path::RULE,
    &d28_typed_numbers::RULE,
    &d29_no_errors::RULE,
    &d30_uncoupled::RULE,
    &d31_balance::RULE,
    &d32_old_wine::RULE,
    &d33_template_twin::RULE,
    &d34_back_door::RULE,
    &d35_drill_fail::RULE,
];

/// What all rules say of a firm, in the order of their ids.
pub(crate) fn look(case: &Case<'_>) -> Vec<Finding> {
    ALL.iter().map(|rule| rule.finding((rule.look)(case))).collect()
}

impl Rule {
    pub(crate) fn finding(&self, look: Look) -> Finding {
        Finding {
            id: self.id,
            version: self.version,
            family: self.family,
            name: Text::new(self.name.0, self.name.1),
            outcome: look.outcome,
            text: look.text,
            sample: look.sample,
            effect: look.effect,
            honest: self.honest.iter().map(|(zh, en)| Text::new(*zh, *en)).collect(),
            days: look.days,
            chart: look.chart,
        }
    }
}

/// What odd signals among `all` make a rule come to: a question where they are most of them, and more where their
/// machines are moreover run as nobody runs one.
fn of_signals(odd: &[&crate::signals::Signal], all: usize) -> Outcome {
    let unattended = odd.iter().filter(|signal| signal.unattended).count();
    match odd.len() * 2 > all {
        true if unattended * 2 > all => Outcome::AskStrongly,
        true => Outcome::Ask,
        false => Outcome::Clear,
    }
}

/// What drills of some kind came to. One that failed is a proven mismatch unless it was repeated and passed.
fn drills(case: &Case<'_>, wanted: impl Fn(&crate::project::Drill) -> bool, zh: &str, en: &str) -> Look {
    let held: Vec<_> = case.view.project.drills.iter().filter(|drill| wanted(drill)).collect();
    if held.is_empty() {
        return Look::none(format!("尚无{zh}"), format!("no {en} yet"));
    }
    let repeated = |failed: &crate::project::Drill| {
        held.iter().any(|drill| drill.kind == failed.kind && drill.passed && drill.date >= failed.date)
    };
    let failed: Vec<_> = held.iter().filter(|drill| !drill.passed && !repeated(drill)).collect();
    let notes =
        failed.iter().map(|drill| format!("{} {}", drill.date, drill.note)).collect::<Vec<_>>().join("；");
    let (count, all) = (failed.len(), held.len());
    let outcome = if count > 0 { Outcome::Proven } else { Outcome::Clear };
    Look::new(
        outcome,
        format!("{zh} {all} 次，{count} 次未通过 {notes}").trim().to_owned(),
        format!("{all} {en}, {count} failed {notes}").trim().to_owned(),
    )
    .of(all as u64, count as f64)
}
