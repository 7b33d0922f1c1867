//! Node-internal sockets, as tokio's `UnixListener`, `UnixStream` and `UnixDatagram`, and sequenced
//! packets beside them.

use super::options::readiness;
use super::ready::cooperate;
use crate::unix::{Credentials, Shutdown, SocketAddr};
use crate::{Domain, MessageFlags, Node, Socket, Type, UnixMessage, UnixSend};
use bytes::Bytes;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::cooperative;

fn open(node: &Node, ty: Type) -> io::Result<Socket> {
    let socket = Socket::new_on(node, Domain::UNIX, ty, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What every type here has of its socket.
macro_rules! common {
    ($name:ident, $type:expr) => {
        impl $name {
            /// Its own name.
            ///
            /// # Errors
            /// The node has been shut down.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.socket.unix_addr()
            }

            /// The pending error, which this call clears (SO_ERROR).
            ///
            /// # Errors
            /// The node has been shut down.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.socket.take_error()
            }

            /// The Berkeley socket below, with all its options.
            #[must_use]
            pub fn as_socket(&self) -> &Socket {
                &self.socket
            }
        }

        impl TryFrom<Socket> for $name {
            type Error = io::Error;

            /// Takes over a socket of that kind in whatever state it is.
            ///
            /// # Errors
            /// `InvalidInput` when it is of another kind.
            fn try_from(socket: Socket) -> io::Result<Self> {
                if (socket.domain(), socket.r#type()) != (Domain::UNIX, $type) {
                    let message = "the socket is of another kind";
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
                }
                socket.set_nonblocking(true)?;
                Ok(Self { socket })
            }
        }

        impl From<$name> for Socket {
            /// The socket itself, which stays nonblocking.
            fn from(from: $name) -> Self {
                from.socket
            }
        }
    };
}

/// What every type here has that has a peer.
macro_rules! transfers {
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
                Ok((one.try_into()?, other.try_into()?))
            }

            /// The peer's name.
            ///
            /// # Errors
            /// `NotConnected`.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.socket.unix_peer_addr()
            }

            /// Whose the peer was when it connected or listened (SO_PEERCRED).
            ///
            /// # Errors
            /// The node has been shut down.
            pub fn peer_cred(&self) -> io::Result<Option<Credentials>> {
                self.socket.unix_peer_credentials()
            }

            /// Ends one direction or both.
            ///
            /// # Errors
            /// The node has been shut down.
            pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.socket.shutdown(how)
            }

            readiness!();

            /// Sends a buffer that the receiver gets as it is; of a stream's as much as there is room
            /// for.
            ///
            /// # Errors
            /// Those of send(2).
            pub async fn send_bytes(&self, data: Bytes) -> io::Result<usize> {
                let message = UnixSend {
                    data,
                    ..UnixSend::default()
                };
                self.send_message(message).await
            }

            /// Receives at most `len` bytes in the buffers that were sent; none is the end of a
            /// connection.
            ///
            /// # Errors
            /// Those of recv(2).
            pub async fn recv_bytes(&self, len: usize) -> io::Result<UnixMessage> {
                self.recv_message(len, MessageFlags::empty()).await
            }

            /// sendmsg(2): data, and objects and credentials beside it.
            ///
            /// # Errors
            /// Those of sendmsg(2).
            pub async fn send_message(&self, message: UnixSend<'_>) -> io::Result<usize> {
                cooperative(self.socket.send_unix_async(message)).await
            }

            /// recvmsg(2): at most `len` bytes, and what came beside them.
            ///
            /// # Errors
            /// Those of recvmsg(2).
            pub async fn recv_message(
                &self,
                len: usize,
                flags: MessageFlags,
            ) -> io::Result<UnixMessage> {
                cooperative(self.socket.recv_unix_async(len, flags)).await
            }
        }
    };
}

/// A stream between two sockets of a node.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use sockeye::tokio::{UnixListener, UnixStream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let node = sockeye::Node::builder().build()?;
/// let _current = node.enter();
/// let listener = UnixListener::bind("/run/echo")?;
/// let mut client = UnixStream::connect("/run/echo").await?;
/// let (mut server, _) = listener.accept().await?;
/// client.write_all(b"echo").await?;
/// let mut text = [0; 4];
/// server.read_exact(&mut text).await?;
/// assert_eq!(&text, b"echo");
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UnixStream {
    socket: Socket,
}

