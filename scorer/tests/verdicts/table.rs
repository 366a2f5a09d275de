//! The desk simulation of the draft rules, case by case, through real windows and use rows.

use scorer::assessment::{Headline, MetricId, UseLevel};
use scorer::project::DeclaredModule;

use crate::plant::{MODULES, run};

const RUNS: u64 = 100;

/// Shares of runs in percent: U0 to U3, R3 raised, M20 above 3.
struct Rates {
    levels: [u64; 4],
    flagged: u64,
    burst: u64,
}

fn rates(accounts: u64, mean: impl Fn(i64) -> f64 + Copy) -> Rates {
    let mut rates = Rates { levels: [0; 4], flagged: 0, burst: 0 };
    for seed in 0..RUNS {
        let verdict = run(seed, accounts, mean).judge();
        rates.levels[verdict.level as usize] += 1;
        rates.flagged += u64::from(!verdict.flags.iter().all(|flag| flag.code != "R3"));
        rates.burst +=
            u64::from(verdict.metric(MetricId::M20).unwrap().value.is_some_and(|value| value > 3.0));
        assert_eq!(verdict.headline, verdict.level.headline());
    }
    eprintln!("U0–U3 {:?} R3 {} M20>3 {}", rates.levels, rates.flagged, rates.burst);
    rates
}

#[test]
fn a_busy_plant_is_in_real_use() {
    let rates = rates(8, |_| 30.0);
    assert_eq!((rates.levels, rates.flagged, rates.burst), ([0, 0, 0, 100], 0, 0));
}

#[test]
fn a_small_plant_with_two_accounts_is_never_accused() {
    let rates = rates(2, |_| 3.0);
    assert_eq!((rates.levels, rates.flagged), ([0, 0, 0, 100], 0));
}

#[test]
fn a_tiny_plant_is_never_called_unused() {
    let rates = rates(2, |_| 1.0);
    assert_eq!((rates.levels[0], rates.levels[1], rates.flagged), (0, 0, 0));
    assert!((20..=85).contains(&rates.levels[3]), "{:?}", rates.levels);
}

#[test]
fn a_go_live_25_working_days_ago_is_in_real_use() {
    let rates = rates(3, |left| if left <= 25 { 5.0 } else { 0.0 });
    assert_eq!((rates.levels, rates.flagged, rates.burst), ([0, 0, 0, 100], 0, 0));
}

#[test]
fn a_go_live_15_working_days_ago_is_too_short_with_a_good_trend() {
    for days in [3, 8, 15] {
        for seed in 0..20 {
            let verdict = run(seed, 3, |left| if left <= days { 5.0 } else { 0.0 }).judge();
            assert_eq!((verdict.headline, verdict.flags.len()), (Headline::TooLittleData, 0), "{days} days");
            assert_eq!(verdict.trend.unwrap().zh, "上线时间短，趋势良好");
        }
    }
}

#[test]
fn one_account_is_little_use_not_none() {
    let rates = rates(1, |_| 2.0);
    assert_eq!((rates.levels, rates.flagged), ([0, 0, 100, 0], 0));
}

#[test]
fn shelfware_is_built_and_not_used() {
    let rates = rates(2, |_| 0.05);
    assert!(rates.levels[1] >= 96, "{:?}", rates.levels);
    assert_eq!((rates.levels[2] + rates.levels[3], rates.flagged), (0, 0));
    let never = run(1, 2, |_| 0.0).judge();
    let flags: Vec<_> = never.flags.iter().map(|flag| flag.code).collect();
    assert_eq!((never.level, flags), (UseLevel::U1, vec![]), "no module is used, and that is all");
}

#[test]
fn a_platform_is_called_incomplete_where_one_of_two_modules_is_used() {
    let mut plant = run(3, 4, |_| 20.0);
    let second = DeclaredModule { code: MODULES[1].to_owned(), zh: "工单".to_owned(), star: false };
    plant.project.modules.push(second);
    let verdict = plant.judge();
    let flags: Vec<_> = verdict.flags.iter().map(|flag| flag.code).collect();
    assert_eq!(flags, vec!["R5"], "{}", verdict.level.code());
}

#[test]
fn ten_staged_days_are_flagged_and_never_called_real_use() {
    // "Almost nothing" holds a few actions early on: without one there is nothing to compare with, by design.
    let rates = rates(4, |left| match left {
        1..=10 => 30.0,
        50..=60 => 0.4,
        _ => 0.05,
    });
    assert!(rates.flagged >= 95 && rates.burst >= 95, "R3 {} M20 {}", rates.flagged, rates.burst);
    assert!(rates.levels[0] >= 85, "{:?}", rates.levels);
}

#[test]
fn twenty_staged_days_pass_the_level_which_is_why_the_index_stands_beside_it() {
    let rates = rates(4, |left| match left {
        1..=20 => 30.0,
        50..=60 => 0.4,
        _ => 0.05,
    });
    assert!(rates.levels[3] >= 85, "{:?}", rates.levels);
    assert!(rates.burst >= 75, "{}", rates.burst);
}
