//! The portal's part of a server: the board its pages stand on, kept fresh.
//!
//! A board is told once which firms there are. When a gateway is enrolled or a firm's file changes, a new board is
//! made beside the old one and takes its place when it has read the ledger: readers wait for nobody. A file that
//! has become wrong is complained about in the log, and the pages stay with what was right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use daemon::Clock;
use jiff::civil::Date;
use ledger::{Agent, Entry, LedgerError, Read, Readers, Receipted, Resource, WeakLedger};
use portal::{Board, Confirming, Cosigned, Firm, LogFacts, Plan, Source, SourceError, Typed};
use proof::policy::Policy;
use proof::{AgentId, EntryId};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::config::ServerConfig;
use crate::confirm::{self, Refused};
use crate::projects::{self, Bound, Rules};
use crate::{compose, witnesses};

/// Between two looks at ledger and files.
const REFRESH: Duration = Duration::from_secs(3);

/// What a server's pages show. Answers as the newest board does.
pub struct Pages {
    making: Making,
    board: RwLock<Arc<Board>>,
    /// With the data directory; `None` without witnesses.
    policy: Option<(Policy, PathBuf)>,
    cosigned: RwLock<Option<Cosigned>>,
    stands_on: Mutex<StandsOn>,
    /// By which firms confirm; `None` where nobody serves the pages.
    ledger: Option<WeakLedger>,
}

/// What a board is made of.
struct Making {
    projects: PathBuf,
    rules: Rules,
    readers: Readers,
    verifier_key: String,
    clock: Arc<dyn Clock>,
}

/// What a board was made from; when it differs, another one is due.
#[derive(Debug, Default, PartialEq, Eq)]
struct StandsOn {
    bound: Bound,
    files: Vec<(PathBuf, Option<SystemTime>, u64)>,
}

impl Pages {
    /// Reads firms, profiles and calendars. The ledger is read by [`Pages::refresh`].
    pub(crate) fn build(
        config: &ServerConfig,
        readers: &Readers,
        log_vkey: &str,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let making = Making {
            projects: config.projects.clone(),
            rules: Rules::load(config.profiles.as_deref(), config.calendars.as_deref())?,
            readers: readers.clone(),
            verifier_key: log_vkey.to_owned(),
            clock: Arc::clone(clock),
        };
        let stands_on = making.stands_on()?;
        let board = RwLock::new(Arc::new(making.board(&stands_on.bound)?));
        let policy = compose::policy(config, log_vkey)?.map(|policy| (policy, config.data.clone()));
        Ok(Self {
            making,
            board,
            policy,
            cosigned: RwLock::default(),
            stands_on: Mutex::new(stands_on),
            ledger: None,
        })
    }

    /// Lets firms confirm their gateways.
    pub(crate) fn confirming(self, ledger: WeakLedger) -> Self {
        Self { ledger: Some(ledger), ..self }
    }

    /// Folds what is new in the ledger and scores the firms it belongs to; returns how many were scored. Blocks.
    ///
    /// # Errors
    /// When the ledger cannot be read; the pages keep what they have.
    pub fn refresh(&self) -> Result<usize, SourceError> {
        if let Some((policy, data)) = &self.policy {
            match witnesses::cosigned(data, policy) {
                Ok(found) => *self.cosigned.write().unwrap_or_else(PoisonError::into_inner) = found,
                Err(error) => warn!(error = daemon::chain(error.as_ref()), "cosigned checkpoint not read"),
            }
        }
        let mut stands_on = self.stands_on.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.making.stands_on()?;
        if *stands_on == now {
            return self.board().refresh();
        }
        let made = self.making.board(&now.bound);
        *stands_on = now;
        match made {
            Ok(board) => {
                let scored = board.refresh()?;
                *self.board.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(board);
                info!(scored, "firms or gateways changed");
                Ok(scored)
            }
            Err(complaints) => {
                warn!(%complaints, "firms changed and are wrong; pages keep what they had");
                self.board().refresh()
            }
        }
    }

