//! A socket before it connects or listens.

use super::{TcpListener, TcpStream};
use crate::tokio::options::{common, device, options};
use crate::tokio::ready::open;
use crate::{Domain, Node, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A TCP socket before it connects or listens, as [`tokio::net::TcpSocket`]: for options that must
/// be set first.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use sockeye::tokio::TcpSocket;
///
/// let node = sockeye::Node::builder().build()?;
/// let _current = node.enter();
/// let server = TcpSocket::new_v4()?;
/// server.set_recv_buffer_size(64 << 10)?;
/// server.bind("127.0.0.1:4000".parse().unwrap())?;
/// let listener = server.listen(1)?;
///
/// let client = TcpSocket::new_v4()?;
/// client.set_nodelay(true)?;
/// client.connect(listener.local_addr()?).await?;
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TcpSocket {
    socket: Socket,
}

common!(TcpSocket, Type::STREAM, Protocol::TCP, "a TCP socket");

impl TcpSocket {
    /// An IPv4 socket of the current node.
    ///
    /// # Errors
    /// There is no current node, or it has as many sockets as it may have.
    pub fn new_v4() -> io::Result<Self> {
        Self::open(&Node::current()?, Domain::IPV4)
    }

    /// An IPv6 socket of the current node.
    ///
    /// # Errors
    /// As [`new_v4`](Self::new_v4).
    pub fn new_v6() -> io::Result<Self> {
        Self::open(&Node::current()?, Domain::IPV6)
    }

    /// An IPv4 socket of `node`.
    ///
    /// # Errors
    /// The node has as many sockets as it may have.
    pub fn new_v4_on(node: &Node) -> io::Result<Self> {
        Self::open(node, Domain::IPV4)
    }

    /// An IPv6 socket of `node`.
    ///
    /// # Errors
    /// As [`new_v4_on`](Self::new_v4_on).
    pub fn new_v6_on(node: &Node) -> io::Result<Self> {
        Self::open(node, Domain::IPV6)
    }

    /// A socket of the family of `addr`.
    pub(in crate::tokio) fn new_for(node: &Node, addr: SocketAddr) -> io::Result<Self> {
        Self::open(node, Domain::for_address(addr))
    }

    fn open(node: &Node, domain: Domain) -> io::Result<Self> {
        let socket = open(node, domain, Type::STREAM, Protocol::TCP)?;
        Ok(Self { socket })
    }

    /// Gives the socket its own address.
    ///
    /// # Errors
    /// Those of bind(2).
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.socket.bind(addr)
    }

    /// Connects to `addr`. Dropping the future closes the socket.
    ///
    /// # Errors
    /// Those of connect(2).
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        self.socket.connect_async(addr).await?;
        TcpStream::try_from(self.socket)
    }

    /// Listens; `backlog` connections wait to be accepted, at most as many as the node allows.
    ///
    /// # Errors
    /// Those of listen(2).
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.socket
            .listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        TcpListener::try_from(self.socket)
    }

    device!();

    options! {
        /// Probes are sent on an idle connection (SO_KEEPALIVE).
        set_keepalive / keepalive: bool => set_keepalive / keepalive;
        /// Addresses may be bound that are in TIME-WAIT (SO_REUSEADDR).
        set_reuseaddr / reuseaddr: bool => set_reuse_address / reuse_address;
        /// Sockets that all have it share a port (SO_REUSEPORT).
        set_reuseport / reuseport: bool => set_reuse_port / reuse_port;
        /// How long a close waits for what was written; zero resets (SO_LINGER).
        set_linger / linger: Option<Duration> => set_linger / linger;
        /// Small writes leave at once (TCP_NODELAY).
        set_nodelay / nodelay: bool => set_tcp_nodelay / tcp_nodelay;
        /// Type of service (IP_TOS), of which TCP keeps the two ECN bits to itself.
        set_tos_v4 / tos_v4: u32 => set_tos_v4 / tos_v4;
        /// Traffic class of an IPv6 socket (IPV6_TCLASS).
        set_tclass_v6 / tclass_v6: u32 => set_tclass_v6 / tclass_v6;
    }

    /// Closing resets the connection.
    ///
    /// # Errors
    /// The node has been shut down.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// The limit of unsent and unacknowledged bytes (SO_SNDBUF): twice what was set, as socket(7)
    /// has it.
    ///
    /// # Errors
    /// The node has been shut down.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        saturate(self.socket.send_buffer_size()?)
    }

    /// Sets SO_SNDBUF, in bytes.
    ///
    /// # Errors
    /// The node has been shut down.
    pub fn set_send_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.socket.set_send_buffer_size(bytes as usize)
    }

    /// The limit of received and unread bytes (SO_RCVBUF): twice what was set, as socket(7) has it.
    ///
    /// # Errors
    /// The node has been shut down.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        saturate(self.socket.recv_buffer_size()?)
    }

    /// Sets SO_RCVBUF, in bytes.
    ///
    /// # Errors
    /// The node has been shut down.
    pub fn set_recv_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.socket.set_recv_buffer_size(bytes as usize)
    }
}

fn saturate(bytes: usize) -> io::Result<u32> {
    Ok(u32::try_from(bytes).unwrap_or(u32::MAX))
}
