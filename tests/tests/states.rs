//! What is wrong and is no crash: a wrong configuration is complained about at once and as a whole; a device that is
//! off, a log that is missing and a broker that refuses are states of a running agent, and gaps in its chain.

use std::path::Path;
use std::sync::Arc;

use agent::status::Status;
use daemon::SystemClock;
use jiff::civil::date;
use proof::Cause;
use tests::chain::{Chain, Own};
use tests::plant::firm::{Firm, demo_firms};
use tests::process::{PATIENCE, Process, Program, free_address, output, program, run, until};
use tests::road::{City, begin_project, server_config};
use tests::site::agent_of;

#[tokio::test]
async fn the_agent_complains_about_everything_at_once_each_with_its_path_and_ends_with_64()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let agent =
        "grace = \"1h\"\nodd = 1\n\n[broker]\nport = 70000\n\n[buffer]\nflush = \"1s\"\nfile_mib = 64\n";
    complains(
        "inuse-agent",
        &write(folder.path(), "agent.toml", agent)?,
        &["odd", "state_dir", "grace", "broker.port", "buffer.flush", "buffer.file_mib"],
    )
    .await?;
    // The manifest's complaints come with the agent's own.
    let manifest = r#"
utc_offset_minutes = 900

[[sources]]
name = "press"
cadence = "50ms"
[sources.modbus]
endpoint = "nowhere"
points = [{ name = "a", address = 70000, type = "u33", role = "boss" }]

[[sources]]
name = "press"
[sources.log]
path = "x.log"
encoding = "ebcdic"
parser = "none of ours"
rules = [{ module = "no_such_module", action = "report", when = [{ field = "message", regex = "(" }] }]

[[sources]]
name = "empty"
"#;
    write(folder.path(), "manifest.toml", manifest)?;
    let agent = "state_dir = \"state\"\ngrace = \"1h\"\n";
    complains(
        "inuse-agent",
        &write(folder.path(), "agent.toml", agent)?,
        &[
            "grace",
            "utc_offset_minutes",
            "sources[0].cadence",
            "sources[0].modbus.endpoint",
            "sources[0].modbus.points[0].address",
            "sources[0].modbus.points[0].type",
            "sources[0].modbus.points[0].role",
            "sources[1].log.encoding",
            "sources[1].log.parser",
            "sources[1].log.rules[0].module",
            "sources[2]",
        ],
    )
    .await
}

#[tokio::test]
async fn the_server_complains_about_everything_at_once_each_with_its_path_and_ends_with_64()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = r#"
projects = "projects"
names = ["127.0.0.1", "not a name"]
roles = ["broker", "cook"]
colour = "red"

[listen]
portal = "8080"

[broker]
mode = "external"
ca = "missing.pem"
"#;
    let config = write(folder.path(), "server.toml", server)?;
    complains(
        "inuse-server",
        &config,
        &["data", "names[1]", "roles[1]", "colour", "listen.portal", "broker.url", "broker.ca"],
    )
    .await?;
    // Firms' files are checked together with it.
    let server = "data = \"data\"\nprojects = \"projects\"\nnames = [\"127.0.0.1\"]\n";
    let config = write(folder.path(), "server.toml", server)?;
    std::fs::create_dir(folder.path().join("projects"))?;
    write(
        &folder.path().join("projects"),
        "firm.toml",
        "name_zh = \"企业\"\nweek = [\"mon\", \"moon\"]\nodd = true\n",
    )?;
    complains("inuse-server", &config, &["week", "odd", "modules", "shifts"]).await
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<std::path::PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

/// `<program> check` ends with 64 and has a line for each of these paths.
async fn complains(program: &str, config: &Path, paths: &[&str]) -> anyhow::Result<()> {
    let ended = run(program, &["check"], config).await?;
    assert_eq!(ended.code, Some(64), "{}", ended.err);
    assert_eq!(ended.out, "", "nothing of a wrong configuration is called right");
    for path in paths {
        let about = |line: &str| line.split(": ").any(|part| part == *path);
        assert!(ended.err.lines().any(about), "no complaint about {path} in\n{}", ended.err);
    }
    Ok(())
}

