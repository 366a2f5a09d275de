//! Forged factories: the fifteen naive ones of the field, and two by somebody who has read the rules.

use jiff::ToSpan as _;
use proof::Rewrite;
use proof::wire::{ActionClass, ActorClass, ExclusionReason, RewriteKind};
use scorer::Before;
use scorer::project::Week;

use crate::dice::Dice;
use crate::factory::{Away, Factory, WrongClock, module, start_ms};
use crate::honest::Firm;
use crate::machine::{DAY, Machine};
use crate::office::{Custom, Hours, Office, Reporting};
use crate::plan::Plan;

/// Forgeries, by name and what was done.
pub const FORGERIES: [(&str, &str); 17] = [
    ("login-robot", "a program signs in and out, nothing else happens"),
    ("sql-backdates", "months of papers are inserted in one night with old dates"),
    ("clock-back", "the clock is set back, papers are entered, and it is set right again"),
    ("eight-accounts", "one person writes under eight accounts"),
    ("provider", "the provider works for the firm"),
    ("copied-database", "the records are another firm's"),
    ("plc-simulator", "a program pretends to be the machines"),
    ("replayed-week", "one week of the machines is shown again and again"),
    ("unplugged", "the gateway is off on days on which nothing is done"),
    ("edited-logs", "old log files are edited, cut or replaced"),
    ("re-badged", "the old system under a new name; what is new is not used"),
    ("month-end-entry", "a month's papers are entered in its last two days"),
    ("show", "two weeks of show before the visit"),
    ("test-accounts", "accounts for tests act as staff"),
    ("time-zone", "a night's work bears the times of the day before: UTC read as local time"),
    ("adaptive-clicks", "knows the rules: clicks as people do, beside machines that are real"),
    ("adaptive-plant", "knows the rules: makes up machines and papers that fit"),
];

/// A forged factory of [`FORGERIES`]; `None` where there is none of this name.
pub fn forged(class: &str, seed: u64) -> Option<Factory> {
    let (class, _) = FORGERIES.iter().find(|(name, _)| *name == class)?;
    let firm = Firm::ordinary(class, seed);
    Some(match *class {
        "login-robot" => login_robot(firm),
        "sql-backdates" => backdates(firm),
        "clock-back" => clock_back(firm),
        "eight-accounts" => eight_accounts(firm),
        "provider" => provider(firm),
        "copied-database" => copied(firm),
        "plc-simulator" => simulator(firm),
        "replayed-week" => replayed_week(firm),
        "unplugged" => unplugged(firm),
        "edited-logs" => edited(firm),
        "re-badged" => re_badged(firm),
        "month-end-entry" => month_end(firm),
        "show" => show(firm),
        "test-accounts" => test_accounts(firm),
        "time-zone" => time_zone(firm),
        "adaptive-clicks" => clicks(firm),
        _ => firm.build(),
    })
}

/// A system that hardly anybody uses: a paper or two a month.
fn shelf(custom: Custom) -> Custom {
    Custom { orders: 0.04, reported: 0.001, papers: 0.3, signs_in: false, ..custom }
}

/// Site and office of a firm that does not use what it has.
fn unused(firm: &mut Firm) -> (Plan, Vec<Machine>, Office, Dice) {
    let (plan, machines) = firm.site();
    let mut office = Office::new(&mut firm.dice);
    let mut dice = firm.dice.fork();
    office.work(&mut dice, &plan, &shelf(firm.custom), &machines, 0..firm.days);
    (plan, machines, office, dice)
}

fn midnight(plan: &Plan, day: usize) -> i64 {
    start_ms(plan.first) + day as i64 * 86_400_000
}

fn login_robot(mut firm: Firm) -> Factory {
    let (plan, machines, mut office, mut dice) = unused(&mut firm);
    let people = office.people(5);
    for day in (0..firm.days).filter(|day| plan.works[*day]) {
        for who in &people {
            let mut at = midnight(&plan, day) + 8 * 3_600_000 + dice.between(0, 60_000);
            for turn in 0..6 {
                let action = if turn % 2 == 0 { ActionClass::Login } else { ActionClass::Logout };
                office.write(at, *who, (0, action), None);
                at += 5_400_000 + dice.between(0, 1_000);
            }
        }
    }
    firm.finish(plan, machines, office)
}

/// Papers of a made-up day, as `(minute of the day, kind, action)`.
fn made_up_day(dice: &mut Dice, count: usize) -> Vec<(i64, u16, ActionClass)> {
    const KINDS: [(u16, ActionClass); 5] = [
        (module::ORDER, ActionClass::Create),
        (module::REPORT, ActionClass::Report),
        (module::STOCK, ActionClass::Post),
        (module::SALES, ActionClass::Create),
        (module::FINANCE, ActionClass::Post),
    ];
    let mut day: Vec<(i64, u16, ActionClass)> = (0..count)
        .map(|_| {
            let (kind, action) = *dice.pick(&KINDS);
            (dice.between(8 * 60, 17 * 60 + 30), kind, action)
        })
        .collect();
    day.sort_unstable_by_key(|(minute, ..)| *minute);
    day
}

