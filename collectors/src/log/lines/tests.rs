use encoding_rs::GB18030;
use proptest::prelude::*;

use super::*;
use crate::manifest::{Kind, Manifest};

/// 2025-06-18 08:21:45 at UTC+8.
const MORNING: i64 = 1_750_206_105_000;

#[test]
fn each_built_in_form_gives_account_time_module_and_action() {
    let spring = r#"rules = [{ module = "production_report", action = "report", when = [{ field = "message", regex = "^报工成功" }] }]"#;
    let ruoyi = r#"rules = [{ module = "production_report", action = "report", when = [{ field = "title", equals = "报工单" }, { field = "business_type", equals = "1" }, { field = "status", equals = "0" }] }]"#;
    let kingdee = r#"rules = [{ module = "production_report", action = "approve", when = [{ field = "object", equals = "PRD_MORPT" }, { field = "operation", regex = "保存|审核" }] }]"#;
    let access = r#"rules = [{ module = "production_report", action = "report", when = [{ field = "method", equals = "POST" }, { field = "url", regex = "/(mes/feedback|U9mes/do/report)" }] }]"#;
    let odoo =
        r#"rules = [{ action = "login", when = [{ field = "message", regex = "^Login successful" }] }]"#;
    // (parser, rules, line, account, event time, module, action)
    let table = [
        (
            "spring",
            spring,
            "2025-06-18 08:21:45.112  INFO 5312 --- [nio-8080-exec-7] c.x.mes.report.ReportService : 报工成功 工单=MO2506-0117 工序=20 数量=48 操作员=wang01",
            Some("wang01"),
            MORNING + 112,
            7,
            ActionClass::Report,
        ),
        (
            "ruoyi_csv",
            ruoyi,
            r#"10237,报工单,1,com.x.mes.web.FeedbackController.add(),POST,1,wang01,一车间,/mes/feedback,192.168.1.61,内网IP,"{""wo"":""MO2506-0117"",""qty"":48}","{""code"":200}",0,,2025-06-18 08:21:45"#,
            Some("wang01"),
            MORNING,
            7,
            ActionClass::Report,
        ),
        (
            "kingdee_pipe",
            kingdee,
            "2025-06-18 08:21:45.000|100231|100001|32|PRD_MORPT|3|保存|编号为SCHB00001873的生产汇报单，保存成功|PC-CJ2-03|192.168.1.73",
            Some("100231"),
            MORNING,
            7,
            ActionClass::Approve,
        ),
        (
            "nginx_combined",
            access,
            r#"192.168.1.61 - - [18/Jun/2025:08:21:45 +0800] "POST /prod-api/mes/feedback HTTP/1.1" 200 96 "http://192.168.1.5/" "Mozilla/5.0 (Linux; Android 9; PDA)""#,
            None,
            MORNING,
            7,
            ActionClass::Report,
        ),
        (
            "tomcat_access",
            access,
            r#"192.168.1.62 - wang01 [18/Jun/2025:02:21:45 +0200] "POST /U9mes/do/report?bill=SCDD250618003 HTTP/1.1" 200 311"#,
            Some("wang01"),
            MORNING,
            7,
            ActionClass::Report,
        ),
        (
            "odoo",
            odoo,
            "2025-06-18 00:21:45,118 1432 INFO factory odoo.addons.base.models.res_users: Login successful for db:factory login:wang01 from 192.168.1.61",
            Some("wang01"),
            MORNING + 118,
            0,
            ActionClass::Login,
        ),
    ];
    for (parser, rules, line, account, event_ms, module, action) in table {
        let record = record(&mut reader(parser, "utf-8", rules), line.as_bytes());
        assert_eq!(record.account.as_deref(), account, "{parser}");
        assert_eq!(record.event_ms, Some(event_ms), "{parser}");
        assert_eq!((record.module, record.action), (module, action), "{parser}");
        let class = if account.is_some() { ActorClass::Human } else { ActorClass::Excluded };
        assert_eq!(record.actor_class, class, "{parser}");
    }
}

