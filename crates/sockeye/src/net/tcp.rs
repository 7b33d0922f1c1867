//! Streams and their listeners, as in `std::net`.

use super::ToSocketAddrs;
use super::addr::each;
use crate::error::os;
use crate::node::Node;
use crate::socket::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What std's listeners ask for.
pub(crate) const BACKLOG: i32 = 4096;

fn stream_socket(node: &Node, address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    Socket::new_on(node, domain, Type::STREAM, Some(Protocol::TCP))
}

/// A socket that listens at `address`, with std's options.
pub(crate) fn listen(node: &Node, address: SocketAddr) -> io::Result<Socket> {
    let socket = stream_socket(node, address)?;
    socket.set_reuse_address(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// A stream of bytes to a peer.
///
/// ```
/// # use sockeye::drivers::{MemoryConfig, MemoryLink};
/// # use sockeye::{LinkConfig, Node};
/// use sockeye::net::{Shutdown, TcpListener, TcpStream};
/// use std::io::{Read, Write};
///
/// # let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
/// # let a = Node::builder()
/// #     .link("eth0", Box::new(a), LinkConfig::new().address("10.0.0.1/24".parse()?))
/// #     .build()?;
/// # let b = Node::builder()
/// #     .link("eth0", Box::new(b), LinkConfig::new().address("10.0.0.2/24".parse()?))
/// #     .build()?;
/// let listener = TcpListener::bind_on(&b, "10.0.0.2:7")?;
/// let server = std::thread::spawn(move || -> std::io::Result<()> {
///     let (mut stream, _) = listener.accept()?;
///     let mut text = String::new();
///     stream.read_to_string(&mut text)?;
///     stream.write_all(text.to_uppercase().as_bytes())
/// });
///
/// let _current = a.enter();
/// let mut stream = TcpStream::connect("10.0.0.2:7")?;
/// stream.write_all(b"sockeye")?;
/// stream.shutdown(Shutdown::Write)?;
/// let mut text = String::new();
/// stream.read_to_string(&mut text)?;
/// assert_eq!(text, "SOCKEYE");
/// # server.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TcpStream(Socket);

impl TcpStream {
    /// Connects to the first of the addresses that answers, from the current node.
    ///
    /// # Errors
    /// No node is current, a name could not be resolved, or as connect(2) of the last address.
    pub fn connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::connect_on(&Node::current()?, address)
    }

    /// Connects to the first of the addresses that answers.
    ///
    /// # Errors
    /// A name could not be resolved, or as connect(2) of the last address.
    pub fn connect_on(node: &Node, address: impl ToSocketAddrs) -> io::Result<Self> {
        each(&address.target()?.resolve(node)?, |address| {
            let socket = stream_socket(node, address)?;
            socket.connect(address)?;
            Ok(Self(socket))
        })
    }

    /// Connects from the current node and gives up after `timeout`.
    ///
    /// # Errors
    /// No node is current, or as for [`connect_timeout_on`](Self::connect_timeout_on).
    pub fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        Self::connect_timeout_on(&Node::current()?, address, timeout)
    }

    /// Connects and gives up after `timeout`.
    ///
    /// # Errors
    /// ETIMEDOUT, or as connect(2).
    pub fn connect_timeout_on(
        node: &Node,
        address: &SocketAddr,
        timeout: Duration,
    ) -> io::Result<Self> {
        let socket = stream_socket(node, *address)?;
        socket.connect_timeout(*address, timeout)?;
        Ok(Self(socket))
    }

    /// Another handle of the same stream.
    ///
    /// # Errors
    /// None today; the signature is std's.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// The stream as a half to read and one to write, for two threads. When the one to write is
    /// dropped, the peer reads the end of the stream.
    #[must_use]
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        let stream = Arc::new(self);
        (ReadHalf(stream.clone()), WriteHalf { stream, ends: true })
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

    /// Ends reading, writing or both.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    /// Reads and leaves the data where it is.
    ///
    /// # Errors
    /// As read.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buffer)
    }

    /// TCP_NODELAY.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.0.set_tcp_nodelay(on)
    }

    /// TCP_NODELAY.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.0.tcp_nodelay()
    }

    /// SO_LINGER.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.0.set_linger(linger)
    }

    /// SO_LINGER.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.0.linger()
    }
}

/// Accepts streams.
#[derive(Debug)]
pub struct TcpListener(Socket);

impl TcpListener {
    /// Listens at the first of the addresses that is free, on the current node.
    ///
    /// # Errors
    /// No node is current, or as for [`bind_on`](Self::bind_on).
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, address)
    }

    /// Listens at the first of the addresses that is free.
    ///
    /// # Errors
    /// EADDRNOTAVAIL, EADDRINUSE.
    pub fn bind_on(node: &Node, address: impl ToSocketAddrs) -> io::Result<Self> {
        each(&address.target()?.resolve(node)?, |address| {
            listen(node, address).map(Self)
        })
    }

    /// Its own address.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Another handle of the same listener.
    ///
    /// # Errors
    /// None today; the signature is std's.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// The connection that has waited longest, and its peer. Of the threads that wait, the first
    /// gets it.
    ///
    /// # Errors
    /// EAGAIN when nonblocking, ESHUTDOWN when the node was shut down.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.0.accept()?;
        Ok((TcpStream(socket), peer))
    }

    /// The connections as they come. It never ends.
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming(self)
    }
}

