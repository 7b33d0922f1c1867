//! The tables: sockets and associations by id, associations by addresses and ports, ports by who
//! holds them; and what follows from an association's state once a call, a packet or a timer is done
//! with it.

use crate::arrival::Arrival;
use crate::endpoint::{Endpoint, Item};
use crate::info::AssocId;
use crate::offer::Offer;
use crate::settings::Settings;
use crate::tcb::{Association, Terms};
use crate::{Sctp, State, Style, addresses};
use sockeye_core::demux::{Endpoint as Address, Flow};
use sockeye_core::{Context, Counter, Handle, InterfaceId, Readiness, SocketId, TransportId};
use sockeye_wire::sctp::{Asconf, ChunkType, Init, InitAck};

/// Messages and notifications that wait in one socket's queue at most.
const INBOX_MAX: usize = 1 << 20;
/// Packets that one association sends before it is another's turn.
const SHARE: usize = 16;

/// What stands under an id.
#[derive(Debug)]
pub(crate) enum Entry {
    Endpoint(Box<Endpoint>),
    Association(Box<Association>),
}

impl Sctp {
    /// The name of a socket in the node.
    pub(crate) const fn handle(id: SocketId) -> Handle {
        Handle {
            transport: TransportId::SCTP,
            id,
        }
    }

    pub(crate) fn endpoint(&self, id: SocketId) -> Option<&Endpoint> {
        match self.entries.get(id) {
            Some(Entry::Endpoint(endpoint)) => Some(endpoint),
            _ => None,
        }
    }

    pub(crate) fn endpoint_mut(&mut self, id: SocketId) -> Option<&mut Endpoint> {
        match self.entries.get_mut(id) {
            Some(Entry::Endpoint(endpoint)) => Some(endpoint),
            _ => None,
        }
    }

    pub(crate) fn association(&self, id: SocketId) -> Option<&Association> {
        match self.entries.get(id) {
            Some(Entry::Association(association)) => Some(association),
            _ => None,
        }
    }

    pub(crate) fn association_mut(&mut self, id: SocketId) -> Option<&mut Association> {
        match self.entries.get_mut(id) {
            Some(Entry::Association(association)) => Some(association),
            _ => None,
        }
    }

    /// The association with `local` and `remote`.
    pub(crate) fn find(&self, local: Address, remote: Address) -> Option<SocketId> {
        let ids = self.flows.get(&(local.port, remote))?;
        ids.iter().copied().find(|&id| {
            self.association(id)
                .is_some_and(|association| association.receives_at(local.ip))
        })
    }

    /// The association with a packet's addresses: most often the one of the packet before.
    pub(crate) fn find_again(&mut self, arrival: &Arrival) -> Option<SocketId> {
        let flow = (arrival.local.port, arrival.remote);
        if let Some((recent, id)) = self.recent
            && recent == flow
            && self
                .association(id)
                .is_some_and(|own| own.receives_at(arrival.local.ip))
        {
            return Some(id);
        }
        let found = self.find(arrival.local, arrival.remote)?;
        self.recent = Some((flow, found));
        Some(found)
    }

    /// The association that a packet belongs to: by its addresses, or (RFC 9260 §5.1.2 D) by those
    /// that an INIT or INIT ACK lists.
    /// RFC 9260 §5.1.2-4.
    pub(crate) fn find_for(&self, arrival: &Arrival) -> Option<SocketId> {
        if let Some(id) = self.find(arrival.local, arrival.remote) {
            return Some(id);
        }
        let first = arrival.first()?;
        let init = match first.kind {
            ChunkType::INIT => Init::parse(&first).ok()?,
            ChunkType::INIT_ACK => InitAck::parse(&first).ok()?.0,
            // RFC 5061 §5.2 D2: by the address that an ASCONF behind AUTH names.
            ChunkType::AUTH => {
                let second = arrival.walk().nth(1)?.ok()?;
                let asconf = Asconf::parse(&second).ok()?;
                let known = addresses::with_scope(asconf.address, arrival.remote);
                return self.find(arrival.local, known);
            }
            _ => return None,
        };
        let offer = Offer::read(&init).ok()?;
        let mut listed = offer.addresses.iter();
        listed.find_map(|&ip| self.find(arrival.local, addresses::with_scope(ip, arrival.remote)))
    }

    /// The socket that takes new associations at a packet's destination.
    pub(crate) fn listener_for(&self, arrival: &Arrival) -> Option<SocketId> {
        let flow = Flow {
            local: arrival.local,
            remote: arrival.remote,
        };
        let id = self.demux.lookup_bound(&flow, arrival.interface)?;
        let endpoint = self.endpoint(id)?;
        endpoint.backlog.is_some().then_some(id)
    }

