//! Keeps one collector going: restarts it with back-off, reports silence meanwhile, survives its panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use collectors::{CollectError, Collector, SampleSender};
use daemon::{Backoff, Clock};
use futures::FutureExt as _;
use proof::Cause;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::status::Shared;

const FLOOR: Duration = Duration::from_secs(1);
const CEILING: Duration = Duration::from_secs(60);

/// Runs `collector` until `stop`. Its failures are states of its source, never failures of the agent.
pub(crate) async fn keep_collecting(
    mut collector: Box<dyn Collector>,
    out: SampleSender,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let source = collector.source();
    let mut backoff = Backoff::new(FLOOR, CEILING, u64::from(source));
    loop {
        let began = shared.good_since(source);
        let ended = AssertUnwindSafe(collector.run(&out, &stop)).catch_unwind().await;
        let (cause, words) = match ended {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(CollectError::Closed)) => return Ok(()),
            Ok(Err(error)) => (error.cause(), daemon::chain(&error)),
            Err(_) => (Cause::Fault, "the collector panicked; see the log".to_owned()),
        };
        if shared.good_since(source) > began {
            backoff.reset();
        }
        let delay = backoff.next_delay();
        if backoff.tries() == 1 {
            warn!(source, error = %words, retry_in = ?delay, "collector stopped");
        }
        shared.failing(source, cause, words);
        let until =
            clock.stamp().wall_ms.saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
        match out.idle(until, cause).await {
            Ok(()) if stop.is_cancelled() => return Ok(()),
            Ok(()) => {}
            Err(_) => return Ok(()),
        }
        info!(source, "collector restarts");
    }
}
