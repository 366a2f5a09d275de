//! What a server makes of proofs that are not what they should be, over its real broker: refused or recorded, each
//! under its own name, answered on the gateway's own topic, and nothing else of it in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use daemon::{Clock as _, SystemClock};
use data_encoding::HEXLOWER;
use jiff::civil::date;
use ledger::{Finding, Readers};
use proof::envelope::{MANIFEST, WINDOW};
use proof::log::{Outcome, check_receipt};
use proof::payload::{Header, encode_manifest, manifest_hash};
use proof::window::window_start;
use proof::{AgentId, Answer, EntryId, Envelope, Parcel, RefusalName, SigningKey, WINDOW_MS, wire};
use prost::Message as _;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAckReason, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tests::chain::{Chain, entries_held, refusals};
use tests::plant::firm::demo_firms;
use tests::process::{log_when_asked, until};
use tests::road::{City, begin_project, server_config};
use tests::site::agent_of;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_flipped_byte_is_refused_by_name_wherever_it_is() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let mut gateway = desk.gateway(0).await?;
    gateway.reports_its_manifest().await?;
    let envelope = gateway.window(1);
    let parcel = Parcel::encode(envelope.bytes(), &[], 0);
    let mut names = BTreeMap::<String, u64>::new();
    for place in 0..parcel.len() {
        let mut flipped = parcel.clone();
        flipped[place] ^= 1;
        let answer = gateway.asks(flipped).await?;
        let Answer::Refusal { name, .. } = answer else { bail!("byte {place} was flipped: {answer:?}") };
        *names.entry(name).or_default() += 1;
    }
    let known: BTreeSet<_> = RefusalName::ALL.iter().map(|name| name.name()).collect();
    assert!(names.keys().all(|name| known.contains(name.as_str())), "{names:?}");
    // Payload and signature are most of the bytes; what names gateway and suite is missed under its own name.
    for name in ["bad_signature", "wrong_agent", "unknown_suite", "unparsable"] {
        assert!(names.contains_key(name), "{name} is not among {names:?}");
    }
    assert!(names["bad_signature"] > 100, "{names:?}");
    assert_eq!(entries_held(&desk.data())?, 1, "nothing of it is in the log");
    assert_eq!(desk.counted(gateway.agent)?, names, "each is counted");
    // The unharmed one is taken all the same.
    gateway.is_recorded(envelope, Outcome::Recorded).await?;
    desk.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_refused_as_a_bad_signature() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let mut gateway = desk.gateway(0).await?;
    gateway.reports_its_manifest().await?;
    let right = gateway.window(1);
    let wrong = Envelope::sign(&SigningKey::from_seed(&[9; 32]), WINDOW, right.payload().to_vec());
    assert_eq!(gateway.is_refused(&wrong).await?, "bad_signature");
    assert_eq!(entries_held(&desk.data())?, 1);
    assert_eq!(desk.counted(gateway.agent)?, BTreeMap::from([("bad_signature".to_owned(), 1)]));
    gateway.is_recorded(right, Outcome::Recorded).await?;
    desk.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_gateway_is_refused_from_its_next_proof_on() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let mut gateway = desk.gateway(0).await?;
    gateway.reports_its_manifest().await?;
    let (config, id) = (desk.city.config(), gateway.agent.to_string());
    for (id, reason) in
        [(AgentId([1; 16]).to_string().as_str(), "被盗"), ("nobody", "被盗"), (id.as_str(), " ")]
    {
        let refused = server::commands::revoke_agent(config, id, reason, &SystemClock);
        assert!(refused.is_err(), "{id} `{reason}`");
    }
    server::commands::revoke_agent(config, &id, "网关被盗", &SystemClock)?;
    let window = gateway.window(1);
    assert_eq!(gateway.is_refused(&window).await?, "revoked_key");
    assert_eq!(entries_held(&desk.data())?, 1, "what had its receipt stays, nothing is added");
    desk.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_gets_the_same_place_in_the_log_and_no_second_one() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let (mut gateway, mut other) = (desk.gateway(0).await?, desk.gateway(1).await?);
    gateway.reports_its_manifest().await?;
    let window = gateway.window(1);
    let first = gateway.is_recorded(window.clone(), Outcome::Recorded).await?;
    let next = gateway.window(2);
    gateway.is_recorded(next, Outcome::Recorded).await?;
    for _ in 0..3 {
        let again = gateway.receipt(&window).await?;
        assert_eq!((again.index, &again.entry), (first.index, &first.entry));
    }
    assert_eq!(entries_held(&desk.data())?, 3);
    // Another gateway cannot pass it off as its own.
    assert_eq!(other.is_refused(&window).await?, "wrong_agent");
    assert_eq!(desk.counted(other.agent)?, BTreeMap::from([("wrong_agent".to_owned(), 1)]));
    assert_eq!(desk.counted(gateway.agent)?, BTreeMap::new(), "a replay is no offence");
    assert_eq!(entries_held(&desk.data())?, 3);
    desk.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_is_recorded_as_a_conflict_beside_the_first() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let mut gateway = desk.gateway(0).await?;
    gateway.reports_its_manifest().await?;
    let (first, second) = (gateway.window(1), gateway.window(2));
    assert_ne!(first.id(), second.id());
    gateway.receipt(&first).await?;
    let receipt = gateway.receipt(&second).await?;
    assert_eq!(receipt.entry.outcome, Outcome::Conflict, "the answer says so");
    let chain = Chain::read(&desk.data(), gateway.agent)?;
    let places: Vec<_> = chain.entries.iter().map(|entry| (entry.seq, entry.outcome)).collect();
    assert_eq!(places, [(1, Outcome::Recorded), (2, Outcome::Recorded), (2, Outcome::Conflict)]);
    assert_eq!(chain.entries[2].findings, BTreeSet::from([Finding::Fork]));
    assert_eq!(chain.entries[2].envelope, second.bytes(), "both are kept as they came");
    // Whatever follows either is marked.
    gateway.follow(&second);
    let third = gateway.window(3);
    assert_eq!(gateway.receipt(&third).await?.entry.outcome, Outcome::Finding);
    let chain = Chain::read(&desk.data(), gateway.agent)?;
    assert_eq!(chain.entries[3].findings, BTreeSet::from([Finding::ForkBranch]));
    desk.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_gateways_topics_are_closed_by_the_broker() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let (mut gateway, mut other) = (desk.gateway(0).await?, desk.gateway(1).await?);
    gateway.reports_its_manifest().await?;
    let parcel = Parcel::encode(gateway.window(1).bytes(), &[], 0);
    for topic in [gateway.agent.topic_up(), gateway.agent.topic_status(), gateway.agent.topic_down()] {
        let reason = other.publish(&topic, parcel.clone()).await?;
        assert_eq!(reason, PubAckReason::NotAuthorized, "{topic}");
    }
    for filter in
        [gateway.agent.topic_down(), gateway.agent.topic_up(), "inuse/v1/+/down".to_owned(), "#".to_owned()]
    {
        let code = other.subscribe(&filter).await?;
        assert_eq!(code, SubscribeReasonCode::NotAuthorized, "{filter}");
    }
    // The gateway itself goes on, and nothing of the attempt has reached the ledger.
    let window = gateway.window(2);
    gateway.is_recorded(window, Outcome::Recorded).await?;
    assert_eq!(entries_held(&desk.data())?, 2);
    assert_eq!((desk.counted(gateway.agent)?, desk.counted(other.agent)?), Default::default());
    desk.close().await
}

