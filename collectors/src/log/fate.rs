//! What became of a file that is not where it was, or not what it was: rotated, or rewritten.
//!
//! A rotation is a rename, a copy that still holds what was read (copytruncate), a packed copy, or a deletion of what
//! had been renamed away. Everything else that takes away what had been read is a rewrite, told once, with the positions
//! of what is gone. Where a file cannot be seen any more the doubt is for the firm: it was replaced when what stands in
//! its place tells of the same time once more, and trimmed when it goes on where the other ended.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use proof::observation::Rewrite;
use proof::wire::RewriteKind;

use super::bookmark::{HEAD, MAX_FILES, TAIL};
use super::file::{CHUNK, Followed, fill, piece};
use super::lines::{Columns, Line, Reader};
use super::places::{Entry, Listing, Places, bases, home_of, unpacked};
use super::tail::Tail;
use super::{split, text};

/// Bytes at either end of two files that are compared.
const ENDS: u64 = 64 * 1024;
/// How far back a file may begin of the one before it: writers of several threads, a clock that was set.
const BACK_MS: u64 = 10 * 60_000;
/// How much smaller a file may be packed.
const MOST_PACKED: u64 = 1_000;
/// How much more may have been read of a file than its copy holds: what was written between copying and truncating.
const MISSED: u64 = 1024 * 1024;

impl Followed {
    /// Is there, under whatever name.
    pub(super) fn found(&mut self, entry: &Entry) {
        self.path.clone_from(&entry.path);
        self.is_home = home_of(&entry.path) == self.home;
        self.is_gone = false;
        if self.is_home {
            (self.was_succeeded, self.is_ended) = (false, false);
        }
        self.seen(entry.stamp, entry.written_ms);
    }

    /// What was opened just now is something else. Nothing says that it ever was this file: the inode of a deleted one is
    /// given to the next, and only who was held open all the time has kept his own.
    fn never_held(&mut self, was_open: bool) {
        if !was_open {
            self.handle = None;
        }
    }

    fn rewritten(&self, kind: RewriteKind, from: u64) -> Rewrite {
        let (from, to) = self.blocks.positions_from(from);
        Rewrite { kind, from, to, rows: 0 }
    }
}

