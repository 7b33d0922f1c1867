//! Two halves of a borrowed stream.

use super::TcpStream;
use bytes::BufMut;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

/// The reading half of a borrowed [`TcpStream`]; see [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// The writing half of a borrowed [`TcpStream`]; see [`TcpStream::split`]. Shutting it down ends
/// its direction, dropping it does not.
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

pub(super) fn split(stream: &mut TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) {
    (ReadHalf(stream), WriteHalf(stream))
}

/// What a half passes on to its stream: `halves!(get TYPE => stream)`.
macro_rules! reading {
    ($half:ty, $self:ident => $stream:expr) => {
        impl $half {
            /// See [`TcpStream::peek`].
            ///
            /// # Errors
            /// Those of recv(2).
            pub async fn peek(&mut $self, buf: &mut [u8]) -> io::Result<usize> {
                $stream.peek(buf).await
            }

            /// See [`TcpStream::poll_peek`].
            ///
            /// # Errors
            /// Those of recv(2).
            pub fn poll_peek(
                &mut $self,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<usize>> {
                $stream.poll_peek(cx, buf)
            }

            /// See [`TcpStream::readable`].
            ///
            /// # Errors
            /// The node has been shut down.
            pub async fn readable(&$self) -> io::Result<()> {
                $stream.readable().await
            }

            /// See [`TcpStream::try_read`].
            ///
            /// # Errors
            /// `WouldBlock` when nothing is there; those of recv(2).
            pub fn try_read(&$self, buf: &mut [u8]) -> io::Result<usize> {
                $stream.try_read(buf)
            }

            /// See [`TcpStream::try_read_vectored`].
            ///
            /// # Errors
            /// As [`try_read`](Self::try_read).
            pub fn try_read_vectored(&$self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                $stream.try_read_vectored(bufs)
            }

            /// See [`TcpStream::try_read_buf`].
            ///
            /// # Errors
            /// As [`try_read`](Self::try_read).
            pub fn try_read_buf(&$self, buf: &mut impl BufMut) -> io::Result<usize> {
                $stream.try_read_buf(buf)
            }
        }

        impl AsyncRead for $half {
            fn poll_read(
                $self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                $stream.poll_read_shared(cx, buf)
            }
        }
    };
}
pub(super) use reading;

macro_rules! writing {
    ($half:ty, $self:ident => $stream:expr) => {
        impl $half {
            /// See [`TcpStream::writable`].
            ///
            /// # Errors
            /// The node has been shut down.
            pub async fn writable(&$self) -> io::Result<()> {
                $stream.writable().await
            }

            /// See [`TcpStream::try_write`].
            ///
            /// # Errors
            /// `WouldBlock` when there is no room; those of send(2).
            pub fn try_write(&$self, buf: &[u8]) -> io::Result<usize> {
                $stream.try_write(buf)
            }

            /// See [`TcpStream::try_write_vectored`].
            ///
            /// # Errors
            /// As [`try_write`](Self::try_write).
            pub fn try_write_vectored(&$self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                $stream.try_write_vectored(bufs)
            }
        }
    };
}
pub(super) use writing;

/// What both halves of either kind have.
macro_rules! either {
    ($half:ty, $self:ident => $stream:expr) => {
        impl $half {
            /// See [`TcpStream::ready`].
            ///
            /// # Errors
            /// The node has been shut down.
            pub async fn ready(&$self, interest: Interest) -> io::Result<Ready> {
                $stream.ready(interest).await
            }

            /// The address of the other end.
            ///
            /// # Errors
            /// `NotConnected`.
            pub fn peer_addr(&$self) -> io::Result<SocketAddr> {
                $stream.peer_addr()
            }

            /// The stream's own address.
            ///
            /// # Errors
            /// The node has been shut down.
            pub fn local_addr(&$self) -> io::Result<SocketAddr> {
                $stream.local_addr()
            }
        }
    };
}
pub(super) use either;

reading!(ReadHalf<'_>, self => self.0);
either!(ReadHalf<'_>, self => self.0);
writing!(WriteHalf<'_>, self => self.0);
either!(WriteHalf<'_>, self => self.0);

impl AsRef<TcpStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsyncWrite for WriteHalf<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_shared(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_vectored_shared(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the direction of writing.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.end())
    }
}
