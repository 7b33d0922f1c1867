//! Receiving ICMP for IPv4 (RFC 792, RFC 1122 §3.2.2).

use super::{Problem, Quote, Taken, answer, is_intact, report};
use crate::ip::{pmtu, redirect};
use crate::transport::IcmpErrorKind;
use crate::{Context, Counter, IpInfo, Packet};
use sockeye_wire::icmpv4::{
    HEADER_LEN, Header, ParameterProblemCode, TimeExceededCode, Type, UnreachableCode,
};
use sockeye_wire::{IpProtocol, ipv4};
use std::net::Ipv4Addr;

pub(super) fn receive(
    cx: &mut Context<'_>,
    ip: &IpInfo,
    destination: Ipv4Addr,
    mut packet: Packet,
) -> Taken {
    if !packet.pull_up(HEADER_LEN) || !is_intact(ip, &packet) {
        return Err(Counter::IcmpInErrors);
    }
    let Ok(header) = Header::parse(packet.head()) else {
        return Err(Counter::IcmpInErrors);
    };
    match header {
        Header::Echo(_) if !ip.local => {
            Ok(Some(packet).filter(|_| cx.inet.intercepts(IpProtocol::ICMP)))
        }
        // RFC 1122 §3.2.2.6: an echo request to everybody may be ignored, and is, as in Linux:
        // with a forged source it would be an amplifier.
        Header::Echo(_) if !ip.is_unicast() => Ok(None),
        Header::Echo(_) => {
            packet.head_mut()[0] = Type::ECHO_REPLY.0;
            // RFC 1122 §3.2.2.6: from the address that was asked. A full queue loses the reply.
            // RFC 1122 §3.2.2: with the service of the request.
            let _ = answer(cx, ip, Some(destination.into()), ip.traffic_class, packet);
            Ok(None)
        }
        Header::EchoReply(_) if ip.local => Ok(Some(packet)),
        Header::Redirect { gateway, .. } if ip.local => {
            packet.linearize();
            redirected(cx, ip, gateway, packet.head())
        }
        Header::DestinationUnreachable { .. }
        | Header::TimeExceeded { .. }
        | Header::ParameterProblem { .. } => {
            packet.linearize();
            error(cx, ip, header, packet.head())
        }
        _ => Ok(None),
    }
}

/// A router says that `gateway` is the better one for where a packet of ours went (RFC 1122
/// §3.2.2.2; §3.3.1.2: a redirect for a network counts as one for the host).
fn redirected(cx: &mut Context<'_>, ip: &IpInfo, gateway: Ipv4Addr, message: &[u8]) -> Taken {
    cx.counters.add(Counter::IcmpInRedirects);
    let quoted = message.get(HEADER_LEN..).unwrap_or_default();
    let original = ipv4::Header::parse_quoted(quoted).map_err(|_| Counter::IcmpInErrors)?;
    let ours = original.source == ip.destination && cx.inet.is_local(original.source.into());
    let heeded = cx.config.accept_redirects
        && ours
        && ip.is_unicast()
        && redirect::is_sane_gateway(cx.inet, ip.interface, gateway)
        && redirect::learn(
            cx,
            ip.interface,
            ip.source,
            gateway.into(),
            original.destination.into(),
        );
    if !heeded {
        redirect::ignore(cx);
    }
    Ok(None)
}

/// An error about a packet that we sent, or so it says.
fn error(cx: &mut Context<'_>, ip: &IpInfo, header: Header, message: &[u8]) -> Taken {
    let behind = message.get(header.header_len()..).unwrap_or_default();
    let quoted = header.quote(behind).ok_or(Counter::IcmpInErrors)?;
    let original = ipv4::Header::parse_quoted(quoted).map_err(|_| Counter::IcmpInErrors)?;
    // The transport header is in the first fragment alone.
    if original.fragment_offset != 0 {
        return Ok(None);
    }
    let transport = quoted.get(original.header_len()..).unwrap_or_default();
    let (kind, code) = header.type_and_code();
    report(
        cx,
        ip,
        kind_of(header, &original),
        (kind.0, code),
        &Quote {
            source: original.source.into(),
            destination: original.destination.into(),
            protocol: original.protocol,
            transport,
        },
    )?;
    Ok(None)
}

fn kind_of(header: Header, original: &ipv4::Header) -> IcmpErrorKind {
    match header {
        Header::DestinationUnreachable {
            code, next_hop_mtu, ..
        } => match code {
            UnreachableCode::NET | UnreachableCode::NET_UNKNOWN | UnreachableCode::NET_TOS => {
                IcmpErrorKind::NetworkUnreachable
            }
            UnreachableCode::HOST
            | UnreachableCode::HOST_UNKNOWN
            | UnreachableCode::SOURCE_ISOLATED
            | UnreachableCode::HOST_TOS => IcmpErrorKind::HostUnreachable,
            UnreachableCode::PROTOCOL => IcmpErrorKind::ProtocolUnreachable,
            UnreachableCode::PORT => IcmpErrorKind::PortUnreachable,
            UnreachableCode::FRAGMENTATION_NEEDED => IcmpErrorKind::PacketTooBig {
                mtu: match next_hop_mtu {
                    0 => pmtu::plateau_below(u32::from(original.total_len)),
                    mtu => u32::from(mtu),
                },
            },
            UnreachableCode::NET_PROHIBITED
            | UnreachableCode::HOST_PROHIBITED
            | UnreachableCode::ADMIN_PROHIBITED
            | UnreachableCode::PRECEDENCE_VIOLATION
            | UnreachableCode::PRECEDENCE_CUTOFF => IcmpErrorKind::Prohibited,
            _ => IcmpErrorKind::Other,
        },
        Header::TimeExceeded { .. } => IcmpErrorKind::TimeExceeded,
        Header::ParameterProblem { .. } => IcmpErrorKind::ParameterProblem,
        _ => IcmpErrorKind::Other,
    }
}

/// Whether the message that begins with `transport` is itself an error.
pub(super) fn is_error(transport: &[u8]) -> bool {
    transport.first().is_none_or(|&kind| Type(kind).is_error())
}

/// The message that tells of `problem`.
pub(super) fn header_for(problem: Problem) -> Header {
    let unreachable = |code, next_hop_mtu| Header::DestinationUnreachable {
        code,
        length: 0,
        next_hop_mtu,
    };
    let time_exceeded = |code| Header::TimeExceeded { code, length: 0 };
    match problem {
        Problem::NetworkUnreachable => unreachable(UnreachableCode::NET, 0),
        Problem::HostUnreachable | Problem::BeyondScope => unreachable(UnreachableCode::HOST, 0),
        Problem::ProtocolUnreachable => unreachable(UnreachableCode::PROTOCOL, 0),
        Problem::PortUnreachable => unreachable(UnreachableCode::PORT, 0),
        Problem::Prohibited => unreachable(UnreachableCode::ADMIN_PROHIBITED, 0),
        Problem::PacketTooBig { mtu } => unreachable(
            UnreachableCode::FRAGMENTATION_NEEDED,
            u16::try_from(mtu).unwrap_or(u16::MAX),
        ),
        Problem::HopLimitExceeded => time_exceeded(TimeExceededCode::TTL),
        Problem::ReassemblyTimeout => time_exceeded(TimeExceededCode::REASSEMBLY),
        Problem::Parameter {
            code: _, pointer, ..
        } => Header::ParameterProblem {
            code: ParameterProblemCode::POINTER,
            pointer: u8::try_from(pointer).unwrap_or(u8::MAX),
            length: 0,
        },
    }
}
