//! `cargo xtask verify-page`: the offline verifier as one HTML page, `inuse-verify.html`.
//!
//! Its sources are in `verifier/page`; its look is the portal's sheet. The verifier is compiled to WebAssembly and stands in
//! the page as base64, its content policy allows the page's own script and sheet by their digests and nothing else. No time
//! and no path of this machine is in it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest as _, Sha256};

use crate::command::{Command, find};
use crate::tree;

const TARGET: &str = "wasm32-unknown-unknown";

/// Makes the page and says where it is.
pub(crate) fn run() -> anyhow::Result<()> {
    let path = build()?;
    let page = std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
    println!("{}: {} bytes, SHA-256 {}", path.display(), page.len(), HEXLOWER.encode(&Sha256::digest(&page)));
    Ok(())
}

/// Makes the page and returns where it is.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let program = program()?;
    let folder = tree::root().join("verifier/page");
    let read = |path: PathBuf| {
        std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
    };
    let style = read(tree::root().join("portal/assets/inuse.css"))? + &read(folder.join("page.css"))?;
    let page = page(&read(folder.join("page.html"))?, &style, &read(folder.join("page.js"))?, &program)?;
    let made = tree::target().join("verify-page");
    std::fs::create_dir_all(&made).with_context(|| format!("could not make {}", made.display()))?;
    let path = made.join("inuse-verify.html");
    std::fs::write(&path, page).with_context(|| format!("could not write {}", path.display()))?;
    Ok(path)
}

/// The verifier as a WebAssembly module.
fn program() -> anyhow::Result<Vec<u8>> {
    has_library()?;
    let (root, target, home) = (tree::root(), tree::target(), cargo_home()?);
    // No path of this machine may be in the bytes; what only this machine sets is not asked for.
    let places = [(&root, "/inuse"), (&target, "/target"), (&home, "/cargo")];
    let mut flags = OsString::new();
    for (place, name) in places {
        if !flags.is_empty() {
            flags.push("\x1f");
        }
        flags.push("--remap-path-prefix=");
        flags.push(place);
        flags.push("=");
        flags.push(name);
    }
    Command::cargo()
        .args(["build", "--locked", "--package", "verifier", "--example", "page", "--no-default-features"])
        .args(["--profile", "page", "--target", TARGET])
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .run()?;
    let path = target.join(TARGET).join("page/examples/page.wasm");
    let program = std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
    for (place, _) in places {
        ensure!(!contains(&program, place), "{} names {}", path.display(), place.display());
    }
    Ok(program)
}

fn contains(bytes: &[u8], place: &Path) -> bool {
    let place = place.as_os_str().as_encoded_bytes();
    bytes.windows(place.len()).any(|window| window == place)
}

/// The standard library for the module, fetched by rustup where it is not there.
fn has_library() -> anyhow::Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    if Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    if find("rustup").is_none() {
        bail!("no standard library for {TARGET} in {}, and no rustup to fetch it", folder.trim());
    }
    Command::new("rustup").args(["target", "add", TARGET]).run()
}

fn cargo_home() -> anyhow::Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| value != OsStr::new("")).map(PathBuf::from);
    let home = set("CARGO_HOME").or_else(|| set("HOME").map(|home| home.join(".cargo")));
    home.context("neither CARGO_HOME nor HOME is set")
}

/// The page of its parts.
fn page(template: &str, style: &str, script: &str, program: &[u8]) -> anyhow::Result<String> {
    let source = |text: &str| format!("'sha256-{}'", BASE64.encode(&Sha256::digest(text.as_bytes())));
    // No connect-src, so none: nothing can be sent.
    let policy = format!(
        "default-src 'none'; script-src {} 'wasm-unsafe-eval'; style-src {}; worker-src blob:; base-uri 'none'; \
         form-action 'none'",
        source(script),
        source(style)
    );
    let mut page = template.to_owned();
    for (name, text) in
        [("policy", &*policy), ("style", style), ("script", script), ("program", &BASE64.encode(program))]
    {
        let place = format!("{{{{{name}}}}}");
        ensure!(page.matches(&place).count() == 1, "page.html should have one {place}");
        page = page.replace(&place, text);
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_made_of_its_parts_and_allows_nothing_else() {
        let template =
            "<meta content=\"{{policy}}\"><style>{{style}}</style>{{program}}<script>{{script}}</script>";
        let made = page(template, "a", "b", b"c").unwrap();
        assert!(made.contains(
            "default-src 'none'; script-src 'sha256-PiPoFgA5WUoziU9lZOGxNIu9egCI1CxKy3PurtWcAJ0='"
        ));
        assert!(
            made.ends_with("<style>a</style>Yw==<script>b</script>") && !made.contains("connect-src"),
            "{made}"
        );
        assert!(page("{{policy}}", "a", "b", b"c").is_err());
    }
}
