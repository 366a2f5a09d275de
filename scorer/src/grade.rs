//! How late evidence was handed in, and what a record's outcome makes of it: `docs/protocol.md`, origin and grade.

use proof::wire::Outcome;

/// Lateness of an entry: server's time of receipt minus the claimed end of what it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// At most 30 minutes.
    A,
    /// At most 48 hours.
    B,
    /// At most 7 days: counts, and marks the verdict 迟交.
    C,
    /// Later, or in doubt: history only, never decides.
    D,
}

/// How far a gateway's clock may run ahead before its claims decide nothing.
const AHEAD_MS: i64 = 15 * 60_000;

impl Grade {
    /// The letter.
    pub const fn letter(self) -> char {
        match self {
            Self::A => 'A',
            Self::B => 'B',
            Self::C => 'C',
            Self::D => 'D',
        }
    }

    /// Index in arrays by grade.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Whether it may decide at all.
    pub(crate) const fn decides(self) -> bool {
        !matches!(self, Self::D)
    }

    /// The grade of an entry received at `recv_ms` that claims to end at `end_ms`.
    ///
    /// A claim that ends more than 15 minutes after its receipt, or that the ledger doubts (`anchor_unknown`, a
    /// conflict), is grade D: it was not necessarily made when it says.
    pub fn of(recv_ms: i64, end_ms: i64, outcome: Outcome, findings: &[String]) -> Self {
        let doubted = outcome == Outcome::Conflict || findings.iter().any(|name| name == "anchor_unknown");
        let late = recv_ms.saturating_sub(end_ms);
        if doubted || late < -AHEAD_MS {
            Self::D
        } else if late <= 30 * 60_000 {
            Self::A
        } else if late <= 48 * 3_600_000 {
            Self::B
        } else if late <= 7 * 86_400_000 {
            Self::C
        } else {
            Self::D
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_falls_through_the_grades_at_30_minutes_48_hours_and_7_days() {
        let grade = |late| Grade::of(late, 0, Outcome::Recorded, &[]);
        let hour = 3_600_000;
        let cases = [(0, Grade::A), (hour / 2, Grade::A), (hour / 2 + 1, Grade::B), (48 * hour, Grade::B)];
        for (late, expected) in cases {
            assert_eq!(grade(late), expected, "{late}");
        }
        assert_eq!(grade(48 * hour + 1), Grade::C);
        assert_eq!(grade(7 * 24 * hour + 1), Grade::D);
        assert_eq!(grade(-60_000), Grade::A);
        assert_eq!(grade(-16 * 60_000), Grade::D, "a clock that runs ahead proves no date");
    }

    #[test]
    fn doubted_entries_never_decide() {
        assert_eq!(Grade::of(0, 0, Outcome::Conflict, &[]), Grade::D);
        assert_eq!(Grade::of(0, 0, Outcome::Finding, &["anchor_unknown".to_owned()]), Grade::D);
        assert_eq!(Grade::of(0, 0, Outcome::Finding, &["clock_back".to_owned()]), Grade::A);
    }
}
