use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use daemon::SystemClock;
use ledger::{Read as _, Reader, Sqlite};
use proof::{AgentId, Answer};
use rumqttc::v5::Event;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;

use super::*;
use crate::gateway::{City, Gateway, log_key};

#[test]
fn a_broker_elsewhere_is_not_spoken_to_in_the_clear() {
    let (ledger, _owner) = Ledger::start(City::with(&[]).ledger).unwrap();
    let refused =
        Ingester::build(config("192.0.2.1", 1883), ledger, Arc::new(SystemClock), CancellationToken::new());
    assert!(matches!(refused, Err(BuildError::Plain(_))));
}

#[test]
fn wrong_certificates_are_named() {
    let (ledger, _owner) = Ledger::start(City::with(&[]).ledger).unwrap();
    let tls = Tls { ca: b"nothing".to_vec(), cert: Vec::new(), key: Vec::new() };
    let config = Config { tls: Some(tls), ..config("localhost", 8883) };
    let refused = Ingester::build(config, ledger, Arc::new(SystemClock), CancellationToken::new());
    assert!(matches!(refused, Err(BuildError::Tls { what: "the authority's certificate", .. })));
}

#[tokio::test]
async fn a_stop_ends_an_ingester_whose_broker_is_gone() {
    let (ledger, _owner) = Ledger::start(City::with(&[]).ledger).unwrap();
    let ingester = Ingester::build(
        config("127.0.0.1", free_port()),
        ledger,
        Arc::new(SystemClock),
        CancellationToken::new(),
    )
    .unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    ingester.run(stop).await.unwrap();
}

/// Receipts through a real broker, which is then stopped and started with all forgotten.
#[tokio::test]
#[ignore = "needs Mosquitto: cargo xtask test"]
async fn receipts_come_before_and_after_a_restart_of_mosquitto() {
    let mut gateway = Gateway::new(7);
    let city = City::with(&[&gateway]);
    let path = city.path();
    let port = free_port();
    let mut broker = Broker::start(port);
    let (ledger, owner) = Ledger::start(Sqlite::open(&path, log_key()).unwrap()).unwrap();
    let ingester =
        Ingester::build(config("127.0.0.1", port), ledger, Arc::new(SystemClock), CancellationToken::new())
            .unwrap();
    let stop = CancellationToken::new();
    let road = async {
        let mut line = Line::connect(gateway.id, port).await;
        let manifest = gateway.manifest();
        assert_eq!(line.answer(&gateway.message(&manifest).parcel).await, manifest.id());
        broker.restart();
        for _ in 0..20 {
            let window = gateway.next();
            assert_eq!(line.answer(&gateway.message(&window).parcel).await, window.id());
        }
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(ingester.run(stop.clone()), road);
    ended.unwrap();
    owner.join().unwrap();
    assert_eq!(Reader::open(&path).unwrap().entries(None, 0, 100).unwrap().len(), 21);
}

fn config(host: &str, port: u16) -> Config {
    Config { host: host.to_owned(), port, tls: None, client_id: "ingester".to_owned(), group: None }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A gateway's connection.
struct Line {
    agent: AgentId,
    client: AsyncClient,
    events: EventLoop,
}

impl Line {
    async fn connect(agent: AgentId, port: u16) -> Self {
        let mut options = MqttOptions::new(agent.to_string(), "127.0.0.1", port);
        options.set_clean_start(true);
        let (client, events) = AsyncClient::new(options, 64);
        Self { agent, client, events }
    }

    /// Sends the parcel, again after each silence, until it is receipted; returns whose receipt it is.
    async fn answer(&mut self, parcel: &Bytes) -> proof::EntryId {
        loop {
            self.client
                .publish(self.agent.topic_up(), QoS::AtLeastOnce, false, parcel.clone())
                .await
                .unwrap();
            let heard = tokio::time::timeout(Duration::from_millis(500), self.hear()).await;
            if let Ok(Answer::Receipt { entry, .. }) = heard {
                return entry;
            }
        }
    }

    async fn hear(&mut self) -> Answer {
        loop {
            match self.events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    self.client.subscribe(self.agent.topic_down(), QoS::AtLeastOnce).await.unwrap();
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    return Answer::parse(&publish.payload).unwrap();
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// A Mosquitto on loopback that remembers nothing.
struct Broker {
    folder: tempfile::TempDir,
    child: Child,
}

impl Broker {
    fn start(port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n");
        std::fs::write(folder.path().join("broker.conf"), config).unwrap();
        let child = Self::spawn(&folder);
        Self { folder, child }
    }

    fn spawn(folder: &tempfile::TempDir) -> Child {
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(folder.path().join("broker.conf"));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = Self::spawn(&self.folder);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
