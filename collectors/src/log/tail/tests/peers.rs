//! What users of other log collectors reported, re-enacted.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use proof::wire::RewriteKind;

use super::*;
use crate::log::places::Places;

/// telegraf 3522, 3906: lines written between rename and reopening were lost.
#[test]
fn telegraf_3522_lines_written_between_rename_and_reopening_are_read() {
    let log = Log::new();
    log.append("app.log", "一\n");
    let mut tail = log.tail(None);
    assert_eq!(log.read(&mut tail), ["一"]);
    log.append("app.log", "二\n");
    log.rename("app.log", "app.log.1");
    log.append("app.log.1", "三\n");
    log.append("app.log", "四\n");
    let read: Vec<_> = (0..3).flat_map(|_| log.read(&mut tail)).collect();
    assert_eq!(read, ["二", "三", "四"]);
}

/// telegraf 14566: state was saved at a clean shutdown only.
#[test]
fn telegraf_14566_a_kill_loses_and_doubles_nothing() {
    let log = Log::new();
    log.append("app.log", "一\n二\n");
    let stored = log.tail(None).look().unwrap().bookmark;
    log.append("app.log", "三\n");
    // Read, and killed before it was stored.
    assert_eq!(log.read(&mut log.tail(Some(&stored))), ["三"]);
    assert_eq!(log.read(&mut log.tail(Some(&stored))), ["三"]);
}

/// telegraf 9132: a character of several bytes was cut where a read ended.
#[test]
fn telegraf_9132_a_character_cut_at_a_read_boundary_is_whole() {
    let log = Log::new();
    let text = line("报工成功\n");
    for byte in text.as_bytes() {
        log.append_raw("app.log", [*byte]);
    }
    let mut tail = log.tail(None);
    assert_eq!(log.read(&mut tail), ["报工成功"]);
    let mut read = Vec::new();
    for byte in text.as_bytes() {
        log.append_raw("app.log", [*byte]);
        read.extend(log.read(&mut tail));
    }
    assert_eq!(read, ["报工成功"]);
    // What is read at once ends somewhere in the middle of a line, and for some of these in the middle of a character.
    for shift in 0..4 {
        let log = Log::new();
        let texts: Vec<_> = (0..9_000).map(|at| format!("报工成功，单号{at}{}", "-".repeat(shift))).collect();
        log.append("app.log", &texts.iter().map(|text| format!("{text}\n")).collect::<String>());
        assert!(log.size("app.log") > 2 * crate::log::file::CHUNK as u64);
        let (mut tail, mut read) = (log.tail(None), Vec::new());
        while read.len() < texts.len() {
            let batch = tail.look().unwrap();
            assert!(batch.records.lines > 0 && batch.records.unparsed == 0);
            read.extend(names(&batch));
        }
        assert_eq!(read, texts, "shifted by {shift}");
    }
}

/// fluent-bit 8025: a reused inode took the offset of a dead file.
#[test]
fn fluent_bit_8025_a_reused_inode_does_not_take_over_the_offset_of_a_dead_file() {
    let log = Log::new();
    log.append("app.log", &"旧的一行内容\n".repeat(40));
    let mark = log.tail(None).look().unwrap().bookmark;
    // The same inode with longer content of its own, as if made anew while nobody looked.
    log.write("app.log", &"新的一行\n".repeat(80));
    let read = log.read(&mut log.tail(Some(&mark)));
    assert_eq!((read.len(), read[0].as_str()), (80, "新的一行"));
}

