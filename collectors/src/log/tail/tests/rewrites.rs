//! History that was rewritten is told, once, with its positions; history that was rotated is not.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use proof::observation::Rewrite;
use proof::wire::RewriteKind;

use super::super::super::blocks::LEAF;
use super::*;

/// A log of so many leaves and a little more, all of it read.
fn read_log(leaves: u64) -> (Log, Tail, u64) {
    let log = Log::new();
    let one = line("报工成功\n").len() as u64;
    log.append("app.log", &"报工成功\n".repeat(usize::try_from(leaves * LEAF / one + 40).unwrap()));
    let mut tail = log.tail(None);
    while !tail.look().unwrap().caught_up {}
    let size = log.size("app.log");
    assert!(size > leaves * LEAF);
    (log, tail, size)
}

fn rewrites(tail: &mut Tail, looks: u32) -> Vec<Rewrite> {
    (0..looks).flat_map(|_| tail.look().map_or_else(|_| Vec::new(), |batch| batch.records.rewrites)).collect()
}

fn found(kind: RewriteKind, from: u64, to: u64) -> Vec<Rewrite> {
    vec![Rewrite { kind, from, to, rows: 0 }]
}

fn overwrite(log: &Log, at: u64) {
    let file = File::options().write(true).open(log.path("app.log")).unwrap();
    file.write_all_at(b"X", at).unwrap();
}

#[test]
fn one_byte_changed_in_the_middle_is_an_edit_of_its_stretch_and_told_once() {
    let (log, mut tail, _) = read_log(6);
    overwrite(&log, 2 * LEAF + 77);
    assert_eq!(rewrites(&mut tail, 3), found(RewriteKind::Edited, 2 * LEAF, 3 * LEAF));
    let mark = tail.look().unwrap().bookmark;
    assert_eq!(rewrites(&mut log.tail(Some(&mark)), 10), [], "a new run does not tell it again");
}

#[test]
fn a_byte_changed_while_nobody_looked_is_found_by_reading_all_again_slowly() {
    let (log, mut tail, _) = read_log(20);
    let mark = tail.look().unwrap().bookmark;
    drop(tail);
    overwrite(&log, 17 * LEAF);
    let mut tail = log.tail(Some(&mark));
    let found = rewrites(&mut tail, 40);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!((found[0].from..found[0].to).contains(&(17 * LEAF)) && found[0].kind == RewriteKind::Edited);
}

#[test]
fn a_byte_changed_in_what_was_read_last_is_an_edit_and_costs_no_line() {
    let (log, mut tail, size) = read_log(1);
    overwrite(&log, LEAF + 10);
    log.append("app.log", "下一行\n");
    let batch = tail.look().unwrap();
    assert_eq!(batch.records.rewrites, found(RewriteKind::Edited, LEAF, size));
    assert_eq!(names(&batch), ["下一行"]);
    assert_eq!(rewrites(&mut tail, 5), []);
}

#[test]
fn a_change_in_the_last_characters_of_two_bytes_costs_no_line() {
    for (mark, bytes) in
        [([0xFF, 0xFE], u16::to_le_bytes as fn(u16) -> [u8; 2]), ([0xFE, 0xFF], u16::to_be_bytes)]
    {
        let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(bytes).collect() };
        let log = Log::new();
        // Lines that differ: behind one of two alike reading may go on at the wrong one.
        let text: String = (0..9).map(|number| format!("报工成功{number}\n")).collect();
        log.append_raw("app.log", [mark.to_vec(), wide(&line(&text))].concat());
        let mut tail = log.tail(None);
        assert_eq!(log.read(&mut tail).len(), 9);
        log.open("app.log").write_all_at(&wide("X"), log.size("app.log") - 24).unwrap();
        log.append_raw("app.log", wide(&line("下一行\n再一行\n")));
        let batch = tail.look().unwrap();
        assert_eq!(batch.records.rewrites.len(), 1);
        assert_eq!(
            (names(&batch), batch.records.unparsed),
            (vec!["下一行".to_owned(), "再一行".to_owned()], 0)
        );
    }
}

