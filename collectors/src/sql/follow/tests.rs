mod doubts;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::position::MAX_RANGES;
use super::again::CHECKED_RANGES;
use super::*;

/// Of walks: longer than a walk takes.
const OVERLAP_S: i64 = 100_000;

/// A table in memory: what is visible of it.
#[derive(Debug, Default)]
struct Model {
    /// By number; the key is made of it.
    rows: BTreeMap<u64, String>,
    /// Rows that share a key, when more than one.
    alike: u64,
    questions: u32,
}

impl Model {
    fn key(&self, number: u64) -> Key {
        vec![format!("{:08}", number / self.alike.max(1)), "单".to_owned()]
    }

    fn row(&self, number: u64, text: &str) -> Row {
        Row { key: self.key(number), cells: vec![Some(number.to_string()), Some(text.to_owned()), None] }
    }

    fn write(&mut self, numbers: impl IntoIterator<Item = u64>) {
        self.rows.extend(numbers.into_iter().map(|number| (number, format!("报工 {number}"))));
    }
}

impl Rows for Model {
    async fn rows(&mut self, span: Span<'_>, limit: u32) -> Result<Vec<Row>, CollectError> {
        self.questions += 1;
        let all = self.rows.iter().map(|(number, text)| self.row(*number, text));
        let inside = all.filter(|row| {
            span.after.is_none_or(|after| row.key > *after)
                && span.up_to.is_none_or(|up_to| row.key <= *up_to)
        });
        Ok(inside.take(limit as usize).collect())
    }

    fn name(&self) -> String {
        "192.168.1.8:3306/mes sys_oper_log".to_owned()
    }
}

/// A follower, what it has handed over, and where it would go on after a restart.
struct Reader {
    follower: Follower,
    habits: Habits,
    now_ms: i64,
    /// Number of each row handed over, in that order.
    out: Vec<u64>,
    positions: Vec<u64>,
    rewrites: Vec<Rewrite>,
    lost: u32,
}

impl Reader {
    fn new(overlap_s: i64, max_rows: u32, unique: bool) -> Self {
        let habits =
            Habits { overlap_s, max_rows, unique, settled: true, dates: None, printed: vec![true; 3] };
        let follower = Follower::new(habits.clone(), Position::new([3; 16], [1; 8], [2; 8]));
        let (out, positions, rewrites) = (Vec::new(), Vec::new(), Vec::new());
        Self { follower, habits, now_ms: 1_750_000_000_000, out, positions, rewrites, lost: 0 }
    }

    /// One look. A lost one is a crash before its outcome was stored: it is as if it had not been.
    async fn look(&mut self, table: &mut Model, lost: bool) -> bool {
        self.now_ms += 10_000;
        let before = self.follower.position().encode();
        let seen = self.follower.look(table, self.now_ms).await.unwrap();
        if lost {
            let position = Position::decode(&before).unwrap();
            self.follower = Follower::new(self.habits.clone(), position);
            return true;
        }
        for (position, row) in seen.rows {
            self.out.push(row.cells[0].as_ref().unwrap().parse().unwrap());
            self.positions.push(position);
        }
        self.rewrites.extend(seen.rewrites);
        self.lost += seen.lost;
        seen.more
    }

    /// Looks until everything has been read, and every range read again.
    async fn looks(&mut self, table: &mut Model, count: u32) {
        for _ in 0..count {
            while self.look(table, false).await {}
        }
    }

    /// Time in which nobody looks.
    fn passes(&mut self, seconds: i64) {
        self.now_ms += seconds * 1_000;
    }

    fn told(&self, kind: RewriteKind) -> u32 {
        self.rewrites.iter().filter(|rewrite| rewrite.kind == kind).map(|rewrite| rewrite.rows).sum()
    }
}

