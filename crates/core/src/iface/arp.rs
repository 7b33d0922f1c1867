//! ARP (RFC 826, RFC 1122 §2.3.2).

use super::neighbour::Advertisement;
use super::{acd, resolve, transmit};
use crate::{Context, Counter, InterfaceId, MacAddr, Medium, Packet};
use sockeye_wire::EtherType;
use sockeye_wire::arp::{HEADER_LEN, Header, Operation};
use std::net::{IpAddr, Ipv4Addr};

/// Takes an ARP packet without its link header.
pub(super) fn receive(cx: &mut Context<'_>, interface: InterfaceId, mut packet: Packet) {
    if !packet.pull_up(HEADER_LEN) {
        cx.drop_packet(Counter::NeighbourInErrors);
        return;
    }
    let Ok(header) = Header::parse(packet.head()) else {
        cx.drop_packet(Counter::NeighbourInErrors);
        return;
    };
    acd::heard(cx, interface, &header);
    let Some((our_mac, sender_is_neighbour)) = judge(cx, interface, &header) else {
        cx.drop_packet(Counter::NeighbourInErrors);
        return;
    };
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let sender = IpAddr::V4(header.sender_protocol);
    let mac = header.sender_hardware;
    let for_us = link.has_address(IpAddr::V4(header.target_protocol));
    let max = cx.config.neighbours_max;
    let steps = if header.sender_protocol.is_unspecified() {
        // RFC 5227 §2.1.1: a probe is answered, and nothing is learnt from it.
        Vec::new()
    } else if header.operation == Operation::Reply {
        // An answer is only what was asked for; anything else announces.
        let advertisement = Advertisement {
            mac: Some(mac),
            solicited: for_us && link.neighbours.is_asked(sender),
            override_flag: true,
        };
        link.neighbours.advertised(cx.now, sender, advertisement)
    } else {
        // RFC 826: whoever asks for us is worth knowing; others update what is known alone.
        let create = for_us && sender_is_neighbour;
        link.neighbours.heard_of(cx.now, max, sender, mac, create)
    };
    resolve::take_all(cx, interface, steps);
    if header.operation == Operation::Request && for_us {
        let reply = header.reply(our_mac);
        send(cx, interface, &reply, mac);
    }
}

/// Our address on the link, and whether the sender belongs there; `None` when the packet is to be
/// dropped.
fn judge(cx: &Context<'_>, interface: InterfaceId, header: &Header) -> Option<(MacAddr, bool)> {
    let link = cx.inet.interface(interface)?;
    let Medium::Ethernet(our_mac) = link.capabilities().medium else {
        return None;
    };
    let sender = header.sender_protocol;
    // RFC 1812 §3.3.2: no group or broadcast has one link-layer address, and groups are never a
    // sender's. Who claims an address of ours, or is ourselves, teaches us nothing.
    let credible = header.sender_hardware.is_unicast()
        && header.sender_hardware != our_mac
        && !sender.is_multicast()
        && !sender.is_broadcast()
        && !sender.is_loopback()
        && !link.is_subnet_broadcast(sender)
        && !link.has_address(IpAddr::V4(sender));
    credible.then(|| (our_mac, cx.inet.is_on_link(interface, IpAddr::V4(sender))))
}

/// Asks who has `address`: everybody, or the station that had it.
pub(super) fn request(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    address: Ipv4Addr,
    to: Option<MacAddr>,
) {
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    let Medium::Ethernet(our_mac) = link.capabilities().medium else {
        return;
    };
    // The neighbour answers to an address of its own network, where we have one.
    let own = link.addresses().iter().filter(|a| a.is_usable());
    let best = own
        .filter_map(|a| match a.net.addr() {
            IpAddr::V4(v4) => Some((a.net.contains(&IpAddr::V4(address)), v4)),
            IpAddr::V6(_) => None,
        })
        .rev()
        .max_by_key(|&(same_network, _)| same_network);
    let source = best.map_or(Ipv4Addr::UNSPECIFIED, |(_, v4)| v4);
    let request = Header::request(our_mac, source, address);
    send(cx, interface, &request, to.unwrap_or(MacAddr::BROADCAST));
}

pub(super) fn send(cx: &mut Context<'_>, interface: InterfaceId, header: &Header, to: MacAddr) {
    let mut packet = Packet::with_payload(crate::Payload::new());
    header.emit(packet.push(HEADER_LEN));
    // A full queue is counted there; whoever needs the answer asks again.
    let _ = transmit::frame_of(cx, interface, to, EtherType::ARP, packet);
}
