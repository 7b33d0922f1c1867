//! Sockets shaped like those of [`std::net`]: blocking, on the current node.
//!
//! Code moves over by changing the import. Every constructor takes the thread's current node
//! ([`Node::enter`](crate::Node::enter)); the `_on` form of it names the node instead. What the
//! methods do and return is what std's do; errors carry the errno that the man pages give.
//!
//! ```
//! use sockeye::net::{TcpListener, TcpStream, UdpSocket};
//! use std::io::{Read, Write};
//!
//! let node = sockeye::Node::builder().build()?;
//! let _current = node.enter();
//!
//! let listener = TcpListener::bind("[::1]:0")?;
//! let mut stream = TcpStream::connect(listener.local_addr()?)?;
//! let (mut served, _) = listener.accept()?;
//! stream.write_all(b"a stream")?;
//! drop(stream);
//! let mut text = String::new();
//! served.read_to_string(&mut text)?;
//! assert_eq!(text, "a stream");
//!
//! let socket = UdpSocket::bind_on(&node, "127.0.0.1:0")?;
//! socket.send_to(b"a datagram", socket.local_addr()?)?;
//! let mut buffer = [0; 100];
//! assert_eq!(socket.recv_from(&mut buffer)?, (10, socket.local_addr()?));
//! # std::io::Result::Ok(())
//! ```

mod addr;
mod dccp;
mod icmp;
mod packet;
mod raw;
mod sctp;
mod tcp;
mod udp;

pub use addr::{ToSocketAddrs, lookup_host};
pub use dccp::{DccpListener, DccpOptions, DccpSocket};
pub use icmp::IcmpSocket;
pub use packet::PacketSocket;
pub use raw::RawSocket;
pub use sctp::{SctpListener, SctpSocket, SctpStream};
#[cfg(feature = "tokio")]
pub(crate) use sctp::{one_message, several};
pub use std::net::Shutdown;
pub use tcp::{Incoming, ReadHalf, TcpListener, TcpStream, WriteHalf};
pub use udp::UdpSocket;

use crate::{Domain, Node};
use std::io;
use std::net::SocketAddr;

/// The domain of sockets for `address`.
pub(crate) fn domain(address: SocketAddr) -> Domain {
    if address.is_ipv4() {
        Domain::IPV4
    } else {
        Domain::IPV6
    }
}

/// Tries `attempt` with each address in turn and gives the first success, else the last error.
fn each<T>(
    node: &Node,
    addresses: impl ToSocketAddrs,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for address in addresses.to_socket_addrs_on(node)? {
        match attempt(address) {
            Ok(done) => return Ok(done),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "no address was given, or the name has none",
        )
    }))
}

/// An option as a method: `set_x(value)` and `x()`.
macro_rules! options {
    ($($(#[$doc:meta])* $set:ident / $get:ident: $kind:ty => $socket_set:ident / $socket_get:ident;)*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// `InvalidInput` for a value that is out of range.
        pub fn $set(&self, value: $kind) -> std::io::Result<()> {
            self.socket.$socket_set(value)
        }

        $(#[$doc])*
        ///
        /// # Errors
        /// The socket is closed.
        pub fn $get(&self) -> std::io::Result<$kind> {
            self.socket.$socket_get()
        }
    )* };
}
use options;

/// What every type here has of its socket.
macro_rules! common {
    ($name:ident) => {
        impl $name {
            /// Its own address.
            ///
            /// # Errors
            /// The socket is closed.
            pub fn local_addr(&self) -> std::io::Result<std::net::SocketAddr> {
                self.socket.local_addr()
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