fn backdates(mut firm: Firm) -> Factory {
    let (plan, machines, mut office, mut dice) = unused(&mut firm);
    let people = office.people(5);
    let night = firm.days - dice.between(2, 15) as usize;
    let mut written = midnight(&plan, night) + dice.between(17 * 60, 23 * 60) * 60_000;
    let per_day = dice.between(5, 16) as usize;
    for day in (0..night).filter(|day| plan.works[*day]) {
        for (minute, kind, action) in made_up_day(&mut dice, per_day) {
            let number = office.document();
            office.write(written, *dice.pick(&people), (kind, action), Some(number));
            let line = office.lines.last_mut().expect("just written");
            line.event_ms = midnight(&plan, day) + minute * 60_000 + dice.between(0, 60_000);
            written += dice.between(1, 30);
        }
    }
    firm.finish(plan, machines, office)
}

fn clock_back(mut firm: Firm) -> Factory {
    let (plan, machines, mut office, mut dice) = unused(&mut firm);
    let people = office.people(3);
    let mut wrong = Vec::new();
    let evenings = dice.between(8, 14) as usize;
    let first = firm.days - evenings - 2;
    // The days that are made up, spread over the time before.
    let step = (first / (evenings * 3)).max(1);
    let mut target = 1;
    for evening in first..first + evenings {
        let mut minute = evening * DAY + 18 * 60;
        for _ in 0..3 {
            while target < first && !plan.works[target] {
                target += 1;
            }
            if target >= first {
                break;
            }
            let by = (target as i64 - evening as i64) * DAY as i64 - dice.between(30, 50) * 10;
            let mut at = plan_ms(&plan, minute) + 120_000;
            for _ in 0..dice.between(9, 18) {
                let (_, kind, action) = made_up_day(&mut dice, 1)[0];
                let number = office.document();
                office.write(at, *dice.pick(&people), (kind, action), Some(number));
                office.lines.last_mut().expect("just written").event_ms = at + by * 60_000;
                at += 15_000 + (dice.wait(50.0) * 1_000.0) as i64;
            }
            let end = minute + 10 * ((at - plan_ms(&plan, minute)) as usize / 600_000 + 1);
            wrong.push(WrongClock { from: minute, to: end, by });
            minute = end;
            target += step;
        }
    }
    let shares_the_clock = dice.chance(0.5);
    let mut factory = firm.finish(plan, machines, office);
    if shares_the_clock {
        factory.clock = wrong;
    }
    factory
}

fn plan_ms(plan: &Plan, minute: usize) -> i64 {
    start_ms(plan.first) + minute as i64 * 60_000
}

fn eight_accounts(mut firm: Firm) -> Factory {
    let (plan, machines, mut office, mut dice) = unused(&mut firm);
    let people = office.people(8);
    for day in (0..firm.days).filter(|day| plan.works[*day]) {
        let mut at = midnight(&plan, day) + dice.between(9 * 60, 16 * 60) * 60_000;
        let turns = dice.between(5, 9) as usize;
        for turn in 0..turns {
            let who = people[(turn + day) % people.len()];
            for _ in 0..dice.between(2, 5) {
                let (_, kind, action) = made_up_day(&mut dice, 1)[0];
                let number = office.document();
                office.write(at, who, (kind, action), Some(number));
                at += 15_000 + (dice.wait(35.0) * 1_000.0) as i64;
            }
            // Out, and in under the next name.
            at += 60_000 + (dice.wait(90.0) * 1_000.0) as i64;
        }
    }
    firm.finish(plan, machines, office)
}

fn provider(firm: Firm) -> Factory {
    let mut factory = firm.build();
    let mut dice = Dice::new(factory.seed ^ 0x5);
    let share = 0.7 + dice.unit() * 0.25;
    let first = factory.accounts.len();
    for at in 0..2 {
        factory.accounts.push(crate::factory::Account {
            name: format!("impl_{at}"),
            class: ActorClass::Provider,
            reason: ExclusionReason::None,
        });
    }
    for line in &mut factory.lines {
        if dice.chance(share) {
            line.account = first + dice.between(0, 2) as usize;
        }
    }
    factory
}

