//! OPEN (RFC 9293 §3.10.1): sockets, their addresses, connections in both directions.

use crate::settings::Settings;
use crate::socket::{Bound, Fresh, Socket};
use crate::tcb::{Origin, Tcb};
use crate::{State, Tcp};
use sockeye_core::demux::{Binding, Claim, Endpoint, Flow, Sharing};
use sockeye_core::socket::Domain;
use sockeye_core::{Context, Counter, Error, Readiness, Route, RouteQuery, SocketId};
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
            settings: self.default_settings(domain),
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
    pub(super) fn reopen(&mut self, cx: &mut Context<'_>, id: SocketId) {
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
}
