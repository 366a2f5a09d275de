//! Questions: the only SQL there is.
//!
//! Each begins with SELECT, names its columns, binds every value and bounds its answer. Names come from a checked map,
//! where they can hold no quote, and are quoted all the same.

use std::fmt::Write as _;

use super::follow::Span;
use super::position::Key;
use crate::manifest::{DatabaseKind, KeyKind, MAIN, TableMap};

/// A question and the values bound to it, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) text: String,
    pub(super) values: Vec<String>,
    /// What it asks for, for messages.
    pub(super) of: String,
    /// How many of its columns, at the front, are keys.
    pub(super) keys: usize,
}

impl Question {
    /// A question that is about no rows.
    pub(super) fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), values: Vec::new(), of: text.to_owned(), keys: 0 }
    }

    /// What the account may do to a table.
    pub(super) fn rights(text: String, table: String) -> Self {
        Self { text, of: format!("rights on {table}"), values: vec![table], keys: 0 }
    }

    /// The product's own words for its version.
    pub(super) fn version(kind: DatabaseKind) -> Self {
        Self::plain(match kind {
            DatabaseKind::PostgreSql => "SELECT CAST(version() AS text)",
            DatabaseKind::MySql => "SELECT VERSION()",
            DatabaseKind::SqlServer => "SELECT CAST(@@VERSION AS nvarchar(400))",
        })
    }

    /// Tables and columns that this account may see, `limit` columns at most: schema, table, column, type.
    pub(super) fn schema(kind: DatabaseKind, limit: u32) -> Self {
        let text = match kind {
            DatabaseKind::PostgreSql => format!(
                "SELECT CAST(table_schema AS text), CAST(table_name AS text), CAST(column_name AS text), \
                 CAST(data_type AS text) FROM information_schema.columns \
                 WHERE table_schema NOT IN ('pg_catalog', 'information_schema') \
                 ORDER BY table_schema, table_name, ordinal_position LIMIT {limit}"
            ),
            DatabaseKind::MySql => format!(
                "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns \
                 WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position LIMIT {limit}"
            ),
            DatabaseKind::SqlServer => format!(
                "SELECT TOP ({limit}) TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE \
                 FROM INFORMATION_SCHEMA.COLUMNS ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
            ),
        };
        Self { text, values: Vec::new(), of: "tables and columns".to_owned(), keys: 0 }
    }

    /// Rows of a span in the order of their key: the key's columns, then the fields.
    pub(super) fn rows(kind: DatabaseKind, map: &TableMap, span: Span<'_>, limit: u32) -> Self {
        Writer::new(kind, map).rows(span, limit, false)
    }

    /// The last rows, last first.
    pub(super) fn last(kind: DatabaseKind, map: &TableMap, limit: u32) -> Self {
        Writer::new(kind, map).rows(Span::default(), limit, true)
    }
}

/// A table's name as the server writes it in the language of questions.
pub(super) fn quoted(kind: DatabaseKind, parts: &[String]) -> String {
    let quoted: Vec<_> = parts.iter().map(|part| quote(kind, part)).collect();
    quoted.join(".")
}

fn quote(kind: DatabaseKind, name: &str) -> String {
    match kind {
        _ if name.is_empty() => String::new(),
        DatabaseKind::SqlServer => format!("[{name}]"),
        DatabaseKind::MySql => format!("`{name}`"),
        DatabaseKind::PostgreSql => format!("\"{name}\""),
    }
}

struct Writer<'a> {
    kind: DatabaseKind,
    map: &'a TableMap,
    values: Vec<String>,
}

impl<'a> Writer<'a> {
    fn new(kind: DatabaseKind, map: &'a TableMap) -> Self {
        Self { kind, map, values: Vec::new() }
    }

