//! The package on a real Debian with its systemd: installed, started, killed, hung, upgraded, taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use proof::Cause;
use tests::debian::Debian;
use tests::foreign::needed;
use tests::process::until;
use tests::site::lines_of;
use tests::town::Town;

const UNIT: &str = "inuse-agent.service";
const PROGRAM: &str = "/usr/bin/inuse-agent";

/// A package of this kind in a folder of `INUSE_PACKAGES`.
fn package(folder: &str, end: &str) -> anyhow::Result<PathBuf> {
    let folder = needed("INUSE_PACKAGES")?.join(folder);
    let mut found = std::fs::read_dir(&folder)
        .with_context(|| format!("no packages in {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(end));
    found.next().with_context(|| format!("no {end} in {}", folder.display()))
}

/// The package of the version before: the one named by `INUSE_PREVIOUS`, else this program under an older number.
fn previous() -> anyhow::Result<PathBuf> {
    std::env::var_os("INUSE_PREVIOUS").map_or_else(|| package("old", ".deb"), |path| Ok(path.into()))
}

async fn version(debian: &Debian) -> anyhow::Result<String> {
    debian.output(&["dpkg-query", "--show", "--showformat=${Version}", "inuse-agent"]).await
}

async fn install(debian: &Debian, package: &Path) -> anyhow::Result<String> {
    let path = debian.bring(package)?;
    debian.output(&["dpkg", "--install", &path]).await
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
    let debian = Debian::boot(&[]).await?;
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
    let debian = Debian::boot(&[]).await?;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs systemd-nspawn and packages: cargo xtask test --require-foreign"]
async fn an_update_that_does_not_work_is_taken_back_and_an_unsigned_one_not_begun_nspawn()
-> anyhow::Result<()> {
    let debian = Debian::boot(&[]).await?;
    for folder in ["old", "new", "broken"] {
        debian.bring_folder(&needed("INUSE_PACKAGES")?.join(folder))?;
    }
    let name = |folder: &str| -> anyhow::Result<String> {
        let path = package(folder, ".deb")?;
        Ok(format!("/root/{folder}/{}", path.file_name().context("a name")?.to_string_lossy()))
    };
    let (old, new, broken) = (name("old")?, name("new")?, name("broken")?);
    debian.output(&["dpkg", "--install", &old]).await?;
    let town = Town::start_in(debian.program(PROGRAM), &debian.root()).await?;
    let (broker, server) = (town.start_broker().await?, town.start_server().await?);
    town.enrol().await?;
    debian.output(&["systemctl", "start", UNIT]).await?;
    town.reported().await?;

    let no_key = debian.run(&[PROGRAM, "update", &new, "--previous", &old]).await?;
    assert!(no_key.code == Some(1) && no_key.err.contains("release.pub"), "{no_key:?}");
    std::fs::copy(
        needed("INUSE_PACKAGES")?.join("release.pub"),
        debian.root().join("etc/inuse/release.pub"),
    )?;
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

/// Tries what a program of the agent's user might, and says of each whether it could.
const ATTEMPTS: &str = r#"
try() { name=$1; shift; if "$@" 2>/dev/null; then echo "$name: yes"; else echo "$name: no"; fi; }
for folder in /var/lib/inuse /srv/open /etc/inuse /usr/bin /var/tmp /tmp /dev/shm /run/lock /home /root; do
    try "write $folder" sh -c "echo inuse >$folder/attempt"
done
for device in /dev/null /dev/ttyS8 /dev/ttyS9; do
    try "open $device" sh -c ": <$device"
done
try "see processes of others" test -d /proc/1
try "make a namespace" unshare --user true
"#;

/// The lines of [`ATTEMPTS`] when it ran as a service with this text.
async fn attempts(debian: &Debian, service: &str) -> anyhow::Result<BTreeMap<String, bool>> {
    let unit = debian.root().join("etc/systemd/system/attempts.service");
    std::fs::write(unit, service)?;
    std::fs::write(debian.root().join("usr/bin/attempts"), ATTEMPTS)?;
    debian.output(&["systemctl", "daemon-reload"]).await?;
    debian.output(&["systemctl", "start", "attempts.service"]).await?;
    let said =
        ["journalctl", "--no-pager", "--output=cat", "--unit=attempts.service", "--identifier=attempts"];
    debian.output(&["journalctl", "--sync"]).await?;
    let said = debian.output(&said).await?;
    let tried = said.lines().filter_map(|line| line.rsplit_once(": "));
    Ok(tried.map(|(name, could)| (name.to_owned(), could == "yes")).collect())
}

/// The shipped unit with the attempts in place of the agent, and more lines at its end.
fn in_the_agents_place(unit: &str, more: &str) -> String {
    let kept = unit.lines().filter(|line| {
        let replaced = ["Type=", "ExecStart", "Restart", "WatchdogSec", "[Install]", "WantedBy"];
        !replaced.iter().any(|key| line.starts_with(key))
    });
    let kept: Vec<_> = kept.collect();
    format!(
        "{}\nType=oneshot\nSyslogIdentifier=attempts\nExecStart=/bin/sh /usr/bin/attempts\n{more}",
        kept.join("\n")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs systemd-nspawn and packages: cargo xtask test --require-foreign"]
async fn the_agents_unit_lets_it_write_nowhere_else_and_open_no_device_it_was_not_given_nspawn()
-> anyhow::Result<()> {
    let debian = Debian::boot(&[]).await?;
    install(&debian, &package("new", ".deb")?).await?;
    debian.output(&["install", "-d", "-m", "1777", "/srv/open"]).await?;
    // Two devices that anybody may open, the kernel's fuse and tun under other names: what the unit says decides.
    for (name, minor) in [("/dev/ttyS8", "229"), ("/dev/ttyS9", "200")] {
        debian.output(&["mknod", "-m", "666", name, "c", "10", minor]).await?;
    }
    let unit = std::fs::read_to_string(debian.root().join("usr/lib/systemd/system/inuse-agent.service"))?;

    let free = "[Service]\nType=oneshot\nUser=inuse\nStateDirectory=inuse\nSyslogIdentifier=attempts\n\
                ExecStart=/bin/sh /usr/bin/attempts\n";
    let free = attempts(&debian, free).await?;
    let could: BTreeSet<_> =
        free.iter().filter(|(_, could)| **could).map(|(name, _)| name.as_str()).collect();
    let anybody = [
        "write /var/lib/inuse",
        "write /srv/open",
        "write /var/tmp",
        "write /tmp",
        "write /dev/shm",
        "write /run/lock",
        "open /dev/null",
        "open /dev/ttyS8",
        "open /dev/ttyS9",
        "see processes of others",
    ];
    assert!(anybody.iter().all(|name| could.contains(name)), "without the unit's limits: {free:?}");

    debian.output(&["rm", "-f", "/tmp/attempt", "/var/tmp/attempt"]).await?;
    let bound = attempts(&debian, &in_the_agents_place(&unit, "")).await?;
    let could: Vec<_> = bound.iter().filter(|(_, could)| **could).map(|(name, _)| name.as_str()).collect();
    // Its /tmp and /var/tmp are its own and gone with it.
    assert_eq!(
        could,
        ["open /dev/null", "write /tmp", "write /var/lib/inuse", "write /var/tmp"],
        "{bound:?}"
    );
    for private in ["tmp", "var/tmp"] {
        assert!(!debian.root().join(private).join("attempt").exists(), "/{private} is everybody's");
    }

    let given = "BindPaths=/dev/ttyS9\nDeviceAllow=/dev/ttyS9 rw\n";
    let given = attempts(&debian, &in_the_agents_place(&unit, given)).await?;
    assert!(given["open /dev/ttyS9"] && !given["open /dev/ttyS8"], "{given:?}");
    debian.power_off().await
}
