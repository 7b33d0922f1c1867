//! ICMP echo: what Linux calls a ping socket.

use super::options::{common, options, readiness};
use super::ready::{cooperate, open};
use crate::{Domain, Node, Protocol, Socket, Type};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::task::coop::cooperative;

/// A socket for ICMP and ICMPv6 echo, the counterpart of [`crate::net::IcmpSocket`].
///
/// A message sent is an echo request from its type on: the node fills in identifier and checksum.
/// Received are the replies to this socket's identifier, which is the port of `local_addr`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use sockeye::tokio::IcmpSocket;
///
/// let node = sockeye::Node::builder().build()?;
/// let socket = IcmpSocket::bind_on(&node, "0.0.0.0".parse().unwrap())?;
/// let request = [8, 0, 0, 0, 0, 0, 0, 1, b'h', b'i'];
/// socket.send_to(&request, "127.0.0.1".parse().unwrap()).await?;
/// let mut reply = [0; 64];
/// let (len, _) = socket.recv_from(&mut reply).await?;
/// assert_eq!((reply[0], &reply[6..len]), (0, &request[6..]));
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct IcmpSocket {
    socket: Socket,
}

common!(
    IcmpSocket,
    Type::DGRAM,
    Protocol::ICMPV4 | Protocol::ICMPV6,
    "a socket for ICMP echo"
);

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
        let socket = open(node, domain, Type::DGRAM, protocol)?;
        socket.bind(SocketAddr::new(local, 0))?;
        Ok(Self { socket })
    }

    /// Fixes the peer; a link-local one is named with its scope. The port does not count.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(peer)
    }

    readiness!();

    /// Sends an echo request to the peer.
    ///
    /// # Errors
    /// `InvalidInput` when it is none, those of send(2).
    pub async fn send(&self, message: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| cooperate(cx, |cx| self.socket.poll_send(cx, message))).await
    }

    /// Sends an echo request to `to`.
    ///
    /// # Errors
    /// `InvalidInput` when it is none, those of sendto(2).
    pub async fn send_to(&self, message: &[u8], to: IpAddr) -> io::Result<usize> {
        let to = SocketAddr::new(to, 0);
        poll_fn(|cx| cooperate(cx, |cx| self.socket.poll_send_to(cx, message, Some(to)))).await
    }

    /// Receives an ICMP message, without its IP header, from the peer.
    ///
    /// # Errors
    /// Those of recv(2).
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let received = cooperative(self.socket.recv_from_async(buf)).await?;
        Ok(received.len)
    }

    /// Receives an ICMP message, without its IP header, and says who sent it.
    ///
    /// # Errors
    /// Those of recvfrom(2).
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, IpAddr)> {
        let received = cooperative(self.socket.recv_from_async(buf)).await?;
        Ok((received.len, received.from.ip()))
    }

    options! {
        /// TTL of its packets (IP_TTL), 1 to 255.
        set_ttl / ttl: u32 => set_ttl_v4 / ttl_v4;
    }
}
