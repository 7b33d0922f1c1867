//! The table of sockets: what follows from a connection's state once a call, a segment or a timer
//! is done with it.

use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::{State, Tcp};
use sockeye_core::{Context, Error, Handle, InterfaceId, SocketId, TransportId};

impl Tcp {
    /// The name of a socket in the node.
    pub(crate) fn handle(id: SocketId) -> Handle {
        Handle {
            transport: TransportId::TCP,
            id,
        }
    }

    /// A socket that the user holds.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub(crate) fn held(&self, id: SocketId) -> Result<&Socket, Error> {
        self.sockets
            .get(id)
            .filter(|socket| socket.is_held())
            .ok_or(Error::BadSocket)
    }

    /// See [`held`](Self::held). A connection is unpacked then.
    pub(crate) fn held_mut(&mut self, id: SocketId) -> Result<&mut Socket, Error> {
        self.unpack(id);
        self.sockets
            .get_mut(id)
            .filter(|socket| socket.is_held())
            .ok_or(Error::BadSocket)
    }

    /// A connection that the user holds, in whichever state.
    ///
    /// # Errors
    /// [`Error::BadSocket`], or [`Error::NotConnected`] when it is no connection.
    pub(crate) fn connection(&mut self, id: SocketId) -> Result<&mut Tcb, Error> {
        self.held_mut(id)?.tcb_mut().ok_or(Error::NotConnected)
    }

    /// Brings the tables up to a connection's state: timer, list of senders, TIME-WAIT, the end.
    pub(crate) fn settle(&mut self, cx: &mut Context<'_>, id: SocketId) {
        self.settle_after(cx, id, false);
    }

    /// [`settle`](Self::settle); a connection that has just `drained` is not asked once more for what
    /// it has to send.
    fn settle_after(&mut self, cx: &mut Context<'_>, id: SocketId, drained: bool) {
        self.settle_fast_open(cx, id);
        self.account(cx, id);
        let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) else {
            return;
        };
        match tcb.state {
            State::Closed => self.retire(cx, id),
            State::TimeWait => self.begin_time_wait(cx, id),
            _ => {
                if drained {
                    debug_assert!(!tcb.has_output(cx.now), "what has drained has no output");
                } else if !tcb.has_output(cx.now) {
                    tcb.after_transmit(cx.now);
                } else if !tcb.marks.listed {
                    match tcb.route(cx) {
                        Ok(route) => {
                            tcb.marks.listed = true;
                            self.pending.push(route.interface, id);
                        }
                        Err(_) => tcb.wait_for_route(cx.now),
                    }
                }
                tcb.arm(cx);
                if !tcb.marks.resting {
                    self.note_rest(cx, id);
                }
            }
        }
    }

    /// A connection has ended: its flow and port are free; the socket stays while somebody holds
    /// it.
    fn retire(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) else {
            return;
        };
        cx.timers.disarm(&mut tcb.timer);
        if core::mem::take(&mut tcb.marks.linked) {
            self.demux.disconnect(id, tcb.flow);
            if tcb.marks.foreign {
                self.intercept.foreign_ended(cx);
            }
        }
        if let Some(claim) = tcb.claim.take() {
            self.demux.release(&claim);
        }
        if core::mem::take(&mut tcb.marks.orphan) {
            self.orphans -= 1;
        }
        if !tcb.marks.user && !tcb.marks.unaccepted {
            tcb.release_memory(cx);
            self.sockets.remove(id);
        }
    }

    /// Lets connections of `interface` send: at most `budget` packets. True when there is more.
    pub(crate) fn transmit(
        &mut self,
        cx: &mut Context<'_>,
        interface: InterfaceId,
        budget: usize,
    ) -> bool {
        let mut left = budget;
        // Those that stand there now, each once at least; then on while any of them sends.
        let mut idle = 0;
        while left > 0 && idle <= self.pending.len(interface) && cx.tx_room(interface) > 0 {
            let Some(id) = self.pending.pop(interface) else {
                break;
            };
            let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) else {
                continue;
            };
            tcb.marks.listed = false;
            let mut drained = false;
            // The way may have changed since it was listed.
            match tcb.route(cx) {
                Ok(route) if route.interface == interface => {
                    let sent;
                    (sent, drained) = tcb.transmit_and_tell(cx, left.min(SHARE));
                    left = left.saturating_sub(sent);
                    idle = if sent == 0 { idle + 1 } else { 0 };
                }
                _ => idle += 1,
            }
            // Whoever has more goes to the end of the list, and of what list, the route says.
            self.settle_after(cx, id, drained);
        }
        self.pending.len(interface) > 0
    }
}

/// Packets that one connection sends before it is another's turn.
const SHARE: usize = 16;
