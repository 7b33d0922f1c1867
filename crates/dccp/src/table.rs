//! The table of sockets: what follows from a connection's state once a call, a packet or a timer is
//! done with it.

use crate::Dccp;
use crate::conn::Conn;
use crate::socket::Socket;
use crate::state::State;
use core::time::Duration;
use sockeye_core::{Context, Error, Handle, InterfaceId, SocketId, TransportId};

/// Packets that one connection sends before it is another's turn.
const SHARE: usize = 16;
/// How long a connection without a route waits until it looks again.
const NO_ROUTE_WAIT: Duration = Duration::from_secs(1);

impl Dccp {
    /// The name of a socket in the node.
    pub(crate) const fn handle(id: SocketId) -> Handle {
        Handle {
            transport: TransportId::DCCP,
            id,
        }
    }

    /// A socket that the user holds.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub(crate) fn held(&self, id: SocketId) -> Result<&Socket, Error> {
        let socket = self.sockets.get(id).filter(|socket| socket.is_held());
        socket.ok_or(Error::BadSocket)
    }

    /// See [`held`](Self::held).
    pub(crate) fn held_mut(&mut self, id: SocketId) -> Result<&mut Socket, Error> {
        let socket = self.sockets.get_mut(id).filter(|socket| socket.is_held());
        socket.ok_or(Error::BadSocket)
    }

    /// A connection that the user holds, in whichever state.
    ///
    /// # Errors
    /// [`Error::BadSocket`], or [`Error::NotConnected`] when it is no connection.
    pub(crate) fn connection(&mut self, id: SocketId) -> Result<&mut Conn, Error> {
        match self.held_mut(id)? {
            Socket::Connection(conn) => Ok(conn),
            _ => Err(Error::NotConnected),
        }
    }

    /// Brings the tables up to a connection's state: timer, list of senders, TIMEWAIT, the end.
    pub(crate) fn settle(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::Connection(conn)) = self.sockets.get_mut(id) else {
            return;
        };
        conn.account(cx);
        match conn.state {
            State::Closed => {
                self.leave_time_wait(cx, id);
                self.retire(cx, id);
            }
            State::TimeWait => self.begin_time_wait(cx, id),
            _ => {
                conn.after_transmit(cx);
                if conn.has_output(cx.now) && !conn.marks.listed {
                    match conn.route(cx) {
                        Ok(route) => {
                            conn.marks.listed = true;
                            self.pending.push(route.interface, id);
                        }
                        Err(_) => conn.deadlines.pace = cx.now + NO_ROUTE_WAIT,
                    }
                }
                conn.arm(cx);
            }
        }
    }

    /// A connection has ended: its flow and port are free; the socket stays while somebody holds it.
    pub(crate) fn retire(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::Connection(conn)) = self.sockets.get_mut(id) else {
            return;
        };
        cx.timers.disarm(&mut conn.timer);
        if core::mem::take(&mut conn.marks.linked) {
            self.flows.disconnect(id, &conn.tuple);
        }
        if let Some(claim) = conn.claim.take() {
            self.flows.demux.release(&claim);
        }
        if !conn.marks.user && !conn.marks.unaccepted {
            conn.release_memory(cx);
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
        let mut idle = 0;
        while left > 0 && idle <= self.pending.len(interface) && cx.tx_room(interface) > 0 {
            let Some(id) = self.pending.pop(interface) else {
                break;
            };
            let Some(Socket::Connection(conn)) = self.sockets.get_mut(id) else {
                continue;
            };
            conn.marks.listed = false;
            // The way may have changed since it was listed.
            match conn.route(cx) {
                Ok(route) if route.interface == interface && !conn.state.has_ended() => {
                    let sent = conn.transmit(cx, left.min(SHARE));
                    left = left.saturating_sub(sent);
                    idle = if sent == 0 { idle + 1 } else { 0 };
                }
                _ => idle += 1,
            }
            self.settle(cx, id);
        }
        self.pending.len(interface) > 0
    }
}
