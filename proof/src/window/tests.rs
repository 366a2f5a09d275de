use super::*;
use crate::envelope::{Envelope, WINDOW};
use crate::ids::{AgentId, EntryId};
use crate::keys::SigningKey;
use crate::observation::{Record, Records, Rewrite};
use crate::payload::Payload;
use crate::wire::{ActionClass, ActorClass, ExclusionReason, RewriteKind};

mod opening;

/// A ten-minute mark.
const START: i64 = 2_000_000 * WINDOW_MS;

fn body(devices: u32, logs: u32) -> wire::ManifestBody {
    let point = |index, role: Role, signal| wire::Point {
        index,
        role: role.into(),
        signal,
        share: Share::Shape.into(),
    };
    let source = |index, kind: SourceKind, points| wire::Source {
        index,
        kind: kind.into(),
        cadence_s: 10,
        points,
        ..Default::default()
    };
    let points = vec![point(0, Role::Running, true), point(1, Role::Measure, false)];
    let mut sources: Vec<_> =
        (1..=devices).map(|index| source(index, SourceKind::Modbus, points.clone())).collect();
    sources.extend((devices + 1..=devices + logs).map(|index| source(index, SourceKind::Log, Vec::new())));
    wire::ManifestBody { version: 1, utc_offset_minutes: 480, sources, ..Default::default() }
}

fn windows(devices: u32, logs: u32) -> Windows {
    let mut windows = Windows::new(body(devices, logs), [7; 8], PseudonymKey::new([1; 32]));
    windows.open(START, 5_000, WindowSecret([2; 32]));
    windows
}

fn cycle(source: u16, dt_ms: i64, running: f64) -> Observation {
    let reading = |value: f64| Reading {
        quality: Quality::Good,
        raw: value.to_be_bytes().to_vec(),
        value: Some(value),
    };
    let what = What::Cycle(vec![reading(running), reading(20.5 + running)]);
    Observation { source, at_ms: START + dt_ms, rtt_us: Some(900), what }
}

fn record(position: u64, event_ms: i64, account: &str) -> Record {
    Record {
        position,
        fields: vec![b"report".to_vec(), account.as_bytes().to_vec()],
        event_ms: Some(event_ms),
        account: Some(account.to_owned()),
        document: None,
        actor_class: ActorClass::Human,
        reason: ExclusionReason::None,
        module: 1,
        action: ActionClass::Report,
    }
}

fn look(source: u16, dt_ms: i64, records: Vec<Record>) -> Observation {
    let lines = u32::try_from(records.len()).unwrap();
    let records = Records { from: 0, to: 100, lines, records, followed: true, ..Default::default() };
    Observation { source, at_ms: START + dt_ms, rtt_us: None, what: What::Records(records) }
}

fn silent(source: u16, dt_ms: i64, cause: Cause) -> Observation {
    Observation { source, at_ms: START + dt_ms, rtt_us: None, what: What::Silent(cause) }
}

fn header() -> Header {
    Header {
        agent: AgentId([3; 16]),
        epoch: 1,
        seq: 100_000,
        prev: EntryId([8; 32]),
        boot: [1; 8],
        boot_count: 12,
        wall_ms: START + WINDOW_MS,
        mono_ms: 605_000,
        skew_ms: Some(12),
    }
}

#[test]
fn an_empty_window_is_sealed_and_says_that_nothing_was_asked() {
    let sealed = windows(1, 1).seal(START + WINDOW_MS, 605_000, wire::End::Mark).unwrap();
    assert_eq!((sealed.window.leaf_count, sealed.window.length_ms), (0, 600_000));
    assert!(sealed.use_rows.is_empty() && sealed.window.use_digest.is_empty());
    let gaps: Vec<_> = sealed.window.gaps.iter().map(|gap| (gap.source, gap.from_s, gap.to_s)).collect();
    assert_eq!(gaps, [(1, 0, 600), (2, 0, 600)]);
    assert!(sealed.window.sources.iter().all(|row| row.expected() == 60 && row.ok == 0));
}

#[test]
fn the_same_observations_give_the_same_bytes() {
    let seal = || {
        let mut windows = windows(2, 1);
        for at in 0..60 {
            windows.observe(&cycle(1, at * 10_000, f64::from(u8::from(at > 30)))).unwrap();
            windows.observe(&cycle(2, at * 10_000, 1.0)).unwrap();
        }
        windows.observe(&look(3, 60_000, vec![record(0, START + 59_000, "wang01")])).unwrap();
        windows.seal(START + WINDOW_MS, 605_000, wire::End::Mark).unwrap()
    };
    let sealed = seal();
    assert_eq!(sealed, seal());
    assert_eq!(sealed.window.leaf_count, 121);
    assert_eq!(sealed.window.sources[0].online(), 0b11_1111_1111);
    assert_eq!(sealed.window.shapes[0].running, 0b11_1110_0000);
    assert_eq!(sealed.window.logs[0].events, 1);
    let payload = sealed.payload(&header(), None);
    assert_eq!(Payload::parse(WINDOW, &payload).map(|p| matches!(p, Payload::Window(_))), Ok(true));
    let rows = userows::parse(&sealed.use_rows).unwrap();
    assert_eq!((rows.len(), rows[0].count, rows[0].origin), (1, 1, wire::Origin::Live));
}