/// What `run` would end with is what `check` says: nothing is collected with half of a configuration.
#[tokio::test]
async fn an_agent_with_a_wrong_configuration_does_not_run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let config = write(folder.path(), "agent.toml", "state_dir = \"state\"\nodd = 1\n")?;
    write(folder.path(), "manifest.toml", "utc_offset_minutes = 480\n")?;
    let ended = run("inuse-agent", &["run"], &config).await?;
    assert_eq!(ended.code, Some(64), "{}", ended.err);
    assert!(!folder.path().join("state").exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn device_off_log_missing_and_refusing_broker_are_states_and_gaps_and_no_crash() -> anyhow::Result<()> {
    let (folder, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (ours, theirs) = (city(folder.path()).await?, city(other.path()).await?);
    let place = folder.path().join("gateway");
    let config = gateway(&place)?;
    let state = place.join("state");
    let token = begin_project(ours.config(), &firm(), &SystemClock)?;
    enrol(&config, &ours, &token).await?;
    // A certificate of another authority, in the place of ours.
    let elsewhere = gateway(&other.path().join("gateway"))?;
    enrol(&elsewhere, &theirs, &begin_project(theirs.config(), &firm(), &SystemClock)?).await?;
    let right = swap(&state, &other.path().join("gateway/state"))?;

    let agent = Program::shipped("inuse-agent")?.start(&config)?;
    let status = says(&config, |status| {
        status.link.error.is_some() && status.sources.iter().all(|source| source.failing.is_some())
    })
    .await?;
    assert!(!status.healthy && !status.link.connected);
    let error = status.link.error.clone().unwrap_or_default();
    assert!(error.contains("certificate"), "why the broker refuses is said: {error}");
    let failing = |at: usize| status.sources[at].failing.clone().unwrap_or_default();
    assert!(failing(0).starts_with(Cause::NoAnswer.en()), "{}", failing(0));
    assert!(failing(1).starts_with(Cause::Missing.en()), "{}", failing(1));
    assert!(status.sources.iter().all(|source| !source.fresh && source.good == 0));
    assert_eq!(status.buffer.backlog, status.buffer.head, "nothing was reported");
    // People read the same without `--json`.
    let read = run("inuse-agent", &["status"], &config).await?;
    assert_eq!(read.code, Some(2));
    assert!(read.out.contains("NOT healthy") && read.out.contains("not connected"), "{}", read.out);

    // The log appears: its state ends, the device's does not.
    std::fs::write(place.join("mes.log"), LINE)?;
    let status = says(&config, |status| status.sources[1].records == 1).await?;
    assert_eq!(status.sources[1].failing, None);
    assert!(status.sources[0].failing.is_some());

    // With the right certificate again everything is reported, the gaps included.
    agent.terminate().await?;
    for (name, bytes) in right {
        std::fs::write(state.join(name), bytes)?;
    }
    let agent = Program::shipped("inuse-agent")?.start(&config)?;
    let status = says(&config, |status| status.link.connected && status.buffer.backlog == 0).await?;
    assert_eq!(status.link.mqtt.as_deref(), Some("5"));
    says(&config, |status| status.sources[0].failed > 0).await?;
    agent.terminate().await?;

    let chain = Chain::read(&folder.path().join("data"), agent_of(&state)?)?;
    Own::read(&state, ours.log_vkey())?.ensure_recorded(&chain)?;
    let gaps: Vec<_> = chain.windows().map(|window| (window.length_ms, &window.gaps)).collect();
    assert_eq!(chain.gap_causes(1), [Cause::NoAnswer].into(), "{gaps:?}");
    assert_eq!(chain.gap_causes(2), [Cause::Missing].into());
    assert_eq!(chain.lines(2), 1);
    let heard = |window: &proof::wire::Window| window.sources[0].ok > 0 || window.sources[0].rows > 0;
    assert!(!chain.windows().any(heard), "a device that is off has said nothing");
    assert!(chain.windows().all(|window| window.sources[0].err > 0), "asking in vain is counted");
    ours.stop().await?;
    theirs.stop().await
}

/// What the service manager hears next.
async fn heard(manager: &tokio::net::UnixDatagram) -> anyhow::Result<String> {
    let mut bytes = [0; 500];
    let length = tokio::time::timeout(PATIENCE, manager.recv(&mut bytes)).await??;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_sources_are_silent_is_alive_and_can_be_asked_why() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let city = city(folder.path()).await?;
    let place = folder.path().join("gateway");
    let config = gateway(&place)?;
    enrol(&config, &city, &begin_project(city.config(), &firm(), &SystemClock)?).await?;
    let socket = folder.path().join("notify");
    let manager = tokio::net::UnixDatagram::bind(&socket)?;
    let mut command = tokio::process::Command::new(program("inuse-agent")?);
    command.arg("run").arg("--config").arg(&config);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "2000000");
    let agent = Process::spawn("inuse-agent", command, &place.join("agent.log"))?;

    // An idle night: nothing answers, and the watchdog is fed all the same.
    let mut said = heard(&manager).await?;
    while !said.contains("2 failing") {
        said = heard(&manager).await?;
    }
    for _ in 0..3 {
        let said = heard(&manager).await?;
        assert!(said.starts_with("READY=1\n") || said.starts_with("WATCHDOG=1\n"), "{said}");
    }

    output("inuse-agent", &["log", "debug"], &config).await?;
    until("the agent logs more", || async { Ok(agent.said()?.contains("DEBUG").then_some(())) }).await?;
    let refused = run("inuse-agent", &["log", "collectors=loud"], &config).await?;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("`collectors=loud` are no rules for the log"), "{}", refused.err);

    let archive = place.join("diag.tar.gz");
    let listed =
        output("inuse-agent", &["diag", "collect", "--out", &archive.to_string_lossy()], &config).await?;
    assert!(listed.contains("status.json") && archive.is_file(), "{listed}");
    agent.terminate().await?;
    city.stop().await
}

