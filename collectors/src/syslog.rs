//! The syslog collector: a port to which hosts send their logs, for systems on which no file can be followed.
//!
//! A turn of the cadence hands over what came since the turn before, in the order in which it came; a record's position
//! is the number of its message. What was received is handed over when the program is told to stop; what a crash
//! catches between two turns is lost, as the protocol has no receipt. Where a connection says that the sender is there,
//! no news is an observation; where none does, nothing for `quiet_after` is no answer.
//!
//! `door.rs` is the port, `frames.rs` and `message.rs` are the pure part. Deliberately absent: receipts (RELP), syslog
//! over DTLS, and forwarding: nothing is ever sent to those who send.

mod door;
mod frames;
pub mod fuzz;
mod message;

use daemon::{Clock as _, SystemClock};
use proof::observation::Records;
use proof::{Cause, What};
use tokio_util::sync::CancellationToken;

use crate::log::lines::{Line, MAX_LINE};
use crate::manifest::{Source, Syslog};
use crate::{BuildError, CollectError, Collector, Notes, Probe, Running, SampleSender};
use door::{Came, Door};
use message::Messages;

/// Most messages of one hand-over.
const MAX_RECORDS: usize = 2_000;

/// Most bytes that wait for a turn. A connection waits while there is no room; datagrams are counted as not understood.
const MAX_WAITING: usize = 4 * 1024 * 1024;

/// Most messages that wait for a turn.
const MAX_MESSAGES: usize = 20_000;

/// Layout of the bookmark.
const VERSION: u8 = 1;

/// Messages that a probe waits for.
const PROBED: usize = 10;

/// Listens on one port.
pub struct SyslogCollector {
    source: u16,
    config: Syslog,
    messages: Messages,
    /// Number of the next message.
    next: u64,
    notes: Notes,
    waiting: Waiting,
    /// When something came last, Unix ms.
    heard_ms: Option<i64>,
}

/// What came and was not handed over yet.
#[derive(Default)]
struct Waiting {
    messages: Vec<(i64, Came)>,
    bytes: usize,
    /// Datagrams for which there was no room.
    dropped: u32,
}

impl Waiting {
    fn has_room(&self) -> bool {
        self.messages.len() < MAX_MESSAGES && self.bytes < MAX_WAITING
    }

    fn take(&mut self, at_ms: i64, came: Came) {
        if !self.has_room() {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.bytes += came.message.as_ref().map_or(0, Vec::len);
        self.messages.push((at_ms, came));
    }
}

impl SyslogCollector {
    /// Counts on from `bookmark`. Nothing is opened before the first turn.
    ///
    /// # Errors
    /// When the bookmark is of another version, or a pattern does not compile.
    pub fn new(
        source: &Source,
        config: &Syslog,
        bookmark: Option<&[u8]>,
        notes: &Notes,
    ) -> Result<Self, BuildError> {
        let unread = || BuildError::Position { path: source.address() };
        let next = match bookmark {
            None => 0,
            Some([VERSION, number @ ..]) => {
                u64::from_be_bytes(<[u8; 8]>::try_from(number).map_err(|_| unread())?)
            }
            Some(_) => return Err(unread()),
        };
        Ok(Self {
            source: source.index,
            config: config.clone(),
            messages: Messages::new(&config.text)?,
            next,
            notes: notes.clone(),
            waiting: Waiting::default(),
            heard_ms: None,
        })
    }

    async fn collect(&mut self, out: &SampleSender, stop: &CancellationToken) -> Result<(), CollectError> {
        // The first turn is spent on opening the port.
        let Some(turn) = out.turn().await else { return Ok(()) };
        let mut door = match Door::open(&self.config, self.source, &self.notes).await {
            Ok(door) => door,
            Err(error) => {
                out.send(&turn, None, What::Silent(error.cause())).await?;
                return Err(error);
            }
        };
        drop(turn);
        loop {
            let turn = {
                let mut due = std::pin::pin!(out.turn());
                loop {
                    let listens = door.takes_no_waiting() || self.waiting.has_room();
                    tokio::select! {
                        biased;
                        turn = &mut due => break turn,
                        came = door.next(), if listens => self.take(came?, out.now_ms()),
                    }
                }
            };
            let Some(turn) = turn else { break };
            let came = self.hand_over();
            if came.is_empty() && !self.is_there(&door, out.now_ms()) {
                out.send(&turn, None, What::Silent(Cause::NoAnswer)).await?;
            } else if came.is_empty() {
                let none = Records { from: self.next, to: self.next, followed: true, ..Records::default() };
                out.send(&turn, None, What::Records(self.marked(none))).await?;
            }
            for records in came {
                out.send(&turn, None, What::Records(records)).await?;
            }
        }
        debug_assert!(stop.is_cancelled(), "turns end with the program only");
        for records in self.hand_over() {
            out.send_last(What::Records(records)).await?;
        }
        Ok(())
    }

