//! Sending.
//!
//! A large copy from the caller's buffer to the stream is made outside the shard's lock.

use super::ancillary::MessageFlags;
use super::op::{Kind, Op};
use super::receive::LARGE;
use super::wait::Wait;
use super::{Socket, timeout};
use crate::error::to_io;
use crate::waiters::{Class, Direction};
use bytes::Bytes;
use sockeye_core::datagram::SendOptions;
use sockeye_core::{Error, Readiness};
use sockeye_tcp::SendFlags;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// Bytes that are copied for a stream at a time.
const CHUNK: usize = 64 * 1024;
/// Pieces that MSG_ZEROCOPY puts into one packet (Linux: MAX_SKB_FRAGS).
const PIECES_MAX: usize = 17;

/// What a call sends, where to, and how.
#[derive(Clone, Copy)]
pub(super) struct Sending<'a> {
    pub(super) data: &'a [IoSlice<'a>],
    pub(super) to: Option<SocketAddr>,
    pub(super) flags: MessageFlags,
    pub(super) options: &'a SendOptions,
}

/// As the socket's options say.
static NOTHING_SAID: SendOptions = SendOptions::NOTHING_SAID;

impl Default for Sending<'_> {
    fn default() -> Self {
        Self {
            data: &[],
            to: None,
            flags: MessageFlags::empty(),
            options: &NOTHING_SAID,
        }
    }
}

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
        self.send_with(Sending {
            data,
            ..Sending::default()
        })
    }

    /// sendto(2): a stream that is connected ignores the address.
    ///
    /// # Errors
    /// Those of [`send`](Self::send) and of routing.
    pub fn send_to(&self, data: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.send_with(Sending {
            data: &[IoSlice::new(data)],
            to: Some(to),
            ..Sending::default()
        })
    }

    pub(super) fn send_with(&self, sending: Sending<'_>) -> io::Result<usize> {
        if let Kind::Unix(_) = self.0.kind {
            return match sending.to {
                Some(_) => Err(to_io(Error::Invalid)),
                None => self.send_copied(sending.data, sending.flags),
            };
        }
        if !sending.flags.contains(MessageFlags::ZERO_COPY) {
            return self.send_pieces(sending);
        }
        let sent = match self.0.kind.is_datagram() {
            true => self.send_pieces(sending),
            false => self.send_few_pieces(sending),
        }?;
        // The socket may have come to its end since; then there is nobody to tell.
        let _ = self.note_zero_copy(sent);
        Ok(sent)
    }

    /// A stream does not join pieces that are not copied: what the peer sees of them is as from Linux.
    fn send_few_pieces(&self, sending: Sending<'_>) -> io::Result<usize> {
        let data = skip(sending.data, 0);
        let mut rest = data.chunks(PIECES_MAX).peekable();
        let (mut sent, mut flags) = (0, sending.flags);
        loop {
            // A send of nothing is a call, too.
            let few = rest.next().unwrap_or_default();
            let last = rest.peek().is_none();
            let ends = match last {
                true => flags,
                false => flags | MessageFlags::END_OF_RECORD,
            };
            let piece = Sending {
                data: few,
                flags: ends,
                ..sending
            };
            match self.send_pieces(piece) {
                Ok(n) if last || n < total(few) => return Ok(sent + n),
                Ok(n) => sent += n,
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            }
            flags -= MessageFlags::FAST_OPEN;
        }
    }

    fn send_pieces(&self, sending: Sending<'_>) -> io::Result<usize> {
        let Sending {
            data,
            to,
            flags,
            options,
        } = sending;
        // A datagram has no urgent byte (of UDP's the transport says so), and only UDP puts one together
        // of several sends.
        let not = match self.0.kind {
            Kind::Tcp | Kind::Udp | Kind::UdpLite => MessageFlags::empty(),
            Kind::Sctp(_)
            | Kind::Dccp
            | Kind::Ping
            | Kind::Raw
            | Kind::Packet { .. }
            | Kind::Unix(_) => MessageFlags::OUT_OF_BAND | MessageFlags::MORE,
        };
        if flags.intersects(not) {
            return Err(to_io(Error::NotSupported));
        }
        let wait = match flags.contains(MessageFlags::DONT_WAIT) {
            true => Wait::No,
            false => self.patience(timeout(&self.0.write_timeout)),
        };
        if self.0.kind.is_datagram() {
            let options = &self.with_flags(to, flags, options);
            let sent = self.wait(Direction::Write, Class::Exclusive, wait, |op| {
                op.send_datagram(data, to, options)
            });
            self.run();
            return sent.map_err(to_io);
        }
        let mut sent = 0;
        if flags.contains(MessageFlags::FAST_OPEN) {
            sent = self.send_open(to, data, wait).map_err(to_io)?;
            if sent == total(data) || matches!(wait, Wait::No) {
                return Ok(sent);
            }
        }
        let flags = stream_flags(flags);
        loop {
            match self.send_stream(&skip(data, sent), wait, flags) {
                Ok(n) => sent += n,
                Err(Error::InProgress) => {
                    // connect(2) has left the SYN to the first send.
                    sent = self.send_open(None, data, wait).map_err(to_io)?;
                }
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

    /// `options` with what the flags of a send and its address say.
    pub(super) fn with_flags(
        &self,
        to: Option<SocketAddr>,
        flags: MessageFlags,
        options: &SendOptions,
    ) -> SendOptions {
        let flow = match to {
            Some(SocketAddr::V6(to)) if to.flowinfo() != 0 => Some(to.flowinfo()),
            _ => None,
        };
        SendOptions {
            out_of_band: flags.contains(MessageFlags::OUT_OF_BAND),
            more: flags.contains(MessageFlags::MORE),
            dont_route: flags.contains(MessageFlags::DONT_ROUTE),
            address_flow_label: flow,
            ..options.clone()
        }
    }

    pub(super) fn send_stream(
        &self,
        data: &[IoSlice<'_>],
        wait: Wait,
        flags: SendFlags,
    ) -> Result<usize, Error> {
        let mut chunk = None;
        let step = |op: &mut Op<'_>| send_step(op, data, &mut chunk, flags);
        let mut sent = self.wait(Direction::Write, Class::Shared, wait, step);
        if let (Ok(0), true) = (sent, total(data) >= LARGE) {
            // There is room, and nothing is locked: now the copy.
            chunk = Some(gather(data));
            // What does not fit in is still to come.
            let flags = SendFlags {
                end_of_record: flags.end_of_record && total(data) <= CHUNK,
                ..flags
            };
            let step = |op: &mut Op<'_>| send_step(op, data, &mut chunk, flags);
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
        if let Kind::Unix(_) = self.0.kind {
            // No link has anything to do with it.
            if let Some(sent) = self.poll_send_copied_beyond(cx, data) {
                return sent;
            }
            return self
                .poll_step(cx, Direction::Write, |op| {
                    op.send_datagram(data, None, &SendOptions::NOTHING_SAID)
                })
                .map_err(to_io);
        }
        if self.0.kind.is_datagram() {
            return self.poll_send_datagram(cx, data, None);
        }
        let plain = SendFlags::default();
        let mut chunk = None;
        let mut polled = self.poll_step(cx, Direction::Write, |op| {
            send_step(op, data, &mut chunk, plain)
        });
        if let (Poll::Ready(Ok(0)), true) = (&polled, total(data) >= LARGE) {
            chunk = Some(gather(data));
            polled = self.poll_step(cx, Direction::Write, |op| {
                send_step(op, data, &mut chunk, plain)
            });
        }
        if let Poll::Ready(Err(Error::InProgress)) = polled {
            // connect(2) has left the SYN to the first send, and what it can't carry waits.
            polled = match self.send_open(None, data, Wait::No) {
                Err(Error::InProgress) => self.poll_step(cx, Direction::Write, |op| {
                    send_step(op, data, &mut chunk, plain)
                }),
                done => Poll::Ready(done),
            };
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
        let options = &self.with_flags(to, MessageFlags::empty(), &NOTHING_SAID);
        let polled = self.poll_step(cx, Direction::Write, |op| {
            op.send_datagram(data, to, options)
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
        self.send_with(Sending {
            data: &[IoSlice::new(data)],
            to,
            flags: MessageFlags::DONT_WAIT,
            ..Sending::default()
        })
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

/// Gives what there is room for to the stream; EINPROGRESS where it has not sent its SYN yet. Much
/// data is asked for as one `chunk` first, by taking nothing; but not where its end is urgent.
fn send_step(
    op: &mut Op<'_>,
    data: &[IoSlice<'_>],
    chunk: &mut Option<Bytes>,
    flags: SendFlags,
) -> Result<usize, Error> {
    if let Some(chunk) = chunk {
        let (tcp, mut cx) = op.state.node.tcp(op.now);
        return tcp.send_bytes(&mut cx, op.id, chunk, flags);
    }
    if total(data) < LARGE || flags.urgent {
        return match op.send(data, flags) {
            Err(Error::WouldBlock) if op.connects_on_send() => Err(Error::InProgress),
            done => done,
        };
    }
    if op.connects_on_send() {
        return Err(Error::InProgress);
    }
    // Taking no bytes says whether there is an error, or no room.
    let (tcp, mut cx) = op.state.node.tcp(op.now);
    if tcp.readiness(op.id)?.contains(Readiness::WRITABLE) {
        return tcp.send(&mut cx, op.id, &[]);
    }
    tcp.send_with(&mut cx, op.id, data, flags)
}

/// Those of sendmsg(2) that a stream heeds as it sends.
fn stream_flags(flags: MessageFlags) -> SendFlags {
    SendFlags {
        urgent: flags.contains(MessageFlags::OUT_OF_BAND),
        end_of_record: flags.contains(MessageFlags::END_OF_RECORD),
        more: flags.contains(MessageFlags::MORE),
    }
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
