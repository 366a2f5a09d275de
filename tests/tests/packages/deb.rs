//! The deb under systemd: installed, started, killed, hung, upgraded, taken away.

use anyhow::ensure;
use proof::Cause;
use tests::debian::{Debian, Init};
use tests::process::until;
use tests::site::lines_of;
use tests::town::Town;

use crate::{PROGRAM, UNIT, install, package, version};

/// The package of the version before: the one named by `INUSE_PREVIOUS`, else this program under an older number.
fn previous() -> anyhow::Result<std::path::PathBuf> {
    std::env::var_os("INUSE_PREVIOUS").map_or_else(|| package("old", ".deb"), |path| Ok(path.into()))
}

/// Waits until the unit runs in another process than `before`, and returns that one.
async fn runs_anew(debian: &Debian, before: &str) -> anyhow::Result<String> {
    until("the service runs in another process", || async {
        let pid = debian.unit(UNIT, "MainPID").await?;
        let state = debian.unit(UNIT, "ActiveState").await?;
        Ok((state == "active" && pid != "0" && pid != before).then_some(pid))
    })
    .await
}

async fn signal(debian: &Debian, signal: &str) -> anyhow::Result<()> {
    debian.output(&["systemctl", "kill", "--kill-whom=main", "--signal", signal, UNIT]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs systemd-nspawn and packages: cargo xtask test --require-foreign"]
async fn a_package_survives_kills_a_hang_and_an_upgrade_with_its_backlog_nspawn() -> anyhow::Result<()> {
    let debian = Debian::boot(Init::Systemd).await?;
    let said = install(&debian, &previous()?).await?;
    assert!(
        said.contains("systemctl enable --now inuse-agent"),
        "the first installation says what is next: {said}"
    );
    assert_eq!(debian.unit(UNIT, "ActiveState").await?, "inactive", "nothing starts by itself");

    let town = Town::start_in(debian.program(PROGRAM), &debian.root()).await?;
    let (broker, server) = (town.start_broker().await?, town.start_server().await?);
    town.enrol().await?;
    // Type=notify: the command returns when the agent says that it is ready.
    debian.output(&["systemctl", "enable", "--now", UNIT]).await?;
    assert_eq!(debian.unit(UNIT, "SubState").await?, "running");
    assert_eq!(debian.unit(UNIT, "WatchdogUSec").await?, "2min");
    let who =
        debian.output(&["stat", "--format=%U %a", "/var/lib/inuse", "/var/lib/inuse/agent.key"]).await?;
    assert_eq!(who, "inuse 700\ninuse 600\n");
    town.reported().await?;

    let first = debian.unit(UNIT, "MainPID").await?;
    signal(&debian, "KILL").await?;
    let second = runs_anew(&debian, &first).await?;
    // A process that hangs feeds no watchdog.
    let impatient = debian.root().join("etc/systemd/system/inuse-agent.service.d");
    std::fs::create_dir_all(&impatient)?;
    std::fs::write(impatient.join("test.conf"), "[Service]\nWatchdogSec=4\n")?;
    debian.output(&["systemctl", "daemon-reload"]).await?;
    debian.output(&["systemctl", "restart", UNIT]).await?;
    let third = runs_anew(&debian, &second).await?;
    signal(&debian, "STOP").await?;
    let fourth = runs_anew(&debian, &third).await?;
    assert_eq!(debian.unit(UNIT, "Result").await?, "success");
    std::fs::remove_dir_all(&impatient)?;
    debian.output(&["systemctl", "daemon-reload"]).await?;
    let journal = debian.output(&["journalctl", "--no-pager", "--unit", UNIT]).await?;
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    town.reported().await?;

    // Nobody takes proofs while it is upgraded.
    broker.kill_9().await?;
    signal(&debian, "KILL").await?;
    let fifth = runs_anew(&debian, &fourth).await?;
    let waiting = town.agent_says("proofs wait", |status| status.buffer.backlog >= 2).await?;
    let key = std::fs::read(debian.root().join("var/lib/inuse/agent.key"))?;
    let before = version(&debian).await?;
    install(&debian, &package("new", ".deb")?).await?;
    let after = version(&debian).await?;
    ensure!(before != after, "both packages are {after}");
    runs_anew(&debian, &fifth).await?;
    let kept = town
        .agent_says("the new one has the backlog", |status| status.buffer.backlog >= waiting.buffer.backlog)
        .await?;
    assert!(kept.buffer.head >= waiting.buffer.head);
    assert_eq!(std::fs::read(debian.root().join("var/lib/inuse/agent.key"))?, key);
    let broker = town.start_broker().await?;
    town.reported().await?;

    // Back is refused, and leaves things as they are.
    let older = debian.bring(&previous()?)?;
    let refused = debian.run(&["dpkg", "--install", &older]).await?;
    assert_ne!(refused.code, Some(0));
    assert!(refused.err.contains("is installed and"), "{}", refused.err);
    assert_eq!(version(&debian).await?, after);
    assert_eq!(debian.unit(UNIT, "ActiveState").await?, "active");

    let read = town.agent_says("it answers", |_| true).await?.sources[1].records;
    town.people_write(3)?;
    town.agent_reads(read + 3).await?;
    debian.output(&["systemctl", "stop", UNIT]).await?;
    let (chain, own) = (town.chain()?, town.own()?);
    own.ensure_recorded(&chain)?;
    chain.ensure_covered()?;
    // Killed twice, and once by the watchdog; stopped for the new time-out, the upgrade and at the end.
    assert_eq!(chain.outages_by(Cause::Killed).len(), 3);
    assert_eq!(chain.lines(2), lines_of(town.plant.logs()[0].path())?, "no line is lost or doubled");

    debian.output(&["dpkg", "--remove", "inuse-agent"]).await?;
    assert!(debian.root().join("var/lib/inuse/agent.key").exists(), "removing keeps the key");
    debian.output(&["dpkg", "--purge", "inuse-agent"]).await?;
    for gone in ["var/lib/inuse", "etc/inuse", "usr/bin/inuse-agent"] {
        assert!(!debian.root().join(gone).exists(), "{gone} is left after a purge");
    }
    server.terminate().await?;
    broker.terminate().await?;
    town.end().await?;
    debian.power_off().await
}
