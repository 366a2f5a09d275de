//! The Modbus collector: asks one device for its declared registers, one question at a time.
//!
//! `line.rs` is the line, which several devices may share, and `frame.rs` the bytes on it; `registers.rs` says which
//! requests to make and what the answers mean. Only the four reading functions are ever sent, and the one that asks for
//! a device's identity. What a device refuses costs the points it refuses: a request that is refused as a whole is asked
//! in two from then on, down to the point that is not there, which is asked again now and then. A question without
//! an answer costs its points; a device that answers none of a turn's questions is silent.
//!
//! Deliberately absent: Modbus ASCII, TLS, any function that writes.

mod dialled;
mod frame;
pub mod fuzz;
pub mod hand;
mod line;
pub mod looks;
pub mod registers;
pub mod sweep;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use daemon::Stopwatch;
use proof::{Quality, Reading, What};
use tokio_util::sync::CancellationToken;

use crate::manifest::{Modbus, Source};
use crate::probe::named;
use crate::{CollectError, Collector, Fact, Probe, Running, SampleSender};
use frame::{Answer, Question};
use line::Line;
pub(crate) use line::Lines;
use registers::{Plan, Request, Words};

/// Most questions of one turn that come of a refused one. The rest of the halves are asked in the next turns.
const MOST_HALVES: usize = 8;

/// How long a refused point is left alone at first, and at most: each refusal doubles it.
const REFUSED: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(600)];

/// Questions in a row without an answer after which the rest of a turn's are not asked.
const SILENT: u32 = 2;

/// Reads one device.
pub struct ModbusCollector {
    source: u16,
    asking: Asking,
}

/// What is known of one device.
struct Asking {
    device: Modbus,
    line: Arc<Line>,
    plan: Plan,
    /// Points that the device refuses alone, by the request that asks for them.
    refused: HashMap<(u8, u16), Refused>,
    /// Since when requests are asked in two, and how long until they are tried whole again.
    cut: Option<(Stopwatch, Duration)>,
    /// The first request that the last turn did not come to.
    unasked: Option<Request>,
}

#[derive(Clone, Copy)]
struct Refused {
    since: Stopwatch,
    wait: Duration,
    code: u8,
}

/// What came of a request.
enum Outcome {
    Words(Words),
    Refused(u8),
}

/// What one cycle has come to.
struct Cycle {
    readings: Vec<Reading>,
    /// Requests that are still to be asked, the next one last.
    waiting: Vec<Request>,
    asked: u32,
    answered: u32,
    /// Questions in a row without an answer.
    silent: u32,
    /// Requests that were cut out of refused ones and are asked in this cycle.
    halves: usize,
    failure: Option<CollectError>,
    /// Something was answered that had been refused.
    back: bool,
    /// Something was cut in two.
    split: bool,
}

impl Cycle {
    fn new(points: usize) -> Self {
        Self {
            readings: vec![registers::no_reading(); points],
            waiting: Vec::new(),
            asked: 0,
            answered: 0,
            silent: 0,
            halves: 0,
            failure: None,
            back: false,
            split: false,
        }
    }

    fn mark(&mut self, request: &Request, quality: Quality) {
        request.points.iter().for_each(|at| self.readings[*at].quality = quality);
    }
}

impl ModbusCollector {
    /// Plans the requests.
    pub(crate) fn new(source: &Source, device: &Modbus, lines: &Lines) -> Self {
        Self { source: source.index, asking: Asking::new(device, lines) }
    }

