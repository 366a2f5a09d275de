//! The chain's smaller kinds on the whole road: what somebody says of a time, typed on a gateway that runs, reaches the
//! city's pages as a statement, and nothing else is changed by it.

use std::fs;

use anyhow::{Context as _, ensure};
use jiff::civil::date;
use ledger::Finding;
use proof::wire::label::About;
use proof::{Payload, wire};
use tests::chain::Chain;
use tests::http::{get, get_json};
use tests::plant::firm::{Firm, demo_firms};
use tests::process::{Ended, run, until};
use tests::site::{Site, seconds};

fn firm() -> Firm {
    demo_firms(date(2026, 7, 22), date(2026, 9, 20)).remove(0)
}

/// A command of the agent, as typed on the gateway.
async fn typed(site: &Site, args: &[&str]) -> anyhow::Result<Ended> {
    run("inuse-agent", args, site.agent_config()).await
}

fn labels(chain: &Chain) -> Vec<(u64, &wire::Label)> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "one kind is asked for")]
    fn label(payload: &Payload) -> Option<&wire::Label> {
        match payload {
            Payload::Label(label) => Some(label),
            _ => None,
        }
    }
    let both = chain.payloads.iter().zip(&chain.entries);
    both.filter_map(|(payload, entry)| Some((entry.seq, label(payload)?))).collect()
}

