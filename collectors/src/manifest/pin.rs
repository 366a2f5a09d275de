//! Writes the thumbprint of a server's certificate into a manifest that people have written, and changes nothing else.
//!
//! One line is set or added. The result is taken only when it reads as the manifest did but for that pin; a manifest
//! written in a way that this cannot be done in says so, and its owner adds the line.

use std::io::Write as _;
use std::path::Path;

use super::{Kind, Manifest, Security, Thumbprint};

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The file cannot be read or written.
    #[error("cannot change {path}")]
    File {
        /// Which one.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It changed meanwhile, or is written in another way than tables with a line for each key.
    #[error("the line `{line}` must be added by hand to the `opcua` table of this source")]
    ByHand {
        /// What to add.
        line: String,
    },
}

/// Pins a server's certificate in the manifest at `path`. The old file is replaced at once or not at all.
///
/// # Errors
/// [`PinError`], and the file is as it was.
pub fn pin(path: &Path, source: &str, pin: Thumbprint) -> Result<(), PinError> {
    let file = |source| PinError::File { path: path.display().to_string(), source };
    let text = std::fs::read_to_string(path).map_err(file)?;
    let dir = path.parent().unwrap_or(Path::new(""));
    let by_hand = || PinError::ByHand { line: line(pin) };
    let before = Manifest::parse("manifest", &text, dir).map_err(|_| by_hand())?;
    let place = before.sources.iter().position(|known| known.name == source).ok_or_else(by_hand)?;
    let new = with_pin(&text, place, pin).ok_or_else(by_hand)?;
    let after = Manifest::parse("manifest", &new, dir).map_err(|_| by_hand())?;
    if !differs_by_pin(before, after, place, pin) {
        return Err(by_hand());
    }
    replace(path, new.as_bytes()).map_err(file)
}

fn line(pin: Thumbprint) -> String {
    format!("server_thumbprint = \"{pin}\"")
}

/// Whether `after` is `before` with this pin at this source.
fn differs_by_pin(mut before: Manifest, mut after: Manifest, place: usize, wanted: Thumbprint) -> bool {
    let Kind::OpcUa(server) = &mut before.sources[place].kind else { return false };
    let Security::Secured { pin, .. } = &mut server.security else { return false };
    *pin = Some(wanted);
    before.text.clear();
    after.text.clear();
    before == after
}

/// The text with the line in the `opcua` table of the source at this place.
fn with_pin(text: &str, place: usize, pin: Thumbprint) -> Option<String> {
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let header = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        line.chars().filter(|c| !c.is_whitespace()).collect::<String>()
    };
    let sources: Vec<_> = (0..lines.len()).filter(|at| header(lines[*at]) == "[[sources]]").collect();
    let from = *sources.get(place)?;
    let to = sources.get(place + 1).copied().unwrap_or(lines.len());
    let table = (from..to).find(|at| header(lines[*at]) == "[sources.opcua]")?;
    let end = (table + 1..to).find(|at| header(lines[*at]).starts_with('[')).unwrap_or(to);
    let key = |at: &usize, key: &str| {
        lines[*at].trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let there = (table + 1..end).find(|at| key(at, "server_thumbprint"));
    let after = there.or_else(|| (table + 1..end).find(|at| key(at, "policy"))).unwrap_or(table);
    let mut new = String::with_capacity(text.len() + 100);
    for (at, old) in lines.iter().enumerate() {
        if Some(at) == there {
            let blank = &old[..old.len() - old.trim_start().len()];
            let comment = old.split_once('#').map(|(_, rest)| format!("  #{}", rest.trim_end()));
            new += &format!("{blank}{}{}{ending}", line(pin), comment.unwrap_or_default());
            continue;
        }
        new += old;
        if at == after && there.is_none() {
            if !old.ends_with('\n') {
                new += ending;
            }
            let blank = &old[..old.len() - old.trim_start().len()];
            new += &format!("{blank}{}{ending}", line(pin));
        }
    }
    Some(new)
}

/// The new content under the old name, owner and rights, also when the power goes meanwhile.
fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    // A link is followed: what it leads to is replaced, not the link.
    let path = std::fs::canonicalize(path)?;
    let old = std::fs::metadata(&path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut file = std::fs::File::create(&beside)?;
    file.set_permissions(old.permissions())?;
    if file.metadata()?.uid() != old.uid() || file.metadata()?.gid() != old.gid() {
        chown(&beside, Some(old.uid()), Some(old.gid()))?;
    }
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&beside, &path)?;
    std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# 车间\n[[sources]]\nname = \"甲\"\n[sources.opcua]\nendpoint = \"opc.tcp://a:4840\"\npolicy = \"none\"\npoints = [{ name = \"n\", node = \"i=2258\" }]\n\n[[ sources ]]  # 第二台\nname = \"乙\"\n  [sources.opcua]\n  endpoint = \"opc.tcp://b:4840\"\n  # 加密\n  policy = \"basic256sha256\" # 必须\n  points = [{ name = \"n\", node = \"i=2258\" }]\n";
    const PIN: Thumbprint = Thumbprint::Sha256([0xab; 32]);

    fn pinned(text: &str, source: &str) -> Result<String, PinError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.toml");
        std::fs::write(&path, text).unwrap();
        let outcome = pin(&path, source, PIN);
        let now = std::fs::read_to_string(&path).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(outcome.is_ok() || now == text, "a failure changes nothing");
        outcome.map(|()| now)
    }

    #[test]
    fn a_pin_is_one_line_and_every_comment_stays() {
        let new = pinned(TEXT, "乙").unwrap();
        let added = format!("  server_thumbprint = \"{}\"\n", "ab".repeat(32));
        assert_eq!(new, TEXT.replace("# 必须\n", &format!("# 必须\n{added}")));
        // A second pin takes the place of the first, and keeps what somebody wrote beside it.
        let other = new.replace(&"ab".repeat(32), &"00".repeat(32)).replace("00\"\n", "00\"   # 旧证书\n");
        let again = pinned(&other, "乙").unwrap();
        assert_eq!(again, new.replace("ab\"\n", "ab\"  # 旧证书\n"));
    }

    #[test]
    fn a_manifest_that_would_read_otherwise_afterwards_is_left_alone() {
        // No secured channel, no such source, a table in one line.
        assert!(matches!(pinned(TEXT, "甲"), Err(PinError::ByHand { .. })));
        assert!(matches!(pinned(TEXT, "丙"), Err(PinError::ByHand { .. })));
        let inline = "[[sources]]\nname = \"a\"\nopcua = { endpoint = \"opc.tcp://b:1\", policy = \"basic256sha256\", points = [{ name = \"n\", node = \"i=1\" }] }\n";
        let error = pinned(inline, "a").unwrap_err().to_string();
        assert!(error.contains(&format!("server_thumbprint = \"{}\"", "ab".repeat(32))), "{error}");
    }
}
