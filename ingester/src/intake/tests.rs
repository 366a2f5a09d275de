use std::collections::BTreeSet;

use ledger::{Entry, Finding};
use proof::envelope::{MANIFEST, WINDOW};
use proof::log::Outcome;
use proof::{Envelope, MAX_PARCEL, MAX_SEQ, MAX_WINDOW, TIMES_MS, userows, wire};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::gateway::{City, Gateway, START, parcel, refusal};

/// What the ledger holds of the city, in the order of the log.
fn held(city: &City) -> Vec<Entry> {
    city.ledger.read().entries(None, 0, 1000).unwrap()
}

fn findings(city: &City) -> Vec<BTreeSet<Finding>> {
    held(city).into_iter().map(|entry| entry.findings).collect()
}

fn set<const N: usize>(findings: [Finding; N]) -> BTreeSet<Finding> {
    BTreeSet::from(findings)
}

/// A gateway that has sent its manifest, and its city.
fn begun() -> (City, Gateway) {
    let mut gateway = Gateway::new(7);
    let mut city = City::with(&[&gateway]);
    let manifest = gateway.manifest();
    let answers = city.give(&gateway, &manifest);
    assert_eq!(city.receipt(&answers[0]).entry.outcome, Outcome::Recorded);
    (city, gateway)
}

/// The name of the refusal that this message meets, which leaves nothing in the log and is counted.
fn refused(city: &mut City, message: Message) -> String {
    let before = city.ledger.read().checkpoint().unwrap();
    let answers = city.take(&[message], START);
    assert_eq!(city.ledger.read().checkpoint().unwrap(), before);
    let name = refusal(&answers).to_owned();
    assert!(city.ledger.read().refusals().unwrap().iter().any(|count| count.name == name && count.count > 0));
    name
}

#[test]
fn a_chain_is_recorded_in_order_and_receipted() {
    let (mut city, mut gateway) = begun();
    for seq in 2..6 {
        let window = gateway.next();
        let answers = city.give(&gateway, &window);
        assert_eq!(answers.len(), 1);
        let receipt = city.receipt(&answers[0]);
        assert_eq!((receipt.entry.seq, receipt.entry.outcome), (seq, Outcome::Recorded));
        assert_eq!(held(&city).last().unwrap().envelope, window.bytes());
    }
}

#[test]
fn a_wrong_key_is_a_bad_signature() {
    let (mut city, mut gateway) = begun();
    let payload = gateway.next().payload().to_vec();
    let forged = Envelope::sign(&Gateway::new(8).key(), WINDOW, payload);
    assert_eq!(refused(&mut city, gateway.message(&forged)), "bad_signature");
}

#[test]
fn another_gateways_topic_is_refused() {
    let (mut gateway, other) = (Gateway::new(7), Gateway::new(8));
    let mut city = City::with(&[&gateway, &other]);
    let envelope = gateway.manifest();
    assert_eq!(refused(&mut city, other.message(&envelope)), "wrong_agent");
}

#[test]
fn a_gateway_that_is_not_enrolled_is_refused_and_counted_with_all_such() {
    let (mut city, _) = begun();
    let mut stranger = Gateway::new(9);
    let envelope = stranger.manifest();
    assert_eq!(refused(&mut city, stranger.message(&envelope)), "unknown_key");
    assert_eq!(city.ledger.read().refusals().unwrap()[0].agent, None);
}

#[test]
fn a_revoked_key_is_refused_and_what_was_receipted_stays() {
    let (mut city, mut gateway) = begun();
    city.ledger.revoke(gateway.id, "stolen", START).unwrap();
    let window = gateway.next();
    assert_eq!(refused(&mut city, gateway.message(&window)), "revoked_key");
    assert_eq!(held(&city).len(), 1);
}

#[test]
fn another_epoch_is_refused() {
    let (mut city, mut gateway) = begun();
    gateway.epoch = 2;
    let window = gateway.next();
    assert_eq!(refused(&mut city, gateway.message(&window)), "wrong_epoch");
}

#[test]
fn an_oversized_parcel_or_window_is_refused() {
    let (mut city, mut gateway) = begun();
    let message = Message { topic: gateway.id, parcel: vec![0; MAX_PARCEL + 1].into() };
    assert_eq!(refused(&mut city, message), "oversized");
    let window = gateway.sign(WINDOW, vec![0; MAX_WINDOW + 1]);
    assert_eq!(refused(&mut city, gateway.message(&window)), "oversized");
}

