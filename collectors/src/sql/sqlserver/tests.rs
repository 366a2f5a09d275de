//! SQL Server can be had neither here nor in CI: what is tried is a server of our own that says what MS-TDS says, over
//! a real socket, with TLS inside of packets as the real one has it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use encoding_rs::GB18030;
use proof::wire::ActionClass;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::prelogin::server_side;
use crate::manifest::{Manifest, Source};
use crate::{CollectError, Probe, probe};

/// Chinese_PRC_CI_AS: texts in it are GBK.
const CHINESE_PRC: [u8; 5] = [0x04, 0x08, 0xd0, 0x00, 0x00];
/// SQL_Latin1_General_CP1_CI_AS.
const LATIN: [u8; 5] = [0x09, 0x04, 0xd0, 0x00, 0x34];

/// What the server does.
#[derive(Clone)]
struct Habits {
    encrypts: bool,
    refuses: Option<(i32, &'static str)>,
    may_insert: bool,
    collation: [u8; 5],
}

const USUAL: Habits = Habits { encrypts: true, refuses: None, may_insert: false, collation: CHINESE_PRC };

/// Its end of one connection; returns the questions it was asked.
async fn serve(mut tcp: TcpStream, certified: &Certified, habits: Habits) -> Vec<String> {
    let mut questions = Vec::new();
    let (_, prelogin) = read(&mut tcp).await.unwrap();
    assert!(prelogin.len() > 6);
    let level = if habits.encrypts { 1 } else { 2 };
    tcp.write_all(&packet(0x04, &[0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 15, 0, 0x10, 0, 0, 0, level]))
        .await
        .unwrap();
    let shaken = Arc::new(AtomicBool::new(false));
    let inside = server_side(tcp, Arc::clone(&shaken));
    let acceptor = TlsAcceptor::from(Arc::clone(&certified.config));
    // A client that does not trust the certificate goes away here.
    let Ok(mut stream) = acceptor.accept(inside).await else { return questions };
    shaken.store(true, std::sync::atomic::Ordering::Release);
    while let Some((kind, payload)) = read(&mut stream).await {
        let answer = match (kind, habits.refuses) {
            (0x10, Some((number, text))) => [refusal(number, text), done(0xfd, 2)].concat(),
            (0x10, None) => [login_ack(), done(0xfd, 0)].concat(),
            (0x01, _) => done(0xfd, 0),
            (0x03, _) => {
                let question = utf16(&payload);
                let rows = if question.contains("HAS_PERMS_BY_NAME") {
                    rights(habits.may_insert)
                } else {
                    rows(habits.collation)
                };
                questions.push(question);
                [rows, vec![0x79, 0, 0, 0, 0], done(0xfe, 0)].concat()
            }
            (other, _) => panic!("packet {other:#x}"),
        };
        stream.write_all(&packet(0x04, &answer)).await.unwrap();
        stream.flush().await.unwrap();
    }
    questions
}

/// One message, its packets put together; `None` at the end of the connection.
async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let mut message = Vec::new();
    loop {
        let mut header = [0; 8];
        stream.read_exact(&mut header).await.ok()?;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([header[2], header[3]])) - 8];
        stream.read_exact(&mut payload).await.ok()?;
        message.extend(payload);
        if header[1] & 1 == 1 {
            return Some((header[0], message));
        }
    }
}

fn packet(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).unwrap().to_be_bytes();
    [&[kind, 1, length[0], length[1], 0, 0, 1, 0], payload].concat()
}

fn utf16(bytes: &[u8]) -> String {
    // The statement stands somewhere in it, on an even or an odd byte.
    let texts = [0, 1].map(|from| {
        let units: Vec<_> =
            bytes[from..].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    });
    texts.into_iter().find(|text| text.contains("SELECT")).unwrap_or_default()
}

fn counted(text: &str) -> Vec<u8> {
    let units: Vec<_> = text.encode_utf16().collect();
    [vec![u8::try_from(units.len()).unwrap()], units.iter().flat_map(|unit| unit.to_le_bytes()).collect()]
        .concat()
}

fn token(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(body.len()).unwrap().to_le_bytes(), body].concat()
}

fn login_ack() -> Vec<u8> {
    token(0xad, &[&[1, 0x74, 0, 0, 4][..], &counted("Microsoft SQL Server"), &[15, 0, 0x10, 0]].concat())
}

fn refusal(number: i32, text: &str) -> Vec<u8> {
    let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = u16::try_from(units.len() / 2).unwrap().to_le_bytes();
    let body = [&number.to_le_bytes()[..], &[1, 14], &length, &units, &counted("ERP"), &counted(""), &[0; 4]];
    token(0xaa, &body.concat())
}

fn done(kind: u8, status: u8) -> Vec<u8> {
    [vec![kind, status], vec![0; 11]].concat()
}

fn columns(types: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0x81];
    bytes.extend(u16::try_from(types.len()).unwrap().to_le_bytes());
    for kind in types {
        bytes.extend([0; 6]);
        bytes.extend(kind);
        bytes.extend(counted("c"));
    }
    bytes
}

fn rights(may_insert: bool) -> Vec<u8> {
    let mut bytes = columns(&vec![vec![0x26, 4]; 4]);
    bytes.push(0xd1);
    for right in [may_insert, false, false, false] {
        bytes.extend([4, u8::from(right), 0, 0, 0]);
    }
    bytes
}

