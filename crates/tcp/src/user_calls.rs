//! The user's calls (RFC 9293 §3.10.1 to §3.10.6), by their names in sockets.
//!
//! | RFC | here |
//! |---|---|
//! | OPEN, passive | [`Tcp::listen`], [`Tcp::accept`] |
//! | OPEN, active | [`Tcp::connect`] |
//! | SEND | [`Tcp::send`], [`Tcp::send_bytes`] |
//! | RECEIVE | [`Tcp::recv`], [`Tcp::peek`], [`Tcp::recv_bytes`] |
//! | CLOSE | [`Tcp::shutdown`], [`Tcp::close`] |
//! | ABORT | [`Tcp::abort`] |
//! | STATUS | [`Tcp::state`], [`Tcp::info`] |
//!
//! None of them waits: what can't be done now is [`Error::WouldBlock`]. What the RFC queues in
//! SYN-SENT and SYN-RECEIVED is not taken yet: the queue has no room before ESTABLISHED.

use crate::settings::Settings;
use crate::socket::{Bound, Fresh, Socket};
use crate::table::ORPHANS_MAX;
use crate::tcb::{Origin, Tcb};
use crate::{State, Tcp};
use bytes::Bytes;
use core::time::Duration;
use sockeye_core::demux::{Binding, Claim, Endpoint, Flow, Sharing};
use sockeye_core::socket::{Domain, Shutdown};
use sockeye_core::{Context, Counter, Error, Readiness, Route, RouteQuery, SocketId};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;

impl Tcp {
    /// A new socket.
    ///
    /// # Errors
    /// [`Error::TooManySockets`] at `sockets_max`.
    pub fn open(&mut self, cx: &mut Context<'_>, domain: Domain) -> Result<SocketId, Error> {
        if self.sockets.len() >= cx.config.sockets_max {
            return Err(Error::TooManySockets);
        }
        let fresh = Fresh {
            settings: Arc::new(Settings::new(domain, cx.config)),
            bound: None,
            error: None,
        };
        Ok(self.sockets.insert(Socket::Fresh(Box::new(fresh))))
    }

    /// Gives a socket its own address; port 0 takes any free one.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it has one, [`Error::AddressNotAvailable`] when the address is not
    /// this node's, [`Error::AddressInUse`], [`Error::AddressFamily`].
    pub fn bind(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addr: SocketAddr,
    ) -> Result<(), Error> {
        self.reopen(cx, id);
        let Socket::Fresh(fresh) = self.held(id)? else {
            return Err(Error::Invalid);
        };
        if fresh.bound.is_some() {
            return Err(Error::Invalid);
        }
        let common = &fresh.settings.common;
        let mut local = common.local(addr)?;
        let ours = local.is_unspecified() || common.free_bind || cx.inet.is_local(local.ip);
        if !ours || local.ip.is_multicast() {
            return Err(Error::AddressNotAvailable);
        }
        let sharing = common.sharing();
        if local.port == 0 {
            let binding = |port| common.binding(Endpoint { port, ..local });
            let free = |port| self.demux.is_free(&binding(port));
            local.port = self.ports.for_bind(cx.rng, free)?;
        }
        let binding = common.binding(local);
        let claim = Claim { binding, sharing };
        self.demux.claim(&claim)?;
        if let Socket::Fresh(fresh) = self.held_mut(id)? {
            fresh.bound = Some(Bound { local, claim });
            Arc::make_mut(&mut fresh.settings).common.bound = true;
        }
        Ok(())
    }

