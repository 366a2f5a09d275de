//! Files that are whole or not there: written beside, synced, renamed.
//!
//! Holds through a crash at any point. Does not lock: one server owns its data directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use data_encoding::HEXLOWER;

/// For secrets: the owner reads and writes.
pub const SECRET: u32 = 0o600;
/// For what anybody may read.
pub const PUBLIC: u32 = 0o644;

/// Puts `bytes` at `path`, with these permission bits, or leaves what was there.
///
/// # Errors
/// The system's.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut beside = name.to_os_string();
    beside.push(".new");
    let beside = directory.join(beside);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)?;
    File::open(directory)?.sync_all()
}

/// Reads a file that should be small; a larger one is an error, `None` when there is none.
///
/// # Errors
/// The system's, and [`io::ErrorKind::InvalidData`] for a larger one.
pub fn read_small(path: &Path, at_most: u64) -> io::Result<Option<String>> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > at_most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {at_most} bytes")));
    }
    fs::read_to_string(path).map(Some)
}

/// A 32-byte secret in hex. A missing one is an error: made anew it would be another one.
///
/// # Errors
/// The system's, and [`io::ErrorKind::InvalidData`] for what is no such secret.
pub fn secret(path: &Path) -> io::Result<[u8; 32]> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "not 32 bytes in hex");
    let text = fs::read_to_string(path)?;
    let bytes = HEXLOWER.decode(text.trim().as_bytes()).map_err(|_| wrong())?;
    bytes.try_into().map_err(|_| wrong())
}

/// The secret of this file, made from the system's randomness when it is not there: for the first start and enrolment
/// alone.
///
/// # Errors
/// As [`secret`].
pub fn secret_or_new(path: &Path) -> io::Result<[u8; 32]> {
    match secret(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let bytes = random()?;
            write_whole(path, format!("{}\n", HEXLOWER.encode(&bytes)).as_bytes(), SECRET)?;
            Ok(bytes)
        }
        Err(error) => Err(error),
    }
}

/// 32 bytes of the system's randomness.
///
/// # Errors
/// When the system has none.
pub fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_write_replaces_the_whole_file_and_outlives_a_half_written_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(directory.path().join("key.new"), "half").unwrap();
        write_whole(&path, b"one", SECRET).unwrap();
        write_whole(&path, b"two", SECRET).unwrap();
        assert_eq!(read_small(&path, 10).unwrap().as_deref(), Some("two"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SECRET);
        assert!(!directory.path().join("key.new").exists());
    }

    #[test]
    fn a_file_that_is_too_long_is_refused_and_a_missing_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("big");
        assert!(read_small(&path, 3).unwrap().is_none());
        fs::write(&path, "four").unwrap();
        assert!(read_small(&path, 3).is_err());
    }

    #[test]
    fn a_secret_is_made_once_and_is_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.key");
        assert!(secret(&path).is_err());
        let made = secret_or_new(&path).unwrap();
        assert_eq!(secret(&path).unwrap(), made);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_secret_is_an_error_and_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.key");
        fs::write(&path, "zz").unwrap();
        assert!(secret_or_new(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "zz");
    }
}