#[test]
fn an_unknown_suite_is_refused() {
    let (mut city, mut gateway) = begun();
    let window = gateway.next();
    let mut raw = wire::Envelope::decode(window.bytes()).unwrap();
    raw.suite = 2;
    let message =
        Message { topic: gateway.id, parcel: proof::Parcel::encode(&raw.encode_to_vec(), &[], 0).into() };
    assert_eq!(refused(&mut city, message), "unknown_suite");
}

#[test]
fn noise_is_unparsable() {
    let (mut city, gateway) = begun();
    let message = Message { topic: gateway.id, parcel: Bytes::from_static(b"\xff\xff\xff") };
    assert_eq!(refused(&mut city, message), "unparsable");
    let headless = Envelope::sign(&gateway.key(), "window", b"\x0a\x00".to_vec());
    assert_eq!(refused(&mut city, gateway.message(&headless)), "unparsable");
}

#[test]
fn a_replay_gets_the_same_log_entry_and_is_not_recorded_again() {
    let (mut city, mut gateway) = begun();
    let window = gateway.next();
    let first = city.give(&gateway, &window);
    let more = gateway.next();
    city.give(&gateway, &more);
    let again = city.take(&[gateway.message(&window), gateway.message(&window)], City::now(&gateway) + 99);
    assert_eq!(again.len(), 2);
    for answer in &again {
        assert_eq!(city.receipt(answer).entry, city.receipt(&first[0]).entry);
        assert_eq!(city.receipt(answer).index, 2, "after the enrolment and the manifest");
    }
    assert_eq!(held(&city).len(), 3);
}

#[test]
fn twice_in_one_batch_is_recorded_once() {
    let (mut city, mut gateway) = begun();
    let window = gateway.next();
    let answers = city.take(&[gateway.message(&window), gateway.message(&window)], City::now(&gateway));
    assert_eq!(city.receipt(&answers[0]), city.receipt(&answers[1]));
    assert_eq!(held(&city).len(), 2);
}

#[test]
fn a_crash_between_recording_and_answer_costs_a_repetition() {
    let (mut city, mut gateway) = begun();
    let window = gateway.next();
    let lost = city.give(&gateway, &window);
    city.restart();
    let again = city.give(&gateway, &window);
    assert_eq!(city.receipt(&again[0]).entry, city.receipt(&lost[0]).entry);
    let next = gateway.next();
    let answers = city.give(&gateway, &next);
    assert_eq!(city.receipt(&answers[0]).entry.outcome, Outcome::Recorded);
}

#[test]
fn a_fork_is_kept_on_both_sides_under_review() {
    let (mut city, mut gateway) = begun();
    let mut clone = gateway.clone();
    let one = gateway.next();
    city.give(&gateway, &one);
    // The same place in the chain, other content: a restored disk image does this.
    let mut other = clone.window();
    other.leaf_count = 77;
    let other = clone.sign(WINDOW, other.encode_to_vec());
    let answers = city.give(&clone, &other);
    assert_eq!(city.receipt(&answers[0]).entry.outcome, Outcome::Conflict);
    let (one, other) = (gateway.next(), clone.next());
    let answers = city.take(&[gateway.message(&one), clone.message(&other)], City::now(&gateway));
    assert!(answers.iter().all(|answer| city.receipt(answer).entry.outcome == Outcome::Finding));
    let expected =
        [set([]), set([]), set([Finding::Fork]), set([Finding::ForkBranch]), set([Finding::ForkBranch])];
    assert_eq!(findings(&city), expected);
    assert_eq!(city.ledger.read().head(gateway.id).unwrap().forks, 1);
}

#[test]
fn an_entry_that_follows_nothing_known_is_a_conflict() {
    let (mut city, mut gateway) = begun();
    gateway.prev = EntryId([1; 32]);
    let window = gateway.next();
    let answers = city.give(&gateway, &window);
    assert_eq!(city.receipt(&answers[0]).entry.outcome, Outcome::Conflict);
    assert_eq!(findings(&city)[1], set([Finding::ChainBreak]));
    // The chain goes on from there, under review.
    let window = gateway.next();
    city.give(&gateway, &window);
    assert_eq!(findings(&city)[2], set([Finding::ForkBranch]));
}

