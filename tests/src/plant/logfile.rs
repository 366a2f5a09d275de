//! A log file as systems write it: appended to, put aside at midnight, in the encoding of its time.
//!
//! Opens the file for each batch, so that a file deleted or renamed by somebody else is made anew with the next
//! batch. Rotation is by rename, as logrotate does it with `dateext`, `create` and `rotate`.

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
    fn chinese_text_is_written_in_two_bytes_each() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::new(folder.path().join("erp.txt"), Encoding::Gb18030, Rotation::Never);
        log.append("报工成功\r\n").unwrap();
        log.midnight(date(2026, 9, 1)).unwrap();
        let bytes = fs::read(log.path()).unwrap();
        assert_eq!(bytes, [0xb1, 0xa8, 0xb9, 0xa4, 0xb3, 0xc9, 0xb9, 0xa6, b'\r', b'\n']);
    }
}
