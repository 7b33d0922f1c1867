//! What every type of this face has of its socket.

use crate::{OptionValue, Socket, SocketOption};
use std::io;

/// An option as a method: `x()` and `set_x(value)`.
macro_rules! options {
    ($($(#[$doc:meta])* $set:ident / $get:ident: $kind:ty => $socket_set:ident / $socket_get:ident;)*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// The node has been shut down.
        pub fn $get(&self) -> std::io::Result<$kind> {
            self.socket.$socket_get()
        }

        $(#[$doc])*
        ///
        /// # Errors
        /// `InvalidInput` for a value that is out of range.
        pub fn $set(&self, value: $kind) -> std::io::Result<()> {
            self.socket.$socket_set(value)
        }
    )* };
}
pub(super) use options;

/// Its own address, the pending error, and the way to and from [`Socket`](crate::Socket).
macro_rules! common {
    ($name:ident, $kind:expr, $protocols:pat, $what:literal) => {
        impl $name {
            /// Its own address.
            ///
            /// # Errors
            /// The node has been shut down.
            pub fn local_addr(&self) -> std::io::Result<std::net::SocketAddr> {
                self.socket.local_addr()
            }

            /// The pending error, which this call clears (SO_ERROR).
            ///
            /// # Errors
            /// The node has been shut down.
            pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
                self.socket.take_error()
            }

            /// The Berkeley socket below, with all its options.
            #[must_use]
            pub fn as_socket(&self) -> &crate::Socket {
                &self.socket
            }
        }

        impl TryFrom<crate::Socket> for $name {
            type Error = std::io::Error;

            /// Takes over a socket of that kind in whatever state it is.
            ///
            /// # Errors
            /// `InvalidInput` when it is of another kind.
            fn try_from(socket: crate::Socket) -> std::io::Result<Self> {
                if socket.r#type() != $kind || !matches!(socket.protocol(), $protocols) {
                    let message = concat!("the socket is of another kind: ", $what, " is needed");
                    return Err(std::io::Error::new(
                        std::io::ErrorKind::InvalidInput,
                        message,
                    ));
                }
                socket.set_nonblocking(true)?;
                Ok(Self { socket })
            }
        }

        impl From<$name> for crate::Socket {
            /// The socket itself, which stays nonblocking.
            fn from(from: $name) -> Self {
                from.socket
            }
        }
    };
}
pub(super) use common;

/// `ready`, `readable` and `writable`, as tokio's types have them.
macro_rules! readiness {
    () => {
        /// Waits until it is ready for something of `interest`, and says for what.
        ///
        /// # Errors
        /// The node has been shut down.
        pub async fn ready(
            &self,
            interest: tokio::io::Interest,
        ) -> std::io::Result<tokio::io::Ready> {
            crate::tokio::ready::ready(&self.socket, interest).await
        }

        /// Waits until it is readable: data, the end or an error.
        ///
        /// # Errors
        /// The node has been shut down.
        pub async fn readable(&self) -> std::io::Result<()> {
            self.ready(tokio::io::Interest::READABLE).await.map(drop)
        }

        /// Waits until it is writable: room, or an error.
        ///
        /// # Errors
        /// The node has been shut down.
        pub async fn writable(&self) -> std::io::Result<()> {
            self.ready(tokio::io::Interest::WRITABLE).await.map(drop)
        }

        /// Does `attempt`, which tries something without blocking.
        ///
        /// # Errors
        /// `WouldBlock` when the socket is not ready for `interest`; else those of `attempt`.
        pub fn try_io<R>(
            &self,
            interest: tokio::io::Interest,
            attempt: impl FnOnce() -> std::io::Result<R>,
        ) -> std::io::Result<R> {
            crate::tokio::ready::check(&self.socket, interest)?;
            attempt()
        }
    };
}
pub(super) use readiness;

/// SO_BINDTODEVICE, as tokio's types have it.
macro_rules! device {
    () => {
        /// The interface that its packets must leave by and come in by (SO_BINDTODEVICE).
        ///
        /// # Errors
        /// The node has been shut down.
        pub fn device(&self) -> std::io::Result<Option<Vec<u8>>> {
            crate::tokio::options::device_of(&self.socket)
        }

        /// Sets the interface that its packets must leave by and come in by (SO_BINDTODEVICE).
        ///
        /// # Errors
        /// ENODEV when there is none of that name.
        pub fn bind_device(&self, interface: Option<&[u8]>) -> std::io::Result<()> {
            crate::tokio::options::bind_device(&self.socket, interface)
        }
    };
}
pub(super) use device;

pub(super) fn device_of(socket: &Socket) -> io::Result<Option<Vec<u8>>> {
    let OptionValue::Int(index @ 1..) = socket.option(SocketOption::BindToDevice)? else {
        return Ok(None);
    };
    let interfaces = socket.node().interfaces()?;
    let mut interfaces = interfaces.into_iter();
    let found = interfaces.find(|interface| i32::try_from(interface.id.0) == Ok(index));
    Ok(found.map(|interface| interface.name.into_bytes()))
}

pub(super) fn bind_device(socket: &Socket, interface: Option<&[u8]>) -> io::Result<()> {
    let name = interface.map(str::from_utf8).transpose();
    // No interface has a name that is no text.
    let name = name.map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    socket.bind_device(name)
}
