//! The rules of the tree, read off the manifests: dependencies point one way, names match folders, lints are
//! inherited, decisions are numbered, nothing names a place outside of the checkout.
//!
//! The same runs as a test of this crate; `cargo xtask structure` adds what only cargo can say: what our crates carry
//! with them through others.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail};
use toml::{Table, Value};

use crate::command::Command;
use crate::tree;

/// Who may depend on whom among ourselves, in any kind of dependency; `tests` and `xtask` may on all.
const ROAD: [(&str, &[&str]); 13] = [
    ("proof", &[]),
    ("daemon", &[]),
    ("collectors", &["proof", "daemon"]),
    ("buffer", &["proof"]),
    ("agent", &["proof", "collectors", "buffer", "daemon"]),
    ("ledger", &["proof"]),
    ("ingester", &["proof", "ledger", "daemon"]),
    ("scorer", &["proof"]),
    ("forge", &["proof", "scorer"]),
    ("portal", &["proof", "ledger", "scorer", "daemon"]),
    ("server", &["proof", "ledger", "ingester", "scorer", "portal", "daemon"]),
    ("witness", &["proof", "daemon"]),
    ("verifier", &["proof"]),
];

/// At the end of every road.
const ENDS: [&str; 2] = ["tests", "xtask"];

/// Foreign crates only some of ours may name. What others carry in is for `deny.toml`.
const RESERVED: [(&str, &[&str]); 7] = [
    ("ed25519-dalek", &["proof"]),
    ("rumqttc", &["collectors", "agent", "ingester", "tests"]),
    ("rmqtt", &["server"]),
    ("rusqlite", &["buffer", "ledger"]),
    ("async-opcua", &["collectors", "tests"]),
    ("tokio-postgres", &["collectors"]),
    ("tiberius", &["collectors"]),
];

/// As [`RESERVED`], for development alone.
const RESERVED_DEV: [(&str, &[&str]); 2] = [("rumqttc", &["server"]), ("rusqlite", &["tests"])];

/// What must not be built into a crate of ours, not even through others, and why.
const CARRIED: [(&str, &[&str], &str); 3] = [
    ("proof", &["tokio", "mio", "socket2", "hyper", "rusqlite"], "it has no runtime, clock, file or network"),
    (
        "verifier",
        &["tokio", "mio", "socket2", "hyper", "rusqlite"],
        "it works offline, from the proof library alone",
    ),
    ("agent", &["openssl-sys", "native-tls", "aws-lc-sys"], "it is one static file for any gateway"),
];

/// Prints nothing when all rules hold.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut complaints = complaints(&tree::root())?;
    for (package, banned, why) in CARRIED {
        let carried = Command::cargo()
            .args([
                "tree",
                "--quiet",
                "--package",
                package,
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--format",
                "{p}",
            ])
            .output()?;
        complaints.extend(carries(package, &carried, banned, why));
    }
    report(&complaints)
}

fn report(complaints: &[String]) -> anyhow::Result<()> {
    if complaints.is_empty() {
        return Ok(());
    }
    bail!("the tree is not as it should be:\n{}", complaints.join("\n"))
}

/// Every rule the checkout at `root` breaks.
fn complaints(root: &Path) -> anyhow::Result<Vec<String>> {
    let workspace = manifest(&root.join("Cargo.toml"))?;
    let members = workspace.get("workspace").and_then(|w| w.get("members")).and_then(Value::as_array);
    let members: Vec<&str> = members.into_iter().flatten().filter_map(Value::as_str).collect();
    let mut complaints = Vec::new();
    let mut packages = BTreeMap::new();
    for member in &members {
        packages.insert(*member, manifest(&root.join(member).join("Cargo.toml"))?);
    }
    complaints.extend(strangers(root, &members)?);
    for (folder, package) in &packages {
        complaints.extend(shape(folder, package));
        complaints.extend(one_way(folder, package, &members));
        complaints.extend(reserved(folder, package));
    }
    complaints.extend(text::decisions(root)?);
    complaints.extend(text::places(root)?);
    complaints.extend(text::silent(root)?);
    complaints.extend(text::unwritten(root)?);
    Ok(complaints)
}

