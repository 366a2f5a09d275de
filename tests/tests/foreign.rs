//! The shipped programs among software that is not ours: two devices served by Python libraries, Mosquitto between
//! gateway and server.

use std::path::{Path, PathBuf};

use agent::status::Status;
use daemon::{Clock as _, SystemClock};
use proof::Payload;
use proof::wire::{ActionClass, ActorClass};
use server::ca::Ca;
use tests::chain::{Chain, Own};
use tests::foreign::{Device, Mosquitto};
use tests::http::{get, get_json};
use tests::plant::files;
use tests::plant::firm::{Firm, demo_firms};
use tests::plant::forms::{Deed, Event, Form};
use tests::plant::logfile::{Encoding, LogFile, Rotation};
use tests::process::{Program, free_address, output, until};
use tests::recordings::local_day;
use tests::road::confirm_by_hand;
use tests::site::{agent_of, lines_of};

const PASSWORD: &str = "read only, please";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pymodbus, asyncua and Mosquitto: cargo xtask test"]
async fn pymodbus_asyncua_and_a_growing_gb18030_log_reach_ledger_and_page_through_mosquitto()
-> anyhow::Result<()> {
    let version = Mosquitto::version().await?;
    assert!(version.starts_with("2."), "Mosquitto {version}");
    let town = Town::prepare().await?;
    let mosquitto = town.mosquitto.start().await?;
    let mut server = Program::shipped("inuse-server")?.start(&town.path("server.toml"))?;
    server.listens(&town.portal).await?;
    let (modbus, opcua) = town.devices().await?;
    town.write_manifest(&modbus, &opcua)?;
    let enrol = ["enrol", "--yes", "--server", &town.enrolment, "--token", &town.token];
    let printed = output("inuse-agent", &enrol, &town.agent_toml()).await?;
    let shipped = Program::shipped("inuse-server")?;
    confirm_by_hand(&shipped, &town.path("server.toml"), town.firm.id, &printed).await?;
    town.people_write(5)?;
    let probed = output("inuse-agent", &["probe"], &town.agent_toml()).await?;
    assert!(probed.contains("power"), "{probed}");

    let agent = Program::shipped("inuse-agent")?.start(&town.agent_toml())?;
    let status = town.says("all sources are read", |status| {
        status.link.connected
            && status.sources.iter().all(|source| source.fresh)
            && status.sources[2].records == 5
    });
    let status = status.await?;
    assert_eq!(status.link.mqtt.as_deref(), Some("5"), "Mosquitto 2 speaks MQTT 5");
    town.people_write(3)?;
    town.says("the log has grown", |status| status.sources[2].records == 8).await?;
    // A broker that restarts is found again by both sides.
    mosquitto.terminate().await?;
    town.says("the broker is gone", |status| !status.link.connected).await?;
    let mosquitto = town.mosquitto.start().await?;
    town.says("the broker is back", |status| status.healthy).await?;
    town.says("devices were asked often", |status| status.sources[..2].iter().all(|source| source.good >= 5))
        .await?;
    agent.terminate().await?;

    let (chain, own) = (Chain::read(&town.path("data"), agent_of(&town.state())?)?, town.own()?);
    own.ensure_recorded(&chain)?;
    observed_all_three(&chain, &town)?;
    shown(&town, &chain).await?;
    // Nobody has written to a device, and nothing of the factory's own words has left it.
    assert_eq!(modbus.end().await?, Vec::<String>::new(), "write requests");
    assert_eq!(opcua.end().await?, Vec::<String>::new());
    for entry in &chain.entries {
        for word in ["配方", "wang01", "press-pymodbus", "Press1", "read only"] {
            assert!(!contains(&entry.envelope, word.as_bytes()), "{word} is in entry {}", entry.seq);
            assert!(!entry.use_rows.as_deref().is_some_and(|rows| contains(rows, word.as_bytes())), "{word}");
        }
    }
    server.terminate().await?;
    mosquitto.terminate().await
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part == word)
}

