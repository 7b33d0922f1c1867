//! RECEIVE (RFC 9293 §3.10.3).

use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::{State, Tcp};
use bytes::Bytes;
use sockeye_core::{Context, Error, SocketId};
use std::sync::Arc;

impl Tcp {
    /// RECEIVE: copies what has arrived to `out`, at most up to the mark of urgent data; 0 is the
    /// end of the stream.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when nothing waits, [`Error::NotConnected`], the connection's error,
    /// once.
    pub fn recv(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        self.pass_mark(id, out.len())?;
        let tcb = self.receivable(id)?;
        let n = match tcb {
            Some(tcb) => {
                let room = out.len().min(tcb.until_mark());
                let n = tcb.received.read(&mut out[..room]);
                tcb.was_read(cx, n);
                n
            }
            None => 0,
        };
        self.settle(cx, id);
        Ok(n)
    }

    /// RECEIVE, and leaves it there.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn peek(
        &mut self,
        _cx: &mut Context<'_>,
        id: SocketId,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let Some(tcb) = self.receivable(id)? else {
            return Ok(0);
        };
        // SO_PEEK_OFF: where the last one ended.
        let skip = usize::try_from(tcb.settings.peek_offset).unwrap_or(0);
        let room = out.len().min(tcb.until_mark().saturating_sub(skip));
        let first = tcb.hole() + skip;
        let n = tcb.received.peek(first, &mut out[..room]);
        if n > 0 {
            tcb.received.was_seen(first + n - 1);
        }
        if n == 0 && !out.is_empty() && skip > 0 {
            let ended = tcb.state.peer_closed() || tcb.state == State::Closed;
            return if ended { Ok(0) } else { Err(Error::WouldBlock) };
        }
        tcb.move_peek(n, true);
        Ok(n)
    }

    /// RECEIVE without a copy: up to `max` bytes that lie together; none is the end of the stream.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_bytes(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        max: usize,
    ) -> Result<Bytes, Error> {
        self.pass_mark(id, max)?;
        let bytes = match self.receivable(id)? {
            Some(tcb) if max > 0 => {
                let max = max.min(tcb.until_mark());
                let bytes = tcb.received.read_bytes(max).unwrap_or_default();
                tcb.was_read(cx, bytes.len());
                bytes
            }
            _ => Bytes::new(),
        };
        self.settle(cx, id);
        Ok(bytes)
    }

    /// RECEIVE without a copy: puts what has arrived behind `out`, up to `max` bytes, in the buffers
    /// that it came in; at most up to the mark of urgent data. Returns how many bytes that is; 0 is
    /// the end of the stream.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_slices(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        max: usize,
        out: &mut Vec<Bytes>,
    ) -> Result<usize, Error> {
        self.pass_mark(id, max)?;
        let mut taken = 0;
        if let Some(tcb) = self.receivable(id)? {
            let max = max.min(tcb.until_mark());
            while taken < max
                && let Some(slice) = tcb.received.read_bytes(max - taken)
            {
                taken += slice.len();
                out.push(slice);
            }
            tcb.was_read(cx, taken);
        }
        self.settle(cx, id);
        Ok(taken)
    }

    /// See [`Tcb::pass_mark`]. A read of no bytes passes nothing.
    fn pass_mark(&mut self, id: SocketId, wanted: usize) -> Result<(), Error> {
        if let Some(tcb) = self.held_mut(id)?.tcb_mut()
            && wanted > 0
        {
            tcb.pass_mark();
        }
        Ok(())
    }

    /// RFC 9293 §3.10.3: the connection with something to read, or `None` at the end of the stream.
    fn receivable(&mut self, id: SocketId) -> Result<Option<&mut Tcb>, Error> {
        let tcb = match self.held_mut(id)? {
            Socket::Fresh(fresh) => {
                return Err(fresh.error.take().unwrap_or(Error::NotConnected));
            }
            Socket::Listening(_) | Socket::HalfOpen(_) => return Err(Error::NotConnected),
            other => other.tcb_mut().ok_or(Error::NotConnected)?,
        };
        if tcb.waiting() > tcb.hole() {
            return Ok(Some(tcb));
        }
        if let Some(error) = tcb.error.take() {
            return Err(error);
        }
        if tcb.marks.read_shut || tcb.state.peer_closed() || tcb.state == State::Closed {
            return Ok(None);
        }
        Err(Error::WouldBlock)
    }
}

impl Tcb {
    /// SO_PEEK_OFF, where it is set: reads move it back, peeks on.
    fn move_peek(&mut self, n: usize, peeked: bool) {
        let n = i32::try_from(n).unwrap_or(i32::MAX);
        let offset = self.settings.peek_offset;
        if offset >= 0 {
            Arc::make_mut(&mut self.settings).peek_offset = match peeked {
                true => offset.saturating_add(n),
                false => offset.saturating_sub(n).max(0),
            };
        }
    }

    /// The user has taken `n` bytes: the buffer may grow, and the peer may have to learn of room.
    fn was_read(&mut self, cx: &Context<'_>, n: usize) {
        if n == 0 {
            return;
        }
        self.move_peek(n, false);
        self.tune_receive_buffer(cx, n);
        self.compacted = self.compacted.min(self.pinned());
        let clamp = self.settings.window_clamp;
        if self.state.receives_text() && self.rcv.update_is_due(self.waiting(), self.mss, clamp) {
            self.marks.ack_now = true;
        }
    }
}
