//! Machines and what is said of them, over 180 days of one firm: 25,920 windows of 12 devices and 2 logs.

use proof::wire::{LogRow, Point, Role, ShapeRow, Source, SourceKind, SourceRow, Window};
use scorer::Content;
use scorer::project::DeclaredDevice;

use crate::plant::{AGENT, Plant, VISIT, add};

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
