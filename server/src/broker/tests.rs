//! A real broker and real clients over TLS on loopback.

use std::sync::Arc;
use std::time::Duration;

use daemon::{Clock as _, SystemClock, Tasks};
use proof::AgentId;
use rcgen::{CertificateParams, KeyPair};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, Filter, LastWill, Packet, PubAckReason, Publish, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{TlsConfiguration, Transport};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::ca::INGESTER;

const AT_MOST: Duration = Duration::from_secs(20);
const DAY_S: i64 = 86_400;
const ME: AgentId = AgentId([1; 16]);
const OTHER: AgentId = AgentId([2; 16]);
const REVOKED: AgentId = AgentId([3; 16]);

struct Bench {
    ca: Ca,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: Tasks,
    _directory: TempDir,
}

/// A client certificate and its key, PEM.
type Pair = (String, String);

struct Peer {
    client: AsyncClient,
    events: EventLoop,
}

impl Bench {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = Ca::open(directory.path(), now_s()).unwrap();
        let identity = ca.server(&["127.0.0.1".to_owned()], now_s()).unwrap();
        let admit: Admit = Arc::new(|agent| Box::pin(async move { agent != REVOKED }));
        let broker = Broker::bind("127.0.0.1:0".parse().unwrap(), &ca, &identity, admit).await.unwrap();
        let (address, stop) = (broker.address(), CancellationToken::new());
        assert_ne!(address.port(), 0);
        let mut tasks = Tasks::new();
        let token = stop.clone();
        tasks.spawn("broker", async move {
            broker.run(token.clone(), token).await;
            Ok(())
        });
        Self { ca, address, stop, tasks, _directory: directory }
    }

    fn agent(&self, agent: AgentId) -> Pair {
        agent_pair(&self.ca, agent, now_s())
    }

    fn ingester(&self) -> Pair {
        let identity = self.ca.ingester(now_s()).unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        (read(identity.chain_file), read(identity.key_file))
    }

    fn tls(&self, pair: Option<&Pair>) -> Transport {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match pair {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let chain: Vec<_> =
                    CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(config)))
    }

    fn peer(&self, client_id: &str, pair: Option<&Pair>) -> Peer {
        self.peer_with(client_id, pair, |_| {})
    }

    fn peer_with(&self, client_id: &str, pair: Option<&Pair>, more: impl FnOnce(&mut MqttOptions)) -> Peer {
        let mut options = MqttOptions::new(client_id, "127.0.0.1", self.address.port());
        options
            .set_transport(self.tls(pair))
            .set_keep_alive(Duration::from_secs(30))
            .set_max_packet_size(Some(MAX_PACKET));
        more(&mut options);
        let (client, events) = AsyncClient::new(options, 10);
        Peer { client, events }
    }

    async fn connected(&self, client_id: &str, pair: &Pair) -> Peer {
        let mut peer = self.peer(client_id, Some(pair));
        peer.connect().await.unwrap();
        peer
    }

    /// An ingester that has subscribed to all parcels.
    async fn listening(&self, filter: &str) -> Peer {
        let mut peer = self.connected("ingester-1", &self.ingester()).await;
        assert_eq!(peer.subscribe(filter).await, SubscribeReasonCode::Success(QoS::AtLeastOnce));
        peer
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.finish(AT_MOST).await.unwrap();
    }
}

impl Peer {
    async fn event(&mut self) -> Result<Event, ConnectionError> {
        tokio::time::timeout(AT_MOST, self.events.poll()).await.expect("the broker answers")
    }

