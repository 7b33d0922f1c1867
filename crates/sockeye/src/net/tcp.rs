//! TCP, shaped like [`std::net::TcpListener`] and [`std::net::TcpStream`].

use super::{ToSocketAddrs, common, domain, each, options};
use crate::{Node, Protocol, Socket, Type};
use bytes::Bytes;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The backlog that std asks for.
const BACKLOG: i32 = 128;

/// A socket that takes TCP connections.
#[derive(Debug)]
pub struct TcpListener {
    socket: Socket,
}

common!(TcpListener);

impl TcpListener {
    /// Listens on `addr` of the current node, with SO_REUSEADDR and a backlog of 128, as std does.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable` when the address is not the node's, or there is no current
    /// node.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, addr)
    }

    /// Listens on `addr` of `node`.
    ///
    /// # Errors
    /// See [`bind`](Self::bind).
    pub fn bind_on(node: &Node, addr: impl ToSocketAddrs) -> io::Result<Self> {
        each(node, addr, |addr| {
            let socket = Socket::new_on(node, domain(addr), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.bind(addr)?;
            socket.listen(BACKLOG)?;
            Ok(Self { socket })
        })
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// `WouldBlock` when nonblocking and none waits.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, from) = self.socket.accept()?;
        Ok((TcpStream { socket }, from))
    }

    /// Connections as they come, without end.
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    options! {
        /// TTL of its packets and those of its connections (IP_TTL).
        set_ttl / ttl: u32 => set_ttl_v4 / ttl_v4;
    }
}

/// See [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

/// A TCP connection. Dropping the last handle closes it; what was written still arrives.
#[derive(Debug)]
pub struct TcpStream {
    socket: Socket,
}

common!(TcpStream);

impl TcpStream {
    /// Connects from the current node to the first of `addr` that answers.
    ///
    /// # Errors
    /// The last address's: `ConnectionRefused`, `HostUnreachable`, `NetworkUnreachable`, `TimedOut`.
    pub fn connect(addr: impl ToSocketAddrs) -> io::Result<Self> {
        Self::connect_on(&Node::current()?, addr)
    }

    /// Connects from `node`.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    pub fn connect_on(node: &Node, addr: impl ToSocketAddrs) -> io::Result<Self> {
        each(node, addr, |addr| {
            let socket = Socket::new_on(node, domain(addr), Type::STREAM, Some(Protocol::TCP))?;
            socket.connect(addr)?;
            Ok(Self { socket })
        })
    }

    /// Connects, waiting no longer than `timeout`.
    ///
    /// # Errors
    /// See [`connect`](Self::connect); `TimedOut` when the time is over, `InvalidInput` for none.
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        Self::connect_timeout_on(&Node::current()?, addr, timeout)
    }

    /// Connects from `node`, waiting no longer than `timeout`.
    ///
    /// # Errors
    /// See [`connect_timeout`](Self::connect_timeout).
    pub fn connect_timeout_on(
        node: &Node,
        addr: &SocketAddr,
        timeout: Duration,
    ) -> io::Result<Self> {
        if timeout.is_zero() {
            let message = "a connect can't be given no time at all: the timeout must be above zero";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let socket = Socket::new_on(node, domain(*addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.connect_timeout(*addr, timeout)?;
        Ok(Self { socket })
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Ends one direction or both: what was written still arrives before its end does.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// Reads without taking: the next read sees the same bytes.
    ///
    /// # Errors
    /// As reading.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.peek(buffer)
    }

    /// Writes all of `data` without copying it; see [`Socket::send_bytes`].
    ///
    /// # Errors
    /// As writing. What went before an error is counted, and the next call tells the error.
    pub fn send_bytes(&self, data: Bytes) -> io::Result<usize> {
        self.socket.send_bytes(data)
    }

    /// Reads at most `len` bytes in the buffers that they came in, without copying them; none is the
    /// end. See [`Socket::recv_bytes`].
    ///
    /// # Errors
    /// As reading.
    pub fn recv_bytes(&self, len: usize) -> io::Result<Vec<Bytes>> {
        self.socket.recv_bytes(len)
    }

    /// Writes `bytes` of which the last is urgent (MSG_OOB).
    ///
    /// # Errors
    /// As writing.
    pub fn send_oob(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send_out_of_band(bytes)
    }

    /// Reads the urgent byte by itself (MSG_OOB), without waiting.
    ///
    /// # Errors
    /// `InvalidInput` when there is none, `WouldBlock` when it was announced and has not arrived.
    pub fn recv_oob(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv_out_of_band(buffer)
    }

    /// Whether the next byte to read is at the place of urgent data (sockatmark(3)).
    ///
    /// # Errors
    /// The node has been shut down.
    pub fn at_mark(&self) -> io::Result<bool> {
        self.socket.at_mark()
    }

    /// Two halves that may be used from two threads; dropping the writing one ends its direction.
    #[must_use]
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        let stream = Arc::new(self);
        (
            ReadHalf {
                stream: stream.clone(),
            },
            WriteHalf { stream, ends: true },
        )
    }

    options! {
        /// Small writes leave at once (TCP_NODELAY).
        set_nodelay / nodelay: bool => set_tcp_nodelay / tcp_nodelay;
        /// Urgent bytes stay in the stream (SO_OOBINLINE).
        set_oob_inline / oob_inline: bool => set_out_of_band_inline / out_of_band_inline;
        /// TTL of its packets (IP_TTL), 1 to 255.
        set_ttl / ttl: u32 => set_ttl_v4 / ttl_v4;
        /// How long a close waits for what was written; zero resets (SO_LINGER).
        set_linger / linger: Option<Duration> => set_linger / linger;
        /// How long a read waits (SO_RCVTIMEO); `None` for ever.
        set_read_timeout / read_timeout: Option<Duration> => set_read_timeout / read_timeout;
        /// How long a write waits (SO_SNDTIMEO); `None` for ever.
        set_write_timeout / write_timeout: Option<Duration> => set_write_timeout / write_timeout;
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }
    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.socket.recv_vectored(buffers)
    }
}

impl Write for &TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(bytes)
    }
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.send_vectored(slices)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(slices)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The reading half of a [`TcpStream`].
#[derive(Debug)]
pub struct ReadHalf {
    stream: Arc<TcpStream>,
}

/// The writing half of a [`TcpStream`]. Dropping it ends its direction.
#[derive(Debug)]
pub struct WriteHalf {
    stream: Arc<TcpStream>,
    /// Cleared when the halves become one again: then there is no direction to end.
    ends: bool,
}

impl ReadHalf {
    /// The stream again, from its two halves.
    ///
    /// # Errors
    /// The halves themselves, when they are of two streams.
    pub fn reunite(self, mut write: WriteHalf) -> Result<TcpStream, (Self, WriteHalf)> {
        if !Arc::ptr_eq(&self.stream, &write.stream) {
            return Err((self, write));
        }
        write.ends = false;
        drop(write);
        Ok(Arc::into_inner(self.stream).expect("the two halves are all that hold the stream"))
    }
}

impl AsRef<TcpStream> for ReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsRef<TcpStream> for WriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl Read for ReadHalf {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.stream).read(buffer)
    }
    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self.stream).read_vectored(buffers)
    }
}

impl Write for WriteHalf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.stream).write(bytes)
    }
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self.stream).write_vectored(slices)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        if self.ends {
            // A stream that is closed already has no direction left to end.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}
