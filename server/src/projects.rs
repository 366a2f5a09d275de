//! Reads what the scorer must know: firms, city profiles, calendars.
//!
//! One file each; a firm's or profile's id is its file's name. What a key means is said in `scorer`; here files are
//! found, read within bounds, and complained about, all at once. Which gateways a firm has stands in the ledger, not
//! in its file: they are bound at enrolment.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use daemon::config::{Complaint, Complaints};
use daemon::files;
use proof::AgentId;
use scorer::{Calendar, CalendarFile, Profile, ProfileFile, Project, ProjectFile};
use serde::de::DeserializeOwned;

/// Longest file read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// Files read from one directory at most.
const MAX_FILES: usize = 20_000;

/// The gateways of each project, from the ledger.
pub type Bound = BTreeMap<String, Vec<AgentId>>;

/// What the scorer judges by.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// City profiles by name.
    pub profiles: BTreeMap<String, Profile>,
    /// Holidays and make-up days of all years known.
    pub calendar: Calendar,
}

impl Rules {
    /// Reads profiles and calendars from these directories; those built in where none is named.
    ///
    /// # Errors
    /// All complaints of all files.
    pub fn load(profiles: Option<&Path>, calendars: Option<&Path>) -> Result<Self, Complaints> {
        let mut complaints = Complaints::about("profiles and calendars");
        let mut rules = Self::default();
        let found = texts(profiles, built_in::PROFILES, &mut complaints);
        for Text { file, id, text } in found {
            let profile = read::<ProfileFile, _>(&file, &text, |raw| raw.check(&id));
            if let Some(profile) = kept(&file, profile, &mut complaints) {
                rules.profiles.insert(id, profile);
            }
        }
        for Text { file, text, .. } in texts(calendars, built_in::CALENDARS, &mut complaints) {
            let calendar = read::<CalendarFile, _>(&file, &text, CalendarFile::check);
            if let Some(calendar) = kept(&file, calendar, &mut complaints) {
                rules.calendar.join(calendar);
            }
        }
        complaints.or(rules)
    }
}

/// Reads the firms of `directory`. Each must name a profile of `rules`.
///
/// # Errors
/// All complaints of all files.
pub fn load(directory: &Path, rules: &Rules, bound: &Bound) -> Result<Vec<Project>, Complaints> {
    let mut complaints = Complaints::about("projects");
    let mut projects = Vec::new();
    for Text { file, id, text } in texts(Some(directory), &[], &mut complaints) {
        if !is_id(&id) {
            complaints
                .add(file, format!("`{id}` cannot name a firm: an id is 1 to 64 of a-z, 0-9, `-` and `_`"));
            continue;
        }
        let agents = bound.get(&id).map(Vec::as_slice).unwrap_or_default();
        let project = read::<ProjectFile, _>(&file, &text, |raw| bind(raw, agents).check(&id));
        let Some(project) = kept(&file, project, &mut complaints) else { continue };
        if !rules.profiles.contains_key(&project.profile) {
            let known: Vec<_> = rules.profiles.keys().map(String::as_str).collect();
            let problem = format!("`{}` is none of {}", project.profile, known.join(", "));
            complaints.add(format!("{file}: profile"), problem);
            continue;
        }
        projects.push(project);
    }
    complaints.or(projects)
}

/// Whether `id` can name a firm: it becomes a file's name and a part of addresses.
pub fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// Begins a firm's file and returns its path; `None` when there is one already.
///
/// # Errors
/// When the file cannot be written.
pub fn begin(directory: &Path, id: &str, name: &str) -> io::Result<Option<PathBuf>> {
    let path = directory.join(format!("{id}.toml"));
    if path.exists() {
        return Ok(None);
    }
    fs::create_dir_all(directory)?;
    let name = toml::Value::String(name.to_owned()).to_string();
    files::write_whole(&path, TEMPLATE.replacen("\"NAME\"", &name, 1).as_bytes(), files::PUBLIC)?;
    Ok(Some(path))
}

const TEMPLATE: &str = include_str!("projects/template.toml");

/// The file's gateways are those of the ledger. A device of a firm that has none yet is declared and not connected.
fn bind(mut raw: ProjectFile, agents: &[AgentId]) -> ProjectFile {
    raw.agents = agents.iter().map(AgentId::to_string).collect();
    if agents.is_empty() {
        for device in &mut raw.devices {
            device.source = None;
        }
    }
    raw
}

struct Text {
    file: String,
    id: String,
    text: String,
}

/// The `*.toml` of a directory by name, or what is built in.
fn texts(directory: Option<&Path>, built_in: &[(&str, &str)], complaints: &mut Complaints) -> Vec<Text> {
    let Some(directory) = directory else {
        let text = |(id, text): &(&str, &str)| Text {
            file: format!("built in {id}.toml"),
            id: (*id).to_owned(),
            text: (*text).to_owned(),
        };
        return built_in.iter().map(text).collect();
    };
    let listed = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> = match listed {
        Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
        Err(error) => {
            complaints.add("", format!("{} cannot be read: {error}", directory.display()));
            return Vec::new();
        }
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    if paths.len() > MAX_FILES {
        complaints.add("", format!("{} holds more than {MAX_FILES} files", directory.display()));
        return Vec::new();
    }
    let mut texts = Vec::new();
    for path in paths {
        let file = path.display().to_string();
        let id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        match files::read_small(&path, MAX_FILE) {
            Ok(Some(text)) => texts.push(Text { file, id, text }),
            // Gone since it was listed.
            Ok(None) => {}
            Err(error) => complaints.add("", format!("{file} cannot be read: {error}")),
        }
    }
    texts
}

fn read<Raw: DeserializeOwned, Checked>(
    file: &str,
    text: &str,
    check: impl FnOnce(Raw) -> Result<Checked, Vec<scorer::Complaint>>,
) -> Result<Checked, Complaints> {
    let (raw, mut complaints) = daemon::config::parse::<Raw>(file, text)?;
    match check(raw) {
        Ok(checked) => complaints.or(checked),
        Err(list) => {
            for complaint in list {
                complaints.add(complaint.path, complaint.problem);
            }
            // Never empty: what the check says of a value left out before is dropped, and has its complaint already.
            Err(complaints)
        }
    }
}

/// Moves what is wrong with one file among the complaints about all of them.
fn kept<T>(file: &str, read: Result<T, Complaints>, complaints: &mut Complaints) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(more) => {
            for Complaint { path, problem } in more.list() {
                let path = if path.is_empty() { file.to_owned() } else { format!("{file}: {path}") };
                complaints.add(path, problem);
            }
            None
        }
    }
}

mod built_in;

#[cfg(test)]
mod tests;
