//! A log file as systems write it: appended to, put aside at midnight, in the encoding of its time.
//!
//! Opens the file for each batch, so that a file deleted or renamed by somebody else is made anew with the next
//! batch. The daily rotation is by rename, as logrotate does it with `dateext`, `create` and `rotate`; by hand it can be
//! put aside in every other way. Batches and rotations lock the file, so that no line is lost by the writer.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use encoding_rs::GB18030;
use jiff::civil::Date;

/// How the text becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 without a mark.
    Utf8,
    /// GB18030, as Chinese Windows writes it.
    Gb18030,
}

/// How the file is put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It grows for ever.
    Never,
    /// At midnight it gets the ended day's name (`mes.log-20260722`), and this many of those are kept.
    Daily {
        /// How many.
        keep: usize,
    },
}

/// How the file is put aside by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// Renamed; the next batch makes a new one.
    Rename,
    /// Copied, and emptied.
    CopyTruncate,
    /// Deleted. Nothing of it is kept: only for what has been read.
    Delete,
}

/// A log file and how it is kept.
#[derive(Debug, Clone)]
pub struct LogFile {
    path: PathBuf,
    encoding: Encoding,
    rotation: Rotation,
}

impl LogFile {
    /// A log at this path; the folder must exist. Nothing is written yet.
    pub fn new(path: PathBuf, encoding: Encoding, rotation: Rotation) -> Self {
        Self { path, encoding, rotation }
    }

    /// Where the newest lines are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends whole lines; makes the file when there is none.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&self, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.lock()?;
        match self.encoding {
            Encoding::Utf8 => file.write_all(text.as_bytes()),
            Encoding::Gb18030 => file.write_all(&GB18030.encode(text).0),
        }
    }

    /// The day `ended` is over: puts the file aside if it is kept by day, and makes an empty one.
    ///
    /// # Errors
    /// When the folder refuses.
    pub fn midnight(&self, ended: Date) -> io::Result<()> {
        let Rotation::Daily { keep } = self.rotation else { return Ok(()) };
        if self.path.exists() {
            fs::rename(&self.path, self.aside(ended))?;
        }
        self.append("")?;
        let too_old =
            ended.saturating_sub(jiff::Span::new().days(i64::try_from(keep).unwrap_or(i64::from(i32::MAX))));
        match fs::remove_file(self.aside(too_old)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Puts the file aside as `<name>.1`; what was put aside before moves on to `.2`, and so on.
    ///
    /// # Errors
    /// When the folder refuses.
    pub fn put_aside(&self, how: Aside) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.lock()?;
        if how == Aside::Delete {
            return fs::remove_file(&self.path);
        }
        let newest = (1..).find(|at| !self.numbered(*at).exists()).unwrap_or(1);
        for at in (1..newest).rev() {
            fs::rename(self.numbered(at), self.numbered(at + 1))?;
        }
        match how {
            Aside::CopyTruncate => {
                fs::copy(&self.path, self.numbered(1))?;
                file.set_len(0)
            }
            Aside::Rename | Aside::Delete => fs::rename(&self.path, self.numbered(1)),
        }
    }

    /// The name it has after so many rotations by hand.
    pub fn numbered(&self, at: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{at}"));
        PathBuf::from(name)
    }

    /// The name it gets at the end of a day.
    pub fn aside(&self, ended: Date) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(ended.strftime("-%Y%m%d").to_string());
        PathBuf::from(name)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_day_is_put_aside_by_rename_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation::Daily { keep: 2 };
        let log = LogFile::new(folder.path().join("mes.log"), Encoding::Utf8, rotation);
        for day in 1..=4 {
            log.append(&format!("line of day {day}\n")).unwrap();
            log.midnight(date(2026, 9, day)).unwrap();
            assert_eq!(fs::read(log.path()).unwrap(), b"");
        }
        assert_eq!(fs::read(log.aside(date(2026, 9, 4))).unwrap(), b"line of day 4\n");
        assert!(log.aside(date(2026, 9, 3)).exists());
        assert!(!log.aside(date(2026, 9, 2)).exists());
    }

    #[test]
    fn what_is_put_aside_by_hand_is_all_there_under_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::new(folder.path().join("mes.log"), Encoding::Utf8, Rotation::Never);
        for (line, how) in [("1\n", Aside::Rename), ("2\n", Aside::CopyTruncate), ("3\n", Aside::Delete)] {
            log.append(line).unwrap();
            log.put_aside(how).unwrap();
        }
        log.append("4\n").unwrap();
        let read = |path: &Path| fs::read(path).unwrap();
        assert_eq!(
            (read(log.path()), read(&log.numbered(1)), read(&log.numbered(2))),
            (b"4\n".into(), b"2\n".into(), b"1\n".into())
        );
        assert!(!log.numbered(3).exists());
    }

    #[test]
    fn chinese_text_is_written_in_two_bytes_each() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::new(folder.path().join("erp.txt"), Encoding::Gb18030, Rotation::Never);
        log.append("报工成功\r\n").unwrap();
        log.midnight(date(2026, 9, 1)).unwrap();
        let bytes = fs::read(log.path()).unwrap();
        assert_eq!(bytes, [0xb1, 0xa8, 0xb9, 0xa4, 0xb3, 0xc9, 0xb9, 0xa6, b'\r', b'\n']);
    }
}