/// A server in real time, and room for gateways.
struct Desk {
    folder: tempfile::TempDir,
    city: City,
}

impl Desk {
    async fn open() -> anyhow::Result<Self> {
        log_when_asked();
        let folder = tempfile::tempdir()?;
        let any = "127.0.0.1:0";
        let config = server_config(folder.path(), any, any, any)?;
        let city = City::start(config, Arc::new(SystemClock)).await?;
        Ok(Self { folder, city })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Enrols and connects the gateway of one of the demo's firms.
    async fn gateway(&self, firm: usize) -> anyhow::Result<Caller> {
        let firm = demo_firms(date(2026, 7, 22), date(2026, 9, 20)).swap_remove(firm);
        let token = begin_project(self.city.config(), &firm, &SystemClock)?;
        let state = self.folder.path().join(firm.id);
        std::fs::create_dir_all(&state)?;
        agent::enrol(&state, &self.city.enrolment().to_string(), &token, None).await?;
        let mut caller = Caller::connect(&state, self.city.broker().port(), self.city.log_vkey()).await?;
        self.listens_to(&mut caller).await?;
        Ok(caller)
    }

    /// Waits until the ingester has heard that the gateway is there: from then on it hears all the gateway says.
    async fn listens_to(&self, caller: &mut Caller) -> anyhow::Result<()> {
        let (agent, readers) = (caller.agent, Readers::open(&self.data().join("ledger.sqlite"), 1)?);
        let online = br#"{"state":"online"}"#.to_vec();
        caller.client.publish(agent.topic_status(), QoS::AtLeastOnce, true, online).await?;
        caller
            .hears("an acknowledgement", |packet| matches!(packet, Packet::PubAck(_)).then_some(()))
            .await?;
        until("the ingester listens", || async {
            let known = readers.read(move |ledger| ledger.agent(agent)).await?;
            Ok(known.and_then(|known| known.presence).map(drop))
        })
        .await
    }

    /// What was refused on this gateway's topic: how often under each name.
    fn counted(&self, agent: AgentId) -> anyhow::Result<BTreeMap<String, u64>> {
        let of_agent = refusals(&self.data())?.into_iter().filter(|refusal| refusal.agent == Some(agent));
        Ok(of_agent.map(|refusal| (refusal.name, refusal.count)).collect())
    }

    async fn close(self) -> anyhow::Result<()> {
        self.city.stop().await
    }
}

/// A gateway's certificate, key and chain in the hands of a test.
struct Caller {
    agent: AgentId,
    key: SigningKey,
    seq: u64,
    prev: EntryId,
    log_vkey: String,
    client: AsyncClient,
    events: EventLoop,
}

impl Caller {
    async fn connect(state: &Path, port: u16, log_vkey: &str) -> anyhow::Result<Self> {
        let agent = agent_of(state)?;
        let mut options = MqttOptions::new(agent.to_string(), "127.0.0.1", port);
        let tls = rumqttc::TlsConfiguration::Rustls(Arc::new(tls(state)?));
        options
            .set_transport(rumqttc::Transport::tls_with_config(tls))
            .set_keep_alive(Duration::from_secs(30));
        let (client, events) = AsyncClient::new(options, 16);
        let (key, log_vkey) = (signing_key(state)?, log_vkey.to_owned());
        let mut caller = Self { agent, key, seq: 1, prev: EntryId::NONE, log_vkey, client, events };
        let down = agent.topic_down();
        let code = caller.subscribe(&down).await?;
        anyhow::ensure!(matches!(code, SubscribeReasonCode::Success(_)), "{code:?}");
        Ok(caller)
    }