#[test]
fn rewritten_history_stands_in_the_window_and_many_of_a_kind_are_joined() {
    let rewrite = |kind, at: u64| Rewrite { kind, from: at, to: at + 5, rows: 0 };
    let seal = |rewrites: Vec<Rewrite>| {
        let mut windows = windows(0, 2);
        let mut seen = look(2, 10_000, Vec::new());
        seen.what = What::Records(Records { from: 900, to: 900, rewrites, ..Records::default() });
        windows.observe(&seen).unwrap();
        windows.seal(START + WINDOW_MS, 605_000, wire::End::Mark).unwrap().window.rewrites
    };
    let told =
        |kind: RewriteKind, from, to| wire::Rewrite { source: 2, kind: kind.into(), from, to, rows: 0 };
    let one = told(RewriteKind::Cut, 70, 75);
    assert_eq!(seal(vec![rewrite(RewriteKind::Cut, 70)]), [one]);
    let mut many: Vec<_> = (0..70).map(|at| rewrite(RewriteKind::Edited, 10 * at)).collect();
    many.push(rewrite(RewriteKind::Cut, 70));
    assert_eq!(seal(many), [told(RewriteKind::Edited, 0, 695)]);
}

#[test]
fn what_a_server_kept_is_committed_to_and_counts_for_nothing() {
    let mut windows = windows(1, 0);
    windows.observe(&silent(1, 10_000, Cause::NoAnswer)).unwrap();
    let kept = |point, at_ms| {
        let reading = Reading { quality: Quality::Good, raw: vec![1], value: Some(1.0) };
        Kept { point, at_ms, reading }
    };
    let past = vec![kept(0, START - 5_000), kept(1, START - 5_000), kept(0, START - 4_000)];
    let what = What::Kept(past);
    windows.observe(&Observation { source: 1, at_ms: START + 30_000, rtt_us: None, what }).unwrap();
    let unknown = What::Kept(vec![kept(2, START)]);
    let unknown = Observation { source: 1, at_ms: START + 30_000, rtt_us: None, what: unknown };
    assert_eq!(windows.observe(&unknown), Err(Misplaced::Unknown));
    let window = windows.seal(START + WINDOW_MS, 605_000, wire::End::Mark).unwrap().window;
    let row = window.sources[0];
    assert_eq!((row.ok, row.err, row.backfilled, row.online()), (0, 1, 3, 0));
    // The silence goes on, no shape was made of it, and there is a leaf for the failed question and each point.
    assert_eq!((window.gaps[0].from_s, window.gaps[0].to_s), (10, 600));
    assert!(window.shapes.is_empty());
    assert_eq!(window.leaf_count, 3);
}

#[test]
fn what_comes_late_stands_where_its_time_says_under_the_blind_of_its_arrival() {
    let mut windows = windows(1, 0);
    windows.observe(&cycle(1, 20_000, 1.0)).unwrap();
    windows.observe(&cycle(1, 10_000, 0.0)).unwrap();
    let sealed = windows.seal(START + WINDOW_MS, 605_000, wire::End::Mark).unwrap();
    let leaf = |dt_ms: i32, running: f64| {
        let reading = |value: f64| wire::Reading { quality: 0, raw: value.to_be_bytes().to_vec() };
        let points = vec![reading(running), reading(20.5 + running)];
        let readings = wire::Readings { share: Share::Shape.into(), rtt_us: 900, points };
        wire::Leaf { source: 1, dt_ms, what: Some(wire::leaf::What::Readings(readings)) }
    };
    let secret = WindowSecret([2; 32]);
    let hashes = [(leaf(10_000, 0.0), 1), (leaf(20_000, 1.0), 0)]
        .map(|(leaf, arrival)| leaf_hash(&leaf, &secret.leaf_blind(arrival)));
    assert_eq!(sealed.window.root, Tree::of(hashes).root());
}

