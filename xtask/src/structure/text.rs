//! Rules about files rather than manifests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Folders that are not the project's text.
const NOT_OURS: [&str; 4] = [".git", "target", "dist", ".demo"];

/// Words that name the place where someone worked rather than the project. Written in two, so as not to be found here.
const PLACES: [&str; 2] = [concat!("/wo", "rk/"), concat!("../sha", "red")];

/// Where files that people edit have their raw structs.
const RAW: [&str; 7] = [
    "agent/src/config.rs",
    "collectors/src/manifest/raw.rs",
    "scorer/src/calendar.rs",
    "scorer/src/profile.rs",
    "scorer/src/project.rs",
    "server/src/config.rs",
    "witness/src/config.rs",
];

/// A page that names tests: what is promised there is tried somewhere.
const NAMES_TESTS: &str = "docs/refusals.md";

/// Raw structs that would read an unknown key in silence: serde does unless each is told.
pub(super) fn silent(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut complaints = Vec::new();
    for name in RAW {
        let path = root.join(name);
        if !path.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {name}"))?;
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        for (at, pair) in (1..).zip(lines.windows(2)) {
            let reads = pair[0].starts_with("#[derive(") && pair[0].contains("Deserialize");
            if reads && pair[1] != "#[serde(deny_unknown_fields)]" {
                complaints.push(format!("{name}:{at}: `#[serde(deny_unknown_fields)]` must follow"));
            }
        }
    }
    Ok(complaints)
}

/// Pages of `docs/decisions` that are not `0001-….md`, `0002-….md`, … without hole and without double.
pub(super) fn decisions(root: &Path) -> anyhow::Result<Vec<String>> {
    let folder = root.join("docs/decisions");
    let mut names = Vec::new();
    if folder.is_dir() {
        for entry in std::fs::read_dir(&folder).context("could not list docs/decisions")? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
    }
    names.retain(|name| name != "README.md");
    names.sort();
    let wrong = names.iter().zip(1..).filter(|(name, number)| {
        !(name.starts_with(&format!("{number:04}-"))
            && name.ends_with(".md")
            && name.len() > "0001-.md".len())
    });
    // After the first the numbers are all off; one complaint says it.
    Ok(wrong
        .take(1)
        .map(|(name, number)| format!("docs/decisions/{name}: expected {number:04}-….md"))
        .collect())
}

/// Files that name a place outside of the checkout.
pub(super) fn places(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut complaints = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).with_context(|| format!("could not list {}", folder.display()))?
        {
            let path = entry?.path();
            let skipped = path.file_name().is_some_and(|name| NOT_OURS.iter().any(|not| name == *not));
            if skipped || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                // A target directory by another name says so itself.
                if !path.join("CACHEDIR.TAG").exists() {
                    folders.push(path);
                }
            } else if path.is_file() {
                complaints.extend(named(root, &path)?);
            }
        }
    }
    complaints.sort();
    Ok(complaints)
}

fn named(root: &Path, path: &PathBuf) -> anyhow::Result<Option<String>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        // Somebody's editor was quicker.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
    };
    let text = String::from_utf8_lossy(&bytes);
    let short = path.strip_prefix(root).unwrap_or(path).display();
    Ok(PLACES.iter().find(|place| text.contains(**place)).map(|place| format!("{short}: names {place}")))
}

/// Tests that [`NAMES_TESTS`] names and nobody has written: words between backticks with four underscores or more.
pub(super) fn unwritten(root: &Path) -> anyhow::Result<Vec<String>> {
    let Ok(page) = std::fs::read_to_string(root.join(NAMES_TESTS)) else { return Ok(Vec::new()) };
    let is_test = |word: &&str| {
        word.matches('_').count() >= 4
            && word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let mut named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).with_context(|| format!("could not list {}", folder.display()))?
        {
            let path = entry?.path();
            let skipped = path.file_name().is_some_and(|name| NOT_OURS.iter().any(|not| name == *not));
            if path.is_dir() && !skipped && !path.is_symlink() && !path.join("CACHEDIR.TAG").exists() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("could not read {}", path.display()))?;
                named.retain(|name| !text.contains(&format!("fn {name}(")));
            }
        }
    }
    Ok(named.into_iter().map(|name| format!("{NAMES_TESTS}: no test `{name}`")).collect())
}
