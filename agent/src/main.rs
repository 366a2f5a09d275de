//! `inuse-agent`: the daemon and the installer's commands.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use agent::{Agent, AgentConfig, Identity, Watched};
use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};
use daemon::{Context, Exit};

mod hand;
#[cfg(feature = "opcua")]
mod opcua;
mod print;

/// Watches devices and business systems, read-only, and reports signed usage proofs.
#[derive(Debug, Parser)]
#[command(name = "inuse-agent", version)]
struct Cli {
    /// The configuration file.
    #[arg(long, short, global = true, default_value = "/etc/inuse/agent.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Turn a one-time token into this gateway's certificate.
    Enrol {
        /// Enrolment address of the server, host:port.
        #[arg(long)]
        server: String,
        /// The token printed by `inuse-server project add`; `-` reads it from standard input.
        #[arg(long)]
        token: String,
        /// Do not ask for confirmation.
        #[arg(long)]
        yes: bool,
    },
    /// Collect, seal and report until stopped.
    Run,
    /// Check the configuration and what it needs; says everything that is wrong.
    Check,
    /// Show what a running agent knows of itself.
    Status {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
        /// Again every two seconds, until Ctrl-C.
        #[arg(long, conflicts_with = "json")]
        watch: bool,
    },
    /// Make a running agent log more or less, until its next start.
    Log {
        /// error, warn, info, debug or trace, or rules such as "info,collectors=debug".
        rules: String,
    },
    /// For whoever helps from afar.
    #[command(subcommand)]
    Diag(Diag),
    /// Install a newer package, and go back when the agent does not do afterwards what it did before.
    Update {
        /// .deb, .rpm or .tar.gz, with SHA256SUMS and SHA256SUMS.minisig beside it.
        #[arg(required_unless_present = "resume")]
        package: Option<PathBuf>,
        /// Finish an update that was interrupted, by a power cut for one; the service manager does it at each start.
        #[arg(long, conflicts_with_all = ["package", "previous"])]
        resume: bool,
        /// The package of the installed version, where an earlier update has not kept it.
        #[arg(long)]
        previous: Option<PathBuf>,
        /// minisign's public key of the releases.
        #[arg(long, default_value = agent::update::RELEASE_KEY)]
        key: PathBuf,
        /// Seconds the new agent may take until it does what the old one did: 30 to 3,600; 180 when absent, 600 after a
        /// start.
        #[arg(long, value_parser = clap::value_parser!(u64).range(30..=3_600))]
        wait: Option<u64>,
    },
    /// Ask one source once and show what it answers. Nothing is recorded.
    Probe {
        /// Name of the source in the manifest; all of them when absent.
        source: Option<String>,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Look at a log that nobody has described yet: guess encoding, parser and time zone, show ten records and the lines
    /// that were not understood, and print what to paste into the manifest. Nothing is recorded.
    #[cfg(feature = "log")]
    Sample {
        /// The log file, or a pattern of which the newest is looked at.
        file: PathBuf,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show an OPC UA server's certificate and pin it in the manifest.
    #[cfg(feature = "opcua")]
    Trust(opcua::Trust),
    /// Look around in an OPC UA server: what there is, and what the manifest would say. Nothing is recorded.
    #[cfg(feature = "opcua")]
    Browse(opcua::Browse),
    /// Ask a line by hand, slowly, which units are on it, or one unit which registers it has.
    #[cfg(feature = "modbus")]
    Scan(hand::Scan),
    /// Show a block of registers under every type and order, and which of them look plausible.
    #[cfg(feature = "modbus")]
    Decode(hand::Decode),
    /// Show a past window, find a record in it, and open one of its leaves for somebody who has the window's proof.
    Show(hand::Show),
    /// Compute a day's sums again from the raw data, and say whether they are what the chain has.
    Sums(hand::Sums),
    /// Say what a silence, a gap or a stretch of time was: a statement in the chain, which changes nothing in it.
    Label(hand::Label),
    /// Show what every source said was there when this gateway enrolled; its hash stands in the city's log.
    Baseline(hand::Baseline),
    /// Sign with another key from now on; the chain says so, and the old key goes when that is receipted.
    RotateKey,
    /// Show what reading costs each source: questions, bytes, share of its time.
    Load(hand::Load),
    /// Ask for everything, show what is read, write the configuration, enrol, and print the installation record.
    #[cfg(feature = "setup")]
    Setup {
        /// Language of the questions.
        #[arg(long, default_value = "zh")]
        lang: Lang,
        /// Take the answers from this file, one a line, instead of standard input.
        #[arg(long)]
        answers: Option<PathBuf>,
        /// Ask on a page in a browser instead, served at this address alone, such as 127.0.0.1:8080 or that of the
        /// cable that you are on.
        #[cfg(feature = "setup-page")]
        #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "answers")]
        page: Option<std::net::SocketAddr>,
    },
    /// Print the whole effective configuration.
    Config,
}

#[cfg(feature = "setup")]
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Lang {
    Zh,
    En,
}

#[derive(Debug, Subcommand)]
enum Diag {
    /// Put into one archive what helps to understand a gateway; keys, passwords and raw data stay out.
    Collect {
        /// Where to: a file that does not exist yet.
        #[arg(long, default_value = "inuse-diag.tar")]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            // A closed terminal leaves nobody to tell.
            drop(error.print());
            return if usage { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    daemon::log_to_stderr(tracing::Level::INFO);
    // Before any thread: who reads what the service will read, reads as the service.
    if matches!(cli.command, Command::Check | Command::Probe { .. } | Command::Load(_)) {
        let said = match agent::read_as_owner(&cli.config) {
            Ok(None) => Ok(()),
            Ok(Some(user)) => {
                print::err(&format!("reading as {user}, to whom the state directory belongs\n"))
            }
            Err(error) => {
                print::err(&format!("inuse-agent: reading as root, and not as the service: {error}\n"))
            }
        };
        // A closed standard error leaves nobody to tell.
        drop(said);
    }
    daemon::run("inuse-agent", async |ctx| match cli.command {
        Command::Enrol { server, token, yes } => enrol(&cli.config, &server, &token, yes, &ctx).await,
        Command::Run => run(&cli.config, ctx).await,
        Command::Check => check(&cli.config),
        Command::Status { json, watch: false } => status(&cli.config, json).await,
        Command::Status { watch: true, .. } => watch(&cli.config, &ctx).await,
        Command::Log { rules } => log(&cli.config, &rules).await,
        Command::Diag(Diag::Collect { out }) => {
            let held = agent::diag::collect(&cli.config, &out, ctx.clock().stamp()).await?;
            print::out(&format!("{}:\n{held}", out.display()))?;
            Ok(Exit::Ok)
        }
        Command::Update { package: None, wait, .. } => {
            let patience = wait.map_or(agent::update::AFTER_START, Duration::from_secs);
            print::out(&agent::update::resume(patience).await?)?;
            Ok(Exit::Ok)
        }
        Command::Update { package: Some(package), previous, key, wait, .. } => {
            let (config, _) = AgentConfig::load(&cli.config)?;
            let patience = wait.map_or(agent::update::PATIENCE, Duration::from_secs);
            let socket = config.status_socket();
            let update = agent::update::Update { package, previous, key, patience, socket };
            print::out(&agent::update::run(&update).await?)?;
            Ok(Exit::Ok)
        }
        Command::Probe { source, json } => probe(&cli.config, source.as_deref(), json).await,
        #[cfg(feature = "log")]
        Command::Sample { file, json } => {
            // Parsers of the manifest's own count, where there is one.
            let manifest = AgentConfig::load(&cli.config).map_or(cli.config, |(config, _)| config.manifest);
            let sample = collectors::log::sample::sample(&file, manifest.parent())?;
            print::out(&if json { print::sample::json(&sample) } else { print::sample::text(&sample) })?;
            Ok(if sample.parser.is_some() { Exit::Ok } else { Exit::No })
        }
        #[cfg(feature = "opcua")]
        Command::Trust(asked) => opcua::trust(&cli.config, &asked, ctx.clock().stamp().wall_ms).await,
        #[cfg(feature = "opcua")]
        Command::Browse(asked) => opcua::browse(&cli.config, &asked).await,
        #[cfg(feature = "modbus")]
        Command::Scan(scan) => scan.run(&cli.config, &ctx).await,
        #[cfg(feature = "modbus")]
        Command::Decode(decode) => decode.run(&cli.config, &ctx).await,
        Command::Load(load) => load.run(&cli.config, &ctx).await,
        Command::Label(label) => label.run(&cli.config, &ctx).await,
        Command::Baseline(asked) => asked.run(&cli.config).await,
        Command::RotateKey => hand::rotate_key(&cli.config, &ctx).await,
        Command::Sums(sums) => sums.run(&cli.config).await,
        Command::Show(show) => show.run(&cli.config).await,
        #[cfg(feature = "setup")]
        Command::Setup {
            lang,
            answers,
            #[cfg(feature = "setup-page")]
            page,
        } => {
            use agent::setup::{self, Answers, Setup};
            let lang = match lang {
                Lang::Zh => setup::Lang::Zh,
                Lang::En => setup::Lang::En,
            };
            let answers = answers.map_or(Answers::Input, Answers::File);
            #[cfg(feature = "setup-page")]
            let answers = page.map_or(answers, Answers::Page);
            Setup { config: cli.config, lang, answers, clock: ctx.clock(), stop: ctx.stop() }.run().await
        }
        Command::Config => {
            let (config, _) = AgentConfig::load(&cli.config)?;
            print::out(&config.to_toml())?;
            Ok(Exit::Ok)
        }
    })
}

async fn run(config: &std::path::Path, ctx: Context) -> anyhow::Result<Exit> {
    let (config, manifest) = AgentConfig::load(config)?;
    let agent = Agent::build(config, manifest, ctx.clock())?;
    agent.run(ctx.stop(), ctx.service()).await?;
    Ok(Exit::Ok)
}

fn check(config: &std::path::Path) -> anyhow::Result<Exit> {
    let (config, manifest) = AgentConfig::load(config)?;
    let identity = Identity::load(&config.state_dir)
        .context("configuration and manifest are good, but this gateway cannot report yet")?;
    print::out(&print::checked(&config, &manifest, &identity))?;
    Ok(Exit::Ok)
}

async fn status(config: &std::path::Path, json: bool) -> anyhow::Result<Exit> {
    let (config, _) = AgentConfig::load(config)?;
    let socket = config.status_socket();
    let status = agent::status::ask(&socket).await.with_context(|| no_answer(&socket))?;
    let text = if json { serde_json::to_string(&status)? + "\n" } else { print::status(&status) };
    print::out(&text)?;
    Ok(if status.healthy { Exit::Ok } else { Exit::No })
}

fn no_answer(socket: &std::path::Path) -> String {
    format!("no agent answers on {} (it runs? it tells root and its own user only)", socket.display())
}

/// The status again and again, in the place of the one before.
async fn watch(config: &std::path::Path, ctx: &Context) -> anyhow::Result<Exit> {
    let (config, _) = AgentConfig::load(config)?;
    let (socket, stop) = (config.status_socket(), ctx.stop());
    loop {
        let text = match agent::status::ask(&socket).await {
            Ok(status) => print::status(&status),
            Err(error) => format!("{}: {error}\n", no_answer(&socket)),
        };
        print::out(&format!("\x1b[H\x1b[2J{text}"))?;
        tokio::select! {
            () = stop.cancelled() => return Ok(Exit::Ok),
            () = tokio::time::sleep(std::time::Duration::from_secs(2)) => {}
        }
    }
}

async fn log(config: &std::path::Path, rules: &str) -> anyhow::Result<Exit> {
    let (config, _) = AgentConfig::load(config)?;
    let socket = config.status_socket();
    agent::status::set_log(&socket, rules)
        .await
        .with_context(|| format!("could not change what the agent on {} logs", socket.display()))?;
    Ok(Exit::Ok)
}

async fn probe(config_file: &std::path::Path, name: Option<&str>, json: bool) -> anyhow::Result<Exit> {
    let (config, manifest) = AgentConfig::load(config_file)?;
    let sources: Vec<_> = match name {
        Some(name) => vec![
            manifest.source_named(name).with_context(|| format!("the manifest has no source `{name}`"))?,
        ],
        None => manifest.sources.iter().collect(),
    };
    let (mut all_well, mut shown) = (true, Vec::new());
    for source in sources {
        #[cfg(feature = "modbus")]
        hand::ensure_free_for(config_file, source).await?;
        let probed = collectors::probe(source, &config.state_dir).await;
        all_well &= probed.as_ref().is_ok_and(|probe| {
            probe.refused.is_none() && probe.points.iter().all(|point| point.reading.value.is_some())
        });
        if json {
            shown.push(print::probe_json(source, &probed));
        } else {
            print::out(&print::probe(source, &probed))?;
        }
    }
    if json {
        print::out(&format!("{}\n", serde_json::json!({ "sources": shown })))?;
    }
    agent::give_to_owner(&config.state_dir)?;
    Ok(if all_well { Exit::Ok } else { Exit::No })
}

async fn enrol(
    config: &std::path::Path,
    server: &str,
    token: &str,
    yes: bool,
    ctx: &Context,
) -> anyhow::Result<Exit> {
    let (config, manifest) = AgentConfig::load(config)?;
    let piped = token == "-" && !std::io::stdin().is_terminal();
    if !yes {
        ensure!(
            !piped,
            "standard input gives the token and cannot answer the question as well: add --yes, which answers it"
        );
        let sources = manifest.sources.len();
        print::out(&format!(
            "enrol this gateway at {server}\n  state: {}\n  watches: {sources} sources, read-only\nGo on? [y/N] ",
            config.state_dir.display()
        ))?;
        if !matches!(read_line()?.as_str(), "y" | "Y" | "yes") {
            print::out("nothing was done\n")?;
            return Ok(Exit::No);
        }
    }
    let token = match token {
        "-" if piped => read_line()?,
        "-" => {
            print::out("token: ")?;
            read_line()?
        }
        token => token.to_owned(),
    };
    let enrolment = {
        let watched = Watched { manifest: &manifest, now_ms: ctx.clock().stamp().wall_ms };
        print::out(&format!("asking {} sources what is there\n", manifest.sources.len()))?;
        agent::enrol(&config.state_dir, server, token.trim(), Some(watched)).await?
    };
    agent::give_to_owner(&config.state_dir)?;
    print::out(&format!(
        "enrolled\n  agent:   {}\n  key:     {}\n  project: {}\n  words:   {}\n\
         Firm and city compare these six words and confirm them; before both have, what this gateway sends is \
         recorded and decides nothing.\n",
        enrolment.agent, enrolment.kid, enrolment.project, enrolment.words
    ))?;
    Ok(Exit::Ok)
}

fn read_line() -> anyhow::Result<String> {
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("nothing to read from standard input")?;
    Ok(line.trim().to_owned())
}