/// A city that holds 1 and 2 of a gateway that has sealed up to 5 and lost what it had not reported.
fn after_a_loss() -> (City, Gateway) {
    let (mut city, mut gateway) = begun();
    let kept = gateway.next();
    city.give(&gateway, &kept);
    for _ in 3..=5 {
        gateway.next();
    }
    (city, gateway)
}

#[test]
fn a_chain_goes_on_after_a_loss_that_its_gateway_declares() {
    // Some of what it lost may have had their receipts.
    for lost_from in [1, 2, 3] {
        let (mut city, mut gateway) = after_a_loss();
        let declared = gateway.lost(lost_from);
        let answers = city.give(&gateway, &declared);
        let receipt = city.receipt(&answers[0]);
        assert_eq!((receipt.entry.seq, receipt.entry.outcome), (6, Outcome::Finding));
        assert_eq!(findings(&city)[2], set([Finding::ProofsLost]));
        let after = gateway.next();
        let answers = city.give(&gateway, &after);
        assert_eq!(city.receipt(&answers[0]).entry.outcome, Outcome::Recorded);
    }
}

#[test]
fn numbers_at_the_ends_of_their_types_are_refused_or_found_odd_and_stop_nothing() {
    let (mut city, mut gateway) = begun();
    let honest = gateway.clone();
    gateway.prev = EntryId([9; 32]);
    for (seq, name) in
        [(MAX_SEQ, "unparsable"), ((1 << 63) - 1, "unparsable"), (MAX_SEQ - 1, "too_far_ahead")]
    {
        gateway.seq = seq;
        let outage = gateway.lost(2);
        assert_eq!(refused(&mut city, gateway.message(&outage)), name);
    }
    let mut gateway = honest;
    let header = gateway.window().header;
    let body = wire::ManifestBody { version: 1, utc_offset_minutes: i32::MIN, ..Default::default() };
    let payload = wire::Manifest { header, body: body.encode_to_vec() }.encode_to_vec();
    let manifest = gateway.sign(MANIFEST, payload);
    city.give(&gateway, &manifest);
    let anchor = Some(wire::Anchor { hash: vec![1; 32], size: u64::MAX });
    for window in [
        wire::Window { anchor, ..gateway.window() },
        wire::Window { start_ms: i64::MAX, ..gateway.window() },
        wire::Window { start_ms: i64::MIN, length_ms: u32::MAX, ..gateway.window() },
    ] {
        let mut window = window;
        window.header = gateway.window().header;
        let envelope = gateway.sign(WINDOW, window.encode_to_vec());
        city.take(&[gateway.message(&envelope)], START);
        assert_eq!(findings(&city).last(), Some(&set([Finding::UnparsedPayload])));
    }
}

#[test]
fn a_loss_that_does_not_reach_back_to_what_is_wanted_waits_for_it() {
    let (mut city, gateway) = after_a_loss();
    for lost_from in [0, 4, 6, u64::MAX] {
        let mut gateway = gateway.clone();
        let declared = gateway.lost(lost_from);
        let now = City::now(&gateway);
        let answers = city.take(&[gateway.message(&declared)], now);
        assert_eq!(answers, [Answer::Want { server_ms: now, have: 2 }], "lost from {lost_from}");
    }
}

#[test]
fn what_comes_after_a_hole_waits_and_is_recorded_in_order() {
    let (mut city, mut gateway) = begun();
    let windows: Vec<_> = (0..4).map(|_| gateway.next()).collect();
    let now = City::now(&gateway);
    let mut give = |at: &[usize]| {
        let messages: Vec<_> = at.iter().map(|at| gateway.message(&windows[*at])).collect();
        city.take(&messages, now)
    };
    assert_eq!(give(&[3]), [Answer::Want { server_ms: now, have: 1 }]);
    assert_eq!(give(&[2, 2]), [Answer::Want { server_ms: now, have: 1 }]);
    assert_eq!(give(&[0]).len(), 2, "a receipt, and still a hole");
    assert_eq!(give(&[1]).len(), 3, "three receipts, nothing wanted");
    let seqs: Vec<_> = held(&city).iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    assert!(findings(&city).iter().all(BTreeSet::is_empty));
}

