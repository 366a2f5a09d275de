//! SQL Server, by `tiberius` over a line of ours.
//!
//! `tiberius` can only shake hands by AWS-LC or OpenSSL; here the line is secured with what everything else has, before
//! the library speaks (`prelogin.rs`). Reads are READ COMMITTED: what is not committed would be a row that was never
//! there. A wait for a lock ends with the time-out, and where somebody must give way, it is us.

mod prelogin;
mod values;

use std::io;

use futures::TryStreamExt as _;
use tiberius::{AuthMethod, Config, EncryptionLevel, Query};
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt as _};

use super::line::{Line, Stream};
use super::question::{Question, quoted};
use super::{Answer, Cells};
use crate::CollectError;
use crate::manifest::{DatabaseKind, Encoding, TableMap};

/// An open session.
pub(super) struct Client {
    line: Line,
    client: tiberius::Client<Compat<Stream>>,
    encoding: Option<Encoding>,
}

impl Client {
    pub(super) async fn connect(line: &Line, encoding: Option<Encoding>) -> Result<Self, CollectError> {
        let tcp = line.tcp().await?;
        let stream: Stream =
            if line.is_open() { Box::new(tcp) } else { prelogin::secured(line, tcp).await? };
        let mut config = Config::new();
        config.host(&line.server.host);
        config.port(line.server.port);
        config.database(&line.server.database);
        config.application_name("inuse");
        config.authentication(AuthMethod::sql_server(&line.server.user.name, line.password()?));
        config.encryption(EncryptionLevel::NotSupported);
        config.readonly(true);
        let connecting = tiberius::Client::connect(config, stream.compat_write());
        let client = line.in_time(connecting).await?.map_err(|error| failed(line, &error))?;
        let mut client = Self { line: line.clone(), client, encoding };
        client.command(line.timeout.as_millis()).await?;
        Ok(client)
    }

    async fn command(&mut self, millis: u128) -> Result<(), CollectError> {
        let text = format!(
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT {millis}"
        );
        let Self { line, client, .. } = self;
        let asked = async { client.simple_query(text).await?.into_results().await };
        line.in_time(asked).await?.map(drop).map_err(|error| failed(line, &error))
    }

    pub(super) async fn ask(&mut self, question: &Question) -> Result<Cells, CollectError> {
        let Self { line, client, encoding } = self;
        let mut query = Query::new(question.text.as_str());
        for value in &question.values {
            query.bind(value.as_str());
        }
        let mut answer = Answer::new(line);
        let asked = async {
            let rows = query.query(client).await.map_err(|error| failed(line, &error))?;
            let mut rows = rows.into_row_stream();
            while let Some(row) = rows.try_next().await.map_err(|error| failed(line, &error))? {
                answer.take(row.cells().map(|(_, cell)| values::text(cell, *encoding)).collect())?;
            }
            Ok(())
        };
        line.in_time(asked).await??;
        Ok(answer.rows)
    }

    /// What the account may do to the table beside reading it.
    pub(super) async fn may(&mut self, map: &TableMap) -> Result<Vec<String>, CollectError> {
        let rights = ["INSERT", "UPDATE", "DELETE", "ALTER"];
        let columns: Vec<_> =
            rights.iter().map(|right| format!("HAS_PERMS_BY_NAME(@P1, 'OBJECT', '{right}')")).collect();
        let text = format!("SELECT {}", columns.join(", "));
        let name = quoted(DatabaseKind::SqlServer, &map.table);
        let answer = self.ask(&Question::rights(text, name)).await?;
        let row = answer.into_iter().next().unwrap_or_default();
        let granted = rights.iter().zip(row).filter(|(_, answer)| answer.as_deref() == Some("1"));
        Ok(granted.map(|(right, _)| (*right).to_owned()).collect())
    }
}

/// By number of the message: who is refused must not try again soon.
fn failed(line: &Line, error: &tiberius::error::Error) -> CollectError {
    if let tiberius::error::Error::Io { kind, message } = error {
        return line.lost(io::Error::new(*kind, message.clone()));
    }
    let tiberius::error::Error::Server(token) = error else {
        return line.unreadable(error.to_string());
    };
    let why = format!("{} ({})", token.message(), token.code());
    match token.code() {
        229 | 230 | 297 | 916 | 4060 | 18_450..=18_490 => line.refused(why),
        208 => CollectError::Missing { path: format!("{}: {why}", line.endpoint()) },
        1204 | 1205 | 1222 | 3980 | 6005 | 17_142 => line.lost(io::Error::other(why)),
        _ => line.unreadable(why),
    }
}

#[cfg(test)]
mod tests;