fn copied(mut firm: Firm) -> Factory {
    // The other firm's records: as they come, or those of months before with their dates moved.
    let (plan, machines) = firm.site();
    let months_before = firm.dice.chance(0.5);
    let earlier = if months_before { firm.dice.between(30, 300) } else { 0 };
    let first = plan.first.checked_sub(earlier.days()).unwrap_or(plan.first);
    let other = Firm { first: Some(first), ..Firm::ordinary("ordinary", firm.seed ^ 0xc0) }.build();
    let mut office = Office::new(&mut firm.dice);
    let mut dice = firm.dice.fork();
    office.accounts = other.accounts.clone();
    let move_by = start_ms(plan.first) - other.start_ms();
    let at_once = dice.chance(0.5);
    let night = firm.days - dice.between(2, 15) as usize;
    let mut written = midnight(&plan, night) + 19 * 3_600_000;
    for line in &other.lines {
        let mut line = *line;
        line.event_ms += move_by;
        line.written_ms += move_by;
        if at_once && line.event_ms < written {
            line.written_ms = written;
            written += 5;
        }
        office.lines.push(line);
    }
    let mut factory = firm.finish(plan, machines, office);
    factory.other = Some(Box::new(other));
    factory
}

fn simulator(mut firm: Firm) -> Factory {
    let (plan, real) = firm.site();
    let mut office = Office::new(&mut firm.dice);
    let mut dice = firm.dice.fork();
    office.work(&mut dice, &plan, &firm.custom, &real, 0..firm.days);
    let form = firm.seed as usize;
    let planned = plan.minutes();
    let shown = real.iter().map(|_| Machine::simulated(&mut dice, &planned, form)).collect();
    firm.finish(plan, shown, office)
}

fn replayed_week(mut firm: Firm) -> Factory {
    let (plan, mut machines) = firm.site();
    let mut office = Office::new(&mut firm.dice);
    let mut dice = firm.dice.fork();
    office.work(&mut dice, &plan, &firm.custom, &machines, 0..firm.days);
    let week = dice.between(1, 14) as usize * DAY;
    let noise = if dice.chance(0.5) { 0.0 } else { 0.01 };
    for machine in &mut machines {
        machine.replay_week(&mut dice, week, noise);
    }
    firm.finish(plan, machines, office)
}

fn unplugged(mut firm: Firm) -> Factory {
    let (mut plan, machines) = firm.site();
    let working = plan.works.clone();
    let mut dice = firm.dice.fork();
    for works in &mut plan.works {
        *works &= dice.chance(0.5);
    }
    let mut office = Office::new(&mut firm.dice);
    office.work(&mut dice, &plan, &firm.custom, &machines, 0..firm.days);
    let bad: Vec<usize> = (0..firm.days).filter(|day| working[*day] && !plan.works[*day]).collect();
    let hours: Vec<(usize, usize)> = plan.shifts(0).collect();
    plan.works = working;
    let mut factory = firm.finish(plan, machines, office);
    for day in bad {
        if dice.chance(0.1) {
            continue;
        }
        let Some((from, to)) = hours.first() else { continue };
        let (from, to) = (day * DAY + from - dice.between(0, 40) as usize, day * DAY + to);
        factory.away.push(Away { from, to, silent: dice.chance(0.2) });
    }
    factory
}

fn edited(mut firm: Firm) -> Factory {
    let (plan, machines, mut office, mut dice) = unused(&mut firm);
    let people = office.people(4);
    let mut rewrites = Vec::new();
    let evenings = dice.between(4, 9) as usize;
    let first = firm.days - evenings * 2 - 1;
    let share = first / evenings;
    for evening in 0..evenings {
        let minute = (first + evening * 2) * DAY + 19 * 60 + dice.between(0, 120) as usize;
        let kind = *dice.pick(&[RewriteKind::Edited, RewriteKind::Replaced, RewriteKind::Edited]);
        rewrites.push((minute, Rewrite { kind, from: 0, to: 4_000, rows: 0 }));
        // What stands in the edited part is read anew.
        for day in (evening * share..(evening + 1) * share).filter(|day| plan.works[*day]) {
            for (of_day, kind, action) in made_up_day(&mut dice, 8) {
                let number = office.document();
                office.write(plan_ms(&plan, minute), *dice.pick(&people), (kind, action), Some(number));
                office.lines.last_mut().expect("just written").event_ms =
                    midnight(&plan, day) + of_day * 60_000 + dice.between(0, 60_000);
            }
        }
    }
    let mut factory = firm.finish(plan, machines, office);
    factory.rewrites = rewrites;
    factory
}

fn re_badged(firm: Firm) -> Factory {
    with_old_system(firm, false)
}

