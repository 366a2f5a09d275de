//! Where a log's files are: the one at a path, or those behind a pattern, and what they may have been renamed to.
//!
//! A look lists the folders once. Nothing is opened here: opening a pipe would wait for its writer.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use regex::Regex;
use sha2::{Digest as _, Sha256};

use crate::manifest::LogFile;

/// Most entries of one folder that are looked at.
const MAX_ENTRIES: usize = 10_000;
/// Most folders behind one pattern.
const MAX_FOLDERS: usize = 256;
/// Endings of what was packed: never read as a log.
const PACKED: &[&str] = &[".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".7z", ".rar", ".Z"];

/// Where a log's files are.
#[derive(Debug, Clone)]
pub(super) enum Places {
    /// One path.
    One(PathBuf),
    /// A pattern: a folder, and what each name below it must be.
    Pattern { root: PathBuf, parts: Vec<Regex>, exclude: Vec<Regex> },
}

/// What is there.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Unix ms.
    pub(super) written_ms: u64,
    /// Size, and the moment of the last change to file or entry, in ns: equal means untouched.
    pub(super) stamp: (u64, i128),
    /// It is where a log is written to, and not what one was renamed to.
    pub(super) is_home: bool,
}

/// What a look at the folders found.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Logs, what they may have been renamed to, and files that were asked for by inode.
    pub(super) entries: Vec<Entry>,
    /// Packed files: path, size and when written.
    pub(super) packed: Vec<(PathBuf, u64, u64)>,
}

impl Places {
    /// # Errors
    /// Says which pattern cannot be used, and why.
    pub(super) fn new(file: &LogFile) -> Result<Self, String> {
        if !file.is_pattern() {
            return Ok(Self::One(file.path.clone()));
        }
        Self::behind(&file.path, &file.exclude)
    }

    /// What is behind a pattern.
    fn behind(path: &Path, exclude: &[String]) -> Result<Self, String> {
        let is_plain = |part: &&std::path::Component<'_>| !has_wildcard(&part.as_os_str().to_string_lossy());
        let root: PathBuf = path.components().take_while(|part| is_plain(&part)).collect();
        let below = path.components().skip(root.components().count());
        let parts = below.map(|part| wildcard(&part.as_os_str().to_string_lossy()));
        let exclude = exclude.iter().map(|part| wildcard(part));
        let (parts, exclude) = (parts.collect::<Result<_, _>>()?, exclude.collect::<Result<_, _>>()?);
        Ok(Self::Pattern { root, parts, exclude })
    }

    /// What the one path is called in a bookmark.
    pub(super) fn home(&self) -> Option<u64> {
        match self {
            Self::One(path) => Some(home_of(path)),
            Self::Pattern { .. } => None,
        }
    }

    /// Looks. `known` are the inodes of files that are of interest under any name.
    ///
    /// # Errors
    /// When the folder, or the one file, cannot be looked at.
    pub(super) fn list(&self, known: &dyn Fn(u64) -> bool) -> io::Result<Listing> {
        let mut listing = Listing::default();
        match self {
            Self::One(path) => {
                let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
                // The file itself may be readable in a folder that is not.
                let home = std::fs::metadata(path);
                let refused = home.as_ref().err().filter(|error| error.kind() != io::ErrorKind::NotFound);
                if let Some(error) = refused {
                    return Err(io::Error::new(error.kind(), error.to_string()));
                }
                if let Ok(meta) = home {
                    // Opening a pipe would wait for whoever writes into it.
                    if !meta.is_file() {
                        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
                    }
                    listing.add(path.clone(), &meta, true);
                }
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let sibling = |other: &str| is_sibling(&name, other);
                listing.folder(dir, known, &|other| *other == *name, &sibling, Some(path));
            }
            Self::Pattern { root, parts, exclude } => {
                let mut folders = vec![root.clone()];
                let Some((last, above)) = parts.split_last() else { return Ok(listing) };
                for part in above {
                    folders = folders.iter().flat_map(|folder| folders_in(folder, part)).collect();
                    folders.sort();
                    folders.truncate(MAX_FOLDERS);
                }
                let excluded = |name: &str| exclude.iter().any(|part| part.is_match(name));
                let home = |name: &str| last.is_match(name) && !excluded(name);
                let sibling = |name: &str| {
                    !excluded(name) && bases(name).any(|base| last.is_match(&base) && !excluded(&base))
                };
                for folder in &folders {
                    listing.folder(folder, known, &home, &sibling, None);
                }
                if folders.len() == 1 && listing.entries.is_empty() {
                    std::fs::read_dir(&folders[0])?;
                }
            }
        }
        Ok(listing)
    }
}

