//! One line and everybody who is asked on it: a connection, a serial port, or a port that a far unit dials.
//!
//! A line is held for one question at a time, and who waits longest is next: a unit that does not answer costs its
//! neighbours its own time-out and no more. There is one connection, opened when it is needed and given up at the
//! first byte that cannot be Modbus, or when nothing at all came to several questions.
//!
//! No answer is ever taken for that of another question. On TCP it carries the question's number. On a serial line
//! nothing tells two answers of one unit and one function apart: a unit that owes an answer is first asked for its
//! identity, which it can only answer after what it still owes, or left alone until nothing can be on its way any more.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daemon::Stopwatch;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_serial::SerialPortBuilderExt as _;

use super::dialled::{Dialled, Hubs};
use super::frame::{Answer, Inbox, NotModbus, Question, same_shape};
use crate::CollectError;
use crate::manifest::{Framing, Line as Settings, Modbus, Parity, Serial, Transport};

/// Questions without a single byte of an answer after which a connection is taken for dead.
const DEAF: u32 = 3;

/// How long after its last question a unit may still owe an answer at least.
const OWED: Duration = Duration::from_secs(5);

/// Time between two attempts to connect.
const RETRY: Duration = Duration::from_secs(1);

/// Bits on a serial line for one byte: start, eight, parity or second stop, stop.
const BITS: u32 = 11;

/// Above this speed the silent interval is fixed (Modbus over serial line 1.02, 2.5.1.1).
const FAST: u32 = 19_200;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// All lines of a program.
#[derive(Default)]
pub(crate) struct Lines {
    lines: Mutex<HashMap<Settings, Arc<Line>>>,
    hubs: Hubs,
}

/// One line.
pub(crate) struct Line {
    settings: Settings,
    dialled: Option<Dialled>,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    stream: Option<Box<dyn Stream>>,
    inbox: Inbox,
    number: u16,
    /// Since the last byte in either direction.
    quiet: Option<Stopwatch>,
    /// Since the last answer of a unit.
    answered: HashMap<u8, Stopwatch>,
    /// Questions on a serial line whose answers may still come.
    owed: Vec<Owed>,
    /// Units that have answered on this connection.
    heard: HashSet<u8>,
    /// Questions to them since the last byte came.
    deaf: u32,
    /// Since the last attempt to connect that failed, and how it failed.
    failed: Option<(Stopwatch, io::ErrorKind)>,
}

struct Owed {
    unit: u8,
    question: Question,
    since: Stopwatch,
    /// How long its answer may still come.
    patience: Duration,
}

enum Debt {
    None,
    Answer,
    Identity,
}

impl Lines {
    /// The line with these settings; the same one for all who name it.
    pub(crate) fn line(&self, settings: &Settings) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(settings.clone()).or_insert_with(|| {
            let dialled = match &settings.transport {
                Transport::Listen { address, registration } => Some(self.hubs.expect(*address, registration)),
                Transport::Connect { .. } | Transport::Serial(_) => None,
            };
            Arc::new(Line { settings: settings.clone(), dialled, state: tokio::sync::Mutex::default() })
        });
        Arc::clone(line)
    }
}

impl Line {
    /// Asks one unit and waits for its answer, its turn on the line included.
    ///
    /// # Errors
    /// [`CollectError::Lost`] when there is no connection or no answer, [`CollectError::Unreadable`] when what comes is
    /// no Modbus.
    pub(super) async fn ask(&self, device: &Modbus, question: Question) -> Result<Answer, CollectError> {
        loop {
            let mut state = self.turn(device).await;
            let step = match state.owes(device.unit, question) {
                Debt::None => question,
                // Whatever it says to this, it has said before all that it owed.
                Debt::Answer => Question::Identity { object: 0 },
                // Nothing that it says now could be told from what it still may say.
                Debt::Identity => return Err(self.lost(io::ErrorKind::TimedOut.into())),
            };
            let answer = self.ask_now(&mut state, device, step).await?;
            if step == question {
                return Ok(answer);
            }
            state.owed.retain(|owed| owed.unit != device.unit);
        }
    }

    /// Sees to it that there is a connection, and asks nothing: for who must tell a line that is not there from a unit
    /// that says nothing.
    ///
    /// # Errors
    /// [`CollectError::Lost`] when there is none and none can be had.
    pub(super) async fn ready(&self, device: &Modbus) -> Result<(), CollectError> {
        let mut state = self.turn(device).await;
        let mut left = device.timeout;
        let stream = self.stream(&mut state, &mut left, device).await?;
        state.stream = Some(stream);
        Ok(())
    }

