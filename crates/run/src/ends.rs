//! The program's descriptors: AF_UNIX sockets that behave as internet sockets do.
//!
//! The *program's end* is what the program holds; the *node's end* is its other side, which the supervisor holds. Each program's
//! end has an abstract name of its own, by which the supervisor can tell whether anybody still holds it ([`Ends::gone`]) and
//! knows its own ends when they arrive at its private listener.
//!
//! - A stream that was never connected is an unconnected AF_UNIX stream; connecting or listening connects the *same file* to the
//!   supervisor ([`Ends::attach`]), so that what epoll, dup and fork know of it stays true.
//! - Full towards the node's end, it is not writable: so it looks while it connects, and all the time while it listens
//!   ([`fill`]).
//! - One octet is always left unread at the node's end, the *guard*: closing the node's end with something unread is what the
//!   program sees as a reset, closing it empty is a plain end.
//! - A datagram socket is one side of a pair, from the beginning.
//! - An end that carries messages on a connection is as a stream's, without a guard. What it and its other side receive is
//!   stamped with the time it was queued, which tells an empty message from the end of all.

use crate::backend::Errno;
use crate::names::Names;
use crate::sys;
use rustix::io::ioctl_fionread;
use rustix::net::{
    self, AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What every end's send buffer is raised to, as far as the machine allows.
const SEND_BUFFER: usize = 1 << 20;

/// The least that it is made: with the guard of a connection that was opened, a whole piece of the filling, it is writable.
const SEND_BUFFER_LEAST: usize = 20 * 1024;

/// A guard keeps the whole piece of data that it is the last octet of, and pieces are as long as 48 KiB: below this size of the
/// send buffer there might be no room beside it.
pub(crate) const SEND_BUFFER_WITH_GUARD: usize = 192 * 1024;

/// As much as a stream with the smallest send buffer takes in one piece.
const FILL: [u8; 4096] = [0; 4096];

/// Connections that may wait at the private listener. It is emptied at once; the rest is room for strangers.
const PRIVATE_BACKLOG: i32 = 64;

/// Options of `SOL_SOCKET` that concern the descriptor, not the network: the kernel keeps and heeds them on the program's end.
pub(crate) const KERNEL_OPTIONS: [i32; 5] = [
    libc::SO_RCVTIMEO,
    libc::SO_SNDTIMEO,
    libc::SO_RCVLOWAT,
    libc::SO_LINGER,
    libc::SO_OOBINLINE,
];

/// Makes the ends and knows their names.
#[derive(Debug)]
pub(crate) struct Ends {
    private: OwnedFd,
    /// The same for streams of messages, whose names are apart.
    private_packets: OwnedFd,
    address: SocketAddrUnix,
    /// Sets the names of one run apart from every other's.
    run: u64,
    next: AtomicU64,
    /// Sockets without a name, to try names with: one of each type, whose names are apart.
    probes: Mutex<[Option<OwnedFd>; 3]>,
    /// The program's own AF_UNIX sockets, which are no ends of anything.
    pub(crate) names: Names,
}

/// The type of a program's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A stream of octets.
    Stream,
    /// Messages on a connection, which SCTP and DCCP have: SOCK_SEQPACKET.
    Packets,
    /// Datagrams.
    Datagrams,
}

impl Kind {
    fn ty(self) -> SocketType {
        match self {
            Self::Stream => SocketType::STREAM,
            Self::Packets => SocketType::SEQPACKET,
            Self::Datagrams => SocketType::DGRAM,
        }
    }
}

/// The abstract name of a program's end, of the host's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    number: u64,
    pub(crate) kind: Kind,
}

impl Ends {
    pub(crate) fn new() -> Result<Self, Errno> {
        let mut random = [0; 8];
        std::io::Read::read_exact(
            &mut std::fs::File::open("/dev/urandom").map_err(io_errno)?,
            &mut random,
        )
        .map_err(io_errno)?;
        let run = u64::from_ne_bytes(random);
        let private = unix(
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        )?;
        let address = SocketAddrUnix::new_abstract_name(format!("sockeye-{run:016x}").as_bytes())?;
        net::bind(&private, &address)?;
        net::listen(&private, PRIVATE_BACKLOG)?;
        let private_packets = unix(
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        )?;
        net::bind(&private_packets, &address)?;
        net::listen(&private_packets, PRIVATE_BACKLOG)?;
        Ok(Self {
            private,
            private_packets,
            address,
            run,
            next: AtomicU64::new(0),
            probes: Mutex::default(),
            names: Names::new(),
        })
    }

    fn address_of(&self, name: Name) -> Result<SocketAddrUnix, Errno> {
        SocketAddrUnix::new_abstract_name(
            format!("sockeye-{:016x}-{:x}", self.run, name.number).as_bytes(),
        )
    }

