use std::time::Duration;

use encoding_rs::GB18030;
use jiff::civil::date;

use crate::clock::SimClock;
use crate::plant::Plant;
use crate::plant::firm::{Conduct, demo_firms};

use super::*;

const START: Date = date(2026, 7, 22);
const END: Date = date(2026, 9, 20);

fn honest() -> Firm {
    let firm = demo_firms(START, END).into_iter().find(|firm| firm.conduct == Conduct::Honest).unwrap();
    // Its OPC UA server has tests of its own.
    Firm { devices: firm.devices[..1].to_vec(), ..firm }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_appear_after_their_time_and_days_are_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(midnight_ms(START));
    let plant_clock: Arc<dyn Clock> = Arc::new(clock.with_priority(0));
    let plant = Plant::start(honest(), folder.path(), plant_clock, Duration::from_secs(60)).await.unwrap();
    clock.start();
    let noon = midnight_ms(date(2026, 7, 23)) + DAY_MS / 2;
    clock.end_at(noon).await.unwrap();

    let mes = &plant.logs()[0];
    let aside = fs::read_to_string(mes.aside(START)).unwrap();
    let now = fs::read_to_string(mes.path()).unwrap();
    assert!(aside.lines().count() >= 24 && aside.lines().all(|line| line.starts_with("2026-07-22 ")));
    assert!(now.contains("报工成功"));
    assert!(now.lines().all(|line| line.starts_with("2026-07-23 ") && line[11..19] < *"12:00:00"));

    let bytes = fs::read(plant.logs()[1].path()).unwrap();
    let (text, _, damaged) = GB18030.decode(&bytes);
    assert!(!damaged && text.contains("登入系统"));
    plant.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_deleted_under_its_writer_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(midnight_ms(date(2026, 7, 23)));
    let plant_clock: Arc<dyn Clock> = Arc::new(clock.with_priority(0));
    let plant = Plant::start(honest(), folder.path(), plant_clock, Duration::from_secs(60)).await.unwrap();
    clock.start();
    clock.end_at(midnight_ms(date(2026, 7, 23)) + DAY_MS / 2).await.unwrap();
    fs::remove_file(plant.logs()[0].path()).unwrap();
    clock.end_at(midnight_ms(date(2026, 7, 23)) + DAY_MS * 3 / 4).await.unwrap();
    let now = fs::read_to_string(plant.logs()[0].path()).unwrap();
    assert!(now.lines().count() > 6 && now.lines().all(|line| line[11..19] >= *"12:00:00"));
    plant.stop().await.unwrap();
}
