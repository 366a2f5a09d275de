//! What is taken away in the middle, and what stands in the ledger afterwards: every sealed window once and in order,
//! an empty outbox, and what a kill cost of the open window as an `outage`.

use std::collections::BTreeSet;

use jiff::civil::date;
use ledger::Finding;
use proof::log::Outcome;
use proof::{Cause, wire};
use tests::chain::Chain;
use tests::foreign::emulated_agent;
use tests::plant::firm::{Firm, one_machine_and_one_log};
use tests::plant::logfile::{Aside, Encoding, Rotation};
use tests::process::Program;
use tests::site::{Site, lines_of, seconds};
use tests::town::Town;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sealed_window_is_recorded_once_in_order_whatever_is_taken_away() -> anyhow::Result<()> {
    let mut site = Site::start(one_machine_and_one_log(date(2026, 7, 22))).await?;
    // Nobody to report to, over seven seals.
    site.run_to(seconds(8, 13, 0)).await?;
    site.stop_server().await?;
    // The agent is killed meanwhile, in the middle of a window and of a minute, and away for 21 minutes.
    site.run_to(seconds(9, 3, 30)).await?;
    site.crash_gateway()?;
    site.run_to(seconds(9, 25, 0)).await?;
    site.start_gateway().await?;
    site.run_to(seconds(9, 59, 0)).await?;
    assert!(site.status().await?.buffer.backlog >= 9, "nothing may leave the outbox without a server");
    site.start_server().await?;
    site.outbox_empties().await?;
    // Killed twice in one minute; then the whole machine loses its power, for an hour.
    site.run_to(seconds(11, 6, 10)).await?;
    site.crash_gateway()?;
    site.start_gateway().await?;
    site.run_to(seconds(11, 6, 20)).await?;
    site.crash_gateway()?;
    site.start_gateway().await?;
    site.run_to(seconds(12, 7, 45)).await?;
    site.cut_power("boot 2")?;
    site.run_to(seconds(13, 7, 0)).await?;
    site.start_gateway().await?;
    // An orderly stop, and once more a server that restarts.
    site.run_to(seconds(15, 1, 0)).await?;
    site.stop_gateway().await?;
    site.run_to(seconds(15, 4, 0)).await?;
    site.start_gateway().await?;
    site.outbox_empties().await?;
    site.stop_server().await?;
    site.start_server().await?;
    // Past the moment at which the last window is sent: at most two minutes after its mark.
    site.run_to(seconds(18, 3, 0)).await?;
    site.outbox_empties().await?;
    site.stop_gateway().await?;

    let (chain, own) = (site.chain()?, site.own()?);
    own.ensure_recorded(&chain)?;
    chain.ensure_covered()?;
    let killed = chain.outages_by(Cause::Killed);
    assert_eq!(killed.len(), 3);
    assert_costs(killed[0], site.moment(seconds(9, 3, 30)), site.moment(seconds(9, 25, 0)));
    assert_costs(killed[1], site.moment(seconds(11, 6, 10)), site.moment(seconds(11, 6, 10)));
    assert_costs(killed[2], site.moment(seconds(11, 6, 20)), site.moment(seconds(11, 6, 20)));
    let power = chain.outages_by(Cause::Power);
    assert_eq!(power.len(), 1);
    assert_costs(power[0], site.moment(seconds(12, 7, 45)), site.moment(seconds(13, 7, 0)));
    let stopped = chain.outages_by(Cause::Stopped);
    let spans: Vec<_> = stopped.iter().map(|outage| (outage.from_ms, outage.to_ms)).collect();
    assert_eq!(spans, [(site.moment(seconds(15, 1, 0)), site.moment(seconds(15, 4, 0)))]);
    assert_eq!(chain.outages().count(), 5);
    let crashed = chain.windows().filter(|window| window.end() == wire::End::Crash).count();
    assert_eq!(crashed, 4, "what was flushed before each crash is sealed as such");

    assert_every_line_once(&site, &chain)?;
    site.end().await
}

