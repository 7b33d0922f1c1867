//! From a link's frame to an IP packet.

use crate::ip::{self, Arrival};
use crate::{Context, InterfaceId, IpInfo, Packet};

/// Takes a frame of `interface`'s link: what is for a transport comes back, at its header.
pub fn receive(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    packet: Packet,
) -> Option<(IpInfo, Packet)> {
    let link = cx.inet.interface_mut(interface)?;
    if !link.is_up() {
        return None;
    }
    link.count_received(&packet);
    let arrival = Arrival {
        interface,
        link_group: false,
        own: false,
    };
    ip::receive(cx, arrival, packet)
}

/// Takes a packet that this node sent to itself, off
/// [`Inet::pop_loopback`](crate::Inet::pop_loopback).
pub fn receive_own(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    packet: Packet,
) -> Option<(IpInfo, Packet)> {
    let arrival = Arrival {
        interface,
        link_group: false,
        own: true,
    };
    ip::receive(cx, arrival, packet)
}
