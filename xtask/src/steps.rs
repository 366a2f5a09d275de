//! Steps in a row, or two at a time, each timed; the first that fails ends them; a table of all at the end.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// What was done so far.
pub(crate) struct Steps {
    began: Instant,
    done: Vec<(String, Duration, bool)>,
}

impl Default for Steps {
    fn default() -> Self {
        Self { began: now(), done: Vec::new() }
    }
}

impl Steps {
    /// Runs one step. After an error no other should be run.
    pub(crate) fn step(
        &mut self,
        name: &str,
        step: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        println!("\n=== {name}");
        let (outcome, took) = timed(step);
        self.done.push((name.to_owned(), took, outcome.is_ok()));
        outcome.with_context(|| name.to_owned())
    }

    /// Runs two steps at the same time, the second on a thread of its own. Where both fail, the first's error is told.
    pub(crate) fn beside(
        &mut self,
        (name, step): (&str, impl FnOnce() -> anyhow::Result<()>),
        (other_name, other): (&str, impl FnOnce() -> anyhow::Result<()> + Send),
    ) -> anyhow::Result<()> {
        println!("\n=== {name}; beside it: {other_name}");
        let (first, second) = std::thread::scope(|scope| {
            let other = scope.spawn(|| timed(other));
            (timed(step), other.join())
        });
        let second = second.unwrap_or_else(|_| (Err(anyhow::anyhow!("it panicked")), Duration::ZERO));
        let mut outcome = Ok(());
        for (name, (ended, took)) in [(name, first), (other_name, second)] {
            self.done.push((name.to_owned(), took, ended.is_ok()));
            outcome = outcome.and(ended.with_context(|| name.to_owned()));
        }
        outcome
    }

    /// The table: seconds and outcome of each step, and all together.
    pub(crate) fn table(&self) -> String {
        let mut table = String::new();
        for (name, took, good) in &self.done {
            let outcome = if *good { "ok" } else { "FAILED" };
            table.push_str(&format!("{:>8.1} s  {outcome:<6}  {name}\n", took.as_secs_f64()));
        }
        table.push_str(&format!("{:>8.1} s          all together\n", self.began.elapsed().as_secs_f64()));
        table
    }
}

fn timed(step: impl FnOnce() -> anyhow::Result<()>) -> (anyhow::Result<()>, Duration) {
    let began = now();
    let outcome = step();
    (outcome, began.elapsed())
}

#[expect(clippy::disallowed_methods, reason = "how long a build step takes is nobody's proof")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_beside_each_other_are_both_in_the_table_and_either_fails_them() {
        let mut steps = Steps::default();
        steps.beside(("a", || Ok(())), ("b", || Ok(()))).unwrap();
        let error = steps.beside(("c", || Ok(())), ("d", || anyhow::bail!("because"))).unwrap_err();
        assert_eq!(format!("{error:#}"), "d: because");
        let table = steps.table();
        assert!(table.contains("ok      c\n") && table.contains("FAILED  d\n"), "{table}");
    }

    #[test]
    fn the_table_names_the_step_that_failed() {
        let mut steps = Steps::default();
        steps.step("good", || Ok(())).unwrap();
        let error = steps.step("bad", || anyhow::bail!("because")).unwrap_err();
        assert_eq!(format!("{error:#}"), "bad: because");
        let table = steps.table();
        assert!(table.contains("ok      good\n") && table.contains("FAILED  bad\n"), "{table}");
    }
}
