//! Flows to addresses that are not the node's, each answered by the node's owner.
//!
//! The first datagram of a flow makes an [`Incoming`]. Until it is answered, what follows waits
//! with it, bounded. Accepted, it is a socket bound to the foreign address and connected to the
//! sender, with all that waited in its queue.

use crate::receive::quote;
use crate::{Socket, Udp};
use sockeye_core::datagram::{Datagram, DatagramSocket, ReceiveQueue};
use sockeye_core::demux::{Flow, Keyed, KeyedMap};
use sockeye_core::intercept::{IncomingId, Refused, Scope, Unreachable, send_unreachable};
use sockeye_core::{
    Context, Counter, Domain, Error, InterfaceId, IpInfo, Readiness, Rng, SocketId,
};
use sockeye_wire::IpProtocol;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// Bytes that wait with one unanswered flow, beyond its first datagram.
const WAITING_BYTES_MAX: usize = 16 << 10;

/// A flow that wants an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Its name.
    pub id: IncomingId,
    /// Whom the datagram was sent to.
    pub local: SocketAddr,
    /// Who sent it.
    pub remote: SocketAddr,
}

/// Flows without an answer.
#[derive(Debug)]
pub(crate) struct Intercept {
    scope: Option<Scope>,
    flows: KeyedMap<Flow, IncomingId>,
    waiting: BTreeMap<IncomingId, Waiting>,
    /// Those that [`Udp::incoming`] has not told of yet.
    fresh: VecDeque<IncomingId>,
    next: u64,
    /// Accepted flows to foreign addresses; they go on when interception ends.
    pub(crate) foreign_sockets: usize,
}

#[derive(Debug)]
struct Waiting {
    flow: Flow,
    interface: InterfaceId,
    foreign: bool,
    queue: ReceiveQueue,
}

impl Intercept {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            scope: None,
            flows: KeyedMap::with_hasher(Keyed::new(rng)),
            waiting: BTreeMap::new(),
            fresh: VecDeque::new(),
            next: 0,
            foreign_sockets: 0,
        }
    }

    /// Whether a packet that no socket wants is intercepted.
    pub(crate) fn wants(&self, ip: &IpInfo) -> bool {
        match self.scope {
            None => false,
            Some(Scope::Foreign) => !ip.local,
            Some(Scope::All) => true,
        }
    }

    /// Says whether packets for others are wanted.
    pub(crate) fn tell_inet(&self, cx: &mut Context<'_>) {
        let wanted = self.scope.is_some() || self.foreign_sockets > 0;
        cx.inet.set_intercept(IpProtocol::UDP, wanted);
    }

    /// Forgets flows that nobody was told of.
    pub(crate) fn drop_waiting(&mut self) {
        for id in std::mem::take(&mut self.fresh) {
            self.take(id);
        }
    }

    fn take(&mut self, id: IncomingId) -> Option<Waiting> {
        let waiting = self.waiting.remove(&id)?;
        self.flows.remove(&waiting.flow);
        Some(waiting)
    }
}

impl Udp {
    /// Begins or ends interception. Flows that wait for an answer go on waiting, accepted ones go
    /// on.
    pub fn set_intercept(&mut self, cx: &mut Context<'_>, scope: Option<Scope>) {
        self.intercept.scope = scope;
        self.intercept.tell_inet(cx);
    }

    /// The next intercepted flow.
    /// [`READABLE`](Readiness::READABLE) of [`SocketId::INTERCEPT`] tells that there is one.
    pub fn incoming(&mut self, _cx: &mut Context<'_>) -> Option<Incoming> {
        loop {
            let id = self.intercept.fresh.pop_front()?;
            if let Some(waiting) = self.intercept.waiting.get(&id) {
                return Some(Incoming {
                    id,
                    local: waiting.flow.local.into(),
                    remote: waiting.flow.remote.into(),
                });
            }
        }
    }

