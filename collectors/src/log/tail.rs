//! The file: what it is, where reading stands in it, and what happens when it is renamed, truncated or gone.
//!
//! Everything here blocks; the collector calls it on a thread that may. A file that was renamed away is read to its
//! end before its successor, and one look longer than needed, because its writer may still hold it.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{DirEntryExt as _, FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use proof::Record;
use proof::observation::Records;

use super::bookmark::{Bookmark, HEAD, Print, TAIL};
use super::lines::{Line, MAX_LINE, Reader};

/// Most bytes of one look.
pub(super) const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Most lines of one look: some looks wait in memory at once.
pub(super) const MAX_LINES: u32 = 2_000;
/// Bytes read at once: a longest line and its end fit.
const CHUNK: usize = 256 * 1024;
/// Most entries of a folder that are looked at for a renamed file.
const MAX_ENTRIES: usize = 10_000;

/// One look's outcome.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) records: Records,
    pub(super) bookmark: Bookmark,
    /// Nothing more is to be read now.
    pub(super) caught_up: bool,
}

/// Follows one path.
pub(super) struct Tail {
    path: PathBuf,
    reader: Reader,
    /// Where an earlier run stopped, until its file has been looked for.
    resume: Option<Bookmark>,
    /// Bytes read over all of the log's files.
    total: u64,
    current: Option<Current>,
    buffer: Vec<u8>,
}

/// The file being read.
struct Current {
    file: File,
    device: u64,
    inode: u64,
    offset: u64,
    in_long_line: bool,
    /// The first bytes read, at most [`HEAD`].
    head: Vec<u8>,
    /// The last bytes read, at most [`TAIL`].
    tail: Vec<u8>,
    /// A look has found it renamed away and at its end.
    rotated: bool,
}

impl Tail {
    pub(super) fn new(path: PathBuf, reader: Reader, resume: Option<Bookmark>) -> Self {
        let total = resume.as_ref().map_or(0, |mark| mark.total);
        Self { path, reader, resume, total, current: None, buffer: Vec::new() }
    }

    /// Reads what is new, up to the bounds of one look.
    pub(super) fn look(&mut self) -> io::Result<Batch> {
        if self.current.is_none() {
            self.current = Some(self.open()?);
        }
        self.check_rewritten()?;
        let from = self.total;
        let mut taken = Taken::default();
        let mut caught_up = false;
        while !taken.is_full() {
            if self.read_chunk(&mut taken, false)? {
                continue;
            }
            let next = match self.successor() {
                // What was read is handed over first; the next look fails the same way.
                Err(_) if taken.records.lines > 0 => None,
                next => next?,
            };
            let Some(next) = next else {
                caught_up = true;
                break;
            };
            // Nobody will end its last line any more.
            while self.read_chunk(&mut taken, true)? {}
            if !taken.is_full() {
                self.current = Some(next);
            }
        }
        self.buffer.truncate(0);
        let mut records = taken.records;
        (records.from, records.to) = (from, self.total);
        let bookmark = self.current.as_ref().expect("a file was opened above").mark(self.total);
        records.bookmark = bookmark.encode();
        Ok(Batch { records, bookmark, caught_up })
    }

    /// Opens the file to go on with: the bookmark's, wherever it is now, else the one at the path.
    fn open(&mut self) -> io::Result<Current> {
        let at_path = File::open(&self.path).and_then(Current::new);
        let Some(mark) = self.resume.clone() else { return at_path };
        if let Some(resumed) = at_path.as_ref().ok().and_then(|current| current.resumed(&mark)) {
            self.resume = None;
            return Ok(resumed);
        }
        if let Some(resumed) = siblings(&self.path, Some(mark.inode))
            .find_map(|(file, _)| Current::new(file).ok()?.resumed(&mark))
        {
            self.resume = None;
            return Ok(resumed);
        }
        let current = at_path?;
        self.resume = None;
        tracing::warn!(path = %self.path.display(), "the file read before is gone; reading its successor from the beginning");
        Ok(current)
    }

    /// Starts over when the file is not what was read of it: truncated, or written anew.
    fn check_rewritten(&mut self) -> io::Result<()> {
        let current = self.current.as_mut().expect("a file was opened before");
        let size = current.file.metadata()?.len();
        if size >= current.offset && current.tail_is_there()? {
            return Ok(());
        }
        tracing::warn!(path = %self.path.display(), read = current.offset, size, "log was truncated or rewritten");
        (current.offset, current.in_long_line) = (0, false);
        current.head.clear();
        current.tail.clear();
        Ok(())
    }