    /// One question, the line being held.
    async fn ask_now(
        &self,
        state: &mut State,
        device: &Modbus,
        question: Question,
    ) -> Result<Answer, CollectError> {
        let used = state.stream.is_some();
        // What is left of the time-out, a second attempt included: the others on the line wait meanwhile.
        let mut left = device.timeout;
        // Whoever stops waiting in the middle of a question leaves no stream behind that is out of step.
        let mut stream = self.stream(state, &mut left, device).await?;
        let before = state.inbox.dropped;
        let mut asked = self.attempt(state, &mut stream, device, question, &mut left).await;
        if used && self.may_be_of_the_connection(&asked) {
            drop(stream);
            stream = self.stream(state, &mut left, device).await?;
            asked = self.attempt(state, &mut stream, device, question, &mut left).await;
        }
        if state.inbox.dropped != before {
            let (line, dropped) = (self.settings.address(), state.inbox.dropped);
            tracing::debug!(
                line,
                unit = device.unit,
                ?dropped,
                "what was no answer to the question is dropped"
            );
        }
        match asked {
            Ok(answer) => {
                state.heard.insert(device.unit);
                state.deaf = 0;
                state.stream = Some(stream);
                Ok(answer)
            }
            Err(Trouble::Silent) => {
                // A unit that is off says nothing of the connection; one that was heard on it does.
                let listens = self.dialled.is_some();
                if state.heard.contains(&device.unit) || (state.heard.is_empty() && !listens) {
                    state.deaf += 1;
                }
                // On TCP the rest of half an answer would be taken for the beginning of the next.
                let half = self.settings.framing == Framing::Tcp && !state.inbox.is_empty();
                if state.deaf < DEAF && !half {
                    state.stream = Some(stream);
                }
                Err(self.lost(io::ErrorKind::TimedOut.into()))
            }
            Err(Trouble::Broken(error)) => Err(self.lost(error)),
            Err(Trouble::NotModbus(why)) => {
                Err(CollectError::Unreadable { endpoint: self.settings.address(), why: why.to_owned() })
            }
        }
    }

