use std::path::Path;

use collectors::manifest::Manifest;
use daemon::{Clock as _, SystemClock};

use super::*;
use crate::chaos::frames::Question;
use crate::chaos::record::Marking;

/// One device on a line, and a judge of what is reported of it.
struct Court {
    record: Arc<Record>,
    judge: Judge,
}

const UNIT: u8 = 7;

/// What each turn asks for: three values of holding registers, and a bit.
const READS: [(u8, u16, u16); 2] = [(3, 0, 1002), (1, 40, 1)];

/// Function, address and width of the four points.
const POINTS: [(u8, u16, u16); 4] = [(3, 0, 4), (3, 1000, 1), (3, 1001, 1), (1, 40, 1)];

impl Court {
    fn opens(framing: &str) -> Self {
        let text = format!(
            "[[lines]]\nname = \"line\"\nconnect = \"127.0.0.1:502\"\nframing = \"{framing}\"\n[[sources]]\n\
             name = \"press\"\n[sources.modbus]\nline = \"line\"\nunit = {UNIT}\ntimeout = \"1s\"\n\
             points = [ {{ name = \"a\", address = 0, type = \"u64\" }}, {{ name = \"b\", address = 1000 }},\n\
             {{ name = \"c\", address = 1001 }}, {{ name = \"d\", address = 40, table = \"coil\" }} ]\n"
        );
        let manifest = Manifest::parse("manifest.toml", &text, Path::new("")).unwrap();
        let record = Record::begin();
        let judged = Judged::new(&manifest.sources[0], 0, Duration::from_secs(3600));
        Self { judge: Judge::new([judged], Arc::clone(&record)), record }
    }

    /// The device is asked; returns the question's number.
    fn asked(&self, (function, first, count): (u8, u16, u16), fault: Option<Fault>) -> u32 {
        let order = self.record.next();
        let question = Question { unit: UNIT, function, first, count, number: 1 };
        let asked = Asked { order, at: self.record.now(), question, fault };
        self.record.asked(0, 1, asked, false);
        u32::try_from(order).unwrap()
    }

    /// The collector reports; returns what is found wrong with it.
    fn reports(&mut self, what: &What) -> Vec<String> {
        let clock = Marking { within: SystemClock, source: 1, record: Arc::clone(&self.record) };
        drop(clock.hold());
        let before = self.judge.found.violations.len();
        self.judge.see(1, what);
        self.judge.found.violations[before..].iter().map(|violation| violation.what.clone()).collect()
    }

    /// A turn whose first question meets a fault; returns the numbers of its questions.
    fn turn(&self, fault: Option<Fault>) -> [u32; 2] {
        [self.asked(READS[0], fault), self.asked(READS[1], None)]
    }
}

fn reading(quality: Quality, raw: Vec<u8>) -> Reading {
    let value = (quality == Quality::Good).then_some(1.0);
    Reading { quality, raw, value }
}

/// What an honest collector reads from these answers.
fn read([registers, bits]: [u32; 2]) -> Vec<Reading> {
    let serial = |function| if function == 3 { registers } else { bits };
    let of = |(function, address, width)| frames::raw(UNIT, function, address, width, serial(function));
    POINTS.map(|point| reading(Quality::Good, of(point))).into()
}

/// The same with nothing of the first question.
fn without(quality: Quality, serials: [u32; 2]) -> What {
    let mut readings = read(serials);
    readings[..3].iter_mut().for_each(|point| *point = reading(quality, Vec::new()));
    What::Cycle(readings)
}

#[test]
fn what_was_served_is_right() {
    let mut court = Court::opens("tcp");
    for _ in 0..3 {
        let serials = court.turn(None);
        assert_eq!(court.reports(&What::Cycle(read(serials))), Vec::<String>::new());
    }
    assert_eq!((court.judge.found.values, court.judge.found.count), (12, 0));
}

#[test]
fn two_points_that_were_taken_for_each_other_are_found() {
    let mut court = Court::opens("tcp");
    let mut readings = read(court.turn(None));
    readings.swap(1, 2);
    let wrong = court.reports(&What::Cycle(readings));
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong.iter().all(|what| what.starts_with("wrong value")), "{wrong:?}");
}

#[test]
fn an_answer_that_is_one_question_late_is_found() {
    let mut court = Court::opens("rtu");
    let first = court.turn(None);
    assert_eq!(court.reports(&What::Cycle(read(first))), Vec::<String>::new());
    let second = court.turn(None);
    let wrong = court.reports(&What::Cycle(read([first[0], second[1]])));
    assert!(wrong.len() == 3 && wrong[0].starts_with("wrong value"), "{wrong:?}");
}

#[test]
fn a_value_that_was_not_asked_for_is_found() {
    let mut court = Court::opens("tcp");
    let serials = court.turn(None);
    assert_eq!(court.reports(&What::Cycle(read(serials))), Vec::<String>::new());
    let wrong = court.reports(&What::Cycle(read(serials)));
    assert_eq!(wrong.len(), 4, "{wrong:?}");
}

