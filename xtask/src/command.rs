//! Runs other programs: said aloud, without standard input, from the root of the checkout.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};

use anyhow::{Context as _, bail};

use crate::tree;

/// One call of another program.
pub(crate) struct Command {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

impl Command {
    /// The program by its name on the path, or by a path from the root of the checkout.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self { program: program.as_ref().to_owned(), args: Vec::new(), env: Vec::new() }
    }

    /// The cargo that called us.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Runs it; what it prints goes where ours goes.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        println!("$ {}", self.line());
        let status = self.prepare().status().with_context(|| format!("could not start {}", self.line()))?;
        self.judge(status)
    }

    /// Runs it and shows its standard output line by line, giving each line to `see` as well.
    pub(crate) fn run_seeing(self, mut see: impl FnMut(&str)) -> anyhow::Result<()> {
        println!("$ {}", self.line());
        let mut child = self
            .prepare()
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", self.line()))?;
        let output = child.stdout.take().expect("standard output was piped");
        let mut stdout = std::io::stdout().lock();
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("could not read its output")?;
            let line = String::from_utf8_lossy(&line);
            writeln!(stdout, "{line}")?;
            see(&line);
        }
        drop(stdout);
        let status = child.wait()?;
        self.judge(status)
    }

    /// Runs it quietly and returns what it wrote to standard output; standard error is shown.
    pub(crate) fn output(self) -> anyhow::Result<String> {
        let output = self
            .prepare()
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("could not start {}", self.line()))?;
        self.judge(output.status)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it quietly and returns what it wrote to standard error, whether it ends well or not.
    pub(crate) fn complaints(self) -> anyhow::Result<String> {
        let output = self.prepare().output().with_context(|| format!("could not start {}", self.line()))?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Whether it can be started and ends well, without a word.
    pub(crate) fn works(self) -> bool {
        self.prepare()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn prepare(&self) -> process::Command {
        let mut command = process::Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().map(|(k, v)| (k, v)));
        // A relative program (`cross/build.sh`) is one of ours.
        command.current_dir(tree::root()).stdin(Stdio::null());
        command
    }

    fn judge(&self, status: process::ExitStatus) -> anyhow::Result<()> {
        if status.success() {
            return Ok(());
        }
        bail!("`{}` failed ({status})", self.line())
    }

    fn line(&self) -> String {
        let mut line = String::new();
        for (name, value) in &self.env {
            line.push_str(&format!("{}={} ", name.to_string_lossy(), value.to_string_lossy()));
        }
        let program = Path::new(&self.program).file_name().unwrap_or(&self.program);
        line.push_str(&program.to_string_lossy());
        for arg in &self.args {
            line.push(' ');
            line.push_str(&arg.to_string_lossy());
        }
        line
    }
}

/// The program's full path, when it is on the path or in one of the folders of the system's own programs.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}
