//! Units that dial: a port on which 4G serial units connect to us, told apart by what they say first.
//!
//! There is no task that listens: whoever waits for its unit accepts for all who share the port. While every unit is
//! connected, one that dials anew waits in the system's queue until its old connection is found to be dead.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use daemon::Stopwatch;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// How long a unit may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// Most units that are introducing themselves at once.
const MOST_STRANGERS: usize = 16;

/// All ports that are listened on.
#[derive(Default)]
pub(super) struct Hubs(Mutex<HashMap<SocketAddr, Arc<Hub>>>);

/// One port.
struct Hub {
    address: SocketAddr,
    /// By what units say first; empty where only one is expected and it need not say anything.
    expected: Mutex<HashMap<Vec<u8>, Arc<Slot>>>,
    /// Bound when a unit is first waited for.
    door: tokio::sync::Mutex<Option<Door>>,
}

struct Door {
    listener: TcpListener,
    strangers: Vec<Stranger>,
}

/// A unit that has not said who it is yet.
struct Stranger {
    stream: TcpStream,
    from: SocketAddr,
    said: Vec<u8>,
    since: Stopwatch,
}

/// Where one unit's newest connection waits.
#[derive(Default)]
struct Slot {
    newest: Mutex<Option<TcpStream>>,
    came: Notify,
}

/// One expected unit.
pub(super) struct Dialled {
    hub: Arc<Hub>,
    slot: Arc<Slot>,
}

impl Hubs {
    /// Expects a unit on a port. Listening begins with the first wait for it.
    pub(super) fn expect(&self, address: SocketAddr, registration: &[u8]) -> Dialled {
        let mut hubs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hub = hubs.entry(address).or_insert_with(|| {
            Arc::new(Hub { address, expected: Mutex::default(), door: tokio::sync::Mutex::default() })
        });
        let mut expected = hub.expected.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = Arc::clone(expected.entry(registration.to_vec()).or_default());
        drop(expected);
        Dialled { hub: Arc::clone(hub), slot }
    }
}

impl Dialled {
    /// A connection that came since the last one was taken. A unit that dials anew has given the old one up.
    pub(super) fn newest(&self) -> Option<TcpStream> {
        self.slot.newest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for a connection. May be given up at any point; nothing is lost by it.
    pub(super) async fn next(&self) -> io::Result<TcpStream> {
        loop {
            let came = self.slot.came.notified();
            if let Some(stream) = self.newest() {
                return Ok(stream);
            }
            tokio::select! {
                () = came => {}
                let_in = self.hub.let_one_in() => let_in?,
            }
        }
    }
}

impl Hub {
    /// Waits until somebody's connection has come to where it is waited for.
    async fn let_one_in(&self) -> io::Result<()> {
        let mut door = self.door.lock().await;
        let door = match &mut *door {
            Some(door) => door,
            none => {
                let listener = TcpListener::bind(self.address).await?;
                none.insert(Door { listener, strangers: Vec::new() })
            }
        };
        poll_fn(|cx| self.poll(door, cx)).await
    }

    fn poll(&self, door: &mut Door, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut came = self.hear_all(door, cx);
        while let Poll::Ready(accepted) = door.listener.poll_accept(cx) {
            let (stream, from) = accepted?;
            door.strangers.push(Stranger { stream, from, said: Vec::new(), since: Stopwatch::start() });
            came |= self.hear_all(door, cx);
            if door.strangers.len() > MOST_STRANGERS {
                // The one that has kept us waiting longest makes room.
                let gone = door.strangers.remove(0);
                tracing::warn!(from = %gone.from, "a unit did not say who it is and was turned away");
            }
        }
        if came { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Listens to those who have not said who they are; whether one of them has now.
    fn hear_all(&self, door: &mut Door, cx: &mut Context<'_>) -> bool {
        let mut came = false;
        for mut stranger in std::mem::take(&mut door.strangers) {
            match self.hear(&mut stranger, cx) {
                Ok(Some(slot)) => {
                    tracing::info!(from = %stranger.from, "a unit has dialled in");
                    *slot.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(stranger.stream);
                    slot.came.notify_one();
                    came = true;
                }
                Ok(None) if stranger.since.elapsed() < INTRODUCTION => door.strangers.push(stranger),
                Ok(None) => {
                    tracing::warn!(from = %stranger.from, "a unit did not say who it is and was turned away");
                }
                Err(error) => tracing::warn!(from = %stranger.from, %error, "a unit was turned away"),
            }
        }
        came
    }

    /// Reads who it is, as far as that must be known; `None` while it must say more.
    fn hear(&self, stranger: &mut Stranger, cx: &mut Context<'_>) -> io::Result<Option<Arc<Slot>>> {
        loop {
            if let Some(slot) = self.slot_of(&stranger.said)? {
                return Ok(Some(slot));
            }
            // What comes after it belongs to the line: byte by byte.
            let mut byte = [0; 1];
            match stranger.stream.poll_read_ready(cx) {
                Poll::Pending => return Ok(None),
                Poll::Ready(ready) => ready?,
            }
            match stranger.stream.try_read(&mut byte) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => stranger.said.push(byte[0]),
                // Not ready after all: the next look registers for it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whose these first bytes are; `None` while they may be somebody's.
    fn slot_of(&self, said: &[u8]) -> io::Result<Option<Arc<Slot>>> {
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = expected.get(said) {
            return Ok(Some(Arc::clone(slot)));
        }
        if expected.keys().any(|registration| registration.starts_with(said)) {
            return Ok(None);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "no line of the manifest has this registration"))
    }
}
