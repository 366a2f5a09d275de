//! The collector of audit tables: follows one table of a business system's database and turns its rows into records.
//!
//! It asks one SELECT at a time over one session that the server was told to keep read-only, names every column, and
//! bounds every answer. Each row is handed over once: where reading stands travels with the rows as a bookmark. Rows
//! that were read and are not there as they were become findings ([`proof::Rewrite`]).
//!
//! `follow.rs` is the pure part: which rows are new, and which are not as they were. `question.rs` writes the SELECTs,
//! `meaning.rs` makes records of rows, `line.rs` and one file a product are the line.
//!
//! Deliberately absent: SQL in the manifest, writing of any kind, reading the transaction log, Oracle (no client of it
//! is free of Oracle's own library).

mod follow;
mod line;
mod meaning;
mod mysql;
mod position;
mod postgres;
mod question;
mod rewrites;
mod sqlserver;

use proof::What;
use proof::observation::Records;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::classes::Found;
use crate::manifest::{AuditTable, Column, DatabaseKind, KeyKind, MomentForm, Source, TableMap};
use crate::{BuildError, CollectError, Collector, Fact, Probe, Running, SampleSender, Turn};
use follow::{Follower, Habits, Row, Rows, Span};
use line::Line;
use meaning::Meaning;
use position::{MAX_KEY, Position};
use question::Question;

/// Rows that a probe shows.
const PROBED: u32 = 20;
/// Most characters of a field; what follows them is not read.
const MAX_CELL: usize = 4_000;
/// Most bytes of one answer.
const MAX_ANSWER: usize = 16 << 20;

/// What is wrong with a table's rules and accounts.
pub(crate) fn complaints(table: &AuditTable) -> Found {
    Meaning::compile(table).err().unwrap_or_default()
}

/// Follows one table.
pub struct TableCollector {
    source: u16,
    cadence_ms: i64,
    table: Table,
    habits: Habits,
    meaning: Meaning,
    /// Of what was handed over last.
    position: Position,
}

/// Cells of one answer's rows.
type Cells = Vec<Vec<Option<String>>>;

/// Takes rows in until they are too much for a gateway.
struct Answer<'a> {
    line: &'a Line,
    rows: Cells,
    bytes: usize,
}

impl<'a> Answer<'a> {
    fn new(line: &'a Line) -> Self {
        Self { line, rows: Vec::new(), bytes: 0 }
    }

    fn take(&mut self, row: Vec<Option<String>>) -> Result<(), CollectError> {
        self.bytes += row.iter().flatten().map(|cell| 32 + cell.len()).sum::<usize>();
        if self.bytes > MAX_ANSWER {
            let why = format!("an answer of more than {MAX_ANSWER} bytes; lower max_rows");
            return Err(self.line.unreadable(why));
        }
        self.rows.push(row);
        Ok(())
    }
}

/// What is asked, and where.
#[derive(Clone)]
struct Table {
    line: Line,
    map: TableMap,
}

