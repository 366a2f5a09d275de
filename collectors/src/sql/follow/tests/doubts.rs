//! What looks like a rewrite and is none, and what is one all the same.

use super::*;

#[tokio::test]
async fn rows_of_a_long_transaction_are_handed_over_and_accuse_nobody() {
    // By age, and by more newer rows than are remembered one by one.
    for newer in [200, 1_200] {
        let mut table = Model::default();
        let mut reader = Reader::new(if newer > 500 { 100_000 } else { 60 }, 1_000, true);
        let month_end = |number: &u64| (401..=500).contains(number) && number.is_multiple_of(2);
        table.write((1..=500 + newer).filter(|number| !month_end(number)));
        reader.looks(&mut table, 30).await;
        table.write((401..=500).filter(month_end));
        reader.looks(&mut table, 30).await;
        let late: BTreeSet<_> = reader.out[450 + newer as usize..].iter().copied().collect();
        assert_eq!(late, (401..=500).filter(month_end).collect(), "{newer} newer rows");
        assert_eq!(reader.out.len() as u64, 500 + newer);
        assert_eq!((reader.rewrites.as_slice(), reader.lost), (&[][..], 0));
    }
}

#[tokio::test]
async fn a_batch_among_rows_of_long_ago_is_handed_over_in_a_run_and_else_counted_and_no_rewrite() {
    for (step, lost) in [(1, 0), (3, 40)] {
        let mut table = Model::default();
        let mut reader = Reader::new(60, 1_000, true);
        let late = |number: &u64| (5_000..5_000 + 40 * step).contains(number) && number.is_multiple_of(step);
        let batch: Vec<_> = (1..=20_000).filter(late).collect();
        table.write((1..=20_000).filter(|number| !late(number)));
        reader.looks(&mut table, 60).await;
        assert_eq!(reader.out.len(), 20_000 - batch.len());
        table.write(batch.iter().copied());
        reader.looks(&mut table, 60).await;
        assert_eq!((reader.rewrites.as_slice(), reader.lost), (&[][..], lost * batch.len() as u32 / 40));
        // Each has a position, handed over or not.
        assert_eq!(reader.follower.position().total, 20_000);
        assert_eq!(reader.out.len() as u32 + reader.lost, 20_000);
    }
}

#[tokio::test]
async fn a_copy_of_the_database_that_is_behind_accuses_nobody() {
    // By seconds, and by longer than the overlap: for a while, or standing still for hours.
    for (behind, looks) in [(5, 3), (5, 500), (400, 3), (400, 500)] {
        let mut table = Model::default();
        let mut reader = Reader::new(60, 1_000, true);
        table.write(1..=900);
        reader.looks(&mut table, 30).await;
        table.write(901..=1_000);
        reader.looks(&mut table, 2).await;
        let newest = table.rows.split_off(&(1_001 - behind));
        reader.looks(&mut table, looks).await;
        table.rows.extend(newest);
        table.write(1_001..=1_100);
        reader.looks(&mut table, 60).await;
        assert_eq!(reader.rewrites, [], "{behind} rows behind for {looks} looks");
        assert_eq!(reader.out, (1..=1_100).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_newest_rows_are_told_as_removed_once_something_newer_is_there() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 1_000, true);
    table.write(1..=300);
    reader.looks(&mut table, 30).await;
    table.rows.retain(|number, _| *number <= 290);
    reader.looks(&mut table, 30).await;
    assert_eq!(reader.rewrites, []);
    table.write(301..=302);
    reader.looks(&mut table, 6).await;
    assert_eq!(reader.rewrites, []);
    reader.looks(&mut table, 2).await;
    assert_eq!(reader.rewrites, [Rewrite { kind: RewriteKind::Removed, from: 290, to: 300, rows: 10 }]);
}

#[tokio::test]
async fn a_row_that_is_missing_for_less_than_the_overlap_is_neither_told_nor_handed_over_twice() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 1_000, true);
    table.write(1..=900);
    reader.looks(&mut table, 30).await;
    for round in 0..5_u64 {
        let gone = [reader.out.len() as u64 - 5, 555];
        gone.iter().for_each(|number| drop(table.rows.remove(number)));
        for number in 0..5 {
            table.write([901 + 10 * round + number]);
            reader.looks(&mut table, 1).await;
        }
        table.write(gone);
        table.write(906 + 10 * round..=910 + 10 * round);
        reader.looks(&mut table, 6).await;
    }
    reader.looks(&mut table, 30).await;
    assert_eq!(reader.rewrites, []);
    assert_eq!(reader.out, (1..=950).collect::<Vec<_>>());
    // And one that stays away is told, once, over a restart.
    [555, 940].iter().for_each(|number| drop(table.rows.remove(number)));
    reader.looks(&mut table, 5).await;
    let position = Position::decode(&reader.follower.position().encode()).unwrap();
    reader.follower = Follower::new(reader.habits.clone(), position);
    assert_eq!(reader.rewrites, []);
    reader.looks(&mut table, 30).await;
    assert_eq!((reader.told(RewriteKind::Removed), reader.rewrites.len()), (2, 2));
}

