//! Receiving IPv4 (RFC 791, RFC 1122 §3.2.1).

use super::{Arrival, Audience, Received, malformed};
use crate::{Context, Counter, InterfaceId, IpInfo, Packet};
use sockeye_wire::ipv4::{HEADER_LEN, Header};
use sockeye_wire::{IpProtocol, ParseError};
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn receive(cx: &mut Context<'_>, arrival: Arrival, mut packet: Packet) -> Received {
    let header = parse(&mut packet).map_err(malformed)?;
    let audience = judge(cx, arrival, &header).ok_or(Counter::IpInAddrErrors)?;
    if header.is_fragment() {
        return Err(Counter::IpReasmFails);
    }
    let header_len = header.header_len();
    packet.pull(header_len);
    let info = IpInfo {
        interface: arrival.interface,
        source: header.source.into(),
        destination: header.destination.into(),
        protocol: header.protocol,
        hop_limit: header.ttl,
        traffic_class: header.tos,
        flow_label: 0,
        header_len: header_len as u16,
        local: audience != Audience::Foreign,
        broadcast: audience == Audience::Broadcast,
    };
    Ok(Some((info, packet)))
}

/// Reads the header and cuts off what the link padded.
fn parse(packet: &mut Packet) -> Result<Header, ParseError> {
    if !packet.pull_up(HEADER_LEN) {
        return Err(ParseError::Truncated);
    }
    let header_len = usize::from(packet.head()[0] & 0x0f) * 4;
    if !packet.pull_up(header_len) {
        return Err(ParseError::Truncated);
    }
    let header = Header::parse(packet.head())?;
    header.check_len(packet.len())?;
    packet.truncate(usize::from(header.total_len));
    Ok(header)
}

/// Whom it is for; `None` when its addresses forbid to take it at all.
fn judge(cx: &Context<'_>, arrival: Arrival, header: &Header) -> Option<Audience> {
    let Header {
        source,
        destination,
        protocol,
        ..
    } = *header;
    let interface = cx.inet.interface(arrival.interface)?;
    let on_loopback = arrival.interface == InterfaceId::LOOPBACK;
    let audience = if destination.is_broadcast() || interface.is_subnet_broadcast(destination) {
        Audience::Broadcast
    } else if destination.is_multicast() {
        if !interface.is_member(IpAddr::V4(destination)) {
            return None;
        }
        Audience::Group
    } else if destination.is_loopback() {
        // RFC 1122 §3.2.1.3 (g): 127/8 never comes from outside.
        if !on_loopback {
            return None;
        }
        Audience::Host
    } else if cx.inet.is_local(IpAddr::V4(destination)) {
        Audience::Host
    } else {
        Audience::Foreign
    };
    // RFC 1122 §3.2.1.3: a source must be a host, and 127/8 is only ever ours.
    let subnet_broadcast = !arrival.own && interface.is_subnet_broadcast(source);
    if source.is_multicast()
        || source.is_broadcast()
        || subnet_broadcast
        || source.is_loopback() && !arrival.own
    {
        return None;
    }
    let to_one = matches!(audience, Audience::Host | Audience::Foreign);
    // RFC 1122 §3.2.1.3 (a): "this host" has not learnt its address yet and asks everybody.
    if source.is_unspecified() && to_one {
        return None;
    }
    // Nobody else sends from our addresses.
    if !arrival.own && cx.inet.is_local(IpAddr::V4(source)) {
        return None;
    }
    // RFC 1122 §3.3.6: what the link sent to all must be for all in IP too.
    if arrival.link_group && to_one {
        return None;
    }
    let handed_up = audience != Audience::Foreign
        || destination != Ipv4Addr::UNSPECIFIED && intercepted(cx, protocol);
    handed_up.then_some(audience)
}

/// Whether packets of `protocol` for others are taken: those that are intercepted, and ICMP as
/// soon as anything is, for errors about what intercepted flows send.
fn intercepted(cx: &Context<'_>, protocol: IpProtocol) -> bool {
    cx.inet.intercepts(protocol) || protocol == IpProtocol::ICMP && cx.inet.intercepts_any()
}
