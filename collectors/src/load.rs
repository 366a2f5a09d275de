//! What reading a source costs the one who is read.

use std::path::Path;
use std::time::Duration;

use daemon::Stopwatch;

use crate::CollectError;
use crate::manifest::{Kind, Source};

/// What one turn costs. A turn comes once in a cadence.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    /// Questions of a turn; `None` where nobody is asked: a log is read from its file.
    pub questions: Option<u32>,
    /// Bytes of the questions and of the answers as the line carries them, without what TCP/IP adds; `None` where the
    /// plan does not say.
    pub bytes: Option<(u64, u64)>,
    /// How long the source was busy with a turn, as measured; `None` when it was not asked.
    pub took: Option<Duration>,
    /// Whether connecting is part of what was measured, although a collector connects once.
    pub connecting: bool,
    /// Questions that had no answer when it was measured.
    pub unanswered: u32,
}

impl Load {
    /// How much of the time the source, or the line to it, is busy with us: 0 to 1 and above, where a turn takes longer
    /// than the cadence.
    pub fn share(&self, source: &Source) -> Option<f64> {
        Some(self.took?.as_secs_f64() / source.cadence.as_secs_f64().max(1.0))
    }
}

/// What a turn costs. With `ask`, one is made by hand and measured: what the manifest declares and nothing else.
/// `state_dir` as in [`crate::build`].
///
/// # Errors
/// As a collector's run.
pub async fn load(source: &Source, state_dir: &Path, ask: bool) -> Result<Load, CollectError> {
    match &source.kind {
        #[cfg(feature = "modbus")]
        Kind::Modbus(device) => {
            use crate::modbus::hand::{USUAL_GAP, measured, planned};
            let cost = if ask { measured(device, USUAL_GAP).await? } else { planned(device) };
            Ok(Load {
                questions: Some(cost.questions),
                bytes: Some((cost.asked_bytes, cost.answered_bytes)),
                took: cost.took,
                connecting: false,
                unanswered: cost.unanswered,
            })
        }
        #[cfg(not(feature = "modbus"))]
        Kind::Modbus(_) => probed(source, state_dir, ask, Some(1)).await,
        Kind::OpcUa(_) => probed(source, state_dir, ask, Some(1)).await,
        Kind::Log(_) => probed(source, state_dir, ask, None).await,
        Kind::Table(_) => probed(source, state_dir, ask, Some(2)).await,
        // It asks nothing: it listens.
        Kind::Mqtt(_) | Kind::Syslog(_) => probed(source, state_dir, false, Some(0)).await,
    }
}

async fn probed(
    source: &Source,
    state_dir: &Path,
    ask: bool,
    questions: Option<u32>,
) -> Result<Load, CollectError> {
    let mut load = Load { questions, connecting: questions.is_some(), ..Load::default() };
    if ask {
        let began = Stopwatch::start();
        crate::probe(source, state_dir).await?;
        load.took = Some(began.elapsed());
    }
    Ok(load)
}