    /// Waits until it is this unit's turn, its own pause included, which is not spent at the others' cost.
    async fn turn(&self, device: &Modbus) -> tokio::sync::MutexGuard<'_, State> {
        loop {
            let state = self.state.lock().await;
            let left = state.answered.get(&device.unit).and_then(|at| device.pause.checked_sub(at.elapsed()));
            let Some(left) = left.filter(|left| !left.is_zero()) else { return state };
            drop(state);
            tokio::time::sleep(left).await;
        }
    }

    /// What came on this line and was nobody's answer.
    #[cfg(test)]
    pub(super) async fn dropped(&self) -> super::frame::Dropped {
        self.state.lock().await.inbox.dropped
    }

    /// Whether it went wrong because of what the connection was before: many devices close one on which nothing was
    /// asked for a while, and on TCP whatever followed the answer before puts the next one out of step.
    fn may_be_of_the_connection(&self, asked: &Result<Answer, Trouble>) -> bool {
        match asked {
            Err(Trouble::Broken(_)) => true,
            Err(Trouble::NotModbus(_)) => self.settings.framing == Framing::Tcp,
            Ok(_) | Err(Trouble::Silent) => false,
        }
    }

    /// One question on one connection; what it took of the time-out is taken from what is `left` of it.
    async fn attempt(
        &self,
        state: &mut State,
        stream: &mut Box<dyn Stream>,
        device: &Modbus,
        question: Question,
        left: &mut Duration,
    ) -> Result<Answer, Trouble> {
        self.silence(state, stream, device).await?;
        if self.settings.framing == Framing::Tcp && !state.inbox.in_step() {
            return Err(Trouble::NotModbus("what follows an answer is no answer"));
        }
        let began = Stopwatch::start();
        let answer = self.exchange(state, stream, device, question, *left).await;
        *left = left.saturating_sub(began.elapsed());
        answer
    }

    async fn exchange(
        &self,
        state: &mut State,
        stream: &mut Box<dyn Stream>,
        device: &Modbus,
        question: Question,
        left: Duration,
    ) -> Result<Answer, Trouble> {
        let serial = self.settings.framing == Framing::Rtu;
        state.number = state.number.wrapping_add(1);
        let bytes = if serial { question.rtu(device.unit) } else { question.tcp(state.number, device.unit) };
        if serial {
            // Before it is sent: who gives up waiting may do so at any point.
            let (since, patience) = (Stopwatch::start(), OWED.max(device.timeout * 5));
            state.owed.push(Owed { unit: device.unit, question, since, patience });
        }
        let began = Stopwatch::start();
        // The bytes are on their way for so long, and nobody waits for that but us.
        let patience = left + self.settings.takes(bytes.len());
        match timeout(left, stream.write_all(&bytes)).await {
            Ok(sent) => sent.map_err(Trouble::Broken)?,
            Err(_) => return Err(Trouble::Broken(io::ErrorKind::TimedOut.into())),
        }
        state.quiet = Some(Stopwatch::start());
        loop {
            let found = if serial {
                state.inbox.rtu(device.unit, question)
            } else {
                let found = state.inbox.tcp(state.number, device.unit, question);
                found.map_err(|NotModbus| Trouble::NotModbus("what came is not Modbus on TCP"))?
            };
            if let Some(answer) = found {
                if serial && self.is_doubtful(state, stream, device, question, &answer).await {
                    // What it owes it may owe still: neither is known to be the answer to this question.
                    return Ok(Answer::Unreadable("two answers came to one question, and they differ"));
                }
                state.owed.retain(|owed| (owed.unit, owed.question) != (device.unit, question));
                state.answered.insert(device.unit, Stopwatch::start());
                return Ok(answer);
            }
            let Some(left) = patience.checked_sub(began.elapsed()) else { return Err(Trouble::Silent) };
            match timeout(left, receive(state, stream)).await {
                Ok(received) => received?,
                Err(_) => return Err(Trouble::Silent),
            }
        }
    }

    /// Whether another answer to the question comes with the one that came, before the line falls silent: one of them
    /// is another question's, sent again by a converter or late, and nothing tells which.
    async fn is_doubtful(
        &self,
        state: &mut State,
        stream: &mut Box<dyn Stream>,
        device: &Modbus,
        question: Question,
        answer: &Answer,
    ) -> bool {
        let began = Stopwatch::start();
        // A connection that ends after its answer is found to have ended by the next question.
        while let Ok(Ok(())) = timeout(self.settings.interval(), receive(state, stream)).await {
            if began.elapsed() > device.timeout {
                break;
            }
        }
        let mut doubtful = false;
        while let Some(again) = state.inbox.rtu(device.unit, question) {
            state.inbox.dropped.late += 1;
            doubtful |= again != *answer;
        }
        doubtful
    }

    /// Waits until the line has been silent for long enough, and drops what comes meanwhile; on TCP only the line's
    /// own pause is waited for.
    async fn silence(
        &self,
        state: &mut State,
        stream: &mut Box<dyn Stream>,
        device: &Modbus,
    ) -> Result<(), Trouble> {
        let interval = self.settings.silence();
        let began = Stopwatch::start();
        let serial = self.settings.framing == Framing::Rtu;
        if serial {
            // Whatever came since anybody looked is read first, and with it that the connection has ended.
            state.quiet = Some(Stopwatch::start());
        }
        loop {
            let left = state.quiet.and_then(|quiet| interval.checked_sub(quiet.elapsed()));
            let Some(left) = left.filter(|left| !left.is_zero()) else { break };
            match timeout(left, receive(state, stream)).await {
                Ok(received) => received?,
                Err(_) => break,
            }
            if serial {
                state.inbox.clear(device.unit);
            }
            if began.elapsed() > device.timeout {
                return Err(Trouble::NotModbus("the line is never silent: somebody else speaks on it"));
            }
        }
        if serial {
            state.inbox.clear(device.unit);
        }
        Ok(())
    }

    /// The connection, opened when there is none.
    async fn stream(
        &self,
        state: &mut State,
        left: &mut Duration,
        device: &Modbus,
    ) -> Result<Box<dyn Stream>, CollectError> {
        if let Some(newer) = self.dialled.as_ref().and_then(Dialled::newest) {
            // The unit has given the one before up.
            state.stream = None;
            state.begin(None);
            return Ok(Box::new(prepared(newer).map_err(|error| self.lost(error))?));
        }
        if let Some(stream) = state.stream.take() {
            return Ok(stream);
        }
        if let Some((_, kind)) = state.failed.filter(|(since, _)| since.elapsed() < RETRY) {
            return Err(self.lost(kind.into()));
        }
        let (began, had) = (Stopwatch::start(), *left);
        let opened = match timeout(had, self.open()).await {
            Ok(opened) => opened,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        *left = left.saturating_sub(began.elapsed());
        match opened {
            Ok(stream) => {
                state.begin(None);
                Ok(stream)
            }
            Err(error) => {
                // An attempt with what was left of a time-out says nothing of the line to the next one.
                let is_cut_short = error.kind() == io::ErrorKind::TimedOut && had < device.timeout;
                state.begin((!is_cut_short).then(|| (Stopwatch::start(), error.kind())));
                Err(self.lost(error))
            }
        }
    }

    async fn open(&self) -> io::Result<Box<dyn Stream>> {
        match &self.settings.transport {
            // The name is looked up anew each time.
            Transport::Connect { endpoint } => Ok(Box::new(prepared(TcpStream::connect(endpoint).await?)?)),
            Transport::Serial(serial) => Ok(Box::new(open_serial(serial, self.settings.baud)?)),
            Transport::Listen { .. } => {
                let dialled = self.dialled.as_ref().expect("made with the line");
                Ok(Box::new(prepared(dialled.next().await?)?))
            }
        }
    }

    fn lost(&self, source: io::Error) -> CollectError {
        CollectError::Lost { endpoint: self.settings.address(), source }
    }
}

