//! Receiving IPv6 (RFC 8200).

use super::reassembly::{self, First, Fragment, Key, Whole};
use super::{Arrival, Audience, Received, count_ecn, forward, malformed};
use crate::icmp::{self, Problem};
use crate::{Context, Counter, InterfaceId, IpInfo, Packet};
use sockeye_wire::icmpv6::ParameterProblemCode;
use sockeye_wire::ipv6::{HEADER_LEN, Header};
use sockeye_wire::ipv6_ext::{self, Chain, Refusal};
use sockeye_wire::{Ecn, IpProtocol, ParseError, icmpv6, ipv6};
use std::net::{IpAddr, Ipv6Addr};

/// Where the payload length and the next header lie in the IPv6 header.
const PAYLOAD_LENGTH_AT: usize = 4;
const NEXT_HEADER_AT: usize = 6;
/// Where the offset lies in a fragment header.
const FRAGMENT_OFFSET_AT: usize = 2;
/// What counts a fragment that makes no datagram.
const FAILED: Counter = Counter::IpReasmFails;

pub(super) fn receive(cx: &mut Context<'_>, arrival: Arrival, mut packet: Packet) -> Received {
    let header = parse(&mut packet).map_err(malformed)?;
    count_ecn(cx, header.ecn(), &packet);
    let audience = judge(cx, arrival, &header).ok_or(Counter::IpInAddrErrors)?;
    if !forward::came_by_its_way(cx, arrival, header.source.into()) {
        return Err(Counter::TcpExtIPReversePathFilter);
    }
    if audience == Audience::Foreign
        && forward::is_on(cx, arrival, false)
        && !is_intercepted(cx, &header, &mut packet)
    {
        forward::v6::forward(cx, arrival, &header, packet)?;
        return Ok(None);
    }
    match follow(cx, arrival, &header, audience, packet)? {
        Followed::Upper(info, packet) => Ok(Some((info, packet))),
        Followed::Kept => Ok(None),
        // What was put together may have extension headers of its own, but no fragments again.
        Followed::Whole(header, whole) => match follow(cx, arrival, &header, audience, whole)? {
            Followed::Upper(info, packet) => not_discovery(&info, packet).map(Some),
            Followed::Kept | Followed::Whole(..) => Err(Counter::IpReasmFails),
        },
    }
}

/// RFC 6980 §5: neighbour discovery is never fragmented; what is, is meant to get past guards.
fn not_discovery(info: &IpInfo, mut packet: Packet) -> Result<(IpInfo, Packet), Counter> {
    let discovery = info.protocol == IpProtocol::ICMPV6
        && packet.pull_up(1)
        && icmpv6::Type(packet.head()[0]).is_neighbor_discovery();
    match discovery {
        true => Err(Counter::NeighbourInErrors),
        false => Ok((*info, packet)),
    }
}

/// Where the extension headers led.
enum Followed {
    /// To the upper layer.
    Upper(IpInfo, Packet),
    /// To a fragment that waits for others.
    Kept,
    /// To the fragment that was missing: the whole, at its IP header.
    Whole(Header, Packet),
}

fn follow(
    cx: &mut Context<'_>,
    arrival: Arrival,
    header: &Header,
    audience: Audience,
    mut packet: Packet,
) -> Result<Followed, Counter> {
    let chain = match walk(header, &mut packet) {
        Ok(chain) => chain,
        Err(Refusal::Discard(error)) => return Err(malformed(error)),
        Err(Refusal::ParameterProblem {
            code,
            pointer,
            even_to_group,
        }) => {
            let problem = Problem::Parameter {
                code,
                pointer,
                even_to_group,
            };
            let info = info(arrival, header, audience, header.next_header, HEADER_LEN)?;
            complain(cx, &info, packet, problem);
            return Err(Counter::IpInHdrErrors);
        }
    };
    if audience == Audience::Foreign && !intercepted(cx, chain.protocol) {
        return Err(Counter::IpInAddrErrors);
    }
    let header_len = HEADER_LEN + chain.offset;
    let info = info(arrival, header, audience, chain.protocol, header_len)?;
    if let Some(piece) = chain.fragment {
        let whole = reassemble(cx, arrival, header, &info, piece, packet)?;
        return Ok(whole.map_or(Followed::Kept, |(header, packet)| {
            Followed::Whole(header, packet)
        }));
    }
    packet.pull(header_len);
    if chain.atomic {
        let (info, packet) = not_discovery(&info, packet)?;
        return Ok(Followed::Upper(info, packet));
    }
    Ok(Followed::Upper(info, packet))
}

