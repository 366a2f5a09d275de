//! One factory over its days: what its machines did minute by minute, what its people wrote and when, and what became
//! of the gateway that watched. Everything else is made from this.

use jiff::civil::Date;
use proof::wire::{ActionClass, ActorClass, ExclusionReason};
use proof::{AgentId, Rewrite};
use scorer::{Before, Project};

use crate::machine::Machine;

/// The gateway of every factory.
pub const AGENT: AgentId = AgentId([0xf0; 16]);

/// China's time, minutes east of UTC.
pub const OFFSET_MINUTES: i32 = 480;

/// Modules that the business log may speak of, by code from 1.
pub const MODULES: [&str; 6] =
    ["work_order", "production_report", "inventory", "sales_order", "purchase", "finance"];

/// Codes of [`MODULES`].
pub mod module {
    /// Work orders.
    pub const ORDER: u16 = 1;
    /// Reports of what was made.
    pub const REPORT: u16 = 2;
    /// Stock.
    pub const STOCK: u16 = 3;
    /// Orders of customers, deliveries.
    pub const SALES: u16 = 4;
    /// What is bought.
    pub const PURCHASE: u16 = 5;
    /// Vouchers.
    pub const FINANCE: u16 = 6;
}

/// An account of the business system.
#[derive(Debug, Clone)]
pub struct Account {
    /// As the log names it.
    pub name: String,
    /// What the manifest's account classes make of it.
    pub class: ActorClass,
    /// Why, where it is excluded.
    pub reason: ExclusionReason,
}

/// One line of the business log.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// When it was written, Unix ms. Lines stand in this order.
    pub written_ms: i64,
    /// The time it bears, Unix ms.
    pub event_ms: i64,
    /// Index in [`Factory::accounts`].
    pub account: usize,
    /// See [`module`].
    pub module: u16,
    /// What was done.
    pub action: ActionClass,
    /// Number of its document.
    pub document: Option<u64>,
}

/// The gateway was away, minutes from the factory's first midnight.
#[derive(Debug, Clone, Copy)]
pub struct Away {
    /// First minute.
    pub from: usize,
    /// The minute after the last.
    pub to: usize,
    /// It never said why.
    pub silent: bool,
}

/// What the gateway had seen could not be handed in until `to`.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    /// First minute.
    pub from: usize,
    /// The minute after the last.
    pub to: usize,
}

/// The gateway's clock was off by so much.
#[derive(Debug, Clone, Copy)]
pub struct WrongClock {
    /// First minute.
    pub from: usize,
    /// The minute after the last.
    pub to: usize,
    /// Ahead of the true time, minutes; negative: behind.
    pub by: i64,
}

/// A factory.
#[derive(Debug, Clone)]
pub struct Factory {
    /// Of which class it is.
    pub class: &'static str,
    /// What it was made from.
    pub seed: u64,
    /// As the firm declares itself.
    pub project: Project,
    /// The first day the gateway is there.
    pub first: Date,
    /// Days the gateway is there.
    pub days: usize,
    /// The machines it polls.
    pub machines: Vec<Machine>,
    /// Who writes.
    pub accounts: Vec<Account>,
    /// What was written, in order.
    pub lines: Vec<Line>,
    /// When the gateway was away.
    pub away: Vec<Away>,
    /// When nothing could be handed in.
    pub delays: Vec<Delay>,
    /// When the gateway's clock was wrong.
    pub clock: Vec<WrongClock>,
    /// When the business log could not be read, minutes: first, and the one after the last.
    pub unreadable: Vec<(usize, usize)>,
    /// What was done to logs that had been read, by minute.
    pub rewrites: Vec<(usize, Rewrite)>,
    /// Another firm of the ledger, which has to do with this one.
    pub other: Option<Box<Factory>>,
    /// A baseline that the firm handed in.
    pub before: Option<Before>,
}

impl Factory {
    /// Unix ms of the first local midnight.
    pub fn start_ms(&self) -> i64 {
        start_ms(self.first)
    }

    /// Unix ms of a minute counted from the first local midnight.
    pub fn ms(&self, minute: usize) -> i64 {
        self.start_ms() + minute as i64 * 60_000
    }

    /// Minutes that the gateway is there.
    pub fn minutes(&self) -> usize {
        self.days * crate::machine::DAY
    }

    /// The moment at which it is judged: half an hour after the last midnight.
    pub fn judged_ms(&self) -> i64 {
        self.ms(self.minutes()) + 30 * 60_000
    }
}

/// Unix ms of a local midnight.
pub(crate) fn start_ms(date: Date) -> i64 {
    let epoch = Date::constant(1970, 1, 1);
    let days = date.since((jiff::Unit::Day, epoch)).map_or(0, |span| i64::from(span.get_days()));
    (days * 1_440 - i64::from(OFFSET_MINUTES)) * 60_000
}
