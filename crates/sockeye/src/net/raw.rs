//! Raw IP, as raw(7) has it.

use super::{common, options};
use crate::{Domain, Node, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A socket for packets of one IP protocol. IPv4 packets are received with their header, IPv6 ones
/// without; sent are payloads, unless [`set_header_included`](Self::set_header_included).
#[derive(Debug)]
pub struct RawSocket {
    socket: Socket,
}

common!(RawSocket);

impl RawSocket {
    /// A socket for `protocol` on the current node.
    ///
    /// # Errors
    /// `PermissionDenied` on a node without raw sockets, or there is no current node.
    pub fn new(domain: Domain, protocol: Protocol) -> io::Result<Self> {
        Self::new_on(&Node::current()?, domain, protocol)
    }

    /// A socket for `protocol` on `node`.
    ///
    /// # Errors
    /// `PermissionDenied` on a node without raw sockets.
    pub fn new_on(node: &Node, domain: Domain, protocol: Protocol) -> io::Result<Self> {
        Ok(Self {
            socket: Socket::new_on(node, domain, Type::RAW, Some(protocol))?,
        })
    }

    /// Receives only what is sent to `local`, and sends from it.
    ///
    /// # Errors
    /// `AddrNotAvailable`.
    pub fn bind(&self, local: IpAddr) -> io::Result<()> {
        self.socket.bind(SocketAddr::new(local, 0))
    }

    /// Fixes the peer.
    ///
    /// # Errors
    /// `NetworkUnreachable`.
    pub fn connect(&self, peer: IpAddr) -> io::Result<()> {
        self.socket.connect(SocketAddr::new(peer, 0))
    }

    /// Sends one packet to `to`.
    ///
    /// # Errors
    /// `NetworkUnreachable`, EMSGSIZE, `PermissionDenied` for a foreign source without the grant.
    pub fn send_to(&self, packet: &[u8], to: IpAddr) -> io::Result<usize> {
        self.socket.send_to(packet, SocketAddr::new(to, 0))
    }

    /// Receives one packet and tells who sent it.
    ///
    /// # Errors
    /// `WouldBlock` after the read timeout or when nonblocking.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, IpAddr)> {
        let (len, from) = self.socket.recv_from(buffer)?;
        Ok((len, from.ip()))
    }

    options! {
        /// Packets are sent with an IPv4 header of the caller's own (IP_HDRINCL).
        set_header_included / header_included: bool => set_header_included_v4 / header_included_v4;
        /// How long a receive waits (SO_RCVTIMEO); `None` for ever.
        set_read_timeout / read_timeout: Option<Duration> => set_read_timeout / read_timeout;
    }
}
