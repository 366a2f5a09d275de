//! Which source is which, from one manifest of a gateway to the next.
//!
//! A manifest numbers its sources, and the next one may number them anew: what is remembered of a source hangs on a
//! key that stays. A source is known again by its name's digest, or by index and kind where it has none. One that
//! takes the place of a source that is gone, of the same kind and never seen before, goes on with its history: a
//! machine that got another name or address is the same machine, and a new name is no way to lose bad days.
//!
//! A source that was taken out keeps its days. It answers to the index it last had until another source has it.

use std::collections::{BTreeMap, BTreeSet};

use proof::wire::{self, SourceKind};

use crate::lists::Module;

/// A source of one gateway for as long as it is remembered, whatever its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceKey(u32);

/// Sources remembered of one gateway; of those taken out the oldest go first.
const MAX_SOURCES: usize = 4_096;

/// All sources that a gateway's manifests ever named.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    known: BTreeMap<SourceKey, SourceView>,
    /// By index in the newest manifest.
    in_force: BTreeMap<u32, SourceKey>,
    by_identity: BTreeMap<Identity, SourceKey>,
    made: u32,
}

/// A source as the latest manifest that names it describes it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceView {
    /// The index it has, or last had.
    pub(crate) index: u32,
    pub(crate) kind: SourceKind,
    /// Sequence number of the manifest that left it out.
    pub(crate) taken_out: Option<u64>,
    /// Minutes an answer holds: three cadences.
    pub(crate) hold_minutes: u32,
    pub(crate) cadence_s: u32,
    pub(crate) modules: BTreeSet<Module>,
    pub(super) running: BTreeSet<u32>,
    /// Signal points that measure: power, temperature, pressure. What replays and generators are told by.
    pub(crate) measures: BTreeSet<u32>,
    /// Signal points of the manifest.
    pub(crate) signals: BTreeSet<u32>,
    /// First and last local day that a window which may decide has a row of it.
    pub(crate) rows: Option<(i64, i64)>,
    /// The first local day it answered.
    pub(crate) first_day: Option<i64>,
    /// Days that records read back from before then are dated on.
    pub(crate) spoken: BTreeSet<i64>,
}

/// What a source is known again by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    Name(Vec<u8>),
    Place(u32, i32),
}

impl Identity {
    fn of(source: &wire::Source) -> Self {
        if source.name_digest.is_empty() {
            Self::Place(source.index, source.kind)
        } else {
            Self::Name(source.name_digest.clone())
        }
    }
}

impl Sources {
    /// Puts a manifest in force.
    pub(super) fn follow(&mut self, body: &wire::ManifestBody, modules: &BTreeMap<u32, Module>, seq: u64) {
        let before = std::mem::take(&mut self.in_force);
        let stays: BTreeSet<SourceKey> = body
            .sources
            .iter()
            .filter_map(|source| self.by_identity.get(&Identity::of(source)).copied())
            .collect();
        let mut used = BTreeSet::new();
        for source in &body.sources {
            if self.in_force.contains_key(&source.index) {
                continue;
            }
            let identity = Identity::of(source);
            let known = self.by_identity.get(&identity).filter(|key| !used.contains(*key));
            let goes_on = || {
                let key =
                    before.get(&source.index).filter(|key| !stays.contains(key) && !used.contains(*key))?;
                let same = self.known.get(key).is_some_and(|view| view.kind == source.kind());
                same.then_some(key)
            };
            let key = known.or_else(goes_on).copied().unwrap_or_else(|| {
                self.made = self.made.saturating_add(1);
                SourceKey(self.made)
            });
            used.insert(key);
            self.by_identity.insert(identity, key);
            self.in_force.insert(source.index, key);
            self.known.entry(key).or_default().describe(source, modules);
        }
        for (key, view) in &mut self.known {
            if !used.contains(key) && view.taken_out.is_none() {
                view.taken_out = Some(seq);
            }
        }
        self.forget();
    }

    fn forget(&mut self) {
        while self.known.len() > MAX_SOURCES {
            let gone = self.known.iter().filter_map(|(key, view)| Some((view.taken_out?, *key))).min();
            let Some((_, key)) = gone else { return };
            self.known.remove(&key);
            self.by_identity.retain(|_, of| *of != key);
        }
    }

    /// The source that the newest manifest gives this index, which is what windows mean by it.
    pub(crate) fn in_force(&self, index: u32) -> Option<SourceKey> {
        self.in_force.get(&index).copied()
    }

    /// The source that a project means by this index: the one that has it, or the one that had it last.
    pub(crate) fn meant(&self, index: u32) -> Option<(SourceKey, &SourceView)> {
        let had = || {
            let had = self.known.iter().filter(|(_, view)| view.index == index);
            had.max_by_key(|(_, view)| view.taken_out).map(|(key, _)| *key)
        };
        let key = self.in_force(index).or_else(had)?;
        Some((key, self.known.get(&key)?))
    }

    pub(crate) fn get(&self, key: SourceKey) -> Option<&SourceView> {
        self.known.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: SourceKey) -> Option<&mut SourceView> {
        self.known.get_mut(&key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SourceKey, &SourceView)> {
        self.known.iter().map(|(key, view)| (*key, view))
    }
}

impl SourceView {
    fn describe(&mut self, source: &wire::Source, modules: &BTreeMap<u32, Module>) {
        self.index = source.index;
        self.kind = source.kind();
        self.taken_out = None;
        self.cadence_s = source.cadence_s.clamp(1, 3_600);
        self.hold_minutes = (self.cadence_s * 3).div_ceil(60);
        self.modules = source.modules.iter().filter_map(|code| modules.get(code).copied()).collect();
        let with_role = |role| move |point: &&wire::Point| point.role() == role;
        self.running =
            source.points.iter().filter(with_role(wire::Role::Running)).map(|point| point.index).collect();
        let measures =
            source.points.iter().filter(|point| point.signal && point.role() == wire::Role::Measure);
        self.measures = measures.map(|point| point.index).collect();
        self.signals = source.points.iter().filter(|point| point.signal).map(|point| point.index).collect();
    }

    pub(crate) fn tells_running(&self) -> bool {
        !self.running.is_empty()
    }

    pub(crate) fn is_log(&self) -> bool {
        match self.kind {
            SourceKind::Log | SourceKind::Table | SourceKind::Syslog => true,
            SourceKind::Modbus | SourceKind::Opcua | SourceKind::Mqtt | SourceKind::Unspecified => false,
        }
    }
}
