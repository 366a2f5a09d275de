//! `label`: somebody says what a silence, a gap or a stretch of time was. It goes into the chain and changes nothing in it.

use std::path::Path;

use agent::AgentConfig;
use agent::wishes::{self, Wish};
use anyhow::ensure;
use clap::Args;
use collectors::manifest::Manifest;
use daemon::config::Complaints;
use daemon::{Context, Exit};
use jiff::tz::Offset;
use proof::payload::{MAX_LABEL_NAME, MAX_LABEL_TEXT, check_label};
use proof::wire::label::About;
use proof::wire::{self, Speaker};
use proof::{Cause, MAX_SEQ};

use super::show::span;
use crate::print;

/// Arguments of `label`.
#[derive(Debug, Args)]
pub(crate) struct Label {
    /// A day, or a minute of it, by the gateway's time: 2026-02-10, or 2026-02-10T14:25.
    #[arg(long, value_name = "TIME", required_unless_present = "seqs", conflicts_with = "seqs")]
    from: Option<String>,
    /// The last day of it, or the minute in which it ends.
    #[arg(long, value_name = "TIME", requires = "from", required_unless_present = "seqs")]
    to: Option<String>,
    /// Instead of a time: places of the chain, first and last, as 120-131.
    #[arg(long, value_name = "FIRST-LAST")]
    seqs: Option<String>,
    /// Of this source only, by its name in the manifest; the whole gateway when absent.
    #[arg(long)]
    source: Option<String>,
    /// What it was: H stopped by hand, P power, U upgrade, B no answer, D faulty answer, R refused, G missing,
    /// O overwritten, T clock, K interrupted, X unknown.
    #[arg(long, value_name = "LETTER")]
    cause: String,
    /// In words, at most 200 characters. They leave the factory and stand on the city's pages.
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
    /// Who says so: firm, provider or operator.
    #[arg(long, value_name = "WHO")]
    by: String,
    /// The name of whoever says so, at most 40 characters. It leaves the factory as well.
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
}

impl Label {
    pub(crate) async fn run(&self, config: &Path, ctx: &Context) -> anyhow::Result<Exit> {
        let (config, manifest) = AgentConfig::load(config)?;
        let label = self.read(&manifest)?;
        // A gateway that is not enrolled has no chain.
        agent::Identity::load(&config.state_dir)?;
        let running = agent::status::ask(&config.status_socket()).await.ok();
        if let (Some(status), Some(About::Seqs(seqs))) = (&running, &label.about) {
            ensure!(
                seqs.to <= status.buffer.head,
                "the chain goes to number {}, and a label is about what was before it",
                status.buffer.head
            );
        }
        wishes::leave(&config.state_dir, &Wish::Label(Box::new(label)), ctx.clock().stamp().wall_ms)?;
        agent::give_to_owner(&config.state_dir)?;
        let when = match running {
            Some(_) => format!("within {} s, at its next flush", config.flush.as_secs()),
            None => "at its next start: no agent answers".to_owned(),
        };
        print::out(&format!(
            "left for the agent, which puts it into the chain {when}\n\
             it is a statement: it deletes and changes no record, no gap and no verdict\n"
        ))?;
        Ok(Exit::Ok)
    }

    /// What is to be said, or everything that is wrong with it.
    fn read(&self, manifest: &Manifest) -> Result<wire::Label, Complaints> {
        let mut wrong = Complaints::about("label");
        let about = match &self.seqs {
            Some(seqs) => self.places(seqs, &mut wrong),
            None => self.time(manifest, &mut wrong),
        };
        let source = self.source.as_ref().map_or(0, |name| match manifest.source_named(name) {
            Some(source) => u32::from(source.index),
            None => {
                wrong.add("--source", format!("the manifest has no source `{name}`"));
                0
            }
        });
        let known = |letter: &u8| Cause::ALL.iter().any(|cause| cause.letter() == *letter);
        let cause = match self.cause.as_bytes() {
            [letter] if known(letter) => u32::from(*letter),
            _ => {
                let letters: String = Cause::ALL.iter().map(|cause| char::from(cause.letter())).collect();
                wrong.add("--cause", format!("`{}` is none of the letters {letters}", self.cause));
                u32::from(b'X')
            }
        };
        let by = match self.by.as_str() {
            "firm" => Speaker::Firm,
            "provider" => Speaker::Provider,
            "operator" => Speaker::Operator,
            other => {
                wrong.add("--by", format!("`{other}` is none of firm, provider, operator"));
                Speaker::Unspecified
            }
        };
        // With the rest right, what is wrong with a text is all that can be wrong.
        let mut label = wire::Label {
            header: None,
            about: Some(About::Seqs(wire::SeqSpan { from: 1, to: 1 })),
            source,
            cause,
            by: by.into(),
            ..Default::default()
        };
        for (path, text, most) in
            [("--text", &self.text, MAX_LABEL_TEXT), ("--name", &self.name, MAX_LABEL_NAME)]
        {
            label.text.clone_from(text);
            let count = text.chars().count();
            if count > most {
                wrong.add(path, format!("{count} characters: at most {most}"));
            } else if let Err(error) = check_label(&label) {
                wrong.add(path, error);
            }
        }
        (label.text, label.name, label.about) = (self.text.clone(), self.name.clone(), about);
        wrong.or(label)
    }

    fn places(&self, seqs: &str, wrong: &mut Complaints) -> Option<About> {
        let read = seqs.split_once('-').unwrap_or((seqs, seqs));
        let (Ok(from), Ok(to)) = (read.0.trim().parse(), read.1.trim().parse()) else {
            wrong.add("--seqs", format!("`{seqs}` is not two numbers as 120-131"));
            return None;
        };
        if !(1..=to).contains(&from) || to > MAX_SEQ {
            wrong.add(
                "--seqs",
                format!("`{seqs}` are no places: they count from 1, the first before the last"),
            );
            return None;
        }
        Some(About::Seqs(wire::SeqSpan { from, to }))
    }

    fn time(&self, manifest: &Manifest, wrong: &mut Complaints) -> Option<About> {
        let offset = Offset::from_seconds(manifest.utc_offset_minutes * 60).ok()?;
        let mut read = |path: &str, when: &Option<String>| {
            let read = span(when.as_deref().unwrap_or_default(), offset);
            read.map_err(|error| wrong.add(path, error)).ok()
        };
        let (from, to) = (read("--from", &self.from), read("--to", &self.to));
        let (from, to) = (from?, to?);
        // A day ends with itself, a minute where it begins.
        let to_ms = if to.is_day { to.to_ms } else { to.from_ms };
        if to_ms <= from.from_ms {
            wrong.add("--to", "it ends before it begins");
            return None;
        }
        if [from.from_ms, to_ms].iter().any(|at| !proof::TIMES_MS.contains(at)) {
            wrong.add("--from", "a time outside 1970 to 2100");
            return None;
        }
        Some(About::Time(wire::TimeSpan { from_ms: from.from_ms, to_ms }))
    }
}
