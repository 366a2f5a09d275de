//! What stands before a log-in: the agreement on TLS (MS-TDS 2.2.6.5), made by us.
//!
//! The handshake travels inside of packets, everything after it does not. The library then says its own prelogin, which
//! goes nowhere: it is given the server's answer with "no encryption" in it, and all it says goes over the secured line.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::super::line::{Io, Line, Stream};
use crate::CollectError;

const PRELOGIN: u8 = 0x12;
const HEADER: usize = 8;
const LAST: u8 = 1;
/// Longest packet before anything was agreed.
const MAX_PACKET: usize = 4_096;
const TOKEN_ENCRYPTION: u8 = 1;
const TOKEN_END: u8 = 0xff;
const ENCRYPT_ON: u8 = 1;
const ENCRYPT_NOT_SUPPORTED: u8 = 2;
const ENCRYPT_REQUIRED: u8 = 3;

/// Version 0, encryption on, no instance, thread 0, one question at a time.
const QUESTION: [u8; 39] = [
    0, 0, 26, 0, 6, 1, 0, 32, 0, 1, 2, 0, 33, 0, 1, 3, 0, 34, 0, 4, 4, 0, 38, 0, 1, 0xff, //
    0, 0, 0, 0, 0, 0, ENCRYPT_ON, 0, 0, 0, 0, 0, 0,
];

/// Agrees on TLS and shakes hands.
pub(super) async fn secured<S: Io + 'static>(line: &Line, mut tcp: S) -> Result<Stream, CollectError> {
    let asked = async {
        tcp.write_all(&packets(&QUESTION)).await?;
        tcp.flush().await?;
        let mut header = [0; HEADER];
        tcp.read_exact(&mut header).await?;
        let length = length(&header)?;
        let mut answer = vec![0; length];
        tcp.read_exact(&mut answer).await?;
        io::Result::Ok((header, answer))
    };
    let (header, mut answer) = line.in_time(asked).await?.map_err(|error| line.lost(error))?;
    let place = encryption(&answer).ok_or_else(|| line.unreadable("it is no SQL Server"))?;
    if ![ENCRYPT_ON, ENCRYPT_REQUIRED].contains(&answer[place]) {
        return Err(line.no_tls());
    }
    answer[place] = ENCRYPT_NOT_SUPPORTED;
    let shaken = Arc::new(AtomicBool::new(false));
    let inside = Packed {
        inner: tcp,
        shaken: Arc::clone(&shaken),
        said: Vec::new(),
        out: Vec::new(),
        head: Vec::new(),
        left: 0,
    };
    let secured = line.secure(inside).await?;
    shaken.store(true, Ordering::Release);
    let answer = header.into_iter().chain(answer).collect();
    Ok(Box::new(Answered { inner: secured, question: Vec::new(), answer: Some(answer), given: 0 }))
}

/// A message in packets, the last of which says so.
fn packets(message: &[u8]) -> Vec<u8> {
    let count = message.len().div_ceil(MAX_PACKET - HEADER);
    let mut bytes = Vec::with_capacity(message.len() + count * HEADER);
    for (payload, number) in message.chunks(MAX_PACKET - HEADER).zip(1_usize..) {
        let length = u16::try_from(payload.len() + HEADER).expect("packets are bounded").to_be_bytes();
        let status = if number == count { LAST } else { 0 };
        let number = number.to_le_bytes()[0];
        bytes.extend([PRELOGIN, status, length[0], length[1], 0, 0, number, 0]);
        bytes.extend(payload);
    }
    bytes
}

/// Bytes after a packet's header.
fn length(header: &[u8]) -> io::Result<usize> {
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    match length.checked_sub(HEADER) {
        Some(length) if length <= 8 * MAX_PACKET => Ok(length),
        Some(_) | None => Err(io::Error::new(io::ErrorKind::InvalidData, "a packet of a wrong length")),
    }
}

/// Where an answer says what it thinks of encryption.
fn encryption(answer: &[u8]) -> Option<usize> {
    let mut options = answer.chunks(5).take_while(|option| option[0] != TOKEN_END);
    let option = options.find(|option| option.len() == 5 && option[0] == TOKEN_ENCRYPTION)?;
    let place = usize::from(u16::from_be_bytes([option[1], option[2]]));
    (place < answer.len()).then_some(place)
}

/// A line whose bytes travel in packets until hands are shaken.
struct Packed<S> {
    inner: S,
    shaken: Arc<AtomicBool>,
    /// Said since the last flush: one message of the handshake.
    said: Vec<u8>,
    /// Packed and not sent.
    out: Vec<u8>,
    /// Of the packet being read: what there is of its header, and bytes left of its payload.
    head: Vec<u8>,
    left: usize,
}

impl<S: Io> Packed<S> {
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.said.is_empty() {
            self.out.extend(packets(&self.said));
            self.said.clear();
        }
        while !self.out.is_empty() {
            let sent = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.out))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Io> AsyncRead for Packed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.shaken.load(Ordering::Acquire) && this.left == 0 && this.head.is_empty() {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        while this.left == 0 {
            let mut rest = [0; HEADER];
            let mut room = ReadBuf::new(&mut rest[..HEADER - this.head.len()]);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut room))?;
            if room.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.head.extend(room.filled());
            if this.head.len() == HEADER {
                this.left = length(&this.head)?;
                this.head.clear();
            }
        }
        let room = buf.remaining().min(this.left);
        let mut room = ReadBuf::new(buf.initialize_unfilled_to(room));
        ready!(Pin::new(&mut this.inner).poll_read(cx, &mut room))?;
        let read = room.filled().len();
        buf.advance(read);
        this.left -= read;
        Poll::Ready(Ok(()))
    }
}

impl<S: Io> AsyncWrite for Packed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if !this.shaken.load(Ordering::Acquire) {
            this.said.extend(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(this.poll_out(cx))?;
        Pin::new(&mut this.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A secured line on which the first packet said is answered from here.
struct Answered<S> {
    inner: S,
    question: Vec<u8>,
    /// Absent once it has been given.
    answer: Option<Vec<u8>>,
    given: usize,
}

impl<S> Answered<S> {
    /// Whether the first packet has been said to its end.
    fn is_asked(&self) -> bool {
        self.question.len() >= HEADER
            && length(&self.question).is_ok_and(|length| self.question.len() >= HEADER + length)
    }
}

impl<S: Io> AsyncRead for Answered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(answer) = &this.answer else { return Pin::new(&mut this.inner).poll_read(cx, buf) };
        let rest = &answer[this.given..];
        let given = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..given]);
        this.given += given;
        if this.given == answer.len() {
            this.answer = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Io> AsyncWrite for Answered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.is_asked() {
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        }
        // Up to the end of the packet: what follows it in the same breath is for the server.
        let wanted = match this.question.len() < HEADER {
            true => HEADER - this.question.len(),
            false => HEADER + length(&this.question)? - this.question.len(),
        };
        let taken = buf.len().min(wanted);
        this.question.extend(&buf[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The other end of such a line, for a server of a test.
#[cfg(test)]
pub(super) fn server_side<S: Io>(inner: S, shaken: Arc<AtomicBool>) -> impl Io {
    Packed { inner, shaken, said: Vec::new(), out: Vec::new(), head: Vec::new(), left: 0 }
}
