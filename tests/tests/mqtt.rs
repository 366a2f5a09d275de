//! Values that a plant's own gateway sends to a broker, heard over TLS through Mosquitto.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use collectors::manifest::{Kind, Manifest};
use collectors::{CollectError, Sample, SampleSender, Shared};
use daemon::SystemClock;
use proof::{Cause, Quality, What};
use rumqttc::{Client, MqttOptions, QoS, TlsConfiguration, Transport};
use tests::foreign::needed;
use tests::installer::Installer;
use tests::process::{PATIENCE, Process, free_address};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Mosquitto with a certificate of its own and two accounts, of which one may read what the other sends.
struct Broker {
    folder: tempfile::TempDir,
    address: String,
}

impl Broker {
    fn prepare() -> anyhow::Result<Self> {
        let broker = Self { folder: tempfile::tempdir()?, address: free_address()? };
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        broker.write("broker.pem", &made.cert.pem())?;
        broker.write("broker.key", &made.signing_key.serialize_pem())?;
        broker.write("rules", "user inuse\ntopic read gw/#\nuser plant\ntopic readwrite gw/#\n")?;
        broker.write("inuse.password", "geheim 密码\n")?;
        broker.write("wrong.password", "falsch\n")?;
        broker.write("accounts", "")?;
        let (folder, port) = (broker.text("")?, broker.port()?);
        broker.write(
            "mosquitto.conf",
            &format!(
                "listener {port} 127.0.0.1\ncertfile {folder}broker.pem\nkeyfile {folder}broker.key\n\
                 allow_anonymous false\npassword_file {folder}accounts\nacl_file {folder}rules\n\
                 log_dest stderr\nuser root\n"
            ),
        )?;
        Ok(broker)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?)
    }

    fn text(&self, name: &str) -> anyhow::Result<String> {
        Ok(self.folder.path().join(name).to_str().context("a path that is text")?.to_owned())
    }

    fn port(&self) -> anyhow::Result<u16> {
        Ok(self.address.rsplit(':').next().context("a port")?.parse()?)
    }

    async fn start(&self) -> anyhow::Result<Process> {
        let program = needed("INUSE_MOSQUITTO")?;
        let tool = program.with_file_name("mosquitto_passwd");
        let tool = if tool.is_file() { tool } else { "/usr/bin/mosquitto_passwd".into() };
        for (user, password) in [("inuse", "geheim 密码"), ("plant", "werk")] {
            let made =
                Command::new(&tool).args(["-b", &self.text("accounts")?, user, password]).status().await?;
            anyhow::ensure!(made.success(), "mosquitto_passwd ended with {made}");
        }
        let mut command = Command::new(program);
        command.arg("-c").arg(self.text("mosquitto.conf")?);
        let mut process = Process::spawn("mosquitto", command, &self.folder.path().join("mosquitto.log"))?;
        process.listens(&self.address).await?;
        Ok(process)
    }

    /// A source of three points of one machine, as an account whose password is in this file.
    fn manifest(&self, password: &str) -> anyhow::Result<Manifest> {
        let text = format!(
            r#"
[[sources]]
name = "车间网关"
cadence = "1s"
[sources.mqtt]
broker = "{}"
ca_file = "broker.pem"
user = "inuse"
password_file = "{password}"
time = "/ts"
[[sources.mqtt.points]]
name = "运行"
topic = "gw/+/up"
value = "/v/run"
only = {{ "/dev" = "CNC-07" }}
role = "running"
[[sources.mqtt.points]]
name = "功率"
topic = "gw/+/up"
value = "/v/kw"
only = {{ "/dev" = "CNC-07" }}
[[sources.mqtt.points]]
name = "计数"
topic = "gw/FB2201/count"
role = "counter"
"#,
            self.address
        );
        Manifest::parse("manifest.toml", &text, self.folder.path())
            .map_err(|wrong| anyhow::anyhow!("{wrong}"))
    }

    /// The plant's own gateway.
    fn plant(&self) -> anyhow::Result<Client> {
        let mut roots = rustls::RootCertStore::empty();
        let pem = std::fs::read(self.folder.path().join("broker.pem"))?;
        roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(&pem)?)?;
        let tls =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
        let mut options = MqttOptions::new("plant", "127.0.0.1", self.port()?);
        options
            .set_credentials("plant", "werk")
            .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))));
        let (client, mut line) = Client::new(options, 16);
        std::thread::spawn(move || line.iter().take_while(Result::is_ok).for_each(drop));
        Ok(client)
    }
}

