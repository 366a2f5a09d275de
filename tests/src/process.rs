//! The shipped programs as processes of their own: started, asked, told to stop, killed.
//!
//! They are looked for in the folder named by `INUSE_PROGRAMS`, else in the target directory this test was built in;
//! `cargo xtask test` builds them first. Nothing is built here. A process that is dropped is killed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};

/// How long anything that is waited for may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Time between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(50);

/// Lets libraries in this process log to standard error when `INUSE_LOG` is set, as it is for the programs.
pub fn log_when_asked() {
    if std::env::var_os("INUSE_LOG").is_some() {
        daemon::log_to_stderr(tracing::Level::INFO);
    }
}

/// The path of a shipped program.
///
/// # Errors
/// When it was not built.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let folder = match std::env::var_os("INUSE_PROGRAMS") {
        Some(folder) => PathBuf::from(folder),
        None => {
            // <target>/<profile>/deps/<test>
            let own = std::env::current_exe()?;
            own.ancestors().nth(2).context("a test is in a target directory")?.to_owned()
        }
    };
    let path = folder.join(name);
    ensure!(
        path.is_file(),
        "{} is not there: run `cargo xtask test`, or `cargo build --bins` first",
        path.display()
    );
    Ok(path)
}

/// What a command that ended by itself did.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

/// One of our programs, and what stands before its arguments.
#[derive(Debug, Clone)]
pub struct Program {
    name: String,
    words: Vec<OsString>,
}

impl Program {
    /// A program as it is built for this machine.
    ///
    /// # Errors
    /// When it was not built.
    pub fn shipped(name: &str) -> anyhow::Result<Self> {
        Ok(Self { name: name.to_owned(), words: vec![program(name)?.into()] })
    }

    /// A program of another machine, run by an emulator with these options.
    ///
    /// # Errors
    /// When one of the two is not there.
    pub fn emulated(emulator: PathBuf, options: &[&str], program: PathBuf) -> anyhow::Result<Self> {
        for path in [&emulator, &program] {
            ensure!(path.is_file(), "{} is not there: run `cargo xtask test`", path.display());
        }
        let name = program.file_name().map(|name| name.to_string_lossy().into_owned());
        let options = options.iter().map(|option| OsString::from(*option));
        let words = std::iter::once(emulator.into()).chain(options).chain([program.into()]).collect();
        Ok(Self { name: name.unwrap_or_default(), words })
    }

    /// A program that is called by these words; `name` is for messages.
    pub fn of(name: &str, words: Vec<OsString>) -> Self {
        Self { name: name.to_owned(), words }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        command
    }

    /// Runs a command of the program to its end, within the patience of a test.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub async fn run(&self, args: &[&str], config: &Path) -> anyhow::Result<Ended> {
        let config = config.display().to_string();
        let args: Vec<_> = args.iter().copied().chain(["--config", &config]).collect();
        self.run_alone(&args).await
    }

    /// As [`Program::run`], for a program without a configuration.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub async fn run_alone(&self, args: &[&str]) -> anyhow::Result<Ended> {
        let name = &self.name;
        let mut command = self.command();
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        let ran = tokio::time::timeout(PATIENCE, command.output());
        let ran = ran.await.with_context(|| format!("{name} {args:?} does not end"))??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ended { code: ran.status.code(), out: text(&ran.stdout), err: text(&ran.stderr) })
    }

    /// As [`Program::run`], for a command that must end well; returns what it printed.
    ///
    /// # Errors
    /// As [`Program::run`], and when it ends in another way.
    pub async fn output(&self, args: &[&str], config: &Path) -> anyhow::Result<String> {
        let (name, ended) = (&self.name, self.run(args, config).await?);
        ensure!(
            ended.code == Some(0),
            "{name} {args:?} ended with {:?}: {}{}",
            ended.code,
            ended.out,
            ended.err
        );
        Ok(ended.out)
    }

    /// Starts `<program> run --config <config>`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, config: &Path) -> anyhow::Result<Process> {
        let mut command = self.command();
        command.arg("run").arg("--config").arg(config);
        Process::spawn(&self.name, command, &config.with_extension("log"))
    }
}

