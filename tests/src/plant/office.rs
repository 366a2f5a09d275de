//! Writes what a firm's people do into its log files, when the clock says so.
//!
//! Systems write in batches: what was done since the last full `flush` is written at the next one, each line with
//! its own time, so that no line appears before its time. At midnight the day's lines are written first, then the
//! files are put aside.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use anyhow::Context as _;
use daemon::{Clock, Hold};
use jiff::civil::Date;
use tokio_util::sync::CancellationToken;

use super::firm::{Firm, Holds};
use super::forms::{Deed, Event};
use super::logfile::LogFile;
use super::people::People;
use crate::recordings::{DAY_MS, local_day, midnight_ms};

/// A firm's people and the files their systems write.
pub struct Office {
    firm: Arc<Firm>,
    people: People,
    logs: Vec<LogFile>,
    flush_ms: i64,
}

impl Office {
    /// An office whose logs lie in `folder`, which is made; each log is made too, empty. `flush_ms` is what systems
    /// collect before they write, 1,000 at least.
    ///
    /// # Errors
    /// When the folder or a log cannot be made.
    pub fn open(firm: Arc<Firm>, people: People, folder: &Path, flush_ms: i64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let logs: Vec<_> = firm
            .logs
            .iter()
            .map(|log| LogFile::new(folder.join(log.file), log.encoding, log.rotation))
            .collect();
        for log in &logs {
            log.append("")?;
        }
        Ok(Self { firm, people, logs, flush_ms: flush_ms.max(1_000) })
    }

    /// The logs, in the firm's order.
    pub fn logs(&self) -> &[LogFile] {
        &self.logs
    }

    /// Writes from now on, day after day, until told to stop. It holds the clock from the call of this on, so that
    /// time does not run away before the first line is planned.
    ///
    /// # Errors
    /// When a log cannot be written.
    pub fn run(
        self,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
        let hold = clock.hold();
        self.write_on(clock, stop, hold)
    }

    async fn write_on(
        self,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
        hold: Hold,
    ) -> anyhow::Result<()> {
        let mut from = clock.stamp().wall_ms;
        let (mut date, _) = local_day(from);
        let mut wait = Some(hold);
        while !stop.is_cancelled() {
            let day = self.people.day(date);
            let mut rest = &day[day.partition_point(|event| event.at_ms < from)..];
            loop {
                let due = self.next_due(rest, date);
                // The next wait is asked for before the hold of the last one ends.
                let waiting = clock.sleep_until(due);
                drop(wait.take());
                tokio::select! {
                    hold = waiting => wait = Some(hold),
                    () = stop.cancelled() => return Ok(()),
                }
                let batch = rest.partition_point(|event| event.at_ms < due);
                self.write(&rest[..batch])?;
                rest = &rest[batch..];
                if due >= midnight_ms(date) + DAY_MS {
                    break;
                }
            }
            for log in &self.logs {
                log.midnight(date)
                    .with_context(|| format!("could not put {} aside", log.path().display()))?;
            }
            date = date.tomorrow().context("the calendar ends")?;
            from = midnight_ms(date);
        }
        Ok(())
    }

    /// The first full flush after the next event, at the latest the day's end.
    fn next_due(&self, rest: &[Event], date: Date) -> i64 {
        let end = midnight_ms(date) + DAY_MS;
        rest.first().map_or(end, |event| ((event.at_ms / self.flush_ms + 1) * self.flush_ms).min(end))
    }

    fn write(&self, events: &[Event]) -> anyhow::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        for (spec, log) in self.firm.logs.iter().zip(&self.logs) {
            let mut text = String::new();
            for event in events.iter().filter(|event| holds(&spec.holds, event.deed)) {
                if let Some(line) = spec.form.line(event, &self.firm.accounts[event.account]) {
                    text += &line;
                    text += spec.form.line_end();
                }
            }
            if !text.is_empty() {
                log.append(&text).with_context(|| format!("could not write {}", log.path().display()))?;
            }
        }
        Ok(())
    }
}

fn holds(holds: &Holds, deed: Deed) -> bool {
    match holds {
        Holds::Requests => true,
        Holds::Deeds(modules) => deed.module().is_none_or(|module| modules.contains(&module)),
    }
}

#[cfg(test)]
mod tests;