    /// Whether a listener takes one association more.
    pub(crate) fn has_room(&self, cx: &mut Context<'_>, listener: SocketId) -> bool {
        if self.associations >= cx.config.sctp.associations_max {
            cx.drop_packet(Counter::SctpAssociationLimits);
            return false;
        }
        let full = self.endpoint(listener).is_some_and(|endpoint| {
            endpoint.style == Style::OneToOne
                && endpoint
                    .backlog
                    .is_some_and(|backlog| endpoint.waiting.len() > backlog)
        });
        if full {
            cx.drop_packet(Counter::SctpListenOverflows);
        }
        !full
    }

    /// A socket for a connection that waits to be accepted at `listener`.
    pub(crate) fn heir(&mut self, cx: &mut Context<'_>, listener: SocketId) -> Option<SocketId> {
        if self.entries.len() >= cx.config.sockets_max {
            cx.drop_packet(Counter::SctpAssociationLimits);
            return None;
        }
        let parent = self.endpoint(listener)?;
        let mut heir = Endpoint::new(Style::OneToOne, parent.settings.clone());
        heir.bound = parent.bound.clone();
        heir.parent = Some(listener);
        for bound in &heir.bound {
            self.demux.share(&bound.claim);
        }
        let id = self.entries.insert(Entry::Endpoint(Box::new(heir)));
        let parent = self.endpoint_mut(listener)?;
        parent.waiting.push_back(id);
        cx.set_ready(Self::handle(listener), Readiness::READABLE);
        Some(id)
    }

    /// A new association of the socket `owner`.
    pub(crate) fn create(
        &mut self,
        cx: &mut Context<'_>,
        owner: SocketId,
        settings: Settings,
        terms: Terms,
    ) -> Option<SocketId> {
        let assoc = self.next_assoc();
        let endpoint = self.endpoint(owner)?;
        let claims: Vec<_> = endpoint.bound.iter().map(|bound| bound.claim).collect();
        // The association needs its id to be named in timers: its place is taken first.
        let placeholder = Endpoint::new(Style::OneToOne, settings.clone());
        let id = self.entries.insert(Entry::Endpoint(Box::new(placeholder)));
        let mut association = Association::new(cx, id, assoc, owner, settings, terms);
        association.renew_ties(cx);
        for claim in claims {
            self.demux.share(&claim);
            association.claims.push(claim);
        }
        if let Some(entry) = self.entries.get_mut(id) {
            *entry = Entry::Association(Box::new(association));
        }
        self.associations += 1;
        self.names.insert(assoc, id);
        let endpoint = self.endpoint_mut(owner)?;
        endpoint.associations.insert(assoc, id);
        endpoint.used = true;
        self.link(id);
        Some(id)
    }

    /// The next name of an association that is free.
    fn next_assoc(&mut self) -> AssocId {
        loop {
            let next = self.last_assoc.checked_add(1).unwrap_or(AssocId::FIRST);
            self.last_assoc = next.max(AssocId::FIRST);
            let name = AssocId(self.last_assoc);
            if !self.names.contains_key(&name) {
                return name;
            }
        }
    }

