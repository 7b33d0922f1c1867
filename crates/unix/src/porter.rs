//! Datagrams to and from somebody beyond the node.
//!
//! A datagram socket whose name is known beyond has a *porter*: a socket without a name that brings it
//! what comes from there, each with its sender's name, and that stands for the peer where the socket is
//! connected to a name of beyond. What the socket sends there is its holder's to carry.

use crate::message::{Credentials, Message, Object};
use crate::name::Name;
use crate::socket::Peer;
use crate::{SocketType, Unix, charge, handle};
use bytes::Bytes;
use sockeye_core::{Context, Error, Readiness, SocketId};
use std::sync::{Arc, OnceLock};

/// A datagram from beyond.
#[derive(Debug)]
pub struct Letter {
    /// The data.
    pub data: Bytes,
    /// Whose name it carries; a path is one of elsewhere.
    pub from: Option<Name>,
    /// Whose it is.
    pub credentials: Option<Credentials>,
    /// What came beside the data.
    pub objects: Vec<Object>,
}

impl Unix {
    /// Opens a porter.
    ///
    /// # Errors
    /// [`Error::TooManySockets`].
    pub fn open_porter(&mut self, cx: &mut Context<'_>) -> Result<SocketId, Error> {
        self.open(cx, SocketType::Datagram, Credentials::NOBODY)
    }

    /// Whether a socket takes one more datagram from its porter. Where it does not, the porter becomes
    /// writable when it is worth another attempt.
    ///
    /// # Errors
    /// [`Error::WouldBlock`].
    pub fn has_room_for_porter(&mut self, porter: SocketId, to: SocketId) -> Result<(), Error> {
        let receiver = self.socket(to)?;
        // As of any datagrams: a peer is held off by its buffer alone.
        if receiver.peer_id() != Some(porter) && receiver.is_full() {
            self.block(porter, to);
            return Err(Error::WouldBlock);
        }
        match self.socket(porter)?.has_room() {
            true => Ok(()),
            false => Err(Error::WouldBlock),
        }
    }

    /// Puts a datagram from beyond into the socket's queue. Whether there is room was asked before; who
    /// may send to the socket is known beyond.
    ///
    /// # Errors
    /// [`Error::BadSocket`], [`Error::TooManyReferences`].
    pub fn deliver(
        &mut self,
        cx: &mut Context<'_>,
        porter: SocketId,
        to: SocketId,
        letter: Letter,
    ) -> Result<(), Error> {
        let objects = self.objects + letter.objects.len();
        if objects > crate::OBJECTS_IN_FLIGHT_MAX {
            return Err(Error::TooManyReferences);
        }
        self.socket(to)?;
        let charge = charge::datagram(letter.data.len());
        self.socket_mut(porter)?.charged += charge;
        self.objects = objects;
        let receiver = self.socket_mut(to)?;
        let number = receiver.next;
        receiver.next += 1;
        receiver.queue.push_back(Message {
            number,
            data: letter.data,
            charge,
            sender: porter,
            from: letter.from.map(|name| Arc::new(OnceLock::from(name))),
            credentials: letter.credentials,
            objects: letter.objects,
            peeked: false,
            at: cx.now,
        });
        cx.set_ready(handle(to), Readiness::READABLE);
        Ok(())
    }

    /// Connects a datagram socket to a name of beyond, for which its porter stands.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn connect_porter(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        porter: SocketId,
        name: &Name,
    ) -> Result<(), Error> {
        self.socket(id)?;
        // To another name it is another peer: what the old one sent is lost.
        let same = self.socket(id)?.peer.as_ref();
        let same = same.is_some_and(|peer| peer.id == porter && peer.name.get() == Some(name));
        if !same {
            self.change_peer(cx, id, None);
        }
        let name = Arc::new(OnceLock::from(name.clone()));
        self.change_peer(cx, id, Some(Peer { id: porter, name }));
        Ok(())
    }

    /// Whether a socket's peer is the one that a porter stands for.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn is_peer(&self, id: SocketId, porter: SocketId) -> Result<bool, Error> {
        Ok(self.socket(id)?.peer_id() == Some(porter))
    }

    /// What send(2) looks at before a datagram leaves for beyond: the pending error, the own end, its
    /// length.
    ///
    /// # Errors
    /// [`Error::MessageSize`], [`Error::BrokenPipe`], the pending error.
    pub fn check_letter(&mut self, id: SocketId, len: usize) -> Result<(), Error> {
        let socket = self.socket_mut(id)?;
        if len > socket.common.send_buffer.saturating_sub(32) {
            return Err(Error::MessageSize);
        }
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        match socket.write_closed {
            true => Err(Error::BrokenPipe),
            false => Ok(()),
        }
    }

    /// The peer that a porter stands for takes no more now, or does again: who is connected to it is not
    /// writable meanwhile.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn set_peer_full(
        &mut self,
        cx: &mut Context<'_>,
        porter: SocketId,
        full: bool,
    ) -> Result<(), Error> {
        self.socket_mut(porter)?.full_beyond = full;
        if !full {
            self.unblock(cx, porter);
        }
        Ok(())
    }

    /// The peer of beyond that a socket talks to has lost what the socket sent it: ECONNRESET is told
    /// next.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn reset_by_peer(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        self.socket_mut(id)?.error = Some(Error::ConnectionReset);
        cx.set_ready(handle(id), Readiness::ERROR);
        Ok(())
    }

    /// The peer has gone: a socket has none from now on.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn lose_peer(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        self.socket(id)?;
        self.change_peer(cx, id, None);
        Ok(())
    }

    /// Whether [`bind_name`](Self::bind_name) would give a socket this name; the checks are its.
    ///
    /// # Errors
    /// [`Error::AddressInUse`], [`Error::Invalid`] when it has a name.
    pub fn check_name(&self, id: SocketId, name: &Name) -> Result<(), Error> {
        let socket = self.socket(id)?;
        if socket.name.get().is_some() {
            return Err(Error::Invalid);
        }
        self.names.check_free(name, socket.ty)
    }
}
