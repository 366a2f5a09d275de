use encoding_rs::GB18030;
use proof::wire::{ActionClass, ActorClass, ExclusionReason};
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
            "spring3",
            spring,
            "2025-06-18T08:21:45.112+08:00  INFO 5312 --- [mes] [nio-8080-exec-7] c.x.mes.report.ReportService : 报工成功 工单=MO2506-0117 工序=20 数量=48 操作员=wang01",
            Some("wang01"),
            MORNING + 112,
            7,
            ActionClass::Report,
        ),
        (
            "spring3",
            spring,
            "2025-06-18T00:21:45.112Z  INFO 5312 --- [           main] c.x.mes.report.ReportService             : 报工成功 操作员=wang01",
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
    let of_today = [
        (
            "iis",
            r#"rules = [{ module = "production_report", action = "report", when = [{ field = "cs-method", equals = "POST" }, { field = "cs-uri-stem", regex = "/report/submit$" }] }]"#,
            "2025-06-18 00:21:45 192.168.10.5 POST /mes/api/report/submit wo=MO2506-0117 80 wang01 192.168.10.61 Mozilla/5.0+(Windows+NT+10.0) - 200 0 0 187",
            Some("wang01"),
            MORNING,
            7,
            ActionClass::Report,
        ),
        (
            "log4j",
            spring,
            "2025-06-18 08:21:45,118 [http-nio-8080-exec-7] INFO  com.x.mes.ReportService - 报工成功 工单=MO2506-0117 操作员=wang01",
            Some("wang01"),
            MORNING + 118,
            7,
            ActionClass::Report,
        ),
        (
            "aoi_csv",
            r#"rules = [{ module = "quality", action = "report", when = [{ field = "RESULT", equals = "PASS" }] }]"#,
            "PCB2506180007,AOI-2,PASS,2025/6/18 8:21:40,2025/6/18 8:21:45,li03",
            Some("li03"),
            MORNING,
            8,
            ActionClass::Report,
        ),
        (
            "json_access",
            r#"rules = [{ action = "login", when = [{ field = "request", regex = "^POST /login" }] }]"#,
            r#"{"time":"2025-06-18T08:21:45+08:00","remote":"192.168.1.61","user":"wang01","request":"POST /login HTTP/1.1","status":200}"#,
            Some("wang01"),
            MORNING,
            0,
            ActionClass::Login,
        ),
        (
            "key_value",
            r#"rules = [{ module = "production_report", action = "report", when = [{ field = "msg", regex = "^报工成功" }] }]"#,
            r#"time=2025-06-18T08:21:45+08:00 level=info msg="报工成功 第 2 次" user=wang01 module=mes"#,
            Some("wang01"),
            MORNING,
            7,
            ActionClass::Report,
        ),
        (
            "sqlserver_errorlog",
            r#"rules = [{ action = "login", when = [{ field = "origin", regex = "^(登录|Logon)$" }] }]"#,
            "2025-06-18 08:21:45.34 登录          用户 'mes_app' 登录成功。连接使用的是 SQL Server 身份验证。 [客户端: 192.168.1.5]",
            Some("mes_app"),
            MORNING + 340,
            0,
            ActionClass::Login,
        ),
    ];
    for (parser, rules, line, account, event_ms, module, action) in table.into_iter().chain(of_today) {
        let (mut reader, mut columns) = (reader(parser, "utf-8", rules), Columns::default());
        if parser == "iis" {
            let header = format!("#Fields: {}", reader.fields().join(" "));
            assert_eq!(reader.read(0, header.as_bytes(), Encoding::Utf8, &mut columns), Line::Skipped);
        }
        let Line::Record(record) = reader.read(0, line.as_bytes(), Encoding::Utf8, &mut columns) else {
            panic!("{parser}: {line}")
        };
        assert_eq!(record.account.as_deref(), account, "{parser}");
        assert_eq!(record.event_ms, Some(event_ms), "{parser}");
        assert_eq!((record.module, record.action), (module, action), "{parser}");
        let class = if account.is_some() { ActorClass::Human } else { ActorClass::Excluded };
        assert_eq!(record.actor_class, class, "{parser}");
    }
}

