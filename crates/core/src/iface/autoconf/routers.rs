//! Default routers, prefixes of the link, routes and name servers, as routers advertise them.
//!
//! All of them are routes of the node's table while they hold. A router that does not answer comes
//! after all others (RFC 4861 §6.3.6) until it is heard to be there, or is tried again: its default
//! route is made worse, its other routes are taken out.

use super::{Autoconf, rearm, until};
use crate::iface::ipv6_settings;
use crate::ip::route::RouteEntry;
use crate::{Context, Counter, Inet, Instant, InterfaceId};
use core::time::Duration;
use ipnet::{IpNet, Ipv6Net};
use sockeye_wire::ndp::Preference;
use sockeye_wire::ndp_options::{PrefixInformation, RouteInformation};
use std::net::{IpAddr, Ipv6Addr};

/// Default routers of an interface.
pub const ROUTERS_MAX: usize = 16;
/// Prefixes that routers say are on its link.
pub const PREFIXES_MAX: usize = 16;
/// Routes that routers advertise there beside the default.
pub const ROUTES_MAX: usize = 16;
/// Name servers that routers advertise there (RFC 8106 §5.3.1: three at least).
pub const NAME_SERVERS_MAX: usize = 8;

/// Linux's metric of what routers advertise, for the medium preference.
const METRIC: u32 = 1024;
/// Linux's metric of prefixes.
const PREFIX_METRIC: u32 = 256;
/// How much worse a router is that did not answer; and again for each time.
const FAILED_METRIC: u32 = 1 << 16;

/// A default router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Router {
    /// Its link-local address.
    pub address: Ipv6Addr,
    /// How much it wants to be preferred (RFC 4191).
    pub preference: Preference,
    /// Until when it is one; at most, for those whose lifetime is not known.
    pub until: Instant,
    /// Times in a row that it did not answer, and when that was last found out.
    pub failed: Option<(u32, Instant)>,
}

/// A prefix whose addresses are on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnLinkPrefix {
    /// The prefix.
    pub prefix: Ipv6Net,
    /// Until when.
    pub until: Instant,
}

/// A route by a router (RFC 4191 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearntRoute {
    /// Where it leads.
    pub destination: Ipv6Net,
    /// The router.
    pub router: Ipv6Addr,
    /// Among routes to the same destination.
    pub preference: Preference,
    /// Until when.
    pub until: Instant,
    /// The router did not answer: it is not used until then.
    pub suspended: Option<Instant>,
}

/// A name server (RFC 8106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameServer {
    /// Its address.
    pub address: Ipv6Addr,
    /// Until when it may be asked.
    pub until: Instant,
}

impl Router {
    fn entry(&self, interface: InterfaceId) -> RouteEntry {
        let times = self.failed.map_or(0, |(times, _)| times);
        RouteEntry {
            destination: IpNet::V6(Ipv6Net::default()),
            gateway: Some(IpAddr::V6(self.address)),
            interface,
            metric: metric(self.preference).saturating_add(times.saturating_mul(FAILED_METRIC)),
        }
    }
}

impl LearntRoute {
    fn entry(&self, interface: InterfaceId) -> RouteEntry {
        RouteEntry {
            destination: IpNet::V6(self.destination),
            gateway: Some(IpAddr::V6(self.router)),
            interface,
            metric: metric(self.preference),
        }
    }
}

fn metric(preference: Preference) -> u32 {
    match preference {
        Preference::High => METRIC - 1,
        Preference::Medium => METRIC,
        Preference::Low => METRIC + 1,
    }
}

/// A router says for how many seconds it is a default router (RFC 4861 §6.3.4).
pub(super) fn heard(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    address: Ipv6Addr,
    lifetime: u32,
    preference: Preference,
) {
    let preference = match ipv6_settings(cx.config, cx.inet, interface).accept_ra_rtr_pref {
        true => preference,
        false => Preference::Medium,
    };
    if lifetime == 0 {
        no_router(cx, interface, address);
        return;
    }
    let until = until(cx.now, lifetime);
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let routers = &mut link.autoconf.routers;
    let router = Router {
        address,
        preference,
        until,
        failed: None,
    };
    match routers.iter().position(|r| r.address == address) {
        Some(at) => {
            let failed = routers[at].failed;
            let router = Router { failed, ..router };
            routers[at] = router;
            put(cx.inet, router.entry(interface));
        }
        None if routers.len() >= ROUTERS_MAX => cx.counters.add(Counter::AutoconfTableFull),
        None => {
            routers.push(router);
            put(cx.inet, router.entry(interface));
        }
    }
}

/// `address` is a default router no longer: it says so itself, or that it is no router at all (RFC
/// 4861 §7.2.5).
pub(in crate::iface) fn no_router(cx: &mut Context<'_>, interface: InterfaceId, address: Ipv6Addr) {
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let routers = &mut link.autoconf.routers;
    if let Some(at) = routers.iter().position(|r| r.address == address) {
        let entry = routers.remove(at).entry(interface);
        take_out(cx.inet, &entry);
        rearm(cx, interface);
    }
}

