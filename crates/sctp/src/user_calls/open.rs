//! Sockets, their addresses, associations in both directions (RFC 6458 §3.1, §4.1, §9).

use crate::endpoint::{Bound, Endpoint, Item, Style};
use crate::info::{AssocId, PathState};
use crate::settings::Settings;
use crate::setup::random_tag;
use crate::table::Entry;
use crate::tcb::{Abilities, Tags, Terms};
use crate::{Sctp, State, addresses, path};
use smallvec::SmallVec;
use sockeye_core::demux::{Binding, Claim, Endpoint as Address};
use sockeye_core::socket::Domain;
use sockeye_core::{Context, Error, Readiness, SocketId};
use std::net::SocketAddr;

impl Sctp {
    /// A new socket.
    ///
    /// # Errors
    /// [`Error::TooManySockets`] at `sockets_max`.
    pub fn open(
        &mut self,
        cx: &mut Context<'_>,
        domain: Domain,
        style: Style,
    ) -> Result<SocketId, Error> {
        if self.entries.len() >= cx.config.sockets_max {
            return Err(Error::TooManySockets);
        }
        let settings = Settings::new(domain, cx.config);
        let endpoint = Endpoint::new(style, settings);
        Ok(self.entries.insert(Entry::Endpoint(Box::new(endpoint))))
    }

    /// bind(2): the socket's first address and its port; port 0 takes any free one.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it has one, [`Error::AddressNotAvailable`], [`Error::AddressInUse`],
    /// [`Error::AddressFamily`].
    pub fn bind(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addr: SocketAddr,
    ) -> Result<(), Error> {
        if !self.held(id)?.bound.is_empty() {
            return Err(Error::Invalid);
        }
        self.bind_more(cx, id, addr)
    }

    /// sctp_bindx(3) with SCTP_BINDX_ADD_ADDR: one address more, at the same port.
    ///
    /// # Errors
    /// Those of [`bind`](Self::bind); [`Error::Invalid`] for another port.
    pub fn bind_add(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addrs: &[SocketAddr],
    ) -> Result<(), Error> {
        for &addr in addrs {
            self.bind_more(cx, id, addr)?;
        }
        self.tell_peers(cx, id, addrs, crate::asconf::Change::Add);
        Ok(())
    }

    /// sctp_bindx(3) with SCTP_BINDX_REM_ADDR.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address that it is not bound to; [`Error::Busy`] for the last one.
    pub fn bind_remove(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addrs: &[SocketAddr],
    ) -> Result<(), Error> {
        for &addr in addrs {
            let endpoint = self.held_mut(id)?;
            let wanted = endpoint.settings.common.local(addr)?;
            let at = endpoint.bound.iter().position(|bound| {
                bound.local.ip == wanted.ip && (wanted.port == 0 || bound.local.port == wanted.port)
            });
            let at = at.ok_or(Error::Invalid)?;
            if endpoint.bound.len() == 1 {
                return Err(Error::Busy);
            }
            let bound = endpoint.bound.remove(at);
            let listening = endpoint.backlog.is_some();
            if listening {
                self.demux.stop_receiving(id, &bound.claim);
            }
            self.demux.release(&bound.claim);
        }
        self.tell_peers(cx, id, addrs, crate::asconf::Change::Delete);
        Ok(())
    }

    /// RFC 9260 §1.3-2, §1.3-3.
    fn bind_more(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addr: SocketAddr,
    ) -> Result<(), Error> {
        let endpoint = self.held(id)?;
        let common = &endpoint.settings.common;
        let mut local = common.local(addr)?;
        if let Some(port) = endpoint.port() {
            if local.port != 0 && local.port != port {
                return Err(Error::Invalid);
            }
            local.port = port;
            if endpoint.bound.iter().any(|bound| bound.local == local) {
                return Err(Error::Invalid);
            }
        }
        let ours = local.is_unspecified() || common.free_bind || cx.inet.is_local(local.ip);
        if !ours || local.ip.is_multicast() {
            return Err(Error::AddressNotAvailable);
        }
        let claim = self.claim(cx, id, &mut local)?;
        let endpoint = self.held_mut(id)?;
        endpoint.bound.push(Bound { local, claim });
        endpoint.settings.common.bound = true;
        if endpoint.backlog.is_some() {
            self.demux.receive(id, &claim);
        }
        Ok(())
    }

    /// Takes the port of `local`, or any free one for 0.
    fn claim(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        local: &mut Address,
    ) -> Result<Claim, Error> {
        let common = &self.held(id)?.settings.common;
        if local.port == 0 {
            let binding = common.binding(*local);
            let free = |port| self.demux.is_free(&Binding { port, ..binding });
            local.port = self.ports.for_bind(cx.rng, free)?;
        }
        let claim = Claim {
            binding: common.binding(*local),
            sharing: common.sharing(),
        };
        self.demux.claim(&claim)?;
        Ok(claim)
    }

