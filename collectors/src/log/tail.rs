//! A log's files: what of them is new, in order, up to the bounds of one look.
//!
//! Everything here blocks; the collector calls it on a thread that may. Files that were renamed away are read before
//! those that took their place, which wait one look longer than needed, because a writer may still hold the old one.
//! What became of a file that is not where and what it was is decided in [`super::fate`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use proof::Record;
use proof::observation::{Records, Rewrite};
use sha2::{Digest as _, Sha256};

use super::bookmark::Bookmark;
use super::file::{Chunk, Followed, Taken};
use super::lines::{Columns, Reader};
use super::places::{Entry, Listing, Places};
use super::recheck::Recheck;
use super::{sample, text};

/// Most files that are held open.
const MAX_OPEN: usize = 64;

/// One look's outcome.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) records: Records,
    pub(super) bookmark: Bookmark,
    /// Nothing more is to be read now.
    pub(super) caught_up: bool,
}

/// Follows a log.
pub(super) struct Tail {
    pub(super) places: Places,
    pub(super) reader: Reader,
    /// Looks of an hour.
    hour: u32,
    /// Oldest first.
    pub(super) files: Vec<Followed>,
    /// Bytes read over all of the log's files.
    pub(super) total: u64,
    /// The latest of the files that were let go: what is not later is not new.
    pub(super) forgotten: (u64, u64),
    /// How many new files wait until others are let go.
    waiting: usize,
    recheck: Recheck,
    /// The file that used up the last look: others come before it.
    last: Option<(u64, u64)>,
    buffer: Vec<u8>,
}

impl Tail {
    /// Goes on from `resume`; `hour` is how many looks an hour has.
    pub(super) fn new(places: Places, reader: Reader, resume: Option<Bookmark>, hour: u32) -> Self {
        let resume = resume.unwrap_or_default();
        let files = resume.files.into_iter().map(Followed::of).collect();
        let (total, recheck) = (resume.total, Recheck::at(resume.checked));
        let forgotten = resume.forgotten;
        let (waiting, last, buffer) = (0, None, Vec::new());
        Self { places, reader, hour, files, total, forgotten, waiting, recheck, last, buffer }
    }

    /// Reads what is new, up to the bounds of one look.
    ///
    /// # Errors
    /// When nothing can be read; nothing has been taken then.
    pub(super) fn look(&mut self) -> io::Result<Batch> {
        let (listing, mut rewrites) = (self.listing()?, Vec::new());
        self.place(listing, &mut rewrites)?;
        let held = self.settle();
        let mut taken = Taken { total: self.total, ..Taken::default() };
        let read = self.read(&held, &mut taken);
        let nothing = taken.records.lines == 0 && rewrites.is_empty();
        if nothing {
            // One of many that cannot be read does not silence the others.
            if self.files.len() <= 1 {
                read?;
            }
            if !self.files.iter().any(|file| !file.is_gone || file.unread() > 0) {
                return Err(io::Error::from(io::ErrorKind::NotFound));
            }
        }
        let was_read = !taken.is_full();
        if was_read {
            self.recheck.look(&mut self.files, &mut rewrites);
        }
        let let_go = self.forget();
        // While files wait for those before them the next look follows at once, if it can take up any.
        let caught_up = was_read && (self.waiting == 0 || let_go == 0);
        Ok(self.batch(taken, rewrites, caught_up))
    }

    fn batch(&mut self, taken: Taken, rewrites: Vec<Rewrite>, caught_up: bool) -> Batch {
        let mut records = taken.records;
        (records.from, records.to) = (self.total, taken.total);
        self.total = taken.total;
        self.buffer.truncate(0);
        let files = self.files.iter().map(Followed::mark).collect();
        let (checked, forgotten) = (self.recheck.mark(), self.forgotten);
        let bookmark = Bookmark { total: self.total, checked, forgotten, files };
        records.bookmark = bookmark.encode();
        records.rewrites = rewrites;
        Batch { records, bookmark, caught_up }
    }

    fn listing(&self) -> io::Result<Listing> {
        let known: BTreeSet<u64> = self.files.iter().map(|file| file.inode).collect();
        self.places.list(&|inode| known.contains(&inode))
    }

