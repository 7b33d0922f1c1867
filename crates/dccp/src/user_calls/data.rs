//! Messages to be sent and read. Their boundaries are kept.

use crate::Dccp;
use crate::conn::Conn;
use crate::socket::Socket;
use crate::state::State;
use bytes::Bytes;
use sockeye_core::datagram::{Control, Received, SendOptions};
use sockeye_core::{Context, Counter, Error, InterfaceId, Payload, SocketId};
use std::io::IoSlice;
use std::net::SocketAddr;

impl Dccp {
    /// Sends `data` as one message. The address is not looked at, as the peer is the connection's.
    ///
    /// # Errors
    /// - The pending error; [`Error::BrokenPipe`] when there is no connection, or no half of it to
    ///   send by.
    /// - [`Error::MessageSize`] for more than [`max_packet_size`](Self::max_packet_size).
    /// - [`Error::WouldBlock`] before the connection stands, and while the send buffer is full.
    /// - [`Error::Invalid`] for a priority where the queue has none (DCCP_SOCKOPT_QPOLICY_ID).
    pub fn send(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
        _to: Option<SocketAddr>,
        options: &SendOptions,
    ) -> Result<usize, Error> {
        if options.out_of_band {
            return Err(Error::NotSupported);
        }
        if let Some(error) = self.take_error(id)? {
            return Err(error);
        }
        let Socket::Connection(conn) = self.held_mut(id)? else {
            return Err(Error::BrokenPipe);
        };
        match conn.state {
            State::Request => return Err(Error::WouldBlock),
            state if !state.sends_data() => return Err(Error::BrokenPipe),
            _ if conn.marks.write_shut || conn.marks.closing || conn.marks.unheard => {
                return Err(Error::BrokenPipe);
            }
            _ => {}
        }
        let route = conn.route(cx)?;
        let len: usize = data.iter().map(|slice| slice.len()).sum();
        // RFC 4340 §14.2-1: refused.
        if len > conn.max_packet_size(&route) {
            return Err(Error::MessageSize);
        }
        if options.queue_priority.is_some() && !conn.settings.by_priority {
            return Err(Error::Invalid);
        }
        if !conn.has_room(len) || cx.memory.is_full() {
            conn.marks.blocked = true;
            return Err(Error::WouldBlock);
        }
        let settings = &conn.settings;
        if settings.by_priority {
            for _ in 0..conn.queue.give_up(settings.tx_queue) {
                cx.drop_packet(Counter::DccpQueueOverflows);
            }
        }
        let mut bytes = Vec::with_capacity(len);
        for slice in data {
            bytes.extend_from_slice(slice);
        }
        let message = Payload::from_iter([Bytes::from(bytes)]);
        conn.queue
            .push(message, options.queue_priority.unwrap_or(0));
        self.settle(cx, id);
        Ok(len)
    }

    /// The next message; what does not fit `out` is lost. None is left when the connection has ended:
    /// a message of no bytes, then.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when none is there, [`Error::NotConnected`], the pending error.
    pub fn recv(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        out: &mut [u8],
        peek: bool,
    ) -> Result<Received, Error> {
        let conn = match self.held_mut(id)? {
            Socket::Connection(conn) => conn,
            Socket::Fresh(fresh) => return Err(fresh.error.take().unwrap_or(Error::NotConnected)),
            _ => return Err(Error::NotConnected),
        };
        let Some(message) = conn.received.front() else {
            if let Some(error) = conn.error.take() {
                return Err(error);
            }
            return match conn.state.has_ended() || conn.marks.read_shut {
                true => Ok(conn.nothing(cx)),
                false => Err(Error::WouldBlock),
            };
        };
        let mut copied = 0;
        for slice in &message.data {
            let n = slice.len().min(out.len() - copied);
            out[copied..copied + n].copy_from_slice(&slice[..n]);
            copied += n;
        }
        let received = Received {
            len: message.len,
            copied,
            at: message.at,
            ..conn.nothing(cx)
        };
        if !peek {
            conn.received.pop();
            conn.account(cx);
        }
        Ok(received)
    }

    /// A message, and what recvmsg tells beside it: nothing.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recv_message(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        out: &mut [u8],
        peek: bool,
    ) -> Result<(Received, Vec<Control>), Error> {
        Ok((self.recv(cx, id, out, peek)?, Vec::new()))
    }

    /// RFC 4340 §14: the largest message that can be sent now, MPS.
    ///
    /// # Errors
    /// [`Error::NotConnected`], and those of routing.
    pub fn max_packet_size(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<usize, Error> {
        let conn = self.connection(id)?;
        let route = conn.route(cx)?;
        Ok(conn.max_packet_size(&route))
    }
}

impl Conn {
    /// A message of no bytes.
    fn nothing(&self, cx: &Context<'_>) -> Received {
        let common = &self.settings.common;
        Received {
            len: 0,
            copied: 0,
            from: common.show(self.tuple.flow.remote),
            to: common.show(self.tuple.flow.local),
            interface: InterfaceId(self.interface.0),
            ttl: 0,
            tos: 0,
            segment: None,
            at: cx.now,
        }
    }
}
