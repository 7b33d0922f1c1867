//! The transports of a node, by name and by protocol number.

use sockeye_core::inet::OwnedIcmpError;
use sockeye_core::raw::{Packets, Ping, Raw};
use sockeye_core::{Config, Context, InterfaceId, Rng, Transport, TransportId};
use sockeye_dccp::Dccp;
use sockeye_sctp::Sctp;
use sockeye_tcp::Tcp;
use sockeye_udp::Udp;
use sockeye_unix::Unix;
use sockeye_wire::IpProtocol;
use std::collections::BTreeMap;

/// TCP, UDP, UDP-Lite, SCTP, DCCP, ping, raw and packet sockets.
const BUILT_IN: usize = 8;

/// The built-in transports as typed fields, and those that were registered.
pub(crate) struct Transports {
    pub(crate) tcp: Tcp,
    pub(crate) udp: Udp,
    pub(crate) udp_lite: Udp,
    pub(crate) dccp: Dccp,
    pub(crate) ping: Ping,
    pub(crate) raw: Raw,
    pub(crate) packets: Packets,
    pub(crate) sctp: Sctp,
    /// No packets come of it: it takes no part in sending.
    pub(crate) unix: Unix,
    others: BTreeMap<IpProtocol, Box<dyn Transport>>,
    /// Who is first to send next time.
    turn: usize,
    /// The UDP ports at which SCTP and DCCP are taken; 0 for none.
    sctp_in_udp: u16,
    dccp_in_udp: u16,
}

impl Transports {
    pub(crate) fn new(config: &Config, rng: &mut Rng) -> Self {
        let mut all = Self {
            tcp: Tcp::new(config, rng),
            udp: Udp::new(config, rng),
            ping: Ping::new(rng),
            raw: Raw::new(config),
            packets: Packets::default(),
            unix: Unix::default(),
            others: BTreeMap::new(),
            turn: 0,
            // The last to take of the seed: what others take of it is as it was without.
            udp_lite: Udp::lite(config, rng),
            sctp: Sctp::new(config, rng),
            dccp: Dccp::new(config, rng),
            sctp_in_udp: 0,
            dccp_in_udp: 0,
        };
        all.encapsulate(config);
        all
    }

    /// SCTP and DCCP in UDP are taken at the ports that `config` says (RFC 6951, RFC 6773), if no socket
    /// has them.
    pub(crate) fn encapsulate(&mut self, config: &Config) {
        for (taken, port, protocol) in [
            (
                &mut self.sctp_in_udp,
                config.sctp.udp_port,
                IpProtocol::SCTP,
            ),
            (
                &mut self.dccp_in_udp,
                config.dccp.udp_port,
                IpProtocol::DCCP,
            ),
        ] {
            if port == *taken {
                continue;
            }
            self.udp.unregister_encapsulation(*taken);
            let registered = self.udp.register_encapsulation(port, protocol);
            *taken = if registered.is_ok() { port } else { 0 };
        }
    }

