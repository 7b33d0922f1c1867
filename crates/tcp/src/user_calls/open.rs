//! OPEN (RFC 9293 §3.10.1): sockets, their addresses, connections in both directions.

use crate::fast_open::client::Plan;
use crate::settings::Settings;
use crate::socket::{Bound, Fresh, Socket};
use crate::tcb::{Origin, Tcb};
use crate::{State, Tcp};
use sockeye_core::demux::{Binding, Claim, Endpoint, Flow, Sharing};
use sockeye_core::socket::Domain;
use sockeye_core::{
    Context, Counter, Error, FastOpenMode, InterfaceId, Readiness, Route, RouteQuery, SocketId,
};
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
            auth: None,
        };
        Ok(self.sockets.insert(Socket::Fresh(Box::new(fresh))))
    }

    /// Gives a socket its own address (RFC 9293 §3.9.1.1, MUST-43); port 0 takes any free one, with
    /// IP_BIND_ADDRESS_NO_PORT as late as it connects or listens.
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
        if fresh.bound.is_some_and(|bound| bound.claim.is_some()) {
            return Err(Error::Invalid);
        }
        let common = &fresh.settings.common;
        let local = common.local(addr)?;
        let ours = local.is_unspecified() || common.free_bind || cx.inet.is_local(local.ip);
        if !ours || local.ip.is_multicast() {
            return Err(Error::AddressNotAvailable);
        }
        let bound = match fresh.settings.bind_address_no_port && local.port == 0 {
            // Neither address nor port is as good as nothing.
            true => (!local.is_unspecified()).then_some(Bound { local, claim: None }),
            false => Some(self.claim_port(cx, &fresh.settings.clone(), local)?),
        };
        if let Socket::Fresh(fresh) = self.held_mut(id)? {
            fresh.bound = bound;
            Arc::make_mut(&mut fresh.settings).common.bound = bound.is_some();
        }
        Ok(())
    }

    /// Takes the port of `local`, or any free one for 0.
    ///
    /// # Errors
    /// [`Error::AddressInUse`].
    fn claim_port(
        &mut self,
        cx: &mut Context<'_>,
        settings: &Settings,
        mut local: Endpoint,
    ) -> Result<Bound, Error> {
        let common = &settings.common;
        if local.port == 0 {
            let binding = |port| common.binding(Endpoint { port, ..local });
            let free = |port| self.demux.is_free(&binding(port));
            local.port = self.ports.for_bind(cx.rng, free)?;
        }
        let claim = Claim {
            binding: common.binding(local),
            sharing: common.sharing(),
        };
        self.demux.claim(&claim)?;
        let claim = Some(claim);
        Ok(Bound { local, claim })
    }

    /// Takes a port for a socket that has none.
    ///
    /// # Errors
    /// [`Error::AddressInUse`].
    fn claim_any_port(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        let Socket::Fresh(fresh) = self.held(id)? else {
            return Ok(());
        };
        let settings = fresh.settings.clone();
        let local = match fresh.bound {
            Some(Bound { claim: Some(_), .. }) => return Ok(()),
            Some(Bound { local, .. }) => local,
            None => Endpoint::new(settings.common.domain.unspecified(), 0),
        };
        let bound = self.claim_port(cx, &settings, local)?;
        if let Socket::Fresh(fresh) = self.held_mut(id)? {
            fresh.bound = Some(bound);
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
            Socket::Fresh(_) => {}
            Socket::HalfOpen(_)
            | Socket::Connection(_)
            | Socket::Packed(_)
            | Socket::TimeWait(_) => {
                return Err(Error::Invalid);
            }
        }
        self.claim_any_port(cx, id)?;
        let Some(Socket::Fresh(fresh)) = self.sockets.get_mut(id) else {
            return Err(Error::Invalid);
        };
        let Some(Bound {
            local,
            claim: Some(mut claim),
        }) = fresh.bound
        else {
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
            young: 0,
            cookies_until: sockeye_core::Instant::ZERO,
            fast_open: crate::fast_open::server::Queue::new(&fresh.settings, backlog, cx.config),
            queue: std::collections::VecDeque::new(),
            auth: fresh.auth.take(),
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
            tcb.settings = Settings::of_accepted(tcb.settings.clone());
            let peer = tcb.settings.common.show(tcb.flow.remote);
            if tcb.waiting() > 0 || tcb.state.peer_closed() || tcb.state == State::Closed {
                tcb.signal(cx, Readiness::READABLE);
            }
            self.note_rest(cx, accepted);
            return Ok((accepted, peer));
        }
    }

    /// OPEN, active. The result of the attempt shows in readiness and
    /// [`take_error`](Self::take_error).
    ///
    /// # Errors
    /// [`Error::InProgress`] when it has begun; [`Error::Already`] while it goes on, then success,
    /// once; [`Error::IsConnected`]; the error with which the last attempt ended, once; those of
    /// [`Context::route`]; [`Error::AddressNotAvailable`] when no port or pair is free.
    pub fn connect(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addr: SocketAddr,
    ) -> Result<(), Error> {
        self.open_connection(cx, id, addr)?;
        let Some(Socket::Connection(tcb)) = self.sockets.get(id) else {
            return Ok(());
        };
        if !tcb.marks.deferred {
            // An attempt that was under way has succeeded.
            return Ok(());
        }
        let (flow, settings) = (tcb.flow, tcb.settings.clone());
        let route = tcb.route.ok_or(Error::NetworkUnreachable)?;
        let mut plan = Plan::default();
        if settings.fast_open_connect && cx.config.tcp_fast_open.contains(FastOpenMode::CLIENT) {
            plan = self.plan_fast_open(cx, &flow, &settings, &route);
            if plan.takes_text() {
                // tcp(7), TCP_FASTOPEN_CONNECT: the first SEND sends the SYN.
                return Ok(());
            }
        }
        if let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) {
            tcb.open_with(cx.now, &plan);
        }
        self.settle(cx, id);
        Err(Error::InProgress)
    }

    /// What the attempt to connect has come to, once it has ended well.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while it goes on, [`Error::NotConnected`], the error that it ended
    /// with, once.
    pub fn connected(&mut self, id: SocketId) -> Result<(), Error> {
        if let Some(error) = self.take_error(id)? {
            return Err(error);
        }
        let tcb = self.connection(id)?;
        match tcb.state {
            State::SynSent | State::SynReceived if !tcb.marks.deferred && !tcb.is_unproven() => {
                Err(Error::WouldBlock)
            }
            State::Closed => Err(Error::NotConnected),
            _ => {
                tcb.marks.untold = false;
                Ok(())
            }
        }
    }

    /// A socket in SYN-SENT whose SYN nobody has asked for yet: its mark `deferred` says so. A
    /// connection that stands since the user asked last is no error.
    pub(crate) fn open_connection(
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
            Socket::HalfOpen(_)
            | Socket::TimeWait(_)
            | Socket::Connection(_)
            | Socket::Packed(_) => {
                return self.is_connected(id);
            }
        };
        let (flow, claim, route) = self.plan_connection(cx, &settings, bound, addr)?;
        let auth = self.auth_for_connect(id, flow.remote.ip)?;
        let tie = settings.common.device;
        let handle = Self::handle(id);
        let mut tcb = Tcb::new(cx, handle, flow, Origin::Active, settings, &self.secrets);
        if bound.and_then(|bound| bound.claim).is_none() {
            self.demux.share(&claim);
        }
        self.demux.connect(id, flow, tie, false);
        tcb.claim = Some(claim);
        tcb.auth = auth;
        tcb.marks.linked = true;
        tcb.marks.user = true;
        tcb.marks.untold = true;
        tcb.marks.deferred = true;
        tcb.route = Some(route);
        tcb.update_mss(&route);
        tcb.enter(cx, State::SynSent);
        cx.counters.add(Counter::TcpActiveOpens);
        if let Some(socket) = self.sockets.get_mut(id) {
            *socket = Socket::Connection(Box::new(tcb));
        }
        Ok(())
    }

    /// What connect(2) says of a socket that is one end of a connection already.
    fn is_connected(&mut self, id: SocketId) -> Result<(), Error> {
        let tcb = self.connection(id)?;
        match tcb.state {
            State::SynSent | State::SynReceived if !tcb.marks.deferred => Err(Error::Already),
            State::SynSent | State::SynReceived => Err(Error::IsConnected),
            // Who has not been told yet that the attempt succeeded, is told by success.
            _ if core::mem::take(&mut tcb.marks.untold) => Ok(()),
            _ => Err(Error::IsConnected),
        }
    }

    /// connect(2) with AF_UNSPEC: whatever the socket was is dissolved, with a reset where the peer
    /// would miss it; what bind has done stays.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn disconnect(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        let mut address = None;
        let bound = match self.held_mut(id)? {
            Socket::Fresh(fresh) => {
                fresh.error = None;
                return Ok(());
            }
            Socket::Listening(_) => {
                self.stop_listening(cx, id);
                return Ok(());
            }
            // A port that connect chose goes with the connection.
            Socket::Connection(tcb) => {
                let chosen = tcb.claim.is_some_and(|claim| claim.sharing.by_connect);
                address = (chosen && tcb.settings.common.bound).then_some(Bound {
                    local: Endpoint {
                        port: 0,
                        ..tcb.flow.local
                    },
                    claim: None,
                });
                tcb.claim.take_if(|claim| !claim.sharing.by_connect)
            }
            Socket::HalfOpen(_) | Socket::TimeWait(_) | Socket::Packed(_) => None,
        };
        self.abort(cx, id)?;
        self.reopen(cx, id);
        let any = self
            .held(id)?
            .settings()
            .map(|s| s.common.domain.unspecified());
        let bound = bound.zip(any).map(|(claim, any)| {
            let Binding {
                ip,
                port,
                interface,
                ..
            } = claim.binding;
            let interface = interface.unwrap_or(InterfaceId::LOOPBACK);
            let local = Endpoint::on(interface, ip.unwrap_or(any), port);
            let claim = Some(claim);
            Bound { local, claim }
        });
        let bound = bound.or(address);
        if let Some(Socket::Fresh(fresh)) = self.sockets.get_mut(id) {
            fresh.error = None;
            fresh.bound = bound;
            Arc::make_mut(&mut fresh.settings).common.bound = bound.is_some();
        }
        Ok(())
    }

    /// Both ends of a connection to `addr`, the hold on its port, and its way. RFC 9293 §3.9.1.1
    /// (MUST-44, MUST-45): without an address of its own the route's is asked for, and kept.
    fn plan_connection(
        &mut self,
        cx: &mut Context<'_>,
        settings: &Settings,
        bound: Option<Bound>,
        addr: SocketAddr,
    ) -> Result<(Flow, Claim, Route), Error> {
        let common = &settings.common;
        let remote = common.remote(addr)?;
        // RFC 9293 §3.9.1.1 (MUST-46): no connection to a group or broadcast address.
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
        // socket(7), SO_DONTROUTE: only hosts that are directly connected.
        let direct = route.next_hop == remote.ip || route.local;
        if route.broadcast || (settings.dont_route && !direct) {
            return Err(Error::NetworkUnreachable);
        }
        let local = |port| Endpoint::own(&route, remote, port);
        if let Some(Bound {
            local: own,
            claim: Some(claim),
        }) = bound
        {
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
        let mut auth = tcb.auth.take();
        if let Some(auth) = &mut auth {
            auth.forget_connection();
        }
        tcb.release_memory(cx);
        let mut settings = tcb.settings.clone();
        Arc::make_mut(&mut settings).common.bound = false;
        let fresh = Fresh {
            settings,
            bound: None,
            error: tcb.error,
            auth,
        };
        *slot = Socket::Fresh(Box::new(fresh));
    }
}
