//! UDP, shaped like [`std::net::UdpSocket`].

use super::{ToSocketAddrs, common, domain, each, options};
use crate::{Node, Protocol, Socket, SourceFilter, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// A UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
}

common!(UdpSocket);

impl UdpSocket {
    /// Binds to `addr` of the current node; port 0 picks one.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`, or there is no current node.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, addr)
    }

    /// Binds to `addr` of `node`.
    ///
    /// # Errors
    /// See [`bind`](Self::bind).
    pub fn bind_on(node: &Node, addr: impl ToSocketAddrs) -> io::Result<Self> {
        each(node, addr, |addr| {
            let socket = Socket::new_on(node, domain(addr), Type::DGRAM, Some(Protocol::UDP))?;
            socket.bind(addr)?;
            Ok(Self { socket })
        })
    }

    /// A socket on any port, connected to `peer`.
    pub(crate) fn connect_any_on(node: &Node, peer: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new_on(node, domain(peer), Type::DGRAM, Some(Protocol::UDP))?;
        socket.connect(peer)?;
        Ok(Self { socket })
    }

    /// Fixes the peer: `send` goes there, and only its datagrams are received.
    ///
    /// # Errors
    /// `NetworkUnreachable`, or the address does not fit the socket.
    pub fn connect(&self, addr: impl ToSocketAddrs) -> io::Result<()> {
        each(self.socket.node(), addr, |addr| self.socket.connect(addr))
    }

    /// The peer it is connected to.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Sends one datagram to the peer.
    ///
    /// # Errors
    /// What the peer's host answered to an earlier one (`ConnectionRefused`), or EMSGSIZE.
    pub fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        self.socket.send(datagram)
    }

    /// Sends one datagram to `addr`.
    ///
    /// # Errors
    /// `NetworkUnreachable`, `PermissionDenied` for a broadcast without the option, EMSGSIZE.
    pub fn send_to(&self, datagram: &[u8], addr: impl ToSocketAddrs) -> io::Result<usize> {
        each(self.socket.node(), addr, |addr| {
            self.socket.send_to(datagram, addr)
        })
    }

    /// Receives one datagram from the peer; what does not fit `buffer` is cut off.
    ///
    /// # Errors
    /// `WouldBlock` after the read timeout or when nonblocking; `ConnectionRefused`.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }

    /// Receives one datagram and tells who sent it.
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(buffer)
    }

    /// Receives without taking.
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.peek(buffer)
    }

    /// Receives without taking, and tells who sent it.
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.peek_from(buffer)
    }

    /// Joins an IPv4 group on the interface that has the address `interface` (0.0.0.0: any).
    ///
    /// # Errors
    /// `InvalidInput` when it is no group, ENODEV without such an interface.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.socket.join_multicast_v4(group, interface)
    }

    /// Leaves an IPv4 group.
    ///
    /// # Errors
    /// `AddrNotAvailable` when it was not joined.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.socket.leave_multicast_v4(group, interface)
    }

    /// Joins an IPv6 group on the interface with that index (0: any).
    ///
    /// # Errors
    /// See [`join_multicast_v4`](Self::join_multicast_v4).
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.join_multicast_v6(group, interface)
    }

    /// Leaves an IPv6 group.
    ///
    /// # Errors
    /// `AddrNotAvailable` when it was not joined.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.leave_multicast_v6(group, interface)
    }

    /// Joins what one source sends to an IPv4 group, on the interface that has the address
    /// `interface` (0.0.0.0: any).
    ///
    /// # Errors
    /// `AddrNotAvailable` when the source is joined, `InvalidInput` when it is no group or joined for
    /// all sources but some, ENODEV without such an interface.
    pub fn join_ssm_v4(
        &self,
        source: &Ipv4Addr,
        group: &Ipv4Addr,
        interface: &Ipv4Addr,
    ) -> io::Result<()> {
        self.socket.join_ssm_v4(source, group, interface)
    }

    /// Leaves one source of an IPv4 group.
    ///
    /// # Errors
    /// `AddrNotAvailable` when it was not joined, `InvalidInput` when no source of the group was.
    pub fn leave_ssm_v4(
        &self,
        source: &Ipv4Addr,
        group: &Ipv4Addr,
        interface: &Ipv4Addr,
    ) -> io::Result<()> {
        self.socket.leave_ssm_v4(source, group, interface)
    }

    /// Joins what one source sends to a group of either family, on the interface with that index (0:
    /// any).
    ///
    /// # Errors
    /// See [`join_ssm_v4`](Self::join_ssm_v4).
    pub fn join_source_group(
        &self,
        group: IpAddr,
        source: IpAddr,
        interface: u32,
    ) -> io::Result<()> {
        self.socket.join_source_group(group, source, interface)
    }

    /// Leaves one source of a group.
    ///
    /// # Errors
    /// See [`leave_ssm_v4`](Self::leave_ssm_v4).
    pub fn leave_source_group(
        &self,
        group: IpAddr,
        source: IpAddr,
        interface: u32,
    ) -> io::Result<()> {
        self.socket.leave_source_group(group, source, interface)
    }

    /// Whom of a joined group it hears, all at once; nobody leaves the group.
    ///
    /// # Errors
    /// `InvalidInput` when it is not joined, ENOBUFS for more sources than there may be.
    pub fn set_source_filter(
        &self,
        group: IpAddr,
        interface: u32,
        filter: SourceFilter,
    ) -> io::Result<()> {
        self.socket.set_source_filter(group, interface, filter)
    }

    /// Whom of a joined group it hears.
    ///
    /// # Errors
    /// `AddrNotAvailable` when it is not joined.
    pub fn source_filter(&self, group: IpAddr, interface: u32) -> io::Result<SourceFilter> {
        self.socket.source_filter(group, interface)
    }

    options! {
        /// Datagrams may go to broadcast addresses (SO_BROADCAST).
        set_broadcast / broadcast: bool => set_broadcast / broadcast;
        /// TTL of its packets (IP_TTL), 1 to 255.
        set_ttl / ttl: u32 => set_ttl_v4 / ttl_v4;
        /// This node's members hear what is sent to an IPv4 group (IP_MULTICAST_LOOP).
        set_multicast_loop_v4 / multicast_loop_v4: bool => set_multicast_loop_v4 / multicast_loop_v4;
        /// TTL of what is sent to an IPv4 group (IP_MULTICAST_TTL).
        set_multicast_ttl_v4 / multicast_ttl_v4: u32 => set_multicast_ttl_v4 / multicast_ttl_v4;
        /// This node's members hear what is sent to an IPv6 group (IPV6_MULTICAST_LOOP).
        set_multicast_loop_v6 / multicast_loop_v6: bool => set_multicast_loop_v6 / multicast_loop_v6;
        /// Groups of its port that others have joined are heard (IP_MULTICAST_ALL).
        set_multicast_all_v4 / multicast_all_v4: bool => set_multicast_all_v4 / multicast_all_v4;
        /// Groups of its port that others have joined are heard (IPV6_MULTICAST_ALL).
        set_multicast_all_v6 / multicast_all_v6: bool => set_multicast_all_v6 / multicast_all_v6;
        /// How long a receive waits (SO_RCVTIMEO); `None` for ever.
        set_read_timeout / read_timeout: Option<Duration> => set_read_timeout / read_timeout;
        /// How long a send waits (SO_SNDTIMEO); `None` for ever.
        set_write_timeout / write_timeout: Option<Duration> => set_write_timeout / write_timeout;
    }
}
