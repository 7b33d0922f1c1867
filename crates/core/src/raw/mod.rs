//! Sockets of the internet layer itself.
//!
//! - [`Raw`]: raw IP sockets (raw(7)), any protocol, with or without an own IP header.
//! - [`Packets`]: packet sockets (packet(7)), which see the frames of the links.
//! - [`Ping`]: ICMP echo sockets (icmp(7), `SOCK_DGRAM`), which need no permission; and echo
//!   requests to addresses that are not the node's, for its owner to answer.

mod alert;
mod echo;
mod ip;
pub mod packet;
mod ping;
mod send;

#[cfg(test)]
mod tests;

pub use echo::EchoRequest;
pub use ip::Raw;
pub use packet::Packets;
pub use ping::Ping;

use crate::{Error, SocketOption};

/// sock_setsockopt: of what sends, TCP and UDP alone have SO_ZEROCOPY.
fn refuse_zero_copy(option: SocketOption) -> Result<(), Error> {
    match option {
        SocketOption::ZeroCopy => Err(Error::NotSupported),
        _ => Ok(()),
    }
}

/// The calls that do the same on every datagram socket.
macro_rules! common_calls {
    ($owner:ident, $handle:path) => {
        impl $owner {
            /// Takes (or looks at) the next message. `buffer` gets as much of it as fits, the rest
            /// is lost.
            ///
            /// # Errors
            /// A pending error, [`Error::WouldBlock`], [`Error::BadSocket`].
            pub fn recv(
                &mut self,
                _cx: &mut Context<'_>,
                id: SocketId,
                buffer: &mut [u8],
                peek: bool,
            ) -> Result<Received, Error> {
                self.socket_mut(id)?.base.recv(buffer, peek)
            }

            /// [`recv`](Self::recv) with what recvmsg tells beside the data.
            ///
            /// # Errors
            /// Those of [`recv`](Self::recv).
            pub fn recv_message(
                &mut self,
                cx: &mut Context<'_>,
                id: SocketId,
                buffer: &mut [u8],
                peek: bool,
            ) -> Result<(Received, Vec<crate::datagram::Control>), Error> {
                self.socket_mut(id)?.base.recv_message(cx, buffer, peek)
            }

            /// Takes the next report of the error queue, and where its message went, where it is of one.
            ///
            /// # Errors
            /// [`Error::WouldBlock`] when there is none, [`Error::BadSocket`].
            pub fn recv_error(
                &mut self,
                id: SocketId,
            ) -> Result<(Report, Option<SocketAddr>), Error> {
                self.socket_mut(id)?.base.recv_error()
            }

            /// The next call fails with `error`, unless the socket is gone.
            pub fn put_error(&mut self, cx: &mut Context<'_>, id: SocketId, error: Error) {
                if let Some(socket) = self.sockets.get_mut(id) {
                    socket.base.set_error(cx, $handle(id), error);
                }
            }

            /// Ends receiving or sending.
            ///
            /// # Errors
            /// [`Error::NotConnected`] without a peer, though it takes effect, as on Linux.
            pub fn shutdown(
                &mut self,
                cx: &mut Context<'_>,
                id: SocketId,
                how: Shutdown,
            ) -> Result<(), Error> {
                let socket = self.socket_mut(id)?;
                socket.base.shutdown(cx, $handle(id), how);
                socket.peer.map(|_| ()).ok_or(Error::NotConnected)
            }

            /// The pending error, which it clears.
            ///
            /// # Errors
            /// [`Error::BadSocket`].
            pub fn take_error(&mut self, id: SocketId) -> Result<Option<Error>, Error> {
                Ok(self.socket_mut(id)?.base.take_error())
            }

            /// What the socket is ready for now.
            ///
            /// # Errors
            /// [`Error::BadSocket`].
            pub fn readiness(&self, id: SocketId) -> Result<Readiness, Error> {
                Ok(self.socket(id)?.base.readiness())
            }

            /// Bytes of the next message (SIOCINQ), 0 when there is none.
            ///
            /// # Errors
            /// [`Error::BadSocket`].
            pub fn next_len(&self, id: SocketId) -> Result<usize, Error> {
                let front = self.socket(id)?.base.queue.front();
                Ok(front.map_or(0, |datagram| datagram.len()))
            }

            /// Its peer, with the port that was given for it.
            ///
            /// # Errors
            /// [`Error::NotConnected`], [`Error::BadSocket`].
            pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
                let socket = self.socket(id)?;
                let peer = socket.peer.ok_or(Error::NotConnected)?;
                let port = socket.peer_port;
                Ok(socket.base.common.show(Endpoint { port, ..peer }))
            }

            /// Receives what is sent to `group` on `interface`, or on the one its route leaves by.
            ///
            /// # Errors
            /// [`Error::AddressFamily`] for a group of the other family, and those of
            /// [`Memberships::join`](crate::multicast::Memberships::join).
            pub fn join_group(
                &mut self,
                cx: &mut Context<'_>,
                id: SocketId,
                group: IpAddr,
                interface: Option<InterfaceId>,
            ) -> Result<(), Error> {
                let base = &mut self.socket_mut(id)?.base;
                base.join_group(cx, group, interface)
            }

            /// Takes back [`join_group`](Self::join_group).
            ///
            /// # Errors
            /// [`Error::AddressNotAvailable`] when it is not joined, else as for `join_group`.
            pub fn leave_group(
                &mut self,
                cx: &mut Context<'_>,
                id: SocketId,
                group: IpAddr,
                interface: Option<InterfaceId>,
            ) -> Result<(), Error> {
                let base = &mut self.socket_mut(id)?.base;
                base.leave_group(cx, group, interface)
            }

            /// Changes whether the socket hears `source` in `group`.
            ///
            /// # Errors
            /// [`Error::AddressFamily`] for a group of the other family, and those of
            /// [`Memberships::change`](crate::multicast::Memberships::change).
            pub fn change_source(
                &mut self,
                cx: &mut Context<'_>,
                id: SocketId,
                on: (IpAddr, Option<InterfaceId>),
                change: SourceChange,
                source: IpAddr,
            ) -> Result<(), Error> {
                let base = &mut self.socket_mut(id)?.base;
                base.change_source(cx, on, change, source)
            }

            /// Replaces the source filter of a joined group.
            ///
            /// # Errors
            /// [`Error::AddressFamily`] for a group of the other family, and those of
            /// [`Memberships::set_filter`](crate::multicast::Memberships::set_filter).
            pub fn set_source_filter(
                &mut self,
                cx: &mut Context<'_>,
                id: SocketId,
                on: (IpAddr, Option<InterfaceId>),
                filter: SourceFilter,
            ) -> Result<(), Error> {
                let base = &mut self.socket_mut(id)?.base;
                base.set_source_filter(cx, on, filter)
            }

            /// The source filter of a joined group.
            ///
            /// # Errors
            /// [`Error::AddressFamily`] for a group of the other family, and those of
            /// [`Memberships::filter`](crate::multicast::Memberships::filter).
            pub fn source_filter(
                &self,
                cx: &Context<'_>,
                id: SocketId,
                on: (IpAddr, Option<InterfaceId>),
            ) -> Result<SourceFilter, Error> {
                self.socket(id)?.base.source_filter(cx, on)
            }

            fn socket(&self, id: SocketId) -> Result<&Socket, Error> {
                self.sockets.get(id).ok_or(Error::BadSocket)
            }

            fn socket_mut(&mut self, id: SocketId) -> Result<&mut Socket, Error> {
                self.sockets.get_mut(id).ok_or(Error::BadSocket)
            }

            fn wake_waiters(&mut self, cx: &mut Context<'_>, interface: InterfaceId) -> bool {
                for id in self.waiters.take(cx, interface) {
                    if let Some(socket) = self.sockets.get_mut(id) {
                        socket.base.unblock(cx, $handle(id));
                    }
                }
                self.waiters.wait_for(interface)
            }
        }
    };
}
use common_calls;
