//! Errors that the node makes for itself.

use crate::inet::{Notice, OwnedIcmpError};
use crate::transport::IcmpErrorKind;
use crate::{Context, Packet};
use sockeye_wire::icmpv4::{self, UnreachableCode as CodeV4};
use sockeye_wire::icmpv6::{self, UnreachableCode as CodeV6};
use sockeye_wire::{ipv4, ipv6, ipv6_ext};
use std::net::IpAddr;

/// A packet of ours did not find its neighbour: its transport is told as by an ICMP error, as RFC
/// 4861 §7.2.2 and RFC 1122 §2.3.2.2 want, and as if a router had said so.
pub(crate) fn host_unreachable(cx: &mut Context<'_>, mut packet: Packet) {
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
            let Ok(chain) = ipv6_ext::walk(header.next_header, behind) else {
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
