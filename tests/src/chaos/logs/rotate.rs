//! How a log's files make room.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::Writer;
use super::book::{Book, Fault};

/// Files that are kept when others have taken their place.
const KEPT: usize = 3;

/// How a log's files make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// `app.log` becomes `app.log.1`, and its writer ends what it was about to write there. The oldest is deleted, and
    /// the new one often has its inode.
    Rename,
    /// A copy is `app.log.1`, and `app.log` is emptied.
    CopyTruncate,
    /// Each file has a date in its name; the oldest are deleted.
    DatedNames,
    /// What was read is deleted, and a new file has its name: a rewrite.
    Delete,
    /// What was read is emptied in its place: a rewrite.
    Truncate,
}

impl Rotation {
    /// What the manifest looks for.
    pub fn pattern(self) -> &'static str {
        match self {
            Self::DatedNames => "app.*.log",
            Self::Rename | Self::CopyTruncate | Self::Delete | Self::Truncate => "app.log",
        }
    }
}

impl Writer {
    /// Where is written now.
    pub(super) fn log(&self) -> PathBuf {
        match self.kind.rotation {
            Rotation::DatedNames => {
                let day = self.files.saturating_sub(1);
                let (year, month, day) = (2025 + day / 336, 1 + day / 28 % 12, 1 + day % 28);
                self.folder.join(format!("app.{year}-{month:02}-{day:02}.log"))
            }
            Rotation::Rename | Rotation::CopyTruncate | Rotation::Delete | Rotation::Truncate => {
                self.folder.join("app.log")
            }
        }
    }

    /// A file begins, empty.
    pub(super) fn begin_file(&mut self) -> io::Result<()> {
        self.files += 1;
        self.offset = 0;
        self.done.clear();
        let file = File::options().append(true).create(true).open(self.log())?;
        if !self.inodes.insert(file.metadata()?.ino()) && self.kind.rotation == Rotation::Rename {
            self.book.inode_reused();
        }
        Ok(())
    }

    /// Makes room.
    pub(super) async fn rotate(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        match self.kind.rotation {
            Rotation::Rename => {
                // Half of what is pending is written under the new name.
                self.flush()?;
                let mut file = File::options().append(true).open(self.log())?;
                self.shift()?;
                fs::rename(self.log(), self.folder.join("app.log.1"))?;
                self.flush_into(&mut file, self.pending.len())?;
                self.book.injected(Fault::Rename);
            }
            Rotation::CopyTruncate => {
                self.flush_all()?;
                self.shift()?;
                fs::copy(self.log(), self.folder.join("app.log.1"))?;
                File::options().write(true).open(self.log())?.set_len(0)?;
                self.book.injected(Fault::CopyTruncate);
            }
            Rotation::DatedNames => {
                self.flush_all()?;
                self.old.push_back((self.log(), self.book.written()));
                self.trim()?;
                self.book.injected(Fault::DatedNames);
            }
            Rotation::Delete => {
                if !self.is_drained(stop).await? {
                    return Ok(());
                }
                self.book.lost(Fault::Delete, self.offset, self.record.now());
                self.book.goes(None, self.record.now());
                fs::remove_file(self.log())?;
                self.begin_file()?;
                self.book.comes(self.record.now());
                self.waits(stop, Book::is_told).await;
                return Ok(());
            }
            Rotation::Truncate => {
                if !self.is_drained(stop).await? {
                    return Ok(());
                }
                self.book.lost(Fault::Truncate, self.offset, self.record.now());
                File::options().write(true).open(self.log())?.set_len(0)?;
            }
        }
        self.begin_file()?;
        Ok(())
    }

    /// Everything is written and has been read; whether there was anything.
    async fn is_drained(&mut self, stop: &CancellationToken) -> anyhow::Result<bool> {
        self.flush_all()?;
        let all = |book: &Book| book.seen() == book.written();
        Ok(self.offset > 0 && self.waits(stop, all).await)
    }

    /// `app.log.1` becomes `app.log.2`, and so on; the oldest is deleted if it was read.
    fn shift(&mut self) -> io::Result<()> {
        let name = |at: usize| self.folder.join(format!("app.log.{at}"));
        for at in (1..=self.old.len()).rev() {
            fs::rename(name(at), name(at + 1))?;
        }
        let written = self.book.written();
        self.old.push_front((PathBuf::new(), written));
        while self.old.len() > KEPT && self.old.back().is_some_and(|(_, last)| *last <= self.book.seen()) {
            fs::remove_file(self.folder.join(format!("app.log.{}", self.old.len())))?;
            self.old.pop_back();
        }
        Ok(())
    }

    /// Deletes the oldest dated files that were read.
    fn trim(&mut self) -> io::Result<()> {
        while self.old.len() > KEPT && self.old.front().is_some_and(|(_, last)| *last <= self.book.seen()) {
            if let Some((path, _)) = self.old.pop_front() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}