#[tokio::test]
async fn every_row_is_handed_over_once_in_the_order_of_its_key() {
    for alike in [1, 3, 700] {
        let mut table = Model { alike, ..Model::default() };
        table.write(1..=2_500);
        let mut reader = Reader::new(60, 100, alike == 1);
        reader.looks(&mut table, 40).await;
        assert_eq!(reader.out, (1..=2_500).collect::<Vec<_>>(), "{alike} rows share a key");
        assert_eq!(reader.positions, (0..2_500).collect::<Vec<_>>());
        assert_eq!(reader.rewrites, []);
        assert!(reader.follower.position().ranges.len() > 2);
    }
}

#[tokio::test]
async fn rows_that_commit_late_and_out_of_order_are_handed_over_when_they_do() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 100, true);
    table.write([1, 2, 5, 9]);
    reader.looks(&mut table, 1).await;
    table.write([3, 8]);
    reader.looks(&mut table, 1).await;
    table.write([4, 6, 10]);
    reader.looks(&mut table, 20).await;
    assert_eq!(reader.out, [1, 2, 5, 9, 3, 8, 4, 6, 10]);
    assert_eq!(reader.rewrites, []);
}

#[tokio::test]
async fn rows_that_appear_among_long_settled_ones_are_found_and_are_no_rewrite() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 1_000, true);
    table.write((1..=900).filter(|number| ![77, 444, 455].contains(number)));
    reader.looks(&mut table, 30).await;
    table.write([77, 444, 455]);
    reader.looks(&mut table, 30).await;
    let mut late = reader.out[897..].to_vec();
    late.sort_unstable();
    assert_eq!(late, [77, 444, 455]);
    assert_eq!(reader.rewrites, []);
}

#[tokio::test]
async fn an_edited_row_is_told_once_whether_it_is_remembered_or_long_settled() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 1_000, true);
    table.write(1..=300);
    reader.looks(&mut table, 20).await;
    table.write(301..=310);
    reader.looks(&mut table, 1).await;
    table.rows.insert(305, "数量改为 480".to_owned());
    reader.looks(&mut table, 1).await;
    assert_eq!(reader.rewrites, [one(RewriteKind::Edited, 304)]);
    table.rows.insert(150, "数量改为 480".to_owned());
    reader.looks(&mut table, 30).await;
    let settled = Rewrite { kind: RewriteKind::Edited, from: 100, to: 200, rows: 1 };
    assert_eq!(reader.rewrites, [one(RewriteKind::Edited, 304), settled]);
    assert_eq!(reader.out.len(), 310);
}

#[tokio::test]
async fn removed_rows_are_told_once_and_the_oldest_of_all_are_trimmed() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 1_000, true);
    table.write(1..=1_000);
    reader.looks(&mut table, 30).await;
    table.write(1_001..=1_010);
    reader.looks(&mut table, 1).await;
    table.rows.remove(&1_005);
    table.rows.remove(&1_006);
    table.rows.remove(&555);
    reader.looks(&mut table, 30).await;
    assert_eq!(reader.told(RewriteKind::Removed), 3);
    assert_eq!(reader.rewrites[0], Rewrite { kind: RewriteKind::Removed, from: 1_004, to: 1_006, rows: 2 });
    table.rows.retain(|number, _| *number > 250);
    reader.looks(&mut table, 30).await;
    assert_eq!((reader.told(RewriteKind::Removed), reader.told(RewriteKind::Trimmed)), (3, 250));
    table.write(1_011..=1_012);
    reader.looks(&mut table, 1).await;
    // A retention that keeps next to nothing.
    table.rows.retain(|number, _| *number > 1_011);
    reader.looks(&mut table, 12).await;
    assert_eq!(reader.told(RewriteKind::Removed) + reader.told(RewriteKind::Trimmed), 1_011);
    assert_eq!(reader.told(RewriteKind::Removed), 3);
}

