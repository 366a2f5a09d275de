//! Firms of one ledger side by side: days of people's actions that two firms have minute by minute in common.
//!
//! Eight minutes or more of a day that are the same in two firms are no chance. Which of the two is the copy, time tells
//! where the other's days had been seen live days before: nobody copies what is yet to come. Else their machines tell:
//! the original's actions fit its own machines (`crate::coupling`).

use std::collections::{BTreeMap, HashMap};

use crate::calendar::Calendar;
use crate::coupling::Coupling;
use crate::history::History;
use crate::minutes::Minutes;
use crate::profile::Profile;
use crate::project::Project;
use crate::view::View;

/// One firm of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Firm<'a> {
    /// What it declares.
    pub project: &'a Project,
    /// Its city's profile.
    pub profile: &'a Profile,
    /// What its gateways said.
    pub history: &'a History,
}

/// Another firm with the same days.
#[derive(Debug, Clone, PartialEq)]
pub struct Twin {
    /// The other project's id: for the operator of the ledger, not for the firm's page.
    pub other: String,
    /// Days that are the same minute by minute.
    pub days: u32,
    /// Days of this firm with enough actions to be compared.
    pub compared: u32,
    /// This firm's days lie so many days after the other's.
    pub later_days: i64,
    /// This firm's are the copy: the other's days had been seen live before, or the other's actions fit the other's
    /// machines well and this firm's do not fit its own.
    pub is_copy: bool,
}

/// What a comparison of firms came to, by project.
#[derive(Debug, Clone, Default)]
pub struct Cross {
    twins: BTreeMap<String, Vec<Twin>>,
    firms: usize,
}

/// Minutes with actions that make a day one that can be compared.
const MINUTES: u32 = 8;

/// Days in common, at one distance, from which on two firms are twins.
const DAYS: u32 = 3;

/// Days after which what was seen live elsewhere had been received by the log for certain: grade B is two days.
const LATER: i64 = 3;

/// Firms that share one day at most: what more of them have is how a trade works (a machine's clock, a shared import).
const SHARED_BY: usize = 20;

/// Standard deviations above chance from which on actions fit machines, and below which they do not: rule D30.
const FITS: f64 = 5.0;
/// See [`FITS`].
const FITS_NOT: f64 = 3.0;

impl Cross {
    /// Compares all with all, as of a moment (Unix ms). Takes time in proportion to the days of all firms together.
    pub fn compare(firms: &[Firm<'_>], calendar: &Calendar, as_of_ms: i64) -> Self {
        let mut by_content: HashMap<[u64; 23], Vec<(usize, i64, bool)>> = HashMap::new();
        let mut days_of = vec![0_u32; firms.len()];
        for (at, firm) in firms.iter().enumerate() {
            for (day, minutes, live) in days(firm) {
                days_of[at] += 1;
                by_content.entry(minutes.words()).or_default().push((at, day, live));
            }
        }
        // Days in common, and of these such that were seen live at the one and at the other.
        let mut common: BTreeMap<(usize, usize, i64), [u32; 3]> = BTreeMap::new();
        for same in by_content.values().filter(|same| (2..=SHARED_BY).contains(&same.len())) {
            for (one, day, live) in same {
                for (other, its_day, its_live) in same.iter().filter(|(other, ..)| other > one) {
                    let sums = common.entry((*one, *other, day - its_day)).or_default();
                    for (sum, counts) in sums.iter_mut().zip([true, *live, *its_live]) {
                        *sum += u32::from(counts);
                    }
                }
            }
        }
        let mut cross = Self { twins: BTreeMap::new(), firms: firms.len() };
        let mut fits: HashMap<usize, Option<f64>> = HashMap::new();
        for ((one, other, later), [days, live, its_live]) in common {
            if days < DAYS {
                continue;
            }
            for (own, its, later_days, before) in [(one, other, later, its_live), (other, one, -later, live)]
            {
                let mut z =
                    |at: usize| *fits.entry(at).or_insert_with(|| fit(&firms[at], calendar, as_of_ms));
                let foreseen = later_days >= LATER && before >= DAYS;
                let is_copy =
                    foreseen || z(its).is_some_and(|z| z >= FITS) && z(own).is_some_and(|z| z < FITS_NOT);
                let other = firms[its].project.id.clone();
                let twin = Twin { other, days, compared: days_of[own], later_days, is_copy };
                cross.twins.entry(firms[own].project.id.clone()).or_default().push(twin);
            }
        }
        cross
    }

    /// Firms that were compared.
    pub fn firms(&self) -> usize {
        self.firms
    }

    /// Firms with days of this project's.
    pub fn twins(&self, project: &str) -> &[Twin] {
        self.twins.get(project).map_or(&[], Vec::as_slice)
    }
}

/// Days of a firm with enough minutes to be compared, and whether most of them were seen live.
fn days(firm: &Firm<'_>) -> impl Iterator<Item = (i64, Minutes, bool)> {
    let mut days: BTreeMap<i64, (Minutes, Minutes)> = BTreeMap::new();
    let chains = firm.project.agents.iter().filter_map(|agent| firm.history.chains().get(agent));
    for (day, of_day) in chains.flat_map(|chain| chain.days.iter()) {
        for minutes in of_day.actor_minutes.values() {
            let (known, _) = days.entry(*day).or_default();
            *known = known.or(minutes);
        }
        for source in of_day.sources.values() {
            let (_, live) = days.entry(*day).or_default();
            *live = live.or(&source.pace.live);
        }
    }
    let enough = days.into_iter().filter(|(_, (minutes, _))| minutes.count() >= MINUTES);
    enough.map(|(day, (minutes, live))| (day, minutes, minutes.and(&live).count() * 2 > minutes.count()))
}

/// How well a firm's actions fit its machines over all of its days.
fn fit(firm: &Firm<'_>, calendar: &Calendar, as_of_ms: i64) -> Option<f64> {
    let view = View::new(firm.project, firm.profile, calendar, firm.history, as_of_ms);
    let last = view.days.len() - 1;
    Coupling::of(&view, 0, last).z
}
