//! Rules that ask, on small made-up firms.

use proof::wire::Origin;
use scorer::cross::Firm;
use scorer::{Assessment, Calendar, Cross, Outcome, assess_among};

use crate::plant::{Act, Dice, FIRST, Plant, VISIT, act, add, neutral};

fn outcome(verdict: &Assessment, id: &str) -> Outcome {
    verdict.findings.iter().find(|finding| finding.id == id).unwrap().outcome
}

/// A plant with the same kind of day on each day from `first` on.
fn daily(first: jiff::civil::Date, mut of: impl FnMut(i64) -> Vec<Act>) -> Plant {
    let mut plant = Plant::new();
    let (mut day, mut at) = (first, 0);
    while day <= VISIT {
        plant.day(day, &of(at));
        (day, at) = (add(day, 1), at + 1);
    }
    plant
}

fn as_of_ms() -> i64 {
    let day = VISIT.since((jiff::Unit::Day, jiff::civil::Date::constant(1970, 1, 1))).unwrap().get_days();
    (i64::from(day + 1) * 1_440 + 30 - 480) * 60_000
}

/// Both firms judged beside each other.
fn among(one: &Plant, other: &Plant) -> [Assessment; 2] {
    let profile = neutral();
    let firms = [one, other].map(|plant| Firm {
        project: &plant.project,
        profile: &profile,
        history: &plant.history,
    });
    let calendar = Calendar::default();
    let cross = Cross::compare(&firms, &calendar, as_of_ms());
    firms.map(|firm| {
        assess_among(firm.project, firm.profile, &calendar, firm.history, as_of_ms(), Some(&cross))
    })
}

#[test]
fn days_that_were_seen_live_elsewhere_weeks_before_are_a_copy_and_the_original_is_only_asked() {
    let acts = |seed: u64| {
        let mut dice = Dice::new(seed);
        move |_| dice.acts(20.0, 3)
    };
    let mut original = daily(FIRST, acts(5));
    "original".clone_into(&mut original.project.id);
    let mut copy = daily(add(FIRST, 14), acts(5));
    "copy".clone_into(&mut copy.project.id);
    let [first, second] = among(&original, &copy);
    assert_eq!((outcome(&first, "D33"), outcome(&second, "D33")), (Outcome::Ask, Outcome::AskStrongly));
    assert!(first.flags.iter().chain(&second.flags).all(|flag| flag.code != "R2"), "one kind of evidence");

    let mut stranger = daily(FIRST, acts(6));
    "stranger".clone_into(&mut stranger.project.id);
    let [first, second] = among(&original, &stranger);
    assert_eq!((outcome(&first, "D33"), outcome(&second, "D33")), (Outcome::Clear, Outcome::Clear));
    assert_eq!(outcome(&original.judge(), "D33"), Outcome::NotComputable, "nobody to compare with");
}

#[test]
fn one_person_under_four_names_acts_in_turns_and_four_people_do_not() {
    let turns = |at: i64| {
        let begin = 540 + at * 37 % 300;
        (0..4_u8)
            .flat_map(|who| (0..3).map(move |nth| act(begin + i64::from(who) * 9 + nth * 2, who)))
            .collect()
    };
    let one = daily(FIRST, turns).judge();
    assert_eq!(outcome(&one, "D23"), Outcome::Ask);
    let mut dice = Dice::new(3);
    let four = daily(FIRST, |_| dice.acts(24.0, 4)).judge();
    assert_eq!(outcome(&four, "D23"), Outcome::Clear);
}

#[test]
fn papers_that_bear_a_date_and_no_time_of_day_are_asked_about_and_flag_nothing() {
    let late = |at: i64| {
        let back = |nth: i64| Act {
            minute: 0,
            days_ago: 7 + nth as i32,
            origin: Origin::Backfill,
            ..act(0, (nth % 3) as u8)
        };
        // What is dated at midnight is written on Fridays.
        if at % 7 == 4 { (0..20).map(|nth| back(nth % 6)).collect() } else { vec![act(600, 0)] }
    };
    let mut plant = Plant::new();
    plant.hours = 0..1_440;
    let mut day = FIRST;
    for at in 0.. {
        if day > VISIT {
            break;
        }
        plant.day(day, &late(at));
        day = add(day, 1);
    }
    let verdict = plant.judge();
    assert_eq!(outcome(&verdict, "D24"), Outcome::Ask);
    let text = &verdict.findings.iter().find(|finding| finding.id == "D24").unwrap().text;
    assert!(text.zh.contains("没有时刻") && text.en.contains("no time of day"), "{}", text.en);
    assert!(verdict.flags.iter().all(|flag| flag.code != "R2"), "{:?}", verdict.flags);
}
