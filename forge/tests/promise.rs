//! What is promised of the scorer, on a sample of the test seeds, and what is promised of the forge.

use forge::{gateway, judge, table};

/// Factories of each class: a sample of what `forge table` judges.
const SEEDS: u64 = 3;

#[test]
fn no_honest_factory_of_the_sample_is_accused_and_each_forgery_is_found() {
    let classes: Vec<_> = forge::classes().collect();
    let verdicts = table::judge_all(&classes, 0..SEEDS);
    assert_eq!(verdicts.len(), classes.len() * SEEDS as usize);
    let rows = table::rows(&verdicts);
    let broken = table::broken(&rows);
    assert!(broken.is_empty(), "{broken:#?}\n{}", table::text(&rows));
}

#[test]
fn an_accused_honest_factory_and_a_forgery_not_found_break_the_promise() {
    let mut verdicts = table::judge_all(&["ordinary", "provider"], 0..1);
    verdicts[0].accused = true;
    verdicts[1].found = false;
    let broken = table::broken(&table::rows(&verdicts));
    assert_eq!(broken.len(), 2, "{broken:?}");
}

#[test]
fn a_seed_makes_the_same_factory_every_time_and_another_seed_another() {
    let said = |seed| {
        let factory = forge::factory("bad-network", seed).unwrap();
        format!("{:?} {:?} {:?}", factory.lines, factory.away, factory.machines[0].done)
    };
    assert_eq!(said(7), said(7));
    assert_ne!(said(7), said(8));
    assert!(forge::factory("no-such-class", 1).is_none());
}

#[test]
fn windows_that_commit_to_nothing_say_what_windows_say() {
    let mut factory = forge::factory("night-shift", 3).unwrap();
    factory.days = 40;
    let calendar = forge::calendar();
    let of = |history| format!("{:?}", judge::of_history(&factory, &calendar, &history));
    assert_eq!(of(gateway::watch(&factory)), of(gateway::watch_committed(&factory)));
}

#[test]
fn a_firm_whose_records_were_copied_is_not_accused_of_it() {
    let calendar = forge::calendar();
    for seed in 0..4 {
        let copy = forge::factory("copied-database", seed).unwrap();
        let mut original = copy.other.clone().unwrap();
        original.other = Some(Box::new(copy));
        let verdict = judge::judge(&original, &calendar);
        assert!(!judge::accuses(&verdict), "{seed}: {:?}", verdict.flags);
        assert!(judge::asks(&verdict, "D33"), "{seed}: both are asked");
    }
}