common!(UnixStream, Type::STREAM);
transfers!(UnixStream, Type::STREAM);

impl UnixStream {
    /// Connects to a path of the current node.
    ///
    /// # Errors
    /// `NotFound`, `ConnectionRefused`, EPROTOTYPE, or there is no current node.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::connect_on(&Node::current()?, &SocketAddr::from_pathname(path)?).await
    }

    /// Connects to a name of `node`.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    pub async fn connect_on(node: &Node, addr: &SocketAddr) -> io::Result<Self> {
        let socket = open(node, Type::STREAM)?;
        socket.connect_unix_async(addr).await?;
        Ok(Self { socket })
    }

    /// Reads without waiting. 0 is the end, or an empty buffer.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; those of recv(2).
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buf)
    }

    /// Writes without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; those of send(2).
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket.send(buf)
    }

    /// Two halves that own it together; dropping the writing one ends its direction.
    #[must_use]
    pub fn into_split(self) -> (OwnedUnixReadHalf, OwnedUnixWriteHalf) {
        let stream = Arc::new(self);
        let read = OwnedUnixReadHalf(stream.clone());
        (read, OwnedUnixWriteHalf(stream))
    }

    fn poll_in(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buf.initialize_unfilled();
        let len = ready!(cooperate(cx, |cx| self.socket.poll_recv(cx, room)))?;
        buf.advance(len);
        Poll::Ready(Ok(()))
    }

    fn poll_out(&self, cx: &mut Context<'_>, data: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        cooperate(cx, |cx| self.socket.poll_send_vectored(cx, data))
    }
}

/// The reading half of a [`UnixStream`].
#[derive(Debug)]
pub struct OwnedUnixReadHalf(Arc<UnixStream>);

/// The writing half of a [`UnixStream`]. Dropping it ends its direction.
#[derive(Debug)]
pub struct OwnedUnixWriteHalf(Arc<UnixStream>);

impl Drop for OwnedUnixWriteHalf {
    fn drop(&mut self) {
        // A node that is gone has ended it.
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

macro_rules! reads {
    ($name:ident, |$this:ident| $stream:expr) => {
        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let $this = self;
                $stream.poll_in(cx, buf)
            }
        }
    };
}

macro_rules! writes {
    ($name:ident, |$this:ident| $stream:expr) => {
        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                let $this = self;
                $stream.poll_out(cx, &[IoSlice::new(data)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                data: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let $this = self;
                $stream.poll_out(cx, data)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                let $this = self;
                Poll::Ready($stream.shutdown(Shutdown::Write))
            }
        }
    };
}

reads!(UnixStream, |this| &*this);
writes!(UnixStream, |this| &*this);
reads!(OwnedUnixReadHalf, |this| this.0);
writes!(OwnedUnixWriteHalf, |this| this.0);

/// Waits for streams.
#[derive(Debug)]
pub struct UnixListener {
    socket: Socket,
}

common!(UnixListener, Type::STREAM);

/// Waits for connections of sequenced packets.
#[derive(Debug)]
pub struct UnixSeqpacketListener {
    socket: Socket,
}

common!(UnixSeqpacketListener, Type::SEQPACKET);

