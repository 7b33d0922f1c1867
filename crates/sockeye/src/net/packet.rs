//! The frames of links, as packet(7) has them.

use super::options;
use crate::{Domain, LinkAddr, Node, Protocol, Socket, Type};
use std::io;
use std::time::Duration;

/// A socket for the frames of a node's links: it sees what comes before the node itself does, and,
/// as one for every protocol ([`Protocol::ALL_FRAMES`]), what leaves. Links of bare IP, the loopback
/// among them, have frames without link header.
///
/// Whole frames by [`new`](Self::new), what is behind their link header by [`cooked`](Self::cooked).
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
        Ok(Self {
            socket: Socket::new_on(node, Domain::PACKET, Type::RAW, Some(protocol))?,
        })
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
        Ok(Self {
            socket: Socket::new_on(node, Domain::PACKET, Type::DGRAM, Some(protocol))?,
        })
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

    /// Sends a frame by the interface that it is bound to.
    ///
    /// # Errors
    /// Those of [`send_to`](Self::send_to).
    pub fn send(&self, frame: &[u8]) -> io::Result<usize> {
        self.socket.send_to_link(frame, None)
    }

    /// Sends a frame by the interface of `to`. A cooked socket's gets its link header from `to`.
    ///
    /// # Errors
    /// ENXIO without an interface, EMSGSIZE, `InvalidInput` for what is no frame,
    /// `PermissionDenied` for a source that is not the node's.
    pub fn send_to(&self, frame: &[u8], to: &LinkAddr) -> io::Result<usize> {
        self.socket.send_to_link(frame, Some(to))
    }

    /// Receives one frame.
    ///
    /// # Errors
    /// `WouldBlock` after the read timeout or when nonblocking.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }

    /// Receives one frame and tells who sent it, by which interface, and whom it was for.
    ///
    /// # Errors
    /// `WouldBlock` after the read timeout or when nonblocking.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, LinkAddr)> {
        self.socket.recv_from_link(buffer)
    }

    /// The interface lets through what is for other stations, too, or no longer.
    ///
    /// # Errors
    /// ENODEV; `AddrNotAvailable` to end what was not begun.
    pub fn set_promiscuous(&self, interface: u32, on: bool) -> io::Result<()> {
        self.socket.set_promiscuous(interface, on)
    }

    /// Frames that were received and those of them that were dropped, since they were last asked for.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn statistics(&self) -> io::Result<(u32, u32)> {
        self.socket.frame_statistics()
    }

    /// Makes calls return `WouldBlock` instead of waiting.
    ///
    /// # Errors
    /// The socket is closed.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    /// Another handle to the same socket.
    ///
    /// # Errors
    /// The socket is closed.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
        })
    }

    /// The Berkeley socket below, with all its options.
    #[must_use]
    pub fn as_socket(&self) -> &Socket {
        &self.socket
    }

    options! {
        /// How long a receive waits (SO_RCVTIMEO); `None` for ever.
        set_read_timeout / read_timeout: Option<Duration> => set_read_timeout / read_timeout;
    }
}

impl From<PacketSocket> for Socket {
    fn from(this: PacketSocket) -> Self {
        this.socket
    }
}
