//! Receiving.
//!
//! A large copy from the stream to the caller's buffer is made outside the shard's lock.

use super::ancillary::{MessageFlags, Received};
use super::op::{Kind, Op};
use super::wait::Wait;
use super::{Socket, Waiting, timeout};
use crate::error::to_io;
use crate::waiters::{Class, Direction};
use bytes::Bytes;
use sockeye_core::datagram::Control;
use sockeye_core::socket::Stamp;
use sockeye_core::{Error, Instant, Readiness};
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

/// From so many bytes on, a copy is made outside the lock.
pub(super) const LARGE: usize = 16 * 1024;

impl Socket {
    /// recv(2): 0 is the end of a stream. What of a datagram does not fit is lost.
    ///
    /// # Errors
    /// EAGAIN, ENOTCONN, and the socket's pending error.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_with(buffer, MessageFlags::empty())
    }

    /// recv(2) that leaves the data where it is.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_with(buffer, MessageFlags::PEEK)
    }

    /// recv(2) with flags.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv); EAGAIN with MSG_ERRQUEUE; with MSG_OOB those of
    /// [`recv_out_of_band`](Self::recv_out_of_band).
    pub fn recv_with(&self, buffer: &mut [u8], flags: MessageFlags) -> io::Result<usize> {
        self.recv_noted(buffer, flags, &mut Notes::default())
    }

    /// [`recv_with`](Self::recv_with), and what recvmsg tells beside the data of a stream.
    pub(super) fn recv_noted(
        &self,
        buffer: &mut [u8],
        flags: MessageFlags,
        notes: &mut Notes,
    ) -> io::Result<usize> {
        if flags.contains(MessageFlags::ERROR_QUEUE) {
            return self.recv_error_queue(buffer).map(|message| message.len);
        }
        if let Kind::Unix(_) = self.0.kind {
            return self.recv_copied(buffer, flags);
        }
        if self.0.kind.is_datagram() {
            let received = self.recv_from_with(buffer, flags)?;
            return Ok(match flags.contains(MessageFlags::TRUNCATE) {
                true => received.full_len,
                false => received.len,
            });
        }
        let wait = self.receive_patience(flags);
        let peek = flags.contains(MessageFlags::PEEK);
        if flags.contains(MessageFlags::OUT_OF_BAND) {
            return self.recv_urgent(buffer, peek);
        }
        let mut filled = 0;
        loop {
            let out = &mut buffer[filled..];
            match self.recv_stream(out, wait, peek, notes) {
                Ok(n) => {
                    filled += n;
                    let whole = flags.contains(MessageFlags::WAIT_ALL) && !peek;
                    let done = !whole || n == 0 || filled == buffer.len();
                    // recv(2): nothing goes over the mark of urgent data on its way.
                    if done || self.at_mark()? {
                        return Ok(filled);
                    }
                }
                // The error stays for the next call; what came before it is not lost.
                Err(_) if filled > 0 => return Ok(filled),
                Err(error) => return Err(to_io(error)),
            }
        }
    }

    fn recv_stream(
        &self,
        out: &mut [u8],
        wait: Wait,
        peek: bool,
        notes: &mut Notes,
    ) -> Result<usize, Error> {
        let mut taken = Taken::default();
        let got = self.wait(Direction::Read, Class::Shared, wait, |op| {
            let n = recv_step(op, out, peek, &mut taken)?;
            *notes = op.notes()?;
            Ok(n)
        });
        self.after_recv(got, out, &taken)
    }

    /// Copies what was taken in slices, and lets the window update out.
    pub(super) fn after_recv(
        &self,
        got: Result<usize, Error>,
        out: &mut [u8],
        taken: &Taken,
    ) -> Result<usize, Error> {
        let n = got?;
        if taken.wants_turn {
            self.run();
        }
        let mut out = out;
        for slice in &taken.slices {
            let (head, rest) = out.split_at_mut(slice.len());
            head.copy_from_slice(slice);
            out = rest;
        }
        Ok(n)
    }

    /// recv(2) for a task.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Kind::Unix(_) = self.0.kind {
            return self.poll_recv_copied(cx, buffer);
        }
        if self.0.kind.is_datagram() {
            return self
                .poll_recv_from(cx, buffer)
                .map_ok(|received| received.len);
        }
        let mut taken = Taken::default();
        let polled = self.poll_step(cx, Direction::Read, |op| {
            recv_step(op, buffer, false, &mut taken)
        });
        polled.map(|got| self.after_recv(got, buffer, &taken).map_err(to_io))
    }

    /// [`peek`](Self::peek) for a task.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let datagram = self.0.kind.is_datagram();
        self.poll_step(cx, Direction::Read, |op| match datagram {
            true => op.recv_datagram(buffer, true).map(|r| r.copied),
            false => op.recv(buffer, true),
        })
        .map_err(to_io)
    }

    /// recvfrom(2) of a datagram.
    ///
    /// # Errors
    /// EAGAIN, the socket's pending error, EOPNOTSUPP for a stream.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received = self.recv_from_with(buffer, MessageFlags::empty())?;
        Ok((received.len, received.from))
    }

    /// recvfrom(2) that leaves the datagram where it is.
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from).
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received = self.recv_from_with(buffer, MessageFlags::PEEK)?;
        Ok((received.len, received.from))
    }

    /// recvfrom(2) with flags, and all that is known of the datagram.
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from).
    pub fn recv_from_with(&self, buffer: &mut [u8], flags: MessageFlags) -> io::Result<Received> {
        self.may_receive(flags)?;
        let peek = flags.contains(MessageFlags::PEEK);
        let wait = self.receive_patience(flags);
        let received = self.wait(Direction::Read, Class::Exclusive, wait, |op| {
            op.recv_datagram(buffer, peek)
        });
        self.tell_window();
        received.map(Into::into).map_err(to_io)
    }

    /// What was read may have opened a window that the peer is to hear of.
    fn tell_window(&self) {
        if let Kind::Sctp(_) = self.0.kind {
            self.run();
        }
    }

    /// Linux: UDP does not look at MSG_OOB, the others refuse it.
    fn may_receive(&self, flags: MessageFlags) -> io::Result<()> {
        let udp = matches!(self.0.kind, Kind::Udp | Kind::UdpLite);
        match flags.contains(MessageFlags::OUT_OF_BAND) && !udp {
            true => Err(to_io(Error::NotSupported)),
            false => Ok(()),
        }
    }

    /// A datagram and what recvmsg(2) tells beside it.
    pub(super) fn recv_message_with(
        &self,
        buffer: &mut [u8],
        flags: MessageFlags,
    ) -> io::Result<(Received, Vec<Control>)> {
        self.may_receive(flags)?;
        let peek = flags.contains(MessageFlags::PEEK);
        let wait = self.receive_patience(flags);
        let received = self.wait(Direction::Read, Class::Exclusive, wait, |op| {
            op.recv_message(buffer, peek)
        });
        let (received, controls) = received.map_err(to_io)?;
        Ok((received.into(), controls))
    }

    /// recvfrom(2) for a task.
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<Received>> {
        let polled = self.poll_step(cx, Direction::Read, |op| op.recv_datagram(buffer, false));
        self.tell_window();
        polled.map_ok(Into::into).map_err(to_io)
    }

    /// Receives a datagram without blocking the thread; of those who wait, one is woken for one
    /// datagram.
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from).
    pub async fn recv_from_async(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut waiting = Waiting::new(self, Direction::Read, Class::Exclusive);
        poll_fn(|cx| waiting.poll(cx, |op| op.recv_datagram(buffer, false)))
            .await
            .map(Into::into)
            .map_err(to_io)
    }

    /// Receives without blocking the thread.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub async fn recv_async(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_recv(cx, buffer)).await
    }

    /// Waits until there is something to read: data, a connection, the end or an error.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let what = Readiness::READABLE | Readiness::READ_CLOSED;
        self.poll_step(cx, Direction::Read, |op| op.ready(what))
            .map_err(to_io)
    }

    /// Waits until there is room to write, or connecting has ended.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_step(cx, Direction::Write, |op| op.ready(Readiness::WRITABLE))
            .map_err(to_io)
    }

    /// Calls `waker` once, when something of `what` comes about next, whatever the socket is ready
    /// for now: errors and the end of a connection always count. This is what edge-triggered event
    /// queues are made of; the waker may call it again.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn watch(&self, what: Readiness, waker: &Waker) -> io::Result<()> {
        self.call(|op| {
            let waiters = &mut op.state.waiters;
            if what.contains(Readiness::WRITABLE) {
                waiters.join_once(self.0.handle, Direction::Write, waker);
            }
            if what != Readiness::WRITABLE {
                waiters.join_once(self.0.handle, Direction::Read, waker);
            }
            Ok(())
        })
    }

    /// recv(2) into the first buffer that is not empty.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recv_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut buffers = buffers.iter_mut();
        let first = buffers.find(|buffer| !buffer.is_empty());
        self.recv(first.map_or(&mut [], |buffer| &mut **buffer))
    }

    /// [`peek_from`](Self::peek_from) for a task.
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from).
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<Received>> {
        self.poll_step(cx, Direction::Read, |op| op.recv_datagram(buffer, true))
            .map_ok(Into::into)
            .map_err(to_io)
    }

    pub(super) fn receive_patience(&self, flags: MessageFlags) -> Wait {
        match flags.contains(MessageFlags::DONT_WAIT) {
            true => Wait::No,
            false => self.patience(timeout(&self.0.read_timeout)),
        }
    }
}

