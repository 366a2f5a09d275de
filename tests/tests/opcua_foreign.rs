//! OPC UA against servers that are not ours, secured, with a user name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use collectors::manifest::{Collect, Kind, Manifest, OpcUa, Security, Source, Thumbprint, pin};
use collectors::opcua::{Bounds, BrowsedNode, Certificate};
use collectors::{Collector, Notes, Sample, SampleSender, Shared};
use daemon::SystemClock;
use proof::{Reading, What};
use serde_json::Value;
use tempfile::TempDir;
use tests::foreign::Device;
use tests::process::PATIENCE;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "read only, please";

/// A server that is not ours, and a source of it whose certificate was shown and pinned.
struct Trusted {
    folder: TempDir,
    device: Device,
    source: Source,
    shown: Certificate,
}

impl Trusted {
    /// Starts the server and trusts it on first use. `points` are the manifest's, `keys` stand before them.
    async fn on_first_use(script: &str, keys: &str, points: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("password"), PASSWORD)?;
        let (state, password) = (folder.path().join("device"), folder.path().join("password"));
        let args = ["--history", "--state", state.to_str().context("text")?, "--password-file"];
        let args = [&args[..], &[password.to_str().context("text")?]].concat();
        let device = Device::start(script, &args).await?;
        let path = folder.path().join("manifest.toml");
        let text = format!(
            "# 冲压\n[[sources]]\nname = \"press\"\ncadence = \"1s\"\n[sources.opcua]\nendpoint = \"{}\"\n\
             policy = \"basic256sha256\"\nuser = \"gateway\"\npassword_file = \"password\"\n{keys}points = [\n{points}]\n",
            device.text("url"),
        );
        std::fs::write(&path, text)?;

        // Shown, then pinned.
        let unpinned = source(&path)?;
        let server = opcua(&unpinned);
        let shown =
            collectors::opcua::certificate(&unpinned, server, folder.path()).await?.context("it has one")?;
        assert_eq!(
            (shown.sha256.as_str(), shown.sha1.as_str()),
            (device.text("sha256"), device.text("sha1"))
        );
        pin(&path, "press", Thumbprint::parse(&shown.sha256).context("64 digits")?)?;
        let source = source(&path)?;
        Ok(Self { folder, device, source, shown })
    }

    fn keys(&self) -> &Path {
        self.folder.path()
    }

    async fn browse(&self) -> anyhow::Result<Vec<BrowsedNode>> {
        let server = opcua(&self.source);
        let found =
            collectors::opcua::browse(&self.source, server, self.keys(), None, Bounds::default()).await?;
        Ok(found.nodes)
    }

    /// The value of the first point, asked for by hand.
    async fn first(&self) -> anyhow::Result<f64> {
        let probe = collectors::probe(&self.source, self.keys()).await?;
        probe.points[0].reading.value.with_context(|| format!("no count in {probe:?}"))
    }
}

fn source(path: &Path) -> anyhow::Result<Source> {
    Ok(Manifest::load(path).map_err(|wrong| anyhow::anyhow!("{wrong}"))?.sources.remove(0))
}

fn opcua(source: &Source) -> &OpcUa {
    let Kind::OpcUa(server) = &source.kind else { unreachable!("it is OPC UA") };
    server
}

/// A node of asyncua's press, by its id.
fn of_the_press(name: &str) -> String {
    format!("{{ name = \"{name}\", node = \"nsu=urn:inuse:tests:press;s=Press1.{name}\" }},\n")
}