#[test]
fn silence_becomes_a_gap_with_its_cause_and_goes_on_into_the_next_window() {
    let mut windows = windows(1, 0);
    windows.observe(&cycle(1, 0, 1.0)).unwrap();
    for at in 1..4 {
        windows.observe(&silent(1, at * 10_000, Cause::NoAnswer)).unwrap();
    }
    windows.observe(&cycle(1, 40_000, 1.0)).unwrap();
    windows.observe(&silent(1, 590_000, Cause::Refused)).unwrap();
    let sealed = windows.seal(START + WINDOW_MS, 605_000, wire::End::Mark).unwrap();
    let gaps: Vec<_> = sealed.window.gaps.iter().map(|g| (g.cause, g.from_s, g.to_s)).collect();
    assert_eq!(gaps, [(u32::from(b'B'), 10, 40), (u32::from(b'R'), 590, 600)]);
    assert_eq!((sealed.window.sources[0].ok, sealed.window.sources[0].err), (2, 4));

    windows.open(START + WINDOW_MS, 605_000, WindowSecret([3; 32]));
    let sealed = windows.seal(START + 2 * WINDOW_MS, 1_205_000, wire::End::Mark).unwrap();
    assert_eq!(sealed.window.gaps[0].cause, u32::from(b'R'));
}

#[test]
fn observations_outside_the_window_or_the_manifest_are_not_taken() {
    let mut windows = windows(1, 1);
    assert_eq!(windows.observe(&cycle(1, WINDOW_MS, 1.0)), Err(Misplaced::PastTheMark));
    assert_eq!(windows.observe(&cycle(1, -60_001, 1.0)), Err(Misplaced::Before));
    assert_eq!(windows.observe(&cycle(9, 0, 1.0)), Err(Misplaced::Unknown));
    assert_eq!(windows.observe(&cycle(0, 0, 1.0)), Err(Misplaced::Unknown));
    assert_eq!(windows.observe(&cycle(2, 0, 1.0)), Err(Misplaced::Unknown));
    windows.seal(START + 1, 1, wire::End::Stop);
    assert_eq!(windows.observe(&cycle(1, 0, 1.0)), Err(Misplaced::NoneOpen));
}

#[test]
fn a_source_that_was_not_due_yet_has_no_gap() {
    let mut windows = Windows::new(body(1, 0), [7; 8], PseudonymKey::new([1; 32]));
    windows.open(START + 1_000, 6_000, WindowSecret([2; 32]));
    let sealed = windows.seal(START + 9_000, 14_000, wire::End::Stop).unwrap();
    assert_eq!((sealed.window.gaps.len(), sealed.window.sources[0].expected()), (0, 0));
}

#[test]
fn a_stop_seals_a_shorter_window() {
    let mut windows = windows(1, 0);
    windows.observe(&cycle(1, 0, 1.0)).unwrap();
    let sealed = windows.seal(START + 95_000, 100_000, wire::End::Stop).unwrap();
    assert_eq!((sealed.window.length_ms, sealed.window.sources[0].expected()), (95_000, 10));
}

#[test]
fn old_records_are_backfill_and_unnamed_ones_are_nobody() {
    let mut windows = windows(0, 1);
    let mut nobody = record(50, START, "x");
    nobody.account = None;
    let old = record(0, START - 86_400_000, "wang01");
    windows.observe(&look(1, 60_000, vec![old, nobody])).unwrap();
    let sealed = windows.seal(START + WINDOW_MS, 605_000, wire::End::Mark).unwrap();
    let rows = userows::parse(&sealed.use_rows).unwrap();
    let nobody = rows.iter().find(|row| row.actor == [0; 8]).unwrap();
    assert_eq!((nobody.actor_class, nobody.reason), (ActorClass::Excluded, ExclusionReason::NoActor));
    let old = rows.iter().find(|row| row.actor != [0; 8]).unwrap();
    assert_eq!(old.origin, wire::Origin::Backfill);
    assert_eq!(old.day, local_day(START, 480) - 1);
}

#[test]
fn an_event_of_any_time_whatsoever_is_counted_and_sealed() {
    let day = 86_400_000;
    let times = [i64::MIN, i64::MAX, i64::from(i32::MIN) * day, i64::from(i32::MAX) * day, 0];
    for (first, second) in times.iter().flat_map(|first| times.map(|second| (*first, second))) {
        let mut windows = windows(0, 1);
        let records = vec![record(0, first, "wang01"), record(50, second, "wang01")];
        windows.observe(&look(1, 60_000, records)).unwrap();
        let sealed = windows.seal(START + WINDOW_MS, 605_000, wire::End::Mark).unwrap();
        let rows = userows::parse(&sealed.use_rows).unwrap();
        assert_eq!(rows.iter().map(|row| row.count).sum::<u32>(), 2, "{first} {second}");
        assert!(rows.iter().all(|row| row.origin == wire::Origin::Backfill), "{first} {second}");
    }
}