/// What recvmsg tells beside the data of a stream, as far as its options ask for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notes {
    /// TCP_INQ: see [`Ancillary::Inq`](super::Ancillary::Inq).
    pub(super) inq: Option<usize>,
    /// SO_TIMESTAMP, SO_TIMESTAMPNS: when the last of it arrived.
    pub(super) arrived: Option<(Stamp, Instant)>,
}

/// What a step of receiving leaves to be done without the lock.
#[derive(Default)]
pub(super) struct Taken {
    /// To be copied, or handed to the caller.
    pub(super) slices: Vec<Bytes>,
    /// The window has opened, or a timer was set: the node wants a turn.
    pub(super) wants_turn: bool,
}

/// Takes what there is, and sees whether the node wants a turn.
pub(super) fn recv_step(
    op: &mut Op<'_>,
    out: &mut [u8],
    peek: bool,
    taken: &mut Taken,
) -> Result<usize, Error> {
    if peek {
        return op.recv(out, true);
    }
    let n = take(op, out, &mut taken.slices)?;
    taken.wants_turn = op.wants_turn();
    Ok(n)
}

/// Takes what there is: into `out`, or, where it is much, into `slices` to be copied later.
fn take(op: &mut Op<'_>, out: &mut [u8], slices: &mut Vec<Bytes>) -> Result<usize, Error> {
    if out.len() < LARGE {
        return op.recv(out, false);
    }
    let (tcp, mut cx) = op.state.node.tcp(op.now);
    let waiting = tcp.queued(op.id).map_or(0, |queued| queued.readable);
    let wanted = waiting.min(out.len());
    if wanted < LARGE {
        return op.recv(out, false);
    }
    tcp.recv_slices(&mut cx, op.id, wanted, slices)
}
