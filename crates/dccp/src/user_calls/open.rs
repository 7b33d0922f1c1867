//! Sockets, their addresses, connections in both directions.

use crate::Dccp;
use crate::conn::Conn;
use crate::flows::Tuple;
use crate::invite::Invitation;
use crate::listen::Listener;
use crate::settings::Settings;
use crate::socket::{Fresh, Socket};
use crate::state::State;
use sockeye_core::demux::{Binding, Claim, Endpoint, Flow, Sharing};
use sockeye_core::socket::Domain;
use sockeye_core::{Context, Counter, Error, Readiness, Route, RouteQuery, SocketId};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

impl Dccp {
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
        let local = common.local(addr)?;
        let ours =
            local.is_unspecified() || common.may_bind_anywhere() || cx.inet.is_local(local.ip);
        if !ours || local.ip.is_multicast() {
            return Err(Error::AddressNotAvailable);
        }
        let settings = fresh.settings.clone();
        let bound = self.claim_port(cx, &settings, local)?;
        if let Socket::Fresh(fresh) = self.held_mut(id)? {
            fresh.bound = Some(bound);
            Arc::make_mut(&mut fresh.settings).common.bound = true;
        }
        Ok(())
    }

    /// Takes the port of `local`, or any free one for 0.
    fn claim_port(
        &mut self,
        cx: &mut Context<'_>,
        settings: &Settings,
        mut local: Endpoint,
    ) -> Result<(Endpoint, Claim), Error> {
        let common = &settings.common;
        if local.port == 0 {
            let binding = |port| common.binding(Endpoint { port, ..local });
            let free = |port| self.flows.demux.is_free(&binding(port));
            local.port = self.ports.for_bind(cx.rng, free)?;
        }
        let claim = Claim {
            binding: common.binding(local),
            sharing: common.sharing(),
        };
        self.flows.demux.claim(&claim)?;
        Ok((local, claim))
    }

    /// Connections that arrive wait to be accepted, `backlog` + 1 of them at most. On a socket that
    /// listens it changes the backlog.
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
        let (settings, bound) = match self.held_mut(id)? {
            Socket::Listening(listener) => {
                listener.backlog = backlog;
                return Ok(());
            }
            Socket::Fresh(fresh) => (fresh.settings.clone(), fresh.bound),
            _ => return Err(Error::Invalid),
        };
        let any = Endpoint::new(settings.common.domain.unspecified(), 0);
        let (local, mut claim) = match bound {
            Some(bound) => bound,
            None => self.claim_port(cx, &settings, any)?,
        };
        let listens = self.flows.demux.listen(&mut claim);
        if listens.is_err() && bound.is_none() {
            self.flows.demux.release(&claim);
        }
        listens?;
        self.flows.demux.receive(id, &claim);
        let listener = Listener {
            settings,
            local,
            claim,
            backlog,
            half_open: 0,
            queue: VecDeque::new(),
            invitation: None,
        };
        if let Some(socket) = self.sockets.get_mut(id) {
            *socket = Socket::Listening(Box::new(listener));
        }
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
            let Some(Socket::Connection(conn)) = self.sockets.get_mut(accepted) else {
                continue;
            };
            conn.marks.unaccepted = false;
            conn.marks.user = true;
            let peer = conn.settings.common.show(conn.tuple.flow.remote);
            if !conn.received.is_empty() || conn.state.has_ended() {
                conn.signal(cx, Readiness::READABLE);
            }
            return Ok((accepted, peer));
        }
    }

    /// Opens a connection. The result of the attempt shows in readiness and
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
        if let Some(error) = self.take_error(id)? {
            return Err(error);
        }
        self.reopen(cx, id);
        let (settings, bound) = match self.held_mut(id)? {
            Socket::Fresh(fresh) => (fresh.settings.clone(), fresh.bound),
            Socket::Connection(conn) => return is_connected(conn),
            _ => return Err(Error::IsConnected),
        };
        let (tuple, claim, route) = self.plan_connection(cx, &settings, bound, addr)?;
        let tie = settings.common.device;
        let iss = self.secrets.isn(&tuple, cx.now);
        let mut conn = Conn::new(cx, Self::handle(id), tuple, false, settings, iss);
        if bound.is_none() {
            self.flows.demux.share(&claim);
        }
        self.flows.connect(id, &tuple, tie);
        conn.flow_label = self.secrets.flow_label(&tuple.flow);
        conn.claim = Some(claim);
        conn.marks.linked = true;
        conn.marks.user = true;
        conn.marks.untold = true;
        conn.route = Some(route);
        cx.counters.add(Counter::DccpActiveOpens);
        conn.enter_request(cx);
        if let Some(socket) = self.sockets.get_mut(id) {
            *socket = Socket::Connection(Box::new(conn));
        }
        self.settle(cx, id);
        Err(Error::InProgress)
    }

    /// Waits for the one client at `addr`, and sends it Listens, which open the middleboxes on this side
    /// for its Request (RFC 5596). [`accept`](Self::accept) gives the connection.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a connection, a listener or several Service Codes; those of
    /// [`Context::route`]; [`Error::AddressNotAvailable`] when no port or pair is free.
    pub fn invite(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addr: SocketAddr,
    ) -> Result<(), Error> {
        self.reopen(cx, id);
        let (settings, bound) = match self.held_mut(id)? {
            Socket::Fresh(fresh) => (fresh.settings.clone(), fresh.bound),
            _ => return Err(Error::Invalid),
        };
        // RFC 5596 §2.2.2: a single Service Code.
        if !settings.more_services.is_empty() {
            return Err(Error::Invalid);
        }
        let (tuple, claim, _) = self.plan_connection(cx, &settings, bound, addr)?;
        if bound.is_none() {
            self.flows.demux.share(&claim);
        }
        self.flows.connect(id, &tuple, settings.common.device);
        let listener = Listener {
            settings,
            local: tuple.flow.local,
            claim,
            backlog: 0,
            half_open: 0,
            queue: VecDeque::new(),
            invitation: Some(Invitation::new(tuple)),
        };
        if let Some(socket) = self.sockets.get_mut(id) {
            *socket = Socket::Listening(Box::new(listener));
        }
        self.invite_again(cx, id);
        Ok(())
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
        let conn = self.connection(id)?;
        match conn.state {
            State::Request => Err(Error::WouldBlock),
            State::Closed => Err(Error::NotConnected),
            _ => {
                conn.marks.untold = false;
                Ok(())
            }
        }
    }

    /// connect(2) with AF_UNSPEC: whatever the socket was is dissolved.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn disconnect(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        self.abort(cx, id)?;
        self.reopen(cx, id);
        if let Socket::Fresh(fresh) = self.held_mut(id)? {
            fresh.error = None;
        }
        Ok(())
    }

    /// Both ends of a connection to `addr`, the hold on its port, and its way.
    fn plan_connection(
        &mut self,
        cx: &mut Context<'_>,
        settings: &Settings,
        bound: Option<(Endpoint, Claim)>,
        addr: SocketAddr,
    ) -> Result<(Tuple, Claim, Route), Error> {
        let common = &settings.common;
        let encap = settings.encapsulation(cx.config)?;
        let remote = common.remote(addr)?;
        if remote.ip.is_multicast() || remote.port == 0 {
            return Err(Error::NetworkUnreachable);
        }
        let source = bound
            .map(|(local, _)| local)
            .filter(|local| !local.is_unspecified());
        let route = cx.route(&RouteQuery {
            destination: remote.ip,
            source: source.map(|local| local.ip),
            interface: common.out_interface(remote),
            foreign_source: common.may_bind_anywhere(),
        })?;
        let direct = route.next_hop == remote.ip || route.local;
        if route.broadcast || (settings.dont_route && !direct) {
            return Err(Error::NetworkUnreachable);
        }
        let local = |port| Endpoint::own(&route, remote, port);
        let tuple = |port| Tuple {
            flow: Flow {
                local: local(port),
                remote,
            },
            encap,
        };
        if let Some((own, claim)) = bound {
            let tuple = tuple(own.port);
            if self.flows.has(&tuple) {
                return Err(Error::AddressNotAvailable);
            }
            return Ok((tuple, claim, route));
        }
        // RFC 4340 §5.1: the client SHOULD choose its port randomly.
        let binding = |port| Binding::new(local(port), common.device, common.family());
        let port = self.ports.for_connect(route.source, remote, |port| {
            self.flows.may_connect(&binding(port), &tuple(port))
        })?;
        let claim = Claim {
            binding: binding(port),
            sharing: Sharing {
                by_connect: true,
                ..common.sharing()
            },
        };
        Ok((tuple(port), claim, route))
    }

    /// A connection that has ended, whose user wants another: the socket is as new again.
    fn reopen(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(slot) = self.sockets.get_mut(id) else {
            return;
        };
        let Socket::Connection(conn) = slot else {
            return;
        };
        if conn.state != State::Closed || !conn.marks.user || conn.marks.linked {
            return;
        }
        cx.timers.disarm(&mut conn.timer);
        conn.release_memory(cx);
        let mut settings = conn.settings.clone();
        Arc::make_mut(&mut settings).common.bound = false;
        let fresh = Fresh {
            settings,
            bound: None,
            error: conn.error,
        };
        *slot = Socket::Fresh(Box::new(fresh));
    }
}

/// What connect(2) says of a socket that is one end of a connection already.
fn is_connected(conn: &mut Conn) -> Result<(), Error> {
    match conn.state {
        State::Request => Err(Error::Already),
        _ if core::mem::take(&mut conn.marks.untold) => Ok(()),
        _ => Err(Error::IsConnected),
    }
}
