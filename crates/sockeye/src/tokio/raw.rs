//! Raw IP, as raw(7) has it.

use super::options::{common, options, readiness};
use super::ready::{cooperate, open};
use crate::{Domain, Node, Protocol, Socket, Type};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::task::coop::cooperative;

/// A socket for packets of one IP protocol, the counterpart of [`crate::net::RawSocket`].
///
/// IPv4 packets are received with their header, IPv6 ones without; sent are payloads, unless
/// [`set_header_included`](Self::set_header_included).
#[derive(Debug)]
pub struct RawSocket {
    socket: Socket,
}

common!(RawSocket, Type::RAW, _, "a raw socket");

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
        let socket = open(node, domain, Type::RAW, protocol)?;
        Ok(Self { socket })
    }

    /// Receives only what is sent to `local`, and sends from it.
    ///
    /// # Errors
    /// `AddrNotAvailable`.
    pub fn bind(&self, local: IpAddr) -> io::Result<()> {
        self.socket.bind(SocketAddr::new(local, 0))
    }

    /// Fixes the peer; a link-local one is named with its scope. The port does not count.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(peer)
    }

    readiness!();

    /// Sends one packet to the peer.
    ///
    /// # Errors
    /// Those of send(2).
    pub async fn send(&self, packet: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| cooperate(cx, |cx| self.socket.poll_send(cx, packet))).await
    }

    /// Sends one packet to `to`.
    ///
    /// # Errors
    /// `NetworkUnreachable`, EMSGSIZE, `PermissionDenied` for a foreign source without the grant.
    pub async fn send_to(&self, packet: &[u8], to: IpAddr) -> io::Result<usize> {
        let to = SocketAddr::new(to, 0);
        poll_fn(|cx| cooperate(cx, |cx| self.socket.poll_send_to(cx, packet, Some(to)))).await
    }

    /// Receives one packet from the peer.
    ///
    /// # Errors
    /// Those of recv(2).
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let received = cooperative(self.socket.recv_from_async(buf)).await?;
        Ok(received.len)
    }

    /// Receives one packet and says who sent it.
    ///
    /// # Errors
    /// Those of recvfrom(2).
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, IpAddr)> {
        let received = cooperative(self.socket.recv_from_async(buf)).await?;
        Ok((received.len, received.from.ip()))
    }

    options! {
        /// Packets are sent with an IPv4 header of the caller's own (IP_HDRINCL).
        set_header_included / header_included: bool => set_header_included_v4 / header_included_v4;
    }
}