    /// Enters an association into the table by what addresses its peer has now.
    pub(crate) fn link(&mut self, id: SocketId) {
        let Some(Entry::Association(association)) = self.entries.get_mut(id) else {
            return;
        };
        let port = association.local_port;
        self.recent = None;
        for &remote in &association.linked {
            if let Some(ids) = self.flows.get_mut(&(port, remote)) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    self.flows.remove(&(port, remote));
                }
            }
        }
        association.linked.clear();
        if association.state == State::Closed && association.opened {
            return;
        }
        for path in &association.paths {
            self.flows.entry((port, path.remote)).or_default().push(id);
            association.linked.push(path.remote);
        }
    }

    /// Leaves that to [`settle_all`](Self::settle_all): for what many packets in a row ask for.
    pub(crate) fn settle_later(&mut self, id: SocketId) {
        let Some(association) = self.association_mut(id) else {
            return;
        };
        if !core::mem::replace(&mut association.unsettled, true) {
            self.unsettled.push(id);
        }
    }

    /// Settles what a batch of packets has left.
    pub(crate) fn settle_all(&mut self, cx: &mut Context<'_>) {
        let mut ids = core::mem::take(&mut self.unsettled);
        for id in ids.drain(..) {
            let left = self.association(id).is_some_and(|own| own.unsettled);
            if left {
                self.settle(cx, id);
            }
        }
        // Its memory is used again.
        self.unsettled = ids;
    }

    /// Brings the tables up to an association's state: its socket's queue, timer, list of senders, the
    /// end.
    pub(crate) fn settle(&mut self, cx: &mut Context<'_>, id: SocketId) {
        self.hand_over(cx, id);
        let Some(association) = self.association_mut(id) else {
            return;
        };
        association.unsettled = false;
        if association.state == State::Closed {
            self.retire(cx, id);
            return;
        }
        let relinked = association.linked.len() != association.paths.len()
            || !association
                .paths
                .iter()
                .zip(&association.linked)
                .all(|(path, linked)| path.remote == *linked);
        if relinked {
            self.link(id);
        }
        let Some(Entry::Association(association)) = self.entries.get_mut(id) else {
            return;
        };
        association.watch_window(cx.now);
        if !association.listed
            && let Some(at) = association.next_output()
        {
            let path = &mut association.paths[at];
            match path.route(cx, &association.local) {
                Ok(route) => {
                    association.listed = true;
                    self.pending.push(route.interface, id);
                }
                Err(_) => association.no_route(cx, at),
            }
        }
        association.arm(cx);
    }

    /// What an association has for its socket goes into the socket's queue.
    fn hand_over(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(association) = self.association_mut(id) else {
            return;
        };
        let owner = association.owner;
        let quiet = association.delivered.is_empty()
            && association.notices.is_empty()
            && !association.writable;
        if quiet {
            return;
        }
        let mut delivered = core::mem::take(&mut association.delivered);
        let notices = core::mem::take(&mut association.notices);
        let writable = core::mem::take(&mut association.writable);
        let assoc = association.assoc;
        let cumulative = association.inbound.cumulative();
        let from = association.paths.get(association.primary);
        let from = from.map(|path| association.settings.show(path.remote));
        let Some(owner) = owner else {
            association.unread = 0;
            return;
        };
        let Some(endpoint) = self.endpoint_mut(owner) else {
            return;
        };
        let mut ready = Readiness::empty();
        let mut overflow = 0;
        // What tells of an association's beginning comes before its data, of its end behind it.
        let (first, last): (Vec<_>, Vec<_>) = notices.into_iter().partition(is_beginning);
        let messages = delivered.drain(..).filter_map(|delivered| {
            Some(Item::Message {
                association: id,
                assoc,
                from: from?,
                cumulative,
                delivered,
                read: 0,
            })
        });
        let told = |notice| Item::Notification(notice, from);
        let items = first.into_iter().map(told).chain(messages);
        for item in items.chain(last.into_iter().map(told)) {
            if endpoint.read_shut {
                continue;
            }
            if endpoint.inbox.len() >= INBOX_MAX {
                overflow += 1;
                continue;
            }
            endpoint.inbox.push_back(item);
            ready |= Readiness::READABLE;
        }
        if writable {
            ready |= Readiness::WRITABLE;
        }
        if let Some(association) = self.association_mut(id) {
            // Its memory is used again.
            association.delivered = delivered;
        }
        cx.counters.add_n(Counter::SctpEventOverflows, overflow);
        if !ready.is_empty() {
            cx.set_ready(Self::handle(owner), ready);
        }
    }

    /// An association has ended: its flows, ports and name are free.
    fn retire(&mut self, cx: &mut Context<'_>, id: SocketId) {
        self.link(id);
        let Some(Entry::Association(mut association)) = self.entries.remove(id) else {
            return;
        };
        cx.timers.disarm(&mut association.timer);
        for claim in &association.claims {
            self.demux.release(claim);
        }
        self.spent.note(cx.now, &association);
        self.associations -= 1;
        self.names.remove(&association.assoc);
        let Some(owner) = association.owner else {
            return;
        };
        let Some(endpoint) = self.endpoint_mut(owner) else {
            return;
        };
        endpoint.associations.remove(&association.assoc);
        let mut ready = Readiness::empty();
        if endpoint.style == Style::OneToOne {
            if let Some(error) = association.failure {
                endpoint.error = Some(error);
                ready |= Readiness::ERROR;
            }
            ready |= Readiness::READABLE
                | Readiness::WRITABLE
                | Readiness::HANGUP
                | Readiness::READ_CLOSED;
        }
        if !ready.is_empty() {
            cx.set_ready(Self::handle(owner), ready);
        }
    }

    /// Lets associations of `interface` send: at most `budget` packets. True when there is more.
    pub(crate) fn pull(
        &mut self,
        cx: &mut Context<'_>,
        interface: InterfaceId,
        budget: usize,
    ) -> bool {
        let mut left = budget;
        let mut idle = 0;
        while left > 0 && idle <= self.pending.len(interface) && cx.tx_room(interface) > 0 {
            let Some(id) = self.pending.pop(interface) else {
                break;
            };
            let Some(association) = self.association_mut(id) else {
                continue;
            };
            association.listed = false;
            let mut sent = 0;
            while sent < left.min(SHARE)
                && let Some(at) = association.next_output()
            {
                let route = association.paths[at].route(cx, &association.local);
                if !route.is_ok_and(|route| route.interface == interface)
                    || !association.transmit(cx, at)
                {
                    break;
                }
                sent += 1;
            }
            left -= sent;
            idle = if sent == 0 { idle + 1 } else { 0 };
            self.settle(cx, id);
        }
        self.pending.len(interface) > 0
    }
}

fn is_beginning(notice: &crate::info::Notification) -> bool {
    use crate::info::{AssocChange, Notification};
    matches!(
        notice,
        Notification::AssocChange {
            change: AssocChange::Up { .. } | AssocChange::Restart { .. },
            ..
        } | Notification::Adaptation { .. }
            | Notification::PeerAddrChange { .. }
    )
}
