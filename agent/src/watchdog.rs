//! Feeds the service manager's watchdog while the agent does what it is for.
//!
//! Alive means: every source was attempted within its cadence, and the store took what was to be flushed. Whether an
//! attempt was answered, and whether the broker is there, is for `status`: an idle night must not kill the agent. Time
//! is real here, whatever clock the agent lives by.

use std::sync::Arc;
use std::time::Duration;

use daemon::Service;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::status::Shared;

/// What a source or the store gets beyond three of its own intervals: time-outs, back-off, a slow card.
pub(crate) const SLACK: Duration = Duration::from_secs(60);

/// Looks four times in the time the manager allows, until `stop`.
pub(crate) async fn feed(
    service: Service,
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Some(allowed) = service.watchdog() else {
        stop.cancelled().await;
        return Ok(());
    };
    let mut looks = tokio::time::interval((allowed / 4).max(Duration::from_millis(100)));
    let mut told = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = looks.tick() => {}
        }
        match shared.stuck() {
            None => {
                told = false;
                service.alive(&shared.one_line());
            }
            Some(what) if !told => {
                told = true;
                error!(%what, "the watchdog is not fed: the service manager will restart this agent");
            }
            Some(_) => {}
        }
    }
}
