//! recv(2), of messages that keep their boundaries.

use crate::Unix;
use crate::message::{Credentials, Received, Request};
use crate::socket::{SocketType, State};
use smallvec::smallvec;
use sockeye_core::{Context, Error, SocketId};

impl Unix {
    /// Receives a datagram, or what a stream has up to the request's length. An end is nothing at
    /// all.
    ///
    /// # Errors
    /// [`Error::WouldBlock`], the pending error, [`Error::Invalid`] for a stream without a peer or an
    /// urgent byte, [`Error::NotConnected`] for sequenced packets without a peer,
    /// [`Error::NotSupported`] for an urgent byte of messages.
    pub fn receive(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        request: Request,
    ) -> Result<Received, Error> {
        let socket = self.socket(id)?;
        let (ty, state) = (socket.ty, socket.state);
        match ty {
            SocketType::Stream if state != State::Established => Err(Error::Invalid),
            SocketType::Stream if request.urgent => self.receive_urgent(id, request),
            SocketType::Stream => self.receive_stream(cx, id, request),
            SocketType::SeqPacket if state != State::Established => Err(Error::NotConnected),
            SocketType::SeqPacket | SocketType::Datagram if request.urgent => {
                Err(Error::NotSupported)
            }
            SocketType::SeqPacket | SocketType::Datagram => self.receive_datagram(cx, id, request),
        }
    }

    fn receive_datagram(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        request: Request,
    ) -> Result<Received, Error> {
        let socket = self.socket_mut(id)?;
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        let offset = socket.peek_offset.filter(|_| request.peek);
        let (mut index, mut skip) = (0, offset.unwrap_or(0));
        if offset.is_some() {
            while let Some(message) = socket.queue.get(index)
                && skip >= message.data.len()
                && (skip > 0 || message.peeked)
            {
                skip -= message.data.len();
                index += 1;
            }
        }
        let Some(message) = socket.queue.get_mut(index) else {
            let ends = request.waits || socket.ty == SocketType::SeqPacket;
            return match socket.read_closed && ends {
                true => Ok(Received::default()),
                false => Err(Error::WouldBlock),
            };
        };
        let full_len = message.data.len() - skip;
        let len = request.len.min(full_len);
        let mut received = Received {
            data: smallvec![message.data.slice(skip..skip + len)],
            len,
            full_len,
            from: message.from.as_ref().and_then(|name| name.get().cloned()),
            credentials: told(socket.passes_credentials, message.credentials),
            objects: Vec::new(),
            urgent: false,
            ended: true,
            at: message.at,
        };
        if request.peek {
            message.peeked |= message.data.is_empty();
            received.objects.clone_from(&message.objects);
            move_offset(&mut socket.peek_offset, |offset| offset + len);
            return Ok(received);
        }
        let whole = message.data.len();
        if let Some(mut message) = socket.queue.pop_front() {
            received.objects = std::mem::take(&mut message.objects);
            self.objects = self.objects.saturating_sub(received.objects.len());
            let socket = self.socket_mut(id)?;
            move_offset(&mut socket.peek_offset, |offset| {
                offset.saturating_sub(whole)
            });
            self.release(cx, message.sender, message.charge);
        }
        self.unblock(cx, id);
        Ok(received)
    }

    /// SIOCINQ: bytes of a stream's or packets' queue, of the next datagram.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a listener.
    pub fn queued_in(&self, id: SocketId) -> Result<usize, Error> {
        let socket = self.socket(id)?;
        if socket.state == State::Listening {
            return Err(Error::Invalid);
        }
        let mut lengths = socket.queue.iter().map(|message| message.data.len());
        Ok(match socket.ty.connects() {
            true => lengths.sum(),
            false => lengths.next().unwrap_or(0),
        })
    }

    /// SIOCOUTQ: what is under way, as it counts against the send buffer.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn queued_out(&self, id: SocketId) -> Result<usize, Error> {
        Ok(self.socket(id)?.charged)
    }
}

/// What SO_PASSCRED tells.
pub(crate) fn told(passes: bool, said: Option<Credentials>) -> Option<Credentials> {
    passes.then(|| said.unwrap_or(Credentials::NOBODY))
}

pub(crate) fn move_offset(offset: &mut Option<usize>, to: impl FnOnce(usize) -> usize) {
    if let Some(offset) = offset {
        *offset = to(*offset);
    }
}
