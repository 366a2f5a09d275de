//! What somebody at the gateway wants put into its chain, left for the agent that runs or will run.
//!
//! The store is one process's alone, so a command leaves a file in the state directory's `wishes`, whole and on the
//! medium before it says so, and the recorder takes it at its next flush or start. A wish is carried out once: the store
//! remembers its name in the transaction that puts the entry into the chain, and the file goes after that. Wishes go in
//! the order of their names, one after the other.
//!
//! Whoever may write here could read the signing key as well.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use daemon::files;
use proof::payload::{PayloadError, check_label, check_opened};
use proof::wire;
use prost::Message as _;

/// Name of the folder in the state directory.
const FOLDER: &str = "wishes";

/// Most wishes that may wait.
const MOST: usize = 64;

/// Largest wish, bytes.
const MAX_WISH: u64 = 4096;

/// Under which the store keeps the name of the wish that was carried out last.
pub(crate) const DONE: &str = "wish";

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// Somebody says what a time or some places of the chain were. Its header is made by the agent.
    Label(Box<wire::Label>),
    /// The word that a past leaf was shown. Its header is made by the agent.
    Opened(wire::Opened),
    /// Another signing key.
    Rotate,
}

/// Why a wish was not left.
#[derive(Debug, thiserror::Error)]
pub enum WishError {
    /// So many wait that the agent does not seem to take them.
    #[error("{MOST} wishes wait in {} already: does the agent run?", .0.display())]
    TooMany(PathBuf),
    /// It is out of bounds.
    #[error(transparent)]
    Bounds(#[from] PayloadError),
    /// It could not be written.
    #[error("could not write to {}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Wish {
    fn suffix(&self) -> &'static str {
        match self {
            Self::Label(_) => "label",
            Self::Opened(_) => "opening",
            Self::Rotate => "rotate",
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Label(label) => label.encode_to_vec(),
            Self::Opened(opened) => opened.encode_to_vec(),
            Self::Rotate => Vec::new(),
        }
    }

    fn read(name: &str, bytes: &[u8]) -> Result<Self, String> {
        match name.rsplit_once('.') {
            Some((_, "label")) => {
                let label = wire::Label::decode(bytes).map_err(|error| error.to_string())?;
                check_label(&label).map_err(|error| error.to_string())?;
                Ok(Self::Label(Box::new(label)))
            }
            Some((_, "opening")) => {
                let opened = wire::Opened::decode(bytes).map_err(|error| error.to_string())?;
                check_opened(&opened).map_err(|error| error.to_string())?;
                Ok(Self::Opened(opened))
            }
            Some((_, "rotate")) if bytes.is_empty() => Ok(Self::Rotate),
            _ => Err("of no kind that this version knows".to_owned()),
        }
    }
}

/// Leaves a wish in this state directory, to be found after those that were left before `now_ms`. It is on the medium
/// when this returns.
///
/// # Errors
/// [`WishError`].
pub fn leave(state_dir: &Path, wish: &Wish, now_ms: i64) -> Result<(), WishError> {
    match wish {
        Wish::Label(label) => check_label(label)?,
        Wish::Opened(opened) => check_opened(opened)?,
        Wish::Rotate => {}
    }
    let folder = state_dir.join(FOLDER);
    let wrong = |source| WishError::Io { path: folder.clone(), source };
    if !folder.is_dir() {
        fs::create_dir_all(&folder).map_err(wrong)?;
        sync(state_dir).map_err(wrong)?;
    }
    if waiting(&folder).map_err(wrong)?.len() >= MOST {
        return Err(WishError::TooMany(folder));
    }
    let nonce = files::random().map_err(wrong)?;
    let nonce = data_encoding::HEXLOWER.encode(&nonce[..8]);
    let name = format!("{:015}-{nonce}.{}", now_ms.max(0), wish.suffix());
    files::write_whole(&folder.join(name), &wish.encode(), files::SECRET).map_err(wrong)
}

