//! What the gateway's programs cost: builds them and the measuring example, and runs it.

use anyhow::{Context as _, bail};

use crate::command::{Command, find};
use crate::tree;

/// What is measured when nothing is named.
const NAMES: [&str; 3] = ["armv7", "aarch64", "x86_64"];

/// `arguments` are names, `--minutes N` and `--load N`.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
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
