//! OPC UA against a server with faults, over real sockets: every value is the one that was served, a fault is answered
//! as promised, and what peers' users have complained of for years does not happen here.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use collectors::manifest::{Manifest, Source};
use collectors::opcua::Bounds;
use collectors::{CollectError, Notes, SampleSender, Shared};
use daemon::SystemClock;
use opcua::types::{DataValue, DateTime, StatusCode, Variant};
use proof::{Cause, Quality, Reading, What};
use tests::plant::opcua::unruly::{NAMESPACE_URI, Setup, Unruly, request};
use tests::process::PATIENCE;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const KEYS: &str = "policy = \"none\"\ncollect = \"poll\"\n";
const SUBSCRIBED: &str = "policy = \"none\"\ncollect = \"subscribe\"\n";

/// A manifest's source; each point is the rest of its table.
fn source(endpoint: &str, keys: &str, points: &[&str], dir: &Path) -> Source {
    let points: String = points
        .iter()
        .enumerate()
        .map(|(at, point)| format!("[[sources.opcua.points]]\nname = \"p{at}\"\n{point}\n"))
        .collect();
    let text = format!(
        "[[sources]]\nname = \"unruly\"\ncadence = \"1s\"\n[sources.opcua]\nendpoint = \"{endpoint}\"\n\
         timeout = \"2s\"\n{keys}\n{points}"
    );
    Manifest::parse("manifest.toml", &text, dir).expect("a good manifest").sources.remove(0)
}

/// What comes of a collector that is begun again whenever it ends, as its supervisor does.
struct Seen {
    rx: mpsc::Receiver<collectors::Sample>,
    notes: Notes,
    silences: Vec<Cause>,
    turns: usize,
}

impl Seen {
    async fn next(&mut self) -> What {
        let sample = tokio::time::timeout(PATIENCE, self.rx.recv()).await.expect("something comes");
        let what = sample.expect("the collector runs").observation.what;
        self.turns += usize::from(!matches!(what, What::Kept(_)));
        if let What::Silent(cause) = what {
            self.silences.push(cause);
        }
        what
    }

    /// Waits for a turn with these values.
    async fn reads(&mut self, wanted: &[Option<f64>]) -> Vec<Reading> {
        loop {
            if let What::Cycle(readings) = self.next().await
                && values(&readings) == wanted
            {
                return readings;
            }
        }
    }

    /// Waits until a counter stands at this or above, with every value between as `allowed` says.
    async fn counts(&mut self, what: &str, least: u64, allowed: impl Fn(&[Option<f64>]) -> bool) {
        while self.count(what) < least {
            if let What::Cycle(readings) = self.next().await {
                assert!(allowed(&values(&readings)), "{:?}", values(&readings));
            }
        }
    }

    async fn silence(&mut self) -> Cause {
        loop {
            if let What::Silent(cause) = self.next().await {
                return cause;
            }
        }
    }

    fn count(&self, what: &str) -> u64 {
        self.notes.of(1).counters.get(what).copied().unwrap_or(0)
    }
}

fn values(readings: &[Reading]) -> Vec<Option<f64>> {
    readings.iter().map(|reading| reading.value).collect()
}

/// Runs a collector, ten turns a second, while `work` looks on.
async fn watched<T>(source: &Source, dir: &Path, work: impl AsyncFnOnce(&mut Seen) -> T) -> T {
    let ((tx, rx), stop, notes) = (mpsc::channel(4), CancellationToken::new(), Notes::default());
    let out = SampleSender::new(1, Duration::from_millis(100), Arc::new(SystemClock), tx, stop.clone());
    let mut collector =
        collectors::build(source, None, dir, &Shared::telling(notes.clone())).expect("OPC UA is built in");
    let collecting = async {
        while let Err(error) = collector.run(&out, &stop).await {
            if matches!(error, CollectError::Closed) {
                break;
            }
        }
    };
    let mut seen = Seen { rx, notes, silences: Vec::new(), turns: 0 };
    let looking = async {
        let outcome = work(&mut seen).await;
        stop.cancel();
        seen.rx.close();
        outcome
    };
    tokio::join!(collecting, looking).1
}