#[test]
fn a_proof_of_12_sources_and_2_logs_takes_at_most_1_kib() {
    let mut windows = windows(12, 2);
    for at in 0..60_i64 {
        for source in 1..=12 {
            let running = f64::from(u8::from((at / 7 + i64::from(source)) % 3 > 0));
            windows.observe(&cycle(source, at * 10_000 + i64::from(source), running)).unwrap();
        }
        for source in [13, 14] {
            let position = u64::try_from(at).unwrap() * 100;
            windows
                .observe(&look(
                    source,
                    at * 10_000,
                    vec![record(position, START + at * 10_000 - 900, "wang01")],
                ))
                .unwrap();
        }
    }
    let sealed = windows.seal(START + WINDOW_MS, 605_000, wire::End::Mark).unwrap();
    let anchor = wire::Anchor { hash: vec![1; 32], size: 10_000_000 };
    let payload = sealed.payload(&header(), Some(anchor));
    let size = Envelope::sign(&SigningKey::from_seed(&[1; 32]), WINDOW, payload).bytes().len();
    assert!(size <= 1024, "{size} bytes");
}

#[test]
fn a_window_of_very_many_sources_still_fits_its_limit() {
    let mut windows = windows(300, 2);
    for source in 1..=300 {
        windows.observe(&cycle(source, 0, 1.0)).unwrap();
        windows.observe(&silent(source, 10_000, Cause::NoAnswer)).unwrap();
    }
    let sealed = windows.seal(START + WINDOW_MS, 605_000, wire::End::Mark).unwrap();
    let size = sealed.payload(&header(), None).len();
    assert!(size <= MAX_WINDOW, "{size} bytes");
    assert_eq!(sealed.window.sources.len(), 302);
}

#[test]
fn growth_is_counted_over_the_mark() {
    let mut body = body(1, 0);
    body.sources[0].points[0] =
        wire::Point { index: 0, role: Role::Counter.into(), signal: true, share: Share::Delta.into() };
    let mut windows = Windows::new(body, [7; 8], PseudonymKey::new([1; 32]));
    let mut deltas = Vec::new();
    for (start, values) in [(0, [10.0, 12.0]), (WINDOW_MS, [15.0, 16.0])] {
        windows.open(START + start, 0, WindowSecret([2; 32]));
        windows.observe(&cycle(1, start, values[0])).unwrap();
        windows.observe(&cycle(1, start + 10_000, values[1])).unwrap();
        deltas.push(
            windows.seal(START + start + WINDOW_MS, 0, wire::End::Mark).unwrap().window.shapes[0].delta_milli,
        );
    }
    assert_eq!(deltas, [Some(2000), Some(4000)]);
}

#[test]
fn a_window_of_as_many_sources_as_a_manifest_may_have_fits_whatever_they_did() {
    let source = |source| wire::SourceRow {
        source,
        unasked: -30_000,
        ok: 30_000,
        err: 30_000,
        rtt_median_us: u32::MAX,
        rtt_spread_us: u32::MAX,
        offline: 0x3ff,
        // A source is a log or a device.
        rows: if source > 800 { 30_000 } else { 0 },
        backfilled: if source > 800 { 0 } else { 30_000 },
    };
    let class = |action| wire::ClassCount { module: 250, action, actor_class: 3, count: 30_000 };
    let log = |source| wire::LogRow {
        source,
        from: 1 << 40,
        to: 1 << 40,
        lines: 30_000,
        unparsed: 30_000,
        classes: (0..64).map(class).collect(),
        accounts: 1_000,
        top_share_permille: 1_000,
        same_second: 30_000,
        gap_mean_ms: 600_000,
        gap_cv_permille: 100_000,
        lag_p50_s: u32::MAX,
        lag_p95_s: u32::MAX,
        biggest_batch: 30_000,
        events: 0x3ff,
    };
    let rewrite = |source| wire::Rewrite { source, kind: 1, from: 1 << 40, to: 1 << 40, rows: 0 };
    let gap = |source| wire::Gap { source, cause: 88, from_s: 1, to_s: 600 };
    let mut window = wire::Window {
        root: vec![1; 32],
        manifest: vec![1; 16],
        sources: (1..=1_000).map(source).collect(),
        logs: (801..=1_000).map(log).collect(),
        gaps: (1..=64).map(gap).collect(),
        rewrites: (801..=1_000).map(rewrite).collect(),
        shapes: vec![wire::ShapeRow { levels: vec![1; 5], tag: vec![1; 8], ..Default::default() }; 64],
        ..Default::default()
    };
    fit(&mut window);
    assert!(window.encoded_len() <= MAX_WINDOW - 256, "{} bytes", window.encoded_len());
    assert_eq!((window.sources.len(), window.logs.len()), (1_000, 200), "each source has its row");
}