#[test]
fn a_batch_that_fills_its_own_hole_asks_for_nothing() {
    let (mut city, mut gateway) = begun();
    let windows: Vec<_> = (0..3).map(|_| gateway.next()).collect();
    let messages: Vec<_> = windows.iter().rev().map(|window| gateway.message(window)).collect();
    let answers = city.take(&messages, City::now(&gateway));
    assert!(answers.iter().all(|answer| matches!(answer, Answer::Receipt { .. })), "{answers:?}");
}

#[test]
fn more_than_64_ahead_is_refused_and_asked_for() {
    let (mut city, mut gateway) = begun();
    let windows: Vec<_> = (0..67).map(|_| gateway.next()).collect();
    let messages: Vec<_> = windows[1..].iter().map(|window| gateway.message(window)).collect();
    let now = City::now(&gateway);
    let answers = city.take(&messages, now);
    assert_eq!(answers.len(), 4);
    assert_eq!(refusal(&answers), "too_far_ahead");
    assert_eq!(answers[3], Answer::Want { server_ms: now, have: 1 });
    let answers = city.take(&[gateway.message(&windows[0])], now);
    assert_eq!(answers.len(), 64, "the 64 places ahead of the chain are 3 to 66 with the hole at 2");
}

#[test]
fn an_unknown_kind_is_stored_and_receipted() {
    let (mut city, mut gateway) = begun();
    let label = gateway.other("later_kind");
    let answers = city.give(&gateway, &label);
    assert_eq!(city.receipt(&answers[0]).entry.kind, "later_kind");
    assert_eq!(findings(&city)[1], set([Finding::UnknownKind]));
    assert_eq!(held(&city)[1].envelope, label.bytes());
    let window = gateway.next();
    city.give(&gateway, &window);
    assert_eq!(findings(&city)[2], set([]));
}

#[test]
fn a_known_kind_with_an_unreadable_inside_is_recorded() {
    let (mut city, mut gateway) = begun();
    let window = gateway.other("window");
    city.give(&gateway, &window);
    assert_eq!(findings(&city)[1], set([Finding::UnparsedPayload]));
}

/// The findings of a window that differs from a good one by `change`.
fn findings_of(change: impl FnOnce(&mut wire::Window), now_ms: i64) -> BTreeSet<Finding> {
    let (mut city, mut gateway) = begun();
    let first = gateway.next();
    city.give(&gateway, &first);
    let mut window = gateway.window();
    change(&mut window);
    let window = gateway.sign(WINDOW, window.encode_to_vec());
    let now = City::now(&gateway) + now_ms;
    let answers = city.take(&[gateway.message(&window)], now);
    city.receipt(&answers[0]);
    findings(&city).pop().unwrap()
}

#[test]
fn odd_clocks_are_findings_and_never_refusals() {
    let hour = 3_600_000;
    assert_eq!(findings_of(|_| {}, 0), set([]));
    assert_eq!(findings_of(|_| {}, -120_000), set([]));
    assert_eq!(findings_of(|_| {}, -120_001), set([Finding::ClockAhead]));
    assert_eq!(findings_of(|_| {}, 48 * hour), set([]));
    assert_eq!(findings_of(|_| {}, 48 * hour + 1), set([Finding::Late]));
    assert_eq!(findings_of(|window| window.start_ms -= hour, 0), set([Finding::ClockBack]));
    assert_eq!(findings_of(|window| window.start_ms -= 60_000, 0), set([Finding::WindowOverlap]));
    assert_eq!(findings_of(|window| window.start_ms = *TIMES_MS.end(), 0), set([Finding::ClockAhead]));
    assert_eq!(findings_of(|window| window.start_ms = 0, 0), set([Finding::ClockBack, Finding::Late]));
}

#[test]
fn an_unknown_manifest_is_a_finding() {
    assert_eq!(findings_of(|window| window.manifest = vec![0; 16], 0), set([Finding::ManifestUnknown]));
}

#[test]
fn an_anchor_that_is_no_head_of_this_log_is_a_finding() {
    let anchor = |hash: Vec<u8>, size| {
        move |window: &mut wire::Window| window.anchor = Some(wire::Anchor { hash, size })
    };
    for (hash, size) in [(vec![0; 32], 1), (vec![], 1), (vec![0; 32], 0), (vec![0; 32], MAX_SEQ)] {
        assert_eq!(findings_of(anchor(hash, size), 0), set([Finding::AnchorUnknown]), "{size}");
    }
}

