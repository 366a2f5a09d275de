//! A day's sums 日汇总: what is computed on the gateway of what may not leave it as rows - document numbers, the order in
//! which a system wrote its records - and committed there once a day.
//!
//! Whoever stands before the gateway computes them again from the raw data of the same windows; from afar they are the
//! gateway's word, signed, with the time at which the log received it.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest as _, Sha256};

use crate::observation::is_key;
use crate::wire::{self, ActionClass, DigestCode};
use crate::{Observation, Record, What};

/// How sums are computed, by number: another one where a later version computes otherwise.
pub const RULES: u32 = 1;

/// Most rows of one digest.
pub const MAX_ROWS: usize = 512;

/// A record this much earlier than one that was read before it is out of order, ms: five minutes (M22).
const OUT_OF_ORDER_MS: i64 = 300_000;

/// Documents that are told apart, all sources together; what comes beyond is in no count. About 4 MB.
const MOST_DOCUMENTS: usize = 50_000;

/// Accounts told apart on one document.
const MOST_HANDS: usize = 4;

/// Ends of the classes by how much too early a record is: up to 5 min, 1 h, 1 day, 30 days, and above. Those in order
/// are the first count.
const EARLY_MS: [i64; 4] = [OUT_OF_ORDER_MS, 3_600_000, 86_400_000, 30 * 86_400_000];

/// Counts a day's observations. The same observations in the same order give the same sums.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    sources: BTreeMap<u16, OfSource>,
    documents: usize,
    span: Option<(u64, u64)>,
    windows: u32,
    without_raw: u32,
}

#[derive(Debug, Clone, Default)]
struct OfSource {
    before_ms: Option<i64>,
    latest_ms: Option<i64>,
    early: [u64; EARLY_MS.len() + 2],
    documents: HashMap<[u8; 16], OfDocument>,
    is_cut: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct OfDocument {
    /// Bit by class of key action.
    steps: u8,
    hands: [u64; MOST_HANDS],
    count: usize,
}

impl Tally {
    /// Goes on from the latest times that were read before, by source: see [`Tally::latest`].
    pub fn after(latest: impl IntoIterator<Item = (u16, i64)>) -> Self {
        let known = |(source, ms): (u16, i64)| {
            (source, OfSource { before_ms: Some(ms), latest_ms: Some(ms), ..OfSource::default() })
        };
        Self { sources: latest.into_iter().map(known).collect(), ..Self::default() }
    }

    /// Goes on where the windows of `digest` began.
    pub fn again(digest: &wire::Digest) -> Self {
        let of_order =
            digest.rows.iter().filter(|row| row.code() == DigestCode::TimeOrder && row.before_ms != 0);
        Self::after(of_order.filter_map(|row| Some((u16::try_from(row.source).ok()?, row.before_ms))))
    }

    /// The latest time that was read of each source, Unix ms.
    pub fn latest(&self) -> impl Iterator<Item = (u16, i64)> {
        self.sources.iter().filter_map(|(source, of)| Some((*source, of.latest_ms?)))
    }

    /// Takes what a window took.
    pub fn take(&mut self, observation: &Observation) {
        if let What::Records(records) = &observation.what {
            for record in &records.records {
                self.record(observation.source, record);
            }
        }
    }

    /// The observations since the last one were this window's; `has_raw` where they are kept.
    pub fn sealed(&mut self, seq: u64, has_raw: bool) {
        self.span = Some((self.span.map_or(seq, |(from, _)| from), seq));
        self.windows = self.windows.saturating_add(1);
        self.without_raw = self.without_raw.saturating_add(u32::from(!has_raw));
    }

    fn record(&mut self, source: u16, record: &Record) {
        let of = self.sources.entry(source).or_default();
        if let Some(event_ms) = record.event_ms {
            let early_ms = of.latest_ms.map_or(0, |latest| latest.saturating_sub(event_ms).max(0));
            let class = match early_ms {
                0 => 0,
                early_ms => 1 + EARLY_MS.iter().filter(|end| early_ms > **end).count(),
            };
            of.early[class] += 1;
            of.latest_ms = Some(of.latest_ms.map_or(event_ms, |latest| latest.max(event_ms)));
        }
        let Some(document) = record.document.as_deref().filter(|_| record.is_human_key_action()) else {
            return;
        };
        let name = short(document);
        if !of.documents.contains_key(&name) {
            if self.documents >= MOST_DOCUMENTS {
                of.is_cut = true;
                return;
            }
            self.documents += 1;
        }
        let known = of.documents.entry(name).or_default();
        known.steps |= step(record.action);
        if let Some(account) = &record.account {
            // As pseudonyms have it: spellings of one account are one.
            let account = account.trim().to_ascii_lowercase();
            let hand = u64::from_be_bytes(short(&account)[..8].try_into().expect("eight of sixteen bytes"));
            if known.count < MOST_HANDS && !known.hands[..known.count].contains(&hand) {
                known.hands[known.count] = hand;
                known.count += 1;
            }
        }
    }