    /// OPEN, passive: connections that arrive wait to be accepted, `backlog` + 1 of them at most.
    /// On a socket that listens it changes the backlog.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a connection, [`Error::AddressInUse`] when another one listens there.
    pub fn listen(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        backlog: usize,
    ) -> Result<(), Error> {
        let backlog = backlog.min(cx.config.backlog_max);
        self.reopen(cx, id);
        match self.held_mut(id)? {
            Socket::Listening(listener) => {
                listener.backlog = backlog;
                return Ok(());
            }
            Socket::Fresh(fresh) if fresh.bound.is_none() => {
                let any = fresh.settings.common.domain.unspecified();
                self.bind(cx, id, SocketAddr::new(any, 0))?;
            }
            Socket::Fresh(_) => {}
            Socket::HalfOpen(_) | Socket::Connection(_) | Socket::TimeWait(_) => {
                return Err(Error::Invalid);
            }
        }
        let Some(Socket::Fresh(fresh)) = self.sockets.get_mut(id) else {
            return Err(Error::Invalid);
        };
        let Some(Bound { local, mut claim }) = fresh.bound else {
            return Err(Error::Invalid);
        };
        self.demux.listen(&mut claim)?;
        self.demux.receive(id, &claim);
        let listener = crate::listen::Listener {
            settings: fresh.settings.clone(),
            local,
            claim,
            backlog,
            half_open: 0,
            queue: std::collections::VecDeque::new(),
        };
        if let Some(socket) = self.sockets.get_mut(id) {
            *socket = Socket::Listening(Box::new(listener));
        }
        Self::tell_state(cx, id, State::Closed, State::Listen);
        Ok(())
    }

    /// Takes the connection that has waited longest, and its peer's address.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when none waits, [`Error::Invalid`] when the socket does not listen.
    pub fn accept(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
    ) -> Result<(SocketId, SocketAddr), Error> {
        loop {
            let Socket::Listening(listener) = self.held_mut(id)? else {
                return Err(Error::Invalid);
            };
            let Some(accepted) = listener.queue.pop_front() else {
                return Err(Error::WouldBlock);
            };
            let Some(tcb) = self.sockets.get_mut(accepted).and_then(Socket::tcb_mut) else {
                continue;
            };
            tcb.marks.unaccepted = false;
            tcb.marks.user = true;
            let peer = tcb.settings.common.show(tcb.flow.remote);
            if tcb.waiting() > 0 || tcb.state.peer_closed() || tcb.state == State::Closed {
                tcb.signal(cx, Readiness::READABLE);
            }
            return Ok((accepted, peer));
        }
    }

    /// OPEN, active. The result of the attempt shows in readiness and
    /// [`take_error`](Self::take_error).
    ///
    /// # Errors
    /// [`Error::InProgress`] when it has begun; [`Error::Already`] while it goes on;
    /// [`Error::IsConnected`]; the error with which the last attempt ended, once; those of
    /// [`Context::route`]; [`Error::AddressNotAvailable`] when no port or pair is free.
    pub fn connect(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addr: SocketAddr,
    ) -> Result<(), Error> {
        if let Some(error) = self.take_error(id)? {
            return Err(error);
        }
        self.reopen(cx, id);
        let (settings, bound) = match self.held(id)? {
            Socket::Fresh(fresh) => (fresh.settings.clone(), fresh.bound),
            Socket::Listening(_) => return Err(Error::IsConnected),
            other => {
                return Err(match other.state() {
                    State::SynSent | State::SynReceived => Error::Already,
                    _ => Error::IsConnected,
                });
            }
        };
        let (flow, claim, route) = self.plan_connection(cx, &settings, bound, addr)?;
        let tie = settings.common.device;
        let handle = Self::handle(id);
        let mut tcb = Tcb::new(cx, handle, flow, Origin::Active, settings, &self.secrets);
        if bound.is_none() {
            self.demux.share(&claim);
        }
        self.demux.connect(id, flow, tie, false);
        tcb.claim = Some(claim);
        tcb.marks.linked = true;
        tcb.marks.user = true;
        tcb.route = Some(route);
        tcb.update_mss(&route);
        tcb.marks.syn_due = true;
        tcb.enter(cx, State::SynSent);
        cx.counters.add(Counter::TcpActiveOpens);
        if let Some(socket) = self.sockets.get_mut(id) {
            *socket = Socket::Connection(Box::new(tcb));
        }
        self.settle(cx, id);
        Err(Error::InProgress)
    }