macro_rules! listens {
    ($name:ident, $type:expr, $accepted:ident) => {
        impl $name {
            /// Listens at a path of the current node.
            ///
            /// # Errors
            /// `AddrInUse`, or there is no current node.
            pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
                Self::bind_on(&Node::current()?, &SocketAddr::from_pathname(path)?)
            }

            /// Listens at a name of `node`.
            ///
            /// # Errors
            /// See [`bind`](Self::bind).
            pub fn bind_on(node: &Node, addr: &SocketAddr) -> io::Result<Self> {
                let socket = open(node, $type)?;
                socket.bind_unix(addr)?;
                socket.listen(-1)?;
                Ok(Self { socket })
            }

            /// Waits for a connection; says the peer's name.
            ///
            /// # Errors
            /// The node has been shut down.
            pub async fn accept(&self) -> io::Result<($accepted, SocketAddr)> {
                let (socket, peer) = cooperative(self.socket.accept_unix_async()).await?;
                Ok((socket.try_into()?, peer))
            }

            /// Polls for [`accept`](Self::accept).
            ///
            /// # Errors
            /// The node has been shut down.
            pub fn poll_accept(
                &self,
                cx: &mut Context<'_>,
            ) -> Poll<io::Result<($accepted, SocketAddr)>> {
                let accepted = ready!(cooperate(cx, |cx| self.socket.poll_accept_unix(cx)));
                let (socket, peer) = accepted?;
                Poll::Ready(Ok((socket.try_into()?, peer)))
            }
        }
    };
}

listens!(UnixListener, Type::STREAM, UnixStream);
listens!(UnixSeqpacketListener, Type::SEQPACKET, UnixSeqpacket);

/// A datagram socket inside a node.
#[derive(Debug)]
pub struct UnixDatagram {
    socket: Socket,
}

common!(UnixDatagram, Type::DGRAM);
transfers!(UnixDatagram, Type::DGRAM);

/// A connection of sequenced packets.
#[derive(Debug)]
pub struct UnixSeqpacket {
    socket: Socket,
}

common!(UnixSeqpacket, Type::SEQPACKET);
transfers!(UnixSeqpacket, Type::SEQPACKET);

macro_rules! messages {
    ($name:ident) => {
        impl $name {
            /// Sends one message to the peer.
            ///
            /// # Errors
            /// `NotConnected`, `ConnectionRefused`, `BrokenPipe`, EMSGSIZE.
            pub async fn send(&self, message: &[u8]) -> io::Result<usize> {
                poll_fn(|cx| cooperate(cx, |cx| self.socket.poll_send(cx, message))).await
            }

            /// Sends one message without waiting.
            ///
            /// # Errors
            /// `WouldBlock` when there is no room; those of [`send`](Self::send).
            pub fn try_send(&self, message: &[u8]) -> io::Result<usize> {
                self.socket.send(message)
            }

            /// Receives one message; what does not fit `buf` is cut off.
            ///
            /// # Errors
            /// The node has been shut down.
            pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
                let message = self.recv_message(buf.len(), MessageFlags::empty()).await?;
                Ok(message.copy_to(buf))
            }

            /// Receives one message without waiting.
            ///
            /// # Errors
            /// `WouldBlock` when there is none.
            pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.socket.recv(buf)
            }
        }
    };
}

messages!(UnixDatagram);
messages!(UnixSeqpacket);

impl UnixSeqpacket {
    /// Connects to a name of `node`.
    ///
    /// # Errors
    /// `NotFound`, `ConnectionRefused`, EPROTOTYPE.
    pub async fn connect_on(node: &Node, addr: &SocketAddr) -> io::Result<Self> {
        let socket = open(node, Type::SEQPACKET)?;
        socket.connect_unix_async(addr).await?;
        Ok(Self { socket })
    }
}

impl UnixDatagram {
    /// A socket bound to a path of the current node.
    ///
    /// # Errors
    /// `AddrInUse`, or there is no current node.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, &SocketAddr::from_pathname(path)?)
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
    pub fn connect_addr(&self, addr: &SocketAddr) -> io::Result<()> {
        self.socket.connect_unix(addr)
    }

    /// Sends one datagram to a name.
    ///
    /// # Errors
    /// `NotFound`, `ConnectionRefused`, EPROTOTYPE, `PermissionDenied`, EMSGSIZE.
    pub async fn send_to_addr(&self, datagram: &[u8], addr: &SocketAddr) -> io::Result<usize> {
        self.send_message(UnixSend {
            to: Some(addr),
            data: Bytes::copy_from_slice(datagram),
            ..UnixSend::default()
        })
        .await
    }

    /// Receives one datagram and tells who sent it.
    ///
    /// # Errors
    /// The node has been shut down.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let message = self.recv_message(buf.len(), MessageFlags::empty()).await?;
        Ok((message.copy_to(buf), message.from))
    }
}
