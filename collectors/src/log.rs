//! The log collector: follows one file, through renames, and turns its lines into records.
//!
//! Each record is handed over once: where reading stands travels with the records as a bookmark, and a collector
//! made from that bookmark goes on exactly there. `tail.rs` is the file, `lines.rs` the pure part.
//!
//! Deliberately absent: watching by inotify (a look each cadence sees everything inotify would, and cannot overflow),
//! compressed old files, records that span lines, and several files behind one pattern.

mod bookmark;
pub mod lines;
mod rules;
mod tail;

use std::path::PathBuf;

use proof::{Cause, What};
use tokio_util::sync::CancellationToken;

use crate::manifest::{LogFile, Source};
use crate::{BuildError, CollectError, Collector, Probe, Running, SampleSender};
use bookmark::Bookmark;
use lines::Reader;
pub(crate) use rules::complaints;
use tail::{Batch, Tail};

/// Follows one log file.
pub struct LogCollector {
    source: u16,
    cadence_ms: i64,
    path: PathBuf,
    reader: Reader,
    /// Of what was handed over last.
    bookmark: Option<Bookmark>,
    /// Absent before the first look, and after a look that was broken off.
    tail: Option<Tail>,
}

impl LogCollector {
    /// Goes on from `bookmark`; without one, from the file's beginning.
    ///
    /// # Errors
    /// When the bookmark is of another version, or a pattern does not compile.
    pub fn new(source: &Source, file: &LogFile, bookmark: Option<&[u8]>) -> Result<Self, BuildError> {
        let unread = || BuildError::Position { path: file.path.display().to_string() };
        let bookmark = bookmark.map(|bytes| Bookmark::decode(bytes).ok_or_else(unread)).transpose()?;
        Ok(Self {
            source: source.index,
            cadence_ms: i64::try_from(source.cadence.as_millis()).unwrap_or(i64::MAX),
            path: file.path.clone(),
            reader: Reader::new(file)?,
            bookmark,
            tail: None,
        })
    }

    /// One look, on a thread that may block.
    async fn look(&mut self) -> std::io::Result<Batch> {
        let mut tail = match self.tail.take() {
            Some(tail) => tail,
            None => Tail::new(self.path.clone(), self.reader.clone(), self.bookmark.clone()),
        };
        let looked = tokio::task::spawn_blocking(move || (tail.look(), tail)).await;
        let (batch, tail) = looked.map_err(std::io::Error::other)?;
        // After a failure the next look starts at what was handed over, not at what was read.
        self.tail = batch.is_ok().then_some(tail);
        batch
    }

    async fn follow(&mut self, out: &SampleSender, stop: &CancellationToken) -> Result<(), CollectError> {
        // The turn at which everything there was had been read, in this run.
        let mut last_ms: Option<i64> = None;
        while let Some(turn) = out.turn().await {
            // One missed turn is jitter, two are not "while the agent ran".
            let followed =
                last_ms.is_some_and(|last| turn.due_ms() - last <= self.cadence_ms.saturating_mul(2));
            loop {
                match self.look().await {
                    Ok(batch) => {
                        let mut records = batch.records;
                        records.followed = followed;
                        out.send(&turn, None, What::Records(records)).await?;
                        self.bookmark = Some(batch.bookmark);
                        if batch.caught_up {
                            last_ms = Some(turn.due_ms());
                            break;
                        }
                    }
                    Err(error) => {
                        let cause = cause(&error);
                        tracing::debug!(source = self.source, %error, "log cannot be read");
                        out.send(&turn, None, What::Silent(cause)).await?;
                        // We looked and it was not there: what appears in it next was written while we ran.
                        last_ms = (cause == Cause::Missing).then_some(turn.due_ms());
                        break;
                    }
                }
                if stop.is_cancelled() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Collector for LogCollector {
    fn source(&self) -> u16 {
        self.source
    }

    fn run<'a>(&'a mut self, out: &'a SampleSender, stop: &'a CancellationToken) -> Running<'a> {
        Box::pin(self.follow(out, stop))
    }
}

fn cause(error: &std::io::Error) -> Cause {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Cause::Missing;
    }
    if error.kind() == std::io::ErrorKind::PermissionDenied { Cause::Refused } else { Cause::Fault }
}

/// Reads the end of a log and shows what is made of it.
pub(crate) async fn probe(source: &Source, file: &LogFile) -> Result<Probe, CollectError> {
    let path = file.path.display().to_string();
    let unusable = |why: String| CollectError::Unreadable { endpoint: path.clone(), why };
    let reader = Reader::new(file).map_err(|error| unusable(daemon::chain(&error)))?;
    let fields = reader.fields().to_vec();
    let from = file.path.clone();
    let read = tokio::task::spawn_blocking(move || tail::last_lines(from, reader)).await;
    let records = read.map_err(|error| unusable(error.to_string()))?.map_err(|error| {
        let (cause, path, why) = (cause(&error), path.clone(), error.to_string());
        if cause == Cause::Missing {
            return CollectError::Missing { path };
        }
        if cause == Cause::Refused { CollectError::Refused { endpoint: path, why } } else { unusable(why) }
    })?;
    Ok(Probe { source: source.index, fields, records: Some(records), ..Probe::default() })
}

#[cfg(test)]
mod tests;
