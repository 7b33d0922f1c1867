//! Which addresses a socket may have and send from.

use crate::demux::{Endpoint, is_scoped};
use crate::{Context, Error, InterfaceId, RouteQuery, SocketCommon};
use std::net::IpAddr;

/// The interfaces by which a datagram to `destination` may have left.
#[must_use]
pub fn interfaces_to(cx: &Context<'_>, destination: IpAddr) -> Vec<InterfaceId> {
    if is_scoped(destination) {
        return cx.inet.interfaces().map(|(id, _)| id).collect();
    }
    let query = RouteQuery {
        destination,
        source: None,
        interface: None,
        foreign_source: false,
    };
    let route = cx.inet.route(&query);
    vec![route.map_or(InterfaceId::LOOPBACK, |route| route.interface)]
}

/// Whether a packet may come from a bound address: groups and broadcasts receive only.
pub(super) fn can_be_source(cx: &Context<'_>, ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast(cx, ip)
}

/// Whether `ip` is 255.255.255.255 or the broadcast address of one of the node's networks.
#[must_use]
pub fn is_broadcast(cx: &Context<'_>, ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_broadcast()
                || !cx.inet.is_local(ip.into())
                    && cx
                        .inet
                        .interfaces()
                        .any(|(_, interface)| interface.is_subnet_broadcast(ip))
        }
        IpAddr::V6(_) => false,
    }
}

/// Whether a socket may be bound to `local`: any address, one of the node's, a group or (IPv4) a
/// broadcast address.
///
/// # Errors
/// [`Error::AddressNotAvailable`], [`Error::NoDevice`] for a scope without interface.
pub fn check_bindable(
    cx: &Context<'_>,
    local: Endpoint,
    common: &SocketCommon,
) -> Result<(), Error> {
    if is_scoped(local.ip)
        && let Some(interface) = local.scope_interface()
    {
        let interface = cx.inet.interface(interface).ok_or(Error::NoDevice)?;
        let ours = local.ip.is_multicast()
            || common.may_bind_anywhere()
            || interface.has_address(local.ip);
        return ours.then_some(()).ok_or(Error::AddressNotAvailable);
    }
    let ours = local.is_unspecified()
        || local.ip.is_multicast()
        || common.may_bind_anywhere()
        || cx.inet.is_local(local.ip)
        || is_broadcast(cx, local.ip);
    ours.then_some(()).ok_or(Error::AddressNotAvailable)
}
