//! Datagrams, as in `std::net`.

use super::ToSocketAddrs;
use super::addr::{each, no_address};
use super::tcp::{common, timeouts};
use crate::error::os;
use crate::node::Node;
use crate::socket::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// A UDP socket.
///
/// ```
/// # use sockeye::drivers::{MemoryConfig, MemoryLink};
/// # use sockeye::{LinkConfig, Node};
/// use sockeye::net::UdpSocket;
///
/// # let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
/// # let a = Node::builder()
/// #     .link("eth0", Box::new(a), LinkConfig::new().address("10.0.0.1/24".parse()?))
/// #     .build()?;
/// # let b = Node::builder()
/// #     .link("eth0", Box::new(b), LinkConfig::new().address("10.0.0.2/24".parse()?))
/// #     .build()?;
/// let server = UdpSocket::bind_on(&b, "10.0.0.2:7")?;
/// let client = UdpSocket::bind_on(&a, "10.0.0.1:0")?;
/// client.send_to(b"sockeye", "10.0.0.2:7")?;
/// let mut buffer = [0; 64];
/// let (len, from) = server.recv_from(&mut buffer)?;
/// assert_eq!((&buffer[..len], from), (&b"sockeye"[..], client.local_addr()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UdpSocket(Socket);

/// A socket bound to `address`.
pub(crate) fn bind(node: &Node, address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new_on(node, domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(address)?;
    Ok(socket)
}

impl UdpSocket {
    /// A socket at the first of the addresses that is free, on the current node.
    ///
    /// # Errors
    /// No node is current, or as for [`bind_on`](Self::bind_on).
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, address)
    }

    /// A socket at the first of the addresses that is free.
    ///
    /// # Errors
    /// EADDRNOTAVAIL, EADDRINUSE.
    pub fn bind_on(node: &Node, address: impl ToSocketAddrs) -> io::Result<Self> {
        each(&address.target()?.resolve(node)?, |address| {
            bind(node, address).map(Self)
        })
    }

    /// Sets the peer: whom [`send`](Self::send) sends to, and the only one that is heard.
    ///
    /// # Errors
    /// Those of routing.
    pub fn connect(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        each(&address.target()?.resolve(self.0.node())?, |address| {
            self.0.connect(address)
        })
    }

    /// Sends a datagram to the first of the addresses.
    ///
    /// # Errors
    /// EMSGSIZE, those of routing, and the error that an earlier datagram met.
    pub fn send_to(&self, data: &[u8], address: impl ToSocketAddrs) -> io::Result<usize> {
        let addresses = address.target()?.resolve(self.0.node())?;
        let first = addresses.first().ok_or_else(no_address)?;
        self.0.send_to(data, *first)
    }

    /// Sends a datagram to the peer.
    ///
    /// # Errors
    /// EDESTADDRREQ without a peer, and those of [`send_to`](Self::send_to).
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.0.send(data)
    }

    /// The next datagram and who sent it. What does not fit is lost.
    ///
    /// # Errors
    /// EAGAIN, and the error that an earlier datagram met.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.recv_from(buffer)
    }

    /// The next datagram. What does not fit is lost.
    ///
    /// # Errors
    /// As for [`recv_from`](Self::recv_from).
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer)
    }

    /// The next datagram, which stays where it is.
    ///
    /// # Errors
    /// As for [`recv_from`](Self::recv_from).
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.peek_from(buffer)
    }

    /// The next datagram, which stays where it is.
    ///
    /// # Errors
    /// As for [`recv_from`](Self::recv_from).
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buffer)
    }

    /// The peer's address.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// Its own address.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Another handle of the same socket.
    ///
    /// # Errors
    /// None today; the signature is std's.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// SO_BROADCAST.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.0.set_broadcast(on)
    }

    /// SO_BROADCAST.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.0.broadcast()
    }

    /// Receives what is sent to a group.
    ///
    /// # Errors
    /// As for [`Socket::join_multicast_v4`].
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.join_multicast_v4(group, interface)
    }

    /// Takes back [`join_multicast_v4`](Self::join_multicast_v4).
    ///
    /// # Errors
    /// As for [`Socket::leave_multicast_v4`].
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.leave_multicast_v4(group, interface)
    }

    /// Receives what is sent to a group.
    ///
    /// # Errors
    /// As for [`Socket::join_multicast_v6`].
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.join_multicast_v6(group, interface)
    }

    /// Takes back [`join_multicast_v6`](Self::join_multicast_v6).
    ///
    /// # Errors
    /// As for [`Socket::leave_multicast_v6`].
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.leave_multicast_v6(group, interface)
    }
}

common!(UdpSocket);
timeouts!(UdpSocket);

impl TryFrom<Socket> for UdpSocket {
    type Error = io::Error;

    fn try_from(socket: Socket) -> io::Result<Self> {
        match socket.r#type() {
            Type::DGRAM => Ok(Self(socket)),
            _ => Err(os(libc::EPROTOTYPE)),
        }
    }
}