    fn rows(mut self, span: Span<'_>, limit: u32, descending: bool) -> Question {
        let mut conditions: Vec<_> =
            (0..self.map.key.len()).map(|at| format!("{} IS NOT NULL", self.key(at))).collect();
        if let Some(after) = span.after {
            conditions.push(self.beyond(after, ">", false));
        }
        if let Some(up_to) = span.up_to {
            conditions.push(self.beyond(up_to, "<", true));
        }
        let top =
            if self.kind == DatabaseKind::SqlServer { format!("TOP ({limit}) ") } else { String::new() };
        let order = if descending { " DESC" } else { "" };
        let order: Vec<_> = (0..self.map.key.len()).map(|at| format!("{}{order}", self.key(at))).collect();
        let mut text = format!(
            "SELECT {top}{} FROM {} WHERE {} ORDER BY {}",
            self.columns().join(", "),
            self.tables(),
            conditions.join(" AND "),
            order.join(", ")
        );
        if self.kind != DatabaseKind::SqlServer {
            write!(text, " LIMIT {limit}").expect("a text takes what is written");
        }
        let of = format!("rows of {}", self.map.table.join("."));
        Question { text, values: self.values, of, keys: self.map.key.len() }
    }

    fn columns(&self) -> Vec<String> {
        let keys = (0..self.map.key.len()).map(|at| self.key(at));
        let fields = self.map.fields.iter().map(|field| {
            let of = field.of.as_deref().unwrap_or(MAIN);
            format!("{}.{}", quote(self.kind, of), quote(self.kind, &field.column))
        });
        let shown = |(at, column): (usize, String)| match self.kind {
            // Its text is in UTF-8 whatever the database is in.
            DatabaseKind::PostgreSql => format!("LEFT(CAST({column} AS text), 4000) AS c{at}"),
            DatabaseKind::SqlServer | DatabaseKind::MySql => format!("{column} AS c{at}"),
        };
        keys.chain(fields).enumerate().map(shown).collect()
    }

    fn tables(&self) -> String {
        let main = quote(self.kind, MAIN);
        let mut text = format!("{} AS {main}", quoted(self.kind, &self.map.table));
        for join in &self.map.joins {
            let alias = quote(self.kind, &join.alias);
            write!(
                text,
                " LEFT JOIN {} AS {alias} ON {alias}.{} = {main}.{}",
                quoted(self.kind, &join.table),
                quote(self.kind, &join.column),
                quote(self.kind, &join.equals)
            )
            .expect("a text takes what is written");
        }
        text
    }

    fn key(&self, at: usize) -> String {
        format!("{}.{}", quote(self.kind, MAIN), quote(self.kind, &self.map.key[at].column))
    }

    /// Whether a row's key is on one side of `key`: its first column decides, the next one where that is equal, and so
    /// on. The first column stands alone in front as well, so that an index is used.
    fn beyond(&mut self, key: &Key, side: &str, or_equal: bool) -> String {
        let equal = if or_equal { "=" } else { "" };
        let last = key.len() - 1;
        if last == 0 {
            return format!("{} {side}{equal} {}", self.key(0), self.value(0, key));
        }
        let mut text = format!("{} {side}= {} AND (", self.key(0), self.value(0, key));
        for at in 0..last {
            let (column, value, again) = (self.key(at), self.value(at, key), self.value(at, key));
            write!(text, "{column} {side} {value} OR ({column} = {again} AND ")
                .expect("a text takes what is written");
        }
        write!(text, "{} {side}{equal} {}", self.key(last), self.value(last, key))
            .expect("a text takes what is written");
        text + &")".repeat(last + 1)
    }

