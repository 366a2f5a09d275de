//! Steps in a row, each timed; the first that fails ends them; a table of all at the end.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// What was done so far.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration, bool)>,
}

impl Steps {
    /// Runs one step. After an error no other should be run.
    pub(crate) fn step(
        &mut self,
        name: &str,
        step: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        println!("\n=== {name}");
        let began = now();
        let outcome = step();
        self.done.push((name.to_owned(), began.elapsed(), outcome.is_ok()));
        outcome.with_context(|| name.to_owned())
    }

    /// The table: seconds and outcome of each step, and all together.
    pub(crate) fn table(&self) -> String {
        let mut table = String::new();
        let mut total = Duration::ZERO;
        for (name, took, good) in &self.done {
            total += *took;
            let outcome = if *good { "ok" } else { "FAILED" };
            table.push_str(&format!("{:>8.1} s  {outcome:<6}  {name}\n", took.as_secs_f64()));
        }
        table.push_str(&format!("{:>8.1} s          all together\n", total.as_secs_f64()));
        table
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a build step takes is nobody's proof")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

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
