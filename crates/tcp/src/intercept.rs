//! Interception: connection requests to addresses that are not the node's, or to ports where nobody
//! listens, wait for the node's owner to accept or refuse them.
//!
//! A request that waits is small and answers nothing: the peer sends its SYN again, which is dropped.
//! Their number has a limit, `intercept_backlog`.

use crate::ecn::Policy;
use crate::options::Offer;
use crate::segment::Segment;
use crate::settings::Settings;
use crate::socket::Socket;
use crate::tcb::{Origin, Tcb};
use crate::{State, Tcp, icmp, reset};
use sockeye_core::demux::{Endpoint, Flow, Keyed, KeyedMap};
use sockeye_core::intercept::{Refused, send_unreachable};
use sockeye_core::socket::Domain;
use sockeye_core::{
    Context, Counter, Error, Handle, IncomingId, Readiness, Rng, Scope, SocketId, TransportId,
    Unreachable,
};
use sockeye_wire::tcp::Flags;
use sockeye_wire::{IpProtocol, SeqNum};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

/// A connection request that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// What to answer it by.
    pub id: IncomingId,
    /// Whom the peer wants to reach.
    pub local: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
}

/// The requests.
#[derive(Debug)]
pub(crate) struct Intercept {
    scope: Option<Scope>,
    next: u64,
    waiting: BTreeMap<IncomingId, Request>,
    by_flow: KeyedMap<Flow, IncomingId>,
    /// Those that the owner has not been shown.
    fresh: VecDeque<IncomingId>,
    /// Accepted connections whose own address is not the node's: its packets must go on coming.
    foreign: usize,
}

#[derive(Debug)]
struct Request {
    flow: Flow,
    syn: Segment,
    foreign: bool,
    /// What the ISS must be, where the flow was in TIME-WAIT (RFC 6191 §2).
    iss: Option<SeqNum>,
}

impl Intercept {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            scope: None,
            next: 0,
            waiting: BTreeMap::new(),
            by_flow: KeyedMap::with_hasher(Keyed::new(rng)),
            fresh: VecDeque::new(),
            foreign: 0,
        }
    }

    /// Whether a request to an address that is the node's (or not) is caught.
    pub(crate) fn catches(&self, local: bool) -> bool {
        match self.scope {
            None => false,
            Some(Scope::Foreign) => !local,
            Some(Scope::All) => true,
        }
    }

    /// Says whether packets to addresses that are not the node's are wanted.
    fn tell_inet(&self, cx: &mut Context<'_>) {
        let wanted = self.scope.is_some() || self.foreign > 0;
        cx.inet.set_intercept(IpProtocol::TCP, wanted);
    }

    /// An accepted connection in another's name has left the tables.
    pub(crate) fn foreign_ended(&mut self, cx: &mut Context<'_>) {
        self.foreign -= 1;
        self.tell_inet(cx);
    }

    fn take(&mut self, id: IncomingId) -> Option<Request> {
        let request = self.waiting.remove(&id)?;
        self.by_flow.remove(&request.flow);
        Some(request)
    }
}

impl Tcp {
    /// Catches connection requests from now on, or no longer. What waits still waits, and accepted
    /// connections go on.
    pub fn set_intercept(&mut self, cx: &mut Context<'_>, scope: Option<Scope>) {
        self.intercept.scope = scope;
        self.intercept.tell_inet(cx);
    }

    /// The next request that has not been shown yet.
    pub fn incoming(&mut self, _cx: &mut Context<'_>) -> Option<Incoming> {
        loop {
            let id = self.intercept.fresh.pop_front()?;
            if let Some(request) = self.intercept.waiting.get(&id) {
                return Some(Incoming {
                    id,
                    local: request.flow.local.into(),
                    remote: request.flow.remote.into(),
                });
            }
        }
    }

