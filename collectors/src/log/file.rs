//! One file that is followed: what it is known by, where reading stands in it, and its next lines.
//!
//! Before anything new is taken the bytes before it are read again with it, in one call: what was truncated and written
//! anew between two calls is never taken for a continuation.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::sync::Arc;

use proof::observation::Records;

use super::blocks::{Blocks, Hash, LEAF, Open, leaf};
use super::bookmark::{Covered, HEAD, Mark, TAIL};
use super::lines::{Columns, Line, MAX_LINE, Reader};
use super::places::{Entry, home_of, stamp};
use super::split::{self, Cut};
use super::text;
use crate::manifest::Encoding;

/// Most bytes of one look.
pub(super) const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Most lines of one look: some looks wait in memory at once.
pub(super) const MAX_LINES: u32 = 2_000;
/// Bytes read at once: a longest record and its end fit.
pub(super) const CHUNK: usize = 256 * 1024;

/// A file that is followed.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) path: PathBuf,
    /// Of the path at which it was written to.
    pub(super) home: u64,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) offset: u64,
    in_long_line: bool,
    head: Hash,
    tail: Hash,
    pub(super) written_ms: u64,
    /// Event times of its first record and of its latest, Unix ms.
    pub(super) span_ms: Option<(u64, u64)>,
    header: Option<u64>,
    pub(super) blocks: Blocks,
    /// The open leaf's hash, while its bytes have not been read again after a start.
    unfed: Option<Hash>,
    columns: Columns,
    encoding: Option<Encoding>,
    pub(super) handle: Option<Arc<File>>,
    /// As it was at the last look.
    pub(super) stamp: Option<(u64, i128)>,
    /// Looks since it was last changed.
    pub(super) quiet: u32,
    /// At its home, or nobody else is there.
    pub(super) is_home: bool,
    /// A look has found somebody else at its home.
    pub(super) was_succeeded: bool,
    /// Nobody writes to it any more: what stands after its last line end is a line.
    pub(super) is_ended: bool,
    /// No entry of any folder names it.
    pub(super) is_gone: bool,
    /// It was changed without growing: to be checked before others.
    pub(super) is_suspect: bool,
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    Taken,
    Nothing,
    /// The bytes before are not what had been read.
    Changed,
}

impl Followed {
    /// A file of which nothing has been read.
    pub(super) fn new(entry: &Entry, position: u64) -> Self {
        let none = leaf(&[]);
        let read = Covered { start: 0, nodes: Vec::new(), open: none, from: position, to: position };
        let mark = Mark {
            home: home_of(&entry.path),
            device: entry.device,
            inode: entry.inode,
            offset: 0,
            written_ms: entry.written_ms,
            span_ms: None,
            header: None,
            in_long_line: false,
            is_away: false,
            head: none,
            tail: none,
            read,
        };
        Self::of(mark)
    }

    pub(super) fn of(mark: Mark) -> Self {
        let mut blocks = Blocks::new(mark.read.start, mark.read.from);
        blocks.nodes = mark.read.nodes;
        let length = mark.offset - blocks.open_start();
        blocks.open = Open::unfed(length, mark.read.from, mark.read.to);
        // Of nothing there are no ends.
        let (head, tail) = if mark.offset == 0 { (leaf(&[]), leaf(&[])) } else { (mark.head, mark.tail) };
        Self {
            path: PathBuf::new(),
            home: mark.home,
            device: mark.device,
            inode: mark.inode,
            offset: mark.offset,
            in_long_line: mark.in_long_line,
            head,
            tail,
            written_ms: mark.written_ms,
            span_ms: mark.span_ms,
            header: mark.header,
            blocks,
            unfed: (length > 0).then_some(mark.read.open),
            columns: Columns::default(),
            encoding: None,
            handle: None,
            stamp: None,
            quiet: 0,
            is_home: !mark.is_away,
            was_succeeded: false,
            is_ended: false,
            is_gone: false,
            is_suspect: false,
        }
    }

