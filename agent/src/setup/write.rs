//! Writing what was decided: whole, with a dated copy of what it replaces, and both files or neither.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use daemon::{Clock, files};

use super::draft::Draft;

/// Writes manifest and, where it is new, `agent.toml`. Returns what was written.
pub(super) fn all(
    dir: &Path,
    config: &Path,
    draft: &Draft,
    agent_toml: Option<&str>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(dir).with_context(|| format!("could not make {}", dir.display()))?;
    let manifest = config.with_file_name("manifest.toml");
    let kept = replace(&manifest, draft.text().as_bytes(), clock)
        .with_context(|| format!("could not write {}", manifest.display()))?;
    let mut written = vec![manifest.clone()];
    if let Some(text) = agent_toml {
        if let Err(error) = replace(config, text.as_bytes(), clock) {
            // Neither, then.
            match &kept {
                Some(kept) => fs::rename(kept, &manifest)?,
                None => fs::remove_file(&manifest)?,
            }
            return Err(error).with_context(|| format!("could not write {}", config.display()));
        }
        written.push(config.to_owned());
    }
    written.extend(kept);
    Ok(written)
}

/// Replaces a file whole. Returns the dated copy of the one before, where there was one.
pub(super) fn replace(path: &Path, bytes: &[u8], clock: &Arc<dyn Clock>) -> io::Result<Option<PathBuf>> {
    let before = match fs::metadata(path) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let kept = match before {
        None => None,
        Some(_) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let kept = path.with_file_name(format!("{name}.{}.bak", clock.stamp().wall_ms / 1000));
            fs::copy(path, &kept)?;
            Some(kept)
        }
    };
    // A folder of a group's (the service's) means that it reads what is in there, and nobody else does.
    let group = path.parent().map(fs::metadata).transpose()?.map_or(0, |folder| folder.gid());
    let mode = before
        .as_ref()
        .map_or(if group == 0 { 0o644 } else { 0o640 }, |before| before.permissions().mode() & 0o777);
    files::write_whole(path, bytes, mode)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    let (owner, group) = before.map_or((None, group), |before| (Some(before.uid()), before.gid()));
    if group != 0 {
        // Only root may give away; who is not root keeps what is his.
        match chown(path, owner, Some(group)) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(kept)
}
