//! SCTP: streams, listeners and one-to-many sockets for tokio.

use super::addr::{ToSocketAddrs, no_address, resolve};
use super::options::{common, readiness};
use super::ready::cooperate;
use crate::net::{one_message, several};
use crate::sctp::{AssocId, Incoming, Settings, SndInfo};
use crate::{Domain, Node, Protocol, Socket, Type};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::cooperative;

/// Associations that wait to be accepted.
const BACKLOG: i32 = 1024;

fn socket(node: &Node, addrs: &[SocketAddr], ty: Type) -> io::Result<Socket> {
    let first = addrs.first().ok_or_else(no_address)?;
    let domain = Domain::for_address(*first);
    Socket::new_on(node, domain, ty, Some(Protocol::SCTP))
}

/// A socket that takes associations, the counterpart of [`crate::net::SctpListener`].
#[derive(Debug)]
pub struct SctpListener {
    socket: Socket,
}

common!(SctpListener, Type::STREAM, Protocol::SCTP, "an SCTP socket");
several!(SctpListener);

impl SctpListener {
    /// Listens on all of `addrs` of `node`, which have one port.
    ///
    /// # Errors
    /// Those of resolving `addrs`, of bind(2) and of listen(2).
    pub async fn bind_on(node: &Node, addrs: impl ToSocketAddrs) -> io::Result<Self> {
        let all = resolve(node, addrs).await?;
        let socket = socket(node, &all, Type::STREAM)?;
        socket.set_reuse_address(true)?;
        socket.bind_add(&all)?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket })
    }

    /// Listens on the current node.
    ///
    /// # Errors
    /// As [`bind_on`](Self::bind_on).
    pub async fn bind(addrs: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, addrs).await
    }

    /// The next association and who opened it.
    ///
    /// # Errors
    /// Those of accept(2).
    pub async fn accept(&self) -> io::Result<(SctpStream, SocketAddr)> {
        let (socket, peer) = cooperative(self.socket.accept_async()).await?;
        Ok((SctpStream { socket }, peer))
    }

    /// Polls for [`accept`](Self::accept).
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(SctpStream, SocketAddr)>> {
        let (socket, peer) = ready!(cooperate(cx, |cx| self.socket.poll_accept(cx)))?;
        Poll::Ready(Ok((SctpStream { socket }, peer)))
    }
}

/// One association, the counterpart of [`crate::net::SctpStream`]: each write is a message (as long
/// as the send buffer, at most), and no read goes over the end of one.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use sockeye::tokio::{SctpListener, SctpStream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let node = sockeye::Node::builder().build()?;
/// let listener = SctpListener::bind_on(&node, "127.0.0.1:80").await?;
/// let mut client = SctpStream::connect_on(&node, "127.0.0.1:80").await?;
/// let (mut server, _) = listener.accept().await?;
/// // Or to a peer of several addresses:
/// let several = ["127.0.0.1:80", "127.0.0.2:80"].map(|addr| addr.parse::<std::net::SocketAddr>().expect("an address"));
/// let _other = SctpStream::connect_multi_on(&node, &several[..]).await?;
///
/// client.write_all(b"one").await?;
/// client.write_all(b"two").await?;
/// let mut buffer = [0; 100];
/// assert_eq!(server.read(&mut buffer).await?, 3);
/// assert_eq!(server.read(&mut buffer).await?, 3);
/// client.shutdown().await?;
/// assert_eq!(server.read(&mut buffer).await?, 0);
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct SctpStream {
    socket: Socket,
}

common!(SctpStream, Type::STREAM, Protocol::SCTP, "an SCTP socket");
several!(SctpStream);

impl SctpStream {
    /// Connects from `node` to the first of `addrs` that answers.
    ///
    /// # Errors
    /// Those of resolving `addrs` and of connect(2): the last where there are several addresses.
    pub async fn connect_on(node: &Node, addrs: impl ToSocketAddrs) -> io::Result<Self> {
        let mut last = no_address();
        for addr in resolve(node, addrs).await? {
            let socket = socket(node, &[addr], Type::STREAM)?;
            match cooperative(socket.connect_async(addr)).await {
                Ok(()) => return Ok(Self { socket }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Connects from the current node.
    ///
    /// # Errors
    /// As [`connect_on`](Self::connect_on).
    pub async fn connect(addrs: impl ToSocketAddrs) -> io::Result<Self> {
        Self::connect_on(&Node::current()?, addrs).await
    }

    /// Connects from `node` to one peer that has all of `addrs`.
    ///
    /// # Errors
    /// Those of resolving `addrs` and of connect(2).
    pub async fn connect_multi_on(node: &Node, addrs: impl ToSocketAddrs) -> io::Result<Self> {
        let all = resolve(node, addrs).await?;
        let socket = socket(node, &all, Type::STREAM)?;
        socket.set_nonblocking(true)?;
        match socket.connect_multi(&all) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            done => {
                done?;
            }
        }
        cooperative(poll_fn(|cx| socket.poll_connect(cx))).await?;
        Ok(Self { socket })
    }

    /// Connects from the current node to one peer that has all of `addrs`.
    ///
    /// # Errors
    /// As [`connect_multi_on`](Self::connect_multi_on).
    pub async fn connect_multi(addrs: impl ToSocketAddrs) -> io::Result<Self> {
        Self::connect_multi_on(&Node::current()?, addrs).await
    }

    /// The peer's primary address.
    ///
    /// # Errors
    /// ENOTCONN once the association has ended.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Sends one message as `info` says.
    ///
    /// # Errors
    /// EPIPE, EMSGSIZE, EINVAL for a stream that there is not.
    pub async fn send_msg(&self, message: &[u8], info: &SndInfo) -> io::Result<usize> {
        let message = [IoSlice::new(message)];
        cooperative(poll_fn(|cx| {
            self.socket.poll_send_msg(cx, &message, None, info)
        }))
        .await
    }

    /// The next message, a part of it as large as `buffer`, or a notification.
    ///
    /// # Errors
    /// The association's error.
    pub async fn recv_msg(&self, buffer: &mut [u8]) -> io::Result<Incoming> {
        cooperative(poll_fn(|cx| self.socket.poll_recv_msg(cx, buffer))).await
    }

    /// Changes what the association is set to.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn configure(&self, change: impl Fn(&mut Settings)) -> io::Result<()> {
        self.socket.configure_sctp(AssocId::FUTURE, change)
    }
}

impl AsyncRead for SctpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = ready!(self.socket.poll_recv(cx, buf.initialize_unfilled()))?;
        buf.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SctpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_send(cx, one_message(&self.socket, buf)?)
    }

