//! People and papers: who writes what into the business system, and when.

use proof::wire::{ActionClass, ActorClass, ExclusionReason};

use crate::dice::Dice;
use crate::factory::{Account, Line, module, start_ms};
use crate::machine::{DAY, Machine};
use crate::plan::Plan;

/// When a finished job gets into the system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reporting {
    /// So many minutes after it on average.
    Live(f64),
    /// All of a shift's in its last minutes, or just after.
    ShiftEnd,
    /// By a scanner, at once, under an account of the interface.
    Scanner,
    /// Not by job: each operator writes down what was made, every so many minutes.
    Rounds(f64),
}

/// How a firm uses its system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Custom {
    /// Work orders a day.
    pub(crate) orders: f64,
    /// When jobs are reported.
    pub(crate) reporting: Reporting,
    /// Share of jobs that are.
    pub(crate) reported: f64,
    /// Accounts of the office: planners, store, sales, finance in this order; with none, planners do it.
    pub(crate) office: usize,
    /// Accounts of operators.
    pub(crate) operators: usize,
    /// Operators share one account at a terminal.
    pub(crate) shared: bool,
    /// People sign in every day.
    pub(crate) signs_in: bool,
    /// Vouchers at the end of a month, over those of other days.
    pub(crate) closing: f64,
    /// Papers of sales, purchase and finance for one work order.
    pub(crate) papers: f64,
}

/// The system as it fills.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) accounts: Vec<Account>,
    pub(crate) lines: Vec<Line>,
    pub(crate) next: u64,
    open: Vec<u64>,
}

/// Names people are called by in accounts.
const NAMES: [&str; 16] = [
    "wangfang",
    "liwei",
    "zhangmin",
    "liujing",
    "chenqiang",
    "yangli",
    "zhaojun",
    "huangyan",
    "zhoulei",
    "wuxia",
    "xuping",
    "sunjie",
    "maotao",
    "zhugang",
    "hulan",
    "guopeng",
];

