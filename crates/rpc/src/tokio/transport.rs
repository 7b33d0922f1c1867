//! Sockets of both houses.

use crate::dispatch::Peer;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket for datagrams.
pub trait AsyncDatagram: Send + Sync + 'static {
    /// Sends one.
    ///
    /// # Errors
    /// The socket's.
    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        datagram: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<usize>>;

    /// Waits for one.
    ///
    /// # Errors
    /// The socket's.
    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>>;
}

/// A socket that takes streams.
pub trait AsyncListener: Send + 'static {
    /// What it takes.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Waits for the next.
    ///
    /// # Errors
    /// The socket's.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, Peer)>>;
}

macro_rules! datagrams {
    ($($socket:ty;)*) => { $(
        impl AsyncDatagram for $socket {
            fn poll_send_to(
                &self,
                cx: &mut Context<'_>,
                datagram: &[u8],
                to: SocketAddr,
            ) -> Poll<io::Result<usize>> {
                <$socket>::poll_send_to(self, cx, datagram, to)
            }
            fn poll_recv_from(
                &self,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<SocketAddr>> {
                <$socket>::poll_recv_from(self, cx, buffer)
            }
        }
    )* };
}

datagrams! {
    tokio::net::UdpSocket;
    sockeye::tokio::UdpSocket;
}

macro_rules! listeners {
    ($($listener:ty, $stream:ty, $peer:expr;)*) => { $(
        impl AsyncListener for $listener {
            type Stream = $stream;
            fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, Peer)>> {
                <$listener>::poll_accept(self, cx)
                    .map_ok(|(stream, from)| (stream, $peer(from)))
            }
        }
    )* };
}

listeners! {
    tokio::net::TcpListener, tokio::net::TcpStream, Peer::Inet;
    tokio::net::UnixListener, tokio::net::UnixStream, |_| Peer::Local;
    sockeye::tokio::TcpListener, sockeye::tokio::TcpStream, Peer::Inet;
    sockeye::tokio::SctpListener, sockeye::tokio::SctpStream, Peer::Inet;
    sockeye::tokio::UnixListener, sockeye::tokio::UnixStream, |_| Peer::Local;
}
