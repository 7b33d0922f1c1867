//! Receiving ICMPv6 (RFC 4443).

use super::{Problem, Quote, Taken, answer, is_intact, report};
use crate::iface::nd;
use crate::multicast::mld;
use crate::transport::IcmpErrorKind;
use crate::{Context, Counter, IpInfo, Packet};
use sockeye_wire::icmpv6::{
    HEADER_LEN, Header, ParameterProblemCode, TimeExceededCode, Type, UnreachableCode,
};
use sockeye_wire::{IpProtocol, ipv6, ipv6_ext};
use std::net::{IpAddr, Ipv6Addr};

pub(super) fn receive(
    cx: &mut Context<'_>,
    ip: &IpInfo,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    mut packet: Packet,
) -> Taken {
    if !packet.pull_up(HEADER_LEN) || !is_intact(ip, &packet) {
        return Err(Counter::IcmpInErrors);
    }
    let Ok(header) = Header::parse(packet.head()) else {
        return Err(Counter::IcmpInErrors);
    };
    match header {
        Header::EchoRequest(_) if !ip.local => {
            Ok(Some(packet).filter(|_| cx.inet.intercepts(IpProtocol::ICMPV6)))
        }
        Header::EchoRequest(_) => {
            packet.head_mut()[0] = Type::ECHO_REPLY.0;
            // RFC 4443 §4.2: from the address that was asked; asked by group, from one of ours.
            let source = ip.is_unicast().then_some(IpAddr::V6(destination));
            // A full queue loses the reply.
            let _ = answer(cx, ip, source, ip.traffic_class, packet);
            Ok(None)
        }
        Header::EchoReply(_) if ip.local => Ok(Some(packet)),
        _ if header.type_and_code().0.is_neighbor_discovery() && ip.local => {
            packet.linearize();
            nd::receive(cx, ip, source, destination, packet.head())?;
            Ok(None)
        }
        _ if is_mld(header.type_and_code().0) && ip.local => {
            packet.linearize();
            mld::receive(cx, ip, source, &packet)?;
            Ok(None)
        }
        _ if header.type_and_code().0.is_error() => {
            packet.linearize();
            error(cx, ip, header, packet.head())
        }
        _ => Ok(None),
    }
}

/// Whether it is multicast listener discovery (RFC 2710, RFC 3810).
const fn is_mld(kind: Type) -> bool {
    matches!(
        kind,
        Type::MLD_QUERY | Type::MLD_REPORT | Type::MLD_DONE | Type::MLD_REPORT_V2
    )
}

/// An error about a packet that we sent, or so it says.
fn error(cx: &mut Context<'_>, ip: &IpInfo, header: Header, message: &[u8]) -> Taken {
    let behind = message.get(HEADER_LEN..).unwrap_or_default();
    let quoted = header.quote(behind).ok_or(Counter::IcmpInErrors)?;
    let original = ipv6::Header::parse(quoted).map_err(|_| Counter::IcmpInErrors)?;
    let behind = quoted.get(ipv6::HEADER_LEN..).unwrap_or_default();
    let chain =
        ipv6_ext::walk_quoted(original.next_header, behind).map_err(|_| Counter::IcmpInErrors)?;
    // The transport header is in the first fragment alone.
    if chain.fragment.is_some_and(|f| f.offset != 0) {
        return Ok(None);
    }
    let transport = behind.get(chain.offset..).unwrap_or_default();
    let (kind, code) = header.type_and_code();
    report(
        cx,
        ip,
        kind_of(header),
        (kind.0, code),
        &Quote {
            source: original.source.into(),
            destination: original.destination.into(),
            protocol: chain.protocol,
            transport,
        },
    )?;
    Ok(None)
}

fn kind_of(header: Header) -> IcmpErrorKind {
    match header {
        Header::DestinationUnreachable { code, .. } => match code {
            UnreachableCode::NO_ROUTE => IcmpErrorKind::NetworkUnreachable,
            UnreachableCode::BEYOND_SCOPE | UnreachableCode::ADDRESS => {
                IcmpErrorKind::HostUnreachable
            }
            UnreachableCode::PORT => IcmpErrorKind::PortUnreachable,
            UnreachableCode::ADMIN_PROHIBITED
            | UnreachableCode::SOURCE_POLICY
            | UnreachableCode::REJECT_ROUTE => IcmpErrorKind::Prohibited,
            _ => IcmpErrorKind::Other,
        },
        Header::PacketTooBig { mtu } => IcmpErrorKind::PacketTooBig { mtu },
        Header::TimeExceeded { .. } => IcmpErrorKind::TimeExceeded,
        Header::ParameterProblem { code, .. } => match code {
            ParameterProblemCode::UNRECOGNIZED_NEXT_HEADER => IcmpErrorKind::ProtocolUnreachable,
            _ => IcmpErrorKind::ParameterProblem,
        },
        _ => IcmpErrorKind::Other,
    }
}

/// Whether the message that begins with `transport` is itself an error, or a redirect.
pub(super) fn is_error(transport: &[u8]) -> bool {
    transport
        .first()
        .is_none_or(|&kind| Type(kind).is_error() || Type(kind) == Type::REDIRECT)
}

/// The message that tells of `problem`; `next_header_at` is where the protocol of its packet is
/// named.
pub(super) fn header_for(problem: Problem, next_header_at: u32) -> Header {
    let unreachable = |code| Header::DestinationUnreachable { code, length: 0 };
    let time_exceeded = |code| Header::TimeExceeded { code, length: 0 };
    match problem {
        Problem::NetworkUnreachable => unreachable(UnreachableCode::NO_ROUTE),
        Problem::HostUnreachable => unreachable(UnreachableCode::ADDRESS),
        Problem::BeyondScope => unreachable(UnreachableCode::BEYOND_SCOPE),
        Problem::PortUnreachable => unreachable(UnreachableCode::PORT),
        Problem::Prohibited => unreachable(UnreachableCode::ADMIN_PROHIBITED),
        Problem::ProtocolUnreachable => Header::ParameterProblem {
            code: ParameterProblemCode::UNRECOGNIZED_NEXT_HEADER,
            pointer: next_header_at,
        },
        Problem::PacketTooBig { mtu } => Header::PacketTooBig { mtu },
        Problem::HopLimitExceeded => time_exceeded(TimeExceededCode::HOP_LIMIT),
        Problem::ReassemblyTimeout => time_exceeded(TimeExceededCode::REASSEMBLY),
        Problem::Parameter { code, pointer, .. } => Header::ParameterProblem {
            code: ParameterProblemCode(code),
            pointer,
        },
    }
}
