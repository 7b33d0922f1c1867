//! What the neighbour table wants sent, and the deadlines of an interface.

use super::neighbour::Step;
use super::{NeighbourState, arp, autoconf, dad, nd, transmit};
use crate::icmp;
use crate::ip::redirect;
use crate::multicast;
use crate::{
    Context, Counter, Error, Event, Inet, Instant, InterfaceId, Medium, Owner, Packet, Route,
};
use std::net::IpAddr;

impl Inet {
    /// A transport saw that what it sends by `route` arrives: its neighbour need not be asked.
    ///
    /// RFC 4861 §7.3.1: progress of a connection (new data acknowledged), not just any packet.
    pub fn confirm_neighbour(&mut self, now: Instant, route: &Route) {
        if let Some(interface) = self.interface_mut(route.interface)
            && matches!(interface.capabilities.medium, Medium::Ethernet(_))
        {
            interface.neighbours.confirm(now, route.next_hop);
        }
    }
}

/// Sends `packet` to a neighbour on an Ethernet, now or once its address is known.
pub(super) fn send(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    next_hop: IpAddr,
    packet: Packet,
) -> Result<(), Error> {
    let max = cx.config.neighbours_max;
    let link = cx.inet.interface_mut(interface).ok_or(Error::NoDevice)?;
    let Some(step) = link.neighbours.send(cx.now, max, next_hop, packet) else {
        return Ok(());
    };
    // The usual case needs neither timers nor observers.
    if let Step::Transmit(mac, packet) = step {
        let result = transmit::frame(cx, interface, mac, packet);
        settle(cx, interface);
        return result;
    }
    let result = match step {
        Step::TableFull | Step::QueueFull => Err(Error::NoBufferSpace),
        _ => Ok(()),
    };
    take(cx, interface, step);
    settle(cx, interface);
    result
}

/// Does what the table says, then sees to the interface's timer.
pub(super) fn take_all(cx: &mut Context<'_>, interface: InterfaceId, steps: Vec<Step>) {
    for step in steps {
        take(cx, interface, step);
    }
    settle(cx, interface);
}

fn take(cx: &mut Context<'_>, interface: InterfaceId, step: Step) {
    match step {
        Step::Transmit(mac, packet) => {
            // A full queue is counted there.
            let _ = transmit::frame(cx, interface, mac, packet);
        }
        Step::SolicitAll(IpAddr::V4(address)) => arp::request(cx, interface, address, None),
        Step::SolicitAll(IpAddr::V6(address)) => nd::solicit(cx, interface, address, None),
        Step::Solicit(IpAddr::V4(address), mac) => {
            arp::request(cx, interface, address, Some(mac));
        }
        Step::Solicit(IpAddr::V6(address), mac) => {
            nd::solicit(cx, interface, address, Some(mac));
        }
        Step::Unreachable(address, pending) => {
            // RFC 4861 §7.3.3: the next packet looks for another way.
            redirect::forget_gateway(cx, interface, address);
            autoconf::neighbour_failed(cx, interface, address);
            for packet in pending {
                cx.counters.add(Counter::NeighbourUnreachable);
                icmp::host_unreachable(cx, interface, packet);
            }
        }
        Step::QueueFull => cx.counters.add(Counter::IpOutDiscards),
        // The table counts it, with those that were driven out.
        Step::TableFull => {}
    }
}

/// Tells of changed neighbours, and arms the interface's timer for what is due first.
pub(crate) fn settle(cx: &mut Context<'_>, interface: InterfaceId) {
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let changes = link.neighbours.take_changes();
    let overflows = link.neighbours.take_overflows();
    cx.counters.add_n(Counter::NeighbourTableFull, overflows);
    let deadlines = [
        link.neighbours.deadline(),
        dad::deadline(link),
        link.autoconf.deadline(),
        link.groups.deadline(),
    ];
    let deadline = deadlines.into_iter().flatten().min();
    cx.timers
        .set(&mut link.timer, Owner::Interface(interface), deadline);
    for (address, state) in changes {
        if state == NeighbourState::Reachable {
            autoconf::neighbour_answers(cx, interface, address);
        }
        cx.tell(&Event::Neighbour {
            address,
            to: state.name(),
        });
    }
}

/// The deadline of an interface has come ([`Owner::Interface`]).
pub fn on_timeout(cx: &mut Context<'_>, interface: InterfaceId) {
    dad::on_timeout(cx, interface);
    autoconf::on_timeout(cx, interface);
    multicast::on_timeout(cx, interface);
    let now = cx.now;
    while let Some(step) = cx
        .inet
        .interface_mut(interface)
        .and_then(|link| link.neighbours.expire(now))
    {
        take(cx, interface, step);
    }
    settle(cx, interface);
}
