//! `baseline`: what there was on the day the gateway came, and what is another now.

use std::fmt::Write as _;
use std::path::Path;

use agent::baseline::{self, Difference, Kept};
use agent::{AgentConfig, Identity};
use anyhow::Context as _;
use clap::Args;
use daemon::Exit;
use data_encoding::HEXLOWER;
use serde_json::json;

use crate::print;

/// Arguments of `baseline`.
#[derive(Debug, Args)]
pub(crate) struct Baseline {
    /// Ask every source again, and show what is another than it was.
    #[arg(long)]
    now: bool,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
}

impl Baseline {
    pub(crate) async fn run(&self, config: &Path) -> anyhow::Result<Exit> {
        let (config, manifest) = AgentConfig::load(config)?;
        let identity = Identity::load(&config.state_dir)?;
        let kept = baseline::kept(&config.state_dir)?;
        let kept = kept.context("none was taken: this gateway enrolled without a manifest")?;
        let same = HEXLOWER.encode(&kept.digest) == identity.baseline;
        let differences = if self.now {
            let now = baseline::ask(&manifest, &config.state_dir).await;
            // Asking OPC UA servers may have made keys.
            agent::give_to_owner(&config.state_dir)?;
            Some(baseline::differences(&kept.baseline.sources, &now))
        } else {
            None
        };
        if self.json {
            let text = json!({
                "digest": HEXLOWER.encode(&kept.digest),
                "enrolled_digest": identity.baseline,
                "as_enrolled": same,
                "baseline": kept.baseline,
                "differences": differences,
            });
            print::out(&format!("{text:#}\n"))?;
        } else {
            print::out(&said(&kept, &identity.baseline, same, differences.as_deref()))?;
        }
        Ok(if same { Exit::Ok } else { Exit::No })
    }
}

fn said(kept: &Kept, enrolled: &str, same: bool, differences: Option<&[Difference]>) -> String {
    let at = jiff::Timestamp::from_millisecond(kept.baseline.made_ms);
    let at = at.map_or_else(|_| "?".to_owned(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let mut text = format!("asked {at}\nhash: {}\n", HEXLOWER.encode(&kept.digest));
    text += match (same, enrolled.is_empty()) {
        (true, _) => {
            "the one that the server recorded at enrolment, as it said then; the firm's page says it now: compare the hash\n"
        }
        (false, true) => "NO hash was recorded at enrolment: this file shows nothing\n",
        (false, false) => "ANOTHER hash was recorded at enrolment: this file is not the one that was taken\n",
    };
    let mut line = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("text takes everything");
    if let Some(differences) = differences {
        line(format_args!("\nanother now than then: {}", differences.len()));
        for Difference { source, fact, gone, new } in differences {
            line(format_args!("  {source}: {fact}"));
            gone.iter().for_each(|gone| line(format_args!("    - {gone}")));
            new.iter().for_each(|new| line(format_args!("    + {new}")));
        }
        return text;
    }
    for asked in &kept.baseline.sources {
        line(format_args!("\n{} {} ({})", asked.source, asked.name, asked.address));
        if let Some(why) = &asked.error {
            line(format_args!("  × {why}"));
        }
        for fact in &asked.facts {
            match fact.value.split_once('\n') {
                None => line(format_args!("  {}: {}", fact.name, fact.value)),
                Some(_) => {
                    line(format_args!("  {}:", fact.name));
                    fact.value.lines().for_each(|value| line(format_args!("    {value}")));
                }
            }
        }
    }
    text
}