    /// Finds every known file again and takes up new ones.
    fn place(&mut self, mut listing: Listing, rewrites: &mut Vec<Rewrite>) -> io::Result<()> {
        let mut free: Vec<_> = listing.entries.iter().collect();
        let mut lost = Vec::new();
        for at in 0..self.files.len() {
            if !self.is_found(at, &mut free, rewrites)? {
                lost.push(at);
            }
        }
        // A rotation may have come between the listing and now. Whatever takes a file's place or its content away is
        // done when that can be seen, so it is in a listing of afterwards: that one decides.
        if lost.iter().any(|at| !self.files[*at].is_gone) {
            listing = self.listing()?;
            let is_found = |at: usize, entry: &Entry| !lost.contains(&at) && self.files[at].is(entry);
            let is_free = |entry: &&Entry| !(0..self.files.len()).any(|at| is_found(at, entry));
            free = listing.entries.iter().filter(is_free).collect();
            let mut still = Vec::new();
            for at in lost {
                if !self.is_found(at, &mut free, rewrites)? {
                    still.push(at);
                }
            }
            lost = still;
        }
        let mut dropped = Vec::new();
        for at in lost {
            if !self.decide(at, &listing, &mut free, rewrites)? {
                dropped.push(at);
            }
        }
        self.written_beside_a_copy(&mut free, rewrites)?;
        self.waiting = self.take_up(&free);
        for at in dropped.into_iter().rev() {
            self.files.remove(at);
        }
        // An empty one that was deleted may come back, by its inode, as the newest.
        self.files.sort_by_key(|file| file.is_home && !file.is_gone);
        Ok(())
    }