#[test]
fn a_record_says_which_document_it_is_about_and_says_nothing_where_it_names_none() {
    let spring = |message: &str| {
        format!("2025-06-18 08:21:45.112  INFO 5312 --- [main] c.x.mes.ReportService : {message}")
    };
    let kingdee = |what: &str| format!("2025-06-18 08:31:07|wang01|1|32|PRD_MORPT|3|保存|{what}|PC|ip");
    let ruoyi = |param: &str| {
        format!(
            r#"1,报工单,1,c.add(),POST,1,wang01,一车间,/mes,ip,内网IP,"{param}","",0,,2025-06-18 08:21:45"#
        )
    };
    let table = [
        ("spring", spring("报工成功 工单=MO2506-0117 操作员=wang01"), Some("MO2506-0117")),
        ("spring", spring("报工成功 工单：MO2506-0117，数量：48"), Some("MO2506-0117")),
        ("spring", spring("缓存已刷新"), None),
        ("spring", spring(&format!("工单={}", "长".repeat(101))), None),
        ("kingdee_pipe", kingdee("编号为SCHB00001873的生产汇报单，保存成功"), Some("SCHB00001873")),
        ("kingdee_pipe", kingdee("用户登录"), None),
        ("ruoyi_csv", ruoyi(r#"{""wo"":""MO2506-0117"",""qty"":48}"#), Some("MO2506-0117")),
        (
            "key_value",
            "time=2025-06-18T08:21:45+08:00 user=wang01 doc=MO2506-0117".into(),
            Some("MO2506-0117"),
        ),
        ("key_value", "time=2025-06-18T08:21:45+08:00 user=wang01".into(), None),
    ];
    for (parser, line, number) in table {
        let record = record(&mut reader(parser, "utf-8", ""), line.as_bytes());
        assert_eq!(record.document.as_deref(), number, "{parser}: {line}");
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
        assert_eq!(take(&mut spring, line), expected, "{}", String::from_utf8_lossy(line));
    }
    let header = b"oper_id,title,business_type,method,request_method,operator_type,oper_name,dept_name,oper_url,oper_ip,oper_location,oper_param,json_result,status,error_msg,oper_time";
    assert_eq!(take(&mut reader("ruoyi_csv", "utf-8", ""), header), Line::Skipped);
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
    fn no_line_makes_a_parser_panic(line in prop::collection::vec(any::<u8>(), 0..200), parser in 0..crate::manifest::BUILT_IN.len()) {
        let (name, _) = crate::manifest::BUILT_IN[parser];
        for (encoding, _) in crate::manifest::ENCODINGS {
            take(&mut reader(name, encoding, ""), &line);
        }
    }
}

fn reader(parser: &str, encoding: &str, extra: &str) -> Reader {
    let text = format!(
        "[[sources]]\nname = \"l\"\n[sources.log]\npath = \"x.log\"\nparser = \"{parser}\"\nencoding = \"{encoding}\"\n{extra}\n"
    );
    let manifest = Manifest::parse("manifest.toml", &text, std::path::Path::new("")).unwrap();
    let Kind::Log(file) = &manifest.sources[0].kind else { panic!() };
    Reader::new(&file.text).unwrap()
}

fn take(reader: &mut Reader, line: &[u8]) -> Line {
    reader.read(0, line, reader.encoding(), &mut Columns::default())
}

fn record(reader: &mut Reader, line: &[u8]) -> Record {
    match take(reader, line) {
        Line::Record(record) => record,
        other @ (Line::Skipped | Line::Unparsed) => panic!("{other:?}: {}", String::from_utf8_lossy(line)),
    }
}
