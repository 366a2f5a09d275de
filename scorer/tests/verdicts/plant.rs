//! A seeded factory: manifest, windows and use rows as a gateway would send them, one shift of ten hours.

use jiff::civil::Date;
use proof::AgentId;
use proof::wire::{
    ActionClass, Actor, ActorClass, LogRow, ManifestBody, Module, Origin, Outcome, Source, SourceKind,
    SourceRow, UseRows, Window,
};
use scorer::project::{Dates, DeclaredModule, Shift, Week};
use scorer::{Assessment, Calendar, Content, Entry, History, Profile, ProfileFile, Project, assess};

pub(crate) const AGENT: AgentId = AgentId([7; 16]);

/// Local minutes of the shift: 08:00 to 18:00.
const SHIFT: std::ops::Range<i64> = 480..1_080;

/// One key action.
#[derive(Clone, Copy)]
pub(crate) struct Act {
    pub(crate) minute: i64,
    pub(crate) actor: u8,
    pub(crate) class: ActorClass,
    pub(crate) module: u32,
    pub(crate) action: ActionClass,
    pub(crate) origin: Origin,
    /// Days before the day it is handed in.
    pub(crate) days_ago: i32,
}

pub(crate) fn act(minute: i64, actor: u8) -> Act {
    Act {
        minute,
        actor,
        class: ActorClass::Human,
        module: 1,
        action: ActionClass::Report,
        origin: Origin::Live,
        days_ago: 0,
    }
}

/// A gateway with one log, and the firm's project.
pub(crate) struct Plant {
    pub(crate) project: Project,
    pub(crate) history: History,
    pub(crate) seq: u64,
    pub(crate) position: u64,
    /// Server's receipt, milliseconds after a window's end.
    pub(crate) late_ms: i64,
    /// Minutes of the local day in which windows are made.
    pub(crate) hours: std::ops::Range<i64>,
}

pub(crate) const MODULES: [&str; 3] = ["production_report", "work_order", "finance"];

pub(crate) fn date(text: &str) -> Date {
    text.parse().unwrap()
}

pub(crate) fn add(date: Date, days: i64) -> Date {
    date.checked_add(jiff::Span::new().days(days)).unwrap()
}

pub(crate) fn neutral() -> Profile {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/profiles/neutral.toml"))
            .unwrap();
    toml::from_str::<ProfileFile>(&text).unwrap().check("neutral").unwrap()
}

/// 60 working days: Monday 2025-03-03 to the visit on Friday 2025-05-23.
pub(crate) const FIRST: Date = Date::constant(2025, 3, 3);
pub(crate) const VISIT: Date = Date::constant(2025, 5, 23);

pub(crate) fn project() -> Project {
    Project {
        id: "firm".to_owned(),
        name_zh: "试验厂".to_owned(),
        name_en: "test works".to_owned(),
        district: "区".to_owned(),
        city: "市".to_owned(),
        profile: "neutral".to_owned(),
        agents: vec![AGENT],
        modules: vec![DeclaredModule {
            code: MODULES[0].to_owned(), zh: "生产报工".to_owned(), star: false
        }],
        devices: Vec::new(),
        seats: 2,
        shifts: vec![Shift { name: "白班".to_owned(), from: 480, to: 1_080, week: Week::FIVE }],
        week: Week::FIVE,
        stops: Vec::new(),
        imports: Vec::new(),
        anchors: Vec::new(),
        trainings: Vec::new(),
        subscription: None,
        drills: Vec::new(),
        dates: Dates {
            contract: date("2025-01-06"),
            completion: FIRST,
            hand_over: None,
            notice: None,
            acceptance: Some(VISIT),
        },
        utc_offset_minutes: 480,
    }
}

impl Plant {
    pub(crate) fn new() -> Self {
        let mut plant = Self {
            project: project(),
            history: History::new(480),
            seq: 0,
            position: 0,
            late_ms: 60_000,
            hours: SHIFT,
        };
        let modules =
            (1u32..).zip(MODULES).map(|(code, name)| Module { code, name: name.to_owned() }).collect();
        let log = Source {
            index: 1,
            kind: SourceKind::Log.into(),
            cadence_s: 60,
            modules: vec![1, 2, 3],
            ..Source::default()
        };
        let body = ManifestBody {
            version: 1,
            utc_offset_minutes: 480,
            sources: vec![log],
            modules,
            ..Default::default()
        };
        plant.push(0, Content::Manifest(&body));
        plant
    }

