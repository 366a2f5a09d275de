//! Lines in = observations out, exactly once: each encoding × form × rotation, with random interleavings of writer,
//! looks, kills and restarts. A kill loses what was taken and not stored; a new collector goes on from the bookmark that
//! was stored with the last records.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use proof::wire::RewriteKind;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::super::*;
use crate::log::lines::Reader;
use crate::manifest::{Kind, Manifest};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Rotation {
    Rename,
    /// Renamed, and packed when the one after it is renamed.
    RenameThenGzip,
    CopyTruncate,
    /// A new name each day; the oldest are deleted.
    DailyNames,
    DeleteCreate,
    /// Written anew from its beginning, with the inode that it had.
    TruncateInPlace,
}

const ROTATIONS: [Rotation; 6] = [
    Rotation::Rename,
    Rotation::RenameThenGzip,
    Rotation::CopyTruncate,
    Rotation::DailyNames,
    Rotation::DeleteCreate,
    Rotation::TruncateInPlace,
];

/// Parser, lines that stand at the beginning of each file, and the field that holds the text.
const FORMS: [(&str, &str, &str); 7] = [
    ("kingdee_pipe", "", "description"),
    ("iis", "#Software: IIS\n#Fields: date time cs-username cs-uri-stem cs-uri-query\n", "cs-uri-stem"),
    ("aoi_csv", "SN,RESULT,END,OPERATOR\n", "SN"),
    ("json_access", "", "request"),
    ("key_value", "", "msg"),
    ("spring", "", "message"),
    ("log4j", "", "message"),
];

const ENCODINGS: [&str; 6] = ["utf-8", "gb18030", "big5", "utf-16le", "utf-16be", "auto-mixed"];

fn line(form: &str, text: &str) -> String {
    match form {
        "kingdee_pipe" => format!("2025-06-18 08:31:07|u|1|32|X|3|o|{text}|PC|ip\r\n"),
        "iis" => format!("2025-06-18 00:21:44 - {text} -\r\n"),
        "aoi_csv" => format!("{text},PASS,2025/6/18 8:21:40,li03\n"),
        "json_access" => {
            format!("{{\"time\":\"2025-06-18T08:21:44+08:00\",\"request\":\"{text}\"}}\n")
        }
        "key_value" => format!("time=2025-06-18T08:21:45+08:00 msg=\"{text}\" user=wang01\n"),
        "spring" => format!("2025-06-18 08:21:45.112  INFO 5312 --- [x] c.x.R : {text}\n"),
        _ => format!("2025-06-18 08:21:45,118 [main] INFO  c.x.R - {text}\n\tat 续行\n\tat 续行\n"),
    }
}

fn bytes(encoding: &str, text: &str, at: u32) -> Vec<u8> {
    match encoding {
        "gb18030" => encoding_rs::GB18030.encode(text).0.into_owned(),
        "big5" => encoding_rs::BIG5.encode(text).0.into_owned(),
        "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "auto-mixed" if at % 2 == 1 => encoding_rs::GB18030.encode(text).0.into_owned(),
        _ => text.as_bytes().to_vec(),
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Write,
    /// So many bytes of what is written.
    Flush(usize),
    /// With a look between its parts where a bit is set.
    Rotate(u8),
    Look,
    Store,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Write),
        4 => (1_usize..400).prop_map(Step::Flush),
        2 => (0_u8..8).prop_map(Step::Rotate),
        4 => Just(Step::Look),
        2 => Just(Step::Store),
        1 => Just(Step::Kill),
    ];
    prop::collection::vec(step, 5..40)
}

#[test]
fn every_line_is_taken_once_in_every_encoding_form_and_rotation_across_kills() {
    for (at, rotation) in ROTATIONS.iter().enumerate() {
        for (form_at, form) in FORMS.iter().enumerate() {
            for (encoding_at, encoding) in ENCODINGS.iter().enumerate() {
                let seed = [u8::try_from(at * 64 + form_at * 8 + encoding_at).unwrap_or(255); 32];
                let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
                let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
                let cases = asked.unwrap_or(6);
                let config = Config { cases, failure_persistence: None, ..Config::default() };
                let run = TestRunner::new_with_rng(config, rng).run(&steps(), |steps| {
                    let mut site = Site::new(*rotation, *form, encoding);
                    steps.iter().for_each(|step| site.step(*step));
                    site.end();
                    Ok(())
                });
                if let Err(error) = run {
                    panic!("{rotation:?} {} {encoding}: {error}", form.0);
                }
            }
        }
    }
}