#[test]
fn anchors_are_known_and_going_back_is_a_finding() {
    let (mut city, mut gateway) = begun();
    for (size, expected) in [(1, set([])), (2, set([])), (1, set([Finding::AnchorBack]))] {
        let hash = city.ledger.read().root_at(size).unwrap().unwrap().to_vec();
        let mut window = gateway.window();
        window.anchor = Some(wire::Anchor { hash, size });
        let window = gateway.sign(WINDOW, window.encode_to_vec());
        city.give(&gateway, &window);
        assert_eq!(findings(&city).pop().unwrap(), expected, "{size}");
    }
}

#[test]
fn a_rewritten_history_is_a_finding_and_a_retention_is_none() {
    use wire::RewriteKind::{Cut, Edited, Removed, Replaced, Trimmed};
    let rewritten = set([Finding::HistoryRewritten]);
    for (kinds, expected) in [
        (vec![Edited], rewritten.clone()),
        (vec![Cut], rewritten.clone()),
        (vec![Replaced], rewritten.clone()),
        (vec![Trimmed, Removed], rewritten),
        (vec![Trimmed], set([])),
        (vec![], set([])),
    ] {
        let (mut city, mut gateway) = begun();
        let rewrite = |kind: &wire::RewriteKind| wire::Rewrite {
            source: 1,
            kind: (*kind).into(),
            ..Default::default()
        };
        let window = wire::Window { rewrites: kinds.iter().map(rewrite).collect(), ..gateway.window() };
        let window = gateway.sign(WINDOW, window.encode_to_vec());
        city.give(&gateway, &window);
        assert_eq!(findings(&city).pop().unwrap(), expected, "{kinds:?}");
    }
}

#[test]
fn only_the_use_rows_that_the_window_names_are_stored() {
    let mut table = userows::UseTable::default();
    let actor = table.actor([1; 8], wire::ActorClass::Human, wire::ExclusionReason::None);
    table.count(userows::RowKey { source: 1, module: 1, action: 2, actor, origin: 0, day: 20_000 }, 600);
    let rows = table.encode(20_000);
    let cases = [
        (userows::digest(&rows), rows.clone(), set([]), true),
        (userows::digest(&rows), b"other".to_vec(), set([Finding::UseRowsMismatch]), false),
        (userows::digest(&rows), Vec::new(), set([Finding::UseRowsMissing]), false),
        (Vec::new(), rows.clone(), set([Finding::UseRowsMismatch]), false),
    ];
    for (digest, sent, expected, stored) in cases {
        let (mut city, mut gateway) = begun();
        let mut window = gateway.window();
        window.use_digest = digest;
        let window = gateway.sign(WINDOW, window.encode_to_vec());
        let message = Message { topic: gateway.id, parcel: parcel(&window, &sent) };
        let answers = city.take(&[message], City::now(&gateway));
        city.receipt(&answers[0]);
        let entry = held(&city).pop().unwrap();
        assert_eq!((entry.findings, entry.use_rows.is_some()), (expected, stored));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// A flipped bit is refused, or it lies in what nobody signed: the key hint and protobuf's spellings.
    #[test]
    fn no_flipped_bit_is_recorded_as_something_else(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let (mut city, mut gateway) = begun();
        let window = gateway.next();
        let message = gateway.message(&window);
        let mut bytes = message.parcel.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let answers = city.take(&[Message { parcel: bytes.into(), ..message }], City::now(&gateway));
        for answer in &answers {
            match answer {
                Answer::Receipt { entry, .. } => prop_assert_eq!(*entry, window.id()),
                Answer::Refusal { .. } => prop_assert_eq!(held(&city).len(), 1),
                Answer::Want { .. } => prop_assert!(false, "a hole from a flipped bit"),
            }
        }
        prop_assert_eq!(answers.len(), 1);
    }
}

/// What a gateway has seen of the log: the head that its last good receipt proved.
#[derive(Default)]
struct Watch {
    head: Option<proof::log::Head>,
}

impl Watch {
    fn seen(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.size)
    }

    /// Takes answers as a gateway does: in order, each against what was seen before it.
    fn take(&mut self, city: &City, answers: &[Answer]) -> Result<(), proof::log::ReceiptError> {
        for answer in answers {
            let checked = city.receipt(answer);
            let Answer::Receipt { consistency, .. } = answer else { unreachable!() };
            let after = proof::log::Head { origin: checked.origin, size: checked.size, root: checked.root };
            if let Some(before) = &self.head {
                let path = consistency.iter().find(|proof| proof.from == before.size);
                let path = path.map_or(&[][..], |proof| &proof.path);
                proof::log::check_consistency(before, &after, path)?;
            }
            self.head = Some(after);
        }
        Ok(())
    }
}