const LINE: &str = "2026-07-23 08:21:45.112  INFO 5312 --- [nio-8080-exec-7] c.x.mes.report.ReportService : 报工成功 user=wang01\n";

async fn city(folder: &Path) -> anyhow::Result<City> {
    let any = "127.0.0.1:0";
    City::start(server_config(folder, any, any, any)?, Arc::new(SystemClock)).await
}

fn firm() -> Firm {
    demo_firms(date(2026, 7, 22), date(2026, 9, 20)).remove(1)
}

/// A gateway that watches a device nobody has switched on and a log nobody writes.
fn gateway(place: &Path) -> anyhow::Result<std::path::PathBuf> {
    std::fs::create_dir_all(place)?;
    let manifest = format!(
        r#"
[[sources]]
name = "press"
cadence = "1s"
[sources.modbus]
endpoint = "{}"
points = [{{ name = "running", table = "coil", address = 0, role = "running" }}]

[[sources]]
name = "mes"
cadence = "1s"
[sources.log]
path = "mes.log"
parser = "spring"
rules = [{{ module = "production_report", action = "report", when = [{{ field = "message", regex = "^报工成功" }}] }}]
"#,
        free_address()?
    );
    write(place, "manifest.toml", &manifest)?;
    write(place, "agent.toml", "state_dir = \"state\"\ngrace = \"1s\"\n")
}

async fn enrol(config: &Path, city: &City, token: &str) -> anyhow::Result<()> {
    let server = city.enrolment().to_string();
    output("inuse-agent", &["enrol", "--yes", "--server", &server, "--token", token], config).await.map(drop)
}

/// Puts the client certificate and key of another gateway in the place of this one's, which are returned.
fn swap(state: &Path, other: &Path) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    let mut right = Vec::new();
    for name in ["client.crt", "client.key"] {
        right.push((name, std::fs::read(state.join(name))?));
        std::fs::copy(other.join(name), state.join(name))?;
    }
    Ok(right)
}

/// Waits until `inuse-agent status --json` says what is wanted.
async fn says(config: &Path, wanted: impl Fn(&Status) -> bool) -> anyhow::Result<Status> {
    until("the agent's status is as expected", || async {
        let ended = run("inuse-agent", &["status", "--json"], config).await?;
        let status: Option<Status> = serde_json::from_str(&ended.out).ok();
        if let Some(status) = &status {
            assert_eq!(ended.code, Some(if status.healthy { 0 } else { 2 }));
        }
        Ok(status.filter(&wanted))
    })
    .await
}