/// fluent-bit 8025, with a second file: the one that is new has the inode of another that was deleted.
#[test]
fn fluent_bit_8025_a_new_file_with_the_inode_of_a_deleted_one_is_read_from_its_beginning() {
    let log = Log::new();
    log.append("app.1.log", &"旧的一行内容\n".repeat(40));
    let mut mark = log.tail_of("app.*.log", None).look().unwrap().bookmark;
    for lines in [1, 30, 80] {
        drop(fs::remove_file(log.path("app.1.log")));
        log.append("app.2.log", &"新的一行\n".repeat(lines));
        mark.files[0].inode = fs::metadata(log.path("app.2.log")).unwrap().ino();
        let mut tail = log.tail_of("app.*.log", Some(&mark));
        let looks: Vec<_> = (0..3).map(|_| tail.look().unwrap()).collect();
        let read: Vec<_> = looks.iter().flat_map(names).collect();
        assert_eq!((read.len(), read[0].as_str()), (lines, "新的一行"));
        // The old one is gone, as a retention does it: nobody cut or edited it.
        let told = looks.iter().flat_map(|look| &look.records.rewrites);
        let accused: Vec<_> = told.filter(|told| told.kind != RewriteKind::Trimmed).collect();
        assert!(accused.is_empty(), "{lines} lines: {accused:?}");
        fs::remove_file(log.path("app.2.log")).unwrap();
    }
}

/// fluent-bit 8813: with the position that was stored a log was never read again until the database was deleted.
#[test]
fn fluent_bit_8813_no_stored_position_leaves_a_log_stuck() {
    let log = Log::new();
    log.append("app.log", &"一行\n".repeat(40));
    let mark = log.tail(None).look().unwrap().bookmark;
    let size = log.size("app.log");
    for offset in (0..size + 200).step_by(37).chain([60_000]) {
        let mut wrong = Bookmark::decode(&mark.encode()).unwrap();
        wrong.files[0].offset = offset;
        let mut tail = log.tail(Some(&wrong));
        (0..3).for_each(|_| drop(tail.look().unwrap()));
        log.append("app.log", "下一行\n");
        let read = log.read(&mut tail);
        assert_eq!(read.last().map(String::as_str), Some("下一行"), "from {offset}");
        fs::write(log.path("app.log"), line(&"一行\n".repeat(40))).unwrap();
    }
}

/// fluent-bit 11455: with an offset beyond the file's end the log was ignored for a day.
#[test]
fn fluent_bit_11455_an_offset_beyond_the_end_does_not_silence_a_log() {
    let log = Log::new();
    log.append("app.log", &"旧\n".repeat(400));
    let mark = log.tail(None).look().unwrap().bookmark;
    log.write("app.log", "新\n");
    assert_eq!(log.read(&mut log.tail(Some(&mark))), ["新"]);
}

/// fluent-bit 1330: a file rotated while the collector was down was read twice.
#[test]
fn fluent_bit_1330_a_file_rotated_while_nobody_looked_is_read_once() {
    let log = Log::new();
    log.append("app.log", "一\n二\n");
    let mark = log.tail(None).look().unwrap().bookmark;
    log.rename("app.log", "app.log.1");
    log.append("app.log", "三\n");
    let mut tail = log.tail(Some(&mark));
    let read: Vec<_> = (0..3).flat_map(|_| log.read(&mut tail)).collect();
    assert_eq!(read, ["三"]);
}

/// fluent-bit 375, 4839, beats 45300: copytruncate lost what had not been read, the more so across a restart.
#[test]
fn beats_45300_copytruncate_loses_nothing_of_the_copy_across_a_restart() {
    for restart in [false, true] {
        let log = Log::new();
        log.append("app.log", &"一\n".repeat(20));
        let mut tail = log.tail(None);
        let mark = tail.look().unwrap().bookmark;
        log.append("app.log", "二\n三\n");
        log.copy("app.log", "app.log.1");
        log.open("app.log").set_len(0).unwrap();
        log.append("app.log", &"四\n".repeat(60));
        if restart {
            tail = log.tail(Some(&mark));
        }
        let read: Vec<_> = (0..3).flat_map(|_| log.read(&mut tail)).collect();
        assert_eq!(
            (&read[..2], read.len()),
            (&["二".to_owned(), "三".to_owned()][..], 62),
            "restart {restart}"
        );
    }
}

/// vector 2701: a file shorter than its checksum's length was never read.
#[test]
fn vector_2701_a_file_of_one_short_line_is_read() {
    let log = Log::new();
    log.append("app.log", "一\n");
    assert_eq!(log.read(&mut log.tail(None)), ["一"]);
}

