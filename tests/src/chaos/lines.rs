//! The far end of a line: several units that answer over TCP, a serial port or a connection that they dial, badly.
//!
//! Every question is answered by dice that follow from the seed; lasting faults have a time-table that does, too. Units
//! answer their own questions in order, as units do, and never wait for each other. Everything that is not read-only is
//! a problem in the record, and so is a second connection.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use collectors::manifest::Framing;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::faults::{Dice, EXCEPTIONS, Fault, Outcome, Round};
use super::frames::{Heard, Question, hear, steps};
use super::record::{Asked, Record};

/// Time between two attempts to dial.
const REDIAL: Duration = Duration::from_millis(20);

/// How long a connection may be heard of after its successor.
const HANG_UP: Duration = Duration::from_millis(50);

/// How a line is reached.
#[derive(Debug, Clone)]
pub enum Way {
    /// It listens here.
    Listens(SocketAddr),
    /// It is behind a serial port, which is found by this link.
    Port(PathBuf),
    /// It dials there, and says this first.
    Dials(SocketAddr, String),
}

/// One unit on a line.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// Who reads it.
    pub source: u16,
    /// How long its answers are waited for.
    pub timeout: Duration,
}

/// A fault that lasts.
#[derive(Debug, Clone, Copy)]
pub struct Lasting {
    /// Which.
    pub fault: Fault,
    /// From.
    pub from: Duration,
    /// To.
    pub to: Duration,
    /// Of one unit's or the whole line's.
    pub unit: Option<u8>,
}

/// How often and how long.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Part of the questions that meet a fault.
    pub share: f64,
    /// Time between two lasting faults of a line, and how long they last, in seconds.
    pub apart: (f64, f64),
    /// See there.
    pub lasts: (f64, f64),
    /// From when on nothing is wrong any more.
    pub calm_from: Duration,
}

/// A line's far end.
pub struct FarEnd {
    /// Its place among the lines.
    pub number: usize,
    /// How frames look.
    pub framing: Framing,
    /// How it is reached.
    pub way: Way,
    /// Who is on it.
    pub units: BTreeMap<u8, Unit>,
    /// What goes wrong for a while.
    pub lasting: Vec<Lasting>,
    /// Registers that are refused while a block is.
    pub refused: BTreeSet<u16>,
    weather: Weather,
    dice: Dice,
    thrown: Round<Fault>,
    refusals: Round<Fault>,
    record: Arc<Record>,
    talk: Talk,
}

/// One connection's state.
#[derive(Default)]
struct Talk {
    heard: Vec<u8>,
    /// What will be said, and when; `None` resets.
    due: Vec<(Duration, u64, Option<Vec<u8>>)>,
    said: u64,
    /// The last true answer to each unit and function.
    last: HashMap<(u8, u8), Vec<u8>>,
    /// When each unit will have said what it was asked before.
    busy: HashMap<u8, Duration>,
    /// When the last frame that comes in pieces will have been said.
    whole: Duration,
    /// A frame was begun that never ends: nothing can be said after it on a stream.
    broken: bool,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Why a conversation ended.
enum Ended {
    /// The other side hung up.
    ByThem,
    /// Reset by a fault.
    Reset,
    /// The line goes down.
    Down,
    /// The run is over.
    Stopped,
    /// Somebody connects while a connection stands.
    Newer(TcpStream),
}

impl FarEnd {
    /// A far end with its time-table.
    pub fn new(
        number: usize,
        framing: Framing,
        way: Way,
        units: BTreeMap<u8, Unit>,
        weather: Weather,
        seed: u64,
        record: Arc<Record>,
    ) -> Self {
        let mut dice = Dice::new(seed, number as u64);
        let port = matches!(way, Way::Port(_));
        let numbers: Vec<u8> = units.keys().copied().collect();
        let kinds: Vec<_> = Fault::LASTING.into_iter().filter(|fault| fault.is_of(framing, port)).collect();
        let mut lasting = Vec::new();
        let mut at = Duration::from_secs_f64(dice.within(weather.apart.0 / 2.0..weather.apart.1));
        // Each kind in turn, so that a short run has them all.
        let mut turn = number;
        while at < weather.calm_from {
            let fault = kinds[turn % kinds.len()];
            turn += 1;
            let to = at + Duration::from_secs_f64(dice.within(weather.lasts.0..weather.lasts.1));
            let of_unit = matches!(fault, Fault::Dead | Fault::RefusedBlock);
            let unit = of_unit.then(|| dice.one_of(&numbers));
            lasting.push(Lasting { fault, from: at, to: to.min(weather.calm_from), unit });
            at = to + Duration::from_secs_f64(dice.within(weather.apart.0..weather.apart.1));
        }
        let (refused, talk) = (BTreeSet::from([1_005]), Talk::default());
        let thrown = Round::new(Fault::THROWN.into_iter().filter(|fault| fault.is_of(framing, port)));
        let refusals = Round::new(EXCEPTIONS.into_iter().map(Fault::Exception));
        Self { number, framing, way, units, lasting, refused, weather, dice, thrown, refusals, record, talk }
    }

