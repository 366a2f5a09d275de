//! What the unit lets the agent do, and what not.

use std::collections::{BTreeMap, BTreeSet};

use tests::debian::{Debian, Init};

use crate::{install, package};

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
    let debian = Debian::boot(Init::Systemd).await?;
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
