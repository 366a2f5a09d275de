use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daemon::SystemClock;
use encoding_rs::GB18030;
use proof::observation::Records;
use tokio::sync::mpsc;

use super::*;
use crate::manifest::Manifest;
use crate::{Sample, build};

#[tokio::test]
async fn records_come_with_a_bookmark_from_which_a_new_collector_reads_each_line_once() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path());
    append(folder.path(), "一");
    append(folder.path(), "二");
    let first = records(&source, None).await;
    assert_eq!(texts(&first), ["一", "二"]);
    assert!(!first.followed, "nobody watched when these were written");
    append(folder.path(), "三");
    let second = records(&source, Some(&first.bookmark)).await;
    assert_eq!((texts(&second), second.from), (vec!["三".to_owned()], first.to));
    assert!(!second.followed, "this is the first look of its run");
    let third = records(&source, Some(&second.bookmark)).await;
    assert_eq!((third.lines, third.from, third.to), (0, second.to, second.to));
}

#[tokio::test]
async fn what_is_written_between_two_looks_of_a_run_was_followed() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path());
    append(folder.path(), "一");
    let (out, mut rx, stop) = sender();
    let mut collector = build(&source, None, Path::new(""), &crate::Shared::default()).unwrap();
    let work = async {
        let What::Records(first) = rx.recv().await.unwrap().observation.what else { panic!() };
        append(folder.path(), "二");
        let next = loop {
            let What::Records(next) = rx.recv().await.unwrap().observation.what else { panic!() };
            if next.lines > 0 {
                break next;
            }
        };
        stop.cancel();
        (first.followed, next.followed)
    };
    let (ended, followed) = tokio::join!(collector.run(&out, &stop), work);
    ended.unwrap();
    assert_eq!(followed, (false, true));
}

#[tokio::test]
async fn a_missing_log_is_a_silent_turn_and_not_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path());
    let (out, mut rx, stop) = sender();
    let mut collector = build(&source, None, Path::new(""), &crate::Shared::default()).unwrap();
    let work = async {
        assert_eq!(rx.recv().await.unwrap().observation.what, What::Silent(Cause::Missing));
        append(folder.path(), "一");
        loop {
            match rx.recv().await.unwrap().observation.what {
                What::Silent(cause) => assert_eq!(cause, Cause::Missing),
                What::Records(records) => break assert_eq!(texts(&records), ["一"]),
                What::Cycle(_) | What::Kept(_) => panic!(),
            }
        }
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(collector.run(&out, &stop), work);
    ended.unwrap();
}

#[tokio::test]
async fn a_probe_shows_fields_and_records() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path());
    assert!(matches!(crate::probe(&source, Path::new("")).await, Err(CollectError::Missing { .. })));
    append(folder.path(), "一");
    let probe = crate::probe(&source, Path::new("")).await.unwrap();
    assert_eq!(probe.fields[7], "description");
    let (records, lines, unparsed) = probe.records.unwrap();
    assert_eq!((records.len(), lines, unparsed), (1, 1, 0));
}

#[test]
fn a_log_is_not_read_twice_because_its_position_is_of_another_version() {
    let folder = tempfile::tempdir().unwrap();
    let refused = build(&source(folder.path()), Some(&[9; 40]), Path::new(""), &crate::Shared::default());
    assert!(matches!(refused, Err(crate::BuildError::Position { .. })));
}

fn source(folder: &Path) -> Source {
    let text = "[[sources]]\nname = \"erp\"\ncadence = \"1s\"\n[sources.log]\npath = \"erp.log\"\nencoding = \"gb18030\"\nparser = \"kingdee_pipe\"\n";
    Manifest::parse("manifest.toml", text, folder).unwrap().sources.remove(0)
}

fn append(folder: &Path, text: &str) {
    let line = format!("2025-06-18 08:31:07.000|100231|1|32|PRD_MORPT|3|保存|{text}|PC|ip\n");
    let (bytes, ..) = GB18030.encode(&line);
    let mut file = std::fs::File::options().append(true).create(true).open(folder.join("erp.log")).unwrap();
    file.write_all(&bytes).unwrap();
}

fn sender() -> (SampleSender, mpsc::Receiver<Sample>, CancellationToken) {
    let (tx, rx) = mpsc::channel(4);
    let stop = CancellationToken::new();
    (SampleSender::new(1, Duration::from_millis(5), Arc::new(SystemClock), tx, stop.clone()), rx, stop)
}

/// The first batch of a new collector.
async fn records(source: &Source, bookmark: Option<&[u8]>) -> Records {
    let (out, mut rx, stop) = sender();
    let mut collector = build(source, bookmark, Path::new(""), &crate::Shared::default()).unwrap();
    let work = async {
        let What::Records(records) = rx.recv().await.unwrap().observation.what else { panic!() };
        stop.cancel();
        drop(rx);
        records
    };
    tokio::join!(collector.run(&out, &stop), work).1
}

fn texts(records: &Records) -> Vec<String> {
    records.records.iter().map(|record| String::from_utf8(record.fields[7].clone()).unwrap()).collect()
}
