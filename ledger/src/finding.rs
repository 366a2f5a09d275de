//! What may be odd about an entry that was recorded all the same.
//!
//! A finding never refuses anything: it stands beside the entry for the scorer and for people. The names are stored
//! and shown; they are added to, never changed.

use std::collections::BTreeSet;
use std::fmt;

/// One odd thing about a recorded entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// The window claims to end more than two minutes after the server's time.
    ClockAhead,
    /// The window claims to end before the one before it did.
    ClockBack,
    /// The window claims to start before the one before it ended.
    WindowOverlap,
    /// The anchor is not a checkpoint of this log: grade D.
    AnchorUnknown,
    /// The anchor is older than the one before it.
    AnchorBack,
    /// Received more than 48 hours after the claimed end: grade C or D.
    Late,
    /// The window names a manifest that this agent has not sent.
    ManifestUnknown,
    /// The detached use rows do not have the digest in the window; they were not stored.
    UseRowsMismatch,
    /// The window names use rows that did not come with it.
    UseRowsMissing,
    /// The header is good and the rest of the payload cannot be read.
    UnparsedPayload,
    /// A kind this server does not know: stored, not understood.
    UnknownKind,
    /// Another entry with the same sequence follows the same one before it.
    Fork,
    /// Continues a chain that has forked.
    ForkBranch,
    /// Follows an entry that the ledger does not hold.
    ChainBreak,
    /// An outage that says what was sealed before it is lost; the sequences between are in no ledger.
    ProofsLost,
    /// The window tells that a log or table was edited, cut, replaced or had rows removed below what had been read.
    HistoryRewritten,
    /// A label that was received more than 24 hours after the end of what it is about.
    LateLabel,
    /// A good rotation that does not follow the chain's head: it changes no key.
    RotationAside,
}

impl Finding {
    /// All findings.
    pub const ALL: [Self; 18] = [
        Self::ClockAhead,
        Self::ClockBack,
        Self::WindowOverlap,
        Self::AnchorUnknown,
        Self::AnchorBack,
        Self::Late,
        Self::ManifestUnknown,
        Self::UseRowsMismatch,
        Self::UseRowsMissing,
        Self::UnparsedPayload,
        Self::UnknownKind,
        Self::Fork,
        Self::ForkBranch,
        Self::ChainBreak,
        Self::ProofsLost,
        Self::HistoryRewritten,
        Self::LateLabel,
        Self::RotationAside,
    ];

    /// The name that is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClockAhead => "clock_ahead",
            Self::ClockBack => "clock_back",
            Self::WindowOverlap => "window_overlap",
            Self::AnchorUnknown => "anchor_unknown",
            Self::AnchorBack => "anchor_back",
            Self::Late => "late",
            Self::ManifestUnknown => "manifest_unknown",
            Self::UseRowsMismatch => "use_rows_mismatch",
            Self::UseRowsMissing => "use_rows_missing",
            Self::UnparsedPayload => "unparsed_payload",
            Self::UnknownKind => "unknown_kind",
            Self::Fork => "fork",
            Self::ForkBranch => "fork_branch",
            Self::ChainBreak => "chain_break",
            Self::ProofsLost => "proofs_lost",
            Self::HistoryRewritten => "history_rewritten",
            Self::LateLabel => "late_label",
            Self::RotationAside => "rotation_aside",
        }
    }

    /// The finding of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|finding| finding.name() == name)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The names with a space between them, as they are stored.
pub(crate) fn join(findings: &BTreeSet<Finding>) -> String {
    findings.iter().map(|finding| finding.name()).collect::<Vec<_>>().join(" ")
}

/// The findings of a stored text. Names that a newer server wrote are left out.
pub(crate) fn split(text: &str) -> BTreeSet<Finding> {
    text.split_ascii_whitespace().filter_map(Finding::of_name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_findings_come_back() {
        let all: BTreeSet<_> = Finding::ALL.into_iter().collect();
        assert_eq!(all.len(), Finding::ALL.len());
        assert_eq!(split(&join(&all)), all);
        assert_eq!(split(""), BTreeSet::new());
        assert_eq!(split("late from_the_future"), BTreeSet::from([Finding::Late]));
    }
}
