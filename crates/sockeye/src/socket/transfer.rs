//! Sending and receiving.
//!
//! A large copy between the caller's buffer and the stream is made outside the shard's lock.

use super::ancillary::{MessageFlags, Received};
use super::op::Op;
use super::wait::Wait;
use super::{Socket, Waiting, timeout};
use crate::error::to_io;
use crate::waiters::{Class, Direction};
use bytes::Bytes;
use sockeye_core::datagram::SendOptions;
use sockeye_core::{Error, Instant, Readiness};
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// From so many bytes on, a copy is made outside the lock.
const LARGE: usize = 16 * 1024;
/// Bytes that are copied for a stream at a time.
const CHUNK: usize = 64 * 1024;

/// Receiving.
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
    /// Those of [`recv`](Self::recv); EOPNOTSUPP for MSG_OOB.
    pub fn recv_with(&self, buffer: &mut [u8], flags: MessageFlags) -> io::Result<usize> {
        if self.0.kind.is_datagram() {
            let received = self.recv_from_with(buffer, flags)?;
            return Ok(match flags.contains(MessageFlags::TRUNCATE) {
                true => received.full_len,
                false => received.len,
            });
        }
        if flags.contains(MessageFlags::OUT_OF_BAND) {
            return Err(to_io(Error::NotSupported));
        }
        let wait = self.receive_patience(flags);
        let peek = flags.contains(MessageFlags::PEEK);
        let mut filled = 0;
        loop {
            let out = &mut buffer[filled..];
            match self.recv_stream(out, wait, peek) {
                Ok(n) => {
                    filled += n;
                    let whole = flags.contains(MessageFlags::WAIT_ALL) && !peek;
                    if !whole || n == 0 || filled == buffer.len() {
                        return Ok(filled);
                    }
                }
                // The error stays for the next call; what came before it is not lost.
                Err(_) if filled > 0 => return Ok(filled),
                Err(error) => return Err(to_io(error)),
            }
        }
    }

    fn recv_stream(&self, out: &mut [u8], wait: Wait, peek: bool) -> Result<usize, Error> {
        let mut taken = Taken::new(self);
        let got = self.wait(Direction::Read, Class::Shared, wait, |op| {
            recv_step(op, out, peek, &mut taken)
        });
        self.after_recv(got, out, &taken)
    }

    /// Copies what was taken in slices, and lets the window update out.
    fn after_recv(
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
        if self.0.kind.is_datagram() {
            return self
                .poll_recv_from(cx, buffer)
                .map_ok(|received| received.len);
        }
        let mut taken = Taken::new(self);
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
        if flags.contains(MessageFlags::OUT_OF_BAND) {
            return Err(to_io(Error::NotSupported));
        }
        let peek = flags.contains(MessageFlags::PEEK);
        let wait = self.receive_patience(flags);
        let received = self.wait(Direction::Read, Class::Exclusive, wait, |op| {
            op.recv_datagram(buffer, peek)
        });
        received.map(Into::into).map_err(to_io)
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
        self.poll_step(cx, Direction::Read, |op| op.recv_datagram(buffer, false))
            .map_ok(Into::into)
            .map_err(to_io)
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

    fn receive_patience(&self, flags: MessageFlags) -> Wait {
        match flags.contains(MessageFlags::DONT_WAIT) {
            true => Wait::No,
            false => self.patience(timeout(&self.0.read_timeout)),
        }
    }
}

/// What a step of receiving leaves to be done without the lock.
struct Taken {
    /// To be copied.
    slices: Vec<Bytes>,
    /// The window has opened, or a timer was set: the node wants a turn.
    wants_turn: bool,
    /// For when a turn is planned.
    planned: Instant,
}

impl Taken {
    fn new(socket: &Socket) -> Self {
        Self {
            slices: Vec::new(),
            wants_turn: false,
            planned: socket.shard().seat.deadline(),
        }
    }
}

/// Takes what there is, and sees whether the node wants a turn.
fn recv_step(
    op: &mut Op<'_>,
    out: &mut [u8],
    peek: bool,
    taken: &mut Taken,
) -> Result<usize, Error> {
    if peek {
        return op.recv(out, true);
    }
    let n = take(op, out, &mut taken.slices)?;
    taken.wants_turn = op.wants_turn(taken.planned);
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
    let mut taken = 0;
    while taken < wanted {
        let slice = tcp.recv_bytes(&mut cx, op.id, wanted - taken)?;
        if slice.is_empty() {
            break;
        }
        taken += slice.len();
        slices.push(slice);
    }
    Ok(taken)
}

