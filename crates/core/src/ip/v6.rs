//! Receiving IPv6 (RFC 8200).

use super::{Arrival, Audience, Received, malformed};
use crate::icmp::{self, Problem};
use crate::{Context, Counter, InterfaceId, IpInfo, Packet};
use sockeye_wire::ipv6::{HEADER_LEN, Header};
use sockeye_wire::ipv6_ext::{self, Chain, Refusal};
use sockeye_wire::{IpProtocol, ParseError};
use std::net::{IpAddr, Ipv6Addr};

pub(super) fn receive(cx: &mut Context<'_>, arrival: Arrival, mut packet: Packet) -> Received {
    let header = parse(&mut packet).map_err(malformed)?;
    let audience = judge(cx, arrival, &header).ok_or(Counter::IpInAddrErrors)?;
    let chain = match walk(&header, &mut packet) {
        Ok(chain) => chain,
        Err(Refusal::Discard(error)) => return Err(malformed(error)),
        Err(Refusal::ParameterProblem {
            code,
            pointer,
            even_to_group,
        }) => {
            if audience != Audience::Foreign {
                let info = info(arrival, &header, audience, header.next_header, HEADER_LEN)?;
                packet.pull(HEADER_LEN);
                let problem = Problem::Parameter {
                    code,
                    pointer,
                    even_to_group,
                };
                icmp::send_error(cx, &info, packet, problem);
            }
            return Err(Counter::IpInHdrErrors);
        }
    };
    if audience == Audience::Foreign && !intercepted(cx, chain.protocol) {
        return Err(Counter::IpInAddrErrors);
    }
    if chain.fragment.is_some() {
        return Err(Counter::IpReasmFails);
    }
    let header_len = HEADER_LEN + chain.offset;
    packet.pull(header_len);
    let info = info(arrival, &header, audience, chain.protocol, header_len)?;
    Ok(Some((info, packet)))
}

fn info(
    arrival: Arrival,
    header: &Header,
    audience: Audience,
    protocol: IpProtocol,
    header_len: usize,
) -> Result<IpInfo, Counter> {
    Ok(IpInfo {
        interface: arrival.interface,
        source: header.source.into(),
        destination: header.destination.into(),
        protocol,
        hop_limit: header.hop_limit,
        traffic_class: header.traffic_class,
        flow_label: header.flow_label,
        header_len: u16::try_from(header_len).map_err(|_| Counter::IpInHdrErrors)?,
        local: audience != Audience::Foreign,
        broadcast: false,
    })
}

/// Reads the header and cuts off what the link padded.
fn parse(packet: &mut Packet) -> Result<Header, ParseError> {
    if !packet.pull_up(HEADER_LEN) {
        return Err(ParseError::Truncated);
    }
    let header = Header::parse(packet.head())?;
    header.check_len(packet.len())?;
    packet.truncate(header.total_len());
    Ok(header)
}

/// Follows the extension headers; they end up in the packet's head.
fn walk(header: &Header, packet: &mut Packet) -> Result<Chain, Refusal> {
    if matches!(
        header.next_header,
        IpProtocol::HOP_BY_HOP
            | IpProtocol::DESTINATION_OPTIONS
            | IpProtocol::ROUTING
            | IpProtocol::FRAGMENT
    ) {
        packet.linearize();
    }
    let behind = packet.head().get(HEADER_LEN..).unwrap_or_default();
    ipv6_ext::walk(header.next_header, behind)
}

/// Whom it is for; `None` when its addresses forbid to take it at all.
fn judge(cx: &Context<'_>, arrival: Arrival, header: &Header) -> Option<Audience> {
    let Header {
        source,
        destination,
        ..
    } = *header;
    let interface = cx.inet.interface(arrival.interface)?;
    let on_loopback = arrival.interface == InterfaceId::LOOPBACK;
    // RFC 4291 §2.5.3 and §2.7: ::1 never comes from outside, a group is never a source. Mapped
    // addresses stand for IPv4 in programs; on the wire they would get past IPv4's filters.
    let never_seen = |a: Ipv6Addr| a.is_loopback() && !on_loopback || a.to_ipv4_mapped().is_some();
    if source.is_multicast() || never_seen(source) || never_seen(destination) {
        return None;
    }
    let audience = if destination.is_multicast() {
        // RFC 4291 §2.7: scopes 0 and 1 do not cross a link.
        let scope = destination.octets()[1] & 0x0f;
        if scope <= 1 && !arrival.own || !interface.is_member(IpAddr::V6(destination)) {
            return None;
        }
        Audience::Group
    } else if cx
        .inet
        .is_local_on(IpAddr::V6(destination), Some(arrival.interface))
    {
        Audience::Host
    } else {
        Audience::Foreign
    };
    if audience != Audience::Group {
        // RFC 4291 §2.5.2: only duplicate address detection sends from nowhere, and to a group.
        // What the link sent to all must be for a group in IP too.
        if source.is_unspecified() || arrival.link_group {
            return None;
        }
    }
    if audience == Audience::Foreign
        && (destination.is_unspecified() || destination.is_unicast_link_local())
    {
        return None;
    }
    // Nobody else sends from our addresses.
    let ours = cx
        .inet
        .is_local_on(IpAddr::V6(source), Some(arrival.interface));
    (arrival.own || !ours).then_some(audience)
}

/// Whether packets of `protocol` for others are taken: those that are intercepted, and ICMPv6 as
/// soon as anything is, for errors about what intercepted flows send.
fn intercepted(cx: &Context<'_>, protocol: IpProtocol) -> bool {
    cx.inet.intercepts(protocol) || protocol == IpProtocol::ICMPV6 && cx.inet.intercepts_any()
}