    /// Answers until told to stop.
    ///
    /// # Errors
    /// When a port or a listener cannot be had.
    pub async fn run(mut self, listener: Option<TcpListener>, stop: CancellationToken) -> anyhow::Result<()> {
        let mut listener = listener;
        let mut waiting: Option<TcpStream> = None;
        loop {
            if let Some(until) = self.down_now() {
                (listener, waiting) = (None, None);
                if let Way::Port(link) = &self.way {
                    drop(std::fs::remove_file(link));
                }
                if !self.sleeps_until(until, &stop).await {
                    return Ok(());
                }
            }
            let way = self.way.clone();
            let (ended, stream): (Ended, Option<TcpStream>) = match &way {
                Way::Listens(address) => {
                    let door = match listener.take() {
                        Some(door) => door,
                        None => TcpListener::bind(address).await.context("the address is a line's own")?,
                    };
                    let mut stream = match waiting.take() {
                        Some(stream) => stream,
                        None => {
                            let next_down = self.next_down();
                            tokio::select! {
                                accepted = door.accept() => accepted?.0,
                                () = self.sleep_to(next_down) => continue,
                                () = stop.cancelled() => return Ok(()),
                            }
                        }
                    };
                    stream.set_nodelay(true)?;
                    self.record.connected();
                    let ended = self.talk(&mut stream, Some(&door), &stop).await;
                    listener = Some(door);
                    (ended, Some(stream))
                }
                Way::Port(link) => {
                    let (mut far, _near, name) = port()?;
                    // What may be there leads nowhere.
                    drop(std::fs::remove_file(link));
                    std::os::unix::fs::symlink(name, link)?;
                    let ended = self.talk(&mut far, None, &stop).await;
                    (ended, None)
                }
                Way::Dials(address, registration) => {
                    let Ok(mut stream) = TcpStream::connect(address).await else {
                        if self.sleeps_until(self.record.now() + REDIAL, &stop).await {
                            continue;
                        }
                        return Ok(());
                    };
                    stream.set_nodelay(true)?;
                    self.record.connected();
                    if stream.write_all(registration.as_bytes()).await.is_err() {
                        continue;
                    }
                    let ended = self.talk(&mut stream, None, &stop).await;
                    (ended, Some(stream))
                }
            };
            match ended {
                Ended::Stopped => return Ok(()),
                Ended::Newer(newer) => {
                    self.must_be_over(stream).await;
                    waiting = Some(newer);
                }
                // Unread questions make of a close a reset, which is the fault that is meant.
                Ended::Reset | Ended::ByThem | Ended::Down => drop(stream),
            }
        }
    }

    /// The end of the outage there is now.
    fn down_now(&self) -> Option<Duration> {
        let now = self.record.now();
        let down = |lasting: &&Lasting| lasting.fault == Fault::Down;
        let found = self.lasting.iter().filter(down).find(|l| (l.from..l.to).contains(&now))?;
        self.record.outage(self.number, Fault::Down, found.from, found.to);
        Some(found.to)
    }

    /// The beginning of the next outage.
    fn next_down(&self) -> Duration {
        let now = self.record.now();
        let downs = self.lasting.iter().filter(|lasting| lasting.fault == Fault::Down && lasting.from > now);
        downs.map(|lasting| lasting.from).min().unwrap_or(Duration::MAX)
    }

    async fn sleep_to(&self, moment: Duration) {
        let left = moment.saturating_sub(self.record.now());
        tokio::time::sleep(left.min(Duration::from_secs(86_400))).await;
    }

    /// Sleeps; whether it is not over by then.
    async fn sleeps_until(&self, moment: Duration, stop: &CancellationToken) -> bool {
        tokio::select! {
            () = stop.cancelled() => false,
            () = self.sleep_to(moment) => true,
        }
    }

