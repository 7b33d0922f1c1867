//! Which of a program's descriptors are ours.
//!
//! A descriptor is known by its file: a temporary duplicate (pidfd_getfd through the pidfd of the very thread) has the socket
//! cookie that the kernel gave the file when it was made, whatever dup, fork, exec and SCM_RIGHTS have done with its number. The
//! duplicate is closed when the call is answered: while it exists, the program's last close would not be seen.

use crate::backend::{Domain, Errno, NodeSocket, Type};
use crate::buffers::BUFFER;
use crate::calls::datagram::Datagrams;
use crate::calls::listen::Listening;
use crate::ends::{self, Ends, Kind, Name};
use crate::memory::DATAGRAM_MAX;
use crate::netlink::socket::{Netlink, Sockets};
use crate::sys::{self, Call};
use crate::threads::Threads;
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::net::sockopt;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use tokio::sync::{Notify, watch};

/// Sockets that one run may have.
pub(crate) const SOCKETS_MAX: usize = 65_536;

/// Locks what no panic can leave half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket of the program.
pub(crate) struct Sock<S> {
    /// The file's, by which its descriptors are known.
    pub(crate) cookie: u64,
    pub(crate) name: Name,
    pub(crate) domain: Domain,
    pub(crate) ty: Type,
    pub(crate) protocol: i32,
    pub(crate) node: Arc<S>,
    pub(crate) state: Mutex<State<S>>,
    /// Woken when `state` changes in a way that a waiting call may want to know.
    pub(crate) changed: Notify,
    datagrams: OnceLock<Arc<Datagrams>>,
    /// The thread that made the last call on it.
    pub(crate) caller: AtomicI32,
    /// Becomes true when the program has no descriptor of it any more.
    closed: watch::Sender<bool>,
}

/// What changes in a socket's life, as far as the supervisor must know it; all else the node knows.
pub(crate) struct State<S> {
    pub(crate) phase: Phase<S>,
    /// The error that `SO_ERROR` is to tell, where the kernel cannot.
    pub(crate) error: Option<Errno>,
    /// A datagram end shows the error, as far as the program has not taken it.
    pub(crate) shown: bool,
    /// The program's end is of the smallest send buffer still, because its descriptor had moved when it was to be raised.
    pub(crate) small: bool,
    /// `SO_LINGER` with time zero: closing resets.
    pub(crate) reset_on_close: bool,
    /// shutdown(2) has ended reading, writing, where messages are carried.
    pub(crate) shut: Shut,
    /// The sizes of its buffers, where the program has asked for some.
    pub(crate) buffers: Buffers,
    /// The node's end of a stream, while it is carried.
    pub(crate) node_end: Weak<OwnedFd>,
    /// Something watches the node's end and will see the close; else the sweep must look.
    pub(crate) watched: bool,
}

/// SO_SNDBUF and SO_RCVBUF of a stream, as the program has set them. What lies between the program and the node's socket counts,
/// too, so each end is made no larger than its direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Buffers {
    pub(crate) send: Option<usize>,
    /// Data has been carried: its last octet may be the guard, for which there has to be room from now on.
    pub(crate) written: bool,
    pub(crate) receive: Option<usize>,
}

/// Which halves the program has shut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shut {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// Where a stream socket stands between socket(2) and close(2).
pub(crate) enum Phase<S> {
    /// Never connected. Datagram sockets stay here.
    Fresh,
    /// connect(2) has begun; `told` says that a call has returned `EINPROGRESS`.
    Connecting { told: bool },
    /// It failed, and nobody has been told yet.
    Failed,
    /// It failed, and the program knows: the file is used up, another connect needs a new one.
    Spent,
    /// Connected. `reported` is false until a call of connect(2) has said so, for the first one after completion succeeds.
    Established { reported: bool },
    /// listen(2) was called.
    Listening(Arc<Listening<S>>),
}

