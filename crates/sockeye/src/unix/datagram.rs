//! Messages: datagrams, shaped like [`std::os::unix::net::UnixDatagram`], and sequenced packets.

use super::{SocketAddr, common, open, transfers};
use crate::{MessageFlags, Node, Socket, Type, UnixSend};
use bytes::Bytes;
use std::io;
use std::path::Path;

/// A datagram socket inside a node.
#[derive(Debug)]
pub struct UnixDatagram {
    socket: Socket,
}

common!(UnixDatagram);
transfers!(UnixDatagram);

/// A connection of sequenced packets: messages with boundaries, in order, until its end.
#[derive(Debug)]
pub struct UnixSeqpacket {
    socket: Socket,
}

common!(UnixSeqpacket);
transfers!(UnixSeqpacket);

macro_rules! messages {
    ($name:ident, $type:expr) => {
        impl $name {
            /// Two sockets of the current node, each the other's peer.
            ///
            /// # Errors
            /// There is no current node, or it has as many sockets as it may.
            pub fn pair() -> io::Result<(Self, Self)> {
                Self::pair_on(&Node::current()?)
            }

            /// Two sockets of `node`, each the other's peer.
            ///
            /// # Errors
            /// The node has as many sockets as it may.
            pub fn pair_on(node: &Node) -> io::Result<(Self, Self)> {
                let (one, other) = Socket::pair_on(node, $type)?;
                Ok((one.into(), other.into()))
            }

            /// Sends one message to the peer.
            ///
            /// # Errors
            /// `NotConnected`, `ConnectionRefused`, `BrokenPipe`, EMSGSIZE.
            pub fn send(&self, message: &[u8]) -> io::Result<usize> {
                self.socket.send(message)
            }

            /// Receives one message; what does not fit `buffer` is cut off.
            ///
            /// # Errors
            /// `WouldBlock` after the read timeout or when nonblocking.
            pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.socket.recv(buffer)
            }

            /// Receives without taking.
            ///
            /// # Errors
            /// See [`recv`](Self::recv).
            pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.socket.peek(buffer)
            }
        }
    };
}

messages!(UnixDatagram, Type::DGRAM);
messages!(UnixSeqpacket, Type::SEQPACKET);

impl UnixSeqpacket {
    /// Connects to a path of the current node.
    ///
    /// # Errors
    /// `NotFound`, `ConnectionRefused`, EPROTOTYPE, or there is no current node.
    pub fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::connect_on(&Node::current()?, &SocketAddr::from_pathname(path)?)
    }

    /// Connects to a name of `node`.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    pub fn connect_on(node: &Node, addr: &SocketAddr) -> io::Result<Self> {
        let socket = open(node, Type::SEQPACKET)?;
        socket.connect_unix(addr)?;
        Ok(Self { socket })
    }
}

impl UnixDatagram {
    /// A socket bound to a path of the current node.
    ///
    /// # Errors
    /// `AddrInUse`, or there is no current node.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// A socket bound to a name of the current node.
    ///
    /// # Errors
    /// See [`bind`](Self::bind).
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, addr)
    }

    /// A socket bound to a name of `node`.
    ///
    /// # Errors
    /// See [`bind`](Self::bind).
    pub fn bind_on(node: &Node, addr: &SocketAddr) -> io::Result<Self> {
        let socket = open(node, Type::DGRAM)?;
        socket.bind_unix(addr)?;
        Ok(Self { socket })
    }

    /// A socket of the current node without a name.
    ///
    /// # Errors
    /// There is no current node, or it has as many sockets as it may.
    pub fn unbound() -> io::Result<Self> {
        Self::unbound_on(&Node::current()?)
    }

    /// A socket of `node` without a name.
    ///
    /// # Errors
    /// The node has as many sockets as it may.
    pub fn unbound_on(node: &Node) -> io::Result<Self> {
        let socket = open(node, Type::DGRAM)?;
        Ok(Self { socket })
    }

    /// Fixes the peer: `send` goes there, and nobody else is heard.
    ///
    /// # Errors
    /// `NotFound`, `ConnectionRefused`, EPROTOTYPE, `PermissionDenied` when the other has a peer.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// [`connect`](Self::connect) to a name.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    pub fn connect_addr(&self, addr: &SocketAddr) -> io::Result<()> {
        self.socket.connect_unix(addr)
    }

    /// Sends one datagram to a path.
    ///
    /// # Errors
    /// `NotFound`, `ConnectionRefused`, EPROTOTYPE, `PermissionDenied` when the other has a peer,
    /// EMSGSIZE.
    pub fn send_to(&self, datagram: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.send_to_addr(datagram, &SocketAddr::from_pathname(path)?)
    }

    /// Sends one datagram to a name.
    ///
    /// # Errors
    /// See [`send_to`](Self::send_to).
    pub fn send_to_addr(&self, datagram: &[u8], addr: &SocketAddr) -> io::Result<usize> {
        self.socket.send_unix(UnixSend {
            to: Some(addr),
            data: Bytes::copy_from_slice(datagram),
            ..UnixSend::default()
        })
    }

    /// Receives one datagram and tells who sent it.
    ///
    /// # Errors
    /// `WouldBlock` after the read timeout or when nonblocking.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive(buffer, MessageFlags::empty())
    }

    /// Receives without taking, and tells who sent it.
    ///
    /// # Errors
    /// See [`recv_from`](Self::recv_from).
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive(buffer, MessageFlags::PEEK)
    }

    fn receive(&self, buffer: &mut [u8], flags: MessageFlags) -> io::Result<(usize, SocketAddr)> {
        let message = self.socket.recv_unix(buffer.len(), flags)?;
        Ok((message.copy_to(buffer), message.from))
    }
}