impl TableCollector {
    /// Goes on from `bookmark`; without one, from the table's beginning.
    ///
    /// # Errors
    /// When the bookmark is of another version or another table, or a pattern does not compile.
    pub fn new(source: &Source, table: &AuditTable, bookmark: Option<&[u8]>) -> Result<Self, BuildError> {
        let meaning = Meaning::compile(table).map_err(|mut found| {
            let (pattern, why) = found.swap_remove(0);
            BuildError::Pattern { pattern, why }
        })?;
        let (what, fields) = (print_of_table(&table.map), print_of_reading(table));
        let encoding = table.map.encoding.map(|encoding| format!("{encoding:?}").to_lowercase());
        let texts = encoding.unwrap_or_else(|| "none".to_owned());
        let mut position = match bookmark {
            None => {
                let mut secret = [0; 16];
                getrandom::fill(&mut secret).map_err(|error| BuildError::File {
                    path: "the system's random numbers".into(),
                    source: error.into(),
                })?;
                Position::new(secret, what, fields)
            }
            Some(bytes) => {
                let position = Position::decode(bytes);
                let mut position = position.ok_or_else(|| BuildError::Position { path: source.address() })?;
                let other = other_rows(&position, table, what, &texts);
                if let Some((before, now)) = other {
                    return Err(BuildError::OtherRows { source_name: source.name.clone(), before, now });
                }
                position.reads(fields);
                position
            }
        };
        (position.name, position.texts) = (name_of_rows(&table.map), texts);
        let habits = Habits {
            overlap_s: i64::try_from(table.overlap.as_secs()).unwrap_or(i64::MAX),
            max_rows: table.max_rows,
            unique: table.map.unique,
            settled: table.map.settled,
            dates: dates(&table.map),
            printed: table.map.fields.iter().map(is_printed).collect(),
        };
        Ok(Self {
            source: source.index,
            cadence_ms: i64::try_from(source.cadence.as_millis()).unwrap_or(i64::MAX),
            table: Table { line: Line::new(table), map: table.map.clone() },
            habits,
            meaning,
            position,
        })
    }

    async fn collect(&mut self, out: &SampleSender, stop: &CancellationToken) -> Result<(), CollectError> {
        let Some(mut turn) = out.turn().await else { return Ok(()) };
        let opened = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            opened = Session::open(&self.table) => opened,
        };
        let mut session = match opened {
            Ok(session) => session,
            Err(error) => {
                out.send(&turn, None, What::Silent(error.cause())).await?;
                return Err(error);
            }
        };
        let mut follower = Follower::new(self.habits.clone(), self.position.clone());
        // The turn at which everything there was had been read, in this run.
        let mut last_ms: Option<i64> = None;
        loop {
            let followed =
                last_ms.is_some_and(|last| turn.due_ms() - last <= self.cadence_ms.saturating_mul(2));
            let caught_up = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                caught_up = self.look(&mut follower, &mut session, &turn, followed, out) => caught_up,
            };
            if let Err(error) = caught_up {
                out.send(&turn, None, What::Silent(error.cause())).await?;
                return Err(error);
            }
            last_ms = Some(turn.due_ms());
            drop(turn);
            turn = match out.turn().await {
                Some(next) => next,
                None => return Ok(()),
            };
        }
    }

    /// Looks until there is nothing new.
    async fn look(
        &mut self,
        follower: &mut Follower,
        session: &mut Session,
        turn: &Turn,
        followed: bool,
        out: &SampleSender,
    ) -> Result<(), CollectError> {
        loop {
            let from = follower.position().total;
            let seen = follower.look(session, turn.due_ms()).await?;
            if seen.lost > 0 {
                let (endpoint, rows) = (self.table.line.endpoint(), seen.lost);
                tracing::warn!(endpoint, rows, "rows came too late to be told from older ones");
            }
            let read = u32::try_from(seen.rows.len()).unwrap_or(u32::MAX);
            let rows = seen.rows.into_iter();
            let records: Vec<_> = rows.filter_map(|(at, row)| self.meaning.record(at, row)).collect();
            let parsed = u32::try_from(records.len()).unwrap_or(u32::MAX);
            let records = Records {
                from,
                to: follower.position().total,
                lines: read.saturating_add(seen.lost),
                unparsed: (read - parsed).saturating_add(seen.lost),
                records,
                bookmark: follower.position().encode(),
                followed,
                rewrites: seen.rewrites,
            };
            out.send(turn, None, What::Records(records)).await?;
            self.position = follower.position().clone();
            if !seen.more {
                return Ok(());
            }
        }
    }
}

impl Collector for TableCollector {
    fn source(&self) -> u16 {
        self.source
    }

    fn run<'a>(&'a mut self, out: &'a SampleSender, stop: &'a CancellationToken) -> Running<'a> {
        Box::pin(self.collect(out, stop))
    }
}

