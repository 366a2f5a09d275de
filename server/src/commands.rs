//! What an operator asks of a server by hand. Safe while it runs: the ledger's file is shared.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use daemon::config::Complaints;
use daemon::{Clock, SystemClock};
use ledger::{Read as _, Reader, Sqlite, Store as _};
use proof::AgentId;

use crate::ca::Ca;
use crate::compose::LEDGER;
use crate::config::ServerConfig;
use crate::projects::{self, Bound, Rules};
use crate::token::{self, Token};
use crate::{log_key, pages};

/// Longest reason of a revocation, characters.
const MAX_REASON: usize = 200;

/// What [`add_project`] did.
#[derive(Debug, Clone)]
pub struct Added {
    /// The file that was begun; `None` when the firm had one.
    pub begun: Option<std::path::PathBuf>,
    /// The one-time token, to be given to whoever installs the agent. It is not kept.
    pub token: Token,
    /// When it ends, Unix milliseconds.
    pub expires_ms: i64,
}

/// Begins the firm's file where there is none, and gives out a token for one agent.
///
/// # Errors
/// When `id` cannot name a firm, or files or ledger cannot be written.
pub fn add_project(config: &ServerConfig, id: &str, name: &str, clock: &dyn Clock) -> anyhow::Result<Added> {
    if !projects::is_id(id) {
        let mut complaints = Complaints::about("project id");
        complaints.add("", format!("`{id}` cannot name a firm: 1 to 64 of a-z, 0-9, `-` and `_`"));
        return Err(complaints.into());
    }
    let data = &config.data;
    std::fs::create_dir_all(data).with_context(|| format!("could not make {}", data.display()))?;
    let ca = Ca::open(data, SystemClock.stamp().wall_ms / 1000)?;
    let token = Token::make(&ca.fingerprint()).context("no random bytes for a token")?;
    let valid_ms = i64::try_from(token::VALID.as_millis()).unwrap_or(i64::MAX);
    let expires_ms = clock.stamp().wall_ms.saturating_add(valid_ms);
    let begun = projects::begin(&config.projects, id, name).context("could not begin the firm's file")?;
    let mut store = Sqlite::open(&data.join(LEDGER), log_key::open(data, &config.origin)?)?;
    store.add_token(token.hash(), id, expires_ms)?;
    Ok(Added { begun, token, expires_ms })
}

/// No longer believes an agent's key, for a reason that people will read. A running broker refuses it from its next
/// connection on, and the ingester its next proof.
///
/// # Errors
/// When there is no such agent, or the ledger cannot be written.
pub fn revoke_agent(
    config: &ServerConfig,
    agent: &str,
    reason: &str,
    clock: &dyn Clock,
) -> anyhow::Result<String> {
    let id: AgentId = agent.parse().with_context(|| format!("`{agent}` is not the id of an agent"))?;
    if reason.trim().is_empty() || reason.chars().count() > MAX_REASON {
        bail!("a reason has 1 to {MAX_REASON} characters");
    }
    let data = &config.data;
    let mut store = Sqlite::open(&data.join(LEDGER), log_key::open(data, &config.origin)?)?;
    if !store.revoke(id, reason.trim(), clock.stamp().wall_ms)? {
        bail!("no agent is enrolled as {id}");
    }
    let known = store.read().agent(id)?.and_then(|agent| agent.revoked);
    Ok(format!("{id} is revoked: {}\n", known.map(|revoked| revoked.reason).unwrap_or_default()))
}

/// One line for each project: id, gateways, open tokens.
///
/// # Errors
/// When the ledger cannot be read.
pub fn list_projects(config: &ServerConfig, clock: &dyn Clock) -> anyhow::Result<String> {
    let mut text = String::from("project\tagents\topen tokens\n");
    let path = config.data.join(LEDGER);
    if path.exists() {
        for project in Reader::open(&path)?.projects(clock.stamp().wall_ms)? {
            writeln!(text, "{}\t{}\t{}", project.name, project.agents, project.open_tokens)?;
        }
    }
    Ok(text)
}

/// Reads everything people edit and says in a few words what was found.
///
/// # Errors
/// [`Complaints`], all of them; or the ledger's failure.
pub fn check(config: &ServerConfig) -> anyhow::Result<String> {
    let mut complaints = Complaints::about("server");
    let path = config.data.join(LEDGER);
    let bound = if path.exists() { pages::bound(&Reader::open(&path)?)? } else { Bound::new() };
    let rules = Rules::load(config.profiles.as_deref(), config.calendars.as_deref());
    let known = rules.is_ok();
    let rules = rules.map_err(|more| gather(&more, &mut complaints)).unwrap_or_default();
    // Without profiles every firm would be complained about for its profile.
    let firms = if known { projects::load(&config.projects, &rules, &bound) } else { Ok(Vec::new()) };
    let firms = firms.map_err(|more| gather(&more, &mut complaints)).unwrap_or_default();
    let firms = complaints.or(firms)?;
    for id in bound.keys() {
        if !firms.iter().any(|firm| firm.id == *id) {
            bail!("project `{id}` has gateways in the ledger and no file in {}", config.projects.display());
        }
    }
    let profiles: Vec<_> = rules.profiles.keys().map(String::as_str).collect();
    Ok(format!("{} firms, profiles: {}\n", firms.len(), profiles.join(", ")))
}

fn gather(more: &Complaints, complaints: &mut Complaints) {
    for complaint in more.list() {
        complaints.add(&complaint.path, &complaint.problem);
    }
}
