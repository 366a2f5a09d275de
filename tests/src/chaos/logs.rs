//! Log writers of a run: every rotation, every encoding, bytes cut anywhere, and history that is rewritten.
//!
//! A writer does what careful programs do: where a rotation would lose lines by its nature (copytruncate, deleting,
//! truncating) nobody writes meanwhile, and what is deleted or truncated has been read. What is written, where it begins
//! among all bytes of its log, and what was changed of it afterwards is noted in [`book`].

pub mod book;
pub mod judge;
mod rotate;
mod text;

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use daemon::Tasks;
use tokio_util::sync::CancellationToken;

use super::faults::Dice;
use super::lines::Weather;
use super::record::Record;
use book::{Book, Fault};
pub use rotate::Rotation;
pub use text::{Encoding, Form};

/// Time between two pieces of what is written, in milliseconds.
const APART: (f64, f64) = (5.0, 120.0);

/// How often it is looked whether something was read.
const LOOK: Duration = Duration::from_millis(20);

/// One log.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// How its files make room.
    pub rotation: Rotation,
    /// How its text becomes bytes.
    pub encoding: Encoding,
    /// How a record looks.
    pub form: Form,
    /// Most records that come at once.
    pub burst: u64,
}

/// The logs of a run: every rotation, and every encoding. No dated files of records of several lines: the last record of
/// one waits until it has rested for a look, and the first of the next does not wait for it.
pub const LOGS: [Kind; 8] = [
    Kind { rotation: Rotation::Rename, encoding: Encoding::Utf8, form: Form::Bars, burst: 3 },
    Kind { rotation: Rotation::CopyTruncate, encoding: Encoding::Gb18030, form: Form::Bars, burst: 3 },
    Kind { rotation: Rotation::DatedNames, encoding: Encoding::Utf16Le, form: Form::Bars, burst: 3 },
    Kind { rotation: Rotation::Delete, encoding: Encoding::Utf8, form: Form::Traces, burst: 2 },
    Kind { rotation: Rotation::Truncate, encoding: Encoding::Gb18030, form: Form::Bars, burst: 3 },
    Kind { rotation: Rotation::Rename, encoding: Encoding::Utf16Be, form: Form::Traces, burst: 2 },
    Kind { rotation: Rotation::CopyTruncate, encoding: Encoding::Utf16Le, form: Form::Bars, burst: 8 },
    Kind { rotation: Rotation::DatedNames, encoding: Encoding::Mixed, form: Form::Bars, burst: 8 },
];

/// A record of the file that is written to now.
struct Done {
    number: u64,
    offset: u64,
    bytes: Vec<u8>,
}

/// Writes one log.
pub struct Writer {
    number: usize,
    kind: Kind,
    folder: PathBuf,
    dice: Dice,
    weather: Weather,
    record: Arc<Record>,
    book: Arc<Book>,
    /// Bytes that are still to be written.
    pending: VecDeque<u8>,
    /// Places in what is pending at which a piece must not end: records that would look whole there.
    seams: VecDeque<u64>,
    /// Bytes written of the file that is written to now.
    offset: u64,
    done: VecDeque<Done>,
    /// Files rotated away, and how many records must have been read before they may be deleted.
    old: VecDeque<(PathBuf, u64)>,
    files: u64,
    inodes: std::collections::BTreeSet<u64>,
}

/// The name of a log's source.
pub fn name(number: usize) -> String {
    format!("log {number}")
}

