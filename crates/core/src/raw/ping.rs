//! Ping sockets: echo requests out, the replies to them in. The identifier is the socket's port.

use super::common_calls;
use super::echo::Requests;
use crate::datagram::{
    Datagram, DatagramSocket, Received, SendOptions, Waiters, check_bindable, gather,
    interfaces_to, is_broadcast,
};
use crate::demux::{Binding, Claim, Endpoint, Flow};
use crate::multicast::membership::SourceChange;
use crate::{
    Context, Demux, Disposition, Domain, Error, Handle, IcmpError, InterfaceId, IpInfo,
    OptionValue, Packet, Ports, Readiness, Report, Rng, Shutdown, Slab, SocketId, SocketOption,
    SocketSummary, SourceFilter, Transport, TransportId,
};
use sockeye_wire::{IpProtocol, icmpv4, icmpv6};
use std::any::Any;
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};

/// The longest message, in bytes.
const LENGTH_MAX: usize = 65_535 - sockeye_wire::ipv4::HEADER_LEN;
/// Bytes of an echo message before its data, in both families.
pub(super) const ECHO_LEN: usize = 8;

/// The ping sockets of a node, and the echo requests that it intercepts.
#[derive(Debug)]
pub struct Ping {
    sockets: Slab<Socket>,
    demux: Demux,
    identifiers: Ports,
    waiters: Waiters,
    pub(super) requests: Requests,
}

#[derive(Debug)]
struct Socket {
    base: DatagramSocket,
    /// Its own address, and its identifier as the port.
    local: Option<Endpoint>,
    claim: Option<Claim>,
    peer: Option<Endpoint>,
    /// The port of the peer's address, which means nothing, as it was given.
    peer_port: u16,
    /// bind named the address, not connect.
    address_fixed: bool,
}

pub(super) const fn handle(id: SocketId) -> Handle {
    Handle {
        transport: TransportId::PING,
        id,
    }
}

common_calls!(Ping, handle);

