use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use proof::wire::{ActionClass, ActorClass};

use super::*;
use crate::manifest::{BUILT_IN_MAPS, Database, DatabaseKind, Login, Tls, built_in_map};

pub(crate) fn table(map: &str) -> AuditTable {
    let map = built_in_map(map);
    AuditTable {
        server: Database {
            kind: DatabaseKind::SqlServer,
            host: "192.168.1.8".to_owned(),
            port: 1433,
            database: "AIS2025".to_owned(),
            user: Login { name: "inuse".to_owned(), password_file: PathBuf::from("erp.password") },
            tls: Tls::Pinned(None),
        },
        utc_offset_minutes: 480,
        overlap: Duration::from_secs(300),
        max_rows: 1_000,
        timeout: Duration::from_secs(10),
        accounts: Vec::new(),
        rules: map.rules.clone(),
        map,
    }
}

/// The record of a row of a built-in map; cells in the map's order, separated by `|`.
fn record(map: &str, cells: &str) -> Option<Record> {
    let cells: Vec<_> = cells.split('|').map(|cell| Some(cell.to_owned())).collect();
    let table = table(map);
    assert_eq!(cells.len(), table.map.fields.len(), "{map}");
    Meaning::compile(&table).unwrap().record(7, Row { key: Vec::new(), cells })
}

fn module(name: &str) -> u16 {
    crate::manifest::module_code(name).unwrap()
}

#[test]
fn every_built_in_map_compiles_and_is_a_file_of_the_config_folder() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/maps");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    let names: Vec<_> =
        BUILT_IN_MAPS.iter().map(|(name, _)| OsString::from(format!("{name}.toml"))).collect();
    assert_eq!(files, names);
    for (name, _) in BUILT_IN_MAPS {
        assert!(Meaning::compile(&table(name)).is_ok(), "{name}");
    }
    let unconfirmed: Vec<_> = BUILT_IN_MAPS
        .iter()
        .filter(|(name, _)| !built_in_map(name).confirmed)
        .map(|(name, _)| *name)
        .collect();
    let from_memory = ["k3wise_log", "odoo_production", "odoo_users_log", "ruoyi_logininfor", "u8_ua_log"];
    assert_eq!(unconfirmed, from_memory);
}

#[test]
fn a_row_of_each_product_is_the_deed_it_is() {
    let (report, order, stock) = (module("production_report"), module("work_order"), module("stock"));
    let morning = 1_750_206_105_000; // 2025-06-18 08:21:45 in China
    let rows = [
        (
            "kingdee_operatelog",
            "2025-06-18 08:21:45.000|100231|王芳|100001|32|PRD_MORPT|3|保存|编号为SCHB00001873的生产汇报单，保存成功|PC-CJ2-03|192.168.1.73",
            ("王芳", report, ActionClass::Report, morning),
        ),
        (
            "kingdee_operatelog",
            "2025-06-18 08:21:45.003|100231|王芳|100001|32||0|登录|登录系统|PC-CJ2-03|192.168.1.73",
            ("王芳", 0, ActionClass::Login, morning + 3),
        ),
        (
            "k3wise_log",
            "884213|2025-06-18 08:21:45.330|16394|仓管员|I04001|审核 外购入库单 WIN012345 成功|CANGKU-01|192.168.1.40",
            ("仓管员", stock, ActionClass::Approve, morning + 330),
        ),
        (
            "digiwin_sfctc",
            "CCJX|WANG01|ZZ01|20250618|08:21:45|PDA-07|SFCI05|D301|250618003|0001|48",
            ("WANG01", report, ActionClass::Report, morning),
        ),
        (
            "sapb1_usr5",
            "zhangs|I|192.168.2.33|PC-CG-01|2025-06-18 00:00:00.000|82145|SAP Business One.exe|51||",
            ("zhangs", 0, ActionClass::Login, morning),
        ),
        (
            "ruoyi_oper_log",
            "10237|报工单|1|com.x.mes.web.FeedbackController.add()|POST|1|wang01|一车间|/mes/feedback|192.168.1.61|0|2025-06-18 08:21:45",
            ("wang01", report, ActionClass::Report, morning),
        ),
        (
            "ruoyi_logininfor",
            "5120|wang01|192.168.1.61|0|登录成功|2025-06-18 08:21:45",
            ("wang01", 0, ActionClass::Login, morning),
        ),
        (
            "odoo_production",
            "17|WH/MO/00017|done|2025-06-17 23:00:00|2025-06-18 00:21:45.118|li03",
            ("li03", order, ActionClass::Close, morning + 118),
        ),
        ("odoo_users_log", "91|li03|2025-06-18 00:21:45+00", ("li03", 0, ActionClass::Login, morning)),
        (
            "u8_ua_log",
            "001|ST|demo_zhao|赵敏|PC-KF-02|2025-06-18 08:21:45|2025-06-18 11:41:50",
            ("demo_zhao", 0, ActionClass::Login, morning),
        ),
    ];
    for (map, cells, (account, module, action, event_ms)) in rows {
        let record = record(map, cells).unwrap_or_else(|| panic!("{map}: {cells}"));
        assert_eq!(record.account.as_deref(), Some(account), "{map}");
        assert_eq!(
            (record.module, record.action, record.event_ms),
            (module, action, Some(event_ms)),
            "{map}"
        );
        assert_eq!(record.actor_class, ActorClass::Human);
    }
}