/// The first wish that waits, with its name. What cannot be read as one is put aside with a warning, and never looked at
/// again.
///
/// # Errors
/// When the folder cannot be read or changed.
pub(crate) fn first(state_dir: &Path) -> io::Result<Option<(String, Wish)>> {
    let folder = state_dir.join(FOLDER);
    for name in waiting(&folder)? {
        let mut bytes = Vec::new();
        File::open(folder.join(&name))?.take(MAX_WISH + 1).read_to_end(&mut bytes)?;
        let read = if bytes.len() as u64 > MAX_WISH {
            Err(format!("more than {MAX_WISH} bytes"))
        } else {
            Wish::read(&name, &bytes)
        };
        match read {
            Ok(wish) => return Ok(Some((name, wish))),
            Err(error) => {
                tracing::warn!(wish = name, error, "a wish that cannot be read is put aside");
                fs::rename(folder.join(&name), folder.join(format!("{name}.unread")))?;
                sync(&folder)?;
            }
        }
    }
    Ok(None)
}

/// Takes a wish away for good: it is carried out.
///
/// # Errors
/// When the folder cannot be changed.
pub(crate) fn done(state_dir: &Path, name: &str) -> io::Result<()> {
    let folder = state_dir.join(FOLDER);
    match fs::remove_file(folder.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Before the next one is begun: the store remembers only the last.
    sync(&folder)
}

/// Names of wishes in their order, at most [`MOST`]. What is half written or was put aside is not among them.
fn waiting(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_wish = name.len() <= 64 && !name.ends_with(".new") && !name.ends_with(".unread");
        if is_wish && names.len() < 16 * MOST {
            names.push(name);
        }
    }
    names.sort();
    names.truncate(MOST);
    Ok(names)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Wish {
        let time = wire::TimeSpan { from_ms: 1, to_ms: 2 };
        let about = Some(wire::label::About::Time(time));
        let (cause, text) = (u32::from(b'H'), text.to_owned());
        Wish::Label(Box::new(wire::Label { about, cause, text, ..Default::default() }))
    }

    #[test]
    fn wishes_are_taken_in_the_order_in_which_they_were_left_and_each_until_it_is_done() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(first(state.path()).unwrap(), None);
        for (text, at) in [("second", 1_000_000), ("first", 999_999)] {
            leave(state.path(), &label(text), at).unwrap();
        }
        for text in ["first", "second"] {
            let (name, wish) = first(state.path()).unwrap().unwrap();
            assert_eq!(wish, label(text));
            assert_eq!(first(state.path()).unwrap().unwrap().0, name, "it waits until it is done");
            done(state.path(), &name).unwrap();
            done(state.path(), &name).unwrap();
        }
        assert_eq!(first(state.path()).unwrap(), None);
    }

    #[test]
    fn what_is_no_wish_is_put_aside_and_stops_no_other() {
        let state = tempfile::tempdir().unwrap();
        leave(state.path(), &label("good"), 999_999_999_999_999).unwrap();
        let folder = state.path().join(FOLDER);
        fs::write(folder.join("0.label"), b"\xff\xff").unwrap();
        fs::write(folder.join("1.label"), vec![0; 10_000]).unwrap();
        fs::write(folder.join("2.dance"), b"").unwrap();
        fs::write(folder.join("3.label.new"), b"half").unwrap();
        let empty = wire::Label::default().encode_to_vec();
        fs::write(folder.join("4.label"), empty).unwrap();
        assert_eq!(first(state.path()).unwrap().unwrap().1, label("good"));
        let aside = fs::read_dir(&folder).unwrap().flatten();
        let aside = aside.filter(|entry| entry.file_name().to_string_lossy().ends_with(".unread"));
        assert_eq!(aside.count(), 4);
    }

    #[test]
    fn wishes_that_nobody_takes_are_bounded_and_so_is_each() {
        let state = tempfile::tempdir().unwrap();
        for at in 0..64 {
            leave(state.path(), &label("停".repeat(200).as_str()), at).unwrap();
        }
        assert!(matches!(leave(state.path(), &label("one more"), 64), Err(WishError::TooMany(_))));
        assert!(matches!(leave(state.path(), &label("a\nb"), 64), Err(WishError::Bounds(_))));
        assert!(first(state.path()).unwrap().is_some(), "the longest text fits a wish");
    }
}
