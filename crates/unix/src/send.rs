//! send(2).

use crate::message::{Credentials, Message, OBJECTS_MAX, Object, Outgoing};
use crate::name::Name;
use crate::socket::{SocketType, State};
use crate::{OBJECTS_IN_FLIGHT_MAX, Unix, charge, handle};
use bytes::Bytes;
use sockeye_core::{Context, Error, Readiness, SocketId};

impl Unix {
    /// Sends, and says how many bytes of `data` are on their way; of a stream perhaps not all. They are
    /// taken out of `data`, and the objects out of `beside` with the first of them.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while the buffer or the receiver's queue is full: the socket becomes
    /// writable when it is worth another attempt. [`Error::NotConnected`], [`Error::BrokenPipe`],
    /// [`Error::ConnectionRefused`] when a datagram's receiver is gone, [`Error::NotPermitted`] when
    /// it talks to another, [`Error::NoEntry`], [`Error::WrongType`], [`Error::MessageSize`],
    /// [`Error::IsConnected`] and [`Error::NotSupported`] for a stream's with a name,
    /// [`Error::Invalid`] for more than [`OBJECTS_MAX`] objects, [`Error::TooManyReferences`] beyond
    /// [`OBJECTS_IN_FLIGHT_MAX`], the pending error.
    pub fn send_message(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &mut Bytes,
        to: Option<&Name>,
        beside: &mut Outgoing,
    ) -> Result<usize, Error> {
        let socket = self.socket_mut(id)?;
        if beside.objects.len() > OBJECTS_MAX {
            return Err(Error::Invalid);
        }
        match socket.ty {
            SocketType::Stream => self.send_stream(cx, id, data, to.is_some(), beside),
            SocketType::Datagram => self.send_datagram(cx, id, data, to, beside),
            SocketType::SeqPacket => {
                if let Some(error) = socket.error.take() {
                    return Err(error);
                }
                if socket.state != State::Established {
                    return Err(Error::NotConnected);
                }
                self.send_datagram(cx, id, data, None, beside)
            }
        }
    }

    fn send_datagram(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &mut Bytes,
        to: Option<&Name>,
        beside: &mut Outgoing,
    ) -> Result<usize, Error> {
        if beside.urgent {
            return Err(Error::NotSupported);
        }
        self.autobind_passing(cx, id)?;
        let len = data.len();
        if len > self.socket(id)?.common.send_buffer.saturating_sub(32) {
            return Err(Error::MessageSize);
        }
        self.check_room(id)?;
        let peer = self.socket(id)?.peer_id();
        let other = match (to, peer) {
            (None, None) => return Err(Error::NotConnected),
            (Some(name), _) => self.find(name, SocketType::Datagram)?,
            (None, Some(peer)) if self.sockets.get(peer).is_some() => peer,
            (None, _) => {
                // The receiver has gone, which is found out now.
                return Err(match self.socket(id)?.ty {
                    SocketType::SeqPacket => Error::BrokenPipe,
                    SocketType::Stream | SocketType::Datagram => {
                        self.change_peer(cx, id, None);
                        Error::ConnectionRefused
                    }
                });
            }
        };
        self.check_may_send(id, other)?;
        let receiver = self.socket(other)?;
        if receiver.read_closed {
            return Err(Error::BrokenPipe);
        }
        if other != id && receiver.peer_id() != Some(id) && receiver.is_full() {
            self.block(id, other);
            return Err(Error::WouldBlock);
        }
        let objects = self.take_objects(beside)?;
        self.queue(
            cx,
            id,
            other,
            (std::mem::take(data), charge::datagram(len)),
            objects,
            beside,
        )?;
        Ok(len)
    }

    fn send_stream(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &mut Bytes,
        named: bool,
        beside: &mut Outgoing,
    ) -> Result<usize, Error> {
        if beside.urgent && data.is_empty() {
            return Err(Error::NotSupported);
        }
        let socket = self.socket(id)?;
        if named {
            return Err(match socket.state {
                State::Established => Error::IsConnected,
                State::Closed | State::Listening => Error::NotSupported,
            });
        }
        let peer = socket.peer_id().ok_or(Error::NotConnected)?;
        if socket.write_closed {
            return Err(Error::BrokenPipe);
        }
        // The urgent byte is a message of its own.
        let last = usize::from(beside.urgent);
        let mut sent = 0;
        while data.len() > last {
            match self.send_piece(cx, id, peer, (data, last), beside) {
                Ok(n) => sent += n,
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            }
        }
        if beside.urgent {
            match self.send_piece(cx, id, peer, (data, 0), beside) {
                Ok(n) => sent += n,
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            }
            let receiver = self.socket_mut(peer)?;
            // One alone is urgent: an older one that was not read has lost its mark.
            receiver.urgent = Some(receiver.next - 1);
            cx.set_ready(handle(peer), Readiness::PRIORITY);
        }
        Ok(sent)
    }

    fn send_piece(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        peer: SocketId,
        (data, but): (&mut Bytes, usize),
        beside: &mut Outgoing,
    ) -> Result<usize, Error> {
        self.check_room(id)?;
        match self.sockets.get(peer) {
            Some(receiver) if !receiver.read_closed => {}
            _ => return Err(Error::BrokenPipe),
        }
        let (size, charge) = charge::stream(data.len() - but, self.socket(id)?.common.send_buffer);
        let objects = self.take_objects(beside)?;
        let piece = data.split_to(size);
        self.queue(cx, id, peer, (piece, charge), objects, beside)?;
        Ok(size)
    }

    /// The pending error, the own end, room in the buffer: in Linux's order.
    fn check_room(&mut self, id: SocketId) -> Result<(), Error> {
        let socket = self.socket_mut(id)?;
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        if socket.write_closed {
            return Err(Error::BrokenPipe);
        }
        match socket.has_room() {
            true => Ok(()),
            false => Err(Error::WouldBlock),
        }
    }

    fn take_objects(&mut self, beside: &mut Outgoing) -> Result<Vec<Object>, Error> {
        let objects = self.objects + beside.objects.len();
        if objects > OBJECTS_IN_FLIGHT_MAX && !beside.objects.is_empty() {
            return Err(Error::TooManyReferences);
        }
        self.objects = objects;
        Ok(std::mem::take(&mut beside.objects))
    }

    fn queue(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        to: SocketId,
        (data, charge): (Bytes, usize),
        objects: Vec<Object>,
        beside: &Outgoing,
    ) -> Result<(), Error> {
        let sender = self.socket_mut(id)?;
        sender.charged += charge;
        let passes = sender.passes_credentials;
        let caller = beside.caller.unwrap_or(sender.owner);
        let from = (sender.ty != SocketType::Stream).then(|| sender.name.clone());
        let receiver = self.socket_mut(to)?;
        let number = receiver.next;
        receiver.next += 1;
        // Who waits to be accepted may yet be asked to pass them.
        let tells = passes || receiver.passes_credentials || !receiver.accepted;
        let said: Option<Credentials> = beside.credentials;
        receiver.queue.push_back(Message {
            number,
            data,
            charge,
            sender: id,
            from,
            credentials: said.or(tells.then_some(caller)),
            objects,
            peeked: false,
            at: cx.now,
        });
        cx.set_ready(handle(to), Readiness::READABLE);
        Ok(())
    }
}
