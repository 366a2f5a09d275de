//! MySQL and MariaDB: the part of their protocol that one prepared SELECT needs, over a line of ours.
//!
//! `mysql_async` takes neither a stream nor a pinned certificate from its caller, and brings a pool, URLs, binlogs and
//! their crates (decision 0017). Texts are asked for in their columns' own character sets and become UTF-8 here.
//! Deliberately absent: compression, multiple statements, local files, old passwords, passwords over open lines where
//! the method would show them.

mod packets;
mod values;

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use self::packets::{Column, Greeting, Reader, scrambled_native, scrambled_sha2};
use super::line::{Line, Stream};
use super::question::Question;
use super::{Answer, Cells};
use crate::CollectError;
use crate::manifest::Encoding;

/// Longest packet that is read.
const MAX_PACKET: usize = 8 << 20;
/// Most columns of one answer.
const MAX_COLUMNS: u64 = 256;
/// Most steps of logging in.
const MAX_STEPS: usize = 8;

/// An open session.
pub(super) struct Client {
    line: Line,
    stream: Stream,
    sequence: u8,
    encoding: Option<Encoding>,
    /// What was asked last, for messages.
    asked: String,
}

impl Client {
    pub(super) async fn connect(line: &Line, encoding: Option<Encoding>) -> Result<Self, CollectError> {
        let tcp = line.tcp().await?;
        let asked = "logging in".to_owned();
        let mut client = Self { line: line.clone(), stream: Box::new(tcp), sequence: 0, encoding, asked };
        line.in_time(client.log_in()).await??;
        let millis = line.timeout.as_millis();
        for setting in [
            "SET SESSION TRANSACTION READ ONLY",
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "SET character_set_results = NULL",
            // What is a moment is written in the manifest's zone here: keys stay as they are whatever the zone.
            "SET time_zone = '+00:00'",
        ] {
            client.command(setting).await?;
        }
        // MySQL has the one, MariaDB the other: in milliseconds and in seconds.
        let limits = [
            format!("SET SESSION max_execution_time = {millis}"),
            format!("SET SESSION max_statement_time = {}", line.timeout.as_secs().max(1)),
        ];
        for limit in limits {
            if let Err(CollectError::Lost { endpoint, source }) = client.command(&limit).await {
                return Err(CollectError::Lost { endpoint, source });
            }
        }
        Ok(client)
    }

    async fn log_in(&mut self) -> Result<(), CollectError> {
        let greeting = self.packet().await?;
        let greeting = match greeting.first() {
            Some(0xff) => return Err(self.error(&greeting)),
            _ => Greeting::read(&greeting).ok_or_else(|| self.line.unreadable("it is no MySQL server"))?,
        };
        let open = self.line.is_open();
        if !open {
            if !greeting.has_tls() {
                return Err(self.line.no_tls());
            }
            self.send(&greeting.tls_request()).await?;
            let tcp = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
            self.stream = Box::new(self.line.secure(tcp).await?);
        }
        let password = self.line.password()?;
        let (user, database) = (self.line.server.user.name.clone(), self.line.server.database.clone());
        let (mut method, mut nonce) = (greeting.method.clone(), greeting.nonce.clone());
        let proof = self.proof(&method, &password, &nonce)?;
        self.send(&greeting.response(!open, &user, &proof, &database, &method)).await?;
        for _ in 0..MAX_STEPS {
            let packet = self.packet().await?;
            match packet.split_first() {
                Some((0x00, _)) => return Ok(()),
                Some((0xff, _)) => return Err(self.error(&packet)),
                Some((0xfe, rest)) => {
                    let mut reader = Reader(rest);
                    let named = reader.terminated().unwrap_or_default();
                    method = String::from_utf8_lossy(named).into_owned();
                    nonce = reader.0.strip_suffix(&[0]).unwrap_or(reader.0).to_vec();
                    let proof = self.proof(&method, &password, &nonce)?;
                    self.send(&proof).await?;
                }
                // What it knew of the account sufficed.
                Some((0x01, [0x03])) => {}
                // It wants the password itself.
                Some((0x01, [0x04])) if !open => {
                    let mut plain = password.clone().into_bytes();
                    plain.push(0);
                    self.send(&plain).await?;
                }
                Some((0x01, [0x04])) => {
                    let why = "it asks for the password itself, and the line is open: set tls = \"required\"";
                    return Err(self.line.refused(why.to_owned()));
                }
                Some(_) | None => return Err(self.line.unreadable("unknown answer to logging in")),
            }
        }
        Err(self.line.unreadable("logging in does not end"))
    }

    fn proof(&self, method: &str, password: &str, nonce: &[u8]) -> Result<Vec<u8>, CollectError> {
        if password.is_empty() {
            return Ok(Vec::new());
        }
        match method {
            "mysql_native_password" => Ok(scrambled_native(password, nonce)),
            "caching_sha2_password" => Ok(scrambled_sha2(password, nonce)),
            other => Err(self.line.refused(format!(
                "the account is checked by `{other}`; make one with mysql_native_password or caching_sha2_password"
            ))),
        }
    }

