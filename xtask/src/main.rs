//! What cargo aliases cannot: tests with foreign software, CI, cross builds, the rules of the tree.
//!
//! Everything here calls ordinary programs and says which. It is built before anything else, so it depends on next to
//! nothing and on none of our crates.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people at a terminal")]

mod ci;
mod command;
mod demo;
mod deny;
mod figures;
mod foreign;
mod page;
mod steps;
mod structure;
mod test;
mod tree;
mod units;

use std::process::ExitCode;

use anyhow::bail;

const USAGE: &str = "\
cargo xtask test [--no-foreign | --require-foreign]
    Runs all tests: those that need nothing always, those against foreign software (pymodbus, libmodbus, asyncua,
    Mosquitto, rsyslog, Chromium) with what is there or can be installed. --require-foreign makes a skip a failure, and
    adds what takes minutes: programs for gateways under qemu, packages in a Debian under systemd.
cargo xtask ci
    Everything a change must pass: the quick checks, the tests with nothing skipped, the demo once.
cargo xtask cross <aarch64 | armv7 | arm | armv5 | x86_64 | riscv64 | loongarch64 | all> [--set small|standard|full] [--twice | --light]
    The gateway's program as one static executable each, in dist/; --twice builds again and compares the bytes; --light
    builds it as tests under emulators do: in less time, under the target directory.
cargo xtask package <the same names | all>
    deb, rpm and tar of what was built, with a list of what is in it and checksums; signed when INUSE_RELEASE_KEY is set.
cargo xtask figures [aarch64 | armv7 | x86_64 …] [--minutes N] [--load 1..4]
    Size and resident memory of the gateway's programs at the loads of the budgets, against them; built first.
cargo xtask figures --proof
    Sizes of what the protocol sends, and what making and checking it costs: here, and in instructions on aarch64.
cargo xtask verify-page
    The offline verifier as one HTML page for a browser, in verify-page/ of the target directory.
cargo xtask structure | units | deny
    One check alone: the rules of the tree, the systemd units, licences and bans.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> anyhow::Result<()> {
    match arguments {
        ["test"] => test::run(foreign::Wish::WhereItCan),
        ["test", "--no-foreign"] => test::run(foreign::Wish::None),
        ["test", "--require-foreign"] => test::run(foreign::Wish::All),
        ["ci"] => ci::run(),
        ["cross", rest @ ..] if !rest.is_empty() => {
            command::Command::new("cross/build.sh").args(rest).run()?;
            Ok(())
        }
        ["package", rest @ ..] if !rest.is_empty() => {
            command::Command::new("cross/package.sh").args(rest).run()?;
            Ok(())
        }
        ["figures", rest @ ..] => figures::run(rest),
        ["verify-page"] => page::run(),
        ["structure"] => structure::run(),
        ["units"] => units::run(),
        ["deny"] => deny::run(),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        [] => bail!("which task?\n{USAGE}"),
        other => bail!("unknown task `{}`\n{USAGE}", other.join(" ")),
    }
}
