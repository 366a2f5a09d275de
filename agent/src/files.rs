//! Small files of the state directory, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes a file through a temporary one beside it, synced. `mode` is the Unix mode: 0o600 for secrets.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// A 32-byte secret in hex. A missing one is an error: made anew it would be another one.
pub(crate) fn secret(path: &Path) -> io::Result<[u8; 32]> {
    use data_encoding::HEXLOWER;
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "not 32 bytes in hex");
    let text = fs::read_to_string(path)?;
    let bytes = HEXLOWER.decode(text.trim().as_bytes()).map_err(|_| wrong())?;
    bytes.try_into().map_err(|_| wrong())
}

/// The secret of this file, made from the system's randomness when it is not there: for enrolment alone.
pub(crate) fn secret_or_new(path: &Path) -> io::Result<[u8; 32]> {
    use data_encoding::HEXLOWER;
    match secret(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let bytes = random()?;
            write(path, format!("{}\n", HEXLOWER.encode(&bytes)).as_bytes(), 0o600)?;
            Ok(bytes)
        }
        Err(error) => Err(error),
    }
}

/// 32 bytes of the system's randomness.
pub(crate) fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

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