/// A prefix is on the link (RFC 4861 §6.3.4).
pub(super) fn on_link(cx: &mut Context<'_>, interface: InterfaceId, info: &PrefixInformation) {
    let Ok(prefix) = Ipv6Net::new(info.prefix, info.prefix_len) else {
        return;
    };
    if !is_routable(prefix) {
        return;
    }
    let until = until(cx.now, info.valid_lifetime);
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let connected = link.is_connected(IpNet::V6(prefix));
    let prefixes = &mut link.autoconf.prefixes;
    let known = prefixes.iter().position(|known| known.prefix == prefix);
    match (known, info.valid_lifetime) {
        (None, 0) => {}
        (Some(at), 0) => {
            prefixes.remove(at);
            forget_prefix(cx.inet, interface, prefix);
        }
        (Some(at), _) => prefixes[at].until = until,
        (None, _) if prefixes.len() >= PREFIXES_MAX => {
            cx.counters.add(Counter::AutoconfTableFull);
        }
        (None, _) => {
            prefixes.push(OnLinkPrefix { prefix, until });
            // One of our addresses may have said so before.
            if !connected {
                let entry = RouteEntry {
                    destination: IpNet::V6(prefix),
                    gateway: None,
                    interface,
                    metric: PREFIX_METRIC,
                };
                put(cx.inet, entry);
            }
        }
    }
}

/// Whether a prefix can be that of a link or a route: not the link-local one, nor groups.
fn is_routable(prefix: Ipv6Net) -> bool {
    let address = prefix.addr();
    !address.is_unicast_link_local() && !address.is_multicast() && !address.is_loopback()
}

fn forget_prefix(inet: &mut Inet, interface: InterfaceId, prefix: Ipv6Net) {
    let network = IpNet::V6(prefix);
    if inet
        .interface(interface)
        .is_some_and(|link| !link.is_connected(network))
    {
        inet.routes.remove(network, None, interface);
        inet.routes_changed();
    }
}

/// A route by `router` (RFC 4191 §3.1).
pub(super) fn route(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    router: Ipv6Addr,
    info: &RouteInformation,
) {
    let RouteInformation {
        prefix_len,
        preference,
        lifetime,
        prefix,
    } = *info;
    let settings = ipv6_settings(cx.config, cx.inet, interface);
    let Ok(destination) = Ipv6Net::new(prefix, prefix_len) else {
        return;
    };
    if prefix_len > settings.accept_ra_rt_info_max_plen || !is_routable(destination) {
        return;
    }
    // RFC 4191 §3.1: the default route as an option counts more than the header's.
    if prefix_len == 0 {
        if settings.accept_ra_defrtr {
            heard(cx, interface, router, lifetime, preference);
        }
        return;
    }
    let until = until(cx.now, lifetime);
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let routes = &mut link.autoconf.routes;
    let known = routes
        .iter()
        .position(|known| (known.destination, known.router) == (destination, router));
    let route = LearntRoute {
        destination,
        router,
        preference,
        until,
        suspended: None,
    };
    match (known, lifetime) {
        (None, 0) => {}
        (Some(at), 0) => {
            routes.remove(at);
            take_out(cx.inet, &route.entry(interface));
        }
        (Some(at), _) => {
            let suspended = routes[at].suspended;
            routes[at] = LearntRoute { suspended, ..route };
            if suspended.is_none() {
                put(cx.inet, route.entry(interface));
            }
        }
        (None, _) if routes.len() >= ROUTES_MAX => cx.counters.add(Counter::AutoconfTableFull),
        (None, _) => {
            routes.push(route);
            put(cx.inet, route.entry(interface));
        }
    }
}

/// A name server (RFC 8106 §5.1): 0 takes it back.
pub(super) fn name_server(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    address: Ipv6Addr,
    lifetime: u32,
) {
    if address.is_multicast() || address.is_unspecified() {
        return;
    }
    let until = until(cx.now, lifetime);
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let servers = &mut link.autoconf.name_servers;
    let known = servers.iter().position(|known| known.address == address);
    match (known, lifetime) {
        (None, 0) => {}
        (Some(at), 0) => {
            servers.remove(at);
        }
        (Some(at), _) => servers[at].until = until,
        (None, _) if servers.len() >= NAME_SERVERS_MAX => {
            cx.counters.add(Counter::AutoconfTableFull);
        }
        (None, _) => servers.push(NameServer { address, until }),
    }
}

/// `neighbour` was asked in vain: if it is a router, others come first (RFC 4861 §6.3.6, RFC 4191
/// §3.2).
pub(in crate::iface) fn neighbour_failed(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    neighbour: IpAddr,
) {
    let now = cx.now;
    judge(cx, interface, neighbour, |failed| {
        let times = failed.map_or(0, |(times, _)| times);
        Some((times.saturating_add(1), now))
    });
}