#[test]
fn a_value_after_an_answer_that_must_not_be_taken_is_found() {
    let mut court = Court::opens("tcp");
    let serials = court.turn(Some(Fault::Late));
    let wrong = court.reports(&What::Cycle(read(serials)));
    assert_eq!(wrong.len(), 3, "{wrong:?}");
}

#[test]
fn a_silence_must_have_the_cause_that_its_fault_states() {
    for (framing, fault, stated, other) in [
        ("tcp", Fault::Late, Quality::NoAnswer, Quality::Fault),
        ("tcp", Fault::NoiseWithin, Quality::Fault, Quality::NoAnswer),
        ("rtu", Fault::NoiseWithin, Quality::NoAnswer, Quality::Fault),
        ("rtu", Fault::Exception(2), Quality::Fault, Quality::NoAnswer),
        ("rtu", Fault::Exception(11), Quality::NoAnswer, Quality::Fault),
    ] {
        let mut court = Court::opens(framing);
        let serials = court.turn(Some(fault));
        assert_eq!(court.reports(&without(stated, serials)), Vec::<String>::new(), "{fault:?}");
        assert_eq!(court.judge.found.as_stated[&fault], 1);
        let serials = court.turn(Some(fault));
        assert_eq!(court.reports(&without(other, serials)).len(), 3, "{fault:?}");
    }
}

#[test]
fn a_silence_without_a_cause_is_found() {
    let mut court = Court::opens("tcp");
    let serials = court.turn(None);
    assert_eq!(court.reports(&without(Quality::NoAnswer, serials)).len(), 3);
    assert_eq!(
        court.reports(&What::Silent(Cause::NoAnswer)).len(),
        1,
        "nothing was asked, and nothing prevented it"
    );
    court.turn(None);
    assert_eq!(court.reports(&What::Silent(Cause::NoAnswer)).len(), 1, "it was answered");
}

#[test]
fn a_unit_whose_identity_was_not_heard_is_left_alone_and_that_is_said_once() {
    let mut court = Court::opens("rtu");
    let registers = court.asked(READS[0], None);
    court.asked((0x2B, 0, 0), None);
    let mut readings = read([registers, registers]);
    readings[3] = reading(Quality::NoAnswer, Vec::new());
    let wrong = court.reports(&What::Cycle(readings));
    assert!(wrong.len() == 1 && wrong[0].contains("said who it is"), "{wrong:?}");
    assert_eq!(court.reports(&What::Silent(Cause::NoAnswer)), Vec::<String>::new(), "it owes an answer");
}

#[test]
fn a_silence_after_an_identity_that_was_heard_is_found() {
    let mut court = Court::opens("rtu");
    court.asked((0x2B, 0, 0), None);
    let serials = court.turn(None);
    assert_eq!(court.reports(&What::Cycle(read(serials))), Vec::<String>::new());
    assert_eq!(court.reports(&What::Silent(Cause::NoAnswer)).len(), 1);
}

#[test]
fn a_silence_that_goes_on_while_a_collector_waits_is_no_new_one() {
    let mut court = Court::opens("tcp");
    for read in READS {
        court.asked(read, Some(Fault::HalfOpen));
    }
    assert_eq!(court.reports(&What::Silent(Cause::NoAnswer)), Vec::<String>::new());
    assert_eq!(court.reports(&What::Silent(Cause::NoAnswer)), Vec::<String>::new());
    assert_eq!(court.reports(&What::Silent(Cause::Fault)).len(), 1, "another cause must have one");
}

#[test]
fn a_refused_point_may_be_left_alone_and_only_that_one() {
    let mut court = Court::opens("tcp");
    let serials = court.turn(Some(Fault::Exception(2)));
    assert_eq!(court.reports(&without(Quality::Fault, serials)), Vec::<String>::new());
    let bits = court.asked(READS[1], None);
    let mut readings = read([bits, bits]);
    readings[..3].iter_mut().for_each(|point| *point = reading(Quality::Fault, Vec::new()));
    assert_eq!(court.reports(&What::Cycle(readings.clone())), Vec::<String>::new());
    readings[3] = reading(Quality::Fault, Vec::new());
    assert_eq!(court.reports(&What::Cycle(readings)).len(), 1);
}

#[test]
fn a_machine_that_stood_still_excuses_a_silence_and_no_wrong_value() {
    let mut court = Court::opens("tcp");
    let serials = court.turn(None);
    court.record.stalled(Duration::ZERO, court.record.now());
    assert_eq!(court.reports(&without(Quality::NoAnswer, serials)), Vec::<String>::new());
    assert_eq!(court.judge.found.stalled, 1);
    let serials = court.turn(None);
    let mut readings = read(serials);
    readings.swap(1, 2);
    assert_eq!(court.reports(&What::Cycle(readings)).len(), 2);
}