impl Office {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        Self {
            accounts: Vec::new(),
            lines: Vec::new(),
            next: dice.between(1_000, 90_000).unsigned_abs(),
            open: Vec::new(),
        }
    }

    /// A new account; its index.
    pub(crate) fn account(&mut self, class: ActorClass) -> usize {
        let at = self.accounts.len();
        let name = match class {
            ActorClass::Interface => format!("if_scan{at}"),
            ActorClass::SharedTerminal => format!("terminal{at}"),
            ActorClass::Provider => format!("impl_{}", NAMES[at % NAMES.len()]),
            ActorClass::Excluded => format!("test{at}"),
            ActorClass::Human | ActorClass::Unspecified => format!("{}{at}", NAMES[at % NAMES.len()]),
        };
        let reason = match class {
            ActorClass::Excluded => ExclusionReason::Test,
            ActorClass::Human
            | ActorClass::SharedTerminal
            | ActorClass::Provider
            | ActorClass::Interface
            | ActorClass::Unspecified => ExclusionReason::None,
        };
        self.accounts.push(Account { name, class, reason });
        at
    }

    /// `count` people.
    pub(crate) fn people(&mut self, count: usize) -> Vec<usize> {
        (0..count).map(|_| self.account(ActorClass::Human)).collect()
    }

    pub(crate) fn write(
        &mut self,
        written_ms: i64,
        account: usize,
        (module, action): (u16, ActionClass),
        document: Option<u64>,
    ) {
        self.lines.push(Line { written_ms, event_ms: written_ms, account, module, action, document });
    }

    pub(crate) fn document(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Puts lines into the order in which they were written.
    pub(crate) fn sort(&mut self) {
        self.lines.sort_by_key(|line| line.written_ms);
    }

    /// All working days of `days`.
    pub(crate) fn work(
        &mut self,
        dice: &mut Dice,
        plan: &Plan,
        custom: &Custom,
        machines: &[Machine],
        days: std::ops::Range<usize>,
    ) {
        let staff = Staff::hire(self, custom);
        for day in days {
            if plan.works[day] {
                self.day(dice, plan, custom, &staff, machines, day);
            }
        }
    }

    fn day(
        &mut self,
        dice: &mut Dice,
        plan: &Plan,
        custom: &Custom,
        staff: &Staff,
        machines: &[Machine],
        day: usize,
    ) {
        let midnight = start_ms(plan.first) + day as i64 * 86_400_000;
        let office = Hours::office(plan, day, midnight);
        if custom.signs_in {
            for who in staff.office.iter().chain(&staff.operators) {
                if dice.chance(0.93) {
                    let at = office.from + (dice.wait(12.0) * 60_000.0) as i64;
                    self.write(at, *who, (0, ActionClass::Login), None);
                }
            }
        }
        let orders = dice.poisson(custom.orders);
        let planner = staff.of(0);
        let mut at = office.from + (dice.wait(40.0) * 60_000.0) as i64;
        for _ in 0..orders {
            let number = self.document();
            self.write(at, planner, (module::ORDER, ActionClass::Create), Some(number));
            if dice.chance(0.5) {
                let later = at + (dice.wait(90.0) * 60_000.0) as i64;
                self.write(
                    office.clamp(later),
                    staff.of(1),
                    (module::ORDER, ActionClass::Approve),
                    Some(number),
                );
            }
            self.open.push(number);
            // Several in a row, then something else.
            let pause = if dice.chance(0.6) { 0.7 + dice.wait(1.6) } else { 15.0 + dice.wait(90.0) };
            at = office.clamp(at + (pause * 60_000.0) as i64);
        }
        self.reports(dice, (plan, custom, staff), machines, day);
        self.papers(dice, plan, custom, staff, (day, &office));
        if dice.chance(0.5) && self.open.len() > 3 {
            let mut at = office.some(dice);
            for _ in 0..dice.between(1, 6).min(self.open.len() as i64 - 1) {
                let number = self.open.remove(0);
                self.write(at, planner, (module::ORDER, ActionClass::Close), Some(number));
                at = office.clamp(at + 20_000 + (dice.wait(40.0) * 1_000.0) as i64);
            }
        }
        for _ in 0..dice.poisson(3.0 + custom.orders) {
            let who = *dice.pick(&staff.office);
            let action = *dice.pick(&[ActionClass::Query, ActionClass::Print, ActionClass::Change]);
            self.write(office.some(dice), who, (*dice.pick(&[1, 3, 4, 5, 6]), action), None);
        }
    }

    /// Jobs that ended on a day.
    fn reports(
        &mut self,
        dice: &mut Dice,
        (plan, custom, staff): (&Plan, &Custom, &Staff),
        machines: &[Machine],
        day: usize,
    ) {
        let start = start_ms(plan.first);
        let shifts: Vec<(usize, usize)> = plan.shifts(day).collect();
        for (shift, (from, to)) in shifts.iter().copied().enumerate() {
            // A shift's operators come and go over the weeks.
            let crew = (day / 7 + shift) % staff.operators.len().max(1);
            if let Reporting::Rounds(every) = custom.reporting {
                let mut minute = from as f64 + every * (0.5 + dice.unit() * 0.5);
                while minute < to as f64 {
                    let at = start + (minute * 60_000.0) as i64;
                    let number = self.open.last().copied();
                    self.write(at, staff.operators[crew], (module::REPORT, ActionClass::Report), number);
                    if dice.chance(0.3) {
                        self.write(at + 400_000, staff.of(2), (module::STOCK, ActionClass::Post), number);
                    }
                    minute += (every + dice.normal(0.0, every * 0.2)).max(10.0);
                }
                continue;
            }
            for (index, machine) in machines.iter().enumerate() {
                let upto = to + 20;
                let begin = machine.done.partition_point(|minute| *minute < from);
                let done = machine.done[begin..].iter().take_while(|minute| **minute < upto);
                let done: Vec<usize> = done.copied().collect();
                for minute in done {
                    if !dice.chance(custom.reported) {
                        continue;
                    }
                    let end_ms = start + minute as i64 * 60_000 + dice.between(0, 60_000);
                    let shift_end = start + to as i64 * 60_000;
                    let at = match custom.reporting {
                        Reporting::Live(mean) => end_ms + 40_000 + (dice.wait(mean) * 60_000.0) as i64,
                        Reporting::ShiftEnd => {
                            shift_end - 25 * 60_000 + (dice.unit() * 40.0 * 60_000.0) as i64
                        }
                        Reporting::Scanner => end_ms + dice.between(1_000, 4_000),
                        Reporting::Rounds(_) => continue,
                    };
                    let who = match custom.reporting {
                        Reporting::Scanner => staff.scanner,
                        Reporting::Live(_) | Reporting::ShiftEnd | Reporting::Rounds(_) => {
                            staff.operators[(crew + index) % staff.operators.len()]
                        }
                    };
                    let number = self.open.last().copied().filter(|_| dice.chance(0.9));
                    let number = number.map(|last| match self.open.len() {
                        0..4 => last,
                        many => self.open[many - 1 - dice.between(0, 4) as usize],
                    });
                    self.write(at, who, (module::REPORT, ActionClass::Report), number);
                    if dice.chance(0.3) {
                        let later = at + ((10.0 + dice.wait(60.0)) * 60_000.0) as i64;
                        let to_ms = start + to as i64 * 60_000;
                        let later = if later < to_ms + 1_800_000 { later } else { at + 200_000 };
                        self.write(later, staff.of(2), (module::STOCK, ActionClass::Post), number);
                    }
                }
            }
        }
    }

    fn papers(
        &mut self,
        dice: &mut Dice,
        plan: &Plan,
        custom: &Custom,
        staff: &Staff,
        (day, office): (usize, &Hours),
    ) {
        let date = plan.date(day);
        let closing = if date.day() >= date.days_in_month() - 2 { custom.closing } else { 1.0 };
        let kinds = [
            (module::SALES, 3, 0.5, 1.0),
            (module::PURCHASE, 1, 0.3, 1.0),
            (module::FINANCE, 4, 0.5, closing),
        ];
        for (code, post, share, factor) in kinds {
            let who = staff.of(post);
            let mut at = office.some(dice);
            for _ in 0..dice.poisson(custom.papers * custom.orders * share * factor) {
                let number = self.document();
                self.write(at, who, (code, ActionClass::Create), Some(number));
                if dice.chance(0.6) {
                    let later = at + ((3.0 + dice.wait(60.0)) * 60_000.0) as i64;
                    let later = if factor > 1.0 { later } else { office.clamp(later) };
                    self.write(later, who, (code, ActionClass::Post), Some(number));
                }
                let pause = if dice.chance(0.7) { 0.6 + dice.wait(2.0) } else { 20.0 + dice.wait(60.0) };
                // A month is closed late into the evening.
                let next = at + (pause * 60_000.0) as i64;
                at = if factor > 1.0 { next.min(office.to + 4 * 3_600_000) } else { office.clamp(next) };
            }
        }
    }
}