impl Ping {
    /// No sockets.
    #[must_use]
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            sockets: Slab::default(),
            demux: Demux::new(rng),
            identifiers: Ports::with_range((1, u16::MAX), rng),
            waiters: Waiters::default(),
            requests: Requests::default(),
        }
    }

    /// Makes a socket for ICMP (IPv4) or ICMPv6 echo.
    ///
    /// # Errors
    /// [`Error::TooManySockets`].
    pub fn open(&mut self, cx: &mut Context<'_>, domain: Domain) -> Result<SocketId, Error> {
        if self.sockets.len() >= cx.config.sockets_max {
            return Err(Error::TooManySockets);
        }
        let mut base = DatagramSocket::new(domain, cx.config);
        base.common.only_v6 = domain == Domain::V6;
        // Linux: sockets of one identifier are not in each other's way.
        base.common.reuse_address = true;
        Ok(self.sockets.insert(Socket {
            base,
            local: None,
            claim: None,
            peer: None,
            peer_port: 0,
            address_fixed: false,
        }))
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
        Ok(())
    }

    /// Gives a socket its own address and identifier (the port); 0 takes any that is free.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it has an identifier, [`Error::AddressNotAvailable`] when the
    /// address is not the node's, [`Error::AddressInUse`], and those of
    /// [`SocketCommon::local`](crate::SocketCommon::local).
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
        let local = socket.base.common.local(addr)?;
        check_bindable(cx, local, &socket.base.common)?;
        // icmp(7): what it sends from is one host's.
        match local.ip {
            IpAddr::V6(v6) if v6.is_multicast() => return Err(Error::Invalid),
            ip if ip.is_multicast() || is_broadcast(cx, ip) => {
                return Err(Error::AddressNotAvailable);
            }
            _ => {}
        }
        self.take_identifier(cx, id, local)?;
        self.socket_mut(id)?.address_fixed = !local.is_unspecified();
        Ok(())
    }

    /// Sets where [`send`](Self::send) goes without an address; `None` takes it back. The port
    /// means nothing.
    ///
    /// # Errors
    /// [`Error::Access`] for a broadcast address without SO_BROADCAST, and those of routing.
    pub fn connect(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addr: Option<SocketAddr>,
    ) -> Result<(), Error> {
        let socket = self.socket_mut(id)?;
        let fixed = socket.local.filter(|_| socket.address_fixed);
        let (peer, own) = match addr {
            None => {
                let any = socket.base.common.domain.unspecified();
                (None, Endpoint::new(any, 0))
            }
            Some(addr) => {
                let mut peer = socket.base.common.remote(addr)?;
                peer.port = 0;
                let fixed = fixed.map(|local| local.ip);
                let route = socket.base.connect_route(cx, peer, fixed)?;
                let own = Endpoint::own(&route, peer, 0);
                (Some(peer), own)
            }
        };
        self.unlist(id)?;
        let socket = self.socket_mut(id)?;
        if !socket.address_fixed
            && let Some(local) = &mut socket.local
        {
            let port = local.port;
            *local = Endpoint { port, ..own };
        }
        socket.peer = peer;
        socket.peer_port = addr.map_or(0, |addr| addr.port());
        socket.base.reopen();
        self.list(id)
    }

    /// Its own address and identifier; unspecified and 0 as long as it has none.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        Ok(self.socket(id)?.shown_local())
    }

    /// Sends an echo request to `to` or the peer: `data` is the whole message. Identifier and
    /// checksum are filled in.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none or below 8 bytes, else as for
    /// [`Raw::send`](super::Raw::send).
    pub fn send(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        options: &SendOptions,
    ) -> Result<usize, Error> {
        let socket = self.socket_mut(id)?;
        socket.base.check_send()?;
        let any = socket.base.common.domain.unspecified();
        if socket.local.is_none() {
            self.take_identifier(cx, id, Endpoint::new(any, 0))?;
        }
        let len: usize = data.iter().map(|slice| slice.len()).sum();
        if len > LENGTH_MAX {
            return Err(Error::MessageSize);
        }
        let mut message = gather(data);
        if !is_request(any, message.head()) {
            return Err(Error::Invalid);
        }
        let socket = self.sockets.get(id).ok_or(Error::BadSocket)?;
        let mut to = match to {
            // Linux: ICMPv6 is not sent over IPv4.
            Some(SocketAddr::V6(v6)) if v6.ip().to_ipv4_mapped().is_some() => {
                return Err(Error::Invalid);
            }
            Some(addr) => socket.base.common.remote(addr)?,
            None => socket.peer.ok_or(Error::DestinationRequired)?,
        };
        to.port = 0;
        let socket = self.sockets.get_mut(id).ok_or(Error::BadSocket)?;
        let local = socket.local.ok_or(Error::AddressNotAvailable)?;
        let plan = socket
            .base
            .plan(cx, protocol_for(to.ip), to, Some(local.ip), options)?;
        let interface = plan.info.route.interface;
        self.waiters
            .ask(cx, id, &mut socket.base, interface, plan.packets(len))?;
        let head = message.head_mut();
        head[4..6].copy_from_slice(&local.port.to_be_bytes());
        fill_checksum(plan.info.route.source, to.ip, head);
        cx.counters.add(crate::Counter::IcmpOutMsgs);
        let sent = socket.base.transmit(cx, &plan, message);
        if sent == Err(Error::MessageSize) {
            socket.base.refused_here(cx, handle(id), to, &plan);
        }
        sent.map(|()| len)
    }

    /// Sets an option.
    ///
    /// # Errors
    /// Those of [`SocketCommon::set_option`](crate::SocketCommon::set_option).
    pub fn set_option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
        value: OptionValue,
    ) -> Result<(), Error> {
        super::refuse_zero_copy(option)?;
        // Some options are part of the socket's key.
        self.unlist(id)?;
        let set = self.socket_mut(id)?.base.set_option(cx, option, &value);
        self.list(id)?;
        set
    }

    /// What an option is set to.
    ///
    /// # Errors
    /// [`Error::NoProtocolOption`] for those that it does not have, [`Error::NotConnected`] for
    /// the MTU without a peer.
    pub fn option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
    ) -> Result<OptionValue, Error> {
        let socket = self.socket_mut(id)?;
        let ends = (socket.local, socket.peer);
        socket.base.option_between(cx, option, ends)
    }

    fn take_identifier(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        mut local: Endpoint,
    ) -> Result<(), Error> {
        let common = &self.socket(id)?.base.common;
        let binding = common.binding(local);
        if local.port == 0 {
            local.port = self.identifiers.for_bind(cx.rng, |port| {
                self.demux.is_free(&Binding { port, ..binding })
            })?;
        } else {
            let sharing = common.sharing();
            self.demux.check(&Claim { binding, sharing })?;
        }
        let socket = self.socket_mut(id)?;
        socket.local = Some(local);
        socket.base.common.bound = true;
        self.list(id)
    }

    fn list(&mut self, id: SocketId) -> Result<(), Error> {
        let socket = self.sockets.get_mut(id).ok_or(Error::BadSocket)?;
        if let Some(local) = socket.local {
            let claim = Claim {
                binding: socket.base.common.binding(local),
                sharing: socket.base.common.sharing(),
            };
            self.demux.share(&claim);
            self.demux.receive(id, &claim);
            socket.claim = Some(claim);
        }
        Ok(())
    }

    fn unlist(&mut self, id: SocketId) -> Result<(), Error> {
        let socket = self.sockets.get_mut(id).ok_or(Error::BadSocket)?;
        if let Some(claim) = socket.claim.take() {
            self.demux.stop_receiving(id, &claim);
            self.demux.release(&claim);
        }
        Ok(())
    }

    /// RFC 792, RFC 4443 §4.2: a reply goes to whom its identifier belongs.
    fn reply_arrives(&mut self, cx: &mut Context<'_>, ip: &IpInfo, packet: Packet) {
        let Some(identifier) = identifier_of(packet.head()) else {
            return;
        };
        let flow = Flow {
            local: Endpoint::on(ip.interface, ip.destination, identifier),
            remote: Endpoint::on(ip.interface, ip.source, 0),
        };
        let Some(id) = self.demux.lookup_bound(&flow, ip.interface) else {
            return;
        };
        let Some(socket) = self.sockets.get_mut(id) else {
            return;
        };
        let headers = Datagram::headers_of(ip, &packet, 0);
        let datagram = Datagram::new(ip, (0, identifier), packet).with_headers(headers);
        if !socket.base.deliver(cx, handle(id), datagram) {
            cx.drop_packet(crate::Counter::RawRcvbufErrors);
        }
    }
}