    /// Nothing is held back here.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Shuts the association down; what was written still arrives.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown(Shutdown::Write))
    }
}

/// A one-to-many socket, the counterpart of [`crate::net::SctpSocket`]: associations with any number of
/// peers, each begun by the first message to it or by the peer.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use sockeye::sctp::{Incoming, SndInfo};
/// use sockeye::tokio::SctpSocket;
///
/// let node = sockeye::Node::builder().build()?;
/// let server = SctpSocket::bind_on(&node, "127.0.0.1:80").await?;
/// let client = SctpSocket::bind_on(&node, "127.0.0.1:0").await?;
/// server.bind_add(&["127.0.0.2:80".parse().expect("an address")])?;
///
/// let to = server.local_addr()?;
/// client.send_msg(b"hello", Some(to), &SndInfo::default()).await?;
/// let mut buffer = [0; 100];
/// let Incoming::Message(received) = server.recv_msg(&mut buffer).await? else {
///     panic!("no notification was asked for");
/// };
/// assert_eq!(&buffer[..received.len], b"hello");
///
/// let alone = server.peel_off(received.info.assoc)?;
/// alone.send_msg(b"to you alone", &SndInfo::default()).await?;
/// # client.recv_msg(&mut buffer).await?;
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct SctpSocket {
    socket: Socket,
}

common!(
    SctpSocket,
    Type::SEQPACKET,
    Protocol::SCTP,
    "a one-to-many SCTP socket"
);
several!(SctpSocket);

impl SctpSocket {
    /// Binds to all of `addrs` of `node`, which have one port, and takes associations.
    ///
    /// # Errors
    /// Those of resolving `addrs`, of bind(2) and of listen(2).
    pub async fn bind_on(node: &Node, addrs: impl ToSocketAddrs) -> io::Result<Self> {
        let all = resolve(node, addrs).await?;
        let socket = socket(node, &all, Type::SEQPACKET)?;
        socket.set_nonblocking(true)?;
        socket.bind_add(&all)?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket })
    }

    /// Binds on the current node.
    ///
    /// # Errors
    /// As [`bind_on`](Self::bind_on).
    pub async fn bind(addrs: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, addrs).await
    }

    readiness!();

    /// Sends one message to a peer, by its address or by the association that `info` names.
    ///
    /// # Errors
    /// See [`SctpStream::send_msg`].
    pub async fn send_msg(
        &self,
        message: &[u8],
        to: Option<SocketAddr>,
        info: &SndInfo,
    ) -> io::Result<usize> {
        let message = [IoSlice::new(message)];
        cooperative(poll_fn(|cx| {
            self.socket.poll_send_msg(cx, &message, to, info)
        }))
        .await
    }

    /// The next message of any association, a part of it as large as `buffer`, or a notification.
    ///
    /// # Errors
    /// The node was shut down.
    pub async fn recv_msg(&self, buffer: &mut [u8]) -> io::Result<Incoming> {
        cooperative(poll_fn(|cx| self.socket.poll_recv_msg(cx, buffer))).await
    }

    /// Changes what `assoc` names.
    ///
    /// # Errors
    /// `InvalidInput` for an association that it does not have.
    pub fn configure(&self, assoc: AssocId, change: impl Fn(&mut Settings)) -> io::Result<()> {
        self.socket.configure_sctp(assoc, change)
    }

    /// Begins an association with one peer that has all of `addrs`, which the first message then need
    /// not begin.
    ///
    /// # Errors
    /// EISCONN, EINVAL for addresses of two families or ports.
    pub fn connect_multi(&self, addrs: &[SocketAddr]) -> io::Result<AssocId> {
        match (self.socket.connect_multi(addrs), addrs) {
            (Err(error), [first, ..]) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
                self.socket.association_with(*first)
            }
            (done, _) => done,
        }
    }

    /// Makes an association a stream of its own.
    ///
    /// # Errors
    /// `InvalidInput` when it has no such association.
    pub fn peel_off(&self, assoc: AssocId) -> io::Result<SctpStream> {
        let socket = self.socket.peel_off(assoc)?;
        Ok(SctpStream { socket })
    }
}
