//! SCTP: [`SctpListener`] and [`SctpStream`] shaped like TCP's, and [`SctpSocket`] of many
//! associations.

use super::{ToSocketAddrs, common, domain, each, options};
use crate::sctp::{AssocId, Incoming, Settings, SndInfo, Status};
use crate::{MessageFlags, Node, Protocol, Socket, Type};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

/// The backlog that std asks for.
const BACKLOG: i32 = 128;

fn socket(node: &Node, addr: SocketAddr, ty: Type) -> io::Result<Socket> {
    Socket::new_on(node, domain(addr), ty, Some(Protocol::SCTP))
}

/// All of what was given, of which there is one at the least.
fn all(node: &Node, addrs: impl ToSocketAddrs) -> io::Result<(SocketAddr, Vec<SocketAddr>)> {
    let all = addrs.to_socket_addrs_on(node)?;
    match all.first() {
        Some(&first) => Ok((first, all)),
        None => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// What one write sends: a message of all of `buf`, or of what the send buffer can hold.
pub(crate) fn one_message<'a>(socket: &Socket, buf: &'a [u8]) -> io::Result<&'a [u8]> {
    let most = socket.send_buffer_size()?;
    Ok(&buf[..buf.len().min(most)])
}

/// A socket's own addresses after its first ones (sctp_bindx(3), RFC 6458 §9.1).
macro_rules! several {
    ($name:ident) => {
        impl $name {
            /// Binds to further addresses of the node, with the port that it has. Associations that stand
            /// are told where both sides have dynamic addresses (RFC 5061).
            ///
            /// # Errors
            /// `AddrInUse`, `AddrNotAvailable`, `InvalidInput` for another port.
            pub fn bind_add(&self, addrs: &[std::net::SocketAddr]) -> std::io::Result<()> {
                self.socket.bind_add(addrs)
            }

            /// Gives up some of its addresses, not all.
            ///
            /// # Errors
            /// `InvalidInput` for an address that it is not bound to, EBUSY for the last one.
            pub fn bind_remove(&self, addrs: &[std::net::SocketAddr]) -> std::io::Result<()> {
                self.socket.bind_remove(addrs)
            }
        }
    };
}
pub(crate) use several;

/// A socket that takes associations.
#[derive(Debug)]
pub struct SctpListener {
    socket: Socket,
}

common!(SctpListener);
several!(SctpListener);

impl SctpListener {
    /// Listens on all of `addrs` of the current node, which have one port.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable` when an address is not the node's, or there is no current
    /// node.
    pub fn bind(addrs: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, addrs)
    }

    /// Listens on all of `addrs` of `node`.
    ///
    /// # Errors
    /// See [`bind`](Self::bind).
    pub fn bind_on(node: &Node, addrs: impl ToSocketAddrs) -> io::Result<Self> {
        let (first, all) = all(node, addrs)?;
        let socket = socket(node, first, Type::STREAM)?;
        socket.set_reuse_address(true)?;
        socket.bind_add(&all)?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket })
    }

    /// Waits for the next association.
    ///
    /// # Errors
    /// `WouldBlock` when nonblocking and none waits.
    pub fn accept(&self) -> io::Result<(SctpStream, SocketAddr)> {
        let (socket, from) = self.socket.accept()?;
        Ok((SctpStream { socket }, from))
    }
}

/// One association. Read and written as a stream, each write is a message (as long as the send buffer,
/// at most) and no read goes over the end of one. Dropping the last handle closes it; what was written still arrives.
#[derive(Debug)]
pub struct SctpStream {
    socket: Socket,
}

common!(SctpStream);
several!(SctpStream);

impl SctpStream {
    /// Connects from the current node to the first of `addrs` that answers.
    ///
    /// # Errors
    /// The last address's: `ConnectionRefused`, `HostUnreachable`, `TimedOut`.
    pub fn connect(addrs: impl ToSocketAddrs) -> io::Result<Self> {
        Self::connect_on(&Node::current()?, addrs)
    }

