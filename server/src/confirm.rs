//! The two confirmations without which a gateway's evidence decides nothing: the firm's and the city's.
//!
//! A token opens the door for whoever installs a gateway; that the key behind it is the one in the firm's own box is
//! said by two others. Each compares the six words that the gateway shows with its own eyes and types them: who knows
//! the words has seen the gateway. The firm shows by a code that the city gave it, and no provider, that it is the
//! firm; the city's operator has the server.

use ledger::{Agent, LedgerError, NewConfirmation, Read};
use proof::act::MAX_TEXT;
use proof::{AgentId, Party, Words};

use crate::token::FirmCode;

/// Why nothing was confirmed. The text goes to whoever typed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Nobody's name, or one that is no name.
    #[error("a name has 1 to {MAX_TEXT} characters, without line ends")]
    Name,
    /// No such code, or its time has passed.
    #[error("unknown or expired code of a firm")]
    Code,
    /// No gateway with this id.
    #[error("no gateway is enrolled as {0}")]
    Unknown(AgentId),
    /// Its key is believed no longer.
    #[error("the key of {0} is revoked")]
    Revoked(AgentId),
    /// Not the words of the gateway, or of none of the firm's.
    #[error(
        "these are not the six words of the gateway's key: read them off the gateway itself (`inuse-agent status`)"
    )]
    Words,
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A confirmation by the firm that this code was given to: the words say of which gateway.
///
/// # Errors
/// [`Refused`].
pub fn by_firm(
    ledger: &dyn Read,
    code: &str,
    words: &str,
    name: &str,
    now_ms: i64,
) -> Result<(NewConfirmation, String), Refused> {
    let name = person(name)?;
    let code = FirmCode::parse(code).ok_or(Refused::Code)?;
    let project = ledger.project_of(code.hash(), now_ms)?.ok_or(Refused::Code)?;
    let of_words = |agent: &Agent| Words::of(agent.id, &agent.enrolled_key).are(words);
    let agent = ledger.agents(Some(&project))?.into_iter().find(of_words).ok_or(Refused::Words)?;
    Ok((confirmation(&agent, Party::Firm, name)?, project))
}

/// A confirmation by the city's operator, of the gateway that he names.
///
/// # Errors
/// [`Refused`].
pub fn by_city(
    ledger: &dyn Read,
    agent: AgentId,
    words: &str,
    name: &str,
) -> Result<NewConfirmation, Refused> {
    let name = person(name)?;
    let agent = ledger.agent(agent)?.ok_or(Refused::Unknown(agent))?;
    if !Words::of(agent.id, &agent.enrolled_key).are(words) {
        return Err(Refused::Words);
    }
    confirmation(&agent, Party::City, name)
}

fn confirmation(agent: &Agent, party: Party, name: String) -> Result<NewConfirmation, Refused> {
    if agent.revoked.is_some() {
        return Err(Refused::Revoked(agent.id));
    }
    Ok(NewConfirmation { agent: agent.id, key: agent.enrolled_key, party, name })
}

fn person(name: &str) -> Result<String, Refused> {
    let name = name.trim();
    let fine = (1..=MAX_TEXT).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fine { Ok(name.to_owned()) } else { Err(Refused::Name) }
}