    /// A segment that no socket wants and that interception catches. `iss` is the ISS of a
    /// connection that follows one in TIME-WAIT.
    pub(crate) fn intercepted(
        &mut self,
        cx: &mut Context<'_>,
        flow: Flow,
        mut segment: Segment,
        local: bool,
        iss: Option<SeqNum>,
    ) {
        let known = self.intercept.by_flow.get(&flow).copied();
        if segment.has(Flags::RST) {
            // The peer has given up. An exact number is not known yet; nor is anything lost.
            if let Some(id) = known {
                self.intercept.take(id);
            }
            return;
        }
        if segment.has(Flags::ACK) || !segment.has(Flags::SYN) {
            reset::refuse(cx, &flow, &segment, None);
            return;
        }
        if known.is_some() {
            return;
        }
        if self.intercept.waiting.len() >= cx.config.intercept_backlog {
            cx.drop_packet(Counter::InterceptOverflows);
            return;
        }
        // Text on the SYN is not kept: the peer sends it again (RFC 9293 §3.10.7.3).
        segment.take_text();
        let id = IncomingId(self.intercept.next);
        self.intercept.next = self.intercept.next.wrapping_add(1);
        self.intercept.by_flow.insert(flow, id);
        let request = Request {
            flow,
            syn: segment,
            foreign: !local,
            iss,
        };
        self.intercept.waiting.insert(id, request);
        self.intercept.fresh.push_back(id);
        let handle = Handle {
            transport: TransportId::TCP,
            id: SocketId::INTERCEPT,
        };
        cx.set_ready(handle, Readiness::READABLE);
    }

    /// Accepts a request: SYN and ACK go out now, as if from the address that the peer wanted.
    ///
    /// # Errors
    /// [`Error::BadSocket`] when it does not wait any more, [`Error::TooManySockets`].
    pub fn accept_incoming(
        &mut self,
        cx: &mut Context<'_>,
        id: IncomingId,
    ) -> Result<SocketId, Error> {
        if self.sockets.len() >= cx.config.sockets_max {
            return Err(Error::TooManySockets);
        }
        let request = self.intercept.take(id).ok_or(Error::BadSocket)?;
        let Request {
            flow,
            syn,
            foreign,
            iss,
        } = request;
        if self.demux.has_flow(&flow) {
            return Err(Error::AddressInUse);
        }
        let domain = match flow.remote {
            Endpoint { ip, .. } if ip.is_ipv4() => Domain::V4,
            _ => Domain::V6,
        };
        let mut settings = Settings::new(domain, cx.config);
        settings.common.bound = true;
        let fresh = crate::socket::Fresh {
            settings: Arc::new(settings),
            bound: None,
            error: None,
            auth: None,
        };
        let settings = fresh.settings.clone();
        let id = self.sockets.insert(Socket::Fresh(Box::new(fresh)));
        let handle = Self::handle(id);
        let origin = Origin::Intercepted;
        let mut tcb = Tcb::new(cx, handle, flow, origin, settings, &self.secrets);
        tcb.marks.user = true;
        tcb.marks.foreign = foreign;
        tcb.marks.linked = true;
        if let Some(iss) = iss {
            tcb.set_iss(iss);
        }
        // LISTEN, third (RFC 9293 §3.10.7.2), as if somebody had listened there.
        let offer = Offer::read(&syn.options, flow.remote.ip, cx.config);
        tcb.snd.wnd = syn.window.into();
        tcb.snd.max_wnd = tcb.snd.wnd;
        tcb.synchronize(&syn, &offer, cx);
        let policy = Policy::new(cx.config, tcb.congestion.needs_ecn());
        tcb.ecn.answered(policy.answer(syn.flags, syn.ecn), 0);
        tcb.snd.wl1 = syn.seq;
        tcb.snd.wl2 = tcb.snd.iss;
        tcb.marks.syn_due = true;
        tcb.enter(cx, State::SynReceived);
        self.demux.connect(id, flow, None, false);
        if foreign {
            self.intercept.foreign += 1;
            self.intercept.tell_inet(cx);
        }
        if let Some(socket) = self.sockets.get_mut(id) {
            *socket = Socket::Connection(Box::new(tcb));
        }
        self.settle(cx, id);
        Ok(id)
    }

    /// Refuses a request as a port where nobody listens does: with a reset.
    pub fn reset_incoming(&mut self, cx: &mut Context<'_>, id: IncomingId) {
        if let Some(Request { flow, syn, .. }) = self.intercept.take(id) {
            reset::refuse(cx, &flow, &syn, None);
        }
    }

    /// Refuses a request with an ICMP error.
    pub fn unreachable_incoming(&mut self, cx: &mut Context<'_>, id: IncomingId, why: Unreachable) {
        let Some(Request { flow, syn, .. }) = self.intercept.take(id) else {
            return;
        };
        let refused = Refused {
            interface: syn.interface,
            source: flow.remote.ip,
            destination: flow.local.ip,
            protocol: IpProtocol::TCP,
            quote: &icmp::quote_of(&flow, &syn),
        };
        // Lost like any packet, if it can't be sent.
        let _ = send_unreachable(cx, why, &refused);
    }

    /// Forgets a request: the peer hears nothing, and asks again.
    pub fn drop_incoming(&mut self, _cx: &mut Context<'_>, id: IncomingId) {
        self.intercept.take(id);
    }
}