/// A session with a database.
struct Session {
    client: Client,
    map: TableMap,
    line: Line,
}

enum Client {
    PostgreSql(postgres::Client),
    MySql(mysql::Client),
    SqlServer(Box<sqlserver::Client>),
}

impl Session {
    async fn open(table: &Table) -> Result<Self, CollectError> {
        let Table { line, map } = table;
        if line.is_open() {
            tracing::warn!(
                endpoint = line.endpoint(),
                "password and rows travel unprotected: tls = \"none\""
            );
        }
        let client = match line.server.kind {
            DatabaseKind::PostgreSql => Client::PostgreSql(postgres::Client::connect(line).await?),
            DatabaseKind::MySql => Client::MySql(mysql::Client::connect(line, map.encoding).await?),
            DatabaseKind::SqlServer => {
                Client::SqlServer(Box::new(sqlserver::Client::connect(line, map.encoding).await?))
            }
        };
        let mut session = Self { client, map: map.clone(), line: line.clone() };
        let rights = session.may_write().await?;
        if !rights.is_empty() {
            let rights = rights.join(", ");
            tracing::warn!(endpoint = line.endpoint(), rights, "the account may do more than read");
        }
        Ok(session)
    }

    /// Cells of an answer that is about no rows of the table.
    async fn cells(&mut self, question: &Question) -> Result<Cells, CollectError> {
        match &mut self.client {
            Client::PostgreSql(client) => client.ask(question).await,
            Client::MySql(client) => client.ask(question).await,
            Client::SqlServer(client) => client.ask(question).await,
        }
    }

    async fn ask(&mut self, question: &Question) -> Result<Vec<Row>, CollectError> {
        let answer = self.cells(question).await?;
        let keys = self.map.key.len();
        let row = |mut cells: Vec<Option<String>>| {
            if cells.len() != keys + self.map.fields.len() {
                return Err(self.line.unreadable("a row of another number of columns than asked for"));
            }
            let fields = cells.split_off(keys).into_iter().map(|cell| cell.map(shortened)).collect();
            let key: Vec<_> = cells.into_iter().map(Option::unwrap_or_default).collect();
            if key.iter().map(String::len).sum::<usize>() > MAX_KEY {
                return Err(self.line.unreadable(format!("a key of more than {MAX_KEY} bytes")));
            }
            Ok(Row { key, cells: fields })
        };
        answer.into_iter().map(row).collect()
    }

    /// What the account may do beside reading; empty when the server does not say.
    async fn may_write(&mut self) -> Result<Vec<String>, CollectError> {
        let rights = match &mut self.client {
            Client::PostgreSql(client) => client.may(&self.map).await,
            Client::MySql(client) => client.may().await,
            Client::SqlServer(client) => client.may(&self.map).await,
        };
        match rights {
            Err(CollectError::Lost { endpoint, source }) => Err(CollectError::Lost { endpoint, source }),
            Err(_) => Ok(Vec::new()),
            Ok(rights) => Ok(rights),
        }
    }
}

impl Rows for Session {
    async fn rows(&mut self, span: Span<'_>, limit: u32) -> Result<Vec<Row>, CollectError> {
        let question = Question::rows(self.line.server.kind, &self.map, span, limit);
        self.ask(&question).await
    }

    fn name(&self) -> String {
        format!("{} {}", self.line.endpoint(), self.map.table.join("."))
    }
}

/// How the first column of the key writes a date, where it is one.
fn dates(map: &TableMap) -> Option<&'static str> {
    let first = map.key.first()?;
    match first.kind {
        KeyKind::DateTime | KeyKind::DateTime2 => Some("%Y-%m-%d %H:%M:%S"),
        KeyKind::Int => None,
        KeyKind::Text | KeyKind::Ascii => {
            let time = map.time.as_ref().filter(|time| time.form == MomentForm::DateText)?;
            let field = map.fields.iter().find(|field| Some(&field.name) == time.fields.first())?;
            (field.column == first.column).then_some("%Y%m%d")
        }
    }
}

