//! The gateway that watches a factory: its windows, sums and outages, folded as a server folds them.

use proof::digest::Tally;
use proof::leaf::WindowSecret;
use proof::observation::{Quality, Reading};
use proof::pseudonym::PseudonymKey;
use proof::wire::{self, Boot, End, ManifestBody, Outage, Outcome, Point, Role, Source, SourceKind, UseRows};
use proof::{Cause, Observation, Record, Records, What, Windows};
use prost::Message as _;
use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use scorer::{Content, Entry, History};

use crate::factory::{AGENT, Factory, MODULES, OFFSET_MINUTES};

const MINUTE_MS: i64 = 60_000;

/// What a gateway made of a factory.
pub fn watch(factory: &Factory) -> History {
    let (body, build, key) = of_windows(factory);
    follow(factory, Windows::uncommitted(body, build, key))
}

/// The same with windows as a gateway makes them, at many times the cost.
pub fn watch_committed(factory: &Factory) -> History {
    let (body, build, key) = of_windows(factory);
    follow(factory, Windows::new(body, build, key))
}

fn of_windows(factory: &Factory) -> (ManifestBody, [u8; 8], PseudonymKey) {
    (manifest(factory), [1; 8], PseudonymKey::new([factory.seed as u8; 32]))
}

fn follow(factory: &Factory, windows: Windows) -> History {
    let mut gateway = Gateway::new(factory, windows);
    gateway.run();
    gateway.history
}

/// Manifest of a factory: its machines, and its one business log behind them.
pub fn manifest(factory: &Factory) -> ManifestBody {
    let point = |index, role: Role| Point { index, role: role.into(), signal: true, ..Point::default() };
    let mut sources: Vec<Source> = (1..)
        .zip(&factory.machines)
        .map(|(index, _)| Source {
            index,
            kind: SourceKind::Modbus.into(),
            cadence_s: 60,
            name_digest: vec![index as u8; 16],
            points: vec![point(0, Role::Running), point(1, Role::Measure), point(2, Role::Measure)],
            ..Source::default()
        })
        .collect();
    let log = sources.len() as u32 + 1;
    let codes: Vec<u32> = (1..=MODULES.len() as u32).collect();
    sources.push(Source {
        index: log,
        kind: SourceKind::Log.into(),
        cadence_s: 60,
        name_digest: vec![200; 16],
        modules: codes.clone(),
        ..Source::default()
    });
    let modules = codes
        .into_iter()
        .zip(MODULES)
        .map(|(code, name)| wire::Module { code, name: name.to_owned() })
        .collect();
    ManifestBody {
        version: 1,
        utc_offset_minutes: OFFSET_MINUTES,
        sources,
        modules,
        ..ManifestBody::default()
    }
}

struct Gateway<'a> {
    factory: &'a Factory,
    history: History,
    windows: Windows,
    tally: Tally,
    chance: ChaCha8Rng,
    seq: u64,
    boot: u8,
    /// Place in the log and next record.
    position: u64,
    next: usize,
    log: u16,
    /// The last minute at which the log was read.
    looked: Option<usize>,
}

impl<'a> Gateway<'a> {
    fn new(factory: &'a Factory, windows: Windows) -> Self {
        let body = manifest(factory);
        let mut gateway = Self {
            factory,
            history: History::new(OFFSET_MINUTES),
            windows,
            tally: Tally::default(),
            chance: ChaCha8Rng::seed_from_u64(factory.seed ^ 0x9a7e),
            seq: 0,
            boot: 1,
            position: 0,
            next: 0,
            log: factory.machines.len() as u16 + 1,
            looked: None,
        };
        gateway.push(factory.start_ms(), &Content::Manifest(&body));
        if let Some(before) = &factory.before {
            gateway.history.set_before(AGENT, before.clone());
        }
        gateway
    }

    fn push(&mut self, recv_ms: i64, content: &Content<'_>) {
        self.seq += 1;
        let entry =
            Entry { seq: self.seq, recv_ms, outcome: Outcome::Recorded, findings: &[], content: *content };
        self.history.push(AGENT, &entry);
    }

    fn run(&mut self) {
        let minutes = self.factory.minutes();
        let mut at = 0;
        while at < minutes {
            if let Some(away) = self.factory.away.iter().find(|away| away.from <= at && at < away.to).copied()
            {
                at = away.to.min(minutes);
                let mark = at.div_ceil(10) * 10;
                self.boot = self.boot.wrapping_add(1);
                if !away.silent {
                    let (from_ms, to_ms) = (self.factory.ms(away.from), self.factory.ms(mark));
                    let cause = u32::from(Cause::Power.letter());
                    let outage = Outage { from_ms, to_ms, cause, ..Outage::default() };
                    self.push(to_ms + 5_000, &Content::Outage(&outage));
                }
                at = mark;
                continue;
            }
            self.window(at);
            at += 10;
            if at % 1_440 == 0 {
                self.sums(at);
            }
        }
    }

