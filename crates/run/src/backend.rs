//! What the supervisor needs of a socket on the node.
//!
//! The supervisor knows the node through these two traits alone, so that it can be proven over the host kernel's own sockets as
//! well. Every `poll_*` registers the waker of the task that called it; for one socket and one direction there is never more
//! than one such task, except for [`NodeSocket::poll_send_to`], for which there may be several.

use std::net::{IpAddr, Shutdown, SocketAddr};
use std::task::{Context, Poll};

pub use rustix::io::Errno;

/// An internet address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// `AF_INET`.
    Ipv4,
    /// `AF_INET6`.
    Ipv6,
}

/// A socket type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `SOCK_STREAM`.
    Stream,
    /// `SOCK_DGRAM`.
    Datagram,
    /// `SOCK_RAW`.
    Raw,
    /// `SOCK_SEQPACKET`: messages of many associations on one socket.
    SeqPacket,
    /// `SOCK_DCCP`.
    Dccp,
}

impl Type {
    /// The number of `SOCK_DCCP`.
    pub const SOCK_DCCP: i32 = 6;

    /// What it is by Linux's numbers.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Stream => libc::SOCK_STREAM,
            Self::Datagram => libc::SOCK_DGRAM,
            Self::Raw => libc::SOCK_RAW,
            Self::SeqPacket => libc::SOCK_SEQPACKET,
            Self::Dccp => Self::SOCK_DCCP,
        }
    }
}

/// A control message: level, type and value.
pub type Control = (i32, i32, Vec<u8>);

/// A message as the node hands it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Octets put into the buffer.
    pub len: usize,
    /// Who sent it; `None` where nobody did, or nobody else can have.
    pub source: Option<SocketAddr>,
    /// The address it was sent to, where the node knows it.
    pub destination: Option<IpAddr>,
    /// The index of the interface it came in by, or 0.
    pub interface: u32,
    /// Time to live or hop limit, where the node knows it.
    pub ttl: Option<u8>,
    /// Type of service or traffic class, where the node knows it.
    pub traffic_class: Option<u8>,
    /// What recvmsg(2) says of it in `msg_flags`: `MSG_EOR`, `MSG_NOTIFICATION`.
    pub flags: i32,
    /// Control messages that go along, beside what the rest of this tells.
    pub control: Vec<Control>,
    /// The association in whose receive window it stays until [`NodeSocket::give_back`], or 0.
    pub charged: i32,
    /// It is no message, but the end of all: nothing will come any more.
    pub end: bool,
}

impl Received {
    /// A message of which no more is known.
    #[must_use]
    pub const fn of(len: usize, source: Option<SocketAddr>) -> Self {
        Self {
            len,
            source,
            destination: None,
            interface: 0,
            ttl: None,
            traffic_class: None,
            flags: 0,
            control: Vec::new(),
            charged: 0,
            end: false,
        }
    }
}

/// A message that is sent with all that sendmsg(2) can say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Outgoing {
    /// The message.
    pub data: Vec<u8>,
    /// Whom to; the peer if `None`.
    pub to: Option<SocketAddr>,
    /// How.
    pub control: Vec<Control>,
}

/// What the error queue of a socket tells of something sent: `MSG_ERRQUEUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Octets of the datagram it is about, as far as they are known, put into the buffer.
    pub len: usize,
    /// Where the datagram was sent to.
    pub destination: Option<SocketAddr>,
    /// The control messages that tell of the error: level, type and value.
    pub control: Vec<Control>,
}

/// A piece of a stream as the node hands it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Octets put into the buffer; 0 is the end of the stream.
    pub len: usize,
    /// It is the urgent octet, alone.
    pub urgent: bool,
}

/// A network node that can make sockets.
pub trait Backend: Send + Sync + 'static {
    /// Its sockets.
    type Socket: NodeSocket;

    /// Makes a socket as socket(2) does.
    ///
    /// # Errors
    /// The errno that socket(2) gives: `EPROTONOSUPPORT`, `ESOCKTNOSUPPORT`, `EAFNOSUPPORT`, `EACCES`, `EPERM`.
    fn socket(&self, domain: Domain, ty: Type, protocol: i32) -> Result<Self::Socket, Errno>;

    /// The node that netlink and the interface ioctls are to show. Without one neither is there.
    fn node(&self) -> Option<&sockeye::Node> {
        None
    }

    /// Whether somebody wants to see the packets between its own sockets.
    fn is_watched(&self) -> bool {
        false
    }
}

