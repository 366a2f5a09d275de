//! `forge`: made-up factories, and what the scorer says of them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};

/// Honest and forged factories from seeds, and what the scorer says of them.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judges factories of each class and prints the confusion table. Exit 1 where the promise is not held.
    Table {
        /// Factories of each class.
        #[arg(long, default_value_t = 200)]
        seeds: u64,
        /// The first seed. Thresholds come from seeds of a million and more: do not judge by these.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// This class alone; may be given more than once.
        #[arg(long)]
        class: Vec<String>,
        /// Name every accused honest factory and every forgery not found, with the reason.
        #[arg(long)]
        list: bool,
    },
    /// Prints what the scorer says of one factory.
    Explain {
        /// The class.
        class: String,
        /// The seed.
        seed: u64,
    },
    /// Names the classes.
    Classes,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("forge: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Table { seeds, from, class, list } => {
            let all: Vec<&'static str> = forge::classes().collect();
            if let Some(unknown) = class.iter().find(|name| !all.contains(&name.as_str())) {
                bail!("there is no class {unknown}; there are {}", all.join(", "));
            }
            let chosen = |name: &&&'static str| class.is_empty() || class.iter().any(|one| one == **name);
            let classes: Vec<&'static str> = all.iter().filter(chosen).copied().collect();
            let until = from.checked_add(seeds).context("seeds do not go so far")?;
            let verdicts = forge::table::judge_all(&classes, from..until);
            let rows = forge::table::rows(&verdicts);
            print!("{}", forge::table::text(&rows));
            if list {
                for verdict in &verdicts {
                    let honest = forge::honest::CLASSES.iter().any(|(name, _)| *name == verdict.class);
                    if (honest && verdict.accused) || (!honest && !verdict.found) {
                        println!("{verdict:?}");
                    }
                }
            }
            let broken = forge::table::broken(&rows);
            for line in &broken {
                println!("not held: {line}");
            }
            Ok(ExitCode::from(u8::from(!broken.is_empty())))
        }
        Command::Explain { class, seed } => {
            let factory =
                forge::factory(&class, seed).with_context(|| format!("there is no class {class}"))?;
            let verdict = forge::judge::judge(&factory, &forge::calendar());
            println!(
                "{} {} {}",
                verdict.headline.zh(),
                verdict.level.code(),
                verdict.level_because.iter().map(|one| one.en.as_str()).collect::<Vec<_>>().join("; ")
            );
            for metric in &verdict.metrics {
                println!("{} {} {:?} n={}", metric.id.code(), metric.shown, metric.status, metric.sample);
            }
            for finding in &verdict.findings {
                println!("{} {:?} {}", finding.id, finding.outcome, finding.text.en);
            }
            for flag in &verdict.flags {
                println!(
                    "{} {:#?}",
                    flag.code,
                    flag.indicators.iter().map(|one| &one.text.en).collect::<Vec<_>>()
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Classes => {
            for (name, what) in forge::honest::CLASSES.iter().chain(&forge::forged::FORGERIES) {
                println!("{name:<18}{what}");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