fn seq_of(window: &wire::Window) -> u64 {
    window.header.as_ref().map_or(0, |header| header.seq)
}

/// A log's lines are neither lost nor doubled.
fn assert_every_line_once(site: &Site, chain: &Chain) -> anyhow::Result<()> {
    for (source, lines) in site.lines_written()? {
        assert!(lines > 5, "{lines} lines in log {source} are too few to show anything");
        assert_eq!(chain.lines(source), lines, "lines of log {source}");
    }
    Ok(())
}

/// An outage that a crash at `killed_ms` cost an agent that is back at `back_ms`.
fn assert_costs(outage: &wire::Outage, killed_ms: i64, back_ms: i64) {
    let lost_ms = killed_ms - outage.from_ms;
    assert!((0..=60_000).contains(&lost_ms), "{lost_ms} ms of the open window are lost");
    assert_eq!(outage.to_ms, back_ms);
    assert_eq!(outage.lost_sources, [1], "the machine's samples are lost, the log's records are read again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_goes_on_after_its_store_was_lost_and_says_what_was_lost() -> anyhow::Result<()> {
    let mut site = Site::start(one_machine_and_one_log(date(2026, 7, 22))).await?;
    site.run_to(seconds(8, 3, 0)).await?;
    site.outbox_empties().await?;
    let reported = site.chain()?.entries.len();
    site.stop_server().await?;
    // Nine windows are sealed and wait; then the disk loses the database.
    site.run_to(seconds(9, 33, 0)).await?;
    let sealed = site.status().await?.buffer.head;
    site.crash_gateway()?;
    site.spoil_store().await?;
    site.run_to(seconds(9, 45, 0)).await?;
    site.start_gateway().await?;
    site.start_server().await?;
    site.run_to(seconds(11, 3, 0)).await?;
    site.outbox_empties().await?;
    site.stop_gateway().await?;

    let chain = site.chain()?;
    let lost = &chain.entries[reported];
    assert_eq!(lost.seq, sealed + 1, "right after the last that was sealed");
    assert_eq!(lost.findings, BTreeSet::from([Finding::ProofsLost]));
    let declared = chain.outages_by(Cause::Overflow);
    assert_eq!(declared.len(), 1);
    assert_eq!((declared[0].lost_from_seq, declared[0].last_seq), (1, sealed));
    let after = &chain.entries[reported + 1..];
    assert!(after.len() >= 7, "{} entries after the loss", after.len());
    let sequences: Vec<_> = after.iter().map(|entry| entry.seq).collect();
    assert_eq!(sequences, (sealed + 2..).take(after.len()).collect::<Vec<_>>());
    assert!(after.iter().all(|entry| entry.outcome == Outcome::Recorded));
    assert_eq!(site.own()?.backlog, 0, "nothing waits for what never comes");
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_days_that_nobody_could_be_told_of_come_in_whole_and_in_order_and_are_late()
-> anyhow::Result<()> {
    const BACK: i64 = seconds(30 * 24, 3, 0);
    let mut firm = one_machine_and_one_log(date(2026, 7, 22));
    firm.logs.iter_mut().for_each(|log| log.rotation = Rotation::Daily { keep: 40 });
    let mut site = Site::start(firm).await?;
    site.run_to(seconds(0, 33, 0)).await?;
    site.outbox_empties().await?;
    let told = site.chain()?.entries.len();
    site.stop_server().await?;
    site.run_to(BACK).await?;
    let waiting = site.status().await?.buffer.backlog;
    assert!(waiting >= 30 * 144 - 3, "{waiting} wait");
    site.start_server().await?;
    site.run_to(BACK + seconds(0, 30, 0)).await?;
    site.outbox_empties().await?;
    site.stop_gateway().await?;

    let (chain, own) = (site.chain()?, site.own()?);
    own.ensure_same(&chain)?;
    chain.ensure_followed(&[Finding::Late])?;
    chain.ensure_covered()?;
    assert_every_line_once(&site, &chain)?;
    assert_eq!(chain.outages().count(), 0);
    let back = site.moment(BACK);
    let late = told as u64 + 1..=told as u64 + waiting;
    for entry in chain.entries.iter().filter(|entry| late.contains(&entry.seq)) {
        assert!(entry.recv_ms >= back, "{entry:?}");
        let Some(end_ms) = entry.end_ms else { continue };
        let is_late = entry.recv_ms - end_ms > 48 * 3_600_000;
        assert_eq!(entry.findings.contains(&Finding::Late), is_late, "{entry:?}");
    }
    let count = chain.entries.iter().filter(|entry| entry.findings.contains(&Finding::Late)).count();
    assert!((28 * 144..28 * 145 + 2).contains(&count), "{count} are late");
    // None of them knows of anything that was after the last answer.
    let anchors = chain.windows().filter(|window| late.contains(&seq_of(window)));
    let sizes: BTreeSet<_> = anchors.map(|window| window.anchor.as_ref().map(|anchor| anchor.size)).collect();
    assert!(sizes.len() == 1 && sizes.first().is_some_and(Option::is_some), "{sizes:?}");
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_window_that_cannot_be_read_costs_itself_and_no_line() -> anyhow::Result<()> {
    let mut site = Site::start(one_machine_and_one_log(date(2026, 7, 22))).await?;
    site.run_to(seconds(9, 5, 30)).await?;
    site.crash_gateway()?;
    site.spoil_open_window().await?;
    site.start_gateway().await?;
    site.run_to(seconds(10, 3, 0)).await?;
    site.outbox_empties().await?;
    site.stop_gateway().await?;
    let (chain, own) = (site.chain()?, site.own()?);
    own.ensure_recorded(&chain)?;
    let killed = chain.outages_by(Cause::Killed);
    assert_eq!(killed.len(), 1);
    assert_eq!(killed[0].from_ms, site.moment(seconds(9, 0, 0)), "all of the window is declared");
    assert_every_line_once(&site, &chain)?;
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_in_another_order_keep_their_positions_and_a_loss_keeps_its_source() -> anyhow::Result<()> {
    let mut site = Site::start(one_machine_and_one_log(date(2026, 7, 22))).await?;
    site.run_to(seconds(9, 5, 30)).await?;
    let lines: u64 = site.lines_written()?.iter().map(|(_, lines)| lines).sum();
    assert!(lines > 10, "{lines} lines are too few to show anything");
    site.crash_gateway()?;
    site.turn_manifest_around()?;
    site.start_gateway().await?;
    site.run_to(seconds(10, 3, 0)).await?;
    site.outbox_empties().await?;
    site.stop_gateway().await?;
    let chain = site.chain()?;
    site.own()?.ensure_recorded(&chain)?;
    let killed = chain.outages_by(Cause::Killed);
    assert_eq!(killed.len(), 1);
    assert_eq!(killed[0].lost_sources, [1], "the machine's index is that of the manifest that was in force");
    let written: u64 = site.lines_written()?.iter().map(|(_, lines)| lines).sum();
    let sources = u32::try_from(site.plant.devices().count() + site.plant.logs().len())?;
    let taken: u64 = (1..=sources).map(|source| chain.lines(source)).sum();
    assert_eq!(taken, written, "lines are neither lost nor doubled");
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_costs_no_line_and_stands_in_the_chain() -> anyhow::Result<()> {
    let mut site = Site::start(one_machine_and_one_log(date(2026, 7, 22))).await?;
    site.run_to(seconds(9, 4, 30)).await?;
    site.set_gateway_clock(2 * HOUR);
    site.run_to(seconds(10, 35, 30)).await?;
    site.set_gateway_clock(-3 * HOUR);
    site.run_to(seconds(12, 5, 30)).await?;
    site.set_gateway_clock(0);
    site.run_to(seconds(14, 3, 0)).await?;
    site.outbox_empties().await?;
    site.stop_gateway().await?;

    let (chain, own) = (site.chain()?, site.own()?);
    assert_eq!((own.backlog, own.head), (0, chain.entries.len() as u64));
    let stepped: Vec<_> = chain
        .outages_by(Cause::Clock)
        .iter()
        .map(|outage| (outage.to_ms - outage.from_ms) / 1000 / HOUR)
        .collect();
    // Set back, an outage has no length: what was watched twice by the clock is watched by the monotonic one.
    assert_eq!(stepped, [2, 0, 3]);
    let watched_ms: u64 = chain.windows().map(|window| u64::from(window.mono_length_ms)).sum();
    let run_ms = u64::try_from(site.moment(seconds(14, 3, 0)) - site.moment(0))?;
    assert!(
        run_ms - watched_ms <= 3 * 60_000,
        "{} ms are missing by the monotonic clock",
        run_ms - watched_ms
    );
    assert_every_line_once(&site, &chain)?;
    site.end().await
}

const HOUR: i64 = 3_600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shipped_programs_lose_nothing_when_broker_server_and_agent_are_killed() -> anyhow::Result<()> {
    kill_one_after_the_other(Program::shipped("inuse-agent")?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs qemu and the gateway's program for aarch64: cargo xtask test"]
async fn an_aarch64_agent_under_qemu_loses_nothing_when_killed() -> anyhow::Result<()> {
    let agent = emulated_agent("aarch64-unknown-linux-musl/inuse-agent-small", "INUSE_QEMU_AARCH64")?;
    kill_one_after_the_other(agent).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs qemu and the gateway's program for armv7: cargo xtask test"]
async fn an_armv7_agent_under_qemu_loses_nothing_when_killed() -> anyhow::Result<()> {
    let agent = emulated_agent("armv7-unknown-linux-musleabihf/inuse-agent-small", "INUSE_QEMU_ARM")?;
    kill_one_after_the_other(agent).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_agent_takes_each_line_of_a_rotating_gb18030_log_once() -> anyhow::Result<()> {
    let in_gb18030 = |firm: &mut Firm| firm.logs[0].encoding = Encoding::Gb18030;
    let town = Town::start_with(Program::shipped("inuse-agent")?, in_gb18030).await?;
    let (broker, server) = (town.start_broker().await?, town.start_server().await?);
    town.enrol().await?;
    let mut agent = town.start_agent().await?;
    let log = &town.plant.logs()[0];
    // Before a place in it was ever stored, a log is the file at its path: a rotation would leave the first lines behind.
    town.people_write(1)?;
    town.agent_reads(1).await?;
    town.agent_flushes().await?;
    for how in [Aside::Rename, Aside::CopyTruncate, Aside::Rename, Aside::Rename, Aside::CopyTruncate] {
        // Killed with lines that it read and did not store, with some it never saw, and with a rotation in between.
        town.people_write(5)?;
        town.agent_reads(5).await?;
        town.people_write(3)?;
        log.put_aside(how)?;
        town.people_write(4)?;
        agent.kill_9().await?;
        town.people_write(2)?;
        agent = town.start_agent().await?;
    }
    town.agent_reads(4).await?;
    // Who took a renamed file's place waits for one look; there are several between two flushes.
    town.agent_flushes().await?;
    town.agent_flushes().await?;
    agent.terminate().await?;
    let (chain, own) = (town.chain()?, town.own()?);
    own.ensure_recorded(&chain)?;
    assert_eq!(chain.lines(2), lines_of(log.path())?, "no line is lost or doubled");
    assert!(chain.windows().all(|window| window.rewrites.is_empty()), "a rotation is no rewrite");
    server.terminate().await?;
    broker.terminate().await?;
    town.end().await
}

async fn kill_one_after_the_other(agent: Program) -> anyhow::Result<()> {
    let town = Town::start(agent).await?;
    let (broker, server) = (town.start_broker().await?, town.start_server().await?);
    town.enrol().await?;
    let agent = town.start_agent().await?;
    town.reported().await?;

    // Killed right after it has read a log, and once more after it has put on disk what it read.
    town.people_write(7)?;
    let seen = town.agent_reads(7).await?;
    agent.kill_9().await?;
    let agent = town.start_agent().await?;
    let again = town.agent_reads(7).await?;
    assert!(again.now_ms > seen.now_ms);
    town.agent_flushes().await?;
    town.people_write(5)?;
    agent.kill_9().await?;
    let agent = town.start_agent().await?;

    // No broker; the agent is killed, comes back and is stopped in order while nobody takes its proofs.
    broker.kill_9().await?;
    town.agent_says("the broker is lost", |status| !status.link.connected).await?;
    agent.kill_9().await?;
    let agent = town.start_agent().await?;
    let waiting = town.agent_says("proofs wait", |status| status.buffer.backlog >= 2).await?;
    assert!(waiting.link.error.is_some(), "why it is not connected is said");
    // The broker is back and the server is gone: what the broker acknowledges does not leave the outbox.
    server.kill_9().await?;
    let broker = town.start_broker().await?;
    let waiting = town.agent_says("the broker is back", |status| status.link.connected).await?;
    assert!(waiting.buffer.backlog >= 2);
    agent.terminate().await?;
    let agent = town.start_agent().await?;
    let waiting = town.agent_says("the broker is back", |status| status.link.connected).await?;
    assert!(waiting.buffer.backlog >= 4, "only a receipt empties the outbox");
    // All are there again.
    let server = town.start_server().await?;
    town.reported().await?;
    town.people_write(3)?;
    town.agent_reads(3).await?;
    agent.terminate().await?;

    kills_are_declared_and_nothing_else_is_missing(&town)?;
    server.terminate().await?;
    broker.terminate().await?;
    town.end().await
}

/// Three kills and one orderly stop, each declared for what it cost; every line and every sealed window once.
fn kills_are_declared_and_nothing_else_is_missing(town: &Town) -> anyhow::Result<()> {
    let (chain, own) = (town.chain()?, town.own()?);
    own.ensure_recorded(&chain)?;
    chain.ensure_covered()?;
    let killed = chain.outages_by(Cause::Killed);
    assert_eq!(killed.len(), 3);
    for outage in killed {
        assert_eq!(
            outage.lost_sources,
            [1],
            "the machine's samples are lost, the log's records are read again"
        );
        let length_ms = outage.to_ms - outage.from_ms;
        assert!((1..60_000).contains(&length_ms), "{length_ms} ms of silence were declared");
    }
    assert_eq!((chain.outages_by(Cause::Stopped).len(), chain.outages().count()), (1, 4));
    let ends: Vec<_> = chain.windows().map(wire::Window::end).filter(|end| *end != wire::End::Mark).collect();
    use wire::End::{Crash, Stop};
    assert_eq!(ends, [Crash, Crash, Crash, Stop, Stop]);
    for window in chain.windows() {
        let length_ms = window.length_ms;
        // It begins where the silence before ends: a start that took a second mark leaves one that nobody was asked at,
        // and in a window that ends before the next that is a gap, of this cause and no other.
        let unasked = |gap: &wire::Gap| gap.cause == u32::from(Cause::Unknown.letter());
        assert!(
            window.gaps.iter().all(|gap| length_ms < 2_000 && unasked(gap)),
            "nothing failed but what was killed: {:?} in {length_ms} ms",
            window.gaps
        );
    }
    assert_eq!(chain.lines(2), lines_of(town.plant.logs()[0].path())?, "no line is lost or doubled");
    Ok(())
}