/// Sending.
impl Socket {
    /// send(2). A blocking stream sends all of it, unless a time-out or an error stops it.
    ///
    /// # Errors
    /// EAGAIN, EPIPE, EDESTADDRREQ without a peer, EMSGSIZE, and the socket's pending error.
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.send_vectored(&[IoSlice::new(data)])
    }

    /// send(2) of several pieces.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn send_vectored(&self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_with(data, None, MessageFlags::empty(), &SendOptions::default())
    }

    /// sendto(2): a stream that is connected ignores the address.
    ///
    /// # Errors
    /// Those of [`send`](Self::send) and of routing.
    pub fn send_to(&self, data: &[u8], to: SocketAddr) -> io::Result<usize> {
        let options = SendOptions::default();
        self.send_with(
            &[IoSlice::new(data)],
            Some(to),
            MessageFlags::empty(),
            &options,
        )
    }

    pub(super) fn send_with(
        &self,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        flags: MessageFlags,
        options: &SendOptions,
    ) -> io::Result<usize> {
        if flags.contains(MessageFlags::OUT_OF_BAND) {
            return Err(to_io(Error::NotSupported));
        }
        let wait = match flags.contains(MessageFlags::DONT_WAIT) {
            true => Wait::No,
            false => self.patience(timeout(&self.0.write_timeout)),
        };
        if self.0.kind.is_datagram() {
            let sent = self.wait(Direction::Write, Class::Exclusive, wait, |op| {
                op.send_datagram(data, to, options)
            });
            self.run();
            return sent.map_err(to_io);
        }
        let mut sent = 0;
        loop {
            match self.send_stream(&skip(data, sent), wait) {
                Ok(n) => sent += n,
                // The error stays for the next call, which can tell it.
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(to_io(error)),
            }
            let left = total(data) - sent;
            if left == 0 || matches!(wait, Wait::No) {
                return Ok(sent);
            }
        }
    }

    fn send_stream(&self, data: &[IoSlice<'_>], wait: Wait) -> Result<usize, Error> {
        let mut chunk = None;
        let step = |op: &mut Op<'_>| send_step(op, data, &mut chunk);
        let mut sent = self.wait(Direction::Write, Class::Shared, wait, step);
        if let (Ok(0), true) = (sent, total(data) >= LARGE) {
            // There is room, and nothing is locked: now the copy.
            chunk = Some(gather(data));
            let step = |op: &mut Op<'_>| send_step(op, data, &mut chunk);
            sent = self.wait(Direction::Write, Class::Shared, wait, step);
        }
        self.run();
        sent
    }

    /// send(2) for a task: takes what there is room for.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send_vectored(cx, &[IoSlice::new(data)])
    }

    /// send(2) of several pieces for a task.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn poll_send_vectored(
        &self,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.0.kind.is_datagram() {
            return self.poll_send_datagram(cx, data, None);
        }
        let mut chunk = None;
        let mut polled = self.poll_step(cx, Direction::Write, |op| send_step(op, data, &mut chunk));
        if let (Poll::Ready(Ok(0)), true) = (&polled, total(data) >= LARGE) {
            chunk = Some(gather(data));
            polled = self.poll_step(cx, Direction::Write, |op| send_step(op, data, &mut chunk));
        }
        if polled.is_ready() {
            self.run();
        }
        polled.map_err(to_io)
    }

    /// sendto(2) for a task.
    ///
    /// # Errors
    /// Those of [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
        to: Option<SocketAddr>,
    ) -> Poll<io::Result<usize>> {
        match self.0.kind.is_datagram() {
            true => self.poll_send_datagram(cx, &[IoSlice::new(data)], to),
            false => self.poll_send(cx, data),
        }
    }

    fn poll_send_datagram(
        &self,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
    ) -> Poll<io::Result<usize>> {
        let options = SendOptions::default();
        let polled = self.poll_step(cx, Direction::Write, |op| {
            op.send_datagram(data, to, &options)
        });
        // A full interface has to be emptied by somebody, too.
        self.run();
        polled.map_err(to_io)
    }

    /// Sends a datagram if there is room, and never waits.
    ///
    /// # Errors
    /// EAGAIN, and those of [`send_to`](Self::send_to).
    pub fn try_send_to(&self, data: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        let flags = MessageFlags::DONT_WAIT;
        self.send_with(&[IoSlice::new(data)], to, flags, &SendOptions::default())
    }

    /// Sends without blocking the thread; a stream takes what there is room for.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn send_async(&self, data: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_send(cx, data)).await
    }

    /// Sends a datagram without blocking the thread.
    ///
    /// # Errors
    /// Those of [`send_to`](Self::send_to).
    pub async fn send_to_async(&self, data: &[u8], to: SocketAddr) -> io::Result<usize> {
        poll_fn(|cx| self.poll_send_to(cx, data, Some(to))).await
    }
}

/// Gives what there is room for to the stream. Much data is asked for as one `chunk` first, by
/// taking nothing.
fn send_step(
    op: &mut Op<'_>,
    data: &[IoSlice<'_>],
    chunk: &mut Option<Bytes>,
) -> Result<usize, Error> {
    if let Some(chunk) = chunk {
        let (tcp, mut cx) = op.state.node.tcp(op.now);
        return tcp.send_bytes(&mut cx, op.id, chunk);
    }
    if total(data) < LARGE {
        return op.send(data);
    }
    // Taking no bytes says whether there is an error, or no room.
    let (tcp, mut cx) = op.state.node.tcp(op.now);
    if tcp.readiness(op.id)?.contains(Readiness::WRITABLE) {
        return tcp.send(&mut cx, op.id, &[]);
    }
    tcp.send(&mut cx, op.id, data)
}

fn total(data: &[IoSlice<'_>]) -> usize {
    data.iter().map(|slice| slice.len()).sum()
}

/// The first [`CHUNK`] bytes, copied.
fn gather(data: &[IoSlice<'_>]) -> Bytes {
    let mut chunk = Vec::with_capacity(total(data).min(CHUNK));
    for slice in data {
        let room = CHUNK - chunk.len();
        chunk.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    chunk.into()
}

/// `data` without its first `n` bytes.
fn skip<'a>(data: &'a [IoSlice<'_>], mut n: usize) -> Vec<IoSlice<'a>> {
    let mut left = Vec::with_capacity(data.len());
    for slice in data {
        let off = n.min(slice.len());
        n -= off;
        if off < slice.len() {
            left.push(IoSlice::new(&slice[off..]));
        }
    }
    left
}
