//! accept(2) and accept4(2).
//!
//! The connection is the program's at the moment the kernel gives it the descriptor and the result in one step. If the call was
//! interrupted before, nothing has happened: connection and token go back to the head of the queue.

use crate::backend::{Backend, Errno, NodeSocket as _};
use crate::calls::listen::Listening;
use crate::calls::names::TURNS_TO_CLOSE;
use crate::descriptors::{Phase, Sock, lock, nonblocking, time_limit};
use crate::ends::{self, Kind};
use crate::filter::ASKED;
use crate::relay;
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::Call;
use rustix::net;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

impl<B: Backend> Supervisor<B> {
    pub(crate) fn accept(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
        flags: i32,
    ) -> Answer {
        if flags & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
            return Err(Errno::INVAL);
        }
        if !sock.is_stream() {
            return Err(Errno::OPNOTSUPP);
        }
        let listening = match &lock(&sock.state).phase {
            Phase::Listening(listening) => listening.clone(),
            _ => return Err(Errno::INVAL),
        };
        let (waits, patient) = (!nonblocking(end.as_fd()), sock.has_messages());
        if !patient {
            if let Some(answer) = self.try_accept(call, sock, &listening, flags, Some(&end)) {
                return answer;
            }
            if !waits {
                return Err(Errno::AGAIN);
            }
        }
        let limit = time_limit(&end, libc::SO_RCVTIMEO).map(|limit| (limit, Errno::AGAIN));
        drop(end);
        let (me, sock, made) = (self.clone(), sock.clone(), *call);
        self.hold(call, limit, async move {
            if patient {
                // What the peer of a connection has closed in the same run has ended before it is accepted.
                for _ in 0..TURNS_TO_CLOSE {
                    tokio::task::yield_now().await;
                }
            }
            loop {
                let mut arrived = std::pin::pin!(listening.arrived.notified());
                arrived.as_mut().enable();
                if let Some(answer) = me.try_accept(&made, &sock, &listening, flags, None) {
                    return answer;
                }
                if !waits {
                    return Err(Errno::AGAIN);
                }
                arrived.await;
            }
        })
    }

    /// Accepts a connection that waits, if one does. `end` is the listener's own descriptor where the caller has it.
    fn try_accept(
        self: &Arc<Self>,
        call: &Call,
        sock: &Sock<B::Socket>,
        listening: &Listening<B::Socket>,
        flags: i32,
        end: Option<&OwnedFd>,
    ) -> Option<Answer> {
        if listening.is_closed() {
            listening.arrived.notify_one(); // the next one is to know it too
            return Some(Err(Errno::INVAL));
        }
        let _turn = lock(&listening.turn);
        let ((node, peer), tokens) = listening.take()?;
        // The token goes first: once the call returns, the program must not find it.
        let found = match end {
            Some(_) => None,
            None => self
                .table
                .duplicate_of(sock, call.tid, call.args[0] as RawFd),
        };
        let end = end.or(found.as_ref());
        if let Some(end) = end {
            ends::discard(end.as_fd(), tokens);
        }
        match self.give(call, (sock, end), &node, peer, flags) {
            Ok(()) => {
                listening.taken(&sock.node);
                Some(Ok(Outcome::Answered))
            }
            Err(error) => {
                listening.put_back((node, peer));
                // Interrupted: the call is over, whoever waits next may have it.
                Some(if error == Errno::INTR {
                    Ok(Outcome::Answered)
                } else {
                    Err(error)
                })
            }
        }
    }

    /// Gives the program a descriptor of the connection, with the options of the listener.
    fn give(
        self: &Arc<Self>,
        call: &Call,
        listener: (&Sock<B::Socket>, Option<&OwnedFd>),
        node: &Arc<B::Socket>,
        peer: SocketAddr,
        flags: i32,
    ) -> Result<(), Errno> {
        let [_, at, len_at, ..] = call.args;
        if at != 0 {
            self.memory(call).write_address(at, len_at, peer)?;
        }
        let made = self.connection(listener, node, flags & libc::SOCK_NONBLOCK != 0)?;
        if made.sock.has_messages() && node.peer_addr().is_err() {
            // It has ended already: what came is there to be read, but nothing is taken any more.
            let _ = net::shutdown(&made.node_end, net::Shutdown::Read);
        }
        let carrying = self.carrying();
        let close_on_exec = flags & libc::SOCK_CLOEXEC != 0;
        let (sock, end) = (&made.sock, made.end.as_fd());
        if let Err(error) = self.answer_with_socket(call, sock, end, close_on_exec) {
            self.table.remove(made.sock.cookie);
            return Err(if error == Errno::NOENT {
                Errno::INTR
            } else {
                error
            });
        }
        drop(made.end);
        let carried = relay::begin(self.clone(), made.sock, made.node_end, carrying);
        self.runtime.spawn(carried);
        Ok(())
    }

    /// Gives the program a descriptor of a socket, and ends the call with its number. Sockets with messages have numbers of
    /// their own, if there is one that is free and that the program may have.
    pub(crate) fn answer_with_socket(
        &self,
        call: &Call,
        sock: &Sock<B::Socket>,
        end: BorrowedFd<'_>,
        close_on_exec: bool,
    ) -> Result<(), Errno> {
        if let Some(at) = self.asked_number(call, sock) {
            match self.listener.answer_at(call.id, end, at, close_on_exec) {
                Err(Errno::BADF | Errno::MFILE | Errno::INVAL) => {}
                done => return done,
            }
        }
        self.listener.answer_with(call.id, end, close_on_exec)
    }

    /// A free number at which plain calls are asked, for a socket that needs it.
    pub(crate) fn asked_number(&self, call: &Call, sock: &Sock<B::Socket>) -> Option<RawFd> {
        let carries = sock.has_messages() || sock.is_sctp();
        carries.then(|| free_asked_number(call)).flatten()
    }

    /// Makes a socket of a connection that the node has, with the options of the socket that it comes from.
    pub(crate) fn connection(
        &self,
        (origin, its_end): (&Sock<B::Socket>, Option<&OwnedFd>),
        node: &Arc<B::Socket>,
        nonblocking: bool,
    ) -> Result<Made<B::Socket>, Errno> {
        let kind = match origin.end_kind() {
            Kind::Stream => Kind::Stream,
            Kind::Packets | Kind::Datagrams => Kind::Packets,
        };
        let (end, node_end, name) = self.ends.connected(kind, nonblocking)?;
        if let Some(its_end) = its_end {
            ends::copy_options(its_end.as_fd(), end.as_fd());
        }
        let kind = (origin.domain, origin.ty, origin.protocol);
        let phase = Phase::Established { reported: true };
        let sock = Arc::new(Sock::new(end.as_fd(), name, kind, node.clone(), phase)?);
        let of_origin = lock(&origin.state);
        let mut state = lock(&sock.state);
        state.reset_on_close = of_origin.reset_on_close;
        state.buffers = of_origin.buffers;
        state.buffers.written = false;
        if let Some(asked) = state
            .buffers
            .send
            .filter(|_| sock.end_kind() == Kind::Stream)
        {
            ends::size(end.as_fd(), Some(asked));
        }
        drop((of_origin, state));
        let node_end = Arc::new(node_end);
        sock.adopt_connection(&node_end);
        self.table.insert(sock.clone())?;
        Ok(Made {
            sock,
            end,
            node_end,
        })
    }
}

/// A connection that the program is about to get.
pub(crate) struct Made<S> {
    pub(crate) sock: Arc<Sock<S>>,
    pub(crate) end: OwnedFd,
    pub(crate) node_end: Arc<OwnedFd>,
}

/// A free number at which plain calls are asked.
pub(crate) fn free_asked_number(call: &Call) -> Option<RawFd> {
    let is_free = |number: &RawFd| {
        let place = format!("/proc/{}/fd/{number}", call.tid);
        let looked = std::fs::symlink_metadata(place);
        looked.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    ASKED.clone().find(is_free)
}
