//! The tar with its installer, on systems without systemd.

use anyhow::Context as _;
use proof::Cause;
use tests::debian::{Debian, Init};
use tests::town::Town;

use crate::{PROGRAM, package};

/// Unpacks a tar of packages inside and returns the path of its installer.
async fn unpack(debian: &Debian, folder: &str) -> anyhow::Result<String> {
    let archive = debian.bring(&package(folder, ".tar.gz")?)?;
    let listed = debian.output(&["tar", "--list", "--file", &archive]).await?;
    debian.output(&["tar", "--extract", "--directory", "/root", "--file", &archive]).await?;
    let top = listed.lines().next().context("an empty archive")?;
    Ok(format!("/root/{top}install.sh"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs systemd-nspawn and packages: cargo xtask test --require-foreign"]
async fn the_tar_serves_a_system_that_restarts_nothing_by_itself_nspawn() -> anyhow::Result<()> {
    const SCRIPT: &str = "/etc/init.d/inuse-agent";
    let debian = Debian::boot(Init::Systemd).await?;
    let (old, new) = (unpack(&debian, "old").await?, unpack(&debian, "new").await?);
    // OpenWrt's /var is a link into memory.
    debian.output(&["ln", "-s", "/run", "/srv/var"]).await?;
    debian.output(&["install", "-D", "/dev/null", "/srv/photos/one.jpg"]).await?;
    for (state, why) in [
        ("/run/inuse", "is in memory"),
        ("/srv/var/lib/inuse", "is in memory"),
        ("/srv/photos", "holds something"),
    ] {
        let refused = debian.run(&[&old, "--init", "sysv", "--state", state]).await?;
        assert!(refused.code != Some(0) && refused.err.contains(why), "{state}: {refused:?}");
    }
    assert!(!debian.root().join("usr/bin/inuse-agent").exists(), "a refusal installs nothing");
    debian.output(&[&old, "--init", "sysv"]).await?;

    let town = Town::start_in(debian.program(PROGRAM), &debian.root()).await?;
    let (broker, server) = (town.start_broker().await?, town.start_server().await?);
    let unenrolled = debian.run(&[SCRIPT, "start"]).await?;
    assert_ne!(unenrolled.code, Some(0), "what check complains of is not started");
    town.enrol().await?;
    debian.output(&[SCRIPT, "start"]).await?;
    let first = town.reported().await?;
    debian.output(&["pkill", "-KILL", "--full", "^/usr/bin/inuse-agent run"]).await?;
    let killed = town.agent_says("it runs again", |status| status.buffer.head > first.buffer.head).await?;

    broker.kill_9().await?;
    debian.output(&["pkill", "-KILL", "--full", "^/usr/bin/inuse-agent run"]).await?;
    let waiting = |status: &agent::status::Status| {
        status.buffer.backlog >= 2 && status.buffer.head > killed.buffer.head
    };
    let waiting = town.agent_says("proofs wait", waiting).await?;
    let said = debian.output(&[&new, "--init", "sysv"]).await?;
    assert!(said.contains("(before: 0.0.9)"), "{said}");
    let kept = |status: &agent::status::Status| status.buffer.head > waiting.buffer.head;
    let kept = town.agent_says("the new one goes on", kept).await?;
    assert!(kept.buffer.backlog > waiting.buffer.backlog, "the backlog is kept");
    let refused = debian.run(&[&old]).await?;
    assert!(refused.code != Some(0) && refused.err.contains("is older"), "{refused:?}");
    let said = debian.output(&["/usr/share/inuse/install.sh", "roll-back"]).await?;
    assert!(said.contains("0.0.9 is back"), "{said}");
    let back = |status: &agent::status::Status| status.buffer.head > kept.buffer.head;
    town.agent_says("the one before runs", back).await?;

    let broker = town.start_broker().await?;
    town.reported().await?;
    debian.output(&[SCRIPT, "stop"]).await?;
    let (chain, own) = (town.chain()?, town.own()?);
    own.ensure_recorded(&chain)?;
    chain.ensure_covered()?;
    assert_eq!(chain.outages_by(Cause::Killed).len(), 2);
    debian.output(&["/usr/share/inuse/install.sh", "purge"]).await?;
    for gone in ["var/lib/inuse", "etc/inuse", "usr/bin/inuse-agent", "etc/init.d/inuse-agent"] {
        assert!(!debian.root().join(gone).exists(), "{gone} is left after a purge");
    }
    server.terminate().await?;
    broker.terminate().await?;
    town.end().await?;
    debian.power_off().await
}
