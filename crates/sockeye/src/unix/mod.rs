//! Sockets inside a node, shaped like those of [`std::os::unix::net`]: blocking, on the current node.
//!
//! A node has names of its own: paths, which are no files and stay until
//! [`Node::unlink_unix`](crate::Node::unlink_unix) takes them away, and abstract ones. What is sent is
//! handed over: [`send_bytes`](UnixStream::send_bytes) and [`recv_bytes`](UnixStream::recv_bytes)
//! without a copy, and beside it any Rust value, where a kernel passes descriptors
//! ([`UnixSend`](crate::UnixSend)). Limits, errors and their order are Linux's.
//!
//! ```
//! use sockeye::Node;
//! use sockeye::unix::{SocketAddr, UnixListener, UnixStream};
//! use std::io::{Read, Write};
//!
//! let node = Node::builder().build()?;
//! let _current = node.enter();
//! let name = SocketAddr::from_abstract_name("greeting")?;
//! let listener = UnixListener::bind_addr(&name)?;
//! let mut stream = UnixStream::connect_addr(&name)?;
//! let (mut served, _) = listener.accept()?;
//! stream.write_all(b"sockeye")?;
//! let mut text = [0; 7];
//! served.read_exact(&mut text)?;
//! assert_eq!(&text, b"sockeye");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod addr;
mod datagram;
mod listener;
mod stream;

pub use addr::SocketAddr;
pub use datagram::{UnixDatagram, UnixSeqpacket};
pub use listener::{Incoming, UnixListener, UnixSeqpacketListener};
pub use sockeye_unix::{Credentials, Object};
pub use std::net::Shutdown;
pub use stream::UnixStream;

use crate::{Domain, Node, Socket, Type};
use std::io;

fn open(node: &Node, ty: Type) -> io::Result<Socket> {
    Socket::new_on(node, Domain::UNIX, ty, None)
}

/// What every type here has of its socket.
macro_rules! common {
    ($name:ident) => {
        impl $name {
            /// Its own name.
            ///
            /// # Errors
            /// The socket is closed.
            pub fn local_addr(&self) -> std::io::Result<crate::unix::SocketAddr> {
                self.socket.unix_addr()
            }

            /// The pending error, which this call clears (SO_ERROR).
            ///
            /// # Errors
            /// The socket is closed.
            pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
                self.socket.take_error()
            }

            /// Makes calls return `WouldBlock` instead of waiting.
            ///
            /// # Errors
            /// The socket is closed.
            pub fn set_nonblocking(&self, nonblocking: bool) -> std::io::Result<()> {
                self.socket.set_nonblocking(nonblocking)
            }

            /// Another handle to the same socket.
            ///
            /// # Errors
            /// The socket is closed.
            pub fn try_clone(&self) -> std::io::Result<Self> {
                Ok(Self {
                    socket: self.socket.try_clone()?,
                })
            }

            /// The Berkeley socket below, with all its options.
            #[must_use]
            pub fn as_socket(&self) -> &crate::Socket {
                &self.socket
            }
        }

        impl From<$name> for crate::Socket {
            fn from(this: $name) -> Self {
                this.socket
            }
        }

        impl From<crate::Socket> for $name {
            fn from(socket: crate::Socket) -> Self {
                Self { socket }
            }
        }
    };
}
use common;

/// What every type here has that has a peer, and sends and receives.
macro_rules! transfers {
    ($name:ident) => {
        impl $name {
            /// The peer's name.
            ///
            /// # Errors
            /// `NotConnected`.
            pub fn peer_addr(&self) -> std::io::Result<crate::unix::SocketAddr> {
                self.socket.unix_peer_addr()
            }

            /// Whose the peer was when it connected or listened (SO_PEERCRED).
            ///
            /// # Errors
            /// The socket is closed.
            pub fn peer_cred(&self) -> std::io::Result<Option<crate::unix::Credentials>> {
                self.socket.unix_peer_credentials()
            }

            /// Messages tell whose they are (SO_PASSCRED).
            ///
            /// # Errors
            /// The socket is closed.
            pub fn set_passcred(&self, on: bool) -> std::io::Result<()> {
                self.socket.set_pass_credentials(on)
            }

            /// See [`set_passcred`](Self::set_passcred).
            ///
            /// # Errors
            /// The socket is closed.
            pub fn passcred(&self) -> std::io::Result<bool> {
                self.socket.pass_credentials()
            }

            /// Ends one direction or both.
            ///
            /// # Errors
            /// The socket is closed.
            pub fn shutdown(&self, how: crate::unix::Shutdown) -> std::io::Result<()> {
                self.socket.shutdown(how)
            }

            /// How long a receive waits (SO_RCVTIMEO); `None` for ever.
            ///
            /// # Errors
            /// `InvalidInput` for no time at all.
            pub fn set_read_timeout(
                &self,
                timeout: Option<std::time::Duration>,
            ) -> std::io::Result<()> {
                self.socket.set_read_timeout(timeout)
            }

            /// How long a send waits (SO_SNDTIMEO); `None` for ever.
            ///
            /// # Errors
            /// `InvalidInput` for no time at all.
            pub fn set_write_timeout(
                &self,
                timeout: Option<std::time::Duration>,
            ) -> std::io::Result<()> {
                self.socket.set_write_timeout(timeout)
            }

            /// See [`set_read_timeout`](Self::set_read_timeout).
            ///
            /// # Errors
            /// The socket is closed.
            pub fn read_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                self.socket.read_timeout()
            }

            /// See [`set_write_timeout`](Self::set_write_timeout).
            ///
            /// # Errors
            /// The socket is closed.
            pub fn write_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                self.socket.write_timeout()
            }

            /// Sends buffers that the receiver gets as they are.
            ///
            /// # Errors
            /// Those of send(2).
            pub fn send_bytes(&self, data: bytes::Bytes) -> std::io::Result<usize> {
                self.socket.send_unix(crate::UnixSend {
                    data,
                    ..crate::UnixSend::default()
                })
            }

            /// Receives at most `len` bytes in the buffers that were sent; none is the end of a
            /// connection.
            ///
            /// # Errors
            /// Those of recv(2).
            pub fn recv_bytes(&self, len: usize) -> std::io::Result<crate::UnixMessage> {
                self.socket.recv_unix(len, crate::MessageFlags::empty())
            }

            /// sendmsg(2): data, and objects and credentials beside it.
            ///
            /// # Errors
            /// Those of sendmsg(2).
            pub fn send_message(&self, message: crate::UnixSend<'_>) -> std::io::Result<usize> {
                self.socket.send_unix(message)
            }

            /// recvmsg(2): at most `len` bytes, and what came beside them.
            ///
            /// # Errors
            /// Those of recvmsg(2).
            pub fn recv_message(
                &self,
                len: usize,
                flags: crate::MessageFlags,
            ) -> std::io::Result<crate::UnixMessage> {
                self.socket.recv_unix(len, flags)
            }
        }
    };
}
use transfers;
