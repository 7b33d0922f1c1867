//! Sockets inside a node (unix(7)), without I/O: streams, datagrams and sequenced packets between
//! whoever holds the node.
//!
//! - The names of a node, which are no files: `name`.
//! - [`open`](Unix::open), [`pair`](Unix::pair), [`bind_name`](Unix::bind_name): here.
//! - [`listen`](Unix::listen), [`connect_name`](Unix::connect_name), [`accept`](Unix::accept),
//!   [`shutdown`](Unix::shutdown), [`close`](Unix::close): `connect`.
//! - [`send_message`](Unix::send_message): `send`. Data is handed over as [`Bytes`](bytes::Bytes), never copied here.
//! - [`receive`](Unix::receive): `receive`, and of streams, with urgent data, `stream`;
//!   [`read`](Unix::read), of data alone: `read`.
//! - Datagrams to and from somebody beyond the node: `porter`.
//! - Options: `options`; the calls that all sockets have, with addresses of hosts: `internet`.
//!
//! Behaviour is Linux's, the order of its checks included, and so is what a message counts against
//! its sender's buffer (`charge`): a buffer holds as many here as there. A Rust value takes the
//! place of a descriptor (SCM_RIGHTS): see [`Object`]. Nothing here is told to a link, so that no turn
//! of the node is needed.
//!
//! Not as on Linux: a cycle of sockets that lie in each other's queues as objects stays until the
//! node ends, since nobody can look into a value.
#![forbid(unsafe_code)]

mod charge;
mod connect;
mod internet;
mod message;
mod name;
mod options;
mod porter;
mod read;
mod receive;
mod send;
mod socket;
mod stream;
mod transport;

#[cfg(test)]
mod tests;

pub use message::{Credentials, Message, OBJECTS_MAX, Object, Outgoing, Received, Request};
pub use name::{ABSTRACT_MAX, Name, PATH_MAX, PATHS_MAX};
pub use porter::Letter;
pub use socket::SocketType;

use name::{Names, Own};
use socket::{Peer, Socket, State};
use sockeye_core::{Context, Error, Handle, Readiness, Slab, SocketId, TransportId};

/// Objects under way between all sockets of a node.
pub const OBJECTS_IN_FLIGHT_MAX: usize = 1 << 16;

/// The node-internal sockets.
#[derive(Debug, Default)]
pub struct Unix {
    sockets: Slab<Socket>,
    names: Names,
    /// Objects in all queues.
    objects: usize,
    /// What nobody will receive any more: see [`take_discarded`](Unix::take_discarded).
    discarded: Vec<Message>,
}

const fn handle(id: SocketId) -> Handle {
    Handle {
        transport: TransportId::UNIX,
        id,
    }
}

impl Unix {
    /// Makes a socket of a process.
    ///
    /// # Errors
    /// [`Error::TooManySockets`].
    pub fn open(
        &mut self,
        cx: &mut Context<'_>,
        ty: SocketType,
        opener: Credentials,
    ) -> Result<SocketId, Error> {
        if self.sockets.len() >= cx.config.sockets_max {
            return Err(Error::TooManySockets);
        }
        Ok(self.sockets.insert(Socket::new(cx, ty, opener)))
    }

    /// socketpair(2): two sockets, each the other's peer.
    ///
    /// # Errors
    /// [`Error::TooManySockets`].
    pub fn pair(
        &mut self,
        cx: &mut Context<'_>,
        ty: SocketType,
        opener: Credentials,
    ) -> Result<(SocketId, SocketId), Error> {
        let one = self.open(cx, ty, opener)?;
        let other = match self.open(cx, ty, opener) {
            Ok(other) => other,
            Err(error) => {
                self.sockets.remove(one);
                return Err(error);
            }
        };
        for (id, peer) in [(one, other), (other, one)] {
            let name = self.sockets.get(peer).map(|peer| peer.name.clone());
            if let Some(socket) = self.sockets.get_mut(id) {
                socket.state = State::Established;
                socket.peer_credentials = Some(opener);
                socket.peer = name.map(|name| Peer { id: peer, name });
            }
        }
        Ok((one, other))
    }

    /// Gives a socket a name, or with `None` a free abstract one of five hexadecimal digits
    /// (unix(7): autobind), which leaves a name alone that it has.
    ///
    /// # Errors
    /// [`Error::AddressInUse`], [`Error::Invalid`] when it has a name, [`Error::NoMemory`] at
    /// [`PATHS_MAX`].
    pub fn bind_name(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        name: Option<Name>,
    ) -> Result<(), Error> {
        let socket = self.sockets.get(id).ok_or(Error::BadSocket)?;
        let bound = socket.name.get().is_some();
        let Some(name) = name else {
            return match bound {
                true => Ok(()),
                false => self.autobind(cx, id),
            };
        };
        // As on Linux the file of a path is made before anything else is looked at.
        let is_path = matches!(name, Name::Path(_));
        if is_path {
            self.names.check_free(&name, socket.ty)?;
        }
        if bound {
            return Err(Error::Invalid);
        }
        self.names.check_free(&name, socket.ty)?;
        self.take_name(id, name)
    }