#[tokio::test]
async fn a_key_that_does_not_order_the_rows_is_told_with_the_table() {
    let mut table = Model { alike: 30_000, ..Model::default() };
    table.write(1..=25_000);
    let mut reader = Reader::new(60, 1_000, false);
    let error = reader.follower.look(&mut table, reader.now_ms).await.unwrap_err().to_string();
    assert!(
        error.starts_with("unreadable answer from 192.168.1.8:3306/mes sys_oper_log: more than"),
        "{error}"
    );
}

#[tokio::test]
async fn a_table_that_was_emptied_is_no_retention() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 1_000, true);
    table.write(1..=450);
    reader.looks(&mut table, 12).await;
    table.rows.clear();
    reader.looks(&mut table, 6).await;
    assert_eq!(reader.rewrites, []);
    reader.looks(&mut table, 1).await;
    assert_eq!((reader.told(RewriteKind::Removed), reader.told(RewriteKind::Trimmed)), (450, 0));
    table.write(451..=460);
    reader.looks(&mut table, 5).await;
    assert_eq!(reader.out.len(), 460);
    assert_eq!(reader.told(RewriteKind::Removed), 450);
}

#[tokio::test]
async fn a_long_history_is_read_with_few_questions_and_kept_in_little_room() {
    let mut table = Model::default();
    table.write(1..=30_000);
    let mut reader = Reader::new(300, 1_000, true);
    reader.looks(&mut table, 1).await;
    assert_eq!(reader.out.len(), 30_000);
    reader.looks(&mut table, 40).await;
    let position = reader.follower.position();
    assert!(position.ranges.len() <= MAX_RANGES);
    assert!(position.encode().len() < 32 * 1024, "{} bytes", position.encode().len());
    let asked = table.questions;
    reader.looks(&mut table, 1).await;
    assert!(table.questions - asked <= 1 + CHECKED_RANGES as u32 * 2);
}

#[tokio::test]
async fn a_table_whose_rows_move_tells_no_findings() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 1_000, true);
    reader.habits.settled = false;
    reader.follower = Follower::new(reader.habits.clone(), reader.follower.position().clone());
    table.write(1..=50);
    reader.looks(&mut table, 2).await;
    // A document is saved again: it has another time of writing.
    table.rows.remove(&20);
    table.write([60]);
    reader.looks(&mut table, 20).await;
    assert_eq!((reader.out.len(), reader.rewrites.len()), (51, 0));
}

#[tokio::test]
async fn a_row_dated_far_ahead_does_not_hide_those_that_come_after_it() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 1_000, true);
    reader.habits.dates = Some("%Y%m%d");
    reader.follower = Follower::new(reader.habits.clone(), reader.follower.position().clone());
    table.write((20_250_601..20_250_610).chain([20_990_101]));
    reader.looks(&mut table, 12).await;
    table.write(20_250_611..20_250_617);
    reader.looks(&mut table, 1).await;
    assert_eq!(reader.out.len(), 16);
    reader.looks(&mut table, 12).await;
    assert_eq!((reader.out.len(), reader.rewrites.len()), (16, 0));
}

/// What happens to a table and to its reader.
#[derive(Debug, Clone)]
enum Step {
    /// Rows get their numbers; every second one of them is committed later.
    Write(u8),
    /// All that have a number are committed.
    Commit,
    Look,
    /// A look whose outcome is not stored.
    Crash,
    /// Restart from what is stored.
    Restart,
    Delete(u16),
    Edit(u16),
    Trim(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u8>().prop_map(Step::Write),
        2 => Just(Step::Commit),
        4 => Just(Step::Look),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
        1 => any::<u16>().prop_map(Step::Delete),
        1 => any::<u16>().prop_map(Step::Edit),
        1 => any::<u8>().prop_map(Step::Trim),
    ]
}

/// The rows that a finding is expected of: handed over, and still there.
fn known(table: &Model, reader: &Reader, place: u16) -> Option<u64> {
    let out: BTreeSet<_> = reader.out.iter().collect();
    let there: Vec<_> = table.rows.keys().filter(|number| out.contains(number)).collect();
    there.get(usize::from(place) % there.len().max(1)).map(|number| **number)
}