#[test]
fn each_gateway_is_shown_with_every_receipt_that_the_log_has_only_grown_since_its_last() {
    let (mut first, mut second) = (Gateway::new(7), Gateway::new(8));
    let mut city = City::with(&[&first, &second]);
    let (mut of_first, mut of_second) = (Watch::default(), Watch::default());
    let manifests = [first.manifest(), second.manifest()];
    let answers = city.give(&first, &manifests[0]);
    of_first.take(&city, &answers).unwrap();
    let answers = city.give(&second, &manifests[1]);
    of_second.take(&city, &answers).unwrap();
    for round in 0..40 {
        let send = |gateway: &Gateway, envelope: &Envelope, seen| Message {
            topic: gateway.id,
            parcel: proof::Parcel::encode(envelope.bytes(), &[], seen).into(),
        };
        let (one, two) = (first.next(), first.next());
        let now_ms = City::now(&first);
        let batch = [send(&first, &one, of_first.seen()), send(&first, &two, of_first.seen())];
        let answers = city.take(&batch, now_ms);
        match round % 4 {
            // The answers are lost, and the gateway sends again.
            0 => {
                let again = city.take(&[send(&first, &two, of_first.seen())], now_ms);
                of_first.take(&city, &again).unwrap();
            }
            // What was said to be seen is old, as when it was sent before the last answer came.
            1 => {
                of_first.take(&city, &answers).unwrap();
                let stale = city.take(&[send(&first, &two, 1)], now_ms);
                of_first.take(&city, &stale).unwrap();
            }
            // The server knows nothing any more of whom it showed what.
            2 => {
                of_first.take(&city, &answers).unwrap();
                city.restart();
            }
            _ => of_first.take(&city, &answers).unwrap(),
        }
        if round % 3 == 0 {
            let three = second.next();
            let answers = city.take(&[send(&second, &three, of_second.seen())], now_ms);
            of_second.take(&city, &answers).unwrap();
        }
    }
}

#[test]
fn a_log_that_was_taken_back_or_is_another_one_shows_no_gateway_that_it_goes_on() {
    let (mut city, mut gateway) = begun();
    let mut watch = Watch::default();
    for _ in 0..3 {
        let window = gateway.next();
        let answers = city.give(&gateway, &window);
        watch.take(&city, &answers).unwrap();
    }
    // Another ledger under the same key: the firm is told one story and the city another.
    let mut other = City::with(&[&gateway]);
    let mut twin = Gateway::new(7);
    let manifest = twin.manifest();
    other.give(&twin, &manifest);
    for count in 0..4 {
        let window = twin.next();
        let message = Message {
            topic: twin.id,
            parcel: proof::Parcel::encode(window.bytes(), &[], watch.seen()).into(),
        };
        let answers = other.take(&[message], City::now(&twin) + 1);
        let before = watch.head.clone();
        assert!(watch.take(&other, &answers).is_err(), "window {count}");
        watch.head = before;
    }
}

#[test]
fn a_label_is_recorded_and_late_from_a_day_after_the_end_of_what_it_is_about() {
    use wire::label::About;
    let day = 86_400_000;
    let time = |to_ms| About::Time(wire::TimeSpan { from_ms: START - day, to_ms });
    let seqs = |to| About::Seqs(wire::SeqSpan { from: 1, to });
    // The manifest was received at START + 600,000, and the window of sequence 2 claims to end at START + 1,200,000.
    for (about, after_ms, late) in [
        (time(START), day, false),
        (time(START), day + 1, true),
        (time(START + 30 * day), 0, false),
        (seqs(2), 1_200_000 + day, false),
        (seqs(2), 1_200_001 + day, true),
        (seqs(1), 600_000 + day, false),
        (seqs(1), 600_001 + day, true),
    ] {
        let (mut city, mut gateway) = begun();
        let window = gateway.next();
        city.give(&gateway, &window);
        let label = gateway.label(about);
        let answers = city.take(&[gateway.message(&label)], START + after_ms);
        let wanted = if late { set([Finding::LateLabel]) } else { set([]) };
        assert_eq!(findings(&city).pop(), Some(wanted), "{about:?} {after_ms}");
        let outcome = if late { Outcome::Finding } else { Outcome::Recorded };
        assert_eq!(city.receipt(&answers[0]).entry.outcome, outcome);
        assert_eq!(held(&city).last().unwrap().envelope, label.bytes());
    }
}

