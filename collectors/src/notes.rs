//! What collectors tell of their lines besides observations, for whoever looks at the gateway.
//!
//! Counters and warnings per source, bounded by the words a collector knows. Nothing of it reaches a proof.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Of all sources of one program.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<BTreeMap<u16, Note>>>);

/// Of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// How often things happened since the program started.
    pub counters: BTreeMap<&'static str, u64>,
    /// What somebody should look after while it still works, by what it is about.
    pub warnings: BTreeMap<&'static str, String>,
}

impl Notes {
    /// What is noted of the source with this index.
    pub fn of(&self, source: u16) -> Note {
        self.lock().get(&source).cloned().unwrap_or_default()
    }

    /// Adds to a counter.
    #[cfg_attr(
        not(any(feature = "opcua", feature = "syslog")),
        expect(dead_code, reason = "only OPC UA and syslog count so far")
    )]
    pub(crate) fn count(&self, source: u16, what: &'static str, by: u64) {
        if by > 0 {
            *self.lock().entry(source).or_default().counters.entry(what).or_default() += by;
        }
    }

    /// Sets a warning, or takes it back. Whether that changed it.
    #[cfg_attr(
        not(any(feature = "opcua", feature = "syslog")),
        expect(dead_code, reason = "only OPC UA and syslog warn so far")
    )]
    pub(crate) fn warn(&self, source: u16, about: &'static str, warning: Option<String>) -> bool {
        let mut all = self.lock();
        let warnings = &mut all.entry(source).or_default().warnings;
        match warning {
            Some(text) => warnings.insert(about, text.clone()).is_none_or(|before| before != text),
            None => warnings.remove(about).is_some(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, Note>> {
        // Plain data: a panic elsewhere leaves it usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
