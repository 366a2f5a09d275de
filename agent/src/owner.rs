//! Reading as the one who will read: root sees files and ports that the service's user does not.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist, setgid, setgroups, setuid};

use crate::AgentConfig;

/// The service, whose drop-ins may give it more groups.
const UNIT: &str = "inuse-agent";

/// When this is root and the state directory of this configuration is somebody else's, becomes that one for good, with
/// its groups and those that systemd gives the service. Returns its name. Only before any thread was started.
///
/// # Errors
/// When root may not become that user.
pub fn read_as_owner(config: &Path) -> io::Result<Option<String>> {
    // What is wrong with the configuration is said by the command itself.
    let Ok((Some(config), _)) = AgentConfig::alone(config) else { return Ok(None) };
    let Some(folder) = of_another(&config) else { return Ok(None) };
    let uid = Uid::from_raw(folder.uid());
    let user = User::from_uid(uid)?;
    let gid = user.as_ref().map_or(Gid::from_raw(folder.gid()), |user| user.gid);
    let mut groups = match &user {
        Some(user) => getgrouplist(&CString::new(user.name.as_str())?, gid)?,
        None => vec![gid],
    };
    groups.extend(groups_of_the_service());
    groups.sort_by_key(|group| group.as_raw());
    groups.dedup();
    setgroups(&groups)?;
    setgid(gid)?;
    setuid(uid)?;
    Ok(Some(user.map_or_else(|| uid.to_string(), |user| user.name)))
}

/// The state directory, when this is root and it is somebody else's.
pub(crate) fn of_another(config: &AgentConfig) -> Option<fs::Metadata> {
    let folder = fs::metadata(&config.state_dir).ok()?;
    (geteuid().is_root() && folder.uid() != 0).then_some(folder)
}

/// What `SupplementaryGroups=` says, where systemd runs.
fn groups_of_the_service() -> Vec<Gid> {
    let asked = std::process::Command::new("systemctl")
        .args(["show", "--property=SupplementaryGroups", "--value", UNIT])
        .stdin(std::process::Stdio::null())
        .output();
    let names = asked.ok().filter(|asked| asked.status.success());
    let names = names.map_or_else(String::new, |asked| String::from_utf8_lossy(&asked.stdout).into_owned());
    let group = |name: &str| {
        let number = name.parse().ok().map(Gid::from_raw);
        number.or_else(|| Some(Group::from_name(name).ok()??.gid))
    };
    names.split_whitespace().filter_map(group).collect()
}
