//! `sums`: what the chain says of a day in sums, computed again from the raw data.

use std::fmt::Write as _;
use std::path::Path;

use agent::past::{Gateway, Place, State};
use agent::{AgentConfig, Identity};
use anyhow::{Context as _, bail};
use clap::Args;
use collectors::manifest::Manifest;
use daemon::Exit;
use proof::digest::{RULES, Tally};
use proof::wire::{DigestCode, DigestRow};
use proof::{Payload, wire};

use crate::print;

/// Arguments of `sums`.
#[derive(Debug, Args)]
pub(crate) struct Sums {
    /// Number of the digest in the chain.
    seq: u64,
}

impl Sums {
    pub(crate) async fn run(&self, config: &Path) -> anyhow::Result<Exit> {
        let (config, manifest) = AgentConfig::load(config)?;
        let gateway = Gateway {
            identity: Identity::load(&config.state_dir)?,
            socket: config.status_socket(),
            state_dir: config.state_dir.clone(),
        };
        let Place::Other(envelope) = gateway.place(self.seq).await? else {
            bail!("entry {} is a window, and no digest", self.seq)
        };
        let Ok(Payload::Digest(signed)) = Payload::parse(envelope.kind(), envelope.payload()) else {
            bail!("entry {} is a {}, and no digest", self.seq, envelope.kind())
        };
        let (again, gone, altered) = again(&gateway, &signed).await?;
        let mut text = String::new();
        let mut line =
            |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("text takes everything");
        line(format_args!(
            "sums of windows {} to {}, {} of them, {} without raw data",
            signed.from_seq, signed.to_seq, signed.windows, signed.without_raw
        ));
        for row in &signed.rows {
            line(format_args!("  {}", said(row, &manifest)));
        }
        let same =
            again.as_ref().is_some_and(|again| again.rows == signed.rows && again.windows == signed.windows);
        let exit = if !altered.is_empty() {
            line(format_args!("raw data is not what was committed to: windows {altered:?}"));
            Exit::No
        } else if signed.rules != RULES {
            line(format_args!(
                "computed by version {} of the rules: this program has version {RULES}",
                signed.rules
            ));
            Exit::No
        } else if same {
            line(format_args!("the same, computed again from the raw data"));
            Exit::Ok
        } else if gone > 0 {
            line(format_args!("cannot be computed again: raw data of {gone} windows is gone"));
            Exit::No
        } else {
            line(format_args!("NOT what the raw data gives:"));
            for row in again.iter().flat_map(|again| &again.rows) {
                line(format_args!("  {}", said(row, &manifest)));
            }
            Exit::No
        };
        print::out(&text)?;
        Ok(exit)
    }
}

/// The sums of the same windows, how many of them have no raw data any more, and which have another than was committed
/// to.
async fn again(
    gateway: &Gateway,
    signed: &wire::Digest,
) -> anyhow::Result<(Option<wire::Digest>, u32, Vec<u64>)> {
    let (mut tally, mut gone, mut altered) = (Tally::default(), 0, Vec::new());
    for seq in signed.from_seq..=signed.to_seq {
        let Place::Window(past) = gateway.place(seq).await.with_context(|| format!("entry {seq}"))? else {
            continue;
        };
        match past.state {
            State::Holds => past.observations().iter().for_each(|observation| tally.take(observation)),
            State::Dropped(_) => gone += 1,
            State::Altered(_) | State::Missing => altered.push(seq),
        }
        tally.sealed(seq, matches!(past.state, State::Holds));
    }
    Ok((tally.digest(), gone, altered))
}

fn said(row: &DigestRow, manifest: &Manifest) -> String {
    let source = manifest.sources.iter().find(|source| u32::from(source.index) == row.source);
    let name = source.map_or_else(|| row.source.to_string(), |source| source.name.clone());
    let what = match DigestCode::try_from(row.code) {
        Ok(DigestCode::TimeOrder) => "records over 5 min earlier than one read before, of those with a time",
        Ok(DigestCode::DocumentSteps) => "documents with key actions of two classes, of those with any",
        Ok(DigestCode::DocumentHands) => "documents by two accounts or more, of those with any",
        Ok(DigestCode::Unspecified) | Err(_) => "a sum that this version does not know",
    };
    let cut = if row.is_cut { ", of the first 50,000 documents" } else { "" };
    format!("{name}: {what}: {} of {} {:?}{cut}", row.numerator, row.denominator, row.histogram)
}
