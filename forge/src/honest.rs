//! Honest factories: the ordinary one, and twelve that look odd and are not.

use jiff::civil::Date;
use proof::wire::{ActionClass, ActorClass};
use scorer::Project;
use scorer::project::{Dates, DeclaredDevice, DeclaredModule, Shift, Stop, Week};

use crate::dice::Dice;
use crate::factory::{AGENT, Away, Delay, Factory, MODULES, OFFSET_MINUTES, module};
use crate::machine::{DAY, Habit, Machine};
use crate::office::{Custom, Office, Reporting};
use crate::plan::{Plan, shift};

/// Honest classes, by name and what is odd about them.
pub const CLASSES: [(&str, &str); 16] = [
    ("ordinary", "one shift, people report what machines made"),
    ("night-shift", "two shifts of twelve hours"),
    ("shift-end", "all is keyed in at the end of the shift"),
    ("scanner", "jobs are reported by scanners, at once"),
    ("sparse", "one paper or two a day"),
    ("seasonal-stop", "nothing is made for two or three weeks"),
    ("late-go-live", "the system went live five to eight weeks before the visit"),
    ("continuous", "machines run through, people come in three shifts, holidays too"),
    ("one-person", "one person is the whole office"),
    ("shared-terminal", "all operators use one account at a terminal"),
    ("bad-network", "hours without network, and power failures"),
    ("month-end", "vouchers come in the last days of the month, into the night"),
    ("migration", "thousands of old papers are brought in one night"),
    ("fixed-cycle", "machines repeat one programme for weeks, and coarse meters show it"),
    (
        "oven",
        "timers switch ovens on and off, controllers keep them warm, all is keyed in at the end of the shift",
    ),
    ("upgrade", "the old system goes on, and what is new beside it is used"),
];

/// A firm before it is built.
pub(crate) struct Firm {
    pub(crate) class: &'static str,
    pub(crate) seed: u64,
    pub(crate) dice: Dice,
    pub(crate) week: Week,
    pub(crate) shifts: Vec<(&'static str, u16, u16)>,
    pub(crate) machines: usize,
    pub(crate) habit: Habit,
    pub(crate) custom: Custom,
    pub(crate) days: usize,
    /// Days at which people begin and end to use the system.
    pub(crate) used: std::ops::Range<usize>,
    /// Nothing is made: first day, how many.
    pub(crate) stop: Option<(usize, usize)>,
    pub(crate) stop_declared: bool,
    /// The gateway's first day; drawn where there is none.
    pub(crate) first: Option<Date>,
}

impl Firm {
    pub(crate) fn ordinary(class: &'static str, seed: u64) -> Self {
        let mut dice = Dice::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash(class));
        let week = if dice.chance(0.6) { Week::SIX } else { Week::FIVE };
        let begin = *dice.pick(&[450_u16, 480, 510]);
        let days = dice.between(75, 110) as usize;
        let machines = dice.between(2, 5) as usize;
        let custom = Custom {
            orders: 2.0 + dice.unit() * 10.0,
            reporting: Reporting::Live(2.0 + dice.unit() * 8.0),
            reported: 0.35 + dice.unit() * 0.6,
            office: dice.between(2, 6) as usize,
            operators: dice.between(2, 7) as usize,
            shared: false,
            signs_in: dice.chance(0.6),
            closing: 1.0 + dice.unit() * 2.0,
            papers: 0.3 + dice.unit() * 1.2,
        };
        let habit = Habit {
            job: 20.0 + dice.unit() * 70.0,
            change: 4.0 + dice.unit() * 16.0,
            rests: dice.chance(0.8),
            through: false,
            fixed: false,
            oven: false,
        };
        Self {
            class,
            seed,
            week,
            shifts: vec![("白班", begin, begin + 600)],
            machines,
            habit,
            custom,
            days,
            used: 0..days,
            stop: None,
            stop_declared: false,
            first: None,
            dice,
        }
    }

    /// The firm's working time and its machines.
    pub(crate) fn site(&mut self) -> (Plan, Vec<Machine>) {
        let calendar = crate::plan::calendar();
        let drawn = Date::constant(2025, 1, 6).checked_add(jiff::Span::new().days(self.dice.between(0, 620)));
        let first = self.first.unwrap_or(drawn.expect("within the years of calendars"));
        let week = self.week;
        let shifts = self.shifts.iter().map(|(name, from, to)| shift(name, *from, *to, week)).collect();
        let mut plan = Plan::new(&mut self.dice, &calendar, (first, self.days), week, shifts);
        if let Some((from, days)) = self.stop {
            let to = (from + days).min(self.days);
            plan.works[from.min(to)..to].fill(false);
        }
        let minutes = plan.minutes();
        let habit = self.habit;
        let mut dice = self.dice.fork();
        let machine = |_| match habit.oven {
            true => Machine::oven(&mut dice, &minutes),
            false => Machine::honest(&mut dice, &minutes, habit),
        };
        let machines = (0..self.machines).map(machine).collect();
        (plan, machines)
    }

