//! From an IP packet to the link's queue.

use crate::{Context, Counter, Error, InterfaceId, Packet};
use std::net::IpAddr;

/// Hands an IP packet to `next_hop` on the link of `interface`.
pub(crate) fn output(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    _next_hop: IpAddr,
    packet: Packet,
) -> Result<(), Error> {
    let Some(link) = cx.inet.interface_mut(interface) else {
        cx.counters.add(Counter::IpOutNoRoutes);
        return Err(Error::NoDevice);
    };
    if !link.is_up() {
        cx.counters.add(Counter::IpOutDiscards);
        return Err(Error::NetworkDown);
    }
    if !link.enqueue(packet) {
        cx.counters.add(Counter::IpOutDiscards);
        return Err(Error::NoBufferSpace);
    }
    Ok(())
}