impl Tail {
    /// Whether the file at `entry`, which has the inode of the known file, still holds what was read of it.
    pub(super) fn is_intact(
        &mut self,
        at: usize,
        entry: &Entry,
        rewrites: &mut Vec<Rewrite>,
    ) -> io::Result<bool> {
        let file = &mut self.files[at];
        if file.stamp == Some(entry.stamp) {
            return Ok(true);
        }
        if entry.size < file.offset {
            return Ok(false);
        }
        if file.home == 0 {
            // Of a bookmark of version 1.
            file.home = self.places.home().unwrap_or_else(|| home_of(&entry.path));
        }
        file.path.clone_from(&entry.path);
        let was_open = file.handle.is_some();
        let is_new = !was_open && file.stamp.is_none();
        let handle = match file.open() {
            Ok(handle) => handle,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if file.offset == 0 {
            return Ok(true);
        }
        if !file.is_held_by(&handle)? {
            file.never_held(was_open);
            return Ok(false);
        }
        if !file.has_open_leaf(&handle)? {
            if !file.is_held_by(&handle)? {
                // Emptied between the two questions.
                file.never_held(was_open);
                return Ok(false);
            }
            tracing::warn!(path = %file.path.display(), "what was read last of a log was changed");
            let from = file.blocks.open_start();
            rewrites.push(file.rewritten(RewriteKind::Edited, from));
        }
        file.feed_open_leaf(&handle)?;
        if is_new {
            file.read_header(&handle, &mut self.reader)?;
        }
        Ok(true)
    }

    /// The copy of a file that was emptied before more than its beginning was read: it may begin again as it did.
    pub(super) fn copied_unread(
        &mut self,
        at: usize,
        home: &Entry,
        free: &[&Entry],
    ) -> io::Result<Option<usize>> {
        let file = &self.files[at];
        if file.offset > HEAD as u64 || home_of(&home.path) != file.home {
            return Ok(None);
        }
        let mut oldest: Option<(u64, usize)> = None;
        for (candidate, entry) in free.iter().enumerate() {
            // Written to since the last look, and more than was read.
            let is_newer = entry.written_ms > file.written_ms && entry.size > file.offset;
            let is_another = self.files.iter().any(|other| other.is(entry));
            if entry.is_home || !is_newer || is_another || !self.is_of(file, entry) {
                continue;
            }
            let Ok(copy) = File::open(&entry.path) else { continue };
            let there = File::open(&home.path)?;
            let is_copy_only = home.size >= entry.size && are_alike(&copy, &there, entry.size)?;
            if file.begins(&copy)? && !is_copy_only {
                oldest = oldest.into_iter().chain([(entry.written_ms, candidate)]).min();
            }
        }
        Ok(oldest.map(|(_, candidate)| candidate))
    }

    /// Goes on in a copy that nobody writes to.
    pub(super) fn go_on_in(&mut self, at: usize, entry: &Entry) -> io::Result<()> {
        let there = File::open(&entry.path)?;
        let file = &mut self.files[at];
        file.feed_open_leaf(&there)?;
        file.move_to(entry, there);
        file.found(entry);
        (file.was_succeeded, file.is_ended) = (!file.is_home, !file.is_home);
        let handle = file.open()?;
        file.read_header(&handle, &mut self.reader)
    }

    /// What became of a known file that is nowhere as it was. `false` when it is to be forgotten.
    pub(super) fn decide(
        &mut self,
        at: usize,
        listing: &Listing,
        free: &mut Vec<&Entry>,
        rewrites: &mut Vec<Rewrite>,
    ) -> io::Result<bool> {
        if self.has_moved(at, free)? {
            return Ok(true);
        }
        let is_newest = !self.files[at + 1..].iter().any(|file| file.home == self.files[at].home);
        let file = &mut self.files[at];
        let home = free.iter().position(|entry| home_of(&entry.path) == file.home);
        // A file that is not held open may have been deleted, and its inode be another's now.
        let here = free.iter().position(|entry| file.is(entry));
        let here = here.filter(|here| file.handle.is_some() || !file.is_home || home == Some(*here));
        if let Some(here) = here {
            if home == Some(here) {
                let copied = self.is_copied_in_part(at, free)?;
                if let Some(end) = copied {
                    // What was written between copying and emptying is nowhere; that is how it is with such rotations.
                    let file = &self.files[at];
                    rewrites.push(file.rewritten(RewriteKind::Trimmed, end));
                }
                if copied.is_some() || self.is_packed(at, listing) {
                    self.files[at].is_gone = true;
                    return Ok(false);
                }
            }
            return self.rewritten_in_place(at, free.remove(here), rewrites).map(|()| true);
        }
        let deleted = file.deleted()?;
        if let Some((stamp, is_deleted)) = deleted {
            let written_ms = file.written_ms;
            file.seen(stamp, written_ms);
            file.is_ended |= is_deleted && file.quiet > 0;
        }
        // Renamed to where we do not look; it is read to its end through its handle.
        let is_elsewhere = deleted.is_some_and(|(_, is_deleted)| !is_deleted);
        let is_packed = self.is_packed(at, listing);
        if !is_elsewhere && !is_packed && self.is_written_anew(at, free, rewrites)? {
            return Ok(true);
        }
        let was_rotated_out = self.is_rotated_out(at, free);
        let is_one = matches!(self.places, Places::One(_));
        let was_gone = std::mem::replace(&mut self.files[at].is_gone, true);
        let is_nowhere = !is_elsewhere && !is_packed && !was_rotated_out && self.files[at].offset > 0;
        let Some(home) = home.filter(|_| is_newest) else {
            // Files of a pattern go from the oldest on; one from among them is told of, and is no sign by itself.
            let written_ms = self.files[at].written_ms;
            let is_oldest = !self.files.iter().any(|file| !file.is_gone && file.written_ms < written_ms);
            if !is_one && is_nowhere && !was_gone && !is_oldest && self.files[at].is_home {
                rewrites.push(self.files[at].rewritten(RewriteKind::Trimmed, 0));
            }
            self.files[at].is_ended |= !is_newest;
            // Who stands in its place next decides what became of it.
            return Ok(deleted.is_some() || is_one && is_newest);
        };
        if is_nowhere {
            let kind = match self.tells_again(at, &free[home].path)? {
                Some(true) => RewriteKind::Replaced,
                Some(false) | None => RewriteKind::Trimmed,
            };
            tracing::warn!(path = %free[home].path.display(), ?kind, "what was read of a log is nowhere any more");
            rewrites.push(self.files[at].rewritten(kind, 0));
        }
        Ok(deleted.is_some())
    }

    /// Whether the file at `path` begins with the time that a known one tells of, and does not go on where that one
    /// ended. `None` where times say nothing.
    fn tells_again(&mut self, at: usize, path: &Path) -> io::Result<Option<bool>> {
        let Some((first, latest)) = self.files[at].span_ms else { return Ok(None) };
        let Ok(there) = File::open(path) else { return Ok(None) };
        let begins = first_event(&there, &mut self.reader)?;
        Ok(begins.map(|begins| begins <= first || begins.saturating_add(BACK_MS) < latest))
    }

    /// Files that were renamed away, and in whose place stands what they were, written anew: an editor that keeps a
    /// copy. Such a file is followed as what it was, and its copy is not.
    pub(super) fn written_beside_a_copy(
        &mut self,
        free: &mut Vec<&Entry>,
        rewrites: &mut Vec<Rewrite>,
    ) -> io::Result<()> {
        for at in 0..self.files.len() {
            let is_newest = !self.files[at + 1..].iter().any(|file| file.home == self.files[at].home);
            let file = &self.files[at];
            if is_newest && !file.is_home && !file.is_gone && !file.was_succeeded {
                self.is_written_anew(at, free, rewrites)?;
            }
        }
        Ok(())
    }

    /// Whether another file begins as this one: written anew under its name, as editors do it.
    fn is_written_anew(
        &mut self,
        at: usize,
        free: &mut Vec<&Entry>,
        rewrites: &mut Vec<Rewrite>,
    ) -> io::Result<bool> {
        let file = &mut self.files[at];
        if file.offset < HEAD as u64 {
            return Ok(false);
        }
        // Under its own name: files of a pattern may all begin alike.
        let home = file.home;
        let Some(candidate) = free.iter().position(|entry| home_of(&entry.path) == home) else {
            return Ok(false);
        };
        let path = &free[candidate].path;
        let Ok(there) = File::open(path) else { return Ok(false) };
        if !file.begins(&there)? || self.tells_again(at, path)? != Some(true) {
            return Ok(false);
        }
        let entry = free.remove(candidate);
        self.files[at].move_to(entry, there);
        self.edited(at, entry, rewrites).map(|()| true)
    }

    /// Finds what was read in another file: a copy made before the file was truncated, one moved to another disk, one
    /// restored.
    fn has_moved(&mut self, at: usize, free: &mut Vec<&Entry>) -> io::Result<bool> {
        let file = &mut self.files[at];
        // Of little that was read it is known by inode alone; but that one holds something else now, too.
        let is_here = free.iter().any(|entry| file.is(entry));
        if file.offset == 0 || file.offset < TAIL as u64 && !is_here {
            return Ok(false);
        }
        // Several may begin alike: the first that was written since is it, and those after it are of later times.
        let mut order: Vec<_> = (0..free.len()).collect();
        order.sort_by_key(|candidate| {
            let entry = free[*candidate];
            (entry.written_ms < file.written_ms, age(entry))
        });
        for candidate in order {
            let entry = free[candidate];
            if file.is(entry) || entry.size < file.offset {
                continue;
            }
            let Ok(there) = File::open(&entry.path) else { continue };
            if file.is_held_by(&there)? && file.has_open_leaf(&there)? {
                if file.home == 0 {
                    file.home = self.places.home().unwrap_or_else(|| home_of(&entry.path));
                }
                self.go_on_in(at, entry)?;
                free.remove(candidate);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The file itself is not what it was.
    fn rewritten_in_place(
        &mut self,
        at: usize,
        entry: &Entry,
        rewrites: &mut Vec<Rewrite>,
    ) -> io::Result<()> {
        let total = self.total;
        let file = &mut self.files[at];
        file.path.clone_from(&entry.path);
        let was_open = file.handle.is_some();
        let handle = file.open()?;
        let begins = entry.size >= file.offset.min(HEAD as u64) && file.begins(&handle)?;
        let tells_again = self.tells_again(at, &entry.path)?;
        // A long header is written anew with every new log: what goes on in time is another one.
        let begins = begins && tells_again != Some(false);
        let file = &mut self.files[at];
        tracing::warn!(path = %entry.path.display(), read = file.offset, size = entry.size, "log was truncated or rewritten");
        if begins && file.offset > 0 && entry.size < file.offset {
            rewrites.push(file.rewritten(RewriteKind::Cut, entry.size));
            file.go_on_at(&handle, entry.size)?;
        } else if begins && file.offset >= HEAD as u64 {
            return self.edited(at, entry, rewrites);
        } else {
            // While it is held open its inode is nobody else's; of a deleted file another one may have it.
            let kind = match tells_again {
                _ if was_open => RewriteKind::Cut,
                Some(true) => RewriteKind::Replaced,
                Some(false) | None => RewriteKind::Trimmed,
            };
            rewrites.push(file.rewritten(kind, 0));
            file.begin_again(total);
        }
        file.stamp = None;
        file.found(entry);
        Ok(())
    }

    /// It begins as it did and is something else at its end: goes on behind what was read last.
    fn edited(&mut self, at: usize, entry: &Entry, rewrites: &mut Vec<Rewrite>) -> io::Result<()> {
        let file = &mut self.files[at];
        let handle = file.open()?;
        let from = file.blocks.open_start();
        let (kind, from) = if entry.size < file.offset {
            (RewriteKind::Cut, entry.size)
        } else {
            (RewriteKind::Edited, from)
        };
        rewrites.push(file.rewritten(kind, from));
        let offset = file.resynchronised(&handle, &self.reader)?.min(entry.size);
        file.go_on_at(&handle, offset)?;
        file.stamp = None;
        file.found(entry);
        // What else was changed of it is found by reading all of it again.
        file.is_suspect = true;
        Ok(())
    }

    /// Whether it was packed: a packed file with its name or one it may have been renamed to, not older than it is, and
    /// not of less than was read.
    fn is_packed(&self, at: usize, listing: &Listing) -> bool {
        let file = &self.files[at];
        listing.packed.iter().any(|(path, size, written_ms)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(base) = unpacked(&name) else { return false };
            let beside = |name: &str| home_of(&path.with_file_name(name)) == file.home;
            let named = beside(base) || bases(base).any(|base| beside(&base));
            // Whole seconds in a packed file's time.
            named && written_ms + 1_000 > file.written_ms && holds_as_much(path, *size, file.offset)
        })
    }

    /// Where a copy ends that holds all that was read but its end: written to after it was copied, read here, and then
    /// truncated.
    fn is_copied_in_part(&self, at: usize, free: &[&Entry]) -> io::Result<Option<u64>> {
        let file = &self.files[at];
        for entry in free.iter().filter(|entry| !file.is(entry) && home_of(&entry.path) != file.home) {
            let missed = file.offset.saturating_sub(entry.size);
            if missed == 0 || missed > MISSED || entry.size < HEAD as u64 {
                continue;
            }
            let Ok(there) = File::open(&entry.path) else { continue };
            if file.begins(&there)? {
                return Ok(Some(entry.size));
            }
        }
        Ok(None)
    }

    /// Whether files that were written later have been renamed away too: it went before them.
    fn is_rotated_out(&self, at: usize, free: &[&Entry]) -> bool {
        let file = &self.files[at];
        free.iter().any(|entry| {
            home_of(&entry.path) != file.home && entry.written_ms > file.written_ms && self.is_of(file, entry)
        })
    }

    /// Whether a file may have been the log at that home.
    fn is_of(&self, file: &Followed, entry: &Entry) -> bool {
        let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
        bases(&name).any(|base| home_of(&entry.path.with_file_name(base)) == file.home)
    }

    /// Takes up files that nothing was read of: those that are where logs are written, and those that were renamed away
    /// from there between two looks.
    ///
    /// Returns how many have to wait until others are let go.
    pub(super) fn take_up(&mut self, free: &[&Entry]) -> usize {
        let mut new: Vec<&Entry> = Vec::new();
        for entry in free {
            if entry.is_home {
                if age(entry) > self.forgotten && !self.is_copy_of_known(entry) {
                    new.push(entry);
                }
                continue;
            }
            let newest = self.files.iter().rev().find(|file| self.is_of(file, entry));
            if newest
                .is_some_and(|file| (file.is_gone || !file.is_home) && entry.written_ms > file.written_ms)
                && !is_being_copied(entry, free)
            {
                new.push(entry);
            }
        }
        new.sort_by_key(|entry| {
            (entry.is_home, age(entry).0, std::cmp::Reverse(entry.path.as_os_str().len()), age(entry).1)
        });
        let room = MAX_FILES.saturating_sub(self.files.len());
        let waiting = new.len().saturating_sub(room);
        for entry in new.into_iter().take(room) {
            let mut file = Followed::new(entry, self.total);
            let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
            if !entry.is_home {
                let of = self.files.iter().find(|known| self.is_of(known, entry)).map(|known| known.home);
                file.home = of.unwrap_or(file.home);
                debug_assert!(!name.is_empty());
            }
            file.found(entry);
            (file.was_succeeded, file.is_ended) = (!entry.is_home, !entry.is_home);
            self.files.push(file);
        }
        waiting
    }

    /// Whether a file is, as far as it goes, the same as one that is followed: a copy, perhaps one being made.
    fn is_copy_of_known(&self, entry: &Entry) -> bool {
        if matches!(self.places, Places::One(_)) || entry.size < TAIL as u64 {
            return false;
        }
        let Ok(copy) = File::open(&entry.path) else { return false };
        self.files.iter().filter(|file| !file.is_gone && file.offset >= TAIL as u64).any(|file| {
            let there = || file.handle.as_deref().map_or_else(|| File::open(&file.path), File::try_clone);
            // A copy is never the longer one; a file that only begins alike becomes it.
            let is_longer = |there: &File| there.metadata().is_ok_and(|meta| meta.len() < entry.size);
            there().is_ok_and(|there| {
                !is_longer(&there) && are_alike(&copy, &there, entry.size).unwrap_or(false)
            })
        })
    }
}

/// Whether a file is a copy of one that is still to be emptied; that one is read, and found again in its copy.
fn is_being_copied(entry: &Entry, free: &[&Entry]) -> bool {
    let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
    let is_home = |home: &&&Entry| {
        home.is_home
            && bases(&name).any(|base| home_of(&entry.path.with_file_name(base)) == home_of(&home.path))
    };
    free.iter().filter(is_home).any(|home| {
        // Files that hold no more than a header are all alike; a copy is not older than what it is of.
        let may_be = entry.size > 0
            && entry.size <= home.size
            && (entry.written_ms >= home.written_ms || entry.size > HEAD as u64);
        let alike = || are_alike(&File::open(&entry.path)?, &File::open(&home.path)?, entry.size);
        may_be && alike().unwrap_or(false)
    })
}

/// When a file was written to, and of several at the same moment which comes first.
pub(super) fn age(entry: &Entry) -> (u64, u64) {
    (entry.written_ms, home_of(&entry.path))
}

/// The time of the first record that has one, Unix ms.
fn first_event(file: &File, reader: &mut Reader) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; CHUNK];
    let filled = fill(file, 0, &mut bytes)?;
    let encoding = text::marked(reader.encoding(), &bytes[..filled]);
    let (mut rest, mut columns) = (&bytes[..filled], Columns::default());
    loop {
        let cut = if reader.has_records_of_several_lines() {
            split::record(rest, reader, encoding, true)
        } else {
            split::next(rest, encoding)
        };
        let Some(cut) = cut else { return Ok(None) };
        if let Line::Record(record) = reader.read(0, &rest[..cut.end], encoding, &mut columns)
            && let Some(event_ms) = record.event_ms
        {
            return Ok(u64::try_from(event_ms).ok());
        }
        rest = &rest[cut.next..];
    }
}

/// Whether two files begin alike, and are alike before the end of the shorter one.
fn are_alike(copy: &File, file: &File, size: u64) -> io::Result<bool> {
    let size = size.min(file.metadata()?.len());
    for from in [0, size.saturating_sub(ENDS)] {
        let length = (size - from).min(if from == 0 { HEAD as u64 } else { ENDS });
        let (one, other) = (piece(copy, from, length)?, piece(file, from, length)?);
        if one.is_none() || one != other {
            return Ok(false);
        }
    }
    let length = size.min(ENDS);
    Ok(piece(copy, 0, length)? == piece(file, 0, length)?)
}

/// Whether a packed file may hold as much as was read. gzip says how long its content is, modulo 4 GiB.
fn holds_as_much(path: &Path, size: u64, read: u64) -> bool {
    if size.saturating_mul(MOST_PACKED) < read {
        return false;
    }
    if path.extension().is_none_or(|ending| ending != "gz") {
        return size > 0;
    }
    let mut length = [0; 4];
    let there = File::open(path).and_then(|file| file.read_exact_at(&mut length, size.saturating_sub(4)));
    there.is_err() || u64::from(u32::from_le_bytes(length)) >= read & 0xFFFF_FFFF
}