/// A writer, and a collector that may be killed.
struct Site {
    folder: tempfile::TempDir,
    rotation: Rotation,
    form: (&'static str, &'static str, &'static str),
    encoding: &'static str,
    tail: Tail,
    stored: (BTreeMap<String, u32>, Option<Bookmark>),
    taken: (Vec<String>, Option<Bookmark>),
    rewrites: Vec<Rewrite>,
    written: u32,
    held: Vec<u8>,
    day: u32,
    clock: u64,
}

impl Site {
    fn new(
        rotation: Rotation,
        form: (&'static str, &'static str, &'static str),
        encoding: &'static str,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tail = tail(&folder, rotation, form.0, encoding, None);
        let mut site = Self {
            folder,
            rotation,
            form,
            encoding,
            tail,
            stored: (BTreeMap::new(), None),
            taken: (Vec::new(), None),
            rewrites: Vec::new(),
            written: 0,
            held: Vec::new(),
            day: 1,
            clock: 1_000_000_000,
        };
        site.begin_file();
        // What had been rotated away before the first look is history that nobody asked for.
        site.drain();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> PathBuf {
        match self.rotation {
            Rotation::DailyNames => self.path(&format!("app.2025-06-{:02}.log", self.day)),
            Rotation::Rename
            | Rotation::RenameThenGzip
            | Rotation::CopyTruncate
            | Rotation::DeleteCreate
            | Rotation::TruncateInPlace => self.path("app.log"),
        }
    }

    /// Each write has its own second, as on a clock of a coarse file system that nobody writes to twice a second.
    fn stamp(&mut self) {
        self.clock += 1;
        let file = File::options().append(true).open(self.log()).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(self.clock)).unwrap();
    }

    fn append(&mut self, bytes: &[u8]) {
        let mut file = File::options().append(true).create(true).open(self.log()).unwrap();
        file.write_all(bytes).unwrap();
        self.stamp();
    }

    fn begin_file(&mut self) {
        let mark = match self.encoding {
            "utf-16le" => vec![0xFF, 0xFE],
            "utf-16be" => vec![0xFE, 0xFF],
            _ => Vec::new(),
        };
        // A file says when it was begun, as systems' do; the form's own first lines are the same in each.
        let header = bytes(self.encoding, self.form.1, 0);
        self.append(&[mark, header].concat());
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write => {
                let text = line(self.form.0, &format!("報工/工單/{}", self.written));
                let text = if self.encoding == "big5" { text.replace("续行", "續行") } else { text };
                self.held.extend(bytes(self.encoding, &text, self.written));
                self.written += 1;
            }
            Step::Flush(most) => {
                // Who writes half a record of several lines and rests for two looks has it taken in two.
                let most = if self.form.0 == "log4j" { usize::MAX } else { most };
                let now: Vec<u8> = self.held.drain(..most.min(self.held.len())).collect();
                if !now.is_empty() {
                    self.append(&now);
                }
            }
            Step::Rotate(looks) => self.rotate(looks),
            Step::Look => self.look(),
            Step::Store => {
                let (names, bookmark) = std::mem::take(&mut self.taken);
                names.into_iter().for_each(|name| *self.stored.0.entry(name).or_default() += 1);
                self.stored.1 = bookmark.or(self.stored.1.take());
            }
            Step::Kill => {
                self.taken = (Vec::new(), None);
                let mark = self.stored.1.as_ref().map(|mark| Bookmark::decode(&mark.encode()).unwrap());
                self.tail = tail(&self.folder, self.rotation, self.form.0, self.encoding, mark);
            }
        }
    }

    fn look(&mut self) {
        let Ok(batch) = self.tail.look() else {
            // As the collector does: what was not handed over was not read.
            let last = self.taken.1.as_ref().or(self.stored.1.as_ref());
            let mark = last.map(|mark| Bookmark::decode(&mark.encode()).unwrap());
            self.tail = tail(&self.folder, self.rotation, self.form.0, self.encoding, mark);
            return;
        };
        assert_eq!(batch.records.unparsed, 0, "{:?} {}", self.rotation, self.encoding);
        let at = self.tail.reader.fields().iter().position(|field| field == self.form.2).unwrap();
        let text = |record: &Record| String::from_utf8(record.fields[at].clone()).unwrap();
        let first = |text: String| text.lines().next().unwrap_or_default().to_owned();
        self.taken.0.extend(batch.records.records.iter().map(|record| first(text(record))));
        self.rewrites.extend(batch.records.rewrites);
        self.taken.1 = Some(batch.bookmark);
    }