    pub(super) fn mark(&self) -> Mark {
        let open = self.unfed.unwrap_or_else(|| self.blocks.open_hash());
        let read = Covered {
            start: self.blocks.start,
            nodes: self.blocks.nodes.clone(),
            open,
            from: self.blocks.open.from,
            to: self.blocks.open.to,
        };
        Mark {
            home: self.home,
            device: self.device,
            inode: self.inode,
            offset: self.offset,
            written_ms: self.written_ms,
            span_ms: self.span_ms,
            header: self.header,
            in_long_line: self.in_long_line,
            is_away: !self.is_home,
            head: self.head,
            tail: self.tail,
            read,
        }
    }

    pub(super) fn is(&self, entry: &Entry) -> bool {
        (self.device, self.inode) == (entry.device, entry.inode)
    }

    /// The open file; opens it where it was last seen.
    pub(super) fn open(&mut self) -> io::Result<Arc<File>> {
        if let Some(handle) = &self.handle {
            return Ok(Arc::clone(handle));
        }
        let file = File::open(&self.path)?;
        let meta = file.metadata()?;
        if !meta.is_file() || (meta.dev(), meta.ino()) != (self.device, self.inode) {
            return Err(io::Error::other("another file took its place while it was looked at"));
        }
        let file = Arc::new(file);
        self.handle = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Whether a file begins and goes up to the offset as what was read of this one.
    pub(super) fn is_held_by(&self, file: &File) -> io::Result<bool> {
        Ok(self.begins(file)? && self.has_tail_at(file, self.offset)?)
    }

    /// Whether a file begins as this one.
    pub(super) fn begins(&self, file: &File) -> io::Result<bool> {
        let head = self.offset.min(HEAD as u64);
        Ok(piece(file, 0, head)?.is_some_and(|piece| leaf(&piece) == self.head))
    }

    fn has_tail_at(&self, file: &File, at: u64) -> io::Result<bool> {
        let length = self.offset.min(TAIL as u64);
        let Some(from) = at.checked_sub(length) else { return Ok(false) };
        Ok(piece(file, from, length)?.is_some_and(|piece| leaf(&piece) == self.tail))
    }

    /// Goes on in another file with the same content.
    pub(super) fn move_to(&mut self, entry: &Entry, file: File) {
        (self.device, self.inode) = (entry.device, entry.inode);
        self.path.clone_from(&entry.path);
        self.handle = Some(Arc::new(file));
        (self.stamp, self.quiet) = (None, 0);
    }

    /// Whether a file holds what was read last of this one.
    pub(super) fn has_open_leaf(&self, file: &File) -> io::Result<bool> {
        let expected = self.unfed.unwrap_or_else(|| self.blocks.open_hash());
        let start = self.blocks.open_start();
        Ok(piece(file, start, self.offset - start)?.is_some_and(|bytes| leaf(&bytes) == expected))
    }

    /// Takes what stands there for what was read last: after a start, and after a change that was told.
    pub(super) fn feed_open_leaf(&mut self, file: &File) -> io::Result<()> {
        let start = self.blocks.open_start();
        let bytes = piece(file, start, self.offset - start)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let (from, to) = (self.blocks.open.from, self.blocks.open.to);
        self.blocks.open = Open::unfed(0, from, from);
        self.blocks.push(&bytes, from);
        (self.blocks.open.from, self.blocks.open.to) = (from, to);
        self.unfed = None;
        Ok(())
    }

    /// Reads the line again that names the columns.
    pub(super) fn read_header(&mut self, file: &File, reader: &mut Reader) -> io::Result<()> {
        let Some(at) = self.header else { return Ok(()) };
        let mut bytes = vec![0; MAX_LINE];
        let read = file.read_at(&mut bytes, at)?;
        let encoding = self.encoding_of(file, reader)?;
        if let Some(cut) = split::next(&bytes[..read], encoding) {
            reader.read(0, &bytes[..cut.end], encoding, &mut self.columns);
            self.columns.take_fresh();
        }
        Ok(())
    }

    fn encoding_of(&mut self, file: &File, reader: &Reader) -> io::Result<Encoding> {
        if let Some(encoding) = self.encoding {
            return Ok(encoding);
        }
        let mut first = [0; 3];
        let read = file.read_at(&mut first, 0)?;
        let encoding = text::marked(reader.encoding(), &first[..read]);
        self.encoding = (read == first.len()).then_some(encoding);
        Ok(encoding)
    }

    /// Reads one chunk and takes its whole lines or records.
    pub(super) fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        reader: &mut Reader,
        taken: &mut Taken,
    ) -> io::Result<Chunk> {
        let file = self.open()?;
        let encoding = self.encoding_of(&file, reader)?;
        let before = usize::try_from(self.offset).map_or(HEAD, |offset| offset.min(HEAD));
        buffer.resize(before + CHUNK, 0);
        let filled = fill(&file, self.offset - before as u64, buffer)?;
        let tail = before - before.min(TAIL);
        if filled < before || leaf(&buffer[tail..before]) != self.tail {
            return Ok(Chunk::Changed);
        }
        let bytes = &buffer[before..filled];
        let mut at = 0;
        while !taken.is_full() {
            let rest = &bytes[at..];
            let is_all = filled < buffer.len();
            let cut = if reader.has_records_of_several_lines() && !self.in_long_line {
                split::record(rest, reader, encoding, is_all && (self.is_ended || self.quiet > 0))
            } else {
                split::next(rest, encoding)
            };
            let cut = match cut {
                Some(cut) => cut,
                // A line without end: too long to wait for, or never to be ended.
                None if rest.len() > MAX_LINE && split::next(rest, encoding).is_none() => {
                    self.in_long_line = true;
                    at += rest.len() & !1;
                    break;
                }
                None if self.is_ended && !rest.is_empty() && is_all => Cut::all(rest),
                None => break,
            };
            let position = taken.total + at as u64;
            let line = &rest[..cut.end];
            let records = taken.records.records.len();
            taken.line(line, cut.lines, self.in_long_line, |line| {
                reader.read(position, line, encoding, &mut self.columns)
            });
            if let Some(event_ms) = taken.records.records.get(records).and_then(|record| record.event_ms) {
                self.told_of(event_ms);
            }
            if self.columns.take_fresh() {
                self.header = Some(self.offset + at as u64);
            }
            self.in_long_line = false;
            at += cut.next;
        }
        let read = &buffer[..before + at];
        if self.offset < HEAD as u64 {
            self.head = leaf(&read[..read.len().min(HEAD)]);
        }
        self.tail = leaf(&read[read.len().saturating_sub(TAIL)..]);
        self.blocks.push(&read[before..], taken.total);
        self.offset += at as u64;
        taken.total += at as u64;
        taken.bytes += at as u64;
        Ok(if at > 0 { Chunk::Taken } else { Chunk::Nothing })
    }

