//! DCCP: connections that keep messages apart, for tokio.

use super::addr::{ToSocketAddrs, no_address, resolve};
use super::options::{common, readiness};
use crate::{Domain, Node, OptionValue, Protocol, Socket, SocketOption, Type};
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use tokio::task::coop::cooperative;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

fn socket(node: &Node, addr: SocketAddr, services: &[u32]) -> io::Result<Socket> {
    let domain = Domain::for_address(addr);
    let socket = Socket::new_on(node, domain, Type::DCCP, Some(Protocol::DCCP))?;
    let services = services.iter().flat_map(|code| code.to_be_bytes());
    let services = OptionValue::Bytes(services.collect());
    socket.set_option(SocketOption::DccpService, services)?;
    Ok(socket)
}

/// A listener for DCCP connections, the counterpart of [`crate::net::DccpListener`].
#[derive(Debug)]
pub struct DccpListener {
    socket: Socket,
}

common!(DccpListener, Type::DCCP, Protocol::DCCP, "a DCCP socket");

impl DccpListener {
    /// Listens at the first of `addrs` of `node` that can be had, for clients that ask for one of
    /// `services`.
    ///
    /// # Errors
    /// Those of resolving `addrs`, of bind(2) and of listen(2); `InvalidInput` for no service code or
    /// more than 32.
    pub async fn bind_on(
        node: &Node,
        addrs: impl ToSocketAddrs,
        services: &[u32],
    ) -> io::Result<Self> {
        let mut last = no_address();
        for addr in resolve(node, addrs).await? {
            let socket = socket(node, addr, services)?;
            match socket.bind(addr).and_then(|()| socket.listen(BACKLOG)) {
                Ok(()) => return Ok(Self { socket }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Listens on the current node.
    ///
    /// # Errors
    /// As [`bind_on`](Self::bind_on).
    pub async fn bind(addrs: impl ToSocketAddrs, services: &[u32]) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, addrs, services).await
    }

    /// The next connection and who opened it.
    ///
    /// # Errors
    /// Those of accept(2).
    pub async fn accept(&self) -> io::Result<(DccpSocket, SocketAddr)> {
        let (socket, peer) = cooperative(self.socket.accept_async()).await?;
        Ok((DccpSocket { socket }, peer))
    }
}

/// A DCCP connection, the counterpart of [`crate::net::DccpSocket`].
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use sockeye::tokio::{DccpListener, DccpSocket};
///
/// let node = sockeye::Node::builder().build()?;
/// let listener = DccpListener::bind_on(&node, "127.0.0.1:80", &[42]).await?;
/// let client = DccpSocket::connect_on(&node, "127.0.0.1:80", 42).await?;
/// let (server, _) = listener.accept().await?;
///
/// client.send(b"one").await?;
/// client.send(b"two").await?;
/// let mut buffer = [0; 100];
/// assert_eq!(server.recv(&mut buffer).await?, 3);
/// assert_eq!(server.recv(&mut buffer).await?, 3);
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct DccpSocket {
    socket: Socket,
}

common!(DccpSocket, Type::DCCP, Protocol::DCCP, "a DCCP socket");

impl DccpSocket {
    /// Connects from `node` to the first of `addrs` that answers, for the service `service`.
    ///
    /// # Errors
    /// Those of resolving `addrs` and of connect(2): the last where there are several addresses.
    /// EBADRQC where nobody listens for the service.
    pub async fn connect_on(
        node: &Node,
        addrs: impl ToSocketAddrs,
        service: u32,
    ) -> io::Result<Self> {
        let mut last = no_address();
        for addr in resolve(node, addrs).await? {
            let socket = socket(node, addr, &[service])?;
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
    pub async fn connect(addrs: impl ToSocketAddrs, service: u32) -> io::Result<Self> {
        Self::connect_on(&Node::current()?, addrs, service).await
    }

    readiness!();

    /// Sends one message, [`max_packet_size`](Self::max_packet_size) bytes at the most.
    ///
    /// # Errors
    /// EMSGSIZE, EPIPE, the error that the connection ended with.
    pub async fn send(&self, message: &[u8]) -> io::Result<usize> {
        cooperative(poll_fn(|cx| self.socket.poll_send_to(cx, message, None))).await
    }

    /// Receives one message; what does not fit is lost. No bytes are the end of the connection, or an
    /// empty message.
    ///
    /// # Errors
    /// The error that the connection ended with.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        cooperative(poll_fn(|cx| self.socket.poll_recv(cx, buffer))).await
    }

    /// The peer.
    ///
    /// # Errors
    /// ENOTCONN once the connection has ended.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Ends one half or the connection, once what was sent has left.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// The largest message that can be sent now (DCCP_SOCKOPT_GET_CUR_MPS).
    ///
    /// # Errors
    /// The node was shut down.
    pub fn max_packet_size(&self) -> io::Result<usize> {
        let most = self.socket.option(SocketOption::DccpMaxPacketSize)?;
        let most = most.int().map_err(crate::error::to_io)?;
        Ok(usize::try_from(most).unwrap_or(0))
    }
}
