//! The whole road in one process without foreign software: machines and people, agent, broker, ingester, ledger,
//! portal, verifier. One day of one firm, with nothing taken away.

use jiff::civil::date;
use proof::Payload;
use tests::chain::Chain;
use tests::http::{get, get_json};
use tests::plant::firm::demo_firms;
use tests::process::until;
use tests::site::{Site, seconds};
use verifier::{Evidence, Verdict, verify};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_a_firm_is_in_the_ledger_window_by_window_and_every_download_verifies() -> anyhow::Result<()>
{
    let firm = demo_firms(date(2026, 7, 22), date(2026, 9, 20)).remove(0);
    let id = firm.id;
    let mut site = Site::start(firm).await?;
    site.run_to(seconds(24, 0, 0)).await?;
    site.stop_gateway().await?;

    let (chain, own) = (site.chain()?, site.own()?);
    own.ensure_recorded(&chain)?;
    chain.ensure_covered()?;
    // Each ten minutes, and what was open at the stop: of no length, because the stop came on the mark.
    let lengths: Vec<_> = chain.windows().map(|window| window.length_ms).collect();
    assert_eq!(lengths.len(), 144 + 1);
    assert!(lengths[..144].iter().all(|length| *length == 600_000), "{lengths:?}");
    assert_eq!((chain.entries.len(), chain.outages().count()), (145 + 3, 0));
    assert!(matches!(chain.payloads[0], Payload::Manifest(_)), "the manifest comes first");
    let [Payload::Digest(day), Payload::Window(_), Payload::Digest(rest)] = &chain.payloads[145..] else {
        panic!("the day's sums, and those of what was open")
    };
    assert_eq!((day.windows, day.without_raw, rest.windows), (144, 0, 1));
    for window in chain.windows() {
        assert!(window.gaps.is_empty(), "gaps in a day without faults: {:?}", window.gaps);
    }

    let written = site.lines_written()?;
    assert_eq!(written.len(), 3);
    for (source, lines) in written {
        assert!(lines > 0, "nobody wrote to log {source}");
        assert_eq!(chain.lines(source), lines, "lines of log {source}");
    }

    downloads_verify(&site, id, &chain).await?;
    site.end().await
}

/// Gets every envelope and receipt from the portal, as a reader would, and checks them offline.
async fn downloads_verify(site: &Site, firm: &str, chain: &Chain) -> anyhow::Result<()> {
    let portal = site.city()?.portal();
    until("the portal shows all windows", || async {
        let firm = get_json(portal, &format!("/api/firms/{firm}")).await?;
        Ok((firm["windows"].as_u64() == Some(145)).then_some(()))
    })
    .await?;
    let agent = site.agent();
    let readers = ledger::Readers::open(&site.data().join("ledger.sqlite"), 1)?;
    let key = readers.read_blocking(|ledger| ledger.agent(agent))?.map(|agent| agent.key.to_bytes());
    for entry in &chain.entries {
        let place = format!("/firms/{firm}/windows/{agent}/{}", entry.seq);
        let (status, envelope) = get(portal, &format!("{place}/envelope.bin")).await?;
        let (also, receipt) = get(portal, &format!("{place}/receipt.bin")).await?;
        assert_eq!((status, also), (200, 200), "{place}");
        assert_eq!(envelope, entry.envelope, "{place}");
        let evidence = Evidence {
            envelope: &envelope,
            receipt: Some(&receipt),
            key: key.as_ref().map(<[u8; 32]>::as_slice),
            log_key: Some(site.log_vkey()),
            use_rows: None,
            opening: None,
        };
        let answer = verify(&evidence);
        assert_eq!(answer.verdict, Verdict::Valid, "{place}: {:?}", answer.steps);
    }
    Ok(())
}
