//! Sending on IPv4 packets (RFC 1812 §5.2, §5.3).

use super::{Onward, cut, onward, wire_len};
use crate::icmp::{self, Detour, Problem};
use crate::ip::Arrival;
use crate::ip::alert::{self, Selector};
use crate::ip::v4::{info_of, reassemble};
use crate::{Context, Counter, Instant, IpInfo, Packet, iface};
use sockeye_wire::ipv4::{self, Header};
use sockeye_wire::ipv4_options::{self, Ipv4Option};
use std::net::{IpAddr, Ipv4Addr};

/// RFC 791 §3.1: the mark of a timestamp that does not count from midnight UT.
const OWN_TIME: u32 = 1 << 31;

/// Sends on a packet at its IP header, or says why not; `info` is what is known of it.
pub(in crate::ip) fn forward(
    cx: &mut Context<'_>,
    arrival: Arrival,
    header: &Header,
    info: &IpInfo,
    mut packet: Packet,
) -> Result<(), Counter> {
    if is_martian(header.source) || is_martian(header.destination) {
        return Err(Counter::IpInMartians);
    }
    let Some(way) = onward(cx, info.source, info.destination) else {
        complain(cx, header, info, packet, Problem::NetworkUnreachable);
        return Err(Counter::IpExtInNoRoutes);
    };
    // RFC 2644 §2: broadcasts on another network are not sent there from outside.
    if way.broadcast {
        return Err(Counter::IpInAddrErrors);
    }
    // RFC 2113 §2.1: who has asked for it looks at it more closely, whole, in its place.
    let wanted = Selector::Protocol(header.protocol);
    if has_alert(header) && alert::is_wanted(cx, wanted, arrival.interface) {
        if let Some((info, packet)) = whole(cx, arrival, header, info, packet)? {
            alert::hand_over(cx, wanted, info, packet);
        }
        return Ok(());
    }
    // RFC 1812 §5.3.1: a packet that has used up its hops ends here.
    if header.ttl <= 1 {
        complain(cx, header, info, packet, Problem::HopLimitExceeded);
        return Err(Counter::IpInHdrErrors);
    }
    let fits = wire_len(&mut packet, header.header_len(), header.protocol) <= way.mtu;
    if !fits && header.dont_fragment {
        let mtu = u32::try_from(way.mtu).unwrap_or(u32::MAX);
        complain(cx, header, info, packet, Problem::PacketTooBig { mtu });
        return Err(Counter::IpFragFails);
    }
    if way.interface == arrival.interface {
        let detour = Detour {
            interface: way.interface,
            source: info.source,
            destination: info.destination,
            next_hop: way.next_hop,
            packet: &packet,
        };
        icmp::redirect(cx, &detour);
    }
    let hop = ipv4::decrement_ttl(packet.head_mut());
    debug_assert!(hop, "a hop is left");
    if !header.options.is_empty() {
        record(cx, &way, &mut packet).ok_or(Counter::IpInHdrErrors)?;
    }
    packet.meta.queue = 0;
    send(cx, &way, packet, fits)
}

/// RFC 2113 §2.1: of its values zero alone is defined.
fn has_alert(header: &Header) -> bool {
    let mut options = ipv4_options::iter(&header.options);
    options.any(|option| option == Ok(Ipv4Option::RouterAlert(0)))
}

/// The packet at its IP header, once all of its fragments have come.
fn whole(
    cx: &mut Context<'_>,
    arrival: Arrival,
    header: &Header,
    info: &IpInfo,
    packet: Packet,
) -> Result<Option<(IpInfo, Packet)>, Counter> {
    if !header.is_fragment() {
        return Ok(Some((*info, packet)));
    }
    let whole = reassemble(cx, arrival, header, *info, packet)?;
    Ok(whole.map(|(header, packet)| (info_of(arrival, &header), packet)))
}

/// Hands the packet to the way's interface, in fragments where it does not fit.
fn send(cx: &mut Context<'_>, way: &Onward, packet: Packet, fits: bool) -> Result<(), Counter> {
    cx.counters.add(Counter::IpForwDatagrams);
    if fits {
        // What the interface does not take is counted there.
        let _ = iface::output(cx, way.interface, way.next_hop, packet);
        return Ok(());
    }
    let pieces = cut::to_fit(packet, way.mtu).map_err(|_| Counter::IpFragFails)?;
    // A part of them is of no use.
    if pieces.len() > cx.tx_room(way.interface) {
        return Err(Counter::IpOutDiscards);
    }
    cx.counters.add(Counter::IpFragOKs);
    cx.counters
        .add_n(Counter::IpFragCreates, pieces.len() as u64);
    for piece in pieces {
        let _ = iface::output(cx, way.interface, way.next_hop, piece);
    }
    Ok(())
}

/// RFC 1812 §4.2.2.11, §5.3.7 and RFC 3927 §7: addresses that mean something on one link or one
/// host at most, and no host at all.
fn is_martian(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    matches!(first, 0 | 127 | 240..=255) || address.is_multicast() || address.is_link_local()
}

/// RFC 1812 §5.2.4.3 and §4.2.2.2: this router's entry in the packet's route and timestamps, by the
/// address it leaves by.
fn record(cx: &Context<'_>, way: &Onward, packet: &mut Packet) -> Option<()> {
    let mut header = Header::parse(packet.head()).ok()?;
    let next_hop = way.next_hop;
    let own = crate::ip::source::choose(
        cx.inet,
        way.interface,
        next_hop,
        next_hop,
        Default::default(),
    );
    let Some(IpAddr::V4(own)) = own else {
        return Some(());
    };
    ipv4_options::record(&mut header.options, own, time_of(cx.now)).ok()?;
    header.emit(packet.head_mut());
    Some(())
}

/// Milliseconds, of which nobody but this node knows when they began.
fn time_of(now: Instant) -> u32 {
    let ms = now.saturating_since(Instant::ZERO).as_millis();
    // It wraps as a day's would.
    (ms % 86_400_000) as u32 | OWN_TIME
}

/// Tells the source.
fn complain(
    cx: &mut Context<'_>,
    header: &Header,
    info: &IpInfo,
    mut packet: Packet,
    problem: Problem,
) {
    // RFC 1812 §4.3.2.7: about the first fragment alone.
    if header.fragment_offset == 0 {
        packet.pull(header.header_len());
        icmp::send_error(cx, info, packet, problem);
    }
}
