//! The way out: the IP header, fragments where they are allowed, and on to the link or back to
//! ourselves.

use super::extras::Extras;
use super::fragment;
use crate::{Context, Counter, Error, InterfaceId, Packet, SendInfo, iface};
use sockeye_wire::ipv4::RawOptions;
use sockeye_wire::{IpProtocol, ipv4, ipv6};
use std::net::IpAddr;

/// The largest IPv4 packet, and the largest payload of an IPv6 packet.
const LENGTH_MAX: usize = 65_535;

/// See [`Context::send`]; `heard`: members of the group on this node get a copy.
pub(crate) fn send(
    cx: &mut Context<'_>,
    info: &SendInfo,
    packet: Packet,
    heard: bool,
) -> Result<(), Error> {
    send_with_extras(cx, info, &Extras::NONE, packet, heard)
}

/// [`send`] with headers of the sender's choice between the IP header and the transport's.
pub(crate) fn send_with_extras(
    cx: &mut Context<'_>,
    info: &SendInfo,
    extras: &Extras,
    mut packet: Packet,
    heard: bool,
) -> Result<(), Error> {
    cx.counters.add(Counter::IpOutRequests);
    let (header_len, limit) = match info.destination {
        IpAddr::V4(_) => (ipv4::HEADER_LEN, LENGTH_MAX - ipv4::HEADER_LEN),
        IpAddr::V6(_) => (ipv6::HEADER_LEN, LENGTH_MAX),
    };
    let (before, behind) = extras.len(info.destination.is_ipv4());
    let payload_len = packet.len() + before + behind;
    if payload_len > limit {
        return Err(Error::MessageSize);
    }
    let protocol = push_behind_fragment(info, extras, &mut packet);
    let info = &SendInfo { protocol, ..*info };
    if packet.meta.gso.is_none() && payload_len + header_len > info.route.mtu as usize {
        if info.dont_fragment {
            cx.counters.add(Counter::IpFragFails);
            return Err(Error::MessageSize);
        }
        for piece in fragment::cut(cx, info, extras, packet)? {
            dispatch(cx, info, piece, heard)?;
        }
        return Ok(());
    }
    push_header(cx, info, extras, &mut packet)?;
    dispatch(cx, info, packet, heard)
}

/// Puts the extension headers that the destination alone looks at before the transport header, and
/// says what the packet begins with then.
fn push_behind_fragment(info: &SendInfo, extras: &Extras, packet: &mut Packet) -> IpProtocol {
    match (&extras.destination_options, info.destination) {
        (Some(options), IpAddr::V6(_)) => {
            push_extension(options, info.protocol, packet);
            IpProtocol::DESTINATION_OPTIONS
        }
        _ => info.protocol,
    }
}

/// Puts the extension headers for every node on the way in front, and says what the packet begins
/// with then: `first`, where there are none.
pub(super) fn push_before_fragment(
    extras: &Extras,
    first: IpProtocol,
    packet: &mut Packet,
) -> IpProtocol {
    match &extras.hop_options {
        Some(options) => {
            push_extension(options, first, packet);
            IpProtocol::HOP_BY_HOP
        }
        None => first,
    }
}

fn push_extension(header: &[u8], next: IpProtocol, packet: &mut Packet) {
    let window = packet.push(header.len());
    window.copy_from_slice(header);
    window[0] = next.0;
}

/// See [`Context::send_with_header`].
pub(crate) fn send_with_header(
    cx: &mut Context<'_>,
    info: &SendInfo,
    packet: Packet,
) -> Result<(), Error> {
    cx.counters.add(Counter::IpOutRequests);
    if packet.len() > info.route.mtu as usize {
        cx.counters.add(Counter::IpFragFails);
        return Err(Error::MessageSize);
    }
    dispatch(cx, info, packet, true)
}