impl<S> Sock<S> {
    pub(crate) fn new(
        end: BorrowedFd<'_>,
        name: Name,
        (domain, ty, protocol): (Domain, Type, i32),
        node: Arc<S>,
        phase: Phase<S>,
    ) -> Result<Self, Errno> {
        let watched = matches!(phase, Phase::Established { .. });
        Ok(Self {
            cookie: sockopt::socket_cookie(end)?,
            name,
            domain,
            ty,
            protocol,
            node,
            state: Mutex::new(State {
                phase,
                error: None,
                shown: false,
                small: false,
                reset_on_close: false,
                shut: Shut::default(),
                buffers: Buffers::default(),
                node_end: Weak::new(),
                watched,
            }),
            changed: Notify::new(),
            datagrams: OnceLock::new(),
            caller: AtomicI32::new(0),
            closed: watch::Sender::new(false),
        })
    }

    /// Waits until the program has no descriptor of it any more.
    pub(crate) async fn closed(&self) {
        // An error would say that the sender is gone, which is part of `self`.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Whether the program has no descriptor of it any more, as far as was seen.
    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Whether it has connections that are listened for and accepted.
    pub(crate) fn is_stream(&self) -> bool {
        self.end_kind() != Kind::Datagrams
    }

    /// Whether what it has on its connection is messages: SCTP, one-to-one, and DCCP.
    pub(crate) fn has_messages(&self) -> bool {
        self.end_kind() == Kind::Packets
    }

    /// The type of its end.
    pub(crate) fn end_kind(&self) -> Kind {
        self.name.kind
    }

    /// The longest message that it can send, as far as is known without asking the node.
    pub(crate) fn message_max(&self) -> usize {
        match self.is_sctp() {
            true => BUFFER,
            false => DATAGRAM_MAX,
        }
    }

    pub(crate) fn is_sctp(&self) -> bool {
        self.protocol == libc::IPPROTO_SCTP
    }

    /// The node's side, where messages are carried; there is none before a connection.
    pub(crate) fn datagrams(&self) -> Option<&Arc<Datagrams>> {
        self.datagrams.get()
    }

    /// Takes in its other side, which a socket does once.
    pub(crate) fn adopt(&self, datagrams: Arc<Datagrams>) {
        let _ = self.datagrams.set(datagrams);
    }

    /// Its stream is carried from now on, by this end of the node's.
    pub(crate) fn is_carried(&self, node_end: &Arc<OwnedFd>) {
        let mut state = lock(&self.state);
        state.node_end = Arc::downgrade(node_end);
        if let Some(asked) = state.buffers.receive {
            ends::size(node_end.as_fd(), Some(asked));
        }
    }

    /// Takes in the other side of a connection.
    pub(crate) fn adopt_connection(&self, node_end: &Arc<OwnedFd>) {
        if self.has_messages() {
            self.adopt(Arc::new(Datagrams::new(node_end.clone(), None)));
        }
    }
}

/// The sockets of one run, by cookie.
pub(crate) struct Table<S> {
    sockets: Mutex<BTreeMap<u64, Arc<Sock<S>>>>,
    pub(crate) threads: Threads,
    pub(crate) netlinks: Sockets,
    /// The user has been told of a program that forbids inspection.
    warned: AtomicBool,
}

/// A socket, and a duplicate of the descriptor it was found by.
pub(crate) type Held<S> = (Arc<Sock<S>>, OwnedFd);

/// What a descriptor in a call is.
pub(crate) enum Found<S> {
    /// One of ours, with a duplicate for as long as the call is looked at.
    Ours(Arc<Sock<S>>, OwnedFd),
    /// A netlink socket that is answered for the node.
    Netlink(Arc<Netlink>, OwnedFd),
    /// Anything else: the kernel's.
    Foreign,
}

impl<S: NodeSocket> Table<S> {
    pub(crate) fn new(threads: Threads) -> Self {
        Self {
            sockets: Mutex::default(),
            threads,
            netlinks: Sockets::default(),
            warned: AtomicBool::new(false),
        }
    }

