//! Sending on what is for others (RFC 1812 §5, RFC 8200 §3 and §4), where
//! [`Config::interfaces`](crate::Config::interfaces) says so of the interface that it came by.
//!
//! - [`v4::forward`] and [`v6::forward`] take a packet at its IP header: judge its addresses and
//!   options, find the way, take a hop off, and hand it to the way's interface, which cuts and
//!   sums super-segments where its link does not.
//! - [`cut`] fragments what does not fit, where that is allowed.
//! - [`came_by_its_way`] is the check of sources against the routes (RFC 3704).
//!
//! What is not sent on is counted, and its source told where the RFCs say so. Groups and
//! broadcasts never get here: there is no multicast routing, and no directed broadcast is sent on
//! (RFC 2644 §2).

pub(super) mod cut;
pub(super) mod v4;
pub(super) mod v6;

use super::Arrival;
use crate::config::{FamilySettings, ReversePath};
use crate::iface::Interface;
use crate::{Context, InterfaceId, Packet, RouteQuery};
use sockeye_wire::{IpProtocol, tcp, udp};
use std::net::IpAddr;

/// The way on.
#[derive(Clone, Copy, Debug)]
struct Onward {
    interface: InterfaceId,
    next_hop: IpAddr,
    /// Bytes of IP packet that the next link carries. What is known of the path behind it is the
    /// source's to care for.
    mtu: usize,
    /// The destination is a broadcast address there.
    broadcast: bool,
}

/// Whether packets for others that came so are sent on.
pub(super) fn is_on(cx: &Context<'_>, arrival: Arrival, v4: bool) -> bool {
    !arrival.own && settings(cx, arrival.interface, v4).is_some_and(|s| s.forwarding)
}

/// RFC 3704 §2: whether `source` is reached by the interface that its packet came by, as far as
/// that is to be looked at.
pub(super) fn came_by_its_way(cx: &Context<'_>, arrival: Arrival, source: IpAddr) -> bool {
    let mode = settings(cx, arrival.interface, source.is_ipv4()).map(|s| s.rp_filter);
    let scoped = matches!(source, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if arrival.own || scoped || source.is_unspecified() {
        return true;
    }
    let is_up = |id| cx.inet.interface(id).is_some_and(Interface::is_up);
    let best = || cx.inet.routes.lookup(source, |e| is_up(e.interface));
    match mode {
        None | Some(ReversePath::Off) => true,
        Some(ReversePath::Loose) => best().is_some(),
        Some(ReversePath::Strict) => {
            let here = |id| id == arrival.interface && is_up(id);
            let by_here = cx.inet.routes.lookup(source, |e| here(e.interface));
            // Of several that are equally good each will do.
            best().zip(by_here).is_some_and(|(best, by_here)| {
                (best.destination, best.metric) == (by_here.destination, by_here.metric)
            })
        }
    }
}

fn settings<'a>(
    cx: &'a Context<'_>,
    interface: InterfaceId,
    v4: bool,
) -> Option<&'a FamilySettings> {
    let settings = cx.inet.interface(interface)?.settings();
    Some(if v4 { &settings.v4 } else { &settings.v6 })
}

/// The way to `destination`; none without a route, nor when one leads back to this node.
fn onward(cx: &Context<'_>, source: IpAddr, destination: IpAddr) -> Option<Onward> {
    let query = RouteQuery {
        destination,
        source: Some(source),
        interface: None,
        foreign_source: true,
    };
    let route = cx.inet.route(&query).ok()?;
    let link = cx.inet.interface(route.interface)?;
    (!route.local && route.interface != InterfaceId::LOOPBACK).then_some(Onward {
        interface: route.interface,
        next_hop: route.next_hop,
        mtu: link.mtu() as usize,
        broadcast: route.broadcast,
    })
}

/// Bytes of the largest packet that `packet`, whose transport header begins at `transport`, is on
/// the wire: of a super-segment each piece counts.
fn wire_len(packet: &mut Packet, transport: usize, protocol: IpProtocol) -> usize {
    let whole = packet.len();
    let Some(gso) = packet.meta.gso else {
        return whole;
    };
    let header = match protocol {
        IpProtocol::TCP if packet.pull_up(transport + tcp::HEADER_LEN) => {
            usize::from(packet.head()[transport + 12] >> 4) * 4
        }
        _ => udp::HEADER_LEN,
    };
    whole.min(transport + header + usize::from(gso.size))
}
