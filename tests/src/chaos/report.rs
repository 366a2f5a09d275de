//! What a run found, for people.

use std::fmt;
use std::time::Duration;

use super::faults::Fault;
use super::judge::Findings;
use super::part::Part;
use super::record::Record;

/// What was injected, what came of it, and whether it may.
#[derive(Debug, Clone)]
pub struct Report {
    /// What all dice followed from.
    pub seed: u64,
    /// How long it ran.
    pub took: Duration,
    /// Devices.
    pub sources: usize,
    /// Those that were not well at the end, when nothing had been wrong for long.
    pub unwell: Vec<(u16, String)>,
    /// What the judge found.
    pub found: Findings,
    /// Questions, and connections.
    pub counts: (u64, u64),
    /// How often each fault was met.
    pub injected: std::collections::BTreeMap<Fault, u64>,
    /// What collectors did and must never do.
    pub problems: Vec<String>,
    /// What is no Modbus.
    pub parts: Vec<Part>,
}

impl Report {
    pub(super) fn new(
        seed: u64,
        took: Duration,
        sources: usize,
        unwell: Vec<(u16, String)>,
        found: Findings,
        record: &Record,
        parts: Vec<Part>,
    ) -> Self {
        let (injected, problems) = (record.injected(), record.problems());
        Self { seed, took, sources, unwell, found, counts: record.counts(), injected, problems, parts }
    }

    /// Whether everything was as stated.
    pub fn is_good(&self) -> bool {
        let lines = self.found.count == 0 && self.problems.is_empty() && self.unwell.is_empty();
        lines && !self.is_doubtful() && self.parts.iter().all(Part::is_good)
    }

    /// Whether the machine stood still so often that the run says little.
    pub fn is_doubtful(&self) -> bool {
        self.found.stalled * 20 > self.found.reports
    }

    /// How often a fault was met.
    pub fn met(&self, fault: Fault) -> u64 {
        self.injected.get(&fault).copied().unwrap_or(0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<34}{:>10}{:>12}{:>12}", "fault", "injected", "as stated", "violations")?;
        for fault in Fault::all() {
            let met = self.met(fault);
            let violations = self.found.by_fault.get(&Some(fault)).copied().unwrap_or(0);
            // While a line is gone nothing is asked; each outage is one.
            let outage = fault == Fault::Down && violations == 0;
            let stated = if outage { met } else { self.found.as_stated.get(&fault).copied().unwrap_or(0) };
            writeln!(f, "{:<34}{met:>10}{stated:>12}{violations:>12}", fault.words())?;
        }
        let found = &self.found;
        let other = found.by_fault.get(&None).copied().unwrap_or(0);
        writeln!(f, "{:<34}{:>10}{:>12}{other:>12}", "no fault", "", "")?;
        let (questions, connections) = self.counts;
        let faults: u64 = self.injected.values().sum();
        writeln!(
            f,
            "\nseed {}: {} devices, {:.0} s, {questions} questions ({faults} with a fault), {} reports, {} values \
             compared, {connections} connections",
            self.seed,
            self.sources,
            self.took.as_secs_f64(),
            found.reports,
            found.values,
        )?;
        let (gap, whose) = found.longest_gap;
        writeln!(f, "longest time without a report: {:.1} s (source {whose})", gap.as_secs_f64())?;
        let (recovery, whose) = found.longest_recovery;
        writeln!(
            f,
            "longest time from the last cause of a silence to the next value: {:.1} s (source {whose})",
            recovery.as_secs_f64()
        )?;
        writeln!(f, "excused because this machine stood still: {} reports", found.stalled)?;
        if self.is_doubtful() {
            writeln!(f, "that is too many for the run to say anything")?;
        }
        for (source, reads) in &self.unwell {
            writeln!(f, "source {source} was not well at the end: {reads}")?;
        }
        for problem in &self.problems {
            writeln!(f, "never: {problem}")?;
        }
        for violation in &found.violations {
            let fault = violation.fault.map_or_else(|| "no fault".to_owned(), Fault::words);
            writeln!(f, "source {} ({fault}): {}", violation.source, violation.what)?;
        }
        self.parts.iter().try_for_each(|part| write!(f, "{part}"))?;
        let all = found.count + self.parts.iter().map(|part| part.found.count).sum::<u64>();
        write!(f, "violations: {all}")
    }
}
