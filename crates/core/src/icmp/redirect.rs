//! Telling a neighbour of a better first hop (RFC 1812 §5.2.7.2, RFC 4861 §8.2).

use super::{answer, error, tos_of_error};
use crate::{Context, Counter, InterfaceId, IpInfo, Medium, Packet, Payload, iface};
use sockeye_wire::ndp::{HOP_LIMIT, Header as NdHeader};
use sockeye_wire::ndp_options::NdpOption;
use sockeye_wire::{IpProtocol, icmpv4, icmpv6, ipv6};
use std::net::{IpAddr, Ipv6Addr};

/// A packet that leaves by the interface it came by, and what its sender should know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detour<'a> {
    /// Where it came by and leaves.
    pub(crate) interface: InterfaceId,
    /// Where it came from and where it goes.
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// The neighbour that its sender could have handed it to.
    pub(crate) next_hop: IpAddr,
    /// The packet at its IP header.
    pub(crate) packet: &'a Packet,
}

/// Redirects the source of a packet, within the limit for it.
pub(crate) fn redirect(cx: &mut Context<'_>, detour: &Detour<'_>) {
    if !is_called_for(cx, detour) {
        return;
    }
    if !cx.inet.icmp_limits.redirect(cx.now, detour.source) {
        cx.counters.add(Counter::IcmpOutRateLimitHost);
        return;
    }
    match (detour.source, detour.destination, detour.next_hop) {
        (IpAddr::V4(_), _, IpAddr::V4(gateway)) => redirect_v4(cx, detour, gateway),
        (IpAddr::V6(to), IpAddr::V6(destination), IpAddr::V6(target)) => {
            redirect_v6(cx, detour, to, destination, target);
        }
        _ => {}
    }
}

/// Whether the rules allow it: the sender and the better hop are neighbours on one shared link.
fn is_called_for(cx: &Context<'_>, detour: &Detour<'_>) -> bool {
    let Some(link) = cx.inet.interface(detour.interface) else {
        return false;
    };
    let settings = match detour.source {
        IpAddr::V4(_) => link.settings().v4,
        IpAddr::V6(_) => link.settings().v6,
    };
    let target_is_sound = match detour.next_hop {
        IpAddr::V4(_) => true,
        // RFC 4861 §8.2: a router by its link-local address, a host by the destination itself.
        IpAddr::V6(v6) => v6.is_unicast_link_local() || detour.next_hop == detour.destination,
    };
    settings.send_redirects
        && matches!(link.capabilities().medium, Medium::Ethernet(_))
        && target_is_sound
        && detour.next_hop != detour.source
        && cx.inet.is_on_link(detour.interface, detour.source)
        && cx.inet.is_on_link(detour.interface, detour.next_hop)
}

fn redirect_v4(cx: &mut Context<'_>, detour: &Detour<'_>, gateway: std::net::Ipv4Addr) {
    // RFC 1812 §5.2.7.2: for the host, never for a network.
    let header = icmpv4::Header::Redirect {
        code: icmpv4::RedirectCode::HOST,
        gateway,
    };
    let mut message = error::quote_v4(detour.packet);
    header.emit(message.push(icmpv4::HEADER_LEN));
    let about = IpInfo {
        interface: detour.interface,
        source: detour.source,
        destination: detour.destination,
        protocol: IpProtocol::ICMP,
        hop_limit: 0,
        traffic_class: 0,
        flow_label: 0,
        header_len: 0,
        local: false,
        broadcast: false,
    };
    cx.counters.add(Counter::IcmpOutRedirects);
    // A full queue loses it.
    let _ = answer(cx, &about, None, tos_of_error(0), message);
}

fn redirect_v6(
    cx: &mut Context<'_>,
    detour: &Detour<'_>,
    to: Ipv6Addr,
    destination: Ipv6Addr,
    target: Ipv6Addr,
) {
    let Some(link) = cx.inet.interface(detour.interface) else {
        return;
    };
    // RFC 4861 §4.5: from the link-local address by which the host knows the router.
    let own = link.addresses().iter().find_map(|a| match a.net.addr() {
        IpAddr::V6(v6) if v6.is_unicast_link_local() && a.is_usable() => Some(v6),
        _ => None,
    });
    let Some(own) = own else {
        return;
    };
    let known = link.neighbours().find(|n| n.address == detour.next_hop);
    let mac = known
        .and_then(|n| n.mac)
        .map(NdpOption::TargetLinkLayerAddress);
    let header = NdHeader::Redirect {
        target,
        destination,
    };
    let fixed = header.header_len() + mac.as_ref().map_or(0, NdpOption::emitted_len);
    // RFC 4861 §8.2: as much as the least MTU takes, behind the option's own 8 bytes.
    let room = (ipv6::MTU_MIN - ipv6::HEADER_LEN - fixed - 8) & !7;
    let quoted = error::quote(detour.packet, room).to_vec();
    let quote = NdpOption::RedirectedHeader(&quoted);
    let len = fixed + quote.emitted_len();
    let mut packet = Packet::with_payload(Payload::new());
    let message = packet.push(len);
    header.emit(message);
    if let Some(mac) = mac {
        mac.emit(&mut message[header.header_len()..]);
    }
    quote.emit(&mut message[fixed..]);
    icmpv6::fill_checksum(own, to, message);
    // At most the least MTU.
    let mut ip = ipv6::Header::new(own, to, IpProtocol::ICMPV6, len as u16);
    ip.hop_limit = HOP_LIMIT;
    ip.emit(packet.push(ipv6::HEADER_LEN));
    cx.counters.add(Counter::IcmpOutMsgs);
    cx.counters.add(Counter::IcmpOutRedirects);
    // A full queue is counted there.
    let _ = iface::output(cx, detour.interface, detour.source, packet);
}