    fn told_of(&mut self, event_ms: i64) {
        let event_ms = u64::try_from(event_ms).unwrap_or(0);
        let (first, latest) = self.span_ms.unwrap_or((event_ms, event_ms));
        self.span_ms = Some((first, latest.max(event_ms)));
    }

    /// Begins again at the start of the same file, which holds something else now.
    pub(super) fn begin_again(&mut self, position: u64) {
        (self.offset, self.in_long_line, self.header) = (0, false, None);
        (self.head, self.tail) = (leaf(&[]), leaf(&[]));
        (self.blocks, self.unfed) = (Blocks::new(0, position), None);
        (self.columns, self.encoding, self.span_ms) = (Columns::default(), None, None);
    }

    /// Goes on at `offset`, whatever was read before: what stands before it now is what is remembered.
    pub(super) fn go_on_at(&mut self, file: &File, offset: u64) -> io::Result<()> {
        self.blocks.cut_to(offset);
        while self.blocks.end() < offset {
            let at = self.blocks.end();
            let length = (offset - at).min(LEAF);
            let piece = piece(file, at, length)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.blocks.push(&piece, self.blocks.open.to);
        }
        let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (head, tail) = (offset.min(HEAD as u64), offset.min(TAIL as u64));
        self.head = leaf(&piece(file, 0, head)?.ok_or_else(short)?);
        self.tail = leaf(&piece(file, offset - tail, tail)?.ok_or_else(short)?);
        (self.offset, self.in_long_line, self.unfed) = (offset, false, None);
        // What the latest of it was is not known any more.
        self.span_ms = self.span_ms.map(|(first, _)| (first, first));
        self.header = self.header.filter(|at| *at < offset);
        Ok(())
    }

