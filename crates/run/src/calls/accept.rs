//! accept(2) and accept4(2).
//!
//! The connection is the program's at the moment the kernel gives it the descriptor and the result in one step. If the call was
//! interrupted before, nothing has happened: connection and token go back to the head of the queue.

use crate::backend::{Backend, Errno, Type};
use crate::calls::listen::Listening;
use crate::descriptors::{Phase, Sock, lock, nonblocking, time_limit};
use crate::ends;
use crate::relay;
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::Call;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd, RawFd};
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
        if let Some(answer) = self.try_accept(call, sock, &listening, flags, Some(&end)) {
            return answer;
        }
        if nonblocking(end.as_fd()) {
            return Err(Errno::AGAIN);
        }
        let limit = time_limit(&end, libc::SO_RCVTIMEO).map(|limit| (limit, Errno::AGAIN));
        drop(end);
        let (me, sock, made) = (self.clone(), sock.clone(), *call);
        self.hold(call, limit, async move {
            loop {
                let mut arrived = std::pin::pin!(listening.arrived.notified());
                arrived.as_mut().enable();
                if let Some(answer) = me.try_accept(&made, &sock, &listening, flags, None) {
                    return answer;
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
                listening.taken();
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
        (listener, its_end): (&Sock<B::Socket>, Option<&OwnedFd>),
        node: &Arc<B::Socket>,
        peer: SocketAddr,
        flags: i32,
    ) -> Result<(), Errno> {
        let [_, at, len_at, ..] = call.args;
        if at != 0 {
            self.memory(call).write_address(at, len_at, peer)?;
        }
        let (end, node_end, name) = self
            .ends
            .connected(listener.end_kind(), flags & libc::SOCK_NONBLOCK != 0)?;
        if let Some(its_end) = its_end {
            ends::copy_options(its_end.as_fd(), end.as_fd());
        }
        let kind = (listener.domain, Type::Stream, listener.protocol);
        let phase = Phase::Established { reported: true };
        let sock = Arc::new(Sock::new(end.as_fd(), name, kind, node.clone(), phase)?);
        lock(&sock.state).reset_on_close = lock(&listener.state).reset_on_close;
        self.table.insert(sock.clone())?;
        let carrying = self.carrying();
        if let Err(error) =
            self.listener
                .answer_with(call.id, end.as_fd(), flags & libc::SOCK_CLOEXEC != 0)
        {
            self.table.remove(sock.cookie);
            return Err(if error == Errno::NOENT {
                Errno::INTR
            } else {
                error
            });
        }
        drop(end);
        self.runtime
            .spawn(relay::begin(self.clone(), sock, node_end, carrying));
        Ok(())
    }
}
