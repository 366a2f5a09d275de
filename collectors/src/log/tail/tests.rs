use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::log::file::MAX_LINES;
use crate::manifest::{Kind, Manifest};

#[test]
fn whole_lines_are_taken_once_and_a_half_one_waits() {
    let log = Log::new();
    log.append("app.log", "one\ntwo\nthr");
    let mut tail = log.tail(None);
    assert_eq!(log.read(&mut tail), ["one", "two"]);
    assert_eq!(log.read(&mut tail), [""; 0]);
    log.append("app.log", "ee\n");
    let batch = tail.look().unwrap();
    assert_eq!(names(&batch), ["three"]);
    assert_eq!(
        (batch.records.from, batch.records.to),
        (line("one\ntwo\n").len() as u64, log.size("app.log"))
    );
    assert_eq!(batch.records.records[0].position, batch.records.from);
}

#[test]
fn lines_written_to_the_old_file_after_the_rename_are_read_before_the_new_ones() {
    let log = Log::new();
    log.append("app.log", "one\n");
    let mut tail = log.tail(None);
    assert_eq!(log.read(&mut tail), ["one"]);
    log.rename("app.log", "app.log.1");
    log.append("app.log.1", "two\n");
    assert_eq!(log.read(&mut tail), ["two"]);
    log.append("app.log", "four\n");
    log.append("app.log.1", "three\nhalf");
    // One look longer: its writer may still hold it.
    assert_eq!(log.read(&mut tail), ["three"]);
    log.append("app.log.1", " done");
    assert_eq!(log.read(&mut tail), ["half done", "four"]);
    log.append("app.log", "five\n");
    assert_eq!(log.read(&mut tail), ["five"]);
}

#[test]
fn several_renamings_between_two_looks_are_read_in_their_order() {
    let log = Log::new();
    log.append("app.log", "one\n");
    let mut tail = log.tail(None);
    assert_eq!(log.read(&mut tail), ["one"]);
    for text in ["two\n", "three\n"] {
        log.rename("app.log.1", "app.log.2");
        log.rename("app.log", "app.log.1");
        log.append("app.log", text);
        log.age("app.log.2", 3);
        log.age("app.log.1", 2);
    }
    log.append("app.log.gz", "packed\n");
    log.append("app-error.log", "other\n");
    log.append("app.log.bak", "copy\n");
    let read: Vec<_> = (0..4).flat_map(|_| log.read(&mut tail)).collect();
    assert_eq!(read, ["two", "three"]);
}

#[test]
fn a_bookmark_goes_on_exactly_there_across_a_renaming() {
    let log = Log::new();
    log.append("app.log", "one\ntwo\n");
    let first = log.tail(None).look().unwrap();
    log.append("app.log", "three\n");
    log.rename("app.log", "app.log.1");
    log.append("app.log", "four\n");
    let mut tail = log.tail(Some(&first.bookmark));
    let next = tail.look().unwrap();
    assert_eq!((names(&next), next.records.from), (vec!["three".to_owned()], first.records.to));
    assert_eq!(log.read(&mut tail), ["four"]);
}

#[test]
fn a_bookmark_finds_its_file_under_any_name_of_the_folder_and_with_a_new_inode() {
    let log = Log::new();
    log.append("app.log", &"long enough to be known by what it holds\n".repeat(3));
    let first = log.tail(None).look().unwrap();
    log.append("app.log", "next\n");
    log.rename("app.log", "archive-of-june");
    assert_eq!(log.read(&mut log.tail(Some(&first.bookmark))), ["next"]);
    log.copy("archive-of-june", "app.log");
    fs::remove_file(log.path("archive-of-june")).unwrap();
    assert_eq!(log.read(&mut log.tail(Some(&first.bookmark))), ["next"]);
}

#[test]
fn a_truncated_or_rewritten_file_is_read_from_its_beginning() {
    let log = Log::new();
    log.append("app.log", "one\ntwo\n");
    let mut tail = log.tail(None);
    assert_eq!(log.read(&mut tail), ["one", "two"]);
    log.write("app.log", "new\n");
    assert_eq!(log.read(&mut tail), ["new"]);
    // Grown past the offset before it is looked at.
    log.write("app.log", "and\nmuch\nlonger\nthan\nbefore\n");
    assert_eq!(log.read(&mut tail), ["and", "much", "longer", "than", "before"]);
    let mark = tail.look().unwrap().bookmark;
    log.write("app.log", "short\n");
    assert_eq!(log.read(&mut log.tail(Some(&mark))), ["short"]);
}

