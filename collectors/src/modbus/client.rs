//! The line to one Modbus device: connect, ask, and give the connection up at the first doubt.

use std::io;
use std::time::Duration;

use daemon::Stopwatch;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_modbus::client::{Client as _, Context, tcp};
use tokio_modbus::{Error, Response, Slave};

use super::registers::Request;
use crate::CollectError;
use crate::manifest::{Modbus, Table};

/// An open connection. Dropping it closes it.
pub(super) struct Line {
    context: Context,
    endpoint: String,
    timeout: Duration,
    pause: Duration,
    /// Since the last answer.
    idle: Option<Stopwatch>,
}

/// What a question brought.
pub(super) enum Outcome {
    Bits(Vec<bool>),
    Registers(Vec<u16>),
    /// The device said no: a code of the standard's table.
    Exception(u8),
}

impl Line {
    /// Connects within the device's time-out; the name is looked up anew each time.
    pub(super) async fn connect(device: &Modbus) -> Result<Self, CollectError> {
        let lost = |source| CollectError::Lost { endpoint: device.endpoint.clone(), source };
        let stream = match timeout(device.timeout, TcpStream::connect(&device.endpoint)).await {
            Ok(stream) => stream.map_err(lost)?,
            Err(_) => return Err(lost(io::ErrorKind::TimedOut.into())),
        };
        // Small questions, each waited for: they must not be gathered.
        stream.set_nodelay(true).map_err(lost)?;
        Ok(Self {
            context: tcp::attach_slave(stream, Slave(device.unit)),
            endpoint: device.endpoint.clone(),
            timeout: device.timeout,
            pause: device.pause,
            idle: None,
        })
    }

    /// Asks one question and waits for its answer. After an error the line must not be used again: an answer may
    /// still be on its way.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Outcome, CollectError> {
        if let Some(left) = self.idle.and_then(|idle| self.pause.checked_sub(idle.elapsed())) {
            tokio::time::sleep(left).await;
        }
        let Request { table, first, count, .. } = *request;
        let question = match table {
            Table::Coil => tokio_modbus::Request::ReadCoils(first, count),
            Table::Discrete => tokio_modbus::Request::ReadDiscreteInputs(first, count),
            Table::Holding => tokio_modbus::Request::ReadHoldingRegisters(first, count),
            Table::Input => tokio_modbus::Request::ReadInputRegisters(first, count),
        };
        let answer = match timeout(self.timeout, self.context.call(question)).await {
            Ok(answer) => answer,
            Err(_) => return Err(self.lost(io::ErrorKind::TimedOut.into())),
        };
        self.idle = Some(Stopwatch::start());
        match answer {
            Ok(Ok(response)) => {
                fitting(request, response).ok_or_else(|| self.unreadable(&"another length than asked for"))
            }
            Ok(Err(exception)) => Ok(Outcome::Exception(exception.into())),
            Err(Error::Transport(error)) if is_garbage(&error) => Err(self.unreadable(&error)),
            Err(Error::Transport(error)) => Err(self.lost(error)),
            Err(Error::Protocol(error)) => Err(self.unreadable(&error)),
        }
    }

    fn lost(&self, source: io::Error) -> CollectError {
        CollectError::Lost { endpoint: self.endpoint.clone(), source }
    }

    fn unreadable(&self, why: &impl ToString) -> CollectError {
        CollectError::Unreadable { endpoint: self.endpoint.clone(), why: why.to_string() }
    }
}

/// The answer, when it is of the kind and length that was asked for. The library compares function codes, and leaves
/// lengths to us.
fn fitting(request: &Request, response: Response) -> Option<Outcome> {
    let count = usize::from(request.count);
    if let Response::ReadCoils(mut bits) | Response::ReadDiscreteInputs(mut bits) = response {
        // Bits come in whole bytes.
        let fits = bits.len() >= count && bits.len() <= count.next_multiple_of(8);
        bits.truncate(count);
        return (fits && request.table.is_bits()).then_some(Outcome::Bits(bits));
    }
    if let Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) = response {
        return (words.len() == count && !request.table.is_bits()).then_some(Outcome::Registers(words));
    }
    None
}

/// Whether the transport failed because of what came, not because nothing did.
fn is_garbage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
}
