use std::net::SocketAddr;
use std::time::Duration;

use daemon::{Bounds, Door};
use ledger::{NewToken, Owner, Readers, Sqlite};
use proof::SigningKey;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::log_key;

const AT_MOST: Duration = Duration::from_secs(20);

struct Desk {
    enrolment: Arc<Enrolment>,
    readers: Readers,
    identity: crate::ca::Identity,
    _owner: Owner,
    _directory: TempDir,
}

/// An agent that is about to enrol.
struct Applicant {
    id: AgentId,
    key: SigningKey,
    csr: rcgen::CertificateSigningRequest,
}

impl Desk {
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let now_s = SystemClock.stamp().wall_ms / 1000;
        let ca = Arc::new(Ca::open(directory.path(), now_s).unwrap());
        let identity = ca.server(&["127.0.0.1".to_owned()], now_s).unwrap();
        let key = log_key::open(directory.path(), "inuse.local/log").unwrap();
        let log_vkey = key.verifier().to_owned();
        let path = directory.path().join("ledger.sqlite");
        let (ledger, owner) = Ledger::start(Sqlite::open(&path, key).unwrap()).unwrap();
        let readers = Readers::open(&path, 1).unwrap();
        let broker = BrokerAddress { host: "inuse.example".to_owned(), port: 8883 };
        let enrolment = Arc::new(Enrolment { ca, ledger, broker, log_vkey, clock: Arc::new(SystemClock) });
        Self { enrolment, readers, identity, _owner: owner, _directory: directory }
    }

    async fn token(&self, valid_ms: i64) -> Token {
        let token = Token::make(&self.enrolment.ca.fingerprint()).unwrap();
        let (hash, expires_ms) = (token.hash(), SystemClock.stamp().wall_ms + valid_ms);
        self.enrolment
            .ledger
            .run(move |store| store.add_token(hash, &NewToken::of("a-firm", expires_ms)))
            .await
            .unwrap();
        token
    }

    async fn refused(&self, request: Request) -> &'static str {
        self.enrolment.enrol(request).await.unwrap_err().name()
    }

    fn agents(&self) -> usize {
        self.readers.read_blocking(|ledger| ledger.agents(None)).unwrap().len()
    }
}

impl Applicant {
    fn new(byte: u8) -> Self {
        let csr = CertificateParams::default().serialize_request(&KeyPair::generate().unwrap()).unwrap();
        Self { id: AgentId([byte; 16]), key: SigningKey::from_seed(&[byte; 32]), csr }
    }

    fn request(&self, token: &Token) -> Request {
        let token = token.to_string();
        let pop = self.key.sign(&possession(&token, self.id, self.csr.der()));
        Request {
            token,
            agent: self.id.to_string(),
            public_key: HEXLOWER_PERMISSIVE.encode(&self.key.verify_key().to_bytes()),
            csr: self.csr.pem().unwrap(),
            pop: BASE64.encode(&pop),
            hostname: "gateway\n1".to_owned(),
            hardware: HEXLOWER_PERMISSIVE.encode(&[4; 32]),
            manifest: String::new(),
            baseline: String::new(),
        }
    }
}

#[tokio::test]
async fn a_token_enrols_one_agent_and_its_answer_may_be_asked_for_again() {
    let desk = Desk::open();
    let token = desk.token(1_000_000).await;
    let (first, second) = (Applicant::new(1), Applicant::new(2));
    let granted = desk.enrolment.enrol(first.request(&token)).await.unwrap();
    assert_eq!((granted.agent, granted.project.as_str()), (first.id.to_string(), "a-firm"));
    assert_eq!((granted.broker.port, granted.epoch), (8883, 1));
    assert_eq!(granted.ca, desk.enrolment.ca.pem());
    assert!(granted.log_vkey.starts_with("inuse.local/log+"));
    assert_eq!(desk.refused(second.request(&token)).await, "token_taken");
    desk.enrolment.enrol(first.request(&token)).await.unwrap();
    assert_eq!(desk.agents(), 1);
    let agent = desk.readers.read_blocking(|ledger| ledger.agent(first.id)).unwrap().unwrap();
    assert_eq!((agent.key, agent.hostname.as_str()), (first.key.verify_key(), "gateway1"));
}

