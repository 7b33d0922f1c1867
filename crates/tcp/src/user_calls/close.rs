//! CLOSE and ABORT (RFC 9293 §3.10.4, §3.10.5).

use crate::migrate::Left;
use crate::socket::{Bound, Fresh, Socket};
use crate::tcb::Tcb;
use crate::{State, Tcp};
use core::time::Duration;
use sockeye_core::demux::Sharing;
use sockeye_core::socket::{SEND_BUFFER_MIN, Shutdown};
use sockeye_core::{Context, Counter, Error, Readiness, SocketId};

impl Tcp {
    /// CLOSE of one direction or both; the user keeps the socket.
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
            // Linux: a listener that is shut down for reading listens no more.
            if how.reads() {
                self.stop_listening(cx, id);
            }
            return Ok(());
        }
        let tcb = self.connection(id)?;
        if tcb.state == State::Closed {
            return Err(Error::NotConnected);
        }
        if how.reads() && !tcb.marks.read_shut {
            tcb.marks.read_shut = true;
            tcb.signal(cx, Readiness::READABLE | Readiness::READ_CLOSED);
        }
        if how.writes() {
            tcb.close_sending(cx);
        }
        self.settle(cx, id);
        Ok(())
    }

    /// CLOSE by the user, who gives the socket up. What was sent still goes out, then the FIN;
    /// with text unread, or SO_LINGER of zero, a reset.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn close(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        match self.held_mut(id)? {
            Socket::Fresh(fresh) => {
                let bound = fresh.bound;
                self.sockets.remove(id);
                if let Some(claim) = bound.and_then(|bound| bound.claim) {
                    self.demux.release(&claim);
                }
            }
            Socket::Listening(_) => {
                self.stop_listening(cx, id);
                return self.close(cx, id);
            }
            Socket::HalfOpen(_) | Socket::Packed(_) => return Err(Error::BadSocket),
            Socket::TimeWait(time_wait) => {
                if let Some(mut tcb) = time_wait.user.take() {
                    tcb.release_memory(cx);
                }
            }
            Socket::Connection(tcb) => {
                tcb.marks.user = false;
                // RFC 9293 §3.6.1 (MAY-1, SHLD-3): what was not read is lost, and a reset says so.
                let reset = if tcb.waiting() > 0 {
                    Some(Counter::TcpExtTCPAbortOnClose)
                } else if tcb.settings.linger == Some(Duration::ZERO) {
                    Some(Counter::TcpExtTCPAbortOnData)
                } else {
                    None
                };
                if let Some(why) = reset {
                    if tcb.state != State::Closed {
                        cx.counters.add(why);
                    }
                    tcb.abort(cx);
                } else {
                    tcb.close_sending(cx);
                    if tcb.state == State::FinWait2 {
                        tcb.enter_fin_wait_2(cx);
                    }
                }
                self.orphaned(cx, id);
                self.settle(cx, id);
            }
        }
        Ok(())
    }

    /// Counts a connection that nobody holds any more; one too many is reset.
    fn orphaned(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) else {
            return;
        };
        if tcb.state == State::Closed || tcb.marks.orphan {
            return;
        }
        tcb.marks.orphan = true;
        self.orphans += 1;
        // Linux: too many, or no memory for what nobody waits for.
        let starving = cx.memory.is_full() && tcb.queue.len() as usize > SEND_BUFFER_MIN;
        if self.orphans > cx.config.tcp_max_orphans || starving {
            cx.counters.add(Counter::TcpExtTCPAbortOnMemory);
            tcb.abort(cx);
        }
    }

    /// ABORT: a reset now; nothing of the connection is kept. The user keeps the socket.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn abort(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        match self.held_mut(id)? {
            Socket::Fresh(_) | Socket::HalfOpen(_) | Socket::Packed(_) => {}
            Socket::Listening(_) => self.stop_listening(cx, id),
            Socket::TimeWait(_) => self.end_time_wait(cx, id),
            Socket::Connection(tcb) => {
                tcb.abort(cx);
                self.settle(cx, id);
            }
        }
        Ok(())
    }

    /// Ends with a reset what [`pending_close`](Self::pending_close) counts: the node goes.
    pub fn abort_closed(&mut self, cx: &mut Context<'_>) {
        let owing = self.sockets.iter().filter(|(_, socket)| match socket {
            Socket::Connection(tcb) => !tcb.marks.user && !tcb.marks.unaccepted,
            _ => false,
        });
        let owing: Vec<SocketId> = owing.map(|(id, _)| id).collect();
        for id in owing {
            if let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) {
                tcb.abort(cx);
                self.settle(cx, id);
            }
        }
    }

    /// CLOSE in LISTEN: what waited there is left to another listener, or ends.
    pub(super) fn stop_listening(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::Listening(listener)) = self.sockets.get_mut(id) else {
            return;
        };
        let left = Left {
            claim: listener.claim,
            queue: core::mem::take(&mut listener.queue),
            half_open: listener.half_open,
        };
        let claim = listener.claim;
        let auth = listener.auth.take();
        let fresh = Fresh {
            settings: listener.settings.clone(),
            bound: Some(Bound {
                local: listener.local,
                claim: Some(claim),
            }),
            error: None,
            auth,
        };
        self.demux.stop_receiving(id, &claim);
        if let Some(socket) = self.sockets.get_mut(id) {
            let mut fresh = fresh;
            if let Some(claim) = fresh.bound.as_mut().and_then(|bound| bound.claim.as_mut()) {
                let sharing = Sharing {
                    listening: false,
                    ..claim.sharing
                };
                self.demux.reshare(claim, sharing);
            }
            *socket = Socket::Fresh(Box::new(fresh));
        }
        self.migrate(cx, id, left);
        Self::tell_state(cx, id, State::Listen, State::Closed);
        cx.set_ready(
            Self::handle(id),
            Readiness::READABLE | Readiness::HANGUP | Readiness::READ_CLOSED,
        );
    }
}

impl Tcb {
    /// RFC 9293 §3.10.4: CLOSE: no more is sent after what is queued.
    pub(crate) fn close_sending(&mut self, cx: &mut Context<'_>) {
        if self.marks.fin_queued {
            return;
        }
        match self.state {
            // Delete the TCB; nothing has been sent that the peer could miss.
            State::SynSent => self.closed(cx, None),
            // The FIN follows the SYN at once: nothing can have been queued for sending.
            State::SynReceived | State::Established => {
                self.marks.fin_queued = true;
                self.enter(cx, State::FinWait1);
            }
            State::CloseWait => {
                self.marks.fin_queued = true;
                self.enter(cx, State::LastAck);
            }
            State::Closed
            | State::Listen
            | State::FinWait1
            | State::FinWait2
            | State::Closing
            | State::LastAck
            | State::TimeWait => {}
        }
        if self.state.peer_closed() || self.marks.read_shut {
            self.signal(cx, Readiness::HANGUP);
        }
        self.signal(cx, Readiness::WRITABLE);
    }

    /// RFC 9293 §3.10.5: ABORT.
    pub(crate) fn abort(&mut self, cx: &mut Context<'_>) {
        match self.state {
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait => self.send_reset(cx),
            State::Closed
            | State::Listen
            | State::SynSent
            | State::Closing
            | State::LastAck
            | State::TimeWait => {}
        }
        self.received.clear();
        self.closed(cx, None);
    }
}
