//! Machines and what is said of them, over 180 days of one firm: 25,920 windows of 12 devices and 2 logs.

use proof::wire::{
    LogRow, ManifestBody, Module, Point, Role, ShapeRow, Source, SourceKind, SourceRow, Window,
};
use scorer::project::DeclaredDevice;
use scorer::{Content, MetricId, UseLevel};

use crate::plant::{AGENT, MODULES, Plant, VISIT, add, run};

fn manifest() -> proof::wire::ManifestBody {
    let device = |index| Source {
        index,
        kind: SourceKind::Modbus.into(),
        cadence_s: 60,
        points: vec![Point { index: 0, role: Role::Running.into(), signal: true, share: 0 }],
        ..Source::default()
    };
    let log = |index| Source {
        index,
        kind: SourceKind::Log.into(),
        cadence_s: 60,
        modules: vec![1],
        ..Source::default()
    };
    let name = "production_report".to_owned();
    proof::wire::ManifestBody {
        version: 1,
        utc_offset_minutes: 480,
        sources: (1..=12).map(device).chain([log(13), log(14)]).collect(),
        modules: vec![proof::wire::Module { code: 1, name }],
        ..Default::default()
    }
}

fn window(start_ms: i64, changes: impl Fn(u32) -> u32) -> Window {
    let row = |source| SourceRow { source, ok: 10, ..SourceRow::default() };
    let shape = |source| ShapeRow { source, changes: changes(source), running: 0x3ff, ..ShapeRow::default() };
    let log = |source| LogRow { source, ..LogRow::default() };
    Window {
        start_ms,
        length_ms: 600_000,
        sources: (1..=14).map(row).collect(),
        shapes: (1..=12).map(shape).collect(),
        logs: vec![log(13), log(14)],
        ..Window::default()
    }
}

/// Half a year of a firm whose devices answer always. `changes` of a device's signal in the n-th window of a day.
fn half_a_year(changes: impl Fn(u32, i64) -> u32) -> Plant {
    let mut plant = Plant::new();
    plant.push(0, Content::Manifest(&manifest()));
    plant.project.devices = (1..=12)
        .map(|source| DeclaredDevice {
            name: format!("设备 {source}"),
            source: Some((AGENT, source)),
            digital: true,
            declared_networked: true,
        })
        .collect();
    let first = add(VISIT, -179);
    plant.project.dates.contract = first;
    let day = i64::from(
        first.since((jiff::Unit::Day, jiff::civil::Date::constant(1970, 1, 1))).unwrap().get_days(),
    );
    for at in 0..180 * 144 {
        let window = window((day * 1_440 - 480) * 60_000 + at * 600_000, |source| changes(source, at % 144));
        plant.push(window.start_ms + 660_000, Content::Window { window: &window, use_rows: None });
    }
    plant
}

#[test]
fn half_a_year_of_windows_is_judged() {
    let plant = half_a_year(|_, _| 9);
    let verdict = plant.judge();
    assert_eq!(plant.history.windows(), 25_920);
    assert_eq!((verdict.days.len(), verdict.devices.len()), (180, 12));
    let online = verdict.metric(scorer::MetricId::M15).unwrap();
    assert_eq!((online.value, online.shown.as_str()), (Some(100.0), "100.0%"));
    for id in [scorer::MetricId::M14, scorer::MetricId::M16, scorer::MetricId::M17] {
        assert_eq!(verdict.metric(id).unwrap().value, Some(100.0), "{id:?}");
    }
    assert_eq!(verdict.level, scorer::UseLevel::U1, "machines that answer do not make a system used");
}

#[test]
fn a_reading_that_moves_every_half_hour_is_alive_and_one_that_never_moves_is_not() {
    // Nine are held for half an hour each, so that no window holds two values; one moves once a day; two never.
    let changes = |source, at: i64| match source {
        1..=9 => u32::from(at % 3 == 0),
        10 => u32::from(at == 70),
        _ => 0,
    };
    let verdict = half_a_year(changes).judge();
    assert_eq!(verdict.metric(scorer::MetricId::M17).unwrap().value, Some(75.0));
}

/// A device that keeps its name wherever a manifest puts it.
fn named(index: u32, name: u8) -> Source {
    Source {
        index,
        kind: SourceKind::Modbus.into(),
        cadence_s: 60,
        name_digest: vec![name; 16],
        ..Source::default()
    }
}

fn put_in_force(plant: &mut Plant, sources: Vec<Source>) {
    let modules = (1u32..).zip(MODULES).map(|(code, name)| Module { code, name: name.to_owned() }).collect();
    let body = ManifestBody { version: 1, utc_offset_minutes: 480, sources, modules, ..Default::default() };
    plant.push(0, Content::Manifest(&body));
}

/// A shift of windows in which these sources answer always or never.
fn shift(plant: &mut Plant, date: jiff::civil::Date, answers: &[(u32, bool)]) {
    let day =
        i64::from(date.since((jiff::Unit::Day, jiff::civil::Date::constant(1970, 1, 1))).unwrap().get_days());
    let row = |(source, answers): &(u32, bool)| match answers {
        true => SourceRow { source: *source, ok: 10, ..SourceRow::default() },
        false => SourceRow { source: *source, err: 10, offline: 0x3ff, ..SourceRow::default() },
    };
    for minute in (480..1_080).step_by(10) {
        let window = Window {
            start_ms: (day * 1_440 + minute - 480) * 60_000,
            length_ms: 600_000,
            sources: answers.iter().map(row).collect(),
            ..Window::default()
        };
        plant.push(window.start_ms + 660_000, Content::Window { window: &window, use_rows: None });
    }
}

