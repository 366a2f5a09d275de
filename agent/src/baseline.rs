//! The before-baseline 改造前基线: what there was on the day the gateway came, asked of every source once, before it
//! enrols.
//!
//! The answers stay in `baseline.json` in the state directory; SHA-256("inuse/v1/baseline\0" ‖ file) goes with the
//! enrolment into the city's log. On site the file shows what the sources said then: whoever changes a byte of it has
//! another hash than the log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use collectors::Fact;
use collectors::manifest::Manifest;
use daemon::{Stopwatch, files};
use data_encoding::HEXLOWER;
use proof::payload::manifest_hash;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The file in the state directory.
const FILE: &str = "baseline.json";

/// Before the hash in the name of one that was asked before, until the server has said which one it has.
const EARLIER: &str = "baseline-";

/// Longest that one source is waited for.
const OF_ONE: Duration = Duration::from_secs(30);

/// Longest that all of them together are waited for; who was not asked by then is said to be so.
const OF_ALL: Duration = Duration::from_secs(300);

/// Largest file that is read.
const MOST: u64 = 64 << 20;

/// What there was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// When it was asked, Unix ms by the gateway's clock.
    pub made_ms: i64,
    /// The manifest that named the sources, as windows name it, in hex.
    pub manifest: String,
    /// Of every source of the manifest, in its order.
    pub sources: Vec<Asked>,
}

/// What one source said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Its index.
    pub source: u16,
    /// Its name in the manifest.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// What was found.
    pub facts: Vec<Fact>,
    /// Why nothing was.
    pub error: Option<String>,
}

/// A baseline with the hash of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it says.
    pub baseline: Baseline,
    /// SHA-256 over its bytes.
    pub digest: [u8; 32],
}

/// Why a baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The file cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what this program writes.
    #[error("{path} is no baseline: {why}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
}

/// Asks every source of the manifest what is there now, one after the other.
pub async fn ask(manifest: &Manifest, state_dir: &Path) -> Vec<Asked> {
    let began = Stopwatch::start();
    let mut sources = Vec::with_capacity(manifest.sources.len());
    for source in &manifest.sources {
        let left = OF_ALL.saturating_sub(began.elapsed()).min(OF_ONE);
        let said = match tokio::time::timeout(left, collectors::before(source, state_dir)).await {
            Ok(Ok(facts)) => Ok(facts),
            Ok(Err(error)) => Err(daemon::chain(&error)),
            Err(_) if left.is_zero() => Err(format!("not asked: {} s were over", OF_ALL.as_secs())),
            Err(_) => Err(format!("no answer within {} s", left.as_secs())),
        };
        let (facts, error) = said.map_or_else(|why| (Vec::new(), Some(why)), |facts| (facts, None));
        let (source, name, address) = (source.index, source.name.clone(), source.address());
        sources.push(Asked { source, name, address, facts, error });
    }
    sources
}

/// Asks what there is and keeps it in the state directory. One that is there already is put aside: an enrolment whose
/// answer was lost may have brought it into the log, and the server's answer says which of them stays.
///
/// # Errors
/// [`BaselineError`].
pub async fn take(
    manifest: &Manifest,
    salt: &[u8; 32],
    state_dir: &Path,
    now_ms: i64,
) -> Result<Kept, BaselineError> {
    let sources = ask(manifest, state_dir).await;
    let baseline = Baseline { made_ms: now_ms, manifest: name_of(manifest, salt), sources };
    let bytes = serde_json::to_vec_pretty(&baseline).expect("texts and numbers are JSON");
    let path = state_dir.join(FILE);
    if let Some(kept) = kept(state_dir)? {
        let aside = state_dir.join(aside(&HEXLOWER.encode(&kept.digest)));
        std::fs::rename(&path, &aside).map_err(|source| unusable(&aside, source))?;
    }
    files::write_whole(&path, &bytes, 0o600).map_err(|source| unusable(&path, source))?;
    Ok(Kept { baseline, digest: digest(&bytes) })
}