/// See [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a>(&'a TcpListener);

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.accept().map(|(stream, _)| stream))
    }
}

/// The half of a stream that reads; see [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf(Arc<TcpStream>);

/// The half of a stream that writes; see [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf {
    stream: Arc<TcpStream>,
    /// Its end is the end of what the peer reads.
    ends: bool,
}

impl ReadHalf {
    /// The whole stream again, from both its halves.
    ///
    /// # Errors
    /// The halves, when they are of different streams.
    pub fn reunite(self, other: WriteHalf) -> Result<TcpStream, (Self, WriteHalf)> {
        if !Arc::ptr_eq(&self.0, &other.stream) {
            return Err((self, other));
        }
        let mut other = other;
        other.ends = false;
        drop(other);
        let whole = |stream: Arc<TcpStream>| {
            let write = WriteHalf {
                stream: stream.clone(),
                ends: true,
            };
            (Self(stream), write)
        };
        Arc::try_unwrap(self.0).map_err(whole)
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        if self.ends {
            // A stream that is gone already has nothing to end.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

impl std::ops::Deref for ReadHalf {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.0
    }
}

impl std::ops::Deref for WriteHalf {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.stream
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let first = buffers.iter_mut().find(|buffer| !buffer.is_empty());
        first.map_or(Ok(0), |buffer| self.0.recv(buffer))
    }
}

impl Write for &TcpStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.send(data)
    }

    fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.send_vectored(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

macro_rules! read {
    ($($ty:ty: |$this:ident| $stream:expr;)*) => {$(
        impl Read for $ty {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let $this = self;
                ($stream).read(buffer)
            }

            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                let $this = self;
                ($stream).read_vectored(buffers)
            }
        }
    )*};
}

macro_rules! write {
    ($($ty:ty: |$this:ident| $stream:expr;)*) => {$(
        impl Write for $ty {
            fn write(&mut self, data: &[u8]) -> io::Result<usize> {
                let $this = self;
                ($stream).write(data)
            }

            fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
                let $this = self;
                ($stream).write_vectored(data)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    )*};
}

read! {
    TcpStream: |this| &*this;
    ReadHalf: |this| &*this.0;
}

write! {
    TcpStream: |this| &*this;
    WriteHalf: |this| &*this.stream;
}

/// What std's streams and listeners share.
macro_rules! common {
    ($($ty:ident)*) => {$(
        impl $ty {
            /// The socket below.
            #[must_use]
            pub fn socket(&self) -> &Socket {
                &self.0
            }

            /// Calls fail with EAGAIN instead of waiting.
            ///
            /// # Errors
            /// None today; the signature is std's.
            pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
                self.0.set_nonblocking(on)
            }

            /// SO_ERROR.
            ///
            /// # Errors
            /// The node was shut down.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.0.take_error()
            }

            /// IP_TTL.
            ///
            /// # Errors
            /// EINVAL for one out of range.
            pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
                self.0.set_ttl_v4(ttl)
            }

            /// IP_TTL.
            ///
            /// # Errors
            /// The node was shut down.
            pub fn ttl(&self) -> io::Result<u32> {
                self.0.ttl_v4()
            }
        }

        impl From<$ty> for Socket {
            fn from(this: $ty) -> Self {
                this.0
            }
        }
    )*};
}

macro_rules! timeouts {
    ($($ty:ident)*) => {$(
        impl $ty {
            /// How long a read waits; `None` for ever.
            ///
            /// # Errors
            /// EINVAL for a duration of zero.
            pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.0.set_read_timeout(timeout)
            }

            /// How long a write waits; `None` for ever.
            ///
            /// # Errors
            /// EINVAL for a duration of zero.
            pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.0.set_write_timeout(timeout)
            }

            /// See [`set_read_timeout`](Self::set_read_timeout).
            ///
            /// # Errors
            /// None today; the signature is std's.
            pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
                self.0.read_timeout()
            }

            /// See [`set_write_timeout`](Self::set_write_timeout).
            ///
            /// # Errors
            /// None today; the signature is std's.
            pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
                self.0.write_timeout()
            }
        }
    )*};
}

common!(TcpStream TcpListener);
timeouts!(TcpStream);
pub(crate) use {common, timeouts};

impl TryFrom<Socket> for TcpStream {
    type Error = io::Error;

    fn try_from(socket: Socket) -> io::Result<Self> {
        match socket.r#type() {
            Type::STREAM => Ok(Self(socket)),
            _ => Err(os(libc::EPROTOTYPE)),
        }
    }
}

impl TryFrom<Socket> for TcpListener {
    type Error = io::Error;

    fn try_from(socket: Socket) -> io::Result<Self> {
        match socket.r#type() {
            Type::STREAM => Ok(Self(socket)),
            _ => Err(os(libc::EPROTOTYPE)),
        }
    }
}
