//! ICMP echo: what Linux calls a ping socket.

use super::{common, options};
use crate::{Domain, Node, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A socket for ICMP and ICMPv6 echo. A message sent is an echo request from its type on: the node
/// fills in identifier and checksum. Received are the replies to this socket's identifier.
#[derive(Debug)]
pub struct IcmpSocket {
    socket: Socket,
}

common!(IcmpSocket);

impl IcmpSocket {
    /// A socket on the current node for the family of `local` (0.0.0.0 and :: for any address).
    ///
    /// # Errors
    /// `AddrNotAvailable`, or there is no current node.
    pub fn bind(local: IpAddr) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, local)
    }

    /// A socket on `node`.
    ///
    /// # Errors
    /// `AddrNotAvailable`.
    pub fn bind_on(node: &Node, local: IpAddr) -> io::Result<Self> {
        let (domain, protocol) = match local {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new_on(node, domain, Type::DGRAM, Some(protocol))?;
        socket.bind(SocketAddr::new(local, 0))?;
        Ok(Self { socket })
    }

    /// Sends an echo message to `to`.
    ///
    /// # Errors
    /// `NetworkUnreachable`, `InvalidInput` when it is no echo request.
    pub fn send_to(&self, message: &[u8], to: IpAddr) -> io::Result<usize> {
        self.socket.send_to(message, SocketAddr::new(to, 0))
    }

    /// Receives an ICMP message, without its IP header, and tells who sent it.
    ///
    /// # Errors
    /// `WouldBlock` after the read timeout or when nonblocking.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, IpAddr)> {
        let (len, from) = self.socket.recv_from(buffer)?;
        Ok((len, from.ip()))
    }

    options! {
        /// TTL of its packets (IP_TTL), 1 to 255.
        set_ttl / ttl: u32 => set_ttl_v4 / ttl_v4;
        /// How long a receive waits (SO_RCVTIMEO); `None` for ever.
        set_read_timeout / read_timeout: Option<Duration> => set_read_timeout / read_timeout;
    }
}
