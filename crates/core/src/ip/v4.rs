//! Receiving IPv4 (RFC 791, RFC 1122 §3.2.1).

use super::reassembly::{self, First, Fragment, Key};
use super::{Arrival, Audience, Received, count_ecn, forward, malformed};
use crate::icmp::{self, Problem};
use crate::{Context, Counter, InterfaceId, IpInfo, Packet};
use sockeye_wire::icmpv4::ParameterProblemCode;
use sockeye_wire::ipv4::{HEADER_LEN, Header};
use sockeye_wire::ipv4_options::{self, OptionError};
use sockeye_wire::{Ecn, IpProtocol, ParseError};
use std::net::{IpAddr, Ipv4Addr};

/// Bytes of a first fragment that an error about it may quote (RFC 1812 §4.3.2.3).
const QUOTE_MAX: usize = 576;

pub(super) fn receive(cx: &mut Context<'_>, arrival: Arrival, mut packet: Packet) -> Received {
    let mut header = parse(&mut packet).map_err(malformed)?;
    count_ecn(cx, header.ecn(), &packet);
    let audience = judge(cx, arrival, &header).ok_or(Counter::IpInAddrErrors)?;
    if !forward::came_by_its_way(cx, arrival, header.source.into()) {
        return Err(Counter::TcpExtIPReversePathFilter);
    }
    let taken = audience != Audience::Foreign || intercepted(cx, &header);
    if !taken && !forward::is_on(cx, arrival, true) {
        return Err(Counter::IpInAddrErrors);
    }
    let first = info(arrival, &header, audience);
    if !header.options.is_empty() {
        packet = check_options(cx, &header, &first, packet)?;
    }
    if is_tiny(&header) {
        return Err(Counter::IpReasmTiny);
    }
    if !taken {
        forward::v4::forward(cx, arrival, &header, &first, packet)?;
        return Ok(None);
    }
    if header.is_fragment() {
        let Some(whole) = reassemble(cx, arrival, &header, first, packet)? else {
            return Ok(None);
        };
        (header, packet) = whole;
    }
    // RFC 9293 §3.9.2.1 (MUST-50): options go no further.
    let header_len = header.header_len();
    packet.pull(header_len);
    Ok(Some((info(arrival, &header, audience), packet)))
}

/// What is known of a packet for others.
pub(super) fn info_of(arrival: Arrival, header: &Header) -> IpInfo {
    info(arrival, header, Audience::Foreign)
}

fn info(arrival: Arrival, header: &Header, audience: Audience) -> IpInfo {
    IpInfo {
        interface: arrival.interface,
        source: header.source.into(),
        destination: header.destination.into(),
        protocol: header.protocol,
        hop_limit: header.ttl,
        traffic_class: header.tos,
        flow_label: 0,
        // At most 60.
        header_len: header.header_len() as u16,
        local: audience != Audience::Foreign,
        broadcast: audience == Audience::Broadcast,
    }
}

/// Refuses what its options forbid to take; else the packet comes back as it was.
fn check_options(
    cx: &mut Context<'_>,
    header: &Header,
    info: &IpInfo,
    mut packet: Packet,
) -> Result<Packet, Counter> {
    // RFC 7126 §4.3.5, §4.4.5: who may choose the way gets round filters and asks us to be a relay.
    if ipv4_options::has_source_route(&header.options) {
        return Err(Counter::IpInSourceRoutes);
    }
    let malformed = ipv4_options::iter(&header.options).find_map(Result::err);
    let Some(OptionError { pointer }) = malformed else {
        return Ok(packet);
    };
    // RFC 1122 §3.2.2.5, RFC 1812 §5.2.7.3.
    if header.fragment_offset == 0 {
        packet.pull(header.header_len());
        let problem = Problem::Parameter {
            code: ParameterProblemCode::POINTER.0,
            pointer: pointer.into(),
            even_to_group: false,
        };
        icmp::send_error(cx, info, packet, problem);
    }
    Err(Counter::IpInHdrErrors)
}

/// Whether a fragment of a TCP segment cuts its header apart, as nobody does but to get it past a
/// filter: RFC 1858 §3, with the attack of RFC 3128 §1 shut out too.
fn is_tiny(header: &Header) -> bool {
    /// RFC 1858 §3.1: what of a TCP header is worth filtering by, up to the flags.
    const FILTERED_LEN: usize = 16;
    let short = header.payload_len() < FILTERED_LEN;
    header.protocol == IpProtocol::TCP
        && match header.fragment_offset {
            0 => header.more_fragments && short,
            offset => offset == 8,
        }
}

/// Keeps a fragment (RFC 791 §3.2). With the last one missing, the whole comes back at its IP
/// header.
pub(super) fn reassemble(
    cx: &mut Context<'_>,
    arrival: Arrival,
    header: &Header,
    info: IpInfo,
    mut packet: Packet,
) -> Result<Option<(Header, Packet)>, Counter> {
    let offset = usize::from(header.fragment_offset);
    let more = header.more_fragments;
    let header_len = header.header_len();
    reassembly::check_place(cx, header_len, offset, header.payload_len(), more)?;
    let first = (offset == 0).then(|| {
        let mut quote = packet.clone();
        quote.truncate(QUOTE_MAX.max(header_len));
        quote.pull(header_len);
        First {
            header: packet.head()[..header_len].to_vec(),
            info,
            quote,
        }
    });
    packet.pull(header_len);
    let fragment = Fragment {
        key: Key {
            interface: arrival.interface,
            source: header.source.into(),
            destination: header.destination.into(),
            protocol: Some(header.protocol),
            identification: u32::from(header.identification),
        },
        offset,
        more,
        ecn: header.ecn(),
        wire_len: header.total_len,
        first,
        packet,
    };
    let Some(whole) = reassembly::receive(cx, fragment)? else {
        return Ok(None);
    };
    const FAILED: Counter = Counter::IpReasmFails;
    let mut header = Header::parse_quoted(&whole.header).map_err(|_| FAILED)?;
    let mut packet = Packet::with_payload(whole.payload);
    packet.meta.fragment_max = whole.fragment_max;
    header.total_len = u16::try_from(header.header_len() + packet.len()).map_err(|_| FAILED)?;
    header.more_fragments = false;
    header.fragment_offset = 0;
    if whole.congestion_experienced {
        header.tos = Ecn::Ce.put(header.tos);
    }
    header.emit(packet.push(header.header_len()));
    Ok(Some((header, packet)))
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
        let group = IpAddr::V4(destination);
        // Queries come from whom nobody listens to.
        let heard = match protocol {
            IpProtocol::IGMP => interface.is_member(group),
            _ => interface.hears(group, IpAddr::V4(source)),
        };
        if !heard {
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
    Some(audience)
}

/// Whether a packet for others is taken: one of a protocol that is intercepted, and ICMP as soon as
/// anything is, for errors about what intercepted flows send.
fn intercepted(cx: &Context<'_>, header: &Header) -> bool {
    let icmp = header.protocol == IpProtocol::ICMP;
    let protocol = cx.inet.intercepts(header.protocol) || icmp && cx.inet.intercepts_any();
    protocol && header.destination != Ipv4Addr::UNSPECIFIED
}
