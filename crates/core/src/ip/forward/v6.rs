//! Sending on IPv6 packets (RFC 8200 §3, §4.3, §5; RFC 4291 §2.5).

use super::{onward, wire_len};
use crate::icmp::{self, Detour, Problem};
use crate::ip::Arrival;
use crate::ip::alert::{self, Selector};
use crate::ip::v6::info_of;
use crate::{Context, Counter, Packet, iface};
use sockeye_wire::ipv6::{self, HEADER_LEN, Header};
use sockeye_wire::ipv6_ext::{self, Refusal};
use sockeye_wire::{IpProtocol, icmpv6};

/// Sends on a packet at its IP header, or says why not.
///
/// RFC 7045 §2.1: of its extension headers the hop-by-hop one alone is read; it goes on whatever the
/// others are.
pub(in crate::ip) fn forward(
    cx: &mut Context<'_>,
    arrival: Arrival,
    header: &Header,
    mut packet: Packet,
) -> Result<(), Counter> {
    // RFC 4291 §2.5.6: link-local sources stay on their link. RFC 4443 §3.1: they are told.
    if header.source.is_unicast_link_local() {
        complain(cx, arrival, header, packet, Problem::BeyondScope);
        return Err(Counter::IpInMartians);
    }
    let asks = match hop_by_hop(header, &mut packet) {
        Ok(asks) => asks,
        Err(refusal) => return Err(refused(cx, arrival, header, packet, refusal)),
    };
    let (source, destination) = (header.source.into(), header.destination.into());
    let Some(way) = onward(cx, source, destination) else {
        complain(cx, arrival, header, packet, Problem::NetworkUnreachable);
        return Err(Counter::IpExtInNoRoutes);
    };
    // RFC 2711 §2: who has asked for it looks at it more closely, in its place.
    if let Some(wanted) = asks.map(|value| Selector::Value(value.into()))
        && alert::is_wanted(cx, wanted, arrival.interface)
    {
        let (protocol, header_len) = upper(header, &mut packet);
        let info = info_of(arrival, header, protocol, header_len)?;
        alert::hand_over(cx, wanted, info, packet);
        return Ok(());
    }
    // RFC 8200 §3: a packet that has used up its hops ends here.
    if header.hop_limit <= 1 {
        complain(cx, arrival, header, packet, Problem::HopLimitExceeded);
        return Err(Counter::IpInHdrErrors);
    }
    let whole = packet.meta.gso.is_none();
    let (protocol, transport) = match whole {
        true => (header.next_header, HEADER_LEN),
        false => upper(header, &mut packet),
    };
    // RFC 8200 §5: routers do not fragment.
    if wire_len(&mut packet, transport, protocol) > way.mtu {
        let mtu = u32::try_from(way.mtu).unwrap_or(u32::MAX);
        complain(cx, arrival, header, packet, Problem::PacketTooBig { mtu });
        return Err(Counter::Ip6InTooBigErrors);
    }
    if way.interface == arrival.interface {
        let detour = Detour {
            interface: way.interface,
            source,
            destination,
            next_hop: way.next_hop,
            packet: &packet,
        };
        icmp::redirect(cx, &detour);
    }
    let hop = ipv6::decrement_hop_limit(packet.head_mut());
    debug_assert!(hop, "a hop is left");
    packet.meta.queue = 0;
    cx.counters.add(Counter::IpForwDatagrams);
    // What the interface does not take is counted there.
    let _ = iface::output(cx, way.interface, way.next_hop, packet);
    Ok(())
}

/// RFC 8200 §4.3: every node on the way may look at the hop-by-hop options; this one does, and tells
/// the value of a router alert.
fn hop_by_hop(header: &Header, packet: &mut Packet) -> Result<Option<u16>, Refusal> {
    if header.next_header != IpProtocol::HOP_BY_HOP {
        return Ok(None);
    }
    packet.linearize();
    let behind = packet.head().get(HEADER_LEN..).unwrap_or_default();
    ipv6_ext::hop_by_hop(behind)
}

/// What becomes of a packet whose hop-by-hop options say so.
fn refused(
    cx: &mut Context<'_>,
    arrival: Arrival,
    header: &Header,
    packet: Packet,
    refusal: Refusal,
) -> Counter {
    match refusal {
        Refusal::Discard(error) => crate::ip::malformed(error),
        Refusal::ParameterProblem {
            code,
            pointer,
            even_to_group,
        } => {
            let problem = Problem::Parameter {
                code,
                pointer,
                even_to_group,
            };
            complain(cx, arrival, header, packet, problem);
            Counter::IpInHdrErrors
        }
    }
}

/// The upper protocol and where it begins; without one that can be found what follows the IPv6
/// header.
fn upper(header: &Header, packet: &mut Packet) -> (IpProtocol, usize) {
    if !header.next_header.is_extension_header() {
        return (header.next_header, HEADER_LEN);
    }
    packet.linearize();
    let behind = packet.head().get(HEADER_LEN..).unwrap_or_default();
    match ipv6_ext::walk_quoted(header.next_header, behind) {
        Ok(chain) if chain.fragment.is_none_or(|f| f.offset == 0) => {
            (chain.protocol, HEADER_LEN + chain.offset)
        }
        // Inside a fragment nothing tells.
        _ => (header.next_header, HEADER_LEN),
    }
}

/// Tells the source.
fn complain(
    cx: &mut Context<'_>,
    arrival: Arrival,
    header: &Header,
    mut packet: Packet,
    problem: Problem,
) {
    let (protocol, header_len) = upper(header, &mut packet);
    let Ok(info) = info_of(arrival, header, protocol, header_len) else {
        return;
    };
    // RFC 4443 §2.4 (e.1, e.2): what is too short to tell counts as an error.
    if protocol == IpProtocol::ICMPV6 && packet.len() < header_len + icmpv6::HEADER_LEN
        || !packet.pull_up(header_len)
    {
        return;
    }
    packet.pull(header_len);
    icmp::send_error(cx, &info, packet, problem);
}