/// The name of one that was put aside, by its hash in hex.
fn aside(digest: &str) -> String {
    format!("{EARLIER}{digest}.json")
}

/// Whether a file is one that was put aside.
fn is_aside(name: &str) -> bool {
    let digest = name.strip_prefix(EARLIER).and_then(|rest| rest.strip_suffix(".json"));
    digest.is_some_and(|digest| HEXLOWER.decode(digest.as_bytes()).is_ok_and(|digest| digest.len() == 32))
}

/// Keeps the one that the log has, by its hash in hex: an answer that was lost may have been about an earlier one. All
/// others go, where that one is there.
///
/// # Errors
/// [`BaselineError`].
pub(crate) fn settle(state_dir: &Path, recorded: &str) -> Result<(), BaselineError> {
    let path = state_dir.join(FILE);
    let earlier = std::fs::read_dir(state_dir).map_err(|source| unusable(state_dir, source))?;
    let earlier = earlier.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    let earlier: Vec<_> = earlier.filter(|name| is_aside(name)).collect();
    let is_recorded = |name: &str| name == aside(recorded);
    let is_kept = kept(state_dir)?.is_some_and(|kept| HEXLOWER.encode(&kept.digest) == recorded);
    if !is_kept && !earlier.iter().any(|name| is_recorded(name)) {
        return Ok(());
    }
    for name in earlier {
        let aside = state_dir.join(&name);
        let done = if is_recorded(&name) && !is_kept {
            std::fs::rename(&aside, &path)
        } else {
            std::fs::remove_file(&aside)
        };
        done.map_err(|source| unusable(&aside, source))?;
    }
    Ok(())
}

/// The baseline of the state directory; `None` where none was taken.
///
/// # Errors
/// [`BaselineError`].
pub fn kept(state_dir: &Path) -> Result<Option<Kept>, BaselineError> {
    let path: PathBuf = state_dir.join(FILE);
    let Some(text) = files::read_small(&path, MOST).map_err(|source| unusable(&path, source))? else {
        return Ok(None);
    };
    let baseline = serde_json::from_str(&text);
    let baseline = baseline.map_err(|error| BaselineError::Unreadable {
        path: path.display().to_string(),
        why: error.to_string(),
    })?;
    Ok(Some(Kept { baseline, digest: digest(text.as_bytes()) }))
}

/// What is another than it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Name of the source.
    pub source: String,
    /// Which fact; `no answer` for why there is none.
    pub fact: String,
    /// Lines that are not there any more.
    pub gone: Vec<String>,
    /// Lines that were not there then.
    pub new: Vec<String>,
}

/// What differs between then and now, source by source and fact by fact.
pub fn differences(then: &[Asked], now: &[Asked]) -> Vec<Difference> {
    let facts = |all: &[Asked], swap: bool| {
        let mut found: BTreeMap<(String, String), [Vec<String>; 2]> = BTreeMap::new();
        for asked in all {
            let error = asked.error.iter().map(|why| Fact::new("no answer", why));
            for fact in asked.facts.iter().cloned().chain(error) {
                let lines = fact.value.lines().map(str::to_owned).collect();
                found.entry((asked.name.clone(), fact.name)).or_default()[usize::from(swap)] = lines;
            }
        }
        found
    };
    let mut both = facts(then, false);
    for (key, [_, is]) in facts(now, true) {
        both.entry(key).or_default()[1] = is;
    }
    let differs = both.into_iter().filter_map(|((source, fact), [was, is])| {
        let only = |of: &[String], other: &[String]| {
            let other: BTreeSet<&String> = other.iter().collect();
            of.iter().filter(|line| !other.contains(line)).cloned().collect::<Vec<_>>()
        };
        let (gone, new) = (only(&was, &is), only(&is, &was));
        (!gone.is_empty() || !new.is_empty()).then_some(Difference { source, fact, gone, new })
    });
    differs.collect()
}

fn name_of(manifest: &Manifest, salt: &[u8; 32]) -> String {
    HEXLOWER.encode(&manifest_hash(&manifest.public(salt).encode_to_vec()))
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(b"inuse/v1/baseline\0").chain_update(bytes).finalize().into()
}

