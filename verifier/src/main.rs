//! `inuse-verify`: a bundle, or envelope and receipt, in; yes, no or incomplete out.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use proof::policy::Policy;
use verifier::bundle::{Known, Mark, Report};
use verifier::{Evidence, verify};

/// Checks an evidence bundle, or one envelope with its receipt, offline.
///
/// Exit code 0: valid. 1: invalid. 2: valid as far as it goes, and something needed was not given. 64: usage.
#[derive(Debug, Parser)]
#[command(name = "inuse-verify", version)]
struct Cli {
    /// The bundle (.inuse), or the envelope as downloaded.
    evidence: PathBuf,
    /// Its receipt, as downloaded.
    #[arg(long)]
    receipt: Option<PathBuf>,
    /// The gateway's public key as enrolled, 64 hex digits.
    #[arg(long)]
    key: Option<String>,
    /// The log's verifier key (name+hash+key), or a file that holds it.
    #[arg(long)]
    log_key: Option<String>,
    /// A file with a policy (C2SP tlog-policy): the log's key, its witnesses, and how many of them. For a bundle.
    #[arg(long, conflicts_with = "log_key")]
    policy: Option<PathBuf>,
    /// The window's use rows, as downloaded.
    #[arg(long)]
    use_rows: Option<PathBuf>,
    /// A past reading or record that the gateway opened.
    #[arg(long)]
    opening: Option<PathBuf>,
    /// Language of what is said of a bundle.
    #[arg(long, default_value = "zh")]
    lang: Lang,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Lang {
    Zh,
    En,
}

/// Wrong command line or unreadable file, after sysexits.h.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            // A closed terminal leaves nobody to tell.
            drop(error.print());
            return if usage { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match run(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            drop(writeln!(std::io::stderr(), "inuse-verify: {error:#}"));
            ExitCode::from(USAGE)
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<u8> {
    let log_key = match &cli.log_key {
        Some(text) if text.contains('+') => Some(text.clone()),
        Some(path) => Some(String::from_utf8(read(Path::new(path))?).context("--log-key is not text")?),
        None => None,
    };
    let evidence = read_up_to(&cli.evidence, MAX_BUNDLE)?;
    if verifier::bundle::is_bundle(&evidence) {
        let alone = cli.receipt.is_none() && cli.key.is_none() && cli.use_rows.is_none();
        anyhow::ensure!(
            alone && cli.opening.is_none(),
            "a bundle has receipts, keys and openings of its own: give --log-key or --policy alone"
        );
        let policy = cli.policy.as_deref().map(policy).transpose()?;
        let known = match (&policy, &log_key) {
            (Some(policy), _) => Known::Policy(policy),
            (None, Some(log_key)) => Known::LogKey(log_key),
            (None, None) => Known::Nothing,
        };
        return say(&verifier::bundle::check(&evidence, known), cli.lang);
    }
    anyhow::ensure!(cli.policy.is_none(), "--policy is for a bundle: give --log-key");
    let envelope = evidence;
    let receipt = cli.receipt.as_deref().map(read).transpose()?;
    let use_rows = cli.use_rows.as_deref().map(read).transpose()?;
    let opening = cli.opening.as_deref().map(read).transpose()?;
    let key = cli
        .key
        .as_ref()
        .map(|hex| data_encoding::HEXLOWER_PERMISSIVE.decode(hex.trim().as_bytes()))
        .transpose()
        .context("--key is not hex")?;
    let answer = verify(&Evidence {
        envelope: &envelope,
        receipt: receipt.as_deref(),
        key: key.as_deref(),
        log_key: log_key.as_deref(),
        use_rows: use_rows.as_deref(),
        opening: opening.as_deref(),
    });
    let mut out = std::io::stdout().lock();
    for step in &answer.steps {
        match &step.outcome {
            Some(Ok(shown)) => writeln!(out, "ok      {}: {shown}", step.what)?,
            Some(Err(why)) => writeln!(out, "FAILED  {}: {why}", step.what)?,
            None => writeln!(out, "missing {}: not given, not checked", step.what)?,
        }
    }
    for (name, value) in &answer.contents {
        writeln!(out, "        {name}: {value}")?;
    }
    writeln!(out, "{}", answer.verdict)?;
    Ok(answer.verdict.exit_code())
}

/// The policy in a file; all that is wrong with it at once.
fn policy(path: &Path) -> anyhow::Result<Policy> {
    let text = String::from_utf8(read(path)?).with_context(|| format!("{} is not text", path.display()))?;
    Policy::parse(&text).map_err(|wrong| {
        let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{} is no policy: {}", path.display(), wrong.join("; "))
    })
}

/// What was found of a bundle, a line each.
fn say(report: &Report, lang: Lang) -> anyhow::Result<u8> {
    let mut out = std::io::stdout().lock();
    for line in &report.lines {
        let text = match lang {
            Lang::Zh => &line.zh,
            Lang::En => &line.en,
        };
        writeln!(out, "{} {text}", column(line.mark, lang))?;
    }
    writeln!(out, "{}", report.verdict)?;
    Ok(report.verdict.exit_code())
}

/// A mark's word, as wide as the widest; a Han character is two columns.
fn column(mark: Mark, lang: Lang) -> String {
    match lang {
        Lang::Zh => format!("{}{}", mark.zh(), "  ".repeat(4 - mark.zh().chars().count())),
        Lang::En => format!("{:<11}", mark.en()),
    }
}

/// Longest bundle read, bytes: 180 days of some gateways are less than a tenth of it.
const MAX_BUNDLE: u64 = 1 << 30;

/// Longest other file read, bytes: nothing that is checked here is larger.
const MAX_FILE: u64 = 4 << 20;

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_up_to(path, MAX_FILE)
}

fn read_up_to(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let doing = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .with_context(doing)?;
    let fits = bytes.len() as u64 <= most;
    anyhow::ensure!(fits, "{} is larger than anything that can be checked", path.display());
    Ok(bytes)
}
