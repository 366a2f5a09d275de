//! `cargo xtask test`: all tests, with foreign software where it can be had.
//!
//! A test that needs foreign software is marked `#[ignore]` and its name (or module) contains the name of each program
//! it needs: `pymodbus`, `libmodbus`, `asyncua`, `node_opcua`, `mosquitto`, `rsyslog`, `chromium`, `qemu`, `nspawn`,
//! `postgresql`, `mariadb`, `golang`, `wasm`. It learns where they are from the environment, see [`crate::foreign`]. What cannot be had is
//! skipped by that name, and said.

use anyhow::{Context as _, bail};

use crate::command::Command;
use crate::foreign::{Foreign, Program, Wish};
use crate::steps::Steps;
use crate::tree;

/// Runs the tests and prints cargo's own result lines once more at the end.
pub(crate) fn run(wish: Wish) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    let mut tests = Tests::new(wish);
    let outcome = all(&mut steps, &mut tests);
    println!("\n{}\n{}", steps.table(), tests.closing());
    outcome
}

fn all(steps: &mut Steps, tests: &mut Tests) -> anyhow::Result<()> {
    tests.built(steps)?;
    tests.alone(steps)?;
    steps.step(PREPARING, || tests.prepare())?;
    tests.with_foreign(steps)
}

/// The step before the tests with foreign software.
pub(crate) const PREPARING: &str = "foreign software fetched and built";

/// Where tests are; examples are looked at by clippy and take long to link.
const TARGETS: [&str; 3] = ["--lib", "--bins", "--tests"];

/// The tests, in their parts.
pub(crate) struct Tests {
    wish: Wish,
    /// `None` until it was looked for.
    foreign: Option<Foreign>,
    tally: Tally,
}

impl Tests {
    pub(crate) fn new(wish: Wish) -> Self {
        Self { wish, foreign: None, tally: Tally::default() }
    }

    /// Builds the programs, which whole-road tests start, and the tests. `cargo test` would build only the programs of the
    /// package under test.
    pub(crate) fn built(&self, steps: &mut Steps) -> anyhow::Result<()> {
        steps.step("programs and tests built", || {
            Command::cargo().args(["build", "--workspace", "--bins"]).run()?;
            Command::cargo().args(["test", "--workspace"]).args(TARGETS).args(["--no-run"]).run()
        })
    }

    /// Runs the tests that need nothing, all of them even where one fails.
    pub(crate) fn alone(&mut self, steps: &mut Steps) -> anyhow::Result<()> {
        let tally = &mut self.tally;
        steps.step("tests that need nothing", || {
            let tests = programs(Command::cargo()).args(["test", "--workspace", "--no-fail-fast"]);
            let (tests, docs) =
                (tests.args(TARGETS), Command::cargo().args(["test", "--workspace", "--doc"]));
            // All of them, even where one fails.
            let outcome = tests.run_seeing(|line| tally.see(line));
            outcome.and(docs.run_seeing(|line| tally.see(line)))
        })
    }

    /// Looks for foreign software, as far as it is wished for.
    pub(crate) fn prepare(&mut self) -> anyhow::Result<()> {
        let foreign = self.foreign.insert(Foreign::prepare(self.wish));
        if self.wish == Wish::None {
            println!("skipped: all tests against foreign software (--no-foreign)");
            return Ok(());
        }
        for (program, why) in foreign.missing() {
            println!("skipped: tests with {}: {why}", program.word());
        }
        if self.wish == Wish::All {
            if let Some((program, why)) = foreign.missing().next() {
                bail!("{} is required: {why}", program.word());
            }
            every_program_is_used(&listed(foreign)?)?;
        }
        Ok(())
    }

