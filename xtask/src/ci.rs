//! `cargo xtask ci`: everything a change must pass, the quick first, the first that fails ends it.

use crate::command::Command;
use crate::foreign::Wish;
use crate::steps::Steps;
use crate::{demo, deny, structure, test, units};

const COLLECTORS: [&str; 6] = ["modbus", "opcua", "log", "mqtt", "syslog", "sql"];
const DENIED: [&str; 3] = ["--", "-D", "warnings"];

/// Runs all steps, prints their times and, last, cargo's own test results.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut steps = Steps::default();
    let mut results = String::new();
    let outcome = all(&mut steps, &mut results);
    println!("\n{}", steps.table());
    if !results.is_empty() {
        println!("{results}");
    }
    outcome
}

fn all(steps: &mut Steps, results: &mut String) -> anyhow::Result<()> {
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
    *results = test::results(Wish::All, steps)?;
    steps.step("the demo, once", demo::run)
}
