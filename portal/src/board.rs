//! The source of a running server: one firm's folded history beside its newest assessment, fed from the ledger.
//!
//! Promised: every recorded entry is folded once, in log order; one that cannot be is logged and passed over, and so is
//! a firm that cannot be scored. A firm is scored again when entries came or its day changed, never by a reader;
//! readers get the newest finished picture and wait for nobody. What a page needs of single windows is read from the
//! ledger by place, not by search.
//!
//! Deliberately absent: a clock of its own (the moment is an argument), and anything stored: a new server folds the
//! ledger again.

mod fold;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use daemon::Clock;
use jiff::civil::Date;
use ledger::{Agent, Entry, LedgerError, Read, Readers, Receipted, RefusalCount, Resource};
use proof::{AgentId, Deed, EntryId, Words};
use scorer::cross::Firm as Compared;
use scorer::{Calendar, Cross, Profile, Project, assess_among};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use self::fold::Fold;
use crate::figures;
use crate::source::{ChainFacts, Firm, Gateway, LogFacts, MAX_DAY, Source, SourceError};

/// Entries read from the ledger at a time.
const BATCH: u32 = 2_000;

/// What the board must be told: the ledger does not know it.
pub struct Plan {
    /// Each project with the profile it is judged under.
    pub projects: Vec<(Project, Profile)>,
    /// Holidays.
    pub calendar: Calendar,
    /// The log's verifier key, as `inuse-verify` takes it.
    pub verifier_key: String,
}

/// See the module's text. Shared behind an [`Arc`].
pub struct Board {
    readers: Readers,
    clock: Arc<dyn Clock>,
    plan: Plan,
    folded: Mutex<Folded>,
    shown: RwLock<Shown>,
}

/// What was read so far. Held by one refresh at a time.
#[derive(Default)]
struct Folded {
    /// Next place in the log.
    next: u64,
    firms: BTreeMap<String, Fold>,
    /// The local day each firm was last scored on.
    scored: BTreeMap<String, Option<Date>>,
    /// All firms compared with each other, and the day on which they were.
    cross: Cross,
    compared: Option<Date>,
}

/// What readers see.
#[derive(Default)]
struct Shown {
    firms: BTreeMap<String, Arc<Firm>>,
    /// Where each gateway's days lie in the log.
    places: BTreeMap<AgentId, Arc<fold::Places>>,
    log: LogFacts,
    ready: bool,
}

impl Board {
    /// A board that has read nothing yet: call [`Board::refresh`] once before serving.
    pub fn new(readers: Readers, clock: Arc<dyn Clock>, plan: Plan) -> Self {
        let log = LogFacts { verifier_key: plan.verifier_key.clone(), ..LogFacts::default() };
        let shown = RwLock::new(Shown { log, ..Shown::default() });
        Self { readers, clock, plan, folded: Mutex::default(), shown }
    }

