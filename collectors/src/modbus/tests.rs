mod collector;
mod line;
mod peers;

use std::sync::Arc;
use std::time::Duration;

use daemon::SystemClock;
use proof::{Cause, Quality};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::manifest::Manifest;
use crate::{Sample, build};

const POINTS: &str = r#"
[[sources.modbus.points]]
name = "running"
address = 0
role = "running"
[[sources.modbus.points]]
name = "parts"
address = 1
type = "u32"
order = "CDAB"
role = "counter"
[[sources.modbus.points]]
name = "kwh"
table = "input"
address = 10
type = "f32"
role = "energy"
[[sources.modbus.points]]
name = "door"
table = "coil"
address = 5
role = "state"
"#;

#[test]
fn no_question_is_of_a_function_that_writes() {
    use crate::manifest::Table::{Coil, Discrete, Holding, Input};
    let functions: Vec<_> = [Coil, Discrete, Holding, Input]
        .into_iter()
        .map(|table| Question::Read { table, first: 0, count: 1 })
        .chain([Question::Identity { object: 0 }])
        .map(|question| (question.rtu(1)[1], question.tcp(1, 1)[7]))
        .collect();
    assert_eq!(functions, [(1, 1), (2, 2), (3, 3), (4, 4), (0x2B, 0x2B)]);
}

#[test]
fn nothing_in_this_crate_writes_to_a_device() {
    // Names of the libraries' writing calls, put together here so that this test does not find itself.
    let forbidden =
        ["write_single", "write_multiple", "masked_write", "WriteSingle", "WriteMultiple", "MaskWrite"]
            .into_iter()
            .chain([
                "read_write_multiple",
                "ReadWriteMultiple",
                "WriteValue",
                "history_update",
                "session.write",
            ])
            .chain(["session.call", "add_nodes", "delete_nodes", "CallMethod"]);
    let forbidden: Vec<_> = forbidden.collect();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name() != Some("tests.rs".as_ref()) {
                let text = std::fs::read_to_string(&path).unwrap();
                read += 1;
                for word in &forbidden {
                    assert!(!text.contains(word), "{} names {word}", path.display());
                }
            }
        }
    }
    assert!(read > 10, "only {read} files were read");
}

/// Questions for so many holding registers.
fn read(first: u16, count: u16) -> Question {
    Question::Read { table: crate::manifest::Table::Holding, first, count }
}

/// Points of one holding register each, in a manifest's words.
fn points_at(addresses: impl Iterator<Item = u16>) -> String {
    let point = |address| format!("[[sources.modbus.points]]\nname = \"p{address}\"\naddress = {address}\n");
    addresses.map(point).collect()
}

fn sealed(bytes: &[u8]) -> Vec<u8> {
    let crc = crc::Crc::<u16>::new(&crc::CRC_16_MODBUS).checksum(bytes).to_le_bytes();
    [bytes, &crc].concat()
}

fn tcp_answer(question: &[u8], pdu: &[u8]) -> Vec<u8> {
    frame(question[..7].try_into().unwrap(), pdu)
}

/// The one Modbus device of a manifest.
fn modbus_of(text: &str) -> Modbus {
    let manifest = Manifest::parse("manifest.toml", text, std::path::Path::new("")).unwrap();
    let crate::manifest::Kind::Modbus(device) = &manifest.sources[0].kind else { panic!("no Modbus") };
    device.clone()
}

/// The other end of a line: hears questions, and says what a script wants.
struct FarEnd {
    listener: TcpListener,
    connections: std::sync::atomic::AtomicU32,
}

