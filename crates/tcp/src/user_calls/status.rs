//! STATUS (RFC 9293 §3.10.6): what a socket is, has and is ready for. A connection's figures are
//! [`info`](crate::info)'s.

use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::{State, Tcp};
use sockeye_core::socket::Stamp;
use sockeye_core::{Context, Error, Instant, Readiness, SocketId};
use std::net::SocketAddr;

impl Tcp {
    /// The pending error, which is gone then (SO_ERROR).
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn take_error(&mut self, id: SocketId) -> Result<Option<Error>, Error> {
        Ok(match self.held_mut(id)? {
            Socket::Fresh(fresh) => fresh.error.take(),
            Socket::Listening(_) | Socket::HalfOpen(_) => None,
            other => other.tcb_mut().and_then(|tcb| tcb.error.take()),
        })
    }

    /// Its own address; unspecified while it has none.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        let socket = self.held(id)?;
        let settings = socket.settings().ok_or(Error::BadSocket)?;
        let local = match socket {
            Socket::Fresh(fresh) => fresh.bound.map(|bound| bound.local),
            Socket::Listening(listener) => Some(listener.local),
            other => other.tcb().map(|tcb| tcb.flow.local),
        };
        let common = &settings.common;
        Ok(match local {
            Some(local) => common.show(local),
            None => SocketAddr::new(common.domain.unspecified(), 0),
        })
    }

    /// Its peer's address.
    ///
    /// # Errors
    /// [`Error::NotConnected`].
    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        let tcb = self.held(id)?.tcb().ok_or(Error::NotConnected)?;
        if matches!(tcb.state, State::SynSent | State::Closed) {
            return Err(Error::NotConnected);
        }
        Ok(tcb.settings.common.show(tcb.flow.remote))
    }

    /// STATUS: its state.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn state(&self, id: SocketId) -> Result<State, Error> {
        Ok(self.held(id)?.state())
    }

    /// Whether the protocol has nothing left to do for a socket that was closed: what
    /// SO_LINGER waits for.
    #[must_use]
    pub fn is_finished(&self, id: SocketId) -> bool {
        match self.sockets.get(id).map(Socket::state) {
            None | Some(State::Closed | State::FinWait2 | State::TimeWait) => true,
            Some(_) => false,
        }
    }

    /// Closed sockets that still have text or a FIN to deliver.
    #[must_use]
    pub fn pending_close(&self) -> usize {
        self.sockets
            .iter()
            .filter(|(_, socket)| match socket {
                Socket::Connection(tcb) => {
                    !tcb.marks.user && !tcb.marks.unaccepted && tcb.waits_for_peer()
                }
                _ => false,
            })
            .count()
    }

    /// What the socket is ready for now.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn readiness(&self, id: SocketId) -> Result<Readiness, Error> {
        Ok(match self.held(id)? {
            Socket::Fresh(fresh) => {
                let mut ready = Readiness::WRITABLE | Readiness::HANGUP;
                ready.set(Readiness::ERROR, fresh.error.is_some());
                ready.set(Readiness::READABLE, fresh.error.is_some());
                ready
            }
            Socket::Listening(listener) if listener.queue.is_empty() => Readiness::empty(),
            Socket::Listening(_) => Readiness::READABLE,
            other => other.tcb().map_or(Readiness::HANGUP, |tcb| tcb.readiness()),
        })
    }

    /// Whether a connection may have something to send: `poll_transmit` is to be called.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Bytes to read, written and not sent, sent and not acknowledged.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a listener.
    pub fn queued(&self, id: SocketId) -> Result<Queued, Error> {
        let socket = self.held(id)?;
        if let Socket::Listening(_) = socket {
            return Err(Error::Invalid);
        }
        let Some(tcb) = socket.tcb() else {
            return Ok(Queued::default());
        };
        let unsent = tcb.unsent() as usize;
        Ok(Queued {
            readable: tcb.readable_now(),
            unsent,
            unacknowledged: (tcb.queue.len() as usize).saturating_sub(unsent),
        })
    }

    /// With TCP_INQ, what TCP_CM_INQ tells after a read: bytes that can still be read. As in Linux the
    /// peer's FIN counts for one, so that its user reads on.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn inq(&self, id: SocketId) -> Result<Option<usize>, Error> {
        let tcb = self.held(id)?.tcb().filter(|tcb| tcb.settings.inq);
        Ok(tcb.map(|tcb| {
            let ended = tcb.state.peer_closed() || tcb.state == State::Closed;
            tcb.waiting() + usize::from(ended)
        }))
    }

    /// With SO_TIMESTAMP or SO_TIMESTAMPNS, how to tell when the byte arrived that was read or peeked at
    /// last, and when that was.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn last_arrival(&self, id: SocketId) -> Result<Option<(Stamp, Instant)>, Error> {
        let Some(tcb) = self.held(id)?.tcb() else {
            return Ok(None);
        };
        Ok(tcb.settings.common.stamp.zip(tcb.received.last_arrival()))
    }

    pub(super) fn tell_state(cx: &mut Context<'_>, id: SocketId, from: State, to: State) {
        cx.tell(&sockeye_core::Event::State {
            socket: Self::handle(id),
            flow: None,
            from: from.name(),
            to: to.name(),
        });
    }
}

/// See [`Tcp::queued`]; all in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// To read before the mark of urgent data.
    pub readable: usize,
    /// Written and never sent.
    pub unsent: usize,
    /// Sent and not acknowledged.
    pub unacknowledged: usize,
}

impl Tcb {
    /// See [`Tcp::readiness`].
    pub(super) fn readiness(&self) -> Readiness {
        let mut ready = Readiness::empty();
        let peer_closed = self.state.peer_closed() || self.marks.read_shut;
        let gone = self.state == State::Closed;
        // Fast Open: who may send without a handshake, and with the first SYN.
        let early = self.marks.deferred || self.is_unproven();
        let sends = (self.state.takes_sends() || early) && !self.marks.fin_queued;
        let connecting = matches!(self.state, State::SynSent | State::SynReceived) && !early;
        let low_water = self
            .settings
            .receive_low_water
            .clamp(1, (self.rcv.space() as usize / 2).max(1));
        ready.set(
            Readiness::READABLE,
            self.waiting() >= low_water + self.hole()
                || peer_closed
                || gone
                || self.error.is_some(),
        );
        // What can't succeed does not block either.
        ready.set(
            Readiness::WRITABLE,
            if sends {
                self.is_writable()
            } else {
                !connecting
            } || self.error.is_some(),
        );
        ready.set(Readiness::PRIORITY, self.has_priority());
        ready.set(Readiness::ERROR, self.error.is_some());
        ready.set(Readiness::ERROR_QUEUE, self.has_reports());
        ready.set(Readiness::READ_CLOSED, peer_closed || gone);
        ready.set(
            Readiness::HANGUP,
            gone || (peer_closed && self.marks.fin_queued),
        );
        ready
    }
}