    /// What the gateway's clock shows.
    fn wall_ms(&self, minute: usize) -> i64 {
        let wrong = self.factory.clock.iter().find(|wrong| wrong.from <= minute && minute < wrong.to);
        self.factory.ms(minute) + wrong.map_or(0, |wrong| wrong.by * MINUTE_MS)
    }

    /// The day's sums, a moment after midnight.
    fn sums(&mut self, at: usize) {
        let tally = std::mem::take(&mut self.tally);
        let latest: Vec<(u16, i64)> = tally.latest().collect();
        if let Some(digest) = tally.digest() {
            self.push(self.factory.ms(at) + 2_000, &Content::Digest(&digest));
        }
        self.tally = Tally::after(latest);
    }

    fn window(&mut self, at: usize) {
        let mono_ms = (self.factory.ms(at) - self.factory.start_ms()).unsigned_abs();
        let start_ms = self.wall_ms(at);
        self.windows.open(start_ms, mono_ms, WindowSecret([0; 32]));
        for minute in at..at + 10 {
            self.machines(minute);
            self.read_log(minute);
        }
        let end_ms = start_ms + 10 * MINUTE_MS;
        let true_end_ms = self.factory.ms(at + 10);
        let Some(sealed) = self.windows.seal(end_ms, mono_ms + 600_000, End::Mark) else { return };
        self.tally.sealed(self.seq + 1, true);
        let mut window = sealed.window;
        let boot = Boot { id: vec![self.boot; 8], count: u32::from(self.boot) };
        window.header = Some(wire::Header { boot: Some(boot), ..wire::Header::default() });
        let rows = (!sealed.use_rows.is_empty()).then(|| UseRows::decode(sealed.use_rows.as_slice()));
        let rows = rows.and_then(Result::ok);
        let delay = self.factory.delays.iter().find(|delay| delay.from <= at && at < delay.to);
        let recv_ms = match delay {
            Some(delay) => true_end_ms.max(self.factory.ms(delay.to)) + 5_000,
            None => true_end_ms + self.chance.random_range(1_000..120_000),
        };
        self.push(recv_ms, &Content::Window { window: &window, use_rows: rows.as_ref() });
    }

    fn machines(&mut self, minute: usize) {
        let at_ms = self.wall_ms(minute) + 2_000;
        for (index, machine) in (1..).zip(&self.factory.machines) {
            if machine.silent.iter().any(|(from, to)| (*from..*to).contains(&minute)) {
                self.observe(&Observation {
                    source: index,
                    at_ms,
                    rtt_us: None,
                    what: What::Silent(Cause::NoAnswer),
                });
                continue;
            }
            let reading =
                |value: f32| Reading { quality: Quality::Good, raw: Vec::new(), value: Some(value.into()) };
            let running = if machine.running[minute] { 1.0 } else { 0.0 };
            let readings =
                vec![reading(running), reading(machine.power[minute]), reading(machine.heat[minute])];
            let (usual, spread) = machine.answer_us;
            let scatter = 1.0 + spread * (self.chance.random::<f64>() - 0.3);
            let rtt_us = Some((usual * scatter) as u32);
            self.observe(&Observation { source: index, at_ms, rtt_us, what: What::Cycle(readings) });
        }
    }

    fn read_log(&mut self, minute: usize) {
        let factory = self.factory;
        if factory.unreadable.iter().any(|(from, to)| (*from..*to).contains(&minute)) {
            let at_ms = self.wall_ms(minute) + 30_000;
            let what = What::Silent(Cause::NoAnswer);
            self.observe(&Observation { source: self.log, at_ms, rtt_us: None, what });
            return;
        }
        let from = self.position;
        let now_ms = factory.ms(minute) + 30_000;
        let mut records = Vec::new();
        while let Some(line) = factory.lines.get(self.next).filter(|line| line.written_ms <= now_ms) {
            self.next += 1;
            records.push(Record {
                position: self.position,
                fields: Vec::new(),
                event_ms: Some(line.event_ms),
                account: Some(factory.accounts[line.account].name.clone()),
                document: line.document.map(|number| number.to_string()),
                actor_class: factory.accounts[line.account].class,
                reason: factory.accounts[line.account].reason,
                module: line.module,
                action: line.action,
            });
            self.position += 80;
            if records.len() == 1_500 {
                break;
            }
        }
        let rewrites =
            factory.rewrites.iter().filter(|(at, _)| *at == minute).map(|(_, rewrite)| *rewrite).collect();
        let followed = self.looked.is_some_and(|looked| minute - looked <= 2);
        self.looked = Some(minute);
        let look = Records {
            from,
            to: self.position,
            lines: records.len() as u32,
            unparsed: 0,
            records,
            bookmark: Vec::new(),
            followed,
            rewrites,
        };
        let at_ms = self.wall_ms(minute) + 30_000;
        self.observe(&Observation { source: self.log, at_ms, rtt_us: None, what: What::Records(look) });
    }

    fn observe(&mut self, observation: &Observation) {
        self.tally.take(observation);
        let taken = self.windows.observe(observation);
        debug_assert!(taken.is_ok(), "{taken:?}");
    }
}
