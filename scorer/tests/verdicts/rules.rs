//! Rules that hold whatever the factory: nothing is said where nothing was observed, late evidence never decides,
//! every number opens.

use proof::wire::{ActionClass, ActorClass, Origin};
use scorer::assessment::{MetricId, Status, UseLevel};
use scorer::profile::Window;
use scorer::project::{DeclaredModule, Week};

use crate::plant::{Act, Dice, FIRST, MODULES, Plant, VISIT, act, add, run};

fn each_day(plant: &mut Plant, mut put: impl FnMut(&mut Plant, jiff::civil::Date, i64, bool)) {
    let (mut day, mut at) = (FIRST, 0);
    while day <= VISIT {
        let working = Week::FIVE.has(day.weekday());
        put(plant, day, at, working);
        at += i64::from(working);
        day = add(day, 1);
    }
}

#[test]
fn where_too_little_was_observed_nothing_is_said() {
    let mut plant = Plant::new();
    each_day(&mut plant, |plant, day, at, _| {
        if at % 2 == 0 {
            plant.day(day, &[]);
        } else {
            plant.position += 1_000; // the log was rotated away: nothing can be read back
        }
    });
    let verdict = plant.judge();
    assert_eq!(verdict.level, UseLevel::U0, "{:?}", verdict.level_because);
    assert!(verdict.coverage.share() < 0.7);
    assert!(verdict.gaps.iter().any(|gap| gap.undeclared && gap.planned == 600));
}

#[test]
fn a_gateway_unplugged_on_bad_days_is_made_up_for_by_a_log_that_goes_on() {
    let mut plant = Plant::new();
    each_day(&mut plant, |plant, day, at, _| {
        if at % 2 == 0 {
            plant.day(day, &[]);
        }
    });
    let verdict = plant.judge();
    assert_eq!(verdict.level, UseLevel::U1, "{:?}", verdict.level_because);
}

#[test]
fn an_empty_history_is_too_little_data() {
    let mut plant = Plant::new();
    assert_eq!(plant.judge().level, UseLevel::U0);
    plant.project.agents.clear();
    let verdict = plant.judge();
    assert_eq!((verdict.level, verdict.coverage.planned > 0), (UseLevel::U0, true));
}

#[test]
fn evidence_handed_in_after_a_week_decides_neither_way() {
    for mean in [0.0, 5.0] {
        let mut plant = Plant::new();
        plant.late_ms = 8 * 86_400_000;
        let mut dice = Dice::new(2);
        each_day(&mut plant, |plant, day, _, working| {
            let acts = if working { dice.acts(mean, 3) } else { Vec::new() };
            plant.day(day, &acts);
        });
        let verdict = plant.judge();
        assert_eq!(verdict.level, UseLevel::U0);
        assert_eq!(verdict.metric(MetricId::M05).unwrap().value, Some(0.0));
        assert_eq!(verdict.evidence.actions[3] > 0, mean > 0.0);
    }
}

#[test]
fn evidence_of_grade_c_counts_and_marks_but_never_accuses() {
    for (mean, level) in [(5.0, UseLevel::U3), (0.0, UseLevel::U2)] {
        let mut plant = Plant::new();
        plant.late_ms = 3 * 86_400_000;
        let mut dice = Dice::new(2);
        each_day(&mut plant, |plant, day, _, working| {
            let acts = if working { dice.acts(mean, 3) } else { Vec::new() };
            plant.day(day, &acts);
            plant.position += 1; // nothing counts as read back
        });
        let verdict = plant.judge();
        assert_eq!(verdict.level, level, "{:?}", verdict.level_because);
        assert!(verdict.marks.iter().any(|mark| mark.zh == "迟交"));
    }
}

#[test]
fn declared_rows_queries_and_strangers_count_for_nothing() {
    let mut plant = Plant::new();
    let odd = [
        Act { origin: Origin::Declared, ..act(600, 1) },
        Act { action: ActionClass::Query, ..act(610, 1) },
        Act { action: ActionClass::Login, ..act(620, 1) },
        Act { action: ActionClass::Change, ..act(620, 1) },
        Act { class: ActorClass::Provider, ..act(630, 2) },
        Act { class: ActorClass::Excluded, ..act(640, 3) },
        Act { module: 99, ..act(650, 1) },
        Act { days_ago: -9, ..act(660, 1) },
    ];
    each_day(&mut plant, |plant, day, _, working| plant.day(day, if working { &odd } else { &[] }));
    let verdict = plant.judge();
    assert_eq!((verdict.level, verdict.metric(MetricId::M05).unwrap().value), (UseLevel::U1, Some(0.0)));
    let reasons: Vec<_> = verdict.excluded.iter().map(|line| line.reason.zh.as_str()).collect();
    assert_eq!(reasons, ["其他排除账号", "实施方账号"]);
    assert!(verdict.notes.len() >= 3, "{:?}", verdict.notes);
}

