//! `cargo xtask ci`: everything a change must pass, the quick first, the first that fails ends it.

use crate::command::Command;
use crate::foreign::Wish;
use crate::steps::Steps;
use crate::test::{PREPARING, Tests};
use crate::{demo, deny, structure, units};

const COLLECTORS: [&str; 6] = ["modbus", "opcua", "log", "mqtt", "syslog", "sql"];
const DENIED: [&str; 3] = ["--", "-D", "warnings"];

/// Runs all steps, prints their times and, last, cargo's own test results.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut steps = Steps::default();
    let mut tests = Tests::new(Wish::All);
    let outcome = all(&mut steps, &mut tests);
    println!("\n{}\n{}", steps.table(), tests.closing());
    outcome
}

fn all(steps: &mut Steps, tests: &mut Tests) -> anyhow::Result<()> {
    steps.step("format", || Command::cargo().args(["fmt", "--all", "--check"]).run())?;
    steps.step("structure", structure::run)?;
    steps.step("units", units::run)?;
    steps.step("bans, licences, sources", deny::run)?;
    steps.step("clippy", || {
        Command::cargo().args(["clippy", "--workspace", "--all-targets"]).args(DENIED).run()
    })?;
    for feature in COLLECTORS {
        steps.step(&format!("collectors with {feature} alone"), || {
            let only = ["--package", "collectors", "--no-default-features", "--features", feature];
            Command::cargo().args(["clippy"]).args(only).args(DENIED).run()
        })?;
    }
    steps.step("documentation", || {
        let command = Command::cargo().args(["doc", "--workspace", "--no-deps"]);
        command.env("RUSTDOCFLAGS", "-Dwarnings").run()
    })?;
    tests.built(steps)?;
    tests.alone(steps)?;
    // The demo has days of its own; tests with foreign software have those of this machine, and want it for themselves.
    steps.beside((PREPARING, || tests.prepare()), ("the demo, once", demo::run))?;
    tests.with_foreign(steps)
}
