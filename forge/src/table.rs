//! The confusion table: what the scorer says of many factories of each class.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use scorer::{Assessment, Outcome, UseLevel};

use crate::judge;

/// What came of one factory.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Its class.
    pub class: &'static str,
    /// Its seed.
    pub seed: u64,
    /// Its profile.
    pub profile: String,
    /// Its use level.
    pub level: UseLevel,
    /// Flags, by code, with their indicators in words.
    pub flags: Vec<(&'static str, Vec<String>)>,
    /// Rules that ask.
    pub asks: Vec<&'static str>,
    /// R1 to R3, or U1.
    pub accused: bool,
    /// Why it has its level.
    pub because: String,
    /// By what should find it.
    pub found: bool,
}

impl Verdict {
    fn of(class: &'static str, seed: u64, profile: String, assessment: &Assessment) -> Self {
        let odd = assessment.findings.iter().filter(|finding| finding.outcome >= Outcome::Ask);
        Self {
            class,
            seed,
            profile,
            level: assessment.level,
            flags: assessment
                .flags
                .iter()
                .map(|flag| (flag.code, flag.indicators.iter().map(|one| one.text.en.clone()).collect()))
                .collect(),
            asks: odd.map(|finding| finding.id).collect(),
            accused: judge::accuses(assessment),
            because: assessment
                .level_because
                .iter()
                .map(|one| one.en.as_str())
                .collect::<Vec<_>>()
                .join("; "),
            found: judge::found(class, assessment),
        }
    }
}

/// Judges the factories of `classes` with `seeds`, on all processors, in the order of classes and seeds.
pub fn judge_all(classes: &[&'static str], seeds: std::ops::Range<u64>) -> Vec<Verdict> {
    let calendar = crate::calendar();
    let jobs: Vec<(&'static str, u64)> =
        classes.iter().flat_map(|class| seeds.clone().map(move |seed| (*class, seed))).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(jobs.len())));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, (class, seed))) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(at).map(|job| (at, job))
                } {
                    let Some(factory) = crate::factory(class, *seed) else { continue };
                    let verdict = judge::judge(&factory, &calendar);
                    let verdict = Verdict::of(class, *seed, factory.project.profile.clone(), &verdict);
                    done.lock().expect("no thread has failed").push((at, verdict));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no thread has failed");
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, verdict)| verdict).collect()
}

/// One class in the table.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Factories.
    pub count: usize,
    /// By use level.
    pub levels: [usize; 4],
    /// By flag, R1 first.
    pub flags: [usize; 5],
    /// R1 to R3, or U1.
    pub accused: usize,
    /// By what should find it.
    pub found: usize,
    /// Rules that ask, with how often.
    pub asks: BTreeMap<&'static str, usize>,
}

/// Sums by class.
pub fn rows(verdicts: &[Verdict]) -> Vec<(&'static str, Row)> {
    let mut rows: Vec<(&'static str, Row)> = Vec::new();
    for verdict in verdicts {
        if rows.last().is_none_or(|(class, _)| *class != verdict.class) {
            rows.push((verdict.class, Row::default()));
        }
        let Some((_, row)) = rows.last_mut() else { continue };
        row.count += 1;
        row.levels[verdict.level as usize] += 1;
        for (code, _) in &verdict.flags {
            let at = ["R1", "R2", "R3", "R4", "R5"].iter().position(|flag| flag == code);
            if let Some(at) = at {
                row.flags[at] += 1;
            }
        }
        row.accused += usize::from(verdict.accused);
        row.found += usize::from(verdict.found);
        for id in &verdict.asks {
            *row.asks.entry(id).or_default() += 1;
        }
    }
    rows
}

/// The table as text: honest classes with their accusations, forgeries with what found them.
pub fn text(rows: &[(&'static str, Row)]) -> String {
    let mut text = String::from(
        "class               n    U0   U1   U2   U3    R1   R2   R3   R4   R5   accused/found\n",
    );
    for (class, row) in rows {
        let honest = crate::honest::CLASSES.iter().any(|(name, _)| name == class);
        let levels: String = row.levels.iter().map(|count| format!("{count:>5}")).collect();
        let flags: String = row.flags.iter().map(|count| format!("{count:>5}")).collect();
        let came_to = match (honest, judge::right(class)) {
            (true, _) => format!("accused {}", row.accused),
            (false, Some(right)) => format!("found {} by {right}", row.found),
            (false, None) => format!("R2 {}, nothing promised", row.found),
        };
        let mut asks: Vec<_> = row.asks.iter().collect();
        asks.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let asks: Vec<String> = asks.iter().map(|(id, count)| format!("{id} {count}")).collect();
        let asks = asks.join(", ");
        text.push_str(&format!("{class:<16}{:>5}  {levels} {flags}   {came_to}   asks: {asks}\n", row.count));
    }
    text
}

/// What of the promise does not hold: at most one in two hundred honest factories accused and no more than two of a
/// class; nineteen in twenty of each forgery found.
pub fn broken(rows: &[(&'static str, Row)]) -> Vec<String> {
    let honest = |class: &str| crate::honest::CLASSES.iter().any(|(name, _)| *name == class);
    let (all, accused) = rows
        .iter()
        .filter(|(class, _)| honest(class))
        .fold((0, 0), |sum, (_, row)| (sum.0 + row.count, sum.1 + row.accused));
    let mut broken = Vec::new();
    if accused * 200 > all {
        broken.push(format!("{accused} of {all} honest factories are accused, at most one in 200 may be"));
    }
    for (class, row) in rows {
        if honest(class) && row.accused > 2 {
            broken.push(format!("{class}: {} of {} are accused, at most two may be", row.accused, row.count));
        }
        if judge::right(class).is_some() && row.found * 20 < row.count * 19 {
            broken.push(format!("{class}: {} of {} are found, 95 in 100 must be", row.found, row.count));
        }
    }
    broken
}
