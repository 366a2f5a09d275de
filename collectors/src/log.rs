//! The log collector: follows one file or those behind a pattern, through rotations, and turns their lines into records.
//!
//! Each record is handed over once: where reading stands travels with the records as a bookmark, and a collector
//! made from that bookmark goes on exactly there. What had been read and is not there as it was is told as a rewrite.
//! `tail.rs` is the look, `fate.rs` what became of a file, `file.rs` one file; `lines.rs`, `forms.rs`, `text.rs` and
//! `split.rs` are the pure part.
//!
//! Deliberately absent: watching by inotify (a look each cadence sees everything inotify would, and cannot overflow),
//! and reading packed files.

mod blocks;
mod bookmark;
mod fate;
mod file;
mod forms;
pub mod fuzz;
pub mod lines;
mod places;
mod recheck;
mod rules;
pub mod sample;
mod split;
mod tail;
pub(crate) mod text;
mod time;

use proof::{Cause, What};
use tokio_util::sync::CancellationToken;

use crate::manifest::{LogFile, Source};
use crate::{BuildError, CollectError, Collector, Fact, Probe, Running, SampleSender};
use bookmark::Bookmark;
use lines::Reader;
use places::{Listing, Places};
pub(crate) use rules::complaints;
use tail::{Batch, Tail};

/// Names of the fields of a line's record; `None` where the parser cannot be used.
pub(crate) fn field_names(text: &crate::manifest::LogText) -> Option<Vec<String>> {
    Some(Reader::new(text).ok()?.fields().to_vec())
}

/// Follows one log.
pub struct LogCollector {
    source: u16,
    cadence_ms: i64,
    places: Places,
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
            places: Places::new(file)
                .map_err(|why| BuildError::Pattern { pattern: file.path.display().to_string(), why })?,
            reader: Reader::new(&file.text)?,
            bookmark,
            tail: None,
        })
    }

    /// One look, on a thread that may block.
    async fn look(&mut self) -> std::io::Result<Batch> {
        let mut tail = match self.tail.take() {
            Some(tail) => tail,
            None => {
                let hour = u32::try_from(3_600_000 / self.cadence_ms.max(1)).unwrap_or(u32::MAX);
                Tail::new(self.places.clone(), self.reader.clone(), self.bookmark.clone(), hour)
            }
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

/// Reads the end of a log, of several the one written to last, and shows what is made of it.
pub(crate) async fn probe(source: &Source, file: &LogFile) -> Result<Probe, CollectError> {
    let path = file.path.display().to_string();
    let unusable = |why: String| CollectError::Unreadable { endpoint: path.clone(), why };
    let reader = Reader::new(&file.text).map_err(|error| unusable(daemon::chain(&error)))?;
    let places = Places::new(file).map_err(unusable)?;
    let fields = reader.fields().to_vec();
    let read = tokio::task::spawn_blocking(move || {
        let entries = places.list(&|_| false)?.entries.into_iter().filter(|entry| entry.is_home);
        let newest = entries.max_by_key(|entry| entry.written_ms);
        let newest = newest.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))?;
        tail::last_lines(&newest.path, reader)
    });
    let (records, lines, unparsed, not_understood) =
        read.await.map_err(|error| unusable(error.to_string()))?.map_err(|error| {
            let (cause, path, why) = (cause(&error), path.clone(), error.to_string());
            if cause == Cause::Missing {
                return CollectError::Missing { path };
            }
            if cause == Cause::Refused {
                CollectError::Refused { endpoint: path, why }
            } else {
                unusable(why)
            }
        })?;
    let records = Some((records, lines, unparsed));
    Ok(Probe { source: source.index, fields, records, not_understood, ..Probe::default() })
}

/// What lies there: how many files, the oldest of them with its first record, and the newest.
pub(crate) async fn before(file: &LogFile) -> Result<Vec<Fact>, CollectError> {
    let path = file.path.display().to_string();
    let unusable = |why: String| CollectError::Unreadable { endpoint: path.clone(), why };
    let reader = Reader::new(&file.text).map_err(|error| unusable(daemon::chain(&error)))?;
    let places = Places::new(file).map_err(unusable)?;
    let read = tokio::task::spawn_blocking(move || {
        let Listing { mut entries, packed } = places.list(&|_| false)?;
        entries.sort_by_key(|entry| entry.written_ms);
        let bytes = entries.iter().map(|entry| entry.size).sum::<u64>();
        let mut facts = vec![
            Fact::new("files", entries.len()),
            Fact::new("bytes", bytes),
            Fact::new("packed files", packed.len()),
        ];
        if let Some((path, ..)) = packed.iter().min_by_key(|(.., written_ms)| *written_ms) {
            facts.push(Fact::new("oldest packed file", path.display()));
        }
        if let Some(oldest) = entries.first() {
            let (first_ms, digest) = tail::beginning(&oldest.path, reader)?;
            facts.push(Fact::new("oldest file", oldest.path.display()));
            facts.push(Fact::new("oldest file: first record", first_ms.map_or("none".to_owned(), moment)));
            facts.push(Fact::new("oldest file: SHA-256 of its first 64 KiB", digest));
        }
        if let Some(newest) = entries.last() {
            let written = i64::try_from(newest.written_ms).unwrap_or(i64::MAX);
            facts.push(Fact::new("newest file", newest.path.display()));
            facts.push(Fact::new("newest file: written", moment(written)));
        }
        Ok::<_, std::io::Error>(facts)
    });
    let read = read.await.map_err(|error| unusable(error.to_string()))?;
    read.map_err(|error| unusable(error.to_string()))
}

/// In UTC, to the second.
fn moment(at_ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms);
    at.map_or_else(|_| at_ms.to_string(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests;
