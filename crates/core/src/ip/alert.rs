//! Router alerts: packets for others that ask the routers on their way to look at them (RFC 2113,
//! RFC 2711). Sockets of ip(7) and ipv6(7) that want to get what they want instead of its being sent
//! on; what they don't want is sent on as everything else is.

use crate::inet::Notice;
use crate::{Context, InterfaceId, IpInfo, Packet, SocketId};
use sockeye_wire::IpProtocol;
use std::collections::BTreeMap;

/// Which packets a socket wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    /// IP_ROUTER_ALERT: of its protocol.
    Protocol(IpProtocol),
    /// IPV6_ROUTER_ALERT: with this value in the option.
    Value(i32),
}

/// The sockets that want some, at most one wish each.
#[derive(Debug, Default)]
pub(crate) struct RouterAlerts {
    wishes: BTreeMap<SocketId, (Selector, Option<InterfaceId>)>,
}

impl RouterAlerts {
    /// What a socket wants, if anything.
    pub(crate) fn of(&self, socket: SocketId) -> Option<Selector> {
        self.wishes.get(&socket).map(|(selector, _)| *selector)
    }

    /// A socket wants other packets, by `device` where it is bound to one.
    pub(crate) fn set(
        &mut self,
        socket: SocketId,
        wish: Option<Selector>,
        device: Option<InterfaceId>,
    ) {
        match wish {
            Some(selector) => self.wishes.insert(socket, (selector, device)),
            None => self.wishes.remove(&socket),
        };
    }

    /// A socket is bound to another interface.
    pub(crate) fn rebind(&mut self, socket: SocketId, device: Option<InterfaceId>) {
        if let Some((_, bound)) = self.wishes.get_mut(&socket) {
            *bound = device;
        }
    }

    /// The sockets that want a packet which came by `interface`.
    pub(crate) fn wanting(
        &self,
        wanted: Selector,
        interface: InterfaceId,
    ) -> impl Iterator<Item = SocketId> {
        let wants = move |(selector, device): &(Selector, Option<InterfaceId>)| {
            *selector == wanted && device.is_none_or(|device| device == interface)
        };
        let wishes = self.wishes.iter();
        wishes.filter_map(move |(id, wish)| wants(wish).then_some(*id))
    }
}

/// Whether somebody wants a packet that came by `interface`.
pub(super) fn is_wanted(cx: &Context<'_>, what: Selector, interface: InterfaceId) -> bool {
    let mut who = cx.inet.router_alerts.wanting(what, interface);
    who.next().is_some()
}

/// Hands a packet at its IP header to those who want it.
pub(super) fn hand_over(cx: &mut Context<'_>, what: Selector, info: IpInfo, packet: Packet) {
    let alert = RouterAlert { what, info, packet };
    cx.inet.notify(Notice::RouterAlert(Box::new(alert)));
}

/// A packet that was not sent on, since sockets want it.
#[derive(Clone, Debug)]
pub struct RouterAlert {
    pub(crate) what: Selector,
    pub(crate) info: IpInfo,
    /// At its IP header.
    pub(crate) packet: Packet,
}