    /// Gives the socket a port where it has none.
    fn autobind(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        let endpoint = self.held(id)?;
        if !endpoint.bound.is_empty() {
            return Ok(());
        }
        let any = SocketAddr::new(endpoint.settings.common.domain.unspecified(), 0);
        self.bind_more(cx, id, any)
            .map_err(|_| Error::AddressNotAvailable)
    }

    /// listen(2): new associations are taken; 0 takes none any more. Those of a one-to-one socket
    /// wait to be accepted, `backlog` + 1 of them at most.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a connected one-to-one socket, [`Error::AddressInUse`].
    pub fn listen(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        backlog: usize,
    ) -> Result<(), Error> {
        let endpoint = self.held(id)?;
        if endpoint.style == Style::OneToOne && endpoint.only().is_some() {
            return Err(Error::Invalid);
        }
        let many = endpoint.style == Style::OneToMany;
        if backlog == 0 && many {
            self.stop_listening(cx, id);
            return Ok(());
        }
        self.autobind(cx, id)?;
        let backlog = backlog.min(cx.config.backlog_max);
        let endpoint = self.held_mut(id)?;
        if endpoint.backlog.replace(backlog).is_some() {
            return Ok(());
        }
        let claims: SmallVec<[Claim; 4]> = endpoint.bound.iter().map(|b| b.claim).collect();
        for (at, mut claim) in claims.into_iter().enumerate() {
            if let Err(error) = self.demux.listen(&mut claim) {
                self.held_mut(id)?.backlog = None;
                return Err(error);
            }
            self.demux.receive(id, &claim);
            self.held_mut(id)?.bound[at].claim = claim;
        }
        Ok(())
    }

    /// It takes no new associations any more; those that nobody has accepted end.
    pub(crate) fn stop_listening(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(endpoint) = self.endpoint_mut(id) else {
            return;
        };
        if endpoint.backlog.take().is_none() {
            return;
        }
        let claims: SmallVec<[Claim; 4]> = endpoint.bound.iter().map(|b| b.claim).collect();
        let waiting = core::mem::take(&mut endpoint.waiting);
        for claim in claims {
            self.demux.stop_receiving(id, &claim);
        }
        for heir in waiting {
            if let Some(endpoint) = self.endpoint_mut(heir) {
                endpoint.parent = None;
            }
            self.discard(cx, heir, true);
        }
    }

    /// accept(2): the connection that has waited longest, and its peer.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when none waits, [`Error::Invalid`] when the socket does not listen,
    /// [`Error::NotSupported`] for a one-to-many socket.
    pub fn accept(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
    ) -> Result<(SocketId, SocketAddr), Error> {
        loop {
            let endpoint = self.held_mut(id)?;
            if endpoint.style == Style::OneToMany {
                return Err(Error::NotSupported);
            }
            if endpoint.backlog.is_none() {
                return Err(Error::Invalid);
            }
            let heir = endpoint.waiting.pop_front().ok_or(Error::WouldBlock)?;
            let Some(accepted) = self.endpoint_mut(heir) else {
                continue;
            };
            accepted.parent = None;
            let ready = accepted.readiness();
            let association = accepted.only();
            let Some(association) = association.and_then(|id| self.association(id)) else {
                // It ended before anybody asked for it.
                self.discard(cx, heir, true);
                continue;
            };
            let path = association.paths.get(association.primary);
            let remote = path.map(|path| association.settings.show(path.remote));
            cx.set_ready(Self::handle(heir), ready);
            return Ok((heir, remote.ok_or(Error::NotConnected)?));
        }
    }

    /// connect(2). The result of the attempt shows in readiness and
    /// [`connected`](Self::connected).
    ///
    /// # Errors
    /// [`Error::InProgress`] when it has begun; [`Error::Already`] while it goes on;
    /// [`Error::IsConnected`]; those of routing.
    pub fn connect(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addr: SocketAddr,
    ) -> Result<(), Error> {
        self.connect_multi(cx, id, &[addr]).map(|_| ())
    }

    /// sctp_connectx(3): the peer has all these addresses; the name of the association is told.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect), but that beginning is success:
    /// [`connected`](Self::connected) tells the rest. [`Error::Invalid`] for addresses of several
    /// ports, or none.
    pub fn connect_multi(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addrs: &[SocketAddr],
    ) -> Result<AssocId, Error> {
        let endpoint = self.held_mut(id)?;
        if let Some(error) = endpoint.error.take() {
            return Err(error);
        }
        if endpoint.style == Style::OneToOne {
            if endpoint.backlog.is_some() {
                return Err(Error::IsConnected);
            }
            if let Some(only) = endpoint.only() {
                return Err(self.connect_again(id, only));
            }
        }
        let assoc = self.begin(cx, id, addrs)?;
        let endpoint = self.held_mut(id)?;
        if endpoint.style == Style::OneToOne {
            endpoint.untold = true;
        }
        let _ = assoc;
        Err(Error::InProgress)
    }

    fn connect_again(&mut self, id: SocketId, only: SocketId) -> Error {
        let up = self
            .association(only)
            .is_some_and(|association| association.state.is_up());
        match up {
            false => Error::Already,
            true => {
                if let Some(endpoint) = self.endpoint_mut(id) {
                    endpoint.untold = false;
                }
                Error::IsConnected
            }
        }
    }