/// The windows say that both devices answered, how, and what the log's people did.
fn observed_all_three(chain: &Chain, town: &Town) -> anyhow::Result<()> {
    assert!(matches!(chain.payloads[0], Payload::Manifest(_)));
    assert_eq!(chain.outages().count(), 0);
    let sum = |source: u32, count: fn(&proof::wire::SourceRow) -> u32| -> u32 {
        let rows = chain.windows().flat_map(|window| &window.sources);
        rows.filter(|row| row.source == source).map(count).sum()
    };
    for source in [1, 2, 3] {
        assert!(sum(source, |row| row.ok) >= 5, "source {source} was read");
        assert_eq!(sum(source, |row| row.err), 0, "source {source} answered always");
        assert!(chain.gap_causes(source).is_empty());
    }
    let shaped: Vec<_> = chain.windows().flat_map(|window| &window.shapes).collect();
    for (source, points) in [(1, 4), (2, 4)] {
        let of_source = shaped.iter().filter(|row| row.source == source && row.changes > 0).count();
        assert!(of_source >= 2, "counter and power of source {source} moved ({of_source} of {points})");
    }
    assert_eq!(chain.lines(3), 8);
    assert_eq!(lines_of(town.log.path())?, 8);
    let reports: u32 = chain
        .windows()
        .flat_map(|window| &window.logs)
        .flat_map(|row| &row.classes)
        .filter(|class| is_report(class))
        .map(|class| class.count)
        .sum();
    assert_eq!(reports, 8, "Chinese in GB18030 was understood");
    Ok(())
}

fn is_report(class: &proof::wire::ClassCount) -> bool {
    let (action, actor) = (ActionClass::Report as u32, ActorClass::Human as u32);
    (class.action, class.actor_class) == (action, actor)
}

/// The pages show the firm, the day and each entry.
async fn shown(town: &Town, chain: &Chain) -> anyhow::Result<()> {
    let portal = town.portal.parse()?;
    let windows = chain.windows().count() as u64;
    let firm = town.firm.id;
    until("the portal has read the ledger", || async {
        let shown = get_json(portal, &format!("/api/firms/{firm}")).await?;
        Ok((shown["windows"].as_u64() == Some(windows)).then_some(()))
    })
    .await?;
    let page = async |path: String| {
        let (status, body) = get(portal, &path).await?;
        assert_eq!(status, 200, "{path}");
        anyhow::Ok(String::from_utf8(body)?)
    };
    assert!(page("/".to_owned()).await?.contains(town.firm.name));
    let shown = page(format!("/firms/{firm}")).await?;
    for text in [town.firm.name, "生产报工", "一号压力机", "<svg"] {
        assert!(shown.contains(text), "the firm's page does not show {text}");
    }
    let (today, _) = local_day(SystemClock.stamp().wall_ms);
    assert!(page(format!("/firms/{firm}/days/{today}")).await?.contains(&today.to_string()));
    for entry in &chain.entries {
        let shown = page(format!("/firms/{firm}/windows/{}/{}", entry.agent, entry.seq)).await?;
        assert!(shown.contains(&entry.entry.to_string()), "entry {} is not on its page", entry.seq);
    }
    Ok(())
}

/// Server, broker and gateway on loopback.
struct Town {
    folder: tempfile::TempDir,
    firm: Firm,
    log: LogFile,
    mosquitto: Mosquitto,
    enrolment: String,
    portal: String,
    token: String,
}

impl Town {
    /// What an operator does before anything runs: the firm's file, a token, a certificate for the broker.
    async fn prepare() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let (today, _) = local_day(SystemClock.stamp().wall_ms);
        let firm = demo_firms(today, today.saturating_add(jiff::Span::new().days(60))).remove(0);
        for name in ["projects", "gateway"] {
            std::fs::create_dir(path(name))?;
        }
        std::fs::write(
            path("projects").join(format!("{}.toml", firm.id)),
            files::project(&firm, &[], "neutral")?,
        )?;
        let (broker, enrolment, portal) = (free_address()?, free_address()?, free_address()?);
        let server = format!(
            "data = \"data\"\nprojects = \"projects\"\nnames = [\"127.0.0.1\"]\n\n[listen]\nenrolment = \"{enrolment}\"\n\
             portal = \"{portal}\"\n"
        );
        std::fs::write(path("server.toml"), &server)?;
        let token = output("inuse-server", &["project", "add", firm.id], &path("server.toml")).await?;
        let now_s = SystemClock.stamp().wall_ms / 1000;
        let ca = Ca::open(&path("data"), now_s)?;
        let identity = ca.server(&["127.0.0.1".to_owned()], now_s)?;
        let mosquitto = Mosquitto::prepare(
            &path("mosquitto"),
            &broker,
            &ca.file(),
            &identity.chain_file,
            &identity.key_file,
        )?;
        let external =
            format!("\n[broker]\nmode = \"external\"\nurl = \"mqtts://{broker}\"\nca = \"data/ca.pem\"\n");
        std::fs::write(path("server.toml"), server + &external)?;
        std::fs::write(path("gateway/agent.toml"), "state_dir = \"state\"\n\n[buffer]\nflush = \"10s\"\n")?;
        let log = LogFile::new(path("gateway/mes.log"), Encoding::Gb18030, Rotation::Never);
        let token = token.trim().to_owned();
        Ok(Self { folder, firm, log, mosquitto, enrolment, portal, token })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn agent_toml(&self) -> PathBuf {
        self.path("gateway/agent.toml")
    }