#[tokio::test]
async fn each_wrong_token_is_refused_under_its_name() {
    let desk = Desk::open();
    let applicant = Applicant::new(1);
    let unknown = Token::make(&desk.enrolment.ca.fingerprint()).unwrap();
    let elsewhere = Token::make(&[0; 32]).unwrap();
    let expired = desk.token(-1).await;
    assert_eq!(desk.refused(applicant.request(&unknown)).await, "token_unknown");
    assert_eq!(desk.refused(applicant.request(&elsewhere)).await, "token_of_another_server");
    assert_eq!(desk.refused(applicant.request(&expired)).await, "token_expired");
    assert_eq!(desk.agents(), 0);
}

#[tokio::test]
async fn a_proof_of_possession_fits_one_key_token_agent_and_request() {
    let desk = Desk::open();
    let token = desk.token(1_000_000).await;
    let (honest, other) = (Applicant::new(1), Applicant::new(2));
    let good = honest.request(&token);
    let theirs = other.request(&token);
    for (what, wrong) in [
        ("key", Request { public_key: theirs.public_key.clone(), ..good.clone() }),
        ("agent", Request { agent: theirs.agent.clone(), ..good.clone() }),
        ("csr", Request { csr: theirs.csr.clone(), ..good.clone() }),
        ("pop", Request { pop: theirs.pop.clone(), ..good.clone() }),
        ("token", Request { token: desk.token(1_000_000).await.to_string(), ..good.clone() }),
    ] {
        assert_eq!(desk.refused(wrong).await, "bad_possession", "{what}");
    }
    for wrong in [
        Request { agent: "x".to_owned(), ..good.clone() },
        Request { public_key: "00".repeat(32), ..good.clone() },
        Request { csr: String::new(), ..good.clone() },
        Request { pop: "00".to_owned(), ..good.clone() },
        Request { hardware: "00".to_owned(), ..good.clone() },
    ] {
        assert_eq!(desk.refused(wrong).await, "unreadable");
    }
    // None of it has used the token up.
    desk.enrolment.enrol(good).await.unwrap();
}

#[tokio::test]
async fn an_enrolled_id_cannot_be_taken_with_another_key() {
    let desk = Desk::open();
    let owner = Applicant::new(1);
    desk.enrolment.enrol(owner.request(&desk.token(1_000_000).await)).await.unwrap();
    let thief = Applicant { id: owner.id, ..Applicant::new(2) };
    assert_eq!(desk.refused(thief.request(&desk.token(1_000_000).await)).await, "agent_enrolled");
}

/// One HTTP exchange over TLS: status line and body.
async fn exchange(
    address: SocketAddr,
    ca: &CertificateDer<'static>,
    head: &str,
    body: &[u8],
) -> (String, String) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.clone()).unwrap();
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap();
    // What an agent pins: the authority stands at the end of the chain.
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap().last(), Some(ca));
    let head = format!("{head} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // A server that refuses by the head alone may close before it has read the body.
    drop(stream.write_all(body).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

#[tokio::test]
async fn the_endpoint_speaks_json_over_tls_and_bounds_what_it_reads() {
    let desk = Desk::open();
    let bounds = Bounds { connections: 4, longest: AT_MOST, keep_alive: false };
    let tls = Some(desk.identity.tls().unwrap());
    let door = Door::bind("enrolment", "127.0.0.1:0".parse().unwrap(), tls, bounds).await.unwrap();
    let (address, stop) = (door.address(), CancellationToken::new());
    let mut tasks = daemon::Tasks::new();
    tasks.spawn("enrolment", door.serve(router(Arc::clone(&desk.enrolment)), stop.clone()));
    let ca = desk.enrolment.ca.der();

    let applicant = Applicant::new(1);
    let request = serde_json::to_vec(&applicant.request(&desk.token(1_000_000).await)).unwrap();
    let (status, body) = exchange(address, ca, "POST /enrol", &request).await;
    assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
    let granted: Granted = serde_json::from_str(&body).unwrap();
    assert_eq!(granted.agent, applicant.id.to_string());

    let (status, body) = exchange(address, ca, "POST /enrol", b"{}").await;
    assert_eq!(
        (status.as_str(), body.contains("\"name\":\"unreadable\"")),
        ("HTTP/1.1 400 Bad Request", true)
    );
    let (status, body) = exchange(address, ca, "POST /enrol", &vec![b' '; 70_000]).await;
    assert_eq!((status.as_str(), body.contains("too_large")), ("HTTP/1.1 413 Payload Too Large", true));
    let (status, _) = exchange(address, ca, "GET /", b"").await;
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    stop.cancel();
    tasks.finish(AT_MOST).await.unwrap();
}