/// One line of SFCTC: five columns of its key, eleven fields, the last a number with three decimals.
fn rows(collation: [u8; 5]) -> Vec<u8> {
    let varchar = [&[0xa7, 60, 0][..], &collation].concat();
    let mut types = vec![varchar; 15];
    types.push(vec![0x6c, 9, 16, 3]);
    let mut bytes = columns(&types);
    bytes.push(0xd1);
    let key = ["20250618", "08:21:45", "D301", "250618003", "0001"];
    let cells =
        ["CCJX", "王小明", "ZZ01", "20250618", "08:21:45", "车间平板", "SFCI05", "D301", "250618003", "0001"];
    for text in key.iter().chain(&cells) {
        let text = GB18030.encode(text).0;
        bytes.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend(&*text);
    }
    bytes.extend([9, 1]);
    bytes.extend(48_500_u64.to_le_bytes());
    bytes
}

struct Certified {
    config: Arc<rustls::ServerConfig>,
    pin: String,
}

fn certified() -> Certified {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["ERP".to_owned()]).unwrap().self_signed(&key).unwrap();
    let pin = Sha256::digest(certificate.der()).iter().map(|byte| format!("{byte:02x}")).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Certified { config: Arc::new(config), pin }
}

/// Asks a server with these habits once; returns what came and what it was asked.
async fn asked(
    habits: Habits,
    map: &str,
    pinned: bool,
) -> (Result<Probe, CollectError>, Vec<String>, String) {
    let (listener, certified) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), certified());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "密码 1").unwrap();
    std::fs::create_dir(folder.path().join("maps")).unwrap();
    let latin = include_str!("../../../../config/maps/digiwin_sfctc.toml")
        .replace("table = \"SFCTC\"", "table = \"SFCTC\"\nencoding = \"gb18030\"");
    std::fs::write(folder.path().join("maps/latin.toml"), latin).unwrap();
    let source =
        source(folder.path(), listener.local_addr().unwrap().port(), map, pinned.then_some(&certified.pin));
    let serving = async {
        let (tcp, _) = listener.accept().await.unwrap();
        serve(tcp, &certified, habits).await
    };
    let (probed, questions) = tokio::join!(probe(&source, Path::new("")), serving);
    (probed, questions, certified.pin)
}

fn source(folder: &Path, port: u16, map: &str, pin: Option<&String>) -> Source {
    let pin = pin.map(|pin| format!("server_thumbprint = \"{pin}\"")).unwrap_or_default();
    let text = format!(
        "[[sources]]\nname = \"ERP\"\n[sources.table]\nmap = \"{map}\"\n[sources.table.server]\nkind = \"sqlserver\"\n\
         host = \"127.0.0.1\"\nport = {port}\ndatabase = \"CCJX\"\nuser = \"inuse\"\npassword_file = \"password\"\n{pin}\n"
    );
    Manifest::parse("manifest.toml", &text, folder).unwrap().sources.remove(0)
}

#[tokio::test]
async fn a_table_is_read_with_tls_inside_of_packets_and_gbk_is_read_right() {
    let (probed, questions, _) = asked(USUAL, "digiwin_sfctc", true).await;
    let probed = probed.unwrap();
    assert_eq!(probed.warnings, [""; 0]);
    let (records, lines, unparsed) = probed.records.unwrap();
    assert_eq!((records.len(), lines, unparsed), (1, 1, 0));
    let record = &records[0];
    assert_eq!((record.account.as_deref(), record.action), (Some("王小明"), ActionClass::Report));
    assert_eq!(record.event_ms, Some(1_750_206_105_000));
    assert_eq!(record.fields[5], "车间平板".as_bytes());
    assert_eq!(record.fields[10], b"48.500");
    assert!(
        questions.iter().any(|question| question.contains("SELECT TOP (20) [t].[CREATE_DATE] AS c0")),
        "{questions:?}"
    );
}

#[tokio::test]
async fn gbk_in_a_database_called_latin_is_read_by_what_the_map_says() {
    let (probed, ..) = asked(Habits { collation: LATIN, ..USUAL }, "latin", true).await;
    let (records, ..) = probed.unwrap().records.unwrap();
    assert_eq!(records[0].account.as_deref(), Some("王小明"));
}

#[tokio::test]
async fn nobody_logs_in_to_a_server_that_is_not_pinned_and_its_certificate_is_shown() {
    let (probed, questions, pin) = asked(USUAL, "digiwin_sfctc", false).await;
    let probed = probed.unwrap();
    assert_eq!(probed.server_thumbprint.as_deref(), Some(pin.as_str()));
    assert!(probed.refused.unwrap().contains(&pin));
    assert_eq!((probed.records, questions), (None, Vec::new()));
}

#[tokio::test]
async fn a_server_without_tls_a_wrong_password_and_an_account_that_writes_are_told() {
    let (probed, ..) = asked(Habits { encrypts: false, ..USUAL }, "digiwin_sfctc", true).await;
    assert!(matches!(probed, Err(CollectError::Refused { .. })), "{probed:?}");
    let refuses = Some((18_456, "用户 'inuse' 登录失败。"));
    let (probed, ..) = asked(Habits { refuses, ..USUAL }, "digiwin_sfctc", true).await;
    let refused = probed.unwrap().refused.unwrap();
    assert!(refused.contains("登录失败") && refused.contains("18456"), "{refused}");
    let (probed, ..) = asked(Habits { may_insert: true, ..USUAL }, "digiwin_sfctc", true).await;
    assert_eq!(probed.unwrap().warnings, ["the account may do more than read: INSERT"]);
}