    /// Where, near the offset, the bytes stand that were read last: behind them reading goes on in a file that was
    /// edited. The next line end where they are nowhere.
    pub(super) fn resynchronised(&mut self, file: &File, reader: &Reader) -> io::Result<u64> {
        let encoding = self.encoding_of(file, reader)?;
        // Characters of two bytes begin at even places.
        let from = self.offset.saturating_sub(NEAR) & !1;
        let mut bytes = vec![0; usize::try_from(2 * NEAR).expect("it fits memory")];
        let filled = fill(file, from, &mut bytes)?;
        let (mut ends, mut at) = (Vec::new(), 0);
        while let Some(cut) = split::next(&bytes[at..filled], encoding) {
            at += cut.next;
            ends.push(at);
        }
        let length = usize::try_from(self.offset.min(TAIL as u64)).unwrap_or(TAIL);
        let fits = |end: &&usize| **end >= length && leaf(&bytes[**end - length..**end]) == self.tail;
        let old = usize::try_from(self.offset - from).unwrap_or(filled);
        if let Some(end) = ends.iter().filter(fits).min_by_key(|end| end.abs_diff(old)) {
            return Ok(from + *end as u64);
        }
        Ok(from + ends.iter().find(|end| **end >= old).map_or(filled, |end| *end) as u64)
    }

    /// Remembers how the file is at this look.
    pub(super) fn seen(&mut self, entry_stamp: (u64, i128), written_ms: u64) {
        let grown = self.stamp.is_none_or(|(size, _)| size != entry_stamp.0);
        self.is_suspect |= self.stamp.is_some() && !grown && self.stamp != Some(entry_stamp);
        self.quiet = if self.stamp == Some(entry_stamp) { self.quiet.saturating_add(1) } else { 0 };
        self.stamp = Some(entry_stamp);
        self.written_ms = written_ms;
    }

    /// Bytes not yet read, as far as the last look saw.
    pub(super) fn unread(&self) -> u64 {
        self.stamp.map_or(0, |(size, _)| size.saturating_sub(self.offset))
    }

    /// Whether no folder names the open file any more, and how it is.
    pub(super) fn deleted(&self) -> io::Result<Option<((u64, i128), bool)>> {
        let Some(handle) = &self.handle else { return Ok(None) };
        let meta = handle.metadata()?;
        Ok(Some((stamp(&meta), meta.nlink() == 0)))
    }
}

/// How far from the offset the bytes read last are looked for in an edited file.
const NEAR: u64 = 1024 * 1024;

/// Reads until the buffer is full or the file ends.
pub(super) fn fill(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// `length` bytes from `at`, or `None` when they are not all there.
pub(super) fn piece(file: &File, at: u64, length: u64) -> io::Result<Option<Vec<u8>>> {
    let mut piece = vec![0; usize::try_from(length).expect("pieces are short")];
    Ok((fill(file, at, &mut piece)? == piece.len()).then_some(piece))
}

/// What a look has taken so far.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) records: Records,
    pub(super) bytes: u64,
    /// Bytes read over all of the log's files.
    pub(super) total: u64,
}

impl Taken {
    pub(super) fn is_full(&self) -> bool {
        self.records.lines >= MAX_LINES || self.bytes >= MAX_BYTES
    }

    pub(super) fn line(
        &mut self,
        line: &[u8],
        lines: u32,
        is_end_of_long: bool,
        read: impl FnOnce(&[u8]) -> Line,
    ) {
        self.records.lines += lines;
        if is_end_of_long || line.len() > MAX_LINE {
            self.records.unparsed += lines;
            return;
        }
        match read(line) {
            Line::Record(record) => self.records.records.push(record),
            Line::Skipped => {}
            Line::Unparsed => self.records.unparsed += lines,
        }
    }
}
