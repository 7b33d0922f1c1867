//! What connections hold of the node's memory, and what they do without when it is short.
//!
//! A connection's text counts with the memory that it keeps, not with its length: received packets
//! are slices of larger buffers, and what is out of order needs a table. SO_RCVBUF limits one
//! connection; [`Memory`](sockeye_core::Memory) all of them.

use crate::Tcp;
use crate::socket::Socket;
use crate::tcb::Tcb;
use sockeye_core::socket::SEND_BUFFER_MIN;
use sockeye_core::{Context, Counter, Readiness, SocketId, TransportId};

/// Segments that a connection under pressure still offers to take (Linux: 4 * advmss).
const PRESSED_SEGMENTS: u32 = 4;

impl Tcp {
    /// Brings the node's account up to what a connection holds now, and lets those go on that were
    /// refused for want of memory.
    pub(crate) fn account(&mut self, cx: &mut Context<'_>, id: SocketId) {
        if let Some(tcb) = self.sockets.get_mut(id).and_then(Socket::tcb_mut) {
            tcb.account(cx);
            if tcb.marks.starved && !core::mem::replace(&mut tcb.marks.queued_starved, true) {
                self.starved.push(id);
            }
        }
        if !self.starved.is_empty() {
            self.feed(cx);
        }
    }

    /// There is memory again: who waited for some may try.
    pub(crate) fn feed(&mut self, cx: &mut Context<'_>) {
        if cx.memory.is_full() {
            return;
        }
        for id in core::mem::take(&mut self.starved) {
            if let Some(tcb) = self.sockets.get_mut(id).and_then(Socket::tcb_mut) {
                tcb.marks.starved = false;
                tcb.marks.queued_starved = false;
                if tcb.is_writable() {
                    tcb.signal(cx, Readiness::WRITABLE);
                }
            }
        }
    }
}

impl Tcb {
    /// Bytes of memory that received text keeps.
    pub(crate) fn pinned(&self) -> usize {
        self.received.pinned() + self.reassembly.pinned()
    }

    fn account(&mut self, cx: &mut Context<'_>) {
        let held = self.pinned() + self.queue.pinned();
        if held != self.charged && cx.memory.charge(TransportId::TCP, &mut self.charged, held) {
            cx.counters.add(Counter::TcpExtTCPMemoryPressures);
        }
        if cx.memory.is_under_pressure() {
            self.do_with_less(cx);
        }
    }

    /// The connection goes, and with it all that it holds.
    pub(crate) fn release_memory(&mut self, cx: &mut Context<'_>) {
        cx.memory.charge(TransportId::TCP, &mut self.charged, 0);
    }

    /// Under pressure a window that is half used opens no further than a few segments; when memory is
    /// full, a send buffer that tunes itself shrinks to half of what is in it.
    fn do_with_less(&mut self, cx: &Context<'_>) {
        if self.waiting() > self.rcv.space() as usize / 2 {
            let few = self.mss.saturating_mul(PRESSED_SEGMENTS);
            self.rcv.ssthresh = self.rcv.ssthresh.min(few);
        }
        if cx.memory.is_full() && !self.settings.send_buffer_locked {
            let half = self.queue.len() as usize / 2;
            self.send_buffer = self.send_buffer.min(half.max(SEND_BUFFER_MIN));
        }
    }

    /// Whether text that is next in order may be kept. Who holds nothing is not refused: else
    /// nobody could ever read, and give memory back.
    pub(crate) fn may_accept(&mut self, cx: &mut Context<'_>) -> bool {
        if !cx.memory.is_full() || self.received.len() == 0 {
            return true;
        }
        cx.counters.add(Counter::TcpExtPruneCalled);
        self.prune(cx);
        self.account(cx);
        if cx.memory.is_full() {
            cx.drop_packet(Counter::TcpExtTCPRcvQDrop);
            return false;
        }
        true
    }

    /// Whether text that is out of order may be kept: it can be got again.
    pub(crate) fn may_reassemble(&self, cx: &mut Context<'_>) -> bool {
        if cx.memory.is_full() {
            cx.drop_packet(Counter::TcpExtTCPOFODrop);
            return false;
        }
        true
    }

    /// Keeps the memory behind received text near SO_RCVBUF: packets are copied into just the room
    /// that their text needs, and what is out of order goes at last; under pressure at first. Copying
    /// waits until there is twice as much as after the last time, so that it costs each byte a
    /// constant.
    pub(crate) fn limit_memory(&mut self, cx: &mut Context<'_>) {
        let limit = self.rcv.buffer;
        let pinned = self.pinned();
        let pressed = cx.memory.is_under_pressure() && pinned > cx.config.tcp_rmem.0;
        if pinned <= limit && !pressed {
            return;
        }
        if self.pinned() / 2 >= self.compacted {
            cx.counters.add(Counter::TcpExtPruneCalled);
            cx.counters.add(Counter::TcpExtTCPRcvCollapsed);
            self.reassembly.compact();
            self.received.compact();
            self.compacted = self.pinned();
        }
        if pressed || self.pinned() / 2 > limit {
            self.prune(cx);
        }
    }

    /// RFC 2018 §8: what came out of order may be dropped though it was reported.
    fn prune(&mut self, cx: &mut Context<'_>) {
        if !self.reassembly.is_empty() {
            cx.drop_packet(Counter::TcpExtOfoPruned);
            self.reassembly.clear();
        }
    }
}
