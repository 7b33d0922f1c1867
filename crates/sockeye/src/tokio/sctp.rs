//! SCTP: streams and listeners for tokio.

use super::addr::{ToSocketAddrs, no_address, resolve};
use super::options::common;
use super::ready::cooperate;
use crate::net::one_message;
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

fn socket(node: &Node, addrs: &[SocketAddr]) -> io::Result<Socket> {
    let first = addrs.first().ok_or_else(no_address)?;
    let domain = Domain::for_address(*first);
    Socket::new_on(node, domain, Type::STREAM, Some(Protocol::SCTP))
}

/// A socket that takes associations, the counterpart of [`crate::net::SctpListener`].
#[derive(Debug)]
pub struct SctpListener {
    socket: Socket,
}

common!(SctpListener, Type::STREAM, Protocol::SCTP, "an SCTP socket");

impl SctpListener {
    /// Listens on all of `addrs` of `node`, which have one port.
    ///
    /// # Errors
    /// Those of resolving `addrs`, of bind(2) and of listen(2).
    pub async fn bind_on(node: &Node, addrs: impl ToSocketAddrs) -> io::Result<Self> {
        let all = resolve(node, addrs).await?;
        let socket = socket(node, &all)?;
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

impl SctpStream {
    /// Connects from `node` to the first of `addrs` that answers.
    ///
    /// # Errors
    /// Those of resolving `addrs` and of connect(2): the last where there are several addresses.
    pub async fn connect_on(node: &Node, addrs: impl ToSocketAddrs) -> io::Result<Self> {
        let mut last = no_address();
        for addr in resolve(node, addrs).await? {
            let socket = socket(node, &[addr])?;
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
