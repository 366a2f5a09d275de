//! What the gateway's programs cost, and what the protocol does: builds them and the measuring examples, and runs those.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
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

/// Sizes and times here, and instructions of the shipped code on aarch64: the emulator is told to write down each block
/// that it translates and each that it runs, and the instructions of two runs are counted.
fn proof() -> anyhow::Result<()> {
    const QEMU: &str = "qemu-aarch64-static";
    Command::cargo().args(["run", "--release", "--package", "proof", "--example", "proof_figures"]).run()?;
    let qemu =
        find(QEMU).with_context(|| format!("{QEMU} is not installed: apt-get install qemu-user-static"))?;
    Command::new("cross/build.sh").args(["aarch64", "--figures"]).run()?;
    let program = tree::target().join("cross/figures/aarch64-unknown-linux-musl/proof_figures");
    let count = |step: &str, times: u32| -> anyhow::Result<u64> {
        let mut command = std::process::Command::new(&qemu);
        command.args(["-d", "nochain,in_asm,exec"]).arg(&program).args([step, &times.to_string()]);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let log = child.stderr.take().context("a piped standard error")?;
        let instructions = instructions(BufReader::new(log))?;
        ensure!(child.wait()?.success(), "{step} failed under {QEMU}");
        Ok(instructions)
    };
    println!("{:<44} {:>9}", "step, on aarch64 as shipped", "thousand instructions");
    for (step, times) in STEPS {
        let (one, more) = (count(step, 1)?, count(step, times)?);
        let each = more.saturating_sub(one) / u64::from(times - 1);
        println!("{step:<44} {:>9.1}", each as f64 / 1e3);
    }
    Ok(())
}

/// Instructions that were run, by the emulator's log: a block is translated once (`IN:`, then a line for each of its
/// instructions, the address first), and each time it runs its address is named (`Trace 0: … [flags/address/…]`).
fn instructions(mut log: impl BufRead) -> anyhow::Result<u64> {
    let mut lengths: HashMap<u64, u64> = HashMap::new();
    let (mut block, mut all, mut line) = (None, 0, Vec::new());
    loop {
        line.clear();
        if log.read_until(b'\n', &mut line)? == 0 {
            return Ok(all);
        }
        let text = String::from_utf8_lossy(&line);
        if let Some(trace) = text.strip_prefix("Trace ") {
            let address = trace.split('/').nth(1).and_then(|address| u64::from_str_radix(address, 16).ok());
            let address = address.with_context(|| format!("`{}` names no block", text.trim()))?;
            all += lengths.get(&address).with_context(|| format!("{address:#x} was never translated"))?;
        } else if text.starts_with("IN:") {
            block = None;
        } else if let Some((address, _)) = text.strip_prefix("0x").and_then(|rest| rest.split_once(':')) {
            let address = u64::from_str_radix(address, 16).context("an instruction's address")?;
            let first = *block.get_or_insert_with(|| {
                lengths.insert(address, 0);
                address
            });
            *lengths.entry(first).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_those_of_the_blocks_that_ran_as_often_as_they_ran() {
        let log = "----------------\nIN: \n0x0103cd50:  d280001d  movz     x29, #0\n0x0103cd54:  d280001e  movz\n\n\
                   Trace 0: 0x7fe1 [0000000001009331/000000000103cd50/00000001/00000200] \n\
                   ----------------\nIN: main\n0x0103cd58:  910003e0  mov      x0, sp\n\n\
                   Trace 0: 0x7fe2 [0000000001009331/000000000103cd58/00000001/00000200] main\n\
                   Trace 0: 0x7fe1 [0000000001009331/000000000103cd50/00000001/00000200] \n";
        assert_eq!(instructions(log.as_bytes()).unwrap(), 2 + 1 + 2);
        assert!(instructions("Trace 0: 0x1 [0/2/3/4]\n".as_bytes()).is_err());
    }
}
