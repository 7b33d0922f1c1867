//! Data through node-internal sockets.

use super::super::ancillary::MessageFlags;
use super::super::op::{Kind, Op};
use super::super::wait::{Wait, Waiting};
use super::super::{Socket, timeout};
use super::message::Sending;
use super::{UnixMessage, UnixSend, pool};
use crate::driver::block_on;
use crate::error::to_io;
use crate::waiters::{Class, Direction};
use bytes::Bytes;
use smallvec::SmallVec;
use sockeye_core::Error;
use sockeye_unix::{Name, Outgoing, Received, Request, SocketType};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

/// Bytes of a stream that are copied at a time: two of the largest messages it is cut into, so that
/// this cut shows nowhere.
pub(super) const CHUNK: usize = 2 * 36_544;

impl Socket {
    /// sendmsg(2). A blocking stream sends all of it, unless a time-out or an error stops it.
    ///
    /// # Errors
    /// EAGAIN, EPIPE, ENOTCONN, ECONNREFUSED, EMSGSIZE and the others of unix(7); EOPNOTSUPP when it
    /// is of another family.
    pub fn send_unix(&self, message: UnixSend<'_>) -> io::Result<usize> {
        let mut sending = Sending::new(message)?;
        let wait = match sending.flags.contains(MessageFlags::DONT_WAIT) {
            true => Wait::No,
            false => self.patience(timeout(&self.0.write_timeout)),
        };
        if let Some(post) = self.post()
            && !self.stays_inside(&sending)?
        {
            return self.send_beyond(post, &sending, wait);
        }
        loop {
            let sent = self.wait_here(Direction::Write, wait, |op| sending.step(op));
            if let Some(post) = self.leaves_from(&sending, sent)? {
                return self.send_beyond(post, &sending, wait);
            }
            if let Some(done) = sending.goes_on(self.0.kind, sent) {
                return done.map_err(to_io);
            }
        }
    }

    /// sendmsg(2) for a task that never sends in part: it waits for room for the first piece, and says
    /// how much went.
    ///
    /// # Errors
    /// Those of [`send_unix`](Self::send_unix).
    pub async fn send_unix_async(&self, message: UnixSend<'_>) -> io::Result<usize> {
        let mut sending = Sending::new(message)?;
        if let Some(post) = self.post()
            && !self.stays_inside(&sending)?
        {
            return poll_fn(|cx| self.poll_send_beyond(post, &sending, cx)).await;
        }
        let mut waiting = Waiting::new(self, Direction::Write, Class::Exclusive);
        let sent = poll_fn(|cx| waiting.poll_parked(cx, |op| sending.step(op))).await;
        drop(waiting);
        match self.leaves_from(&sending, sent)? {
            Some(post) => poll_fn(|cx| self.poll_send_beyond(post, &sending, cx)).await,
            None => sent.map_err(to_io),
        }
    }

    /// recvmsg(2): at most `len` bytes, in the buffers that were sent. Flags that count are PEEK,
    /// OUT_OF_BAND, WAIT_ALL and DONT_WAIT.
    ///
    /// # Errors
    /// EAGAIN, ENOTCONN, EINVAL, ECONNRESET; EOPNOTSUPP when it is of another family.
    pub fn recv_unix(&self, len: usize, flags: MessageFlags) -> io::Result<UnixMessage> {
        let wait = match flags.contains(MessageFlags::DONT_WAIT) {
            true => Wait::No,
            false => self.patience(timeout(&self.0.read_timeout)),
        };
        let request = Request {
            len,
            peek: flags.contains(MessageFlags::PEEK),
            urgent: flags.contains(MessageFlags::OUT_OF_BAND),
            waits: !matches!(wait, Wait::No),
            again: false,
        };
        let mut all = UnixMessage::default();
        self.collect();
        loop {
            let rest = Request {
                len: len - all.len,
                again: all.len > 0,
                ..request
            };
            let got = self.wait_here(Direction::Read, wait, |op| receive(op, rest));
            let (ended, low_water) = match got {
                Ok(Got {
                    received,
                    peer,
                    low_water,
                }) => (all.join(received, peer), low_water),
                Err(_) if all.len > 0 => return Ok(all),
                Err(error) => return Err(to_io(error)),
            };
            let least = match flags.contains(MessageFlags::WAIT_ALL) {
                true => len,
                false => low_water.min(len),
            };
            if ended || all.len >= least {
                return Ok(all);
            }
        }
    }

