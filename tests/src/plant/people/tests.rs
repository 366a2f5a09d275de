use std::collections::BTreeMap;

use jiff::civil::date;

use super::*;
use crate::plant::firm::demo_firms;

const START: Date = date(2026, 7, 22);
const END: Date = date(2026, 9, 20);

fn people(conduct: impl Fn(Conduct) -> bool) -> People {
    let firm = demo_firms(START, END).into_iter().find(|firm| conduct(firm.conduct)).unwrap();
    let machines =
        firm.devices.iter().map(|device| Arc::new(Machine::new(device.machine.clone(), START))).collect();
    People::new(Arc::new(firm), machines)
}

/// Days from the first on, each with the key actions of the firm's own people, by account.
fn actions(people: &People) -> BTreeMap<Date, BTreeMap<&'static str, usize>> {
    let mut days = BTreeMap::new();
    let mut day = START;
    while day < END {
        let mut counts = BTreeMap::new();
        for event in people.day(day) {
            let account = &people.firm.accounts[event.account];
            if event.deed.key_action().is_some() && account.role <= Role::Planner {
                *counts.entry(account.login).or_insert(0) += 1;
            }
        }
        days.insert(day, counts);
        day = day.tomorrow().unwrap();
    }
    days
}

fn total(days: &BTreeMap<Date, BTreeMap<&'static str, usize>>) -> usize {
    days.values().flat_map(BTreeMap::values).sum()
}

fn weekday(day: &Date) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

fn active(days: &BTreeMap<Date, BTreeMap<&'static str, usize>>, from: Date, to: Date) -> (usize, usize) {
    let span = days.range(from..to).filter(|(day, _)| weekday(day));
    span.fold((0, 0), |(active, all), (_, counts)| (active + usize::from(!counts.is_empty()), all + 1))
}

#[test]
fn honest_people_work_when_the_machines_run_and_at_no_other_time() {
    let people = people(|conduct| conduct == Conduct::Honest);
    let days = actions(&people);
    let (worked, all) = active(&days, START, END);
    assert!(worked * 10 >= all * 9, "{worked} of {all}");
    for (day, counts) in &days {
        let ran: usize = people
            .machines
            .iter()
            .map(|machine| machine.running_minutes(midnight_ms(*day), midnight_ms(*day) + 24 * HOUR))
            .max()
            .unwrap();
        assert!(counts.is_empty() || ran >= WORTH_COMING, "{day}");
    }
    let mut accounts = BTreeMap::new();
    for (login, count) in days.values().flatten() {
        *accounts.entry(*login).or_insert(0) += count;
    }
    assert_eq!(accounts.len(), 5);
    let top = accounts.values().max().unwrap();
    assert!(top * 100 / total(&days) < 50, "{accounts:?}");
}

#[test]
fn the_same_day_is_the_same_twice() {
    let people = people(|conduct| conduct == Conduct::Honest);
    let day = date(2026, 8, 5);
    assert_eq!(people.day(day), people.day(day));
    assert_ne!(people.day(day).len(), 0);
}

#[test]
fn a_shelf_holds_a_few_test_entries_and_no_use() {
    let days = actions(&people(|conduct| conduct == Conduct::Shelfware));
    assert!((1..=4).contains(&total(&days)), "{days:?}");
}

#[test]
fn a_stage_is_empty_until_two_weeks_before_the_visit() {
    let people = people(|conduct| conduct == Conduct::Staged);
    let days = actions(&people);
    let stage = date(2026, 9, 7);
    let before: usize = days.range(..stage).flat_map(|(_, counts)| counts.values()).sum();
    assert!((3..=8).contains(&before), "{before}");
    let after = total(&days) - before;
    assert!(after >= 300, "{after}");
    let mut by_one = 0;
    for counts in days.values() {
        by_one += counts.get("wang01").copied().unwrap_or_default();
    }
    assert!(by_one * 10 > total(&days) * 9, "{by_one} of {}", total(&days));
}

#[test]
fn a_late_firm_begins_late_and_then_works_every_day() {
    let days = actions(&people(|conduct| matches!(conduct, Conduct::LateGoLive(_))));
    let first = *days.iter().find(|(_, counts)| !counts.is_empty()).unwrap().0;
    assert_eq!(first, date(2026, 8, 31));
    let (worked, all) = active(&days, first, END);
    assert!(worked + 1 >= all && all == 15, "{worked} of {all}");
}

#[test]
fn a_small_firm_writes_three_documents_a_day() {
    let days = actions(&people(|conduct| conduct == Conduct::SmallHonest));
    let (worked, all) = active(&days, START, END);
    assert!(worked * 10 >= all * 8, "{worked} of {all}");
    let a_day = total(&days) as f64 / days.values().filter(|counts| !counts.is_empty()).count() as f64;
    assert!((2.0..=3.5).contains(&a_day), "{a_day}");
}

#[test]
fn nobody_works_in_a_declared_stop() {
    let days = actions(&people(|conduct| matches!(conduct, Conduct::SeasonalStop(..))));
    let (from, to) = (date(2026, 8, 12), date(2026, 8, 22));
    assert_eq!(active(&days, from, to).0, 0);
    let (worked, all) = active(&days, START, END);
    assert!(worked + 8 >= all - 2, "{worked} of {all}");
}