    /// Runs the tests with the foreign software that was found.
    pub(crate) fn with_foreign(&mut self, steps: &mut Steps) -> anyhow::Result<()> {
        let Some(foreign) = self.foreign.as_ref().filter(|_| self.wish != Wish::None) else { return Ok(()) };
        let skips = foreign.missing().flat_map(|(program, _)| ["--skip", program.word()]);
        // By name, so that what is ignored for another reason (measurements, makers of vectors) stays so.
        let words = Program::ALL.map(Program::word);
        let command = ignored(foreign).args(["--", "--ignored"]).args(words).args(skips);
        let tally = &mut self.tally;
        steps.step("tests with foreign software", || command.run_seeing(|line| tally.see(line)))
    }

    /// Cargo's result lines, their sum and what was skipped.
    pub(crate) fn closing(&self) -> String {
        self.tally.closing(self.foreign.as_ref())
    }
}

/// The ignored tests, and no documentation examples: `ignore` means something else there.
fn ignored(foreign: &Foreign) -> Command {
    let command = programs(Command::cargo()).args(["test", "--workspace", "--no-fail-fast"]).args(TARGETS);
    foreign.env().into_iter().fold(command, |command, (name, value)| command.env(name, value))
}

fn programs(command: Command) -> Command {
    command.env("INUSE_PROGRAMS", tree::target().join("debug"))
}

fn listed(foreign: &Foreign) -> anyhow::Result<String> {
    ignored(foreign).args(["--", "--ignored", "--list"]).output().context("could not list the ignored tests")
}

/// Software that no test names would be "not skipped" without being used.
fn every_program_is_used(list: &str) -> anyhow::Result<()> {
    for program in Program::ALL {
        if !list.lines().any(|line| line.ends_with(": test") && line.contains(program.word())) {
            bail!("no ignored test has `{}` in its name", program.word());
        }
    }
    Ok(())
}

/// Cargo's result lines and their sum.
#[derive(Default)]
struct Tally {
    lines: Vec<String>,
    passed: u64,
    failed: u64,
}

impl Tally {
    fn see(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        self.lines.push(line.to_owned());
        // `ok. 12 passed; 0 failed; 3 ignored; …`
        for count in counts.split(['.', ';']) {
            match count.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                Some(_) | None => {}
            }
        }
    }

    fn closing(&self, foreign: Option<&Foreign>) -> String {
        let mut text = self.lines.join("\n");
        let skipped: Option<Vec<_>> =
            foreign.map(|foreign| foreign.missing().map(|(program, _)| program.word()).collect());
        let skipped = match skipped {
            None => "all with foreign software, which was not reached".to_owned(),
            Some(skipped) if skipped.is_empty() => "nothing".to_owned(),
            Some(skipped) => skipped.join(", "),
        };
        text.push_str(&format!(
            "\nall together: {} passed, {} failed; skipped: {skipped}",
            self.passed, self.failed
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tally_is_the_sum_of_cargos_lines() {
        let mut tally = Tally::default();
        tally.see("running 3 tests");
        tally.see(
            "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        );
        tally.see("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s");
        assert_eq!((tally.passed, tally.failed, tally.lines.len()), (13, 2, 2));
    }

    #[test]
    fn tests_that_were_not_reached_are_not_called_nothing_skipped() {
        let tally = Tally::default();
        assert!(tally.closing(None).ends_with("skipped: all with foreign software, which was not reached"));
        assert!(tally.closing(Some(&Foreign::default())).ends_with("skipped: nothing"));
    }

    #[test]
    fn software_no_test_names_is_not_called_tested() {
        let all = "what_libmodbus_serves: test\n\
                   pymodbus_asyncua_and_a_log_reach_the_page_through_mosquitto: test\n\
                   node_opcua_is_read: test\nthe_page_in_chromium: test\nwhat_rsyslog_sends: test\nan_agent_under_qemu: test\n\
                   a_package_nspawn: test\nrows_of_postgresql: test\nrows_of_mariadb: test\n\
                   our_log_and_golang: test\na_page_of_wasm: test\n";
        every_program_is_used(all).unwrap();
        let some = "x_pymodbus_libmodbus_asyncua_node_opcua_mosquitto_rsyslog: test\n";
        let error = every_program_is_used(some).unwrap_err().to_string();
        assert!(error.contains("chromium"), "{error}");
    }
}