    /// Refreshes until `stop` fires.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            let pages = Arc::clone(&self);
            // The broker and the ledger work on behind pages that do not.
            match tokio::task::spawn_blocking(move || pages.refresh()).await {
                Ok(Ok(scored)) => debug!(scored, "board refreshed"),
                Ok(Err(error)) => warn!(error = daemon::chain(&error), "board not refreshed"),
                Err(panic) => error!(error = daemon::chain(&panic), "board not refreshed"),
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(REFRESH) => {}
            }
        }
    }

    fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Making {
    fn stands_on(&self) -> Result<StandsOn, LedgerError> {
        Ok(StandsOn { bound: self.readers.read_blocking(bound)?, files: marks(&self.projects) })
    }

    fn board(&self, bound: &Bound) -> Result<Board, daemon::config::Complaints> {
        let projects = projects::load(&self.projects, &self.rules, bound)?;
        info!(firms = projects.len(), "firms read");
        let with_profile = |project: scorer::Project| {
            let profile = self.rules.profiles.get(&project.profile).cloned();
            (project, profile.expect("a firm without a profile was complained about"))
        };
        let plan = Plan {
            projects: projects.into_iter().map(with_profile).collect(),
            calendar: self.rules.calendar.clone(),
            verifier_key: self.verifier_key.clone(),
        };
        Ok(Board::new(self.readers.clone(), Arc::clone(&self.clock), plan))
    }
}

/// Name, time and length of each file: enough to notice an edit.
fn marks(directory: &Path) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut marks: Vec<_> = entries
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some((entry.path(), metadata.modified().ok(), metadata.len()))
        })
        .collect();
    marks.sort();
    marks
}

/// Which gateways belong to which project, in the order of their enrolment.
pub(crate) fn bound(ledger: &dyn Read) -> Result<Bound, LedgerError> {
    let mut bound = BTreeMap::<_, Vec<_>>::new();
    for agent in ledger.agents(None)?.into_iter().filter(Agent::is_confirmed) {
        bound.entry(agent.project).or_default().push(agent.id);
    }
    Ok(bound)
}

impl Source for Pages {
    fn now_ms(&self) -> i64 {
        self.board().now_ms()
    }

    fn confirm(&self, typed: &Typed) -> Result<Confirming, SourceError> {
        let Some(ledger) = &self.ledger else { return Ok(Confirming::NotHere) };
        let (Typed { code, words, name }, now_ms) = (typed.clone(), self.now_ms());
        let done = ledger.run_blocking(move |store| {
            let asked = confirm::by_firm(store.read(), &code, &words, &name, now_ms);
            let (new, firm) = match asked {
                Ok(asked) => asked,
                Err(Refused::Ledger(error)) => return Err(error),
                Err(refused) => return Ok(Err(refused)),
            };
            store.confirm(&new, now_ms)?;
            Ok(Ok((new.agent, firm)))
        })?;
        Ok(match done {
            Ok((agent, firm)) => {
                info!(%agent, firm, "gateway confirmed by the firm");
                Confirming::Done { agent, firm }
            }
            Err(refused) => {
                warn!(reason = %refused, "gateway not confirmed by a firm");
                match refused {
                    Refused::Name => Confirming::Name,
                    Refused::Code => Confirming::Code,
                    Refused::Revoked(_) => Confirming::Revoked,
                    Refused::Words | Refused::Unknown(_) | Refused::Ledger(_) => Confirming::Words,
                }
            }
        })
    }

    fn firms(&self) -> Result<Vec<Arc<Firm>>, SourceError> {
        self.board().firms()
    }

    fn firm(&self, id: &str) -> Result<Option<Arc<Firm>>, SourceError> {
        self.board().firm(id)
    }

    fn day(&self, firm: &str, date: Date) -> Result<Vec<Entry>, SourceError> {
        self.board().day(firm, date)
    }

    fn entries(&self, firm: &str, agent: AgentId, seq: u64) -> Result<Vec<Entry>, SourceError> {
        self.board().entries(firm, agent, seq)
    }

    fn receipt(&self, entry: EntryId) -> Result<Option<Receipted>, SourceError> {
        self.board().receipt(entry)
    }

    fn log(&self) -> Result<LogFacts, SourceError> {
        let cosigned = self.cosigned.read().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(LogFacts { cosigned, ..self.board().log()? })
    }

    fn resource(&self, resource: Resource) -> Result<Option<Vec<u8>>, SourceError> {
        let found = self.board().resource(resource)?;
        if resource != Resource::Checkpoint {
            return Ok(found);
        }
        // With its cosignatures, once they are there.
        let cosigned = self.cosigned.read().unwrap_or_else(PoisonError::into_inner);
        let same = cosigned.as_ref().filter(|cosigned| {
            found.as_ref().is_some_and(|plain| cosigned.note.as_bytes().starts_with(plain))
        });
        Ok(same.map(|cosigned| cosigned.note.clone().into_bytes()).or(found))
    }
}