    /// Both ends of a connection to `addr`, the hold on its port, and its way.
    fn plan_connection(
        &mut self,
        cx: &Context<'_>,
        settings: &Settings,
        bound: Option<Bound>,
        addr: SocketAddr,
    ) -> Result<(Flow, Claim, Route), Error> {
        let common = &settings.common;
        let remote = common.remote(addr)?;
        // RFC 9293 §3.9.2.3 (MUST-57): no connection to a group or broadcast address.
        if remote.ip.is_multicast() || remote.port == 0 {
            return Err(Error::NetworkUnreachable);
        }
        let source = bound.filter(|bound| !bound.local.is_unspecified());
        let route = cx.route(&RouteQuery {
            destination: remote.ip,
            source: source.map(|bound| bound.local.ip),
            interface: common.out_interface(remote),
            foreign_source: common.free_bind,
        })?;
        if route.broadcast {
            return Err(Error::NetworkUnreachable);
        }
        let local = |port| Endpoint::own(&route, remote, port);
        if let Some(Bound { local: own, claim }) = bound {
            let flow = Flow {
                local: local(own.port),
                remote,
            };
            if self.demux.has_flow(&flow) {
                return Err(Error::AddressNotAvailable);
            }
            return Ok((flow, claim, route));
        }
        let binding = |port| Binding::new(local(port), common.device, common.family());
        let pair = |port| Flow {
            local: local(port),
            remote,
        };
        let demux = &self.demux;
        let port = self.ports.for_connect(route.source, remote, |port| {
            demux.may_connect(&binding(port), &pair(port))
        })?;
        let claim = Claim {
            binding: binding(port),
            sharing: Sharing {
                by_connect: true,
                ..common.sharing()
            },
        };
        Ok((pair(port), claim, route))
    }

    /// A connection that has ended, whose user wants another: the socket is as new again.
    fn reopen(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(slot) = self.sockets.get_mut(id) else {
            return;
        };
        let Socket::Connection(tcb) = slot else {
            return;
        };
        if tcb.state != State::Closed || !tcb.marks.user || tcb.marks.linked {
            return;
        }
        cx.timers.disarm(&mut tcb.timer);
        let mut settings = tcb.settings.clone();
        Arc::make_mut(&mut settings).common.bound = false;
        let fresh = Fresh {
            settings,
            bound: None,
            error: tcb.error,
        };
        *slot = Socket::Fresh(Box::new(fresh));
    }

    /// SEND: takes as much of `data` as there is room for.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when there is none, or no connection yet; [`Error::BrokenPipe`] when
    /// this side is closed; the connection's error, once.
    pub fn send(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
    ) -> Result<usize, Error> {
        let empty = data.iter().all(|slice| slice.is_empty());
        let tcb = self.sendable(id)?;
        let room = tcb.send_room();
        if empty {
            return Ok(0);
        }
        if room == 0 {
            return Err(Error::WouldBlock);
        }
        let taken = tcb.queue.push(data, room);
        self.settle(cx, id);
        Ok(taken)
    }

