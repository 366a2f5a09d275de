//! One file per page: plain facts in, HTML out. No page reads a store, a clock or a request.

mod day;
mod entry;
mod firm;
mod list;
mod opening;
mod problem;
mod rank;
mod rows;
mod totals;

pub(crate) use day::DayPage;
pub(crate) use entry::{Asked as EntryAsked, EntryPage};
pub(crate) use firm::FirmPage;
pub(crate) use list::{ListPage, pick};
pub(crate) use opening::{Given, Known, OpeningPage};
pub(crate) use problem::{Problem, ProblemPage};
pub(crate) use rank::Badge;
pub use rows::Names;
pub(crate) use rows::module;
