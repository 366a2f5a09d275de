//! What the gateway's programs cost, and what the protocol does: builds them and the measuring examples, and runs those.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};

use crate::command::{Command, find};
use crate::tree;

/// What is measured when nothing is named.
const NAMES: [&str; 3] = ["armv7", "aarch64", "x86_64"];

/// Steps of `proof_figures`, and how many times the second of two runs does each.
const STEPS: [(&str, u32); 7] =
    [("observe", 2), ("seal", 2), ("sign", 3), ("verify", 3), ("receipt", 3), ("leaves", 2), ("opening", 5)];

/// `arguments` are names, `--minutes N` and `--load N`.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    if arguments == ["--proof"] {
        return proof();
    }
    let mut names: Vec<&str> = Vec::new();
    let mut options: Vec<&str> = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match *argument {
            option @ ("--minutes" | "--load") => {
                options.extend([option, rest.next().with_context(|| format!("{option} and a number"))?]);
            }
            name if NAMES.contains(&name) => names.push(name),
            other => bail!("`{other}` is not measured: {}, --minutes N, --load N", NAMES.join(", ")),
        }
    }
    if names.is_empty() {
        names.extend(NAMES);
    }
    Command::new("cross/build.sh").args(&names).run()?;
    Command::cargo().args(["build", "--workspace", "--bins"]).run()?;
    let mut command = Command::cargo()
        .args(["run", "--quiet", "--package", "tests", "--example", "gateway_figures", "--"])
        .args(&options)
        .args(&names)
        .env("INUSE_PROGRAMS", tree::target().join("debug"))
        .env("INUSE_DIST", tree::root().join("dist"));
    for (name, qemu, variable) in [
        ("aarch64", "qemu-aarch64-static", "INUSE_QEMU_AARCH64"),
        ("armv7", "qemu-arm-static", "INUSE_QEMU_ARM"),
    ] {
        if names.contains(&name) {
            let path = find(qemu)
                .with_context(|| format!("{qemu} is not installed: apt-get install qemu-user-static"))?;
            command = command.env(variable, path);
        }
    }
    command.run()
}

/// Sizes and times here, and instructions of the shipped code on aarch64: the emulator is told to run one at a time and
/// to write a line for each, and the lines of two runs are counted.
fn proof() -> anyhow::Result<()> {
    const QEMU: &str = "qemu-aarch64-static";
    Command::cargo().args(["run", "--release", "--package", "proof", "--example", "proof_figures"]).run()?;
    let qemu =
        find(QEMU).with_context(|| format!("{QEMU} is not installed: apt-get install qemu-user-static"))?;
    Command::new("cross/build.sh").args(["aarch64", "--figures"]).run()?;
    let program = tree::target().join("cross/figures/aarch64-unknown-linux-musl/proof_figures");
    let count = |step: &str, times: u32| -> anyhow::Result<u64> {
        let mut command = std::process::Command::new(&qemu);
        command.args(["-singlestep", "-d", "nochain,exec"]).arg(&program).args([step, &times.to_string()]);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let log = BufReader::new(child.stderr.take().context("a piped standard error")?);
        let mut lines = 0;
        for line in log.split(b'\n') {
            lines += u64::from(line?.starts_with(b"Trace "));
        }
        ensure!(child.wait()?.success(), "{step} failed under {QEMU}");
        Ok(lines)
    };
    println!("{:<44} {:>9}", "step, on aarch64 as shipped", "thousand instructions");
    for (step, times) in STEPS {
        let (one, more) = (count(step, 1)?, count(step, times)?);
        let each = more.saturating_sub(one) / u64::from(times - 1);
        println!("{step:<44} {:>9.1}", each as f64 / 1e3);
    }
    Ok(())
}