#[test]
fn a_label_about_a_place_that_no_ledger_holds_is_late_and_one_of_its_own_batch_is_not() {
    use wire::label::About;
    let (mut city, mut gateway) = begun();
    let (window, label) = (gateway.next(), gateway.label(About::Seqs(wire::SeqSpan { from: 2, to: 2 })));
    let messages = [gateway.message(&window), gateway.message(&label)];
    city.take(&messages, City::now(&gateway));
    assert_eq!(findings(&city)[2], set([]));
    for _ in 0..2 {
        gateway.next();
    }
    let lost = gateway.lost(4);
    city.give(&gateway, &lost);
    let label = gateway.label(About::Seqs(wire::SeqSpan { from: 4, to: 5 }));
    city.give(&gateway, &label);
    assert_eq!(findings(&city).pop(), Some(set([Finding::LateLabel])));
}

#[test]
fn a_label_of_another_form_is_recorded_as_unread_and_says_nothing() {
    use wire::label::About;
    let (mut city, mut gateway) = begun();
    let label = gateway.label(About::Time(wire::TimeSpan { from_ms: START, to_ms: START - 1 }));
    let answers = city.give(&gateway, &label);
    city.receipt(&answers[0]);
    assert_eq!(findings(&city).pop(), Some(set([Finding::UnparsedPayload])));
}

#[test]
fn from_a_rotation_on_the_new_key_signs_and_the_old_one_adds_nothing() {
    let (mut city, mut gateway) = begun();
    let before = gateway.next();
    let first = city.give(&gateway, &before);
    let mut old = gateway.clone();
    let rotate = gateway.rotate(70);
    let answers = city.give(&gateway, &rotate);
    let receipt = city.receipt(&answers[0]).entry;
    assert_eq!(
        (receipt.epoch, receipt.kid, receipt.outcome),
        (1, old.key().verify_key().kid(), Outcome::Recorded)
    );
    let window = gateway.next();
    let answers = city.give(&gateway, &window);
    let receipt = city.receipt(&answers[0]).entry;
    assert_eq!(
        (receipt.epoch, receipt.kid, receipt.outcome),
        (2, gateway.key().verify_key().kid(), Outcome::Recorded)
    );
    assert_eq!(findings(&city), vec![set([]); 4]);
    for restarted in [false, true] {
        if restarted {
            city.restart();
        }
        // What it had signed is answered as ever, the rotation too.
        for (envelope, seq) in [(&before, 2), (&rotate, 3)] {
            let again = city.give(&gateway, envelope);
            assert_eq!(city.receipt(&again[0]).entry.seq, seq);
        }
        let again = city.take(&[gateway.message(&before)], START);
        assert_eq!(city.receipt(&again[0]).entry, city.receipt(&first[0]).entry);
        // Whoever still has the old key forks nothing with it, nor goes on.
        let mut fork = old.clone();
        let fork = fork.next();
        assert_eq!(refused(&mut city, gateway.message(&fork)), "wrong_epoch");
        let mut on = old.clone();
        (on.seq, on.prev) = (gateway.seq, gateway.prev);
        let on = on.next();
        assert_eq!(refused(&mut city, gateway.message(&on)), "wrong_epoch");
    }
    let keys = city.ledger.read().keys(gateway.id).unwrap();
    let keys: Vec<_> = keys.iter().map(|key| (key.epoch, key.key, key.from_seq)).collect();
    let (was, is) = (old.key().verify_key(), gateway.key().verify_key());
    assert_eq!(keys, [(1, was, 1), (2, is, 4)]);
    // A signature by the old key under the new epoch is nobody's.
    old.epoch = 2;
    (old.seq, old.prev) = (gateway.seq, gateway.prev);
    let forged = old.next();
    assert_eq!(refused(&mut city, gateway.message(&forged)), "bad_signature");
}

