//! PostgreSQL and MariaDB, for tests that start their own.

use std::path::PathBuf;

use super::Found;
use super::apt::Apt;
use crate::command::find;

/// Where Debian puts PostgreSQL, in a folder for each version.
const POSTGRESQL: &str = "/usr/lib/postgresql";

/// The folder of its programs: those of the newest version.
pub(super) fn postgresql(apt: &mut Apt) -> Found {
    if newest().is_none() {
        apt.install_without_starting(&["postgresql"], "postgresql.service")
            .map_err(|error| format!("{error:#}"))?;
    }
    let folder = newest().ok_or("it was installed and cannot be found")?;
    Ok(vec![("INUSE_POSTGRESQL", folder.into_os_string())])
}

fn newest() -> Option<PathBuf> {
    let entries = std::fs::read_dir(POSTGRESQL).ok()?.flatten();
    let version = |name: &std::ffi::OsStr| name.to_string_lossy().parse::<u32>().ok();
    let newest = entries.filter_map(|entry| Some((version(&entry.file_name())?, entry.path()))).max()?;
    let folder = newest.1.join("bin");
    ["initdb", "postgres", "psql"].iter().all(|program| folder.join(program).is_file()).then_some(folder)
}

pub(super) fn mariadb(apt: &mut Apt) -> Found {
    let all = || ["mariadbd", "mariadb", "mariadb-install-db"].iter().all(|program| find(program).is_some());
    if !all() {
        apt.install_without_starting(&["mariadb-server"], "mariadb.service")
            .map_err(|error| format!("{error:#}"))?;
    }
    let path = find("mariadbd").filter(|_| all()).ok_or("it was installed and cannot be found")?;
    Ok(vec![("INUSE_MARIADB", path.into_os_string())])
}