#[test]
fn an_end_that_was_cut_off_is_told_with_what_is_gone_and_reading_goes_on_there() {
    let (log, mut tail, size) = read_log(1);
    let one = line("报工成功\n").len() as u64;
    log.open("app.log").set_len(size - 3 * one).unwrap();
    let batch = tail.look().unwrap();
    assert_eq!(batch.records.rewrites, found(RewriteKind::Cut, size - 3 * one, size));
    log.append("app.log", "新的一行\n");
    let batch = tail.look().unwrap();
    assert_eq!((names(&batch), batch.records.rewrites), (vec!["新的一行".to_owned()], vec![]));
}

#[test]
fn a_file_emptied_without_a_copy_is_cut_and_one_deleted_and_made_anew_is_replaced() {
    let (log, mut tail, size) = read_log(1);
    log.write("app.log", "新\n");
    let batch = tail.look().unwrap();
    assert_eq!(batch.records.rewrites, found(RewriteKind::Cut, 0, size));
    assert_eq!(names(&batch), ["新"]);
    let (log, mut tail, size) = read_log(1);
    fs::remove_file(log.path("app.log")).unwrap();
    log.append("app.log", "新\n");
    let batches: Vec<_> = (0..3).map(|_| tail.look().unwrap()).collect();
    let told: Vec<_> = batches.iter().flat_map(|batch| batch.records.rewrites.clone()).collect();
    assert_eq!(told, found(RewriteKind::Replaced, 0, size));
    assert_eq!(batches.iter().flat_map(names).collect::<Vec<_>>(), ["新"]);
}

