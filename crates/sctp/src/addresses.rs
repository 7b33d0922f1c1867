//! Which addresses an association has on either side (RFC 9260 §5.1.2).

use crate::settings::Settings;
use crate::tcb::{ADDRESSES_MAX, Addresses};
use smallvec::SmallVec;
use sockeye_core::demux::{Endpoint, is_scoped};
use sockeye_core::{Context, Domain};
use std::net::IpAddr;

/// Whether a socket of these settings deals with addresses of `ip`'s family.
pub(crate) fn speaks(settings: &Settings, ip: IpAddr) -> bool {
    match (settings.common.domain, ip) {
        (Domain::V4, IpAddr::V4(_)) | (Domain::V6, IpAddr::V6(_)) => true,
        (Domain::V6, IpAddr::V4(_)) => !settings.common.only_v6,
        (Domain::V4, IpAddr::V6(_)) => false,
    }
}

/// Our addresses in an association with `peer`: those that the socket is bound to, or all that the
/// peer may reach: the loopback's and a link's own only where the peer is there, too.
pub(crate) fn local(
    cx: &Context<'_>,
    settings: &Settings,
    bound: &[IpAddr],
    peer: IpAddr,
) -> Addresses {
    if !bound.is_empty() {
        return bound.iter().copied().take(ADDRESSES_MAX).collect();
    }
    let mut all = Addresses::new();
    for (_, interface) in cx.inet.interfaces() {
        for address in interface.addresses() {
            let ip = address.net.addr();
            if address.is_usable()
                && is_near(settings, ip, peer)
                && !all.contains(&ip)
                && all.len() < ADDRESSES_MAX
            {
                all.push(ip);
            }
        }
    }
    all
}

/// Whether `peer` may reach our address `ip`.
pub(crate) fn is_near(settings: &Settings, ip: IpAddr, peer: IpAddr) -> bool {
    speaks(settings, ip)
        && ip.is_loopback() == peer.is_loopback()
        && (!is_scoped(ip) || is_scoped(peer))
}

/// The peer's transport addresses: where its packet came from, and what it lists, as far as we can
/// reach that (RFC 9260 §5.1.2 A and C).
/// RFC 9260 §3.3.2.1.2-2, §3.3.3-15, §5.1.2-1, §5.1.2-3, §5.1.2-6.
pub(crate) fn peer(
    settings: &Settings,
    source: Endpoint,
    listed: &[IpAddr],
) -> SmallVec<[Endpoint; 4]> {
    let mut all: SmallVec<[Endpoint; 4]> = SmallVec::new();
    all.push(source);
    for &ip in listed {
        let endpoint = with_scope(ip, source);
        let possible = speaks(settings, ip)
            && !ip.is_unspecified()
            && !ip.is_multicast()
            && ip.is_loopback() == source.ip.is_loopback()
            && (!is_scoped(ip) || is_scoped(source.ip));
        if possible && !all.contains(&endpoint) && all.len() < ADDRESSES_MAX {
            all.push(endpoint);
        }
    }
    all
}

/// An address beside `source`: a link-local one is of the same link.
pub(crate) fn with_scope(ip: IpAddr, source: Endpoint) -> Endpoint {
    let mut endpoint = Endpoint::new(ip, source.port);
    if is_scoped(endpoint.ip) {
        endpoint.scope = source.scope;
    }
    endpoint
}
