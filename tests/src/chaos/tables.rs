//! An MES with an audit table of a run, in each database that is at hand, and what befalls it.
//!
//! Rows are numbered in order and committed out of order. Where no database is named (see [`crate::databases`]) tables
//! take no part, and the report says so.

pub mod book;
pub mod judge;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daemon::Tasks;
use tokio_util::sync::CancellationToken;

use super::faults::{Dice, Round};
use super::lines::Weather;
use super::record::Record;
use crate::databases::{DATABASE, Product, READER, Server, Session};
use crate::plant::mes::{insert, table};
use book::{Book, Fault};

/// Time between two statements, in seconds.
const APART: (f64, f64) = (0.1, 0.8);

/// How often it is looked whether something was read.
const LOOK: Duration = Duration::from_millis(50);

/// The products, the variables that name them, and what a manifest calls them.
const PRODUCTS: [(Product, &str, &str); 2] =
    [(Product::PostgreSql, "INUSE_POSTGRESQL", "postgresql"), (Product::MariaDb, "INUSE_MARIADB", "mariadb")];

/// One MES and its database.
pub struct Mes {
    kind: &'static str,
    server: Server,
    dice: Dice,
    weather: Weather,
    record: Arc<Record>,
    book: Arc<Book>,
    next: u64,
    open: Option<(Session, Vec<u64>)>,
    round: Round<Fault>,
}

/// Starts one in each database that is named; and what is not.
///
/// # Errors
/// When one that is named does not start.
pub async fn start(
    weather: Weather,
    seed: u64,
    record: &Arc<Record>,
) -> anyhow::Result<(Vec<Mes>, Vec<String>)> {
    let (mut there, mut absent) = (Vec::new(), Vec::new());
    for (at, (product, variable, kind)) in PRODUCTS.into_iter().enumerate() {
        if std::env::var_os(variable).is_none() {
            absent.push(format!("{kind} took no part: {variable} is not set"));
            continue;
        }
        let server = Server::start(product).await?;
        server.write(&table(product)).await?;
        let (record, book) = (Arc::clone(record), Arc::default());
        let dice = Dice::new(seed, 3_000 + at as u64);
        there.push(Mes {
            kind,
            server,
            dice,
            weather,
            record,
            book,
            next: 1,
            open: None,
            round: Round::new(Fault::ALL),
        });
    }
    Ok((there, absent))
}

/// Lets them work.
pub fn spawn(those: Vec<Mes>, tasks: &mut Tasks, stop: &CancellationToken) {
    for mes in those {
        let stop = stop.clone();
        tasks.spawn(mes.name(), mes.run(stop));
    }
}

impl Mes {
    /// The name of its source.
    pub fn name(&self) -> String {
        format!("mes {}", self.kind)
    }

    /// What it wrote.
    pub fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book)
    }

    /// Its source in the manifest, and the password that this names.
    ///
    /// # Errors
    /// When the password cannot be written.
    pub fn manifest(&self, folder: &Path) -> anyhow::Result<String> {
        std::fs::write(folder.join("mes.password"), READER.1)?;
        Ok(format!(
            "[[sources]]\nname = \"{}\"\ncadence = \"1s\"\n[sources.table]\nmap = \"ruoyi_oper_log\"\n\
             max_rows = 500\noverlap = \"1s\"\n[sources.table.server]\nkind = \"{}\"\nhost = \"127.0.0.1\"\nport = {}\n\
             database = \"{DATABASE}\"\nuser = \"{}\"\npassword_file = \"mes.password\"\n\
             server_thumbprint = \"{}\"\n",
            self.name(),
            self.kind,
            self.server.port(),
            READER.0,
            self.server.pin()
        ))
    }

    async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut next = self.record.now() + self.quiet();
        while self.record.now() < self.weather.calm_from && !stop.is_cancelled() {
            self.write().await?;
            if self.record.now() >= next {
                let fault = self.round.next(&mut self.dice);
                self.happen(fault, &stop).await?;
                next = self.record.now() + self.quiet();
            }
            let (from, to) = APART;
            tokio::time::sleep(Duration::from_secs_f64(self.dice.within(from..to))).await;
        }
        self.commit().await?;
        self.book.ended();
        // Whoever reads it is to find it.
        stop.cancelled().await;
        Ok(())
    }

    fn quiet(&mut self) -> Duration {
        let (from, to) = self.weather.apart;
        Duration::from_secs_f64(self.dice.within(from..to))
    }

    fn numbers(&mut self) -> Vec<u64> {
        let from = self.next;
        self.next += 1 + self.dice.below(20);
        (from..self.next).collect()
    }

    async fn write(&mut self) -> anyhow::Result<()> {
        let ids = self.numbers();
        self.book.commits(&ids);
        self.server.write(&insert(ids.iter().copied())).await?;
        self.book.committed(&ids, self.record.now());
        if self.dice.below(3) == 0 {
            self.commit().await?;
        }
        Ok(())
    }

    /// Commits what is open.
    async fn commit(&mut self) -> anyhow::Result<()> {
        if let Some((mut session, ids)) = self.open.take() {
            self.book.commits(&ids);
            session.run("COMMIT").await?;
            self.book.committed(&ids, self.record.now());
        }
        Ok(())
    }

    async fn happen(&mut self, fault: Fault, stop: &CancellationToken) -> anyhow::Result<()> {
        match fault {
            Fault::LateCommit => {
                self.commit().await?;
                let ids = self.numbers();
                let mut session = self.server.session()?;
                session.run("BEGIN").await?;
                session.run(&insert(ids.iter().copied())).await?;
                self.open = Some((session, ids));
                self.book.injected(fault);
            }
            Fault::SessionCut => {
                self.book.begins(fault, self.record.now());
                self.server.cut_reader().await?;
                self.book.ends(self.record.now());
            }
            Fault::Restart => {
                self.commit().await?;
                let (from, to) = self.weather.lasts;
                let lasts = Duration::from_secs_f64(self.dice.within(from..to));
                self.book.begins(fault, self.record.now());
                self.server.kill().await?;
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(lasts) => {}
                }
                self.server.up().await?;
                self.book.ends(self.record.now());
            }
            Fault::Edit | Fault::Delete => {
                self.commit().await?;
                if !self.waits(stop, Book::is_read).await {
                    return Ok(());
                }
                // The lowest is left alone: without it the others would be what a retention leaves.
                let Some(id) = self.book.any_but_the_lowest(&mut self.dice) else { return Ok(()) };
                self.book.changes(fault, id, self.record.now());
                let statement = if fault == Fault::Delete {
                    format!("DELETE FROM sys_oper_log WHERE oper_id = {id}")
                } else {
                    format!("UPDATE sys_oper_log SET oper_name = 'li{id}' WHERE oper_id = {id}")
                };
                self.server.write(&statement).await?;
                self.waits(stop, Book::is_told).await;
            }
        }
        Ok(())
    }

    /// Waits until the reader has come so far; `false` when it never does.
    async fn waits(&self, stop: &CancellationToken, enough: impl Fn(&Book) -> bool) -> bool {
        while !enough(&self.book) {
            if stop.is_cancelled() || self.record.now() >= self.weather.calm_from {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }
}
