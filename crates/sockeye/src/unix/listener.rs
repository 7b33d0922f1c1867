//! Listeners, shaped like [`std::os::unix::net::UnixListener`].

use super::{SocketAddr, UnixSeqpacket, UnixStream, common, open};
use crate::{Node, Socket, Type};
use std::io;
use std::path::Path;

/// The backlog that std's listeners have: the most there is.
const BACKLOG: i32 = -1;

/// Waits for streams.
#[derive(Debug)]
pub struct UnixListener {
    socket: Socket,
}

common!(UnixListener);

/// Waits for connections of sequenced packets.
#[derive(Debug)]
pub struct UnixSeqpacketListener {
    socket: Socket,
}

common!(UnixSeqpacketListener);

macro_rules! listens {
    ($name:ident, $type:expr, $accepted:ident) => {
        impl $name {
            /// Listens at a path of the current node.
            ///
            /// # Errors
            /// `AddrInUse`, or there is no current node.
            pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
                Self::bind_addr(&SocketAddr::from_pathname(path)?)
            }

            /// Listens at a name of the current node.
            ///
            /// # Errors
            /// See [`bind`](Self::bind).
            pub fn bind_addr(addr: &SocketAddr) -> io::Result<Self> {
                Self::bind_on(&Node::current()?, addr)
            }

            /// Listens at a name of `node`.
            ///
            /// # Errors
            /// See [`bind`](Self::bind).
            pub fn bind_on(node: &Node, addr: &SocketAddr) -> io::Result<Self> {
                let socket = open(node, $type)?;
                socket.bind_unix(addr)?;
                socket.listen(BACKLOG)?;
                Ok(Self { socket })
            }

            /// Waits for a connection; says the peer's name.
            ///
            /// # Errors
            /// `WouldBlock` when nonblocking.
            pub fn accept(&self) -> io::Result<($accepted, SocketAddr)> {
                let (socket, peer) = self.socket.accept_unix()?;
                Ok((socket.into(), peer))
            }
        }
    };
}

listens!(UnixListener, Type::STREAM, UnixStream);
listens!(UnixSeqpacketListener, Type::SEQPACKET, UnixSeqpacket);

impl UnixListener {
    /// One connection after the other, for ever.
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }
}

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}

/// The connections of a listener.
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|accepted| accepted.0))
    }
}
