//! What an operator asks of a server by hand. Safe while it runs: the ledger's file is shared.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use daemon::config::Complaints;
use daemon::{Clock, SystemClock};
use ledger::{Agent, NewToken, Read as _, Reader, Sqlite, Store as _};
use proof::AgentId;
use proof::act::MAX_TEXT;

use crate::ca::Ca;
use crate::compose::LEDGER;
use crate::config::ServerConfig;
use crate::confirm::{self, Refused};
use crate::projects::{self, Bound, Rules};
use crate::token::{self, FirmCode, Token};
use crate::{log_key, pages};

/// For whom a token is given out, beside the firm.
#[derive(Debug, Clone, Default)]
pub struct Installing {
    /// Who is to install the gateway, for everybody who reads the firm's page.
    pub installer: String,
    /// Id of the gateway in whose place the new one comes, and why.
    pub replaces: Option<(String, String)>,
}

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
pub fn add_project(
    config: &ServerConfig,
    id: &str,
    name: &str,
    installing: &Installing,
    clock: &dyn Clock,
) -> anyhow::Result<Added> {
    let mut complaints = Complaints::about("a new token");
    if !projects::is_id(id) {
        complaints.add("id", format!("`{id}` cannot name a firm: 1 to 64 of a-z, 0-9, `-` and `_`"));
    }
    let short = |text: &str| text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control);
    if !short(&installing.installer) {
        complaints.add("--installer", format!("it has more than {MAX_TEXT} characters, or line ends"));
    }
    let mut replaces = None;
    if let Some((agent, reason)) = &installing.replaces {
        match agent.parse::<AgentId>() {
            Ok(agent) => replaces = Some((agent, reason.trim().to_owned())),
            Err(error) => complaints.add("--replaces", format!("`{agent}`: {error}")),
        }
        if reason.trim().is_empty() || !short(reason) {
            complaints.add("--reason", format!("a reason has 1 to {MAX_TEXT} characters, without line ends"));
        }
    }
    let installer = complaints.or(installing.installer.trim().to_owned())?;
    let data = &config.data;
    std::fs::create_dir_all(data).with_context(|| format!("could not make {}", data.display()))?;
    let ca = Ca::open(data, SystemClock.stamp().wall_ms / 1000)?;
    let token = Token::make(&ca.fingerprint()).context("no random bytes for a token")?;
    let valid_ms = i64::try_from(token::VALID.as_millis()).unwrap_or(i64::MAX);
    let expires_ms = clock.stamp().wall_ms.saturating_add(valid_ms);
    let begun = projects::begin(&config.projects, id, name).context("could not begin the firm's file")?;
    let mut store = Sqlite::open(&data.join(LEDGER), log_key::open(data, &config.origin)?)?;
    if let Some((agent, _)) = &replaces
        && store.read().agent(*agent)?.is_none_or(|known| known.project != id)
    {
        bail!("{agent} is no gateway of `{id}`");
    }
    store.add_token(token.hash(), &NewToken { installer, replaces, ..NewToken::of(id, expires_ms) })?;
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
    let fine = reason.chars().count() <= MAX_TEXT && !reason.chars().any(char::is_control);
    if reason.trim().is_empty() || !fine {
        bail!("a reason has 1 to {MAX_TEXT} characters, without line ends");
    }
    let data = &config.data;
    let mut store = Sqlite::open(&data.join(LEDGER), log_key::open(data, &config.origin)?)?;
    if !store.revoke(id, reason.trim(), clock.stamp().wall_ms)? {
        bail!("no agent is enrolled as {id}");
    }
    let known = store.read().agent(id)?.and_then(|agent| agent.revoked);
    Ok(format!("{id} is revoked: {}\n", known.map(|revoked| revoked.reason).unwrap_or_default()))
}

/// Gives out a new code by which the firm confirms its gateways, for its representative and nobody else. An older one
/// is good no longer.
///
/// # Errors
/// When there is no such firm, or the ledger cannot be written.
pub fn firm_code(config: &ServerConfig, id: &str, clock: &dyn Clock) -> anyhow::Result<FirmCode> {
    let file = config.projects.join(format!("{id}.toml"));
    if !projects::is_id(id) || !file.exists() {
        bail!("there is no firm `{id}` in {}", config.projects.display());
    }
    let code = FirmCode::make().context("no random bytes for a code")?;
    let valid_ms = i64::try_from(token::CODE_VALID.as_millis()).unwrap_or(i64::MAX);
    let data = &config.data;
    let mut store = Sqlite::open(&data.join(LEDGER), log_key::open(data, &config.origin)?)?;
    store.set_firm_code(code.hash(), id, clock.stamp().wall_ms.saturating_add(valid_ms))?;
    Ok(code)
}

/// Confirms a gateway's key: for the firm where its code is given, else for the city.
///
/// # Errors
/// [`Refused`], or the ledger's failure.
pub fn confirm_agent(
    config: &ServerConfig,
    agent: &str,
    words: &str,
    name: &str,
    firm_code: Option<&str>,
    clock: &dyn Clock,
) -> anyhow::Result<String> {
    let id: AgentId = agent.parse().with_context(|| format!("`{agent}` is not the id of an agent"))?;
    let data = &config.data;
    let mut store = Sqlite::open(&data.join(LEDGER), log_key::open(data, &config.origin)?)?;
    let now_ms = clock.stamp().wall_ms;
    let new = match firm_code {
        Some(code) => confirm::by_firm(store.read(), code, words, name, now_ms)?.0,
        None => confirm::by_city(store.read(), id, words, name)?,
    };
    if new.agent != id {
        return Err(Refused::Words.into());
    }
    store.confirm(&new, now_ms)?;
    let known = store.read().agent(id)?.with_context(|| format!("{id} is gone from the ledger"))?;
    Ok(format!("{id}\t{}\n", state(&known)))
}

/// One line for each gateway: id, project, name, state.
///
/// # Errors
/// When the ledger cannot be read.
pub fn list_agents(config: &ServerConfig) -> anyhow::Result<String> {
    let mut text = String::from("agent\tproject\thostname\tstate\n");
    let path = config.data.join(LEDGER);
    if path.exists() {
        for agent in Reader::open(&path)?.agents(None)? {
            writeln!(text, "{}\t{}\t{}\t{}", agent.id, agent.project, agent.hostname, state(&agent))?;
        }
    }
    Ok(text)
}

fn state(agent: &Agent) -> String {
    if let Some(revoked) = &agent.revoked {
        return format!("revoked: {}", revoked.reason);
    }
    match (&agent.firm, &agent.city) {
        (Some(firm), Some(city)) => {
            format!("confirmed by the firm ({}) and the city ({})", firm.name, city.name)
        }
        (Some(firm), None) => format!("confirmed by the firm ({}); waits for the city", firm.name),
        (None, Some(city)) => format!("confirmed by the city ({}); waits for the firm", city.name),
        (None, None) => "waits for the firm and the city".to_owned(),
    }
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