    /// Makes a socket of a flow: bound to the address it was sent to, connected to the sender, the
    /// datagrams so far in its queue.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the flow was answered, [`Error::TooManySockets`].
    pub fn accept_incoming(
        &mut self,
        cx: &mut Context<'_>,
        id: IncomingId,
    ) -> Result<SocketId, Error> {
        if self.sockets.len() >= cx.config.sockets_max {
            return Err(Error::TooManySockets);
        }
        let waiting = self.intercept.take(id).ok_or(Error::Invalid)?;
        let Flow { local, remote } = waiting.flow;
        let domain = match local.ip {
            IpAddr::V4(_) => Domain::V4,
            IpAddr::V6(_) => Domain::V6,
        };
        let mut base = DatagramSocket::new(domain, cx.config);
        base.foreign = waiting.foreign;
        base.common.bound = true;
        base.queue = waiting.queue;
        let socket = self.sockets.insert(Socket {
            local: Some(local),
            peer: Some(remote),
            intercepted: true,
            address_fixed: true,
            port_fixed: true,
            ..Socket::new(base)
        });
        self.list(socket)?;
        if waiting.foreign {
            self.intercept.foreign_sockets += 1;
        }
        let ready = Readiness::READABLE | Readiness::WRITABLE;
        cx.set_ready(self.handle(socket), ready);
        Ok(socket)
    }

    /// Refuses a flow by an ICMP error.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the flow was answered, and those of sending.
    pub fn unreachable_incoming(
        &mut self,
        cx: &mut Context<'_>,
        id: IncomingId,
        why: Unreachable,
    ) -> Result<(), Error> {
        let waiting = self.intercept.take(id).ok_or(Error::Invalid)?;
        let payload = waiting.queue.front().map(|first| &first.payload[..]);
        let quote = quote(&waiting.flow, payload.unwrap_or_default());
        refuse(cx, &waiting.flow, waiting.interface, why, &quote)
    }

    /// Refuses a flow as a closed port does: UDP knows no other reset.
    ///
    /// # Errors
    /// As for [`unreachable_incoming`](Self::unreachable_incoming).
    pub fn reset_incoming(&mut self, cx: &mut Context<'_>, id: IncomingId) -> Result<(), Error> {
        self.unreachable_incoming(cx, id, Unreachable::Port)
    }

    /// Forgets a flow; its next datagram makes a new one. False when it was answered.
    pub fn drop_incoming(&mut self, _cx: &mut Context<'_>, id: IncomingId) -> bool {
        self.intercept.take(id).is_some()
    }

    /// Tells the peer of an accepted flow by an ICMP error that what it sent did not get on; the
    /// socket stays.
    ///
    /// # Errors
    /// [`Error::NotConnected`] when the socket is not such a flow, [`Error::BadSocket`], and those
    /// of sending.
    pub fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        why: Unreachable,
    ) -> Result<(), Error> {
        let socket = self.socket(id)?;
        let (Some(local), Some(remote), true) = (socket.local, socket.peer, socket.intercepted)
        else {
            return Err(Error::NotConnected);
        };
        let flow = Flow { local, remote };
        let interface = remote.scope_interface().unwrap_or(InterfaceId::LOOPBACK);
        refuse(cx, &flow, interface, why, &quote(&flow, &[]))
    }

    /// Takes a datagram that no socket wants.
    pub(crate) fn intercept_datagram(
        &mut self,
        cx: &mut Context<'_>,
        flow: Flow,
        foreign: bool,
        datagram: Datagram,
    ) {
        let Intercept {
            flows,
            waiting,
            fresh,
            next,
            ..
        } = &mut self.intercept;
        if let Some(id) = flows.get(&flow) {
            let room = waiting
                .get_mut(id)
                .is_some_and(|flow| flow.queue.push(datagram, WAITING_BYTES_MAX));
            if !room {
                cx.drop_packet(Counter::InterceptOverflows);
            }
            return;
        }
        if waiting.len() >= cx.config.intercept_backlog {
            cx.drop_packet(Counter::InterceptOverflows);
            return;
        }
        let id = IncomingId(*next);
        *next += 1;
        let interface = datagram.interface;
        let mut queue = ReceiveQueue::default();
        queue.push(datagram, WAITING_BYTES_MAX);
        let flow_waiting = Waiting {
            flow,
            interface,
            foreign,
            queue,
        };
        flows.insert(flow, id);
        waiting.insert(id, flow_waiting);
        fresh.push_back(id);
        cx.set_ready(self.handle(SocketId::INTERCEPT), Readiness::READABLE);
    }
}

fn refuse(
    cx: &mut Context<'_>,
    flow: &Flow,
    interface: InterfaceId,
    why: Unreachable,
    quote: &[u8],
) -> Result<(), Error> {
    let refused = Refused {
        interface,
        source: flow.remote.ip,
        destination: flow.local.ip,
        protocol: IpProtocol::UDP,
        quote,
    };
    send_unreachable(cx, why, &refused)
}
