//! listen(2), connect(2), accept(2), shutdown(2) and close(2).

use crate::message::Credentials;
use crate::name::Name;
use crate::socket::{Peer, Socket, SocketType, State};
use crate::{Unix, handle};
use sockeye_core::{Context, Error, Readiness, Shutdown, SocketId};

/// What wakes all who wait, in either direction.
const ALL: Readiness = Readiness::HANGUP;

impl Unix {
    /// Lets others connect. Those who do are told `caller` (SO_PEERCRED).
    ///
    /// # Errors
    /// [`Error::NotSupported`] for datagrams, [`Error::Invalid`] without a name or when it is
    /// connected.
    pub fn listen(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        backlog: usize,
        caller: Credentials,
    ) -> Result<(), Error> {
        let backlog = backlog.min(cx.config.backlog_max);
        let socket = self.socket_mut(id)?;
        if !socket.ty.connects() {
            return Err(Error::NotSupported);
        }
        if socket.name.get().is_none() || socket.state == State::Established {
            return Err(Error::Invalid);
        }
        let grows = backlog > socket.backlog;
        socket.backlog = backlog;
        socket.state = State::Listening;
        socket.peer_credentials = Some(caller);
        if grows {
            self.unblock(cx, id);
        }
        Ok(())
    }

    /// Connects; `None` takes the peer of a datagram socket away (AF_UNSPEC).
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while the listener's backlog is full: the socket becomes writable when
    /// it is worth another attempt. [`Error::ConnectionRefused`], [`Error::NoEntry`],
    /// [`Error::WrongType`], [`Error::IsConnected`], [`Error::Invalid`] for a listener,
    /// [`Error::NotPermitted`] for a datagram socket that talks to another,
    /// [`Error::TooManySockets`].
    pub fn connect_name(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        name: Option<&Name>,
        caller: Credentials,
    ) -> Result<(), Error> {
        let ty = self.socket(id)?.ty;
        match (ty, name) {
            (SocketType::Datagram, Some(name)) => self.connect_datagrams(cx, id, name),
            (SocketType::Datagram, None) => {
                self.change_peer(cx, id, None);
                Ok(())
            }
            (_, Some(name)) => self.connect_stream(cx, id, name, caller),
            (_, None) => Err(Error::Invalid),
        }
    }

    fn connect_datagrams(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        name: &Name,
    ) -> Result<(), Error> {
        self.autobind_passing(cx, id)?;
        let other = self.find(name, SocketType::Datagram)?;
        self.check_may_send(id, other)?;
        let name = self.socket(other)?.name.clone();
        self.change_peer(cx, id, Some(Peer { id: other, name }));
        Ok(())
    }

    /// A socket that has a peer hears nobody else.
    pub(crate) fn check_may_send(&self, id: SocketId, other: SocketId) -> Result<(), Error> {
        match self.sockets.get(other).and_then(Socket::peer_id) {
            Some(peer) if peer != id => Err(Error::NotPermitted),
            _ => Ok(()),
        }
    }

    /// What came from the old peer is lost, and a peer that talks to it is told so.
    pub(crate) fn change_peer(&mut self, cx: &mut Context<'_>, id: SocketId, peer: Option<Peer>) {
        let new = peer.as_ref().map(|peer| peer.id);
        let Some(socket) = self.sockets.get_mut(id) else {
            return;
        };
        socket.state = match new {
            Some(_) => State::Established,
            None => State::Closed,
        };
        let Some(old) = std::mem::replace(&mut socket.peer, peer) else {
            return;
        };
        cx.set_ready(handle(id), Readiness::WRITABLE);
        if new == Some(old.id) {
            return;
        }
        let lost = std::mem::take(&mut socket.queue);
        if lost.is_empty() {
            return;
        }
        for message in lost {
            self.discard(cx, message);
        }
        self.unblock(cx, id);
        if let Some(other) = self.sockets.get_mut(old.id)
            && other.peer_id() == Some(id)
        {
            other.error = Some(Error::ConnectionReset);
            cx.set_ready(handle(old.id), Readiness::ERROR);
        }
    }

    fn connect_stream(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        name: &Name,
        caller: Credentials,
    ) -> Result<(), Error> {
        self.autobind_passing(cx, id)?;
        let socket = self.socket(id)?;
        let (ty, state) = (socket.ty, socket.state);
        let other = self.find(name, ty)?;
        let listener = self.socket(other)?;
        if listener.state != State::Listening || listener.read_closed {
            return Err(Error::ConnectionRefused);
        }
        if listener.is_full() {
            self.block(id, other);
            return Err(Error::WouldBlock);
        }
        match state {
            State::Closed => {}
            State::Established => return Err(Error::IsConnected),
            State::Listening => return Err(Error::Invalid),
        }
        let (its_name, told) = (listener.name.clone(), listener.peer_credentials);
        let (owner, passes) = (listener.owner, listener.passes_credentials);
        let made = self.open(cx, ty, owner)?;
        let end = self.socket_mut(made)?;
        end.state = State::Established;
        end.accepted = false;
        end.passes_credentials = passes;
        end.name = its_name.clone();
        end.peer_credentials = Some(caller);
        let own_name = self.socket(id)?.name.clone();
        self.socket_mut(made)?.peer = Some(Peer { id, name: own_name });
        let socket = self.socket_mut(id)?;
        socket.state = State::Established;
        socket.peer_credentials = told;
        socket.peer = Some(Peer {
            id: made,
            name: its_name,
        });
        self.socket_mut(other)?.pending.push_back(made);
        cx.set_ready(handle(other), Readiness::READABLE);
        cx.set_ready(handle(id), Readiness::WRITABLE);
        Ok(())
    }