    /// Refreshes every `every` of real time until told to stop. A refresh that fails is tried again: readers keep the
    /// picture they have.
    pub async fn run(self: Arc<Self>, every: Duration, stop: CancellationToken) {
        loop {
            let board = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || board.refresh()).await {
                Ok(Ok(scored)) => debug!(scored, "board refreshed"),
                Ok(Err(error)) => warn!(error = %daemon::chain(&error), "board not refreshed"),
                Err(panic) => warn!(error = %panic, "board not refreshed"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
        }
    }

    /// Folds what is new in the ledger and scores the firms it belongs to; returns how many were scored. Blocks.
    ///
    /// # Errors
    /// When the ledger cannot be read. What was folded stays folded.
    pub fn refresh(&self) -> Result<usize, SourceError> {
        let mut folded = self.folded.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = self.clock.stamp().wall_ms;
        let mut touched = BTreeSet::new();
        let agents = loop {
            let from = folded.next;
            let entries = self.readers.read_blocking(|read| read.entries(None, from, BATCH))?;
            // Asked after the entries: whoever enrolled while they were read is among them, and is nobody's otherwise.
            let agents = self.readers.read_blocking(|read| read.agents(None))?;
            if entries.is_empty() {
                break agents;
            }
            // What an unconfirmed gateway sends decides nothing; when it is confirmed, its project gets another board.
            let confirmed = agents.iter().filter(|agent| agent.is_confirmed());
            let owners: BTreeMap<AgentId, &str> =
                confirmed.map(|agent| (agent.id, agent.project.as_str())).collect();
            for entry in &entries {
                folded.next = entry.index + 1;
                if let Some(firm) = self.fold(&mut folded, &owners, entry) {
                    touched.insert(firm);
                }
            }
        };
        let scored = self.show(&mut folded, &agents, &touched, now_ms)?;
        Ok(scored)
    }

    /// Folds one entry; returns whose it is. Entries of projects that no file describes are nobody's.
    fn fold(&self, folded: &mut Folded, owners: &BTreeMap<AgentId, &str>, entry: &Entry) -> Option<String> {
        let id = *owners.get(&entry.agent)?;
        let (project, _) = self.plan.projects.iter().find(|(project, _)| project.id == id)?;
        let fold = folded.firms.entry(id.to_owned()).or_insert_with(|| Fold::new(project.utc_offset_minutes));
        // One entry nobody thought of must not hide all others, nor end the server.
        if let Err(reason) = unharmed(|| fold.push(entry)) {
            error!(agent = %entry.agent, seq = entry.seq, reason, "entry not folded");
        }
        Some(id.to_owned())
    }

    /// Scores what is due and puts the new picture up.
    fn show(
        &self,
        folded: &mut Folded,
        agents: &[Agent],
        touched: &BTreeSet<String>,
        now_ms: i64,
    ) -> Result<usize, SourceError> {
        let (checkpoint, refusals) =
            self.readers.read_blocking(|read| Ok((read.checkpoint()?, read.refusals()?)))?;
        let before = self.shown.read().unwrap_or_else(PoisonError::into_inner).firms.clone();
        let mut firms = BTreeMap::new();
        let mut scored = 0;
        self.compare(folded, now_ms);
        for (project, profile) in &self.plan.projects {
            let Some(fold) = folded.firms.get(&project.id) else { continue };
            let today = figures::date(now_ms, project.utc_offset_minutes);
            let due = touched.contains(&project.id) || folded.scored.get(&project.id) != Some(&today);
            let old = before.get(&project.id);
            let assessment = match old {
                Some(old) if !due => old.assessment.clone(),
                Some(_) | None => {
                    folded.scored.insert(project.id.clone(), today);
                    let (calendar, cross) = (&self.plan.calendar, Some(&folded.cross));
                    let assess = || assess_among(project, profile, calendar, fold.history(), now_ms, cross);
                    match unharmed(assess) {
                        Ok(assessment) => {
                            scored += 1;
                            assessment
                        }
                        Err(reason) => {
                            error!(firm = project.id, reason, "firm not scored");
                            firms.extend(old.map(|old| (project.id.clone(), Arc::clone(old))));
                            continue;
                        }
                    }
                }
            };
            let mine: Vec<&Agent> = agents.iter().filter(|agent| agent.project == project.id).collect();
            let mut gateways: Vec<Gateway> = mine.iter().map(|agent| gateway(agent, fold)).collect();
            for gateway in &mut gateways {
                let known = old.and_then(|old| old.gateways.iter().find(|old| old.agent == gateway.agent));
                gateway.baseline = match known {
                    // What it was enrolled with stays.
                    Some(known) => known.baseline,
                    None => self.readers.read_blocking(|read| baseline(read, gateway.agent))?,
                };
            }
            for gateway in gateways.iter_mut().filter(|gateway| gateway.epoch > 1) {
                let keys = self.readers.read_blocking(|read| read.keys(gateway.agent))?;
                let earlier = keys.into_iter().filter(|key| key.epoch < gateway.epoch);
                gateway.earlier = earlier.map(|key| (key.epoch, key.key.to_bytes())).collect();
            }
            let chain = ChainFacts { refusals: refused(&refusals, &mine), ..fold.counts().clone() };
            // Nothing changed: keep the very same picture.
            if let Some(old) = old.filter(|old| !due && old.gateways == gateways && old.chain == chain) {
                firms.insert(project.id.clone(), Arc::clone(old));
                continue;
            }
            let firm = Firm {
                project: project.clone(),
                assessment,
                gateways,
                names: fold.names(),
                chain,
                strips: fold.strips(),
            };
            firms.insert(project.id.clone(), Arc::new(firm));
        }
        let places = folded.firms.values().flat_map(Fold::places).collect();
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        shown.firms = firms;
        shown.places = places;
        shown.log.size = checkpoint.size;
        shown.log.checkpoint = checkpoint.note;
        shown.ready = true;
        Ok(scored)
    }

    /// Compares all firms with each other, once a day: on that day each is scored again anyway.
    fn compare(&self, folded: &mut Folded, now_ms: i64) {
        for (project, _) in &self.plan.projects {
            let fold = || Fold::new(project.utc_offset_minutes);
            folded.firms.entry(project.id.clone()).or_insert_with(fold);
        }
        let offset = self.plan.projects.first().map_or(0, |(project, _)| project.utc_offset_minutes);
        let today = figures::date(now_ms, offset);
        if folded.compared.is_some() && folded.compared == today {
            return;
        }
        let firms: Vec<Compared<'_>> = self
            .plan
            .projects
            .iter()
            .filter_map(|(project, profile)| {
                let history = folded.firms.get(&project.id)?.history();
                Some(Compared { project, profile, history })
            })
            .collect();
        match unharmed(|| Cross::compare(&firms, &self.plan.calendar, now_ms)) {
            Ok(cross) => folded.cross = cross,
            Err(reason) => error!(reason, "firms not compared"),
        }
        folded.compared = today;
    }

    fn look<T>(&self, at: impl FnOnce(&Shown) -> T) -> Result<T, SourceError> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        if shown.ready { Ok(at(&shown)) } else { Err(SourceError::NotReady) }
    }