fn numbers(count: u32) -> Vec<(String, Variant)> {
    (0..count).map(|at| (format!("n{at}"), Variant::from(at))).collect()
}

async fn plant(setup: Setup, dir: &Path, nodes: &[(&str, Variant)]) -> Unruly {
    Unruly::start(setup, &dir.join("server"), nodes).await.expect("a server starts")
}

fn nsu(name: &str) -> String {
    format!("node = \"nsu={NAMESPACE_URI};s={name}\"")
}

/// influxdata/telegraf 18787: a new session for every request and none closed, until the server takes no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telegraf_18787_a_lost_session_is_replaced_within_its_turn_and_sessions_are_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    for keys in [KEYS, SUBSCRIBED] {
        let server = plant(Setup::default(), dir.path(), &[("a", Variant::from(1_u32))]).await;
        let source = source(&server.endpoint(), keys, &[&nsu("a")], dir.path());
        watched(&source, dir.path(), async |seen| {
            seen.reads(&[Some(1.0)]).await;
            for round in 1..=5_u32 {
                server.lose_sessions();
                server.set("a", round * 10);
                seen.reads(&[Some(f64::from(round * 10))]).await;
            }
            assert_eq!(seen.silences, [], "a lost session costs no turn");
        })
        .await;
        let (created, closed) = (server.asked(request::CREATE_SESSION), server.asked(request::CLOSE_SESSION));
        assert!((6..=12).contains(&created), "{created} sessions for five losses");
        assert!(closed + 1 >= created, "{created} sessions created, {closed} closed");
    }
}

/// thingsboard/thingsboard-gateway 1641, 1264, 262 and 264: no data after a restart of the server until somebody restarts
/// the gateway.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thingsboard_1641_a_restarted_server_is_read_again_and_asked_once_a_turn_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    for keys in [KEYS, SUBSCRIBED] {
        let mut server = plant(Setup::default(), dir.path(), &[("a", Variant::from(1_u32))]).await;
        // By id, by URI and by the names on the way: the namespace has another index afterwards.
        let path = format!("path = \"0:Objects/nsu={NAMESPACE_URI};机床/nsu={NAMESPACE_URI};a\"")
            .replace(":inuse", "&:inuse");
        let points = [nsu("a"), path];
        let source = source(&server.endpoint(), keys, &[&points[0], &points[1]], dir.path());
        watched(&source, dir.path(), async |seen| {
            seen.reads(&[Some(1.0), Some(1.0)]).await;
            server.stop().await.unwrap();
            assert_eq!(seen.silence().await, Cause::NoAnswer);
            server.set("a", 2_u32);
            server.resume(true).await.unwrap();
            seen.reads(&[Some(2.0), Some(2.0)]).await;
            server.set("a", 3_u32);
            seen.reads(&[Some(3.0), Some(3.0)]).await;
            let created = server.asked(request::CREATE_SESSION);
            assert!(created <= seen.turns + 1, "{created} sessions in {} turns", seen.turns);
        })
        .await;
    }
}

/// One node gone, and everything stops, or nothing says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vanished_node_stops_no_other_and_comes_back_when_it_returns() {
    let dir = tempfile::tempdir().unwrap();
    for keys in [KEYS, SUBSCRIBED] {
        let nodes = [("a", Variant::from(1_u32)), ("b", Variant::from(2_u32))];
        let server = plant(Setup::default(), dir.path(), &nodes).await;
        let path = "path = \"0:Objects/2:机床/2:a\"";
        let source = source(&server.endpoint(), keys, &[&nsu("a"), &nsu("b"), path], dir.path());
        watched(&source, dir.path(), async |seen| {
            seen.reads(&[Some(1.0), Some(2.0), Some(1.0)]).await;
            server.vanish("a");
            server.set("b", 3_u32);
            let readings = seen.reads(&[None, Some(3.0), None]).await;
            assert_eq!(readings[0].quality, Quality::Fault, "not the last value, and not silence");
            server.set("a", 4_u32);
            seen.reads(&[Some(4.0), Some(3.0), Some(4.0)]).await;
            server.set("a", 5_u32);
            seen.reads(&[Some(5.0), Some(3.0), Some(5.0)]).await;
            assert_eq!(seen.silences, []);
        })
        .await;
    }
}