/// Wishes that wait at the gateway.
fn waiting(site: &Site) -> anyhow::Result<Vec<String>> {
    let Ok(folder) = fs::read_dir(site.state().join("wishes")) else { return Ok(Vec::new()) };
    folder.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_label_is_said_at_once_and_nothing_is_left() -> anyhow::Result<()> {
    let site = Site::start(firm()).await?;
    let long = "停".repeat(201);
    let args = ["label", "--from", "2026-02-30", "--to", "today", "--cause", "Q", "--by", "me"];
    let args: Vec<_> = args.into_iter().chain(["--text", &long, "--name", "a\nb", "--source", "x"]).collect();
    let ended = typed(&site, &args).await?;
    assert_eq!((ended.code, ended.out.as_str()), (Some(64), ""), "{}", ended.err);
    for path in ["--from", "--to", "--cause", "--by", "--text", "--name", "--source"] {
        assert!(ended.err.lines().any(|line| line.contains(&format!("{path}: "))), "{path} in {}", ended.err);
    }
    let base = ["label", "--cause", "H", "--by", "firm"];
    for (more, path) in [
        (["--from", "2026-07-23", "--to", "2026-07-22"], "--to"),
        (["--from", "2026-07-22T10:00", "--to", "2026-07-22T10:00"], "--to"),
        (["--seqs", "9-3", "--text", ""], "--seqs"),
        (["--seqs", "0-3", "--text", ""], "--seqs"),
        (["--seqs", "nine", "--text", ""], "--seqs"),
    ] {
        let args: Vec<_> = base.into_iter().chain(more).collect();
        let ended = typed(&site, &args).await?;
        assert_eq!(ended.code, Some(64), "{more:?}: {}", ended.err);
        assert!(ended.err.contains(&format!("{path}: ")), "{more:?}: {}", ended.err);
    }
    let args: Vec<_> = base.into_iter().chain(["--seqs", "1-900"]).collect();
    let ended = typed(&site, &args).await?;
    assert!(ended.code == Some(1) && ended.err.contains("the chain goes to number"), "{}", ended.err);
    assert_eq!(waiting(&site)?, Vec::<String>::new());
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_typed_while_the_agent_runs_stands_in_the_chain_once_and_changes_no_verdict()
-> anyhow::Result<()> {
    let firm = firm();
    let id = firm.id;
    let mut site = Site::start(firm).await?;
    site.run_to(seconds(1, 0, 0)).await?;
    // Two hours of which nothing is known but that the power was cut, and a label about them.
    site.cut_power("boot 2")?;
    site.run_to(seconds(3, 0, 0)).await?;
    site.start_gateway().await?;
    site.run_to(seconds(3, 35, 0)).await?;
    site.outbox_empties().await?;
    let portal = site.city()?.portal();
    let before = get_json(portal, &format!("/api/firms/{id}")).await?;

    let said = ["label", "--cause", "H", "--text", "检修停产", "--by", "firm", "--name", "王工"];
    let time = ["--from", "2026-07-22T01:00", "--to", "2026-07-22T03:00"];
    let args: Vec<_> = said.into_iter().chain(time).collect();
    let ended = typed(&site, &args).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(
        ended.out.contains("at its next flush") && ended.out.contains("changes no record"),
        "{}",
        ended.out
    );
    assert_eq!(waiting(&site)?.len(), 1);
    site.run_to(seconds(3, 45, 0)).await?;
    site.outbox_empties().await?;
    assert_eq!(waiting(&site)?, Vec::<String>::new());

    // Of a stopped agent it waits for the next start; a crash right after leaves it in the chain once.
    site.stop_gateway().await?;
    let ended = typed(&site, &["label", "--cause", "X", "--by", "provider", "--seqs", "1-2"]).await?;
    assert!(ended.out.contains("at its next start"), "{} {}", ended.out, ended.err);
    let left = waiting(&site)?.pop().context("a wish")?;
    let kept = fs::read(site.state().join("wishes").join(&left))?;
    site.run_to(seconds(3, 55, 0)).await?;
    site.start_gateway().await?;
    until("the label is in the chain", || async { Ok(waiting(&site)?.is_empty().then_some(())) }).await?;
    site.crash_gateway()?;
    fs::write(site.state().join("wishes").join(&left), kept)?;
    site.run_to(seconds(4, 5, 0)).await?;
    site.start_gateway().await?;
    site.run_to(seconds(4, 25, 0)).await?;
    site.outbox_empties().await?;
    assert_eq!(waiting(&site)?, Vec::<String>::new());

    let chain = site.chain()?;
    chain.ensure_followed(&[Finding::LateLabel])?;
    chain.ensure_covered()?;
    let labels = labels(&chain);
    let [(_, first), (_, second)] = labels.as_slice() else { anyhow::bail!("{} labels", labels.len()) };
    let from_ms = site.moment(seconds(1, 0, 0));
    let time = wire::TimeSpan { from_ms, to_ms: from_ms + 2 * 3_600_000 };
    assert_eq!(
        (first.about, first.text.as_str(), first.name.as_str()),
        (Some(About::Time(time)), "检修停产", "王工")
    );
    assert_eq!((first.by(), second.by()), (wire::Speaker::Firm, wire::Speaker::Provider));
    assert_eq!(second.about, Some(About::Seqs(wire::SeqSpan { from: 1, to: 2 })));

    let shown = until("the pages show both labels", || async {
        let firm = get_json(portal, &format!("/api/firms/{id}")).await?;
        Ok((firm["chain"]["labels"] == 2).then_some(firm))
    })
    .await?;
    let said = &shown["chain"]["said"];
    ensure!(said[0]["text"] == "检修停产" && said[0]["late"] == false, "{said}");
    for unchanged in ["unknown_kinds", "conflicts", "findings"] {
        let (is, was) = (&shown["chain"][unchanged], &before["chain"][unchanged]);
        assert!(!was.is_null() && is == was, "{unchanged}: {was} {is}");
    }
    for unchanged in ["headline", "flags", "use_level"] {
        assert!(!before[unchanged].is_null() && shown[unchanged] == before[unchanged], "{unchanged}");
    }
    let (_, page) = get(portal, &format!("/firms/{id}?lang=zh")).await?;
    let page = String::from_utf8(page)?;
    let gap = page.split("<tr>").find(|row| row.contains("断电或重启") && row.contains("检修停产"));
    assert!(gap.is_some(), "the power cut stays a power cut, with the label beside it");
    site.end().await
}