    async fn poll(&mut self, out: &SampleSender, stop: &CancellationToken) -> Result<(), CollectError> {
        while let Some(turn) = out.turn().await {
            let asked = Stopwatch::start();
            let cycle = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                cycle = self.asking.cycle() => cycle,
            };
            match cycle {
                Ok(readings) => out.send(&turn, Some(asked.elapsed()), What::Cycle(readings)).await?,
                Err(error) => {
                    out.send(&turn, None, What::Silent(error.cause())).await?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl Collector for ModbusCollector {
    fn source(&self) -> u16 {
        self.source
    }

    fn run<'a>(&'a mut self, out: &'a SampleSender, stop: &'a CancellationToken) -> Running<'a> {
        Box::pin(self.poll(out, stop))
    }
}

impl Asking {
    fn new(device: &Modbus, lines: &Lines) -> Self {
        let (line, plan) = (lines.line(&device.line), Plan::new(device));
        Self { device: device.clone(), line, plan, refused: HashMap::new(), cut: None, unasked: None }
    }

    /// One cycle: every request of the plan, the readings in manifest order. An error when none was answered.
    async fn cycle(&mut self) -> Result<Vec<Reading>, CollectError> {
        let mut cycle = Cycle::new(self.device.points.len());
        let mended = self.cut.is_some_and(|(since, wait)| since.elapsed() >= wait);
        if mended {
            // It may have been of the moment, and a plan that is never mended ends as one question for each point.
            self.plan = Plan::new(&self.device);
        }
        cycle.waiting = self.waiting();
        while let Some(request) = cycle.waiting.pop() {
            if self.is_passed_over(&request, &mut cycle) {
                continue;
            }
            cycle.asked += 1;
            match self.ask(&request).await {
                Ok(Outcome::Words(words)) => {
                    (cycle.answered, cycle.silent) = (cycle.answered + 1, 0);
                    cycle.back |= self.refused.remove(&key(&request)).is_some();
                    for at in &request.points {
                        let point = &self.device.points[*at];
                        cycle.readings[*at] = registers::decode(point, request.first, &words);
                    }
                }
                // The device is there and says no to this piece.
                Ok(Outcome::Refused(code)) => {
                    (cycle.answered, cycle.silent) = (cycle.answered + 1, 0);
                    self.was_refused(&request, code, &mut cycle);
                }
                Err(error) => {
                    cycle.mark(&request, quality(&error));
                    // Without a connection there is nobody to ask the rest.
                    let gone = matches!(&error, CollectError::Lost { source, .. } if source.kind() != ErrorKind::TimedOut);
                    cycle.silent = if gone { SILENT } else { cycle.silent + 1 };
                    cycle.failure = Some(error);
                }
            }
        }
        self.cut = match self.cut {
            Some((_, wait)) if cycle.split && mended => {
                Some((Stopwatch::start(), (wait * 2).min(REFUSED[1])))
            }
            None if cycle.split => Some((Stopwatch::start(), REFUSED[0])),
            Some(_) if mended && cycle.answered > 0 => None,
            cut => cut,
        };
        if cycle.back {
            // What was refused is there: as many are asked for at once as before.
            (self.plan, self.cut) = (Plan::new(&self.device), None);
        }
        match cycle.failure {
            Some(error) if cycle.answered == 0 => Err(error),
            _ => Ok(cycle.readings),
        }
    }

    /// The plan's requests, the first of them last.
    fn waiting(&mut self) -> Vec<Request> {
        let mut waiting: Vec<Request> = self.plan.requests().to_vec();
        // Whom the last turn did not come to is first now: who is never answered must not hide the others.
        let first =
            self.unasked.take().and_then(|unasked| waiting.iter().position(|other| *other == unasked));
        waiting.rotate_left(first.unwrap_or(0));
        waiting.reverse();
        waiting
    }

    /// Whether a request is not asked in this cycle; what its points are is noted then.
    fn is_passed_over(&mut self, request: &Request, cycle: &mut Cycle) -> bool {
        let is_one = request.halves(&self.device.points).is_none();
        let known = self.refused.get(&key(request)).filter(|_| is_one);
        // A turn in which nothing is asked would say nothing of the device.
        let only = cycle.waiting.is_empty() && cycle.asked == 0;
        if let Some(refused) = known.filter(|refused| refused.since.elapsed() < refused.wait && !only) {
            cycle.mark(request, registers::refusal(refused.code));
            return true;
        }
        if cycle.silent >= SILENT {
            cycle.mark(request, Quality::NoAnswer);
            self.unasked.get_or_insert_with(|| request.clone());
            return true;
        }
        false
    }

    /// Asks for the halves of what was refused, or remembers that it is.
    fn was_refused(&mut self, request: &Request, code: u8, cycle: &mut Cycle) {
        cycle.mark(request, registers::refusal(code));
        if !is_of_the_place(code) {
            // Busy, or something behind it does not answer: that passes.
            return;
        }
        if let Some(halves) = request.halves(&self.device.points) {
            tracing::info!(?request, code, "refused, and asked in two from now on");
            self.plan.split(request, halves.clone());
            cycle.split = true;
            if cycle.halves < MOST_HALVES {
                cycle.halves += 2;
                cycle.waiting.extend(halves.into_iter().rev());
            }
            return;
        }
        let since = Stopwatch::start();
        let before = self.refused.get(&key(request)).map(|refused| refused.wait);
        let wait = before.map_or(REFUSED[0], |wait| (wait * 2).min(REFUSED[1]));
        if self.refused.insert(key(request), Refused { since, wait, code }).is_none() {
            tracing::warn!(?request, code, "refused: {}", registers::exception(code));
        }
    }

    /// Asks, and asks again when no answer comes.
    async fn ask(&self, request: &Request) -> Result<Outcome, CollectError> {
        let Request { table, first, count, .. } = *request;
        let question = Question::Read { table, first, count };
        let mut tries = 0..=self.device.retries;
        loop {
            tries.next();
            let error = match self.line.ask(&self.device, question).await {
                Ok(Answer::Bits(bits)) => return Ok(Outcome::Words(Words::Bits(bits))),
                Ok(Answer::Registers(words)) => return Ok(Outcome::Words(Words::Registers(words))),
                Ok(Answer::Refused(code)) => return Ok(Outcome::Refused(code)),
                Ok(Answer::Unreadable(why)) => self.unreadable(why),
                Ok(Answer::Identity { .. }) => self.unreadable("an identity, and registers were asked for"),
                Err(error) => error,
            };
            if tries.is_empty() {
                return Err(error);
            }
        }
    }

    fn unreadable(&self, why: &str) -> CollectError {
        let endpoint = format!("{} unit {}", self.device.line.address(), self.device.unit);
        CollectError::Unreadable { endpoint, why: why.to_owned() }
    }
}

/// What a request asks for, as a key: a request of one point is known by its place.
fn key(request: &Request) -> (u8, u16) {
    (request.table as u8, request.first)
}

fn quality(error: &CollectError) -> Quality {
    if matches!(error, CollectError::Lost { .. }) { Quality::NoAnswer } else { Quality::Fault }
}

/// Whether a refusal is of what was asked for, and not of the moment: function, address or number.
fn is_of_the_place(code: u8) -> bool {
    (1..=3).contains(&code)
}

/// Asks a device once.
pub(crate) async fn probe(source: &Source, device: &Modbus, lines: &Lines) -> Result<Probe, CollectError> {
    let mut asking = Asking::new(device, lines);
    let readings = asking.cycle().await?;
    let refused = |at: usize| {
        let code = asking.refused.get(&(device.points[at].table as u8, device.points[at].address))?.code;
        Some(registers::exception(code))
    };
    let mut points = named(source, readings);
    for (at, point) in points.iter_mut().enumerate() {
        point.why = refused(at).filter(|_| point.reading.value.is_none());
        point.text = registers::said(&device.points[at], &point.reading);
    }
    Ok(Probe { source: source.index, points, ..Probe::default() })
}

/// What a device says it is.
pub(crate) async fn before(device: &Modbus) -> Result<Vec<Fact>, CollectError> {
    let mut hand = hand::Hand::new(&device.line, device.timeout, hand::USUAL_GAP);
    let name = "identity (43/14)";
    if let Some(said) = hand.identity(device.unit).await? {
        let identity = [said.vendor, said.product, said.revision].join(" | ");
        return Ok(vec![Fact::new(name, identity)]);
    }
    // One that has no identity is there; one that is off says nothing to this either.
    let why = match hand.presence(device.unit).await? {
        hand::Presence::There { .. } => return Ok(vec![Fact::new(name, "none")]),
        hand::Presence::GatewaySays(code) => format!("exception {code}: no unit {}", device.unit),
        hand::Presence::Silent => format!("unit {} does not answer", device.unit),
        hand::Presence::Garbled(why) => why,
    };
    Err(CollectError::Unreadable { endpoint: hand.address(), why })
}

#[cfg(test)]
mod tests;
