//! ICMP and ICMPv6 (RFC 792, RFC 1122 §3.2.2, RFC 4443): echo, errors received, errors sent.
//!
//! - [`receive`] answers echo requests, turns errors about packets of ours into
//!   [`Notice`]s, and gives back what is for ping sockets.
//! - [`send_error`] complains about a received packet, within the rules and the rate limit.
//!
//! - `redirect` tells a neighbour of a better first hop.
//!
//! Not here: timestamps (a node has no time of day), source quench
//! (RFC 6633: ignored).

mod error;
mod failed;
mod limit;
mod redirect;
mod v4;
mod v6;

pub use error::{Problem, send_error};
pub(crate) use failed::host_unreachable;
pub use limit::ICMP_PEERS_MAX;
pub(crate) use limit::Limits;
pub(crate) use redirect::{Detour, redirect};

use crate::inet::{Notice, OwnedIcmpError};
use crate::transport::IcmpErrorKind;
use crate::{Checksum, Context, Counter, Error, IpInfo, Packet, RouteQuery, SendInfo, Tags};
use sockeye_wire::{IpProtocol, checksum};
use std::net::IpAddr;

/// RFC 792: an error quotes at least this much of the transport header.
const QUOTED_MIN: usize = 8;

/// Takes an ICMP or ICMPv6 message at its header. What is for ping sockets comes back: replies to
/// echo requests, and intercepted requests (`ip.local == false`).
pub fn receive(cx: &mut Context<'_>, ip: &IpInfo, packet: Packet) -> Option<Packet> {
    cx.counters.add(Counter::IcmpInMsgs);
    let taken = match (ip.source, ip.destination) {
        (IpAddr::V4(_), IpAddr::V4(destination)) => v4::receive(cx, ip, destination, packet),
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            v6::receive(cx, ip, source, destination, packet)
        }
        _ => Err(Counter::IcmpInErrors),
    };
    taken.unwrap_or_else(|why| {
        cx.drop_packet(why);
        None
    })
}

/// A message for ping sockets, nothing left to do, or why it was dropped.
type Taken = Result<Option<Packet>, Counter>;

/// Whether the checksum of a received message holds. The pseudo-header is ICMPv6's alone.
fn is_intact(ip: &IpInfo, packet: &Packet) -> bool {
    match packet.meta.checksum {
        Checksum::Verified | Checksum::Partial { .. } => true,
        Checksum::Unverified => sum(ip.source, ip.destination, packet).is_valid(),
    }
}

/// The sum over a message as it goes from `source` to `destination`.
fn sum(source: IpAddr, destination: IpAddr, message: &Packet) -> checksum::Sum {
    let mut sum = match destination {
        IpAddr::V4(_) => checksum::Sum::new(),
        IpAddr::V6(_) => {
            let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
            checksum::pseudo_header(source, destination, IpProtocol::ICMPV6, len)
        }
    };
    message.chunks().for_each(|chunk| sum.add(chunk));
    sum
}

/// Sends an ICMP message that is whole but for its checksum, back to whom `ip` came from.
///
/// `source` is the address to send from, where it is fixed.
fn answer(
    cx: &mut Context<'_>,
    ip: &IpInfo,
    source: Option<IpAddr>,
    traffic_class: u8,
    mut message: Packet,
) -> Result<(), Error> {
    let scoped = matches!(ip.source, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let route = cx.route(&RouteQuery {
        destination: ip.source,
        source,
        interface: scoped.then_some(ip.interface),
        foreign_source: true,
    })?;
    message.meta = crate::Meta::default();
    message.head_mut()[2..4].fill(0);
    let checksum = sum(route.source, ip.source, &message).finish();
    message.head_mut()[2..4].copy_from_slice(&checksum.to_be_bytes());
    cx.counters.add(Counter::IcmpOutMsgs);
    let info = SendInfo {
        route,
        destination: ip.source,
        protocol: ip.protocol,
        hop_limit: cx.hop_limit(&route),
        traffic_class,
        flow_label: 0,
        dont_fragment: false,
        tags: Tags::default(),
    };
    cx.send(&info, message)
}

/// RFC 1812 §4.3.2.5: what an error about a packet with `tos` carries itself: its service, at the
/// precedence of the network's own control.
const fn tos_of_error(tos: u8) -> u8 {
    const INTERNETWORK_CONTROL: u8 = 0xc0;
    const SERVICE: u8 = 0x1c;
    tos & SERVICE | INTERNETWORK_CONTROL
}

/// What an error quotes: the addresses, the protocol and the start of its header.
struct Quote<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: IpProtocol,
    transport: &'a [u8],
}

/// Tells the transport of an error, if it is about a packet that we may have sent.
fn report(
    cx: &mut Context<'_>,
    ip: &IpInfo,
    kind: IcmpErrorKind,
    type_and_code: (u8, u8),
    quote: &Quote<'_>,
) -> Result<(), Counter> {
    // RFC 5927 §4: an error that does not go to the source of what it quotes, or quotes what we
    // can't have sent, is forged or strayed.
    let ours = if ip.local {
        cx.inet.is_local(quote.source)
    } else {
        cx.inet.intercepts(quote.protocol)
    };
    if !ours || quote.source != ip.destination {
        return Err(Counter::IcmpInUnmatched);
    }
    if quote.transport.len() < QUOTED_MIN {
        return Err(Counter::IcmpInErrors);
    }
    cx.inet.notify(Notice::IcmpError(OwnedIcmpError {
        protocol: quote.protocol,
        kind,
        icmp_type: type_and_code.0,
        icmp_code: type_and_code.1,
        from: ip.source,
        source: quote.source,
        destination: quote.destination,
        quoted: quote.transport.to_vec(),
    }));
    Ok(())
}
