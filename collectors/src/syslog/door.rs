//! The port: datagrams, or connections with or without TLS. Everything is closed with the value.
//!
//! Whoever's address is not expected is turned away and counted. No task is started: who waits for the next message
//! accepts, greets and reads for all.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, SelectAll};
use futures::{Stream, StreamExt as _};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::AsyncRead;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::codec::FramedRead;

use super::frames::Frames;
use crate::manifest::{Carrier, Syslog};
use crate::{CollectError, Notes};

/// Most connections at once, those that are still being greeted included.
const MAX_CONNECTIONS: usize = 64;

/// How long a sender may take for its side of TLS.
const GREETING: Duration = Duration::from_secs(10);

/// After this long without a byte the system asks whether a sender is still there, and then as often again.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Largest datagram, bytes: what UDP can carry.
const MAX_DATAGRAM: usize = 65_535;

/// Largest file of certificates or keys, bytes.
const MAX_PEM: u64 = 256 * 1024;

/// A message and who sent it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) sender: IpAddr,
    /// `None` for one that was too long, or ended in its middle.
    pub(super) message: Option<Vec<u8>>,
}

/// An open port.
pub(super) struct Door {
    address: String,
    source: u16,
    notes: Notes,
    from: BTreeSet<IpAddr>,
    port: Port,
}

enum Port {
    Datagrams { socket: UdpSocket, buffer: Vec<u8> },
    Connections(Connections),
}

struct Connections {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    greeted: FuturesUnordered<BoxFuture<'static, (IpAddr, io::Result<Bytes>)>>,
    open: SelectAll<Connection>,
}

type Bytes = Pin<Box<dyn AsyncRead + Send>>;

struct Connection {
    sender: IpAddr,
    frames: FramedRead<Bytes, Frames>,
}

impl Stream for Connection {
    type Item = (IpAddr, io::Result<Option<Vec<u8>>>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let sender = self.sender;
        self.frames.poll_next_unpin(cx).map(|next| next.map(|message| (sender, message)))
    }
}

impl Door {
    /// Opens the port of a source.
    pub(super) async fn open(config: &Syslog, source: u16, notes: &Notes) -> Result<Self, CollectError> {
        let address = format!("syslog://{}", config.listen);
        let port = match &config.carrier {
            Carrier::Udp => UdpSocket::bind(config.listen)
                .await
                .map(|socket| Port::Datagrams { socket, buffer: vec![0; MAX_DATAGRAM] }),
            Carrier::Tcp => Connections::listen(config.listen, None).await.map(Port::Connections),
            Carrier::Tls { certificate_file, key_file, client_ca_file } => {
                let tls = acceptor(certificate_file, key_file, client_ca_file.as_deref())
                    .map_err(|why| CollectError::Refused { endpoint: address.clone(), why })?;
                Connections::listen(config.listen, Some(tls)).await.map(Port::Connections)
            }
        };
        let port = port.map_err(|error| cannot_listen(&address, error))?;
        Ok(Self { address, source, notes: notes.clone(), from: config.from.clone(), port })
    }

    /// Whether somebody is connected.
    pub(super) fn is_connected(&self) -> bool {
        match &self.port {
            Port::Datagrams { .. } => false,
            Port::Connections(connections) => !connections.open.is_empty(),
        }
    }

    /// Whether what is not taken is lost, instead of making the sender wait.
    pub(super) fn takes_no_waiting(&self) -> bool {
        matches!(self.port, Port::Datagrams { .. })
    }

    /// Waits for the next message. May be given up at any point; nothing is lost by it.
    pub(super) async fn next(&mut self) -> Result<Came, CollectError> {
        loop {
            let came = match &mut self.port {
                Port::Datagrams { socket, buffer } => socket.recv_from(buffer).await.map(|(length, from)| {
                    let sender = from.ip().to_canonical();
                    Some(Came { sender, message: Some(buffer[..length].to_vec()) })
                }),
                Port::Connections(connections) => {
                    connections.next(&self.from, &self.notes, self.source).await
                }
            };
            match came {
                Ok(Some(came)) if self.from.contains(&came.sender) => return Ok(came),
                Ok(Some(came)) => stranger(&self.notes, self.source, came.sender),
                Ok(None) => {}
                Err(source) => return Err(CollectError::Lost { endpoint: self.address.clone(), source }),
            }
        }
    }
}