    /// Makes an association and sends its INIT; its name.
    ///
    /// # Errors
    /// Those of [`connect_multi`](Self::connect_multi).
    /// RFC 9260 §1.3-1.
    pub(crate) fn begin(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addrs: &[SocketAddr],
    ) -> Result<AssocId, Error> {
        let endpoint = self.held(id)?;
        let mut peer: SmallVec<[Address; 4]> = SmallVec::new();
        for &addr in addrs.iter().take(crate::tcb::ADDRESSES_MAX) {
            let remote = endpoint.settings.common.remote(addr)?;
            if remote.port == 0 || remote.ip.is_multicast() {
                return Err(Error::Invalid);
            }
            if !peer.contains(&remote) {
                peer.push(remote);
            }
        }
        let first = *peer.first().ok_or(Error::Invalid)?;
        if peer.iter().any(|remote| remote.port != first.port) {
            return Err(Error::Invalid);
        }
        if self.associations >= cx.config.sctp.associations_max {
            return Err(Error::TooManySockets);
        }
        let route = path::find_route(cx, first, &endpoint.addresses())?;
        self.autobind(cx, id)?;
        let endpoint = self.held(id)?;
        let port = endpoint.port().ok_or(Error::AddressNotAvailable)?;
        let mut local = addresses::local(cx, &endpoint.settings, &endpoint.addresses(), first.ip);
        if !local.contains(&route.source) {
            local.push(route.source);
        }
        for &remote in &peer {
            let ends = local.iter().map(|&ip| Address::new(ip, port));
            if let Some(found) = ends.clone().find_map(|end| self.find(end, remote)) {
                let owner = self.association(found).and_then(|found| found.owner);
                return Err(match owner == Some(id) {
                    true => Error::IsConnected,
                    // Linux: peeled off, it is another socket's.
                    false => Error::AddressNotAvailable,
                });
            }
        }
        let settings = endpoint.settings.clone();
        let terms = Terms {
            local_port: port,
            peer_port: first.port,
            tags: Tags {
                local: random_tag(cx),
                ..Tags::default()
            },
            local_tsn: cx.rng.next_u32(),
            peer_tsn: 0,
            peer_window: 0,
            streams: (settings.init.out_streams, settings.init.in_streams_max),
            local,
            peer,
            abilities: Abilities::default(),
        };
        let association = self
            .create(cx, id, settings, terms)
            .ok_or(Error::TooManySockets)?;
        let tcb = self.association_mut(association).ok_or(Error::BadSocket)?;
        tcb.opened = true;
        // RFC 9260 §5.4 1): the user's addresses are confirmed.
        for path in &mut tcb.paths {
            path.state = PathState::Active;
        }
        tcb.state = State::CookieWait;
        let assoc = tcb.assoc;
        tcb.send_init(cx);
        self.settle(cx, association);
        Ok(assoc)
    }

    /// What the attempt to connect has come to, once it has ended well.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while it goes on, [`Error::NotConnected`], the error that it ended
    /// with, once.
    pub fn connected(&mut self, id: SocketId) -> Result<(), Error> {
        let endpoint = self.held_mut(id)?;
        if let Some(error) = endpoint.error.take() {
            endpoint.untold = false;
            return Err(error);
        }
        let only = endpoint.only().ok_or(Error::NotConnected)?;
        let up = self
            .association(only)
            .is_some_and(|association| association.state.is_up());
        if !up {
            return Err(Error::WouldBlock);
        }
        self.held_mut(id)?.untold = false;
        Ok(())
    }

    /// sctp_peeloff(3): an association of a one-to-many socket becomes a one-to-one socket of its own.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such association, or the socket is one-to-one already.
    pub fn peel_off(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
    ) -> Result<SocketId, Error> {
        if self.held(id)?.style == Style::OneToOne {
            return Err(Error::Invalid);
        }
        let association = self.named(id, assoc)?;
        if self.entries.len() >= cx.config.sockets_max {
            return Err(Error::TooManySockets);
        }
        let endpoint = self.held_mut(id)?;
        let mut peeled = Endpoint::new(Style::OneToOne, endpoint.settings.clone());
        peeled.bound = endpoint.bound.clone();
        peeled.used = true;
        endpoint.associations.remove(&assoc);
        peeled.associations.insert(assoc, association);
        // What it has received goes with it.
        let all = core::mem::take(&mut endpoint.inbox);
        let (own, rest) = all.into_iter().partition(
            |item| matches!(item, Item::Message { association: from, .. } if *from == association),
        );
        peeled.inbox = own;
        endpoint.inbox = rest;
        for bound in &peeled.bound {
            self.demux.share(&bound.claim);
        }
        let ready = peeled.readiness() | Readiness::WRITABLE;
        let new = self.entries.insert(Entry::Endpoint(Box::new(peeled)));
        if let Some(tcb) = self.association_mut(association) {
            tcb.owner = Some(new);
        }
        cx.set_ready(Self::handle(new), ready);
        Ok(new)
    }
}
