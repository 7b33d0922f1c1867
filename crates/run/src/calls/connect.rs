//! connect(2).
//!
//! A stream's end is connected to the supervisor when the attempt begins, filled so that it is not writable, and emptied when
//! the attempt has succeeded: whoever polls it, before or after, sees what a TCP socket shows. When the attempt has failed, the
//! node's end is closed with the filling unread, which shows an error and a hang-up. A blocking call is held meanwhile. What a
//! repeated call returns is what Linux returns, state by state, so a call that a signal interrupted may simply be made again.

use crate::address::{self, Given};
use crate::backend::{Backend, Errno, NodeSocket};
use crate::calls::associations::Several;
use crate::descriptors::{Held, Phase, Sock, lock, nonblocking, time_limit};
use crate::ends::{self, Watched};
use crate::relay::{self, Guard};
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::Call;
use rustix::event::PollFlags;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd, RawFd};
use std::sync::Arc;

/// Where name services listen that would answer with the host's names: the C library goes on to DNS when they refuse.
const HOST_RESOLVERS: [&[u8]; 7] = [
    b"/var/run/nscd/socket",
    b"/run/nscd/socket",
    b"/run/systemd/resolve/io.systemd.Resolve",
    b"/run/systemd/resolve/io.systemd.Resolve.Monitor",
    b"/run/systemd/io.systemd.NameResolution",
    b"/var/run/avahi-daemon/socket",
    b"/run/avahi-daemon/socket",
];

/// Whom a stream connects to.
pub(crate) enum To {
    One(SocketAddr),
    /// One peer by all its addresses.
    Several(Several),
}

/// A descriptor of the program, as a thread of it named it.
#[derive(Clone, Copy, Debug)]
struct Place {
    tid: i32,
    fd: RawFd,
}

impl<B: Backend> Supervisor<B> {
    /// connect(2) of what is not ours: all but the host's name services.
    pub(crate) fn connect_foreign(&self, call: &Call) -> Answer {
        match self
            .memory(call)
            .read_address(call.args[1], call.args[2] as i32)
        {
            Ok(octets)
                if address::unix_path(&octets)
                    .is_some_and(|path| HOST_RESOLVERS.contains(&path)) =>
            {
                Err(Errno::CONNREFUSED)
            }
            _ => self.on_foreign(call),
        }
    }

    pub(crate) fn connect(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
    ) -> Answer {
        let octets = self
            .memory(call)
            .read_address(call.args[1], call.args[2] as i32)?;
        let given = address::parse(sock.domain, &octets).map_err(|error| match error {
            // Linux's SCTP has no other word for it.
            Errno::AFNOSUPPORT if sock.has_messages() => Errno::INVAL,
            error => error,
        })?;
        if !sock.is_stream() {
            let done = match given {
                Given::Unspecified => sock.node.disconnect(),
                Given::Internet(address) => self.begin(&sock.node, address),
            };
            return match done {
                // One-to-many: what comes of it a notification tells.
                Err(Errno::INPROGRESS) if !nonblocking(end.as_fd()) => Ok(Outcome::Return(0)),
                done => done.map(|()| Outcome::Return(0)),
            };
        }
        let Given::Internet(address) = given else {
            return Err(Errno::AFNOSUPPORT);
        };
        self.connect_stream(call, sock, end, &To::One(address))
    }

    pub(crate) fn connect_stream(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
        to: &To,
    ) -> Answer {
        let blocking = !nonblocking(end.as_fd());
        let mut state = lock(&sock.state);
        match &mut state.phase {
            Phase::Listening(_) | Phase::Established { reported: true } => Err(Errno::ISCONN),
            Phase::Connecting { .. } if blocking => {
                drop(state);
                self.hold_connect(call, sock, &end)
            }
            Phase::Connecting { told } => {
                if *told {
                    return Err(Errno::ALREADY);
                }
                *told = self.reply(call, Err(Errno::INPROGRESS));
                Ok(Outcome::Answered)
            }
            Phase::Established { reported } => {
                *reported = self.reply(call, Ok(0));
                Ok(Outcome::Answered)
            }
            Phase::Failed => {
                let error = state.error.unwrap_or(Errno::CONNABORTED);
                if self.reply(call, Err(error)) {
                    state.phase = Phase::Spent;
                    state.error = None;
                    let _ = ends::take_error(end.as_fd());
                }
                Ok(Outcome::Answered)
            }
            Phase::Fresh => {
                drop(state);
                self.connect_fresh(call, sock, end, to)
            }
            Phase::Spent => {
                drop(state);
                let (sock, end) = self.renew(call, sock, &end)?;
                self.connect_fresh(call, &sock, end, to)
            }
        }
    }

