use std::time::{Duration, SystemTime};

use encoding_rs::{BIG5, GB18030};

use super::*;

/// A file that was written at 2025-06-18 08:30 at UTC+8.
fn log(bytes: &[u8]) -> tempfile::TempPath {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_750_206_600);
    file.as_file().set_modified(written).unwrap();
    file.into_temp_path()
}

#[test]
fn encodings_are_guessed_from_what_business_systems_write() {
    let simplified =
        "2025-06-18 08:21:45.112  INFO 5312 --- [x] c.x.R : 报工成功 工单=1 操作员=王\n".repeat(9);
    let traditional = "2025-06-18 08:21:45 使用者 登錄成功 單號 報工 庫存 審核\n".repeat(9);
    let wide = |bytes: fn(u16) -> [u8; 2]| simplified.encode_utf16().flat_map(bytes).collect::<Vec<_>>();
    let gb = GB18030.encode(&simplified).0.into_owned();
    let table = [
        (simplified.clone().into_bytes(), Encoding::Utf8),
        (gb.clone(), Encoding::Gb18030),
        (BIG5.encode(&traditional).0.into_owned(), Encoding::Big5),
        (wide(u16::to_le_bytes), Encoding::Utf16Le),
        (wide(u16::to_be_bytes), Encoding::Utf16Be),
        ([simplified.as_bytes(), &gb, simplified.as_bytes()].concat(), Encoding::Mixed),
        (b"plain\nascii\n".to_vec(), Encoding::Utf8),
        (Vec::new(), Encoding::Utf8),
    ];
    for (bytes, expected) in table {
        assert_eq!(guess_encoding(&bytes), expected);
    }
}

#[test]
fn each_built_in_parser_is_found_for_lines_of_its_own() {
    let table = [
        ("kingdee_pipe", "2025-06-18 08:31:07.000|100231|1|32|PRD_MORPT|3|保存|成功|PC|ip\n"),
        (
            "nginx_combined",
            "::1 - - [18/Jun/2025:08:21:44 +0800] \"GET /x HTTP/1.1\" 200 96 \"-\" \"curl\"\n",
        ),
        ("tomcat_access", "::1 - - [18/Jun/2025:08:21:45 +0800] \"POST /U9mes/do HTTP/1.1\" 200 311\n"),
        ("spring", "2025-06-18 08:21:45.112  INFO 5312 --- [x] c.x.R : 报工成功 操作员=wang01\n"),
        (
            "spring3",
            "2025-06-18T08:21:45.112+08:00  INFO 5312 --- [mes] [x] c.x.R : 报工成功 操作员=wang01\n",
        ),
        ("log4j", "2025-06-18 08:21:45,118 [main] INFO  c.x.R - 报工成功 操作员=wang01\n"),
        ("odoo", "2025-06-18 00:21:45,118 1432 INFO factory odoo.addons: Login successful login:wang01\n"),
        (
            "aoi_csv",
            "SN,STATION,RESULT,START,END,OPERATOR\nP,A,PASS,2025/6/18 8:21:40,2025/6/18 8:21:58,li03\n",
        ),
        ("iis", "#Fields: date time cs-method cs-username\n2025-06-18 00:21:44 POST -\n"),
        ("json_access", "{\"time\":\"2025-06-18T08:21:44+08:00\",\"request\":\"GET / HTTP/1.1\"}\n"),
        ("key_value", "time=2025-06-18T08:21:45+08:00 level=info msg=\"报工成功\" user=wang01\n"),
        ("sqlserver_errorlog", "2025-06-18 08:01:12.34 登录          用户 'mes_app' 登录成功。\n"),
    ];
    for (parser, line) in table {
        let sample = sample(&log(line.repeat(3).as_bytes()), None).unwrap();
        assert_eq!(sample.parser.as_deref(), Some(parser), "{line}");
        assert_eq!(
            (sample.unparsed, sample.hours_off, sample.utc_offset_minutes),
            (0, None, CHINA),
            "{line}"
        );
        assert!(sample.manifest.contains(&format!("parser = \"{parser}\"")));
    }
}