/// The next observation of the source.
async fn next(samples: &mut mpsc::Receiver<Sample>) -> anyhow::Result<What> {
    let sample = tokio::time::timeout(PATIENCE, samples.recv()).await.context("no observation")?;
    Ok(sample.context("the collector ended")?.observation.what)
}

/// The next observation that the check takes.
async fn until<T>(
    samples: &mut mpsc::Receiver<Sample>,
    mut check: impl FnMut(What) -> Option<T>,
) -> anyhow::Result<T> {
    for _ in 0..30 {
        if let Some(found) = check(next(samples).await?) {
            return Ok(found);
        }
    }
    anyhow::bail!("30 observations, and none is it")
}

#[tokio::test]
#[ignore = "needs Mosquitto: cargo xtask test"]
async fn what_a_plants_gateway_sends_through_mosquitto_is_heard_once_and_silence_is_silence()
-> anyhow::Result<()> {
    let broker = Broker::prepare()?;
    let process = broker.start().await?;
    let source = broker.manifest("inuse.password")?.sources.remove(0);
    let plant = broker.plant()?;
    // Kept by the broker from before: it says nothing of now.
    plant.publish("gw/FB2201/count", QoS::AtLeastOnce, true, "7")?;

    let (tx, mut samples) = mpsc::channel(64);
    let stop = CancellationToken::new();
    let out = SampleSender::new(1, Duration::from_secs(1), Arc::new(SystemClock), tx, stop.clone());
    let mut collector = collectors::build(&source, None, Path::new(""), &Shared::default())?;
    let work = async {
        // Until it listens there is nobody to hear: the first silence says that it does.
        until(&mut samples, |what| (what == What::Silent(Cause::NoAnswer)).then_some(())).await?;
        let now = daemon::Clock::stamp(&SystemClock).wall_ms / 1000;
        let up = |run: u8, ts: i64| format!(r#"{{"ts":{ts},"dev":"CNC-07","v":{{"run":{run},"kw":7.3}}}}"#);
        plant.publish("gw/FB2201/up", QoS::AtLeastOnce, false, up(1, now))?;
        plant.publish("gw/FB2201/up", QoS::AtLeastOnce, false, up(0, now - 3_600))?;
        let kept = until(&mut samples, |what| match what {
            What::Kept(kept) => Some(kept),
            What::Cycle(_) | What::Silent(_) | What::Records(_) => None,
        })
        .await?;
        let times: Vec<_> = kept.iter().map(|kept| (kept.point, kept.at_ms, kept.reading.value)).collect();
        assert_eq!(times, [(0, (now - 3_600) * 1000, Some(0.0)), (1, (now - 3_600) * 1000, Some(7.3))]);
        let What::Cycle(heard) = next(&mut samples).await? else { anyhow::bail!("not what was heard") };
        assert_eq!(
            heard.iter().map(|reading| reading.value).collect::<Vec<_>>(),
            [Some(1.0), Some(7.3), None]
        );
        assert_eq!(heard[2].quality, Quality::NoAnswer, "a kept message is not heard");
        // Counted once: the next turn is silent again.
        assert_eq!(next(&mut samples).await?, What::Silent(Cause::NoAnswer));
        plant.publish("gw/FB2201/count", QoS::AtLeastOnce, false, "8")?;
        let counted = until(&mut samples, |what| match what {
            What::Cycle(heard) => Some(heard[2].value),
            What::Kept(_) | What::Silent(_) | What::Records(_) => None,
        });
        assert_eq!(counted.await?, Some(8.0));
        // The broker goes: the run ends with a silence of that cause.
        process.terminate().await?;
        until(&mut samples, |what| (what == What::Silent(Cause::NoAnswer)).then_some(())).await
    };
    let (ended, worked) = tokio::join!(collector.run(&out, &stop), work);
    worked?;
    assert!(matches!(ended, Err(CollectError::Lost { .. })), "{ended:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs Mosquitto: cargo xtask test"]
async fn mosquitto_refuses_a_wrong_password_and_a_probe_shows_each_point() -> anyhow::Result<()> {
    let broker = Broker::prepare()?;
    let process = broker.start().await?;
    let wrong = broker.manifest("wrong.password")?.sources.remove(0);
    let refused = collectors::probe(&wrong, Path::new("")).await;
    assert!(matches!(refused, Err(CollectError::Refused { .. })), "{refused:?}");
    let right = broker.manifest("inuse.password")?.sources.remove(0);
    let plant = broker.plant()?;
    plant.publish("gw/FB2201/count", QoS::AtLeastOnce, true, "7")?;
    let probe = collectors::probe(&right, Path::new("")).await?;
    let values: Vec<_> =
        probe.points.iter().map(|point| (point.reading.value, point.why.is_some())).collect();
    assert_eq!(values, [(None, true), (None, true), (Some(7.0), false)]);
    process.terminate().await
}

/// Sets up the plant's gateway from what it is heard to say.
fn listens_first(config: &Path, broker: &str, authority: &str, password: &str) -> anyhow::Result<()> {
    let mut installer = Installer::begins(config, "zh")?;
    installer.introduces_himself()?;
    installer.told("添加什么", "8")?;
    installer.told("MQTT 代理", broker)?;
    installer.told("连接怎样保护", "0")?;
    installer.told("机构证书文件", authority)?;
    installer.told("用户名", "inuse")?;
    installer.told("存放口令的文件", password)?;
    installer.told("名称", "车间网关")?;
    installer.told("多久读一次", "1s")?;
    installer.told("取哪些值", "0")?;
    installer.told("主题", "gw/#")?;
    installer.reads("听到 2 个主题，其中有 3 个数值")?;
    let count = installer.number_of("gw/FB2201/count  = 7")?;
    let power = installer.number_of("gw/FB2201/up /v/kw = 7.5")?;
    installer.told("选哪些", &format!("{power},{count}"))?;
    installer.told("选哪些", "-")?;
    installer.told("点的名称 [kw]", "功率")?;
    installer.told("它是什么", "0")?;
    installer.told("形状", "")?;
    installer.told("点的名称 [count]", "计数")?;
    installer.told("它是什么", "2")?;
    installer.told("形状", "")?;
    installer.reads("√ 功率")?;
    installer.reads("√ 计数")?;
    installer.told("与设备自己的显示比较", "0")?;
    installer.finishes_without_enrolling()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Mosquitto: cargo xtask test"]
async fn an_installer_hears_what_a_gateway_says_to_mosquitto_and_chooses_of_it() -> anyhow::Result<()> {
    let broker = Broker::prepare()?;
    let process = broker.start().await?;
    let plant = broker.plant()?;
    plant.publish("gw/FB2201/count", QoS::AtLeastOnce, true, "7")?;
    let said = r#"{"dev":"CNC-07","v":{"run":true,"kw":7.5,"名":"x"}}"#;
    plant.publish("gw/FB2201/up", QoS::AtLeastOnce, true, said)?;
    let gateway = tempfile::tempdir()?;
    let config = gateway.path().join("agent.toml");
    let (address, ca, password) =
        (broker.address.clone(), broker.text("broker.pem")?, broker.text("inuse.password")?);
    tokio::task::spawn_blocking(move || listens_first(&config, &address, &ca, &password)).await??;
    let manifest = Manifest::load(&gateway.path().join("manifest.toml"))?;
    let Kind::Mqtt(set_up) = &manifest.sources[0].kind else { anyhow::bail!("it is MQTT") };
    let points: Vec<_> =
        set_up.points.iter().map(|point| (point.topic.as_str(), point.value.as_str())).collect();
    assert_eq!(points, [("gw/FB2201/up", "/v/kw"), ("gw/FB2201/count", "")]);
    process.terminate().await
}
