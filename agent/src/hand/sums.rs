//! `sums`: what the chain says of a day in sums, computed again from the raw data.

use std::fmt::Write as _;
use std::path::Path;

use agent::past::{Gateway, Past, Place, State};
use agent::{AgentConfig, Identity};
use anyhow::{Context as _, bail};
use clap::Args;
use collectors::manifest::Manifest;
use daemon::Exit;
use proof::digest::{RULES, Tally, names_its_document};
use proof::log::Receipt;
use proof::wire::{DigestCode, DigestRow};
use proof::{Payload, What, wire};

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
        let Place::Other(entry) = gateway.place(self.seq).await? else {
            bail!("entry {} is a window, and no digest", self.seq)
        };
        let Ok(Payload::Digest(signed)) = Payload::parse(entry.envelope.kind(), entry.envelope.payload())
        else {
            bail!("entry {} is a {}, and no digest", self.seq, entry.envelope.kind())
        };
        let mut again = again(&gateway, &signed).await?;
        again.place(self.seq, entry.is_ours, &entry.receipt);
        let mut text = String::new();
        let mut line =
            |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("text takes everything");
        line(format_args!(
            "sums of windows {} to {}, {} of them, {} without room for raw data at their seal",
            signed.from_seq, signed.to_seq, signed.windows, signed.without_raw
        ));
        line(format_args!("entry {}: compare it with the firm's page", entry.envelope.id()));
        // Another manifest has other names at these places.
        let manifest = again.names_fit(&gateway, &manifest).then_some(&manifest);
        for row in &signed.rows {
            line(format_args!("  {}", said(row, manifest)));
        }
        if signed.sources_left_out > 0 {
            line(format_args!("  {} more sources, for which there was no room", signed.sources_left_out));
        }
        let Again { digest, gone, altered, forged, waiting, unnamed, .. } = again;
        let same =
            digest.as_ref().is_some_and(|again| again.rows == signed.rows && again.windows == signed.windows);
        let exit = if !forged.is_empty() {
            line(format_args!("not this gateway's, or not what the log receipted: entries {forged:?}"));
            Exit::No
        } else if !altered.is_empty() {
            line(format_args!("raw data is not what was committed to: windows {altered:?}"));
            Exit::No
        } else if signed.rules != RULES {
            line(format_args!(
                "computed by version {} of the rules: this program has version {RULES}",
                signed.rules
            ));
            Exit::No
        } else if same && unnamed > 0 {
            line(format_args!("{unnamed} records name a document that is not in what was committed to"));
            Exit::No
        } else if same && !waiting.is_empty() {
            line(format_args!("the same, but the log has not receipted entries {waiting:?}"));
            Exit::No
        } else if same {
            line(format_args!("the same, computed again from the raw data"));
            Exit::Ok
        } else if gone > 0 {
            line(format_args!("cannot be computed again: raw data of {gone} windows is gone"));
            Exit::No
        } else {
            line(format_args!("NOT what the raw data gives:"));
            for row in digest.iter().flat_map(|again| &again.rows) {
                line(format_args!("  {}", said(row, manifest)));
            }
            Exit::No
        };
        print::out(&text)?;
        Ok(exit)
    }
}

/// The sums of the same windows, and what stands against them.
#[derive(Default)]
struct Again {
    digest: Option<wire::Digest>,
    /// Windows without raw data, dropped in order.
    gone: u32,
    /// Windows with other raw data than was committed to.
    altered: Vec<u64>,
    /// Entries that this gateway's key did not sign, or with a receipt that is not theirs.
    forged: Vec<u64>,
    /// Entries without a receipt.
    waiting: Vec<u64>,
    /// Records whose document nothing commits to.
    unnamed: usize,
    last: Option<Past>,
}

impl Again {
    fn place(&mut self, seq: u64, is_ours: bool, receipt: &Result<Option<Receipt>, String>) {
        match receipt {
            Ok(Some(_)) if is_ours => {}
            Ok(None) if is_ours => self.waiting.push(seq),
            Ok(_) | Err(_) => self.forged.push(seq),
        }
    }

    fn names_fit(&self, gateway: &Gateway, manifest: &Manifest) -> bool {
        self.last.as_ref().is_some_and(|past| gateway.names_fit(past, manifest))
    }
}

async fn again(gateway: &Gateway, signed: &wire::Digest) -> anyhow::Result<Again> {
    let (mut tally, mut again) = (Tally::again(signed), Again::default());
    for seq in signed.from_seq..=signed.to_seq {
        let Place::Window(past) = gateway.place(seq).await.with_context(|| format!("entry {seq}"))? else {
            continue;
        };
        again.place(seq, past.is_ours, &past.receipt);
        match past.state {
            State::Holds => {
                for observation in past.observations() {
                    tally.take(observation);
                    if let What::Records(records) = &observation.what {
                        let unnamed = records.records.iter().filter(|record| !names_its_document(record));
                        again.unnamed += unnamed.count();
                    }
                }
            }
            State::Dropped(_) => again.gone += 1,
            State::Altered(_) | State::Missing => again.altered.push(seq),
        }
        tally.sealed(seq, matches!(past.state, State::Holds));
        again.last = Some(*past);
    }
    again.digest = tally.digest();
    Ok(again)
}

fn said(row: &DigestRow, manifest: Option<&Manifest>) -> String {
    let sources = manifest.map_or(&[][..], |manifest| &manifest.sources);
    let source = sources.iter().find(|source| u32::from(source.index) == row.source);
    let name = source.map_or_else(|| row.source.to_string(), |source| source.name.clone());
    let what = match DigestCode::try_from(row.code) {
        Ok(DigestCode::TimeOrder) => {
            "records over 5 min earlier than one read before them, of those with a time"
        }
        Ok(DigestCode::DocumentSteps) => "documents with key actions of two classes, of those with any",
        Ok(DigestCode::DocumentHands) => "documents by two accounts or more, of those with any",
        Ok(DigestCode::Unspecified) | Err(_) => "a sum that this version does not know",
    };
    let cut = if row.is_cut { ", of the first 50,000 documents" } else { "" };
    format!("{name}: {what}: {} of {} {:?}{cut}", row.numerator, row.denominator, row.histogram)
}
