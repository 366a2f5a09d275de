//! The line to an OPC UA server, and what it does to what passes.
//!
//! Requests of channels without security are known by their kind; what is lost is numbered away, so that the channel
//! goes on. Answers are bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Longest message that the line understands.
const MAX_MESSAGE: usize = 1 << 20;

/// What happens on the way.
#[derive(Default)]
pub(super) struct Line {
    state: Mutex<State>,
    /// Connections are to be refused, or no longer.
    turned: Notify,
}

/// What is to happen, and what has.
#[derive(Default)]
pub(super) struct State {
    pub(super) asked: BTreeMap<u16, usize>,
    pub(super) lost: BTreeSet<u16>,
    /// Connections up to this one have lost their session.
    pub(super) spoiled: usize,
    pub(super) connections: usize,
    pub(super) garbled: Option<u64>,
    pub(super) slow: Duration,
    pub(super) held: bool,
    refused: bool,
    cut: CancellationToken,
}

impl Line {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cut(&self) {
        let cut = std::mem::take(&mut self.lock().cut);
        cut.cancel();
    }

    pub(super) fn refuse(&self, refused: bool) {
        self.lock().refused = refused;
        self.turned.notify_one();
    }
}

/// Carries between whoever connects at `front` and the server behind.
pub(super) async fn carry(
    front: TcpListener,
    behind: SocketAddr,
    line: Arc<Line>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (address, mut front) = (front.local_addr()?, Some(front));
    let mut carried = tokio::task::JoinSet::new();
    loop {
        if line.lock().refused {
            front = None;
            tokio::select! {
                () = stop.cancelled() => break,
                () = line.turned.notified() => continue,
            }
        }
        let door = match front.take() {
            Some(door) => door,
            None => TcpListener::bind(address).await?,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            () = line.turned.notified() => None,
            accepted = door.accept() => Some(accepted),
        };
        front = Some(door);
        let Some(Ok((near, _))) = accepted else { continue };
        let line = Arc::clone(&line);
        let (number, cut) = {
            let mut state = line.lock();
            state.connections += 1;
            (state.connections, state.cut.clone())
        };
        carried.spawn(async move {
            // Nobody behind: the client sees its connection closed.
            let Ok(far) = TcpStream::connect(behind).await else { return };
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            tokio::select! {
                () = cut.cancelled() => {}
                _ = questions(from_near, to_far, &line, number) => {}
                _ = answers(from_far, to_near, &line) => {}
            }
        });
        while carried.try_join_next().is_some() {}
    }
    carried.shutdown().await;
    Ok(())
}

/// From the client to the server.
async fn questions(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    line: &Line,
    connection: usize,
) -> std::io::Result<()> {
    let mut lost: u32 = 0;
    loop {
        let mut message = vec![0; 8];
        from.read_exact(&mut message).await?;
        let length = u32::from_le_bytes([message[4], message[5], message[6], message[7]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX).clamp(8, MAX_MESSAGE);
        message.resize(length, 0);
        from.read_exact(&mut message[8..]).await?;
        if message.starts_with(b"MSGF") && message.len() > 30 && message[24..26] == [1, 0] {
            let kind = u16::from_le_bytes([message[26], message[27]]);
            let mut state = line.lock();
            if state.held {
                continue;
            }
            *state.asked.entry(kind).or_default() += 1;
            if state.lost.contains(&kind) {
                lost += 1;
                continue;
            }
            if connection <= state.spoiled {
                spoil(&mut message[28..]);
            }
        }
        // A number that is missing would end the channel (OPC 10000-6, 6.7.2.4).
        let numbered = message.starts_with(b"MSG") || message.starts_with(b"CLO");
        if let Some(number) = message.get_mut(16..20).filter(|_| numbered) {
            let sent = u32::from_le_bytes([number[0], number[1], number[2], number[3]]);
            number.copy_from_slice(&sent.wrapping_sub(lost).to_le_bytes());
        }
        if !line.lock().held {
            to.write_all(&message).await?;
        }
    }
}

/// Changes the authentication token that a request header begins with: a node id (OPC 10000-6, 5.2.2.9).
fn spoil(header: &mut [u8]) {
    let at = match header[0] {
        0 => 1,
        1 => 2,
        2 | 4 => 3,
        _ => 7,
    };
    if let Some(byte) = header.get_mut(at) {
        *byte ^= 1;
    }
}

/// From the server to the client.
async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, line: &Line) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if let Some(seed) = &mut line.lock().garbled {
            // xorshift: one byte of this piece, anywhere in it.
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            let at = usize::try_from(*seed % (1 << 32)).unwrap_or(0) % read;
            buffer[at] ^= u8::try_from(*seed >> 56).unwrap_or(1) | 1;
        }
        let (slow, held) = {
            let state = line.lock();
            (state.slow, state.held)
        };
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        if !held {
            to.write_all(&buffer[..read]).await?;
        }
    }
}