    fn take(&mut self, came: Came, now_ms: i64) {
        self.heard_ms = Some(now_ms);
        self.waiting.take(now_ms, came);
    }

    /// Whether anything says that the sender is there.
    fn is_there(&self, door: &Door, now_ms: i64) -> bool {
        let quiet_ms = i64::try_from(self.config.quiet_after.as_millis()).unwrap_or(i64::MAX);
        door.is_connected() || self.heard_ms.is_some_and(|heard| now_ms.saturating_sub(heard) < quiet_ms)
    }

    /// What came, as records. Nothing waits afterwards.
    fn hand_over(&mut self) -> Vec<Records> {
        let waiting = std::mem::take(&mut self.waiting);
        self.notes.count(self.source, "dropped", u64::from(waiting.dropped));
        let mut all = Vec::new();
        for chunk in waiting.messages.chunks(MAX_RECORDS) {
            let mut records = Records { from: self.next, followed: true, ..Records::default() };
            for (at_ms, came) in chunk {
                let line = match &came.message {
                    Some(message) => self.messages.read(self.next, came.sender, message, *at_ms),
                    None => Line::Unparsed,
                };
                self.next += 1;
                records.lines += 1;
                match line {
                    Line::Record(record) => records.records.push(record),
                    Line::Skipped => {}
                    Line::Unparsed => records.unparsed += 1,
                }
            }
            records.to = self.next;
            all.push(records);
        }
        if waiting.dropped > 0 {
            // They have numbers as every other: what was lost here stands in the window.
            let from = self.next;
            self.next += u64::from(waiting.dropped);
            let (lines, unparsed) = (waiting.dropped, waiting.dropped);
            all.push(Records { from, to: self.next, lines, unparsed, followed: true, ..Records::default() });
        }
        all.into_iter().map(|records| self.marked(records)).collect()
    }

    fn marked(&self, mut records: Records) -> Records {
        records.bookmark = [&[VERSION], records.to.to_be_bytes().as_slice()].concat();
        records
    }
}

impl Collector for SyslogCollector {
    fn source(&self) -> u16 {
        self.source
    }

    fn run<'a>(&'a mut self, out: &'a SampleSender, stop: &'a CancellationToken) -> Running<'a> {
        Box::pin(self.collect(out, stop))
    }
}

/// Names of the fields of a message's record; `None` where the parser cannot be used.
pub(crate) fn field_names(text: &crate::manifest::LogText) -> Option<Vec<String>> {
    Some(Messages::new(text).ok()?.fields().to_vec())
}

/// Listens until some messages came, or for two cadences.
pub(crate) async fn probe(source: &Source, config: &Syslog) -> Result<Probe, CollectError> {
    let unusable = |error: &BuildError| CollectError::Unreadable {
        endpoint: source.address(),
        why: daemon::chain(error),
    };
    let notes = Notes::default();
    let mut messages = Messages::new(&config.text).map_err(|error| unusable(&error))?;
    let mut door = Door::open(config, source.index, &notes).await?;
    let (mut records, mut lines, mut not_understood) = (Vec::new(), 0, Vec::new());
    let listening = async {
        while lines < PROBED {
            let came = door.next().await?;
            let line = match &came.message {
                Some(message) => {
                    messages.read(lines as u64, came.sender, message, SystemClock.stamp().wall_ms)
                }
                None => Line::Unparsed,
            };
            lines += 1;
            match line {
                Line::Record(record) => records.push(record),
                Line::Skipped => {}
                Line::Unparsed => {
                    let bytes = came.message.unwrap_or_default();
                    not_understood.push(String::from_utf8_lossy(&bytes).into_owned());
                }
            }
        }
        Ok(())
    };
    if let Ok(Err(lost)) = tokio::time::timeout(source.cadence.saturating_mul(2), listening).await {
        return Err(lost);
    }
    let mut warnings: Vec<_> = notes.of(source.index).warnings.into_values().collect();
    if lines == 0 {
        warnings.push(format!("nothing came in {} s", source.cadence.as_secs().saturating_mul(2)));
    }
    let (lines, unparsed) = (u32::try_from(lines).unwrap_or(u32::MAX), not_understood.len());
    Ok(Probe {
        source: source.index,
        fields: messages.fields().to_vec(),
        records: Some((records, lines, u32::try_from(unparsed).unwrap_or(u32::MAX))),
        not_understood,
        warnings,
        ..Probe::default()
    })
}

#[cfg(test)]
mod tests;