    /// Begins to connect on the node. Ports of closed sockets that nobody has noticed yet are given back first.
    fn begin(&self, node: &B::Socket, address: SocketAddr) -> Result<(), Errno> {
        match node.connect_start(address) {
            Err(Errno::ADDRINUSE | Errno::ADDRNOTAVAIL) if self.sweep().removed > 0 => {
                node.connect_start(address)
            }
            result => result,
        }
    }

    fn connect_fresh(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
        to: &To,
    ) -> Answer {
        let begun = match to {
            To::One(address) => self.begin(&sock.node, *address),
            To::Several(several) => self.begin_several(call, &sock.node, several),
        };
        match begun {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let node_end = match self.ends.attach(end.as_fd(), sock.name) {
            Ok(node_end) => Arc::new(node_end),
            Err(error) => {
                sock.node.abort();
                return Err(error);
            }
        };
        let filled = ends::fill(end.as_fd());
        let mut state = lock(&sock.state);
        state.phase = Phase::Connecting { told: false };
        state.watched = true;
        drop(state);
        let place = Place {
            tid: call.tid,
            fd: call.args[0] as RawFd,
        };
        self.runtime.spawn(
            self.clone()
                .connecting(sock.clone(), node_end, filled, place),
        );
        if !nonblocking(end.as_fd()) {
            return self.hold_connect(call, sock, &end);
        }
        drop(end);
        let told = self.reply(call, Err(Errno::INPROGRESS));
        if let Phase::Connecting { told: known } = &mut lock(&sock.state).phase {
            *known = told;
        }
        Ok(Outcome::Answered)
    }

    /// Gives a socket whose connect failed a new file at the same descriptor, since the old one can connect no more.
    fn renew(
        &self,
        call: &Call,
        sock: &Sock<B::Socket>,
        end: &OwnedFd,
    ) -> Result<Held<B::Socket>, Errno> {
        let (fresh, name) = self
            .ends
            .stream(sock.end_kind(), nonblocking(end.as_fd()))?;
        let kind = (sock.domain, sock.ty, sock.protocol);
        let new = Arc::new(Sock::new(
            fresh.as_fd(),
            name,
            kind,
            sock.node.clone(),
            Phase::Fresh,
        )?);
        ends::copy_options(end.as_fd(), fresh.as_fd());
        let old = lock(&sock.state);
        let mut state = lock(&new.state);
        state.reset_on_close = old.reset_on_close;
        state.buffers = old.buffers;
        drop((old, state));
        self.table.insert(new.clone())?;
        let fd = call.args[0] as RawFd;
        let close_on_exec = closes_on_exec(call.tid, fd);
        if let Err(error) = self
            .listener
            .replace(call.id, fresh.as_fd(), fd, close_on_exec)
        {
            self.table.remove(new.cookie);
            return Err(if error == Errno::NOENT {
                Errno::INTR
            } else {
                error
            });
        }
        self.table.remove(sock.cookie);
        self.want_sweep();
        Ok((new, fresh))
    }

    /// Holds a blocking connect until the attempt has an end.
    fn hold_connect(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: &OwnedFd,
    ) -> Answer {
        let limit = time_limit(end, libc::SO_SNDTIMEO).map(|limit| (limit, Errno::INPROGRESS));
        let (me, sock, made) = (self.clone(), sock.clone(), *call);
        self.hold(call, limit, async move {
            me.settled(&sock).await;
            let mut state = lock(&sock.state);
            match &mut state.phase {
                Phase::Established { reported } => *reported = me.reply(&made, Ok(0)),
                _ => {
                    let error = state.error.unwrap_or(Errno::CONNABORTED);
                    let end = me
                        .table
                        .duplicate_of(&sock, made.tid, made.args[0] as RawFd);
                    if me.reply(&made, Err(error)) {
                        state.phase = Phase::Spent;
                        state.error = None;
                        end.and_then(|end| ends::take_error(end.as_fd()));
                    }
                }
            }
            Ok(Outcome::Answered)
        })
    }

    /// Waits until the socket is no longer connecting.
    pub(crate) async fn settled(&self, sock: &Sock<B::Socket>) {
        loop {
            let mut changed = std::pin::pin!(sock.changed.notified());
            changed.as_mut().enable();
            if !matches!(lock(&sock.state).phase, Phase::Connecting { .. }) {
                return;
            }
            changed.await;
        }
    }

    /// Sees an attempt through, and then carries the connection.
    async fn connecting(
        self: Arc<Self>,
        sock: Arc<Sock<B::Socket>>,
        node_end: Arc<OwnedFd>,
        filled: usize,
        place: Place,
    ) {
        let node_end = match ends::watch(node_end) {
            Ok(node_end) => node_end,
            Err(error) => return self.connect_failed(&sock, error),
        };
        let result = tokio::select! {
            result = poll_fn(|cx| sock.node.poll_connect(cx)) => result,
            // Nobody wants it any more.
            () = hung_up(&node_end) => {
                sock.node.abort();
                Err(Errno::CONNABORTED)
            }
        };
        if let Err(error) = result {
            return self.connect_failed(&sock, error);
        }
        let carrying = self.carrying();
        sock.adopt_connection(node_end.get_ref());
        lock(&sock.state).phase = Phase::Established { reported: false };
        let guard = self.open(&sock, &node_end, filled, place);
        sock.changed.notify_waiters();
        relay::carry(&self, &sock, node_end, guard, carrying).await;
    }

    /// An attempt has come to nothing. The state says so before the node's end is closed, which is what the program sees.
    fn connect_failed(&self, sock: &Sock<B::Socket>, error: Errno) {
        let mut state = lock(&sock.state);
        state.phase = Phase::Failed;
        state.error = Some(error);
        state.watched = false;
        drop(state);
        sock.changed.notify_waiters();
        self.want_sweep();
    }

    /// Makes the program's end writable, leaving the guard, and raises its send buffer where its descriptor can be found.
    fn open(
        &self,
        sock: &Sock<B::Socket>,
        node_end: &Watched,
        filled: usize,
        place: Place,
    ) -> Guard {
        match self.table.duplicate_of(sock, place.tid, place.fd) {
            Some(end) if sock.has_messages() => {
                ends::discard(node_end.as_fd(), filled);
                ends::raise(end.as_fd());
                Guard::Absent
            }
            Some(end) => {
                ends::discard(node_end.as_fd(), filled.saturating_sub(1));
                ends::size(end.as_fd(), lock(&sock.state).buffers.send);
                Guard::Present
            }
            // It has moved. Emptying alone makes it writable; the buffer is raised at its next call.
            None => {
                lock(&sock.state).small = true;
                ends::discard(node_end.as_fd(), filled);
                Guard::Absent
            }
        }
    }
}

/// Waits until the program's end is closed, or shut in both directions.
async fn hung_up(node_end: &Watched) {
    loop {
        let Ok(mut ready) = node_end.writable().await else {
            return;
        };
        if relay::events(node_end.as_fd()).contains(PollFlags::HUP) {
            return;
        }
        ready.clear_ready();
    }
}

/// Whether the program's descriptor closes on exec.
fn closes_on_exec(tid: i32, fd: RawFd) -> bool {
    let flags = std::fs::read_to_string(format!("/proc/{tid}/fdinfo/{fd}")).unwrap_or_default();
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|octal| i32::from_str_radix(octal.trim(), 8).ok())
        .is_some_and(|flags| flags & libc::O_CLOEXEC != 0)
}
