//! The `table` table of a source: a table of a business system's database.
//!
//! An account's password is the name of a file, and there is no key that takes any certificate.

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::Complaints;

use super::accounts::{AccountClass, Rule, classes, rules};
use super::check::word;
use super::library::Library;
use super::maps::{TableMap, map};
use super::opcua::Thumbprint;
use super::{Login, beside, login, raw};

const OFFSETS: std::ops::RangeInclusive<i32> = -14 * 60..=14 * 60;
const DEFAULT_OVERLAP: Duration = Duration::from_secs(300);
const MAX_OVERLAP: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_ROWS: u32 = 1_000;
const ROWS: std::ops::RangeInclusive<u32> = 10..=10_000;

/// A table of a business system's database.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditTable {
    /// Where it is.
    pub server: Database,
    /// What is in it.
    pub map: TableMap,
    /// Minutes east of UTC of times that name no zone.
    pub utc_offset_minutes: i32,
    /// How long a row may take to become visible, and for how long a row that was read is remembered by itself.
    pub overlap: Duration,
    /// Most new rows of one question.
    pub max_rows: u32,
    /// Longest wait for a connection, a lock or an answer, in real time.
    pub timeout: Duration,
    /// Who is who; the first that matches decides.
    pub accounts: Vec<AccountClass>,
    /// What is what; the manifest's before the map's, the first that matches decides.
    pub rules: Vec<Rule>,
}

/// A database server, and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// What it speaks.
    pub kind: DatabaseKind,
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Name of the database.
    pub database: String,
    /// An account that may read.
    pub user: Login,
    /// How the line is protected.
    pub tls: Tls,
}

/// What a database server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// Microsoft SQL Server, 2012 or later.
    SqlServer,
    /// MySQL 5.7 or later, or MariaDB.
    MySql,
    /// PostgreSQL 10 or later.
    PostgreSql,
}

/// How the line to a database is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: the password and every row can be read on the way.
    None,
    /// By an authority whose certificate is in a file.
    Authority {
        /// PEM, one certificate or several.
        ca_file: PathBuf,
        /// The name in the server's certificate, where it is not the host's.
        server_name: Option<String>,
    },
    /// By the server's own certificate. Without a pin the collector refuses to log in and says which thumbprint the
    /// server showed.
    Pinned(Option<[u8; 32]>),
}

impl DatabaseKind {
    /// The port it listens on unless told otherwise.
    pub const fn port(self) -> u16 {
        match self {
            Self::SqlServer => 1433,
            Self::MySql => 3306,
            Self::PostgreSql => 5432,
        }
    }
}

const KINDS: &[(&str, DatabaseKind)] = &[
    ("sqlserver", DatabaseKind::SqlServer),
    ("mysql", DatabaseKind::MySql),
    ("mariadb", DatabaseKind::MySql),
    ("postgresql", DatabaseKind::PostgreSql),
];
pub(super) fn check(
    complaints: &mut Complaints,
    path: &str,
    raw: raw::Table,
    from: (&Path, i32),
    maps: &mut Library,
) -> Option<AuditTable> {
    let (dir, offset) = from;
    let server = complaints.required(&format!("{path}.server"), raw.server);
    let server = server.and_then(|raw| database(complaints, &format!("{path}.server"), raw, dir));
    let map_path = format!("{path}.map");
    let map =
        complaints.required(&map_path, raw.map).and_then(|name| maps.find(complaints, &map_path, &name, map));
    let utc_offset_minutes =
        complaints.number(&format!("{path}.utc_offset_minutes"), raw.utc_offset_minutes, offset, OFFSETS);
    let seconds = Duration::from_secs;
    let overlap = complaints.duration(
        &format!("{path}.overlap"),
        raw.overlap,
        DEFAULT_OVERLAP,
        seconds(1)..=MAX_OVERLAP,
    );
    let timeout = complaints.duration(
        &format!("{path}.timeout"),
        raw.timeout,
        DEFAULT_TIMEOUT,
        seconds(1)..=seconds(60),
    );
    let max_rows = complaints.number(&format!("{path}.max_rows"), raw.max_rows, DEFAULT_ROWS, ROWS);
    let accounts = classes(complaints, &format!("{path}.accounts"), raw.accounts);
    let mut rules = rules(complaints, &format!("{path}.rules"), raw.rules);
    let map = map?;
    rules.extend(map.rules.iter().cloned());
    let table =
        AuditTable { server: server?, map, utc_offset_minutes, overlap, max_rows, timeout, accounts, rules };
    #[cfg(feature = "sql")]
    for (key, problem) in crate::sql::complaints(&table) {
        complaints.add(format!("{path}.{key}"), problem);
    }
    Some(table)
}

