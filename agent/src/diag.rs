//! One archive for whoever helps from afar.
//!
//! What goes in is named here, file by file; nothing is copied because it lies in some folder. Keys, certificates'
//! keys, passwords, tokens, log lines of the firm's systems and raw data stay out. What cannot be had is said in its
//! place: a gateway in trouble is the reason for asking.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use daemon::Stamp;

use crate::{AgentConfig, Identity, status};

/// Most bytes of one part.
const MAX_PART: usize = 4 << 20;

/// How long another program may take.
const PROGRAM: Duration = Duration::from_secs(20);

/// Keys of the manifest whose values are not shown.
const HIDDEN: [&str; 4] = ["user", "password", "password_file", "token"];

/// Files of the kernel that say how the machine is.
const KERNEL: [&str; 7] = [
    "/etc/os-release",
    "/proc/version",
    "/proc/uptime",
    "/proc/meminfo",
    "/proc/loadavg",
    "/proc/mounts",
    "/proc/sys/kernel/random/boot_id",
];

/// Programs that say how the machine is.
const PROGRAMS: [(&str, &[&str]); 5] = [
    ("journal", &["journalctl", "--unit=inuse-agent", "--lines=5000", "--no-pager", "--output=short-iso"]),
    ("unit", &["systemctl", "status", "--no-pager", "--full", "inuse-agent"]),
    ("clock", &["timedatectl", "show"]),
    ("disk", &["df", "-k"]),
    ("addresses", &["ip", "-brief", "address"]),
];

/// Writes the archive to `out`, which must not exist, and returns a list of what is in it.
///
/// # Errors
/// When the archive cannot be written. What cannot be had for it is said in it.
pub async fn collect(config: &Path, out: &Path, now: Stamp) -> anyhow::Result<String> {
    let mut parts = vec![("about.txt".to_owned(), about(now).into_bytes())];
    parts.push(("check.txt".to_owned(), checked(&AgentConfig::load(config)).into_bytes()));
    // A wrong manifest is no reason to leave out the rest.
    if let Ok((Some(own), _)) = AgentConfig::alone(config) {
        parts.push(("agent.toml".to_owned(), own.to_toml().into_bytes()));
        parts.push(("manifest.toml".to_owned(), manifest(&own.manifest).into_bytes()));
        parts.push(("state.txt".to_owned(), listing(&own.state_dir).into_bytes()));
        for name in ["ca.crt", "client.crt", "enrolment.json"] {
            parts.push((name.to_owned(), file(&own.state_dir.join(name))));
        }
        let told = match status::ask(&own.status_socket()).await {
            Ok(status) => serde_json::to_vec_pretty(&status)?,
            Err(error) => format!("no agent answers: {error}\n").into_bytes(),
        };
        parts.push(("status.json".to_owned(), told));
    }
    for path in KERNEL {
        parts.push((format!("machine{path}.txt"), file(Path::new(path))));
    }
    for (name, command) in PROGRAMS {
        parts.push((format!("{name}.txt"), run(command).await));
    }
    for (_, bytes) in &mut parts {
        *bytes = scrub(&String::from_utf8_lossy(bytes)).into_bytes();
    }
    write(out, &parts, now).with_context(|| format!("could not write {}", out.display()))?;
    Ok(parts.iter().map(|(name, bytes)| format!("  {:>8}  {name}\n", bytes.len())).collect())
}

fn about(now: Stamp) -> String {
    format!(
        "{} on {}\nwall clock {} ms, monotonic {} ms\n",
        crate::BUILD,
        std::env::consts::ARCH,
        now.wall_ms,
        now.mono_ms
    )
}

fn checked<T>(loaded: &Result<(AgentConfig, T), daemon::config::Complaints>) -> String {
    match loaded {
        Err(complaints) => complaints.to_string(),
        Ok((config, _)) => match Identity::load(&config.state_dir) {
            Ok(_) => "the configuration is good, the gateway is enrolled\n".to_owned(),
            Err(error) => format!("the configuration is good; {}\n", daemon::chain(&error)),
        },
    }
}

/// The manifest without what stands under [`HIDDEN`].
fn manifest(path: &Path) -> String {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return format!("# {} cannot be read: {error}\n", path.display()),
    };
    match text.parse::<toml::Table>() {
        Ok(table) => {
            let mut table = toml::Value::Table(table);
            hide(&mut table);
            table.to_string()
        }
        Err(error) => format!("# {} is not TOML: {}\n", path.display(), error.message()),
    }
}

fn hide(value: &mut toml::Value) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table.iter_mut() {
                if HIDDEN.contains(&key.as_str()) {
                    *value = toml::Value::String("(not shown)".to_owned());
                } else {
                    hide(value);
                }
            }
        }
        toml::Value::Array(items) => items.iter_mut().for_each(hide),
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => {}
    }
}

/// The text without what stands before the host of a URL, `opc.tcp://user:password@host`: complaints and logs repeat
/// what somebody wrote there.
fn scrub(text: &str) -> String {
    let mut scrubbed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        scrubbed.push_str(before);
        let authority = after.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(after.len());
        rest = match after[..authority].rfind('@') {
            Some(host) => {
                scrubbed.push_str("(not shown)");
                &after[host..]
            }
            None => after,
        };
    }
    scrubbed + rest
}

/// Names, sizes, modes, owners and times of what is in a folder; no contents.
fn listing(folder: &Path) -> String {
    let mut text = String::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => {
                line(&mut text, format_args!("{}: {error}", folder.display()));
                continue;
            }
        };
        for entry in entries.into_iter().take(1_000) {
            let path = entry.path();
            match entry.metadata() {
                Ok(meta) => {
                    let (mode, size) = (meta.mode() & 0o7777, meta.size());
                    let who = format!("{}:{}", meta.uid(), meta.gid());
                    line(
                        &mut text,
                        format_args!(
                            "{mode:04o} {who:>11} {size:>12} {:>12} {}",
                            meta.mtime(),
                            path.display()
                        ),
                    );
                    if meta.is_dir() {
                        folders.push(path);
                    }
                }
                Err(error) => line(&mut text, format_args!("{}: {error}", path.display())),
            }
        }
    }
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}

