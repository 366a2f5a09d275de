//! `rotate-key`: another signing key takes over, and the chain says so.

use std::path::Path;

use agent::wishes::{self, Wish};
use agent::{AgentConfig, Identity};
use anyhow::bail;
use daemon::{Context, Exit};

use crate::print;

/// Leaves the wish for the agent that runs, or for the next start.
pub(crate) async fn rotate_key(config: &Path, ctx: &Context) -> anyhow::Result<Exit> {
    let (config, _) = AgentConfig::load(config)?;
    let identity = Identity::load(&config.state_dir)?;
    if let Some(seq) = identity.keys.waits_for() {
        bail!(
            "the last rotation, number {seq} of the chain, has no receipt yet: its old key is still needed"
        );
    }
    wishes::leave(&config.state_dir, &Wish::Rotate, ctx.clock().stamp().wall_ms)?;
    agent::give_to_owner(&config.state_dir)?;
    let when = match agent::status::ask(&config.status_socket()).await {
        Ok(_) => format!("within {} s, at its next flush", config.flush.as_secs()),
        Err(_) => "at its next start: no agent answers".to_owned(),
    };
    print::out(&format!(
        "left for the agent, which makes a new key and signs with it {when}\n\
         now:   epoch {}, key {}\n\
         then:  epoch {}; the old key is kept until the ledger has answered for the rotation\n",
        identity.keys.epoch(),
        identity.keys.current().verify_key().kid(),
        identity.keys.epoch().saturating_add(1),
    ))?;
    Ok(Exit::Ok)
}
