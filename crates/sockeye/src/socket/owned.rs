//! TCP without a copy: buffers go to the stream and come from it as they are.
//!
//! What is sent here is held by the send queue until the peer has acknowledged it, and its segments
//! are slices of it; what is received are the buffers that packets brought. Between two nodes of one
//! process, over a link that leaves packets whole, both are the same memory. Checks, limits and
//! accounting are those of the copying calls.

use super::Socket;
use super::op::{Kind, Op};
use super::receive::Taken;
use super::wait::Wait;
use crate::error::to_io;
use crate::waiters::{Class, Direction};
use bytes::{Buf, Bytes};
use sockeye_core::Error;
use sockeye_tcp::SendFlags;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

impl Socket {
    /// Sends `data` on a TCP stream without copying it (but for pieces below 512 bytes, which are
    /// gathered). A blocking one sends all of it, unless a time-out or an error stops it; returns
    /// how many bytes went.
    ///
    /// The memory that `data` is a part of stays in use as a whole until the peer has acknowledged
    /// it; the send buffer counts `data` alone.
    ///
    /// # Errors
    /// Those of [`send`](Self::send); EOPNOTSUPP when it is no TCP socket (for a socket inside a node
    /// there is [`send_unix`](Self::send_unix)).
    pub fn send_bytes(&self, data: Bytes) -> io::Result<usize> {
        self.is_tcp()?;
        let wait = self.patience(super::timeout(&self.0.write_timeout));
        let all = data.len();
        let mut left = data;
        loop {
            let step = |op: &mut Op<'_>| send_step(op, &mut left);
            let mut sent = self.wait(Direction::Write, Class::Shared, wait, step);
            self.run();
            if let Err(Error::InProgress) = sent {
                // connect(2) has left the SYN to the first send.
                sent = self.send_open(None, &[IoSlice::new(&left)], wait);
                left.advance(sent.unwrap_or(0));
            }
            let gone = all - left.len();
            match sent {
                // The error stays for the next call, which can tell it.
                Err(_) if gone > 0 => return Ok(gone),
                Err(error) => return Err(to_io(error)),
                Ok(_) if left.is_empty() || matches!(wait, Wait::No) => return Ok(gone),
                Ok(_) => {}
            }
        }
    }

    /// [`send_bytes`](Self::send_bytes) for a task: takes what there is room for off the front of
    /// `data`, and returns how many bytes that was.
    ///
    /// # Errors
    /// Those of [`send_bytes`](Self::send_bytes).
    pub fn poll_send_bytes(
        &self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
    ) -> Poll<io::Result<usize>> {
        self.is_tcp()?;
        let mut polled = self.poll_step(cx, Direction::Write, |op| send_step(op, data));
        if let Poll::Ready(Err(Error::InProgress)) = polled {
            // connect(2) has left the SYN to the first send, and what it can't carry waits.
            polled = match self.send_open(None, &[IoSlice::new(data)], Wait::No) {
                Err(Error::InProgress) => {
                    self.poll_step(cx, Direction::Write, |op| send_step(op, data))
                }
                done => {
                    data.advance(done.unwrap_or(0));
                    Poll::Ready(done)
                }
            };
        }
        if polled.is_ready() {
            self.run();
        }
        polled.map_err(to_io)
    }

    /// [`send_bytes`](Self::send_bytes) without blocking the thread: takes what there is room for off
    /// the front of `data`. Dropped before it is done, it has taken nothing.
    ///
    /// # Errors
    /// Those of [`send_bytes`](Self::send_bytes).
    pub async fn send_bytes_async(&self, data: &mut Bytes) -> io::Result<usize> {
        poll_fn(|cx| self.poll_send_bytes(cx, data)).await
    }

    /// Receives what has arrived on a TCP stream, at most `len` bytes, in the buffers that it came
    /// in, none of which is empty; where there are none the stream has ended (or `len` is 0). As
    /// [`recv`](Self::recv) it stops at the mark of urgent data.
    ///
    /// A buffer may be a small part of the memory that it keeps in use; who keeps it for long copies
    /// it.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv); EOPNOTSUPP when it is no TCP socket (for a socket inside a node
    /// there is [`recv_unix`](Self::recv_unix)).
    pub fn recv_bytes(&self, len: usize) -> io::Result<Vec<Bytes>> {
        self.is_tcp()?;
        let wait = self.receive_patience(super::MessageFlags::empty());
        let mut taken = Taken::default();
        let step = |op: &mut Op<'_>| recv_step(op, len, &mut taken);
        let got = self.wait(Direction::Read, Class::Shared, wait, step);
        self.after_recv_bytes(got, taken)
    }

    /// [`recv_bytes`](Self::recv_bytes) for a task.
    ///
    /// # Errors
    /// Those of [`recv_bytes`](Self::recv_bytes).
    pub fn poll_recv_bytes(
        &self,
        cx: &mut Context<'_>,
        len: usize,
    ) -> Poll<io::Result<Vec<Bytes>>> {
        self.is_tcp()?;
        let mut taken = Taken::default();
        let polled = self.poll_step(cx, Direction::Read, |op| recv_step(op, len, &mut taken));
        polled.map(|got| self.after_recv_bytes(got, taken))
    }

    /// [`recv_bytes`](Self::recv_bytes) without blocking the thread.
    ///
    /// # Errors
    /// Those of [`recv_bytes`](Self::recv_bytes).
    pub async fn recv_bytes_async(&self, len: usize) -> io::Result<Vec<Bytes>> {
        poll_fn(|cx| self.poll_recv_bytes(cx, len)).await
    }

    /// Lets the window update out.
    fn after_recv_bytes(&self, got: Result<usize, Error>, taken: Taken) -> io::Result<Vec<Bytes>> {
        got.map_err(to_io)?;
        if taken.wants_turn {
            self.run();
        }
        Ok(taken.slices)
    }

    fn is_tcp(&self) -> io::Result<()> {
        match self.0.kind {
            Kind::Tcp => Ok(()),
            Kind::Udp
            | Kind::UdpLite
            | Kind::Sctp(_)
            | Kind::Dccp
            | Kind::Ping
            | Kind::Raw
            | Kind::Packet { .. }
            | Kind::Unix(_) => Err(to_io(Error::NotSupported)),
        }
    }
}

/// Takes what there is room for off the front of `data`; EINPROGRESS where the stream has not sent its
/// SYN yet.
fn send_step(op: &mut Op<'_>, data: &mut Bytes) -> Result<usize, Error> {
    if op.connects_on_send() {
        return Err(Error::InProgress);
    }
    let (tcp, mut cx) = op.state.node.tcp(op.now);
    tcp.send_bytes(&mut cx, op.id, data, SendFlags::default())
}

fn recv_step(op: &mut Op<'_>, len: usize, taken: &mut Taken) -> Result<usize, Error> {
    let (tcp, mut cx) = op.state.node.tcp(op.now);
    let n = tcp.recv_slices(&mut cx, op.id, len, &mut taken.slices)?;
    taken.wants_turn = op.wants_turn();
    Ok(n)
}
