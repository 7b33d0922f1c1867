//! The transports of a node, by name and by protocol number.

use smallvec::{SmallVec, smallvec};
use sockeye_core::raw::{Ping, Raw};
use sockeye_core::{Config, Context, InterfaceId, Rng, Transport, TransportId};
use sockeye_tcp::Tcp;
use sockeye_udp::Udp;
use sockeye_wire::IpProtocol;
use std::collections::BTreeMap;

/// The built-in transports as typed fields, and those that were registered.
pub(crate) struct Transports {
    pub(crate) tcp: Tcp,
    pub(crate) udp: Udp,
    pub(crate) ping: Ping,
    pub(crate) raw: Raw,
    others: BTreeMap<IpProtocol, Box<dyn Transport>>,
    /// Who is first to send next time.
    turn: usize,
}

impl Transports {
    pub(crate) fn new(config: &Config, rng: &mut Rng) -> Self {
        Self {
            tcp: Tcp::new(config, rng),
            udp: Udp::new(config, rng),
            ping: Ping::new(rng),
            raw: Raw::new(config),
            others: BTreeMap::new(),
            turn: 0,
        }
    }

    pub(crate) fn register(&mut self, transport: Box<dyn Transport>, protocol: IpProtocol) {
        self.others.insert(protocol, transport);
    }

    /// Who takes packets of `protocol`.
    pub(crate) fn by_protocol(&mut self, protocol: IpProtocol) -> Option<&mut dyn Transport> {
        if let Some(other) = self.others.get_mut(&protocol) {
            return Some(&mut **other);
        }
        match protocol {
            IpProtocol::TCP => Some(&mut self.tcp),
            IpProtocol::UDP => Some(&mut self.udp),
            IpProtocol::ICMP | IpProtocol::ICMPV6 => Some(&mut self.ping),
            _ => None,
        }
    }

    /// Whose socket it is.
    pub(crate) fn by_id(&mut self, id: TransportId) -> Option<&mut dyn Transport> {
        self.all().into_iter().find(|t| t.id() == id)
    }

    pub(crate) fn each(&mut self, f: impl FnMut(&mut dyn Transport)) {
        self.all().into_iter().for_each(f);
    }

    /// Lets the transports send up to `budget` packets by `interface`, a different one first each
    /// time. True when one has more.
    pub(crate) fn pull(
        &mut self,
        cx: &mut Context<'_>,
        interface: InterfaceId,
        budget: usize,
    ) -> bool {
        self.turn = self.turn.wrapping_add(1);
        let turn = self.turn;
        let mut all = self.all();
        let first = turn % all.len();
        all.rotate_left(first);
        let full = cx.inet.queued(interface).saturating_add(budget);
        let mut more = false;
        for transport in all {
            let left = full
                .saturating_sub(cx.inet.queued(interface))
                .min(cx.tx_room(interface));
            // Without room nobody is asked: whoever has data is asked again.
            more |= left == 0 || transport.poll_transmit(cx, interface, left);
        }
        more
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn Transport> {
        let Self {
            tcp,
            udp,
            ping,
            raw,
            others,
            turn: _,
        } = self;
        let built_in: [&dyn Transport; 4] = [tcp, udp, ping, raw];
        built_in.into_iter().chain(others.values().map(|t| &**t))
    }

    fn all(&mut self) -> SmallVec<[&mut dyn Transport; 8]> {
        let Self {
            tcp,
            udp,
            ping,
            raw,
            others,
            turn: _,
        } = self;
        let mut all: SmallVec<[&mut dyn Transport; 8]> =
            smallvec![tcp as _, udp as _, ping as _, raw as _];
        all.extend(others.values_mut().map(|t| &mut **t as _));
        all
    }
}

impl std::fmt::Debug for Transports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transports").finish_non_exhaustive()
    }
}
