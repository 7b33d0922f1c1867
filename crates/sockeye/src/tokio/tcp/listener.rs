//! A listening socket.

use super::{TcpSocket, TcpStream};
use crate::tokio::addr::{ToSocketAddrs, resolve};
use crate::tokio::options::{common, options};
use crate::tokio::ready::{cooperate, each};
use crate::{Node, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use tokio::task::coop::cooperative;

/// Connections that wait to be accepted, as `tokio::net::TcpListener::bind` sets it.
const BACKLOG: u32 = 1024;

/// A listening socket, as [`tokio::net::TcpListener`].
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use sockeye::tokio::{TcpListener, TcpStream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let node = sockeye::Node::builder().build()?;
/// let listener = TcpListener::bind_on(&node, "127.0.0.1:80").await?;
/// let mut client = TcpStream::connect_on(&node, "localhost:80").await?;
/// let (mut server, peer) = listener.accept().await?;
/// assert_eq!(peer, client.local_addr()?);
///
/// client.write_all(b"hello").await?;
/// client.shutdown().await?;
/// let mut said = String::new();
/// server.read_to_string(&mut said).await?;
/// assert_eq!(said, "hello");
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TcpListener {
    socket: Socket,
}

common!(TcpListener, Type::STREAM, Protocol::TCP, "a TCP socket");

impl TcpListener {
    /// Listens on the current node, with SO_REUSEADDR and a backlog of 1024.
    ///
    /// # Errors
    /// Those of resolving `addr`, of bind(2) and of listen(2): the last where there are several
    /// addresses.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, addr).await
    }

    /// Listens on `node`.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub async fn bind_on(node: &Node, addr: impl ToSocketAddrs) -> io::Result<Self> {
        let addresses = resolve(node, addr).await?;
        each(addresses, |addr| Self::bind_address(node, addr))
    }

    fn bind_address(node: &Node, addr: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_for(node, addr)?;
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)
    }

    /// The next connection and who opened it. Of those who wait, one is woken for one connection,
    /// first come, first served; dropping the future loses none.
    ///
    /// # Errors
    /// Those of accept(2): ECONNABORTED concerns one connection, all others the listener.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = cooperative(self.socket.accept_async()).await?;
        Ok((TcpStream::try_from(socket)?, peer))
    }

    /// Polls for the next connection.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        cooperate(cx, |cx| {
            let (socket, peer) = ready!(self.socket.poll_accept(cx))?;
            Poll::Ready(Ok((TcpStream::try_from(socket)?, peer)))
        })
    }

    options! {
        /// TTL of its packets and those of its connections (IP_TTL), 1 to 255.
        set_ttl / ttl: u32 => set_ttl_v4 / ttl_v4;
    }
}
