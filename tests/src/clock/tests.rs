use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use daemon::Tasks;

use super::*;

const MINUTE: i64 = 60_000;
const LONG: Duration = Duration::from_secs(20);

type Seen = Arc<Mutex<Vec<(i64, &'static str)>>>;

/// Waits `times` times, `every` ms apart, and writes down what it sees.
fn repeat(tasks: &mut Tasks, clock: SimClock, name: &'static str, every: i64, times: i64, seen: &Seen) {
    let seen = Arc::clone(seen);
    tasks.spawn(name, async move {
        for step in 1..=times {
            let hold = clock.sleep_until(step * every).await;
            // Two turns of the runtime: time must not run on while the hold lives.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            seen.lock().unwrap().push((clock.stamp().wall_ms, name));
            drop(hold);
        }
        Ok(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plants_run_before_collectors_of_the_same_instant() {
    let clock = SimClock::new(0);
    let seen = Seen::default();
    let mut tasks = Tasks::new();
    repeat(&mut tasks, clock.with_priority(1), "collector", MINUTE, 200, &seen);
    repeat(&mut tasks, clock.with_priority(0), "plant", MINUTE, 200, &seen);
    tokio::task::yield_now().await;
    clock.start();
    clock.end_at(200 * MINUTE).await.unwrap();
    let seen = seen.lock().unwrap().clone();
    let expected: Vec<_> =
        (1..=200).flat_map(|step| [(step * MINUTE, "plant"), (step * MINUTE, "collector")]).collect();
    assert_eq!(seen, expected);
    assert_eq!(
        clock.figures(),
        Figures { moves: 200, woken: 400, late: 0, hurried: clock.figures().hurried }
    );
}

#[tokio::test]
async fn time_stands_still_before_the_start() {
    let clock = SimClock::new(5);
    let waiting = clock.sleep_until(6);
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    assert_eq!(clock.stamp(), Stamp { wall_ms: 5, mono_ms: 0 });
}

#[tokio::test]
async fn time_stands_still_while_a_hold_is_alive() {
    let clock = SimClock::with_stall_limit(0, Duration::from_millis(100));
    let hold = clock.with_label("slow server").hold();
    clock.start();
    let stalled = clock.end_at(10).await.unwrap_err();
    assert_eq!(stalled.at_ms, 0);
    assert!(stalled.to_string().contains("slow server x1"), "{stalled}");
    drop(hold);
    clock.end_at(10).await.unwrap();
    assert_eq!(clock.stamp().wall_ms, 10);
}

#[tokio::test]
async fn a_wait_dropped_after_waking_gives_its_hold_back() {
    let clock = SimClock::new(0);
    let waiting = clock.sleep_until(10);
    clock.start();
    // The wait is woken at 10 and never polled; the run to 20 can only end when its hold is gone.
    let end = clock.end_at(20);
    while clock.stamp().wall_ms < 10 {
        tokio::task::yield_now().await;
    }
    drop(waiting);
    tokio::time::timeout(LONG, end).await.unwrap().unwrap();
    assert_eq!(clock.stamp().wall_ms, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_asks_again_after_dropping_its_hold_does_not_lose_its_turn() {
    let clock = SimClock::new(0);
    let late = Arc::new(AtomicU32::new(0));
    let mut tasks = Tasks::new();
    for every in [7, 60] {
        let (clock, late) = (clock.clone(), Arc::clone(&late));
        tasks.spawn("asker", async move {
            let mut due = every;
            loop {
                let hold = clock.sleep_until(due).await;
                late.fetch_add(u32::from(clock.stamp().wall_ms != due), Ordering::Relaxed);
                drop(hold);
                // Work between the hold and the next wait, as a select loop has it.
                std::hint::black_box((0..2_000).sum::<i64>());
                due += every;
            }
        });
    }
    clock.start();
    clock.end_at(60_000).await.unwrap();
    if clock.figures().hurried == 0 {
        assert_eq!((late.load(Ordering::Relaxed), clock.figures().late), (0, 0));
    }
}

#[tokio::test]
async fn a_wait_for_the_past_ends_at_once_and_holds() {
    let clock = SimClock::new(100);
    let hold = clock.sleep_until(90).await;
    clock.start();
    let end = clock.end_at(200);
    assert!(clock.listing().starts_with("1 holds"), "{}", clock.listing());
    drop(hold);
    end.await.unwrap();
}

#[tokio::test]
async fn an_ended_run_goes_on_to_a_later_end() {
    let clock = SimClock::new(0);
    clock.start();
    clock.end_at(50).await.unwrap();
    let waiting = clock.sleep_until(60);
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    clock.end_at(80).await.unwrap();
    assert_eq!(clock.stamp().wall_ms, 80);
}

#[tokio::test]
async fn a_reboot_is_seen_by_one_machine_only() {
    let clock = SimClock::new(0);
    let gateway = clock.with_boot("first");
    clock.start();
    clock.end_at(500).await.unwrap();
    gateway.reboot("second");
    assert_eq!((gateway.boot_id().as_str(), gateway.stamp().mono_ms), ("second", 0));
    assert_eq!(clock.stamp(), Stamp { wall_ms: 500, mono_ms: 500 });
}