impl Socket {
    fn shown_local(&self) -> SocketAddr {
        let common = &self.base.common;
        let unbound = Endpoint::new(common.domain.unspecified(), 0);
        common.show(self.local.unwrap_or(unbound))
    }
}

impl Transport for Ping {
    fn id(&self) -> TransportId {
        TransportId::PING
    }

    /// Takes what [`icmp::receive`](crate::icmp::receive) leaves: replies, and requests to others.
    fn on_packet(&mut self, cx: &mut Context<'_>, ip: &IpInfo, mut packet: Packet) -> Disposition {
        if !packet.pull_up(ECHO_LEN) {
            return Disposition::Taken;
        }
        if is_reply(ip.source, packet.head()) && ip.local {
            self.reply_arrives(cx, ip, packet);
        } else if is_request(ip.source, packet.head()) && !ip.local {
            self.requests.arrives(cx, ip, packet);
        }
        Disposition::Taken
    }

    fn on_icmp_error(&mut self, cx: &mut Context<'_>, error: &IcmpError<'_>) -> bool {
        if !is_request(error.destination, error.quoted) || !cx.inet.is_local(error.source) {
            return false;
        }
        let Some(identifier) = identifier_of(error.quoted) else {
            return false;
        };
        for interface in interfaces_to(cx, error.destination) {
            let flow = Flow {
                local: Endpoint::on(interface, error.source, identifier),
                remote: Endpoint::on(interface, error.destination, 0),
            };
            let found = self.demux.lookup_bound(&flow, interface);
            if let Some(id) = found
                && let Some(socket) = self.sockets.get_mut(id)
            {
                let connected = socket.peer == Some(flow.remote);
                let (base, to) = (&mut socket.base, flow.remote);
                base.icmp_error(cx, handle(id), error, to, error.quoted, connected);
                return true;
            }
        }
        false
    }

    fn on_memory_pressure(&mut self, _: &mut Context<'_>) {
        self.requests.forget();
    }

    fn sockets(&self) -> Vec<SocketSummary> {
        let summary = |(id, socket): (SocketId, &Socket)| SocketSummary {
            handle: handle(id),
            state: if socket.peer.is_some() {
                "ESTAB"
            } else {
                "UNCONN"
            },
            local: socket.shown_local(),
            remote: socket.peer.map(|peer| socket.base.common.show(peer)),
            recv_queue: socket.base.queue.used(),
            send_queue: 0,
        };
        self.sockets.iter().map(summary).collect()
    }

    fn has_output(&self, interface: InterfaceId) -> bool {
        self.waiters.wait_for(interface)
    }

    /// Ping sockets hold nothing back: this only tells them that there is room again.
    fn poll_transmit(&mut self, cx: &mut Context<'_>, interface: InterfaceId, _: usize) -> bool {
        self.wake_waiters(cx, interface)
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// The protocol of echo messages to `ip`.
pub(super) const fn protocol_for(ip: IpAddr) -> IpProtocol {
    match ip {
        IpAddr::V4(_) => IpProtocol::ICMP,
        IpAddr::V6(_) => IpProtocol::ICMPV6,
    }
}

fn is_request(family: IpAddr, message: &[u8]) -> bool {
    let kind = match family {
        IpAddr::V4(_) => icmpv4::Type::ECHO.0,
        IpAddr::V6(_) => icmpv6::Type::ECHO_REQUEST.0,
    };
    message.len() >= ECHO_LEN && message[..2] == [kind, 0]
}

fn is_reply(family: IpAddr, message: &[u8]) -> bool {
    let kind = match family {
        IpAddr::V4(_) => icmpv4::Type::ECHO_REPLY.0,
        IpAddr::V6(_) => icmpv6::Type::ECHO_REPLY.0,
    };
    message.len() >= ECHO_LEN && message[..2] == [kind, 0]
}

fn identifier_of(message: &[u8]) -> Option<u16> {
    let field = message.get(4..6)?;
    Some(u16::from_be_bytes([field[0], field[1]]))
}

/// Makes the checksum of a whole echo message.
pub(super) fn fill_checksum(from: IpAddr, to: IpAddr, message: &mut [u8]) {
    match (from, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => icmpv6::fill_checksum(from, to, message),
        _ => icmpv4::fill_checksum(message),
    }
}
