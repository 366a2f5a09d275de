//! How long it takes to find a random past record on a gateway with half a year behind it, to open it, and to check it
//! against what was received then: `cargo build --bins`, then `cargo run -p tests --example opening_figures -- 180`.
//!
//! One firm of the demo lives so many days in simulated time; the shipped `inuse-agent` is then asked as by an expert.

#![expect(clippy::print_stdout, reason = "figures, not a part of the road")]

use std::time::Duration;

use anyhow::{Context as _, ensure};
use daemon::Stopwatch;
use jiff::ToSpan as _;
use jiff::civil::date;
use serde_json::Value;
use tests::http::{get, get_json};
use tests::plant::firm::demo_firms;
use tests::process::{run, until};
use tests::site::{Site, seconds};
use verifier::{Evidence, Verdict, verify};

/// Random moments that are asked for.
const MOMENTS: u64 = 40;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let days: i64 = std::env::args().nth(1).map_or(Ok(180), |days| days.parse())?;
    let end = date(2026, 9, 20);
    let start = end.checked_sub(days.days())?;
    let firm = demo_firms(start, end).remove(0);
    let id = firm.id;
    let began = Stopwatch::start();
    let mut site = Site::start(firm).await?;
    site.run_to(seconds(24 * days, 5, 0)).await?;
    site.outbox_empties().await?;
    let store = std::fs::metadata(site.state().join("buffer.db"))?.len();
    let windows = site.chain()?.windows().count();
    println!("{days} days, {windows} windows, a store of {} MiB, in {:.0?}", store >> 20, began.elapsed());
    shows_all(&site, id, windows).await?;

    let (mut found, mut opened, mut checked) = (Vec::new(), Vec::new(), Vec::new());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..MOMENTS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let minute = i64::try_from((state >> 20) % u64::try_from(days * 1_440)?)?;
        let moment = start.to_datetime(jiff::civil::time(0, 0, 0, 0)).checked_add(minute.minutes())?;
        let moment = moment.strftime("%Y-%m-%dT%H:%M").to_string();
        let (at, window) = timed(show(&site, &[&moment])).await?;
        let window = &window["windows"][0];
        ensure!(window["state"] == "holds", "{moment}: {window}");
        found.push(at);
        let Some(leaf) = window["leaves"].as_array().and_then(|leaves| leaves.last()) else { continue };
        let (seq, leaf) = (window["seq"].to_string(), leaf["leaf"].to_string());
        let (at, told) = timed(show(&site, &["--seq", &seq, "--leaf", &leaf, "--fields", "all"])).await?;
        opened.push(at);
        let text = told["opening"].as_str().context("an opening")?;
        let (at, ()) = timed(check(&site, id, &seq, text)).await?;
        checked.push(at);
    }
    figures("found by its minute", found);
    figures("opened", opened);
    figures("checked against what was received", checked);
    let day = start.checked_add((days / 2).days())?.to_string();
    let (at, _) = timed(show(&site, &[&day, "--find", "no such text"])).await?;
    figures("a text looked for in a whole day", vec![at]);
    site.end().await
}

async fn shows_all(site: &Site, firm: &str, windows: usize) -> anyhow::Result<()> {
    let portal = site.city()?.portal();
    until("the pages show all windows", || async {
        let firm = get_json(portal, &format!("/api/firms/{firm}")).await?;
        Ok((firm["windows"].as_u64() == u64::try_from(windows).ok()).then_some(()))
    })
    .await
}

async fn show(site: &Site, args: &[&str]) -> anyhow::Result<Value> {
    let args: Vec<_> = ["show"].into_iter().chain(args.iter().copied()).chain(["--json"]).collect();
    let ended = run("inuse-agent", &args, site.agent_config()).await?;
    serde_json::from_str(&ended.out).with_context(|| format!("{args:?}: {}", ended.err))
}

async fn check(site: &Site, firm: &str, seq: &str, text: &str) -> anyhow::Result<()> {
    let place = format!("/firms/{firm}/windows/{}/{seq}", site.agent());
    let portal = site.city()?.portal();
    let (_, envelope) = get(portal, &format!("{place}/envelope.bin")).await?;
    let (_, receipt) = get(portal, &format!("{place}/receipt.bin")).await?;
    let evidence = Evidence {
        envelope: &envelope,
        receipt: Some(&receipt),
        log_key: Some(site.log_vkey()),
        opening: Some(text.as_bytes()),
        ..Evidence::default()
    };
    let answer = verify(&evidence);
    // The gateway's key is not asked for here.
    ensure!(answer.verdict == Verdict::Incomplete, "{:?}", answer.steps);
    ensure!(answer.steps.iter().all(|step| !matches!(step.outcome, Some(Err(_)))), "{:?}", answer.steps);
    Ok(())
}

async fn timed<T>(what: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(Duration, T)> {
    let began = Stopwatch::start();
    let done = what.await?;
    Ok((began.elapsed(), done))
}

fn figures(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{what}: median {median:.1?}, most {most:.1?} of {}", times.len());
}