/// `neighbour` is known to be there.
pub(in crate::iface) fn neighbour_answers(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    neighbour: IpAddr,
) {
    judge(cx, interface, neighbour, |_| None);
}

/// Changes what is thought of a router, and its routes with it.
fn judge(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    neighbour: IpAddr,
    opinion: impl Fn(Option<(u32, Instant)>) -> Option<(u32, Instant)>,
) {
    let IpAddr::V6(address) = neighbour else {
        return;
    };
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let Autoconf {
        routers, routes, ..
    } = &mut link.autoconf;
    let mut changed: Vec<(RouteEntry, bool)> = Vec::new();
    let mut failed = opinion(None);
    if let Some(router) = routers.iter_mut().find(|r| r.address == address) {
        failed = opinion(router.failed);
        if router.failed != failed {
            router.failed = failed;
            changed.push((router.entry(interface), true));
        }
    }
    let suspended = failed.map(|(_, at)| at);
    for route in routes.iter_mut().filter(|r| r.router == address) {
        if route.suspended.is_some() != suspended.is_some() {
            changed.push((route.entry(interface), suspended.is_none()));
        }
        route.suspended = suspended;
    }
    if changed.is_empty() {
        return;
    }
    for (entry, usable) in changed {
        match usable {
            true => put(cx.inet, entry),
            false => take_out(cx.inet, &entry),
        }
    }
    rearm(cx, interface);
}

pub(super) fn deadline(autoconf: &Autoconf, probe_interval: Duration) -> Instant {
    let Autoconf {
        routers,
        prefixes,
        routes,
        name_servers,
        ..
    } = autoconf;
    let again = |at: Option<Instant>| at.map_or(Instant::FAR, |at| at + probe_interval);
    let routers = routers
        .iter()
        .map(|r| r.until.min(again(r.failed.map(|(_, at)| at))));
    let routes = routes.iter().map(|r| r.until.min(again(r.suspended)));
    let all = routers
        .chain(routes)
        .chain(prefixes.iter().map(|p| p.until))
        .chain(name_servers.iter().map(|s| s.until));
    all.min().unwrap_or(Instant::FAR)
}

/// What is too old goes (RFC 4861 §6.3.5); routers that did not answer get another chance.
pub(super) fn expire(cx: &mut Context<'_>, interface: InterfaceId) {
    let now = cx.now;
    let interval = ipv6_settings(cx.config, cx.inet, interface).router_probe_interval;
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let Autoconf {
        routers,
        prefixes,
        routes,
        name_servers,
        ..
    } = &mut link.autoconf;
    let mut gone: Vec<RouteEntry> = Vec::new();
    let dead = routers.iter().filter(|r| r.until <= now);
    gone.extend(dead.map(|r| r.entry(interface)));
    let dead = routes.iter().filter(|r| r.until <= now);
    gone.extend(dead.map(|r| r.entry(interface)));
    let dead = prefixes.iter().filter(|p| p.until <= now);
    let off_link: Vec<Ipv6Net> = dead.map(|p| p.prefix).collect();
    routers.retain(|r| r.until > now);
    routes.retain(|r| r.until > now);
    prefixes.retain(|p| p.until > now);
    name_servers.retain(|s| s.until > now);
    let overdue = |at: Option<Instant>| at.is_some_and(|at| at + interval <= now);
    let again: Vec<Ipv6Addr> = routers
        .iter()
        .filter(|r| overdue(r.failed.map(|(_, at)| at)))
        .map(|r| r.address)
        .chain(
            routes
                .iter()
                .filter(|r| overdue(r.suspended))
                .map(|r| r.router),
        )
        .collect();
    for entry in gone {
        take_out(cx.inet, &entry);
    }
    for prefix in off_link {
        forget_prefix(cx.inet, interface, prefix);
    }
    for router in again {
        neighbour_answers(cx, interface, IpAddr::V6(router));
    }
}

/// Takes all routes out that routers advertised.
pub(super) fn forget_all(cx: &mut Context<'_>, interface: InterfaceId) {
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let autoconf = &mut link.autoconf;
    let routers = std::mem::take(&mut autoconf.routers).into_iter();
    let routes = std::mem::take(&mut autoconf.routes).into_iter();
    let prefixes = std::mem::take(&mut autoconf.prefixes);
    let entries: Vec<RouteEntry> = routers
        .map(|r| r.entry(interface))
        .chain(routes.map(|r| r.entry(interface)))
        .collect();
    for entry in entries {
        take_out(cx.inet, &entry);
    }
    for known in prefixes {
        forget_prefix(cx.inet, interface, known.prefix);
    }
}

fn put(inet: &mut Inet, entry: RouteEntry) {
    let same = inet.routes.iter().any(|known| *known == entry);
    if !same {
        inet.routes.insert(entry);
        inet.routes_changed();
    }
}

fn take_out(inet: &mut Inet, entry: &RouteEntry) {
    inet.routes
        .remove(entry.destination, entry.gateway, entry.interface);
    inet.routes_changed();
}
