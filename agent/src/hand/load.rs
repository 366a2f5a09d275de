//! `load`: what we cost those we read.

use std::fmt::Write as _;
use std::path::Path;

use agent::AgentConfig;
use anyhow::Context as _;
use clap::Args;
use collectors::manifest::Source;
use daemon::{Context, Exit};
use serde_json::json;

use super::Progress;
use crate::print;

/// Arguments of `load`.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Name of the source in the manifest; all of them when absent.
    source: Option<String>,
    /// Reckon only, and ask nobody.
    #[arg(long)]
    plan: bool,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
}

impl Load {
    pub(crate) async fn run(&self, config_file: &Path, ctx: &Context) -> anyhow::Result<Exit> {
        let (config, manifest) = AgentConfig::load(config_file)?;
        let sources: Vec<_> = match &self.source {
            Some(name) => vec![
                manifest
                    .source_named(name)
                    .with_context(|| format!("the manifest has no source `{name}`"))?,
            ],
            None => manifest.sources.iter().collect(),
        };
        #[cfg(feature = "modbus")]
        for source in sources.iter().filter(|_| !self.plan) {
            super::ensure_free_for(config_file, source).await?;
        }
        let (stop, progress) = (ctx.stop(), Progress::new());
        let mut rows = Vec::new();
        for source in sources {
            progress.say(&format!("asking {}", source.name))?;
            let asked = tokio::select! {
                () = stop.cancelled() => break,
                asked = measure(source, &config.state_dir, !self.plan) => asked?,
            };
            rows.push((source, asked));
        }
        drop(progress);
        let text = if self.json {
            let rows: Vec<_> = rows.iter().map(|(source, row)| row_json(source, row)).collect();
            format!("{}\n", json!({ "sources": rows }))
        } else {
            rows.iter().map(|(source, row)| row_text(source, row)).collect()
        };
        print::out(&text)?;
        let all_well = rows.iter().all(|(_, row)| row.trouble.is_none() && row.load.unanswered == 0);
        Ok(if all_well && !stop.is_cancelled() { Exit::Ok } else { Exit::No })
    }
}

/// What is known of one source.
struct Row {
    load: collectors::Load,
    /// Why it was not measured, although it should have been.
    trouble: Option<String>,
}

async fn measure(source: &Source, state_dir: &Path, ask: bool) -> anyhow::Result<Row> {
    match collectors::load(source, state_dir, ask).await {
        Ok(load) => Ok(Row { load, trouble: None }),
        // The plan asks nobody.
        Err(error) => {
            let load = collectors::load(source, state_dir, false).await?;
            Ok(Row { load, trouble: Some(daemon::chain(&error)) })
        }
    }
}

fn row_text(source: &Source, row: &Row) -> String {
    let load = &row.load;
    let mut text = format!("{} ({}), every {:?}\n", source.name, source.address(), source.cadence);
    match (load.questions, load.bytes) {
        (Some(questions), Some((asked, answered))) => {
            let day = (asked + answered).saturating_mul(86_400) / source.cadence.as_secs().max(1);
            let line = format_args!(
                "  {questions} questions a turn: {asked} bytes out, {answered} bytes in; {} KiB a day\n",
                day >> 10
            );
            push(&mut text, line);
        }
        (Some(_), None) => {
            let points = source.points().len();
            push(&mut text, format_args!("  one session, one question of {points} nodes a turn\n"));
        }
        (None, _) => text.push_str("  nobody is asked: what is appended to the file is read, once\n"),
    }
    if let (Some(took), Some(share)) = (load.took, load.share(source)) {
        let of = if load.connecting { ", connecting included" } else { "" };
        push(
            &mut text,
            format_args!("  measured: {took:.1?} a turn{of}, {:.2} % of its time\n", share * 100.0),
        );
    }
    if load.unanswered > 0 {
        push(&mut text, format_args!("  {} questions had no answer\n", load.unanswered));
    }
    if let Some(trouble) = &row.trouble {
        push(&mut text, format_args!("  not measured: {trouble}\n"));
    }
    text
}

fn row_json(source: &Source, row: &Row) -> serde_json::Value {
    let load = &row.load;
    json!({
        "source": source.name, "address": source.address(), "cadence_s": source.cadence.as_secs(),
        "questions": load.questions, "bytes_out": load.bytes.map(|bytes| bytes.0),
        "bytes_in": load.bytes.map(|bytes| bytes.1),
        "took_us": load.took.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
        "share": load.share(source), "connecting": load.connecting, "unanswered": load.unanswered,
        "trouble": row.trouble,
    })
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a string cannot fail");
}