    /// recvmsg(2) for a task.
    ///
    /// # Errors
    /// Those of [`recv_unix`](Self::recv_unix).
    pub async fn recv_unix_async(
        &self,
        len: usize,
        flags: MessageFlags,
    ) -> io::Result<UnixMessage> {
        let request = Request {
            len,
            peek: flags.contains(MessageFlags::PEEK),
            urgent: flags.contains(MessageFlags::OUT_OF_BAND),
            waits: true,
            again: false,
        };
        self.collect();
        let mut waiting = Waiting::new(self, Direction::Read, Class::Exclusive);
        let got = poll_fn(|cx| waiting.poll_parked(cx, |op| receive(op, request))).await;
        Ok(got.map_err(to_io)?.into())
    }

    /// recvmsg(2) for a task that names itself by its waker alone.
    ///
    /// # Errors
    /// Those of [`recv_unix`](Self::recv_unix).
    pub fn poll_recv_unix(
        &self,
        cx: &mut Context<'_>,
        len: usize,
    ) -> Poll<io::Result<UnixMessage>> {
        let request = Request {
            len,
            waits: true,
            ..Request::default()
        };
        self.collect();
        let polled = self.poll_step(cx, Direction::Read, |op| receive(op, request));
        polled.map_err(to_io).map_ok(UnixMessage::from)
    }

    /// recv(2) into the caller's buffer.
    pub(in crate::socket) fn recv_copied(
        &self,
        buffer: &mut [u8],
        flags: MessageFlags,
    ) -> io::Result<usize> {
        if flags.is_empty() {
            self.collect();
            let wait = self.patience(timeout(&self.0.read_timeout));
            let (mut taken, len) = (SmallVec::new(), buffer.len());
            let read = self.wait_here(Direction::Read, wait, |op| {
                op.unix(|unix, cx, id| unix.read(cx, id, len, &mut taken))
            });
            if let Some(read) = read.map_err(to_io)? {
                copy_to(&taken, buffer);
                return Ok(read);
            }
        }
        let message = self.recv_unix(buffer.len(), flags)?;
        message.copy_to(buffer);
        Ok(match flags.contains(MessageFlags::TRUNCATE) {
            true => message.full_len,
            false => message.len,
        })
    }

    /// [`recv_copied`](Self::recv_copied) for a task.
    pub(in crate::socket) fn poll_recv_copied(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.collect();
        let (mut taken, len) = (SmallVec::new(), buffer.len());
        let read = ready!(self.poll_step(cx, Direction::Read, |op| {
            op.unix(|unix, cx, id| unix.read(cx, id, len, &mut taken))
        }));
        match read.map_err(to_io)? {
            Some(read) => {
                copy_to(&taken, buffer);
                Poll::Ready(Ok(read))
            }
            None => self
                .poll_recv_unix(cx, len)
                .map_ok(|message| message.copy_to(buffer)),
        }
    }

    /// Sends data and nothing else, to the peer.
    fn send_plain(&self, mut data: Bytes) -> io::Result<usize> {
        let wait = self.patience(timeout(&self.0.write_timeout));
        let stream = self.0.kind == Kind::Unix(SocketType::Stream);
        let mut sent = 0;
        loop {
            let step = self.wait_here(Direction::Write, wait, |op| {
                op.unix(|unix, cx, id| {
                    unix.send_message(cx, id, &mut data, None, &mut Outgoing::default())
                })
            });
            match step {
                Ok(n) => sent += n,
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(to_io(error)),
            }
            if !stream || data.is_empty() {
                return Ok(sent);
            }
        }
    }

