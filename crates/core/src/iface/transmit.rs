//! From an IP packet to the link's queue.

use super::resolve;
use crate::{Context, Counter, Error, InterfaceId, MacAddr, Medium, Packet};
use sockeye_wire::{EtherType, ethernet};
use std::net::IpAddr;

/// Hands an IP packet to `next_hop` on the link of `interface`.
pub(crate) fn output(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    next_hop: IpAddr,
    packet: Packet,
) -> Result<(), Error> {
    let Some(link) = cx.inet.interface(interface) else {
        cx.counters.add(Counter::IpOutNoRoutes);
        return Err(Error::NoDevice);
    };
    if !link.is_up() {
        cx.counters.add(Counter::IpOutDiscards);
        return Err(Error::NetworkDown);
    }
    if link.capabilities().medium == Medium::Ip {
        return enqueue(cx, interface, packet);
    }
    let mac = match next_hop {
        IpAddr::V4(v4) if v4.is_broadcast() || link.is_subnet_broadcast(v4) => MacAddr::BROADCAST,
        IpAddr::V4(v4) if v4.is_multicast() => MacAddr::of_group_v4(v4),
        IpAddr::V6(v6) if v6.is_multicast() => MacAddr::of_group_v6(v6),
        _ => return resolve::send(cx, interface, next_hop, packet),
    };
    frame(cx, interface, mac, packet)
}

/// Sends an IP packet to a station.
pub(super) fn frame(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    to: MacAddr,
    packet: Packet,
) -> Result<(), Error> {
    let ethertype = match packet.head().first().map(|b| b >> 4) {
        Some(6) => EtherType::IPV6,
        _ => EtherType::IPV4,
    };
    frame_of(cx, interface, to, ethertype, packet)
}

/// Sends a packet of any type to a station.
pub(super) fn frame_of(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    to: MacAddr,
    ethertype: EtherType,
    mut packet: Packet,
) -> Result<(), Error> {
    let medium = cx
        .inet
        .interface(interface)
        .map(|link| link.capabilities().medium);
    let Some(Medium::Ethernet(own)) = medium else {
        return Err(Error::NoDevice);
    };
    let header = ethernet::Header {
        destination: to,
        source: own,
        ethertype,
    };
    header.emit(packet.push(ethernet::HEADER_LEN));
    enqueue(cx, interface, packet)
}

fn enqueue(cx: &mut Context<'_>, interface: InterfaceId, frame: Packet) -> Result<(), Error> {
    let queued = cx
        .inet
        .interface_mut(interface)
        .is_some_and(|link| link.enqueue(frame));
    if !queued {
        cx.counters.add(Counter::IpOutDiscards);
        return Err(Error::NoBufferSpace);
    }
    Ok(())
}
