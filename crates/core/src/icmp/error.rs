//! Sending errors about received packets (RFC 1122 §3.2.2, RFC 4443 §2.4).

use super::{answer, tos_of_error, v4, v6};
use crate::{Context, InterfaceId, IpInfo, Packet};
use sockeye_wire::{IpProtocol, icmpv4, icmpv6, ipv6, ipv6_ext};
use std::net::IpAddr;

/// RFC 1812 §4.3.2.3: an error for IPv4 has at most 576 bytes.
const LENGTH_MAX_V4: usize = 576;
/// Bytes of IPv4 header before an error.
const IPV4_LEN: usize = sockeye_wire::ipv4::HEADER_LEN;

/// What is wrong with a received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No route leads on.
    NetworkUnreachable,
    /// The host does not answer.
    HostUnreachable,
    /// The source's scope ends before the destination (RFC 4443 §3.1, code 2).
    BeyondScope,
    /// Nobody here speaks the protocol.
    ProtocolUnreachable,
    /// Nobody has the port.
    PortUnreachable,
    /// A policy forbids it.
    Prohibited,
    /// It does not fit the next link.
    PacketTooBig {
        /// Bytes of IP packet that fit.
        mtu: u32,
    },
    /// It may not travel further.
    HopLimitExceeded,
    /// Fragments were missing for too long.
    ReassemblyTimeout,
    /// A header is wrong.
    Parameter {
        /// ICMPv6's code.
        code: u8,
        /// The byte it is about, counted from the IP header.
        pointer: u32,
        /// RFC 4443 §2.4 (e.3): the packet may have been sent to a group.
        even_to_group: bool,
    },
}

/// Complains to the source of a packet. Its window stands at the transport header, as it was
/// handed up with `ip`.
///
/// Nothing is sent where the RFCs forbid it (about errors, to groups, from no host), nor beyond
/// [`Config::icmp_errors`](crate::Config::icmp_errors) and
/// [`Config::icmp_ratelimit`](crate::Config::icmp_ratelimit).
pub fn send_error(cx: &mut Context<'_>, ip: &IpInfo, mut packet: Packet, problem: Problem) {
    if !may_complain(ip, &mut packet, problem) {
        return;
    }
    // A program talking to itself harms nobody else.
    let own = ip.interface == InterfaceId::LOOPBACK;
    let essential = matches!(problem, Problem::PacketTooBig { .. });
    let limits = &mut cx.inet.icmp_limits;
    if !own && let Err(over) = limits.error(cx.now, cx.config, ip.source, essential) {
        cx.counters.add(over);
        return;
    }
    packet.unpull(usize::from(ip.header_len));
    let message = match ip.source {
        IpAddr::V4(_) => {
            let header = v4::header_for(problem);
            let mut message = quote_v4(&packet);
            header.emit(message.push(icmpv4::HEADER_LEN));
            message
        }
        IpAddr::V6(_) => {
            let header = v6::header_for(problem, next_header_at(&mut packet));
            // RFC 4443 §2.4 (c): as much as the least MTU takes.
            let room = ipv6::MTU_MIN - ipv6::HEADER_LEN - icmpv6::HEADER_LEN;
            let mut message = quote(&packet, room);
            header.emit(message.push(icmpv6::HEADER_LEN));
            message
        }
    };
    let source = (ip.local && ip.is_unicast()).then_some(ip.destination);
    let about = IpInfo {
        protocol: match ip.source {
            IpAddr::V4(_) => IpProtocol::ICMP,
            IpAddr::V6(_) => IpProtocol::ICMPV6,
        },
        ..*ip
    };
    let traffic_class = match ip.source {
        IpAddr::V4(_) => tos_of_error(ip.traffic_class),
        IpAddr::V6(_) => 0,
    };
    // Without a way back, or with a full queue, nobody hears of it.
    let _ = answer(cx, &about, source, traffic_class, message);
}

/// Whether the rules allow an error about the packet at all.
fn may_complain(ip: &IpInfo, packet: &mut Packet, problem: Problem) -> bool {
    // RFC 1122 §3.2.2 and RFC 4443 §2.4 (e.6): the source must be one host.
    let to_host = match ip.source {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_broadcast() && !v4.is_multicast(),
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast(),
    };
    // RFC 4443 §2.4 (e.3): two errors may be about a packet to a group.
    let despite_group = match problem {
        Problem::PacketTooBig { .. } => ip.source.is_ipv6(),
        Problem::Parameter { even_to_group, .. } => even_to_group,
        _ => false,
    };
    if !to_host || !(ip.is_unicast() || despite_group) {
        return false;
    }
    // RFC 1122 §3.2.2, RFC 4443 §2.4 (e.1, e.2): never about an error. What is too short to tell
    // counts as one.
    if !packet.pull_up(1) {
        return !matches!(ip.protocol, IpProtocol::ICMP | IpProtocol::ICMPV6);
    }
    match ip.protocol {
        IpProtocol::ICMP => !v4::is_error(packet.head()),
        IpProtocol::ICMPV6 => !v6::is_error(packet.head()),
        _ => true,
    }
}

/// A message that quotes as much of `packet` as an error for IPv4 may.
pub(super) fn quote_v4(packet: &Packet) -> Packet {
    quote(packet, LENGTH_MAX_V4 - IPV4_LEN - icmpv4::HEADER_LEN)
}

/// A message that holds the first `room` bytes of `packet`.
pub(super) fn quote(packet: &Packet, room: usize) -> Packet {
    let mut quote = Vec::with_capacity(room.min(packet.len()));
    for chunk in packet.chunks() {
        let left = room - quote.len();
        quote.extend_from_slice(&chunk[..left.min(chunk.len())]);
    }
    Packet::from_slice(&quote)
}

/// Where the headers of an IPv6 packet name its upper protocol.
fn next_header_at(packet: &mut Packet) -> u32 {
    let named = ipv6::Header::parse(packet.head()).ok().and_then(|header| {
        let behind = packet.head().get(ipv6::HEADER_LEN..)?;
        let chain = ipv6_ext::walk(header.next_header, behind).ok()?;
        u32::try_from(chain.next_header_at).ok()
    });
    named.unwrap_or(0)
}
