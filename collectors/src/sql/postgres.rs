//! PostgreSQL, by `tokio-postgres` over a line of ours.

use std::future::Future;
use std::io;
use std::pin::Pin;

use futures::TryStreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

use super::line::{Line, Stream};
use super::question::{Question, quoted};
use super::{Answer, Cells};
use crate::CollectError;
use crate::manifest::TableMap;

/// The question for TLS: its length, and a number in place of a version.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// An open session.
pub(super) struct Client {
    line: Line,
    client: tokio_postgres::Client,
    /// Drives the session; whoever waits for an answer polls it.
    driver: Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>,
}

impl Client {
    pub(super) async fn connect(line: &Line) -> Result<Self, CollectError> {
        let mut tcp = line.tcp().await?;
        let stream: Stream = if line.is_open() {
            Box::new(tcp)
        } else {
            let asked = async {
                tcp.write_all(&TLS_REQUEST).await?;
                tcp.read_u8().await
            };
            match line.in_time(asked).await?.map_err(|error| line.lost(error))? {
                b'S' => Box::new(line.secure(tcp).await?),
                _ => return Err(line.no_tls()),
            }
        };
        let mut config = Config::new();
        config
            .user(&line.server.user.name)
            .password(line.password()?)
            .dbname(&line.server.database)
            .application_name("inuse")
            .ssl_mode(SslMode::Disable);
        let connected = line.in_time(config.connect_raw(stream, NoTls)).await?;
        let (client, driver) = connected.map_err(|error| failed(line, &error))?;
        let mut client = Self { line: line.clone(), client, driver: Box::pin(driver) };
        let millis = line.timeout.as_millis();
        client
            .command(&format!(
                "SET default_transaction_read_only = on; SET statement_timeout = {millis}; \
                 SET lock_timeout = {millis}; SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC'; \
                 SET client_encoding = 'UTF8'"
            ))
            .await?;
        Ok(client)
    }

    async fn command(&mut self, text: &str) -> Result<(), CollectError> {
        let Self { line, client, driver } = self;
        let told = async { client.batch_execute(text).await.map_err(|error| failed(line, &error)) };
        driven(line, driver, told).await
    }

    pub(super) async fn ask(&mut self, question: &Question) -> Result<Cells, CollectError> {
        let Self { line, client, driver } = self;
        let values = question.values.iter().map(String::as_str);
        let mut answer = Answer::new(line);
        let asked = async {
            let rows =
                client.query_raw(&question.text, values).await.map_err(|error| failed(line, &error))?;
            let mut rows = std::pin::pin!(rows);
            while let Some(row) = rows.try_next().await.map_err(|error| failed(line, &error))? {
                let cells = (0..row.len()).map(|at| row.try_get::<_, Option<String>>(at));
                let cells = cells.collect::<Result<_, _>>();
                answer.take(cells.map_err(|error| line.unreadable(error.to_string()))?)?;
            }
            Ok(())
        };
        driven(line, driver, asked).await?;
        Ok(answer.rows)
    }

    /// What the account may do to the table beside reading it.
    pub(super) async fn may(&mut self, map: &TableMap) -> Result<Vec<String>, CollectError> {
        let rights = ["INSERT", "UPDATE", "DELETE", "TRUNCATE"];
        let columns: Vec<_> = rights
            .iter()
            .map(|right| format!("CAST(has_table_privilege(CAST($1 AS text), '{right}') AS text)"))
            .collect();
        let text = format!("SELECT {}", columns.join(", "));
        let name = quoted(crate::manifest::DatabaseKind::PostgreSql, &map.table);
        let answer = self.ask(&Question::rights(text, name)).await?;
        let row = answer.into_iter().next().unwrap_or_default();
        let granted = rights.iter().zip(row).filter(|(_, answer)| answer.as_deref() == Some("true"));
        Ok(granted.map(|(right, _)| (*right).to_owned()).collect())
    }
}

/// Waits for an answer while the session is driven.
async fn driven<T>(
    line: &Line,
    driver: &mut Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>,
    asked: impl Future<Output = Result<T, CollectError>>,
) -> Result<T, CollectError> {
    let both = async {
        tokio::pin!(asked);
        tokio::select! {
            biased;
            answer = &mut asked => answer,
            ended = driver => match ended {
                Err(error) => Err(failed(line, &error)),
                Ok(()) => Err(line.lost(io::Error::from(io::ErrorKind::UnexpectedEof))),
            },
        }
    };
    line.in_time(both).await?
}

/// By class of SQLSTATE (PostgreSQL, appendix A): who is refused must not try again soon.
fn failed(line: &Line, error: &tokio_postgres::Error) -> CollectError {
    let Some(answer) = error.as_db_error() else {
        return line.lost(io::Error::other(daemon::chain(error)));
    };
    let code = answer.code().code();
    let why = format!("{} ({code})", answer.message());
    match code.get(..2) {
        Some("28" | "3D") => line.refused(why),
        _ if code == "42501" => line.refused(why),
        _ if code == "42P01" => CollectError::Missing { path: format!("{}: {why}", line.endpoint()) },
        Some("08" | "53" | "57" | "55" | "40") => line.lost(io::Error::other(why)),
        Some(_) | None => line.unreadable(why),
    }
}