/// Runs a command of a shipped program to its end, as [`Program::run`].
///
/// # Errors
/// As [`Program::run`], and when it was not built.
pub async fn run(name: &str, args: &[&str], config: &Path) -> anyhow::Result<Ended> {
    Program::shipped(name)?.run(args, config).await
}

/// As [`run`], for a command that must end well; returns what it printed.
///
/// # Errors
/// As [`run`], and when it ends in another way.
pub async fn output(name: &str, args: &[&str], config: &Path) -> anyhow::Result<String> {
    Program::shipped(name)?.output(args, config).await
}

/// A program that runs until it is told to stop. What it says is appended to a file beside its configuration.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts any command; its standard error is appended to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let said = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("could not start {name}"))?;
        Ok(Self { child, name: name.to_owned(), log: log.to_owned() })
    }

    /// What it has said so far, it and those before it with the same file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn said(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }

    /// Its id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn id(&self) -> anyhow::Result<u32> {
        self.child.id().with_context(|| format!("{} has ended by itself:\n{}", self.name, self.tail()))
    }

    /// Waits until somebody accepts connections at an address, and no longer than it runs.
    ///
    /// # Errors
    /// When nobody does, or it has ended; with what it said last.
    pub async fn listens(&mut self, address: &str) -> anyhow::Result<()> {
        let came = tokio::select! {
            came = listens(address) => came,
            ended = self.child.wait() => Err(anyhow::anyhow!("it has ended: {}", ended?)),
        };
        came.with_context(|| format!("{} does not listen on {address}:\n{}", self.name, self.tail()))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn runs(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// SIGTERM, then its good end.
    ///
    /// # Errors
    /// When it does not end, or not well.
    pub async fn terminate(mut self) -> anyhow::Result<()> {
        let pid = self.id()?;
        let told = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        ensure!(told.success(), "could not signal {}", self.name);
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let ended = ended.with_context(|| format!("{} does not stop:\n{}", self.name, self.tail()))??;
        ensure!(ended.success(), "{} ended with {ended}:\n{}", self.name, self.tail());
        Ok(())
    }

    /// `kill -9`: it gets to do nothing more.
    ///
    /// # Errors
    /// When it had ended before.
    pub async fn kill_9(mut self) -> anyhow::Result<()> {
        ensure!(self.runs()?, "{} has ended by itself:\n{}", self.name, self.tail());
        self.child.kill().await?;
        Ok(())
    }

    fn tail(&self) -> String {
        let said = self.said().unwrap_or_default();
        let lines: Vec<_> = said.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// Looks again and again until there is something to see, and returns it.
///
/// # Errors
/// When a look fails, or there is nothing to see within the patience of a test.
pub async fn until<T, L>(what: &str, mut look: impl FnMut() -> L) -> anyhow::Result<T>
where
    L: Future<Output = anyhow::Result<Option<T>>>,
{
    let looking = async {
        loop {
            if let Some(seen) = look().await? {
                return anyhow::Ok(seen);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(seen) => seen.with_context(|| format!("while waiting until {what}")),
        Err(_) => bail!("waited {} s until {what}", PATIENCE.as_secs()),
    }
}

/// An address of loopback that was free a moment ago, for a program that must be found again after a restart.
///
/// # Errors
/// When the system has none.
pub fn free_address() -> anyhow::Result<String> {
    // Below the ports that the system gives to those who connect: one of them would take it while the program is down.
    // What was given is nobody else's, whether or not a program listens there now.
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    for _ in 0..100 {
        let port = 20_000 + u16::try_from(RandomState::new().hash_one(0) % 12_000)?;
        if !GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            continue;
        }
        if let Ok(free) = TcpListener::bind(("127.0.0.1", port)) {
            return Ok(free.local_addr()?.to_string());
        }
    }
    bail!("no port from 20000 on is free")
}

/// Waits until somebody accepts connections there.
///
/// # Errors
/// When nobody does.
pub async fn listens(address: &str) -> anyhow::Result<()> {
    until(&format!("somebody listens on {address}"), || async {
        Ok(tokio::net::TcpStream::connect(address).await.ok().map(drop))
    })
    .await
}
