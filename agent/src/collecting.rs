//! Keeps one collector going: restarts it with back-off, reports silence meanwhile, survives its panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use collectors::manifest::Source;
use collectors::{BuildError, CollectError, Collector, Running, SampleSender};
use daemon::{Backoff, Clock};
use futures::FutureExt as _;
use proof::{Cause, What};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::status::Shared;

const FLOOR: Duration = Duration::from_secs(1);
const CEILING: Duration = Duration::from_secs(60);

/// A source whose collector cannot be made: silent, and whoever asks is told why. The others are read.
pub(crate) struct Unusable {
    source: u16,
    endpoint: String,
    why: String,
}

impl Unusable {
    pub(crate) fn new(source: &Source, error: &BuildError) -> Self {
        Self { source: source.index, endpoint: source.address(), why: daemon::chain(error) }
    }
}

impl Collector for Unusable {
    fn source(&self) -> u16 {
        self.source
    }

    fn run<'a>(&'a mut self, out: &'a SampleSender, _stop: &'a CancellationToken) -> Running<'a> {
        Box::pin(async move {
            let Some(turn) = out.turn().await else { return Ok(()) };
            let (endpoint, why) = (self.endpoint.clone(), self.why.clone());
            let error = CollectError::Refused { endpoint, why };
            out.send(&turn, None, What::Silent(error.cause())).await?;
            Err(error)
        })
    }
}

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
        let until =
            clock.stamp().wall_ms.saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
        shared.failing(source, cause, &words, until);
        match out.idle(until, cause).await {
            Ok(()) if stop.is_cancelled() => return Ok(()),
            Ok(()) => {}
            Err(_) => return Ok(()),
        }
        info!(source, "collector restarts");
        shared.restarts(source);
    }
}

#[cfg(test)]
mod tests {
    use daemon::SystemClock;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_source_that_cannot_be_collected_is_silent_and_says_why_and_stops_nobody() {
        let text =
            "[[sources]]\nname = \"l\"\n[sources.log]\npath = \"x.log\"\nparser = \"nginx_combined\"\n";
        let manifest = collectors::manifest::Manifest::parse("m", text, std::path::Path::new("")).unwrap();
        let source = &manifest.sources[0];
        // The position of another kind of source of that name.
        let built = collectors::build(
            source,
            Some(&[200, 1]),
            std::path::Path::new(""),
            &collectors::Shared::default(),
        );
        let Err(error) = built else { panic!("a position that is none") };
        let mut collector = Unusable::new(source, &error);
        let (tx, mut samples) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let out = SampleSender::new(1, Duration::from_millis(10), Arc::new(SystemClock), tx, stop.clone());
        let ended = collector.run(&out, &stop).await.unwrap_err();
        assert!(ended.to_string().contains("where reading of x.log stands"), "{ended}");
        assert_eq!(samples.recv().await.unwrap().observation.what, What::Silent(Cause::Refused));
    }
}