/// opentelemetry-collector-contrib 19765: of two files that begin alike one took the other's offset.
#[test]
fn opentelemetry_19765_files_that_begin_alike_are_read_each_to_its_own_end() {
    let log = Log::new();
    let same = "报工成功\n".repeat(30);
    log.append("a.log", &format!("{same}甲\n"));
    log.append("b.log", &format!("{same}乙\n"));
    let mut tail = log.tail_of("?.log", None);
    let read: Vec<_> = (0..3).flat_map(|_| log.read(&mut tail)).collect();
    assert_eq!(read.len(), 62);
    log.append("a.log", "丙\n");
    log.append("b.log", "丁\n");
    let mut read = log.read(&mut tail);
    read.sort();
    assert_eq!(read, ["丁", "丙"]);
}

/// fluent-bit: one line that is too long took the whole file from the watch.
#[test]
fn fluent_bit_one_long_line_does_not_drop_the_file() {
    let log = Log::new();
    log.append("app.log", "一\n");
    log.append_raw("app.log", format!("{}\n", "x".repeat(300_000)));
    log.append("app.log", "二\n");
    let mut tail = log.tail(None);
    let batch = tail.look().unwrap();
    assert_eq!((names(&batch), batch.records.unparsed), (vec!["一".to_owned(), "二".to_owned()], 1));
}

/// vector 23076: after a roll the new file was missed while its inode was known.
#[test]
fn vector_23076_a_file_of_the_next_day_is_read() {
    let log = Log::new();
    log.append("localhost_access_log.2025-06-18.txt", "一\n");
    let mut tail = log.tail_of("localhost_access_log.*.txt", None);
    assert_eq!(log.read(&mut tail), ["一"]);
    log.append("localhost_access_log.2025-06-19.txt", "二\n");
    assert_eq!(log.read(&mut tail), ["二"]);
    fs::remove_file(log.path("localhost_access_log.2025-06-18.txt")).unwrap();
    log.append("localhost_access_log.2025-06-20.txt", "三\n");
    let batch = tail.look().unwrap();
    assert_eq!((names(&batch), batch.records.rewrites), (vec!["三".to_owned()], vec![]));
    assert!(matches!(tail.places, Places::Pattern { .. }));
}

/// More files than can be followed: the oldest are let go, and none is read twice because of that.
#[test]
fn more_files_than_can_be_followed_are_read_once_each_the_oldest_first() {
    let log = Log::new();
    for at in 0..1_500_u64 {
        // More in all than one look takes, and many written at the same moment.
        log.append(&format!("app.{at:04}.log"), &format!("n{at}\nm{at}\n"));
        log.age(&format!("app.{at:04}.log"), 1_000 - at / 10);
    }
    let mut tail = log.tail_of("app.*.log", None);
    let (mut read, mut looks) = (Vec::new(), 0);
    loop {
        let batch = tail.look().unwrap();
        read.extend(names(&batch));
        looks += 1;
        if batch.caught_up {
            break;
        }
        assert!(looks < 50, "it comes to an end");
        if looks == 2 {
            let mark = Bookmark::decode(&batch.bookmark.encode()).unwrap();
            tail = log.tail_of("app.*.log", Some(&mark));
        }
    }
    let expected: std::collections::BTreeSet<_> =
        (0..1_500).flat_map(|at| [format!("n{at}"), format!("m{at}")]).collect();
    assert_eq!(read.len(), 3_000, "each once");
    assert_eq!(read.into_iter().collect::<std::collections::BTreeSet<_>>(), expected);
    let mark = tail.look().unwrap().bookmark;
    assert!(mark.files.len() <= 700);
    let mut tail = log.tail_of("app.*.log", Some(&Bookmark::decode(&mark.encode()).unwrap()));
    assert_eq!(log.read(&mut tail), [""; 0]);
    log.append("app.1500.log", "新\n");
    assert_eq!((0..3).flat_map(|_| log.read(&mut tail)).collect::<Vec<_>>(), ["新"]);
}