impl State {
    /// What a unit owes that its answer to this question could be taken for.
    fn owes(&mut self, unit: u8, question: Question) -> Debt {
        self.owed.retain(|owed| owed.since.elapsed() < owed.patience);
        let of_unit = || self.owed.iter().filter(|owed| owed.unit == unit).map(|owed| owed.question);
        if of_unit().any(|owed| matches!(owed, Question::Identity { .. })) {
            Debt::Identity
        } else if of_unit().any(|owed| same_shape(owed, question)) {
            Debt::Answer
        } else {
            Debt::None
        }
    }

    /// A connection begins, or could not.
    fn begin(&mut self, failed: Option<(Stopwatch, io::ErrorKind)>) {
        self.inbox.forget();
        self.heard.clear();
        self.deaf = 0;
        self.failed = failed;
    }
}

/// Why a question has no answer.
enum Trouble {
    /// Nothing that fits came in time; the connection may be used again.
    Silent,
    Broken(io::Error),
    NotModbus(&'static str),
}

/// Waits for bytes.
async fn receive(state: &mut State, stream: &mut Box<dyn Stream>) -> Result<(), Trouble> {
    let mut bytes = [0; 512];
    match stream.read(&mut bytes).await {
        Ok(0) => Err(Trouble::Broken(io::ErrorKind::UnexpectedEof.into())),
        Ok(count) => {
            state.inbox.push(&bytes[..count]);
            if state.inbox.is_flooded() {
                return Err(Trouble::NotModbus("more comes than answers"));
            }
            state.quiet = Some(Stopwatch::start());
            state.deaf = 0;
            Ok(())
        }
        Err(error) => Err(Trouble::Broken(error)),
    }
}

/// Small questions, each waited for: they must not be gathered.
fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn open_serial(serial: &Serial, baud: u32) -> io::Result<tokio_serial::SerialStream> {
    let parity = match serial.parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let stop = if serial.stop_bits == 2 { tokio_serial::StopBits::Two } else { tokio_serial::StopBits::One };
    let port =
        tokio_serial::new(serial.path.to_string_lossy(), baud).data_bits(tokio_serial::DataBits::Eight);
    // Another program on the same port would take answers that are ours.
    let mut port = port.parity(parity).stop_bits(stop).open_native_async()?;
    port.set_exclusive(true)?;
    Ok(port)
}

impl Settings {
    /// How long so many bytes are on a serial line.
    fn takes(&self, bytes: usize) -> Duration {
        match self.framing {
            Framing::Tcp => Duration::ZERO,
            Framing::Rtu => {
                let bits = BITS * u32::try_from(bytes).unwrap_or(u32::MAX / BITS);
                Duration::from_secs_f64(f64::from(bits) / f64::from(self.baud.max(1)))
            }
        }
    }

    /// How long the line must be silent before a question: what ends a frame, and what the installer asks for.
    fn silence(&self) -> Duration {
        if self.framing == Framing::Tcp { self.pause } else { self.interval().max(self.pause) }
    }

    /// The silence that ends a frame on a serial line: three and a half bytes.
    fn interval(&self) -> Duration {
        if self.baud > FAST {
            Duration::from_micros(1_750)
        } else {
            Duration::from_secs_f64(3.5 * f64::from(BITS) / f64::from(self.baud.max(1)))
        }
    }
}