    fn header(&self) -> Header {
        let now = SystemClock.stamp();
        Header {
            agent: self.agent,
            epoch: 1,
            seq: self.seq,
            prev: self.prev,
            boot: [1; 8],
            boot_count: 1,
            wall_ms: now.wall_ms,
            mono_ms: now.mono_ms,
            skew_ms: None,
        }
    }

    /// The chain stands at this entry now.
    fn follow(&mut self, entry: &Envelope) {
        self.seq += 1;
        self.prev = entry.id();
    }

    async fn reports_its_manifest(&mut self) -> anyhow::Result<()> {
        let manifest = Envelope::sign(&self.key, MANIFEST, encode_manifest(&self.header(), &manifest_body()));
        self.is_recorded(manifest, Outcome::Recorded).await.map(drop)
    }

    /// A window for the next place in the chain: the one so many of ten minutes after an hour ago.
    fn window(&self, number: i64) -> Envelope {
        let start_ms = window_start(SystemClock.stamp().wall_ms) + (number - 6) * WINDOW_MS;
        let window = wire::Window {
            header: Some(self.header().wire()),
            start_ms,
            length_ms: 600_000,
            root: vec![3; 32],
            manifest: manifest_hash(&manifest_body()).to_vec(),
            build: vec![1; 8],
            ..Default::default()
        };
        Envelope::sign(&self.key, WINDOW, window.encode_to_vec())
    }