    /// A statement without an answer.
    async fn command(&mut self, text: &str) -> Result<(), CollectError> {
        let line = self.line.clone();
        text.clone_into(&mut self.asked);
        line.in_time(self.say(0x03, text.as_bytes())).await??;
        let packet = line.in_time(self.packet()).await??;
        match packet.first() {
            Some(0x00) => Ok(()),
            Some(0xff) => Err(self.error(&packet)),
            Some(_) | None => Err(self.line.unreadable(format!("unknown answer to {text}"))),
        }
    }

    pub(super) async fn ask(&mut self, question: &Question) -> Result<Cells, CollectError> {
        let line = self.line.clone();
        line.in_time(self.prepared(question)).await?
    }

    async fn prepared(&mut self, question: &Question) -> Result<Cells, CollectError> {
        question.of.clone_into(&mut self.asked);
        self.say(0x16, question.text.as_bytes()).await?;
        let packet = self.packet().await?;
        if packet.first() == Some(&0xff) {
            return Err(self.error(&packet));
        }
        let mut reader = Reader(packet.get(1..).unwrap_or_default());
        let prepared = (|| Some((reader.number(4)?, reader.number(2)?, reader.number(2)?)))();
        let (statement, columns, values) = prepared.ok_or_else(|| self.cut())?;
        for count in [values, columns] {
            self.columns(count).await?;
        }
        if values != question.values.len() as u64 {
            let why = format!("asked for {}, it wants {values} values", self.asked);
            return Err(self.line.unreadable(why));
        }
        let statement = u32::try_from(statement).unwrap_or_default();
        self.say(0x17, &packets::execute(statement, &question.values)).await?;
        let packet = self.packet().await?;
        let rows = match packet.first() {
            Some(0xff) => Err(self.error(&packet)),
            Some(_) => {
                let count = Reader(&packet).length().ok_or_else(|| self.cut())?;
                let columns = self.columns(count).await?;
                self.rows(&columns, question.keys).await
            }
            None => Err(self.cut()),
        }?;
        // Has no answer.
        self.say(0x19, &statement.to_le_bytes()).await?;
        Ok(rows)
    }

    async fn columns(&mut self, count: u64) -> Result<Vec<Column>, CollectError> {
        if count > MAX_COLUMNS {
            let why = format!("asked for {}, it answers {count} columns, at most {MAX_COLUMNS}", self.asked);
            return Err(self.line.unreadable(why));
        }
        let mut columns = Vec::new();
        for _ in 0..count {
            let packet = self.packet().await?;
            columns.push(Column::read(&packet).ok_or_else(|| self.cut())?);
        }
        if count > 0 {
            let end = self.packet().await?;
            if !packets::is_end(&end) {
                return Err(self
                    .line
                    .unreadable(format!("asked for {}, its columns do not end", self.asked)));
            }
        }
        Ok(columns)
    }

    async fn rows(&mut self, columns: &[Column], keys: usize) -> Result<Cells, CollectError> {
        let line = self.line.clone();
        let reading = values::Reading { encoding: self.encoding, keys, zone_minutes: line.zone_minutes };
        let mut answer = Answer::new(&line);
        loop {
            let packet = self.packet().await?;
            if packets::is_end(&packet) {
                return Ok(answer.rows);
            }
            if packet.first() == Some(&0xff) {
                return Err(self.error(&packet));
            }
            answer.take(values::row(&packet, columns, reading).ok_or_else(|| self.cut())?)?;
        }
    }

    /// What the account may do beside reading, in the server's words.
    pub(super) async fn may(&mut self) -> Result<Vec<String>, CollectError> {
        let grants = self.ask(&Question::plain("SHOW GRANTS")).await?;
        let lines = grants.into_iter().filter_map(|row| row.into_iter().next().flatten());
        Ok(lines.flat_map(|line| rights(&line)).collect())
    }

    async fn say(&mut self, command: u8, text: &[u8]) -> Result<(), CollectError> {
        self.sequence = 0;
        let mut payload = Vec::with_capacity(text.len() + 1);
        payload.push(command);
        payload.extend(text);
        self.send(&payload).await
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), CollectError> {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut packet = vec![length[0], length[1], length[2], self.sequence];
        packet.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        let sent = async {
            self.stream.write_all(&packet).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| self.line.lost(error))
    }