/// influxdata/telegraf 19186: one node was gone after a reconnect, and nothing was read ever again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telegraf_19186_a_node_that_is_gone_after_a_reconnect_stops_no_other() {
    let dir = tempfile::tempdir().unwrap();
    for keys in [KEYS, SUBSCRIBED] {
        let nodes = [("a", Variant::from(1_u32)), ("b", Variant::from(2_u32))];
        let mut server = plant(Setup::default(), dir.path(), &nodes).await;
        let path = "path = \"0:Objects/2:机床/2:a\"";
        let source = source(&server.endpoint(), keys, &[&nsu("a"), &nsu("b"), path], dir.path());
        watched(&source, dir.path(), async |seen| {
            seen.reads(&[Some(1.0), Some(2.0), Some(1.0)]).await;
            // It goes, and the session is another one when it is asked for.
            server.vanish("a");
            server.lose_sessions();
            server.set("b", 3_u32);
            let readings = seen.reads(&[None, Some(3.0), None]).await;
            assert_eq!(readings[0].quality, Quality::Fault);
            server.set("a", 4_u32);
            seen.reads(&[Some(4.0), Some(3.0), Some(4.0)]).await;
            assert_eq!(seen.silences, []);
            // It is not there any more when the server comes back.
            server.stop().await.unwrap();
            assert_eq!(seen.silence().await, Cause::NoAnswer);
            server.vanish("a");
            server.set("b", 5_u32);
            server.resume(false).await.unwrap();
            seen.reads(&[None, Some(5.0), None]).await;
            server.set("b", 6_u32);
            seen.reads(&[None, Some(6.0), None]).await;
            server.set("a", 7_u32);
            seen.reads(&[Some(7.0), Some(6.0), Some(7.0)]).await;
        })
        .await;
    }
}

/// The last good value is sent again under a bad status.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_value_is_no_value_and_keeps_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    for keys in [KEYS, SUBSCRIBED] {
        let server = plant(Setup::default(), dir.path(), &[("a", Variant::from(1_u32))]).await;
        let source = source(&server.endpoint(), keys, &[&nsu("a")], dir.path());
        watched(&source, dir.path(), async |seen| {
            seen.reads(&[Some(1.0)]).await;
            for (status, quality) in [
                (StatusCode::BadNotConnected, Quality::NoAnswer),
                (StatusCode::UncertainLastUsableValue, Quality::Fault),
                (StatusCode::BadOutOfService, Quality::Maintenance),
            ] {
                server.turn_bad("a", 1_u32, status);
                while seen.reads(&[None]).await[0].quality != quality {}
            }
        })
        .await;
    }
}