impl Connections {
    async fn listen(address: SocketAddr, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, tls, greeted: FuturesUnordered::new(), open: SelectAll::new() })
    }

    /// One step: a message, or nothing yet. An error is the port's own.
    async fn next(
        &mut self,
        from: &BTreeSet<IpAddr>,
        notes: &Notes,
        source: u16,
    ) -> io::Result<Option<Came>> {
        tokio::select! {
            Some((sender, message)) = self.open.next(), if !self.open.is_empty() => Ok(match message {
                Ok(message) => Some(Came { sender, message }),
                Err(error) => {
                    tracing::info!(source, %sender, %error, "a sender's connection broke");
                    None
                }
            }),
            Some((sender, greeted)) = self.greeted.next(), if !self.greeted.is_empty() => {
                match greeted {
                    Ok(bytes) => {
                        tracing::info!(source, %sender, "a sender has connected");
                        self.open.push(Connection { sender, frames: FramedRead::new(bytes, Frames::default()) });
                    }
                    Err(error) => {
                        let why = format!("{sender} and this gateway do not come to terms on TLS: {error}");
                        notes.count(source, "refused", 1);
                        if notes.warn(source, "tls", Some(why.clone())) {
                            tracing::warn!(source, "{why}");
                        }
                    }
                }
                Ok(None)
            }
            accepted = self.listener.accept() => {
                match accepted {
                    Ok((stream, peer)) => self.greet(stream, peer.ip().to_canonical(), from, notes, source),
                    // The far side gave up between knocking and opening: no fault of the port.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => return Err(error),
                }
                Ok(None)
            }
        }
    }

    fn greet(
        &mut self,
        stream: TcpStream,
        sender: IpAddr,
        from: &BTreeSet<IpAddr>,
        notes: &Notes,
        source: u16,
    ) {
        if !from.contains(&sender) {
            return stranger(notes, source, sender);
        }
        if self.open.len() + self.greeted.len() >= MAX_CONNECTIONS {
            notes.count(source, "refused", 1);
            let why = format!("{sender} was turned away: {MAX_CONNECTIONS} connections are open already");
            if notes.warn(source, "connections", Some(why.clone())) {
                tracing::warn!(source, "{why}");
            }
            return;
        }
        // A sender that lost its power says nothing more: the system finds out.
        let alive = socket2::TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
        if let Err(error) = socket2::SockRef::from(&stream).set_tcp_keepalive(&alive) {
            tracing::warn!(source, %sender, %error, "a dead connection of this sender will not be noticed");
        }
        let tls = self.tls.clone();
        self.greeted.push(Box::pin(async move {
            let bytes: io::Result<Bytes> = match tls {
                None => Ok(Box::pin(stream)),
                Some(tls) => match timeout(GREETING, tls.accept(stream)).await {
                    Ok(greeted) => greeted.map(|stream| Box::pin(stream) as Bytes),
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                },
            };
            (sender, bytes)
        }));
    }
}

fn stranger(notes: &Notes, source: u16, sender: IpAddr) {
    notes.count(source, "strangers", 1);
    let why = format!("{sender} sends here and is not one of `from`");
    if notes.warn(source, "strangers", Some(why.clone())) {
        tracing::warn!(source, "{why}");
    }
}

fn cannot_listen(address: &str, error: io::Error) -> CollectError {
    let endpoint = address.to_owned();
    let known = [
        (io::ErrorKind::AddrInUse, "the port is taken, perhaps by the agent that runs"),
        (
            io::ErrorKind::PermissionDenied,
            "ports below 1024 are not for this account: let senders use another, such as 6514",
        ),
        (io::ErrorKind::AddrNotAvailable, "the gateway has no such address"),
    ];
    match known.iter().find(|(kind, _)| *kind == error.kind()) {
        Some((_, why)) => CollectError::Refused { endpoint, why: (*why).to_owned() },
        None => CollectError::Lost { endpoint, source: error },
    }
}

fn acceptor(certificate: &Path, key: &Path, client_ca: Option<&Path>) -> Result<TlsAcceptor, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(certificate)?;
    let pem = read(key)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unusable(key, error))?;
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| unusable(file, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| unusable(file, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(chain, key).map_err(|error| unusable(certificate, error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(file)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.map_err(|error| unusable(file, error))?;
    if all.is_empty() {
        return Err(unusable(file, "it has no certificate"));
    }
    Ok(all)
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let size = fs::metadata(file).map_err(|error| unusable(file, error))?.len();
    if size > MAX_PEM {
        return Err(unusable(file, format!("it is longer than {MAX_PEM} bytes")));
    }
    fs::read(file).map_err(|error| unusable(file, error))
}

fn unusable(file: &Path, why: impl std::fmt::Display) -> String {
    format!("the file {} cannot be used: {why}", file.display())
}
