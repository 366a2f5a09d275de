//! Files that are whole or not there: written beside, synced, renamed.
//!
//! Holds through a crash at any point. Does not lock: one server owns its data directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// For secrets: the owner reads and writes.
pub(crate) const SECRET: u32 = 0o600;
/// For what anybody may read.
pub(crate) const PUBLIC: u32 = 0o644;

/// Puts `bytes` at `path`, with these permission bits, or leaves what was there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
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
pub(crate) fn read_small(path: &Path, at_most: u64) -> io::Result<Option<String>> {
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
}