    /// Whether a known file is among those that are free, under whatever name, as it was.
    fn is_found(
        &mut self,
        at: usize,
        free: &mut Vec<&Entry>,
        rewrites: &mut Vec<Rewrite>,
    ) -> io::Result<bool> {
        let Some(entry) = free.iter().position(|entry| self.files[at].is(entry)) else { return Ok(false) };
        match self.is_intact(at, free[entry], rewrites) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            // One of many that cannot be read does not silence the others: it is judged when it can be.
            Err(error) if self.files.len() > 1 => {
                let file = &mut self.files[at];
                tracing::debug!(path = %file.path.display(), %error, "one file of a log cannot be read");
                file.found(free.remove(entry));
                file.stamp = None;
                return Ok(true);
            }
            Err(error) => return Err(error),
        }
        match self.copied_unread(at, free[entry], free)? {
            Some(copy) => self.go_on_in(at, free.remove(copy))?,
            None => self.files[at].found(free.remove(entry)),
        }
        Ok(true)
    }

    /// Files whose place was taken are read for one more look before who took it: whose homes to leave alone now.
    fn settle(&mut self) -> BTreeSet<u64> {
        let taken: BTreeSet<u64> =
            self.files.iter().filter(|file| file.is_home && !file.is_gone).map(|file| file.home).collect();
        let newest = self.files.iter().filter(|file| !file.is_gone).map(|file| file.written_ms).max();
        let is_pattern = matches!(self.places, Places::Pattern { .. });
        let mut held = BTreeSet::new();
        for file in &mut self.files {
            if (!file.is_home || file.is_gone) && taken.contains(&file.home) {
                if !file.was_succeeded {
                    held.insert(file.home);
                    file.was_succeeded = true;
                } else {
                    file.is_ended = true;
                }
            } else if is_pattern && file.is_home {
                // A file of a past day: nobody will end its last line.
                file.is_ended =
                    file.quiet >= self.hour && newest.is_some_and(|newest| newest > file.written_ms);
            }
        }
        held
    }

    /// Reads on in each file, the oldest first.
    fn read(&mut self, held: &BTreeSet<u64>, taken: &mut Taken) -> io::Result<()> {
        let mut order: Vec<_> = (0..self.files.len()).filter(|at| self.files[*at].unread() > 0).collect();
        order.retain(|at| !(self.files[*at].is_home && held.contains(&self.files[*at].home)));
        order.sort_by_key(|at| {
            let file = &self.files[*at];
            let is_last = self.last == Some((file.device, file.inode));
            let is_pattern = matches!(self.places, Places::Pattern { .. });
            (is_pattern && is_last, file.is_home && !file.is_gone, file.written_ms, *at)
        });
        self.last = None;
        let mut failed = None;
        for at in order {
            let file = &mut self.files[at];
            loop {
                if taken.is_full() {
                    self.last = Some((file.device, file.inode));
                    return Ok(());
                }
                match file.read(&mut self.buffer, &mut self.reader, taken) {
                    Ok(Chunk::Taken) => {}
                    Ok(Chunk::Nothing) => break,
                    Ok(Chunk::Changed) => {
                        file.stamp = None;
                        break;
                    }
                    Err(error) => {
                        tracing::debug!(path = %file.path.display(), %error, "one file of a log cannot be read");
                        failed = Some(error);
                        break;
                    }
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Lets go of what is over: files that are gone and read, as many of those that were read as there are new ones
    /// that wait, and handles of those that rest. Returns how many made room for others.
    fn forget(&mut self) -> usize {
        let newest: BTreeMap<u64, u64> = self.files.iter().map(|file| (file.home, file.inode)).collect();
        let is_one = matches!(self.places, Places::One(_));
        self.files.retain(|file| {
            // Who stands in its place next decides what became of it.
            let waits = is_one && newest.get(&file.home) == Some(&file.inode);
            !file.is_gone || waits || !file.is_ended || file.unread() > 0
        });
        let age = |file: &Followed| (file.written_ms, file.home);
        let is_read = |file: &Followed| file.unread() == 0 && file.stamp.is_some();
        let mut read: Vec<_> = self.files.iter().filter(|file| is_read(file)).map(age).collect();
        read.sort_unstable();
        read.truncate(self.waiting);
        if let Some(last) = read.last() {
            let (waiting, let_go) = (self.waiting, read.len());
            tracing::info!(waiting, let_go, "a log has more files than can be followed at once");
            self.forgotten = self.forgotten.max(*last);
            self.files.retain(|file| !is_read(file) || age(file) > *last);
        }
        let most = (256 / self.files.len().max(1)).clamp(2, 32);
        for file in &mut self.files {
            file.blocks.shrink(most);
        }
        let mut open: Vec<_> = (0..self.files.len()).filter(|at| self.files[*at].handle.is_some()).collect();
        if open.len() > MAX_OPEN {
            open.sort_by_key(|at| (self.files[*at].is_gone, std::cmp::Reverse(self.files[*at].quiet)));
            open.truncate(open.len() - MAX_OPEN);
            open.into_iter().for_each(|at| self.files[at].handle = None);
        }
        read.len()
    }
}

/// Records, how many lines, how many of them were not understood, and those.
pub(super) type LastLines = (Vec<Record>, u32, u32, Vec<String>);

/// When the first record of a file was made, where one of its first lines says so, and SHA-256 of its first 64 KiB.
pub(super) fn beginning(path: &Path, mut reader: Reader) -> io::Result<(Option<i64>, String)> {
    const LOOKED_AT: u64 = 64 * 1024;
    let mut columns = Columns::default();
    let encoding = sample::head(path, &mut reader, &mut columns)?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(std::fs::File::open(path)?, LOOKED_AT), &mut bytes)?;
    let mut taken = Taken::default();
    for (at, cut, line) in sample::cuts(0, &bytes, &reader, encoding) {
        taken.line(line, cut.lines, false, |line| reader.read(at, line, encoding, &mut columns));
    }
    let first_ms = taken.records.records.iter().find_map(|record| record.event_ms);
    let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((first_ms, digest))
}

/// What is made of the last lines of a file: for `probe`. Positions are the file's.
pub(super) fn last_lines(path: &Path, mut reader: Reader) -> io::Result<LastLines> {
    const LINES: usize = 20;
    let mut columns = Columns::default();
    let encoding = sample::head(path, &mut reader, &mut columns)?;
    let (from, bytes) = sample::end_of(path)?;
    let cuts = sample::cuts(from, &bytes, &reader, encoding);
    let (mut taken, mut not_understood) = (Taken::default(), Vec::new());
    for (at, cut, line) in &cuts[cuts.len().saturating_sub(LINES)..] {
        let before = taken.records.unparsed;
        taken.line(line, cut.lines, false, |line| reader.read(*at, line, encoding, &mut columns));
        if taken.records.unparsed > before {
            not_understood.push(text::decode(encoding, line).into_owned());
        }
    }
    let Records { records, lines, unparsed, .. } = taken.records;
    Ok((records, lines, unparsed, not_understood))
}

#[cfg(test)]
mod tests;
