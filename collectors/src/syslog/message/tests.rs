use super::*;
use crate::manifest::{Kind, Manifest};

/// 2026-11-22T02:00:00Z, 10:00 in China.
const NOW_MS: i64 = 1_795_312_800_000;

fn parts(message: &str) -> Parts<'_> {
    cut(message, Offset::from_seconds(8 * 3600).unwrap(), NOW_MS)
}

#[test]
fn a_message_of_rfc_5424_is_cut_at_its_header_and_keeps_every_byte_of_its_text() {
    // The standard's own example 3 and 4, section 6.5, and one with a mark before UTF-8.
    let data = r#"[exampleSDID@32473 iut="3" eventSource="Application \"x\] y" eventID="1011"][examplePriority@32473 class="high"]"#;
    let message = format!(
        "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 {data} \u{feff}张三 [INFO] 登录"
    );
    let expected = Parts {
        priority: Some((20, 5)),
        event_ms: Some(1_065_910_455_003),
        host: "mymachine.example.com",
        app: "evntslog",
        process: "",
        id: "ID47",
        data,
        text: "张三 [INFO] 登录",
    };
    assert_eq!(parts(&message), expected);
    let bare = parts("<34>1 - - - - - -");
    assert_eq!((bare.event_ms, bare.data, bare.text), (None, "", ""));
    let zone = parts("<34>1 2026-11-22T10:00:00.5+08:00 ERP kd 77 - -  审核 采购订单");
    assert_eq!((zone.event_ms, zone.process, zone.text), (Some(NOW_MS + 500), "77", "审核 采购订单"));
}

#[test]
fn a_message_of_rfc_3164_loses_no_word_to_a_host_or_tag_it_does_not_have() {
    // message, host, app, process, text
    let table = [
        ("<13>Nov 22 10:00:00 ERPHOST kingdee[812]: 张三 登录", "ERPHOST", "kingdee", "812", "张三 登录"),
        (
            "<13>Nov 22 10:00:00 ERPHOST kingdee: [INFO] 张三 登录",
            "ERPHOST",
            "kingdee",
            "",
            "[INFO] 张三 登录",
        ),
        ("<13>Nov 22 10:00:00 ERPHOST 张三 登录系统", "ERPHOST", "", "", "张三 登录系统"),
        ("<13>Nov 22 10:00:00 kingdee[812]: 张三 登录", "", "kingdee", "812", "张三 登录"),
        ("<13>Nov 22 10:00:00 ERPHOST 09:59:58 报工", "ERPHOST", "", "", "09:59:58 报工"),
        (
            "<13>Nov 22 10:00:00 ERPHOST MSWinEventLog\t1\tSecurity",
            "ERPHOST",
            "",
            "",
            "MSWinEventLog\t1\tSecurity",
        ),
        ("<13>Nov 22 2026 10:00:00 sw1 %SYS-5: up", "sw1", "%SYS-5", "", "up"),
        ("<13>2026-11-22T10:00:00+08:00 ERPHOST app[1]: x", "ERPHOST", "app", "1", "x"),
        ("<13>Nov 22 10:00:00 ERPHOST app[1] x", "ERPHOST", "app", "1", "x"),
    ];
    for (message, host, app, process, text) in table {
        let expected = Parts {
            priority: Some((1, 5)),
            event_ms: Some(NOW_MS),
            host,
            app,
            process,
            text,
            ..Parts::default()
        };
        assert_eq!(parts(message), expected, "{message}");
    }
}

#[test]
fn a_time_without_a_year_is_of_the_year_nearest_to_now() {
    let new_year_ms = 1_798_732_805_000; // 2027-01-01 00:00:05 in China
    let china = Offset::from_seconds(8 * 3600).unwrap();
    let at = |message, now_ms| cut(message, china, now_ms).event_ms;
    assert_eq!(at("<13>Dec 31 23:59:59 h a: x", new_year_ms), Some(new_year_ms - 6_000));
    assert_eq!(at("<13>Jan  1 00:00:05 h a: x", new_year_ms - 6_000), Some(new_year_ms));
    // A leap day is of the leap year that is near, or no time at all.
    assert_eq!(at("<13>Feb 29 12:00:00 h a: x", 1_830_000_000_000), Some(1_835_409_600_000));
    let none = cut("<13>Feb 29 12:00:00 h a: x", china, 1_700_000_000_000 - 400 * 86_400_000);
    assert_eq!((none.event_ms, none.text), (None, "Feb 29 12:00:00 h a: x"));
}

#[test]
fn what_has_no_header_is_text_whole() {
    for message in ["张三 登录", "<999>x", "<1x>y", "<>z", "<13", "12345 x", "2026-11-22 10:00:00 报工"]
    {
        assert_eq!(parts(message), Parts { text: message, ..Parts::default() }, "{message}");
    }
    for rest in
        ["没有时间", "1 not-a-time h a p m - x", "1 - h a p m [half", "Nov 22 25:00:00 h x", "", "Nov 22"]
    {
        let message = format!("<13>{rest}");
        let cut = parts(&message);
        assert_eq!((cut.priority, cut.event_ms, cut.text), (Some((1, 5)), None, rest), "{message}");
    }
}

fn messages(extra: &str) -> Messages {
    let text = format!(
        "[[sources]]\nname = \"s\"\n[sources.syslog]\nlisten = \"127.0.0.1:6514\"\ntransport = \"udp\"\nfrom = [\"127.0.0.1\"]\n{extra}\n"
    );
    let manifest = Manifest::parse("manifest.toml", &text, std::path::Path::new("")).unwrap();
    let Kind::Syslog(port) = &manifest.sources[0].kind else { panic!() };
    Messages::new(&port.text).unwrap()
}

#[test]
fn rules_see_the_header_and_a_parser_sees_the_text() {
    let mut plain = messages(
        "encoding = \"auto-mixed\"\n[[sources.syslog.rules]]\nmodule = \"purchase\"\naction = \"login\"\n\
         when = [{ field = \"syslog_app\", equals = \"kingdee\" }, { field = \"text\", regex = \"登录\" }]",
    );
    let message = encoding_rs::GB18030.encode("<13>Nov 22 10:00:00 ERP kingdee: 张三登录").0.into_owned();
    let sender = "::ffff:10.0.0.5".parse().unwrap();
    let Line::Record(record) = plain.read(7, sender, &message, NOW_MS) else { panic!() };
    assert_eq!((record.position, record.event_ms), (7, Some(NOW_MS)));
    let fields: Vec<_> = record.fields.iter().map(|field| String::from_utf8_lossy(field)).collect();
    assert_eq!(fields, ["10.0.0.5", "1", "5", "ERP", "kingdee", "", "", "", "张三登录"]);
    assert_eq!(record.action, proof::wire::ActionClass::Login);
    assert_eq!(plain.read(8, sender, b"<13>Nov 22 10:00:00 ERP kingdee:", NOW_MS), Line::Skipped);

    let mut parsed = messages("parser = \"key_value\"");
    let Line::Unparsed = parsed.read(0, sender, b"<13>Nov 22 10:00:00 ERP kingdee: hello", NOW_MS) else {
        panic!("a text that the parser does not understand is counted")
    };
}