fn unusable(path: &Path, source: std::io::Error) -> BaselineError {
    BaselineError::File { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, facts: &[(&str, &str)], error: Option<&str>) -> Asked {
        let facts = facts.iter().map(|(name, value)| Fact::new(name, value)).collect();
        let error = error.map(str::to_owned);
        Asked { source: 1, name: name.to_owned(), address: "there".to_owned(), facts, error }
    }

    #[test]
    fn what_is_another_than_it_was_is_named_line_by_line_and_nothing_else() {
        let tables = "a.users: id int\na.orders: id int";
        let then = [asked("mes", &[("version", "8.0"), ("tables", tables)], None), asked("press", &[], None)];
        let now = "a.users: id int\na.orders: id int, price int\na.new: id int";
        let now =
            [asked("mes", &[("version", "8.0"), ("tables", now)], None), asked("press", &[], Some("off"))];
        assert_eq!(differences(&then, &then), []);
        let found = differences(&then, &now);
        let texts = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let of_tables = Difference {
            source: "mes".to_owned(),
            fact: "tables".to_owned(),
            gone: texts(&["a.orders: id int"]),
            new: texts(&["a.orders: id int, price int", "a.new: id int"]),
        };
        let of_press = Difference {
            source: "press".to_owned(),
            fact: "no answer".to_owned(),
            gone: Vec::new(),
            new: texts(&["off"]),
        };
        assert_eq!(found, [of_tables, of_press]);
    }

    #[tokio::test]
    async fn a_source_that_does_not_answer_stands_in_it_and_the_one_that_the_log_has_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("mes.log");
        // It is connected to, and never answers.
        let off = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = off.local_addr().unwrap();
        let manifest = format!(
            "[[sources]]\nname = \"mes\"\n[sources.log]\npath = \"{}\"\nparser = \"spring\"\n\
             [[sources]]\nname = \"press\"\n[sources.modbus]\nendpoint = \"{silent}\"\nunit = 1\ntimeout = \"100ms\"\n\
             points = [{{ name = \"run\", address = 0, table = \"coil\" }}]\n",
            log.display()
        );
        let path = folder.path().join("manifest.toml");
        std::fs::write(&path, manifest).unwrap();
        let manifest = Manifest::load(&path).unwrap();
        let first = take(&manifest, &[1; 32], folder.path(), 5).await.unwrap();
        let [mes, press] = &first.baseline.sources[..] else { panic!("{first:?}") };
        assert_eq!((&mes.facts[0], &mes.error, first.baseline.made_ms), (&Fact::new("files", 0), &None, 5));
        let error = press.error.as_deref().unwrap_or_default();
        assert!(press.facts.is_empty() && error.contains("unit 1 does not answer"), "{press:?}");
        std::fs::write(&log, "2026-01-02 03:04:05 began\n").unwrap();
        // Asked again on another day, and then the server says which one the log has.
        let second = take(&manifest, &[1; 32], folder.path(), 9).await.unwrap();
        assert!(!differences(&first.baseline.sources, &second.baseline.sources).is_empty(), "{second:?}");
        let third = take(&manifest, &[2; 32], folder.path(), 9).await.unwrap();
        assert_ne!(third.digest, second.digest);
        std::fs::write(folder.path().join("baseline-notes.txt"), "mine").unwrap();
        std::fs::create_dir(folder.path().join("baseline-old")).unwrap();
        let names = || {
            let entries = std::fs::read_dir(folder.path()).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.filter(|name| name.starts_with("baseline")).collect();
            names.sort();
            names
        };
        settle(folder.path(), &"0".repeat(64)).unwrap();
        assert_eq!(
            names().len(),
            5,
            "nothing goes while the one that the log has is not there: {:?}",
            names()
        );
        settle(folder.path(), &HEXLOWER.encode(&first.digest)).unwrap();
        assert_eq!(kept(folder.path()).unwrap(), Some(first));
        assert_eq!(names(), ["baseline-notes.txt", "baseline-old", "baseline.json"]);
    }
}