#[tokio::test]
async fn a_table_that_is_filled_anew_each_night_accuses_nobody() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 1_000, true);
    table.write(1..=450);
    reader.looks(&mut table, 12).await;
    let all = std::mem::take(&mut table.rows);
    reader.looks(&mut table, 2).await;
    for (number, text) in all.into_iter().rev() {
        table.rows.insert(number, text);
        if number.is_multiple_of(150) {
            reader.looks(&mut table, 1).await;
        }
    }
    reader.looks(&mut table, 30).await;
    assert_eq!(reader.rewrites, []);
    assert_eq!(reader.out.len(), 450);
}

#[tokio::test]
async fn a_number_far_ahead_does_not_hide_those_that_come_after_it() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 1_000, true);
    table.write((1..=100).chain([99_999_999]));
    // Nobody works for a while.
    reader.looks(&mut table, 30).await;
    for morning in 0..20 {
        table.write(101 + 20 * morning..=120 + 20 * morning);
        reader.looks(&mut table, 1).await;
        assert_eq!(reader.out.len() as u64, 121 + 20 * morning);
        reader.looks(&mut table, 20).await;
    }
    assert_eq!((reader.rewrites.as_slice(), reader.lost), (&[][..], 0));
    // It stays remembered by itself.
    table.rows.insert(99_999_999, "改".to_owned());
    reader.looks(&mut table, 1).await;
    assert_eq!(reader.rewrites, [one(RewriteKind::Edited, 100)]);
}

#[tokio::test]
async fn rows_of_a_clock_that_is_behind_are_handed_over_though_the_other_one_took_the_floor_along() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 1_000, true);
    // Of two servers that number by their clocks one is ahead, by more than it is quiet.
    table.write((1..=1_000).chain(2_000..2_300));
    reader.looks(&mut table, 30).await;
    for step in 0..10 {
        table.write(1_001 + 20 * step..=1_020 + 20 * step);
        reader.looks(&mut table, 8).await;
    }
    assert_eq!(reader.out.len(), 1_500);
    assert_eq!((reader.rewrites.as_slice(), reader.lost), (&[][..], 0));
}

#[tokio::test]
async fn what_is_read_otherwise_than_before_accuses_nobody_and_is_compared_from_then_on() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 1_000, true);
    table.write(1..=900);
    reader.looks(&mut table, 30).await;
    table.write(901..=950);
    reader.looks(&mut table, 1).await;
    // As if the encoding had been set: the same rows, and other texts.
    table.rows.values_mut().for_each(|text| *text = text.replace("报工", "±¨¹¤"));
    let mut position = reader.follower.position().clone();
    position.reads([9; 8]);
    reader.follower = Follower::new(reader.habits.clone(), position);
    reader.looks(&mut table, 60).await;
    table.rows.extend((951..=1_200).map(|number| (number, format!("±¨¹¤ {number}"))));
    reader.looks(&mut table, 60).await;
    assert_eq!((reader.rewrites.as_slice(), reader.lost), (&[][..], 0));
    assert_eq!(reader.out, (1..=1_200).collect::<Vec<_>>());
    table.rows.insert(960, "改".to_owned());
    reader.looks(&mut table, 60).await;
    assert_eq!(reader.told(RewriteKind::Edited), 1);
}

#[tokio::test]
async fn a_retention_goes_on_for_days_and_is_told_as_nothing_else() {
    let mut table = Model::default();
    let mut reader = Reader::new(60, 1_000, true);
    table.write(1..=3_000);
    reader.looks(&mut table, 40).await;
    for day in 1..=40 {
        table.rows.retain(|number, _| *number > 70 * day);
        table.write(3_000 + 70 * (day - 1) + 1..=3_000 + 70 * day);
        reader.looks(&mut table, 5).await;
    }
    reader.looks(&mut table, 60).await;
    assert_eq!(reader.told(RewriteKind::Trimmed), 2_800);
    assert!(reader.rewrites.iter().all(|rewrite| rewrite.kind == RewriteKind::Trimmed));
    assert_eq!(reader.out, (1..=5_800).collect::<Vec<_>>());
}