    /// The firm with what its people wrote.
    pub(crate) fn build(mut self) -> Factory {
        let (plan, machines) = self.site();
        let mut office = Office::new(&mut self.dice);
        let mut dice = self.dice.fork();
        office.work(&mut dice, &plan, &self.custom, &machines, self.used.clone());
        self.finish(plan, machines, office)
    }

    /// Puts it together.
    pub(crate) fn finish(mut self, plan: Plan, machines: Vec<Machine>, mut office: Office) -> Factory {
        office.sort();
        let mut factory = Factory {
            class: self.class,
            seed: self.seed,
            project: self.project(&plan, machines.len()),
            first: plan.first,
            days: self.days,
            machines,
            accounts: office.accounts,
            lines: office.lines,
            away: Vec::new(),
            delays: Vec::new(),
            clock: Vec::new(),
            unreadable: Vec::new(),
            rewrites: Vec::new(),
            other: None,
            before: None,
        };
        let end = factory.ms(factory.minutes());
        factory.lines.retain(|line| line.written_ms < end);
        factory.troubles(&mut self.dice, 0.3, 0.02);
        factory
    }

    fn project(&mut self, plan: &Plan, machines: usize) -> Project {
        const PROFILES: [&str; 5] = ["neutral", "kunming", "changchun", "jiangmen", "guangzhou"];
        let declared = [module::ORDER, module::REPORT, module::STOCK, module::SALES, module::FINANCE];
        let modules = declared.iter().map(|code| DeclaredModule {
            code: MODULES[usize::from(*code) - 1].to_owned(),
            zh: MODULES[usize::from(*code) - 1].to_owned(),
            star: *code == module::REPORT,
        });
        let devices = (1..=machines).map(|index| DeclaredDevice {
            name: format!("{index}#"),
            source: Some((AGENT, index as u32)),
            digital: true,
            declared_networked: true,
        });
        let last = plan.date(self.days - 1);
        let before = |days: i64| plan.first.checked_sub(jiff::Span::new().days(days)).unwrap_or(plan.first);
        let notice = last.checked_sub(jiff::Span::new().days(self.dice.between(5, 15))).unwrap_or(last);
        let stops = self.stop.filter(|_| self.stop_declared).map(|(from, days)| Stop {
            from: plan.date(from),
            to: plan.date((from + days).min(self.days) - 1),
            reason: "淡季".to_owned(),
        });
        let shifts: Vec<Shift> = plan.shifts.clone();
        Project {
            id: format!("{}-{}", self.class, self.seed),
            name_zh: format!("{} {}", self.class, self.seed),
            name_en: format!("{} {}", self.class, self.seed),
            district: "区".to_owned(),
            city: "市".to_owned(),
            profile: (*self.dice.pick(&PROFILES)).to_owned(),
            agents: vec![AGENT],
            modules: modules.collect(),
            devices: devices.collect(),
            seats: (self.custom.office + self.custom.operators) as u32,
            shifts,
            week: plan.week,
            stops: stops.into_iter().collect(),
            imports: Vec::new(),
            anchors: Vec::new(),
            trainings: Vec::new(),
            subscription: None,
            drills: Vec::new(),
            dates: Dates {
                contract: before(self.dice.between(40, 200)),
                completion: before(self.dice.between(0, 10)),
                hand_over: None,
                notice: Some(notice),
                acceptance: Some(last),
            },
            utc_offset_minutes: OFFSET_MINUTES,
        }
    }
}

impl Factory {
    /// What happens to any gateway: a power failure now and then, an hour without network.
    pub(crate) fn troubles(&mut self, dice: &mut Dice, failures: f64, offline: f64) {
        for week in 0..self.days / 7 {
            if dice.chance(failures / 4.0) {
                let from = week * 7 * DAY + dice.between(0, (7 * DAY) as i64) as usize;
                self.away.push(Away { from, to: from + 3 + dice.wait(40.0) as usize, silent: false });
            }
        }
        for day in 0..self.days {
            if dice.chance(offline) {
                let from = day * DAY + dice.between(0, DAY as i64) as usize;
                self.delays.push(Delay { from, to: from + 20 + dice.wait(90.0) as usize });
            }
        }
    }
}

