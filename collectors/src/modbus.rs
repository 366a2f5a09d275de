//! The Modbus TCP collector: asks one device for its declared registers, one question at a time.
//!
//! `client.rs` is the line, `registers.rs` the pure part: which requests to make, and what the answers say. Only the
//! four reading functions are ever sent. An exception costs the points of its request, not the cycle; a time-out or a
//! frame that does not fit costs the connection, so that a late answer can never be taken for the next one's.
//!
//! Deliberately absent: RTU and RTU over TCP, TLS, retries within a turn.

mod client;
pub mod registers;

use daemon::Stopwatch;
use proof::{Reading, What};
use tokio_util::sync::CancellationToken;

use crate::manifest::{Modbus, Source};
use crate::probe::named;
use crate::{CollectError, Collector, Probe, Running, SampleSender};
use client::{Line, Outcome};
use registers::{Plan, Words};

/// Reads one device.
pub struct ModbusCollector {
    source: u16,
    device: Modbus,
    plan: Plan,
}

impl ModbusCollector {
    /// Plans the requests.
    pub fn new(source: &Source, device: &Modbus) -> Self {
        Self {
            source: source.index,
            device: device.clone(),
            plan: Plan::new(&device.points, device.max_hole),
        }
    }

    /// How many questions one cycle takes: the load on the device, for people.
    pub fn requests(&self) -> usize {
        self.plan.requests().len()
    }

    async fn poll(&self, out: &SampleSender, stop: &CancellationToken) -> Result<(), CollectError> {
        let mut line: Option<Line> = None;
        while let Some(turn) = out.turn().await {
            let asked = Stopwatch::start();
            let cycle = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                cycle = cycle(&mut line, &self.device, &self.plan) => cycle,
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

/// One cycle: every request of the plan, the readings in manifest order.
async fn cycle(line: &mut Option<Line>, device: &Modbus, plan: &Plan) -> Result<Vec<Reading>, CollectError> {
    let mut open = match line.take() {
        Some(open) => open,
        None => Line::connect(device).await?,
    };
    let mut readings = vec![registers::no_reading(); device.points.len()];
    for request in plan.requests() {
        let words = match open.ask(request).await? {
            Outcome::Bits(bits) => Words::Bits(bits),
            Outcome::Registers(words) => Words::Registers(words),
            // The device is there and says no to this piece: a fault of these points, and an answer all the same.
            Outcome::Exception(code) => {
                tracing::debug!(?request, code, "exception");
                request.points.iter().for_each(|at| readings[*at].quality = registers::refusal(code));
                continue;
            }
        };
        for at in &request.points {
            readings[*at] = registers::decode(&device.points[*at], request.first, &words);
        }
    }
    // Only a line whose every answer has come is used again.
    *line = Some(open);
    Ok(readings)
}

/// Asks a device once.
pub(crate) async fn probe(source: &Source, device: &Modbus) -> Result<Probe, CollectError> {
    let plan = Plan::new(&device.points, device.max_hole);
    let readings = cycle(&mut None, device, &plan).await?;
    Ok(Probe { source: source.index, points: named(source, readings), ..Probe::default() })
}

#[cfg(test)]
mod tests;