#[test]
fn a_missing_log_is_an_error_of_that_kind_and_read_when_it_appears() {
    let log = Log::new();
    let mut tail = log.tail(None);
    assert_eq!(tail.look().unwrap_err().kind(), io::ErrorKind::NotFound);
    log.append("app.log", "one\n");
    assert_eq!(log.read(&mut tail), ["one"]);
    log.append("app.log", "two\n");
    fs::remove_file(log.path("app.log")).unwrap();
    assert_eq!(log.read(&mut tail), ["two"]);
    assert_eq!(tail.look().unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_line_too_long_is_counted_once_and_the_next_one_is_read() {
    let log = Log::new();
    let long = "x".repeat(700 * 1024);
    fs::write(log.path("app.log"), format!("{}{long}", line("one\n"))).unwrap();
    let mut tail = log.tail(None);
    let first = tail.look().unwrap();
    assert_eq!((names(&first), first.records.unparsed), (vec!["one".to_owned()], 0));
    let mut tail = log.tail(Some(&first.bookmark));
    log.append_raw("app.log", format!("{long}\n{}", line("two\n")));
    let next = tail.look().unwrap();
    assert_eq!((names(&next), next.records.unparsed, next.records.lines), (vec!["two".to_owned()], 1, 2));
}

#[test]
fn a_look_is_bounded_and_the_next_one_goes_on() {
    let log = Log::new();
    let text: String = (0..12_000).map(|at| format!("n{at}\n")).collect();
    log.append("app.log", &text);
    let mut tail = log.tail(None);
    let mut seen = Vec::new();
    let mut looks = 0;
    loop {
        let batch = tail.look().unwrap();
        assert!(batch.records.lines <= MAX_LINES);
        seen.extend(names(&batch));
        looks += 1;
        if batch.caught_up {
            break;
        }
    }
    assert_eq!((seen.len(), looks), (12_000, 12_000 / MAX_LINES + 1));
    assert_eq!(seen.last().unwrap(), "n11999");
}

#[test]
fn a_probe_reads_the_end_of_a_log() {
    let log = Log::new();
    let text: String = (0..2_000).map(|at| format!("n{at}\n")).collect();
    log.append("app.log", &text);
    log.append_raw("app.log", "unreadable\nhalf");
    let (records, lines, unparsed, not_understood) = last_lines(&log.path("app.log"), log.reader()).unwrap();
    assert_eq!((records.len(), lines, unparsed), (19, 20, 1));
    assert_eq!(records[18].fields[7], b"n1999");
    assert_eq!(not_understood, ["unreadable"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_line_is_read_once_in_order_whatever_happens_between_looks(
        steps in prop::collection::vec((0_u8..5, 1_usize..30), 1..30),
    ) {
        let log = Log::new();
        log.append("app.log", "报工 0\n");
        let mut tail = log.tail(None);
        let first = tail.look().unwrap();
        let (mut written, mut read, mut mark) = (1, names(&first), first.bookmark);
        let mut held = Vec::new();
        let mut look = |tail: &mut Tail, mark: &mut Bookmark| match tail.look() {
            Ok(batch) => {
                read.extend(names(&batch));
                *mark = batch.bookmark;
            }
            Err(_) => *tail = log.tail(Some(mark)),
        };
        for (step, size) in steps {
            match step {
                // Bytes, cut anywhere: a character may be split between two looks.
                0 | 1 => {
                    held.extend(line(&format!("报工 {written}\n")).into_bytes());
                    written += 1;
                    let now: Vec<u8> = held.drain(..size.min(held.len())).collect();
                    log.append_raw("app.log", &now);
                }
                2 => {
                    log.append_raw("app.log", std::mem::take(&mut held));
                    log.rotate();
                }
                3 => tail = log.tail(Some(&mark)),
                _ => look(&mut tail, &mut mark),
            }
        }
        log.append_raw("app.log", &held);
        (0..80).for_each(|_| look(&mut tail, &mut mark));
        let expected: Vec<_> = (0..written).map(|at| format!("报工 {at}")).collect();
        prop_assert_eq!(read, expected);
    }
}

mod peers;
mod rewrites;
mod rotations;

/// A folder with logs of the form `time|user|…|<text>|…`.
struct Log(TempDir);

impl Log {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Appends records; what follows the last line end begins one and is left open.
    fn append(&self, name: &str, text: &str) {
        self.append_raw(name, line(text));
    }

    fn append_raw(&self, name: &str, text: impl AsRef<[u8]>) {
        if text.as_ref().is_empty() {
            return;
        }
        self.tick();
        let mut file = File::options().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    /// What is written next is later than all before, by the file system's clock, which stands still for some
    /// milliseconds.
    fn tick(&self) {
        let now = || {
            fs::write(self.path(".clock"), b"tick").unwrap();
            crate::log::places::written_ms(&fs::metadata(self.path(".clock")).unwrap())
        };
        let before = now();
        while now() <= before {}
    }

    fn copy(&self, from: &str, to: &str) {
        self.tick();
        fs::copy(self.path(from), self.path(to)).unwrap();
    }

    /// `app.log` becomes `app.log.1`, that becomes `app.log.2`, and so on.
    fn rotate(&self) {
        for at in (0..40_u64).rev() {
            let from = if at == 0 { "app.log".to_owned() } else { format!("app.log.{at}") };
            let to = format!("app.log.{}", at + 1);
            self.rename(&from, &to);
            self.age(&to, at + 1);
        }
    }

    fn write(&self, name: &str, text: &str) {
        self.tick();
        fs::write(self.path(name), line(text)).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        drop(fs::rename(self.path(from), self.path(to)));
    }

    /// Sets the time of the last write to so many minutes before the oldest possible test run, as an hour's rotation
    /// would have left it.
    fn age(&self, name: &str, minutes: u64) {
        if let Ok(file) = File::options().append(true).open(self.path(name)) {
            let then = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000 - minutes * 60);
            file.set_modified(then).unwrap();
        }
    }

    fn size(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).unwrap().len()
    }

    fn reader(&self) -> Reader {
        let text = "[[sources]]\nname = \"l\"\n[sources.log]\npath = \"x.log\"\nparser = \"kingdee_pipe\"\n";
        let manifest = Manifest::parse("manifest.toml", text, Path::new("")).unwrap();
        let Kind::Log(file) = &manifest.sources[0].kind else { panic!() };
        Reader::new(&file.text).unwrap()
    }

    fn tail(&self, mark: Option<&Bookmark>) -> Tail {
        let mark = mark.map(|mark| Bookmark::decode(&mark.encode()).unwrap());
        Tail::new(Places::One(self.path("app.log")), self.reader(), mark, 360)
    }

    /// Of the files behind a pattern.
    fn tail_of(&self, pattern: &str, mark: Option<&Bookmark>) -> Tail {
        let text = format!(
            "[[sources]]\nname = \"l\"\n[sources.log]\npath = \"{pattern}\"\nparser = \"kingdee_pipe\"\n"
        );
        let manifest = Manifest::parse("manifest.toml", &text, self.0.path()).unwrap();
        let Kind::Log(file) = &manifest.sources[0].kind else { panic!() };
        Tail::new(Places::new(file).unwrap(), Reader::new(&file.text).unwrap(), mark.cloned(), 360)
    }

    fn open(&self, name: &str) -> File {
        File::options().write(true).open(self.path(name)).unwrap()
    }

    fn read(&self, tail: &mut Tail) -> Vec<String> {
        names(&tail.look().unwrap())
    }
}

/// Each line of `text` as a record that carries it, open where `text` is.
fn line(text: &str) -> String {
    let framed = |part: &str| format!("2025-06-18 08:31:07|u|1|32|X|3|o|{part}");
    let closed = |part: &str| format!("{}|PC|ip\n", framed(part));
    let mut lines = String::new();
    let mut rest = text;
    // What continues an open line has no frame of its own.
    if let Some((continued, after)) = rest.split_once('\n').filter(|(part, _)| ["ee"].contains(part)) {
        lines.push_str(&format!("{continued}|PC|ip\n"));
        rest = after;
    } else if rest == " done" {
        return format!("{rest}|PC|ip");
    }
    while let Some((part, after)) = rest.split_once('\n') {
        lines.push_str(&closed(part));
        rest = after;
    }
    if !rest.is_empty() {
        lines.push_str(&framed(rest));
    }
    lines
}

fn names(batch: &Batch) -> Vec<String> {
    batch.records.records.iter().map(|record| String::from_utf8(record.fields[7].clone()).unwrap()).collect()
}
