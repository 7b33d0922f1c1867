//! What becomes of the connections that wait at a listener when it closes. One that shares its
//! binding (SO_REUSEPORT) takes them over where `tcp_migrate_req` says so, as in Linux. Else those
//! that nobody has accepted are reset, and half-open ones are forgotten as they show up.
//!
//! Unlike Linux's, a listener takes no more than its accept queue holds.

use crate::Tcp;
use crate::socket::Socket;
use crate::tcb::Origin;
use sockeye_core::demux::{Claim, Flow};
use sockeye_core::{Context, Counter, SocketId};
use std::collections::VecDeque;

/// What a listener that has closed leaves.
pub(crate) struct Left {
    /// Where it listened.
    pub(crate) claim: Claim,
    /// Established connections that nobody has accepted.
    pub(crate) queue: VecDeque<SocketId>,
    /// How many half-open ones name it as theirs.
    pub(crate) half_open: usize,
}

impl Tcp {
    /// Finds places for what `closed`, which is in no table any more, has left.
    pub(crate) fn migrate(&mut self, cx: &mut Context<'_>, closed: SocketId, left: Left) {
        let Left {
            claim,
            queue,
            half_open,
        } = left;
        let shared = claim.sharing.reuse_port;
        let moves = shared && cx.config.tcp_migrate_req;
        for waiting in queue {
            let moved = moves && self.migrate_connection(cx, waiting, &claim);
            if shared {
                count(cx, moved);
            }
            if !moved {
                self.reset_unaccepted(cx, waiting);
            }
        }
        if moves && half_open > 0 {
            self.migrate_half_open(cx, closed, &claim);
        }
    }

    fn reset_unaccepted(&mut self, cx: &mut Context<'_>, id: SocketId) {
        if let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) {
            tcb.marks.unaccepted = false;
            tcb.abort(cx);
            self.settle(cx, id);
        }
    }

    /// Whether another listener has taken a connection that nobody has accepted.
    fn migrate_connection(&mut self, cx: &mut Context<'_>, id: SocketId, claim: &Claim) -> bool {
        let Some(Socket::Connection(tcb)) = self.sockets.get(id) else {
            return false;
        };
        let unproven = tcb.fast_open.as_ref().is_some_and(|open| open.counted);
        let Some(mate) = self.mate(claim, &tcb.flow) else {
            return false;
        };
        match self.sockets.get_mut(mate) {
            Some(Socket::Listening(listener)) if !listener.is_full() => {
                if unproven {
                    listener.fast_open.adopt();
                }
            }
            _ => return false,
        }
        if let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) {
            tcb.origin = Origin::Passive(mate);
        }
        self.queue_for_accept(cx, mate, id);
        true
    }

    /// Gives each half-open connection of `closed` to another listener.
    fn migrate_half_open(&mut self, cx: &mut Context<'_>, closed: SocketId, claim: &Claim) {
        let of_closed = self.sockets.iter().filter_map(|(id, socket)| match socket {
            Socket::HalfOpen(half_open) if half_open.listener == closed => {
                Some((id, half_open.flow))
            }
            _ => None,
        });
        let of_closed: Vec<(SocketId, Flow)> = of_closed.collect();
        for (id, flow) in of_closed {
            let mate = self.mate(claim, &flow);
            count(cx, mate.is_some());
            let Some(mate) = mate else { continue };
            let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) else {
                continue;
            };
            half_open.listener = mate;
            let young = half_open.is_young();
            if let Some(Socket::Listening(listener)) = self.sockets.get_mut(mate) {
                listener.half_open += 1;
                listener.young += usize::from(young);
            }
        }
    }

    /// The listener that takes over `flow` from one that had `claim`.
    fn mate(&self, claim: &Claim, flow: &Flow) -> Option<SocketId> {
        let mate = self.demux.mate(claim, flow)?;
        let listens = matches!(self.sockets.get(mate), Some(Socket::Listening(_)));
        listens.then_some(mate)
    }
}

fn count(cx: &mut Context<'_>, moved: bool) {
    cx.counters.add(match moved {
        true => Counter::TcpExtTCPMigrateReqSuccess,
        false => Counter::TcpExtTCPMigrateReqFailure,
    });
}
