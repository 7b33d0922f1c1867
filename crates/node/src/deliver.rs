//! From the internet layer up to the transports.

use crate::{Instant, InterfaceId, Node, Packet};
use sockeye_core::inet::Notice;
use sockeye_core::{Counter, Disposition, IpInfo, iface};

/// Packets to itself that a node receives before others get their turn.
const LOOPBACK_BUDGET: usize = 256;
/// Encapsulations that are taken off one packet.
const DECAPSULATIONS_MAX: usize = 4;

impl Node {
    pub(crate) fn receive(&mut self, now: Instant, interface: InterfaceId, packet: Packet) {
        let mut cx = self.parts.context(now);
        if let Some((info, packet)) = iface::receive(&mut cx, interface, packet) {
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
                if let Some((info, packet)) = iface::receive_own(&mut cx, interface, packet) {
                    self.deliver(now, info, packet);
                }
                self.pass_notices(now);
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

    /// Hands a packet to the transport of its protocol.
    fn deliver(&mut self, now: Instant, mut info: IpInfo, mut packet: Packet) {
        for _ in 0..=DECAPSULATIONS_MAX {
            let mut cx = self.parts.context(now);
            let Some(transport) = self.transports.by_protocol(info.protocol) else {
                cx.drop_packet(Counter::IpInUnknownProtos);
                return;
            };
            match transport.on_packet(&mut cx, &info, packet) {
                Disposition::Taken | Disposition::NoSocket(_) => return,
                Disposition::Decapsulated(protocol, inner) => {
                    info.protocol = protocol;
                    packet = inner;
                }
            }
        }
        self.parts.context(now).drop_packet(Counter::IpInHdrErrors);
    }

    /// Tells the transports what the internet layer has to tell them.
    pub(crate) fn pass_notices(&mut self, now: Instant) {
        while let Some(notice) = self.parts.inet.pop_notice() {
            let mut cx = self.parts.context(now);
            match notice {
                Notice::IcmpError(error) => {
                    if let Some(transport) = self.transports.by_protocol(error.protocol) {
                        transport.on_icmp_error(&mut cx, &error.borrow());
                    }
                }
                Notice::PathMtu { remote, mtu } => {
                    self.transports
                        .each(|t| t.on_path_mtu(&mut cx, remote, mtu));
                }
                Notice::Address(change) => {
                    self.transports.each(|t| t.on_address(&mut cx, change));
                }
            }
        }
    }
}