    /// A place for a value, of the type of its column: a comparison of other types would read the whole table.
    fn value(&mut self, at: usize, key: &Key) -> String {
        self.values.push(key[at].clone());
        let number = self.values.len();
        let kind = self.map.key[at].kind;
        match self.kind {
            DatabaseKind::PostgreSql => {
                let of = match kind {
                    KeyKind::Int => "bigint",
                    KeyKind::Text | KeyKind::Ascii => "text",
                    KeyKind::DateTime | KeyKind::DateTime2 => "timestamp",
                };
                format!("CAST(CAST(${number} AS text) AS {of})")
            }
            DatabaseKind::MySql => match kind {
                KeyKind::Int => "CAST(? AS SIGNED)".to_owned(),
                KeyKind::Text | KeyKind::Ascii => "?".to_owned(),
                KeyKind::DateTime | KeyKind::DateTime2 => "CAST(? AS DATETIME(6))".to_owned(),
            },
            DatabaseKind::SqlServer => match kind {
                KeyKind::Int => format!("CAST(@P{number} AS bigint)"),
                KeyKind::Text => format!("@P{number}"),
                KeyKind::Ascii => format!("CAST(@P{number} AS varchar(900))"),
                // Style 121 is read alike whatever language the account has.
                KeyKind::DateTime => format!("CONVERT(datetime, @P{number}, 121)"),
                KeyKind::DateTime2 => format!("CONVERT(datetime2(7), @P{number}, 121)"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::built_in_map;

    fn key(columns: &[&str]) -> Key {
        columns.iter().map(|column| (*column).to_owned()).collect()
    }

    #[test]
    fn a_question_names_columns_binds_values_and_bounds_its_answer() {
        let map = built_in_map("ruoyi_logininfor");
        let (after, up_to) = (key(&["17"]), key(&["'; DROP TABLE sys_user --"]));
        let span = Span { after: Some(&after), up_to: Some(&up_to) };
        let question = Question::rows(DatabaseKind::MySql, &map, span, 50);
        assert_eq!(
            question.text,
            "SELECT `t`.`info_id` AS c0, `t`.`info_id` AS c1, `t`.`user_name` AS c2, `t`.`ipaddr` AS c3, \
             `t`.`status` AS c4, `t`.`msg` AS c5, `t`.`login_time` AS c6 FROM `sys_logininfor` AS `t` WHERE \
             `t`.`info_id` IS NOT NULL AND `t`.`info_id` > CAST(? AS SIGNED) AND `t`.`info_id` <= CAST(? AS SIGNED) \
             ORDER BY `t`.`info_id` LIMIT 50"
        );
        assert_eq!(question.values, ["17", "'; DROP TABLE sys_user --"]);
    }

    #[test]
    fn a_key_of_several_columns_is_compared_column_by_column() {
        let map = built_in_map("sapb1_usr5");
        let after = key(&["2025-06-18 00:00:00.000", "82145"]);
        let question =
            Question::rows(DatabaseKind::SqlServer, &map, Span { after: Some(&after), up_to: None }, 10);
        let condition = question.text.split(" AND [t].[Date] >= ").nth(1).unwrap();
        assert_eq!(
            condition,
            "CONVERT(datetime, @P1, 121) AND ([t].[Date] > CONVERT(datetime, @P2, 121) OR ([t].[Date] = \
             CONVERT(datetime, @P3, 121) AND [t].[Time] > CAST(@P4 AS bigint))) ORDER BY [t].[Date], [t].[Time]"
        );
        assert_eq!(question.values.len(), 4);
        assert!(question.text.starts_with("SELECT TOP (10) "));
    }

    #[test]
    fn names_come_from_joined_tables_and_a_schema_may_be_left_out() {
        let text = Question::last(DatabaseKind::PostgreSql, &built_in_map("odoo_production"), 20).text;
        assert!(
            text.contains("LEFT JOIN \"res_users\" AS \"w\" ON \"w\".\"id\" = \"t\".\"write_uid\""),
            "{text}"
        );
        assert!(text.ends_with("ORDER BY \"t\".\"write_date\" DESC, \"t\".\"id\" DESC LIMIT 20"), "{text}");
        let text = Question::last(DatabaseKind::SqlServer, &built_in_map("u8_ua_log"), 20).text;
        assert!(text.contains("FROM [UFSystem]..[UA_Log] AS [t]"), "{text}");
    }

    #[test]
    fn no_question_says_star_or_writes() {
        for (name, _) in crate::manifest::BUILT_IN_MAPS {
            for kind in [DatabaseKind::SqlServer, DatabaseKind::MySql, DatabaseKind::PostgreSql] {
                let map = built_in_map(name);
                let after: Key = map.key.iter().map(|_| "1".to_owned()).collect();
                let span = Span { after: Some(&after), up_to: Some(&after) };
                let text = Question::rows(kind, &map, span, 10).text;
                assert!(text.starts_with("SELECT ") && !text.contains('*'), "{text}");
                for word in ["INSERT", "UPDATE", "DELETE", "EXEC", ";", "--"] {
                    assert!(!text.contains(word), "{text}");
                }
            }
        }
    }
}