#[test]
fn use_rows_that_did_not_come_leave_the_verdict_open() {
    let mut plant = run(1, 2, |_| 0.0);
    let window = |day: i64| proof::wire::Window {
        start_ms: (day * 1_440 + 300) * 60_000,
        length_ms: 600_000,
        use_digest: vec![1; 32],
        ..Default::default()
    };
    for n in 0..600 {
        let window = window(20_190 + n % 30);
        plant.push(window.start_ms + 660_000, scorer::Content::Window { window: &window, use_rows: None });
    }
    assert_eq!(plant.judge().level, UseLevel::U0);
}

#[test]
fn a_dead_star_module_lowers_the_firm_without_calling_it_unused() {
    let mut plant = run(4, 3, |_| 6.0);
    plant.project.modules.push(DeclaredModule {
        code: MODULES[1].to_owned(),
        zh: "生产工单".to_owned(),
        star: true,
    });
    let verdict = plant.judge();
    assert_eq!((verdict.modules[1].level, verdict.level), (UseLevel::U1, UseLevel::U2));
    assert!(verdict.facts_against.iter().any(|fact| fact.text.zh.contains("生产工单")));
    plant.project.modules[1].code = "sales".to_owned();
    assert_eq!(plant.judge().level, UseLevel::U0, "a ★ module out of view decides nothing");
}

#[test]
fn every_number_opens_to_days_and_ledger_entries() {
    let verdict = run(1, 3, |_| 5.0).judge();
    let active = verdict.metric(MetricId::M01).unwrap();
    assert_eq!(active.days.len() as u64, active.sample);
    assert_eq!(active.days.iter().filter(|day| day.hit).count() as f64, active.numerator.unwrap());
    assert!(active.days.iter().all(|day| !day.spans.is_empty()));
    assert_eq!(verdict.facts_for.len(), 3);
    for fact in verdict.facts_for.iter().chain(&verdict.facts_against) {
        assert!(!fact.days.is_empty() && !fact.text.en.is_empty(), "{fact:?}");
    }
    assert_eq!(verdict.modules[0].daily.len(), verdict.days.len());
    let daily: u32 = verdict.days.iter().filter(|day| day.in_window).map(|day| day.key_actions).sum();
    assert_eq!(f64::from(daily), verdict.metric(MetricId::M05).unwrap().value.unwrap());
    let metrics: Vec<_> = verdict.metrics.iter().map(|metric| metric.id).collect();
    assert_eq!(metrics, MetricId::ALL);
    assert_eq!(verdict.metric(MetricId::M06).unwrap().remark.as_ref().unwrap().zh, "无业务量锚");
    assert_eq!(verdict.metric(MetricId::M15).unwrap().status, Status::None);
}

#[test]
fn the_first_fact_reads_as_a_sentence_that_can_be_checked_by_hand() {
    let verdict = run(1, 3, |left| if left % 5 == 0 { 0.0 } else { 30.0 }).judge();
    let text = &verdict.facts_for.iter().find(|fact| fact.metric == Some(MetricId::M01)).unwrap().text;
    assert_eq!(text.zh, "44 个已观测工作日中 36 天有关键业务动作（M01 = 81.8%，95% 区间 68.0%–90.5%）");
}

#[test]
fn folding_an_entry_twice_or_in_two_goes_changes_nothing() {
    let plant = run(9, 3, |_| 3.0);
    let mut again = run(9, 3, |_| 3.0);
    again.seq = 10;
    again.day(FIRST, &[act(500, 1); 50]);
    assert_eq!(plant.judge(), again.judge());
}