    /// SEND without a copy: takes as much of `data` as there is room for off its front.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_bytes(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &mut Bytes,
    ) -> Result<usize, Error> {
        let tcb = self.sendable(id)?;
        if data.is_empty() {
            return Ok(0);
        }
        let room = tcb.send_room();
        if room == 0 {
            return Err(Error::WouldBlock);
        }
        let taken = data.split_to(room.min(data.len()));
        let len = taken.len();
        tcb.queue.push_bytes(taken);
        self.settle(cx, id);
        Ok(len)
    }

    /// RFC 9293 §3.10.2: the connection, if it takes SENDs.
    fn sendable(&mut self, id: SocketId) -> Result<&mut Tcb, Error> {
        let tcb = match self.held_mut(id)? {
            Socket::Fresh(fresh) => {
                return Err(fresh.error.take().unwrap_or(Error::BrokenPipe));
            }
            Socket::Listening(_) | Socket::HalfOpen(_) => return Err(Error::BrokenPipe),
            other => other.tcb_mut().ok_or(Error::BrokenPipe)?,
        };
        if let Some(error) = tcb.error.take() {
            return Err(error);
        }
        match tcb.state {
            State::SynSent | State::SynReceived if !tcb.marks.fin_queued => Err(Error::WouldBlock),
            state if state.takes_sends() && !tcb.marks.fin_queued => Ok(tcb),
            _ => Err(Error::BrokenPipe),
        }
    }

    /// RECEIVE: copies what has arrived to `out`; 0 is the end of the stream.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when nothing waits, [`Error::NotConnected`], the connection's error,
    /// once.
    pub fn recv(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let tcb = self.receivable(id)?;
        let n = match tcb {
            Some(tcb) => {
                let n = tcb.received.read(out);
                tcb.was_read(cx, n);
                n
            }
            None => 0,
        };
        self.settle(cx, id);
        Ok(n)
    }

    /// RECEIVE, and leaves it there.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn peek(
        &mut self,
        _cx: &mut Context<'_>,
        id: SocketId,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        Ok(self.receivable(id)?.map_or(0, |tcb| tcb.received.peek(out)))
    }

    /// RECEIVE without a copy: up to `max` bytes that lie together; none is the end of the stream.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_bytes(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        max: usize,
    ) -> Result<Bytes, Error> {
        let bytes = match self.receivable(id)? {
            Some(tcb) if max > 0 => {
                let bytes = tcb.received.read_bytes(max).unwrap_or_default();
                tcb.was_read(cx, bytes.len());
                bytes
            }
            _ => Bytes::new(),
        };
        self.settle(cx, id);
        Ok(bytes)
    }

    /// RFC 9293 §3.10.3: the connection with something to read, or `None` at the end of the stream.
    fn receivable(&mut self, id: SocketId) -> Result<Option<&mut Tcb>, Error> {
        let tcb = match self.held_mut(id)? {
            Socket::Fresh(fresh) => {
                return Err(fresh.error.take().unwrap_or(Error::NotConnected));
            }
            Socket::Listening(_) | Socket::HalfOpen(_) => return Err(Error::NotConnected),
            other => other.tcb_mut().ok_or(Error::NotConnected)?,
        };
        if tcb.waiting() > 0 {
            return Ok(Some(tcb));
        }
        if let Some(error) = tcb.error.take() {
            return Err(error);
        }
        if tcb.marks.read_shut || tcb.state.peer_closed() || tcb.state == State::Closed {
            return Ok(None);
        }
        Err(Error::WouldBlock)
    }

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
                if let Some(bound) = bound {
                    self.demux.release(&bound.claim);
                }
            }
            Socket::Listening(_) => {
                self.stop_listening(cx, id);
                return self.close(cx, id);
            }
            Socket::HalfOpen(_) => return Err(Error::BadSocket),
            Socket::TimeWait(time_wait) => time_wait.user = None,
            Socket::Connection(tcb) => {
                tcb.marks.user = false;
                // RFC 9293 §3.6.1 (SHLD-3): what was not read is lost, and a reset says so.
                let unread = tcb.waiting() > 0;
                if unread || tcb.settings.linger == Some(Duration::ZERO) {
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
        if self.orphans > ORPHANS_MAX {
            tcb.abort(cx);
        }
    }

    /// ABORT: a reset now; nothing of the connection is kept. The user keeps the socket.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn abort(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        match self.held_mut(id)? {
            Socket::Fresh(_) | Socket::HalfOpen(_) => {}
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

    /// CLOSE in LISTEN: connections that nobody accepted are reset, half-open ones forgotten as
    /// they show up.
    fn stop_listening(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::Listening(listener)) = self.sockets.get_mut(id) else {
            return;
        };
        let queue = core::mem::take(&mut listener.queue);
        let claim = listener.claim;
        let fresh = Fresh {
            settings: listener.settings.clone(),
            bound: Some(Bound {
                local: listener.local,
                claim,
            }),
            error: None,
        };
        self.demux.stop_receiving(id, &claim);
        if let Some(socket) = self.sockets.get_mut(id) {
            let mut fresh = fresh;
            if let Some(bound) = &mut fresh.bound {
                let sharing = Sharing {
                    listening: false,
                    ..claim.sharing
                };
                self.demux.reshare(&mut bound.claim, sharing);
            }
            *socket = Socket::Fresh(Box::new(fresh));
        }
        for waiting in queue {
            if let Some(Socket::Connection(tcb)) = self.sockets.get_mut(waiting) {
                tcb.marks.unaccepted = false;
                tcb.abort(cx);
                self.settle(cx, waiting);
            }
        }
        Self::tell_state(cx, id, State::Listen, State::Closed);
        cx.set_ready(
            Self::handle(id),
            Readiness::READABLE | Readiness::HANGUP | Readiness::READ_CLOSED,
        );
    }

    fn tell_state(cx: &mut Context<'_>, id: SocketId, from: State, to: State) {
        cx.tell(&sockeye_core::Event::State {
            socket: Self::handle(id),
            from: from.name(),
            to: to.name(),
        });
    }

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
            other => other.tcb().map_or(Readiness::HANGUP, Tcb::readiness),
        })
    }

    /// Bytes to read, written and not sent, sent and not acknowledged.
    ///
    /// # Errors
    /// [`Error::NotConnected`].
    pub fn queued(&self, id: SocketId) -> Result<Queued, Error> {
        let tcb = self.held(id)?.tcb().ok_or(Error::NotConnected)?;
        let unsent = tcb.unsent() as usize;
        Ok(Queued {
            readable: tcb.waiting(),
            unsent,
            unacknowledged: (tcb.queue.len() as usize).saturating_sub(unsent),
        })
    }
}