    /// The addresses of a datagram socket's ends: the program's, and the node's.
    pub(crate) fn addresses_of(&self, name: Name) -> Result<[SocketAddrUnix; 2], Errno> {
        let node = format!("sockeye-{:016x}-{:x}-node", self.run, name.number);
        Ok([
            self.address_of(name)?,
            SocketAddrUnix::new_abstract_name(node.as_bytes())?,
        ])
    }

    fn give_name(&self, end: BorrowedFd<'_>, kind: Kind) -> Result<Name, Errno> {
        let name = Name {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            kind,
        };
        net::bind(end, &self.address_of(name)?)?;
        Ok(name)
    }

    /// An end for a new stream socket: not connected, readable as a fresh TCP socket is, with the smallest send buffer, so that
    /// it can be filled later without waking anybody.
    pub(crate) fn stream(&self, kind: Kind, nonblocking: bool) -> Result<(OwnedFd, Name), Errno> {
        let flags = SocketFlags::CLOEXEC
            | if nonblocking {
                SocketFlags::NONBLOCK
            } else {
                SocketFlags::empty()
            };
        let end = unix(kind.ty(), flags)?;
        if kind == Kind::Packets {
            stamp(end.as_fd())?;
        }
        sockopt::set_socket_send_buffer_size(&end, 1)?;
        let name = self.give_name(end.as_fd(), kind)?;
        Ok((end, name))
    }