    fn state(&self) -> PathBuf {
        self.path("gateway/state")
    }

    fn own(&self) -> anyhow::Result<Own> {
        let enrolled = std::fs::read(self.state().join("enrolment.json"))?;
        let enrolled: serde_json::Value = serde_json::from_slice(&enrolled)?;
        Own::read(&self.state(), enrolled["log_vkey"].as_str().unwrap_or_default())
    }

    async fn devices(&self) -> anyhow::Result<(Device, Device)> {
        let password = self.path("gateway/password");
        std::fs::write(&password, PASSWORD)?;
        let state = self.path("opcua");
        let text = |path: &Path| path.display().to_string();
        let args = ["--state", &text(&state), "--user", "gateway", "--password-file", &text(&password)];
        Ok((Device::start("modbus_server.py", &[]).await?, Device::start("opcua_server.py", &args).await?))
    }

    fn write_manifest(&self, modbus: &Device, opcua: &Device) -> anyhow::Result<()> {
        let text = MANIFEST
            .replace("@MODBUS@", &modbus.address())
            .replace("@OPCUA@", opcua.text("url"))
            .replace("@THUMBPRINT@", opcua.text("sha256"));
        Ok(std::fs::write(self.path("gateway/manifest.toml"), text)?)
    }

    fn people_write(&self, lines: u32) -> anyhow::Result<()> {
        let at_ms = SystemClock.stamp().wall_ms;
        for serial in 1..=lines {
            let event = Event { at_ms, account: 0, deed: Deed::Report, serial, quantity: 10 };
            let line = Form::SpringBoot
                .line(&event, &self.firm.accounts[0])
                .expect("work is reported in every form");
            self.log.append(&(line + Form::SpringBoot.line_end()))?;
        }
        Ok(())
    }

    async fn says(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> anyhow::Result<Status> {
        let socket = self.state().join("status.sock");
        until(what, || async { Ok(agent::status::ask(&socket).await.ok().filter(&wanted)) }).await
    }
}

const MANIFEST: &str = r#"
utc_offset_minutes = 480

[[sources]]
name = "press-pymodbus"
cadence = "1s"
[sources.modbus]
endpoint = "@MODBUS@"
unit = 1
points = [
    { name = "pieces", address = 0, type = "u32", role = "counter", signal = true },
    { name = "running", address = 2, type = "bit", bit = 0, role = "running", signal = true },
    { name = "power", address = 3, type = "f32", role = "measure", signal = true },
    { name = "energy", address = 5, type = "u32", role = "energy", signal = true },
]

[[sources]]
name = "press-asyncua"
cadence = "1s"
[sources.opcua]
endpoint = "@OPCUA@"
policy = "basic256sha256"
mode = "sign_and_encrypt"
user = "gateway"
password_file = "password"
server_thumbprint = "@THUMBPRINT@"
points = [
    { name = "pieces", node = "ns=2;s=Press1.Pieces", role = "counter", signal = true },
    { name = "running", node = "ns=2;s=Press1.Running", role = "running", signal = true },
    { name = "power", node = "ns=2;s=Press1.Power", role = "measure", signal = true },
    { name = "energy", node = "ns=2;s=Press1.Energy", role = "energy", signal = true },
]

[[sources]]
name = "mes"
cadence = "1s"
[sources.log]
path = "mes.log"
encoding = "gb18030"
parser = "spring"
accounts = [{ exact = "admin", class = "excluded", reason = "admin" }]
rules = [{ module = "production_report", action = "report", when = [{ field = "message", regex = "^报工成功 " }] }]
"#;
