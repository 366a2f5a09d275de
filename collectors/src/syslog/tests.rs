use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;

use super::*;
use crate::Sample;
use crate::manifest::{Carrier, Kind, Manifest};

const CADENCE: Duration = Duration::from_millis(20);

/// A collector that runs, and what it hands over.
struct Running {
    address: SocketAddr,
    notes: Notes,
    samples: mpsc::Receiver<Sample>,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<Result<(), CollectError>>,
}

fn config(from: &str) -> (Source, Syslog) {
    // Asked of the system and let go: nothing else on this machine is given it so soon.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        "[[sources]]\nname = \"s\"\n[sources.syslog]\nlisten = \"{address}\"\ntransport = \"tcp\"\n\
         from = [\"{from}\"]\nquiet_after = \"10s\"\n"
    );
    let mut manifest = Manifest::parse("manifest.toml", &text, std::path::Path::new("")).unwrap();
    let source = manifest.sources.remove(0);
    let Kind::Syslog(config) = source.kind.clone() else { panic!() };
    (source, *config)
}

fn run(source: &Source, config: &Syslog, bookmark: Option<&[u8]>) -> Running {
    let (notes, stop) = (Notes::default(), CancellationToken::new());
    let (tx, samples) = mpsc::channel(64);
    let out = SampleSender::new(source.index, CADENCE, Arc::new(SystemClock), tx, stop.clone());
    let mut collector = SyslogCollector::new(source, config, bookmark, &notes).unwrap();
    let stopped = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "the test awaits its end")]
    let ended = tokio::spawn(async move { collector.run(&out, &stopped).await });
    Running { address: config.listen, notes, samples, stop, ended }
}

impl Running {
    /// The next outcome of which this makes something.
    async fn until<T>(&mut self, mut pick: impl FnMut(What) -> Option<T>) -> T {
        loop {
            let sample = self.samples.recv().await.expect("the collector runs");
            if let Some(picked) = pick(sample.observation.what) {
                return picked;
            }
        }
    }

    /// Texts of the next records until there are as many, and the last bookmark. Positions have no hole.
    async fn texts(&mut self, count: usize, mut next: u64) -> (Vec<String>, Vec<u8>) {
        let (mut texts, mut bookmark) = (Vec::new(), Vec::new());
        while texts.len() < count {
            let records = self.until(records).await;
            assert_eq!(records.from, next, "no hole");
            next = records.to;
            texts.extend(records.records.iter().map(text));
            bookmark = records.bookmark;
        }
        (texts, bookmark)
    }