    /// Publishes a parcel where it belongs and returns the answer to it.
    async fn asks(&mut self, parcel: Vec<u8>) -> anyhow::Result<Answer> {
        let (up, down) = (self.agent.topic_up(), self.agent.topic_down());
        self.client.publish(up, QoS::AtLeastOnce, false, parcel).await?;
        let heard = |packet: &Packet| {
            let Packet::Publish(publish) = packet else { return None };
            (publish.topic == down.as_bytes()).then(|| Answer::parse(&publish.payload))
        };
        Ok(self.hears("an answer", heard).await??)
    }

    /// Publishes an entry that is refused, and returns under which name.
    async fn is_refused(&mut self, envelope: &Envelope) -> anyhow::Result<String> {
        let answer = self.asks(Parcel::encode(envelope.bytes(), &[], 0)).await?;
        let Answer::Refusal { entry, name, .. } = answer else { bail!("not refused: {answer:?}") };
        anyhow::ensure!(entry == Some(envelope.id()), "the answer is to {entry:?}");
        Ok(name)
    }

    /// Publishes an entry and returns its receipt, checked.
    async fn receipt(&mut self, envelope: &Envelope) -> anyhow::Result<proof::log::Receipt> {
        let answer = self.asks(Parcel::encode(envelope.bytes(), &[], 0)).await?;
        let Answer::Receipt { entry, receipt, .. } = answer else { bail!("no receipt: {answer:?}") };
        anyhow::ensure!(entry == envelope.id(), "the answer is to {entry}");
        Ok(check_receipt(&receipt, entry, &self.log_vkey)?)
    }

    /// As [`Caller::receipt`]; the chain moves on.
    async fn is_recorded(
        &mut self,
        envelope: Envelope,
        outcome: Outcome,
    ) -> anyhow::Result<proof::log::Receipt> {
        let receipt = self.receipt(&envelope).await?;
        assert_eq!(receipt.entry.outcome, outcome);
        self.follow(&envelope);
        Ok(receipt)
    }

    /// Publishes on any topic and returns what the broker says of it.
    async fn publish(&mut self, topic: &str, payload: Vec<u8>) -> anyhow::Result<PubAckReason> {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload).await?;
        let heard = |packet: &Packet| if let Packet::PubAck(ack) = packet { Some(ack.reason) } else { None };
        self.hears("an acknowledgement", heard).await
    }

    async fn subscribe(&mut self, filter: &str) -> anyhow::Result<SubscribeReasonCode> {
        self.client.subscribe(filter, QoS::AtLeastOnce).await?;
        let heard = |packet: &Packet| {
            if let Packet::SubAck(ack) = packet { Some(ack.return_codes.first().copied()) } else { None }
        };
        self.hears("a word on the subscription", heard).await?.context("a code")
    }

    /// Moves the connection on until a packet is what is waited for.
    async fn hears<T>(&mut self, what: &str, wanted: impl Fn(&Packet) -> Option<T>) -> anyhow::Result<T> {
        let hearing = async {
            loop {
                if let Event::Incoming(packet) = self.events.poll().await?
                    && let Some(heard) = wanted(&packet)
                {
                    return anyhow::Ok(heard);
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), hearing)
            .await
            .with_context(|| format!("waited 30 s for {what}"))?
    }
}

fn manifest_body() -> Vec<u8> {
    let source = wire::Source { index: 1, cadence_s: 10, ..Default::default() };
    wire::ManifestBody { version: 1, utc_offset_minutes: 480, sources: vec![source], ..Default::default() }
        .encode_to_vec()
}

fn signing_key(state: &Path) -> anyhow::Result<SigningKey> {
    let text = std::fs::read_to_string(state.join("agent.key"))?;
    let seed = HEXLOWER.decode(text.trim().as_bytes())?;
    Ok(SigningKey::from_seed(seed.as_slice().try_into()?))
}

fn tls(state: &Path) -> anyhow::Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(state.join("ca.crt"))?)?;
    let chain = CertificateDer::pem_file_iter(state.join("client.crt"))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(state.join("client.key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_client_auth_cert(chain, key)?)
}