    /// An answer that is said much later than it was meant to be is this machine's fault.
    fn must_be_in_time(&self, meant: Duration) {
        let (now, longest) = (self.record.now(), self.units.values().map(|unit| unit.timeout).min());
        if now.saturating_sub(meant) > longest.unwrap_or_default() / 4 {
            self.record.stalled(meant, now);
        }
    }

    /// A reader must have hung up before it connects anew; the system may tell of the two in another order.
    async fn must_be_over(&self, old: Option<TcpStream>) {
        let Some(mut old) = old else { return };
        let over = async { while matches!(old.read(&mut [0; 512]).await, Ok(1..)) {} };
        if tokio::time::timeout(HANG_UP, over).await.is_err() {
            self.record.problem(format!("line {}: two connections at once", self.number));
        }
    }

    /// Hears and answers on one connection.
    async fn talk(
        &mut self,
        stream: &mut (impl Stream + ?Sized),
        door: Option<&TcpListener>,
        stop: &CancellationToken,
    ) -> Ended {
        self.talk = Talk::default();
        let down = self.next_down();
        loop {
            let next = self.talk.due.iter().map(|(at, said, _)| (*at, *said)).min();
            let wakes = next.map_or(Duration::MAX, |(at, _)| at);
            let mut bytes = [0; 512];
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ended::Stopped,
                () = self.sleep_to(down) => return Ended::Down,
                () = self.sleep_to(wakes) => {
                    let at = self.talk.due.iter().position(|(at, said, _)| Some((*at, *said)) == next);
                    let Some(at) = at else { continue };
                    let (.., says) = self.talk.due.swap_remove(at);
                    self.must_be_in_time(wakes);
                    let Some(says) = says else { return Ended::Reset };
                    if stream.write_all(&says).await.is_err() {
                        return Ended::ByThem;
                    }
                }
                read = stream.read(&mut bytes) => match read {
                    Ok(0) => return Ended::ByThem,
                    Ok(count) => {
                        self.talk.heard.extend_from_slice(&bytes[..count]);
                        self.answer();
                    }
                    Err(_) => return Ended::ByThem,
                },
                newer = accepted(door) => return Ended::Newer(newer),
            }
        }
    }

    /// Decides what becomes of the questions that have come.
    fn answer(&mut self) {
        loop {
            let question = match hear(self.framing, &self.talk.heard) {
                Heard::Nothing => return,
                Heard::Question(question, length) => {
                    self.talk.heard.drain(..length);
                    question
                }
                Heard::Forbidden(function) => {
                    let heard = std::mem::take(&mut self.talk.heard);
                    let what = format!("line {}: function {function} was asked: {heard:02x?}", self.number);
                    self.record.problem(what);
                    return;
                }
            };
            let Some(unit) = self.units.get(&question.unit).copied() else {
                self.record.problem(format!("line {}: unit {} was asked", self.number, question.unit));
                continue;
            };
            let now = self.record.now();
            let begins = self.begins(question.unit, now);
            let met = self.fault_of(&question, now);
            let fault = kept_waiting(begins.saturating_sub(now), unit.timeout, met);
            let order = self.record.next();
            let silent = fault.is_some_and(|fault| fault.stated(self.framing) == [Outcome::NoAnswer]);
            let asked = Asked { order, at: now, question, fault };
            self.record.asked(self.number, unit.source, asked, silent);
            self.plan_answer(&question, unit, met.filter(|_| met == fault), order, begins);
        }
    }

    /// When a unit comes to its next question: one on a serial line says one thing after the other, and on TCP nobody
    /// speaks within another's frame.
    fn begins(&self, unit: u8, now: Duration) -> Duration {
        match self.framing {
            Framing::Rtu => self.talk.busy.get(&unit).map_or(now, |busy| now.max(*busy)),
            Framing::Tcp => now.max(self.talk.whole),
        }
    }

    /// Keeps what was planned for TCP to what a server can do there: frames follow each other, and none follows a frame
    /// that never ends.
    fn keep_frames_whole(&mut self, fault: Option<Fault>, begins: Duration) {
        if self.framing == Framing::Rtu {
            return;
        }
        match fault {
            Some(Fault::Half | Fault::BadLength) => {
                self.talk.broken = true;
                let ours = self.talk.said;
                self.talk.due.retain(|(_, said, _)| *said == ours);
            }
            Some(Fault::Split) => {
                let ends = self.talk.due.iter().map(|(at, ..)| *at).filter(|at| *at >= begins);
                let ends = ends.max().unwrap_or(begins);
                self.talk.whole = ends + Duration::from_micros(1);
            }
            _ => {}
        }
    }