    /// The file to go on with after the current one has been read to its end; `None` while that is the current one.
    fn successor(&mut self) -> io::Result<Option<Current>> {
        let current = self.current.as_mut().expect("a file was opened before");
        let at_path = match std::fs::metadata(&self.path) {
            Ok(meta) if current.is(&meta) => {
                current.rotated = false;
                return Ok(None);
            }
            Ok(_) => Some(Current::new(File::open(&self.path)?)?),
            // Renamed away, and its successor is not written yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound && current.file.metadata()?.nlink() > 0 => {
                None
            }
            Err(error) => return Err(error),
        };
        // One look longer, counted from when its successor is there: until then its writer has nowhere else to write.
        if at_path.is_some() && !current.rotated {
            current.rotated = true;
            return Ok(None);
        }
        let between = self.next_rotated(at_path.as_ref())?;
        Ok(between.or(at_path))
    }

    /// The oldest file renamed away after the current one, when there was more than one renaming between two looks.
    fn next_rotated(&self, at_path: Option<&Current>) -> io::Result<Option<Current>> {
        let current = self.current.as_ref().expect("a file was opened before");
        let written = modified(&current.file.metadata()?);
        let newer = siblings(&self.path, None)
            .filter(|(_, meta)| !current.is(meta) && modified(meta) > written)
            .filter(|(_, meta)| at_path.is_none_or(|at_path| !at_path.is(meta)))
            .min_by_key(|(_, meta)| modified(meta));
        let Some((file, _)) = newer else { return Ok(None) };
        // It has been quiet since it was renamed: no look longer is needed.
        Current::new(file).map(|next| Some(Current { rotated: true, ..next }))
    }

    /// Reads one chunk and takes its whole lines; with `last` also what stands after the last line end.
    /// `false` when there was nothing to take.
    fn read_chunk(&mut self, taken: &mut Taken, last: bool) -> io::Result<bool> {
        let current = self.current.as_mut().expect("a file was opened before");
        self.buffer.resize(CHUNK, 0);
        let mut filled = 0;
        while filled < CHUNK {
            match current.file.read_at(&mut self.buffer[filled..], current.offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let bytes = &self.buffer[..filled];
        let mut at = 0;
        while !taken.is_full() {
            let rest = &bytes[at..];
            let (line, length) = match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => (&rest[..end], end + 1),
                // A line without end: too long to wait for, or never to be ended.
                None if rest.len() > MAX_LINE => {
                    current.in_long_line = true;
                    at = filled;
                    break;
                }
                None if last && !rest.is_empty() && filled < CHUNK => (rest, rest.len()),
                None => break,
            };
            taken.line(&mut self.reader, self.total + at as u64, line, current.in_long_line);
            current.in_long_line = false;
            at += length;
        }
        current.advance(&bytes[..at]);
        self.total += at as u64;
        taken.bytes += at as u64;
        Ok(at > 0)
    }
}