    /// Sends what lies in the caller's buffers: a copy of it, made before the lock is taken.
    pub(in crate::socket) fn send_copied(
        &self,
        data: &[IoSlice<'_>],
        flags: MessageFlags,
    ) -> io::Result<usize> {
        let total: usize = data.iter().map(|piece| piece.len()).sum();
        if self.0.kind != Kind::Unix(SocketType::Stream) || total <= CHUNK {
            let copy = copied(data.iter().map(|piece| &**piece), total);
            if flags.is_empty() && self.post().is_none() {
                return self.send_plain(copy);
            }
            return self.send_unix(UnixSend {
                data: copy,
                flags,
                ..UnixSend::default()
            });
        }
        let mut chunks = data.iter().flat_map(|piece| piece.chunks(CHUNK)).peekable();
        let mut sent = 0;
        while let Some(chunk) = chunks.next() {
            let last = chunks.peek().is_none();
            let message = UnixSend {
                data: pool::copy(chunk),
                flags: match last {
                    true => flags,
                    false => flags - MessageFlags::OUT_OF_BAND,
                },
                ..UnixSend::default()
            };
            match self.send_unix(message) {
                Ok(n) if n < chunk.len() => return Ok(sent + n),
                Ok(n) => sent += n,
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// A step that a blocking call waits for, parked: the node's links have nothing to do with it.
    pub(super) fn wait_here<R>(
        &self,
        direction: Direction,
        wait: Wait,
        mut step: impl FnMut(&mut Op<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        match (self.step(&mut step), wait) {
            (Err(Error::WouldBlock), Wait::Forever | Wait::Until(_)) => {}
            (done, _) => return done,
        }
        let deadline = match wait {
            Wait::No | Wait::Forever => None,
            Wait::Until(deadline) => deadline,
        };
        let mut waiting = Waiting::new(self, direction, Class::Exclusive);
        // A clock that is moved by hand has to be told who waits.
        let shards = || match self.shard().clock.manual() {
            Some(_) => vec![self.shard().clone()],
            None => Vec::new(),
        };
        let done = block_on(shards, deadline, |cx| waiting.poll_parked(cx, &mut step));
        done.unwrap_or(Err(Error::WouldBlock))
    }
}

pub(super) fn copied<'a>(mut pieces: impl Iterator<Item = &'a [u8]>, total: usize) -> Bytes {
    let first = pieces.next().unwrap_or_default();
    if first.len() == total && total <= CHUNK {
        return pool::copy(first);
    }
    let mut copy = Vec::with_capacity(total);
    copy.extend_from_slice(first);
    pieces.for_each(|piece| copy.extend_from_slice(piece));
    copy.into()
}

/// Copies pieces to where the caller wants them; how many bytes.
pub(super) fn copy_to(pieces: &[Bytes], out: &mut [u8]) -> usize {
    let mut filled = 0;
    for piece in pieces {
        let size = piece.len().min(out.len() - filled);
        out[filled..filled + size].copy_from_slice(&piece[..size]);
        filled += size;
    }
    filled
}

/// What a step received.
struct Got {
    received: Received,
    /// Of a stream, whose it is.
    peer: Option<Name>,
    /// The bytes that a call waits for.
    low_water: usize,
}

impl From<Got> for UnixMessage {
    fn from(got: Got) -> Self {
        let mut all = Self::default();
        all.join(got.received, got.peer);
        all
    }
}

fn receive(op: &mut Op<'_>, request: Request) -> Result<Got, Error> {
    let stream = op.kind == Kind::Unix(SocketType::Stream);
    op.unix(|unix, cx, id| {
        let received = unix.receive(cx, id, request)?;
        // The end says no name, nor does an urgent byte.
        let peer = match stream && !received.data.is_empty() && !received.urgent {
            true => unix.peer_name(id)?,
            false => None,
        };
        let low_water = match stream {
            true => unix.low_water(id)?,
            false => 0,
        };
        Ok(Got {
            received,
            peer,
            low_water,
        })
    })
}