fn manifest(path: &Path) -> anyhow::Result<Table> {
    let text = std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    text.parse().with_context(|| format!("could not parse {}", path.display()))
}

/// Folders with a manifest that are not members, and members that no rule knows.
fn strangers(root: &Path, members: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut complaints = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().join("Cargo.toml").is_file() && !members.contains(&name.as_str()) {
            complaints.push(format!("{name}: has a manifest and is no member of the workspace"));
        }
    }
    for member in members {
        if !ENDS.contains(member) && !ROAD.iter().any(|(name, _)| name == member) {
            complaints.push(format!("{member}: say in xtask/src/structure.rs what it may depend on"));
        }
    }
    Ok(complaints)
}

/// Names, version, lints.
fn shape(folder: &str, package: &Table) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut want = |good: bool, what: &str| {
        if !good {
            complaints.push(format!("{folder}: {what}"));
        }
    };
    let about = package.get("package");
    let says = |key: &str| about.and_then(|about| about.get(key));
    let inherits =
        |value: Option<&Value>| value.and_then(|v| v.get("workspace")).and_then(Value::as_bool) == Some(true);
    want(says("name").and_then(Value::as_str) == Some(folder), "the package is not named as its folder");
    for key in ["version", "edition", "rust-version", "license", "publish"] {
        want(inherits(says(key)), &format!("`{key}` is not the workspace's"));
    }
    want(says("description").is_some(), "has no description");
    let lints = package.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
    want(lints == Some(true), "`[lints] workspace = true` is missing");
    let library = package.get("lib").and_then(|lib| lib.get("name")).and_then(Value::as_str);
    want(library.is_none_or(|name| name == folder), "the library is not named as its folder");
    if !ENDS.contains(&folder) {
        let programs = package.get("bin").and_then(Value::as_array);
        for name in programs.into_iter().flatten().filter_map(|bin| bin.get("name").and_then(Value::as_str)) {
            want(name.starts_with("inuse-"), &format!("the program `{name}` is not named `inuse-…`"));
        }
    }
    complaints
}

/// Dependencies among ourselves.
fn one_way(folder: &str, package: &Table, members: &[&str]) -> Vec<String> {
    let Some((_, allowed)) = ROAD.iter().find(|(name, _)| *name == folder) else { return Vec::new() };
    let named: BTreeSet<String> = dependencies(package).into_iter().map(|(_, name)| name).collect();
    named
        .iter()
        .filter(|name| members.contains(&name.as_str()) && !allowed.contains(&name.as_str()))
        .map(|name| format!("{folder}: may not depend on {name}; dependencies point one way"))
        .collect()
}

/// Foreign crates that are not for everyone.
fn reserved(folder: &str, package: &Table) -> Vec<String> {
    let may = |table: &[(&str, &[&str])], name: &str| {
        table.iter().any(|(reserved, who)| *reserved == name && who.contains(&folder))
    };
    let mut complaints = Vec::new();
    for (dev, name) in dependencies(package) {
        let is_reserved = RESERVED.iter().any(|(reserved, _)| *reserved == name);
        if is_reserved && !may(&RESERVED, &name) && !(dev && may(&RESERVED_DEV, &name)) {
            complaints.push(format!("{folder}: {name} is not for it"));
        }
    }
    complaints
}

/// All names in all dependency tables, also those of targets and renamed ones; `true` for those of development.
fn dependencies(package: &Table) -> Vec<(bool, String)> {
    let targets = package.get("target").and_then(Value::as_table);
    let tables = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let mut found = Vec::new();
    for table in tables.chain([package]) {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let names = table.get(kind).and_then(Value::as_table);
            for (key, value) in names.into_iter().flatten() {
                let name = value.get("package").and_then(Value::as_str).unwrap_or(key);
                found.push((kind == "dev-dependencies", name.to_owned()));
            }
        }
    }
    found
}

/// What `package` carries of the `banned`, after `cargo tree`'s list of `name version …` lines.
fn carries(package: &str, tree: &str, banned: &[&str], why: &str) -> Vec<String> {
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let found = banned.iter().filter(|name| names.contains(*name));
    found.map(|name| format!("{package}: carries {name}; {why}")).collect()
}

#[cfg(test)]
mod tests;