    async fn connected(&self) -> TcpStream {
        loop {
            match TcpStream::connect(self.address).await {
                Ok(stream) => return stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    async fn stopped(self) -> mpsc::Receiver<Sample> {
        self.stop.cancel();
        self.ended.await.unwrap().unwrap();
        self.samples
    }
}

fn records(what: What) -> Option<Records> {
    match what {
        What::Records(records) => Some(records),
        What::Cycle(_) | What::Kept(_) | What::Silent(_) => None,
    }
}

fn text(record: &proof::Record) -> String {
    String::from_utf8(record.fields.last().unwrap().clone()).unwrap()
}

fn message(number: usize) -> String {
    format!("<13>Nov 22 10:00:00 ERP kingdee: 报工 {number}")
}

fn expected(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("报工 {number}")).collect()
}

#[tokio::test]
async fn what_connections_bring_is_handed_over_once_in_order_and_counted_on_after_a_restart() {
    let (source, config) = config("127.0.0.1");
    let mut first = run(&source, &config, None);
    let mut stream = first.connected().await;
    for number in 0..500 {
        let message = message(number);
        let framed =
            if number % 2 == 0 { format!("{message}\n") } else { format!("{} {message}", message.len()) };
        stream.write_all(framed.as_bytes()).await.unwrap();
    }
    let (texts, bookmark) = first.texts(500, 0).await;
    assert_eq!(texts, expected(0..500));
    drop(stream);
    first.stopped().await;

    let mut second = run(&source, &config, Some(&bookmark));
    let mut stream = second.connected().await;
    stream.write_all(message(500).as_bytes()).await.unwrap();
    drop(stream);
    let (texts, _) = second.texts(1, 500).await;
    assert_eq!(texts, expected(500..501));
    let wrong = SyslogCollector::new(&source, &config, Some(&[9, 0]), &Notes::default());
    assert!(matches!(wrong, Err(BuildError::Position { .. })));
}

#[tokio::test]
async fn datagrams_are_records_and_a_stranger_s_are_counted_and_not_read() {
    let (source, mut config) = config("127.0.0.1");
    config.carrier = Carrier::Udp;
    let mut running = run(&source, &config, None);
    running.until(|what| matches!(what, What::Silent(Cause::NoAnswer)).then_some(())).await;
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let stranger = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    stranger.send_to(message(9).as_bytes(), running.address).await.unwrap();
    for number in 0..20 {
        sender.send_to(message(number).as_bytes(), running.address).await.unwrap();
    }
    let (texts, _) = running.texts(20, 0).await;
    assert_eq!(texts, expected(0..20));
    let note = running.notes.of(source.index);
    assert_eq!(note.counters.get("strangers"), Some(&1));
    assert!(note.warnings["strangers"].contains("127.0.0.2"), "{note:?}");
    // It was heard of a moment ago: nothing new is an observation.
    running.until(|what| records(what).filter(|records| records.lines == 0)).await;
}

#[tokio::test]
async fn nothing_new_is_an_observation_while_a_sender_is_connected_and_silence_when_none_is() {
    let (source, config) = config("127.0.0.1");
    let mut running = run(&source, &config, None);
    running.until(|what| matches!(what, What::Silent(Cause::NoAnswer)).then_some(())).await;
    let stream = running.connected().await;
    let empty = running.until(records).await;
    assert_eq!((empty.from, empty.to, empty.lines, empty.followed), (0, 0, 0, true));
    drop(stream);
    running.until(|what| matches!(what, What::Silent(Cause::NoAnswer)).then_some(())).await;
}

#[tokio::test]
async fn what_was_received_before_a_stop_is_handed_over() {
    let (source, config) = config("127.0.0.1");
    let (notes, stop) = (Notes::default(), CancellationToken::new());
    let (tx, mut samples) = mpsc::channel(64);
    // One turn to open the port at, and none after it.
    let out = SampleSender::new(1, Duration::from_secs(2), Arc::new(SystemClock), tx, stop.clone());
    let mut collector = SyslogCollector::new(&source, &config, None, &notes).unwrap();
    let sent = async {
        let mut stream = loop {
            match TcpStream::connect(config.listen).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        stream.write_all(format!("{}\n", message(0)).as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        // The far side closes when it has read to the end.
        let mut end = [0; 1];
        drop(tokio::io::AsyncReadExt::read(&mut stream, &mut end).await);
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(collector.run(&out, &stop), sent);
    ended.unwrap();
    drop(out);
    let mut texts = Vec::new();
    while let Some(sample) = samples.recv().await {
        texts.extend(records(sample.observation.what).into_iter().flat_map(|r| r.records).map(|r| text(&r)));
    }
    assert_eq!(texts, expected(0..1));
}

#[tokio::test]
async fn over_tls_only_a_sender_with_a_certificate_of_the_authority_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let issued = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let ((server, server_key), (client, client_key)) = (issued("localhost"), issued("erp"));
    let (source, mut config) = config("127.0.0.1");
    config.carrier = Carrier::Tls {
        certificate_file: write("server.pem", &server.pem()),
        key_file: write("server.key", &server_key.serialize_pem()),
        client_ca_file: Some(write("ca.pem", &authority.pem())),
    };
    let mut running = run(&source, &config, None);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let builder = || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(client_key.serialize_der()));
    let chain = vec![CertificateDer::from(client.der().to_vec())];
    let with = builder().with_client_auth_cert(chain, key).unwrap();
    let without = builder().with_no_client_auth();

    let name = ServerName::try_from("localhost").unwrap();
    let refused = tokio_rustls::TlsConnector::from(Arc::new(without));
    if let Ok(mut stream) = refused.connect(name.clone(), running.connected().await).await {
        drop(stream.write_all(format!("{}\n", message(7)).as_bytes()).await);
        drop(stream.flush().await);
    }
    let heard = tokio_rustls::TlsConnector::from(Arc::new(with));
    let mut stream = heard.connect(name, running.connected().await).await.unwrap();
    stream.write_all(format!("{}\n", message(0)).as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(running.texts(1, 0).await.0, expected(0..1));
    let note = running.notes.of(source.index);
    assert_eq!(note.counters.get("refused"), Some(&1), "{note:?}");
    running.stopped().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_says_so_and_a_silence() {
    let (source, config) = config("127.0.0.1");
    let _taken = std::net::TcpListener::bind(config.listen).unwrap();
    let mut running = run(&source, &config, None);
    running.until(|what| matches!(what, What::Silent(Cause::Refused)).then_some(())).await;
    let error = running.ended.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("the port is taken"), "{error}");
}

#[test]
fn what_has_no_room_is_counted_as_not_understood_and_takes_a_number() {
    let (source, config) = config("127.0.0.1");
    let mut collector = SyslogCollector::new(&source, &config, None, &Notes::default()).unwrap();
    let came = || Came { sender: "127.0.0.1".parse().unwrap(), message: Some(vec![b'x'; 60_000]) };
    for _ in 0..100 {
        collector.take(came(), 0);
    }
    let all = collector.hand_over();
    let (lines, unparsed) = all.iter().fold((0, 0), |sum, r| (sum.0 + r.lines, sum.1 + r.unparsed));
    assert_eq!((lines, all.last().unwrap().to), (100, 100));
    assert_eq!(unparsed as usize, 100 - MAX_WAITING.div_ceil(60_000));
    assert!(collector.hand_over().is_empty());
}
