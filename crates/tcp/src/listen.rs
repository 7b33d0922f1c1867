//! LISTEN (RFC 9293 §3.10.7.2) and the backlog.
//!
//! A SYN makes a [`HalfOpen`] connection; its acknowledgment makes a connection that waits in the
//! accept queue. Both are limited: half-open ones by `tcp_max_syn_backlog`, the others by what
//! `listen` was given.

use crate::Tcp;
use crate::half_open::HalfOpen;
use crate::reset;
use crate::segment::Segment;
use crate::settings::Settings;
use crate::socket::Socket;
use sockeye_core::demux::{Claim, Endpoint, Flow};
use sockeye_core::{Context, Counter, Handle, Readiness, SocketId};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::Flags;
use std::collections::VecDeque;
use std::sync::Arc;

/// Half-open connections of all listeners together.
pub(crate) const HALF_OPEN_MAX: usize = 1 << 16;

/// A socket in LISTEN.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) settings: Arc<Settings>,
    pub(crate) local: Endpoint,
    pub(crate) claim: Claim,
    pub(crate) backlog: usize,
    /// Connections in SYN-RECEIVED.
    pub(crate) half_open: usize,
    /// Established connections that nobody has accepted.
    pub(crate) queue: VecDeque<SocketId>,
}

impl Listener {
    /// Whether the accept queue takes no more. As in Linux, a backlog of n takes n + 1.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() > self.backlog
    }
}

impl Tcp {
    /// RFC 9293 §3.10.7.2: a segment for `listener`, and no connection has its flow. `after` is the
    /// number that the new connection's ISS has to lie behind, when it follows one in TIME-WAIT.
    pub(crate) fn in_listen(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        flow: &Flow,
        segment: &Segment,
        after: Option<SeqNum>,
    ) {
        // First, a RST is ignored. Second, an ACK is bad. Fourth, anything else is dropped.
        if segment.has(Flags::RST) {
            return;
        }
        if segment.has(Flags::ACK) {
            reset::refuse(cx, flow, segment);
            return;
        }
        if !segment.has(Flags::SYN) {
            return;
        }
        // Third, the SYN.
        let half_open_all = self.half_open;
        let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) else {
            return;
        };
        if socket.is_full() {
            cx.counters.add(Counter::TcpExtListenOverflows);
            cx.drop_packet(Counter::TcpExtListenDrops);
            return;
        }
        if socket.half_open >= cx.config.syn_backlog_max || half_open_all >= HALF_OPEN_MAX {
            cx.counters.add(Counter::TcpExtTCPReqQFullDrop);
            cx.drop_packet(Counter::TcpExtListenDrops);
            return;
        }
        socket.half_open += 1;
        self.half_open += 1;
        let iss = after.unwrap_or_else(|| self.secrets.isn(flow, cx.now));
        let tie = socket.settings.common.device;
        let half_open = HalfOpen::new(cx, listener, flow, segment, iss, &socket.settings);
        let id = self.sockets.insert(Socket::HalfOpen(half_open));
        self.demux.connect(id, *flow, tie, false);
        self.answer_half_open(cx, id);
    }

    /// A connection of `listener` stands: it waits to be accepted.
    pub(crate) fn queue_for_accept(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        id: SocketId,
    ) {
        if let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) {
            socket.queue.push_back(id);
            let handle = Handle {
                transport: sockeye_core::TransportId::TCP,
                id: listener,
            };
            cx.set_ready(handle, Readiness::READABLE);
        }
    }
}