    /// Whether an ICMP error quotes a UDP datagram that carried DCCP.
    pub(crate) fn is_dccp_in_udp(&self, error: &OwnedIcmpError) -> bool {
        let carried = match *error.quoted {
            [high, low, ..] => self.udp.encapsulation(u16::from_be_bytes([high, low])),
            _ => None,
        };
        error.protocol == IpProtocol::UDP && carried == Some(IpProtocol::DCCP)
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
            IpProtocol::UDPLITE => Some(&mut self.udp_lite),
            IpProtocol::SCTP => Some(&mut self.sctp),
            IpProtocol::DCCP => Some(&mut self.dccp),
            IpProtocol::ICMP | IpProtocol::ICMPV6 => Some(&mut self.ping),
            _ => None,
        }
    }

    /// Whose socket it is.
    pub(crate) fn by_id(&mut self, id: TransportId) -> Option<&mut dyn Transport> {
        match id {
            TransportId::TCP => Some(&mut self.tcp),
            TransportId::UDP => Some(&mut self.udp),
            TransportId::UDPLITE => Some(&mut self.udp_lite),
            TransportId::SCTP => Some(&mut self.sctp),
            TransportId::DCCP => Some(&mut self.dccp),
            TransportId::PING => Some(&mut self.ping),
            TransportId::RAW => Some(&mut self.raw),
            TransportId::PACKET => Some(&mut self.packets),
            TransportId::UNIX => Some(&mut self.unix),
            _ => {
                let mut others = self.others.values_mut();
                Some(&mut **others.find(|t| t.id() == id)?)
            }
        }
    }

    pub(crate) fn each(&mut self, mut f: impl FnMut(&mut dyn Transport)) {
        for n in 0..self.len() {
            if let Some(transport) = self.nth(n) {
                f(transport);
            }
        }
    }

    /// Tells all of them that no packet follows at once.
    pub(crate) fn end_batch(&mut self, cx: &mut Context<'_>) {
        let Self {
            tcp,
            udp,
            udp_lite,
            dccp,
            ping,
            raw,
            packets,
            sctp,
            unix: _,
            others,
            turn: _,
            sctp_in_udp: _,
            dccp_in_udp: _,
        } = self;
        // One by one and not through a table: most have nothing to do here.
        tcp.on_batch_end(cx);
        udp.on_batch_end(cx);
        ping.on_batch_end(cx);
        raw.on_batch_end(cx);
        packets.on_batch_end(cx);
        udp_lite.on_batch_end(cx);
        sctp.on_batch_end(cx);
        dccp.on_batch_end(cx);
        for other in others.values_mut() {
            other.on_batch_end(cx);
        }
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
        let mut have = self.have_output(interface);
        if !self.any_has_output(&have, interface) {
            return false;
        }
        let len = self.len();
        let first = self.turn % len;
        let full = cx.inet.queued(interface).saturating_add(budget);
        let mut more = false;
        for n in (first..len).chain(0..first) {
            if have.get(n) == Some(&false) {
                continue;
            }
            let Some(transport) = self.nth(n).filter(|t| t.has_output(interface)) else {
                continue;
            };
            let left = full
                .saturating_sub(cx.inet.queued(interface))
                .min(cx.tx_room(interface));
            // Without room nobody sends: whoever has data is asked again.
            if left == 0 {
                return true;
            }
            more |= transport.poll_transmit(cx, interface, left);
            // What one sends may be what another carries.
            have = self.have_output(interface);
        }
        more
    }

    /// Which of the built-in ones have something for `interface`, in the order of
    /// [`nth`](Self::nth).
    fn have_output(&self, interface: InterfaceId) -> [bool; BUILT_IN] {
        [
            Transport::has_output(&self.tcp, interface),
            self.udp.has_output(interface),
            self.ping.has_output(interface),
            self.raw.has_output(interface),
            self.packets.has_output(interface),
            self.udp_lite.has_output(interface),
            Transport::has_output(&self.sctp, interface),
            Transport::has_output(&self.dccp, interface),
        ]
    }

    /// Mostly none has, several times a turn.
    fn any_has_output(&self, built_in: &[bool; BUILT_IN], interface: InterfaceId) -> bool {
        built_in.contains(&true) || self.others.values().any(|t| t.has_output(interface))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn Transport> {
        let Self {
            tcp,
            udp,
            udp_lite,
            dccp,
            ping,
            raw,
            packets,
            sctp,
            unix,
            others,
            turn: _,
            sctp_in_udp: _,
            dccp_in_udp: _,
        } = self;
        let built_in: [&dyn Transport; BUILT_IN + 1] =
            [tcp, udp, udp_lite, ping, raw, packets, sctp, dccp, unix];
        built_in.into_iter().chain(others.values().map(|t| &**t))
    }

    fn len(&self) -> usize {
        BUILT_IN + self.others.len()
    }

    fn nth(&mut self, n: usize) -> Option<&mut dyn Transport> {
        match n {
            0 => Some(&mut self.tcp),
            1 => Some(&mut self.udp),
            2 => Some(&mut self.ping),
            3 => Some(&mut self.raw),
            4 => Some(&mut self.packets),
            5 => Some(&mut self.udp_lite),
            6 => Some(&mut self.sctp),
            7 => Some(&mut self.dccp),
            _ => Some(&mut **self.others.values_mut().nth(n - BUILT_IN)?),
        }
    }
}

impl std::fmt::Debug for Transports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transports").finish_non_exhaustive()
    }
}
