//! What the people of a firm do on a day.
//!
//! Honest people follow the machines: who has a shift in which nothing runs stays away, reports are written while
//! the machine runs and say what its counter says. They come late, eat, forget and write it down at the end of the
//! shift, correct themselves and are absent. Dishonest ones do as their [`Conduct`] says, and no machine asks them.
//! The same firm, seed and day give the same events always.

use std::sync::Arc;

use jiff::civil::{Date, Weekday};

use super::firm::{Account, Conduct, Firm, Module, Role, Shift};
use super::forms::{Deed, Event};
use super::machine::Machine;
use crate::recordings::midnight_ms;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// Nobody writes between these, in minutes of the day.
const MEALS: [(i64, i64); 2] = [(12 * 60, 13 * 60), (18 * 60, 18 * 60 + 30)];
/// Minutes a machine must run in a shift for anybody to come.
const WORTH_COMING: usize = 45;
/// Days before the acceptance on which a staged firm gets busy.
const STAGE_DAYS: i32 = 13;
/// Days on which a staged firm writes one report before that.
const STAGE_BEFORE: [i32; 5] = [1, 2, 9, 20, 34];

/// The people of one firm.
pub struct People {
    firm: Arc<Firm>,
    machines: Vec<Arc<Machine>>,
}

impl People {
    /// The people of a firm with these machines; one machine at least.
    pub fn new(firm: Arc<Firm>, machines: Vec<Arc<Machine>>) -> Self {
        Self { firm, machines }
    }

    /// All deeds of a day (China Standard Time), in order.
    pub fn day(&self, date: Date) -> Vec<Event> {
        let seed = self.firm.seed.wrapping_mul(1_000_003) ^ midnight_ms(date).unsigned_abs();
        let mut sheet = Sheet {
            firm: &self.firm,
            machines: &self.machines,
            date,
            noise: Noise::new(seed),
            events: Vec::new(),
        };
        match self.firm.conduct {
            Conduct::Honest => sheet.work(),
            Conduct::LateGoLive(from) if date < from => {}
            Conduct::SeasonalStop(from, to) if (from..to).contains(&date) => {}
            Conduct::LateGoLive(_) | Conduct::SeasonalStop(..) => sheet.work(),
            Conduct::SmallHonest => sheet.work_small(),
            Conduct::Shelfware => sheet.shelve(),
            Conduct::Staged => sheet.stage(),
        }
        sheet.take_care();
        sheet.finish()
    }
}

/// A day being filled.
struct Sheet<'a> {
    firm: &'a Firm,
    machines: &'a [Arc<Machine>],
    date: Date,
    noise: Noise,
    events: Vec<Event>,
}

