//! The manifest as it grows: text, because what is written must be what was checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use collectors::manifest::{Manifest, Source};
use daemon::config::Complaints;

/// A manifest's text, and the folder that its relative paths start from.
pub(super) struct Draft {
    dir: PathBuf,
    text: String,
    names: BTreeSet<String>,
    /// Names of lines, by how they are written.
    lines: Vec<(String, String)>,
}

impl Draft {
    pub(super) fn new(utc_offset_minutes: i32, dir: &Path) -> Self {
        let text = format!(
            "# Written by `inuse-agent setup`. Every key is shown in config/manifest.toml of the source tree; after a\n\
             # change run `inuse-agent check`.\nutc_offset_minutes = {utc_offset_minutes}\n"
        );
        Self { dir: dir.to_owned(), text, names: BTreeSet::new(), lines: Vec::new() }
    }

    /// One that goes on from a good manifest.
    pub(super) fn of(text: &str, dir: &Path) -> anyhow::Result<Self> {
        let manifest = Manifest::parse("manifest.toml", text, dir)?;
        let names = manifest.sources.iter().map(|source| source.name.clone()).collect();
        let table: toml::Table = text.parse()?;
        let lines = table.get("lines").and_then(toml::Value::as_array).into_iter().flatten();
        let line = |line: &toml::Value| {
            let mut keys = line.as_table()?.clone();
            let name = keys.remove("name")?.as_str()?.to_owned();
            Some((name, keys.to_string()))
        };
        let lines = lines.filter_map(line).collect();
        Ok(Self { dir: dir.to_owned(), text: text.trim_end().to_owned() + "\n", names, lines })
    }

    /// The folder that relative paths start from.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn sources(&self) -> usize {
        self.names.len()
    }

    pub(super) fn is_taken(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The name of the line that is written so, and the text that declares it where it is a new one.
    pub(super) fn line(&self, keys: &str) -> (String, String) {
        // As TOML writes them, so that two ways of writing are one line.
        let keys = keys.parse::<toml::Table>().map_or_else(|_| keys.to_owned(), |keys| keys.to_string());
        if let Some((name, _)) = self.lines.iter().find(|(_, known)| *known == keys) {
            return (name.clone(), String::new());
        }
        let taken = |name: &str| self.lines.iter().any(|(known, _)| known == name);
        let name =
            (1..).map(|at| format!("line {at}")).find(|name| !taken(name)).expect("there is always a number");
        let text = format!("\n[[lines]]\nname = {}\n{keys}", quoted(&name));
        (name, text)
    }

    /// What the manifest would say of one more source.
    pub(super) fn with(&self, more: &str) -> Result<Source, Complaints> {
        let manifest = Manifest::parse("manifest.toml", &format!("{}{more}", self.text), &self.dir)?;
        Ok(manifest.sources.last().cloned().expect("a good manifest has sources"))
    }

    pub(super) fn add(&mut self, source: &Source, line: Option<(String, &str)>, more: &str) {
        self.text.push_str(more);
        self.names.insert(source.name.clone());
        if let Some((name, keys)) = line {
            let keys = keys.parse::<toml::Table>().map_or_else(|_| keys.to_owned(), |keys| keys.to_string());
            if !self.lines.iter().any(|(known, _)| *known == name) {
                self.lines.push((name, keys));
            }
        }
    }

    pub(super) fn check(&self) -> Result<Manifest, Complaints> {
        Manifest::parse("manifest.toml", &self.text, &self.dir)
    }
}

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_on_one_line_share_it_and_a_manifest_is_gone_on_with() {
        let mut draft = Draft::new(480, Path::new(""));
        let keys = "serial = \"/dev/ttyS1\"\nbaud = 9600\n";
        for unit in 1..=2 {
            let (name, line) = draft.line(keys);
            let more = format!(
                "{line}\n[[sources]]\nname = \"表 {unit}\"\n[sources.modbus]\nline = {}\nunit = {unit}\n\
                 points = [{{ name = \"电能\", address = 0 }}]\n",
                quoted(&name)
            );
            let source = draft.with(&more).unwrap();
            draft.add(&source, Some((name, keys)), &more);
        }
        assert_eq!(draft.text().matches("[[lines]]").count(), 1);
        let again = Draft::of(draft.text(), Path::new("")).unwrap();
        assert_eq!((again.sources(), again.line(keys)), (2, ("line 1".to_owned(), String::new())));
        assert!(again.is_taken("表 2"));
        assert_eq!(again.line("connect = \"h:1\"\n").0, "line 2");
    }
}