/// A nonblocking socket on the node. Dropping it closes it as close(2) does: what was written is still sent.
///
/// Errors are the errno values that the system call of the same name gives.
#[expect(clippy::missing_errors_doc, reason = "said once above for all of them")]
pub trait NodeSocket: Send + Sync + Sized + 'static {
    /// bind(2).
    fn bind(&self, address: SocketAddr) -> Result<(), Errno>;

    /// listen(2). May be called again to change the backlog.
    fn listen(&self, backlog: i32) -> Result<(), Errno>;

    /// Takes the next established connection and its peer's address from the backlog.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<(Self, SocketAddr), Errno>>;

    /// Begins to connect. A stream answers `EINPROGRESS` and is then asked with [`poll_connect`](Self::poll_connect);
    /// `Ok` says that the socket is connected already, as a datagram socket is at once.
    fn connect_start(&self, address: SocketAddr) -> Result<(), Errno>;

    /// The end of the connect that [`connect_start`](Self::connect_start) began.
    fn poll_connect(&self, cx: &mut Context<'_>) -> Poll<Result<(), Errno>>;

    /// Takes a datagram socket's peer away: connect(2) with `AF_UNSPEC`.
    fn disconnect(&self) -> Result<(), Errno>;

    /// Reads from a stream. Urgent data comes in its place: a read ends before the urgent octet, and the next takes it alone. It
    /// was asked for that with `SO_OOBINLINE`.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<Piece, Errno>>;

    /// Waits until a stream is reset or times out after its end was read. Asked only after [`poll_read`](Self::poll_read) has
    /// returned 0, in its place.
    fn poll_failure(&self, cx: &mut Context<'_>) -> Poll<Errno>;

    /// Writes to a stream.
    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>>;

    /// Writes to a stream as send(2) with `MSG_OOB` does: the last octet is urgent.
    fn poll_write_urgent(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>>;

    /// Sends a datagram, to the peer if `to` is `None`, or fails with `EAGAIN`. Never registers a waker.
    fn try_send_to(&self, data: &[u8], to: Option<SocketAddr>) -> Result<usize, Errno>;

    /// Sends a datagram, to the peer if `to` is `None`, when there is room.
    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
        to: Option<SocketAddr>,
    ) -> Poll<Result<usize, Errno>>;

    /// Sends one message as sendmsg(2) does, when there is room. Control messages that ask for what would not be done are
    /// refused.
    fn poll_send_message(
        &self,
        cx: &mut Context<'_>,
        message: &Outgoing,
    ) -> Poll<Result<usize, Errno>> {
        match message.control.is_empty() {
            true => self.poll_send_to(cx, &message.data, message.to),
            false => Poll::Ready(Err(Errno::INVAL)),
        }
    }

    /// Takes the next datagram, or the error that ICMP reported for an earlier one. What is longer than the buffer is cut.
    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<Received, Errno>>;

    /// The program has read so many octets of what an association is [charged](Received::charged) for.
    fn give_back(&self, _association: i32, _octets: usize) {}

    /// Takes the next report of the error queue, or fails with `EAGAIN`.
    fn take_report(&self, buffer: &mut [u8]) -> Result<Reported, Errno>;

    /// Whether there is something in the error queue.
    fn has_reports(&self) -> bool;

    /// shutdown(2).
    fn shutdown(&self, how: Shutdown) -> Result<(), Errno>;

    /// Ends the connection with a reset, now.
    fn abort(&self);

    /// Takes the pending error: `SO_ERROR`.
    fn take_error(&self) -> Option<Errno>;

    /// Makes an association of a one-to-many socket a socket of its own: `SCTP_SOCKOPT_PEELOFF`.
    fn peel_off(&self, _association: i32) -> Result<Self, Errno> {
        Err(Errno::OPNOTSUPP)
    }

    /// getsockname(2).
    fn local_addr(&self) -> Result<SocketAddr, Errno>;

    /// getpeername(2).
    fn peer_addr(&self) -> Result<SocketAddr, Errno>;

    /// What tells a connection from earlier ones between the same addresses, and is the same at both of its ends; `None` when
    /// there is no telling.
    fn connection(&self) -> Option<[u32; 2]> {
        None
    }

    /// getsockopt(2), with the value as Linux lays it out. Returns how many octets of `value` it filled.
    fn option(&self, level: i32, name: i32, value: &mut [u8]) -> Result<usize, Errno>;

    /// setsockopt(2), with the value as Linux lays it out.
    fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<(), Errno>;
}
