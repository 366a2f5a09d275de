//! Who we say we are to a server: a name, and the file that holds the password.

use std::fs;
use std::path::{Path, PathBuf};

use daemon::config::Complaints;

use super::beside;

/// Longest password file in bytes.
const MAX_PASSWORD: u64 = 4_096;

/// An account, and the file that holds its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// As the server knows it.
    pub name: String,
    /// Its first line is the password.
    pub password_file: PathBuf,
}

impl Login {
    /// The password, read when it is needed; or why there is none, in words.
    ///
    /// # Errors
    /// When the file cannot be read or is too long.
    pub fn password(&self) -> Result<String, String> {
        let path = &self.password_file;
        let unusable = |why: String| format!("the password file {} {why}", path.display());
        let size = fs::metadata(path).map_err(|error| unusable(format!("cannot be read: {error}")))?.len();
        if size > MAX_PASSWORD {
            return Err(unusable(format!("is longer than {MAX_PASSWORD} bytes")));
        }
        let text = fs::read_to_string(path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }
}

/// The keys `user` and `password_file` of a table; `None` where neither is there, and where one of them is wrong.
pub(super) fn check(
    complaints: &mut Complaints,
    path: &str,
    name: Option<String>,
    file: Option<String>,
    dir: &Path,
) -> Option<Login> {
    let file_path = format!("{path}.password_file");
    if name.is_none() && file.is_none() {
        return None;
    }
    let name = complaints.required(&format!("{path}.user"), name);
    let password_file = complaints.required(&file_path, file).map(|text| beside(dir, &text));
    if let Some(file) = password_file.as_ref().filter(|file| !file.is_file()) {
        complaints.add(file_path, format!("no such file `{}`", file.display()));
    }
    Some(Login { name: name?, password_file: password_file? })
}