/// The first characters of a long text.
fn shortened(mut text: String) -> String {
    if text.len() > MAX_CELL
        && let Some((end, _)) = text.char_indices().nth(MAX_CELL)
    {
        text.truncate(end);
    }
    text
}

/// How values become text, by number: another one where a later version of this program writes them otherwise.
const READING: u32 = 1;

/// What stays the same while a table's position means anything.
fn print_of_table(map: &TableMap) -> [u8; 8] {
    let keys: Vec<_> = map.key.iter().map(|key| format!("{} {:?}", key.column, key.kind)).collect();
    print(&[map.table.join("."), keys.join(",")])
}

/// The same, for people.
fn name_of_rows(map: &TableMap) -> String {
    let keys: Vec<_> = map.key.iter().map(|key| format!("{} {:?}", key.column, key.kind)).collect();
    format!("{} ordered by {}", map.table.join("."), keys.join(", "))
}

/// What decides of a row's content as it is compared: all that can make the same row print otherwise.
fn print_of_reading(table: &AuditTable) -> [u8; 8] {
    let map = &table.map;
    let fields = map.fields.iter().filter(|field| is_printed(field));
    let fields = fields.map(|field| format!("{:?}.{}", field.of, field.column));
    let joins = map.joins.iter().map(|join| format!("{join:?}"));
    // Only MySQL writes moments in the zone it is told.
    let zone = match table.server.kind {
        DatabaseKind::MySql => Line::new(table).zone_minutes,
        DatabaseKind::SqlServer | DatabaseKind::PostgreSql => 0,
    };
    let how = format!("{READING} {:?} {:?} {zone}", table.server.kind, map.encoding);
    print(&fields.chain(joins).chain([how]).collect::<Vec<_>>())
}

fn is_printed(field: &Column) -> bool {
    !field.changes
}

/// What a position is of and what the map reads now, where it is of no use for that.
fn other_rows(
    position: &Position,
    table: &AuditTable,
    what: [u8; 8],
    texts: &str,
) -> Option<(String, String)> {
    if position.table != what {
        let before = if position.name.is_empty() { "another table or key" } else { &position.name };
        return Some((before.to_owned(), name_of_rows(&table.map)));
    }
    // Keys in other characters stand in another order.
    let in_words = |key: &&String| !key.is_ascii();
    let floor = position.floor.as_ref().and_then(|floor| floor.columns.iter().find(in_words));
    let reread = !position.texts.is_empty() && position.texts != texts && floor.is_some();
    reread.then(|| (format!("keys with encoding {}", position.texts), format!("encoding {texts}")))
}

fn print(texts: &[String]) -> [u8; 8] {
    let digest = Sha256::digest(texts.join("\n"));
    digest[..8].try_into().expect("a digest has 32 bytes")
}

/// Names of the fields of a row's record; `None` where the map cannot be used.
pub(crate) fn field_names(table: &AuditTable) -> Option<Vec<String>> {
    Some(Meaning::compile(table).ok()?.fields().to_vec())
}

/// Reads a table's last rows and shows what is made of them.
pub(crate) async fn probe(source: &Source, table: &AuditTable) -> Result<Probe, CollectError> {
    let unusable = |found: Found| CollectError::Unreadable {
        endpoint: source.address(),
        why: found.into_iter().map(|(key, why)| format!("{key}: {why}")).collect::<Vec<_>>().join("; "),
    };
    let mut meaning = Meaning::compile(table).map_err(unusable)?;
    let fields = meaning.fields().to_vec();
    let asked = Table { line: Line::new(table), map: table.map.clone() };
    let opened = Session::open(&asked).await;
    let mut probe =
        Probe { source: source.index, fields, server_thumbprint: asked.line.shown(), ..Probe::default() };
    let mut session = match opened {
        Err(CollectError::Refused { why, .. }) if probe.server_thumbprint.is_some() => {
            probe.refused = Some(why);
            return Ok(probe);
        }
        opened => opened?,
    };
    probe.warnings = warnings(table, session.may_write().await?);
    let mut rows = session.ask(&Question::last(table.server.kind, &table.map, PROBED)).await?;
    rows.reverse();
    let lines = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let records: Vec<_> = (0..).zip(rows).filter_map(|(at, row)| meaning.record(at, row)).collect();
    let unparsed = lines - u32::try_from(records.len()).unwrap_or(lines);
    probe.records = Some((records, lines, unparsed));
    Ok(probe)
}

