//! What every page has: language, words, the address of itself in the other language, the time it was made.

use crate::figures;
use crate::lang::Lang;
use crate::words::{self, Words};

/// The frame of a page.
pub(crate) struct Page {
    pub(crate) lang: Lang,
    pub(crate) w: &'static Words,
    /// This page in the other language.
    pub(crate) switch: String,
    /// Server's time, in the offset pages are written in.
    pub(crate) now: String,
    pub(crate) version: &'static str,
}

impl Page {
    /// A frame for the page at `path` with this query (without `lang`).
    pub(crate) fn new(lang: Lang, path: &str, query: &str, now_ms: i64) -> Self {
        let joint = if query.is_empty() { "" } else { "&" };
        Self {
            lang,
            w: words::of(lang),
            switch: format!("{path}?{query}{joint}lang={}", lang.other().code()),
            now: figures::minute(now_ms, figures::CHINA),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}
