//! The shipped agent killed at random moments, beside logs of every encoding and form in every way to rotate: each line
//! is recorded once.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use ledger::Finding;
use proof::Record;
use proof::wire::{RewriteKind, Window};
use tests::chaos::faults::Dice;
use tests::process::Program;
use tests::town::Town;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rotation {
    Rename,
    /// Renamed, and packed after the next one.
    RenameThenPack,
    CopyTruncate,
    /// A new name each day; the oldest go.
    DatedNames,
    /// What was read is deleted, and a new file has its name.
    Delete,
    /// What was read is emptied in its place.
    Truncate,
}

const ROTATIONS: [Rotation; 6] = [
    Rotation::Rename,
    Rotation::RenameThenPack,
    Rotation::CopyTruncate,
    Rotation::DatedNames,
    Rotation::Delete,
    Rotation::Truncate,
];

/// Parsers, and the lines at the beginning of each file.
const FORMS: [(&str, &str); 7] = [
    ("kingdee_pipe", ""),
    ("iis", "#Software: IIS\n#Fields: date time cs-username cs-uri-stem cs-uri-query\n"),
    ("aoi_csv", "SN,RESULT,END,OPERATOR\n"),
    ("json_access", ""),
    ("key_value", ""),
    ("spring", ""),
    ("log4j", ""),
];

const ENCODINGS: [&str; 6] = ["utf-8", "gb18030", "big5", "utf-16le", "utf-16be", "auto-mixed"];

/// Sources of the firm itself: a machine and a log.
const OTHERS: u32 = 2;

/// Writes one log.
struct Writer {
    folder: PathBuf,
    form: (&'static str, &'static str),
    encoding: &'static str,
    rotation: Rotation,
    /// Bytes that are still to be written.
    held: VecDeque<u8>,
    records: u32,
    /// Lines written and held.
    lines: u64,
    day: u32,
    /// Bytes with which the present file begins.
    begun: u64,
}

impl Writer {
    fn new(factory: &Path, number: usize) -> anyhow::Result<Self> {
        let (form, encoding) = (number % FORMS.len(), number / FORMS.len());
        let mut writer = Self {
            folder: factory.join(format!("log{number}")),
            form: FORMS[form],
            encoding: ENCODINGS[encoding],
            // Each rotation meets every form and every encoding.
            rotation: ROTATIONS[(form + encoding) % ROTATIONS.len()],
            held: VecDeque::new(),
            records: 0,
            lines: 0,
            day: 1,
            begun: 0,
        };
        fs::create_dir_all(&writer.folder)?;
        writer.begin_file()?;
        Ok(writer)
    }