    /// The sums, without a header; `None` where there was no window. Without rows where none had a record.
    pub fn digest(&self) -> Option<wire::Digest> {
        let (from_seq, to_seq) = self.span?;
        let (mut rows, mut sources_left_out) = (Vec::new(), 0);
        for (source, of) in &self.sources {
            let more = of.rows(*source);
            if rows.len() + more.len() <= MAX_ROWS {
                rows.extend(more);
            } else {
                sources_left_out += 1;
            }
        }
        Some(wire::Digest {
            header: None,
            from_seq,
            to_seq,
            rules: RULES,
            windows: self.windows,
            without_raw: self.without_raw,
            rows,
            sources_left_out,
        })
    }
}

impl OfSource {
    fn rows(&self, source: u16) -> Vec<wire::DigestRow> {
        let row = |code: DigestCode, numerator, histogram: Vec<u64>, is_cut| wire::DigestRow {
            source: source.into(),
            code: code.into(),
            numerator,
            denominator: histogram.iter().sum(),
            histogram,
            is_cut,
            before_ms: 0,
        };
        let mut rows = Vec::new();
        if self.early.iter().any(|count| *count > 0) {
            let out_of_order = self.early[2..].iter().sum();
            let of_order = row(DigestCode::TimeOrder, out_of_order, self.early.to_vec(), false);
            rows.push(wire::DigestRow { before_ms: self.before_ms.unwrap_or(0), ..of_order });
        }
        if !self.documents.is_empty() || self.is_cut {
            let by = |most: usize, of: fn(&OfDocument) -> usize| {
                let mut counts = vec![0; most];
                self.documents.values().for_each(|document| counts[of(document).clamp(1, most) - 1] += 1);
                counts
            };
            let steps = by(STEPS.len(), |document| document.steps.count_ones() as usize);
            let hands = by(MOST_HANDS, |document| document.count);
            rows.push(row(DigestCode::DocumentSteps, steps[1..].iter().sum(), steps, self.is_cut));
            rows.push(row(DigestCode::DocumentHands, hands[1..].iter().sum(), hands, self.is_cut));
        }
        rows
    }
}

/// The classes of key actions.
const STEPS: [ActionClass; 5] =
    [ActionClass::Create, ActionClass::Report, ActionClass::Approve, ActionClass::Post, ActionClass::Close];

fn step(action: ActionClass) -> u8 {
    debug_assert!(is_key(action), "only key actions are counted");
    STEPS.iter().position(|class| *class == action).map_or(0, |at| 1 << at)
}

/// Counts of a histogram, and from which on they make the numerator; `None` for what these rules do not know.
pub(crate) fn form(code: i32) -> Option<(usize, usize)> {
    match DigestCode::try_from(code).ok()? {
        DigestCode::Unspecified => None,
        DigestCode::TimeOrder => Some((EARLY_MS.len() + 2, 2)),
        DigestCode::DocumentSteps => Some((STEPS.len(), 1)),
        DigestCode::DocumentHands => Some((MOST_HANDS, 1)),
    }
}

/// Whether what the record says of its document stands in its fields, which a window commits to: in one of them, or in
/// parts, each of which is one. A record without a document says nothing.
pub fn names_its_document(record: &Record) -> bool {
    let Some(document) = &record.document else { return true };
    let within = |part: &str| {
        let part = part.as_bytes();
        record.fields.iter().any(|field| field.windows(part.len().max(1)).any(|at| at == part))
    };
    within(document) || document.split('-').all(|part| !part.is_empty() && within(part))
}

fn short(text: &str) -> [u8; 16] {
    Sha256::digest(text)[..16].try_into().expect("a digest has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Records;
    use crate::wire::{ActorClass, ExclusionReason};

    fn record(event_ms: Option<i64>, document: &str, account: &str, action: ActionClass) -> Record {
        Record {
            position: 0,
            fields: Vec::new(),
            event_ms,
            account: Some(account.to_owned()),
            document: (!document.is_empty()).then(|| document.to_owned()),
            actor_class: ActorClass::Human,
            reason: ExclusionReason::None,
            module: 1,
            action,
        }
    }

    fn observed(source: u16, records: Vec<Record>) -> Observation {
        let what = What::Records(Records { records, ..Records::default() });
        Observation { source, at_ms: 0, rtt_us: None, what }
    }

    #[test]
    fn sums_are_of_order_steps_and_hands_and_of_nothing_else() {
        let minute = 60_000;
        let mut tally = Tally::default();
        assert_eq!(tally.digest(), None);
        tally.take(&observed(
            3,
            vec![
                record(Some(100 * minute), "A", "wang", ActionClass::Create),
                record(Some(99 * minute), "A", "li", ActionClass::Approve), // a minute early
                record(Some(100 * minute), "B", " WANG", ActionClass::Create),
                record(Some(50 * minute), "B", "wang", ActionClass::Create), // fifty
                record(None, "", "wang", ActionClass::Create),
                record(Some(101 * minute), "C", "wang", ActionClass::Query), // no key action
                Record {
                    actor_class: ActorClass::Interface,
                    ..record(Some(102 * minute), "D", "if", ActionClass::Report)
                },
            ],
        ));
        tally.sealed(7, true);
        tally.sealed(9, false);
        let digest = tally.digest().unwrap();
        assert_eq!((digest.from_seq, digest.to_seq, digest.windows, digest.without_raw), (7, 9, 2, 1));
        let rows: Vec<_> = digest
            .rows
            .iter()
            .map(|row| (row.code, row.numerator, row.denominator, &row.histogram[..]))
            .collect();
        assert_eq!(
            rows,
            [
                (1, 1, 6, &[4, 1, 1, 0, 0, 0][..]),
                (2, 1, 2, &[1, 1, 0, 0, 0][..]),
                (3, 1, 2, &[1, 1, 0, 0][..]),
            ]
        );
    }

    #[test]
    fn what_is_earlier_than_what_was_read_before_these_windows_is_out_of_order_and_computed_again_so() {
        let mut before = Tally::default();
        before.take(&observed(3, vec![record(Some(7_200_000), "", "wang", ActionClass::Query)]));
        let mut tally = Tally::after(before.latest());
        let last_week =
            observed(3, (1..5).map(|at| record(Some(at), "", "wang", ActionClass::Query)).collect());
        tally.take(&last_week);
        tally.sealed(1, true);
        let digest = tally.digest().unwrap();
        let row = &digest.rows[0];
        assert_eq!(
            (row.numerator, &row.histogram[..], row.before_ms),
            (4, &[0, 0, 0, 4, 0, 0][..], 7_200_000)
        );
        let mut again = Tally::again(&digest);
        again.take(&last_week);
        again.sealed(1, true);
        assert_eq!(again.digest().unwrap(), digest);
    }

    #[test]
    fn windows_without_records_have_sums_without_rows() {
        let mut tally = Tally::after([(3, 5)]);
        tally.sealed(4, true);
        let digest = tally.digest().unwrap();
        assert_eq!((digest.from_seq, digest.windows, digest.rows.len()), (4, 1, 0));
    }

    #[test]
    fn a_source_without_room_is_said_to_be_left_out_and_not_half_there() {
        let mut tally = Tally::default();
        for source in 1..=200 {
            tally.take(&observed(source, vec![record(Some(1), "A", "wang", ActionClass::Create)]));
        }
        tally.sealed(1, true);
        let digest = tally.digest().unwrap();
        assert_eq!((digest.rows.len(), digest.sources_left_out), (510, 30));
    }

    #[test]
    fn a_document_stands_in_what_its_window_commits_to_or_it_does_not() {
        let of = |document: &str, fields: &[&str]| {
            let fields = fields.iter().map(|field| field.as_bytes().to_vec()).collect();
            names_its_document(&Record { fields, ..record(None, document, "wang", ActionClass::Create) })
        };
        assert!(of("", &[]) && of("MO-7", &["报工 工单=MO-7"]) && of("MO-7", &["MO", "7"]));
        assert!(!of("MO-8", &["报工 工单=MO-7"]) && !of("A-", &["A"]) && !of("A", &[]));
    }

    #[test]
    fn documents_beyond_those_that_are_told_apart_are_in_no_count_and_said_to_be_missing() {
        let mut tally = Tally::default();
        let records = |from: usize| {
            let of = |number: usize| record(Some(0), &number.to_string(), "wang", ActionClass::Create);
            observed(1, (from..from + 10_000).map(of).collect())
        };
        for batch in 0..6 {
            tally.take(&records(batch * 10_000));
        }
        tally.take(&observed(2, vec![record(Some(0), "a", "wang", ActionClass::Create)]));
        tally.sealed(1, true);
        let digest = tally.digest().unwrap();
        let steps = digest.rows.iter().find(|row| row.code == 2).unwrap();
        assert_eq!((steps.denominator, steps.is_cut), (MOST_DOCUMENTS as u64, true));
        let other = digest.rows.iter().find(|row| (row.source, row.code) == (2, 2)).unwrap();
        assert_eq!((other.denominator, other.is_cut), (0, true));
    }
}