    async fn packet(&mut self) -> Result<Vec<u8>, CollectError> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).await.map_err(|error| self.line.lost(error))?;
        let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
        if length > MAX_PACKET {
            let why =
                format!("asked for {}, it sends {length} bytes at once, at most {MAX_PACKET}", self.asked);
            return Err(self.line.unreadable(why));
        }
        if head[3] != self.sequence {
            return Err(self
                .line
                .unreadable(format!("asked for {}, its packets are out of order", self.asked)));
        }
        self.sequence = self.sequence.wrapping_add(1);
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.map_err(|error| self.line.lost(error))?;
        Ok(payload)
    }

    fn cut(&self) -> CollectError {
        self.line.unreadable(format!("asked for {}, its answer is cut short", self.asked))
    }

    /// By code: who is refused must not try again soon.
    fn error(&self, packet: &[u8]) -> CollectError {
        let mut reader = Reader(packet.get(1..).unwrap_or_default());
        let code = reader.number(2).unwrap_or_default();
        let text = String::from_utf8_lossy(reader.0);
        let why =
            format!("{} ({code})", text.strip_prefix('#').and_then(|text| text.get(5..)).unwrap_or(&text));
        match code {
            1044 | 1045 | 1049 | 1129 | 1130 | 1142 | 1143 | 1698 | 1227 => self.line.refused(why),
            1146 => CollectError::Missing { path: format!("{}: {why}", self.line.endpoint()) },
            1040 | 1053 | 1205 | 1213 | 1317 | 1969 | 2013 | 3024 => self.line.lost(io::Error::other(why)),
            _ => self.line.unreadable(why),
        }
    }
}

/// What a line of `SHOW GRANTS` allows beside reading. A role is named: what it allows is not looked into.
fn rights(line: &str) -> Vec<String> {
    let harmless =
        ["USAGE", "SELECT", "SHOW VIEW", "SHOW DATABASES", "PROCESS", "REPLICATION CLIENT", "BINLOG MONITOR"];
    let Some(granted) = line.strip_prefix("GRANT ") else { return Vec::new() };
    let bare = bare(granted);
    let is_role = bare.find(" TO ") < bare.find(" ON ") || !bare.contains(" ON ");
    let end = bare.find(if is_role { " TO " } else { " ON " }).unwrap_or(bare.len());
    let commas = bare[..end].match_indices(',').map(|(at, _)| at + 1);
    let starts: Vec<usize> = std::iter::once(0).chain(commas).collect();
    let parts = starts.iter().enumerate().map(|(at, start)| {
        let end = starts.get(at + 1).map_or(end, |next| next - 1);
        if is_role { granted[*start..end].trim() } else { bare[*start..end].trim() }
    });
    let mut found: Vec<_> = parts
        .filter(|right| !right.is_empty() && !harmless.contains(right))
        .map(|right| match is_role {
            true => format!("what role {right} may, which was not looked into"),
            false => right.split_whitespace().collect::<Vec<_>>().join(" "),
        })
        .collect();
    if bare.ends_with(" WITH GRANT OPTION") {
        found.push("GRANT OPTION".to_owned());
    }
    found
}

/// The text with spaces in place of what stands in quotes or brackets.
fn bare(text: &str) -> String {
    let (mut quote, mut depth) = (None, 0_u32);
    let kept = text.bytes().map(|byte| {
        let inside = quote.is_some() || depth > 0;
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (None, b'`' | b'\'' | b'"') => quote = Some(byte),
            (None, b'(') => depth += 1,
            (None, b')') => depth = depth.saturating_sub(1),
            (Some(_) | None, _) => {}
        }
        let is_plain = !inside && quote.is_none() && depth == 0 && byte.is_ascii();
        char::from(if is_plain { byte } else { b' ' })
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_may_only_read_has_no_other_rights() {
        assert_eq!(rights("GRANT USAGE ON *.* TO `inuse`@`%` IDENTIFIED BY PASSWORD '*2470'"), [""; 0]);
        assert_eq!(rights("GRANT SELECT, SHOW VIEW ON `mes`.* TO `inuse`@`%`"), [""; 0]);
        assert_eq!(rights("GRANT SELECT (`oper_id`, `title`) ON `mes`.`a` TO `inuse`@`%`"), [""; 0]);
        assert_eq!(rights("GRANT SELECT (`a ON b`, `报工,单`), USAGE ON `mes`.`a` TO `inuse`@`%`"), [""; 0]);
    }

    #[test]
    fn what_an_account_may_do_beside_reading_is_told_by_column_and_by_role_too() {
        assert_eq!(rights("GRANT SELECT, INSERT, DROP ON `mes`.* TO `u`@`%`"), ["INSERT", "DROP"]);
        assert_eq!(rights("GRANT ALL PRIVILEGES ON *.* TO `root`@`%`"), ["ALL PRIVILEGES"]);
        assert_eq!(
            rights("GRANT SELECT (`a`), UPDATE (`a`, `b`), CREATE VIEW ON `mes`.`a` TO `u`@`%`"),
            ["UPDATE", "CREATE VIEW"]
        );
        assert_eq!(
            rights("GRANT SELECT ON `mes`.* TO `u`@`%` WITH GRANT OPTION"),
            ["GRANT OPTION"],
            "it may hand its rights on"
        );
        let of_role = |name: &str| format!("what role {name} may, which was not looked into");
        // MySQL's way, and MariaDB's.
        assert_eq!(
            rights("GRANT `写入`@`%`,`app ON x`@`%` TO `inuse`@`%`"),
            [of_role("`写入`@`%`"), of_role("`app ON x`@`%`")]
        );
        assert_eq!(rights("GRANT writer TO `inuse`@`%` WITH ADMIN OPTION"), [of_role("writer")]);
    }
}
