//! Asking a line by hand: is a unit there, what does it say of itself, what stands in these registers.
//!
//! For an installer beside the machine, never for a collector. Between two questions there is a gap that the caller
//! chooses, [`SHORTEST_GAP`] at least: whoever else speaks on the line must not notice. A unit that says no is told
//! from one that says nothing, and both from a line that is not there.
//!
//! Deliberately absent: asking again, finding out how a line is set, any question that is not a reading one.

use std::sync::Arc;
use std::time::Duration;

use daemon::Stopwatch;

use super::frame::{Answer, Question};
use super::line::{Line, Lines};
use super::registers::{Plan, Words};
use crate::CollectError;
use crate::manifest::{Framing, Line as Settings, Modbus, Table};

/// Shortest time between an answer and the next question.
pub const SHORTEST_GAP: Duration = Duration::from_millis(50);

/// The gap unless somebody asks for another.
pub const USUAL_GAP: Duration = Duration::from_millis(200);

/// Time between two attempts to find a line that was there before, a little more than the line's own.
const AGAIN: Duration = Duration::from_millis(1_100);

/// Most questions for one identity: vendor, product and revision come in one or two.
const MOST_PARTS: usize = 4;

/// A line, and somebody who asks on it.
pub struct Hand {
    line: Arc<Line>,
    settings: Settings,
    timeout: Duration,
    gap: Duration,
    /// Since the last answer; `None` before the first question.
    last: Option<Stopwatch>,
}

/// What a unit said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// What was asked for.
    Words(Words),
    /// No, with an exception's code; [`super::registers::exception`] has the words. It is there.
    Refused(u8),
    /// Nothing within the time-out.
    Nothing,
    /// Something that is no answer.
    Unreadable(String),
}

/// A device's own words for itself (43/14).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// Whose it is.
    pub vendor: String,
    /// The product's code.
    pub product: String,
    /// Its revision.
    pub revision: String,
}

/// Whether a unit is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It answered, if only by refusing.
    There {
        /// The exception it refused the question with; `None` when it answered it.
        refused: Option<u8>,
    },
    /// The gateway in front of it says that nobody is: exception 10 or 11.
    GatewaySays(u8),
    /// Nothing came.
    Silent,
    /// Something came that is no answer: two units with one number, wrong speed or parity, noise.
    Garbled(String),
}

impl Hand {
    /// A hand on a line. `timeout` is the longest wait for an answer, `gap` the time to the next question.
    pub fn new(line: &Settings, timeout: Duration, gap: Duration) -> Self {
        let settings = line.clone();
        let gap = gap.max(SHORTEST_GAP);
        Self { line: Lines::default().line(line), settings, timeout, gap, last: None }
    }

    /// Host and port, or the serial port's file.
    pub fn address(&self) -> String {
        self.settings.address()
    }

    /// The longest that one question can take, its gap included.
    pub fn worst(&self) -> Duration {
        self.gap + self.timeout
    }

    /// Asks for `count` registers or bits of a table, 1 to [`Table::most`] of them.
    ///
    /// # Errors
    /// [`CollectError::Lost`] when the line is not there.
    pub async fn read(
        &mut self,
        unit: u8,
        table: Table,
        first: u16,
        count: u16,
    ) -> Result<Said, CollectError> {
        let count = count.clamp(1, table.most());
        Ok(match self.ask(unit, Question::Read { table, first, count }).await? {
            Ok(Answer::Bits(bits)) => Said::Words(Words::Bits(bits)),
            Ok(Answer::Registers(words)) => Said::Words(Words::Registers(words)),
            Ok(Answer::Refused(code)) => Said::Refused(code),
            Ok(Answer::Unreadable(why)) => Said::Unreadable(why.to_owned()),
            Ok(Answer::Identity { .. }) => Said::Unreadable("an identity".to_owned()),
            Err(said) => said,
        })
    }

    /// Whether a unit is there: asked for one register, because every device answers that, if only by refusing.
    ///
    /// # Errors
    /// [`CollectError::Lost`] when the line is not there.
    pub async fn presence(&mut self, unit: u8) -> Result<Presence, CollectError> {
        Ok(match self.read(unit, Table::Holding, 0, 1).await? {
            Said::Words(_) => Presence::There { refused: None },
            Said::Refused(code @ (0x0A | 0x0B)) => Presence::GatewaySays(code),
            Said::Refused(code) => Presence::There { refused: Some(code) },
            Said::Nothing => Presence::Silent,
            Said::Unreadable(why) => Presence::Garbled(why),
        })
    }

