//! Redirects that this node heeds (RFC 4861 §8, RFC 1122 §3.2.2.2): its destination cache, as far as
//! that says something else than the routes do.
//!
//! Sending them is a router's business. What was learnt holds for a while, and only as long as the
//! routes lead to the router that said so.

use crate::{Context, Counter, Inet, Instant, InterfaceId, Owner, RouteQuery};
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Destinations with another first hop than the routes say; beyond, what is oldest is forgotten.
pub const REDIRECTS_MAX: usize = 1024;
/// How long a redirect holds (Linux: `net.ipv4.route.gc_timeout`).
pub const REDIRECT_LIFETIME: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug)]
struct Redirect {
    interface: InterfaceId,
    /// The first hop that the routes say, which sent the redirect.
    by: IpAddr,
    /// The better one; the destination itself where that is a neighbour.
    target: IpAddr,
    until: Instant,
}

/// The destinations that were redirected.
#[derive(Debug, Default)]
pub(crate) struct Redirects(BTreeMap<IpAddr, Redirect>);

impl Redirects {
    /// The first hop to `destination`, which the routes say is `next_hop`.
    pub(crate) fn next_hop(
        &self,
        destination: IpAddr,
        interface: InterfaceId,
        next_hop: IpAddr,
    ) -> IpAddr {
        // The usual node has none.
        if self.0.is_empty() {
            return next_hop;
        }
        let known = self.0.get(&destination);
        let known = known.filter(|r| r.interface == interface && r.by == next_hop);
        known.map_or(next_hop, |redirect| redirect.target)
    }

    fn insert(&mut self, destination: IpAddr, redirect: Redirect) {
        if self.0.len() >= REDIRECTS_MAX && !self.0.contains_key(&destination) {
            let oldest = self.0.iter().min_by_key(|(_, redirect)| redirect.until);
            if let Some((&oldest, _)) = oldest {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(destination, redirect);
    }

    fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|redirect| redirect.until).min()
    }
}

impl Inet {
    /// Destinations that were redirected, and to which first hop.
    pub fn redirects(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> {
        self.redirects.0.iter().map(|(&to, r)| (to, r.target))
    }
}

/// The router `by` says that `target` is the better first hop to `destination`. False when it is not
/// to be believed: it is not the first hop itself.
pub(crate) fn learn(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    by: IpAddr,
    target: IpAddr,
    destination: IpAddr,
) -> bool {
    let query = RouteQuery {
        destination,
        source: None,
        interface: Some(interface),
        foreign_source: false,
    };
    // RFC 4861 §8.1, RFC 1122 §3.2.2.2: it comes from the current first hop, and no neighbour is
    // reached by a router.
    let current = cx.inet.route(&query).ok();
    let current = current.filter(|route| !route.local && route.interface == interface);
    if current.is_none_or(|route| route.next_hop != by) || by == destination {
        return false;
    }
    // Where the last redirect came from another router the routes still lead to that one.
    let Some(by) = cx.inet.first_hop(destination, interface) else {
        return false;
    };
    if target == by {
        cx.inet.redirects.0.remove(&destination);
    } else {
        let until = cx.now + REDIRECT_LIFETIME;
        let redirect = Redirect {
            interface,
            by,
            target,
            until,
        };
        cx.inet.redirects.insert(destination, redirect);
    }
    cx.inet.routes_changed();
    arm(cx);
    true
}

/// RFC 1122 §3.2.2.2: whether `gateway` can be a better one for us: a neighbour, no group, not we.
pub(crate) fn is_sane_gateway(inet: &Inet, interface: InterfaceId, gateway: Ipv4Addr) -> bool {
    let address = IpAddr::V4(gateway);
    let broadcast = inet
        .interface(interface)
        .is_none_or(|link| link.is_subnet_broadcast(gateway));
    inet.is_on_link(interface, address)
        && !broadcast
        && !inet.is_local(address)
        && !gateway.is_multicast()
        && !gateway.is_broadcast()
        && !gateway.is_unspecified()
}

/// Counts a redirect that is not followed.
pub(crate) fn ignore(cx: &mut Context<'_>) {
    cx.counters.add(Counter::RedirectsIgnored);
}

/// `gateway` does not answer: what was to go by it looks for its way anew.
pub(crate) fn forget_gateway(cx: &mut Context<'_>, interface: InterfaceId, gateway: IpAddr) {
    let redirects = &mut cx.inet.redirects.0;
    let before = redirects.len();
    redirects.retain(|_, r| (r.interface, r.target) != (interface, gateway));
    if redirects.len() < before {
        cx.inet.routes_changed();
        arm(cx);
    }
}

/// Forgets what is too old.
pub(crate) fn on_timeout(cx: &mut Context<'_>) {
    let now = cx.now;
    let redirects = &mut cx.inet.redirects.0;
    let before = redirects.len();
    redirects.retain(|_, redirect| redirect.until > now);
    if redirects.len() < before {
        cx.inet.routes_changed();
        arm(cx);
    }
}

fn arm(cx: &mut Context<'_>) {
    let deadline = cx.inet.redirects.deadline();
    cx.timers
        .set(&mut cx.inet.redirect_timer, Owner::Inet, deadline);
}
