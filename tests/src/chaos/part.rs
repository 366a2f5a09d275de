//! What was injected into one kind of source, what came of it, and what of that must not be.

use std::fmt;
use std::time::Duration;

/// Violations whose text is kept.
const KEPT: usize = 50;

/// One kind of fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// In words.
    pub fault: &'static str,
    /// How often.
    pub injected: u64,
    /// While it lasted or its end was not forgotten yet.
    pub violations: u64,
}

/// One kind of source.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Its name.
    pub title: &'static str,
    /// Faults.
    pub rows: Vec<Row>,
    /// What was done, in words.
    pub figures: Vec<String>,
    /// What was found.
    pub found: Found,
    /// Sources that were not well at the end.
    pub unwell: Vec<String>,
}

/// What a judge found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Reports judged.
    pub reports: u64,
    /// Values or records compared with what was served or written.
    pub compared: u64,
    /// Reports excused because the machine itself stood still.
    pub stalled: u64,
    /// Violations.
    pub count: u64,
    /// Wrong values or records among them.
    pub wrong: u64,
    /// Longest time without a report.
    pub longest_gap: Duration,
    /// The first violations.
    pub violations: Vec<String>,
}

impl Found {
    /// Notes something that must not be.
    pub fn violates(&mut self, is_wrong: bool, what: String) {
        self.count += 1;
        self.wrong += u64::from(is_wrong);
        if self.violations.len() < KEPT {
            self.violations.push(what);
        }
    }
}

impl Part {
    /// Whether everything was as stated.
    pub fn is_good(&self) -> bool {
        self.found.count == 0 && self.unwell.is_empty() && !self.is_doubtful()
    }

    /// Whether the machine stood still so often that the run says little.
    pub fn is_doubtful(&self) -> bool {
        self.found.stalled * 20 > self.found.reports
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<46}{:>10}{:>12}", self.title, "injected", "violations")?;
        for Row { fault, injected, violations } in &self.rows {
            writeln!(f, "{fault:<46}{injected:>10}{violations:>12}")?;
        }
        let Found { reports, compared, stalled, longest_gap, count, wrong, .. } = &self.found;
        writeln!(
            f,
            "{reports} reports, {compared} compared, {wrong} wrong, {count} violations; longest time without a report \
             {:.1} s; {stalled} reports excused because this machine stood still",
            longest_gap.as_secs_f64()
        )?;
        self.figures.iter().try_for_each(|figure| writeln!(f, "{figure}"))?;
        self.unwell.iter().try_for_each(|unwell| writeln!(f, "not well at the end: {unwell}"))?;
        self.found.violations.iter().try_for_each(|violation| writeln!(f, "{violation}"))
    }
}
