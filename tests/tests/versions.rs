//! A broker of the old kind: it knows MQTT 3.1.1 and nothing later. The agent finds that out and goes on.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, ensure};
use daemon::{Clock as _, SystemClock};
use jiff::civil::date;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use server::ca::Ca;
use tests::plant::firm::demo_firms;
use tests::process::until;
use tests::road::{City, Gateway, begin_project, server_config};
use tests::site::agent_of;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_knows_only_mqtt_3_1_1_is_spoken_to_in_3_1_1() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let any = "127.0.0.1:0";
    let city = City::start(server_config(folder.path(), any, any, any)?, Arc::new(SystemClock)).await?;
    let broker = OldBroker::start(&folder.path().join("data"))?;
    let firm = demo_firms(date(2026, 7, 22), date(2026, 9, 20)).remove(1);
    let token = begin_project(city.config(), &firm, &SystemClock)?;
    let place = folder.path().join("gateway");
    std::fs::create_dir(&place)?;
    let state = place.join("state");
    agent::enrol(&state, &city.enrolment().to_string(), &token, None).await?;
    std::fs::write(
        place.join("manifest.toml"),
        "[[sources]]\nname = \"mes\"\n[sources.log]\npath = \"mes.log\"\nparser = \"spring\"\n",
    )?;
    let address = broker.address;
    let config = format!(
        "state_dir = \"state\"\ngrace = \"1s\"\n\n[broker]\nhost = \"{}\"\nport = {}\n",
        address.ip(),
        address.port()
    );
    std::fs::write(place.join("agent.toml"), config)?;

    let gateway = Gateway::start(&place.join("agent.toml"), Arc::new(SystemClock))?;
    let status = until("the agent is connected", || async {
        Ok(gateway.status().await.ok().filter(|status| status.link.connected))
    })
    .await?;
    assert_eq!(status.link.mqtt.as_deref(), Some("3.1.1"));
    let up = agent_of(&state)?.topic_up();
    until("the manifest is sent", || async { Ok(broker.heard()?.published.contains(&up).then_some(())) })
        .await?;
    let heard = broker.heard()?;
    assert_eq!(heard.levels.first(), Some(&5), "the newest version is tried first");
    assert_eq!(heard.levels.last(), Some(&4));
    assert_eq!(gateway.status().await?.buffer.backlog, 1, "its acknowledgement is no receipt");
    gateway.stop().await?;
    city.stop().await
}

/// What came in.
#[derive(Debug, Clone, Default)]
struct Heard {
    /// Protocol level of each CONNECT.
    levels: Vec<u8>,
    /// Topic of each PUBLISH.
    published: Vec<String>,
}

/// The least of a broker: it takes what is published and passes nothing on.
struct OldBroker {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

impl OldBroker {
    /// Listens with a certificate of the authority in `data`. Its thread ends with the process.
    fn start(data: &Path) -> anyhow::Result<Self> {
        let now_s = SystemClock.stamp().wall_ms / 1000;
        let identity =
            Ca::open(data, now_s)?.server(&["127.0.0.1".to_owned(), "localhost".to_owned()], now_s)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let tls = Arc::new(tls.with_no_client_auth().with_single_cert(identity.chain, identity.key)?);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let shared = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A line that breaks is the client's affair: the next one is taken.
                drop(serve(stream, &tls, &shared));
            }
        });
        Ok(Self { address, heard })
    }

    fn heard(&self) -> anyhow::Result<Heard> {
        Ok(self.heard.lock().ok().context("the broker panicked")?.clone())
    }
}

/// One connection, after OASIS MQTT 3.1.1: chapters 3.1 to 3.14.
fn serve(stream: TcpStream, tls: &Arc<ServerConfig>, heard: &Mutex<Heard>) -> anyhow::Result<()> {
    let mut line = StreamOwned::new(ServerConnection::new(Arc::clone(tls))?, stream);
    loop {
        let (first, body) = packet(&mut line)?;
        let note =
            |change: &mut dyn FnMut(&mut Heard)| heard.lock().map(|mut heard| change(&mut heard)).is_ok();
        match first >> 4 {
            1 => {
                let level = *body.get(6).context("a protocol level")?;
                ensure!(note(&mut |heard| heard.levels.push(level)));
                // 3.1.2.2: an unacceptable level is answered with return code 1, and the line is closed.
                line.write_all(&[0x20, 2, 0, u8::from(level != 4)])?;
                line.flush()?;
                ensure!(level == 4, "protocol level {level}");
            }
            3 => {
                let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let topic = String::from_utf8(body.get(2..2 + length).context("a topic")?.to_vec())?;
                let id = body.get(2 + length..4 + length).context("a packet id")?;
                line.write_all(&[0x40, 2, id[0], id[1]])?;
                ensure!(note(&mut |heard| heard.published.push(topic.clone())));
            }
            8 => line.write_all(&[0x90, 3, body[0], body[1], 1])?,
            12 => line.write_all(&[0xd0, 0])?,
            _ => return Ok(()),
        }
        line.flush()?;
    }
}

/// The first byte of a packet and what follows its length.
fn packet(line: &mut impl std::io::Read) -> anyhow::Result<(u8, Vec<u8>)> {
    let mut byte = || {
        let mut one = [0];
        line.read_exact(&mut one).map(|()| one[0])
    };
    let first = byte()?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let next = byte()?;
        length |= usize::from(next & 0x7f) << shift;
        shift += 7;
        if next & 0x80 == 0 {
            break;
        }
        ensure!(shift < 28, "a length of more than four bytes");
    }
    let mut body = vec![0; length];
    line.read_exact(&mut body)?;
    Ok((first, body))
}
