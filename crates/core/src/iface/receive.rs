//! From a link's frame to an IP packet.

use super::arp;
use crate::ip::{self, Arrival};
use crate::{Context, Counter, InterfaceId, IpInfo, MacAddr, Medium, Packet};
use sockeye_wire::{EtherType, ethernet};

/// Takes a frame of `interface`'s link: what is for a transport comes back, at its header.
pub fn receive(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    packet: Packet,
) -> Option<(IpInfo, Packet)> {
    let link = cx.inet.interface_mut(interface)?;
    if !link.is_up() {
        return None;
    }
    link.count_received(&packet);
    let (packet, link_group) = match link.capabilities().medium {
        Medium::Ip => (packet, false),
        Medium::Ethernet(own) => ethernet_frame(cx, interface, own, packet)?,
    };
    let arrival = Arrival {
        interface,
        link_group,
        own: false,
    };
    ip::receive(cx, arrival, packet)
}

/// Takes the Ethernet header off. An IP packet comes back, and whether it was sent to a group.
fn ethernet_frame(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    own: MacAddr,
    mut packet: Packet,
) -> Option<(Packet, bool)> {
    if !packet.pull_up(ethernet::HEADER_LEN) {
        return None;
    }
    let header = ethernet::Header::parse(packet.head()).ok()?;
    let to_group = header.destination.is_multicast();
    // RFC 1122 §2.3.3 leaves the filter to the device; a promiscuous one has none.
    if !to_group && header.destination != own || header.source.is_multicast() {
        return None;
    }
    packet.pull(ethernet::HEADER_LEN);
    let version = match header.ethertype {
        EtherType::ARP => {
            arp::receive(cx, interface, packet);
            return None;
        }
        EtherType::IPV4 => 4,
        EtherType::IPV6 => 6,
        _ => return None,
    };
    if packet.pull_up(1) && packet.head()[0] >> 4 != version {
        cx.drop_packet(Counter::IpInHdrErrors);
        return None;
    }
    Some((packet, to_group))
}

/// Takes a packet that this node sent to itself, off
/// [`Inet::pop_loopback`](crate::Inet::pop_loopback).
pub fn receive_own(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    packet: Packet,
) -> Option<(IpInfo, Packet)> {
    let arrival = Arrival {
        interface,
        link_group: false,
        own: true,
    };
    ip::receive(cx, arrival, packet)
}