    /// The runs of the log at which `which` finds entries of this gateway, read by place.
    fn read_runs(&self, agent: AgentId, runs: &[fold::Run], room: usize) -> Result<Vec<Entry>, SourceError> {
        let mut found = Vec::new();
        for run in runs {
            let left = room.saturating_sub(found.len());
            let count = run.count.min(u32::try_from(left).unwrap_or(u32::MAX));
            if count == 0 {
                break;
            }
            found.extend(self.readers.read_blocking(|read| read.entries(Some(agent), run.first, count))?);
        }
        Ok(found)
    }
}

/// Does it, or says what it panicked with. Only for what is either whole or no worse for being half done: tallies of
/// one entry, a value not yet shown.
fn unharmed<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason".to_owned())
    })
}

/// The hash of the before-baseline that this gateway enrolled with.
fn baseline(read: &dyn Read, agent: AgentId) -> Result<Option<[u8; 32]>, LedgerError> {
    let of = |deed: Deed| match deed {
        Deed::Enrol(_, enrol) => enrol.baseline.try_into().ok(),
        Deed::Confirm(..) | Deed::Revoke(..) | Deed::Beacon => None,
    };
    Ok(read.acts(agent)?.into_iter().find_map(|recorded| of(recorded.act.deed)))
}

fn gateway(agent: &Agent, fold: &Fold) -> Gateway {
    let by = |party: &Option<ledger::Confirmed>| party.as_ref().map(|by| (by.name.clone(), by.at_ms));
    Gateway {
        agent: agent.id,
        hostname: agent.hostname.clone(),
        key: agent.key.to_bytes(),
        epoch: agent.epoch,
        earlier: BTreeMap::new(),
        kid: agent.kid,
        enrolled_ms: agent.enrolled_ms,
        baseline: None,
        words: Words::of(agent.id, &agent.enrolled_key),
        firm: by(&agent.firm),
        city: by(&agent.city),
        online: agent.presence.as_ref().map(|presence| presence.online),
        last_recv_ms: fold.last_recv_ms(agent.id),
        seq: agent.head.seq,
        forks: agent.head.forks,
        revoked: agent.revoked.as_ref().map(|revoked| revoked.reason.clone()),
    }
}

/// What was refused on the topics of these gateways.
fn refused(all: &[RefusalCount], mine: &[&Agent]) -> Vec<RefusalCount> {
    let ours = |count: &&RefusalCount| count.agent.is_some_and(|id| mine.iter().any(|agent| agent.id == id));
    all.iter().filter(ours).cloned().collect()
}

impl Source for Board {
    fn now_ms(&self) -> i64 {
        self.clock.stamp().wall_ms
    }

    fn firms(&self) -> Result<Vec<Arc<Firm>>, SourceError> {
        self.look(|shown| shown.firms.values().cloned().collect())
    }

    fn firm(&self, id: &str) -> Result<Option<Arc<Firm>>, SourceError> {
        self.look(|shown| shown.firms.get(id).cloned())
    }

    fn day(&self, firm: &str, date: Date) -> Result<Vec<Entry>, SourceError> {
        let gateways = self.look(|shown| {
            let agents = shown.firms.get(firm).map(|firm| firm.gateways.clone()).unwrap_or_default();
            let of = |gateway: Gateway| Some((gateway.agent, Arc::clone(shown.places.get(&gateway.agent)?)));
            agents.into_iter().filter_map(of).collect::<Vec<_>>()
        })?;
        let mut found = Vec::new();
        for (agent, places) in gateways {
            let mut entries =
                self.read_runs(agent, places.of_day(date), MAX_DAY.saturating_sub(found.len()))?;
            entries.sort_by_key(|entry| (entry.seq, entry.index));
            found.extend(entries);
        }
        Ok(found)
    }

    fn entries(&self, firm: &str, agent: AgentId, seq: u64) -> Result<Vec<Entry>, SourceError> {
        let its_own = |firm: &Arc<Firm>| firm.gateways.iter().any(|gateway| gateway.agent == agent);
        if !self.look(|shown| shown.firms.get(firm).is_some_and(its_own))? {
            return Ok(Vec::new());
        }
        Ok(self.readers.read_blocking(|read| read.entries_of(agent, seq))?)
    }

    fn receipt(&self, entry: EntryId) -> Result<Option<Receipted>, SourceError> {
        Ok(self.readers.read_blocking(|read| read.find(entry))?)
    }

    fn log(&self) -> Result<LogFacts, SourceError> {
        self.look(|shown| shown.log.clone())
    }

    fn resource(&self, resource: Resource) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.readers.read_blocking(|read| resource.read(read))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_reason_and_goes_no_further() {
        assert_eq!(unharmed(|| 7), Ok(7));
        assert_eq!(unharmed::<()>(|| panic!("day {}", 3)), Err("day 3".to_owned()));
        assert_eq!(unharmed::<()>(|| panic!("plain")), Err("plain".to_owned()));
    }
}
