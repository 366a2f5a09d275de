//! Honest reports are let pass, and spoilt ones are found.

use super::*;

const TERMS: Terms = Terms {
    oldest: Duration::from_secs(3),
    tail: Duration::from_secs(5),
    patience: Duration::from_secs(30),
    cadence: Duration::from_secs(1),
};

/// One server, and what is judged of it. Time is what a test says.
struct Court {
    served: Arc<Served>,
    judged: Judged,
    record: Arc<Record>,
}

impl Court {
    fn opens(way: Way) -> Self {
        let served = Arc::new(Served::new(1));
        Self { judged: Judged::new(1, way, Arc::clone(&served)), served, record: Record::begin() }
    }

    /// All nodes are read at this moment.
    fn read(&self, at: Duration) -> Vec<Reading> {
        NODES.iter().enumerate().map(|(node, _)| self.read_one(node, at)).collect()
    }

    fn read_one(&self, node: usize, at: Duration) -> Reading {
        self.served.serve(NODES[node].name, at);
        let value = *self.served.between(node, at, at).last().expect("it was served");
        let (raw, number) = self.served.read(node, value.since);
        let quality = letter(value.status);
        Reading { quality, raw, value: (quality == Quality::Good).then_some(number) }
    }

    /// What is found wrong with a report.
    fn reports(&mut self, at: Duration, what: &What) -> Vec<String> {
        let mut found = Found::default();
        self.judged.judge(Mark { order: 0, at }, what, &TERMS, &self.record, &mut found);
        assert_eq!(found.count, found.violations.len() as u64);
        found.violations
    }

