//! From the internet layer up to the transports.

use crate::{Context, Instant, InterfaceId, IpProtocol, Node, Packet};
use sockeye_core::icmp::{self, Problem};
use sockeye_core::inet::Notice;
use sockeye_core::ip::pmtu;
use sockeye_core::multicast::igmp;
use sockeye_core::transport::IcmpErrorKind;
use sockeye_core::{Counter, Disposition, IpInfo, iface};

/// Packets to itself that a node receives before others get their turn.
const LOOPBACK_BUDGET: usize = 256;
/// Encapsulations that are taken off one packet.
const DECAPSULATIONS_MAX: usize = 4;

impl Node {
    pub(crate) fn receive(&mut self, now: Instant, interface: InterfaceId, packet: Packet) {
        let mut cx = self.parts.context(now);
        if self.transports.packets.listens() {
            self.transports.packets.arrives(&mut cx, interface, &packet);
        }
        if let Some((info, packet)) = iface::receive(&mut cx, interface, packet)
            && let Some(packet) = self.dhcp.on_packet(&mut cx, &info, packet)
        {
            self.deliver(now, info, packet);
        }
        self.pass_notices(now);
    }

    /// Lets the transports send to this node itself, and receives what they sent, until there is
    /// nothing left or the budget is spent.
    pub(crate) fn run_loopback(&mut self, now: Instant) {
        let mut budget = LOOPBACK_BUDGET;
        self.loopback_pending = false;
        loop {
            let mut cx = self.parts.context(now);
            self.transports.pull(&mut cx, InterfaceId::LOOPBACK, budget);
            let mut idle = true;
            while budget > 0
                && let Some((interface, packet)) = self.parts.inet.pop_loopback()
            {
                budget -= 1;
                idle = false;
                let mut cx = self.parts.context(now);
                // As on Linux, the loopback shows each packet twice; of what is sent to a group the
                // link alone shows something.
                if interface == InterfaceId::LOOPBACK && self.transports.packets.listens() {
                    let packets = &mut self.transports.packets;
                    packets.leaves(&mut cx, interface, &packet);
                    packets.arrives(&mut cx, interface, &packet);
                }
                if let Some((info, packet)) = iface::receive_own(&mut cx, interface, packet) {
                    self.deliver(now, info, packet);
                }
                self.pass_notices(now);
            }
            if !idle {
                self.end_batch(now);
            }
            if budget == 0 {
                self.loopback_pending = true;
                return;
            }
            // Who has more but sent nothing waits for something else.
            if idle {
                return;
            }
        }
    }

    /// Tells the transports that no packet follows at once.
    pub(crate) fn end_batch(&mut self, now: Instant) {
        let mut cx = self.parts.context(now);
        self.transports.end_batch(&mut cx);
    }

    /// Hands a packet to the transport of its protocol.
    fn deliver(&mut self, now: Instant, mut info: IpInfo, mut packet: Packet) {
        let mut cx = self.parts.context(now);
        let seen = self.transports.raw.deliver(&mut cx, &info, &packet);
        let igmp = info.protocol == IpProtocol::IGMP && info.source.is_ipv4();
        if seen || is_icmp(&info) || igmp || self.transports.by_protocol(info.protocol).is_some() {
            cx.counters.add(Counter::IpInDelivers);
        }
        if igmp && self.transports.by_protocol(IpProtocol::IGMP).is_none() {
            igmp::receive(&mut self.parts.context(now), &info, packet);
            return;
        }
        for _ in 0..=DECAPSULATIONS_MAX {
            let mut cx = self.parts.context(now);
            if is_icmp(&info) {
                match icmp::receive(&mut cx, &info, packet) {
                    Some(message) => packet = message,
                    None => return,
                }
            }
            let Some(transport) = self.transports.by_protocol(info.protocol) else {
                // A raw socket's program speaks it.
                if !seen {
                    unknown_protocol(&mut cx, &info, packet);
                }
                return;
            };
            match transport.on_packet(&mut cx, &info, packet) {
                Disposition::Taken => return,
                Disposition::NoSocket(packet) => {
                    // The others have answered in their own way.
                    if matches!(info.protocol, IpProtocol::UDP | IpProtocol::UDPLITE) && info.local
                    {
                        icmp::send_error(&mut cx, &info, packet, Problem::PortUnreachable);
                    }
                    return;
                }
                Disposition::Decapsulated(protocol, inner) => {
                    info.protocol = protocol;
                    packet = inner;
                }
            }
        }
        let mut cx = self.parts.context(now);
        cx.drop_packet(Counter::IpInHdrErrors);
    }

    /// Tells the transports what the internet layer has to tell them.
    pub(crate) fn pass_notices(&mut self, now: Instant) {
        while let Some(notice) = self.parts.inet.pop_notice() {
            let mut cx = self.parts.context(now);
            match notice {
                Notice::IcmpError(error) => {
                    let raw = &mut self.transports.raw;
                    let raw_matched = raw.error_arrives(&mut cx, error.protocol, &error.borrow());
                    // What a raw socket may have sent is believed only where nobody knows better.
                    let matched = if self.transports.is_dccp_in_udp(&error) {
                        let dccp = &mut self.transports.dccp;
                        dccp.on_icmp_error_in_udp(&mut cx, &error.borrow())
                    } else {
                        match self.transports.by_protocol(error.protocol) {
                            Some(transport) => transport.on_icmp_error(&mut cx, &error.borrow()),
                            None => raw_matched,
                        }
                    };
                    if !matched {
                        cx.counters.add(Counter::IcmpInUnmatched);
                    } else if let IcmpErrorKind::PacketTooBig { mtu } = error.kind {
                        pmtu::learn(&mut cx, error.destination, mtu);
                    }
                }
                Notice::PathMtu { remote, mtu } => {
                    self.transports
                        .each(|t| t.on_path_mtu(&mut cx, remote, mtu));
                }
                Notice::RouterAlert(alert) => self.transports.raw.alert_arrives(&mut cx, *alert),
                Notice::Address(change) => {
                    self.dhcp.on_address(&mut cx, change);
                    self.transports.each(|t| t.on_address(&mut cx, change));
                }
            }
        }
    }
}

fn is_icmp(info: &IpInfo) -> bool {
    match info.protocol {
        IpProtocol::ICMP => info.source.is_ipv4(),
        IpProtocol::ICMPV6 => info.source.is_ipv6(),
        _ => false,
    }
}

/// Nobody takes packets of this protocol.
fn unknown_protocol(cx: &mut Context<'_>, info: &IpInfo, packet: Packet) {
    // An echo reply that no ping socket waits for is no unknown protocol.
    if is_icmp(info) {
        return;
    }
    cx.drop_packet(Counter::IpInUnknownProtos);
    // RFC 8200 §4.7: what follows "no next header" is ignored.
    if info.local && info.protocol != IpProtocol::NO_NEXT {
        icmp::send_error(cx, info, packet, Problem::ProtocolUnreachable);
    }
}
