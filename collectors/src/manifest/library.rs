//! What a manifest can name instead of saying it: parsers, maps of tables and devices, built in or files beside it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use daemon::config::Complaints;

/// One kind of them: files of a folder beside the manifest, after those that are built in.
pub(super) struct Library {
    /// What one is called in a complaint.
    what: &'static str,
    folder: &'static str,
    /// Names and texts.
    built_in: &'static [(&'static str, &'static str)],
    /// Bytes of the largest file that is read.
    largest: u64,
    dir: PathBuf,
    /// Texts of those that came from files, by name.
    local: BTreeMap<String, String>,
}

impl Library {
    pub(super) fn beside(
        dir: &Path,
        (what, folder): (&'static str, &'static str),
        built_in: &'static [(&'static str, &'static str)],
        largest: u64,
    ) -> Self {
        Self { what, folder, built_in, largest, dir: dir.join(folder), local: BTreeMap::new() }
    }

    /// Adds the files used to a manifest's text, so that its digest covers them.
    pub(super) fn append_local(&self, text: &mut String) {
        for (name, local) in &self.local {
            text.push_str(&format!("\n# {}/{name}.toml\n{local}", self.folder));
        }
    }

    /// The one of that name, as `read` makes it of name and text; `None` after it was said what is wrong.
    pub(super) fn find<T>(
        &mut self,
        complaints: &mut Complaints,
        path: &str,
        name: &str,
        read: impl FnOnce(&str, &str) -> Result<T, Complaints>,
    ) -> Option<T> {
        let text = self.text(name).map_err(|why| complaints.add(path, why)).ok()?;
        let found = read(name, &text).map_err(|wrong| complaints.join(wrong)).ok();
        if let Cow::Owned(text) = text {
            self.local.insert(name.to_owned(), text);
        }
        found
    }

    /// Names of the files that are there, the first hundred.
    #[cfg(feature = "log")]
    pub(super) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().filter_map(Result::ok);
        let named =
            |entry: std::fs::DirEntry| Some(entry.file_name().to_str()?.strip_suffix(".toml")?.to_owned());
        let mut names: Vec<_> = entries.filter_map(named).take(100).collect();
        names.sort();
        names
    }

    fn text(&self, name: &str) -> Result<Cow<'static, str>, String> {
        if let Some((_, text)) = self.built_in.iter().find(|(built_in, _)| *built_in == name) {
            return Ok(Cow::Borrowed(text));
        }
        let is_plain =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let file = self.dir.join(format!("{name}.toml"));
        let Some(meta) = std::fs::metadata(&file).ok().filter(|_| is_plain) else {
            let known: Vec<_> = self.built_in.iter().map(|(name, _)| *name).collect();
            let (what, known) = (self.what, known.join(", "));
            return Err(format!("no {what} `{name}`: neither {known} nor `{}`", file.display()));
        };
        if meta.len() > self.largest {
            return Err(format!("`{}` is longer than {} bytes", file.display(), self.largest));
        }
        let read = std::fs::read_to_string(&file);
        read.map(Cow::Owned).map_err(|error| format!("`{}` cannot be read: {error}", file.display()))
    }
}