impl Current {
    fn new(file: File) -> io::Result<Self> {
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("is not a regular file"));
        }
        Ok(Self {
            file,
            device: meta.dev(),
            inode: meta.ino(),
            offset: 0,
            in_long_line: false,
            head: Vec::new(),
            tail: Vec::new(),
            rotated: false,
        })
    }

    fn is(&self, meta: &Metadata) -> bool {
        (self.device, self.inode) == (meta.dev(), meta.ino())
    }

    /// At the bookmark's offset, when this is the bookmark's file. Same content at the same place is the same log even
    /// when the inode changed (restored, moved to another disk); a nearly empty one is known by its inode alone.
    fn resumed(&self, mark: &Bookmark) -> Option<Self> {
        let same_inode = (self.device, self.inode) == (mark.device, mark.inode);
        if !same_inode && mark.offset < TAIL as u64 {
            return None;
        }
        let head = self.piece(0, usize::from(mark.head.length))?;
        let before = mark.offset.checked_sub(u64::from(mark.tail.length))?;
        let tail = self.piece(before, usize::from(mark.tail.length))?;
        if Print::of(&head) != mark.head || Print::of(&tail) != mark.tail {
            return None;
        }
        let file = self.file.try_clone().ok()?;
        let (offset, in_long_line) = (mark.offset, mark.in_long_line);
        Some(Self { file, offset, in_long_line, head, tail, ..*self })
    }

    /// `length` bytes from `at`, or `None` when they are not all there.
    fn piece(&self, at: u64, length: usize) -> Option<Vec<u8>> {
        let mut piece = vec![0; length];
        self.file.read_exact_at(&mut piece, at).ok().map(|()| piece)
    }

    fn tail_is_there(&self) -> io::Result<bool> {
        let mut there = [0; TAIL];
        let there = &mut there[..self.tail.len()];
        match self.file.read_exact_at(there, self.offset - self.tail.len() as u64) {
            Ok(()) => Ok(there == self.tail.as_slice()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn advance(&mut self, read: &[u8]) {
        let room = HEAD - self.head.len();
        self.head.extend_from_slice(&read[..read.len().min(room)]);
        self.tail.extend_from_slice(&read[read.len().saturating_sub(TAIL)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        self.offset += read.len() as u64;
    }

    fn mark(&self, total: u64) -> Bookmark {
        Bookmark {
            total,
            device: self.device,
            inode: self.inode,
            offset: self.offset,
            in_long_line: self.in_long_line,
            head: Print::of(&self.head),
            tail: Print::of(&self.tail),
        }
    }
}

/// What a look has taken so far.
#[derive(Default)]
struct Taken {
    records: Records,
    bytes: u64,
}

impl Taken {
    fn is_full(&self) -> bool {
        self.records.lines >= MAX_LINES || self.bytes >= MAX_BYTES
    }

    fn line(&mut self, reader: &mut Reader, position: u64, line: &[u8], is_end_of_long: bool) {
        self.records.lines += 1;
        if is_end_of_long || line.len() > MAX_LINE {
            self.records.unparsed += 1;
            return;
        }
        match reader.read(position, line) {
            Line::Record(record) => self.records.records.push(record),
            Line::Skipped => {}
            Line::Unparsed => self.records.unparsed += 1,
        }
    }
}

/// Files in the same folder that the log may have been renamed to, itself among them: by their names, or because they
/// have the inode.
fn siblings(path: &Path, inode: Option<u64>) -> impl Iterator<Item = (File, Metadata)> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_owned();
    let entries = std::fs::read_dir(dir).into_iter().flatten().take(MAX_ENTRIES).filter_map(Result::ok);
    let ours =
        entries.filter(move |entry| Some(entry.ino()) == inode || is_sibling(&name, &entry.file_name()));
    ours.filter_map(|entry| {
        // Before it is opened: opening a pipe would wait for its writer.
        let meta = std::fs::metadata(entry.path()).ok().filter(Metadata::is_file)?;
        Some((File::open(entry.path()).ok()?, meta))
    })
}

/// `app.log.1`, `app.log-20250618`, `app.log.old`, `app.2025-06-18.log` for `app.log`; not `app-error.log`, not what is
/// packed.
fn is_sibling(log: &OsStr, other: &OsStr) -> bool {
    let (Some(log), Some(other)) = (log.to_str(), other.to_str()) else { return log == other };
    let counted = |middle: &str| {
        let plain = middle.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_' | b'T'));
        let numbered =
            middle.starts_with(['.', '-', '_']) && plain && middle.bytes().any(|b| b.is_ascii_digit());
        middle.is_empty() || middle == ".old" || numbered
    };
    if other.strip_prefix(log).is_some_and(counted) {
        return true;
    }
    let Some(dot) = log.rfind('.') else { return false };
    let (stem, ending) = log.split_at(dot);
    other.strip_prefix(stem).and_then(|rest| rest.strip_suffix(ending)).is_some_and(counted)
}

fn modified(meta: &Metadata) -> SystemTime {
    meta.modified().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// What is made of the last lines of a file, at most 20 of its last 64 KiB: for `probe`. Positions are the file's.
pub(super) fn last_lines(path: PathBuf, mut reader: Reader) -> io::Result<(Vec<Record>, u32, u32)> {
    const LINES: usize = 20;
    let current = Current::new(File::open(path)?)?;
    let size = current.file.metadata()?.len();
    let from = size.saturating_sub(MAX_LINE as u64);
    let bytes = current.piece(from, usize::try_from(size - from).unwrap_or(MAX_LINE)).unwrap_or_default();
    let mut starts = vec![];
    if from == 0 {
        starts.push(0);
    }
    starts.extend(bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1));
    let mut taken = Taken::default();
    for pair in starts.windows(2).rev().take(LINES).rev() {
        taken.line(&mut reader, from + pair[0] as u64, &bytes[pair[0]..pair[1] - 1], false);
    }
    let Records { records, lines, unparsed, .. } = taken.records;
    Ok((records, lines, unparsed))
}

#[cfg(test)]
mod tests;