    fn cycle(&mut self, at: Duration, readings: Vec<Reading>) -> Vec<String> {
        self.reports(at, &What::Cycle(readings))
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const NONE: Reading = Reading { quality: Quality::Fault, raw: Vec::new(), value: None };

#[test]
fn what_was_served_is_let_pass_polled_or_subscribed() {
    for way in [Way::Polled, Way::Subscribed] {
        let mut court = Court::opens(way);
        for turn in 1..20 {
            let readings = court.read(ms(turn * 1_000 - 5));
            assert_eq!(court.cycle(ms(turn * 1_000), readings), [""; 0]);
        }
        assert!(court.judged.well);
    }
}

#[test]
fn another_nodes_value_another_servers_and_a_flipped_bit_are_wrong_values() {
    for way in [Way::Polled, Way::Subscribed] {
        let mut court = Court::opens(way);
        let mut readings = court.read(ms(990));
        readings.swap(0, 3);
        assert_eq!(court.cycle(ms(1_000), readings).len(), 2);
        let other = Served::new(0);
        let mut readings = court.read(ms(1_990));
        let (raw, value) = other.read(4, 0);
        readings[4] = Reading { quality: Quality::Good, raw, value: Some(value) };
        assert_eq!(court.cycle(ms(2_000), readings).len(), 1);
        let mut readings = court.read(ms(2_990));
        readings[5].raw[2] ^= 1;
        assert_eq!(court.cycle(ms(3_000), readings).len(), 1);
        let mut readings = court.read(ms(3_990));
        readings[6].value = readings[6].value.map(|value| value + 1.0);
        assert_eq!(court.cycle(ms(4_000), readings).len(), 1);
    }
}

#[test]
fn a_held_value_is_wrong_when_it_is_old_and_at_once_where_it_was_asked_for() {
    let mut polled = Court::opens(Way::Polled);
    let old = polled.read(ms(990));
    assert_eq!(polled.cycle(ms(1_000), old.clone()), [""; 0]);
    assert_eq!(polled.cycle(ms(2_000), old.clone()).len(), NODES.len(), "nothing was served to this turn");
    polled.read(ms(2_990));
    // Those that have not changed meanwhile are as good as new ones.
    assert!(polled.cycle(ms(3_000), old).len() >= 3);

    let mut subscribed = Court::opens(Way::Subscribed);
    let old = subscribed.read(ms(990));
    assert_eq!(subscribed.cycle(ms(3_900), old.clone()), [""; 0]);
    let found = subscribed.cycle(ms(4_100), old);
    assert_eq!(found.len(), NODES.len(), "{found:?}");
    assert!(found[0].contains("wrong value"), "{found:?}");
}

#[test]
fn a_value_that_goes_back_is_wrong_though_it_was_served_a_moment_ago() {
    let mut court = Court::opens(Way::Subscribed);
    let before = court.read(ms(800));
    let after = court.read(ms(990));
    assert_eq!(court.cycle(ms(1_000), after), [""; 0]);
    let found = court.cycle(ms(1_500), before);
    assert!(!found.is_empty() && found.iter().all(|what| what.contains("goes back")), "{found:?}");
}

#[test]
fn a_point_without_a_value_needs_the_reason_that_its_node_gave() {
    for way in [Way::Polled, Way::Subscribed] {
        let mut court = Court::opens(way);
        court.served.turns(2, StatusCode::BadOutOfService);
        let readings = court.read(ms(9_990));
        assert_eq!(readings[2].quality, Quality::Maintenance);
        assert_eq!(court.cycle(ms(10_000), readings.clone()), [""; 0]);
        let mut readings = court.read(ms(10_990));
        readings[2].quality = Quality::Fault;
        assert_eq!(court.cycle(ms(11_000), readings).len(), 1, "another reason");
        let mut readings = court.read(ms(11_990));
        let (raw, value) = court.served.read(2, 11_990 - 11_990 % 1_900);
        readings[2] = Reading { quality: Quality::Good, raw, value: Some(value) };
        assert_eq!(court.cycle(ms(12_000), readings).len(), 1, "a value that was said to be bad");
        court.served.turns(2, StatusCode::Good);
        let mut readings = court.read(ms(19_990));
        readings[2] = NONE;
        assert_eq!(court.cycle(ms(20_000), readings).len(), 1, "it was well");
    }
}

#[test]
fn a_vanished_node_is_a_fault_of_its_own_and_must_be_read_again() {
    let mut court = Court::opens(Way::Polled);
    court.served.vanishes(1, ms(500));
    court.served.vanishes(2, ms(500));
    let without = |court: &Court, at: Duration, gone: &[usize]| -> Vec<Reading> {
        let one = |node| if gone.contains(&node) { NONE } else { court.read_one(node, at) };
        (0..NODES.len()).map(one).collect()
    };
    let readings = without(&court, ms(990), &[1, 2]);
    assert_eq!(court.cycle(ms(1_000), readings), [""; 0]);
    let readings = without(&court, ms(1_990), &[1, 2, 3]);
    assert_eq!(court.cycle(ms(2_000), readings).len(), 1, "a neighbour");
    court.served.returns(1, ms(2_500));
    court.served.returns(2, ms(2_500));
    // The one that is found by its path may be looked for as long again as it was away.
    let readings = without(&court, ms(3_990), &[2]);
    assert_eq!(court.cycle(ms(4_000), readings), [""; 0]);
    let readings = without(&court, ms(4_990), &[1]);
    assert_eq!(court.cycle(ms(5_000), readings).len(), 1, "found by its id at once");
    assert_eq!(court.cycle(ms(7_000), without(&court, ms(6_990), &[])), [""; 0]);
    let readings = without(&court, ms(7_990), &[2]);
    assert_eq!(court.cycle(ms(8_000), readings).len(), 1, "looked for too long");
}

#[test]
fn a_silence_needs_a_fault_that_silences_and_ends_in_time() {
    let mut court = Court::opens(Way::Polled);
    let silent = What::Silent(Cause::NoAnswer);
    assert_eq!(court.reports(ms(1_000), &silent).len(), 1, "nothing befell it");
    let cut = court.served.begins(Fault::Cut, ms(1_100));
    court.served.ends(cut, ms(1_100));
    assert_eq!(court.reports(ms(2_000), &silent).len(), 1, "a cut costs no turn");
    let restart = court.served.begins(Fault::Restart, ms(2_500));
    assert_eq!(court.reports(ms(3_000), &silent), [""; 0]);
    assert_eq!(court.reports(ms(3_500), &What::Silent(Cause::Fault)).len(), 1, "another cause");
    court.served.ends(restart, ms(4_500));
    assert_eq!(court.reports(ms(9_000), &silent), [""; 0]);
    assert_eq!(court.reports(ms(9_600), &silent), [""; 0], "it began in time");
    assert_eq!(court.reports(ms(10_600), &silent).len(), 1, "a collector that is stuck");
    assert!(!court.judged.well);
    assert_eq!(court.cycle(ms(41_000), Vec::new()).len(), 2, "no report for long, and one of nothing");
}

#[test]
fn a_machine_that_stood_still_excuses_what_is_missing_and_never_a_wrong_value() {
    let mut court = Court::opens(Way::Polled);
    court.record.stalled(ms(1_500), ms(1_900));
    let mut found = Found::default();
    let at = |ms_: u64| Mark { order: 0, at: ms(ms_) };
    court.judged.last = ms(1_000);
    court.judged.judge(at(2_000), &What::Silent(Cause::NoAnswer), &TERMS, &court.record, &mut found);
    assert_eq!((found.count, found.stalled), (0, 1));
    court.judged.last = ms(1_000);
    let mut readings = court.read(ms(1_990));
    readings.swap(0, 3);
    court.judged.judge(at(2_000), &What::Cycle(readings), &TERMS, &court.record, &mut found);
    assert_eq!((found.wrong, found.stalled), (2, 1));
}