#[test]
fn a_row_says_which_document_it_is_about_where_its_map_knows() {
    let rows = [
        (
            "kingdee_operatelog",
            "2025-06-18 08:21:45.000|100231|王芳|100001|32|PRD_MORPT|3|保存|编号为SCHB00001873的生产汇报单，保存成功|PC|ip",
            Some("SCHB00001873"),
        ),
        (
            "digiwin_sfctc",
            "CCJX|WANG01|ZZ01|20250618|08:21:45|PDA-07|SFCI05|D301|250618003   |0001|48",
            Some("D301-250618003"),
        ),
        ("digiwin_sfctc", "CCJX|WANG01|ZZ01|20250618|08:21:45|PDA-07|SFCI05|D301||0001|48", None),
        (
            "odoo_production",
            "17|WH/MO/00017|done|2025-06-17 23:00:00|2025-06-18 00:21:45.118|li03",
            Some("WH/MO/00017"),
        ),
        ("ruoyi_logininfor", "5120|wang01|192.168.1.61|0|登录成功|2025-06-18 08:21:45", None),
    ];
    for (map, cells, number) in rows {
        assert_eq!(record(map, cells).unwrap().document.as_deref(), number, "{map}: {cells}");
    }
}

#[test]
fn times_of_every_form_are_read_and_nonsense_is_not() {
    let china = Offset::constant(8);
    type Read = Option<Option<i64>>;
    let table: &[(MomentForm, &[&str], Read)] = &[
        (MomentForm::DateTime, &["2025-06-18 08:21:45"], Some(Some(1_750_206_105_000))),
        (MomentForm::DateTime, &["2025-06-18 08:21:45.1234567"], Some(Some(1_750_206_105_123))),
        (MomentForm::DateTime, &["2025-06-18 00:21:45.118+00"], Some(Some(1_750_206_105_118))),
        (MomentForm::DateTime, &["2025-06-18 08:21:45 +08:00"], None),
        (MomentForm::DateText, &["20250618", "08:21:45"], Some(Some(1_750_206_105_000))),
        (MomentForm::DateText, &["20250618", "082145123"], Some(Some(1_750_206_105_000))),
        (MomentForm::DateText, &["20250618", "08:21:45.330"], Some(Some(1_750_206_105_000))),
        (MomentForm::DateText, &["20250618", "8:21:45"], Some(Some(1_750_206_105_000))),
        // Hours and minutes.
        (MomentForm::DateText, &["20250618", "0821"], Some(Some(1_750_206_060_000))),
        (MomentForm::DateText, &["20250618", "08:21"], Some(Some(1_750_206_060_000))),
        // The day alone is no time.
        (MomentForm::DateText, &["20250618", ""], Some(None)),
        (MomentForm::DateText, &["20250618"], Some(None)),
        (MomentForm::DateText, &["20250618", "nachmittags"], None),
        (MomentForm::DateText, &["20251318", ""], None),
        (MomentForm::DateText, &["2025-06-18", ""], None),
        (MomentForm::DateAndInt, &["2025-06-18 00:00:00.000", "33324"], Some(Some(1_750_188_804_000))),
        (MomentForm::DateAndInt, &["2025-06-18", "7"], Some(Some(1_750_176_007_000))),
        (MomentForm::DateAndInt, &["2025-06-18", "996000"], None),
        (MomentForm::UnixMs, &["1750206105112"], Some(Some(1_750_206_105_112))),
        (MomentForm::UnixMs, &["soon"], None),
        // A default that means "never", and microseconds where milliseconds were said.
        (MomentForm::UnixMs, &["9223372036854775807"], None),
        (MomentForm::UnixMs, &["-9223372036854775808"], None),
        (MomentForm::UnixMs, &["1750206105112000"], None),
    ];
    for (form, texts, expected) in table {
        assert_eq!(event_time(*form, texts, china), *expected, "{form:?} {texts:?}");
    }
}