    /// Connects from `node`.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    pub fn connect_on(node: &Node, addrs: impl ToSocketAddrs) -> io::Result<Self> {
        each(node, addrs, |addr| {
            let socket = socket(node, addr, Type::STREAM)?;
            socket.connect(addr)?;
            Ok(Self { socket })
        })
    }

    /// Connects from the current node to one peer that has all of `addrs`.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    pub fn connect_multi(addrs: impl ToSocketAddrs) -> io::Result<Self> {
        Self::connect_multi_on(&Node::current()?, addrs)
    }

    /// Connects from `node` to one peer that has all of `addrs`.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    pub fn connect_multi_on(node: &Node, addrs: impl ToSocketAddrs) -> io::Result<Self> {
        let (first, all) = all(node, addrs)?;
        let socket = socket(node, first, Type::STREAM)?;
        socket.connect_multi(&all)?;
        Ok(Self { socket })
    }

    /// The peer's primary address.
    ///
    /// # Errors
    /// `NotConnected` once the association has ended.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Sends one message as `info` says.
    ///
    /// # Errors
    /// `BrokenPipe`, `WouldBlock` when nonblocking and the buffer is full, `InvalidInput` for a stream
    /// that there is not, EMSGSIZE.
    pub fn send_msg(&self, message: &[u8], info: &SndInfo) -> io::Result<usize> {
        let none = MessageFlags::empty();
        self.socket
            .send_msg(&[IoSlice::new(message)], None, info, none)
    }

    /// The next message, a part of it as large as `buffer`, or a notification.
    ///
    /// # Errors
    /// `WouldBlock` when nonblocking and there is none, `ConnectionReset`.
    pub fn recv_msg(&self, buffer: &mut [u8]) -> io::Result<Incoming> {
        self.socket.recv_msg(buffer, MessageFlags::empty())
    }

    /// Changes what the association is set to.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn configure(&self, change: impl Fn(&mut Settings)) -> io::Result<()> {
        self.socket.configure_sctp(AssocId::FUTURE, change)
    }

    /// Where the association stands.
    ///
    /// # Errors
    /// `NotConnected` once it has ended.
    pub fn status(&self) -> io::Result<Status> {
        self.socket.sctp_status(AssocId::FUTURE)
    }

    /// Ends sending, which ends the association (RFC 9260 §9), or reading.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    options! {
        /// How long reads wait (SO_RCVTIMEO); `None` is forever.
        set_read_timeout / read_timeout: Option<Duration> => set_read_timeout / read_timeout;
        /// How long writes wait (SO_SNDTIMEO); `None` is forever.
        set_write_timeout / write_timeout: Option<Duration> => set_write_timeout / write_timeout;
    }
}

impl Read for &SctpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buf)
    }
}

impl Write for &SctpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.socket.send(one_message(&self.socket, buf)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for SctpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for SctpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A one-to-many socket: associations with any number of peers, each begun by the first message to it
/// or, once it listens, by the peer.
#[derive(Debug)]
pub struct SctpSocket {
    socket: Socket,
}

common!(SctpSocket);
several!(SctpSocket);

impl SctpSocket {
    /// Binds to all of `addrs` of the current node, which have one port, and takes associations.
    ///
    /// # Errors
    /// See [`SctpListener::bind`].
    pub fn bind(addrs: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, addrs)
    }

    /// Binds to all of `addrs` of `node`, and takes associations.
    ///
    /// # Errors
    /// See [`SctpListener::bind`].
    pub fn bind_on(node: &Node, addrs: impl ToSocketAddrs) -> io::Result<Self> {
        let (first, all) = all(node, addrs)?;
        let socket = socket(node, first, Type::SEQPACKET)?;
        socket.bind_add(&all)?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket })
    }

    /// Sends one message to a peer, by its address or by the association that `info` names.
    ///
    /// # Errors
    /// See [`SctpStream::send_msg`].
    pub fn send_msg(
        &self,
        message: &[u8],
        to: Option<SocketAddr>,
        info: &SndInfo,
    ) -> io::Result<usize> {
        let none = MessageFlags::empty();
        self.socket
            .send_msg(&[IoSlice::new(message)], to, info, none)
    }

    /// The next message of any association, a part of it as large as `buffer`, or a notification.
    ///
    /// # Errors
    /// See [`SctpStream::recv_msg`].
    pub fn recv_msg(&self, buffer: &mut [u8]) -> io::Result<Incoming> {
        self.socket.recv_msg(buffer, MessageFlags::empty())
    }

    /// Changes what `assoc` names.
    ///
    /// # Errors
    /// `InvalidInput` for an association that it does not have.
    pub fn configure(&self, assoc: AssocId, change: impl Fn(&mut Settings)) -> io::Result<()> {
        self.socket.configure_sctp(assoc, change)
    }

    /// Begins an association with one peer that has all of `addrs`, which the first message then need
    /// not begin.
    ///
    /// # Errors
    /// `AlreadyConnected`, `InvalidInput` for addresses of two families or ports.
    pub fn connect_multi(&self, addrs: &[SocketAddr]) -> io::Result<AssocId> {
        self.socket.connect_multi(addrs)
    }

    /// Makes an association a stream of its own.
    ///
    /// # Errors
    /// `InvalidInput` when it has no such association.
    pub fn peel_off(&self, assoc: AssocId) -> io::Result<SctpStream> {
        let socket = self.socket.peel_off(assoc)?;
        Ok(SctpStream { socket })
    }
}
