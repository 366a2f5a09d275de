//! Honest factories that look odd. None of them may read 建而不用, none may be flagged.

use proof::wire::{ActorClass, Origin};
use scorer::assessment::{Assessment, MetricId, UseLevel};
use scorer::project::{DeclaredModule, Shift, Stop, Week};

use crate::plant::{Act, Dice, FIRST, MODULES, Plant, VISIT, act, add, date, run};

fn not_accused(verdict: &Assessment) {
    assert_ne!(verdict.level, UseLevel::U1, "{:?}", verdict.level_because);
    assert!(verdict.flags.is_empty(), "{:?}", verdict.flags);
}

/// Runs a plant with the acts of each working day up to the visit.
fn plant_of(mut plant: Plant, mut acts: impl FnMut(i64, &mut Dice) -> Vec<Act>) -> Plant {
    let mut dice = Dice::new(11);
    let (mut day, mut at) = (FIRST, 0);
    while day <= VISIT {
        let working = Week::FIVE.has(day.weekday());
        let today = if working { acts(at, &mut dice) } else { Vec::new() };
        plant.day(day, &today);
        at += i64::from(working);
        day = add(day, 1);
    }
    plant
}

#[test]
fn a_seasonal_stop_is_not_idleness() {
    for declared in [true, false] {
        let mut plant = run(3, 3, |left| if (20..30).contains(&left) { 0.0 } else { 4.0 });
        if declared {
            let stop =
                Stop { from: date("2025-04-14"), to: date("2025-04-25"), reason: "淡季停产".to_owned() };
            plant.project.stops.push(stop);
        }
        let verdict = plant.judge();
        not_accused(&verdict);
        assert_eq!(verdict.level, UseLevel::U3, "declared: {declared}");
        assert_eq!(verdict.window.stopped_days, if declared { 10 } else { 0 });
        assert_eq!(
            verdict.days.iter().filter(|day| day.stop.is_some()).count(),
            if declared { 12 } else { 0 }
        );
    }
}

#[test]
fn a_late_go_live_is_too_short_not_a_burst() {
    for days in 1..20 {
        not_accused(&run(5, 3, |left| if left <= days { 12.0 } else { 0.0 }).judge());
    }
}

#[test]
fn a_data_migration_day_is_no_burst() {
    let plant = plant_of(Plant::new(), |at, dice| {
        let mut acts = dice.acts(4.0, 3);
        if at == 2 || at == 52 {
            acts.extend((0..400).map(|n| Act { class: ActorClass::Interface, ..act(600 + n % 60, 9) }));
        }
        acts
    });
    let verdict = plant.judge();
    not_accused(&verdict);
    assert_eq!(verdict.level, UseLevel::U3);
    let excluded: Vec<_> =
        verdict.excluded.iter().map(|line| (line.reason.zh.as_str(), line.key_actions)).collect();
    assert_eq!(excluded, [("接口或设备账号", 400)], "the first migration lies before W");
}

#[test]
fn a_migration_by_hand_just_before_the_visit_is_no_burst() {
    let plant = plant_of(Plant::new(), |at, dice| {
        let mut acts = dice.acts(4.0, 3);
        if at == 55 {
            acts.extend((0..60).map(|n| act(600 + n % 60, 1)));
        }
        acts
    });
    not_accused(&plant.judge());
}

#[test]
fn a_month_end_peak_is_no_burst() {
    for seed in 0..30 {
        not_accused(
            &run(seed, 3, |left| if left <= 3 || (22..25).contains(&left) { 20.0 } else { 4.0 }).judge(),
        );
    }
}

#[test]
fn a_finance_module_with_one_person_is_in_use() {
    let mut plant = plant_of(Plant::new(), |_, dice| {
        let mut acts = dice.acts(6.0, 3);
        acts.extend((0..dice.poisson(2.0)).map(|_| Act { module: 3, ..act(700, 8) }));
        acts
    });
    plant.project.modules.push(DeclaredModule {
        code: MODULES[2].to_owned(),
        zh: "财务".to_owned(),
        star: true,
    });
    let verdict = plant.judge();
    not_accused(&verdict);
    assert_eq!((verdict.modules[1].level, verdict.modules[1].accounts), (UseLevel::U3, 1));
    assert_eq!(verdict.level, UseLevel::U3);
}

#[test]
fn a_shared_terminal_in_two_shifts_is_two_people() {
    let mut plant = Plant::new();
    plant.hours = 0..1_440;
    plant.project.shifts = vec![
        Shift { name: "白班".to_owned(), from: 480, to: 1_200, week: Week::FIVE },
        Shift { name: "夜班".to_owned(), from: 1_200, to: 1_920, week: Week::FIVE },
    ];
    let terminal = |minute| Act { class: ActorClass::SharedTerminal, ..act(minute, 1) };
    let plant = plant_of(plant, |_, _| vec![terminal(600), terminal(800), terminal(1_300), terminal(1_390)]);
    let verdict = plant.judge();
    not_accused(&verdict);
    assert_eq!(verdict.level, UseLevel::U3, "{:?}", verdict.level_because);
    assert_eq!(verdict.metric(MetricId::M03).unwrap().value, Some(2.0));
    assert_eq!(verdict.metric(MetricId::M04).unwrap().value, Some(0.0));
    assert_eq!(verdict.metric(MetricId::M02).unwrap().value, Some(100.0));
}

#[test]
fn a_shared_terminal_never_counts_for_more_than_the_declared_seats() {
    let mut plant = Plant::new();
    plant.hours = 0..1_440;
    let shift = |from: u16| Shift { name: "班".to_owned(), from, to: from + 480, week: Week::FIVE };
    plant.project.shifts = vec![shift(0), shift(480), shift(960)];
    let terminal = |minute| Act { class: ActorClass::SharedTerminal, ..act(minute, 1) };
    let verdict = plant_of(plant, |_, _| vec![terminal(100), terminal(600), terminal(1_300)]).judge();
    assert_eq!(verdict.metric(MetricId::M03).unwrap().value, Some(2.0));
}

#[test]
fn weekly_back_entry_is_little_use_or_better_and_marked() {
    let plant = plant_of(Plant::new(), |at, _| {
        if at % 5 != 4 {
            return Vec::new();
        }
        let back = |n: i64| Act {
            origin: Origin::Backfill,
            days_ago: (n % 3) as i32,
            ..act(1_000 + n, (n % 2) as u8)
        };
        (0..15).map(back).collect()
    });
    let verdict = plant.judge();
    not_accused(&verdict);
    assert!(verdict.level >= UseLevel::U2);
    assert!(verdict.marks.iter().any(|mark| mark.zh == "历史回采"), "{:?}", verdict.marks);
}
