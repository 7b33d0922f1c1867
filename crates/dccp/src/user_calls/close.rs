//! The end of connections and sockets (RFC 4340 §8.3).

use crate::Dccp;
use crate::conn::Conn;
use crate::socket::{Fresh, Socket};
use crate::state::State;
use core::time::Duration;
use sockeye_core::demux::Sharing;
use sockeye_core::socket::Shutdown;
use sockeye_core::{Context, Error, Readiness, SocketId};
use sockeye_wire::dccp::ResetCode;

impl Dccp {
    /// Ends one half of a connection, or with both the connection, once what is queued has left; the
    /// user keeps the socket.
    ///
    /// # Errors
    /// [`Error::NotConnected`] when there is no connection.
    pub fn shutdown(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        how: Shutdown,
    ) -> Result<(), Error> {
        if let Socket::Listening(_) = self.held(id)? {
            if how.reads() {
                self.stop_listening(cx, id);
            }
            return Ok(());
        }
        let conn = self.connection(id)?;
        if conn.state.has_ended() {
            return Err(Error::NotConnected);
        }
        if how.reads() {
            conn.marks.read_shut = true;
            conn.signal(cx, Readiness::READABLE | Readiness::READ_CLOSED);
        }
        conn.marks.write_shut |= how.writes();
        if conn.marks.read_shut && conn.marks.write_shut {
            conn.close(cx);
        }
        self.settle(cx, id);
        Ok(())
    }

    /// The user gives the socket up. What is queued still leaves, then the connection closes; with
    /// messages unread or SO_LINGER of zero it is aborted, as Linux does.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn close(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        match self.held_mut(id)? {
            Socket::Fresh(fresh) => {
                let bound = fresh.bound;
                self.sockets.remove(id);
                if let Some((_, claim)) = bound {
                    self.flows.demux.release(&claim);
                }
            }
            Socket::Listening(_) => {
                self.stop_listening(cx, id);
                return self.close(cx, id);
            }
            Socket::HalfOpen(_) | Socket::TimeWait(_) => return Err(Error::BadSocket),
            Socket::Connection(conn) => {
                conn.marks.user = false;
                let unread = !conn.received.is_empty();
                if unread || conn.settings.linger == Some(Duration::ZERO) {
                    conn.abort(cx, ResetCode::ABORTED, [0; 3]);
                }
                conn.received.clear();
                conn.close(cx);
                self.settle(cx, id);
            }
        }
        Ok(())
    }

    /// A Reset now; nothing of the connection is kept. The user keeps the socket.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn abort(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        match self.held_mut(id)? {
            Socket::Listening(_) => self.stop_listening(cx, id),
            Socket::Connection(conn) => {
                conn.abort(cx, ResetCode::ABORTED, [0; 3]);
                if conn.state == State::TimeWait {
                    conn.state = State::Closed;
                }
                self.settle(cx, id);
            }
            _ => {}
        }
        Ok(())
    }

    /// A listener listens no more: what waited there is reset.
    pub(crate) fn stop_listening(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::Listening(listener)) = self.sockets.get_mut(id) else {
            return;
        };
        let waiting = core::mem::take(&mut listener.queue);
        let (local, mut claim) = (listener.local, listener.claim);
        let settings = listener.settings.clone();
        match &mut listener.invitation {
            None => self.flows.demux.stop_receiving(id, &claim),
            Some(invitation) => {
                cx.timers.disarm(&mut invitation.timer);
                if invitation.linked {
                    self.flows.disconnect(id, &invitation.tuple);
                }
            }
        }
        let sharing = Sharing {
            listening: false,
            ..claim.sharing
        };
        self.flows.demux.reshare(&mut claim, sharing);
        if let Some(socket) = self.sockets.get_mut(id) {
            *socket = Socket::Fresh(Box::new(Fresh {
                settings,
                bound: Some((local, claim)),
                error: None,
            }));
        }
        for child in waiting {
            if let Some(Socket::Connection(conn)) = self.sockets.get_mut(child) {
                conn.marks.unaccepted = false;
                conn.abort(cx, ResetCode::ABORTED, [0; 3]);
                self.settle(cx, child);
            }
        }
        let half_open = self.sockets.iter().filter(|(_, socket)| match socket {
            Socket::HalfOpen(half_open) => half_open.listener == id,
            _ => false,
        });
        let half_open: Vec<SocketId> = half_open.map(|(id, _)| id).collect();
        for child in half_open {
            self.half_open_timeout(cx, child);
        }
        cx.set_ready(
            Self::handle(id),
            Readiness::READABLE | Readiness::HANGUP | Readiness::READ_CLOSED,
        );
    }

    /// Closed sockets whose connections have not come to their end.
    #[must_use]
    pub fn pending_close(&self) -> usize {
        let sockets = self.sockets.iter();
        let owing = sockets.filter(|(_, socket)| match socket {
            Socket::Connection(conn) => {
                !conn.marks.user && !conn.marks.unaccepted && !conn.state.has_ended()
            }
            _ => false,
        });
        owing.count()
    }

    /// Ends with a Reset what [`pending_close`](Self::pending_close) counts: the node goes.
    pub fn abort_closed(&mut self, cx: &mut Context<'_>) {
        let owing = self.sockets.iter().filter(|(_, socket)| match socket {
            Socket::Connection(conn) => !conn.marks.user && !conn.marks.unaccepted,
            _ => false,
        });
        let owing: Vec<SocketId> = owing.map(|(id, _)| id).collect();
        for id in owing {
            if let Some(Socket::Connection(conn)) = self.sockets.get_mut(id) {
                conn.abort(cx, ResetCode::ABORTED, [0; 3]);
                self.settle(cx, id);
            }
        }
    }
}

impl Conn {
    /// No more is sent after what is queued.
    fn close(&mut self, cx: &mut Context<'_>) {
        match self.state {
            // Nobody knows whether the Request has arrived.
            State::Request => self.abort(cx, ResetCode::ABORTED, [0; 3]),
            State::Respond | State::PartOpen | State::Open => self.marks.closing = true,
            _ => {}
        }
    }
}