#[test]
fn quoted_fields_keep_delimiters_and_doubled_quotes() {
    let cut = |text| delimited(text, b',', Some(b'"'), 4).map(|fields| fields.join("|"));
    let table = [
        ("a,b", Some("a|b")),
        (r#""a,b",c"#, Some("a,b|c")),
        (r#""a ""b"" c","#, Some(r#"a "b" c|"#)),
        (r#""""#, Some("")),
        (r#""""""#, Some(r#"""#)),
        (r#"x"y,z"#, Some(r#"x"y|z"#)),
        (r#""open,z"#, None),
        (r#""a"b,c"#, None),
        ("1,2,3,4,5", None),
        ("", Some("")),
    ];
    for (text, expected) in table {
        assert_eq!(cut(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn account_classes_decide_in_order_and_nobody_is_excluded_as_such() {
    let accounts = r#"accounts = [
        { exact = "admin", class = "excluded", reason = "admin" },
        { prefix = "ad", class = "provider" },
        { regex = "^(api|job)_", class = "interface" },
        { prefix = "pda", class = "shared_terminal" },
    ]"#;
    let mut reader = reader("kingdee_pipe", "utf-8", accounts);
    let table = [
        ("admin", ActorClass::Excluded, ExclusionReason::Admin),
        ("adler", ActorClass::Provider, ExclusionReason::None),
        ("job_7", ActorClass::Interface, ExclusionReason::None),
        ("pda-03", ActorClass::SharedTerminal, ExclusionReason::None),
        ("wang01", ActorClass::Human, ExclusionReason::None),
        ("", ActorClass::Excluded, ExclusionReason::NoActor),
        ("0", ActorClass::Excluded, ExclusionReason::NoActor),
    ];
    for (name, class, reason) in table {
        let line = format!("2025-06-18 08:31:07.000|{name}|1|32|X|3|保存|d|PC|ip");
        let record = record(&mut reader, line.as_bytes());
        assert_eq!((record.actor_class, record.reason), (class, reason), "{name}");
    }
}

#[test]
fn what_nobody_understands_is_counted_and_what_is_known_to_be_no_record_is_not() {
    let mut spring = reader("spring", "utf-8", "");
    let table: [(&[u8], Line); 5] = [
        (b"", Line::Skipped),
        (b"\tat c.x.mes.report.ReportService.add(ReportService.java:41)", Line::Skipped),
        (b"java.lang.NullPointerException: null", Line::Skipped),
        (b"hello", Line::Unparsed),
        (b"2025-13-41 08:21:45.112  INFO 5312 --- [x] c.x : m", Line::Unparsed),
    ];
    for (line, expected) in table {
        assert_eq!(spring.read(0, line), expected, "{}", String::from_utf8_lossy(line));
    }
    let header = b"oper_id,title,business_type,method,request_method,operator_type,oper_name,dept_name,oper_url,oper_ip,oper_location,oper_param,json_result,status,error_msg,oper_time";
    assert_eq!(reader("ruoyi_csv", "utf-8", "").read(0, header), Line::Skipped);
}

#[test]
fn gb18030_is_read_as_it_was_meant_and_line_ends_marks_and_colours_are_no_text() {
    let text = "2025-06-18 08:31:07|wang01|1|32|X|3|保存|生产汇报单 㐀 𠀀，保存成功|PC|ip";
    let (bytes, _, lossy) = GB18030.encode(text);
    assert!(!lossy);
    let mut line = bytes.into_owned();
    line.push(b'\r');
    let record_gb = record(&mut reader("kingdee_pipe", "gb18030", ""), &line);
    assert_eq!(record_gb.fields[7], "生产汇报单 㐀 𠀀，保存成功".as_bytes());
    let coloured = format!("\u{feff}{}", text.replace("wang01", "\u{1b}[1;32mwang01\u{1b}[0m"));
    let record_utf8 = record(&mut reader("kingdee_pipe", "utf-8", ""), coloured.as_bytes());
    assert_eq!(record_utf8.fields, record_gb.fields);
}

#[test]
fn times_are_read_in_the_zone_of_the_source() {
    let line = b"2025-06-18 08:21:45|u|1|32|X|3|o|d|PC|ip";
    let at = |extra: &str| record(&mut reader("kingdee_pipe", "utf-8", extra), line).event_ms.unwrap();
    assert_eq!(at(""), MORNING);
    assert_eq!(at("utc_offset_minutes = 0"), MORNING + 8 * 3_600_000);
}

proptest! {
    #[test]
    fn no_line_makes_a_parser_panic(line in prop::collection::vec(any::<u8>(), 0..200), parser in 0_usize..6) {
        let (name, _) = crate::manifest::BUILT_IN[parser];
        for encoding in ["utf-8", "gb18030"] {
            reader(name, encoding, "").read(0, &line);
        }
    }

    #[test]
    fn quoting_is_undone_exactly(fields in prop::collection::vec("[a-z,\"|\u{4e00}-\u{4e10}]{0,6}", 1..6)) {
        let line: Vec<_> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
        let line = line.join(",");
        let cut = delimited(&line, b',', Some(b'"'), fields.len()).unwrap();
        prop_assert_eq!(cut, fields);
    }
}

fn reader(parser: &str, encoding: &str, extra: &str) -> Reader {
    let text = format!(
        "[[sources]]\nname = \"l\"\n[sources.log]\npath = \"x.log\"\nparser = \"{parser}\"\nencoding = \"{encoding}\"\n{extra}\n"
    );
    let manifest = Manifest::parse("manifest.toml", &text, std::path::Path::new("")).unwrap();
    let Kind::Log(file) = &manifest.sources[0].kind else { panic!() };
    Reader::new(file).unwrap()
}

fn record(reader: &mut Reader, line: &[u8]) -> Record {
    match reader.read(0, line) {
        Line::Record(record) => record,
        other @ (Line::Skipped | Line::Unparsed) => panic!("{other:?}: {}", String::from_utf8_lossy(line)),
    }
}