/// Most columns of a schema that are named.
const MOST_COLUMNS: u32 = 20_000;

/// What a table's database is: version, the tables and columns that the account sees, first and last row.
pub(crate) async fn before(source: &Source, table: &AuditTable) -> Result<Vec<Fact>, CollectError> {
    let unusable = |found: Found| CollectError::Unreadable {
        endpoint: source.address(),
        why: found.into_iter().map(|(key, why)| format!("{key}: {why}")).collect::<Vec<_>>().join("; "),
    };
    let mut meaning = Meaning::compile(table).map_err(unusable)?;
    let asked = Table { line: Line::new(table), map: table.map.clone() };
    let mut session = Session::open(&asked).await?;
    let kind = table.server.kind;
    let version = session.cells(&Question::version(kind)).await?;
    let version = version.into_iter().flatten().flatten().next().unwrap_or_default();
    let mut facts = vec![Fact::new("version", shortened(version))];
    for (name, descending) in [("first row", false), ("last row", true)] {
        let question = if descending {
            Question::last(kind, &table.map, 1)
        } else {
            Question::rows(kind, &table.map, Span::default(), 1)
        };
        let row = session.ask(&question).await?.into_iter().next();
        let key = row.as_ref().map_or_else(|| "none".to_owned(), |row| row.key.join(", "));
        facts.push(Fact::new(&format!("{name}: key"), key));
        let at_ms = row.and_then(|row| meaning.record(0, row)).and_then(|record| record.event_ms);
        if let Some(Ok(at)) = at_ms.map(jiff::Timestamp::from_millisecond) {
            facts.push(Fact::new(&format!("{name}: time"), at.strftime("%Y-%m-%dT%H:%M:%SZ")));
        }
    }
    let columns = session.cells(&Question::schema(kind, MOST_COLUMNS)).await?;
    facts.push(Fact::new("columns that the account sees", columns.len()));
    let mut tables: Vec<(String, String)> = Vec::new();
    for row in columns {
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        let mut cell = || cells.next().unwrap_or_default();
        let (name, column) = (format!("{}.{}", cell(), cell()), format!("{} {}", cell(), cell()));
        match tables.last_mut().filter(|(known, _)| *known == name) {
            Some((_, columns)) => *columns = format!("{columns}, {column}"),
            None => tables.push((name, column)),
        }
    }
    let lines: Vec<_> = tables.into_iter().map(|(name, columns)| format!("{name}: {columns}")).collect();
    facts.push(Fact::new("tables", lines.join("\n")));
    Ok(facts)
}

fn warnings(table: &AuditTable, rights: Vec<String>) -> Vec<String> {
    let mut warnings = Vec::new();
    if !rights.is_empty() {
        warnings.push(format!("the account may do more than read: {}", rights.join(", ")));
    }
    if table.server.tls == crate::manifest::Tls::None {
        warnings.push("password and rows travel unprotected: tls = \"none\"".to_owned());
    }
    if !table.map.confirmed {
        let (name, about) = (&table.map.name, &table.map.about);
        warnings
            .push(format!("map `{name}` ({about}) is from memory: compare it with the table on this site"));
    }
    warnings
}

#[cfg(test)]
mod tests;