fn database(complaints: &mut Complaints, path: &str, raw: raw::Database, dir: &Path) -> Option<Database> {
    let kind_path = format!("{path}.kind");
    let kind = word(complaints, &kind_path, raw.kind, KINDS).required(complaints, &kind_path);
    let host_path = format!("{path}.host");
    let host = complaints.required(&host_path, raw.host).filter(|host| {
        let plain =
            !host.is_empty() && host.len() <= 255 && !host.contains(|c: char| c.is_whitespace() || c == '/');
        if !plain {
            complaints.add(&*host_path, format!("`{host}` is not a host's name or address"));
        }
        plain
    });
    let port =
        complaints.number(&format!("{path}.port"), raw.port, kind.map_or(1, DatabaseKind::port), 1..=65_535);
    let database = complaints.required(&format!("{path}.database"), raw.database);
    if raw.user.is_none() && raw.password_file.is_none() {
        complaints.add(format!("{path}.user"), "is missing; make an account that may read and nothing else");
    }
    let user = login::check(complaints, path, raw.user, raw.password_file, dir);
    let protection = Protection {
        tls: raw.tls,
        ca_file: raw.ca_file.map(|text| beside(dir, &text)),
        server_name: raw.server_name,
        thumbprint: raw.server_thumbprint,
    };
    let tls = tls(complaints, path, protection);
    Some(Database { kind: kind?, host: host?, port, database: database?, user: user?, tls: tls? })
}

/// The keys about the line, as given.
struct Protection {
    tls: Option<String>,
    ca_file: Option<PathBuf>,
    server_name: Option<String>,
    thumbprint: Option<String>,
}

fn tls(complaints: &mut Complaints, path: &str, given: Protection) -> Option<Tls> {
    let required =
        word(complaints, &format!("{path}.tls"), given.tls, &[("required", true), ("none", false)])
            .flatten_or(true);
    let named = [
        ("ca_file", given.ca_file.is_some()),
        ("server_name", given.server_name.is_some()),
        ("server_thumbprint", given.thumbprint.is_some()),
    ];
    if !required {
        for (key, _) in named.into_iter().filter(|(_, given)| *given) {
            complaints.add(format!("{path}.{key}"), "has no meaning with tls = \"none\"");
        }
        return Some(Tls::None);
    }
    match (given.ca_file, given.thumbprint) {
        (Some(_), Some(_)) => {
            complaints.add(format!("{path}.ca_file"), "either it or `server_thumbprint`, not both");
            None
        }
        (Some(ca_file), None) => {
            if !ca_file.is_file() {
                complaints.add(format!("{path}.ca_file"), format!("no such file `{}`", ca_file.display()));
            }
            Some(Tls::Authority { ca_file, server_name: given.server_name })
        }
        (None, thumbprint) => {
            if given.server_name.is_some() {
                complaints.add(format!("{path}.server_name"), "has a meaning only with `ca_file`");
            }
            let pin = match thumbprint.as_deref().map(Thumbprint::parse) {
                None => None,
                Some(Some(Thumbprint::Sha256(pin))) => Some(pin),
                Some(Some(Thumbprint::Sha1(_)) | None) => {
                    complaints.add(
                        format!("{path}.server_thumbprint"),
                        "is not a thumbprint: 64 hexadecimal digits (SHA-256)",
                    );
                    return None;
                }
            };
            Some(Tls::Pinned(pin))
        }
    }
}
