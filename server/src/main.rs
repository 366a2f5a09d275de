//! `inuse-server`: a thin shell around the library.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use daemon::{Context, Exit};
use server::commands::{self, Installing};
use server::compose::Server;
use server::config::ServerConfig;

/// Takes usage proofs, records them, and shows what they say.
#[derive(Debug, Parser)]
#[command(name = "inuse-server", version)]
struct Cli {
    /// The configuration.
    #[arg(long, global = true, default_value = "/etc/inuse/server.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs until SIGTERM.
    Run,
    /// Firms and their tokens.
    #[command(subcommand)]
    Project(Project),
    /// Gateways' keys.
    #[command(subcommand)]
    Agent(Agent),
    /// Writes a firm's evidence into one file that `inuse-verify` checks without a network. Safe while the server runs.
    Bundle {
        /// Id of the firm.
        id: String,
        /// The file, which must not exist yet; its name ends in .inuse by custom.
        #[arg(long)]
        out: PathBuf,
        /// An opening that its gateway gave; may be named several times.
        #[arg(long, value_name = "FILE")]
        opening: Vec<PathBuf>,
    },
    /// Prints the whole effective configuration.
    Config,
    /// Says all that is wrong with configuration, profiles and firms.
    Check,
}

#[derive(Debug, Subcommand)]
enum Project {
    /// Begins a firm's file where there is none and prints a token that enrols one agent, once, within seven days.
    Add {
        /// Id of the firm: the file's name.
        id: String,
        /// Name of the firm, in Chinese.
        #[arg(long, default_value = "未命名企业")]
        name: String,
        /// Who is to install the gateway, for everybody who reads the firm's page.
        #[arg(long, default_value = "")]
        installer: String,
        /// Id of a gateway of the firm in whose place the new one comes.
        #[arg(long, requires = "reason")]
        replaces: Option<String>,
        /// Why it is replaced, for everybody who reads the firm's page.
        #[arg(long, requires = "replaces")]
        reason: Option<String>,
    },
    /// Prints a new code by which the firm confirms its gateways: for its representative, not for the provider.
    Code {
        /// Id of the firm.
        id: String,
    },
    /// Lists projects with agents or tokens.
    List,
}

#[derive(Debug, Subcommand)]
enum Agent {
    /// Lists gateways, and who has confirmed them.
    List,
    /// Confirms a gateway's key for the city; for the firm, where its code is given. Until both have, what it sends is
    /// recorded and decides nothing.
    Confirm {
        /// Its id, as `list` prints it.
        id: String,
        /// The six words that the gateway itself shows (`inuse-agent status`), Chinese or English.
        #[arg(long)]
        words: String,
        /// Who has compared them.
        #[arg(long)]
        name: String,
        /// The firm's code (`project code`).
        #[arg(long)]
        firm_code: Option<String>,
    },
    /// No longer believes an agent: a gateway that was stolen, or whose installer left. What has its receipt stays.
    Revoke {
        /// Its id, as on the firm's page.
        id: String,
        /// Why, for everybody who reads the firm's page.
        #[arg(long)]
        reason: String,
    },
}

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
    daemon::run("inuse-server", async |context| perform(cli, context).await)
}

async fn perform(cli: Cli, context: Context) -> anyhow::Result<Exit> {
    let config = ServerConfig::load(&cli.config)?;
    let clock = context.clock();
    match cli.command {
        Command::Run => {
            let server = Server::build(config, clock).await?;
            context.service().ready("running");
            server.run(context.stop()).await?;
        }
        Command::Project(Project::Add { id, name, installer, replaces, reason }) => {
            let installing = Installing { installer, replaces: replaces.zip(reason) };
            let added = commands::add_project(&config, &id, &name, &installing, &*clock)?;
            if let Some(path) = &added.begun {
                tracing::info!(file = %path.display(), "firm's file begun: fill it in");
            }
            say(&format!("{}\n", added.token))?;
        }
        Command::Project(Project::Code { id }) => {
            say(&format!("{}\n", commands::firm_code(&config, &id, &*clock)?))?;
        }
        Command::Agent(Agent::List) => say(&commands::list_agents(&config)?)?,
        Command::Agent(Agent::Confirm { id, words, name, firm_code }) => {
            let code = firm_code.as_deref();
            say(&commands::confirm_agent(&config, &id, &words, &name, code, &*clock)?)?;
        }
        Command::Project(Project::List) => say(&commands::list_projects(&config, &*clock)?)?,
        Command::Agent(Agent::Revoke { id, reason }) => {
            say(&commands::revoke_agent(&config, &id, &reason, &*clock)?)?;
        }
        Command::Bundle { id, out, opening } => {
            say(&server::bundle::make(&config, &id, &opening, &out, &clock)?.to_string())?;
        }
        Command::Config => say(&config.to_string())?,
        Command::Check => say(&commands::check(&config)?)?,
    }
    Ok(Exit::Ok)
}

fn say(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