#[test]
fn what_is_not_understood_and_what_was_lost_is_shown() {
    let text = "2025-06-18 08:21:45.112  INFO 5312 --- [x] c.x.R : 锟斤拷 操作员=wang01\nwhat is this\n";
    let sample = sample(&log(text.as_bytes()), None).unwrap();
    assert_eq!((sample.lines, sample.unparsed, sample.lost), (2, 1, 1));
    assert_eq!(sample.not_understood, ["what is this"]);
    assert_eq!(sample.records[0].account.as_deref(), Some("wang01"));
    assert_eq!(sample.local_time(sample.records[0].event_ms.unwrap()), "2025-06-18 08:21:45");
    let nothing = super::sample(&log("随便什么\n".as_bytes()), None).unwrap();
    assert_eq!((nothing.parser, nothing.not_understood), (None, vec!["随便什么".to_owned()]));
    assert!(matches!(super::sample(Path::new("/nowhere"), None), Err(CollectError::Missing { .. })));
}

#[test]
fn a_clock_in_another_zone_is_guessed_from_when_the_file_was_written() {
    // Written at 00:30 UTC; the log says 00:29, so its clock is UTC.
    let sample = sample(&log(b"2025-06-18 00:29:45.112  INFO 1 --- [x] c.x.R : a\n"), None).unwrap();
    assert_eq!(sample.utc_offset_minutes, 0);
    assert!(sample.manifest.contains("utc_offset_minutes = 0"));
    // IIS was set to local time: what the parser takes for UTC is eight hours ahead.
    let text = b"#Fields: date time cs-method cs-username\n2025-06-18 08:29:44 POST -\n";
    assert_eq!(super::sample(&log(text), None).unwrap().hours_off, Some(8));
}

#[test]
fn a_log_that_begins_a_file_each_day_is_followed_as_all_of_them() {
    let table = [
        ("u_ex250618.log", Some("u_ex*.log")),
        ("u_ex25061808.log", Some("u_ex*.log")),
        ("localhost_access_log.2025-06-18.txt", Some("localhost_access_log.*.txt")),
        ("app.2025-06-18.1.log", Some("app.*.log")),
        ("20250618_08.log", Some("*.log")),
        ("app.log", None),
        ("app.1.log", None),
        ("v250.log", None),
        ("app-10.250.log", None),
        ("u_ex251318.log", None),
    ];
    for (name, expected) in table {
        assert_eq!(of_any_day(name).as_deref(), expected, "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let line = |hour: u8| format!("2025-06-18 {hour:02}:21:45.112  INFO 5312 --- [x] c.x.R : a\n");
    for (hour, name) in
        (8..).zip(["mes.2025-06-17.log", "mes.2025-06-18.log", "app.log", "app.log.2025-06-17"])
    {
        std::fs::write(path(name), line(hour)).unwrap();
    }
    let newer = std::fs::File::options().append(true).open(path("mes.2025-06-18.log")).unwrap();
    newer.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(10_000_000_000)).unwrap();
    let follow = |name: &str| sample(&path(name), None).unwrap().follow;
    assert_eq!(follow("mes.2025-06-17.log"), path("mes.*.log").display().to_string());
    assert_eq!(
        follow("app.log.2025-06-17"),
        path("app.log").display().to_string(),
        "it was renamed from there"
    );
    assert_eq!(follow("app.log"), path("app.log").display().to_string());
    let all = sample(&path("mes.*.log"), None).unwrap();
    assert_eq!(all.path, path("mes.2025-06-18.log").display().to_string(), "the one written to last");
    assert!(all.manifest.contains("mes.*.log\"    # a file a day"), "{}", all.manifest);
    assert!(matches!(sample(&path("none.*.log"), None), Err(CollectError::Missing { .. })));
}

#[test]
fn parsers_beside_the_manifest_are_tried_and_what_is_wrong_with_them_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("parsers")).unwrap();
    let own = "about = \"MES of our own\"\npattern = '^(?<who>\\w+) did (?<what>.+)$'\n[account]\nfield = \"who\"\n";
    std::fs::write(folder.path().join("parsers/ours.toml"), own).unwrap();
    std::fs::write(folder.path().join("parsers/bad.toml"), "pattern = 7\n").unwrap();
    std::fs::write(folder.path().join("parsers/spring.toml"), own).unwrap();
    let path = log(b"wang01 did report\n");
    assert_eq!(sample(&path, None).unwrap().parser, None);
    let sample = sample(&path, Some(folder.path())).unwrap();
    assert_eq!(sample.parser.as_deref(), Some("ours"));
    assert_eq!(sample.records[0].account.as_deref(), Some("wang01"));
    for name in ["bad.toml", "spring.toml: one of that name is built in"] {
        assert!(sample.wrong.iter().any(|wrong| wrong.contains(name)), "{:?}", sample.wrong);
    }
}