impl Sheet<'_> {
    /// Everybody whose shift has something to do.
    fn work(&mut self) {
        for (index, account) in self.staff() {
            let Some(shift) = self.firm.shifts.get(account.shift).copied() else { continue };
            if self.ran(shift) < WORTH_COMING || self.noise.one_in(16) {
                continue;
            }
            let come = self.at(shift.from) + self.noise.up_to(12 * MINUTE);
            self.push(come, index, Deed::LogIn, 0);
            match account.role {
                Role::Operator => self.report(index, shift, come),
                Role::Inspector => self.inspect(index, shift, come),
                Role::Planner => self.plan(index, shift, come),
                Role::Admin | Role::Provider | Role::Test => {}
            }
            self.look(index, shift, 6);
            if !self.noise.one_in(3) {
                let go = self.at(shift.to) + self.noise.up_to(10 * MINUTE);
                self.push(go, index, Deed::LogOut, 0);
            }
        }
    }

    /// Reports while the machine runs, each with what was made since the last.
    fn report(&mut self, index: usize, shift: Shift, come: i64) {
        let machine = Arc::clone(&self.machines[index % self.machines.len()]);
        let end = self.at(shift.to);
        let mut made = machine.at(self.at(shift.from)).parts;
        let mut at = come + 20 * MINUTE + self.noise.up_to(40 * MINUTE);
        while at < end - 10 * MINUTE {
            if let Some(after) = self.meal_end(at) {
                at = after + self.noise.up_to(15 * MINUTE);
                continue;
            }
            if machine.running_minutes(at - 30 * MINUTE, at) >= 10 {
                self.push(at, index, Deed::Report, pieces(&machine, at, &mut made));
                if self.noise.one_in(8) {
                    let later = at + MINUTE + self.noise.up_to(5 * MINUTE);
                    self.push(later, index, Deed::Correct, 1);
                }
            }
            at += 35 * MINUTE + self.noise.up_to(30 * MINUTE) + self.noise.up_to(30 * MINUTE);
        }
        if self.noise.one_in(3) {
            let mut at = end - 8 * MINUTE + self.noise.up_to(5 * MINUTE);
            for _ in 0..=self.noise.below(3) {
                self.push(at, index, Deed::Report, pieces(&machine, at, &mut made));
                at += 40_000 + self.noise.up_to(MINUTE);
            }
        }
    }

    fn inspect(&mut self, index: usize, shift: Shift, come: i64) {
        let mut at = come + 30 * MINUTE + self.noise.up_to(HOUR);
        while at < self.at(shift.to) {
            if let Some(after) = self.meal_end(at) {
                at = after + self.noise.up_to(20 * MINUTE);
                continue;
            }
            let quantity = 5 + self.noise.below(20);
            self.push(at, index, Deed::Inspect, quantity);
            at += HOUR + self.noise.up_to(90 * MINUTE);
        }
    }

    /// Work orders in the morning, finished goods in the afternoon.
    fn plan(&mut self, index: usize, shift: Shift, come: i64) {
        let mut at = come + 5 * MINUTE;
        for _ in 0..2 + self.noise.below(4) {
            at += MINUTE + self.noise.up_to(12 * MINUTE);
            let quantity = 40 + 10 * self.noise.below(30);
            self.push(at, index, Deed::Release, quantity);
        }
        let mut at = self.at(shift.to) - 2 * HOUR;
        for _ in 0..1 + self.noise.below(4) {
            at += 2 * MINUTE + self.noise.up_to(25 * MINUTE);
            let quantity = 20 + self.noise.below(200);
            self.push(at, index, Deed::Receive, quantity);
        }
    }

    /// Three documents a day, two people.
    fn work_small(&mut self) {
        let shift = self.firm.shifts[0];
        if self.ran(shift) < WORTH_COMING || self.noise.one_in(20) {
            return;
        }
        let machine = Arc::clone(&self.machines[0]);
        for (index, account) in self.staff() {
            let come = self.at(shift.from) + self.noise.up_to(20 * MINUTE);
            self.push(come, index, Deed::LogIn, 0);
            if account.role == Role::Operator {
                let mut made = machine.at(self.at(shift.from)).parts;
                let at = self.at(shift.to) - 40 * MINUTE + self.noise.up_to(35 * MINUTE);
                self.push(at, index, Deed::Report, pieces(&machine, at, &mut made));
            } else {
                let at = come + 10 * MINUTE + self.noise.up_to(HOUR);
                let quantity = 50 + 10 * self.noise.below(10);
                self.push(at, index, Deed::Release, quantity);
                if !self.noise.one_in(4) {
                    let at = self.at(shift.to) - 30 * MINUTE + self.noise.up_to(25 * MINUTE);
                    self.push(at, index, Deed::Receive, quantity);
                }
            }
            self.look(index, shift, 2);
        }
    }

    /// A few entries when it was handed over, then only looks.
    fn shelve(&mut self) {
        let day = self.day();
        if day == 1 || day == 2 {
            let mut at = self.at(14 * 60) + self.noise.up_to(HOUR);
            for deed in [Deed::Release, Deed::Report, Deed::Report] {
                self.by(Role::Test, at, deed);
                at += 2 * MINUTE + self.noise.up_to(4 * MINUTE);
            }
            self.by(Role::Operator, at, Deed::Report);
        } else if day % 9 == 5 && !self.weekend() {
            let at = self.at(9 * 60) + self.noise.up_to(6 * HOUR);
            self.by(Role::Planner, at, Deed::LogIn);
            self.by(Role::Planner, at + MINUTE, Deed::Query(Module::Orders));
        }
    }

    /// One report now and then, until the visit comes near; then all day, mostly by one.
    fn stage(&mut self) {
        if STAGE_BEFORE.contains(&self.day()) {
            let at = self.at(10 * 60) + self.noise.up_to(5 * HOUR);
            self.by(Role::Operator, at, Deed::LogIn);
            self.by(Role::Operator, at + 3 * MINUTE, Deed::Report);
        }
        let stage = self.firm.acceptance.saturating_sub(jiff::Span::new().days(STAGE_DAYS));
        if self.date < stage || self.date.weekday() == Weekday::Sunday {
            return;
        }
        let mut at = self.at(8 * 60 + 30) + self.noise.up_to(20 * MINUTE);
        for role in [Role::Operator, Role::Planner] {
            self.by(role, at, Deed::LogIn);
        }
        while at < self.at(17 * 60 + 30) {
            at += 3 * MINUTE + self.noise.up_to(6 * MINUTE) + self.noise.up_to(6 * MINUTE);
            if let Some(after) = self.meal_end(at) {
                at = after + self.noise.up_to(10 * MINUTE);
            }
            let deeds = [Deed::Report, Deed::Report, Deed::Release, Deed::Inspect, Deed::Receive];
            let deed = deeds[self.noise.below(5) as usize];
            let role = if self.noise.one_in(14) { Role::Planner } else { Role::Operator };
            self.by(role, at, deed);
        }
    }

    /// The system's own jobs, its administrator, and the provider's people in the first two weeks of use.
    fn take_care(&mut self) {
        for hour in 0..24 {
            let at = self.at(hour * 60 + 5) + self.noise.up_to(20_000);
            let count = self.noise.below(400);
            self.push(at, 0, Deed::Job, count);
        }
        if self.weekend() {
            return;
        }
        if self.noise.one_in(5) {
            let at = self.at(9 * 60) + self.noise.up_to(7 * HOUR);
            self.by(Role::Admin, at, Deed::LogIn);
            self.by(Role::Admin, at + 2 * MINUTE, Deed::Query(Module::Orders));
            self.by(Role::Admin, at + 11 * MINUTE, Deed::LogOut);
        }
        let first = match self.firm.conduct {
            Conduct::LateGoLive(from) => from,
            Conduct::Honest
            | Conduct::Shelfware
            | Conduct::Staged
            | Conduct::SmallHonest
            | Conduct::SeasonalStop(..) => self.firm.start,
        };
        let helped = first.saturating_add(jiff::Span::new().days(14));
        if (first..helped).contains(&self.date) && self.noise.one_in(3) {
            let at = self.at(10 * 60) + self.noise.up_to(5 * HOUR);
            self.by(Role::Provider, at, Deed::LogIn);
            self.by(Role::Provider, at + 6 * MINUTE, Deed::Query(Module::Reports));
            self.by(Role::Provider, at + 9 * MINUTE, Deed::Report);
            self.by(Role::Provider, at + 30 * MINUTE, Deed::LogOut);
        }
    }

    /// Looks at lists now and then.
    fn look(&mut self, index: usize, shift: Shift, about: u32) {
        let minutes = i64::from(shift.to - shift.from);
        for _ in 0..self.noise.below(2 * about) {
            let at = self.at(shift.from) + 15 * MINUTE + self.noise.up_to((minutes - 20) * MINUTE);
            if self.meal_end(at).is_none() {
                let module = self.firm.modules[self.noise.below(4) as usize % self.firm.modules.len()];
                self.push(at, index, Deed::Query(module), 0);
            }
        }
    }

    /// Accounts of the firm's own people.
    fn staff(&self) -> Vec<(usize, Account)> {
        let own = |(_, account): &(usize, &Account)| account.role <= Role::Planner;
        self.firm
            .accounts
            .iter()
            .enumerate()
            .filter(own)
            .map(|(index, account)| (index, account.clone()))
            .collect()
    }

    /// Most minutes any machine runs in the shift.
    fn ran(&self, shift: Shift) -> usize {
        let (from, to) = (self.at(shift.from), self.at(shift.to));
        self.machines.iter().map(|machine| machine.running_minutes(from, to)).max().unwrap_or_default()
    }

    /// The end of the meal that is on at this moment.
    fn meal_end(&self, at: i64) -> Option<i64> {
        let midnight = self.at(0);
        let minute = (at - midnight) / MINUTE;
        MEALS.iter().find(|(from, to)| (*from..*to).contains(&minute)).map(|(_, to)| midnight + to * MINUTE)
    }

    fn at(&self, minute: u16) -> i64 {
        midnight_ms(self.date) + i64::from(minute) * MINUTE
    }

    fn day(&self) -> i32 {
        self.firm.start.until(self.date).map_or(0, |span| span.get_days())
    }

    fn weekend(&self) -> bool {
        matches!(self.date.weekday(), Weekday::Saturday | Weekday::Sunday)
    }

    /// The first account of a role does something.
    fn by(&mut self, role: Role, at: i64, deed: Deed) {
        if let Some(index) = self.firm.accounts.iter().position(|account| account.role == role) {
            let quantity = 1 + self.noise.below(60);
            self.push(at, index, deed, quantity);
        }
    }

    fn push(&mut self, at_ms: i64, account: usize, deed: Deed, quantity: u32) {
        // A deed belongs to its day: what would be written after midnight is not written.
        if (self.at(0)..self.at(24 * 60)).contains(&at_ms) {
            self.events.push(Event { at_ms, account, deed, serial: 0, quantity });
        }
    }

    fn finish(mut self) -> Vec<Event> {
        self.events.sort_unstable();
        for (serial, event) in (1..).zip(&mut self.events) {
            event.serial = serial;
        }
        self.events
    }
}

/// What the machine made since the last time somebody asked; at least one piece.
fn pieces(machine: &Machine, at: i64, made: &mut u64) -> u32 {
    let now = machine.at(at).parts;
    let pieces = now.saturating_sub(*made).max(1);
    *made = now;
    u32::try_from(pieces).unwrap_or(u32::MAX)
}

/// Small repeatable randomness (xorshift64*), for the people only.
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Self {
        let mut noise = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..4 {
            noise.below(2);
        }
        noise
    }

    /// 0 to below `bound`.
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = u32::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32).expect("32 bits are left");
        high % bound.max(1)
    }

    /// A span below this one, to the millisecond.
    fn up_to(&mut self, span_ms: i64) -> i64 {
        i64::from(self.below(u32::try_from(span_ms).unwrap_or(u32::MAX)))
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }
}

#[cfg(test)]
mod tests;