fn file(path: &Path) -> Vec<u8> {
    let read = || {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(MAX_PART as u64).read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    read().unwrap_or_else(|error| format!("{} cannot be read: {error}\n", path.display()).into_bytes())
}

/// What a program says on both of its outputs.
async fn run(command: &[&str]) -> Vec<u8> {
    let said = tokio::process::Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(PROGRAM, said).await {
        Ok(Ok(said)) => {
            let mut bytes = [said.stdout, said.stderr].concat();
            bytes.truncate(MAX_PART);
            bytes
        }
        Ok(Err(error)) => format!("{}: {error}\n", command[0]).into_bytes(),
        Err(_) => format!("{}: no answer within {} s\n", command[0], PROGRAM.as_secs()).into_bytes(),
    }
}

fn write(out: &Path, parts: &[(String, Vec<u8>)], now: Stamp) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out)?;
    let mut archive = tar::Builder::new(file);
    for (name, bytes) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.wall_ms / 1000).unwrap_or(0));
        archive.append_data(&mut header, Path::new("inuse-diag").join(name), bytes.as_slice())?;
    }
    archive.into_inner()?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A gateway's folder with secrets in each of its files, and a manifest whose one source has this endpoint.
    fn gateway(endpoint: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::create_dir(place("state")).unwrap();
        let secrets = ["state/agent.key", "state/project.key", "state/salt", "state/client.key", "password"];
        for (name, secret) in secrets.iter().zip(1..) {
            fs::write(place(name), format!("secret number {secret}")).unwrap();
        }
        fs::write(place("state/ca.crt"), "the city's certificate").unwrap();
        fs::write(place("agent.toml"), "state_dir = \"state\"\n").unwrap();
        let manifest = format!(
            "[[sources]]\nname = \"oven\"\ncadence = \"1s\"\n[sources.opcua]\nendpoint = \"{endpoint}\"\n\
             policy = \"basic256sha256\"\nmode = \"sign_and_encrypt\"\nserver_thumbprint = \"{}\"\nuser = \"secret number 8\"\n\
             password_file = \"password\"\npoints = [{{ name = \"heat\", node = \"ns=2;s=Heat\" }}]\n",
            "ab".repeat(20)
        );
        fs::write(place("manifest.toml"), manifest).unwrap();
        folder
    }

    /// The archive of a gateway, by part.
    async fn parts(folder: &Path) -> BTreeMap<String, String> {
        let (config, out) = (folder.join("agent.toml"), folder.join("diag.tar"));
        let now = Stamp { wall_ms: 1_800_000_000_000, mono_ms: 7 };
        let held = collect(&config, &out, now).await.unwrap();
        assert!(held.contains("about.txt"), "{held}");
        assert!(collect(&config, &out, now).await.is_err(), "nothing is overwritten");
        let mut archive = tar::Archive::new(fs::File::open(&out).unwrap());
        let mut parts = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            parts.insert(name.replace("inuse-diag/", ""), String::from_utf8_lossy(&bytes).into_owned());
        }
        for (name, text) in &parts {
            assert!(!text.contains("secret number") && !text.contains("secret_number"), "{name}: {text}");
        }
        parts
    }

    #[tokio::test]
    async fn the_archive_says_how_the_gateway_is_and_holds_no_secret() {
        let folder = gateway("opc.tcp://192.0.2.1:4840");
        let parts = parts(folder.path()).await;
        assert!(parts["about.txt"].starts_with("inuse-agent "));
        assert!(parts.contains_key("machine/proc/meminfo.txt"));
        assert!(parts["check.txt"].starts_with("the configuration is good; "), "{}", parts["check.txt"]);
        assert!(parts["state.txt"].contains("state/agent.key"), "{}", parts["state.txt"]);
        assert_eq!(parts["ca.crt"], "the city's certificate");
        assert!(parts["manifest.toml"].contains("192.0.2.1:4840"), "{}", parts["manifest.toml"]);
        assert!(parts["status.json"].starts_with("no agent answers"), "{}", parts["status.json"]);
    }

    #[tokio::test]
    async fn a_gateway_with_a_wrong_manifest_has_an_archive_too_and_the_complaint_holds_no_secret() {
        let folder = gateway("opc.tcp://secret_number_6:secret_number_7@192.0.2.1:4840");
        let parts = parts(folder.path()).await;
        let said = &parts["check.txt"];
        assert!(said.contains("opcua.endpoint: ") && said.contains("has a user before the host"), "{said}");
        assert!(parts["agent.toml"].contains("state_dir"), "{}", parts["agent.toml"]);
        assert!(parts["state.txt"].contains("state/agent.key"), "{}", parts["state.txt"]);
        assert!(parts["manifest.toml"].contains("192.0.2.1:4840"), "{}", parts["manifest.toml"]);
    }

    #[test]
    fn a_manifest_is_shown_without_names_of_users_and_with_all_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.toml");
        fs::write(&path, "[[sources]]\nname = \"oven\"\n[sources.opcua]\nuser = \"secret\"\n").unwrap();
        let shown = manifest(&path);
        assert!(
            shown.contains("oven") && shown.contains("(not shown)") && !shown.contains("secret"),
            "{shown}"
        );
        fs::write(&path, "password = \"secret").unwrap();
        assert!(!manifest(&path).contains("secret"), "what is no TOML is not shown at all");
    }
}