/// A firm whose old system's records are still there, and whose new modules are used or not.
pub(crate) fn with_old_system(mut firm: Firm, new_is_used: bool) -> Factory {
    /// Days of the old system's log that are still there.
    const OLD: usize = 160;
    let reported = firm.custom.reported;
    firm.custom.reported = 0.0;
    firm.custom.papers = 1.0 + firm.dice.unit();
    let (plan, machines) = firm.site();
    let first = plan.first.checked_sub((OLD as i64).days()).unwrap_or(plan.first);
    let mut dice = firm.dice.fork();
    let calendar = crate::plan::calendar();
    let span = (first, OLD + firm.days);
    let long = Plan::new(&mut dice, &calendar, span, plan.week, plan.shifts.clone());
    let mut office = Office::new(&mut firm.dice);
    office.work(&mut dice, &long, &firm.custom, &[], 0..OLD + firm.days);
    if new_is_used {
        // Operators and the store: what the new modules brought.
        let shop = Custom { orders: 0.0, papers: 0.0, reported, ..firm.custom };
        office.work(&mut dice, &plan, &shop, &machines, 0..firm.days);
    }
    let contract = plan.first.checked_sub(dice.between(20, 60).days()).unwrap_or(plan.first);
    let oldest = contract.checked_sub(dice.between(300, 1_500).days()).unwrap_or(first);
    let mut factory = firm.finish(plan, machines, office);
    factory.project.dates.contract = contract;
    let log = factory.machines.len() as u32 + 1;
    factory.before = Some(Before { logs: vec![(log, oldest)], ..Before::default() });
    factory
}

fn month_end(mut firm: Firm) -> Factory {
    let (plan, machines, mut office, mut dice) = unused(&mut firm);
    let people = office.people(2);
    let bears_the_day = dice.chance(0.5);
    let per_day = dice.between(4, 10) as usize;
    let mut begun = 0;
    for day in 0..firm.days {
        let date = plan.date(day);
        if date.day() != date.days_in_month() {
            continue;
        }
        let mut at = midnight(&plan, day) + 9 * 3_600_000;
        for of in (begun..day).filter(|of| plan.works[*of]) {
            for (_, kind, action) in made_up_day(&mut dice, per_day) {
                let number = office.document();
                office.write(at, *dice.pick(&people), (kind, action), Some(number));
                if bears_the_day {
                    office.lines.last_mut().expect("just written").event_ms = midnight(&plan, of);
                }
                at += 8_000 + (dice.wait(30.0) * 1_000.0) as i64;
            }
        }
        begun = day;
    }
    firm.finish(plan, machines, office)
}

fn show(mut firm: Firm) -> Factory {
    let (plan, machines) = firm.site();
    let mut office = Office::new(&mut firm.dice);
    let mut dice = firm.dice.fork();
    let begin = firm.days - dice.between(12, 15) as usize;
    // Somebody tried it when it was delivered.
    office.work(&mut dice, &plan, &Custom { orders: 0.5, ..shelf(firm.custom) }, &machines, 0..12);
    office.work(&mut dice, &plan, &shelf(firm.custom), &machines, 12..begin);
    let busy = Custom { orders: firm.custom.orders.max(4.0), ..firm.custom };
    office.work(&mut dice, &plan, &busy, &machines, begin..firm.days);
    firm.finish(plan, machines, office)
}

fn test_accounts(firm: Firm) -> Factory {
    let mut factory = firm.build();
    for (at, account) in factory.accounts.iter_mut().enumerate() {
        account.name = format!("test{at:02}");
        account.class = ActorClass::Excluded;
        account.reason = ExclusionReason::Test;
    }
    factory
}

fn time_zone(mut firm: Firm) -> Factory {
    // The robots of the night shift write from four in the afternoon until after midnight.
    let (plan, machines, mut office, mut dice) = unused(&mut firm);
    let people = office.people(4);
    for day in (0..firm.days).filter(|day| plan.works[*day]) {
        for (minute, kind, action) in made_up_day(&mut dice, 14) {
            let number = office.document();
            let at = midnight(&plan, day) + (minute + 8 * 60) * 60_000 + dice.between(0, 60_000);
            office.write(at, *dice.pick(&people), (kind, action), Some(number));
        }
    }
    for line in &mut office.lines {
        line.event_ms = line.written_ms - 8 * 3_600_000;
    }
    firm.finish(plan, machines, office)
}

fn clicks(mut firm: Firm) -> Factory {
    let (plan, machines, mut office, mut dice) = unused(&mut firm);
    let people = office.people(4);
    let rate = 8.0 + dice.unit() * 15.0;
    for day in (0..firm.days).filter(|day| plan.works[*day] || plan.week == Week::SEVEN) {
        let hours = Hours::office(&plan, day, midnight(&plan, day));
        for who in &people {
            office.write(hours.from + dice.between(0, 1_200_000), *who, (0, ActionClass::Login), None);
        }
        for _ in 0..dice.poisson(rate) {
            let (_, kind, action) = made_up_day(&mut dice, 1)[0];
            let number = office.document();
            office.write(hours.some(&mut dice), *dice.pick(&people), (kind, action), Some(number));
        }
    }
    firm.custom.reporting = Reporting::ShiftEnd;
    firm.finish(plan, machines, office)
}