    fn take_name(&mut self, id: SocketId, name: Name) -> Result<(), Error> {
        let socket = self.sockets.get_mut(id).ok_or(Error::BadSocket)?;
        self.names.insert(name.clone(), socket.ty, id)?;
        // It was without one.
        let _ = socket.name.set(name);
        Ok(())
    }

    /// Where a socket that passes credentials has no name, it gets one as it begins to speak.
    fn autobind_passing(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        let socket = self.socket(id)?;
        match socket.passes_credentials && socket.name.get().is_none() {
            true => self.autobind(cx, id),
            false => Ok(()),
        }
    }

    fn autobind(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        let ty = self.socket(id)?.ty;
        let name = self
            .names
            .find_free(cx.rng, ty)
            .ok_or(Error::NoBufferSpace)?;
        self.take_name(id, name)
    }

    /// unlink(2): takes away a path; who is bound to it stays, but is not found any more.
    ///
    /// # Errors
    /// [`Error::NoEntry`].
    pub fn unlink(&mut self, path: &[u8]) -> Result<(), Error> {
        self.names.unlink(path)
    }

    /// Whether something stands under a path.
    #[must_use]
    pub fn exists(&self, path: &[u8]) -> bool {
        self.names.exists(path)
    }

    /// getsockname(2): `None` for one without a name.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn name(&self, id: SocketId) -> Result<Option<Name>, Error> {
        Ok(self.socket(id)?.name.get().cloned())
    }

    /// getpeername(2).
    ///
    /// # Errors
    /// [`Error::NotConnected`].
    pub fn peer_name(&self, id: SocketId) -> Result<Option<Name>, Error> {
        let peer = self.socket(id)?.peer.as_ref();
        Ok(peer.ok_or(Error::NotConnected)?.name.get().cloned())
    }

    /// SO_PEERCRED: whose the peer is; nobody's without one.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn peer_credentials(&self, id: SocketId) -> Result<Option<Credentials>, Error> {
        Ok(self.socket(id)?.peer_credentials)
    }

    /// What a socket is ready for, as poll(2) tells it. Where it is told that it can't be written
    /// to, it is told when it can.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn readiness(&mut self, id: SocketId) -> Result<Readiness, Error> {
        let socket = self.socket(id)?;
        let mut ready = socket.readiness();
        if let Some(full) = self.full_peer(id)
            && ready.contains(Readiness::WRITABLE)
        {
            ready.remove(Readiness::WRITABLE);
            self.block(id, full);
        }
        Ok(ready)
    }

    /// SO_ERROR.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn take_error(&mut self, id: SocketId) -> Result<Option<Error>, Error> {
        Ok(self.socket_mut(id)?.error.take())
    }

    /// Whether connections can be made to it (SO_ACCEPTCONN).
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn is_listening(&self, id: SocketId) -> Result<bool, Error> {
        Ok(self.socket(id)?.state == State::Listening)
    }

    /// Messages that were lost with a socket, or that a receiver has done with. Their data and objects
    /// are the caller's to drop, where that may call anything: what they are is not known here.
    pub fn take_discarded(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.discarded)
    }

    /// The peer of a datagram socket, where it takes no more now: one that talks back to the socket
    /// is held off by buffers alone.
    fn full_peer(&self, id: SocketId) -> Option<SocketId> {
        let socket = self.sockets.get(id)?;
        if socket.ty == SocketType::Stream {
            return None;
        }
        let to = socket.peer.as_ref()?.id;
        let peer = self.sockets.get(to)?;
        (peer.peer_id() != Some(id) && peer.is_full()).then_some(to)
    }

    /// `id` waits for room at `full`.
    fn block(&mut self, id: SocketId, full: SocketId) {
        if let Some(full) = self.sockets.get_mut(full) {
            full.blocked.insert(id);
        }
    }

    /// There is room at `id`: tells who waits for it.
    fn unblock(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id) else {
            return;
        };
        for waiting in std::mem::take(&mut socket.blocked) {
            cx.set_ready(handle(waiting), Readiness::WRITABLE);
        }
    }

    /// A message has left its queue: its sender may send as much again.
    fn release(&mut self, cx: &mut Context<'_>, sender: SocketId, charge: usize) {
        let Some(sender_socket) = self.sockets.get_mut(sender) else {
            return;
        };
        let could = sender_socket.is_writable();
        sender_socket.charged = sender_socket.charged.saturating_sub(charge);
        if !could && sender_socket.is_writable() {
            cx.set_ready(handle(sender), Readiness::WRITABLE);
        }
    }

    /// A message will never be received, or has been.
    fn discard(&mut self, cx: &mut Context<'_>, message: Message) {
        self.objects = self.objects.saturating_sub(message.objects.len());
        self.release(cx, message.sender, message.charge);
        self.discarded.push(message);
    }

    fn socket(&self, id: SocketId) -> Result<&Socket, Error> {
        self.sockets.get(id).ok_or(Error::BadSocket)
    }

    fn socket_mut(&mut self, id: SocketId) -> Result<&mut Socket, Error> {
        self.sockets.get_mut(id).ok_or(Error::BadSocket)
    }

    /// The names' own view of who is bound.
    fn find(&self, name: &Name, ty: SocketType) -> Result<SocketId, Error> {
        match self.names.find(name, ty)? {
            Own { id, ty: its } if its == ty => Ok(id),
            Own { .. } => Err(Error::WrongType),
        }
    }
}