/// An honest factory of a class of [`CLASSES`]; `None` where there is none of this name.
pub fn honest(class: &str, seed: u64) -> Option<Factory> {
    let (class, _) = CLASSES.iter().find(|(name, _)| *name == class)?;
    let mut firm = Firm::ordinary(class, seed);
    let dice = &mut firm.dice;
    match *class {
        "night-shift" => {
            firm.shifts = vec![("白班", 480, 1_200), ("夜班", 1_200, 1_920)];
            firm.custom.operators += 2;
        }
        "shift-end" => firm.custom.reporting = Reporting::ShiftEnd,
        "scanner" => firm.custom.reporting = Reporting::Scanner,
        "sparse" => {
            firm.machines = dice.between(1, 3) as usize;
            firm.custom.orders = 0.5 + dice.unit() * 0.5;
            firm.custom.reported = 0.03 + dice.unit() * 0.08;
            firm.custom.office = 1;
            firm.custom.operators = dice.between(1, 3) as usize;
        }
        "seasonal-stop" => {
            let days = dice.between(12, 24) as usize;
            let from = dice.between(15, (firm.days - days - 25) as i64) as usize;
            firm.stop = Some((from, days));
            firm.stop_declared = dice.chance(0.5);
        }
        "late-go-live" => {
            let before = dice.between(35, 58) as usize;
            firm.used = firm.days - before..firm.days;
        }
        "continuous" => {
            firm.week = Week::SEVEN;
            firm.shifts = vec![("早班", 480, 960), ("中班", 960, 1_440), ("夜班", 1_440, 1_920)];
            firm.habit.through = true;
            firm.habit.rests = false;
            firm.custom.operators = dice.between(4, 9) as usize;
            firm.custom.reporting = Reporting::Rounds(45.0 + dice.unit() * 120.0);
            firm.custom.orders = 8.0 + dice.unit() * 10.0;
        }
        "one-person" => {
            firm.custom.office = 1;
            firm.custom.operators = 0;
            firm.custom.orders = 1.5 + dice.unit() * 5.0;
        }
        "shared-terminal" => {
            firm.custom.shared = true;
        }
        "fixed-cycle" => {
            firm.habit.fixed = true;
            firm.habit.job = 150.0;
            // The weakest coupling that an honest firm has, with the most regular machines.
            if dice.chance(0.5) {
                firm.custom.reporting = Reporting::ShiftEnd;
            }
        }
        "oven" => {
            firm.habit.oven = true;
            firm.custom.reporting = Reporting::ShiftEnd;
        }
        "month-end" => {
            firm.custom.closing = 8.0 + dice.unit() * 12.0;
            firm.custom.papers = 0.6 + dice.unit();
        }
        _ => {}
    }
    let mut factory = match *class {
        "migration" => migrated(firm),
        "upgrade" => crate::forged::with_old_system(firm, true),
        _ => firm.build(),
    };
    if *class == "bad-network" {
        let mut dice = Dice::new(seed ^ 0x4e7);
        factory.troubles(&mut dice, 2.0, 0.5);
        for _ in 0..dice.between(1, 4) {
            let from = dice.between(0, (factory.days * DAY) as i64) as usize;
            factory.delays.push(Delay { from, to: from + dice.between(600, 3_500) as usize });
        }
        // The share on which the log lies is away for days, and read back afterwards.
        for _ in 0..dice.between(0, 4) {
            let from = dice.between(0, (factory.days * DAY) as i64) as usize;
            factory.unreadable.push((from, from + dice.between(200, 6_000) as usize));
        }
    }
    Some(factory)
}

/// Brings old papers in during one night, dated as they were.
fn migrated(mut firm: Firm) -> Factory {
    let (plan, machines) = firm.site();
    let mut office = Office::new(&mut firm.dice);
    let mut dice = firm.dice.fork();
    let who = office.account(ActorClass::Human);
    let day = dice.between(3, 20) as usize;
    let start = crate::factory::start_ms(plan.first) + day as i64 * 86_400_000 + 19 * 3_600_000;
    let count = dice.between(500, 3_000);
    let reach = dice.between(60, 700) * 86_400_000;
    let mut kinds = [module::STOCK, module::SALES, module::PURCHASE];
    if dice.chance(0.5) {
        kinds.reverse();
    }
    for at in 0..count {
        let number = office.document();
        let kind = kinds[(at * 3 / count) as usize];
        let written = start + at * 700;
        office.write(written, who, (kind, ActionClass::Create), Some(number));
        let line = office.lines.last_mut().expect("just written");
        // From the oldest to the newest, kind by kind; tools that keep the time of import are as frequent.
        let part = (at * 3 % count) * reach / count;
        line.event_ms = written - reach + part;
    }
    let keeps_time = dice.chance(0.5);
    if keeps_time {
        for line in &mut office.lines {
            line.event_ms = line.written_ms;
        }
    }
    office.work(&mut dice, &plan, &firm.custom, &machines, firm.used.clone());
    let declares = dice.chance(0.5);
    let date = plan.date(day);
    let mut factory = firm.finish(plan, machines, office);
    if declares {
        factory.project.imports.push(Stop { from: date, to: date, reason: "期初导入".to_owned() });
    }
    factory
}

fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
