//! `inuse-witness`: a thin shell around the library.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use daemon::{Bounds, Context, Door, Exit, files};
use proof::SigningKey;
use proof::policy::Cosigner;
use witness::{Memory, Witness, WitnessConfig, router};

/// Cosigns the checkpoints of transparency logs (C2SP tlog-witness), each only when it goes on from the one before.
#[derive(Debug, Parser)]
#[command(name = "inuse-witness", version)]
struct Cli {
    /// The configuration.
    #[arg(long, global = true, default_value = "/etc/inuse/witness.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs until SIGTERM.
    Run,
    /// Prints the verifier key for policies; makes the key where there is none.
    Key,
    /// Lists pairs of checkpoints that show that a log has lied; ends with 1 when there are any.
    Lies,
}

/// What the listener gives.
const BOUNDS: Bounds = Bounds { connections: 64, longest: Duration::from_secs(600), keep_alive: true };

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            // A closed terminal leaves nobody to tell.
            drop(error.print());
            return code.into();
        }
    };
    daemon::log_to_stderr(tracing::Level::INFO);
    daemon::run("inuse-witness", async |context| perform(cli, context).await)
}

async fn perform(cli: Cli, context: Context) -> anyhow::Result<Exit> {
    let config = WitnessConfig::load(&cli.config)?;
    let memory = Memory::open(&config.data)?;
    match cli.command {
        Command::Run => {
            let witness = Witness::new(cosigner(&config)?, &config.logs, memory, context.clock());
            let door = Door::bind("witness", config.listen, None, BOUNDS).await;
            let door = door.with_context(|| format!("could not listen on {}", config.listen))?;
            context.service().ready("running");
            door.serve(router(Arc::new(witness)), context.stop()).await?;
            Ok(Exit::Ok)
        }
        Command::Key => {
            say(&format!("{}\n", cosigner(&config)?.public().text()))?;
            Ok(Exit::Ok)
        }
        Command::Lies => {
            let lies = memory.lies()?;
            say(&lies.iter().map(|path| format!("{}\n", path.display())).collect::<String>())?;
            Ok(if lies.is_empty() { Exit::Ok } else { Exit::Failed })
        }
    }
}

/// The key, made at first start and kept: a policy names it.
fn cosigner(config: &WitnessConfig) -> anyhow::Result<Cosigner> {
    let path = config.data.join("witness.key");
    let seed = files::secret_or_new(&path).with_context(|| format!("could not keep {}", path.display()))?;
    Cosigner::new(&config.name, SigningKey::from_seed(&seed)).context("the name cannot be a key's")
}

fn say(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