    /// The two ends of an accepted connection; of octets, with its guard.
    pub(crate) fn connected(
        &self,
        kind: Kind,
        nonblocking: bool,
    ) -> Result<(OwnedFd, OwnedFd, Name), Errno> {
        let (program, node) = net::socketpair(
            AddressFamily::UNIX,
            kind.ty(),
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        rustix::io::ioctl_fionbio(&program, nonblocking)?;
        let name = self.give_name(program.as_fd(), kind)?;
        raise(program.as_fd());
        prepare_node_end(node.as_fd(), kind)?;
        match kind {
            Kind::Stream => {
                net::send(&program, &[0], SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
            }
            _ => stamp(program.as_fd())?,
        }
        Ok((program, node, name))
    }

    /// The two ends of a datagram socket. What the program's end receives is stamped with the time it was queued.
    pub(crate) fn datagram(&self, nonblocking: bool) -> Result<(OwnedFd, OwnedFd, Name), Errno> {
        let (program, node) = net::socketpair(
            AddressFamily::UNIX,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        rustix::io::ioctl_fionbio(&program, nonblocking)?;
        let name = self.give_name(program.as_fd(), Kind::Datagrams)?;
        let [_, of_node] = self.addresses_of(name)?;
        net::bind(&node, &of_node)?;
        raise(program.as_fd());
        raise(node.as_fd());
        stamp(program.as_fd())?;
        Ok((program, node, name))
    }

    /// Connects a fresh stream end to the supervisor and returns the node's end.
    pub(crate) fn attach(&self, program: BorrowedFd<'_>, name: Name) -> Result<OwnedFd, Errno> {
        let own = self.address_of(name)?;
        // connect(2) waits while the listener is full: make room by turning away whoever called without being asked.
        while let Some(stranger) = self.accept(name.kind)? {
            drop(stranger);
        }
        net::connect(program, &self.address)?;
        while let Some(node) = self.accept(name.kind)? {
            if peer_is(&node, &own) {
                prepare_node_end(node.as_fd(), name.kind)?;
                return Ok(node);
            }
        }
        Err(Errno::NOBUFS)
    }

    fn accept(&self, kind: Kind) -> Result<Option<OwnedFd>, Errno> {
        let private = match kind {
            Kind::Packets => &self.private_packets,
            _ => &self.private,
        };
        match net::accept_with(private, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(node) => Ok(Some(node)),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether no descriptor of the program's end exists any more, in any process or in flight.
    pub(crate) fn gone(&self, name: Name) -> bool {
        let Ok(address) = self.address_of(name) else {
            return false;
        };
        let mut probes = self
            .probes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let probe = &mut probes[name.kind as usize];
        if probe.is_none() {
            *probe = unix(name.kind.ty(), SocketFlags::CLOEXEC).ok();
        }
        let Some(socket) = probe.as_ref() else {
            return false;
        };
        match net::bind(socket, &address) {
            // It has the name now: the next question needs another.
            Ok(()) => {
                *probe = None;
                true
            }
            Err(_) => false,
        }
    }
}

fn unix(ty: SocketType, flags: SocketFlags) -> Result<OwnedFd, Errno> {
    net::socket_with(AddressFamily::UNIX, ty, flags, None)
}

fn peer_is(node: &OwnedFd, address: &SocketAddrUnix) -> bool {
    net::getpeername(node)
        .ok()
        .flatten()
        .and_then(|peer| SocketAddrUnix::try_from(peer).ok())
        .is_some_and(|peer| peer.abstract_name() == address.abstract_name())
}

fn io_errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

fn prepare_node_end(node: BorrowedFd<'_>, kind: Kind) -> Result<(), Errno> {
    raise(node);
    match kind {
        Kind::Packets => stamp(node),
        // Urgent octets come in their place among the others, and are known by it.
        _ => sockopt::set_socket_oobinline(node, true),
    }
}

/// Has what an end receives stamped with the time it was queued.
fn stamp(end: BorrowedFd<'_>) -> Result<(), Errno> {
    let on = 1_i32.to_ne_bytes();
    sys::set_option(end, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &on)
}

/// Gives an end the largest send buffer it may have, up to [`SEND_BUFFER`].
pub(crate) fn raise(end: BorrowedFd<'_>) {
    size(end, None);
}

/// Gives an end the send buffer that the program has asked for, or the largest that it may have, up to [`SEND_BUFFER`].
pub(crate) fn size(end: BorrowedFd<'_>, asked: Option<usize>) {
    let size = asked
        .unwrap_or(SEND_BUFFER)
        .clamp(SEND_BUFFER_LEAST, SEND_BUFFER / 2);
    if sockopt::set_socket_send_buffer_size_force(end, size).is_err() {
        let _ = sockopt::set_socket_send_buffer_size(end, size);
    }
}

/// Fills an end of the smallest send buffer until it takes no more: it is not writable then. Returns the octets sent.
pub(crate) fn fill(program: BorrowedFd<'_>) -> usize {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let mut filled = 0;
    for piece in [&FILL[..], &FILL[..1]] {
        while let Ok(sent) = net::send(program, piece, flags) {
            filled += sent;
        }
    }
    filled
}

/// Takes `count` octets off the queue of an end, unread by anybody.
pub(crate) fn discard(end: BorrowedFd<'_>, mut count: usize) {
    let mut scratch = FILL;
    while count > 0 {
        let want = count.min(scratch.len());
        match net::recv(end, &mut scratch[..want], RecvFlags::DONTWAIT) {
            Ok((0, _)) | Err(_) => return,
            Ok((taken, _)) => count -= taken,
        }
    }
}

/// A node's end as the event loop watches it.
pub(crate) type Watched = AsyncFd<Arc<OwnedFd>>;

/// Has the event loop watch a node's end. To be called within it.
pub(crate) fn watch(end: Arc<OwnedFd>) -> Result<Watched, Errno> {
    // SAFETY: the descriptor is owned, and what owns it lives inside the result: it stays open, and the same file, as long.
    let watched =
        unsafe { AsyncFd::register_with_interest(end, Interest::READABLE | Interest::WRITABLE) };
    watched.map_err(|_| Errno::NOBUFS)
}

/// Octets waiting to be read.
pub(crate) fn waiting(end: BorrowedFd<'_>) -> usize {
    ioctl_fionread(end)
        .unwrap_or(0)
        .try_into()
        .unwrap_or(usize::MAX)
}

/// Whether the next octet to read is the urgent one.
pub(crate) fn at_mark(end: BorrowedFd<'_>) -> bool {
    sys::at_mark(end).unwrap_or(false)
}

/// Takes the error the kernel holds for an end.
pub(crate) fn take_error(end: BorrowedFd<'_>) -> Option<Errno> {
    sockopt::socket_error(end).ok()?.err()
}

/// Has a program's datagram end show an error: `POLLERR` until a plain receive or send has failed with it (`ECONNRESET`, the
/// only error there is for it) or it is taken.
///
/// AF_UNIX does that to a socket whose peer turns away from it with something unread, which is lost. So the node's end sends
/// itself an octet and turns away for a moment; what the program has written should be taken out before.
pub(crate) fn show_error(
    node: BorrowedFd<'_>,
    [program, own]: &[SocketAddrUnix; 2],
) -> Result<(), Errno> {
    let turn_away = || {
        net::connect_unspec(node)?;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        net::sendto(node, &[0], flags, own)?;
        net::connect(node, program)?;
        net::connect_unspec(node)
    };
    let turned = turn_away();
    // Whatever came of that: they are a pair again, and nothing is there that the program has not written.
    let turned = turned.and(net::connect(node, program));
    if turned.is_err() {
        while net::recv(node, &mut [0], RecvFlags::DONTWAIT).is_ok() {}
    }
    turned
}

/// Gives one end the options of another that the kernel itself heeds.
pub(crate) fn copy_options(from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    for name in KERNEL_OPTIONS {
        let mut value = [0; 16];
        if let Ok(len) = sys::option(from, libc::SOL_SOCKET, name, &mut value) {
            let _ = sys::set_option(to, libc::SOL_SOCKET, name, &value[..len]);
        }
    }
}