/// influxdata/telegraf 18454, thingsboard/thingsboard-gateway 2028 and 2093: the subscription is dead, all looks well, and
/// no data comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telegraf_18454_a_silent_subscription_makes_no_value_old_and_is_repaired_step_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let server = plant(Setup::default(), dir.path(), &[("a", Variant::from(1_u32))]).await;
    let source = source(&server.endpoint(), SUBSCRIBED, &[&nsu("a")], dir.path());
    watched(&source, dir.path(), async |seen| {
        seen.counts("reports", 1, |_| true).await;
        server.lose(&[request::PUBLISH]);
        // What was underway may still come.
        server.set("a", 2_u32);
        seen.reads(&[Some(2.0)]).await;
        server.set("a", 3_u32);
        seen.reads(&[Some(3.0)]).await;
        seen.counts("silent_subscriptions", 2, |values| values == [Some(3.0)]).await;
        assert!(seen.count("subscriptions") >= 2, "made anew over the same session");
        seen.counts("silent_subscriptions", 3, |values| values == [Some(3.0)]).await;
        assert!(seen.count("sessions") >= 2, "then the session");
        while seen.notes.of(1).warnings.is_empty() {
            seen.next().await;
        }
        let warning = seen.notes.of(1).warnings["subscription"].clone();
        assert!(warning.contains("reports nothing; all points are polled"), "{warning}");
        server.set("a", 4_u32);
        seen.reads(&[Some(4.0)]).await;
        assert_eq!(seen.silences, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_subscription_reports_is_not_read_and_what_it_does_not_is() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = [("a", Variant::from(0_u32)), ("still", Variant::from(7_u32))];
    let server = plant(Setup::default(), dir.path(), &nodes).await;
    let keys = format!("{SUBSCRIBED}queue = 10\n");
    let source = source(&server.endpoint(), &keys, &[&nsu("a"), &nsu("still")], dir.path());
    watched(&source, dir.path(), async |seen| {
        seen.reads(&[Some(0.0), Some(7.0)]).await;
        for value in 1..=20_u32 {
            server.set("a", value);
            seen.reads(&[Some(f64::from(value)), Some(7.0)]).await;
        }
        assert!(seen.count("reports") > 0, "changes were reported");
        let (reads, turns) = (seen.count("reads"), u64::try_from(seen.turns).unwrap());
        assert!(reads >= turns - 1, "the still point was read at each turn: {reads} in {turns}");
        assert!(reads <= turns * 2, "{reads} reads in {turns} turns");
    })
    .await;
    assert_eq!(server.asked(request::WRITE) + server.asked(request::CALL), 0);
}

/// Found by the chaos run: sampled before a turn and published after it, an older value came after a newer one was read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_within_its_dead_band_is_read_and_not_reported_and_its_item_stays() {
    let dir = tempfile::tempdir().unwrap();
    let server = plant(Setup::default(), dir.path(), &[("a", Variant::from(100_u32))]).await;
    let point = format!("{}\ndead_band = 5.0", nsu("a"));
    let source = source(&server.endpoint(), SUBSCRIBED, &[&point], dir.path());
    watched(&source, dir.path(), async |seen| {
        seen.counts("reports", 1, |_| true).await;
        let (reports, items) = (seen.count("reports"), server.asked(request::CREATE_MONITORED_ITEMS));
        for value in [101_u32, 99, 102, 98, 103, 97, 100] {
            server.set("a", value);
            seen.reads(&[Some(f64::from(value))]).await;
        }
        assert_eq!(seen.count("reports"), reports, "none of them moved by more than five");
        server.set("a", 150_u32);
        seen.counts("reports", reports + 1, |_| true).await;
        assert_eq!(server.asked(request::CREATE_MONITORED_ITEMS), items, "no item was taken for deaf");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_was_underway_when_a_point_was_read_brings_no_older_value_back() {
    let dir = tempfile::tempdir().unwrap();
    let count = AtomicU32::new(0);
    let reads = Arc::new(move |_: &str, _: DataValue| DataValue {
        value: Some(Variant::from(count.fetch_add(1, Ordering::Relaxed))),
        status: Some(StatusCode::Good),
        source_timestamp: Some(DateTime::now()),
        ..DataValue::null()
    });
    let setup = Setup { reads: Some(reads), ..Setup::default() };
    let server = plant(setup, dir.path(), &[("counter", Variant::from(0_u32))]).await;
    let source = source(&server.endpoint(), SUBSCRIBED, &[&nsu("counter")], dir.path());
    watched(&source, dir.path(), async |seen| {
        let mut newest = 0.0;
        while seen.count("reports") < 12 {
            let What::Cycle(readings) = seen.next().await else { continue };
            let value = readings[0].value.expect("it is always there");
            assert!(value > newest || seen.turns == 1, "{value} after {newest}");
            newest = value;
        }
        assert!(seen.count("reads") > 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_subscriptions_is_polled_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup {
        limits: Some(|limits| limits.subscriptions.max_subscriptions_per_session = 0),
        ..Setup::default()
    };
    let server = plant(setup, dir.path(), &[("a", Variant::from(1_u32))]).await;
    let source = source(&server.endpoint(), SUBSCRIBED, &[&nsu("a")], dir.path());
    watched(&source, dir.path(), async |seen| {
        for value in 2..5_u32 {
            server.set("a", value);
            seen.reads(&[Some(f64::from(value))]).await;
        }
        let warning = seen.notes.of(1).warnings["subscription"].clone();
        assert!(warning.contains("refuses subscriptions: BadTooManySubscriptions"), "{warning}");
        assert_eq!(seen.silences, []);
    })
    .await;
    assert_eq!(server.asked(request::CREATE_SUBSCRIPTION), 1, "it is not asked at every turn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_larger_than_the_server_allows() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup {
        limits: Some(|limits| {
            limits.operational.max_nodes_per_read = 4;
            limits.operational.max_monitored_items_per_call = 3;
            limits.operational.max_nodes_per_translate_browse_paths_to_node_ids = 2;
        }),
        ..Setup::default()
    };
    let nodes = numbers(25);
    let nodes: Vec<_> = nodes.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let server = plant(setup, dir.path(), &nodes).await;
    let points: Vec<_> = (0..25)
        .map(|at| {
            if at % 2 == 0 {
                nsu(&format!("n{at}"))
            } else {
                format!("path = \"0:Objects/2:机床/2:n{at}\"")
            }
        })
        .collect();
    let points: Vec<_> = points.iter().map(String::as_str).collect();
    let wanted: Vec<_> = (0..25_u32).map(|at| Some(f64::from(at))).collect();
    let source = source(&server.endpoint(), SUBSCRIBED, &points, dir.path());
    watched(&source, dir.path(), async |seen| {
        seen.reads(&wanted).await;
        seen.counts("reports", 25, |values| values == wanted).await;
        assert_eq!(seen.silences, []);
    })
    .await;
    assert!(server.asked(request::CREATE_MONITORED_ITEMS) >= 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_names_a_host_nobody_reaches_is_asked_where_the_manifest_says() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { host: Some("plc-7.invalid"), ..Setup::default() };
    let server = plant(setup, dir.path(), &[("a", Variant::from(1_u32))]).await;
    let source = source(&server.endpoint(), KEYS, &[&nsu("a")], dir.path());
    watched(&source, dir.path(), async |seen| seen.reads(&[Some(1.0)]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_that_get_lost_are_silence_with_its_cause_and_the_next_line_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let server = plant(Setup::default(), dir.path(), &[("a", Variant::from(1_u32))]).await;
    let source = source(&server.endpoint(), KEYS, &[&nsu("a")], dir.path());
    watched(&source, dir.path(), async |seen| {
        seen.reads(&[Some(1.0)]).await;
        server.lose(&[request::READ]);
        assert_eq!(seen.silence().await, Cause::NoAnswer);
        server.lose(&[]);
        server.set("a", 2_u32);
        seen.reads(&[Some(2.0)]).await;
        server.cut();
        server.set("a", 3_u32);
        seen.reads(&[Some(3.0)]).await;
    })
    .await;
}

/// Whatever bytes come, a value is one that was served or none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbled_answers_end_connections_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let server = plant(Setup::default(), dir.path(), &[("a", Variant::from(1_u32))]).await;
    let source = source(&server.endpoint(), KEYS, &[&nsu("a")], dir.path());
    watched(&source, dir.path(), async |seen| {
        seen.reads(&[Some(1.0)]).await;
        for seed in 1..=20_u64 {
            server.garble(Some(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
            // Without a signature a flipped bit of a value arrives as a value; everything else is seen.
            seen.next().await;
        }
        server.garble(None);
        server.set("a", 2_u32);
        seen.reads(&[Some(2.0)]).await;
    })
    .await;
}

/// Every policy and mode, by name and by certificate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_policy_reads_with_its_pin_and_every_kind_of_user() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), "read only\n").unwrap();
    let user = key_pair(dir.path());
    let setup = Setup { secured: Some(user), ..Setup::default() };
    let server = plant(setup, dir.path(), &[("a", Variant::from(1.5_f64))]).await;
    let users = [
        "user = \"reader\"\npassword_file = \"password\"",
        "user_certificate = \"user.der\"\nuser_key = \"user.pem\"",
    ];
    for policy in [
        "basic256sha256",
        "aes128-sha256-rsaoaep",
        "aes256-sha256-rsapss",
        "deprecated-basic256",
        "deprecated-basic128rsa15",
    ] {
        for (mode, user) in
            [("sign", users[0]), ("sign_and_encrypt", users[0]), ("sign_and_encrypt", users[1])]
        {
            let keys = format!("policy = \"{policy}\"\nmode = \"{mode}\"\n{user}\n");
            let unpinned = source(&server.endpoint(), &keys, &[&nsu("a")], dir.path());
            let shown = collectors::probe(&unpinned, dir.path()).await.unwrap().server_thumbprint.unwrap();
            let keys = format!("{keys}server_thumbprint = \"{shown}\"\n");
            let pinned = source(&server.endpoint(), &keys, &[&nsu("a")], dir.path());
            let probe = collectors::probe(&pinned, dir.path()).await;
            let probe = probe.unwrap_or_else(|error| panic!("{policy} {mode} {user}: {error:?}"));
            assert_eq!(probe.refused, None, "{policy} {mode} {user}");
            assert_eq!(probe.points[0].reading.value, Some(1.5), "{policy} {mode} {user}");
        }
    }
}

/// A user's certificate and key, as an installer brings them.
fn key_pair(dir: &Path) -> std::path::PathBuf {
    use opcua::crypto::{CertificateStore, X509Data};
    let (certificate, key) = (dir.join("user.der"), dir.join("user.pem"));
    CertificateStore::create_certificate_and_key(&X509Data::sample_cert(), false, &certificate, &key)
        .expect("a key pair");
    certificate
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_around_shows_ids_that_hold_and_stops_at_its_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = numbers(40);
    let mut nodes: Vec<_> = nodes.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    nodes.push(("名称", Variant::from("甲")));
    let server = plant(Setup::default(), dir.path(), &nodes).await;
    let browse = async |under: Option<&str>, bounds| {
        let under = under.map(|path| collectors::manifest::NodeAt::path(path).unwrap());
        collectors::opcua::browse_url(&server.endpoint(), dir.path(), under.as_ref(), bounds).await
    };
    let all = browse(None, Bounds::default()).await.unwrap();
    let of = |path: &str| {
        all.nodes.iter().find(|node| node.path == path).unwrap_or_else(|| panic!("{all:?}")).clone()
    };
    let n7 = of("0:Objects/2:机床/2:n7");
    assert_eq!(n7.node, format!("nsu={NAMESPACE_URI};s=n7"));
    assert_eq!((n7.value.as_deref(), n7.data_type.as_deref(), n7.number), (Some("7"), Some("UInt32"), true));
    assert!(!of("0:Objects/2:机床/2:名称").number);
    assert_eq!(all.nodes.iter().filter(|node| node.path.contains("机床")).count(), 42);
    assert_eq!(all.cut, None);
    let under = browse(Some("0:Objects/2:机床"), Bounds::default()).await.unwrap();
    assert_eq!(under.nodes.len(), 41);
    // What it proposes is a manifest that reads.
    let text = format!(
        "[[sources]]\nname = \"a\"\n[sources.opcua]\nendpoint = \"{}\"\npolicy = \"none\"\n{}",
        server.endpoint(),
        under.points(100)
    );
    let manifest = Manifest::parse("manifest.toml", &text, dir.path()).unwrap();
    let probe = collectors::probe(&manifest.sources[0], dir.path()).await.unwrap();
    assert_eq!(probe.points.len(), 40);
    assert!(probe.points.iter().all(|point| point.reading.value.is_some()));

    let few = browse(None, Bounds { nodes: 10, ..Bounds::default() }).await.unwrap();
    assert!(few.nodes.len() <= 10 && few.cut.is_some(), "{few:?}");
    let flat = browse(None, Bounds { depth: 1, ..Bounds::default() }).await.unwrap();
    assert!(
        flat.nodes.iter().all(|node| node.path.matches('/').count() == 1) && flat.cut.is_some(),
        "{flat:?}"
    );
    let nowhere = browse(Some("0:Objects/2:nobody"), Bounds::default()).await.unwrap_err();
    assert!(matches!(nowhere, CollectError::Refused { .. }), "{nowhere}");
}
