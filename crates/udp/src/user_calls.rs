//! What a program calls, but for sending: open, bind, connect, receive, options, close.

use crate::{Control, Received, Socket, Udp};
use sockeye_core::datagram::{DatagramSocket, check_bindable};
use sockeye_core::demux::{Binding, Claim, Endpoint, Flow};
use sockeye_core::multicast::membership::SourceChange;
use sockeye_core::{
    Context, Domain, Error, InterfaceId, Readiness, Report, Shutdown, SocketId, SourceFilter,
};
use sockeye_wire::IpProtocol;
use std::net::{IpAddr, SocketAddr};

impl Udp {
    /// Makes a socket.
    ///
    /// # Errors
    /// [`Error::TooManySockets`] at [`Config::sockets_max`](sockeye_core::Config::sockets_max).
    pub fn open(&mut self, cx: &mut Context<'_>, domain: Domain) -> Result<SocketId, Error> {
        if self.sockets.len() >= cx.config.sockets_max {
            return Err(Error::TooManySockets);
        }
        let base = DatagramSocket::new(domain, cx.config);
        Ok(self.sockets.insert(Socket::new(base)))
    }

    /// Closes a socket; what it had received is lost.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn close(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        self.unlist(id)?;
        let mut socket = self.sockets.remove(id).ok_or(Error::BadSocket)?;
        self.waiters.forget(id, &mut socket.base);
        socket.base.groups.leave_all(cx);
        if socket.base.foreign {
            self.intercept.foreign_sockets -= 1;
            self.intercept.tell_inet(cx);
        }
        Ok(())
    }

    /// Gives a socket its own address and port; port 0 takes any that is free.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it has a port, [`Error::AddressNotAvailable`] when the address is
    /// not the node's, [`Error::AddressInUse`], and those of
    /// [`SocketCommon::local`](sockeye_core::SocketCommon::local).
    pub fn bind(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addr: SocketAddr,
    ) -> Result<(), Error> {
        let socket = self.socket(id)?;
        if socket.local.is_some() {
            return Err(Error::Invalid);
        }
        let common = &socket.base.common;
        let local = common.local(addr)?;
        check_bindable(cx, local, common)?;
        // ip(7): the port is chosen when it sends or connects.
        if socket.base.settings.bind_address_no_port && local.port == 0 {
            let socket = self.socket_mut(id)?;
            socket.portless = Some(local);
            socket.address_fixed = !local.is_unspecified();
            return Ok(());
        }
        self.take_port(cx, id, local)?;
        let socket = self.socket_mut(id)?;
        socket.address_fixed = !local.is_unspecified();
        socket.port_fixed = true;
        Ok(())
    }

    /// Sets the peer: where [`send`](Self::send) goes without an address, and the only one that
    /// is received from. `None` takes it back.
    ///
    /// # Errors
    /// [`Error::Access`] for a broadcast address without SO_BROADCAST, and those of routing.
    pub fn connect(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addr: Option<SocketAddr>,
    ) -> Result<(), Error> {
        let Some(addr) = addr else {
            return self.disconnect(id);
        };
        let peer = self.socket(id)?.base.common.remote(addr)?;
        self.autobind(cx, id)?;
        let socket = self.socket_mut(id)?;
        let fixed = socket.local.filter(|_| socket.address_fixed);
        let route = socket
            .base
            .connect_route(cx, peer, fixed.map(|local| local.ip))?;
        self.unlist(id)?;
        let socket = self.socket_mut(id)?;
        if !socket.address_fixed
            && let Some(local) = &mut socket.local
        {
            *local = Endpoint::own(&route, peer, local.port);
        }
        socket.peer = Some(peer);
        socket.base.reopen();
        self.list(id)
    }

    fn disconnect(&mut self, id: SocketId) -> Result<(), Error> {
        self.unlist(id)?;
        let socket = self.socket_mut(id)?;
        socket.peer = None;
        if !socket.address_fixed
            && let Some(local) = &mut socket.local
        {
            *local = Endpoint::new(socket.base.common.domain.unspecified(), local.port);
        }
        if !socket.port_fixed {
            socket.local = None;
            socket.base.common.bound = false;
        }
        self.list(id)
    }

    /// Takes (or looks at) the next datagram. `buffer` gets as much of it as fits, the rest is
    /// lost.
    ///
    /// # Errors
    /// A pending error, [`Error::WouldBlock`], [`Error::BadSocket`].
    pub fn recv(
        &mut self,
        _cx: &mut Context<'_>,
        id: SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<Received, Error> {
        self.socket_mut(id)?.base.recv(buffer, peek)
    }

    /// [`recv`](Self::recv) with what recvmsg tells beside the data.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recv_message(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<(Received, Vec<Control>), Error> {
        self.socket_mut(id)?.base.recv_message(cx, buffer, peek)
    }

    /// Takes the next report of the error queue, and where its datagram went, where it is of one.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when there is none, [`Error::BadSocket`].
    pub fn recv_error(&mut self, id: SocketId) -> Result<(Report, Option<SocketAddr>), Error> {
        self.socket_mut(id)?.base.recv_error()
    }

    /// A send with MSG_ZEROCOPY has succeeded: with SO_ZEROCOPY the error queue tells that it is over.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn sent_zero_copy(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        let handle = self.handle(id);
        self.socket_mut(id)?.base.sent_zero_copy(cx, handle);
        Ok(())
    }

    /// The next call fails with `error`, unless the socket is gone.
    pub fn put_error(&mut self, cx: &mut Context<'_>, id: SocketId, error: Error) {
        let handle = self.handle(id);
        if let Some(socket) = self.sockets.get_mut(id) {
            socket.base.set_error(cx, handle, error);
        }
    }

    /// Ends receiving or sending.
    ///
    /// # Errors
    /// [`Error::NotConnected`] without a peer, though it takes effect, as on Linux.
    pub fn shutdown(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        how: Shutdown,
    ) -> Result<(), Error> {
        let handle = self.handle(id);
        let socket = self.socket_mut(id)?;
        socket.base.shutdown(cx, handle, how);
        socket.peer.map(|_| ()).ok_or(Error::NotConnected)
    }

    /// The pending error, which it clears.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn take_error(&mut self, id: SocketId) -> Result<Option<Error>, Error> {
        Ok(self.socket_mut(id)?.base.take_error())
    }

    /// What the socket is ready for now.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn readiness(&self, id: SocketId) -> Result<Readiness, Error> {
        Ok(self.socket(id)?.base.readiness())
    }

    /// Its own address; unspecified and port 0 as long as it has none.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        Ok(self.socket(id)?.shown_local())
    }

    /// Its peer.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::BadSocket`].
    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        let socket = self.socket(id)?;
        let peer = socket.peer.ok_or(Error::NotConnected)?;
        Ok(socket.base.common.show(peer))
    }

    /// Receives what is sent to `group` on `interface`, or on the one its route leaves by.
    ///
    /// # Errors
    /// [`Error::AddressFamily`] for an IPv6 group on an IPv4 socket, and those of
    /// [`Memberships::join`](sockeye_core::multicast::Memberships::join).
    pub fn join_group(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), Error> {
        let base = &mut self.socket_mut(id)?.base;
        base.join_group(cx, group, interface)
    }

    /// Takes back [`join_group`](Self::join_group).
    ///
    /// # Errors
    /// [`Error::AddressNotAvailable`] when it is not joined, else as for `join_group`.
    pub fn leave_group(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), Error> {
        let base = &mut self.socket_mut(id)?.base;
        base.leave_group(cx, group, interface)
    }

    /// Changes whether the socket hears `source` in `group`.
    ///
    /// # Errors
    /// [`Error::AddressFamily`] for a group of the other family, and those of
    /// [`Memberships::change`](sockeye_core::multicast::Memberships::change).
    pub fn change_source(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        on: (IpAddr, Option<InterfaceId>),
        change: SourceChange,
        source: IpAddr,
    ) -> Result<(), Error> {
        let base = &mut self.socket_mut(id)?.base;
        base.change_source(cx, on, change, source)
    }

    /// Replaces the source filter of a joined group.
    ///
    /// # Errors
    /// [`Error::AddressFamily`] for a group of the other family, and those of
    /// [`Memberships::set_filter`](sockeye_core::multicast::Memberships::set_filter).
    pub fn set_source_filter(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        on: (IpAddr, Option<InterfaceId>),
        filter: SourceFilter,
    ) -> Result<(), Error> {
        let base = &mut self.socket_mut(id)?.base;
        base.set_source_filter(cx, on, filter)
    }

    /// The source filter of a joined group.
    ///
    /// # Errors
    /// [`Error::AddressFamily`] for a group of the other family, and those of
    /// [`Memberships::filter`](sockeye_core::multicast::Memberships::filter).
    pub fn source_filter(
        &self,
        cx: &Context<'_>,
        id: SocketId,
        on: (IpAddr, Option<InterfaceId>),
    ) -> Result<SourceFilter, Error> {
        self.socket(id)?.base.source_filter(cx, on)
    }

    /// Bytes of the next datagram (SIOCINQ), 0 when there is none.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn next_len(&self, id: SocketId) -> Result<usize, Error> {
        let front = self.socket(id)?.base.queue.front();
        Ok(front.map_or(0, |datagram| datagram.len()))
    }

    /// From now on datagrams to `port` are taken to carry `protocol`
    /// ([`Disposition::Decapsulated`](sockeye_core::Disposition::Decapsulated)): SCTP or DCCP
    /// over UDP (RFC 6951, RFC 6773).
    ///
    /// # Errors
    /// [`Error::AddressInUse`] when a socket has the port, [`Error::Invalid`] for port 0.
    pub fn register_encapsulation(&mut self, port: u16, protocol: IpProtocol) -> Result<(), Error> {
        if port == 0 {
            return Err(Error::Invalid);
        }
        let claim = Claim {
            binding: Binding {
                ip: None,
                port,
                interface: None,
                family: sockeye_core::demux::Family::Both,
            },
            sharing: sockeye_core::demux::Sharing::default(),
        };
        self.demux.claim(&claim)?;
        self.encapsulations.insert(port, (protocol, claim));
        Ok(())
    }

    /// What the datagrams from our `port` carry.
    #[must_use]
    pub fn encapsulation(&self, port: u16) -> Option<IpProtocol> {
        self.encapsulations
            .get(&port)
            .map(|&(protocol, _)| protocol)
    }

    /// Takes back [`register_encapsulation`](Self::register_encapsulation); false when there is
    /// none on `port`.
    pub fn unregister_encapsulation(&mut self, port: u16) -> bool {
        let Some((_, claim)) = self.encapsulations.remove(&port) else {
            return false;
        };
        self.demux.release(&claim);
        true
    }

    /// Gives the socket a port when it has none, as sending and connecting do.
    pub(crate) fn autobind(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        let socket = self.socket(id)?;
        if socket.local.is_some() {
            return Ok(());
        }
        let any = Endpoint::new(socket.base.common.domain.unspecified(), 0);
        let any = socket.portless.unwrap_or(any);
        // udp(7): without a free port sending is to be tried again later, which no program
        // expects; the address is what is missing.
        self.take_port(cx, id, any)
            .map_err(|_| Error::AddressNotAvailable)
    }

    fn take_port(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        mut local: Endpoint,
    ) -> Result<(), Error> {
        let common = &self.socket(id)?.base.common;
        if local.port == 0 {
            let binding = common.binding(local);
            // ip(7): of the node's range the part that the socket says.
            let (low, high) = cx.config.local_ports;
            let own = common.internet.ports_within(low..=high);
            let free =
                |port| own.contains(&port) && self.demux.is_free(&Binding { port, ..binding });
            local.port = self.ports.for_bind(cx.rng, free)?;
        } else {
            self.demux.check(&Claim {
                binding: common.binding(local),
                sharing: common.sharing(),
            })?;
        }
        let socket = self.socket_mut(id)?;
        socket.local = Some(local);
        socket.base.common.bound = true;
        self.list(id)
    }

    /// Enters the socket into the tables by what it is bound and connected to.
    pub(crate) fn list(&mut self, id: SocketId) -> Result<(), Error> {
        let socket = self.sockets.get_mut(id).ok_or(Error::BadSocket)?;
        let Some(local) = socket.local else {
            return Ok(());
        };
        let common = &socket.base.common;
        if let Some(remote) = socket.peer {
            let flow = Flow { local, remote };
            self.demux
                .connect(id, flow, common.device, common.reuse_port);
        }
        if socket.intercepted {
            return Ok(());
        }
        let claim = Claim {
            binding: common.binding(local),
            sharing: common.sharing(),
        };
        self.demux.share(&claim);
        if socket.peer.is_none() {
            self.demux.receive(id, &claim);
        }
        socket.claim = Some(claim);
        Ok(())
    }

    /// Takes the socket out of the tables.
    pub(crate) fn unlist(&mut self, id: SocketId) -> Result<(), Error> {
        let socket = self.sockets.get_mut(id).ok_or(Error::BadSocket)?;
        let claim = socket.claim.take();
        match (socket.local, socket.peer) {
            (Some(local), Some(remote)) => self.demux.disconnect(id, Flow { local, remote }),
            _ => {
                if let Some(claim) = &claim {
                    self.demux.stop_receiving(id, claim);
                }
            }
        }
        if let Some(claim) = claim {
            self.demux.release(&claim);
        }
        Ok(())
    }
}

impl Socket {
    pub(crate) fn shown_local(&self) -> SocketAddr {
        let common = &self.base.common;
        let unbound = Endpoint::new(common.domain.unspecified(), 0);
        common.show(self.local.or(self.portless).unwrap_or(unbound))
    }
}
