//! The frames of links, as packet(7) has them.

use super::options::readiness;
use super::ready::{cooperate, open};
use crate::{Domain, LinkAddr, Node, Protocol, Socket, Type};
use std::future::poll_fn;
use std::io;
use tokio::task::coop::cooperative;

/// A socket for the frames of a node's links, the counterpart of [`crate::net::PacketSocket`].
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
}

impl PacketSocket {
    /// A socket for whole frames of `protocol` ([`Protocol::of_frames`]) on the current node.
    ///
    /// # Errors
    /// `PermissionDenied` on a node without raw sockets, or there is no current node.
    pub fn new(protocol: Protocol) -> io::Result<Self> {
        Self::new_on(&Node::current()?, protocol)
    }

    /// A socket for whole frames on `node`.
    ///
    /// # Errors
    /// `PermissionDenied` on a node without raw sockets.
    pub fn new_on(node: &Node, protocol: Protocol) -> io::Result<Self> {
        let socket = open(node, Domain::PACKET, Type::RAW, protocol)?;
        Ok(Self { socket })
    }

    /// A socket for frames without their link header on the current node.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn cooked(protocol: Protocol) -> io::Result<Self> {
        Self::cooked_on(&Node::current()?, protocol)
    }

    /// A socket for frames without their link header on `node`.
    ///
    /// # Errors
    /// `PermissionDenied` on a node without raw sockets.
    pub fn cooked_on(node: &Node, protocol: Protocol) -> io::Result<Self> {
        let socket = open(node, Domain::PACKET, Type::DGRAM, protocol)?;
        Ok(Self { socket })
    }

    /// Receives frames of a protocol (0: as before) and an interface (0: any) alone.
    ///
    /// # Errors
    /// ENODEV, ENETDOWN.
    pub fn bind(&self, address: &LinkAddr) -> io::Result<()> {
        self.socket.bind_link(address)
    }

    /// What it is bound to.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn local_addr(&self) -> io::Result<LinkAddr> {
        self.socket.link_addr()
    }

    readiness!();

    /// Sends a frame by the interface that it is bound to.
    ///
    /// # Errors
    /// Those of [`send_to`](Self::send_to).
    pub async fn send(&self, frame: &[u8]) -> io::Result<usize> {
        self.send_by(frame, None).await
    }

    /// Sends a frame by the interface of `to`. A cooked socket's gets its link header from `to`.
    ///
    /// # Errors
    /// ENXIO without an interface, EMSGSIZE, `InvalidInput` for what is no frame,
    /// `PermissionDenied` for a source that is not the node's.
    pub async fn send_to(&self, frame: &[u8], to: &LinkAddr) -> io::Result<usize> {
        self.send_by(frame, Some(to)).await
    }

    async fn send_by(&self, frame: &[u8], to: Option<&LinkAddr>) -> io::Result<usize> {
        poll_fn(|cx| cooperate(cx, |cx| self.socket.poll_send_to_link(cx, frame, to))).await
    }

    /// Receives one frame.
    ///
    /// # Errors
    /// The node was shut down.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_from(buf).await?.0)
    }

    /// Receives one frame and tells who sent it, by which interface, and whom it was for.
    ///
    /// # Errors
    /// The node was shut down.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, LinkAddr)> {
        let received = cooperative(self.socket.recv_frame_async(buf)).await?;
        Ok((received.len, received.from))
    }

    /// The interface lets through what is for other stations, too, or no longer.
    ///
    /// # Errors
    /// ENODEV; `AddrNotAvailable` to end what was not begun.
    pub fn set_promiscuous(&self, interface: u32, on: bool) -> io::Result<()> {
        self.socket.set_promiscuous(interface, on)
    }

    /// The Berkeley socket below, with all its options.
    #[must_use]
    pub fn as_socket(&self) -> &Socket {
        &self.socket
    }
}

impl From<PacketSocket> for Socket {
    /// The socket itself, which stays nonblocking.
    fn from(from: PacketSocket) -> Self {
        from.socket
    }
}
