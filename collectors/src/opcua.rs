//! The OPC UA collector: reads a server's declared nodes by the Read service, one session per server.
//!
//! `client.rs` is the line, `trust.rs` the certificates, `nodes.rs` the pure part. A bad node costs its own point; a
//! lost session costs the turn and is built anew by the next run: there is one owner of reconnecting, and it is not
//! the library. A session that was opened is closed when a run ends.
//!
//! Deliberately absent: subscriptions (a cadence of our own says what was asked and when), browsing, methods, history,
//! other policies than None and Basic256Sha256, and any way to accept a certificate that is not pinned.

mod client;
pub mod nodes;
mod trust;

use std::path::{Path, PathBuf};

use daemon::Stopwatch;
use proof::What;
use tokio_util::sync::CancellationToken;

use crate::manifest::{OpcUa, Security, Source};
use crate::probe::named;
use crate::{BuildError, CollectError, Collector, Probe, Running, SampleSender, Turn};
use client::{Reader, Server};

/// Reads one server.
pub struct OpcUaCollector {
    source: u16,
    server: Server,
}

impl OpcUaCollector {
    /// Checks the node ids. The key pair of the client, where one is needed, is made at the first connection.
    ///
    /// # Errors
    /// For a node id that the library cannot read.
    pub fn new(source: &Source, server: &OpcUa, state_dir: &Path) -> Result<Self, BuildError> {
        let server = Server::new(server, &own_folder(source, state_dir))?;
        Ok(Self { source: source.index, server })
    }

    async fn collect(&self, out: &SampleSender, stop: &CancellationToken) -> Result<(), CollectError> {
        // The first turn is spent on connecting as well: an unreachable server is one silence a turn.
        let Some(turn) = out.turn().await else { return Ok(()) };
        let connected = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            connected = self.server.connect() => connected,
        };
        let (mut connection, reader) = match connected {
            Ok(open) => open,
            Err(error) => {
                out.send(&turn, None, What::Silent(error.cause())).await?;
                return Err(error);
            }
        };
        let outcome = connection.drive(poll(&reader, turn, out, stop)).await;
        connection.close(&reader).await;
        outcome
    }
}

/// Reads at `turn` and at every turn after it.
async fn poll(
    reader: &Reader<'_>,
    mut turn: Turn,
    out: &SampleSender,
    stop: &CancellationToken,
) -> Result<(), CollectError> {
    loop {
        let asked = Stopwatch::start();
        let read = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            read = reader.read() => read,
        };
        match read {
            Ok(readings) => out.send(&turn, Some(asked.elapsed()), What::Cycle(readings)).await?,
            Err(error) => {
                out.send(&turn, None, What::Silent(error.cause())).await?;
                return Err(error);
            }
        }
        // The old turn ends before the wait for the next begins.
        drop(turn);
        turn = match out.turn().await {
            Some(next) => next,
            None => return Ok(()),
        };
    }
}

impl Collector for OpcUaCollector {
    fn source(&self) -> u16 {
        self.source
    }

    fn run<'a>(&'a mut self, out: &'a SampleSender, stop: &'a CancellationToken) -> Running<'a> {
        Box::pin(self.collect(out, stop))
    }
}

/// Where what belongs to this source alone is kept: by name, because an index moves when the manifest changes.
fn own_folder(source: &Source, state_dir: &Path) -> PathBuf {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(source.name.as_bytes());
    let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    state_dir.join("opcua").join(name)
}

/// Asks a server once. The certificate of a secured server is shown whether or not it is the pinned one.
pub(crate) async fn probe(source: &Source, server: &OpcUa, state_dir: &Path) -> Result<Probe, CollectError> {
    let unusable = |error: BuildError| CollectError::Unreadable {
        endpoint: server.endpoint.clone(),
        why: daemon::chain(&error),
    };
    let line = Server::new(server, &own_folder(source, state_dir)).map_err(unusable)?;
    let endpoint = line.discover().await?;
    let secured = server.security != Security::None;
    let server_thumbprint = secured.then(|| trust::sha256(endpoint.server_certificate.as_ref()).to_string());
    let mut probe = Probe { source: source.index, server_thumbprint, ..Probe::default() };
    match line.connect_to(endpoint).await {
        Ok((mut connection, reader)) => {
            let readings = connection.drive(reader.read()).await;
            connection.close(&reader).await;
            probe.points = named(source, readings?);
        }
        Err(CollectError::Refused { why, .. }) if secured => probe.refused = Some(why),
        Err(error) => return Err(error),
    }
    Ok(probe)
}

#[cfg(test)]
mod tests;
