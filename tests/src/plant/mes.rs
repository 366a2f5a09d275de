//! An MES with an audit table in a real database: it writes as such systems do, and its history is tampered with.
//!
//! Numbers are given out in order and committed out of order, by transactions that stay open for a while. What is done
//! is drawn from a seed, and an account is kept of it: how many rows anybody could see, and what became of which.

use std::ops::Range;

use crate::databases::{Product, Server, Session};

/// The statement that makes RuoYi's `sys_oper_log`, as far as its map reads it and a little more.
pub fn table(product: Product) -> String {
    let time = match product {
        Product::PostgreSql => "timestamp",
        Product::MariaDb => "datetime",
    };
    format!(
        "CREATE TABLE sys_oper_log (oper_id bigint PRIMARY KEY, title varchar(50), business_type int, \
         method varchar(100), request_method varchar(10), operator_type int, oper_name varchar(50), \
         dept_name varchar(50), oper_url varchar(255), oper_ip varchar(128), oper_param varchar(2000), \
         status int, oper_time {time})"
    )
}

/// The statement that writes these rows: who and when follows from the number, within an hour of 2025-06-18.
pub fn insert(ids: impl IntoIterator<Item = u64>) -> String {
    let row = |id: u64| {
        format!(
            "({id}, '报工单', 1, 'add()', 'POST', 1, 'wang{:02}', '一车间', '/mes/feedback', '192.168.1.61', \
             '{{}}', 0, '2025-06-18 08:{:02}:45')",
            id % 7,
            id % 60
        )
    };
    let rows: Vec<_> = ids.into_iter().map(row).collect();
    format!("INSERT INTO sys_oper_log VALUES {}", rows.join(", "))
}

/// What was done last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Rows were written and committed.
    Wrote,
    /// Rows were written by a transaction that is open.
    WroteLate,
    /// An open transaction was committed.
    Committed,
    /// A row was changed.
    Edited,
    /// Rows from among others were deleted.
    Deleted,
    /// The oldest rows were deleted.
    Trimmed,
}

/// What a reader should have seen by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Rows that were visible to others.
    pub visible: u64,
    /// Rows changed afterwards.
    pub edited: u64,
    /// Rows deleted from among others.
    pub removed: u64,
    /// Rows deleted from the bottom.
    pub trimmed: u64,
}

/// An MES and its table.
pub struct Mes<'a> {
    server: &'a Server,
    random: u64,
    next: u64,
    /// Numbers of the rows that are there, in order.
    there: Vec<u64>,
    open: Option<(Session, Range<u64>)>,
    account: Account,
}

impl<'a> Mes<'a> {
    /// Makes the table.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn open(server: &'a Server, seed: u64) -> anyhow::Result<Self> {
        server.write(&table(server.product())).await?;
        Ok(Self {
            server,
            random: seed.max(1),
            next: 1,
            there: Vec::new(),
            open: None,
            account: Account::default(),
        })
    }

    /// What a reader should have seen by now.
    pub fn account(&self) -> Account {
        self.account
    }

    /// Does something.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn step(&mut self) -> anyhow::Result<Deed> {
        match self.draw(10) {
            0..=3 => self.write().await,
            4 | 5 => match self.open.take() {
                None => self.write_late().await,
                Some(open) => self.commit(open).await,
            },
            6 | 7 if self.there.len() > 2 => self.edit().await,
            8 if self.there.len() > 2 => self.delete().await,
            9 if self.there.len() > 40 => self.trim().await,
            _ => self.write().await,
        }
    }

    /// Commits what is open.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn finish(&mut self) -> anyhow::Result<()> {
        match self.open.take() {
            Some(open) => self.commit(open).await.map(drop),
            None => Ok(()),
        }
    }

    async fn write(&mut self) -> anyhow::Result<Deed> {
        let ids = self.numbers();
        self.server.write(&insert(ids.clone())).await?;
        self.came(ids);
        Ok(Deed::Wrote)
    }

    async fn write_late(&mut self) -> anyhow::Result<Deed> {
        let ids = self.numbers();
        let mut session = self.server.session()?;
        session.run("BEGIN").await?;
        session.run(&insert(ids.clone())).await?;
        self.open = Some((session, ids));
        Ok(Deed::WroteLate)
    }

    async fn commit(&mut self, (mut session, ids): (Session, Range<u64>)) -> anyhow::Result<Deed> {
        session.run("COMMIT").await?;
        self.came(ids);
        Ok(Deed::Committed)
    }

    async fn edit(&mut self) -> anyhow::Result<Deed> {
        let id = self.one_above_the_lowest();
        self.account.edited += 1;
        let name = format!("li{:05}", self.account.edited);
        self.server
            .write(&format!("UPDATE sys_oper_log SET oper_name = '{name}' WHERE oper_id = {id}"))
            .await?;
        Ok(Deed::Edited)
    }

    async fn delete(&mut self) -> anyhow::Result<Deed> {
        // Not the newest: without it the table would be that of a copy which is behind.
        let newest = self.there.pop();
        let id = self.one_above_the_lowest();
        self.there.extend(newest);
        self.there.retain(|known| *known != id);
        self.account.removed += 1;
        self.server.write(&format!("DELETE FROM sys_oper_log WHERE oper_id = {id}")).await?;
        Ok(Deed::Deleted)
    }

    async fn trim(&mut self) -> anyhow::Result<Deed> {
        let count = 1 + self.draw(20);
        let count = usize::try_from(count).unwrap_or(1);
        // One by one: a range would wait for whoever is writing next to it.
        let oldest: Vec<_> = self.there.drain(..count).map(|id| id.to_string()).collect();
        self.account.trimmed += u64::try_from(count).unwrap_or(0);
        let oldest = oldest.join(", ");
        self.server.write(&format!("DELETE FROM sys_oper_log WHERE oper_id IN ({oldest})")).await?;
        Ok(Deed::Trimmed)
    }

    fn came(&mut self, ids: Range<u64>) {
        self.account.visible += ids.end - ids.start;
        self.there.extend(ids);
        self.there.sort_unstable();
    }

    fn numbers(&mut self) -> Range<u64> {
        let from = self.next;
        self.next += 1 + self.draw(60);
        from..self.next
    }

    /// The lowest is left alone: without it the others would be what a retention leaves.
    fn one_above_the_lowest(&mut self) -> u64 {
        let count = u64::try_from(self.there.len()).unwrap_or(u64::MAX);
        let at = 1 + self.draw(count - 1);
        self.there[usize::try_from(at).unwrap_or(1)]
    }

    /// xorshift64: below `bound`.
    fn draw(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }
}
