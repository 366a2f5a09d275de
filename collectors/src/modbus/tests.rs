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

#[tokio::test]
async fn declared_points_are_read_in_manifest_order() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = source(&listener, "1s");
    let device = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        loop {
            let (header, pdu) = question(&mut stream).await;
            let answer: &[u8] = match pdu.as_slice() {
                [3, 0, 0, 0, 3] => &[3, 6, 0, 1, 0x86, 0xA0, 0, 1],
                [4, 0, 10, 0, 2] => &[4, 4, 0x41, 0x48, 0, 0],
                [1, 0, 5, 0, 1] => &[1, 1, 1],
                other => panic!("asked for what is not declared: {other:?}"),
            };
            answer_to(&mut stream, header, answer).await;
        }
    };
    let what = tokio::select! { () = device => unreachable!(), what = first(&source) => what.0 };
    let What::Cycle(readings) = what else { panic!("{what:?}") };
    let values: Vec<_> = readings.iter().map(|reading| reading.value).collect();
    assert_eq!(values, [Some(1.0), Some(100_000.0), Some(12.5), Some(1.0)]);
    assert_eq!(readings[1].raw, [0x86, 0xA0, 0, 1]);
    assert!(readings.iter().all(|reading| reading.quality == Quality::Good));
}

#[tokio::test]
async fn an_exception_costs_its_points_and_no_others() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = source(&listener, "1s");
    let device = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        loop {
            let (header, pdu) = question(&mut stream).await;
            let answer: &[u8] = match pdu[0] {
                3 => &[0x83, 2],
                4 => &[0x84, 0x0B],
                _ => &[1, 1, 0],
            };
            answer_to(&mut stream, header, answer).await;
        }
    };
    let what = tokio::select! { () = device => unreachable!(), what = first(&source) => what.0 };
    let What::Cycle(readings) = what else { panic!("{what:?}") };
    let qualities: Vec<_> = readings.iter().map(|reading| reading.quality).collect();
    assert_eq!(qualities, [Quality::Fault, Quality::Fault, Quality::NoAnswer, Quality::Good]);
}

#[tokio::test]
async fn a_late_answer_is_never_taken_for_the_next_ones() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = source(&listener, "50ms");
    let device = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (header, _) = question(&mut stream).await;
        // Only once the question has been given up does the answer come.
        let mut rest = [0; 1];
        assert_eq!(stream.read(&mut rest).await.unwrap(), 0, "the connection was not dropped");
        drop(stream.write_all(&frame(header, &[3, 6, 0, 1, 0, 1, 0, 1])).await);
        std::future::pending::<()>().await;
    };
    let (what, ended) = tokio::select! { () = device => unreachable!(), what = first(&source) => what };
    assert_eq!(what, What::Silent(Cause::NoAnswer));
    assert!(matches!(ended, Err(CollectError::Lost { .. })), "{ended:?}");
}

#[tokio::test]
async fn answers_that_do_not_fit_the_question_are_faults() {
    // Another transaction, another unit, fewer registers, more registers, not Modbus.
    let table: [fn([u8; 7]) -> Vec<u8>; 5] = [
        |mut header| {
            header[1] ^= 1;
            frame(header, &[3, 6, 0, 1, 0, 1, 0, 1])
        },
        |mut header| {
            header[6] ^= 1;
            frame(header, &[3, 6, 0, 1, 0, 1, 0, 1])
        },
        |header| frame(header, &[3, 4, 0, 1, 0, 1]),
        |header| frame(header, &[3, 8, 0, 1, 0, 1, 0, 1, 0, 1]),
        |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
    ];
    for (at, answer) in table.into_iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = source(&listener, "1s");
        let device = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (header, _) = question(&mut stream).await;
            stream.write_all(&answer(header)).await.unwrap();
            std::future::pending::<()>().await;
        };
        let (what, ended) = tokio::select! { () = device => unreachable!(), what = first(&source) => what };
        // What is not a frame at all may end as a wait for the rest of one.
        let expected = if at == 4 { [Cause::Fault, Cause::NoAnswer] } else { [Cause::Fault, Cause::Fault] };
        assert!(expected.iter().any(|cause| what == What::Silent(*cause)), "{at}: {what:?}");
        assert!(ended.is_err(), "{at}");
    }
}

#[tokio::test]
async fn a_device_that_is_off_is_one_silence_for_one_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = source(&listener, "1s");
    drop(listener);
    let (what, ended) = first(&source).await;
    assert_eq!(what, What::Silent(Cause::NoAnswer));
    assert_eq!(ended.unwrap_err().cause(), Cause::NoAnswer);
}

#[tokio::test]
async fn a_probe_shows_each_point_by_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = source(&listener, "1s");
    let device = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        loop {
            let (header, pdu) = question(&mut stream).await;
            answer_to(&mut stream, header, &[pdu[0] | 0x80, 1]).await;
        }
    };
    let probe = crate::probe(&source, std::path::Path::new(""));
    let probe = tokio::select! { () = device => unreachable!(), probe = probe => probe.unwrap() };
    let names: Vec<_> = probe.points.iter().map(|point| point.name.as_str()).collect();
    assert_eq!(names, ["running", "parts", "kwh", "door"]);
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
    let mut collector = build(source, None, std::path::Path::new("")).unwrap();
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
