//! What is taken away in the middle, and what stands in the ledger afterwards: every sealed window once and in order,
//! an empty outbox, and what a kill cost of the open window as an `outage`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent::status::Status;
use daemon::{Clock as _, SystemClock};
use jiff::civil::date;
use ledger::Finding;
use proof::log::Outcome;
use proof::{AgentId, Cause, wire};
use tests::chain::{Chain, Own};
use tests::plant::firm::{Firm, demo_firms};
use tests::plant::forms::{Deed, Event};
use tests::plant::{Plant, files};
use tests::process::{Process, free_address, listens, output, until};
use tests::recordings::local_day;
use tests::site::{Site, agent_of, lines_of, seconds};

/// A firm with one machine and one log that many write to.
const FIRM: &str = "jijie";

fn firm(start: jiff::civil::Date) -> Firm {
    let firms = demo_firms(start, start.saturating_add(jiff::Span::new().days(60)));
    firms.into_iter().find(|firm| firm.id == FIRM).expect("the demo has it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sealed_window_is_recorded_once_in_order_whatever_is_taken_away() -> anyhow::Result<()> {
    let mut site = Site::start(firm(date(2026, 7, 22))).await?;
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

    for (source, lines) in site.lines_written()? {
        assert!(lines > 20, "{lines} lines in log {source} are too few to show anything");
        assert_eq!(chain.lines(source), lines, "a log's lines are neither lost nor doubled");
    }
    site.end().await
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
    let mut site = Site::start(firm(date(2026, 7, 22))).await?;
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
async fn an_open_window_that_cannot_be_read_costs_itself_and_no_line() -> anyhow::Result<()> {
    let mut site = Site::start(firm(date(2026, 7, 22))).await?;
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
    for (source, lines) in site.lines_written()? {
        assert_eq!(chain.lines(source), lines, "a log's lines are neither lost nor doubled");
    }
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_in_another_order_keep_their_positions() -> anyhow::Result<()> {
    let mut site = Site::start(firm(date(2026, 7, 22))).await?;
    site.run_to(seconds(9, 5, 30)).await?;
    let lines: u64 = site.lines_written()?.iter().map(|(_, lines)| lines).sum();
    assert!(lines > 10, "{lines} lines are too few to show anything");
    site.stop_gateway().await?;
    site.turn_manifest_around()?;
    site.start_gateway().await?;
    site.run_to(seconds(10, 3, 0)).await?;
    site.outbox_empties().await?;
    site.stop_gateway().await?;
    let chain = site.chain()?;
    site.own()?.ensure_recorded(&chain)?;
    let written: u64 = site.lines_written()?.iter().map(|(_, lines)| lines).sum();
    let sources = u32::try_from(site.plant.devices().count() + site.plant.logs().len())?;
    let taken: u64 = (1..=sources).map(|source| chain.lines(source)).sum();
    assert_eq!(taken, written, "lines are neither lost nor doubled");
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_costs_no_line_and_stands_in_the_chain() -> anyhow::Result<()> {
    let mut site = Site::start(firm(date(2026, 7, 22))).await?;
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
    for (source, lines) in site.lines_written()? {
        assert!(lines > 20, "{lines} lines in log {source} are too few to show anything");
        assert_eq!(chain.lines(source), lines, "a log's lines are neither lost nor doubled");
    }
    site.end().await
}

const HOUR: i64 = 3_600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shipped_programs_lose_nothing_when_broker_server_and_agent_are_killed() -> anyhow::Result<()> {
    let town = Town::start().await?;
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
        assert!(
            window.gaps.is_empty(),
            "nothing failed but what was killed: {:?} in {length_ms} ms",
            window.gaps
        );
    }
    assert_eq!(chain.lines(2), lines_of(town.plant.logs()[0].path())?, "no line is lost or doubled");
    Ok(())
}

/// The shipped programs on loopback, broker and ingester apart, and a firm that works in real time.
struct Town {
    folder: tempfile::TempDir,
    plant: Plant,
    broker: String,
    enrolment: String,
    portal: String,
}

impl Town {
    async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (today, _) = local_day(SystemClock.stamp().wall_ms);
        let place = folder.path().join(FIRM);
        std::fs::create_dir_all(&place)?;
        std::fs::create_dir_all(folder.path().join("projects"))?;
        let plant = Plant::start(firm(today), &place, Arc::new(SystemClock), SECOND).await?;
        files::write_manifest(&plant, &place, SECOND)?;
        std::fs::write(
            place.join("agent.toml"),
            "state_dir = \"state\"\ngrace = \"3s\"\n[buffer]\nflush = \"10s\"\n",
        )?;
        let project = files::project(plant.firm(), &[], "neutral")?;
        std::fs::write(folder.path().join("projects").join(format!("{FIRM}.toml")), project)?;
        let (broker, enrolment, portal) = (free_address()?, free_address()?, free_address()?);
        let shared = "data = \"data\"\nprojects = \"projects\"\nnames = [\"127.0.0.1\"]\n";
        let listen =
            format!("[listen]\nbroker = \"{broker}\"\nenrolment = \"{enrolment}\"\nportal = \"{portal}\"\n");
        let parts = [
            ("broker.toml", "roles = [\"broker\", \"enrolment\"]\n", String::new()),
            (
                "server.toml",
                "roles = [\"ingester\", \"portal\"]\n",
                format!("[broker]\nmode = \"external\"\nurl = \"mqtts://{broker}\"\nca = \"data/ca.pem\"\n"),
            ),
        ];
        for (name, roles, outside) in parts {
            std::fs::write(folder.path().join(name), format!("{shared}{roles}{listen}{outside}"))?;
        }
        Ok(Self { folder, plant, broker, enrolment, portal })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn agent_toml(&self) -> PathBuf {
        self.path(FIRM).join("agent.toml")
    }

    fn state(&self) -> PathBuf {
        self.path(FIRM).join("state")
    }

    async fn start_broker(&self) -> anyhow::Result<Process> {
        let process = Process::start("inuse-server", &self.path("broker.toml"))?;
        listens(&self.broker).await?;
        Ok(process)
    }

    async fn start_server(&self) -> anyhow::Result<Process> {
        let process = Process::start("inuse-server", &self.path("server.toml"))?;
        listens(&self.portal).await?;
        Ok(process)
    }

    async fn enrol(&self) -> anyhow::Result<()> {
        let token = output("inuse-server", &["project", "add", FIRM], &self.path("broker.toml")).await?;
        let enrol = ["enrol", "--yes", "--server", &self.enrolment, "--token", token.trim()];
        output("inuse-agent", &enrol, &self.agent_toml()).await.map(drop)
    }

    async fn start_agent(&self) -> anyhow::Result<Process> {
        let process = Process::start("inuse-agent", &self.agent_toml())?;
        self.agent_says("the agent has read its machine", |status| status.sources[0].good > 0).await?;
        Ok(process)
    }

    /// Waits until the agent's status is as asked for, and returns it.
    async fn agent_says(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> anyhow::Result<Status> {
        let socket = self.state().join("status.sock");
        until(what, || async { Ok(agent::status::ask(&socket).await.ok().filter(&wanted)) }).await
    }

    async fn agent_reads(&self, records: u64) -> anyhow::Result<Status> {
        self.agent_says("the agent has read the log", |status| status.sources[1].records >= records).await
    }

    /// Everything sealed so far has its receipt, and there is something.
    async fn reported(&self) -> anyhow::Result<Status> {
        let all = |status: &Status| {
            status.buffer.backlog == 0 && status.buffer.receipted == Some(status.buffer.head)
        };
        self.agent_says("all is receipted", all).await
    }

    /// Waits until the agent's store was written to.
    async fn agent_flushes(&self) -> anyhow::Result<()> {
        let log = self.state().join("buffer.db-wal");
        let before = std::fs::metadata(&log)?.modified()?;
        let written = || async { Ok((std::fs::metadata(&log)?.modified()? > before).then_some(())) };
        until("the open window is flushed", written).await
    }

    /// The people report so many pieces of work, beside what they do by themselves.
    fn people_write(&self, lines: u32) -> anyhow::Result<()> {
        let firm = self.plant.firm();
        let form = firm.logs[0].form;
        let at_ms = SystemClock.stamp().wall_ms;
        for serial in 1..=lines {
            let event = Event { at_ms, account: 0, deed: Deed::Report, serial, quantity: 10 };
            let line = form.line(&event, &firm.accounts[0]).expect("work is reported in every form");
            self.plant.logs()[0].append(&(line + form.line_end()))?;
        }
        Ok(())
    }

    fn chain(&self) -> anyhow::Result<Chain> {
        let agent: AgentId = agent_of(&self.state())?;
        Chain::read(&self.path("data"), agent)
    }

    fn own(&self) -> anyhow::Result<Own> {
        let enrolled = std::fs::read(self.state().join("enrolment.json"))?;
        let enrolled: serde_json::Value = serde_json::from_slice(&enrolled)?;
        Own::read(&self.state(), enrolled["log_vkey"].as_str().unwrap_or_default())
    }

    async fn end(self) -> anyhow::Result<()> {
        assert_eq!(self.plant.writes(), 0, "nothing was written to a device");
        self.plant.stop().await
    }
}

const SECOND: Duration = Duration::from_secs(1);