impl FarEnd {
    async fn begin() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, connections: std::sync::atomic::AtomicU32::new(0) }
    }

    fn device(&self, framing: &str, unit: u8, timeout: &str) -> Modbus {
        self.device_of(framing, unit, timeout, POINTS)
    }

    fn device_of(&self, framing: &str, unit: u8, timeout: &str, points: &str) -> Modbus {
        let address = self.listener.local_addr().unwrap();
        modbus_of(&format!(
            "[[lines]]\nname = \"far\"\nconnect = \"{address}\"\nframing = \"{framing}\"\n\
             [[sources]]\nname = \"press\"\n[sources.modbus]\nline = \"far\"\nunit = {unit}\n\
             timeout = \"{timeout}\"\nretries = 0\n{points}"
        ))
    }

    fn line(&self, framing: &str, unit: u8, timeout: &str) -> (Arc<Line>, Modbus) {
        let device = self.device(framing, unit, timeout);
        (Lines::default().line(&device.line), device)
    }

    /// Answers by a script while `asking` goes on; what that comes to.
    async fn answering<T>(
        &self,
        script: impl AsyncFnMut(Vec<u8>) -> Vec<Vec<u8>>,
        asking: impl Future<Output = T>,
    ) -> T {
        tokio::select! {
            () = self.answer(script) => unreachable!("it answers without end"),
            came = asking => came,
        }
    }

    /// Answers one connection after the other, by a script that gets each question and returns what to write, piece by
    /// piece.
    async fn answer(&self, mut script: impl AsyncFnMut(Vec<u8>) -> Vec<Vec<u8>>) {
        loop {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            self.connections.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            stream.set_nodelay(true).unwrap();
            let mut bytes = [0; 256];
            loop {
                let count = stream.read(&mut bytes).await.unwrap_or(0);
                if count == 0 {
                    break;
                }
                for piece in script(bytes[..count].to_vec()).await {
                    if stream.write_all(&piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

fn source(listener: &TcpListener, timeout: &str) -> Source {
    let endpoint = listener.local_addr().unwrap();
    let text = format!(
        "[[sources]]\nname = \"press\"\n[sources.modbus]\nendpoint = \"{endpoint}\"\nunit = 3\ntimeout = \"{timeout}\"\n{POINTS}"
    );
    Manifest::parse("manifest.toml", &text, std::path::Path::new("")).unwrap().sources.remove(0)
}

/// The first observation of a collector, and how its run ended (stopped, when it did not end by itself).
async fn first(source: &Source) -> (What, Result<(), CollectError>) {
    let (tx, mut rx) = mpsc::channel::<Sample>(4);
    let stop = CancellationToken::new();
    let cadence = Duration::from_millis(5);
    let out = SampleSender::new(source.index, cadence, Arc::new(SystemClock), tx, stop.clone());
    let mut collector = build(source, None, std::path::Path::new(""), &crate::Shared::default()).unwrap();
    let mut run = collector.run(&out, &stop);
    let sample = tokio::select! {
        biased;
        sample = rx.recv() => sample.unwrap(),
        ended = &mut run => return (rx.recv().await.unwrap().observation.what, ended),
    };
    if let What::Silent(_) = sample.observation.what {
        return (sample.observation.what, run.await);
    }
    stop.cancel();
    (sample.observation.what, run.await)
}

async fn question(stream: &mut TcpStream) -> ([u8; 7], Vec<u8>) {
    let mut header = [0; 7];
    if stream.read_exact(&mut header).await.is_err() {
        std::future::pending::<()>().await;
    }
    assert_eq!(header[6], 3, "another unit was asked");
    let mut pdu = vec![0; usize::from(u16::from_be_bytes([header[4], header[5]])) - 1];
    stream.read_exact(&mut pdu).await.unwrap();
    (header, pdu)
}

async fn answer_to(stream: &mut TcpStream, header: [u8; 7], pdu: &[u8]) {
    stream.write_all(&frame(header, pdu)).await.unwrap();
}

fn frame(mut header: [u8; 7], pdu: &[u8]) -> Vec<u8> {
    let length = u16::try_from(pdu.len() + 1).unwrap().to_be_bytes();
    header[4..6].copy_from_slice(&length);
    [&header, pdu].concat()
}