    fn source(&self, number: usize) -> String {
        let name = if self.rotation == Rotation::DatedNames { "app.*.log" } else { "app.log" };
        let (parser, encoding) = (self.form.0, self.encoding);
        format!(
            "\n[[sources]]\nname = \"日志 {number}\"\ncadence = \"1s\"\n[sources.log]\n\
             path = \"log{number}/{name}\"\nparser = \"{parser}\"\nencoding = \"{encoding}\"\n"
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn dated(&self, day: u32) -> PathBuf {
        self.path(&format!("app.2025-06-{day:02}.log"))
    }

    fn log(&self) -> PathBuf {
        if self.rotation == Rotation::DatedNames { self.dated(self.day) } else { self.path("app.log") }
    }

    fn begin_file(&mut self) -> anyhow::Result<()> {
        let mark: &[u8] = match self.encoding {
            "utf-16le" => &[0xFF, 0xFE],
            "utf-16be" => &[0xFE, 0xFF],
            _ => &[],
        };
        self.append(mark)?;
        let header = bytes(self.encoding, self.form.1, 0);
        self.lines += self.form.1.matches('\n').count() as u64;
        self.append(&header)?;
        self.begun = (mark.len() + header.len()) as u64;
        Ok(())
    }

    fn append(&self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(File::options().append(true).create(true).open(self.log())?.write_all(bytes)?)
    }

    fn write(&mut self) {
        let text = line(self.form.0, &format!("报工/工单/{}", self.records));
        let text = if self.encoding == "big5" {
            text.replace("报工", "報工").replace("单", "單").replace("续", "續")
        } else {
            text
        };
        self.lines += text.matches('\n').count() as u64;
        self.held.extend(bytes(self.encoding, &text, self.records));
        self.records += 1;
    }

    fn flush(&mut self, most: usize) -> anyhow::Result<()> {
        // Half a record of several lines is taken for a whole one when its writer rests.
        let most = if self.form.0 == "log4j" { usize::MAX } else { most };
        let now: Vec<u8> = self.held.drain(..most.min(self.held.len())).collect();
        if now.is_empty() { Ok(()) } else { self.append(&now) }
    }

    /// Makes room, as far as that loses nothing that was not read; with `is_calm` all was.
    fn rotate(&mut self, is_calm: bool) -> anyhow::Result<()> {
        self.flush(usize::MAX)?;
        // One header for another, byte for byte, shows nobody that a log was emptied in between.
        if fs::metadata(self.log())?.len() == self.begun && self.begun > 0 {
            return Ok(());
        }
        self.tick()?;
        match self.rotation {
            Rotation::Rename => self.shift(false)?,
            Rotation::CopyTruncate => self.shift(true)?,
            Rotation::RenameThenPack if is_calm => {
                if self.path("app.log.1").exists() {
                    self.pack("app.log.1")?;
                }
                self.shift(false)?;
            }
            Rotation::DatedNames => {
                self.day += 1;
                if is_calm && self.day > 3 {
                    let old = self.dated(self.day - 3);
                    if old.exists() {
                        fs::remove_file(old)?;
                    }
                }
            }
            Rotation::Delete if is_calm => fs::remove_file(self.log())?,
            Rotation::Truncate if is_calm => fs::write(self.log(), b"")?,
            Rotation::RenameThenPack | Rotation::Delete | Rotation::Truncate => return Ok(()),
        }
        self.tick()?;
        self.begin_file()
    }

    /// The next file that is written to is later than those before, by the file system's clock: nobody rotates a log
    /// twice within a tick of some milliseconds.
    fn tick(&self) -> anyhow::Result<()> {
        let clock = self.folder.with_extension("clock");
        let now = || {
            fs::write(&clock, b"tick")?;
            let written = fs::metadata(&clock)?.modified()?;
            anyhow::Ok(written.duration_since(UNIX_EPOCH)?.as_millis())
        };
        let before = now()?;
        while now()? <= before {}
        Ok(())
    }

    fn shift(&self, copy: bool) -> anyhow::Result<()> {
        let name = |at: u32| self.path(&format!("app.log.{at}"));
        let newest = (1..).find(|at| !name(*at).exists()).unwrap_or(1);
        for at in (1..newest).rev() {
            fs::rename(name(at), name(at + 1))?;
        }
        if copy {
            fs::copy(self.log(), name(1))?;
            File::options().write(true).open(self.log())?.set_len(0)?;
        } else {
            fs::rename(self.log(), name(1))?;
        }
        Ok(())
    }

    fn pack(&self, name: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        let (length, written) = (fs::metadata(&path)?.len(), fs::metadata(&path)?.modified()?);
        // All that is looked at of a packed file is its size, its end and its time.
        let body = vec![0; usize::try_from(length / 20)?];
        let packed = [b"\x1f\x8b".to_vec(), body, u32::try_from(length)?.to_le_bytes().to_vec()].concat();
        let there = self.path(&format!("{name}.gz"));
        fs::write(&there, packed)?;
        File::options().append(true).open(there)?.set_modified(written)?;
        Ok(fs::remove_file(path)?)
    }
}

fn line(form: &str, text: &str) -> String {
    match form {
        "kingdee_pipe" => format!("2025-06-18 08:31:07|u|1|32|X|3|o|{text}|PC|ip\r\n"),
        "iis" => format!("2025-06-18 00:21:44 - {text} -\r\n"),
        "aoi_csv" => format!("{text},PASS,2025/6/18 8:21:40,li03\n"),
        "json_access" => format!("{{\"time\":\"2025-06-18T08:21:44+08:00\",\"request\":\"{text}\"}}\n"),
        "key_value" => format!("time=2025-06-18T08:21:45+08:00 msg=\"{text}\" user=wang01\n"),
        "spring" => format!("2025-06-18 08:21:45.112  INFO 5312 --- [x] c.x.R : {text}\n"),
        _ => format!("2025-06-18 08:21:45,118 [main] INFO  c.x.R - {text}\n\tat 续行\n\tat 续行\n"),
    }
}

fn bytes(encoding: &str, text: &str, number: u32) -> Vec<u8> {
    match encoding {
        "gb18030" => encoding_rs::GB18030.encode(text).0.into_owned(),
        "big5" => encoding_rs::BIG5.encode(text).0.into_owned(),
        "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "auto-mixed" if number % 2 == 1 => encoding_rs::GB18030.encode(text).0.into_owned(),
        _ => text.as_bytes().to_vec(),
    }
}

/// Which of its writer's records it is.
fn number(record: &Record) -> Option<u32> {
    let texts = record.fields.iter().map(|field| String::from_utf8_lossy(field));
    let number = |text: &str| {
        let (_, number) = text.split_once("单/").or_else(|| text.split_once("單/"))?;
        number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    texts.filter_map(|text| number(&text)).next()
}

/// So many steps of writers picked at random.
fn work(writers: &mut [Writer], dice: &mut Dice, steps: u64) -> anyhow::Result<()> {
    for _ in 0..steps {
        let at = usize::try_from(dice.below(writers.len() as u64))?;
        match dice.below(10) {
            0 => writers[at].rotate(false)?,
            1..=4 => writers[at].flush(usize::try_from(1 + dice.below(400))?)?,
            _ => writers[at].write(),
        }
    }
    Ok(())
}

/// All that is written is read and stored.
async fn calm(town: &Town, writers: &mut [Writer]) -> anyhow::Result<()> {
    for writer in writers.iter_mut() {
        writer.flush(usize::MAX)?;
    }
    // Who took a renamed file's place waits for one look; there are several between two flushes.
    town.agent_flushes().await?;
    town.agent_flushes().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_every_encoding_form_and_rotation_is_recorded_once_across_kills() -> anyhow::Result<()>
{
    let mut dice = Dice::new(20_261_122, 1);
    let town = Town::start(Program::shipped("inuse-agent")?).await?;
    let factory = town.factory();
    let count = FORMS.len() * ENCODINGS.len();
    let mut writers = (0..count).map(|at| Writer::new(&factory, at)).collect::<Result<Vec<_>, _>>()?;
    let sources: String = writers.iter().enumerate().map(|(at, writer)| writer.source(at)).collect();
    File::options().append(true).open(factory.join("manifest.toml"))?.write_all(sources.as_bytes())?;
    let (broker, server) = (town.start_broker().await?, town.start_server().await?);
    town.enrol().await?;
    let mut agent = town.start_agent().await?;
    // Before a place in it was ever stored, a log is the file at its path.
    calm(&town, &mut writers).await?;
    for _ in 0..2 {
        for _ in 0..4 {
            work(&mut writers, &mut dice, 300)?;
            // Killed with nothing of it read, with some, or with some stored.
            let (at, records) = (dice.below(count as u64), dice.below(4));
            match dice.below(3) {
                0 => {}
                _ => {
                    let at = usize::try_from(at)? + OTHERS as usize;
                    let some = |status: &agent::status::Status| {
                        status.sources[at].records >= records.min(1)
                            || status.sources[OTHERS as usize..].iter().any(|source| source.records > records)
                    };
                    town.agent_says("it has read something", some).await?;
                }
            }
            agent.kill_9().await?;
            work(&mut writers, &mut dice, 60)?;
            agent = town.start_agent().await?;
        }
        calm(&town, &mut writers).await?;
        for writer in &mut writers {
            writer.rotate(true)?;
            // A header alone may be one that is being copied.
            writer.write();
        }
    }
    calm(&town, &mut writers).await?;
    agent.terminate().await?;

    let (chain, own) = (town.chain()?, town.own()?);
    own.ensure_same(&chain)?;
    // Some of these logs are deleted and emptied, as no honest rotation does; which were told is asked of each below.
    chain.ensure_followed(&[Finding::HistoryRewritten])?;
    for (writer, source) in writers.iter().zip(OTHERS + 1..) {
        let what = format!("{} {} {:?}", writer.form.0, writer.encoding, writer.rotation);
        assert!(writer.lines > 20, "{what}: something was written");
        assert_eq!(chain.lines(source), writer.lines, "{what}: no line is lost or doubled");
        let mut numbers: Vec<_> = own.records[&u16::try_from(source)?]
            .iter()
            .map(number)
            .collect::<Option<_>>()
            .context(what.clone())?;
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(0..writer.records), "{what}: each record once: {numbers:?}");
        let rows = |window: &Window| {
            window.logs.iter().filter(|row| row.source == source).map(|row| row.unparsed).sum::<u32>()
        };
        assert_eq!(chain.windows().map(rows).sum::<u32>(), 0, "{what}: each is understood");
        let is_told = |kind: RewriteKind| match writer.rotation {
            Rotation::Delete | Rotation::Truncate => true,
            // One that was written to late may go before an older one.
            Rotation::DatedNames => kind == RewriteKind::Trimmed,
            Rotation::Rename | Rotation::RenameThenPack | Rotation::CopyTruncate => false,
        };
        let rewrites = chain.windows().flat_map(|window| &window.rewrites);
        let mut accused = rewrites.filter(|rewrite| rewrite.source == source && !is_told(rewrite.kind()));
        assert_eq!(accused.next(), None, "{what}: a rotation is no rewrite");
    }
    server.terminate().await?;
    broker.terminate().await?;
    town.end().await
}