impl Listing {
    fn folder(
        &mut self,
        dir: &Path,
        known: &dyn Fn(u64) -> bool,
        home: &dyn Fn(&str) -> bool,
        sibling: &dyn Fn(&str) -> bool,
        seen: Option<&Path>,
    ) {
        let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        for (at, entry) in entries.enumerate() {
            if at == MAX_ENTRIES {
                tracing::warn!(folder = %dir.display(), "a folder has more than {MAX_ENTRIES} entries; the others are not looked at");
                break;
            }
            let path = dir.join(entry.file_name());
            if seen.is_some_and(|seen| seen.file_name() == path.file_name()) {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let packed = unpacked(&name);
            if let Some(base) = packed.filter(|base| home(base) || sibling(base)) {
                let meta = std::fs::metadata(&path).ok().filter(Metadata::is_file);
                debug_assert!(!base.is_empty());
                self.packed.extend(meta.map(|meta| (path.clone(), meta.size(), written_ms(&meta))));
            }
            let is_home = home(&name);
            // The inode of what was packed may be the packed file's now.
            if packed.is_some() || !is_home && !known(entry.ino()) && !sibling(&name) {
                continue;
            }
            if let Some(meta) = std::fs::metadata(&path).ok().filter(Metadata::is_file) {
                self.add(path, &meta, is_home);
            }
        }
    }

    fn add(&mut self, path: PathBuf, meta: &Metadata, is_home: bool) {
        self.entries.push(Entry {
            path,
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            written_ms: written_ms(meta),
            stamp: stamp(meta),
            is_home,
        });
    }
}

/// The file behind a pattern that was written to last.
pub(super) fn newest(pattern: &Path) -> io::Result<PathBuf> {
    let places =
        Places::behind(pattern, &[]).map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
    let entries = places.list(&|_| false)?.entries.into_iter().filter(|entry| entry.is_home);
    let newest = entries.max_by_key(|entry| entry.written_ms);
    newest.map(|entry| entry.path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

pub(super) fn stamp(meta: &Metadata) -> (u64, i128) {
    (meta.size(), i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec()))
}

pub(super) fn written_ms(meta: &Metadata) -> u64 {
    u64::try_from(meta.mtime() * 1_000 + meta.mtime_nsec() / 1_000_000).unwrap_or(0)
}

/// Whether a path has a part that stands for several.
pub(crate) fn has_wildcard(path: &str) -> bool {
    path.contains(['*', '?'])
}

/// What a path is called in a bookmark.
pub(super) fn home_of(path: &Path) -> u64 {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

/// `*` any characters of a name, `?` one; `**` is read as `*`.
fn wildcard(part: &str) -> Result<Regex, String> {
    let mut pattern = "^".to_owned();
    for character in part.chars() {
        match character {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            plain => pattern.push_str(&regex::escape(&plain.to_string())),
        }
    }
    pattern.push('$');
    Regex::new(&pattern).map_err(|error| error.to_string())
}

fn folders_in(folder: &Path, part: &Regex) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(MAX_ENTRIES).filter_map(Result::ok);
    let named = entries.filter(|entry| part.is_match(&entry.file_name().to_string_lossy()));
    named.map(|entry| folder.join(entry.file_name())).filter(|path| path.is_dir()).collect()
}

/// The name without the ending of what packed it.
pub(super) fn unpacked(name: &str) -> Option<&str> {
    PACKED.iter().find_map(|ending| name.strip_suffix(ending)).filter(|base| !base.is_empty())
}

/// Names that a log may have had before it was renamed to this one: `app.log` of `app.log.1`, `app.log-20250618` and
/// `app.2025-06-18.log`.
pub(super) fn bases(name: &str) -> impl Iterator<Item = String> {
    let ending = name.rfind('.').map_or("", |dot| &name[dot..]);
    let cuts = name.char_indices().filter(|(at, c)| *at > 0 && matches!(c, '.' | '-' | '_'));
    let bases = cuts.flat_map(move |(at, _)| [name[..at].to_owned(), format!("{}{ending}", &name[..at])]);
    bases.filter(move |base| base != name && is_sibling(base, name))
}

/// `app.log.1`, `app.log-20250618`, `app.log.old`, `app.2025-06-18.log` for `app.log`; not `app-error.log`, not what is
/// packed.
pub(super) fn is_sibling(log: &str, other: &str) -> bool {
    let counted = |middle: &str| {
        let plain = middle.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_' | b'T'));
        let numbered =
            middle.starts_with(['.', '-', '_']) && plain && middle.bytes().any(|b| b.is_ascii_digit());
        middle.is_empty() || middle == ".old" || numbered
    };
    if other.strip_prefix(log).is_some_and(counted) {
        return true;
    }
    let Some(dot) = log.rfind('.') else { return false };
    let (stem, ending) = log.split_at(dot);
    other.strip_prefix(stem).and_then(|rest| rest.strip_suffix(ending)).is_some_and(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_log_is_renamed_to_counts_as_its_sibling() {
        let table = [
            ("app.log", true),
            ("app.log.1", true),
            ("app.log.2025-06-18", true),
            ("app.log-20250618", true),
            ("app.2025-06-18.log", true),
            ("app-2025-06-18_1.log", true),
            ("app.log.old", true),
            ("app.log.1.gz", false),
            ("app.log.bak", false),
            ("app-error.log", false),
            ("app.log~", false),
            ("apples.log", false),
            ("error.log", false),
        ];
        for (name, expected) in table {
            assert_eq!(is_sibling("app.log", name), expected, "{name}");
        }
        assert!(is_sibling("catalina", "catalina.1"));
    }

    #[test]
    fn a_pattern_finds_its_files_and_what_they_were_renamed_to_and_no_packed_or_excluded_ones() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "W3SVC1/u_ex250617.log",
            "W3SVC1/u_ex250618.log",
            "W3SVC2/u_ex250618.log",
            "W3SVC2/u_ex250618.log.1",
            "W3SVC2/u_ex250616.log.gz",
            "W3SVC2/u_ex_test.log",
            "W3SVC2/other.log",
            "FTP/u_ex250618.log",
        ];
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let regexes = |parts: &[&str]| parts.iter().map(|part| wildcard(part).unwrap()).collect();
        let places = Places::Pattern {
            root: folder.path().to_owned(),
            parts: regexes(&["W3SVC*", "u_ex*.log"]),
            exclude: regexes(&["*test*"]),
        };
        let listing = places.list(&|_| false).unwrap();
        let mut found: Vec<_> = listing
            .entries
            .iter()
            .map(|entry| (entry.path.strip_prefix(folder.path()).unwrap().to_str().unwrap(), entry.is_home))
            .collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("W3SVC1/u_ex250617.log", true),
                ("W3SVC1/u_ex250618.log", true),
                ("W3SVC2/u_ex250618.log", true),
                ("W3SVC2/u_ex250618.log.1", false),
            ]
        );
        assert_eq!(listing.packed.len(), 1);
    }
}