#[test]
fn an_editor_that_writes_the_file_anew_is_found_out_and_no_line_is_read_twice() {
    for restart in [false, true] {
        let (log, mut tail, size) = read_log(2);
        let mark = tail.look().unwrap().bookmark;
        let text = fs::read_to_string(log.path("app.log")).unwrap();
        // One line less in the middle.
        let middle = text.len() / 2;
        let middle = middle + text.as_bytes()[middle..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let after = middle + line("报工成功\n").len();
        fs::write(log.path("app.log.swp"), format!("{}{}", &text[..middle], &text[after..])).unwrap();
        fs::rename(log.path("app.log.swp"), log.path("app.log")).unwrap();
        if restart {
            tail = log.tail(Some(&mark));
        }
        let batch = tail.look().unwrap();
        assert_eq!(batch.records.rewrites[0].kind, RewriteKind::Cut);
        assert_eq!(batch.records.rewrites[0].to, size);
        assert_eq!(names(&batch), [""; 0]);
        log.append("app.log", "下一行\n");
        assert_eq!(log.read(&mut tail), ["下一行"]);
    }
}

#[test]
fn a_rotated_file_is_still_checked() {
    let (log, mut tail, _) = read_log(3);
    log.rename("app.log", "app.log.1");
    log.append("app.log", "新\n");
    assert_eq!(rewrites(&mut tail, 3), []);
    let file = File::options().write(true).open(log.path("app.log.1")).unwrap();
    file.write_all_at(b"X", LEAF + 5).unwrap();
    assert_eq!(rewrites(&mut tail, 4), found(RewriteKind::Edited, LEAF, 2 * LEAF));
}

#[test]
fn honest_rotations_are_no_rewrites() {
    // Renamed, and packed at once.
    let (log, mut tail, size) = read_log(1);
    let packed =
        [b"\x1f\x8b".to_vec(), vec![0; 200], u32::try_from(size).unwrap().to_le_bytes().to_vec()].concat();
    fs::write(log.path("app.log.1.gz"), &packed).unwrap();
    fs::remove_file(log.path("app.log")).unwrap();
    log.append("app.log", "新\n");
    assert_eq!(rewrites(&mut tail, 3), []);
    // Renamed to another folder while it is followed.
    let (log, mut tail, _) = read_log(1);
    fs::create_dir(log.path("archive")).unwrap();
    log.rename("app.log", "archive/app.log");
    log.append("app.log", "新\n");
    assert_eq!(rewrites(&mut tail, 3), []);
    // Renamed so often while nobody looked that it was deleted as the oldest.
    let (log, mut tail, _) = read_log(1);
    let mark = tail.look().unwrap().bookmark;
    drop(tail);
    fs::remove_file(log.path("app.log")).unwrap();
    log.append("app.log.1", "二\n");
    log.append("app.log", "三\n");
    let mut tail = log.tail(Some(&mark));
    let batches: Vec<_> = (0..3).map(|_| tail.look().unwrap()).collect();
    assert!(batches.iter().all(|batch| batch.records.rewrites.is_empty()));
    assert_eq!(batches.iter().flat_map(names).collect::<Vec<_>>(), ["二", "三"]);
}

#[test]
fn a_rotation_that_comes_while_the_files_are_listed_is_no_rewrite_and_costs_no_line() {
    let copied = |log: &Log| {
        log.copy("app.log", "app.log.1");
        log.open("app.log").set_len(0).unwrap();
    };
    let renamed = |log: &Log| log.rename("app.log", "app.log.1");
    for (rotate, restart) in
        [(&copied as &dyn Fn(&Log), false), (&copied, true), (&renamed, false), (&renamed, true)]
    {
        let (log, mut tail, _) = read_log(1);
        let mark = tail.look().unwrap().bookmark;
        if restart {
            tail = log.tail(Some(&mark));
        }
        log.append("app.log", "二\n");
        let (before, mut rewrites) = (tail.listing().unwrap(), Vec::new());
        rotate(&log);
        tail.place(before, &mut rewrites).unwrap();
        assert_eq!(rewrites, []);
        log.append("app.log", "三\n");
        let batches: Vec<_> = (0..3).map(|_| tail.look().unwrap()).collect();
        assert!(batches.iter().all(|batch| batch.records.rewrites.is_empty()));
        assert_eq!(batches.iter().flat_map(names).collect::<Vec<_>>(), ["二", "三"]);
    }
}

#[test]
fn a_packed_file_that_is_too_short_excuses_nothing() {
    let (log, mut tail, size) = read_log(1);
    fs::write(log.path("app.log.1.gz"), b"\x1f\x8b\x01\0\0\0").unwrap();
    fs::remove_file(log.path("app.log")).unwrap();
    log.append("app.log", "新\n");
    assert_eq!(rewrites(&mut tail, 3), found(RewriteKind::Replaced, 0, size));
}

#[test]
fn what_was_written_between_copying_and_truncating_and_read_is_told_as_trimmed_alone() {
    let (log, mut tail, _) = read_log(1);
    log.copy("app.log", "app.log.1");
    log.append("app.log", "最后\n");
    assert_eq!(log.read(&mut tail), ["最后"]);
    let (copied, size) = (log.size("app.log.1"), log.size("app.log"));
    log.open("app.log").set_len(0).unwrap();
    log.append("app.log", "新\n");
    let batch = tail.look().unwrap();
    let told = found(RewriteKind::Trimmed, copied, size);
    assert_eq!((names(&batch), batch.records.rewrites), (vec!["新".to_owned()], told));
}

/// A line of another day.
fn later(text: &str) -> String {
    line(text).replace("2025-06-18", "2025-06-19")
}

fn put(log: &Log, name: &str, bytes: &str) {
    log.tick();
    fs::write(log.path(name), bytes).unwrap();
}

#[test]
fn a_log_that_left_its_folder_and_is_gone_on_with_is_trimmed_and_not_replaced() {
    // Followed: moved away, packed and deleted before the next look.
    let (log, mut tail, size) = read_log(1);
    fs::remove_file(log.path("app.log")).unwrap();
    put(&log, "app.log", &later("新\n"));
    assert_eq!(rewrites(&mut tail, 3), found(RewriteKind::Trimmed, 0, size));
    // Not followed at that time: moved to a folder that is not watched.
    let (log, mut tail, size) = read_log(1);
    let mark = tail.look().unwrap().bookmark;
    drop(tail);
    fs::create_dir(log.path("archive")).unwrap();
    log.rename("app.log", "archive/app.log");
    put(&log, "app.log", &later("新\n"));
    let mut tail = log.tail(Some(&mark));
    assert_eq!(rewrites(&mut tail, 3), found(RewriteKind::Trimmed, 0, size));
    // One old file is kept, and there were two rotations between two looks.
    let (log, mut tail, _) = read_log(1);
    fs::remove_file(log.path("app.log")).unwrap();
    put(&log, "app.log.1", &later("二\n"));
    put(&log, "app.log", &later("三\n"));
    let batches: Vec<_> = (0..3).map(|_| tail.look().unwrap()).collect();
    assert!(batches.iter().all(|batch| batch.records.rewrites.is_empty()));
    assert_eq!(batches.iter().flat_map(names).collect::<Vec<_>>(), ["二", "三"]);
}

#[test]
fn a_log_in_whose_place_the_same_time_is_told_once_more_is_replaced() {
    let (log, mut tail, size) = read_log(1);
    let mark = tail.look().unwrap().bookmark;
    drop(tail);
    fs::remove_file(log.path("app.log")).unwrap();
    put(&log, "app.log", &line("另一段历史\n").repeat(3));
    let mut tail = log.tail(Some(&mark));
    assert_eq!(rewrites(&mut tail, 3), found(RewriteKind::Replaced, 0, size));
}

#[test]
fn an_editor_that_keeps_a_copy_is_found_out_and_no_line_is_read_twice() {
    for restart in [false, true] {
        let (log, mut tail, size) = read_log(2);
        let mark = tail.look().unwrap().bookmark;
        let text = fs::read_to_string(log.path("app.log")).unwrap();
        let half = (text.len() / 2..).find(|at| text.is_char_boundary(*at)).unwrap();
        let at = half + text[half..].find("报工").unwrap();
        let edited = format!("{}领料{}", &text[..at], &text[at + "报工".len()..]);
        assert_eq!((edited.len(), edited == text), (text.len(), false));
        // As sed -i.bak does it.
        log.rename("app.log", "app.log.bak");
        put(&log, "app.log", &edited);
        if restart {
            drop(tail);
            tail = log.tail(Some(&mark));
        }
        let batch = tail.look().unwrap();
        assert_eq!(batch.records.rewrites[0].kind, RewriteKind::Edited, "{restart}");
        assert_eq!(batch.records.rewrites[0].to, size);
        assert_eq!(names(&batch), [""; 0]);
        log.append("app.log", "下一行\n");
        assert_eq!(log.read(&mut tail), ["下一行"]);
    }
}

#[test]
fn a_packed_file_without_content_excuses_nothing() {
    let (log, mut tail, size) = read_log(1);
    put(&log, "app.log.1.zip", "");
    log.open("app.log").set_len(0).unwrap();
    assert_eq!(rewrites(&mut tail, 3), found(RewriteKind::Cut, 0, size));
}

#[test]
fn files_of_a_pattern_that_begin_alike_are_not_taken_for_each_other() {
    let header = "#".repeat(300);
    let log = Log::new();
    for (at, name) in ["app.0601.log", "app.0617.log"].iter().enumerate() {
        put(&log, name, &format!("{header}\n{}", line(&format!("甲{at}\n")).repeat(5)));
        log.age(name, 10 - at as u64);
    }
    let mut tail = log.tail_of("app.*.log", None);
    assert_eq!(log.read(&mut tail).len(), 10);
    let mark = tail.look().unwrap().bookmark;
    drop(tail);
    // Nobody looked: retention took the oldest, and a day has begun.
    fs::remove_file(log.path("app.0601.log")).unwrap();
    put(&log, "app.0618.log", &format!("{header}\n{}", later("乙\n").repeat(3)));
    let mut tail = log.tail_of("app.*.log", Some(&mark));
    let batch = tail.look().unwrap();
    assert_eq!((names(&batch), batch.records.rewrites), (vec!["乙".to_owned(); 3], vec![]));
}

#[test]
fn a_file_from_among_those_of_a_pattern_does_not_go_unsaid() {
    for restart in [false, true] {
        let log = Log::new();
        for (at, name) in ["app.0616.log", "app.0617.log", "app.0618.log"].iter().enumerate() {
            log.append(name, &format!("甲{at}\n").repeat(5));
            log.age(name, 10 - at as u64);
        }
        let mut tail = log.tail_of("app.*.log", None);
        assert_eq!(log.read(&mut tail).len(), 15);
        let mark = tail.look().unwrap().bookmark;
        if restart {
            drop(tail);
            tail = log.tail_of("app.*.log", Some(&mark));
        }
        let one = line(&"甲1\n".repeat(5)).len() as u64;
        fs::remove_file(log.path("app.0617.log")).unwrap();
        assert_eq!(rewrites(&mut tail, 4), found(RewriteKind::Trimmed, one, 2 * one), "{restart}");
        // The oldest goes as a retention takes it.
        fs::remove_file(log.path("app.0616.log")).unwrap();
        assert_eq!(rewrites(&mut tail, 4), []);
    }
}

#[test]
fn a_pipe_in_the_place_of_a_log_is_an_error_and_does_not_stop_the_look() {
    let (log, mut tail, _) = read_log(1);
    fs::remove_file(log.path("app.log")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(log.path("app.log")).status().unwrap().success());
    assert_eq!(tail.look().unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
