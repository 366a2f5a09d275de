//! A listener for HTTP/1.1, with or without TLS, that no client can hold open or fill.
//!
//! Bounds: connections at a time, time for the TLS handshake, time for each request's head, time for a connection.
//! The routers bound their bodies.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::Tasks;

/// For a TLS handshake, and for the head of a request.
const OPENING: Duration = Duration::from_secs(10);
/// What open connections get when we stop.
const CLOSING: Duration = Duration::from_secs(2);
/// After a failed accept: the process has no file descriptor to give.
const BREATH: Duration = Duration::from_millis(200);

/// How much one listener gives.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at a time; more wait in the kernel's queue.
    pub connections: usize,
    /// Longest life of one connection.
    pub longest: Duration,
    /// Whether several requests may come over one connection.
    pub keep_alive: bool,
}

/// A bound listener.
pub struct Door {
    name: &'static str,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    bounds: Bounds,
}

impl Door {
    /// Listens on `address` (port 0: one that is free).
    ///
    /// # Errors
    /// The system's.
    pub async fn bind(
        name: &'static str,
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        bounds: Bounds,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { name, listener, address, tls: tls.map(TlsAcceptor::from), bounds })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` fires.
    ///
    /// # Errors
    /// None of a single connection's.
    pub async fn serve(self, router: Router, stop: CancellationToken) -> anyhow::Result<()> {
        info!(name = self.name, address = %self.address, "listening");
        let places = Arc::new(Semaphore::new(self.bounds.connections));
        let mut open = Tasks::new();
        loop {
            let place = tokio::select! {
                () = stop.cancelled() => break,
                // Ended connections are joined here; their errors were logged where they happened.
                Some(_) = open.next() => continue,
                place = Arc::clone(&places).acquire_owned() => place?,
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (name, tls, bounds, router) =
                        (self.name, self.tls.clone(), self.bounds, router.clone());
                    open.spawn(format!("{name} {peer}"), async move {
                        match tokio::time::timeout(bounds.longest, talk(stream, tls, bounds, router)).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => {
                                debug!(name, %peer, error = format!("{error:#}"), "connection failed")
                            }
                            Err(_) => debug!(name, %peer, "connection closed for its age"),
                        }
                        drop(place);
                        Ok(())
                    });
                }
                Err(error) => {
                    warn!(name = self.name, %error, "could not take a connection");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        drop(self.listener);
        if let Err(error) = open.finish(CLOSING).await {
            debug!(name = self.name, %error, "connections cut");
        }
        Ok(())
    }
}

async fn talk(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    bounds: Bounds,
    router: Router,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        None => answer(stream, bounds, router).await,
        Some(tls) => {
            let stream = tokio::time::timeout(OPENING, tls.accept(stream))
                .await
                .map_err(|_| anyhow!("TLS handshake took too long"))??;
            answer(stream, bounds, router).await
        }
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    bounds: Bounds,
    router: Router,
) -> anyhow::Result<()> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(OPENING)
        .keep_alive(bounds.keep_alive)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await?;
    Ok(())
}
