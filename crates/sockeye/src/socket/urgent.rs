//! Urgent data of a stream (MSG_OOB): one octet that is read by itself, and its place.

use super::ancillary::MessageFlags;
use super::op::Op;
use super::receive::{Taken, recv_step};
use super::{Kind, Socket};
use crate::error::{os, to_io};
use crate::waiters::Direction;
use sockeye_core::{Error, OptionValue, Readiness, SocketOption};
use sockeye_tcp::SendFlags;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

impl Socket {
    /// send(2) with MSG_OOB: the last byte becomes the urgent one.
    ///
    /// # Errors
    /// Those of [`send`](Self::send); EOPNOTSUPP when it is no stream.
    pub fn send_out_of_band(&self, data: &[u8]) -> io::Result<usize> {
        let message = super::SendMessage {
            data: &[IoSlice::new(data)],
            flags: MessageFlags::OUT_OF_BAND,
            ..Default::default()
        };
        self.sendmsg(&message)
    }

    /// recv(2) with MSG_OOB: the urgent octet by itself. It never waits.
    ///
    /// # Errors
    /// EINVAL when there is none, it was read, or it is part of the stream (SO_OOBINLINE); EAGAIN
    /// when it was announced and has not arrived; EOPNOTSUPP when it is no stream.
    pub fn recv_out_of_band(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_with(buffer, MessageFlags::OUT_OF_BAND)
    }

    /// sockatmark(3), SIOCATMARK: whether the next byte to read is at the place of urgent data.
    ///
    /// # Errors
    /// ENOTTY when it is no stream.
    pub fn at_mark(&self) -> io::Result<bool> {
        if let Kind::Unix(_) = self.0.kind {
            return self.call(|op| op.unix(|unix, _, id| unix.at_mark(id)));
        }
        match self.0.kind.is_datagram() {
            true => Err(os(libc::ENOTTY)),
            false => self.call(|op| op.at_mark()),
        }
    }

    /// Waits until urgent data can be read (POLLPRI), or none can come any more.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn poll_priority(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let what = Readiness::PRIORITY | Readiness::READ_CLOSED;
        self.poll_step(cx, Direction::Read, |op| op.ready(what))
            .map_err(to_io)
    }

    /// recv(2) of a stream for a task, with urgent data in its place (SO_OOBINLINE): the number of
    /// bytes, and whether it is the urgent octet that was read. That one comes alone.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn poll_recv_inline(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, bool)>> {
        let mut taken = Taken::default();
        let mut urgent = false;
        let polled = self.poll_step(cx, Direction::Read, |op| {
            urgent =
                op.at_mark()? && op.option(SocketOption::OobInline)? == OptionValue::Flag(true);
            let room = if urgent { 1 } else { usize::MAX };
            let room = room.min(buffer.len());
            recv_step(op, &mut buffer[..room], false, &mut taken)
        });
        polled.map(|got| {
            let n = self.after_recv(got, buffer, &taken).map_err(to_io)?;
            Ok((n, urgent && n > 0))
        })
    }

    /// [`send_out_of_band`](Self::send_out_of_band) for a task: takes what there is room for.
    ///
    /// # Errors
    /// Those of [`send_out_of_band`](Self::send_out_of_band).
    pub fn poll_send_out_of_band(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.0.kind.is_datagram() {
            return Poll::Ready(Err(to_io(Error::NotSupported)));
        }
        let data = [IoSlice::new(data)];
        let polled = self.poll_step(cx, Direction::Write, |op| op.send(&data, SendFlags::URGENT));
        self.run();
        polled.map_err(to_io)
    }

    pub(super) fn recv_urgent(&self, out: &mut [u8], peek: bool) -> io::Result<usize> {
        // What has come in meanwhile counts.
        self.run();
        self.call(|op| op.recv_urgent(out, peek))
    }
}

impl Op<'_> {
    pub(super) fn at_mark(&mut self) -> Result<bool, Error> {
        self.state.node.tcp(self.now).0.at_mark(self.id)
    }

    fn recv_urgent(&mut self, out: &mut [u8], peek: bool) -> Result<usize, Error> {
        let (tcp, mut cx) = self.state.node.tcp(self.now);
        tcp.recv_urgent(&mut cx, self.id, out, peek)
    }
}