    pub(crate) fn push(&mut self, recv_ms: i64, content: Content<'_>) {
        self.seq += 1;
        let entry = Entry { seq: self.seq, recv_ms, outcome: Outcome::Recorded, findings: &[], content };
        self.history.push(AGENT, &entry);
    }

    /// One day of windows with these actions in the window of their minute.
    pub(crate) fn day(&mut self, date: Date, acts: &[Act]) {
        let day = i64::from(date.since((jiff::Unit::Day, Date::constant(1970, 1, 1))).unwrap().get_days());
        for minute in self.hours.clone().step_by(10) {
            let start_ms = (day * 1_440 + minute - 480) * 60_000;
            let mine: Vec<_> =
                acts.iter().filter(|act| (minute..minute + 10).contains(&act.minute)).collect();
            let lines = mine.len() as u32;
            let live = mine.iter().filter(|act| act.origin == Origin::Live && act.days_ago == 0);
            let events = live.fold(0, |bits, act| bits | 1 << (act.minute - minute));
            let from = self.position;
            self.position += u64::from(lines) * 80;
            let use_rows = (!mine.is_empty()).then(|| rows(day as u32, &mine));
            let window = Window {
                start_ms,
                length_ms: 600_000,
                sources: vec![SourceRow { source: 1, ok: 10, rows: lines, ..Default::default() }],
                logs: vec![LogRow {
                    source: 1,
                    from,
                    to: self.position,
                    lines,
                    events,
                    ..Default::default()
                }],
                use_digest: if mine.is_empty() { Vec::new() } else { vec![1; 32] },
                ..Window::default()
            };
            let recv = start_ms + 600_000 + self.late_ms;
            self.push(recv, Content::Window { window: &window, use_rows: use_rows.as_ref() });
        }
    }

    /// Judges on the morning after the visit.
    pub(crate) fn judge(&self) -> Assessment {
        self.judge_with(&neutral())
    }

    pub(crate) fn judge_with(&self, profile: &Profile) -> Assessment {
        let end = self.project.dates.acceptance.unwrap_or(VISIT);
        let day = i64::from(end.since((jiff::Unit::Day, Date::constant(1970, 1, 1))).unwrap().get_days()) + 1;
        assess(&self.project, profile, &Calendar::default(), &self.history, (day * 1_440 + 30 - 480) * 60_000)
    }
}

fn rows(day: u32, acts: &[&Act]) -> UseRows {
    let mut rows = UseRows { base_day: day, ..UseRows::default() };
    for act in acts {
        let pseudonym = vec![act.actor + 1; 8];
        let actor = Actor { pseudonym, class: act.class as u32, reason: 0 };
        let at = rows.actors.iter().position(|known| *known == actor).unwrap_or_else(|| {
            rows.actors.push(actor);
            rows.actors.len() - 1
        });
        rows.source.push(1);
        rows.module.push(act.module);
        rows.action.push(act.action as u32);
        rows.actor.push(at as u32);
        rows.origin.push(act.origin as u32);
        rows.day.push(-act.days_ago);
        rows.first_minute.push(act.minute as u32);
        rows.span_minutes.push(0);
        rows.count.push(1);
    }
    rows
}

/// xorshift64*: small, seeded, the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(crate) fn unit(&mut self) -> f64 {
        self.next() as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn poisson(&mut self, mean: f64) -> usize {
        let limit = (-mean).exp();
        let (mut count, mut product) = (0, self.unit());
        while product > limit {
            count += 1;
            product *= self.unit();
        }
        count
    }

    /// A day's actions spread over the shift and `accounts`.
    pub(crate) fn acts(&mut self, mean: f64, accounts: u64) -> Vec<Act> {
        let count = self.poisson(mean);
        (0..count).map(|_| act(480 + (self.next() % 600) as i64, (self.next() % accounts) as u8)).collect()
    }
}

/// A plant whose working days up to the visit hold `mean(k)` actions on average, k = 1 on the visit's day, counting
/// backwards.
pub(crate) fn run(seed: u64, accounts: u64, mean: impl Fn(i64) -> f64) -> Plant {
    let mut plant = Plant::new();
    let mut dice = Dice::new(seed + 1);
    let mut left = 60;
    let mut day = FIRST;
    while day <= VISIT {
        let working = Week::FIVE.has(day.weekday());
        let acts = if working { dice.acts(mean(left), accounts) } else { Vec::new() };
        plant.day(day, &acts);
        left -= i64::from(working);
        day = add(day, 1);
    }
    plant
}