/// Puts the IP header before the transport's.
fn push_header(
    cx: &mut Context<'_>,
    info: &SendInfo,
    extras: &Extras,
    packet: &mut Packet,
) -> Result<(), Error> {
    let protocol = match info.destination {
        IpAddr::V4(_) => info.protocol,
        IpAddr::V6(_) => push_before_fragment(extras, info.protocol, packet),
    };
    let payload_len = u16::try_from(packet.len()).map_err(|_| Error::MessageSize)?;
    match (info.route.source, info.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = ipv4::Header::new(source, destination, info.protocol, payload_len);
            header.tos = info.traffic_class;
            header.ttl = info.hop_limit;
            header.dont_fragment = info.dont_fragment;
            // RFC 6864 §4.1: of a packet that is never fragmented it means nothing.
            if !info.dont_fragment {
                let ids = &mut cx.inet.identifications;
                header.identification = ids.next(source, destination, info.protocol);
            }
            if let Some(options) = &extras.options {
                let bytes = options.for_packet(source, destination, cx.now);
                header.destination = options.first_hop(destination);
                set_options(&mut header, &bytes)?;
            }
            header.emit(packet.push(header.header_len()));
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = ipv6::Header::new(source, destination, protocol, payload_len);
            header.traffic_class = info.traffic_class;
            header.flow_label = info.flow_label;
            header.hop_limit = info.hop_limit;
            header.emit(packet.push(ipv6::HEADER_LEN));
        }
        _ => return Err(Error::AddressFamily),
    }
    Ok(())
}

/// Gives a header its options, which count to its length.
pub(super) fn set_options(header: &mut ipv4::Header, options: &[u8]) -> Result<(), Error> {
    let payload_len = header.payload_len();
    header.options = RawOptions::from_slice(options).ok_or(Error::Invalid)?;
    header.total_len =
        u16::try_from(header.header_len() + payload_len).map_err(|_| Error::MessageSize)?;
    Ok(())
}

/// Hands a whole IP packet to ourselves, to the link, or to both.
fn dispatch(
    cx: &mut Context<'_>,
    info: &SendInfo,
    mut packet: Packet,
    heard: bool,
) -> Result<(), Error> {
    packet.meta.tags = info.tags;
    let route = &info.route;
    if route.local {
        let interface = received_on(cx, info.destination);
        return loop_back(cx, interface, packet);
    }
    // RFC 1112 §6.1: who is in the group hears what it sends itself; likewise with broadcasts.
    let hears_itself = heard
        && info.destination.is_multicast()
        && cx
            .inet
            .interface(route.interface)
            .is_some_and(|i| i.is_member(info.destination));
    if hears_itself || route.broadcast {
        // A full loopback loses this copy alone; it is counted there.
        let _ = loop_back(cx, route.interface, packet.clone());
    }
    // RFC 4291 §2.7: an interface-local group ends here; RFC 1112 §6.1: so does a TTL of 0.
    let interface_local = matches!(info.destination, IpAddr::V6(v6) if v6.is_multicast() && v6.octets()[1] & 0x0f <= 1);
    if interface_local || info.destination.is_multicast() && info.hop_limit == 0 {
        return Ok(());
    }
    iface::output(cx, route.interface, route.next_hop, packet)
}

/// Where a packet to one of our own addresses counts as received: the loopback, but for a
/// link-local address the link that has it, without which it means nothing (RFC 4007 §6).
fn received_on(cx: &Context<'_>, destination: IpAddr) -> InterfaceId {
    if !crate::demux::is_scoped(destination) {
        return InterfaceId::LOOPBACK;
    }
    let mut interfaces = cx.inet.interfaces();
    let owner = interfaces.find(|(_, interface)| interface.has_address(destination));
    owner.map_or(InterfaceId::LOOPBACK, |(id, _)| id)
}

/// Queues a packet that this node is to receive on `interface`.
fn loop_back(cx: &mut Context<'_>, interface: InterfaceId, packet: Packet) -> Result<(), Error> {
    if !cx.inet.loopback.push(interface, packet) {
        cx.counters.add(Counter::IpOutDiscards);
        return Err(Error::NoBufferSpace);
    }
    Ok(())
}
