//! Streams, shaped like [`std::os::unix::net::UnixStream`].

use super::{SocketAddr, common, open, transfers};
use crate::{Node, Socket, Type};
use std::io::{self, IoSlice, Read, Write};
use std::path::Path;

/// A stream between two sockets of a node.
#[derive(Debug)]
pub struct UnixStream {
    socket: Socket,
}

common!(UnixStream);
transfers!(UnixStream);

impl UnixStream {
    /// Connects to a path of the current node.
    ///
    /// # Errors
    /// `NotFound`, `ConnectionRefused`, EPROTOTYPE, or there is no current node.
    pub fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Connects to a name of the current node.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    pub fn connect_addr(addr: &SocketAddr) -> io::Result<Self> {
        Self::connect_on(&Node::current()?, addr)
    }

    /// Connects to a name of `node`.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    pub fn connect_on(node: &Node, addr: &SocketAddr) -> io::Result<Self> {
        let socket = open(node, Type::STREAM)?;
        socket.connect_unix(addr)?;
        Ok(Self { socket })
    }

    /// Two ends of one stream, on the current node.
    ///
    /// # Errors
    /// There is no current node, or it has as many sockets as it may.
    pub fn pair() -> io::Result<(Self, Self)> {
        Self::pair_on(&Node::current()?)
    }

    /// Two ends of one stream, on `node`.
    ///
    /// # Errors
    /// The node has as many sockets as it may.
    pub fn pair_on(node: &Node) -> io::Result<(Self, Self)> {
        let (one, other) = Socket::pair_on(node, Type::STREAM)?;
        Ok((one.into(), other.into()))
    }

    /// Reads without taking.
    ///
    /// # Errors
    /// Those of recv(2).
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.peek(buffer)
    }
}

impl Read for &UnixStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }
}

impl Write for &UnixStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.socket.send(data)
    }

    fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.send_vectored(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for UnixStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for UnixStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self).write(data)
    }

    fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