/// Who does what.
struct Staff {
    office: Vec<usize>,
    operators: Vec<usize>,
    scanner: usize,
}

impl Staff {
    fn hire(office: &mut Office, custom: &Custom) -> Self {
        let people = office.people(custom.office.max(1));
        let operators = match (custom.operators, custom.shared) {
            (_, true) => vec![office.account(ActorClass::SharedTerminal)],
            (0, false) => people.clone(),
            (count, false) => office.people(count),
        };
        let scanner = match custom.reporting {
            Reporting::Scanner => office.account(ActorClass::Interface),
            Reporting::Live(_) | Reporting::ShiftEnd | Reporting::Rounds(_) => operators[0],
        };
        Self { office: people, operators, scanner }
    }

    /// Who holds a post; with few people the first do more.
    fn of(&self, post: usize) -> usize {
        self.office[post % self.office.len()]
    }
}

/// Hours of a day in which the office works, Unix ms.
pub(crate) struct Hours {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Hours {
    pub(crate) fn office(plan: &Plan, day: usize, midnight: i64) -> Self {
        let first = plan.shifts(day).next().map_or(480, |(from, _)| from - day * DAY) as i64;
        let from = midnight + first.clamp(420, 600) * 60_000;
        Self { from, to: from + 10 * 3_600_000 }
    }

    pub(crate) fn some(&self, dice: &mut Dice) -> i64 {
        // Nobody writes at noon.
        let at = dice.between(self.from + 600_000, self.to);
        let noon = self.from + 4 * 3_600_000;
        if (noon..noon + 3_000_000).contains(&at) && dice.chance(0.85) { at + 3_600_000 } else { at }
    }

    fn clamp(&self, at: i64) -> i64 {
        // Late papers wait for the last hour.
        if at <= self.to { at } else { self.to - (at - self.to) % 3_000_000 }
    }
}