    /// What a device says of itself; `None` when it does not know the question, which most meters do not.
    ///
    /// # Errors
    /// [`CollectError::Lost`] when the line is not there.
    pub async fn identity(&mut self, unit: u8) -> Result<Option<Identity>, CollectError> {
        let mut identity = None;
        let mut object = 0;
        for _ in 0..MOST_PARTS {
            let answer = self.ask(unit, Question::Identity { object }).await?;
            let Ok(Answer::Identity { objects, more }) = answer else { break };
            let known: &mut Identity = identity.get_or_insert_default();
            for (number, text) in objects {
                // It goes to a terminal, and nobody knows who wrote it.
                let text = text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned();
                match number {
                    0 => known.vendor = text,
                    1 => known.product = text,
                    2 => known.revision = text,
                    _ => {}
                }
            }
            match more {
                Some(next @ ..=2) if next > object => object = next,
                Some(_) | None => break,
            }
        }
        Ok(identity)
    }

    /// The answer, or in its place what is to be said of the unit.
    async fn ask(&mut self, unit: u8, question: Question) -> Result<Result<Answer, Said>, CollectError> {
        if let Some(left) = self.last.and_then(|last| self.gap.checked_sub(last.elapsed())) {
            tokio::time::sleep(left).await;
        }
        let device = self.device(unit);
        let mut ready = self.line.ready(&device).await;
        if self.last.is_some() && ready.is_err() {
            // It was there a moment ago.
            tokio::time::sleep(AGAIN).await;
            ready = self.line.ready(&device).await;
        }
        ready?;
        let asked = self.line.ask(&device, question).await;
        self.last = Some(Stopwatch::start());
        Ok(asked.map_err(|error| match error {
            CollectError::Unreadable { why, .. } => Said::Unreadable(why),
            CollectError::Lost { .. }
            | CollectError::Refused { .. }
            | CollectError::Missing { .. }
            | CollectError::Closed => Said::Nothing,
        }))
    }

    fn device(&self, unit: u8) -> Modbus {
        Modbus {
            line: self.settings.clone(),
            unit,
            timeout: self.timeout,
            retries: 0,
            pause: Duration::ZERO,
            max_hole: 0,
            max_registers: Table::Holding.most(),
            max_bits: Table::Coil.most(),
            points: Vec::new(),
        }
    }
}

/// What one turn of a device costs it and its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Questions.
    pub questions: u32,
    /// Bytes of the questions, as the line carries them.
    pub asked_bytes: u64,
    /// Bytes of the answers.
    pub answered_bytes: u64,
    /// How long the line is taken, as measured; `None` when it was not asked.
    pub took: Option<Duration>,
    /// Questions that had no answer when it was measured.
    pub unanswered: u32,
}

/// What the plan says that a turn costs, without asking.
pub fn planned(device: &Modbus) -> Cost {
    let mut cost = Cost::default();
    let frame: u64 = match device.line.framing {
        // Header and unit; unit and CRC.
        Framing::Tcp => 7,
        Framing::Rtu => 3,
    };
    for request in Plan::new(device).requests() {
        let data = if request.table.is_bits() { request.count.div_ceil(8) } else { request.count * 2 };
        cost.questions += 1;
        cost.asked_bytes += frame + 5;
        cost.answered_bytes += frame + 2 + u64::from(data);
    }
    cost
}

/// Makes one turn of a device by hand and says what it cost. Only what the manifest declares is asked for.
///
/// # Errors
/// [`CollectError::Lost`] when the line is not there.
pub async fn measured(device: &Modbus, gap: Duration) -> Result<Cost, CollectError> {
    let mut hand = Hand::new(&device.line, device.timeout, gap);
    let (mut cost, mut took) = (planned(device), Duration::ZERO);
    hand.line.ready(&hand.device(device.unit)).await?;
    for request in Plan::new(device).requests() {
        if let Some(left) = hand.last.and_then(|last| hand.gap.checked_sub(last.elapsed())) {
            tokio::time::sleep(left).await;
        }
        let began = Stopwatch::start();
        let (table, first, count) = (request.table, request.first, request.count);
        hand.last = None;
        let said = hand.read(device.unit, table, first, count).await?;
        took += began.elapsed();
        cost.unanswered += u32::from(matches!(said, Said::Nothing | Said::Unreadable(_)));
    }
    cost.took = Some(took);
    Ok(cost)
}

#[cfg(test)]
mod tests;