impl Writer {
    /// A writer below this folder, whose first file is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(
        number: usize,
        folder: &Path,
        weather: Weather,
        seed: u64,
        record: Arc<Record>,
    ) -> anyhow::Result<Self> {
        let folder = folder.join(format!("log{number}"));
        std::fs::create_dir_all(&folder)?;
        let mut writer = Self {
            number,
            kind: LOGS[number],
            folder,
            dice: Dice::new(seed, 2_000 + number as u64),
            weather,
            record,
            book: Arc::new(Book::new(LOGS[number])),
            pending: VecDeque::new(),
            seams: VecDeque::new(),
            offset: 0,
            done: VecDeque::new(),
            old: VecDeque::new(),
            files: 0,
            inodes: std::collections::BTreeSet::new(),
        };
        writer.begin_file()?;
        Ok(writer)
    }

    /// What it wrote.
    pub fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book)
    }

    /// Its source in the manifest.
    pub fn manifest(&self) -> String {
        let path = self.folder.join(self.kind.rotation.pattern());
        format!(
            "[[sources]]\nname = \"{}\"\ncadence = \"1s\"\n[sources.log]\npath = \"{}\"\nparser = \"{}\"\n\
             encoding = \"{}\"\nutc_offset_minutes = 480\n",
            name(self.number),
            path.display(),
            self.kind.form.parser(),
            self.kind.encoding.word()
        )
    }

    /// Writes until nothing is to go wrong any more, and ends what it began.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut next = self.record.now() + self.quiet();
        while self.record.now() < self.weather.calm_from && !stop.is_cancelled() {
            if self.pending.len() < 1 << 16 {
                let count = self.dice.below(self.kind.burst + 1);
                (0..count).for_each(|_| self.write());
            }
            self.flush()?;
            if self.record.now() >= next {
                self.happen(&stop).await?;
                next = self.record.now() + self.quiet();
            }
            let (from, to) = APART;
            tokio::time::sleep(Duration::from_secs_f64(self.dice.within(from..to) / 1_000.0)).await;
        }
        self.flush_all()?;
        self.book.ended(self.record.now());
        Ok(())
    }

    fn quiet(&mut self) -> Duration {
        let (from, to) = self.weather.apart;
        Duration::from_secs_f64(self.dice.within(from..to))
    }

    /// One more record.
    fn write(&mut self) {
        let (number, position) = self.book.next();
        let written = text::record(self.kind.form, number);
        let mut bytes = self.kind.encoding.bytes(&written.line, number);
        if self.offset == 0 && self.pending.is_empty() {
            bytes.splice(0..0, self.kind.encoding.mark().iter().copied());
        }
        let from = self.offset + self.pending.len() as u64;
        self.seams.extend(self.kind.encoding.line_ends(&bytes).map(|end| from + end));
        // The last one ends the record.
        self.seams.pop_back();
        self.pending.extend(&bytes);
        self.book.write(position, &written, bytes.len() as u64, from);
        self.done.push_back(Done { number, offset: from, bytes });
        if self.done.len() > 2_000 {
            self.done.pop_front();
        }
    }

    /// Writes a piece of what is pending, which may end anywhere but where a record would look whole.
    fn flush(&mut self) -> anyhow::Result<()> {
        let most = self.dice.below(self.pending.len() as u64 + 1);
        // Now and then all of it.
        let most = if self.dice.below(4) == 0 { self.pending.len() as u64 } else { most };
        let most = if self.seams.contains(&(self.offset + most)) { most - 1 } else { most };
        self.flush_to(&self.log(), usize::try_from(most)?)
    }

    fn flush_all(&mut self) -> anyhow::Result<()> {
        self.flush_to(&self.log(), self.pending.len())
    }

    fn flush_to(&mut self, path: &Path, most: usize) -> anyhow::Result<()> {
        let mut file = File::options().append(true).create(true).open(path)?;
        self.flush_into(&mut file, most)
    }

    fn flush_into(&mut self, file: &mut File, most: usize) -> anyhow::Result<()> {
        if most == 0 {
            return Ok(());
        }
        let now: Vec<u8> = self.pending.drain(..most).collect();
        self.offset += now.len() as u64;
        // Whoever reads may be faster than who notes.
        self.book.flushed(self.offset, self.record.now());
        file.write_all(&now)?;
        while self.seams.front().is_some_and(|seam| *seam <= self.offset) {
            self.seams.pop_front();
        }
        Ok(())
    }

    /// A rotation, an edit of what was read, or the folder is away for a while.
    async fn happen(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        // What was rotated away before the first look is history that nobody asked for.
        if self.book.seen() == 0 {
            return Ok(());
        }
        match self.dice.below(8) {
            0..=4 => self.rotate(stop).await,
            5 | 6 => self.edit(stop).await,
            _ => self.be_away(stop).await,
        }
    }

    /// The folder is somewhere else for a while: a share that is not mounted.
    async fn be_away(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let (from, to) = self.weather.lasts;
        let lasts = Duration::from_secs_f64(self.dice.within(from..to));
        if self.record.now() + lasts >= self.weather.calm_from {
            return Ok(());
        }
        let elsewhere = self.folder.with_extension("away");
        self.book.goes(Some(Fault::Away), self.record.now());
        std::fs::rename(&self.folder, &elsewhere)?;
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(lasts) => {}
        }
        std::fs::rename(&elsewhere, &self.folder)?;
        self.book.comes(self.record.now());
        Ok(())
    }

    /// Changes the account in a record that was read, in its place, and waits until that is told: what is rotated away
    /// before anybody looks again was never there.
    async fn edit(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        use std::os::unix::fs::FileExt as _;
        // A file that begins otherwise is another file.
        const BEGINNING: u64 = 256;
        let seen = self.book.seen();
        let can = |done: &&Done| done.number < seen && done.offset >= BEGINNING;
        let those: Vec<_> = self.done.iter().filter(can).collect();
        if those.is_empty() {
            return Ok(());
        }
        // Every other time what was read last: by that a file is known.
        let among = if self.dice.below(2) == 0 { 1 } else { those.len() as u64 };
        let done = those[those.len() - 1 - usize::try_from(self.dice.below(among))?];
        let (old, new) = (self.kind.encoding.ascii("wang"), self.kind.encoding.ascii("zhao"));
        let Some(into) = done.bytes.windows(old.len()).position(|bytes| bytes == old) else { return Ok(()) };
        let (number, offset) = (done.number, done.offset + into as u64);
        self.book.edited(number, into as u64, new.len() as u64, self.record.now());
        File::options().write(true).open(self.log())?.write_all_at(&new, offset)?;
        self.done.retain(|done| done.number != number);
        self.waits(stop, Book::is_told).await;
        Ok(())
    }

    /// Waits until the reader has come so far; `false` when it never does.
    async fn waits(&self, stop: &CancellationToken, enough: impl Fn(&Book) -> bool) -> bool {
        while !enough(&self.book) {
            if stop.is_cancelled() || self.record.now() >= self.weather.calm_from {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }
}

/// Makes all of them.
///
/// # Errors
/// When a file cannot be written.
pub fn start(
    folder: &Path,
    weather: Weather,
    seed: u64,
    record: &Arc<Record>,
) -> anyhow::Result<Vec<Writer>> {
    (0..LOGS.len()).map(|number| Writer::new(number, folder, weather, seed, Arc::clone(record))).collect()
}

/// Lets them write.
pub fn spawn(writers: Vec<Writer>, tasks: &mut Tasks, stop: &CancellationToken) {
    for writer in writers {
        let stop = stop.clone();
        tasks.spawn(name(writer.number), writer.run(stop));
    }
}
