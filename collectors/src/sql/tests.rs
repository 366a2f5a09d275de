use std::path::Path;

use super::*;
use crate::manifest::Manifest;

fn source(keys: &str) -> Source {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "secret").unwrap();
    let text = format!(
        "[[sources]]\nname = \"ERP\"\n[sources.table]\nmap = \"ruoyi_oper_log\"\n{keys}\n[sources.table.server]\n\
         kind = \"mysql\"\nhost = \"127.0.0.1\"\ndatabase = \"mes\"\nuser = \"inuse\"\npassword_file = \"password\"\n"
    );
    Manifest::parse("manifest.toml", &text, folder.path()).unwrap().sources.remove(0)
}

fn table(source: &Source) -> AuditTable {
    let crate::manifest::Kind::Table(table) = &source.kind else { panic!("{:?}", source.kind) };
    table.as_ref().clone()
}

#[test]
fn a_bookmark_of_another_table_or_version_is_not_gone_on_from() {
    let source = source("");
    let table = table(&source);
    let own = TableCollector::new(&source, &table, None).unwrap().position.encode();
    assert!(TableCollector::new(&source, &table, Some(&own)).is_ok());
    let mut moved = table.clone();
    moved.map.table = vec!["sys_log".to_owned()];
    let refused = TableCollector::new(&source, &table, Some(b"junk")).err();
    assert!(matches!(refused, Some(BuildError::Position { .. })), "{refused:?}");
    let refused = |table: &AuditTable| {
        TableCollector::new(&source, table, Some(&own)).err().map(|error| error.to_string())
    };
    assert_eq!(
        refused(&moved).as_deref(),
        Some(
            "what is stored of source `ERP` is of sys_oper_log ordered by oper_id Int, and the map now says sys_log \
             ordered by oper_id Int: take that back, or give the source another name, under which the table is read \
             from its beginning"
        )
    );
    let mut keyed = table.clone();
    keyed.map.key[0].kind = KeyKind::Text;
    assert!(refused(&keyed).is_some_and(|why| why.contains("now says sys_oper_log ordered by oper_id Text")));
}

#[test]
fn another_way_of_reading_texts_or_moments_starts_the_comparing_anew() {
    let source = source("");
    let table = table(&source);
    let mut encoded = table.clone();
    encoded.map.encoding = Some(crate::manifest::Encoding::Gb18030);
    let mut zoned = table.clone();
    zoned.utc_offset_minutes = 540;
    let mut joined = table.clone();
    let [schema, name, column] = ["mes", "sys_user", "id"].map(str::to_owned);
    let (alias, equals) = ("u".to_owned(), "oper_id".to_owned());
    joined.map.joins.push(crate::manifest::Join { table: vec![schema, name], alias, column, equals });
    let mut collector = TableCollector::new(&source, &table, None).unwrap();
    let floor = position::KeyText { columns: vec!["17".to_owned()] };
    collector.position.floor = Some(floor.clone());
    collector.position.ranges.push(position::Range { high: floor, rows: 9, sum: 5, ..Default::default() });
    collector.position.total = 9;
    let own = collector.position.encode();
    for other in [&encoded, &zoned, &joined] {
        let position = TableCollector::new(&source, other, Some(&own)).unwrap().position;
        assert!(position.ranges.is_empty() && position.base == position.floor, "{position:?}");
        assert_eq!((position.total, position.floor.is_some()), (9, true));
    }
    let same = TableCollector::new(&source, &table, Some(&own)).unwrap().position;
    assert_eq!(same, collector.position);
    // PostgreSQL writes moments in UTC whatever the manifest says.
    let moved = |minutes| {
        let mut table = table.clone();
        (table.server.kind, table.utc_offset_minutes) = (DatabaseKind::PostgreSql, minutes);
        print_of_reading(&table)
    };
    assert_eq!(moved(480), moved(540));
}

#[test]
fn keys_in_words_are_not_gone_on_from_when_their_characters_are_read_otherwise() {
    let source = source("");
    let mut table = table(&source);
    let mut collector = TableCollector::new(&source, &table, None).unwrap();
    for (floor, is_refused) in [("报工 17", true), ("17", false)] {
        table.map.encoding = None;
        collector.position.floor = Some(position::KeyText { columns: vec![floor.to_owned()] });
        let own = collector.position.encode();
        assert!(TableCollector::new(&source, &table, Some(&own)).is_ok());
        table.map.encoding = Some(crate::manifest::Encoding::Gb18030);
        let refused = TableCollector::new(&source, &table, Some(&own)).err();
        assert_eq!(matches!(refused, Some(BuildError::OtherRows { .. })), is_refused, "{refused:?}");
    }
}

#[test]
fn another_choice_of_fields_forgets_what_cannot_be_compared_and_counts_no_row_twice() {
    let source = source("");
    let mut table = table(&source);
    let mut collector = TableCollector::new(&source, &table, None).unwrap();
    collector.position.total = 9;
    collector.position.recent.push(position::Recent { key: 1, row: 2, seen_s: 3, at: 8, gone_s: 0 });
    let own = collector.position.encode();
    table.map.fields.pop();
    let position = TableCollector::new(&source, &table, Some(&own)).unwrap().position;
    assert_eq!((position.total, position.recent[0].key, position.recent[0].row), (9, 1, 0));
}

#[test]
fn a_server_without_tls_is_told_with_what_to_set_there_and_what_doing_without_costs() {
    let mut table = table(&source(""));
    for (kind, remedy) in [
        (DatabaseKind::MySql, "set ssl_cert and ssl_key in its my.cnf"),
        (DatabaseKind::PostgreSql, "set ssl = on"),
        (DatabaseKind::SqlServer, "choose a certificate for it"),
    ] {
        table.server.kind = kind;
        let told = Line::new(&table).no_tls().to_string();
        assert!(told.contains(remedy) && told.contains("tls = \"none\", with which the password"), "{told}");
    }
}

#[tokio::test]
async fn a_database_that_is_off_is_a_lost_line() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let mut source = source("timeout = \"1s\"");
    if let crate::manifest::Kind::Table(table) = &mut source.kind {
        table.server.port = port;
    }
    let error = crate::probe(&source, Path::new("")).await.unwrap_err();
    assert!(matches!(error, CollectError::Lost { .. }), "{error:?}");
}