    /// All that was written has been read and stored.
    fn drain(&mut self) {
        self.step(Step::Flush(usize::MAX));
        (0..6).for_each(|_| self.look());
        self.step(Step::Store);
    }

    fn look_if(&mut self, looks: bool) {
        if looks {
            self.look();
        }
    }

    fn rotate(&mut self, looks: u8) {
        self.step(Step::Flush(usize::MAX));
        match self.rotation {
            Rotation::Rename => self.shift(looks, false),
            Rotation::RenameThenGzip => {
                if self.path("app.log.1").exists() {
                    self.drain();
                    self.pack("app.log.1");
                }
                self.shift(looks, false);
            }
            Rotation::CopyTruncate => self.shift(looks, true),
            Rotation::DailyNames => {
                self.day += 1;
                if self.day > 4 {
                    self.drain_old();
                    drop(fs::remove_file(self.path(&format!("app.2025-06-{:02}.log", self.day - 3))));
                }
            }
            Rotation::DeleteCreate => {
                self.drain();
                fs::remove_file(self.log()).unwrap();
            }
            Rotation::TruncateInPlace => {
                self.drain();
                fs::write(self.log(), b"").unwrap();
                self.stamp();
            }
        }
        self.look_if(looks & 1 > 0);
        self.begin_file();
    }

    fn drain_old(&mut self) {
        (0..6).for_each(|_| self.look());
        self.step(Step::Store);
    }

    fn pack(&mut self, name: &str) {
        let path = self.path(name);
        let (length, written) = (fs::metadata(&path).unwrap().len(), fs::metadata(&path).unwrap().modified());
        // All that is looked at of a packed file is its end and its time.
        let packed = self.path(&format!("{name}.gz"));
        fs::write(
            &packed,
            [b"\x1f\x8b".to_vec(), u32::try_from(length).unwrap().to_le_bytes().into()].concat(),
        )
        .unwrap();
        File::options().append(true).open(&packed).unwrap().set_modified(written.unwrap()).unwrap();
        fs::remove_file(path).unwrap();
    }

    /// `app.log` becomes `app.log.1`, that becomes `app.log.2`, and so on.
    fn shift(&mut self, looks: u8, copy: bool) {
        for at in (1..60).rev() {
            let name = |at: u32| self.path(&format!("app.log.{at}"));
            drop(fs::rename(name(at), name(at + 1)));
        }
        self.look_if(looks & 2 > 0);
        if copy {
            fs::copy(self.log(), self.path("app.log.1")).unwrap();
            self.clock += 1;
            let file = File::options().append(true).open(self.path("app.log.1")).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(self.clock)).unwrap();
            self.look_if(looks & 4 > 0);
            File::options().write(true).open(self.log()).unwrap().set_len(0).unwrap();
            self.stamp();
        } else {
            fs::rename(self.log(), self.path("app.log.1")).unwrap();
        }
    }

    fn end(mut self) {
        self.drain();
        self.drain();
        let expected: BTreeMap<_, _> = (0..self.written).map(|at| (format!("報工/工單/{at}"), 1)).collect();
        assert_eq!(self.stored.0, expected);
        if !matches!(self.rotation, Rotation::DeleteCreate | Rotation::TruncateInPlace) {
            // Of files that are named by the day one that was written to late may go before an older one.
            let is_told = |rewrite: &&Rewrite| {
                self.rotation != Rotation::DailyNames || rewrite.kind != RewriteKind::Trimmed
            };
            let told: Vec<_> = self.rewrites.iter().filter(is_told).collect();
            assert!(told.is_empty(), "a rotation is no rewrite: {told:?}");
        }
    }
}

fn tail(
    folder: &tempfile::TempDir,
    rotation: Rotation,
    parser: &str,
    encoding: &str,
    mark: Option<Bookmark>,
) -> Tail {
    let name = if rotation == Rotation::DailyNames { "app.*.log" } else { "app.log" };
    let text = format!(
        "[[sources]]\nname = \"l\"\n[sources.log]\npath = \"{name}\"\nparser = \"{parser}\"\nencoding = \"{encoding}\"\n"
    );
    let manifest = Manifest::parse("manifest.toml", &text, folder.path()).unwrap();
    let Kind::Log(file) = &manifest.sources[0].kind else { panic!() };
    Tail::new(Places::new(file).unwrap(), Reader::new(&file.text).unwrap(), mark, 360)
}