/// See [`Tcp::queued`]; all in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// To read.
    pub readable: usize,
    /// Written and never sent.
    pub unsent: usize,
    /// Sent and not acknowledged.
    pub unacknowledged: usize,
}

impl Tcb {
    /// Bytes that SEND takes now.
    fn send_room(&self) -> usize {
        let low_water = self.settings.not_sent_low_water as usize;
        let unsent = self.unsent() as usize;
        let room = self.send_buffer.saturating_sub(self.queue.len() as usize);
        if unsent >= low_water { 0 } else { room }
    }

    /// Whether SEND is worth a try: a third of the buffer is free (Linux: sk_stream_is_writeable).
    pub(crate) fn is_writable(&self) -> bool {
        let used = self.queue.len() as usize;
        self.send_room() > 0 && used.saturating_mul(3) <= self.send_buffer.saturating_mul(2)
    }

    /// See [`Tcp::readiness`].
    fn readiness(&self) -> Readiness {
        let mut ready = Readiness::empty();
        let peer_closed = self.state.peer_closed() || self.marks.read_shut;
        let gone = self.state == State::Closed;
        let sends = self.state.takes_sends() && !self.marks.fin_queued;
        let connecting = matches!(self.state, State::SynSent | State::SynReceived);
        let low_water = self
            .settings
            .receive_low_water
            .clamp(1, (self.rcv.space() as usize / 2).max(1));
        ready.set(
            Readiness::READABLE,
            self.waiting() >= low_water || peer_closed || gone || self.error.is_some(),
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
        ready.set(Readiness::ERROR, self.error.is_some());
        ready.set(Readiness::READ_CLOSED, peer_closed || gone);
        ready.set(
            Readiness::HANGUP,
            gone || (peer_closed && self.marks.fin_queued),
        );
        ready
    }

    /// The user has taken `n` bytes: the buffer may grow, and the peer may have to learn of room.
    fn was_read(&mut self, cx: &Context<'_>, n: usize) {
        if n == 0 {
            return;
        }
        let max = if self.settings.receive_buffer_locked {
            self.rcv.buffer
        } else {
            cx.config.tcp_rmem.2
        };
        self.rcv.was_read(n, cx.now, &self.rtt, max);
        self.compacted = self.compacted.min(self.pinned());
        let clamp = self.settings.window_clamp;
        if self.state.receives_text() && self.rcv.update_is_due(self.waiting(), self.mss, clamp) {
            self.marks.ack_now = true;
        }
    }

    /// Lets the send buffer hold twice what may be in flight, up to `tcp_wmem`'s maximum.
    pub(crate) fn tune_send_buffer(&mut self, cx: &Context<'_>) {
        if self.settings.send_buffer_locked {
            return;
        }
        let wanted = usize::try_from(self.congestion.cwnd().saturating_mul(2))
            .unwrap_or(usize::MAX)
            .min(cx.config.tcp_wmem.2);
        self.send_buffer = self.send_buffer.max(wanted);
    }

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
