//! Errors that the node makes for itself.

use super::{Problem, send_error};
use crate::inet::{Notice, OwnedIcmpError};
use crate::transport::IcmpErrorKind;
use crate::{Context, InterfaceId, IpInfo, Packet};
use sockeye_wire::icmpv4::{self, UnreachableCode as CodeV4};
use sockeye_wire::icmpv6::{self, UnreachableCode as CodeV6};
use sockeye_wire::{ipv4, ipv6, ipv6_ext};
use std::net::IpAddr;

/// A packet did not find its neighbour on `interface`. RFC 4861 §7.2.2, RFC 1122 §2.3.2.2: the
/// transport of one of ours is told as by an ICMP error, as if a router had said so. RFC 1812
/// §3.3.2: the source of one that was to be sent on is.
pub(crate) fn host_unreachable(cx: &mut Context<'_>, interface: InterfaceId, mut packet: Packet) {
    packet.linearize();
    let bytes = packet.head();
    let v4 = (icmpv4::Type::DESTINATION_UNREACHABLE.0, CodeV4::HOST.0);
    let v6 = (icmpv6::Type::DESTINATION_UNREACHABLE.0, CodeV6::ADDRESS.0);
    let (source, destination, protocol, transport_at, (icmp_type, icmp_code)) =
        if let Ok(header) = ipv4::Header::parse_quoted(bytes) {
            if header.fragment_offset != 0 {
                return;
            }
            let (source, destination) = (header.source.into(), header.destination.into());
            let at = header.header_len();
            (source, destination, header.protocol, at, v4)
        } else if let Ok(header) = ipv6::Header::parse(bytes) {
            let behind = bytes.get(ipv6::HEADER_LEN..).unwrap_or_default();
            let Ok(chain) = ipv6_ext::walk_quoted(header.next_header, behind) else {
                return;
            };
            if chain.fragment.is_some_and(|f| f.offset != 0) {
                return;
            }
            let (source, destination) = (header.source.into(), header.destination.into());
            let at = ipv6::HEADER_LEN + chain.offset;
            (source, destination, chain.protocol, at, v6)
        } else {
            return;
        };
    let source: IpAddr = source;
    let ours = cx.inet.is_local(source) || cx.inet.intercepts(protocol);
    if !ours && cx.inet.forwards(source.is_ipv4()) {
        let info = IpInfo {
            interface,
            source,
            destination,
            protocol,
            hop_limit: 0,
            traffic_class: 0,
            flow_label: 0,
            // An IP packet's length has 16 bits.
            header_len: transport_at as u16,
            local: false,
            broadcast: false,
        };
        packet.pull(transport_at);
        send_error(cx, &info, packet, Problem::HostUnreachable);
        return;
    }
    cx.inet.notify(Notice::IcmpError(OwnedIcmpError {
        protocol,
        kind: IcmpErrorKind::HostUnreachable,
        icmp_type,
        icmp_code,
        from: source,
        source,
        destination,
        quoted: bytes.get(transport_at..).unwrap_or_default().to_vec(),
    }));
}
