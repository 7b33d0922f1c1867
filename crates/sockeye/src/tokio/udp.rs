//! UDP.

use super::addr::{ToSocketAddrs, resolve};
use super::buf::fill;
use super::options::{common, device, options, readiness};
use super::ready::{cooperate, each, open};
use crate::{
    Domain, MessageFlags, Node, Protocol, RecvMessage, SendMessage, Socket, SourceFilter, Type,
    Unreachable,
};
use bytes::BufMut;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;
use tokio::task::coop::cooperative;

/// A UDP socket, as [`tokio::net::UdpSocket`].
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use sockeye::tokio::UdpSocket;
///
/// let node = sockeye::Node::builder().build()?;
/// let server = UdpSocket::bind_on(&node, "127.0.0.1:53").await?;
/// let client = UdpSocket::bind_on(&node, "127.0.0.1:0").await?;
/// client.connect("127.0.0.1:53").await?;
/// client.send(b"who?").await?;
///
/// let mut buf = [0; 512];
/// let (len, from) = server.recv_from(&mut buf).await?;
/// server.send_to(&buf[..len], from).await?;
/// assert_eq!(client.recv(&mut buf).await?, 4);
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
}

common!(UdpSocket, Type::DGRAM, Protocol::UDP, "a UDP socket");

impl UdpSocket {
    /// Binds to `addr` of the current node; port 0 picks one.
    ///
    /// # Errors
    /// Those of resolving `addr`, and of bind(2).
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, addr).await
    }

    /// Binds to `addr` of `node`.
    ///
    /// # Errors
    /// See [`bind`](Self::bind).
    pub async fn bind_on(node: &Node, addr: impl ToSocketAddrs) -> io::Result<Self> {
        let addresses = resolve(node, addr).await?;
        each(addresses, |addr| {
            let socket = open(node, Domain::for_address(addr), Type::DGRAM, Protocol::UDP)?;
            socket.bind(addr)?;
            Ok(Self { socket })
        })
    }

    /// A socket on any port, connected to `peer`.
    pub(super) fn connect_any_on(node: &Node, peer: SocketAddr) -> io::Result<Self> {
        let socket = open(node, Domain::for_address(peer), Type::DGRAM, Protocol::UDP)?;
        socket.connect(peer)?;
        Ok(Self { socket })
    }

    /// Fixes the peer: `send` goes there, and only its datagrams are received.
    ///
    /// # Errors
    /// Those of resolving `addr`, and of connect(2).
    pub async fn connect(&self, addr: impl ToSocketAddrs) -> io::Result<()> {
        let addresses = resolve(self.socket.node(), addr).await?;
        each(addresses, |addr| self.socket.connect(addr))
    }

    /// The peer it is connected to.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    readiness!();

    /// Polls for readability, as [`readable`](Self::readable).
    ///
    /// # Errors
    /// The node has been shut down.
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        cooperate(cx, |cx| self.socket.poll_readable(cx))
    }

    /// Polls for writability, as [`writable`](Self::writable).
    ///
    /// # Errors
    /// The node has been shut down.
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        cooperate(cx, |cx| self.socket.poll_writable(cx))
    }

    /// Sends one datagram to the peer.
    ///
    /// # Errors
    /// What the peer's host answered to an earlier one (`ConnectionRefused`), or EMSGSIZE.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_send(cx, buf)).await
    }

    /// Polls for [`send`](Self::send).
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        cooperate(cx, |cx| self.socket.poll_send(cx, buf))
    }

    /// [`send`](Self::send) without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room, and those of [`send`](Self::send).
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket.send(buf)
    }

    /// Sends one datagram to the first of `addr`.
    ///
    /// # Errors
    /// Those of resolving `addr`, and of sendto(2): `NetworkUnreachable`, `PermissionDenied` for a
    /// broadcast without the option, EMSGSIZE.
    pub async fn send_to(&self, buf: &[u8], addr: impl ToSocketAddrs) -> io::Result<usize> {
        let addresses = resolve(self.socket.node(), addr).await?;
        let Some(first) = addresses.first() else {
            return Err(super::addr::no_address());
        };
        poll_fn(|cx| self.poll_send_to(cx, buf, *first)).await
    }

    /// Polls for [`send_to`](Self::send_to).
    ///
    /// # Errors
    /// Those of sendto(2).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        cooperate(cx, |cx| self.socket.poll_send_to(cx, buf, Some(target)))
    }

    /// [`send_to`](Self::send_to) without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room, and those of sendto(2).
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.socket.send_to(buf, target)
    }

    /// Receives one datagram from the peer; what does not fit `buf` is cut off.
    ///
    /// # Errors
    /// What the peer's host answered to an earlier one: `ConnectionRefused`.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let received = cooperative(self.socket.recv_from_async(buf)).await?;
        Ok(received.len)
    }

    /// Polls for [`recv`](Self::recv).
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let len = ready!(cooperate(cx, |cx| {
            self.socket.poll_recv(cx, buf.initialize_unfilled())
        }))?;
        buf.advance(len);
        Poll::Ready(Ok(()))
    }

    /// [`recv`](Self::recv) without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when none is there, and those of [`recv`](Self::recv).
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buf)
    }

    /// Receives one datagram and says who sent it; what does not fit `buf` is cut off.
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received = cooperative(self.socket.recv_from_async(buf)).await?;
        Ok((received.len, received.from))
    }

    /// Polls for [`recv_from`](Self::recv_from).
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let received = ready!(cooperate(cx, |cx| {
            self.socket.poll_recv_from(cx, buf.initialize_unfilled())
        }))?;
        buf.advance(received.len);
        Poll::Ready(Ok(received.from))
    }

    /// [`recv_from`](Self::recv_from) without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when none is there, and those of [`recv`](Self::recv).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(buf)
    }

    /// Receives one datagram from the peer into the spare room of `buf`; what does not fit is cut
    /// off.
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub async fn recv_buf(&self, buf: &mut impl BufMut) -> io::Result<usize> {
        self.recv_buf_from(buf).await.map(|(len, _)| len)
    }

    /// [`recv_buf`](Self::recv_buf) without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when none is there, and those of [`recv`](Self::recv).
    pub fn try_recv_buf(&self, buf: &mut impl BufMut) -> io::Result<usize> {
        self.try_recv_buf_from(buf).map(|(len, _)| len)
    }

    /// Receives one datagram into the spare room of `buf` and says who sent it; what does not fit
    /// is cut off.
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub async fn recv_buf_from(&self, buf: &mut impl BufMut) -> io::Result<(usize, SocketAddr)> {
        loop {
            self.readable().await?;
            match self.try_recv_buf_from(buf) {
                // Somebody else was quicker.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    /// [`recv_buf_from`](Self::recv_buf_from) without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when none is there, and those of [`recv`](Self::recv).
    pub fn try_recv_buf_from(&self, buf: &mut impl BufMut) -> io::Result<(usize, SocketAddr)> {
        fill(buf, |room| self.try_recv_from(room))
    }

    /// Receives many datagrams by one call, as recvmmsg(2): it waits for the first, and takes those that
    /// are there by then.
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub async fn recv_many(&self, buffers: &mut [&mut [u8]]) -> io::Result<Vec<RecvMessage>> {
        cooperative(self.socket.recvmmsg_async(buffers, MessageFlags::empty())).await
    }

    /// Sends many datagrams by one call, as sendmmsg(2), and says how many there was room for.
    ///
    /// # Errors
    /// What is wrong with the first of them.
    pub async fn send_many(&self, messages: &[SendMessage<'_>]) -> io::Result<usize> {
        loop {
            self.writable().await?;
            match self.socket.sendmmsg(messages) {
                // Somebody else was quicker.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    /// Receives without taking.
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| cooperate(cx, |cx| self.socket.poll_peek(cx, buf))).await
    }

    /// Polls for [`peek`](Self::peek).
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let len = ready!(cooperate(cx, |cx| {
            self.socket.poll_peek(cx, buf.initialize_unfilled())
        }))?;
        buf.advance(len);
        Poll::Ready(Ok(()))
    }

    /// [`peek`](Self::peek) without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when none is there, and those of [`recv`](Self::recv).
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.peek(buf)
    }

    /// Receives without taking, and says who sent it.
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let polled = poll_fn(|cx| cooperate(cx, |cx| self.socket.poll_peek_from(cx, buf)));
        polled.await.map(|received| (received.len, received.from))
    }

    /// Polls for [`peek_from`](Self::peek_from).
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let received = ready!(cooperate(cx, |cx| {
            self.socket.poll_peek_from(cx, buf.initialize_unfilled())
        }))?;
        buf.advance(received.len);
        Poll::Ready(Ok(received.from))
    }

    /// [`peek_from`](Self::peek_from) without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when none is there, and those of [`recv`](Self::recv).
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.peek_from(buf)
    }

    /// Who sent the datagram that is received next.
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        poll_fn(|cx| self.poll_peek_sender(cx)).await
    }

    /// Polls for [`peek_sender`](Self::peek_sender).
    ///
    /// # Errors
    /// See [`recv`](Self::recv).
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        self.poll_peek_from(cx, &mut ReadBuf::new(&mut []))
    }

    /// [`peek_sender`](Self::peek_sender) without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when none is there, and those of [`recv`](Self::recv).
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        self.try_peek_from(&mut []).map(|(_, from)| from)
    }

    /// Tells the peer of an accepted flow ([`Incoming::accept`](crate::Incoming::accept)) that what
    /// it sent did not get on: by an ICMP error that quotes its last datagram.
    ///
    /// # Errors
    /// `NotConnected` when the socket is not such a flow.
    pub fn refuse(&self, why: Unreachable) -> io::Result<()> {
        self.socket.refuse(why)
    }

    /// Joins an IPv4 group on the interface that has the address `interface` (0.0.0.0: any).
    ///
    /// # Errors
    /// `InvalidInput` when it is no group, ENODEV without such an interface.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket.join_multicast_v4(&group, &interface)
    }

    /// Leaves an IPv4 group.
    ///
    /// # Errors
    /// `AddrNotAvailable` when it was not joined.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket.leave_multicast_v4(&group, &interface)
    }

    /// Joins an IPv6 group on the interface with that index (0: any).
    ///
    /// # Errors
    /// See [`join_multicast_v4`](Self::join_multicast_v4).
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.join_multicast_v6(group, interface)
    }

    /// Leaves an IPv6 group.
    ///
    /// # Errors
    /// `AddrNotAvailable` when it was not joined.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.leave_multicast_v6(group, interface)
    }

    /// Joins what one source sends to an IPv4 group, on the interface that has the address
    /// `interface` (0.0.0.0: any).
    ///
    /// # Errors
    /// `AddrNotAvailable` when the source is joined, `InvalidInput` when it is no group or joined for
    /// all sources but some, ENODEV without such an interface.
    pub fn join_ssm_v4(
        &self,
        source: &Ipv4Addr,
        group: &Ipv4Addr,
        interface: &Ipv4Addr,
    ) -> io::Result<()> {
        self.socket.join_ssm_v4(source, group, interface)
    }

    /// Leaves one source of an IPv4 group.
    ///
    /// # Errors
    /// `AddrNotAvailable` when it was not joined, `InvalidInput` when no source of the group was.
    pub fn leave_ssm_v4(
        &self,
        source: &Ipv4Addr,
        group: &Ipv4Addr,
        interface: &Ipv4Addr,
    ) -> io::Result<()> {
        self.socket.leave_ssm_v4(source, group, interface)
    }

    /// Joins what one source sends to a group of either family, on the interface with that index (0:
    /// any).
    ///
    /// # Errors
    /// See [`join_ssm_v4`](Self::join_ssm_v4).
    pub fn join_source_group(
        &self,
        group: IpAddr,
        source: IpAddr,
        interface: u32,
    ) -> io::Result<()> {
        self.socket.join_source_group(group, source, interface)
    }

    /// Leaves one source of a group.
    ///
    /// # Errors
    /// See [`leave_ssm_v4`](Self::leave_ssm_v4).
    pub fn leave_source_group(
        &self,
        group: IpAddr,
        source: IpAddr,
        interface: u32,
    ) -> io::Result<()> {
        self.socket.leave_source_group(group, source, interface)
    }

    /// Whom of a joined group it hears, all at once; nobody leaves the group.
    ///
    /// # Errors
    /// `InvalidInput` when it is not joined, ENOBUFS for more sources than there may be.
    pub fn set_source_filter(
        &self,
        group: IpAddr,
        interface: u32,
        filter: SourceFilter,
    ) -> io::Result<()> {
        self.socket.set_source_filter(group, interface, filter)
    }

    /// Whom of a joined group it hears.
    ///
    /// # Errors
    /// `AddrNotAvailable` when it is not joined.
    pub fn source_filter(&self, group: IpAddr, interface: u32) -> io::Result<SourceFilter> {
        self.socket.source_filter(group, interface)
    }

    device!();

    options! {
        /// Datagrams may go to broadcast addresses (SO_BROADCAST).
        set_broadcast / broadcast: bool => set_broadcast / broadcast;
        /// TTL of its packets (IP_TTL), 1 to 255.
        set_ttl / ttl: u32 => set_ttl_v4 / ttl_v4;
        /// Type of service (IP_TOS).
        set_tos_v4 / tos_v4: u32 => set_tos_v4 / tos_v4;
        /// Traffic class of an IPv6 socket (IPV6_TCLASS).
        set_tclass_v6 / tclass_v6: u32 => set_tclass_v6 / tclass_v6;
        /// This node's members hear what is sent to an IPv4 group (IP_MULTICAST_LOOP).
        set_multicast_loop_v4 / multicast_loop_v4: bool => set_multicast_loop_v4 / multicast_loop_v4;
        /// TTL of what is sent to an IPv4 group (IP_MULTICAST_TTL).
        set_multicast_ttl_v4 / multicast_ttl_v4: u32 => set_multicast_ttl_v4 / multicast_ttl_v4;
        /// This node's members hear what is sent to an IPv6 group (IPV6_MULTICAST_LOOP).
        set_multicast_loop_v6 / multicast_loop_v6: bool => set_multicast_loop_v6 / multicast_loop_v6;
        /// Groups of its port that others have joined are heard (IP_MULTICAST_ALL).
        set_multicast_all_v4 / multicast_all_v4: bool => set_multicast_all_v4 / multicast_all_v4;
        /// Groups of its port that others have joined are heard (IPV6_MULTICAST_ALL).
        set_multicast_all_v6 / multicast_all_v6: bool => set_multicast_all_v6 / multicast_all_v6;
    }
}