    /// Connects a socket to a new one that stands in for a peer beyond the node, of that name and those
    /// credentials.
    ///
    /// # Errors
    /// [`Error::IsConnected`], [`Error::Invalid`] for a listener, [`Error::NotSupported`] for
    /// datagrams, [`Error::TooManySockets`].
    pub fn connect_stand_in(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        name: &Name,
        theirs: Credentials,
    ) -> Result<SocketId, Error> {
        let socket = self.socket(id)?;
        match socket.state {
            State::Closed if socket.ty.connects() => {}
            State::Closed => return Err(Error::NotSupported),
            State::Established => return Err(Error::IsConnected),
            State::Listening => return Err(Error::Invalid),
        }
        let (ty, owner, own_name) = (socket.ty, socket.owner, socket.name.clone());
        let made = self.open(cx, ty, theirs)?;
        let end = self.socket_mut(made)?;
        // It was without one; it is a name of elsewhere, and nobody is to find it here.
        let _ = end.name.set(name.clone());
        let its_name = end.name.clone();
        end.state = State::Established;
        end.peer_credentials = Some(owner);
        end.peer = Some(Peer { id, name: own_name });
        let socket = self.socket_mut(id)?;
        socket.state = State::Established;
        socket.peer_credentials = Some(theirs);
        socket.peer = Some(Peer {
            id: made,
            name: its_name,
        });
        cx.set_ready(handle(id), Readiness::WRITABLE);
        Ok(made)
    }

    /// Takes the connection that has waited longest.
    ///
    /// # Errors
    /// [`Error::NotSupported`] for datagrams, [`Error::Invalid`] when it does not listen or was shut
    /// down, [`Error::WouldBlock`].
    pub fn accept(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        waits: bool,
    ) -> Result<SocketId, Error> {
        let listener = self.socket_mut(id)?;
        if !listener.ty.connects() {
            return Err(Error::NotSupported);
        }
        if listener.state != State::Listening {
            return Err(Error::Invalid);
        }
        if let Some(error) = listener.error.take() {
            return Err(error);
        }
        let Some(made) = listener.pending.pop_front() else {
            // Linux tells the end to those alone who wait for a connection.
            return Err(match listener.read_closed && waits {
                true => Error::Invalid,
                false => Error::WouldBlock,
            });
        };
        self.unblock(cx, id);
        self.socket_mut(made)?.accepted = true;
        Ok(made)
    }

    /// Ends one direction or both, of a connection at both ends. One without a peer may be shut
    /// down, too.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn shutdown(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        how: Shutdown,
    ) -> Result<(), Error> {
        let socket = self.socket_mut(id)?;
        socket.read_closed |= how.reads();
        socket.write_closed |= how.writes();
        let peer = socket.peer_id().filter(|_| socket.ty.connects());
        cx.set_ready(handle(id), ALL);
        self.unblock(cx, id);
        if let Some(peer) = peer
            && let Some(other) = self.sockets.get_mut(peer)
        {
            other.read_closed |= how.writes();
            other.write_closed |= how.reads();
            cx.set_ready(handle(peer), ALL);
        }
        Ok(())
    }

    /// Ends a socket. What it had not read is lost, which the peer of a connection hears as a
    /// reset; connections that nobody has accepted are reset, too.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn close(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        let socket = self.sockets.remove(id).ok_or(Error::BadSocket)?;
        // An accepted one has its listener's name, which stays.
        if let Some(name) = socket.name.get() {
            self.names.forget(name, socket.ty, id);
        }
        for waiting in &socket.blocked {
            cx.set_ready(handle(*waiting), Readiness::WRITABLE);
        }
        if let Some(peer) = &socket.peer
            && socket.ty.connects()
            && let Some(other) = self.sockets.get_mut(peer.id)
        {
            (other.read_closed, other.write_closed) = (true, true);
            // The mark that an urgent byte left is nothing that is lost.
            let marks = socket
                .queue
                .front()
                .is_some_and(|first| first.data.is_empty());
            if socket.queue.len() > usize::from(marks) || !socket.accepted {
                other.error = Some(Error::ConnectionReset);
            }
            cx.set_ready(handle(peer.id), ALL);
        }
        for message in socket.queue {
            self.discard(cx, message);
        }
        for made in socket.pending {
            // It was made here and nobody else can have closed it.
            let _ = self.close(cx, made);
        }
        Ok(())
    }
}