async fn next(rx: &mut mpsc::Receiver<Sample>) -> anyhow::Result<What> {
    let sample = tokio::time::timeout(PATIENCE, rx.recv()).await?;
    Ok(sample.context("the collector runs")?.observation.what)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs asyncua: cargo xtask test"]
async fn asyncua_is_trusted_once_subscribed_browsed_and_its_history_fills_a_gap() -> anyhow::Result<()> {
    let points = ["Pieces", "Power", "Passing"].map(of_the_press).concat()
        + "{ name = \"path\", path = \"0:Objects/2:Press1/2:Press1.Pieces\" },\n";
    let server =
        Trusted::on_first_use("opcua_server.py", "collect = \"subscribe\"\nhistory = true\n", &points)
            .await?;

    assert!(server.shown.subject.contains("press"), "{:?}", server.shown);
    let nodes = server.browse().await?;
    let pieces = nodes
        .iter()
        .find(|node| node.path == "0:Objects/2:Press1/2:Press1.Pieces")
        .context("no Pieces among the nodes")?;
    assert_eq!(pieces.node, "nsu=urn:inuse:tests:press;s=Press1.Pieces");
    assert!(pieces.history && pieces.number && pieces.access.as_deref() == Some("read"), "{pieces:?}");

    let facts = collectors::before(&server.source, server.keys()).await?;
    let fact = |name: &str| facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.as_str());
    assert_eq!(fact("certificate"), Some(server.shown.sha256.as_str()));
    for name in ["application", "product", "build product", "build maker", "build version", "running since"] {
        assert!(fact(name).is_some_and(|value| !value.is_empty()), "{name}: {facts:?}");
    }

    let ((tx, mut rx), notes) = (mpsc::channel(4), Notes::default());
    let out =
        SampleSender::new(1, Duration::from_millis(200), Arc::new(SystemClock), tx, CancellationToken::new());
    let mut collector =
        collectors::build(&server.source, None, server.keys(), &Shared::telling(notes.clone()))?;
    let count = |what| notes.of(1).counters.get(what).copied().unwrap_or(0);

    // Reports come, a node goes and returns, and the others are read throughout.
    let stop = CancellationToken::new();
    let looking = async {
        let (mut last, mut gone, mut back) = (0.0, false, false);
        while !(gone && back) || count("reports") < 10 {
            let What::Cycle(readings) = next(&mut rx).await? else { anyhow::bail!("a silence") };
            let pieces = readings[0].value.with_context(|| format!("no count in {readings:?}"))?;
            assert!(pieces >= last && readings[3].value.is_some(), "{readings:?}");
            assert!(readings[1].value.is_some(), "{readings:?}");
            last = pieces;
            gone |= readings[2].value.is_none();
            back |= gone && readings[2].value == Some(1.0);
        }
        stop.cancel();
        anyhow::Ok(())
    };
    let (ended, looked) = tokio::join!(collector.run(&out, &stop), looking);
    ended?;
    looked?;

    // Nobody asks for a while; what was kept meanwhile comes as kept.
    let before = server.first().await?;
    while server.first().await? < before + 4.0 {}
    let stop = CancellationToken::new();
    let looking = async {
        let mut pieces = Vec::new();
        while pieces.len() < 3 {
            if let What::Kept(kept) = next(&mut rx).await? {
                assert!(kept.is_sorted_by_key(|kept| (kept.point, kept.at_ms)), "{kept:?}");
                pieces.extend(
                    kept.into_iter().filter(|kept| kept.point == 0).filter_map(|kept| kept.reading.value),
                );
            }
        }
        stop.cancel();
        anyhow::Ok(pieces)
    };
    let (ended, pieces) = tokio::join!(collector.run(&out, &stop), looking);
    ended?;
    assert!(pieces?.is_sorted(), "the counter as it was kept");
    assert!(count("backfilled") >= 3);
    assert_eq!(server.device.end().await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs node-opcua: cargo xtask test"]
async fn node_opcua_is_read_under_each_policy_signed_and_encrypted() -> anyhow::Result<()> {
    let points = "{ name = \"UInt32\", node = \"nsu=urn:inuse:tests:filler;s=灌装机.UInt32\" },\n";
    let server = Trusted::on_first_use("node/opcua_server.js", "", points).await?;
    let manifest = std::fs::read_to_string(server.keys().join("manifest.toml"))?;
    let mut last = 0.0;
    for policy in ["basic256sha256", "aes128-sha256-rsaoaep", "aes256-sha256-rsapss", "deprecated-basic256"] {
        for mode in ["sign", "sign_and_encrypt"] {
            let (before, now) =
                ("policy = \"basic256sha256\"", format!("policy = \"{policy}\"\nmode = \"{mode}\""));
            let path = server.keys().join("again.toml");
            std::fs::write(&path, manifest.replace(before, &now))?;
            let probe = collectors::probe(&source(&path)?, server.keys()).await;
            let probe = probe.with_context(|| format!("{policy}, {mode}"))?;
            let value =
                probe.points[0].reading.value.with_context(|| format!("{policy}, {mode}: {probe:?}"))?;
            assert!(value >= last && value >= 3e9, "{policy}, {mode}: {value}");
            last = value;
        }
    }
    server.device.end().await.map(drop)
}

/// The numbers of node-opcua's filling machine, named for their types, with the type's number in OPC UA's encoding.
const FILLER: [(&str, u8); 11] = [
    ("UInt32", 7),
    ("Boolean", 1),
    ("SByte", 2),
    ("Byte", 3),
    ("Int16", 4),
    ("UInt16", 5),
    ("Int32", 6),
    ("Int64", 8),
    ("UInt64", 9),
    ("Float", 10),
    ("Double", 11),
];
/// Points beyond them: a node that comes and goes, and one that is named by its path.
const PASSING: usize = FILLER.len();
const BY_PATH: usize = FILLER.len() + 1;

/// What was read of the filling machine, by node; what it served is known when it has ended.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, Vec<Reading>>);

impl Seen {
    fn note(&mut self, point: usize, reading: &Reading) {
        let name = match point {
            PASSING => return,
            BY_PATH => "Int64",
            point => FILLER[point].0,
        };
        self.0.entry(name).or_default().push(reading.clone());
    }

    /// Each value is one that its own node had, written as its type is.
    fn was_served(&self, said: &[String]) -> anyhow::Result<()> {
        let [line] = said else { anyhow::bail!("{said:?}") };
        let served: Value = serde_json::from_str(line)?;
        for (name, kind) in FILLER {
            let had: Vec<_> =
                served["served"][name].as_array().context(name)?.iter().map(Value::as_f64).collect();
            let seen = self.0.get(name).with_context(|| format!("{name} was not read"))?;
            for reading in seen {
                assert!(had.contains(&reading.value), "{name} never had {reading:?}");
                assert_eq!(reading.raw[0], kind, "{name}: {reading:?}");
            }
        }
        Ok(())
    }
}

/// Takes turns of the filling machine until a node has gone and come back and `enough` says so.
async fn turns(
    collector: &mut dyn Collector,
    seen: &mut Seen,
    enough: impl Fn() -> bool,
) -> anyhow::Result<()> {
    let (tx, mut rx) = mpsc::channel(4);
    let stop = CancellationToken::new();
    let out = SampleSender::new(1, Duration::from_millis(200), Arc::new(SystemClock), tx, stop.clone());
    let looking = async {
        let (mut gone, mut back) = (false, false);
        while !(gone && back && enough()) {
            let readings = match next(&mut rx).await? {
                What::Cycle(readings) => readings,
                What::Kept(kept) => {
                    assert!(kept.iter().all(|kept| usize::from(kept.point) != PASSING), "{kept:?}");
                    kept.iter().for_each(|kept| seen.note(usize::from(kept.point), &kept.reading));
                    continue;
                }
                what @ (What::Records(_) | What::Silent(_)) => anyhow::bail!("{what:?}"),
            };
            for (point, reading) in readings.iter().enumerate() {
                assert!(point == PASSING || reading.value.is_some(), "{point} of {readings:?}");
                seen.note(point, reading);
            }
            gone |= readings[PASSING].value.is_none();
            back |= gone && readings[PASSING].value == Some(1.0);
        }
        stop.cancel();
        anyhow::Ok(())
    };
    let (ended, looked) = tokio::join!(collector.run(&out, &stop), looking);
    ended?;
    looked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs node-opcua: cargo xtask test"]
async fn node_opcua_is_trusted_once_and_each_value_polled_reported_or_kept_is_one_its_node_had()
-> anyhow::Result<()> {
    let mut points: String = FILLER
        .iter()
        .map(|(name, _)| *name)
        .chain(["过客"])
        .map(|name| {
            format!("{{ name = \"{name}\", node = \"nsu=urn:inuse:tests:filler;s=灌装机.{name}\" }},\n")
        })
        .collect();
    points += "{ name = \"path\", path = \"0:Objects/2:灌装机/2:Int64\" },\n";
    let keys = "collect = \"subscribe\"\nhistory = true\n";
    let server = Trusted::on_first_use("node/opcua_server.js", keys, &points).await?;

    // Who is not the one user is nobody, and a certificate that is not the pinned one is not spoken to.
    let mut stranger = server.source.clone();
    let Kind::OpcUa(config) = &mut stranger.kind else { unreachable!("it is OPC UA") };
    config.user = None;
    let mut unsure = server.source.clone();
    let Kind::OpcUa(config) = &mut unsure.kind else { unreachable!("it is OPC UA") };
    let Security::Secured { pin, .. } = &mut config.security else { unreachable!("it is secured") };
    *pin = Thumbprint::parse(&"0".repeat(64));
    for source in [stranger, unsure] {
        let refused = collectors::probe(&source, server.keys()).await?;
        assert!(refused.refused.is_some() && refused.points.is_empty(), "{refused:?}");
    }

    let nodes = server.browse().await?;
    for (name, _) in FILLER {
        let path = format!("0:Objects/2:灌装机/2:{name}");
        let node = nodes.iter().find(|node| node.path == path).with_context(|| format!("no {path}"))?;
        assert_eq!(node.node, format!("nsu=urn:inuse:tests:filler;s=灌装机.{name}"));
        assert_eq!(node.data_type.as_deref(), Some(name));
        assert!(node.history && node.number && node.access.as_deref() == Some("read"), "{node:?}");
    }
    let recipe = nodes.iter().find(|node| node.path.ends_with("配方")).context("no recipe")?;
    assert!(!recipe.number, "{recipe:?}");

    let mut seen = Seen::default();
    let mut polled = server.source.clone();
    let Kind::OpcUa(config) = &mut polled.kind else { unreachable!("it is OPC UA") };
    (config.collect, config.history) = (Collect::Poll, false);
    let mut collector = collectors::build(&polled, None, server.keys(), &Shared::default())?;
    turns(&mut *collector, &mut seen, || true).await?;

    let notes = Notes::default();
    let count = |what| notes.of(1).counters.get(what).copied().unwrap_or(0);
    let mut collector =
        collectors::build(&server.source, None, server.keys(), &Shared::telling(notes.clone()))?;
    turns(&mut *collector, &mut seen, || count("reports") >= 10).await?;

    // Nobody asks for a while; what was kept meanwhile comes as kept.
    let before = server.first().await?;
    while server.first().await? < before + 16.0 {}
    turns(&mut *collector, &mut seen, || count("backfilled") >= 3).await?;
    seen.was_served(&server.device.end().await?)
}
