//! Files that the installer names.

use super::ask::Console;

/// A file that is there, by its whole path: the manifest's own folder is not where the installer stands.
pub(super) async fn existing(console: &mut Console, zh: &str, en: &str) -> anyhow::Result<String> {
    console
        .ask(zh, en, None, |text| {
            let whole = std::path::absolute(text).ok().filter(|path| path.is_file());
            let whole = whole.and_then(|path| path.to_str().map(str::to_owned));
            whole.ok_or(("没有这个文件，或本用户看不到它", "no such file, or not to be seen"))
        })
        .await
}
