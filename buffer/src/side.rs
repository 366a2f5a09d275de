//! The files beside the database: their names, the reserve, and databases set aside.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::BufferError;
use crate::error::file;
use crate::head::sync_folder;

/// Real blocks kept for the moment the disk is full.
const RESERVE: usize = 1024 * 1024;

/// Most databases set aside.
const MOST_SET_ASIDE: usize = 2;

/// `path` with something behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Takes the reserve if it is not there. A disk without room for it is no error: `false`.
pub(crate) fn take_reserve(path: &Path) -> bool {
    let reserve = beside(path, ".reserve");
    if reserve_held(path) {
        return true;
    }
    // Not zeros: a file system that compresses would keep no blocks for them.
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut filler = Vec::with_capacity(RESERVE);
    while filler.len() < RESERVE {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        filler.extend_from_slice(&(noise ^ (noise >> 29)).to_le_bytes());
    }
    let taken = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&reserve)
        .and_then(|mut file| file.write_all(&filler).and_then(|()| file.sync_all()));
    if taken.is_err() {
        release_reserve(path);
    }
    taken.is_ok()
}

/// Whether the reserve is there.
pub(crate) fn reserve_held(path: &Path) -> bool {
    fs::metadata(beside(path, ".reserve")).is_ok_and(|meta| meta.len() == RESERVE as u64)
}

/// Gives the reserve up; whether there was one.
pub(crate) fn release_reserve(path: &Path) -> bool {
    fs::remove_file(beside(path, ".reserve")).is_ok()
}

/// Databases set aside, oldest first (without their logs).
pub(crate) fn set_aside(path: &Path) -> Vec<PathBuf> {
    let prefix = beside(Path::new(path.file_name().unwrap_or_default()), ".damaged-");
    let prefix = prefix.as_os_str().as_encoded_bytes();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.as_encoded_bytes().starts_with(prefix) && !name.as_encoded_bytes().ends_with(b"-wal")
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Removes the oldest database set aside; whether there was one.
pub(crate) fn forget_oldest_set_aside(path: &Path) -> bool {
    let Some(oldest) = set_aside(path).into_iter().next() else { return false };
    // Its log goes first: a log without its database is nothing.
    let wal = fs::remove_file(beside(&oldest, "-wal")).is_ok();
    fs::remove_file(&oldest).is_ok() || wal
}

/// Renames the database and its log out of the way: `<file>.damaged-20260102T030405Z`, then `…Z-2`.
pub(crate) fn put_aside(path: &Path, now_ms: i64) -> Result<PathBuf, BufferError> {
    let date = date(now_ms);
    let name = |turn: u32| match turn {
        1 => beside(path, &format!(".damaged-{date}")),
        _ => beside(path, &format!(".damaged-{date}-{turn}")),
    };
    let aside = (1..).map(name).find(|name| !name.exists()).expect("some number is free");
    // The log first: were we cut between, the next start would find a database without its log, and the head file
    // would say what is missing; the other way round the log would be taken for that of the new database.
    let wal = beside(path, "-wal");
    match fs::rename(&wal, beside(&aside, "-wal")) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(file(&wal)(error)),
        Ok(()) | Err(_) => {}
    }
    fs::rename(path, &aside).map_err(file(path))?;
    while set_aside(path).len() > MOST_SET_ASIDE && forget_oldest_set_aside(path) {}
    sync_folder(path)?;
    Ok(aside)
}

/// `20260102T030405Z` of Unix milliseconds (civil from days, Howard Hinnant's algorithm).
fn date(now_ms: i64) -> String {
    let seconds = now_ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let in_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * in_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let day = in_year - (153 * shifted + 2) / 5 + 1;
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "19700101T000000Z"),
            (951_782_399_000, "20000228T235959Z"),
            (951_782_400_000, "20000229T000000Z"),
            (1_767_323_045_999, "20260102T030405Z"),
            (-1_000, "19691231T235959Z"),
        ] {
            assert_eq!(date(ms), text);
        }
    }

    #[test]
    fn two_databases_are_kept_aside_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.db");
        for _ in 0..4 {
            fs::write(&path, "x").unwrap();
            fs::write(beside(&path, "-wal"), "y").unwrap();
            put_aside(&path, 0).unwrap();
        }
        let names: Vec<_> = set_aside(&path)
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(!path.exists());
    }
}