fn declare(plant: &mut Plant, sources: impl IntoIterator<Item = Option<u32>>) {
    let device = |(at, source): (usize, Option<u32>)| DeclaredDevice {
        name: format!("设备 {at}"),
        source: source.map(|source| (AGENT, source)),
        digital: true,
        declared_networked: true,
    };
    plant.project.devices = sources.into_iter().enumerate().map(device).collect();
}

fn online_minutes(plant: &Plant) -> Vec<u32> {
    let sum = |device: &scorer::assessment::DeviceStrip| device.days.iter().map(|day| day.online).sum();
    plant.judge().devices.iter().map(sum).collect()
}

#[test]
fn a_source_put_in_front_of_a_log_does_not_erase_what_the_log_showed() {
    let mut plant = run(1, 4, |_| 20.0);
    let log = Source {
        index: 2,
        kind: SourceKind::Log.into(),
        cadence_s: 60,
        modules: vec![1, 2, 3],
        ..Source::default()
    };
    put_in_force(&mut plant, vec![named(1, 9), log]);
    let verdict = plant.judge();
    assert_eq!(verdict.level, UseLevel::U3, "{:?}", verdict.level_because);
}

#[test]
fn a_device_taken_out_of_the_manifest_keeps_its_days_and_still_counts() {
    let mut plant = Plant::new();
    declare(&mut plant, [Some(1), Some(2)]);
    put_in_force(&mut plant, vec![named(1, 1), named(2, 2)]);
    shift(&mut plant, add(VISIT, -3), &[(1, true), (2, true)]);
    shift(&mut plant, add(VISIT, -2), &[(1, true), (2, false)]);
    put_in_force(&mut plant, vec![named(1, 1)]);
    shift(&mut plant, add(VISIT, -1), &[(1, true)]);
    let verdict = plant.judge();
    assert_eq!(online_minutes(&plant), [1_800, 600]);
    let online = verdict.metric(MetricId::M15).unwrap();
    assert_eq!((online.numerator, online.denominator), (Some(2_400.0), Some(3_600.0)));
}

#[test]
fn a_device_put_in_front_of_another_takes_none_of_its_days() {
    let mut plant = Plant::new();
    put_in_force(&mut plant, vec![named(1, 1)]);
    shift(&mut plant, add(VISIT, -3), &[(1, true)]);
    put_in_force(&mut plant, vec![named(1, 2), named(2, 1)]);
    shift(&mut plant, add(VISIT, -2), &[(1, false), (2, true)]);
    declare(&mut plant, [Some(1), Some(2)]);
    assert_eq!(online_minutes(&plant), [0, 1_200]);
    put_in_force(&mut plant, vec![named(1, 1)]);
    declare(&mut plant, [Some(1), Some(2)]);
    assert_eq!(online_minutes(&plant), [1_200, 0], "index 1 is another's again, index 2 was the first one's");
}

#[test]
fn a_machine_that_got_another_address_goes_on_with_its_days() {
    let mut plant = Plant::new();
    put_in_force(&mut plant, vec![named(1, 1), named(2, 2)]);
    shift(&mut plant, add(VISIT, -3), &[(1, true), (2, false)]);
    put_in_force(&mut plant, vec![named(1, 11), named(2, 12)]);
    shift(&mut plant, add(VISIT, -2), &[(1, true), (2, true)]);
    declare(&mut plant, [Some(1), Some(2)]);
    assert_eq!(online_minutes(&plant), [1_200, 600]);
    let online = plant.judge();
    assert_eq!(online.metric(MetricId::M15).unwrap().denominator, Some(2_400.0), "bad days are not lost");
}

#[test]
fn declared_connected_devices_that_nobody_watches_keep_a_firm_from_real_use() {
    let mut plant = run(1, 4, |_| 20.0);
    assert_eq!(plant.judge().level, UseLevel::U3);
    for source in [None, Some(77)] {
        declare(&mut plant, [source]);
        let verdict = plant.judge();
        assert_eq!(verdict.level, UseLevel::U2, "{:?}", verdict.level_because);
        for id in [MetricId::M14, MetricId::M15, MetricId::M16] {
            let metric = verdict.metric(id).unwrap();
            assert_eq!((metric.value, metric.denominator > Some(0.0)), (Some(0.0), true), "{id:?}");
        }
        plant.project.devices[0].declared_networked = false;
        let verdict = plant.judge();
        assert_eq!(verdict.level, UseLevel::U3, "what was never called connected need not be");
        assert_eq!(verdict.metric(MetricId::M15).unwrap().value, None);
    }
}

#[test]
fn a_device_that_nobody_watches_weighs_as_much_as_one_that_always_answers() {
    let mut plant = Plant::new();
    plant.project.dates.completion = add(VISIT, -4); // Monday to Friday
    put_in_force(&mut plant, vec![named(1, 1)]);
    for back in (0..5).rev() {
        shift(&mut plant, add(VISIT, -back), &[(1, true)]);
    }
    declare(&mut plant, [Some(1), None]);
    let verdict = plant.judge();
    for id in [MetricId::M14, MetricId::M15, MetricId::M16] {
        assert_eq!(verdict.metric(id).unwrap().value, Some(50.0), "{id:?}");
    }
}

#[test]
fn minutes_of_a_silent_gateway_are_no_minutes_of_a_device_off_line() {
    let mut plant = Plant::new();
    put_in_force(&mut plant, vec![named(1, 1)]);
    shift(&mut plant, add(VISIT, -8), &[(1, true)]);
    shift(&mut plant, VISIT, &[(1, true)]);
    declare(&mut plant, [Some(1)]);
    assert_eq!(plant.judge().metric(MetricId::M15).unwrap().value, Some(100.0));
}