    fn plan_answer(
        &mut self,
        question: &Question,
        unit: Unit,
        fault: Option<Fault>,
        order: u64,
        begins: Duration,
    ) {
        let serial = u32::try_from(order & 0x7FFF_FFFF).expect("31 bits fit");
        let shape = (question.unit, question.function);
        let last = self.talk.last.get(&shape).map(Vec::as_slice);
        if self.talk.broken {
            return;
        }
        let planned = steps(&mut self.dice, self.framing, unit.timeout, question, fault, serial, last);
        self.talk.last.insert(shape, question.served(self.framing, serial));
        if self.framing == Framing::Tcp && planned.len() > 1 {
            // What is due within this frame waits until it is whole.
            let ends = begins + planned.last().map_or(Duration::ZERO, |step| step.after);
            for (at, said, _) in &mut self.talk.due {
                if (begins..=ends).contains(at) {
                    *at = ends + Duration::from_micros(1 + (*said & 0xFF));
                }
            }
        }
        // Who speaks without end is quiet when its time is over, whoever is asked then.
        let quiet = self.lasting.iter().find(|lasting| lasting.fault == Fault::Babble && lasting.to > begins);
        let quiet = quiet.filter(|_| fault == Some(Fault::Babble)).map_or(Duration::MAX, |babble| babble.to);
        let busy = self.talk.busy.entry(question.unit).or_default();
        for step in planned.into_iter().filter(|step| begins + step.after < quiet) {
            let at = begins + step.after;
            if fault != Some(Fault::Babble) {
                *busy = at.max(*busy);
            }
            self.talk.said += 1;
            self.talk.due.push((at, self.talk.said, step.says));
        }
        self.keep_frames_whole(fault, begins);
    }

    /// What this question meets.
    fn fault_of(&mut self, question: &Question, now: Duration) -> Option<Fault> {
        // Thrown first, so that the dice do not depend on the time.
        let thrown = self.thrown(question);
        let refuses = |address: &u16| question.asks_for(3, *address);
        let lasting = self.lasting.iter().find(|lasting| {
            let hits = lasting.fault != Fault::RefusedBlock || self.refused.iter().any(refuses);
            let hits = hits && lasting.fault != Fault::Down;
            let whose = lasting.unit.is_none_or(|unit| unit == question.unit);
            hits && whose && (lasting.from..lasting.to).contains(&now)
        });
        if self.talk.broken {
            return Some(Fault::Half);
        }
        if now >= self.weather.calm_from {
            return None;
        }
        lasting.map(|lasting| lasting.fault).or(thrown)
    }

    fn thrown(&mut self, question: &Question) -> Option<Fault> {
        if self.dice.within(0.0..1.0) >= self.weather.share {
            return None;
        }
        if question.function == 0x2B {
            return Some(self.dice.one_of(&Fault::OF_IDENTITY));
        }
        // One in four is a refusal.
        let round = if self.dice.below(4) == 0 { &mut self.refusals } else { &mut self.thrown };
        let fault = round.next(&mut self.dice);
        let known = self.talk.last.contains_key(&(question.unit, question.function));
        (fault != Fault::Repeated || known).then_some(fault)
    }
}

/// A serial port: its far end, something that keeps it open, and the path of its near end.
fn port() -> anyhow::Result<(tokio_serial::SerialStream, std::fs::File, String)> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let (far, near) = tokio_serial::SerialStream::pair()?;
    let name = tokio_serial::SerialPort::name(&near).context("a port has a name")?;
    // Without a controlling terminal: the port is nobody's. The near end itself would keep others out.
    const NO_CTTY: i32 = 0o400;
    let open = std::fs::OpenOptions::new().read(true).write(true).custom_flags(NO_CTTY).open(&name)?;
    Ok((far, open, name))
}

/// What a question meets that is heard but so much later.
fn kept_waiting(wait: Duration, timeout: Duration, met: Option<Fault>) -> Option<Fault> {
    if wait.is_zero() {
        return met;
    }
    // The answer is a right one, and when it comes is all that matters.
    let share = wait.as_secs_f64() / timeout.as_secs_f64();
    match share {
        share if share > 1.2 => Some(Fault::Late),
        share if share > 0.8 => Some(Fault::AboutTimeout),
        share if share > 0.1 => Some(Fault::Slow),
        _ => None,
    }
}

async fn accepted(door: Option<&TcpListener>) -> TcpStream {
    match door {
        Some(door) => loop {
            if let Ok((stream, _)) = door.accept().await {
                return stream;
            }
        },
        None => std::future::pending().await,
    }
}
