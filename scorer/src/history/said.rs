//! What a chain says beside its windows: rewritten logs, labels, changes of what is watched.

use proof::wire::{self, RewriteKind};

use super::Entry;

/// Part of a log or table that is not as it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rewritten {
    /// Local day of the window that tells it.
    pub(crate) day: i64,
    pub(crate) kind: RewriteKind,
}

impl Rewritten {
    pub(super) fn of(day: i64, rewrite: &wire::Rewrite) -> Self {
        Self { day, kind: rewrite.kind() }
    }

    /// Whether history that had been read was changed. A retention that takes the oldest rows is no sign.
    pub(crate) fn counts(&self) -> bool {
        match self.kind {
            RewriteKind::Edited | RewriteKind::Cut | RewriteKind::Replaced | RewriteKind::Removed => true,
            RewriteKind::Trimmed | RewriteKind::Unspecified => false,
        }
    }
}

/// A label.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    /// What it is about, Unix ms; a label about sequence numbers has none.
    pub(crate) time: Option<(i64, i64)>,
    pub(crate) recv_ms: i64,
}

impl Said {
    pub(super) fn of(entry: &Entry<'_>, label: &wire::Label) -> Option<Self> {
        let time = match label.about.as_ref()? {
            wire::label::About::Time(span) => Some((span.from_ms, span.to_ms)),
            wire::label::About::Seqs(_) => None,
        };
        Some(Self { time, recv_ms: entry.recv_ms })
    }
}

/// A change of what is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Local day on which the manifest was received.
    pub(crate) day: i64,
    pub(crate) seq: u64,
    pub(crate) what: Change,
}

/// What one manifest changed of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// A source that was watched is not any more; its index then.
    Removed(u32),
    /// A source of this index has another name or address.
    Renamed(u32),
    /// A source's points are others, or are asked less often.
    Points(u32),
}

/// What `after` changes of `before`. Sources and points that are added change nothing that was seen.
pub(super) fn changes(before: &wire::ManifestBody, after: &wire::ManifestBody) -> Vec<Change> {
    let named = |body: &wire::ManifestBody, source: &wire::Source| -> Option<wire::Source> {
        let same = |other: &&wire::Source| match source.name_digest.is_empty() {
            true => other.index == source.index && other.kind == source.kind,
            false => other.name_digest == source.name_digest,
        };
        body.sources.iter().find(same).cloned()
    };
    let mut changes = Vec::new();
    for source in &before.sources {
        match named(after, source) {
            Some(now) => {
                let kept = source.points.iter().all(|point| now.points.contains(point));
                if !kept || now.cadence_s > source.cadence_s {
                    changes.push(Change::Points(source.index));
                }
            }
            None => {
                let in_place = after.sources.iter().find(|now| now.index == source.index);
                let new = in_place.filter(|now| now.kind == source.kind && named(before, now).is_none());
                changes.push(match new {
                    Some(_) => Change::Renamed(source.index),
                    None => Change::Removed(source.index),
                });
            }
        }
    }
    changes.sort_unstable();
    changes
}

#[cfg(test)]
mod tests {
    use proof::wire::{ManifestBody, Point, Source};

    use super::*;

    fn source(index: u32, name: u8, points: u32) -> Source {
        let points = (0..points).map(|index| Point { index, ..Default::default() }).collect();
        Source { index, name_digest: vec![name; 16], cadence_s: 60, points, ..Default::default() }
    }

    fn body(sources: &[Source]) -> ManifestBody {
        ManifestBody { sources: sources.to_vec(), ..Default::default() }
    }

    #[test]
    fn what_is_added_or_numbered_anew_changes_nothing_that_was_seen() {
        let before = body(&[source(1, 1, 2), source(2, 2, 1)]);
        let after = body(&[source(1, 9, 1), source(2, 1, 3), source(3, 2, 1)]);
        assert_eq!(changes(&before, &after), []);
    }

    #[test]
    fn what_is_taken_out_moved_or_asked_less_is_told() {
        let before = body(&[source(1, 1, 2), source(2, 2, 1), source(3, 3, 1)]);
        let slower = Source { cadence_s: 600, ..source(3, 3, 1) };
        let after = body(&[source(1, 7, 2), slower]);
        assert_eq!(changes(&before, &after), [Change::Removed(2), Change::Renamed(1), Change::Points(3)]);
    }
}
