//! `inuse-agent update`: what is installed, what is taken back, and what a power cut interrupts.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use proof::Cause;
use tests::debian::{Debian, Init};
use tests::foreign::needed;
use tests::process::until;
use tests::town::Town;

use crate::{PROGRAM, UNIT, bring_signed, version};

/// Begins an update in there that goes on by itself, and waits until it has installed and looks at the new agent.
async fn begin(debian: &Debian, folder: &str, words: &str) -> anyhow::Result<PathBuf> {
    let journal = debian.root().join(folder).join("underway.json");
    let command = format!("setsid {PROGRAM} update {words} >/root/update.log 2>&1 </dev/null &");
    debian.output(&["sh", "-c", &command]).await?;
    let log = debian.root().join("root/update.log");
    let installed = || async {
        let phase = std::fs::read_to_string(&journal).unwrap_or_default();
        Ok(phase.contains(r#""phase":"Judging""#).then_some(()))
    };
    until("the update judges", installed)
        .await
        .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
    Ok(journal)
}

/// The update said to be judged was still installing.
fn as_if_installing(journal: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(journal)?;
    let earlier = text.replace(r#""phase":"Judging""#, r#""phase":"Installing""#);
    ensure!(earlier != text, "{text}");
    Ok(std::fs::write(journal, earlier)?)
}

/// Waits until there is nothing to finish any more.
async fn ended(journal: &Path) -> anyhow::Result<()> {
    until("the update is finished", || async { Ok((!journal.exists()).then_some(())) }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs systemd-nspawn and packages: cargo xtask test --require-foreign"]
async fn an_update_that_a_power_cut_interrupts_is_finished_or_taken_back_at_the_next_start_nspawn()
-> anyhow::Result<()> {
    const FOLDER: &str = "var/lib/inuse-update";
    let mut debian = Debian::boot(Init::Systemd).await?;
    let [old, new, broken] = bring_signed(&debian, ".deb")?;
    debian.output(&["dpkg", "--install", &old]).await?;
    let town = Town::start_in(debian.program(PROGRAM), &debian.root()).await?;
    let (broker, server) = (town.start_broker().await?, town.start_server().await?);
    town.enrol().await?;
    debian.output(&["systemctl", "enable", "--now", UNIT]).await?;
    town.reported().await?;
    let before = version(&debian).await?;
    let nothing = debian.output(&[PROGRAM, "update", "--resume"]).await?;
    assert!(nothing.contains("no update was interrupted"), "{nothing}");

    let journal = begin(&debian, FOLDER, &format!("{new} --previous {old}")).await?;
    let second = debian.run(&[PROGRAM, "update", &new]).await?;
    assert!(second.code == Some(1) && second.err.contains("is under way"), "{second:?}");
    debian.cut_power().await?;
    ended(&journal).await?;
    let good = version(&debian).await?;
    assert_ne!(good, before);
    assert!(debian.root().join(FOLDER).join("installed.deb").exists(), "it is kept to go back to");
    town.reported().await?;

    // Interrupted while its files were brought: not a moment is waited for what it would do.
    let journal = begin(&debian, FOLDER, &broken).await?;
    as_if_installing(&journal)?;
    debian.cut_power().await?;
    ended(&journal).await?;
    assert_eq!(version(&debian).await?, good);
    town.reported().await?;

    let patience = debian.root().join("etc/systemd/system/inuse-update.service.d");
    std::fs::create_dir_all(&patience)?;
    let resume = "/var/lib/inuse-update/inuse-agent update --resume --wait 30";
    std::fs::write(patience.join("test.conf"), format!("[Service]\nExecStart=\nExecStart={resume}\n"))?;
    let journal = begin(&debian, FOLDER, &broken).await?;
    debian.cut_power().await?;
    ended(&journal).await?;
    assert_eq!(version(&debian).await?, good);
    let said =
        debian.output(&["journalctl", "--no-pager", "--boot", "--unit", "inuse-update.service"]).await?;
    assert!(said.contains("was taken back"), "{said}");

    town.reported().await?;
    debian.output(&["systemctl", "stop", UNIT]).await?;
    let (chain, own) = (town.chain()?, town.own()?);
    own.ensure_recorded(&chain)?;
    chain.ensure_covered()?;
    // The kernel goes on running, so that a cut is a kill; twice there was no agent any more to be killed.
    assert_eq!(chain.outages_by(Cause::Killed).len(), 1);
    server.terminate().await?;
    broker.terminate().await?;
    town.end().await?;
    debian.power_off().await
}

/// What a system of rpms has, and a Debian's rpm does not know of.
const BASE: &str = "Name: base\nVersion: 1\nRelease: 1\nSummary: a shell\nLicense: none\nBuildArch: noarch\n\
                    Provides: /bin/sh\n%description\nA shell.\n%files\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs systemd-nspawn and packages: cargo xtask test --require-foreign"]
async fn an_rpm_is_installed_updated_taken_back_and_removed_with_its_key_kept_nspawn() -> anyhow::Result<()> {
    const ASK: [&str; 4] = ["rpm", "--query", "--queryformat=%{VERSION}", "inuse-agent"];
    let debian = Debian::boot(Init::Systemd).await?;
    std::fs::write(debian.root().join("root/base.spec"), BASE)?;
    debian.output(&["rpmbuild", "-bb", "--quiet", "--define", "_rpmdir /root", "/root/base.spec"]).await?;
    debian.output(&["rpm", "--install", "/root/noarch/base-1-1.noarch.rpm"]).await?;
    let [old, new, broken] = bring_signed(&debian, ".rpm")?;
    debian.output(&["rpm", "--install", &old]).await?;
    assert_eq!(debian.unit(UNIT, "ActiveState").await?, "inactive", "nothing starts by itself");
    let town = Town::start_in(debian.program(PROGRAM), &debian.root()).await?;
    let (broker, server) = (town.start_broker().await?, town.start_server().await?);
    town.enrol().await?;
    debian.output(&["systemctl", "enable", "--now", UNIT]).await?;
    town.reported().await?;

    debian.output(&[PROGRAM, "update", &new, "--previous", &old, "--wait", "60"]).await?;
    let good = debian.output(&ASK).await?;
    assert_ne!(good, "0.0.9");
    let refused = debian.run(&["rpm", "--upgrade", &old]).await?;
    assert_ne!(refused.code, Some(0), "rpm goes back by itself: {refused:?}");
    let taken_back = debian.run(&[PROGRAM, "update", &broken, "--wait", "30"]).await?;
    assert!(taken_back.code == Some(1) && taken_back.err.contains("was taken back"), "{taken_back:?}");
    assert_eq!(debian.output(&ASK).await?, good);
    town.reported().await?;

    let (chain, own) = {
        debian.output(&["systemctl", "stop", UNIT]).await?;
        (town.chain()?, town.own()?)
    };
    own.ensure_recorded(&chain)?;
    chain.ensure_covered()?;
    debian.output(&["systemctl", "start", UNIT]).await?;
    debian.output(&["rpm", "--erase", "inuse-agent"]).await?;
    assert!(!debian.root().join("usr/bin/inuse-agent").exists());
    assert_eq!(debian.run(&["pgrep", "--exact", "inuse-agent"]).await?.code, Some(1), "it still runs");
    assert!(debian.root().join("var/lib/inuse/agent.key").exists(), "removing keeps the key");
    server.terminate().await?;
    broker.terminate().await?;
    town.end().await?;
    debian.power_off().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs systemd-nspawn and packages: cargo xtask test --require-foreign"]
async fn openrc_starts_the_tars_agent_again_and_its_updates_go_back_nspawn() -> anyhow::Result<()> {
    const FOLDER: &str = "usr/share/inuse/update";
    const SCRIPT: &str = "etc/init.d/inuse-agent";
    let mut debian = Debian::boot(Init::OpenRc).await?;
    let [old, new, broken] = bring_signed(&debian, ".tar.gz")?;
    debian.output(&["tar", "--extract", "--directory", "/srv", "--file", &old]).await?;
    let said = debian.output(&["sh", "-c", "/srv/inuse-agent-*/install.sh"]).await?;
    assert!(said.contains("service manager: openrc"), "{said}");
    let town = Town::start_in(debian.program(PROGRAM), &debian.root()).await?;
    let (broker, server) = (town.start_broker().await?, town.start_server().await?);
    let unenrolled = debian.run(&["rc-service", "inuse-agent", "start"]).await?;
    assert_ne!(unenrolled.code, Some(0), "what check complains of is not started");
    town.enrol().await?;
    debian.output(&["rc-update", "add", "inuse-agent", "default"]).await?;
    debian.output(&["rc-service", "inuse-agent", "start"]).await?;
    let first = town.reported().await?;
    debian.output(&["pkill", "-KILL", "--full", "^/usr/bin/inuse-agent run"]).await?;
    town.agent_says("it runs again", |status| status.buffer.head > first.buffer.head).await?;

    // Somebody's line in the script is replaced with it, and comes back with it.
    let root = debian.root();
    let text = || std::fs::read_to_string(root.join(SCRIPT));
    let version = || std::fs::read_to_string(root.join("usr/share/inuse/VERSION"));
    debian.output(&["sh", "-c", &format!("echo '# ours' >>/{SCRIPT}")]).await?;
    debian.output(&[PROGRAM, "update", &new, "--wait", "60"]).await?;
    let good = version()?;
    assert!(good != "0.0.9\n" && !text()?.contains("# ours"), "{good}");
    let back = debian.output(&["/usr/share/inuse/install.sh", "roll-back"]).await?;
    assert!(back.contains("0.0.9 is back") && text()?.contains("# ours"), "{back}");
    town.agent_says("the one before runs", |status| status.sources[0].good > 0).await?;
    debian.output(&[PROGRAM, "update", &new, "--wait", "60"]).await?;
    let taken_back = debian.run(&[PROGRAM, "update", &broken, "--wait", "30"]).await?;
    assert!(taken_back.code == Some(1) && taken_back.err.contains("was taken back"), "{taken_back:?}");
    assert_eq!(version()?, good);
    town.reported().await?;

    // A power cut while the new one is judged: the service's script finishes it.
    debian.output(&["sh", "-c", "/srv/inuse-agent-*/install.sh --downgrade"]).await?;
    town.agent_says("the one before runs", |status| status.sources[0].good > 0).await?;
    let journal = begin(&debian, FOLDER, &new).await?;
    debian.cut_power().await?;
    ended(&journal).await?;
    assert_eq!(version()?, good);
    town.reported().await?;

    debian.output(&["rc-service", "inuse-agent", "stop"]).await?;
    let (chain, own) = (town.chain()?, town.own()?);
    own.ensure_recorded(&chain)?;
    chain.ensure_covered()?;
    assert!(!chain.outages_by(Cause::Killed).is_empty());
    debian.output(&["/usr/share/inuse/install.sh", "purge"]).await?;
    for gone in ["var/lib/inuse", "etc/inuse", "usr/bin/inuse-agent", SCRIPT] {
        assert!(!debian.root().join(gone).exists(), "{gone} is left after a purge");
    }
    server.terminate().await?;
    broker.terminate().await?;
    town.end().await?;
    debian.power_off().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs systemd-nspawn and packages: cargo xtask test --require-foreign"]
async fn an_update_that_does_not_work_is_taken_back_and_an_unsigned_one_not_begun_nspawn()
-> anyhow::Result<()> {
    let debian = Debian::boot(Init::Systemd).await?;
    let [old, new, broken] = bring_signed(&debian, ".deb")?;
    let key = debian.root().join("etc/inuse/release.pub");
    std::fs::remove_file(&key)?;
    debian.output(&["dpkg", "--install", &old]).await?;
    let town = Town::start_in(debian.program(PROGRAM), &debian.root()).await?;
    let (broker, server) = (town.start_broker().await?, town.start_server().await?);
    town.enrol().await?;
    debian.output(&["systemctl", "start", UNIT]).await?;
    town.reported().await?;

    let no_key = debian.run(&[PROGRAM, "update", &new, "--previous", &old]).await?;
    assert!(no_key.code == Some(1) && no_key.err.contains("release.pub"), "{no_key:?}");
    std::fs::copy(needed("INUSE_PACKAGES")?.join("release.pub"), key)?;
    let no_way_back = debian.run(&[PROGRAM, "update", &new]).await?;
    assert!(no_way_back.code == Some(1) && no_way_back.err.contains("--previous"), "{no_way_back:?}");
    let before = version(&debian).await?;
    let other = debian.run(&[PROGRAM, "update", &new, "--previous", &new]).await?;
    assert!(other.code == Some(1) && other.err.contains("name the right one"), "{other:?}");
    assert_eq!(version(&debian).await?, before);
    // Somebody edited the file that the package brings: nobody is asked about it.
    debian.output(&["sh", "-c", "echo '# ours' >>/etc/inuse/agent.toml"]).await?;
    debian.output(&[PROGRAM, "update", &new, "--previous", &old, "--wait", "60"]).await?;
    let good = version(&debian).await?;
    assert_ne!(good, before);
    let refused = debian.run(&[PROGRAM, "update", &old, "--wait", "30"]).await?;
    assert!(refused.code == Some(1) && refused.err.contains("nothing was installed"), "{refused:?}");
    assert_eq!(version(&debian).await?, good, "an older package, signed as it is, changes nothing");

    // Signed, newer, and its program does nothing. What an update has installed is kept to go back to.
    let taken_back = debian.run(&[PROGRAM, "update", &broken, "--wait", "40"]).await?;
    assert!(taken_back.code == Some(1) && taken_back.err.contains("was taken back"), "{taken_back:?}");
    assert_eq!(version(&debian).await?, good);
    town.reported().await?;

    // One byte more than what was signed.
    debian.output(&["sh", "-c", &format!("printf x >>{broken}")]).await?;
    let changed = debian.run(&[PROGRAM, "update", &broken]).await?;
    assert!(changed.code == Some(1) && changed.err.contains("is not the package"), "{changed:?}");
    debian.output(&["sh", "-c", "sha256sum /root/broken/*.deb >/root/broken/SHA256SUMS"]).await?;
    let resigned = debian.run(&[PROGRAM, "update", &broken]).await?;
    assert!(resigned.code == Some(1) && resigned.err.contains("signed with the release key"), "{resigned:?}");
    assert_eq!(version(&debian).await?, good);

    town.reported().await?;
    debian.output(&["systemctl", "stop", UNIT]).await?;
    let (chain, own) = (town.chain()?, town.own()?);
    own.ensure_recorded(&chain)?;
    chain.ensure_covered()?;
    assert_eq!(chain.outages_by(Cause::Killed).len(), 0, "all of it in order");
    server.terminate().await?;
    broker.terminate().await?;
    town.end().await?;
    debian.power_off().await
}