/// Keeps a fragment (RFC 8200 §4.5). With the last one missing, the whole comes back at its IP
/// header.
fn reassemble(
    cx: &mut Context<'_>,
    arrival: Arrival,
    header: &Header,
    info: &IpInfo,
    piece: ipv6_ext::Fragment,
    mut packet: Packet,
) -> Result<Option<(Header, Packet)>, Counter> {
    let header_len = usize::from(info.header_len);
    let offset = usize::from(piece.offset);
    let len = packet.len() - header_len;
    let before = header_len - ipv6_ext::FRAGMENT_LEN - HEADER_LEN;
    if let Err(why) = reassembly::check_place(cx, before, offset, len, piece.more) {
        // RFC 8200 §4.5: at the payload length, or at the offset that leads too far.
        let pointer = match piece.more && !len.is_multiple_of(8) {
            true => PAYLOAD_LENGTH_AT,
            false => header_len - ipv6_ext::FRAGMENT_LEN + FRAGMENT_OFFSET_AT,
        };
        complain(
            cx,
            info,
            packet,
            erroneous(ParameterProblemCode::ERRONEOUS_FIELD, pointer),
        );
        return Err(why);
    }
    let first = match offset {
        0 => Some(first_fragment(cx, info, piece.next_header, &packet)?),
        _ => None,
    };
    packet.pull(header_len);
    let fragment = Fragment {
        key: Key {
            interface: arrival.interface,
            source: header.source.into(),
            destination: header.destination.into(),
            protocol: None,
            identification: piece.identification,
        },
        offset,
        more: piece.more,
        ecn: header.ecn(),
        wire_len: u16::try_from(header.total_len()).unwrap_or(u16::MAX),
        first,
        packet,
    };
    match reassembly::receive(cx, fragment)? {
        Some(whole) => made_whole(whole).map(Some),
        None => Ok(None),
    }
}

/// What of the first fragment is kept: the headers of the whole, and what an error would quote.
fn first_fragment(
    cx: &mut Context<'_>,
    info: &IpInfo,
    next_header: IpProtocol,
    packet: &Packet,
) -> Result<First, Counter> {
    let header_len = usize::from(info.header_len);
    // RFC 7112 §5: headers that are cut apart can't be filtered.
    let behind = packet.head().get(header_len..).unwrap_or_default();
    if !ipv6_ext::first_fragment_is_whole(next_header, behind) {
        complain(
            cx,
            info,
            packet.clone(),
            erroneous(ParameterProblemCode::INCOMPLETE_CHAIN, 0),
        );
        cx.counters.add(FAILED);
        return Err(Counter::IpReasmTiny);
    }
    let mut quote = packet.clone();
    quote.truncate(ipv6::MTU_MIN.max(header_len));
    quote.pull(header_len);
    let unfragmented = header_len - ipv6_ext::FRAGMENT_LEN;
    let mut header = packet.head()[..unfragmented].to_vec();
    *next_header_of_fragment(&mut header).ok_or(FAILED)? = next_header.0;
    Ok(First {
        header,
        info: *info,
        quote,
    })
}

/// The datagram that fragments have made, at its IP header.
fn made_whole(whole: Whole) -> Result<(Header, Packet), Counter> {
    let mut packet = Packet::with_payload(whole.payload);
    packet.meta.fragment_max = whole.fragment_max;
    let window = packet.push(whole.header.len());
    window.copy_from_slice(&whole.header);
    let payload_len = u16::try_from(packet.len() - HEADER_LEN).map_err(|_| FAILED)?;
    ipv6::set_payload_len(packet.head_mut(), payload_len);
    if whole.congestion_experienced {
        ipv6::set_ecn(packet.head_mut(), Ecn::Ce);
    }
    let header = Header::parse(packet.head()).map_err(|_| FAILED)?;
    Ok((header, packet))
}

/// The byte in `headers`, which end before a fragment header, that names it.
fn next_header_of_fragment(headers: &mut [u8]) -> Option<&mut u8> {
    let mut named_at = NEXT_HEADER_AT;
    let mut at = HEADER_LEN;
    while headers.get(named_at) != Some(&IpProtocol::FRAGMENT.0) {
        named_at = at;
        at += 8 + 8 * usize::from(*headers.get(at + 1)?);
    }
    headers.get_mut(named_at)
}

fn erroneous(code: ParameterProblemCode, pointer: usize) -> Problem {
    Problem::Parameter {
        code: code.0,
        pointer: u32::try_from(pointer).unwrap_or(u32::MAX),
        even_to_group: false,
    }
}

/// Complains about a packet at its IP header, when it is for us.
fn complain(cx: &mut Context<'_>, info: &IpInfo, mut packet: Packet, problem: Problem) {
    let header_len = usize::from(info.header_len);
    if info.local && packet.pull_up(header_len) {
        packet.pull(header_len);
        icmp::send_error(cx, info, packet, problem);
    }
}

/// What is known of a packet for others.
pub(super) fn info_of(
    arrival: Arrival,
    header: &Header,
    protocol: IpProtocol,
    header_len: usize,
) -> Result<IpInfo, Counter> {
    info(arrival, header, Audience::Foreign, protocol, header_len)
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

/// Whether a packet for others is taken, as far as its headers can be followed.
fn is_intercepted(cx: &Context<'_>, header: &Header, packet: &mut Packet) -> bool {
    cx.inet.intercepts_any()
        && walk(header, packet).is_ok_and(|chain| intercepted(cx, chain.protocol))
}

/// Whether packets of `protocol` for others are taken: those that are intercepted, and ICMPv6 as
/// soon as anything is, for errors about what intercepted flows send.
fn intercepted(cx: &Context<'_>, protocol: IpProtocol) -> bool {
    cx.inet.intercepts(protocol) || protocol == IpProtocol::ICMPV6 && cx.inet.intercepts_any()
}
