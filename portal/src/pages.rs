//! One file per page: plain facts in, HTML out. No page reads a store, a clock or a request.

mod confirm;
mod day;
mod entry;
mod firm;
mod list;
mod opening;
mod problem;
mod rank;
mod rows;
mod totals;

use crate::figures::minute;
use crate::page::Page;
use crate::source::LogFacts;

pub(crate) use confirm::ConfirmPage;
pub(crate) use day::DayPage;
pub(crate) use entry::{Asked as EntryAsked, EntryPage};
pub(crate) use firm::FirmPage;
pub(crate) use list::{ListPage, pick};
pub(crate) use opening::{Given, Known, OpeningPage};
pub(crate) use problem::{Problem, ProblemPage};
pub(crate) use rank::Badge;
pub use rows::Names;
pub(crate) use rows::module;

/// Who has cosigned the newest checkpoint that covers this entry (`None`: whichever), and when; `None` where nobody has.
fn witnesses(page: &Page, log: &LogFacts, index: Option<u64>, offset_minutes: i32) -> Option<String> {
    let cosigned = log.cosigned.as_ref().filter(|known| index.is_none_or(|index| index < known.size))?;
    let time = |at_s: u64| minute(i64::try_from(at_s).unwrap_or(0).saturating_mul(1000), offset_minutes);
    let by: Vec<_> = cosigned.by.iter().map(|(name, at_s)| format!("{name} {}", time(*at_s))).collect();
    let (size, w) = (cosigned.size, page.w);
    Some(format!("{} · {} {size} · {}", w.witnessed_by, w.tree_size, by.join(" · ")))
}
