//! RECEIVE (RFC 9293 §3.10.3).

use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::{State, Tcp};
use bytes::Bytes;
use sockeye_core::{Context, Error, SocketId};

impl Tcp {
    /// RECEIVE: copies what has arrived to `out`; 0 is the end of the stream.
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
        let tcb = self.receivable(id)?;
        let n = match tcb {
            Some(tcb) => {
                let n = tcb.received.read(out);
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
        Ok(self.receivable(id)?.map_or(0, |tcb| tcb.received.peek(out)))
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
        let bytes = match self.receivable(id)? {
            Some(tcb) if max > 0 => {
                let bytes = tcb.received.read_bytes(max).unwrap_or_default();
                tcb.was_read(cx, bytes.len());
                bytes
            }
            _ => Bytes::new(),
        };
        self.settle(cx, id);
        Ok(bytes)
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
        if tcb.waiting() > 0 {
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
    /// The user has taken `n` bytes: the buffer may grow, and the peer may have to learn of room.
    fn was_read(&mut self, cx: &Context<'_>, n: usize) {
        if n == 0 {
            return;
        }
        let max = if self.settings.receive_buffer_locked {
            self.rcv.buffer
        } else {
            cx.config.tcp_rmem.2
        };
        self.rcv.was_read(n, cx.now, &self.rtt, max);
        self.compacted = self.compacted.min(self.pinned());
        let clamp = self.settings.window_clamp;
        if self.state.receives_text() && self.rcv.update_is_due(self.waiting(), self.mss, clamp) {
            self.marks.ack_now = true;
        }
    }
}
