//! What is odd about the inside of an entry. Nothing here refuses.

use ledger::{Agent, Finding, LedgerError, NewEntry};
use proof::payload::{Payload, manifest_hash};
use proof::wire::label::About;
use proof::{userows, wire};
use prost::Message as _;

use crate::accept::Checked;
use crate::view::{View, continues};

/// How far ahead of the server's clock a window may claim to end.
const AHEAD_MS: i64 = 2 * 60_000;

/// From here on a window is of grade C or D, and a day's sums are late.
const LATE_MS: i64 = 48 * 3_600_000;

/// From here on after the end of what it is about a label is late.
const LATE_LABEL_MS: i64 = 24 * 3_600_000;

/// Reads the payload and adds findings, claimed end, anchor, manifest and use rows to the entry.
pub(crate) fn inspect(
    new: &mut NewEntry,
    checked: &Checked,
    agent: &Agent,
    view: &View<'_>,
) -> Result<(), LedgerError> {
    let bytes = checked.envelope.payload();
    match Payload::parse(checked.envelope.kind(), bytes) {
        Ok(Payload::Window(window)) => {
            clocks(new, &window, agent);
            anchor(new, &window, agent, view)?;
            let known = match window.manifest.as_slice().try_into() {
                Ok(digest) => view.knows_manifest(agent.id, digest)?,
                Err(_) => false,
            };
            note(new, !known, Finding::ManifestUnknown);
            use_rows(new, checked, &window.use_digest);
            let told = |rewrite: &wire::Rewrite| rewrite.kind() != wire::RewriteKind::Trimmed;
            note(new, window.rewrites.iter().any(told), Finding::HistoryRewritten);
        }
        Ok(Payload::Manifest(_)) => {
            new.manifest = wire::Manifest::decode(bytes).ok().map(|manifest| manifest_hash(&manifest.body));
            use_rows(new, checked, &[]);
        }
        Ok(Payload::Outage(_) | Payload::Opened(_) | Payload::Rotate(_)) => use_rows(new, checked, &[]),
        Ok(Payload::Digest(digest)) => {
            // Of windows that are not held it cannot be shown to be in time.
            let end_ms = view.end_of(agent.id, digest.to_seq)?;
            let in_time = end_ms.is_some_and(|end| new.recv_ms.saturating_sub(end) <= LATE_MS);
            note(new, !in_time, Finding::Late);
            use_rows(new, checked, &[]);
        }
        Ok(Payload::Label(label)) => {
            label_end(new, &label, agent, view)?;
            use_rows(new, checked, &[]);
        }
        Ok(Payload::Unknown(_)) => {
            new.findings.insert(Finding::UnknownKind);
            use_rows(new, checked, &[]);
        }
        Err(_) => {
            new.findings.insert(Finding::UnparsedPayload);
            use_rows(new, checked, &[]);
        }
    }
    Ok(())
}

/// Claimed times against the server's and against the window before.
fn clocks(new: &mut NewEntry, window: &wire::Window, agent: &Agent) {
    let start = window.start_ms;
    let end = start.saturating_add(i64::from(window.length_ms));
    let now = new.recv_ms;
    new.end_ms = Some(end);
    note(new, end > now.saturating_add(AHEAD_MS), Finding::ClockAhead);
    note(new, end < now.saturating_sub(LATE_MS), Finding::Late);
    // A branch is compared with nothing: the head's window is not the one before it.
    let (true, Some(before)) = (follows_head(new, agent), agent.head.end_ms) else { return };
    note(new, end < before, Finding::ClockBack);
    note(new, start < before && end >= before, Finding::WindowOverlap);
}

/// A label may come at any time, and says so itself when it came long after. One about a place that is not held cannot
/// be shown to be in time.
fn label_end(
    new: &mut NewEntry,
    label: &wire::Label,
    agent: &Agent,
    view: &View<'_>,
) -> Result<(), LedgerError> {
    let end_ms = match &label.about {
        Some(About::Time(time)) => Some(time.to_ms),
        Some(About::Seqs(seqs)) => view.end_of(agent.id, seqs.to)?,
        None => None,
    };
    let in_time = end_ms.is_some_and(|end| new.recv_ms.saturating_sub(end) <= LATE_LABEL_MS);
    note(new, !in_time, Finding::LateLabel);
    Ok(())
}

/// The anchor must be a head this log has had; else the window gets no not-before from it.
fn anchor(
    new: &mut NewEntry,
    window: &wire::Window,
    agent: &Agent,
    view: &View<'_>,
) -> Result<(), LedgerError> {
    let Some(anchor) = &window.anchor else { return Ok(()) };
    let known = anchor.size > 0 && view.root_at(anchor.size)?.is_some_and(|root| root[..] == anchor.hash[..]);
    if !known {
        new.findings.insert(Finding::AnchorUnknown);
        return Ok(());
    }
    note(new, follows_head(new, agent) && anchor.size < agent.head.anchor, Finding::AnchorBack);
    new.anchor = anchor.size;
    Ok(())
}

/// Keeps the detached rows when they are the ones the window names, and readable.
fn use_rows(new: &mut NewEntry, checked: &Checked, digest: &[u8]) {
    let rows = &checked.use_rows;
    if rows.is_empty() {
        note(new, !digest.is_empty(), Finding::UseRowsMissing);
    } else if userows::digest(rows) == digest && userows::parse(rows).is_ok() {
        new.use_rows = Some(rows.clone());
    } else {
        new.findings.insert(Finding::UseRowsMismatch);
    }
}

fn follows_head(new: &NewEntry, agent: &Agent) -> bool {
    continues(new.outcome) && new.prev == agent.head.entry
}

fn note(new: &mut NewEntry, odd: bool, finding: Finding) {
    if odd {
        new.findings.insert(finding);
    }
}