    async fn packet(&mut self) -> Packet {
        loop {
            if let Event::Incoming(packet) = self.event().await.unwrap() {
                return packet;
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ConnectionError> {
        let answer = self.event().await?;
        assert!(matches!(answer, Event::Incoming(Packet::ConnAck(_))), "{answer:?}");
        Ok(())
    }

    async fn subscribe(&mut self, filter: &str) -> SubscribeReasonCode {
        self.client.subscribe_many([Filter::new(filter, QoS::AtLeastOnce)]).await.unwrap();
        loop {
            if let Packet::SubAck(answer) = self.packet().await {
                return answer.return_codes[0];
            }
        }
    }

    async fn publish(&mut self, topic: &str, text: &str) -> PubAckReason {
        self.client.publish(topic, QoS::AtLeastOnce, false, text.to_owned()).await.unwrap();
        self.acknowledged().await
    }

    async fn acknowledged(&mut self) -> PubAckReason {
        loop {
            if let Packet::PubAck(answer) = self.packet().await {
                return answer.reason;
            }
        }
    }

    async fn message(&mut self) -> Publish {
        loop {
            if let Packet::Publish(message) = self.packet().await {
                return message;
            }
        }
    }
}

fn now_s() -> i64 {
    SystemClock.stamp().wall_ms / 1000
}

fn agent_pair(ca: &Ca, agent: AgentId, now_s: i64) -> Pair {
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap();
    (ca.agent(request.der(), agent, now_s).unwrap(), key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_topics_work_both_ways() {
    let bench = Bench::start().await;
    let mut ingester = bench.listening("$share/ingesters/inuse/v1/+/up").await;
    let mut agent = bench.connected(&ME.to_string(), &bench.agent(ME)).await;
    assert_eq!(agent.subscribe(&ME.topic_down()).await, SubscribeReasonCode::Success(QoS::AtLeastOnce));
    let manifest = "m".repeat(proof::MAX_MANIFEST);
    assert_eq!(agent.publish(&ME.topic_up(), &manifest).await, PubAckReason::Success);
    let heard = ingester.message().await;
    assert_eq!((&*heard.topic, heard.payload.len()), (ME.topic_up().as_bytes(), manifest.len()));
    assert_eq!(ingester.publish(&ME.topic_down(), "receipt").await, PubAckReason::Success);
    assert_eq!(&*agent.message().await.payload, b"receipt");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_agents_topics_are_refused_by_name_in_mqtt_5() {
    let bench = Bench::start().await;
    let mut agent = bench.connected(&ME.to_string(), &bench.agent(ME)).await;
    for topic in [OTHER.topic_up(), OTHER.topic_status(), ME.topic_down()] {
        assert_eq!(agent.publish(&topic, "x").await, PubAckReason::NotAuthorized, "{topic}");
    }
    for filter in [OTHER.topic_down(), "#".to_owned(), "inuse/v1/+/up".to_owned(), ME.topic_up()] {
        assert_eq!(agent.subscribe(&filter).await, SubscribeReasonCode::NotAuthorized, "{filter}");
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_agents_topic_is_silent_in_mqtt_3() {
    let bench = Bench::start().await;
    let mut ingester = bench.listening("inuse/v1/+/up").await;
    let mut options = rumqttc::MqttOptions::new(ME.to_string(), "127.0.0.1", bench.address.port());
    options.set_transport(bench.tls(Some(&bench.agent(ME))));
    let (client, mut events) = rumqttc::AsyncClient::new(options, 10);
    for (topic, text) in [(OTHER.topic_up(), "forged"), (ME.topic_up(), "own")] {
        client.publish(topic, rumqttc::QoS::AtLeastOnce, false, text).await.unwrap();
    }
    let mut acknowledged = 0;
    while acknowledged < 2 {
        let event = tokio::time::timeout(AT_MOST, events.poll()).await.unwrap().unwrap();
        acknowledged += i32::from(matches!(event, rumqttc::Event::Incoming(rumqttc::Packet::PubAck(_))));
    }
    // Messages of one publisher keep their order: had the forged one been passed on, it would come first.
    assert_eq!(&*ingester.message().await.payload, b"own");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_connects_without_a_current_certificate_of_our_authority() {
    let bench = Bench::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other_ca = Ca::open(elsewhere.path(), now_s()).unwrap();
    let wrong = [
        ("none", None),
        ("another authority's", Some(agent_pair(&other_ca, ME, now_s()))),
        ("expired", Some(agent_pair(&bench.ca, ME, now_s() - 800 * DAY_S))),
        ("not yet valid", Some(agent_pair(&bench.ca, ME, now_s() + 30 * DAY_S))),
        ("the server's own", {
            let identity = bench.ca.server(&["127.0.0.1".to_owned()], now_s()).unwrap();
            let read = |path| std::fs::read_to_string(path).unwrap();
            Some((read(identity.chain_file), read(identity.key_file)))
        }),
    ];
    for (what, pair) in wrong {
        let outcome = bench.peer(&ME.to_string(), pair.as_ref()).connect().await;
        assert!(outcome.is_err(), "{what}");
    }
    bench.connected(&ME.to_string(), &bench.agent(ME)).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_over_anothers_connection() {
    let bench = Bench::start().await;
    let mut victim = bench.connected(&ME.to_string(), &bench.agent(ME)).await;
    for (client_id, pair) in [
        (ME.to_string(), bench.agent(OTHER)),
        (ME.to_string(), bench.ingester()),
        (INGESTER.to_owned(), bench.agent(OTHER)),
    ] {
        let outcome = bench.peer(&client_id, Some(&pair)).connect().await;
        assert!(
            matches!(outcome, Err(ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized))),
            "{client_id}: {outcome:?}"
        );
    }
    assert_eq!(victim.publish(&ME.topic_up(), "still here").await, PubAckReason::Success);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_agent_is_refused() {
    let bench = Bench::start().await;
    let outcome = bench.peer(&REVOKED.to_string(), Some(&bench.agent(REVOKED))).connect().await;
    assert!(matches!(outcome, Err(ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized))));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_stays_and_the_last_will_replaces_it() {
    let bench = Bench::start().await;
    let mut agent = bench.peer_with(&ME.to_string(), Some(&bench.agent(ME)), |options| {
        options.set_last_will(LastWill::new(ME.topic_status(), "gone", QoS::AtLeastOnce, true, None));
    });
    agent.connect().await.unwrap();
    agent.client.publish(ME.topic_status(), QoS::AtLeastOnce, true, "here").await.unwrap();
    assert_eq!(agent.acknowledged().await, PubAckReason::Success);
    let mut ingester = bench.listening("inuse/v1/+/status").await;
    let kept = ingester.message().await;
    assert_eq!((&*kept.payload, kept.retain), (b"here".as_slice(), true));
    // The line breaks without a word.
    drop(agent);
    assert_eq!(&*ingester.message().await.payload, b"gone");
    drop(ingester);
    let mut later = bench.connected("ingester-2", &bench.ingester()).await;
    later.subscribe("inuse/v1/+/status").await;
    assert_eq!(&*later.message().await.payload, b"gone");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_last_will_on_anothers_topic_is_refused() {
    let bench = Bench::start().await;
    let mut agent = bench.peer_with(&ME.to_string(), Some(&bench.agent(ME)), |options| {
        options.set_last_will(LastWill::new(OTHER.topic_status(), "gone", QoS::AtLeastOnce, true, None));
    });
    assert!(matches!(
        agent.connect().await,
        Err(ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized))
    ));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_closes_every_connection_and_frees_the_port() {
    let bench = Bench::start().await;
    let address = bench.address;
    let mut agent = bench.connected(&ME.to_string(), &bench.agent(ME)).await;
    bench.end().await;
    let closed = loop {
        match agent.event().await {
            Ok(Event::Incoming(Packet::Disconnect(_))) | Err(_) => break true,
            Ok(_) => {}
        }
    };
    assert!(closed);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
