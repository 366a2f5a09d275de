//! A progress bar on standard error: how far the calendar is, and how fast it goes.

use std::convert::Infallible;
use std::time::Duration;

use daemon::Clock as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::SimClock;
use crate::recordings::local_day;

/// The bar.
pub(crate) struct Progress {
    bar: ProgressBar,
    start_ms: i64,
}

impl Progress {
    /// Over the time from `start_ms` to `end_ms`. A `quiet` one draws nothing, but still says what it is told to.
    pub(crate) fn new(quiet: bool, start_ms: i64, end_ms: i64) -> Self {
        let minutes = u64::try_from((end_ms - start_ms) / 60_000).unwrap_or(0);
        let bar = ProgressBar::new(minutes);
        if quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style =
            ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} %  {elapsed_precise}, {eta} left");
        bar.set_style(style.expect("the template is fixed"));
        Self { bar, start_ms }
    }

    /// A line above the bar; on standard error in any case.
    pub(crate) fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            use std::io::Write as _;
            // A closed standard error leaves nobody to tell.
            drop(writeln!(std::io::stderr(), "{line}"));
        } else {
            self.bar.println(line);
        }
    }

    /// Moves the bar with the clock.
    pub(crate) async fn follow(&self, clock: &SimClock) -> Infallible {
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let now = clock.stamp().wall_ms;
            self.bar.set_message(local_day(now).0.to_string());
            self.bar.set_position(u64::try_from((now - self.start_ms) / 60_000).unwrap_or(0));
        }
    }

    /// The time has passed.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