#[test]
fn a_rotation_and_what_follows_it_come_in_one_batch_or_in_any_order() {
    let (mut city, mut gateway) = begun();
    let (a, b, c, d) = (gateway.rotate(70), gateway.next(), gateway.rotate(71), gateway.next());
    let late = gateway.message(&a);
    // Of an epoch that is not known yet: it is asked for what comes before, and comes again.
    let answers = city.give(&gateway, &b);
    assert_eq!(refusal(&answers), "wrong_epoch");
    assert!(
        answers.iter().any(|answer| matches!(answer, proof::Answer::Want { have: 1, .. })),
        "{answers:?}"
    );
    let messages = [late, gateway.message(&b), gateway.message(&c), gateway.message(&d), gateway.message(&b)];
    let answers = city.take(&messages, City::now(&gateway));
    let seqs: Vec<_> = answers.iter().map(|answer| city.receipt(answer).entry.seq).collect();
    assert_eq!(seqs, [2, 3, 4, 5, 3]);
    assert_eq!(city.ledger.read().agent(gateway.id).unwrap().unwrap().epoch, 3);
}

#[test]
fn what_waits_behind_a_hole_by_the_old_key_is_refused_when_a_rotation_fills_it() {
    let (mut city, mut gateway) = begun();
    let mut old = gateway.clone();
    let (_, window) = (old.next(), old.next());
    assert!(matches!(city.give(&gateway, &window)[..], [proof::Answer::Want { have: 1, .. }]));
    let rotate = gateway.rotate(70);
    let answers = city.give(&gateway, &rotate);
    assert_eq!(city.receipt(&answers[0]).entry.seq, 2);
    assert_eq!(refusal(&answers[1..]), "wrong_epoch");
    assert_eq!(held(&city).len(), 2);
}

#[test]
fn a_rotation_without_the_new_keys_own_signature_is_refused_by_name() {
    let (mut city, mut gateway) = begun();
    let honest = gateway.clone();
    let good = wire::Rotate::decode(gateway.rotate(70).payload()).unwrap();
    let gateway = honest;
    let others = Gateway::new(9).key().sign(b"something else").to_vec();
    let mut identity = vec![0; 32];
    identity[0] = 1;
    let bad = [
        wire::Rotate { possession: others, ..good.clone() },
        wire::Rotate { key: Gateway::new(9).key().verify_key().to_bytes().to_vec(), ..good.clone() },
        wire::Rotate { key: identity, ..good.clone() },
        wire::Rotate { key: vec![1; 31], ..good.clone() },
        wire::Rotate { possession: vec![], ..good.clone() },
    ];
    for rotate in bad {
        let envelope = gateway.clone().sign(proof::envelope::ROTATE, rotate.encode_to_vec());
        assert_eq!(refused(&mut city, gateway.message(&envelope)), "bad_rotation");
    }
    let mut same = gateway.clone();
    let same = same.rotate(7);
    assert_eq!(refused(&mut city, gateway.message(&same)), "bad_rotation", "the old key again");
    // Nobody else can have his key put in the place of this gateway's.
    let stranger = Envelope::sign(&Gateway::new(9).key(), proof::envelope::ROTATE, good.encode_to_vec());
    assert_eq!(refused(&mut city, gateway.message(&stranger)), "bad_signature");
    let mut on = gateway.clone();
    let rotate = on.rotate(70);
    let answers = city.give(&on, &rotate);
    city.receipt(&answers[0]);
    let back = on.rotate(7);
    assert_eq!(refused(&mut city, on.message(&back)), "bad_rotation", "a key that was given up");
}

#[test]
fn a_rotation_on_a_branch_is_kept_and_changes_no_key() {
    let (mut city, mut gateway) = begun();
    let mut other = gateway.clone();
    for envelope in [gateway.next(), gateway.next()] {
        city.give(&gateway, &envelope);
    }
    let aside = other.rotate(70);
    let answers = city.give(&gateway, &aside);
    assert_eq!(city.receipt(&answers[0]).entry.outcome, Outcome::Conflict);
    assert_eq!(findings(&city).pop(), Some(set([Finding::Fork, Finding::RotationAside])));
    let on = other.next();
    assert_eq!(refused(&mut city, other.message(&on)), "wrong_epoch");
    let window = gateway.next();
    let answers = city.give(&gateway, &window);
    assert_eq!(city.receipt(&answers[0]).entry.outcome, Outcome::Finding);
}