    /// What the descriptor in the call's first argument is.
    pub(crate) fn find(&self, call: &Call) -> Result<Found<S>, Errno> {
        let fd = match self.threads.duplicate(call.tid, call.args[0] as RawFd) {
            Ok(fd) => fd,
            Err(Errno::BADF) => return Err(Errno::BADF),
            // A program that forbids inspection: the kernel carries the call out on what is an AF_UNIX socket at most.
            Err(Errno::PERM | Errno::ACCESS) => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        pid = call.tid,
                        "a program forbids inspection, so its internet sockets do not work; as root they would"
                    );
                }
                return Ok(Found::Foreign);
            }
            Err(error) => return Err(error),
        };
        let Ok(cookie) = sockopt::socket_cookie(&fd) else {
            return Ok(Found::Foreign);
        };
        if let Some(sock) = lock(&self.sockets).get(&cookie).cloned() {
            return Ok(Found::Ours(sock, fd));
        }
        let netlink = self.netlinks.find(cookie);
        Ok(netlink.map_or(Found::Foreign, |socket| Found::Netlink(socket, fd)))
    }

    /// A duplicate of a descriptor, if it is still this socket's.
    pub(crate) fn duplicate_of(&self, sock: &Sock<S>, tid: i32, fd: RawFd) -> Option<OwnedFd> {
        self.duplicate_by(sock.cookie, tid, fd)
    }

    /// A duplicate of a descriptor, if it is one of the file with this cookie.
    pub(crate) fn duplicate_by(&self, cookie: u64, tid: i32, fd: RawFd) -> Option<OwnedFd> {
        let fd = self.threads.duplicate(tid, fd).ok()?;
        (sockopt::socket_cookie(&fd) == Ok(cookie)).then_some(fd)
    }

    /// Adds a socket; `ENFILE` if there are too many.
    pub(crate) fn insert(&self, sock: Arc<Sock<S>>) -> Result<(), Errno> {
        let mut sockets = lock(&self.sockets);
        if sockets.len() >= SOCKETS_MAX {
            return Err(Errno::NFILE);
        }
        sockets.insert(sock.cookie, sock);
        Ok(())
    }

    pub(crate) fn remove(&self, cookie: u64) {
        let removed = lock(&self.sockets).remove(&cookie);
        // Outside the lock: closing a socket may run the node.
        if let Some(sock) = removed {
            sock.closed.send_replace(true);
        }
    }

    /// Removes the sockets that nobody holds and nobody watches.
    pub(crate) fn sweep(&self, ends: &Ends) -> Swept {
        let unwatched: Vec<_> = lock(&self.sockets)
            .values()
            .filter(|sock| !lock(&sock.state).watched)
            .cloned()
            .collect();
        let gone: Vec<_> = unwatched
            .iter()
            .filter(|sock| ends.gone(sock.name))
            .collect();
        for sock in &gone {
            self.remove(sock.cookie);
        }
        let (netlinks_gone, netlinks_left) = self.netlinks.sweep(ends);
        Swept {
            removed: gone.len() + netlinks_gone,
            left: unwatched.len() - gone.len() + netlinks_left,
        }
    }

    /// Takes all sockets out.
    pub(crate) fn clear(&self) {
        self.netlinks.clear();
        for sock in std::mem::take(&mut *lock(&self.sockets)).into_values() {
            sock.closed.send_replace(true);
        }
    }
}

/// What a sweep found.
pub(crate) struct Swept {
    pub(crate) removed: usize,
    /// Sockets that are still to be looked after.
    pub(crate) left: usize,
}

/// Whether a file is in nonblocking mode.
pub(crate) fn nonblocking(fd: BorrowedFd<'_>) -> bool {
    fcntl_getfl(fd).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK))
}

/// `SO_RCVTIMEO` or `SO_SNDTIMEO` of an end, where the kernel keeps it.
pub(crate) fn time_limit(end: impl AsFd, name: i32) -> Option<std::time::Duration> {
    sys::option_time(end.as_fd(), name)
}
