//! A connection.

use super::TcpSocket;
use super::split::{ReadHalf, WriteHalf};
use super::split_owned::{OwnedReadHalf, OwnedWriteHalf};
use crate::tokio::addr::{ToSocketAddrs, no_address, resolve};
use crate::tokio::buf::fill;
use crate::tokio::options::{common, options, readiness};
use crate::tokio::ready::cooperate;
use crate::{Node, Protocol, Socket, Type};
use bytes::{BufMut, Bytes};
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A TCP connection, as [`tokio::net::TcpStream`]. Dropping it closes it; what was written still
/// arrives.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use sockeye::tokio::{TcpListener, TcpStream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let node = sockeye::Node::builder().build()?;
/// let listener = TcpListener::bind_on(&node, "127.0.0.1:7").await?;
/// let mut client = TcpStream::connect_on(&node, "127.0.0.1:7").await?;
/// let (server, _) = listener.accept().await?;
///
/// let (mut read, mut write) = server.into_split();
/// client.write_all(b"echo").await?;
/// client.shutdown().await?;
/// tokio::io::copy(&mut read, &mut write).await?;
/// drop(write);
/// let mut answer = Vec::new();
/// client.read_to_end(&mut answer).await?;
/// assert_eq!(answer, b"echo");
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TcpStream {
    socket: Socket,
}

common!(TcpStream, Type::STREAM, Protocol::TCP, "a TCP socket");

impl TcpStream {
    /// Connects from the current node to the first of `addr` that answers.
    ///
    /// # Errors
    /// Those of resolving `addr`, and the last address's of connect(2).
    pub async fn connect(addr: impl ToSocketAddrs) -> io::Result<Self> {
        Self::connect_on(&Node::current()?, addr).await
    }

    /// Connects from `node`.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    pub async fn connect_on(node: &Node, addr: impl ToSocketAddrs) -> io::Result<Self> {
        let mut result = Err(no_address());
        for addr in resolve(node, addr).await? {
            let socket = TcpSocket::new_for(node, addr)?;
            result = socket.connect(addr).await;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// The address of the other end.
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
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        cooperate(cx, |cx| self.socket.poll_readable(cx))
    }

    /// Polls for writability, as [`writable`](Self::writable).
    ///
    /// # Errors
    /// The node has been shut down.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        cooperate(cx, |cx| self.socket.poll_writable(cx))
    }

    /// Reads without waiting. 0 is the end, or an empty buffer.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; those of recv(2).
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buf)
    }

    /// Reads into several buffers without waiting.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.socket.recv_vectored(bufs)
    }

    /// Reads into the spare room of `buf` without waiting.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    pub fn try_read_buf(&self, buf: &mut impl BufMut) -> io::Result<usize> {
        fill(buf, |room| self.try_read(room).map(|len| (len, ()))).map(|(len, ())| len)
    }

    /// Writes without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; those of send(2).
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket.send(buf)
    }

    /// Writes from several buffers without waiting.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.send_vectored(bufs)
    }

    /// Reads without taking: the next read sees the same bytes.
    ///
    /// # Errors
    /// Those of recv(2).
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| cooperate(cx, |cx| self.socket.poll_peek(cx, buf))).await
    }

    /// Polls for [`peek`](Self::peek).
    ///
    /// # Errors
    /// Those of recv(2).
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let len = ready!(cooperate(cx, |cx| {
            self.socket.poll_peek(cx, buf.initialize_unfilled())
        }))?;
        buf.advance(len);
        Poll::Ready(Ok(len))
    }

    /// Writes what there is room for off the front of `data` without copying it, and returns how many
    /// bytes that was; see [`Socket::send_bytes`]. Cancelled, it has written nothing.
    ///
    /// # Errors
    /// Those of send(2).
    pub async fn send_bytes(&self, data: &mut Bytes) -> io::Result<usize> {
        poll_fn(|cx| cooperate(cx, |cx| self.socket.poll_send_bytes(cx, data))).await
    }

    /// Reads at most `len` bytes in the buffers that they came in, without copying them; none is the
    /// end. See [`Socket::recv_bytes`]. Cancelled, it has read nothing.
    ///
    /// # Errors
    /// Those of recv(2).
    pub async fn recv_bytes(&self, len: usize) -> io::Result<Vec<Bytes>> {
        poll_fn(|cx| cooperate(cx, |cx| self.socket.poll_recv_bytes(cx, len))).await
    }

    /// Writes `buf`, of which the last byte is urgent (MSG_OOB); as much of it as there is room for.
    ///
    /// # Errors
    /// Those of send(2).
    pub async fn send_oob(&self, buf: &[u8]) -> io::Result<usize> {
        loop {
            match self.try_send_oob(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                sent => return sent,
            }
        }
    }

    /// Writes `buf`, of which the last byte is urgent, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; those of send(2).
    pub fn try_send_oob(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket.send_out_of_band(buf)
    }

    /// Reads the urgent byte by itself (MSG_OOB), without waiting:
    /// [`ready`](Self::ready) waits for it with [`Interest::PRIORITY`](tokio::io::Interest).
    ///
    /// # Errors
    /// `InvalidInput` when there is none, `WouldBlock` when it was announced and has not arrived.
    pub fn recv_oob(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.recv_out_of_band(buf)
    }

    /// Whether the next byte to read is at the place of urgent data (sockatmark(3)).
    ///
    /// # Errors
    /// The node has been shut down.
    pub fn at_mark(&self) -> io::Result<bool> {
        self.socket.at_mark()
    }

    /// Two halves for use within one task.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        super::split::split(self)
    }

    /// Two halves that may go to two tasks; dropping the writing one ends its direction.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        super::split_owned::split(self)
    }

    options! {
        /// Small writes leave at once (TCP_NODELAY).
        set_nodelay / nodelay: bool => set_tcp_nodelay / tcp_nodelay;
        /// How long a close waits for what was written; zero resets (SO_LINGER).
        set_linger / linger: Option<Duration> => set_linger / linger;
        /// Probes are sent while the connection is idle (SO_KEEPALIVE).
        set_keepalive / keepalive: bool => set_keepalive / keepalive;
        /// Acknowledgments are not delayed for now (TCP_QUICKACK).
        set_quickack / quickack: bool => set_tcp_quickack / tcp_quickack;
        /// Urgent bytes stay in the stream (SO_OOBINLINE).
        set_oob_inline / oob_inline: bool => set_out_of_band_inline / out_of_band_inline;
        /// TTL of its packets (IP_TTL), 1 to 255.
        set_ttl / ttl: u32 => set_ttl_v4 / ttl_v4;
    }

    /// Closing resets the connection.
    ///
    /// # Errors
    /// The node has been shut down.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    pub(super) fn poll_read_shared(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let len = ready!(cooperate(cx, |cx| {
            self.socket.poll_recv(cx, buf.initialize_unfilled())
        }))?;
        buf.advance(len);
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write_shared(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        cooperate(cx, |cx| self.socket.poll_send(cx, buf))
    }

    pub(super) fn poll_write_vectored_shared(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        cooperate(cx, |cx| self.socket.poll_send_vectored(cx, bufs))
    }

    /// Ends the direction of writing.
    pub(super) fn end(&self) -> io::Result<()> {
        match self.socket.shutdown(Shutdown::Write) {
            // The peer has reset it: the direction has ended.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_read_shared(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_shared(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored_shared(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is held back here.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the direction of writing; what was written still arrives.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end())
    }
}