async fn walk(steps: Vec<Step>, max_rows: u32, alike: u64) -> Result<(), TestCaseError> {
    let mut table = Model { alike, ..Model::default() };
    let mut reader = Reader::new(OVERLAP_S, max_rows, alike == 1);
    let (mut next, mut waiting, mut ever) = (1_u64, Vec::new(), 0);
    let (mut gone, mut edits) = (0, 0);
    for step in steps {
        match step {
            Step::Write(count) => {
                for number in next..next + u64::from(count) {
                    ever += 1;
                    if number % 2 == 0 { waiting.push(number) } else { table.write([number]) }
                }
                next += u64::from(count);
                // Within the overlap: no more than the rows that are remembered one by one.
                if waiting.len() > 100 {
                    table.write(waiting.drain(..));
                }
            }
            Step::Commit => table.write(waiting.drain(..)),
            Step::Look => drop(reader.look(&mut table, false).await),
            Step::Crash => drop(reader.look(&mut table, true).await),
            Step::Restart => {
                let position = Position::decode(&reader.follower.position().encode()).unwrap();
                reader.follower = Follower::new(reader.habits.clone(), position);
            }
            Step::Delete(place) | Step::Edit(place) => {
                table.write(waiting.drain(..));
                reader.looks(&mut table, 1).await;
                let lowest = table.rows.keys().next().copied();
                let highest = table.rows.keys().next_back().copied();
                // Without the highest it may be a copy that is behind.
                let Some(number) = known(&table, &reader, place)
                    .filter(|number| ![lowest, highest].contains(&Some(*number)))
                else {
                    continue;
                };
                let before = reader.told(RewriteKind::Edited);
                if matches!(step, Step::Delete(_)) || alike > 1 {
                    table.rows.remove(&number);
                    gone += 1;
                } else {
                    table.rows.insert(number, format!("改 {number} {edits}"));
                    edits += 1;
                }
                reader.looks(&mut table, 12).await;
                reader.passes(OVERLAP_S);
                reader.looks(&mut table, 12).await;
                prop_assert!(reader.told(RewriteKind::Edited) - before <= 1);
            }
            Step::Trim(count) => {
                table.write(waiting.drain(..));
                reader.looks(&mut table, 1).await;
                let numbers: Vec<u64> = table.rows.keys().copied().collect();
                let mut count = usize::from(count).min(numbers.len().saturating_sub(1));
                // A retention goes by time: rows that share a key go together.
                while count > 0 && table.key(numbers[count - 1]) == table.key(numbers[count]) {
                    count -= 1;
                }
                for _ in 0..count {
                    table.rows.pop_first();
                }
                let before = reader.told(RewriteKind::Trimmed);
                reader.looks(&mut table, 12).await;
                reader.passes(OVERLAP_S);
                reader.looks(&mut table, 24).await;
                let told = reader.told(RewriteKind::Trimmed) - before;
                prop_assert_eq!(told as usize, count, "{:?}", reader.rewrites);
            }
        }
    }
    table.write(waiting);
    reader.looks(&mut table, 12).await;
    let once: BTreeSet<_> = reader.out.iter().collect();
    prop_assert_eq!(once.len(), reader.out.len(), "a row was handed over twice");
    prop_assert_eq!(once.len(), ever as usize, "a row was not handed over");
    let places: BTreeSet<_> = reader.positions.iter().collect();
    prop_assert_eq!(places.len(), reader.positions.len(), "a position was used twice");
    prop_assert_eq!((reader.told(RewriteKind::Removed), reader.told(RewriteKind::Edited)), (gone, edits));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn rows_in_are_observations_out_once_and_every_tampering_is_told(
        steps in prop::collection::vec(step(), 1..40),
        max_rows in 20_u32..400,
        alike in prop_oneof![Just(1_u64), Just(1), Just(4)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(walk(steps, max_rows, alike))?;
    }
}