#[test]
fn windows_and_silences_of_impossible_times_are_left_out_and_counted() {
    let mut plant = run(1, 3, |_| 5.0);
    let before = plant.judge();
    for start_ms in [i64::MAX, i64::MIN, i64::MAX - 600_000, 4_102_444_800_000, 0] {
        let gap = |from_s, to_s| proof::wire::Gap { source: 1, cause: 88, from_s, to_s };
        let window = proof::wire::Window {
            start_ms,
            length_ms: u32::MAX,
            gaps: vec![gap(1, 2), gap(i32::MIN, i32::MAX)],
            ..Default::default()
        };
        plant.push(i64::MAX, scorer::Content::Window { window: &window, use_rows: None });
        let outage = proof::wire::Outage { from_ms: start_ms, to_ms: i64::MAX, ..Default::default() };
        plant.push(i64::MIN, scorer::Content::Outage(&outage));
    }
    let after = plant.judge();
    assert_eq!((after.level, &after.metrics, &after.gaps), (before.level, &before.metrics, &before.gaps));
    assert_eq!(after.notes.first().unwrap().zh, "10 条记录的时间不合理，未计入");
}

#[test]
fn a_clock_that_was_not_set_makes_neither_years_of_days_nor_one_endless_gap() {
    // 1970 has no battery; 2015 is when the board's firmware was built.
    for unset_ms in [0, 1_420_070_400_000] {
        let mut plant = Plant::new();
        let window = |start_ms| proof::wire::Window { start_ms, length_ms: 600_000, ..Default::default() };
        let set_ms = 1_741_564_800_000; // 2025-03-10
        let outage = |from_ms, to_ms| proof::wire::Outage { from_ms, to_ms, cause: 67, ..Default::default() };
        for at in 0..6 {
            let window = window(unset_ms + at * 600_000);
            plant.push(set_ms, scorer::Content::Window { window: &window, use_rows: None });
        }
        plant.push(set_ms, scorer::Content::Outage(&outage(unset_ms + 3_600_000, set_ms)));
        each_day(&mut plant, |plant, day, at, _| {
            if at >= 5 {
                plant.day(day, &[]);
            }
        });
        let verdict = plant.judge();
        assert_eq!(verdict.days.first().unwrap().date, FIRST);
        let longest = verdict.gaps.iter().map(|gap| gap.to_ms - gap.from_ms).max().unwrap_or(0);
        assert!(longest < 4 * 86_400_000, "{longest} ms");
    }
}

#[test]
fn real_use_is_green_only_inside_the_profiles_dates_and_not_judged_where_it_names_none() {
    let plant = run(1, 3, |_| 5.0);
    let first = plant.judge().metric(MetricId::M07).unwrap().date.unwrap();
    let judged = |window: Option<(i64, i64)>| {
        let mut profile = crate::plant::neutral();
        profile.window = window.map(|(from, to)| Window { from: add(first, from), to: add(first, to) });
        let metric = plant.judge_with(&profile).metric(MetricId::M07).unwrap().clone();
        (metric.status, metric.remark.map(|remark| remark.en).unwrap_or_default())
    };
    assert_eq!(judged(None), (Status::Info, "not judged (no window in the profile)".to_owned()));
    assert_eq!(judged(Some((0, 0))), (Status::Green, String::new()));
    for outside in [(1, 9), (-9, -1)] {
        assert_eq!(judged(Some(outside)), (Status::Amber, "outside the profile's window".to_owned()));
    }
}

#[test]
fn a_burst_before_the_notice_is_not_hidden_by_quiet_days_before_the_visit() {
    // Steady once a day; ten busy days up to the notice, then ten days as before.
    let mut plant = run(1, 4, |left| match left {
        11..=20 => 30.0,
        _ => 1.0,
    });
    let index = |plant: &Plant| plant.judge().metric(MetricId::M20).unwrap().value;
    assert!(index(&plant).is_none_or(|index| index < 3.0));
    let notice = add(VISIT, -14);
    plant.project.dates.notice = Some(notice);
    let verdict = plant.judge();
    assert!(index(&plant).unwrap() > 3.0, "{:?}", index(&plant));
    let flag = verdict.flags.iter().find(|flag| flag.code == "R3").unwrap();
    assert!(flag.indicators[0].text.zh.contains(&notice.to_string()), "{:?}", flag.indicators[0].text);
    assert_eq!(flag.indicators[0].days.last().unwrap().date, notice);
    // Who is warned and stages then is seen as before.
    let mut warned = run(1, 4, |left| if left <= 10 { 30.0 } else { 1.0 });
    let without = index(&warned);
    warned.project.dates.notice = Some(notice);
    assert_eq!((index(&warned), without.unwrap() > 3.0), (without, true));
}
