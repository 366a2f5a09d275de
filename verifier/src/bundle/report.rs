//! What a check says, line by line.

use std::collections::BTreeMap;

use crate::Verdict;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// It was checked and holds.
    Holds,
    /// It does not hold.
    Wrong,
    /// It is needed and not there.
    Missing,
    /// It is so, and whoever reads the evidence should know.
    Says,
    /// No check of these bytes can tell.
    CannotTell,
}

impl Mark {
    /// Its word in Chinese.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Holds => "成立",
            Self::Wrong => "不成立",
            Self::Missing => "缺少",
            Self::Says => "须知",
            Self::CannotTell => "无法得知",
        }
    }

    /// Its word in English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Holds => "ok",
            Self::Wrong => "FAILED",
            Self::Missing => "missing",
            Self::Says => "note",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What kind of line.
    pub mark: Mark,
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

/// What the check of a bundle found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Yes, no or incomplete.
    pub verdict: Verdict,
    /// In the order in which it was checked.
    pub lines: Vec<Line>,
}

/// Most lines of one mark; more are counted.
const MOST: usize = 200;

#[derive(Default)]
pub(super) struct Made {
    lines: Vec<Line>,
    counts: BTreeMap<Mark, usize>,
}

impl Made {
    pub(super) fn say(&mut self, mark: Mark, zh: impl Into<String>, en: impl Into<String>) {
        let count = self.counts.entry(mark).or_default();
        *count += 1;
        if *count <= MOST {
            self.lines.push(Line { mark, zh: zh.into(), en: en.into() });
        }
    }

    pub(super) fn wrong(&mut self, zh: impl Into<String>, en: impl Into<String>) {
        self.say(Mark::Wrong, zh, en);
    }

    pub(super) fn end(mut self) -> Report {
        let has = |mark| self.counts.contains_key(&mark);
        let verdict = match (has(Mark::Wrong), has(Mark::Missing)) {
            (true, _) => Verdict::Invalid,
            (false, true) => Verdict::Incomplete,
            (false, false) => Verdict::Valid,
        };
        for (mark, count) in self.counts {
            if let Some(more) = count.checked_sub(MOST).filter(|more| *more > 0) {
                let (zh, en) = (format!("另有同类 {more} 条未列出"), format!("{more} more of this kind"));
                self.lines.push(Line { mark, zh, en });
            }
        }
        Report { verdict, lines: self.lines }
    }
}
