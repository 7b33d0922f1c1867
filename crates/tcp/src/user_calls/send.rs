//! SEND (RFC 9293 §3.10.2), and the send buffer.

use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::{State, Tcp};
use bytes::Bytes;
use sockeye_core::{Context, Error, SocketId};
use std::io::IoSlice;

impl Tcp {
    /// SEND: takes as much of `data` as there is room for.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when there is none, or no connection yet; [`Error::BrokenPipe`] when
    /// this side is closed; the connection's error, once.
    pub fn send(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
    ) -> Result<usize, Error> {
        let empty = data.iter().all(|slice| slice.is_empty());
        let tcb = self.sendable(id)?;
        let room = tcb.send_room();
        if empty {
            return Ok(0);
        }
        if room == 0 {
            return Err(Error::WouldBlock);
        }
        let taken = tcb.queue.push(data, room);
        self.settle(cx, id);
        Ok(taken)
    }

    /// SEND without a copy: takes as much of `data` as there is room for off its front.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_bytes(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &mut Bytes,
    ) -> Result<usize, Error> {
        let tcb = self.sendable(id)?;
        if data.is_empty() {
            return Ok(0);
        }
        let room = tcb.send_room();
        if room == 0 {
            return Err(Error::WouldBlock);
        }
        let taken = data.split_to(room.min(data.len()));
        let len = taken.len();
        tcb.queue.push_bytes(taken);
        self.settle(cx, id);
        Ok(len)
    }

    /// RFC 9293 §3.10.2: the connection, if it takes SENDs.
    fn sendable(&mut self, id: SocketId) -> Result<&mut Tcb, Error> {
        let tcb = match self.held_mut(id)? {
            Socket::Fresh(fresh) => {
                return Err(fresh.error.take().unwrap_or(Error::BrokenPipe));
            }
            Socket::Listening(_) | Socket::HalfOpen(_) => return Err(Error::BrokenPipe),
            other => other.tcb_mut().ok_or(Error::BrokenPipe)?,
        };
        if let Some(error) = tcb.error.take() {
            return Err(error);
        }
        match tcb.state {
            State::SynSent | State::SynReceived if !tcb.marks.fin_queued => Err(Error::WouldBlock),
            state if state.takes_sends() && !tcb.marks.fin_queued => Ok(tcb),
            _ => Err(Error::BrokenPipe),
        }
    }
}

impl Tcb {
    /// Bytes that SEND takes now.
    pub(super) fn send_room(&self) -> usize {
        let low_water = self.settings.not_sent_low_water as usize;
        let unsent = self.unsent() as usize;
        let room = self.send_buffer.saturating_sub(self.queue.len() as usize);
        if unsent >= low_water { 0 } else { room }
    }

    /// Whether SEND is worth a try: a third of the buffer is free (Linux: sk_stream_is_writeable).
    pub(crate) fn is_writable(&self) -> bool {
        let used = self.queue.len() as usize;
        self.send_room() > 0 && used.saturating_mul(3) <= self.send_buffer.saturating_mul(2)
    }

    /// Lets the send buffer hold twice what may be in flight, up to `tcp_wmem`'s maximum.
    pub(crate) fn tune_send_buffer(&mut self, cx: &Context<'_>) {
        if self.settings.send_buffer_locked {
            return;
        }
        let wanted = usize::try_from(self.congestion.cwnd().saturating_mul(2))
            .unwrap_or(usize::MAX)
            .min(cx.config.tcp_wmem.2);
        self.send_buffer = self.send_buffer.max(wanted);
    }
}
