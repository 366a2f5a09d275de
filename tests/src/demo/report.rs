//! What the demo prints at its end, read from the portal as any other program would.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use crate::http::get_json;
use crate::process::until;

/// One firm's line.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    firm: String,
    name: String,
    headline: String,
    use_level: String,
    flags: Vec<String>,
    windows: u64,
    facts: Vec<String>,
}

/// Waits until the portal shows as many windows of each firm as the ledger has. It looks at the ledger every few
/// seconds: pages that stand still for one say nothing.
pub(crate) async fn shows(portal: SocketAddr, recorded: &BTreeMap<String, u64>) -> anyhow::Result<()> {
    until("the portal shows every window of the ledger", || async {
        let list = get_json(portal, "/api/firms").await?;
        let firms = list["firms"].as_array().context("a list of firms")?;
        let shown = firms
            .iter()
            .filter_map(|firm| Some((firm["firm"].as_str()?.to_owned(), firm["windows"].as_u64()?)));
        Ok((shown.collect::<BTreeMap<_, _>>() == *recorded).then_some(()))
    })
    .await
}

/// All firms, the portal's order.
pub(crate) async fn firms(portal: SocketAddr) -> anyhow::Result<Vec<Report>> {
    let list = get_json(portal, "/api/firms").await?;
    let mut reports = Vec::new();
    for firm in list["firms"].as_array().context("a list of firms")? {
        let id = firm["firm"].as_str().context("a firm's id")?;
        let full = get_json(portal, &format!("/api/firms/{id}")).await?;
        reports.push(report(&full)?);
    }
    Ok(reports)
}

fn report(full: &Value) -> anyhow::Result<Report> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let list = |value: &Value| value.as_array().into_iter().flatten().filter_map(text).collect();
    let facts = |key: &str| {
        let facts = full["assessment"][key].as_array();
        facts.into_iter().flatten().filter_map(|fact| text(&fact["text"]["zh"])).collect::<Vec<_>>()
    };
    Ok(Report {
        firm: text(&full["firm"]).context("firm")?,
        name: text(&full["name"]["zh"]).context("name")?,
        headline: text(&full["headline_text"]["zh"]).context("headline")?,
        use_level: text(&full["use_level"]).context("use_level")?,
        flags: list(&full["flags"]),
        windows: full["windows"].as_u64().context("windows")?,
        facts: [facts("facts_for"), facts("facts_against")].concat(),
    })
}

/// Prints a table for people, or one JSON object per line.
pub(crate) fn print(reports: &[Report], json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for report in reports {
        if json {
            writeln!(out, "{}", serde_json::to_string(report)?)?;
            continue;
        }
        let flags =
            if report.flags.is_empty() { String::new() } else { format!("  [{}]", report.flags.join(", ")) };
        writeln!(
            out,
            "{}  {}  {}{flags}  {} windows",
            report.name, report.use_level, report.headline, report.windows
        )?;
        for fact in &report.facts {
            writeln!(out, "    {fact}")?;
        }
    }
    Ok(out.flush()?)
}
