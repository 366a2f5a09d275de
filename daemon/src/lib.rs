//! What the programs share: load configuration, logging, signals, readiness, clock, tasks, exit codes.
//!
//! Nothing in here knows what a proof is. Nothing outside of here asks the operating system for the time, spawns a
//! task or installs a signal handler.

mod backoff;
mod clock;
pub mod config;
#[cfg(feature = "door")]
mod door;
mod exit;
pub mod files;
mod log;
mod run;
mod service;
mod tasks;

pub use backoff::Backoff;
pub use clock::{Clock, Hold, Sleep, Stamp, Stopwatch, SystemClock};
#[cfg(feature = "door")]
pub use door::{Bounds, Door};
pub use exit::Exit;
pub use log::{LogRulesError, log_to_stderr, set_log_rules};
pub use run::{Context, chain, run};
pub use service::Service;
pub use tasks::{Tasks, Unfinished};
